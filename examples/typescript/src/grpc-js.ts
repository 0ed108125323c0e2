// A client of samsara-gateway with @grpc/grpc-js: what it does otherwise than connect, which is in example.ts.

import {dirname, join} from "node:path";
import {env} from "node:process";
import {fileURLToPath} from "node:url";

import {credentials, loadPackageDefinition, Metadata, type ServiceError, status, type StatusObject} from "@grpc/grpc-js";
import {loadSync} from "@grpc/proto-loader";

import type {ProtoGrpcType as Contacts} from "./proto/contacts.js";
import type {ProtoGrpcType as Locations} from "./proto/location_and_speed.js";
import type {FollowLocationAndSpeedResponse__Output} from "./proto/samsara_gateway/location_and_speed/v1/FollowLocationAndSpeedResponse.js";
import type {ProtoGrpcType as Tags} from "./proto/tags.js";
import {callUntilStdinEnds} from "./restarts.js";

/** The first contact and asset of the sandbox. */
const first = "281474976710657";

/** What docs/calling.md recommends. Of that, grpc-js 1.14 ignores the health check and waitForReady: see calling. */
const serviceConfig = {
	loadBalancingConfig: [{round_robin: {}}],
	healthCheckConfig: {serviceName: ""},
	methodConfig: [{
		name: [{}],
		waitForReady: true,
		retryPolicy: {
			maxAttempts: 3,
			initialBackoff: "0.1s",
			maxBackoff: "1s",
			backoffMultiplier: 2,
			retryableStatusCodes: ["UNAVAILABLE"],
		},
	}],
	retryThrottling: {maxTokens: 100, tokenRatio: 0.1},
};
const options = {
	"grpc.max_receive_message_length": 64 << 20, // Answers may be larger than the default, 4 MiB.
	"grpc.service_config": JSON.stringify(serviceConfig),
};

// The package has the .proto files. Their types are made by npm run generate, with the same options.
const protos = join(dirname(fileURLToPath(import.meta.resolve("samsara-gateway/package.json"))), "proto");
const {samsara_gateway: api} = loadPackageDefinition(loadSync([
	"samsara_gateway/contacts/v1/contacts.proto",
	"samsara_gateway/location_and_speed/v1/location_and_speed.proto",
	"samsara_gateway/tags/v1/tags.proto",
], {includeDirs: [protos], longs: String, arrays: true})) as unknown as Contacts & Locations & Tags;

/** Reads a feed. When the stream is lost it goes on behind the last message that was dealt with. */
async function follow(): Promise<void> {
	const {LocationAndSpeedService} = api.location_and_speed.v1;
	const locations = new LocationAndSpeedService(variable("GATEWAY_FEED"), credentials.createInsecure(), options);
	// The request is the same each time: a cursor belongs to what was asked.
	const request = {ids: [first], limit: 10, startTime: new Date(Date.now() - 3_600_000).toISOString()};
	const deadline = Date.now() + 60_000;
	let cursor: string | undefined; // A service keeps it where it keeps what it has made of the records.
	const seen = new Set<string>();
	let twice = 0, lost = false;
	while (seen.size < 60) {
		const stream = locations.followLocationAndSpeed({request, options: {fromCursor: cursor}}, calling(), {deadline});
		stream.on("error", () => {}); // See leave. What happens while it is read is thrown, too.
		let begun = false;
		try {
			for await (const message of stream as AsyncIterable<FollowLocationAndSpeedResponse__Output>) {
				if (!begun) {
					console.error("follow begins");
					begun = true;
				}
				for (const record of message.page?.data ?? []) { // A message that says how the feed is doing has none.
					const at = record.happenedAtTime ?? "";
					twice += seen.has(at) ? 1 : 0;
					seen.add(at);
				}
				cursor = message.cursor ?? cursor;
				if (seen.size >= 60) {
					break;
				}
			}
		} catch (error) {
			if ((error as ServiceError).code !== status.UNAVAILABLE) {
				throw error;
			}
			lost = true;
		} finally {
			stream.cancel(); // See leave.
		}
	}
	locations.close();
	console.log(`follow: ${seen.size} records, ${twice} of them twice, the gateway was lost: ${lost}`);
}

/** Calls without a pause until standard input ends. Meanwhile one replica after the other is restarted. */
async function restarts(): Promise<void> {
	const {ContactsService} = api.contacts.v1;
	const contacts = new ContactsService(variable("GATEWAY_REPLICAS"), credentials.createInsecure(), options);
	await callUntilStdinEnds(() => new Promise<void>((resolve, reject) => {
		contacts.getContact({id: first}, calling("latency=50ms"), {deadline: Date.now() + 10_000}, error => {
			error ? reject(error) : resolve();
		});
	}));
	contacts.close();
}

/**
 * Leaves a stream before its end.
 *
 * Leaving `for await` destroys the stream, and does not end the call: that would go on until its deadline. What ends it
 * is `cancel()`. The stream then emits an error of the code CANCELLED, which without a listener ends the process.
 * `for await` leaves one there. Who reads by `data` events has none, so add it.
 */
async function leave(): Promise<void> {
	const {TagsService} = api.tags.v1;
	const tags = new TagsService(variable("GATEWAY"), credentials.createInsecure(), options);
	const stream = tags.streamTags({request: {limit: 2}}, calling(), {deadline: Date.now() + 10_000});
	stream.on("error", () => {});
	const ended = new Promise<StatusObject>(resolve => stream.on("status", resolve));
	let pages = 0;
	for await (const _ of stream) {
		pages++;
		break;
	}
	stream.cancel();
	const {code} = await ended;
	if (code !== status.CANCELLED) {
		throw new Error(`leave: the call ended with ${status[code]}`);
	}
	tags.close();
	console.log(`leave: left after ${pages} page`);
}

/** Returns the metadata of a call that waits for a gateway as long as its deadline allows. */
function calling(fault?: string): Metadata {
	const metadata = new Metadata({waitForReady: true});
	if (fault !== undefined) {
		metadata.set("samsara-sandbox-fault", fault);
	}
	return metadata;
}

function variable(name: string): string {
	const value = env[name];
	if (value === undefined) {
		throw new Error(`${name} is not set`);
	}
	return value;
}

await follow();
await restarts();
await leave();
