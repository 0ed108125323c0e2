// A client of samsara-gateway in TypeScript: ../../README.md says what it shows.

import {readFileSync} from "node:fs";
import {env, exit} from "node:process";
import {setTimeout as sleep} from "node:timers/promises";

import {type DescMessage, fromJson, type JsonValue, type MessageShape, toJson} from "@bufbuild/protobuf";
import {durationMs, MethodOptions_IdempotencyLevel, ValueSchema} from "@bufbuild/protobuf/wkt";
import {Code, ConnectError, createClient, type Interceptor, type Transport} from "@connectrpc/connect";
import {compressionGzip, createGrpcTransport, type GrpcTransportOptions} from "@connectrpc/connect-node";
import {AddressesService} from "samsara-gateway/addresses/v1/addresses_pb";
import {ContactsService} from "samsara-gateway/contacts/v1/contacts_pb";
import {BadRequestSchema, ErrorInfoSchema, RetryInfoSchema} from "samsara-gateway/google/rpc/error_details_pb";
import {LocationAndSpeedService} from "samsara-gateway/location_and_speed/v1/location_and_speed_pb";
import {ReadingsService} from "samsara-gateway/readings/v1/readings_pb";
import {TagsService} from "samsara-gateway/tags/v1/tags_pb";
import {VehiclesService} from "samsara-gateway/vehicles/v1/vehicles_pb";

import {callUntilStdinEnds} from "./restarts.js";

/** The first contact, vehicle and asset of the sandbox. */
const first = "281474976710657";

const options = {
	/** The deadline of a call that names none. */
	defaultTimeoutMs: 10_000,
	/** How large an answer may be: connect's default is 4 GiB, that of other libraries 4 MiB. */
	readMaxBytes: 64 << 20,
} satisfies Partial<GrpcTransportOptions>;

async function main(): Promise<void> {
	// A transport connects when it is needed, and again when the connection is lost.
	const gateway = createGrpcTransport({...options, baseUrl: `http://${variable("GATEWAY")}`});
	const feed = createGrpcTransport({...options, baseUrl: `http://${variable("GATEWAY_FEED")}`});
	// A name of several addresses: connect uses one of them, and another when that is lost.
	const replicas = createGrpcTransport({...options, baseUrl: `http://${variable("GATEWAY_REPLICAS")}`, interceptors: [repeat]});
	await list(gateway);
	await follow(feed);
	await restarts(replicas);
	await quota(gateway);
	await argument(gateway);
	await nullMember(gateway);
	await value(gateway);
	await int64(gateway);
	await drift(gateway);
	await retries(gateway);
	await deadline(gateway);
	await tls();
	await gzip();
	await leave(gateway);
}

/** Reads all vehicles. The gateway reads the pages. */
async function list(transport: Transport): Promise<void> {
	let vehicles = 0, pages = 0;
	for await (const message of createClient(VehiclesService, transport).streamVehicles({request: {limit: 5}})) {
		vehicles += message.page?.data.length ?? 0;
		pages++;
	}
	console.log(`list: ${vehicles} vehicles in ${pages} pages`);
}

/** Reads a feed. When the stream is lost it goes on behind the last message that was dealt with. */
async function follow(transport: Transport): Promise<void> {
	const locations = createClient(LocationAndSpeedService, transport);
	// The request is the same each time: a cursor belongs to what was asked.
	const request = {ids: [first], limit: 10, startTime: new Date(Date.now() - 3_600_000).toISOString()};
	const end = Date.now() + 60_000;
	let cursor: string | undefined; // A service keeps it where it keeps what it has made of the records.
	const seen = new Set<string>();
	let twice = 0, lost = false;
	while (seen.size < 60) {
		const call = new AbortController();
		let begun = false;
		try {
			const stream = locations.followLocationAndSpeed(
				{request, options: {fromCursor: cursor}},
				{signal: call.signal, timeoutMs: Math.max(1, end - Date.now())}, // 0 would be no deadline at all.
			);
			for await (const message of stream) {
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
					call.abort(); // See leave.
				}
			}
		} catch (reason) {
			if (call.signal.aborted) {
				break;
			}
			if (!isLost(ConnectError.from(reason))) {
				throw reason;
			}
			lost = true;
			await sleep(500); // Connect fails at once while there is no gateway. It has no wait-for-ready.
		}
	}
	console.log(`follow: ${seen.size} records, ${twice} of them twice, the gateway was lost: ${lost}`);
}

/**
 * Whether a stream ended because its gateway stops or was lost. The code is UNAVAILABLE if it stops, or cannot be
 * reached. If the connection breaks, connect takes one of several codes, by how it breaks. What tells these from
 * verdicts of the gateway is that they have no ErrorInfo.
 */
function isLost(error: ConnectError): boolean {
	if (error.findDetails(ErrorInfoSchema).length > 0) {
		return error.code === Code.Unavailable;
	}
	return [Code.Unavailable, Code.Aborted, Code.Canceled, Code.Internal, Code.Unknown].includes(error.code);
}

/**
 * Repeats a call that only reads, if its gateway stops or was lost: what the service config of docs/calling.md does for
 * clients that know it. The gateway may say when, or that the call must not be repeated.
 */
const repeat: Interceptor = next => async request => {
	for (let attempt = 1; ; attempt++) {
		try {
			return await next(request);
		} catch (reason) {
			const error = ConnectError.from(reason);
			const reads = request.method.idempotency === MethodOptions_IdempotencyLevel.NO_SIDE_EFFECTS;
			const pushback = Number(error.metadata.get("grpc-retry-pushback-ms") ?? 100 + Math.random() * 400 * attempt);
			if (attempt === 3 || !reads || !isLost(error) || pushback < 0) {
				throw error;
			}
			await sleep(pushback, undefined, {signal: request.signal});
		}
	}
};

/** Calls without a pause until standard input ends. Meanwhile one replica after the other is restarted. */
async function restarts(transport: Transport): Promise<void> {
	const contacts = createClient(ContactsService, transport);
	await callUntilStdinEnds(() => contacts.getContact({id: first}, {headers: {"samsara-sandbox-fault": "latency=50ms"}}));
}

/** Is refused because too many have called. The wait would outlive the deadline, so it is the caller's. */
async function quota(transport: Transport): Promise<void> {
	const error = await errorOf(createClient(ContactsService, transport).getContact(
		{id: first}, {timeoutMs: 5_000, headers: {"samsara-sandbox-fault": "status=429; retry-after=30"}},
	));
	const {reason} = detail(error, ErrorInfoSchema);
	const {retryDelay} = detail(error, RetryInfoSchema);
	const seconds = retryDelay && durationMs(retryDelay) / 1000;
	console.log(`quota: ${nameOf(error.code)}, ${reason}, call again in ${seconds} s`);
}

/** Is refused because of a field, which the error names with its rule. */
async function argument(transport: Transport): Promise<void> {
	const error = await errorOf(createClient(ContactsService, transport).updateContact({firstName: "Ada"}));
	const [violation] = detail(error, BadRequestSchema).fieldViolations;
	console.log(`argument: ${violation?.field}: ${violation?.description}`);
}

/** Removes a phone number: the mask names the field, and the field is unset. */
async function nullMember(transport: Transport): Promise<void> {
	const {data: contact} = await createClient(ContactsService, transport).updateContact(
		{id: first, updateMask: {paths: ["phone"]}},
	);
	// An unset field is undefined, and no empty text.
	console.log(`null: contact ${contact?.id} has ${contact?.phone === undefined ? "no" : "a"} phone`);
}

/** Sends a value that is of no declared type, and reads it back. */
async function value(transport: Transport): Promise<void> {
	const readings = createClient(ReadingsService, transport);
	await readings.createReadings({
		data: [{
			entityType: "asset",
			entityId: first,
			readingId: "door",
			happenedAtTime: new Date().toISOString(),
			value: fromJson(ValueSchema, {open: true, levels: [1, 2.5, null]}),
		}],
	});
	const latest = await readings.listReadingsSnapshot({entityType: "asset", entityIds: [first], readingIds: ["door"]});
	const sent = latest.data[0]?.value;
	if (sent === undefined) {
		throw new Error("value: there is none");
	}
	const door = toJson(ValueSchema, sent) as {open: boolean, levels: JsonValue[]};
	console.log(`value: open is ${door.open}, levels has ${door.levels.length} values`);
}

/** Sends a whole number that a number of JavaScript would round. Fields of 64 bits are bigint. */
async function int64(transport: Transport): Promise<void> {
	const {data: address} = await createClient(AddressesService, transport).createAddress({
		name: "Everywhere",
		formattedAddress: "1 Main St, San Francisco, CA 94105",
		geofence: {circle: {radiusMeters: 9007199254740993n}},
	});
	console.log(`int64: ${address?.geofence?.circle?.radiusMeters}`);
}

/** Reads from the trailer how an answer differed from its message. */
async function drift(transport: Transport): Promise<void> {
	let trailer = new Headers();
	await createClient(VehiclesService, transport).getVehicle({id: first}, {
		headers: {"samsara-sandbox-fault": "drift"},
		onTrailer: received => { trailer = received; },
	});
	console.log(`drift: ${trailer.get("samsara-drift")}`);
}

/** Reads from the header how often the gateway asked. Do not multiply its attempts by your own. */
async function retries(transport: Transport): Promise<void> {
	let header = new Headers();
	await createClient(ContactsService, transport).getContact({id: first}, {
		headers: {"samsara-sandbox-fault": "status=503; first=2"},
		onHeader: received => { header = received; },
	});
	console.log(`retries: ${header.get("samsara-attempts")} attempts`);
}

/** Ends in time, although Samsara would answer later. */
async function deadline(transport: Transport): Promise<void> {
	const error = await errorOf(createClient(ContactsService, transport).getContact(
		{id: first}, {timeoutMs: 300, headers: {"samsara-sandbox-fault": "latency=5s"}},
	));
	// At the deadline the gateway may reset the call, too. If that comes before the own timer, the code is CANCELED.
	const code = error.code === Code.Canceled ? Code.DeadlineExceeded : error.code;
	console.log(`deadline: ${nameOf(code)}`);
}

/** Knows the gateway by its certificate. */
async function tls(): Promise<void> {
	const transport = createGrpcTransport({
		...options,
		baseUrl: `https://${variable("GATEWAY_TLS")}`,
		nodeOptions: {ca: readFileSync(variable("GATEWAY_CA"))},
	});
	let tags = 0;
	for await (const message of createClient(TagsService, transport).streamTags({})) {
		tags += message.page?.data.length ?? 0;
	}
	console.log(`tls: ${tags} tags`);
}

/** Compresses requests. The gateway then compresses its answers. */
async function gzip(): Promise<void> {
	const transport = createGrpcTransport({
		...options,
		baseUrl: `http://${variable("GATEWAY")}`,
		sendCompression: compressionGzip,
		compressMinBytes: 0, // By default connect compresses nothing below 1 KiB.
	});
	const {data: tags} = await createClient(TagsService, transport).listTags({limit: 100});
	console.log(`gzip: ${tags.length} tags`);
}

/**
 * Leaves a stream before its end.
 *
 * Leaving `for await` does not end the call: the iterator of connect 2.2 has no `return()` that would tell it, so the
 * call goes on until its deadline, and pages wait in memory. A signal ends the call. Read on behind it, until the stream
 * throws: only then connect stops the timer of the deadline, which keeps the process from ending. How it is left in
 * `@grpc/grpc-js` is in grpc-js.ts.
 */
async function leave(transport: Transport): Promise<void> {
	const call = new AbortController();
	let pages = 0;
	try {
		for await (const _ of createClient(TagsService, transport).streamTags({request: {limit: 2}}, {signal: call.signal})) {
			pages++;
			call.abort();
		}
	} catch (reason) {
		if (!call.signal.aborted) {
			throw reason;
		}
	}
	console.log(`leave: left after ${pages} page`);
}

/** Returns the error that a call ends with. */
async function errorOf(call: Promise<unknown>): Promise<ConnectError> {
	try {
		await call;
	} catch (reason) {
		return ConnectError.from(reason);
	}
	throw new Error("the call succeeded");
}

/** Returns the detail of a type that an error carries. */
function detail<Desc extends DescMessage>(error: ConnectError, schema: Desc): MessageShape<Desc> {
	const [found] = error.findDetails(schema);
	if (found === undefined) {
		throw error;
	}
	return found;
}

/** Returns a code by its name in gRPC. Connect calls RESOURCE_EXHAUSTED ResourceExhausted. */
function nameOf(code: Code): string {
	return Code[code].replace(/\B[A-Z]/g, "_$&").toUpperCase();
}

function variable(name: string): string {
	const value = env[name];
	if (value === undefined) {
		throw new Error(`${name} is not set`);
	}
	return value;
}

await main(); // An error ends the process with exit code 1.
exit(); // Without it, connections on which a call was left or cut off may keep the process for ever.
