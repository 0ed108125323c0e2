"""Calls Samsara's sandbox through the wheel of make sdk and through Samsara's own package, in one interpreter.

    beside.py GATEWAY SAMSARA

GATEWAY is the address of a gateway before the sandbox with the URL SAMSARA.
"""

import sys
from importlib.metadata import files, version

import grpc
from samsara import Samsara
from samsara_gateway.tags.v1 import tags_pb2, tags_pb2_grpc

gateway, url = sys.argv[1:]

both = set(map(str, files("samsara-gateway"))) & set(map(str, files("samsara-api")))
if both:
    sys.exit(f"both packages have {sorted(both)}")

with grpc.insecure_channel(gateway) as channel:
    stub = tags_pb2_grpc.TagsServiceStub(channel)
    ours = {(tag.id, tag.name) for tag in stub.ListTags(tags_pb2.ListTagsRequest(), timeout=10).data}
theirs = {(tag.id, tag.name) for tag in Samsara(base_url=url, token="sandbox").tags.list_tags().data}
if not ours or ours != theirs:
    sys.exit(f"the tags of samsara-gateway are {sorted(ours)}, those of samsara-api {sorted(theirs)}")

print(
    f"{len(ours)} tags by samsara-gateway {version('samsara-gateway')} and samsara-api {version('samsara-api')}"
    " in one interpreter"
)
