/* A browser, pages whose every complaint is kept, and counted tests. */
"use strict";
const fs = require("fs");
const { chromium } = require("playwright-core");
const axeSource = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const PATIENCE = 60000; /* only what fails takes as long */
const checks = { passed: 0, failed: 0 };

function test(name, problems) {
	if (problems === true || (Array.isArray(problems) && !problems.length)) {
		checks.passed++;
		return;
	}
	checks.failed++;
	console.log("FAILED: " + name);
	for (const p of Array.isArray(problems) ? problems.slice(0, 8) : [])
		console.log("  " + String(p).slice(0, 1000));
}

const same = (got, wanted) => JSON.stringify(got) === JSON.stringify(wanted) ? [] : ["got    " + JSON.stringify(got), "wanted " + JSON.stringify(wanted)];

/* A part that stumbles is one failed test; the rest goes on. */
async function part(name, run) {
	const begin = Date.now();
	try {
		await run();
	} catch (e) {
		test(name + " runs to its end", [e.stack]);
	}
	console.log(`  ${name.padEnd(34)} ${((Date.now() - begin) / 1000).toFixed(1)} s`);
}

function launch() {
	return chromium.launch({ executablePath: process.env.CHROMIUM, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
}

/* A page at the URL. page.complaints: errors of its console, and requests elsewhere. */
async function open(browser, url, options) {
	const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
	const page = await context.newPage();
	page.setDefaultTimeout(PATIENCE);
	page.complaints = [];
	page.on("console", (m) => ["error", "warning"].includes(m.type()) && page.complaints.push(m.type() + ": " + m.text()));
	page.on("pageerror", (e) => page.complaints.push("error: " + e.stack));
	page.on("request", (r) => new URL(r.url()).origin === new URL(url).origin || r.url().startsWith("data:") ||
		page.complaints.push("request: " + r.url()));
	await page.goto(url);
	return page;
}

/* What axe-core has against it. */
async function violations(page) {
	await page.evaluate(axeSource);
	const found = await page.evaluate(() => axe.run(document, { resultTypes: ["violations"] }));
	return found.violations.flatMap((v) => v.nodes.slice(0, 3).map((n) => `${v.id}: ${n.html} ${n.failureSummary}`));
}

/* The first true value of what(argument) in the page; null when the time is over. */
async function until(page, what, argument) {
	try {
		return await (await page.waitForFunction(what, argument, { timeout: PATIENCE, polling: 100 })).jsonValue();
	} catch (e) {
		if (e.name !== "TimeoutError")
			throw e;
		return null;
	}
}

module.exports = { checks, test, same, part, launch, open, violations, until };
