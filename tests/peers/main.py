"""Agents of fifty nodes follow two collectors, of which one leads, while pods come, go and hand their
addresses on, connections are cut, and leaders end. What an agent says of an address elsewhere at any time
is right or unknown; in the end it is right. README.md has the plan.

    test-peers.sh"""

import datetime
import http.client
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "serve"))
import world    # noqa: E402
from cluster import LATE, Cluster   # noqa: E402
from proxy import Proxy     # noqa: E402
from world import Checks, Replay, Rig, is_sanitized, until  # noqa: E402

AGENTS = 50
SANITIZED = 16      # as many have the memory of fifty
CUT = 20
ENOUGH = 4          # answers of each agent
PACE = 0.04         # seconds between changes
PAST = 8.0          # how far back is asked
JSON = ("--encoding", "json")       # what kube-replay has of objects that it is given
LISTEN = ("--probe-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0")
LEASE = ("--leader-election", "on", "--lease-namespace", "default", "--lease-duration", "4s",
         "--lease-renew-deadline", "3s", "--lease-retry", "500ms")


def certificate(rig):
    """One that is its own authority, its key, and a token."""
    cert, key, token = rig.path("cert"), rig.path("key"), rig.path("token")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=collector", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", cert], check=True, capture_output=True)
    with open(token, "w", encoding="ascii") as f:
        f.write("agents-alone\n")
    return cert, key, token


class Fleet:
    """Everything that runs."""

    def __init__(self, rig, n):
        self.rig = rig
        self.cert, self.key, self.token = certificate(rig)
        self.api = Replay(rig)
        self.nodes = ["peer-%02d" % i for i in range(n)]
        self.cluster = Cluster(self.api, rig.random, self.nodes)
        self.collectors = {}
        for name in ("a", "b"):
            self.collect(name)
        self.cluster.fill()
        self.proxy = Proxy(rig.random, self.port("a"))
        self.agents = [self.follow(node) for node in self.nodes]

    def collect(self, name):
        self.collectors[name] = world.Agent(
            self.rig, self.api, "--serve-peers", "--tls-cert-file", self.cert, "--tls-key-file", self.key,
            "--listen-token-file", self.token, "--pod-name", "collector-" + name, *LEASE, *JSON)

    def port(self, name):
        return int(self.collectors[name].data.rpartition(":")[2])

    def follow(self, node):
        return world.base.Agent(
            self.rig, self.api, "--scope", "node", "--node-name", node, "--flows", "off", *LISTEN, *JSON,
            "--peers", "https://127.0.0.1:%d" % self.proxy.port, "--peers-ca-file", self.cert,
            "--peers-token-file", self.token, quick=("--api-qps", "1000", "--api-burst", "1000"))

    def leader(self):
        """The name of the collector that leads, which agents are led to; None: nobody does."""
        lead = [n for n, c in self.collectors.items()
                if c.proc.poll() is None and figures(c).get("kindred_leader") == 1]
        if len(lead) != 1:
            return None
        self.proxy.target = self.port(lead[0])
        return lead[0]

    def synced(self):
        """How many agents have the whole feed."""
        return sum(figures(a).get('kindred_peers_state{state="synced"}') == 1 for a in self.agents)

    def sum(self, name):
        return sum(figures(a).get(name, 0) for a in self.agents)


def figures(agent):
    """Series of an agent; none while it does not answer."""
    try:
        text = agent.metrics()
    except (OSError, http.client.HTTPException):
        return {}
    rows = (line.rpartition(" ") for line in text.splitlines() if line and line[0] != "#")
    return {name: float(value) for name, _, value in rows}


# -- questions

def iso(t):
    return datetime.datetime.fromtimestamp(t, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def whois(agent, address, at):
    """(what is said of it, for when); None: it is unknown. A time that the feed has not reached is
    answered for the latest that it has."""
    status, body = agent.raw("/api/v1/whois?q=address:%s&at=%s" % (address, iso(at)))
    answer = json.loads(body)
    if status == 404 or answer.get("known_by") == "unknown":
        return None, at
    heard = re.search(r"heard until (\S+)$", answer.get("known_from", ""))
    if not heard:
        return answer, None
    return answer, min(at, datetime.datetime.fromisoformat(
        heard.group(1).replace("Z", "+00:00")).timestamp() - LATE)


class Asker(threading.Thread):
    """Asks agents about other nodes' addresses all the time, and judges."""

    def __init__(self, fleet, seed):
        super().__init__(daemon=True)
        self.fleet, self.random, self.over = fleet, random.Random(seed), False
        self.right, self.unknown, self.wrong, self.fault = 0, 0, [], None

    def ask(self):
        i = self.random.randrange(len(self.fleet.agents))
        cluster, asked = self.fleet.cluster, time.time()
        address = self.random.choice(list(cluster.stays))
        if cluster.node_of[address] == self.fleet.nodes[i]:
            return
        at = asked - self.random.uniform(0, PAST)
        answer, when = whois(self.fleet.agents[i], address, at)
        if not answer:
            self.unknown += 1
            return
        why = "it does not say of when" if when is None else cluster.wrong(address, when, answer)
        self.right += not why
        if why:
            self.wrong.append("%s at %.3f (asked %.3f for %.3f) is %s, but %s" % (
                address, when or 0, asked, at, json.dumps(answer), why))

    def learns(self, n):
        """Waits until as many answers more were right."""
        before = self.right
        return until(lambda: self.right >= before + n or self.fault)

    def run(self):
        try:
            while not self.over:
                self.ask()
                time.sleep(0.003)       # agents have other things to do
        except Exception as e:  # whatever it is, it fails the test
            self.fault = e


class Churn(threading.Thread):
    def __init__(self, cluster):
        super().__init__(daemon=True)
        self.cluster, self.over, self.n, self.fault = cluster, threading.Event(), 0, None

    def run(self):
        try:
            while not self.over.wait(PACE):
                self.cluster.change()
                self.n += 1
        except Exception as e:
            self.fault = e


def says_rightly(fleet, i, address, settled):
    """Of the latest time that it has heard of, when all had been told long ago: [], or why not."""
    node, holder = fleet.nodes[i], fleet.cluster.holder(address)
    answer, when = whois(fleet.agents[i], address, time.time())
    if answer and fleet.cluster.node_of[address] != node and (when is None or when < settled):
        return ["%s has not heard of %s yet" % (node, address)]
    if bool(answer) != bool(holder) or (answer and not holder.is_it(answer)):
        return ["%s says of %s: %s, but it is %s's" % (node, address, answer, holder)]
    return []


def end_state(fleet, settled, patience=60):
    """Asks every agent for every address until it is right; what is not."""
    left = [(i, address) for i in range(len(fleet.agents)) for address in fleet.cluster.node_of]
    end = time.monotonic() + patience
    while True:
        problems = {pair: says_rightly(fleet, *pair, settled) for pair in left}
        left = [pair for pair in left if problems[pair]]
        if not left or time.monotonic() > end:
            return [p for pair in left for p in problems[pair]]
        time.sleep(0.2)


# -- what happens

def cut(fleet, test):
    n = fleet.proxy.cut(CUT)
    test("connections are cut", n == min(CUT, len(fleet.agents)) or n)
    test("who was cut goes on where it was", until(
        lambda: fleet.sum("kindred_peers_resumes_total") >= 3, every=0.3))


def leaders_end(fleet, test):
    """One is asked to end, the next one is killed as soon as some follow it; the first is back by then."""
    first = fleet.leader()
    second = "b" if first == "a" else "a"
    fleet.collectors[first].end(signal.SIGTERM)
    test("the other one leads", until(lambda: fleet.leader() == second))
    some = len(fleet.agents) // 4
    test("some follow it", until(
        lambda: figures(fleet.collectors[second]).get("kindred_feed_subscribers", 0) >= some))
    fleet.collectors[second].end()
    fleet.collect(first)
    test("the first one leads again", until(lambda: fleet.leader() == first))
    test("all agents have its feed", until(
        lambda: figures(fleet.collectors[first]).get("kindred_feed_subscribers") == len(fleet.agents) ==
        fleet.synced(), every=0.3))


def run(rig, n):
    test, begin = rig.checks.test, time.monotonic()
    fleet = Fleet(rig, n)
    test("one leads", until(lambda: fleet.leader() is not None))
    test("all agents have the feed", until(lambda: fleet.synced() == n, every=0.3) or fleet.synced())
    rig.checks.say("  started                            %5.1f s" % (time.monotonic() - begin))
    churn, asker = Churn(fleet.cluster), Asker(fleet, rig.random.random())
    churn.start()
    asker.start()
    try:
        test("many are known", asker.learns(ENOUGH * n))
        cut(fleet, test)
        leaders_end(fleet, test)
        test("many are known again", asker.learns(ENOUGH * n))
    finally:
        churn.over.set()
        churn.join(30)
        settled = time.time() + LATE
        asker.over = True
        asker.join(30)
    test("the cluster was changed to the end", churn.fault is None or [repr(churn.fault)])
    test("was asked to the end", asker.fault is None or [repr(asker.fault)])
    rig.checks.say("%d changes; of %d answers %d were right, %d unknown, %d wrong" % (
        churn.n, asker.right + asker.unknown + len(asker.wrong), asker.right, asker.unknown,
        len(asker.wrong)))
    test("no remote end is wrong", asker.wrong)
    test("in the end every remote end is right", end_state(fleet, settled))
    rig.checks.say("%d streams were lost, %d of them had a gap or a contradiction" % (
        fleet.sum("kindred_peers_losses_total"), fleet.sum("kindred_peers_faults_total")))
    fleet.proxy.close()


def stop(*_):
    raise KeyboardInterrupt


def main():
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    print("seed %d" % seed, flush=True)
    signal.signal(signal.SIGTERM, stop)
    work = tempfile.mkdtemp(prefix="kindred-peers-")
    checks = Checks()
    rig = Rig(checks, sys.argv[1], work, "peers", seed)
    n = int(os.environ.get("AGENTS") or (SANITIZED if is_sanitized(rig) else AGENTS))
    try:
        checks.part("%d agents" % n, lambda: run(rig, n))
    finally:
        rig.close()
        if os.environ.get("KEEP"):
            print("kept: " + work)
        else:
            shutil.rmtree(work, ignore_errors=True)
        print("%d passed, %d failed, %d skipped" % (checks.passed, checks.failed, checks.skipped))
    return 1 if checks.failed else 0


sys.exit(main())
