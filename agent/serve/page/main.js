/* The page as a whole: what is to be seen, and when it is drawn. */
const WORKLOADS_MS = 15000, DRAW_MS = 1000, PAGE_WORKLOADS = 1000, MAX_WORKLOADS = 5000;
const view = { focus: null, filter: [], failures: false, retransmits: false, quiet: true, table: false };
let drawAt = 0, drawTimer = 0, clockSkew = 0, connected = false;

/* ---- which ---- */

function nodeMatches(n) {
	const text = (n.ns + "/" + n.name + " " + n.kind).toLowerCase();
	return view.filter.every((word) => text.includes(word));
}

function edgeMatches(e) {
	if (!hasTraffic(e))
		return false;
	if ((view.failures || view.retransmits) &&
		!(view.failures && e.counts.failures) && !(view.retransmits && e.counts.retransmits))
		return false;
	return !view.filter.length || nodeMatches(e.from) || nodeMatches(e.to);
}

/* Edges that are asked for, the workloads at their ends, and (`quiet`) all others that match. */
function visible() {
	const edges = [...model.edges.values()].filter(edgeMatches), keys = new Set();
	for (const e of edges)
		keys.add(e.from.key).add(e.to.key);
	const all = view.quiet && !view.failures && !view.retransmits;
	const nodes = [...model.nodes.values()].filter((n) => keys.has(n.key) || n.key === view.focus || (all && nodeMatches(n)));
	return { nodes, edges };
}

/* ---- time ---- */

/* By the agent's clock, as hello told it. */
const nowSlot = () => model.baseSlot + Math.floor((Date.now() + clockSkew - model.baseTime) / 1000 / model.slotSeconds);
const slotTime = (slot) => model.baseTime + (slot - model.baseSlot) * model.slotSeconds * 1000;

function setTime() {
	const slots = model.keepSeconds / model.slotSeconds, back = $("until").max - $("until").value;
	const newest = Math.max(model.newest, connected ? nowSlot() : 0), last = newest - back;
	const n = Math.min(slots, $("range").value * 60 / model.slotSeconds);
	const words = back ? clock(slotTime(last + 1)) : "now";
	setText($("until-words"), words);
	$("until").setAttribute("aria-valuetext", words);
	setWindow(last - n + 1, last);
}

/* ---- drawing ---- */

function summarise(v) {
	const failing = v.edges.filter((e) => e.counts.failures).length;
	const again = v.edges.filter((e) => e.counts.retransmits).length;
	setText($("n-failures"), count(failing));
	setText($("n-retransmits"), count(again));
	setText($("summary"), `${plural(v.nodes.length, "workload")}, ${plural(v.edges.length, "edge")}` +
		(failing ? `, ${count(failing)} with failures` : "") + (again ? `, ${count(again)} with retransmits` : ""));
}

function emptyWords() {
	if (!connected)
		return "Waiting for the agent…";
	if (model.flowsOff)
		return "This agent observes no flows: " + shown(model.flowsOff);
	return model.nodes.size ? "Nothing fits. Clear the filter, or choose a longer time." : "No workloads and no traffic yet.";
}

function draw() {
	drawTimer = 0;
	drawAt = performance.now();
	setTime();
	const v = visible(), focus = model.nodes.get(view.focus) || null;
	if (focus)
		v.near = new Set([focus.key, ...[...focus.edges].filter(hasTraffic).flatMap((e) => [e.from.key, e.to.key])]);
	v.focus = focus && focus.key;
	summarise(v);
	$("empty").hidden = v.nodes.length > 0;
	setText($("empty"), emptyWords());
	if (view.table)
		drawTable(v.focus ? v.edges.filter((e) => e.from === focus || e.to === focus) : v.edges);
	else
		drawMap(v);
	drawDetails(focus);
}

/* What came from the agent is drawn once a second at most, and not while the map is moved. */
function drawSoon() {
	if (drawTimer)
		return;
	const wait = Math.max(0, drawAt + DRAW_MS - performance.now());
	drawTimer = setTimeout(() => {
		if (pointers.size) {
			drawTimer = 0;
			drawAt = performance.now();
			drawSoon();
		} else {
			requestAnimationFrame(draw);
		}
	}, wait);
}

/* What somebody did is drawn at once. */
function drawNow() {
	clearTimeout(drawTimer);
	drawTimer = 0;
	draw();
}

/* ---- what people do ---- */

function pick(key) {
	view.focus = view.focus === key ? null : key;
	drawNow();
	if (view.focus && !view.table)
		reveal(view.focus);
}

function showView(isTable) {
	view.table = isTable;
	$("map").hidden = isTable;
	$("table").hidden = !isTable;
	$("view-map").ariaPressed = String(!isTable);
	$("view-table").ariaPressed = String(isTable);
	drawNow();
}

function toggle(button, name) {
	button.addEventListener("click", () => {
		view[name] = !view[name];
		button.ariaPressed = String(view[name]);
		drawNow();
	});
}

function onKey(event) {
	if (event.key === "Escape" && view.focus && !$("login").open) {
		pick(view.focus);
		return;
	}
	if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, dialog"))
		return;
	if (event.key === "/") {
		event.preventDefault();
		$("filter").focus();
	} else if (event.key === "m" || event.key === "t") {
		showView(event.key === "t");
	}
}

function startControls() {
	$("filter").addEventListener("input", () => {
		view.filter = $("filter").value.toLowerCase().split(/\s+/).filter(Boolean);
		drawNow();
	});
	$("quiet").addEventListener("change", () => {
		view.quiet = $("quiet").checked;
		drawNow();
	});
	$("range").addEventListener("change", drawNow);
	$("until").addEventListener("input", drawNow);
	toggle($("only-failures"), "failures");
	toggle($("only-retransmits"), "retransmits");
	$("view-map").addEventListener("click", () => showView(false));
	$("view-table").addEventListener("click", () => showView(true));
	document.addEventListener("keydown", onKey);
	map.pick = table.pick = details.pick = pick;
}

/* ---- what the agent says ---- */

const handlers = {
	hello(h) {
		forgetAll();
		connected = true;
		model.slotSeconds = h.slot_seconds;
		model.keepSeconds = h.keep_seconds;
		model.flowsOff = h.flows_off;
		clockSkew = Date.parse(h.now) - Date.now();
		model.baseSlot = model.newest = h.slot;
		model.baseTime = Date.parse(h.time);
		setText($("version"), shown(h.version));
		setText($("notice"), "");
		askWorkloads();
	},
	cells(event) {
		takeCells(event);
		drawSoon();
	},
	health(health) {
		drawHealth(health);
		forgetOld();
		drawSoon();
	},
};

async function askWorkloads() {
	const list = [];
	let next = "";
	try {
		do {
			const page = await askJson(`/api/v1/workloads?limit=${PAGE_WORKLOADS}` + (next && "&continue=" + encodeURIComponent(next)));
			list.push(...page.workloads);
			next = page.continue;
		} while (next && list.length < MAX_WORKLOADS);
		takeWorkloads(list);
		drawSoon();
	} catch (e) {
		setText($("notice"), "The workloads cannot be had: " + e.message);
	}
}

startControls();
startMap();
startTable();
startDetails();
startAsk();
draw();
setInterval(() => connected && askWorkloads(), WORKLOADS_MS);
follow(handlers, (words) => {
	connected = false;
	$("health").dataset.state = "none";
	setText($("health-words"), "No connection to the agent");
	setText($("notice"), words);
	drawSoon();
});
