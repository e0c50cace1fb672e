"use strict";
/* Texts for people. Whatever comes from the agent becomes text nodes, never markup. */

const $ = (id) => document.getElementById(id);

/* An element with properties and children; strings become text. */
function make(tag, properties, ...children) {
	const e = document.createElement(tag);
	for (const [k, v] of Object.entries(properties || {}))
		if (k in e) e[k] = v;
		else e.setAttribute(k, v);
	e.append(...children);
	return e;
}

/* Characters that are not seen, or turn others around, are shown by their number. */
function shown(s) {
	return s.replace(/[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
		(c) => "⟨U+" + c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0") + "⟩");
}

function bytes(n) {
	const units = ["B", "kB", "MB", "GB", "TB", "PB"];
	let i = 0;
	while (n >= 999.5 && i + 1 < units.length) {
		n /= 1000;
		i++;
	}
	return (i && n < 99.5 ? n.toFixed(1) : Math.round(n)) + " " + units[i];
}

const numbers = new Intl.NumberFormat("en");
const count = (n) => numbers.format(n);
const plural = (n, word) => count(n) + " " + word + (n === 1 ? "" : "s");

function clock(ms) {
	return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

/* "payments/postgres", or the name alone. */
function titleOf(node) {
	return shown(node.ns ? node.ns + "/" + node.name : node.name);
}

/* Why an end has no name (agent/model/flow.h). */
const WHY = {
	pending: "its pod is not told of yet",
	no_cgroup: "no cgroup is known",
	no_pod: "no pod claims it",
	pending_full: "too many waited",
	not_on_node: "not of this node",
	address: "nobody's address: outside",
	ambiguous: "may be several",
	translated: "a translated address",
	peers_unsynced: "the collector's feed is not complete",
	peers_stale: "the collector's feed is late",
};

function kindOf(node) {
	return (node.name === "unknown" && !node.ns && Object.hasOwn(WHY, node.kind) && WHY[node.kind]) || shown(node.kind);
}

function setText(e, text) {
	if (e.textContent !== text)
		e.textContent = text;
}

/* The list with so many children; those that are there are kept, so that nobody's focus is lost. */
function keepChildren(list, n, makeOne) {
	while (list.children.length > n)
		list.lastChild.remove();
	while (list.children.length < n)
		list.append(makeOne());
	return list.children;
}
