import {stdin} from "node:process";

/** Has 8 callers call without a pause until standard input ends, and prints how many of their calls failed. */
export async function callUntilStdinEnds(call: () => Promise<unknown>): Promise<void> {
	await call();
	console.error("restarts begin");
	let ended = false;
	stdin.resume().once("end", () => { ended = true; });
	let calls = 0, failed = 0;
	await Promise.all(Array.from({length: 8}, async () => {
		while (!ended) {
			calls++;
			try {
				await call();
			} catch (error) {
				if (failed++ === 0) {
					console.error(error);
				}
			}
		}
	}));
	console.error(`restarts: ${calls} calls`);
	console.log(`restarts: ${failed} calls failed`);
}
