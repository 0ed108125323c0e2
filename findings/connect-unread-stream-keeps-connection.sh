#!/usr/bin/env bash
# A stream of connect that is left when its server has sent all of it keeps its connection, and so the process, for ever.
#
# Guess: `abort()` of the signal that a call was given frees what the call has, whatever has come of it. If the rest of
#   the stream has come already, there is even less to do.
# What happens: connect closes the stream of HTTP/2 only if it is open. If the server has ended it, Node waits until
#   somebody reads what came, and nobody does: connect gives no more of it after `abort()`. So the stream is never
#   closed, and connect never unreferences its connection. Whether that happens is a race of the server with the client.
# Versions: @connectrpc/connect-node 2.2.0, @bufbuild/protobuf 2.17.0, Node 20.20.2. Seen 2026-12-01:
#
#   left while the server sends: ends by itself: true
#   left when all has come: ends by itself: false
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --ignore-scripts --no-audit --no-fund --loglevel=error \
	@bufbuild/protobuf@2.17.0 @connectrpc/connect@2.2.0 @connectrpc/connect-node@2.2.0 >&2 || exit 2

cat >server.mjs <<'J'
// A server that sends six messages, and ends the stream or does not.
import {writeFileSync} from "node:fs";
import {createServer} from "node:http2";

const server = createServer().listen(0, "127.0.0.1", () => writeFileSync("port", `${server.address().port}`));
server.on("stream", stream => {
	stream.on("error", () => {});
	stream.respond({":status": 200, "content-type": "application/grpc"}, {waitForTrailers: true});
	stream.on("wantTrailers", () => stream.sendTrailers({"grpc-status": "0"}));
	let messages = 0;
	const sending = setInterval(() => {
		if (messages++ < 6) {
			stream.write(Buffer.alloc(5)); // an empty message
		} else {
			clearInterval(sending);
			if (process.argv[2] === "end") {
				stream.end();
			}
		}
	}, 10);
});
J
cat >client.mjs <<'J'
// A client that leaves after the first message.
import {readFileSync} from "node:fs";
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
const client = createClient(service, createGrpcTransport({baseUrl: `http://127.0.0.1:${readFileSync("port")}`}));
const call = new AbortController();
try {
	for await (const _ of client.c({}, {signal: call.signal})) {
		await sleep(500);
		call.abort();
	}
} catch {}
J
server=
trap '[[ -z $server ]] || kill "$server" 2>/dev/null || :; rm -rf "$work"' EXIT
ends() {
	rm -f port
	node server.mjs "$1" &
	server=$!
	for _ in {1..100}; do
		[[ ! -s port ]] || break
		sleep 0.1
	done
	local code=0
	timeout 10 node client.mjs >&2 || code=$?
	kill "$server"
	wait "$server" 2>/dev/null || :
	case $code in
	0) ends=true ;;
	124) ends=false ;;
	*) exit 2 ;;
	esac
}
ends open
open=$ends
ends end
echo "left while the server sends: ends by itself: $open"
echo "left when all has come: ends by itself: $ends"
[[ $open == true && $ends == false ]]
