/*
 * A stand-in for an agent whose traffic is made up: the real page, and the events of made
 * workloads. Its `world` is the truth.
 */
"use strict";
const http = require("http");

const SLOT_MS = 10000, NEWEST = 5000;

const end = (namespace, name, kind = "Deployment") => ({ namespace, kind, name });

/* 200 workloads in 10 namespaces, 1,000 edges; some fail, some send again. */
function manyWorld() {
	const workloads = [], edges = [];
	for (let i = 0; i < 200; i++)
		workloads.push(end(`team-${i % 10}`, `service-${String(i).padStart(3, "0")}`));
	for (let i = 0; i < 1000; i++)
		edges.push({ edge: i + 1, from: workloads[i % 200], to: workloads[(i * 7 + Math.floor(i / 200) * 31 + 1) % 200],
			sent: 1000 * (i + 1), received: 50 * (i + 1), connections: 1 + i % 9,
			...(i % 97 === 0 ? { failures: 3 } : {}), ...(i % 61 === 0 ? { retransmits: 8 } : {}) });
	return { workloads, edges, health: { ready: false, conditions: [{ name: "reducer", ok: false, message: "no connection for 42 s" },
		{ name: "watch pods", ok: true, message: "synced" }] } };
}

/* A shop that a picture can be made of; "night" had traffic ten minutes ago alone. */
function shopWorld() {
	const w = Object.fromEntries([["shop", "web"], ["shop", "cart"], ["shop", "catalog"], ["shop", "checkout"], ["payments", "ledger"],
		["payments", "fraud"], ["data", "search"], ["data", "night"], ["mesh", "gateway"], ["mesh", "idle"]]
		.map(([ns, name]) => [name, end(ns, name)]));
	w.postgres = end("payments", "postgres", "StatefulSet");
	w.redis = end("data", "redis", "StatefulSet");
	w.internet = end("", "unknown", "address");
	const calls = [["internet", "gateway", 9e6, 4e8], ["gateway", "web", 8e6, 3e8], ["web", "cart", 2e6, 7e6], ["web", "catalog", 3e6, 9e7],
		["web", "checkout", 4e5, 2e6], ["cart", "redis", 1e6, 5e6], ["catalog", "search", 9e5, 4e7], ["checkout", "ledger", 3e5, 8e5],
		["ledger", "postgres", 6e6, 2e7], ["ledger", "fraud", 2e5, 1e5, { failures: 37 }], ["checkout", "fraud", 1e4, 1e4],
		["search", "redis", 5e5, 2e6, { retransmits: 412 }]];
	const edges = calls.map(([a, b, sent, received, more], i) => ({ edge: i + 1, from: w[a], to: w[b], sent, received, connections: 40 + i, ...more }));
	return { workloads: Object.values(w).filter((x) => x.namespace), edges,
		old: [{ edge: 99, from: w.night, to: w.postgres, sent: 5e5, received: 5e5, connections: 4 }] };
}

/* Names that an attacker would give. */
function hostileWorld() {
	const names = ["<script>window.pwned=1</script>", "\"><img src=x onerror=window.pwned=1>", "'`${window.pwned=1}`'", "a".repeat(253),
		"\u202egnp.exe\u2066", "&lt;b&gt;", "__proto__", "\u0000\u0007"];
	const workloads = names.map((n, i) => end(i % 2 ? "<b>bold</b>" : "constructor", n, i % 3 ? "Deployment" : "<i>Kind</i>"));
	const edges = workloads.map((w, i) => ({ edge: i + 1, from: w, to: workloads[(i + 1) % names.length], sent: 10, received: 10,
		connections: 1, failures: i % 2 }));
	return { names, workloads, edges };
}

class MadeAgent {
	constructor(page, world) {
		this.page = page; /* {headers, body} of the real one */
		this.world = world;
		this.streams = new Set();
		this.health = world.health || { ready: true, conditions: [{ name: "watch pods", ok: true, message: "synced" }] };
		this.server = http.createServer((q, r) => this.answer(q, r));
	}

	async start() {
		await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
		this.url = `http://127.0.0.1:${this.server.address().port}/`;
		this.tick = setInterval(() => this.streams.forEach((r) => this.send(r, "cells", this.cells(NEWEST, this.world.edges))), 1000);
		return this;
	}

	stop() {
		clearInterval(this.tick);
		this.hangUp();
		this.server.close();
	}

	hangUp() {
		this.streams.forEach((r) => r.end());
		this.streams.clear();
	}

	send(r, event, data) {
		r.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
	}

	cells(slot, cells) {
		return { slot, time: new Date(this.begin + (slot - NEWEST) * SLOT_MS).toISOString(), cells };
	}

	stream(r) {
		this.begin = Date.now() - 2000;
		r.writeHead(200, { "Content-Type": "text/event-stream" });
		this.send(r, "hello", { version: "0.1.0", slot_seconds: 10, keep_seconds: 900, slot: NEWEST,
			time: new Date(this.begin).toISOString(), now: new Date().toISOString() });
		this.send(r, "health", this.health);
		if (this.world.old)
			this.send(r, "cells", this.cells(NEWEST - 60, this.world.old));
		this.send(r, "cells", this.cells(NEWEST, this.world.edges));
		this.streams.add(r);
		r.on("close", () => this.streams.delete(r));
	}

	answer(q, r) {
		const path = q.url.split("?")[0];
		if (path === "/") {
			r.writeHead(200, this.page.headers);
			r.end(this.page.body);
		} else if (path === "/api/v1/edges/stream") {
			this.stream(r);
		} else if (path === "/api/v1/workloads") {
			r.writeHead(200, { "Content-Type": "application/json" });
			r.end(JSON.stringify({ workloads: this.world.workloads.map((w) => ({ ...w, pods: 3, running: 2, containers: 3 })) }));
		} else {
			r.writeHead(200, { "Content-Type": "application/json" });
			r.end(JSON.stringify(this.world.answer || []));
		}
	}
}

/* The page as the agent gives it. */
async function realPage(url) {
	const r = await fetch(url), headers = {};
	for (const k of ["content-type", "content-security-policy", "referrer-policy", "x-frame-options"])
		headers[k] = r.headers.get(k);
	return { headers, body: Buffer.from(await r.arrayBuffer()) };
}

module.exports = { MadeAgent, realPage, manyWorld, shopWorld, hostileWorld };
