// Calls Samsara's API through its official SDK for JavaScript, as driver.py does through that for
// Python.
//
//	node driver.mjs BASE_URL FOLDER
//
// The SDK is installed in FOLDER/node_modules.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";

const [baseUrl, folder] = process.argv.slice(2);
const { SamsaraClient, SamsaraError } = createRequire(path.join(path.resolve(folder), "x.js"))("@samsarahq/samsara");

const mark = "arg-";

// groups returns the SDK's groups of operations by their names, such as fleet.vehicles.
function* groups(client) {
	for (const name of getters(client)) {
		const group = client[name];
		yield [name, group];
		for (const [below, nested] of groups(group)) yield [`${name}.${below}`, nested];
	}
}

const getters = (of) =>
	Object.entries(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(of)))
		.filter(([, d]) => d.get)
		.map(([name]) => name);

const methods = (of) =>
	Object.getOwnPropertyNames(Object.getPrototypeOf(of)).filter(
		(name) => name !== "constructor" && !name.startsWith("_") && !getters(of).includes(name) && typeof of[name] === "function",
	);

// discover calls each method of the SDK with an argument that has every member, each of which is
// marked, and reads the requests that it would send.
async function discover() {
	let caught;
	const fetch = async (url, init) => {
		caught = { url: new URL(url), verb: init.method };
		return new Response("{}", { headers: { "Content-Type": "application/json" } });
	};
	const client = new SamsaraClient({ baseUrl: "http://sandbox", token: "none", fetch, maxRetries: 0 });
	const found = [];
	for (const [group, holder] of groups(client)) {
		for (const name of methods(holder)) {
			caught = undefined;
			const asked = new Proxy({}, { get: (_, member) => (typeof member === "string" ? mark + member : undefined) });
			// Methods without parameters take their argument for options.
			for (const argument of [asked, undefined]) {
				try {
					if (!caught) await holder[name](argument);
				} catch (problem) {
					if (!caught && !argument) console.error(`${group}.${name}: ${problem}`);
				}
			}
			if (!caught) continue;
			const template = decodeURIComponent(caught.url.pathname).replaceAll(new RegExp(`${mark}(\\w+)`, "g"), "{$1}");
			const wire = {};
			for (const [, member] of template.matchAll(/{(\w+)}/g)) wire[member] = member;
			for (const [key, value] of caught.url.searchParams) if (value.startsWith(mark)) wire[value.slice(mark.length)] = key;
			found.push({ verb: caught.verb, path: template, method: `${group}.${name}`, wire });
		}
	}
	return found;
}

async function call(call) {
	const statuses = [];
	let text = "";
	const seen = async (url, init) => {
		const response = await globalThis.fetch(url, init);
		statuses.push(response.status);
		text = await response.clone().text();
		return response;
	};
	const client = new SamsaraClient({ baseUrl, token: call.token, fetch: seen, maxRetries: call.retries });
	const steps = call.method.split(".");
	const name = steps.pop();
	const holder = steps.reduce((of, step) => of[step], client);
	const out = {};
	try {
		const answer = await holder[name](call.arguments);
		if (answer?.[Symbol.asyncIterator]) {
			out.items = 0;
			if (call.pages) for await (const _ of answer) out.items++;
			else out.items = answer.data.length;
			out.value = answer.response;
		} else out.value = answer;
	} catch (problem) {
		if (problem instanceof SamsaraError && problem.statusCode) out.status = problem.statusCode;
		out.error = `${problem.constructor.name}: ${problem.message}`;
	}
	return { ...out, statuses, text };
}

console.log(JSON.stringify({ operations: await discover() }));
for await (const line of createInterface({ input: process.stdin })) console.log(JSON.stringify(await call(JSON.parse(line))));
