"""Two nodes, traffic across, and a collector that tells each of them who is on the other one. Each agent
watches its own node's pods and nothing else."""

import json
import re
import subprocess
import urllib.parse

from kubeapi import KINDS, node_object
from programs import Agent
from rig import Rig, end, ends, until

V4, V6 = "ip4", "ip6"
TOKEN = "only-agents-know-it"


class Pair:
    """Node 1 with the API server and the collector, and node 2. Flows across are named some seconds
    after their start: what is to be said of them is held against it when all have been made."""

    def __init__(self, rig, v2):
        self.checks, self.one, self.collector, self.due = rig.checks, rig, None, []
        self.two = Rig(rig.checks, rig.programs, rig.work, "nodes-2", "full", [v2], v2, beside=rig)
        try:
            rig.world.join(self.two.world)
            rig.api.set("/api/v1/nodes", node_object("n2", self.two.world.ip4, self.two.world.ip6))
            # Who asks is known by the address that it asks from.
            self.two.api_url = rig.api.url_at(rig.world.ip4)
            self.start_collector()
            for r in (rig, self.two):
                self.start_agent(r)
        except BaseException:
            self.close()
            raise

    def start_collector(self):
        self.collector = Agent(self.one.programs["kindred"], self.one.work, "collector", "none")
        folder = self.collector.work
        make_certificate(folder, self.one.world.ip4)
        self.collector.start(
            "--scope", "cluster", "--flows", "auto", "--api-server",
            self.one.api.url_at(self.one.world.ip4), "--streaming-list", "off", "--encoding", "json",
            "--intake-port", "9", "--probe-listen", "127.0.0.1:0", "--serve-peers",
            "--listen", self.one.world.ip4 + ":0", "--listen-token-file", folder + "/token", "--tls-cert-file", folder + "/cert",
            "--tls-key-file", folder + "/key")
        said = until(lambda: re.search(r"data at (\S+) \(TLS\)", self.collector.log()), 20)
        if not said:
            raise RuntimeError("the collector does not listen:\n" + self.collector.log()[-3000:])
        self.url = "https://" + said.group(1)

    def start_agent(self, rig):
        folder = self.collector.work
        rig.start_agent("node", "--flow-pending", "2s", "--udp-idle", "3s", "--peers", self.url,
                        "--peers-ca-file", folder + "/cert", "--peers-token-file", folder + "/token",
                        "--probe-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0")
        if not until(lambda: "peers: the feed of" in rig.agent.log(), 40):
            raise RuntimeError("there is no feed:\n" + rig.agent.log()[-3000:])

    def later(self, name, problems):
        self.due.append((name, problems))

    def settle(self):
        for name, problems in self.due:
            self.checks.test(name, problems())
        self.due = []

    def close(self):
        if self.collector and self.collector.proc:
            self.collector.stop()
        return self.two.close()


def make_certificate(folder, address):
    """One that is its own authority, and the token."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "2", "-subj", "/CN=collector", "-addext", "subjectAltName=IP:" + address,
         "-keyout", folder + "/key", "-out", folder + "/cert"], check=True, capture_output=True)
    with open(folder + "/token", "w", encoding="ascii") as f:
        f.write(TOKEN + "\n")
    subprocess.run(["chmod", "644", folder + "/key", folder + "/cert", folder + "/token"], check=True)


def make_pods(pair):
    """[(rig, pod)]: three on each node, of every sort of owner."""
    owners = [("ReplicaSet", "%s-5d8f7"), ("StatefulSet", "%s"), None]
    return [(rig, rig.pod("shop", "pod-%s-%d" % (rig.world.name, i),
                          owner and (owner[0], owner[1] % ("%s%d" % (rig.world.name, i)))))
            for rig in (pair.one, pair.two) for i, owner in enumerate(owners)]


def known(rig, pod):
    """Waits until the agent says whose the address is: whatever begins from then on is later than what
    the two clocks leave open."""
    def named():
        found = rig.agent.command("whois", pod.ip4, "-o", "json")
        return found.returncode == 0 and json.loads(found.stdout).get("pod") == pod.name
    if not until(named, 40, 0.1):
        raise RuntimeError("%s is not known on %s" % (pod.name, rig.world.name))


def across(pair, tag, client, server, port, family=V4):
    """One connection; (client's truth, server's truth). `client`, `server`: (rig, pod)."""
    actors = pair.one.actors
    s = actors.start(server[0].place(server[1]), tag, "listen", getattr(server[1], family), port,
                     "r100,w300,R", ready=True)
    try:
        actors.run(client[0].place(client[1]), tag, "connect", getattr(server[1], family), port,
                   "w100,r300")
        return [actors.told(tag, 1, role=role)[0] for role in ("client", "server")]
    finally:
        actors.kill(s)


def by_address(local, remote):
    return ends(local, remote, remote_by=("address",))


def both_ends(pair, name, client, server, truths):
    """Each node's agent says who both ends are."""
    for where, t, local, remote in (("client", truths[0], client, server),
                                    ("server", truths[1], server, client)):
        pair.later("%s, at the %s" % (name, where), lambda t=t, local=local, remote=remote:
                   local[0].compare(t, by_address(local[1], remote[1])))


def tcp(pair, pods):
    for rig in (pair.one, pair.two):
        for _, pod in pods:
            known(rig, pod)
    for family in (V4, V6):
        for i in range(3):
            for client, server in ((pods[i], pods[5 - i]), (pods[5 - i], pods[i])):
                name = "TCP from %s by %s" % (client[1].name, family)
                both_ends(pair, name, client, server,
                          across(pair, "%s-%s" % (client[1].name, family), client, server, 7000 + i,
                                 family))


def udp(pair, pods):
    actors, client, server = pair.one.actors, pods[0], pods[3]
    s = actors.start(server[0].place(server[1]), "udp-s", "udp-serve", server[1].ip4, 5300, ready=True)
    actors.run(client[0].place(client[1]), "udp-c", "udp-send", server[1].ip4, 5300, "100,200,300",
               "connected")
    actors.end(s)
    c, t = actors.told("udp-c")[0], actors.told("udp-s")[0]
    c["local"] = client[1].ip4
    pair.later("UDP, at the client", lambda: newest(client[0], c, by_address(client[1], server[1])))
    pair.later("UDP, at the server", lambda: newest(server[0], t, by_address(server[1], client[1])))


def newest(rig, truth, want, seconds=20):
    """Problems of the newest event of a conversation."""
    def problems():
        rows = rig.events(truth, "udp")
        return rig.diff(rows[-1], want) if rows else ["no event"]
    until(lambda: not problems(), seconds)
    return problems()


def service(pair, pods):
    """kube-proxy's way to a Service, whose backend is on the other node."""
    client, server = pods[1], pods[4]
    pair.one.world.nft("add rule ip nat pre ip daddr 10.96.0.9 tcp dport 80 dnat to %s:7050" %
                       server[1].ip4)
    s = pair.one.actors.start(server[0].place(server[1]), "svc", "listen", server[1].ip4, 7050, "r10,R",
                              ready=True)
    pair.one.actors.run(client[0].place(client[1]), "svc", "connect", "10.96.0.9", 80, "w10")
    t = pair.one.actors.told("svc", 1, role="server")[0]
    pair.one.actors.kill(s)

    def at_client():
        rows = client[0].ended(client[1].ip4, t["remote_port"], 1, seconds=20)
        return ["no flow"] if not rows else client[0].diff(
            rows[0], {**by_address(client[1], server[1]), "asked.address": "10.96.0.9", "asked.port": 80})
    pair.later("a Service's backend, at the client", at_client)
    pair.later("a Service's client, at the backend",
               lambda: server[0].compare(t, by_address(server[1], client[1])))


def node_address(pair, pods):
    """The other node itself, where nobody listens."""
    for (rig, pod), other in ((pods[0], pair.two), (pods[3], pair.one)):
        tag = "node-" + rig.world.name
        pair.one.actors.run(rig.place(pod), tag, "connect", other.world.ip4, 9, "w1", "bind")
        t = pair.one.actors.told(tag)[0]
        t["local"] = pod.ip4
        want = {"event": "fail", "reason": "refused", **end(pod, "local"),
                "remote.workload": other.world.name, "remote.workload_kind": "Node",
                "remote.known_by": "address"}
        pair.later("%s is named" % other.world.name,
                   lambda rig=rig, t=t, want=want: rig.compare(t, want))


def holder(pair, i, **address):
    return pair.two.pod("shop", "holder-%d" % i, ("StatefulSet", "holder%d" % i), **address)


def reuse(pair, pods, first):
    """An address of node 2 goes from pod to pod while node 1 talks to it: the flow of each time has the
    pod of that time, or none; never another's. Who has had it for long, and keeps it, is named."""
    client, pod, brief = pods[0], first, []
    for i in range(1, 4):
        truth = across(pair, "reuse-%d" % i, client, (pair.two, pod), 7060 + i)[0]
        if pod is first:
            pair.checks.test("who has had an address for long",
                             pair.one.compare(truth, by_address(client[1], pod)))
        else:
            brief.append((truth, pod))
        pair.two.world.end_netns(pod)
        pair.one.api.forget(pod)
        pod = holder(pair, i, ip4=pod.ip4, ip6=pod.ip6)
    known(pair.one, pod)
    named = [(pod, (pair.one.last(t) or {"remote": {"pod": "no event"}})["remote"]) for t, pod in brief]
    pair.checks.test("an address that changes hands is never another's", [
        "%s is called %s" % (pod.name, remote) for pod, remote in named
        if remote.get("pod") not in (pod.name, None)])


def asked_for(pair):
    """Of what is listed and watched, a node's agent asks for its own node's pods alone."""
    names = {"127.0.0.1": "n1", pair.two.world.ip4: "n2"}
    seen, problems = set(), []
    for who, path in list(pair.one.api.requests):
        url = urllib.parse.urlsplit(path)
        if url.path not in KINDS or who not in names:   # one object; the collector
            continue
        field = urllib.parse.parse_qs(url.query).get("fieldSelector", [""])[0]
        seen.add(who)
        if (url.path, field) != ("/api/v1/pods", "spec.nodeName=" + names[who]):
            problems.append("%s asks for %s" % (names[who], path))
    return problems + ["%s asks for nothing" % who for who in set(names) - seen]


def ended_well(pair):
    return [r.agent.log()[-500:] for r in (pair.one, pair.two) if r.agent.stop() != 0]
