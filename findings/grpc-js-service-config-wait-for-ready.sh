#!/usr/bin/env bash
# grpc-js takes waitForReady in a service config, checks its type, and does not heed it.
#
# Guess: `"waitForReady": true` in a method config makes calls wait for a server as long as their deadline allows, as
#   the documents of gRPC say and as Go, Java and C++ do.
# What happens: such a call fails with UNAVAILABLE as soon as no server can be reached. Only the metadata of each call,
#   `new Metadata({waitForReady: true})`, makes it wait. A value that is no boolean is refused, so the member is known.
#   healthCheckConfig is passed over, too: grpc-js has no health check of its own.
# Versions: @grpc/grpc-js 1.14.7, Node 20.20.2. Seen 2026-12-01:
#
#   by the service config: UNAVAILABLE
#   by the metadata: DEADLINE_EXCEEDED
#   a value that is no boolean: Invalid method config: invalid waitForReady
#
# Exits 0 if that is still so, 1 if it changed, 2 if it could not be tried.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --ignore-scripts --no-audit --no-fund --loglevel=error @grpc/grpc-js@1.14.7 >&2 || exit 2

cat >main.mjs <<'J'
// Calls an address that nobody listens at.
import {createServer} from "node:net";
import {once} from "node:events";
import {Client, credentials, Metadata, status} from "@grpc/grpc-js";

const server = createServer().listen(0, "127.0.0.1");
await once(server, "listening");
const {port} = server.address();
server.close();
await once(server, "close");

function call(waitForReady, metadata) {
	const config = JSON.stringify({methodConfig: [{name: [{}], waitForReady}]});
	const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {"grpc.service_config": config});
	const same = bytes => bytes;
	return new Promise(resolve => {
		client.makeUnaryRequest("/a.B/C", same, same, Buffer.alloc(0), metadata, {deadline: Date.now() + 2000}, error => {
			client.close();
			resolve(status[error.code]);
		});
	});
}

console.log(`by the service config: ${await call(true, new Metadata())}`);
console.log(`by the metadata: ${await call(false, new Metadata({waitForReady: true}))}`);
try {
	console.log(`a value that is no boolean: ${await call("yes", new Metadata())}`);
} catch (error) {
	console.log(`a value that is no boolean: ${error.message}`);
}
J
seen=$(node main.mjs) || exit 2
echo "$seen"
[[ $seen == 'by the service config: UNAVAILABLE
by the metadata: DEADLINE_EXCEEDED
a value that is no boolean: Invalid method config: invalid waitForReady' ]]
