/* Requests to the agent, with the token that was typed in; and the two questions. */
const TOKEN = "kindred-token";
let loggedIn = null; /* promise of a token, while it is asked for */

function askToken(words) {
	if (loggedIn)
		return loggedIn;
	setText($("login-words"), words);
	$("login").showModal();
	loggedIn = new Promise((resolve) => {
		$("login-form").addEventListener("submit", (event) => {
			event.preventDefault();
			sessionStorage.setItem(TOKEN, $("token").value);
			$("token").value = "";
			$("login").close();
			loggedIn = null;
			resolve();
		}, { once: true });
	});
	return loggedIn;
}

/* An answer, whatever its status; a token is asked for when one is needed. */
async function ask(path, options) {
	for (;;) {
		const token = sessionStorage.getItem(TOKEN);
		const headers = token ? { Authorization: "Bearer " + token } : {};
		const answer = await fetch(path, { ...options, headers, cache: "no-store", credentials: "omit" });
		if (answer.status !== 401)
			return answer;
		await askToken(token ? "The agent does not take that token." : "");
	}
}

async function askJson(path) {
	const answer = await ask(path), value = await answer.json();
	if (!answer.ok)
		throw Object.assign(new Error(value.error || String(answer.status)), { value });
	return value;
}

const query = (form) => [...new FormData(form)].filter(([, v]) => v !== "")
	.map(([k, v]) => encodeURIComponent(k) + "=" + encodeURIComponent(v)).join("&");

function put(box, ...children) {
	box.replaceChildren(...children);
}

function putError(box, error) {
	const tried = (error.value && error.value.tried) || [];
	put(box, make("p", { className: "error", textContent: shown(error.message) }),
		make("ul", {}, ...tried.map((t) => make("li", { textContent: shown(String(t)) }))));
}

function plain(value) {
	if (Array.isArray(value))
		return value.map(plain).join("\n");
	if (value && typeof value === "object")
		return Object.values(value).map(plain).join(" ");
	return shown(String(value));
}

const WHOIS = [["what", "is a"], ["workload_kind", "kind"], ["workload", "workload"], ["namespace", "namespace"], ["pod", "pod"],
	["container", "container"], ["node", "node"], ["how", "known how"], ["owners", "owners"], ["addresses", "addresses"]];

function showOnMap(end) {
	const key = keyOf(end);
	return model.nodes.has(key) ? [make("button", { type: "button", textContent: "Show on the map", onclick: () => details.pick(key) })] : [];
}

function putWhois(box, w) {
	const rows = WHOIS.filter(([k]) => w[k] !== undefined && String(w[k]) !== "")
		.flatMap(([k, words]) => [make("dt", { textContent: words }), make("dd", { textContent: plain(w[k]) })]);
	put(box, make("dl", {}, ...rows),
		...showOnMap({ namespace: w.namespace || "", kind: w.workload_kind || "", name: w.workload || "" }));
}

function foundItem(f) {
	const name = [f.kind, [f.namespace, f.name].filter(Boolean).join("/")].filter(Boolean).join(" ") || f.id;
	return make("li", {}, make("strong", { textContent: shown(name) }),
		make("pre", { textContent: f.text.split("\n").slice(0, 4).map(shown).join("\n").slice(0, 400) }),
		...showOnMap({ namespace: f.namespace || "", kind: f.kind || "", name: f.name || "" }));
}

function putFound(box, list) {
	if (list.length)
		put(box, make("ol", {}, ...list.map(foundItem)));
	else
		put(box, make("p", { textContent: "Nothing was found." }));
}

function startForm(name, path, answer) {
	const form = $(name), box = $(name + "-answer");
	form.addEventListener("submit", async (event) => {
		event.preventDefault();
		put(box, make("p", { textContent: "Asking…" }));
		try {
			answer(box, await askJson(path + query(form)));
		} catch (e) {
			putError(box, e);
		}
	});
}

function startAsk() {
	$("login").addEventListener("cancel", (event) => event.preventDefault());
	startForm("whois", "/api/v1/whois?", putWhois);
	startForm("search", "/api/v1/search?n=5&", putFound);
}
