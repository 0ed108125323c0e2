#!/usr/bin/env bash
# A stream of connect that is left keeps the process alive until its deadline, although its signal has ended the call.
#
# Guess: `break`, then `abort()` of the signal that the call was given, leaves nothing behind: the server sees the stream
#   closed at once.
# What happens: `break` alone does not end the call at all, since the iterator has no `return()`. `abort()` ends it, and
#   the timer of its deadline stays, which keeps the process from ending. Connect clears it when the stream ends or
#   throws. So who leaves a stream calls `abort()` and reads on, until it throws Canceled.
# Versions: @connectrpc/connect-node 2.2.0, @bufbuild/protobuf 2.17.0, Node 20.20.2. Seen 2026-12-01:
#
#   break: the server knows: false, timers: 1
#   break and abort: the server knows: true, timers: 1
#   abort and read on: the server knows: true, timers: 0
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
	@bufbuild/protobuf@2.17.0 @connectrpc/connect@2.2.0 @connectrpc/connect-node@2.2.0 >&2 || exit 2

cat >main.mjs <<'J'
// A server that sends one message and no end, and a client that leaves after it.
import {once} from "node:events";
import {createServer} from "node:http2";
import {setTimeout as sleep} from "node:timers/promises";
import {create, createFileRegistry} from "@bufbuild/protobuf";
import {FileDescriptorProtoSchema, file_google_protobuf_empty} from "@bufbuild/protobuf/wkt";
import {createClient} from "@connectrpc/connect";
import {createGrpcTransport} from "@connectrpc/connect-node";

const empty = ".google.protobuf.Empty";
const file = create(FileDescriptorProtoSchema, {
	name: "a.proto", package: "a", syntax: "proto3", dependency: ["google/protobuf/empty.proto"],
	service: [{name: "B", method: [{name: "C", inputType: empty, outputType: empty, serverStreaming: true}]}],
});
const service = createFileRegistry(file, () => file_google_protobuf_empty.proto).getService("a.B");

let closed = false;
const server = createServer().listen(0, "127.0.0.1");
server.on("stream", stream => {
	stream.respond({":status": 200, "content-type": "application/grpc"});
	stream.write(Buffer.alloc(5)); // an empty message
	stream.on("error", () => {});
	stream.on("close", () => { closed = true; });
});
await once(server, "listening");
const client = createClient(service, createGrpcTransport({baseUrl: `http://127.0.0.1:${server.address().port}`}));

const call = new AbortController();
const stream = client.c({}, {signal: call.signal, timeoutMs: 20_000});
if (process.argv[2] === "abort and read on") {
	try {
		for await (const _ of stream) {
			call.abort();
		}
	} catch {}
} else {
	for await (const _ of stream) {
		break;
	}
	if (process.argv[2] === "break and abort") {
		call.abort();
	}
}
await sleep(1000);
const timers = process.getActiveResourcesInfo().filter(resource => resource === "Timeout").length;
console.log(`${process.argv[2]}: the server knows: ${closed}, timers: ${timers}`);
process.exit();
J
seen=$(for way in break 'break and abort' 'abort and read on'; do node main.mjs "$way" || exit 2; done) || exit 2
echo "$seen"
[[ $seen == 'break: the server knows: false, timers: 1
break and abort: the server knows: true, timers: 1
abort and read on: the server knows: true, timers: 0' ]]
