/*
 * The agent's events, by fetch: an EventSource could not send a token. When it ends, it is
 * begun anew, with all there is.
 */
const RETRY_MS = 2000;

function takeEvent(text, handlers) {
	let name = "", data = "";
	for (const line of text.split("\n"))
		if (line.startsWith("event: "))
			name = line.slice(7);
		else if (line.startsWith("data: "))
			data += line.slice(6);
	if (handlers[name])
		handlers[name](JSON.parse(data));
}

async function readStream(handlers) {
	const answer = await ask("/api/v1/edges/stream");
	if (!answer.ok)
		throw new Error((await answer.json()).error);
	const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
	let rest = "";
	for (;;) {
		const { value, done } = await reader.read();
		if (done)
			return;
		const events = (rest + value).split("\n\n");
		rest = events.pop();
		for (const e of events)
			takeEvent(e, handlers);
	}
}

/* lost(words): no events for now. */
async function follow(handlers, lost) {
	for (;;) {
		try {
			await readStream(handlers);
			lost("The agent has ended the connection; trying again.");
		} catch (e) {
			lost("No events from the agent (" + e.message + "); trying again.");
		}
		await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
	}
}
