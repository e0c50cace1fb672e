/* The same as a table: a row an edge, sorted by any column. */
const PAGE_ROWS = 200;
const COLUMNS = [
	{ name: "From", text: true, value: (e) => titleOf(e.from) },
	{ name: "To", text: true, value: (e) => titleOf(e.to) },
	{ name: "Sent", value: (e) => e.counts.sent, show: bytes },
	{ name: "Received", value: (e) => e.counts.received, show: bytes },
	{ name: "Connections", value: (e) => e.counts.connections, show: count },
	{ name: "Failures", value: (e) => e.counts.failures, show: count, mark: "fail" },
	{ name: "Resets", value: (e) => e.counts.resets, show: count },
	{ name: "Retransmits", value: (e) => e.counts.retransmits, show: count, mark: "retrans" },
];
const table = { column: 2, down: true, rows: PAGE_ROWS, edges: [], pick: () => {} };

function startTable() {
	COLUMNS.forEach((c, i) => {
		const button = make("button", { type: "button", textContent: c.name });
		const th = make("th", { scope: "col", className: c.text ? "text" : "" }, button);
		button.addEventListener("click", () => {
			table.down = table.column === i ? !table.down : !c.text;
			table.column = i;
			drawTable(table.edges);
		});
		$("table-head").append(th);
	});
	$("table-more").addEventListener("click", () => {
		table.rows += PAGE_ROWS;
		drawTable(table.edges);
	});
	$("table-body").addEventListener("click", (event) => {
		if (event.target.dataset.key)
			table.pick(event.target.dataset.key);
	});
}

function sorted(edges) {
	const value = COLUMNS[table.column].value, sign = table.down ? -1 : 1;
	return [...edges].sort((a, b) => {
		const x = value(a), y = value(b);
		return x < y ? -sign : x > y ? sign : a.id - b.id;
	});
}

function makeRow() {
	return make("tr", {}, ...COLUMNS.map((c) => make("td", { className: c.text ? "text" : "" },
		...(c.text ? [make("button", { type: "button", className: "link" })] : []))));
}

function fillRow(row, edge) {
	COLUMNS.forEach((c, i) => {
		const cell = row.cells[i], v = c.value(edge);
		if (c.text) {
			setText(cell.firstChild, v);
			cell.firstChild.dataset.key = (i ? edge.to : edge.from).key;
		} else {
			setText(cell, c.show(v));
			cell.className = c.mark && v ? c.mark : "";
		}
	});
}

function drawTable(edges) {
	const list = sorted(edges).slice(0, table.rows), rows = keepChildren($("table-body"), list.length, makeRow);
	table.edges = edges;
	[...$("table-head").cells].forEach((th, i) => {
		const on = i === table.column;
		th.ariaSort = on ? (table.down ? "descending" : "ascending") : "none";
		setText(th.firstChild, COLUMNS[i].name + (on ? (table.down ? " ▾" : " ▴") : ""));
	});
	list.forEach((e, i) => fillRow(rows[i], e));
	$("table-more").hidden = edges.length <= list.length;
}
