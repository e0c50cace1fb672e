"""Connections of known programs in pods of known names, and what a strict collector (tests/fake/otlp.py)
has of them: while it is well, while it is away, while it fails, and when the agent stops.

The world, the API server and the programs are those of tests/flows; run by test-otlp.sh."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(TESTS, "flows"))

import parts_tcp as tcp                         # noqa: E402
from rig import Checks, Rig, until              # noqa: E402

# The agent sees every socket of the machine, and other programs may make thousands meanwhile.
SECONDS = 180
ROOM = "--flow-max", "1000000"
TOKEN, KEY = "canary-token-5e1d", "canary-key-99b2"
LAST = ("kindred.flow.close", "kindred.flow.fail", "kindred.flow.drop")


class Collector:
    """What it has is kept when it goes."""

    def __init__(self, work):
        self.work, self.port, self.proc = work, 0, None
        self.past = []

    def start(self):
        port_file = self.work + "/collector.port"
        if os.path.exists(port_file):
            os.unlink(port_file)
        env = dict(os.environ)
        if "OTLP_PACKAGE" in env:
            env["PYTHONPATH"] = env["OTLP_PACKAGE"]
        self.proc = subprocess.Popen(
            [sys.executable, TESTS + "/fake/otlp.py", "--port-file", port_file, "--port",
             str(self.port), "--token", TOKEN], env=env)
        if not until(lambda: os.path.exists(port_file)):
            raise RuntimeError("the collector does not start")
        with open(port_file, encoding="ascii") as f:
            self.port = int(f.read())
        self.url = "http://127.0.0.1:%d" % self.port

    def ask(self, what, body=None):
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(self.url + "/_fake/" + what, data, 20) as r:
            return json.load(r)

    def kill(self):
        """What comes after the look at what it has is not taken: it would be lost with it."""
        self.ask("fault", {"cut": True, "path": "/v1/", "times": 0})
        self.past.append(self.ask("dump"))
        self.proc.kill()
        self.proc.wait()
        self.proc = None

    def dumps(self):
        return self.past + ([self.ask("dump")] if self.proc else [])

    def records(self):
        return [r for d in self.dumps() for r in d["records"]]


def ends_of(attributes):
    """Addresses and ports as the end on this node sees them: local, remote."""
    source, destination = (
        (attributes[s + ".address"], attributes[s + ".port"]) for s in ("source", "destination"))
    out = attributes["kindred.flow.direction"] != "in"
    return (source + destination) if out else (destination + source)


class Test:
    def __init__(self, rig, collector):
        self.rig, self.checks, self.collector = rig, rig.checks, collector
        self.server = tcp.make_server(rig)
        self.client = rig.pod("shop", "client-7c5d-x2", ("ReplicaSet", "client-7c5d"))
        self.truths, self.n = [], 0

    def connections(self, count):
        """So many, each of 20 bytes there and 30 back."""
        self.n += 1
        tag, port = "otlp%d" % self.n, 7300 + self.n
        rig = self.rig
        s = rig.actors.start(rig.place(self.server), tag, "listen", self.server.ip4, port,
                             "r20,w30,R", ready=True)
        rig.actors.run(rig.place(self.client), tag, "connect", self.server.ip4, port, "w20,r30",
                       "count=%d" % count, "parallel=4")
        truths = rig.actors.told(tag, 2 * count)
        rig.actors.kill(s)
        self.truths += truths
        return truths

    def index(self):
        out = {}
        for r in self.collector.records():
            if r["event"] in LAST:
                out.setdefault(ends_of(r["attributes"]), []).append(r["attributes"])
        return out

    def missing(self, truths):
        index = self.index()
        return [t for t in truths
                if (t["local"], t["local_port"], t["remote"], t["remote_port"]) not in index]

    def problems(self, truths):
        index, out = self.index(), []
        for t in truths:
            key = (t["local"], t["local_port"], t["remote"], t["remote_port"])
            got = index.get(key, [])
            if len(got) != 1:
                out.append("%s %s has %d ends" % (t["role"], key, len(got)))
                continue
            for name, want in (("kindred.flow.transmit.bytes", 20),
                               ("kindred.flow.receive.bytes", 30),
                               ("source.k8s.namespace.name", "shop"),
                               ("source.k8s.deployment.name", "client"),
                               ("source.k8s.pod.name", self.client.name),
                               ("destination.k8s.deployment.name", "server"),
                               ("destination.k8s.pod.uid", self.server.uid),
                               ("server.port", t["remote_port" if t["role"] == "client" else "local_port"]),
                               ("kindred.flow.direction", "out" if t["role"] == "client" else "in")):
                if got[0].get(name) != want:
                    out.append("%s is %r, not %r" % (name, got[0].get(name), want))
        return out

    def told(self, name, truths):
        until(lambda: not self.missing(truths), SECONDS)
        self.checks.test("each end of each connection is told of once: " + name,
                         self.problems(truths))

    def health(self):
        sinks = json.loads(self.rig.agent.command("sinks", "-o", "json").stdout)["sinks"]
        return {s["health"] for s in sinks if s["type"] == "otlp"}

    def again(self):
        return sum(d["again"] for d in self.collector.dumps())


def configure(path, events):
    with open(path + ".new", "w", encoding="ascii") as f:
        f.write("otlp-events: [%s]\notlp-interval: 1s\n" % ", ".join(events))
    os.chmod(path + ".new", 0o644)
    os.rename(path + ".new", path)


def write(path, text):
    with open(path, "w", encoding="ascii") as f:
        f.write(text)
    os.chmod(path, 0o644)
    return path


def well(t):
    t.told("all is well", t.connections(200))
    events = {r["event"] for r in t.collector.records()}
    t.checks.test("chosen events alone", [] if events <= set(LAST) else [events])
    heads = [r["headers"].get("X-Key") for r in t.collector.ask("requests")]
    t.checks.test("headers of the file", [] if set(heads) == {KEY} else [heads])
    of = t.collector.ask("dump")["resources"]
    t.checks.test("the resource", [] if len(of) == 1 and of[0].get("k8s.node.name") == "n1" else [of])


def away(t):
    agent = t.rig.agent
    t.collector.kill()
    truths = t.connections(100)
    t.checks.test("kindred sinks says that it is away", bool(until(
        lambda: t.health() == {"failing"})))
    t.checks.test("readiness has a condition for it", "otlp logs: " in agent.get("/readyz"))
    t.collector.start()
    t.told("it was away", truths)
    t.checks.test("kindred sinks says that it is back", bool(until(
        lambda: t.health() == {"ok"}, SECONDS)))


def failing(t, config):
    configure(config, ["open", "close", "fail", "drop"])
    t.rig.agent.proc.send_signal(signal.SIGHUP)
    for fault in ({"status": 429, "headers": {"Retry-After": "1"}}, {"status": 503}, {"cut": True},
                  {"status": 504, "times": 2}):
        t.collector.ask("fault", dict(fault, path="/v1/"))
    t.told("it fails", t.connections(100))
    t.checks.test("another choice of events while it runs", bool(until(lambda: (
        t.connections(1) and
        any(r["event"] == "kindred.flow.open" for r in t.collector.records())), SECONDS, 1)))
    t.checks.test("none was told of twice", t.again() == 0)
    lost = {k: v for k, v in t.rig.agent.metrics().items()
            if k.startswith("kindred_otlp_lost_total") and v}
    t.checks.test("none was lost", [] if not lost else [lost])


def stopped(t):
    truths = t.connections(50)
    t.checks.test("the agent ends with exit code 0", t.rig.agent.stop() == 0)
    lost = int(re.findall(r"otlp logs: .*lost (\d+),", t.rig.agent.log())[-1])
    if lost:    # a machine so busy that 5 s were not enough: that it says so is all there is to see
        return
    t.told("told at the stop", truths)
    # One that a collector had no time to answer for is told again to the next.
    numbers = {int(r["attributes"]["log.record.uid"].rsplit("-", 1)[1])
               for r in t.collector.records()}
    gaps = sorted(set(range(1, max(numbers) + 1)) - numbers)
    t.checks.test("records are numbered without a gap",
                  ["%d are not there: %s" % (len(gaps), gaps[:20])] * bool(gaps))
    connections = len([x for x in t.truths if x["role"] == "client"])
    last = t.collector.ask("dump")
    for metric, more, want in (
            ("kindred.flow.io", {"network.io.direction": "transmit"}, 20 * connections),
            ("kindred.flow.io", {"network.io.direction": "receive"}, 30 * connections),
            ("kindred.flow.connections", {}, connections)):
        want_attrs = dict(more, **{"source.k8s.deployment.name": "client",
                                   "destination.k8s.deployment.name": "server"})
        got = [s["value"] for s in last["streams"] if s["metric"] == metric and
               want_attrs.items() <= s["attributes"].items()]
        t.checks.test("the total of %s %s" % (metric, more), [] if got == [want] else [got, want])


def checked(t, work):
    """--check-config looks at the files."""
    bad = write(work + "/bad-headers", "this is no header\n")
    run = t.rig.agent.command("agent", "--check-config", "--api-server", t.rig.api.url, "--node-name",
                              "n1", "--otlp", t.collector.url, "--otlp-headers-file", bad)
    t.checks.test("--check-config finds a bad file", [] if run.returncode == 2 and
                  "--otlp-headers-file" in run.stderr and "colon" in run.stderr else [run])


def run(rig, work):
    collector = Collector(work)
    collector.start()
    try:
        t = Test(rig, collector)
        config = work + "/config.yaml"
        configure(config, ["close", "fail", "drop"])
        rig.start_agent("cluster", "--flow-refresh", "1s", "--config", config,
                        "--otlp", collector.url, "--otlp-timeout", "60s", "--otlp-batch", "128KiB", *ROOM,
                        "--otlp-token-file", write(work + "/token", TOKEN + "\n"),
                        "--otlp-headers-file", write(work + "/headers", "X-Key: %s\n" % KEY))
        for part in (lambda: well(t), lambda: away(t), lambda: failing(t, config),
                     lambda: checked(t, work), lambda: stopped(t)):
            rig.checks.part("part", part)
        log = rig.agent.log()
        rig.checks.test("no secret in the log", TOKEN not in log and KEY not in log)
        complaints = collector.ask("complaints")
        rig.checks.test("the collector has no complaints", complaints)
        print("OpenTelemetry's own package has read it, too: %s" %
              ("yes" if collector.ask("dump")["official"] else "no, it is not installed"))
    finally:
        if collector.proc:
            collector.proc.kill()
            collector.proc.wait()


def stop(*_):
    raise KeyboardInterrupt


def main():
    o = sys.argv[1]
    signal.signal(signal.SIGTERM, stop)
    checks = Checks()
    work = tempfile.mkdtemp(prefix="kindred-otlp-")
    os.chmod(work, 0o755)
    v2 = work + "/cgroup2"
    os.mkdir(v2)
    try:
        subprocess.run(["mount", "-t", "cgroup2", "none", v2], check=True)
        programs = {"kindred": o + "/kindred", "actor": o + "/actor"}
        rig = Rig(checks, programs, work, "otlp", "full", [v2], v2)
        try:
            checks.part("all", lambda: run(rig, work))
        finally:
            failed = checks.failed
            checks.test("nothing is left of the test's cgroups", rig.close())
            if failed and rig.agent and rig.agent.n:
                print("--- the agent's last words\n" + rig.agent.log()[-3000:], flush=True)
    finally:
        subprocess.run(["umount", v2], check=False)
        if not os.environ.get("KEEP"):
            shutil.rmtree(work, ignore_errors=True)
        print("%d passed, %d failed, %d skipped" % (checks.passed, checks.failed, checks.skipped))
    return 1 if checks.failed else 0


sys.exit(main())
