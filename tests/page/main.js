/* The page in a browser, before the recorded world and before made ones; see README.md. */
"use strict";
const fs = require("fs");
const path = require("path");
const { checks, test, same, part, launch, open, violations, until } = require("./browser.js");
const { MadeAgent, realPage, manyWorld, shopWorld, hostileWorld } = require("./made.js");

const read = (name) => fs.readFileSync(path.join(process.env.WORK, name), "utf8").trim();
const FRAME_MS = 8, FRAMES = 60;

/* ---- what the page shows ---- */

const nodesOf = (page) => page.$$eval("#world .node", (all) => all.map((b) => JSON.parse(b.dataset.key)));
const pathsOf = (page, selector = "") => page.$$eval("#edges path" + selector, (all) => all.length);
const scaleOf = (page) => page.$eval("#world", (e) => new DOMMatrix(e.style.transform).a);
const settled = (page, n) => until(page, (want) => document.querySelectorAll("#world .node").length === want, n);

const rowsOf = (page) => page.$$eval("#table-body tr", (rows) => rows.map((r) => ({ from: JSON.parse(r.cells[0].firstChild.dataset.key),
	to: JSON.parse(r.cells[1].firstChild.dataset.key), cells: [...r.cells].map((c) => c.textContent) })));

async function picture(page, name) {
	if (process.env.SCREENSHOTS)
		await page.screenshot({ path: path.join(process.env.SCREENSHOTS, name + ".png") });
}

async function isWell(page, name) {
	test(name + ": no complaint of the browser", page.complaints);
	await page.context().close();
}

/* ---- the recorded world ---- */

/* [[namespace, kind, name]] of pods: those that were there all the time, and all there ever were. */
function recordedTruth() {
	const rows = read("truth.tsv").split("\n").slice(1).map((l) => l.split("\t"));
	const first = rows.map((r) => r[18]).sort((a, b) => a - b)[0], last = rows.map((r) => r[19]).sort((a, b) => b - a)[0];
	const key = (r) => JSON.stringify(r[10] !== "none" ? [r[1], r[10], r[11]] : [r[1], "Pod", r[2]]);
	return { steady: new Set(rows.filter((r) => r[18] === first && r[19] === last).map(key)), ever: new Set(rows.map(key)),
		byUid: new Map(rows.map((r) => [r[0], key(r)])) };
}

/* Who calls whom: each pod the next one of the list. */
function trafficTruth(truth) {
	if (!fs.existsSync(path.join(process.env.WORK, "pods")))
		return null;
	const pods = read("pods").split("\n").map((l) => l.split(" "));
	return { pods, edges: pods.map((p, i) => truth.byUid.get(p[0]) + ">" + truth.byUid.get(pods[(i + 1) % pods.length][0])).sort() };
}

async function recordedTraffic(page, traffic) {
	await page.click("#view-table");
	/* Those that were open before the agent knew their pods may be of nobody: all that is named counts. */
	const found = await until(page, (wanted) => {
		const named = [...document.querySelectorAll("#table-body tr")].map((r) => [r.cells[0], r.cells[1]].map((c) => c.firstChild.dataset.key))
			.filter((keys) => keys.every((k) => JSON.parse(k)[0])).map((keys) => keys.join(">")).sort();
		return wanted.every((w) => named.includes(w)) && named;
	}, traffic.edges);
	test("the table has the true edges, and no others", found ? same(found, traffic.edges) : ["never all of them"]);
	const row = (await rowsOf(page)).find((r) => JSON.stringify(r.from) + ">" + JSON.stringify(r.to) === traffic.edges[0]);
	test("its numbers are those of the traffic", row && /^[1-9]/.test(row.cells[2]) && Number(row.cells[4]) > 0 && row.cells[5] === "0" || [row && row.cells]);
	await page.click("#view-map");
	test("the map has a line for each", await until(page, (n) => document.querySelectorAll("#edges path").length >= n, traffic.edges.length) !== null);
	await page.fill("#whois [name=q]", traffic.pods[0][3]);
	await page.press("#whois [name=q]", "Enter");
	test("whois knows who has an address", await until(page, (pod) => document.getElementById("whois-answer").textContent.includes(pod),
		traffic.pods[0][2]) !== null);
}

async function recorded(browser) {
	const truth = recordedTruth(), traffic = trafficTruth(truth);
	const page = await open(browser, read("recorded.url") + "/");
	await until(page, (n) => document.querySelectorAll("#world .node").length >= n, truth.steady.size);
	const shown = (await nodesOf(page)).filter((k) => k[0]).map((k) => JSON.stringify(k));
	test("the map has all workloads of the recording", [...truth.steady].filter((k) => !shown.includes(k)));
	test("and none that never were", shown.filter((k) => !truth.ever.has(k)));
	test("health has its reasons", await until(page, () => document.getElementById("conditions").children.length > 0 &&
		/reducer/.test(document.getElementById("conditions").textContent)) !== null);
	if (traffic)
		await recordedTraffic(page, traffic);
	while (!(await fetch(read("recorded.url") + "/api/v1/search?q=x")).ok) /* the database is begun with */
		await new Promise((done) => setTimeout(done, 200));
	await page.fill("#search [name=q]", "payments database");
	await page.press("#search [name=q]", "Enter");
	test("search answers", await until(page, () => document.querySelector("#search-answer li, #search-answer p:not(.error)")) !== null);
	test("axe-core: the recorded world", await violations(page));
	await isWell(page, "the recorded world");
}

async function closed(browser) {
	const page = await open(browser, read("closed.url") + "/");
	await page.fill("#token", "wrong");
	await page.press("#token", "Enter");
	test("a wrong token is told so", await until(page, () => document.getElementById("login-words").textContent.includes("not take")) !== null);
	await page.fill("#token", read("token"));
	await page.press("#token", "Enter");
	test("the token lets in", await until(page, () => document.querySelectorAll("#world .node").length > 0) !== null);
	test("an agent without flows says so", await until(page, () => document.getElementById("summary").textContent.includes(" 0 edges")) !== null);
	await page.reload();
	test("the tab keeps it", await until(page, () => document.querySelectorAll("#world .node").length > 0) !== null && !await page.isVisible("#login"));
	page.complaints = page.complaints.filter((c) => !c.includes("401")); /* which the browser says of each */
	await isWell(page, "the token");
}

/* ---- made worlds ---- */

async function withMade(browser, real, world, options, run) {
	const agent = await new MadeAgent(real, world).start();
	try {
		const page = await open(browser, agent.url, options);
		await run(page, agent);
		await isWell(page, run.name);
	} finally {
		agent.stop();
	}
}

const neighboursOf = (world, w) => {
	const key = (e) => JSON.stringify([e.namespace, e.kind, e.name]), near = new Set([key(w)]);
	for (const e of world.edges)
		if (e.from === w || e.to === w)
			near.add(key(e.from)).add(key(e.to));
	return [...near].sort();
};

const nearOf = (page) => page.$$eval(".node.near", (all) => all.map((b) => b.dataset.key).sort());

/*
 * Script, style and layout of each frame while somebody drags and events come, in milliseconds of
 * the thread's own time: what else the machine does is not the page's.
 */
async function panTimes(page) {
	const cdp = await page.context().newCDPSession(page), times = [];
	const spent = async () => (await cdp.send("Performance.getMetrics")).metrics
		.filter((m) => ["ScriptDuration", "LayoutDuration", "RecalcStyleDuration"].includes(m.name)).reduce((sum, m) => sum + m.value * 1000, 0);
	await cdp.send("Performance.enable", { timeDomain: "threadTicks" });
	await page.mouse.move(400, 400);
	await page.mouse.down();
	for (let i = 0, before = await spent(); i < FRAMES; i++) {
		await page.mouse.move(400 + 150 * Math.sin(i / 9), 400 + i);
		await page.evaluate(() => new Promise(requestAnimationFrame));
		const now = await spent();
		times.push(now - before);
		before = now;
	}
	await page.mouse.up();
	return times.sort((a, b) => a - b);
}

const overlaps = (page) => page.$$eval(".node", (all) => {
	const r = all.map((b) => b.getBoundingClientRect());
	return r.flatMap((a, i) => r.slice(i + 1).filter((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)).length;
});

/* How many lines many edges are: what fails or stays in its namespace is seen by itself. */
function linesOf(world) {
	const alone = (e) => e.from.namespace === e.to.namespace || e.failures || e.retransmits;
	return world.edges.filter(alone).length + new Set(world.edges.filter((e) => !alone(e)).map((e) => e.from.namespace + " " + e.to.namespace)).size;
}

const seenPaths = (page) => page.$$eval("#edges path", (all) => all.filter((p) => getComputedStyle(p).display !== "none").map((p) => p.getAttribute("class")));

async function many(page, agent) {
	const world = agent.world;
	test("200 workloads, 1,000 edges", await settled(page, 200) !== null && /200 workloads, 1,000 edges/.test(await page.textContent("#summary")));
	test("from namespace to namespace there is one line", same([await pathsOf(page), await page.isVisible("#legend-together")], [linesOf(world), true]));
	await page.click("[data-key*=service-042]");
	test("one that is chosen has a line to each", same(await seenPaths(page), Array(neighboursOf(world, world.workloads[42]).length - 1).fill("ok near")));
	await page.click("[data-key*=service-042]");
	test("health and its reasons", same(await page.getAttribute("#health", "data-state"), "bad") &&
		/42 s/.test(await page.textContent("#conditions")));
	test("none is upon another", same(await overlaps(page), 0));
	test("all are in sight", await page.$$eval(".node", (all) => all.every((b) => {
		const r = b.getBoundingClientRect(), v = document.getElementById("viewport").getBoundingClientRect();
		return r.left >= v.left && r.right <= v.right && r.top >= v.top && r.bottom <= v.bottom;
	})));
	test("failures and retransmits are seen", same([await pathsOf(page, ".fail"), await pathsOf(page, ".retrans")],
		[world.edges.filter((e) => e.failures).length, world.edges.filter((e) => e.retransmits && !e.failures).length]));
	const before = await page.$eval("#world", (e) => e.style.transform);
	const times = await panTimes(page), p95 = times[Math.floor(times.length * .95)];
	console.log(`  panning 200 workloads, 1,000 edges: ${times[times.length >> 1].toFixed(2)} ms a frame, ${p95.toFixed(2)} ms at p95`);
	test("the map was moved, and nothing else", await page.evaluate((t) => document.getElementById("world").style.transform !== t &&
		getSelection().isCollapsed && !document.querySelector("[aria-pressed=true].node"), before));
	test("a frame has its time", p95 <= FRAME_MS || [p95 + " ms"]);
	const ms = await page.evaluate(() => { const t = performance.now(); draw(); return performance.now() - t; });
	console.log(`  drawing what has come: ${ms.toFixed(1)} ms`);
	await page.click("#zoom-fit");
	await picture(page, "many");
	await page.fill("#filter", "team-3");
	test("a filter leaves what fits, and whom that talks to", await until(page, () => [...document.querySelectorAll("#edges path")].length < 400) !== null &&
		(await nodesOf(page)).filter((k) => k[0] === "team-3").length === 20);
	await page.fill("#filter", "service-042");
	test("to one workload", same((await nodesOf(page)).map((k) => JSON.stringify(k)).sort(), neighboursOf(world, world.workloads[42])));
	test("few edges are a line each", same([await pathsOf(page, ":not(.together)"), await pathsOf(page, ".together"), await page.isVisible("#legend-together")],
		[neighboursOf(world, world.workloads[42]).length - 1, 0, false]));
	await page.fill("#filter", "");
	await page.click("#only-failures");
	test("failures alone", same(await pathsOf(page), world.edges.filter((e) => e.failures).length));
	await page.click("#only-failures");
	await page.click("#view-table");
	test("the table shows 200 rows, then more", same((await rowsOf(page)).length, 200) && (await page.click("#table-more"), same((await rowsOf(page)).length, 400)));
	await page.click("#table-head th:nth-child(6) button");
	test("sorted by failures", same((await rowsOf(page))[0].cells[5], "3"));
	await page.fill("#filter", "service-042"); /* axe-core takes long over many rows */
	test("axe-core: the table", await violations(page));
}

async function shop(page, agent) {
	const web = agent.world.workloads[0];
	await settled(page, 13);
	await page.evaluate(() => document.fonts.ready);
	await picture(page, "map-light");
	test("axe-core: light", await violations(page));
	await page.emulateMedia({ colorScheme: "dark" });
	test("it is dark in the dark", await page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor) === "rgb(16, 21, 28)");
	await page.click(`.node[data-key='["shop","Deployment","web"]']`);
	test("a workload's neighbours", same(await nearOf(page), neighboursOf(agent.world, web)));
	test("in words", /Calls 3 workloads.*Called by 1 workload/.test(await page.textContent("#details")) || [await page.textContent("#details")]);
	await picture(page, "focus-dark");
	test("axe-core: dark, one chosen", await violations(page));
	await page.keyboard.press("Escape");
	test("Escape shows all", same(await nearOf(page), []));
	test("old traffic is not shown", same(await pathsOf(page), agent.world.edges.length));
	await page.selectOption("#range", "15");
	test("but in a longer time", same(await pathsOf(page), agent.world.edges.length + 1));
	await page.selectOption("#range", "1");
	await page.$eval("#until", (e) => { e.value = 89 - 60; e.dispatchEvent(new Event("input")); });
	test("and then alone", same(await pathsOf(page), 1));
	await page.$eval("#until", (e) => { e.value = 89; e.dispatchEvent(new Event("input")); });
	agent.hangUp();
	await until(page, () => document.getElementById("notice").textContent !== "");
	test("it comes back to an agent that was away", await until(page, () => document.getElementById("notice").textContent === "") !== null &&
		await until(page, (n) => document.querySelectorAll("#edges path").length === n, agent.world.edges.length) !== null);
	test("it is well", same(await page.getAttribute("#health", "data-state"), "good"));
}

async function keyboard(page) {
	const focused = () => page.evaluate(() => document.activeElement.dataset.key || document.activeElement.id || document.activeElement.className);
	await settled(page, 13);
	for (let i = 0; i < 40 && !(await focused()).startsWith("["); i++)
		await page.keyboard.press("Tab");
	const first = await focused();
	test("Tab comes to the map", first.startsWith("[") || [first]);
	await page.keyboard.press("ArrowRight");
	const second = await focused();
	test("an arrow goes to another", second !== first && second.startsWith("["));
	await page.keyboard.press("Enter");
	test("Enter shows its neighbours", (await nearOf(page)).includes(second));
	test("and it is said to be chosen", same(await page.$eval(":focus", (e) => e.ariaPressed), "true"));
	await page.keyboard.press("Escape");
	test("Escape leaves the focus there", same([await focused(), await nearOf(page)], [second, []]));
	const scale = await scaleOf(page);
	await page.keyboard.press("+");
	test("plus is nearer", await scaleOf(page) > scale);
	await page.keyboard.press("0");
	test("0 fits", Math.abs(await scaleOf(page) - scale) < .01);
	await page.keyboard.press("t");
	test("t is the table", await page.isVisible("#table") && !await page.isVisible("#map"));
	await page.keyboard.press("m");
	await page.keyboard.press("/");
	test("a slash is the filter", same(await focused(), "filter"));
	await page.keyboard.type("redis");
	test("which filters", same(await pathsOf(page), 2));
}

async function phone(page) {
	await settled(page, 13);
	test("nothing is wider than a phone", await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth));
	await picture(page, "phone");
	test("axe-core: phone", await violations(page));
}

async function hostile(page, agent) {
	await settled(page, agent.world.names.length);
	const texts = await page.$$eval(".node .name", (all) => all.map((e) => e.textContent));
	const plain = agent.world.names.filter((n) => /^[ -~]*$/.test(n));
	test("names are text", plain.filter((n) => !texts.includes(n)));
	test("what turns or hides text is told by its number", texts.includes("⟨U+202E⟩gnp.exe⟨U+2066⟩") && texts.includes("⟨U+0000⟩⟨U+0007⟩") || texts);
	await page.click("#view-table");
	await page.click("#view-map");
	await page.click(".node");
	test("nothing of them is markup", same(await page.evaluate(() => [typeof window.pwned, document.querySelectorAll("script").length,
		document.querySelectorAll("main b, main i, img").length]), ["undefined", 1, 0]));
	test("long ones keep their place", await page.$$eval(".node", (all) => all.every((b) => b.offsetWidth === 168 && b.offsetHeight === 40)) &&
		await page.evaluate(() => document.scrollingElement.scrollWidth <= innerWidth));
	agent.world.answer = agent.world.names.map((n, i) => ({ id: "x" + i, score: 1, kind: n, namespace: n, name: n, text: n + "\n" + n }));
	await page.fill("#search [name=q]", "x");
	await page.press("#search [name=q]", "Enter");
	await until(page, () => document.querySelectorAll("#search-answer li").length === 8);
	agent.world.answer = { what: agent.world.names[1], how: agent.world.names[0], owners: agent.world.names };
	await page.fill("#whois [name=q]", "<x>");
	await page.press("#whois [name=q]", "Enter");
	await until(page, () => document.querySelectorAll("#whois-answer dd").length === 3);
	test("nor of answers", same(await page.evaluate(() => [typeof window.pwned, document.querySelectorAll("main b, main i, img, main script").length]), ["undefined", 0]));
	test("axe-core: hostile names", await violations(page));
}

async function main() {
	const browser = await launch(), real = await realPage(read("recorded.url") + "/");
	const made = (run, world, options) => part(run.name, () => withMade(browser, real, world, options, run));
	await part("recorded", () => recorded(browser));
	if (!process.env.SAN) { /* what is left has little of the agent in it */
		await part("closed", () => closed(browser));
		await made(many, manyWorld());
		await made(shop, shopWorld());
		await made(keyboard, shopWorld());
		await made(phone, shopWorld(), { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
		await made(hostile, hostileWorld());
	}
	await browser.close();
	console.log(`${checks.passed} passed, ${checks.failed} failed, 0 skipped`);
	process.exit(checks.failed ? 1 : 0);
}

main();
