"""Calls Samsara's API through its official Python SDK, for the tests of cmd/gateway.

    driver.py BASE_URL

The first line of standard output says which operations the SDK has, and what it calls their
parameters. Then each line of standard input is a call, and each further one of standard output its
outcome; both are JSON. driver.mjs does the same with the SDK for JavaScript.
"""

import datetime
import inspect
import json
import re
import sys

import httpx
from samsara import Samsara
from samsara.core.api_error import ApiError
from samsara.core.pagination import SyncPager

MARK = "arg-"
INSTANT = datetime.datetime(2001, 2, 3, 4, 5, 6, tzinfo=datetime.timezone.utc)


class Caught(Exception):
    """Ends a call after its request is known."""

    def __init__(self, request):
        super().__init__()
        self.request = request


def catch(request):
    raise Caught(request)


def clients(client):
    """Yields the SDK's groups of operations by their names, such as client.fleet.vehicles."""
    for name, prop in inspect.getmembers(type(client), lambda member: isinstance(member, property)):
        if name == "with_raw_response":
            continue
        group = getattr(client, name)
        yield name, group
        for below, nested in clients(group):
            yield f"{name}.{below}", nested


def parameters(method):
    return {n: p for n, p in inspect.signature(method).parameters.items() if n not in ("self", "request_options")}


def is_time(parameter):
    return "datetime" in str(parameter.annotation)


def discover():
    """Calls each method of the SDK with marked arguments, and reads the requests that it would send."""
    catcher = httpx.Client(transport=httpx.MockTransport(catch))
    client = Samsara(base_url="http://sandbox", token="none", httpx_client=catcher)
    found = {}
    for group, holder in clients(client):
        for name, method in inspect.getmembers(holder, inspect.ismethod):
            if name.startswith("_"):
                continue
            known = parameters(method)
            for given in (known, {n: p for n, p in known.items() if p.default is p.empty}):
                marked = {n: INSTANT if is_time(p) else MARK + n for n, p in given.items()}
                try:
                    method(**marked)
                except Caught as caught:
                    operation = described(caught.request, given)
                    operation["method"] = f"{group}.{name}"
                    found[(operation["verb"], operation["path"], operation["method"])] = operation
                    break
                except Exception as problem:  # such as of an argument that the SDK takes apart
                    print(f"{group}.{name}: {problem!r}", file=sys.stderr)
    return list(found.values())


def described(request, given):
    """Says of a request with marks in it where which argument went."""
    path = re.sub(rf"{MARK}(\w+)", r"{\1}", request.url.path)
    wire = {name: name for name in re.findall(r"{(\w+)}", path)}
    times = iter([n for n, p in given.items() if is_time(p)])
    for key, value in request.url.params.multi_items():
        if value.startswith(MARK):
            wire[value[len(MARK):]] = key
        elif value.startswith("2001-02-03"):
            wire[next(times)] = key
    try:
        body = json.loads(request.content or "null")
    except ValueError:
        body = None
    if isinstance(body, dict):
        for key, value in body.items():
            if isinstance(value, str) and value.startswith(MARK):
                wire[value[len(MARK):]] = key
    return {"verb": request.method, "path": path, "wire": wire}


def plain(value):
    """Returns what the SDK made of a response as JSON, times as they stand there."""
    if hasattr(value, "dict"):
        value = value.dict()
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(v) for v in value]
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value


class Caller:
    def __init__(self, base_url):
        self.base_url = base_url
        self.operations = {operation["method"]: operation for operation in discover()}
        self.statuses, self.text = [], ""
        self.http = httpx.Client(timeout=30, event_hooks={"response": [self.seen]})

    def seen(self, response):
        response.read()
        self.statuses.append(response.status_code)
        self.text = response.text

    def call(self, call):
        self.statuses, self.text = [], ""
        target = Samsara(base_url=self.base_url, token=call["token"], httpx_client=self.http)
        for step in call["method"].split("."):
            target = getattr(target, step)
        known = parameters(target)
        arguments = {}
        for name, value in call["arguments"].items():
            if is_time(known[name]):
                value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
            arguments[name] = value
        out = {}
        try:
            answer = target(**arguments, request_options={"max_retries": call["retries"]})
            if isinstance(answer, SyncPager):
                # As its users do: item by item, page after page.
                out["items"] = len(list(answer)) if call["pages"] else len(answer.items)
                out["value"] = plain(answer.response)
            else:
                out["value"] = plain(answer)
        except ApiError as problem:
            out["status"] = problem.status_code
            out["error"] = f"{type(problem).__name__}: status {problem.status_code}: {problem.body}"
        except Exception as problem:
            out["error"] = f"{type(problem).__name__}: {problem}"
        out["statuses"], out["text"] = self.statuses, self.text
        return out


def main():
    caller = Caller(sys.argv[1])
    print(json.dumps({"operations": list(caller.operations.values())}), flush=True)
    for line in sys.stdin:
        print(json.dumps(caller.call(json.loads(line))), flush=True)


main()
