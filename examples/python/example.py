"""A client of samsara-gateway in Python: ../README.md says what it shows."""

import json
import os
import sys
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar, cast

import grpc
from google.protobuf import field_mask_pb2, json_format, struct_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from samsara_gateway.addresses.v1 import addresses_pb2, addresses_pb2_grpc
from samsara_gateway.api.v1 import stream_pb2
from samsara_gateway.contacts.v1 import contacts_pb2, contacts_pb2_grpc
from samsara_gateway.location_and_speed.v1 import location_and_speed_pb2, location_and_speed_pb2_grpc
from samsara_gateway.readings.v1 import readings_pb2, readings_pb2_grpc
from samsara_gateway.tags.v1 import tags_pb2, tags_pb2_grpc
from samsara_gateway.vehicles.v1 import vehicles_pb2, vehicles_pb2_grpc

SECONDS = 10.0  # the deadline of a call
FIRST = "281474976710657"  # the first contact, vehicle and asset of the sandbox
FAULT = "samsara-sandbox-fault"  # the metadata that asks the sandbox to fail
# What docs/calling.md recommends: calls wait for a gateway, go to all replicas that are healthy, and are repeated if
# no gateway has begun with them.
SERVICE_CONFIG = {
    "loadBalancingConfig": [{"round_robin": {}}],
    "healthCheckConfig": {"serviceName": ""},
    "methodConfig": [
        {
            "name": [{}],
            "waitForReady": True,
            "retryPolicy": {
                "maxAttempts": 3,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 100, "tokenRatio": 0.1},
}
OPTIONS: list[tuple[str, int | str]] = [
    # How large an answer may be. gRPC's default is 4 MiB, and the gateway sends larger ones.
    ("grpc.max_receive_message_length", 64 << 20),
    ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
]

Detail = TypeVar("Detail", bound=Message)


def main() -> None:
    # A channel connects when it is needed, and again when the connection is lost.
    with (
        grpc.insecure_channel(os.environ["GATEWAY"], OPTIONS) as channel,
        grpc.insecure_channel(os.environ["GATEWAY_FEED"], OPTIONS) as feed,
        grpc.insecure_channel(os.environ["GATEWAY_REPLICAS"], OPTIONS) as replicas,
    ):
        list_vehicles(channel)
        follow(feed)
        restarts(replicas)
        quota(channel)
        argument(channel)
        null(channel)
        value(channel)
        int64(channel)
        drift(channel)
        retries(channel)
        deadline(channel)
        tls()
        gzip(channel)
        leave(channel)


def list_vehicles(channel: grpc.Channel) -> None:
    """Reads all vehicles. The gateway reads the pages."""
    stream = vehicles_pb2_grpc.VehiclesServiceStub(channel).StreamVehicles(
        vehicles_pb2.StreamVehiclesRequest(request=vehicles_pb2.ListVehiclesRequest(limit=5)), timeout=SECONDS
    )
    pages = [len(message.page.data) for message in stream]
    print(f"list: {sum(pages)} vehicles in {len(pages)} pages")


def follow(channel: grpc.Channel) -> None:
    """Reads a feed. When the stream is lost it goes on behind the last message that was dealt with."""
    locations = location_and_speed_pb2_grpc.LocationAndSpeedServiceStub(channel)
    # The request is the same each time: a cursor belongs to what was asked.
    request = location_and_speed_pb2.ListLocationAndSpeedRequest(
        ids=[FIRST], limit=10, start_time=rfc3339(datetime.now(UTC) - timedelta(hours=1))
    )
    end = time.monotonic() + 60
    cursor: str | None = None  # A service keeps it where it keeps what it has made of the records.
    seen: set[str] = set()
    twice = 0
    lost = False
    while len(seen) < 60:
        stream = locations.FollowLocationAndSpeed(
            location_and_speed_pb2.FollowLocationAndSpeedRequest(
                request=request, options=stream_pb2.FollowOptions(from_cursor=cursor)
            ),
            timeout=end - time.monotonic(),
        )
        begun = False
        try:
            for message in stream:
                if not begun:
                    print("follow begins", file=sys.stderr, flush=True)
                    begun = True
                for record in message.page.data:  # A message that says how the feed is doing has none.
                    twice += record.happened_at_time in seen
                    seen.add(record.happened_at_time)
                if message.HasField("cursor"):
                    cursor = message.cursor
                if len(seen) >= 60:
                    break
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            lost = True
        finally:
            stream.cancel()  # See leave.
    print(f"follow: {len(seen)} records, {twice} of them twice, the gateway was lost: {str(lost).lower()}")


def restarts(channel: grpc.Channel) -> None:
    """Calls without a pause until standard input ends. Meanwhile one replica after the other is restarted."""
    contacts = contacts_pb2_grpc.ContactsServiceStub(channel)
    ended = threading.Event()

    def call() -> None:
        contacts.GetContact(
            contacts_pb2.GetContactRequest(id=FIRST), timeout=SECONDS, metadata=((FAULT, "latency=50ms"),)
        )

    def call_on() -> tuple[int, list[grpc.RpcError]]:
        calls = 0
        failures = []
        while not ended.is_set():
            calls += 1
            try:
                call()
            except grpc.RpcError as error:
                failures.append(error)
        return calls, failures

    call()
    print("restarts begin", file=sys.stderr, flush=True)
    with ThreadPoolExecutor(8) as pool:
        callers = [pool.submit(call_on) for _ in range(8)]
        try:
            sys.stdin.read()
        finally:
            ended.set()
    failures = [failure for caller in callers for failure in caller.result()[1]]
    print(f"restarts: {sum(caller.result()[0] for caller in callers)} calls", file=sys.stderr)
    if failures:
        print(failures[0], file=sys.stderr)
    print(f"restarts: {len(failures)} calls failed")


def quota(channel: grpc.Channel) -> None:
    """Is refused because too many have called. The wait would outlive the deadline, so it is the caller's."""
    try:
        contacts_pb2_grpc.ContactsServiceStub(channel).GetContact(
            contacts_pb2.GetContactRequest(id=FIRST), timeout=5, metadata=((FAULT, "status=429; retry-after=30"),)
        )
    except grpc.RpcError as error:
        reason = detail(error, error_details_pb2.ErrorInfo).reason
        seconds = detail(error, error_details_pb2.RetryInfo).retry_delay.seconds
        print(f"quota: {error.code().name}, {reason}, call again in {seconds} s")
    else:
        raise AssertionError("quota: the call succeeded")


def argument(channel: grpc.Channel) -> None:
    """Is refused because of a field, which the error names with its rule."""
    try:
        contacts_pb2_grpc.ContactsServiceStub(channel).UpdateContact(
            contacts_pb2.UpdateContactRequest(first_name="Ada"), timeout=SECONDS
        )
    except grpc.RpcError as error:
        violation = detail(error, error_details_pb2.BadRequest).field_violations[0]
        print(f"argument: {violation.field}: {violation.description}")
    else:
        raise AssertionError("argument: the call succeeded")


def null(channel: grpc.Channel) -> None:
    """Removes a phone number: the mask names the field, and the field is unset."""
    updated = contacts_pb2_grpc.ContactsServiceStub(channel).UpdateContact(
        contacts_pb2.UpdateContactRequest(id=FIRST, update_mask=field_mask_pb2.FieldMask(paths=["phone"])),
        timeout=SECONDS,
    )
    # An unset field reads as "". HasField tells it from an empty one.
    phone = "a" if updated.data.HasField("phone") else "no"
    print(f"null: contact {updated.data.id} has {phone} phone")


def value(channel: grpc.Channel) -> None:
    """Sends a value that is of no declared type, and reads it back."""
    readings = readings_pb2_grpc.ReadingsServiceStub(channel)
    datapoint = readings_pb2.ReadingDatapoint(
        entity_type="asset",
        entity_id=FIRST,
        reading_id="door",
        happened_at_time=rfc3339(datetime.now(UTC)),
        value=json_format.ParseDict({"open": True, "levels": [1, 2.5, None]}, struct_pb2.Value()),
    )
    readings.CreateReadings(readings_pb2.CreateReadingsRequest(data=[datapoint]), timeout=SECONDS)
    latest = readings.ListReadingsSnapshot(
        readings_pb2.ListReadingsSnapshotRequest(entity_type="asset", entity_ids=[FIRST], reading_ids=["door"]),
        timeout=SECONDS,
    )
    door = json_format.MessageToDict(latest.data[0].value)
    print(f"value: open is {str(door['open']).lower()}, levels has {len(door['levels'])} values")


def int64(channel: grpc.Channel) -> None:
    """Sends a whole number that a double cannot hold. An int of Python can."""
    created = addresses_pb2_grpc.AddressesServiceStub(channel).CreateAddress(
        addresses_pb2.CreateAddressRequest(
            name="Everywhere",
            formatted_address="1 Main St, San Francisco, CA 94105",
            geofence=addresses_pb2.AddressGeofence(
                circle=addresses_pb2.AddressGeofenceCircle(radius_meters=9007199254740993)
            ),
        ),
        timeout=SECONDS,
    )
    print(f"int64: {created.data.geofence.circle.radius_meters}")


def drift(channel: grpc.Channel) -> None:
    """Reads from the trailer how an answer differed from its message."""
    _, call = vehicles_pb2_grpc.VehiclesServiceStub(channel).GetVehicle.with_call(
        vehicles_pb2.GetVehicleRequest(id=FIRST), timeout=SECONDS, metadata=((FAULT, "drift"),)
    )
    print(f"drift: {text(call.trailing_metadata(), 'samsara-drift')}")


def retries(channel: grpc.Channel) -> None:
    """Reads from the header how often the gateway asked. Do not multiply its attempts by your own."""
    _, call = contacts_pb2_grpc.ContactsServiceStub(channel).GetContact.with_call(
        contacts_pb2.GetContactRequest(id=FIRST), timeout=SECONDS, metadata=((FAULT, "status=503; first=2"),)
    )
    print(f"retries: {text(call.initial_metadata(), 'samsara-attempts')} attempts")


def deadline(channel: grpc.Channel) -> None:
    """Ends in time, although Samsara would answer later."""
    try:
        contacts_pb2_grpc.ContactsServiceStub(channel).GetContact(
            contacts_pb2.GetContactRequest(id=FIRST), timeout=0.3, metadata=((FAULT, "latency=5s"),)
        )
    except grpc.RpcError as error:
        code = error.code()
        # At the deadline the gateway may reset the call, too. If that comes before the own timer, it is CANCELLED.
        if code is grpc.StatusCode.CANCELLED:
            code = grpc.StatusCode.DEADLINE_EXCEEDED
        print(f"deadline: {code.name}")
    else:
        raise AssertionError("deadline: the call succeeded")


def tls() -> None:
    """Knows the gateway by its certificate."""
    credentials = grpc.ssl_channel_credentials(Path(os.environ["GATEWAY_CA"]).read_bytes())
    with grpc.secure_channel(os.environ["GATEWAY_TLS"], credentials, OPTIONS) as channel:
        stream = tags_pb2_grpc.TagsServiceStub(channel).StreamTags(tags_pb2.StreamTagsRequest(), timeout=SECONDS)
        print(f"tls: {sum(len(message.page.data) for message in stream)} tags")


def gzip(channel: grpc.Channel) -> None:
    """Compresses the request. The gateway then compresses the answer."""
    tags = tags_pb2_grpc.TagsServiceStub(channel).ListTags(
        tags_pb2.ListTagsRequest(limit=100), timeout=SECONDS, compression=grpc.Compression.Gzip
    )
    print(f"gzip: {len(tags.data)} tags")


def leave(channel: grpc.Channel) -> None:
    """Leaves a stream before its end."""
    stream = tags_pb2_grpc.TagsServiceStub(channel).StreamTags(
        tags_pb2.StreamTagsRequest(request=tags_pb2.ListTagsRequest(limit=2)), timeout=SECONDS
    )
    pages = 0
    try:
        for _ in stream:
            pages += 1
            break
    finally:
        # Leaving the loop does not end the call. It would go on until its deadline, or until Python
        # collects `stream`, which something may hold for long, such as a traceback.
        stream.cancel()
    print(f"leave: left after {pages} page")


def detail(error: grpc.RpcError, kind: type[Detail]) -> Detail:
    """Returns the detail of a type that an error carries, or an empty one."""
    found = kind()
    # What grpcio raises is the call, too.
    status = rpc_status.from_call(cast(grpc.Call, error))
    for packed in status.details if status else ():
        if packed.Unpack(found):
            break
    return found


def text(metadata: Iterable[tuple[str, str | bytes]], key: str) -> str:
    """Returns the value of a key that does not end in -bin, so it is text."""
    return cast(str, dict(metadata)[key])


def rfc3339(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


if __name__ == "__main__":
    main()
