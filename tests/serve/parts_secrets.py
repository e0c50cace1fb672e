"""Secrets that the process holds or sees (credentials of its own, those of clients, what objects hide),
searched for in everything that it says: logs, metrics, answers, files, what commands print."""

import http.server
import json
import os
import shutil
import signal
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import parts_openapi as openapi
import parts_redact as redact
import rig as base
from world import Agent, Reducer, Replay, ask, until

KUBECONFIG = """apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: "%s"}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
users:
- name: u
  user: %s
"""
PLUGIN = """#!/bin/sh
echo "the token is %s" >&2
echo '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","status":{"token":"%s"}}'
"""


class Parrot(threading.Thread):
    """A server that refuses everything, and repeats what it was sent."""

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, parrot = "", self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                parrot.seen += str(self.headers)
                body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 401,
                                   "reason": "Unauthorized", "message": "who is this? " + str(self.headers)}).encode()
                self.send_response(401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None      # who hangs up early is served well enough
        self.url = "http://127.0.0.1:%d" % self.server.server_port
        self.start()

    def run(self):
        self.server.serve_forever()


class Held(redact.Canaries):
    """Secrets in files of a folder that nobody else writes to."""

    def __init__(self, rig):
        super().__init__(rig.random)
        self.folder = os.path.join(rig.work, "in")
        os.makedirs(self.folder)

    def file(self, name, text, mode=0o600):
        path = os.path.join(self.folder, name)
        with open(path, "w", encoding="ascii") as f:
            f.write(text)
        os.chmod(path, mode)
        return path

    def token(self, name):
        """(text, file)"""
        text = self.core(name, 40)
        return text, self.file(name.replace(" ", "-"), text + "\n")

    def missing(self, text):
        return [w for t, w in self.where.items() if t not in text]

    def certificate(self):
        """Files of a certificate and its key, or None; of the key a line is looked for."""
        cert, key = (os.path.join(self.folder, x) for x in ("crt", "key"))
        if not shutil.which("openssl"):
            return None
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                        "/CN=localhost", "-keyout", key, "-out", cert], check=True, capture_output=True)
        with open(key, encoding="ascii") as f:
            self.where[f.read().splitlines()[5]] = "key of --listen"
        return cert, key


def answer(url, method="GET", token=None):
    """Bytes of an answer, head and body, whatever its status."""
    q = urllib.request.Request(url, method=method, headers={"Authorization": "Bearer " + token} if token else {})
    context = ssl._create_unverified_context() if url.startswith("https") else None
    try:
        with urllib.request.urlopen(q, timeout=60, context=context) as r:
            return str(r.headers).encode() + r.read()
    except urllib.error.HTTPError as e:
        return str(e.headers).encode() + e.read()


def answers(agent, token, wrong, scraper):
    """(what, bytes) of every path of every listener, to those who may ask and to those who may not."""
    with open(os.path.join(openapi.ROOT, "include", "openapi.json"), encoding="utf-8") as f:
        paths = json.load(f)["paths"]
    for path, item in paths.items():
        for method, op in item.items():
            params = op.get("parameters", [])
            values = {p["name"]: p["example"] for p in params if p["in"] == "query" and (
                p.get("required") or p["name"] == "limit")}     # some have no end without
            target = openapi.target_of(path, params, values)
            if path.endswith("/peers"):
                continue
            for t in (token, wrong, None):
                yield "%s %s" % (method, target), answer(agent.data + target, method.upper(), t)
            yield "socket %s %s" % (method, target), agent.raw(target, method.upper())[1]
            yield "probe %s %s" % (method, target), answer(agent.probe + target, method.upper(), scraper)
    for what in ("pods", "services", "deployments", "secrets", "configmaps", "leaks.example.com", "*"):
        yield "all " + what, agent.raw("/api/v1/resources/%s" % what)[1]


def printed(rig, agent, args):
    """(what, bytes) that commands print."""
    for command in (("sinks",), ("export",), ("export", "-o", "json"), ("search", "leaky"), ("search", "leaky", "-o", "json"),
                    ("graph", "Deployment/shop/leaky"), ("flows",), ("whois", "pid:%d" % agent.proc.pid)):
        yield "kindred " + " ".join(command), b"".join(agent.command(*command)[1:])
    for how in ("--print-config", "--check-config", "--print-access", "--check-access"):
        done = subprocess.run([rig.bin("kindred"), "agent", *args, how], capture_output=True, timeout=60, check=False,
                              env={"PATH": os.environ["PATH"]})
        yield how, done.stdout + done.stderr


def written(rig):
    """(what, bytes) of every file but the API server's own log and what was put there for the agent to read."""
    for folder, _, names in os.walk(rig.work):
        for name in names:
            if not folder.endswith("/in") and "replay" not in name:
                with open(os.path.join(folder, name), "rb") as f:
                    yield name, f.read()


def search(rig, held, found):
    """Each place by itself; `found`: (what, bytes). What all of it was."""
    whole = b""
    for what, data in found:
        rig.checks.test("no secret in " + what, held.found(data))
        whole += data
    return whole


def echo(rig, token):
    """An embedder that says what it was sent."""
    openai = base.Fake(rig, "openai", keep=True)
    openai.fault(times=2, path="/v1/embeddings", status=500, body={
        "error": {"message": "no Authorization: Bearer %s, api-key: %s, token %s" % (token, token, token)}})
    return openai


def secrets(rig):
    test = rig.checks.test
    api, reducer, held = Replay(rig), Reducer(rig), Held(rig)
    own, data, vector, embed = (held.token(n) for n in ("API token", "data token", "database token", "embedder token"))
    wrong, scraper, guess, env, late = (held.core(n, 40) for n in (
        "wrong data token", "scraper", "wrong scraper", "environment", "late configuration"))
    api.control("reviewer?token=%s&user=prometheus&allow=1" % scraper)
    config = held.file("config.yaml", "heartbeat: 10s\n", 0o644)
    pair = held.certificate()
    if not pair:
        rig.checks.skip("TLS of the data API", "no openssl (cannot run here)")
    openai, qdrant = echo(rig, embed[0]), base.Fake(rig, "qdrant", keep=True)
    server = ["--kubeconfig", held.file("kubeconfig", KUBECONFIG % (api.url, '{token: "%s"}' % own[0]))]
    args = ["--config", config,
            "--listen-token-file", data[1], "--vector-token-file", vector[1], "--vector-header", "api-key",
            "--embed-token-file", embed[1], "--embed", "openai:" + openai.url, "--embed-model", "test-model",
            "--vector", "qdrant:" + qdrant.url, "--vector", "sqlite:" + rig.path("k.db"), "--graph",
            "sqlite:" + rig.path("g.db"), "--events", "jsonl:" + rig.path("events"), "--probe-auth", "kube",
            "--record", rig.path("record"), "--record-uncompressed", rig.path("plain"), "--flows", "auto",
            "--flows-out", "jsonl:" + rig.path("flows")]
    if pair:
        args += ["--tls-cert-file", pair[0], "--tls-key-file", pair[1]]
    agent = Agent(rig, api, *args, env={"AWS_SECRET_ACCESS_KEY": env, "KINDRED_NOTE": env}, level="debug",
                  reducer=reducer.port, server=server)
    api.put(*redact.objects(held))
    test("in step", until(lambda: len(agent.sinks()) == 4 and all(
        s["health"] == "ok" and s.get("complete", True) and not s["lag_changes"] for s in agent.sinks().values())))
    agent.raw("/api/v1/resync", "POST")
    said = search(rig, held, answers(agent, data[0], wrong, scraper))
    said += search(rig, held, [("a wrong scraper's answer", answer(agent.probe + "/metrics", token=guess))])
    said += search(rig, held, printed(rig, agent, server + args))
    # A configuration with secrets where none belong.
    held.file("config.yaml", "vector: ['qdrant:http://me:%s@x']\nlisten-token-file: eyJ%s\nnode-name: [%s]\n" % (
        late, late, late), 0o644)
    agent.proc.send_signal(signal.SIGHUP)
    test("the configuration is refused", until(lambda: "is not taken" in agent.log(), 20))
    test("it ends clean", agent.end(signal.SIGTERM) == 0 or [agent.log()[-1000:]])
    said += search(rig, held, written(rig))
    said += search(rig, held, (("bodies to " + f.name, json.dumps([q.get("body") for q in f.requests()]).encode())
                               for f in (openai, qdrant)))
    test("what surrounds them is there", [w for w in (b"leaky", b"[redacted]", b"401", b"is not taken", b"qdrant",
                                                      b"kindred_build_info") if w not in said])


def shown(rig, held, agents, parrot):
    """What agents say that tell a parrot their credentials."""
    rig.checks.test("it was shown all of them", until(lambda: not held.missing(parrot.seen), 30) or
                    [held.missing(parrot.seen)])
    found = []
    for a in agents:
        found += [("/readyz", ask(a.probe + "/readyz")[1]), ("/metrics", ask(a.probe + "/metrics")[1]),
                  ("/api/v1/sinks", ask(a.data + "/api/v1/sinks")[1]), ("kindred sinks", b"".join(a.command("sinks")[1:]))]
    said = search(rig, held, found)
    for a in agents:
        a.end(signal.SIGTERM)
    said += search(rig, held, written(rig))
    rig.checks.test("what it says is repeated", said.count(b"who is this?") > 3 and b"[redacted]" in said)


def strangers(rig):
    """Servers of every kind that repeat the credentials they are shown, and a plugin that prints its own."""
    held, parrot = Held(rig), Parrot()
    text = held.core("plugin's token", 40)
    plugin = held.file("plugin", PLUGIN % (text, text), 0o700)
    user = '{exec: {apiVersion: client.authentication.k8s.io/v1, command: "%s", interactiveMode: Never}}' % plugin
    vector, peers, otlp = (held.token(n)[1] for n in ("database token", "peers token", "OTLP token"))
    header = held.file("headers", "X-Scope: %s\n" % held.core("OTLP header", 40))
    refused = Agent(rig, parrot, level="debug", server=["--kubeconfig", held.file(
        "kubeconfig", KUBECONFIG % (parrot.url, user))])
    node = Agent(rig, Replay(rig), "--peers", parrot.url, "--peers-token-file", peers, level="debug",
                 quick=("--scope", "node", "--node-name", "node-1", "--flows", "off"))
    sinks = Agent(rig, Replay(rig), "--vector-token-file", vector, "--vector", "qdrant:" + parrot.url, "--vector",
                  "chroma:" + parrot.url, "--graph", "neo4j:" + parrot.url, "--events", "http:%s/" % parrot.url,
                  "--capabilities", parrot.url + "/", "--flows", "auto", "--otlp", parrot.url, "--otlp-token-file", otlp,
                  "--otlp-headers-file", header, "--otlp-interval", "1s", "--resources", "on", level="debug")
    if "otlp: off" in sinks.log():
        rig.checks.skip("OTLP's credentials", "no flows (cannot run here)")
        held.where = {k: w for k, w in held.where.items() if "OTLP" not in w}
    shown(rig, held, (refused, node, sinks), parrot)
