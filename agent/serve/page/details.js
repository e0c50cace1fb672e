/* The workload that was chosen: its neighbours in words; and the agent's health. */
const details = { pick: () => {} };

function wordsOf(c) {
	const parts = [bytes(c.sent) + " sent", bytes(c.received) + " received", plural(c.connections, "connection")];
	for (const k of ["failures", "resets", "retransmits"])
		if (c[k])
			parts.push(count(c[k]) + " " + k);
	return parts.join(", ");
}

function fillList(list, edges, end) {
	edges.sort((a, b) => b.counts.failures - a.counts.failures || b.counts.sent + b.counts.received - a.counts.sent - a.counts.received);
	const lines = keepChildren(list, edges.length,
		() => make("li", {}, make("button", { type: "button", className: "link" }), " ", make("span")));
	edges.forEach((e, i) => {
		const li = lines[i];
		setText(li.firstChild, titleOf(e[end]));
		li.firstChild.dataset.key = e[end].key;
		setText(li.lastChild, wordsOf(e.counts));
	});
}

function drawDetails(node) {
	$("details").hidden = !node;
	if (!node)
		return;
	const live = [...node.edges].filter(hasTraffic);
	const calls = live.filter((e) => e.from === node), callers = live.filter((e) => e.to === node);
	setText($("details-title"), titleOf(node));
	setText($("details-words"), kindOf(node) + (node.known ? ", " + plural(node.pods, "pod") + ", " + node.running + " running" : ""));
	setText(details.calls.previousSibling, "Calls " + plural(calls.length, "workload"));
	setText(details.callers.previousSibling, "Called by " + plural(callers.length, "workload"));
	fillList(details.calls, calls, "to");
	fillList(details.callers, callers, "from");
}

function startDetails() {
	details.calls = make("ul");
	details.callers = make("ul");
	$("details-lists").append(make("h3"), details.calls, make("h3"), details.callers);
	$("details-lists").addEventListener("click", (event) => {
		if (event.target.dataset.key)
			details.pick(event.target.dataset.key);
	});
	$("details-close").addEventListener("click", () => details.pick(null));
}

function drawHealth(health) {
	const bad = health.conditions.filter((c) => !c.ok).length;
	$("health").dataset.state = health.ready ? "good" : "bad";
	setText($("health-words"), health.ready ? "● The agent is well" :
		`▲ The agent is not ready: ${bad} of ${plural(health.conditions.length, "condition")} fail${bad === 1 ? "s" : ""}`);
	const lines = keepChildren($("conditions"), health.conditions.length, () => make("li"));
	health.conditions.forEach((c, i) => setText(lines[i], (c.ok ? "✓ " : "✕ ") + shown(c.name + ": " + c.message)));
}
