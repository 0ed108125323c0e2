#!/usr/bin/env bash
# Leaving `for await` over a stream of grpc-js does not end the call.
#
# Guess: `break` destroys the stream, as it does with every Readable of Node, and a stream that is destroyed ends its
#   call: nobody can read it any more.
# What happens: the stream is destroyed, and the call goes on: the server sends until flow control stops it, and learns
#   of nothing until the deadline, or until the process ends. `stream.cancel()` ends it, before or after that. The
#   stream then emits an error of the code CANCELLED. `for await` leaves a listener behind. Who reads by "data" events
#   has none, and the error ends the process.
# Versions: @grpc/grpc-js 1.14.7, Node 20.20.2. Seen 2026-12-01:
#
#   left, the stream is destroyed: true, the server knows: false
#   cancelled, the server knows: true
#   cancelled without a listener: uncaught 1 CANCELLED: Cancelled on client
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @grpc/grpc-js@1.14.7 >&2 || exit 2

cat >main.mjs <<'J'
// A server that sends a message every 10 ms for ever, and clients that leave after the first.
import {once} from "node:events";
import {setTimeout as sleep} from "node:timers/promises";
import {Client, credentials, Metadata, Server, ServerCredentials} from "@grpc/grpc-js";

const same = bytes => bytes;
const method = {path: "/a.B/C", requestStream: false, responseStream: true,
	requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same};
let left = false;
const server = new Server();
server.addService({C: method}, {C: call => {
	const sending = setInterval(() => call.write(Buffer.alloc(8)), 10);
	call.on("cancelled", () => { left = true; clearInterval(sending); });
}});
const port = await new Promise((resolve, reject) => {
	server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => error ? reject(error) : resolve(port));
});
const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure());
const read = () => client.makeServerStreamRequest("/a.B/C", same, same, Buffer.alloc(0), new Metadata(), {deadline: Date.now() + 60_000});

const stream = read();
for await (const _ of stream) {
	break;
}
await sleep(1000);
console.log(`left, the stream is destroyed: ${stream.destroyed}, the server knows: ${left}`);
stream.cancel();
await sleep(1000);
console.log(`cancelled, the server knows: ${left}`);

process.once("uncaughtException", error => console.log(`cancelled without a listener: uncaught ${error.message}`));
const second = read();
await once(second, "data");
second.cancel();
await sleep(1000);
process.exit();
J
seen=$(node main.mjs) || exit 2
echo "$seen"
[[ $seen == 'left, the stream is destroyed: true, the server knows: false
cancelled, the server knows: true
cancelled without a listener: uncaught 1 CANCELLED: Cancelled on client' ]]
