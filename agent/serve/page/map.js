/*
 * The map: buttons in boxes over lines, all in one element that a single transform moves and
 * zooms. What has not changed is not touched.
 */
const SVG = "http://www.w3.org/2000/svg";
const FAR = .6; /* below this scale names alone can be read */
const TOGETHER = 250, APART = 200; /* edges: with more, those between two namespaces are one line; with less, each is one */
const map = {
	x: 0, y: 0, scale: 1, /* of the world */
	fitted: false,
	boxes: new Map(), /* namespace: its element */
	buttons: new Map(), /* key: {button, badge, layout} */
	lines: new Map(), /* edge's id: path */
	keys: null, /* of the workloads that were laid out: in `drawn`, `places` and `size`, as layout says */
	drawn: [],
	places: new Map(),
	size: { w: 1, h: 1 },
	together: false, /* edges between namespaces are drawn as one */
	current: null, /* key that has the tab stop */
	pick: () => {}, /* (key): a workload was chosen */
};

/* ---- transform ---- */

function place() {
	$("world").style.transform = `translate(${map.x}px,${map.y}px) scale(${map.scale})`;
}

function setScale(scale, cx, cy) {
	const next = Math.min(2.5, Math.max(.12, scale));
	map.x = cx - (cx - map.x) * next / map.scale;
	map.y = cy - (cy - map.y) * next / map.scale;
	map.scale = next;
	$("world").style.setProperty("--far", (1 / next).toFixed(2));
	$("world").classList.toggle("far", next < FAR);
	place();
}

function zoomBy(factor) {
	const v = $("viewport");
	map.fitted = false;
	setScale(map.scale * factor, v.clientWidth / 2, v.clientHeight / 2);
}

function fit() {
	const v = $("viewport"), margin = 24;
	const scale = Math.min((v.clientWidth - 2 * margin) / map.size.w, (v.clientHeight - 2 * margin) / map.size.h, 1.2);
	map.fitted = true;
	map.x = map.y = 0;
	setScale(scale, 0, 0);
	map.x = (v.clientWidth - map.size.w * map.scale) / 2;
	map.y = (v.clientHeight - map.size.h * map.scale) / 2;
	place();
}

function moveBy(dx, dy) {
	map.fitted = false;
	map.x += dx;
	map.y += dy;
	place();
}

/* Moves the map as far as this workload needs to be seen. */
function reveal(key) {
	const p = map.places.get(key), v = $("viewport"), margin = 20;
	if (!p)
		return;
	const x = map.x + p.x * map.scale, y = map.y + p.y * map.scale;
	const right = x + NODE_W * map.scale + margin - v.clientWidth, below = y + NODE_H * map.scale + margin - v.clientHeight;
	const dx = x < margin ? margin - x : right > 0 ? -right : 0;
	const dy = y < margin ? margin - y : below > 0 ? -below : 0;
	if (dx || dy)
		moveBy(dx, dy);
}

/* ---- what is drawn ---- */

function drawBox(box) {
	let b = map.boxes.get(box.ns);
	if (!b) {
		const name = box.ns ? shown(box.ns) : "no namespace";
		const title = make("h2", { textContent: name, title: name });
		b = make("div", { className: "space", role: "group", ariaLabel: box.ns ? "namespace " + name : name }, title);
		map.boxes.set(box.ns, b);
		$("world").append(b);
	}
	const at = `${box.x},${box.y},${box.w},${box.h}`;
	if (b.dataset.at === at)
		return b;
	b.dataset.at = at;
	b.style.left = box.x + "px";
	b.style.top = box.y + "px";
	b.style.width = box.w + "px";
	b.style.height = box.h + "px";
	return b;
}

function makeButton(node) {
	const name = make("span", { className: "name", textContent: shown(node.name) });
	const kind = make("span", { className: "kind", textContent: kindOf(node) });
	const badge = make("span", { className: "badge" });
	const button = make("button", { type: "button", className: "node", tabIndex: -1, ariaPressed: "false" }, name, " ", kind, " ", badge);
	button.dataset.key = node.key;
	return { button, badge };
}

function classOf(counts) {
	return counts.failures ? "fail" : counts.retransmits ? "retrans" : "ok";
}

function badgeOf(c) {
	return (c.failures ? "✕" + count(c.failures) : "") + (c.retransmits ? (c.failures ? " " : "") + "↻" + count(c.retransmits) : "");
}

/* What a screen reader says of it, after its text. */
function labelOf(node) {
	const c = node.counts, live = [...node.edges].filter(hasTraffic);
	const parts = [titleOf(node) + (node.ns ? "" : ", " + kindOf(node))];
	if (node.known)
		parts.push(plural(node.pods, "pod"));
	parts.push("calls " + live.filter((e) => e.from === node).length,
		"called by " + live.filter((e) => e.to === node).length);
	if (c.failures)
		parts.push(plural(c.failures, "failure"));
	if (c.retransmits)
		parts.push(plural(c.retransmits, "retransmit"));
	return parts.join(", ");
}

function drawNode(node, parent, view) {
	let b = map.buttons.get(node.key);
	if (!b) {
		b = makeButton(node);
		map.buttons.set(node.key, b);
	}
	if (b.button.parentNode !== parent)
		parent.append(b.button);
	if (b.layout !== map.places) {
		const { dx, dy } = map.places.get(node.key);
		b.layout = map.places;
		b.button.style.left = dx + "px";
		b.button.style.top = dy + "px";
	}
	const state = "node " + classOf(node.counts) + (node.edges.size ? "" : " idle") +
		(view.near && view.near.has(node.key) ? " near" : "");
	if (b.button.className !== state)
		b.button.className = state;
	setText(b.badge, badgeOf(node.counts));
	const label = labelOf(node), pressed = String(view.focus === node.key);
	if (b.button.title !== label)
		b.button.title = label;
	if (b.button.ariaPressed !== pressed)
		b.button.ariaPressed = pressed;
}

const bytesOf = (counts) => counts.sent + counts.received;
const strokeOf = (bytes) => Math.round(10 + Math.log10(1 + bytes) * 3.5) / 10;
const isNear = (edge, view) => Boolean(view.focus) && (edge.from.key === view.focus || edge.to.key === view.focus);

/* path: () => its form. Returns the id. */
function drawLine(id, path, state, width) {
	let p = map.lines.get(id);
	if (!p) {
		p = document.createElementNS(SVG, "path");
		map.lines.set(id, p);
		$("edges").append(p);
	}
	if (p.layout_ !== map.places) {
		p.layout_ = map.places;
		p.setAttribute("d", path());
	}
	const key = state + width;
	if (p.state_ !== key) {
		p.state_ = key;
		p.setAttribute("class", state);
		p.setAttribute("stroke-width", width);
	}
	return id;
}

function drawEdge(edge, view) {
	const width = strokeOf(bytesOf(edge.counts));
	return drawLine(edge.id, () => pathOf(map.places.get(edge.from.key), map.places.get(edge.to.key)),
		classOf(edge.counts) + (isNear(edge, view) ? " near" : ""), Math.max(width, edge.counts.failures ? 2.5 : 0));
}

/* What fails or is sent again, what stays in a namespace and what was chosen is seen by itself. */
function isApart(edge, view) {
	return !map.together || edge.from.ns === edge.to.ns || classOf(edge.counts) !== "ok" || isNear(edge, view);
}

/* One line for all edges from one namespace to another. Returns their ids. */
function drawTogether(edges) {
	const boxes = new Map(map.drawn.map((b) => [b.ns, b])), sums = new Map();
	for (const e of edges) {
		const id = JSON.stringify([e.from.ns, e.to.ns]), sum = sums.get(id) || { from: e.from.ns, to: e.to.ns, bytes: 0 };
		sum.bytes += bytesOf(e.counts);
		sums.set(id, sum);
	}
	return [...sums].map(([id, s]) => drawLine(id, () => pathBetween(boxes.get(s.from), boxes.get(s.to), map.size.w),
		"ok together", 2 * strokeOf(s.bytes)));
}

/* Returns the ids of all lines. */
function drawLines(view) {
	map.together = view.edges.length > (map.together ? APART : TOGETHER);
	const lines = view.edges.filter((e) => isApart(e, view)).map((e) => drawEdge(e, view));
	$("legend-together").hidden = !map.together;
	return new Set([...lines, ...drawTogether(view.edges.filter((e) => !isApart(e, view)))]);
}

function sweep(old, kept, remove) {
	for (const [k, v] of old)
		if (!kept.has(k)) {
			remove(v);
			old.delete(k);
		}
}

/* Nodes and edges that are to be seen; focus: key of a workload, near: keys of it and its
 * neighbours. They are laid out anew only when they are others than before. */
function drawMap(view) {
	const v = $("viewport"), keys = view.nodes.map((n) => n.key).sort().join("\n");
	const active = document.activeElement;
	if (map.keys !== keys) {
		const l = layout(view.nodes, v.clientWidth || 1, v.clientHeight || 1);
		map.keys = keys;
		map.places = l.places;
		map.size = { w: Math.max(1, l.w), h: Math.max(1, l.h) };
		map.drawn = l.boxes;
		if (map.fitted || !map.buttons.size)
			fit();
	}
	for (const box of map.drawn) {
		const parent = drawBox(box);
		for (const n of box.nodes)
			drawNode(n, parent, view);
	}
	sweep(map.lines, drawLines(view), (p) => p.remove());
	sweep(map.buttons, map.places, (b) => b.button.remove());
	sweep(map.boxes, new Set(map.drawn.map((b) => b.ns)), (b) => b.remove());
	$("world").classList.toggle("focused", Boolean(view.focus));
	$("edges").style.setProperty("--calm", Math.max(.16, Math.min(.65, 60 / map.lines.size)).toFixed(2));
	setCurrent(map.places.has(map.current) ? map.current : view.nodes.length ? map.drawn[0].nodes[0].key : null);
	if (active !== document.activeElement && map.buttons.has(map.current))
		map.buttons.get(map.current).button.focus({ preventScroll: true });
}

/* ---- keys ---- */

/* One workload is the map's tab stop. */
function setCurrent(key) {
	const old = map.buttons.get(map.current), now = map.buttons.get(key);
	if (old && old !== now)
		old.button.tabIndex = -1;
	if (now && now.button.tabIndex !== 0)
		now.button.tabIndex = 0;
	map.current = key;
}

/* The nearest one in that direction. */
function neighbour(key, dx, dy) {
	const a = map.places.get(key);
	let best = null, least = Infinity;
	for (const [k, b] of map.places) {
		const along = (b.x - a.x) * dx + (b.y - a.y) * dy;
		const across = Math.abs((b.x - a.x) * dy) + Math.abs((b.y - a.y) * dx);
		if (k !== key && along > 0 && along + across * 2.5 < least) {
			best = k;
			least = along + across * 2.5;
		}
	}
	return best;
}

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function onMapKey(event) {
	const arrow = ARROWS[event.key];
	if (event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (arrow && event.shiftKey) {
		moveBy(-60 * arrow[0], -60 * arrow[1]);
	} else if (arrow && map.current) {
		const next = neighbour(map.current, ...arrow);
		if (next)
			map.buttons.get(next).button.focus({ preventScroll: true });
	} else if (event.key === "+" || event.key === "=") {
		zoomBy(1.25);
	} else if (event.key === "-") {
		zoomBy(.8);
	} else if (event.key === "0") {
		fit();
	} else {
		return;
	}
	event.preventDefault();
}

/* ---- pointers: one moves, two zoom ---- */

const pointers = new Map();
let dragged = false, calm = 0;

function beginMoving() {
	clearTimeout(calm);
	$("viewport").classList.add("moving");
}

/* The text is drawn sharp again when it rests. */
function endMoving() {
	clearTimeout(calm);
	calm = setTimeout(() => $("viewport").classList.remove("moving"), 150);
}

function spread() {
	const [a, b] = [...pointers.values()];
	return { d: Math.hypot(a.x - b.x, a.y - b.y), x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 };
}

function onPointerDown(event) {
	if (event.button)
		return;
	pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
	dragged = false;
}

function onPointerMove(event) {
	const p = pointers.get(event.pointerId);
	if (!p)
		return;
	const dx = event.clientX - p.x, dy = event.clientY - p.y;
	if (!dragged && Math.hypot(dx, dy) < 4)
		return;
	if (!dragged)
		$("viewport").setPointerCapture(event.pointerId);
	dragged = true;
	beginMoving();
	const before = pointers.size === 2 ? spread() : null;
	p.x = event.clientX;
	p.y = event.clientY;
	if (!before) {
		moveBy(dx, dy);
		return;
	}
	const after = spread(), r = $("viewport").getBoundingClientRect();
	map.fitted = false;
	setScale(map.scale * after.d / Math.max(1, before.d), after.x - r.left, after.y - r.top);
	moveBy(after.x - before.x, after.y - before.y);
}

function onPointerUp(event) {
	if (pointers.delete(event.pointerId))
		endMoving();
}

function onWheel(event) {
	const r = $("viewport").getBoundingClientRect();
	event.preventDefault();
	beginMoving();
	map.fitted = false;
	setScale(map.scale * Math.exp(-event.deltaY * (event.deltaMode ? .05 : .0016)), event.clientX - r.left, event.clientY - r.top);
	endMoving();
}

function onMapClick(event) {
	const button = event.target.closest && event.target.closest(".node");
	if (dragged)
		dragged = false;
	else if (button)
		map.pick(button.dataset.key);
}

function startMap() {
	const v = $("viewport");
	v.addEventListener("pointerdown", onPointerDown);
	v.addEventListener("pointermove", onPointerMove);
	v.addEventListener("pointerup", onPointerUp);
	v.addEventListener("pointercancel", onPointerUp);
	v.addEventListener("wheel", onWheel, { passive: false });
	v.addEventListener("click", onMapClick);
	v.addEventListener("keydown", onMapKey);
	v.addEventListener("focusin", (event) => {
		if (event.target.dataset.key) {
			setCurrent(event.target.dataset.key);
			reveal(map.current);
		}
	});
	$("zoom-in").addEventListener("click", () => zoomBy(1.25));
	$("zoom-out").addEventListener("click", () => zoomBy(.8));
	$("zoom-fit").addEventListener("click", fit);
	new ResizeObserver(() => map.fitted && fit()).observe(v);
}
