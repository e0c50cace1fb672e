/*
 * Where things are: a box a namespace, its workloads in columns, boxes in rows. Pure, and
 * the same for the same workloads, so that nothing moves that need not.
 */
const NODE_W = 168, NODE_H = 40, GAP_X = 56, GAP_Y = 12, PAD = 16, SPACE_GAP = 72, TITLE = 26;

function bySpace(nodes) {
	const spaces = new Map();
	for (const n of nodes) {
		if (!spaces.has(n.ns))
			spaces.set(n.ns, []);
		spaces.get(n.ns).push(n);
	}
	const order = (a, b) => (a === "") - (b === "") || (a < b ? -1 : 1);
	return [...spaces].sort(([a], [b]) => order(a, b));
}

function boxOf(ns, nodes) {
	const columns = Math.max(1, Math.round(Math.sqrt(nodes.length / 2.6)));
	const rows = Math.ceil(nodes.length / columns);
	nodes.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : a.key < b.key ? -1 : 1));
	return { ns, nodes, rows, x: 0, y: 0, w: columns * (NODE_W + GAP_X) - GAP_X + 2 * PAD,
		h: rows * (NODE_H + GAP_Y) - GAP_Y + 2 * PAD };
}

/* Puts the boxes into rows of that width. Returns what they take: {w, h}. */
function pack(boxes, width) {
	let x = 0, y = TITLE, row = 0, w = 0;
	for (const b of boxes) {
		if (x && x + b.w > width) {
			x = 0;
			y += row + SPACE_GAP + TITLE;
			row = 0;
		}
		b.x = x;
		b.y = y;
		x += b.w + SPACE_GAP;
		w = Math.max(w, b.x + b.w);
		row = Math.max(row, b.h);
	}
	return { w, h: y + row };
}

/* The width that lets all be seen largest in a window of w by h. */
function bestWidth(boxes, w, h) {
	let best = 0, largest = 0, width = -SPACE_GAP;
	for (const b of boxes) {
		width += b.w + SPACE_GAP;
		const size = pack(boxes, width), scale = Math.min(w / size.w, h / size.h);
		if (scale > largest) {
			largest = scale;
			best = width;
		}
	}
	return best;
}

/* {boxes: [{ns, x, y, w, h, nodes}], places: Map(key: {x, y, dx, dy}), w, h} for a window of w by h;
 * dx, dy: in its box. */
function layout(nodes, w, h) {
	const boxes = bySpace(nodes).map(([ns, list]) => boxOf(ns, list)), places = new Map();
	const size = pack(boxes, bestWidth(boxes, w, h));
	for (const b of boxes)
		b.nodes.forEach((n, i) => {
			const dx = PAD + Math.floor(i / b.rows) * (NODE_W + GAP_X);
			const dy = PAD + (i % b.rows) * (NODE_H + GAP_Y);
			places.set(n.key, { x: b.x + dx, y: b.y + dy, dx, dy });
		});
	return { boxes, places, ...size };
}

/* A line from one workload to another, with its arrow's head: what goes leaves above, what comes
 * back arrives below. */
function pathOf(a, b) {
	const right = b.x > a.x + NODE_W / 2, left = b.x < a.x - NODE_W / 2;
	const x1 = left ? a.x : a.x + NODE_W, y1 = a.y + NODE_H / 2 - 6;
	const x2 = right ? b.x : b.x + NODE_W, y2 = b.y + NODE_H / 2 + 6;
	const reach = right || left ? Math.max(28, Math.abs(x2 - x1) * .45) : 40;
	const c1 = left ? x1 - reach : x1 + reach, c2 = right ? x2 - reach : x2 + reach;
	const back = right ? -7 : 7;
	return `M${x1} ${y1}C${c1} ${y1} ${c2} ${y2} ${x2} ${y2}m${back} -4L${x2} ${y2}l${back} 4`;
}

/* A line from one namespace to another on a map of that width: over or under the boxes of one row,
 * from row to row else. Where it leaves and arrives is nearer to the other one. */
function pathBetween(a, b, width) {
	const aside = .36 * (b.x + b.w / 2 - a.x - a.w / 2) / width, ahead = b.y > a.y || (b.y === a.y && b.x > a.x);
	const x1 = a.x + a.w * (.5 + aside + (ahead ? .03 : -.03)), x2 = b.x + b.w * (.5 - aside + (ahead ? .03 : -.03));
	const level = a.y === b.y, up = level ? ahead : !ahead; /* it leaves upwards */
	const y1 = up ? a.y : a.y + a.h, y2 = up === level ? b.y : b.y + b.h;
	const reach = (up ? -1 : 1) * (level ? Math.min(80, 24 + Math.abs(x2 - x1) * .08) : Math.max(40, Math.abs(y2 - y1) * .5));
	const c2 = level ? y2 + reach : y2 - reach, back = c2 < y2 ? -9 : 9;
	return `M${x1} ${y1}C${x1} ${y1 + reach} ${x2} ${c2} ${x2} ${y2}m-5 ${back}L${x2} ${y2}l5 ${back}`;
}
