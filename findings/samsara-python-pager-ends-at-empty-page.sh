#!/usr/bin/env bash
# The pager of Samsara's Python SDK ends, without an error, with the first page that is empty, and asks for
# pages that there are not.
#
# Guess: `for vehicle in client.vehicles.list()` gives every vehicle. The answer has hasNextPage, and Samsara's
#   page on pagination says that pages may be short or empty while there are more.
# What happens: the pager never looks at hasNextPage. It goes on while endCursor is not empty and the page
#   that it got is not. So what comes behind an empty page is lost, and a last page that still has a cursor
#   is followed by one more request. That is how the pager of the SDK for JavaScript decides, too, except
#   that an empty page does not end it.
# Versions: samsara-api 14.10.0, Python 3.11.7. Seen 2026-11-30:
#
#   samsara-api 14.10.0
#   an empty page between two of 2 records: 2 records after 2 requests
#   a last page that has a cursor: 2 records after 2 requests
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
{
	python3 -m venv venv && venv/bin/pip install --quiet --disable-pip-version-check samsara-api==14.10.0 &&
		venv/bin/python -c 'from samsara import Samsara'
} >&2 || exit 2

cat >main.py <<'PY'
# A server that answers pages, and the SDK's client that reads them.
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import version

from samsara import Samsara

pages, requests = [], []


def page(records, cursor, more):
    times = {"createdAtTime": "2026-01-01T00:00:00Z", "updatedAtTime": "2026-01-01T00:00:00Z"}
    vehicles = [{"id": str(i), **times} for i in range(records)]
    return {"data": vehicles, "pagination": {"endCursor": cursor, "hasNextPage": more}}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(pages[min(len(requests), len(pages) - 1)]).encode()
        requests.append(self.path)
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = Samsara(base_url=f"http://127.0.0.1:{server.server_port}", token="none")


def read(what, *of):
    pages[:], requests[:] = of, []
    try:
        records = len(list(client.vehicles.list()))
    except Exception as problem:
        print("cannot run:", problem, file=sys.stderr)
        sys.exit(2)
    print(f"{what}: {records} records after {len(requests)} requests")
    return records, len(requests)


print("samsara-api", version("samsara-api"))
lost = read("an empty page between two of 2 records", page(2, "a", True), page(0, "b", True), page(2, "", False))
more = read("a last page that has a cursor", page(2, "a", False), page(0, "", False))
sys.exit(0 if lost == (2, 2) and more == (2, 2) else 1)
PY
status=0
venv/bin/python main.py || status=$?
((status < 2)) || exit 2
exit "$status"
