/*
 * What is known: workloads, and the traffic between them in slots of time as the agent
 * tells it. Totals of the window that is shown are kept up as cells and slots come.
 */
const COUNTERS = ["sent", "received", "connections", "failures", "resets", "retransmits"];
const noCounts = () => Object.fromEntries(COUNTERS.map((k) => [k, 0]));

const model = {
	nodes: new Map(), /* key: {key, ns, kind, name, pods, running, known, edges: Set, counts} */
	edges: new Map(), /* serial: {id, from, to, counts, cells}; the ends are nodes; cells: how many slots have it */
	slots: new Map(), /* number: Map(serial: counts) */
	newest: 0,
	baseSlot: 0, /* a slot, and when it began, in milliseconds */
	baseTime: 0,
	slotSeconds: 10,
	keepSeconds: 900,
	first: 0, /* the window: slots first to last */
	last: 0,
};

function forgetAll() {
	model.nodes.clear();
	model.edges.clear();
	model.slots.clear();
	model.newest = model.first = model.last = 0;
}

const keyOf = (end) => JSON.stringify([end.namespace, end.kind, end.name]);

function nodeOf(end) {
	const key = keyOf(end);
	let n = model.nodes.get(key);
	if (!n) {
		n = { key, ns: end.namespace, kind: end.kind, name: end.name, pods: 0, running: 0, known: false,
			edges: new Set(), counts: noCounts() };
		model.nodes.set(key, n);
	}
	return n;
}

function edgeOf(cell) {
	let e = model.edges.get(cell.edge);
	if (!e && cell.from) {
		e = { id: cell.edge, from: nodeOf(cell.from), to: nodeOf(cell.to), counts: noCounts(), cells: 0 };
		e.from.edges.add(e);
		e.to.edges.add(e);
		model.edges.set(e.id, e);
	}
	return e;
}

function addTo(counts, cell, sign) {
	for (const k of COUNTERS)
		counts[k] += sign * (cell[k] || 0);
}

function addToEdge(edge, cell, sign) {
	addTo(edge.counts, cell, sign);
	addTo(edge.from.counts, cell, sign);
	if (edge.from !== edge.to)
		addTo(edge.to.counts, cell, sign);
}

const inWindow = (slot) => slot >= model.first && slot <= model.last;

/* What the agent says of one slot: totals until now. */
function takeCells(event) {
	let cells = model.slots.get(event.slot);
	if (!cells) {
		cells = new Map();
		model.slots.set(event.slot, cells);
	}
	for (const cell of event.cells) {
		const edge = edgeOf(cell), old = cells.get(cell.edge);
		if (!edge)
			continue;
		if (inWindow(event.slot)) {
			if (old)
				addToEdge(edge, old, -1);
			addToEdge(edge, cell, 1);
		}
		if (!old)
			edge.cells++;
		cells.set(cell.edge, cell);
	}
	model.newest = Math.max(model.newest, event.slot);
}

function addSlot(number, sign) {
	for (const [id, cell] of model.slots.get(number) || [])
		addToEdge(model.edges.get(id), cell, sign);
}

/* Shows the slots first to last. */
function setWindow(first, last) {
	for (let i = model.first; i <= model.last; i++)
		if (i < first || i > last)
			addSlot(i, -1);
	for (let i = first; i <= last; i++)
		if (!inWindow(i))
			addSlot(i, 1);
	model.first = first;
	model.last = last;
}

function forgetEdge(id) {
	const e = model.edges.get(id);
	model.edges.delete(id);
	e.from.edges.delete(e);
	e.to.edges.delete(e);
}

/* Slots that are too old go, with edges and workloads that nothing else names. */
function forgetOld() {
	const oldest = model.newest - model.keepSeconds / model.slotSeconds;
	for (const [number, cells] of model.slots) {
		if (number >= oldest)
			continue;
		if (inWindow(number))
			addSlot(number, -1);
		model.slots.delete(number);
		for (const id of cells.keys())
			if (!--model.edges.get(id).cells)
				forgetEdge(id);
	}
	for (const n of model.nodes.values())
		if (!n.known && !n.edges.size)
			model.nodes.delete(n.key);
}

/* The workloads of the inventory. */
function takeWorkloads(list) {
	for (const n of model.nodes.values())
		n.known = false;
	for (const w of list) {
		const n = nodeOf(w);
		n.known = true;
		n.pods = w.pods;
		n.running = w.running;
	}
	forgetOld();
}

const hasTraffic = (e) => COUNTERS.some((k) => e.counts[k] > 0);
