"""TCP: every runtime's names, every way a connection can end, bursts, streams, losses."""

import datetime
import os
import re
import signal
import time

from rig import Container, end, ends, until
from world import NODE4, Pod, cgroup_path, run

V4, V6 = "ip4", "ip6"

STYLES = [  # name of the pod, its owner, how its cgroup is made
    ("systemd", ("ReplicaSet", "front-5d8f7"), {"style": "containerd-systemd"}),
    ("cgroupfs", ("ReplicaSet", "back-77c9b"), {"style": "containerd-cgroupfs",
                                                "qos": "besteffort"}),
    ("guaranteed", ("StatefulSet", "db"), {"style": "containerd-systemd", "qos": "guaranteed"}),
    ("crio", ("DaemonSet", "mesh"), {"style": "crio", "qos": "besteffort"}),
    ("dockersd", ("ReplicaSet", "cart-6f9cc"), {"style": "docker-systemd"}),
    ("dockerfs", ("ReplicaSet", "mail-58db5"), {"style": "docker-cgroupfs"}),
    ("kind", ("ReplicaSet", "kind-79bd6"), {"style": "kind"}),
    ("static", ("Node", "n1"), {"static": True}),
    ("init", ("StatefulSet", "init"), {"kind": "initContainers"}),
    ("debug", ("StatefulSet", "debug"), {"kind": "ephemeralContainers"}),
    ("nested", ("StatefulSet", "nested"), {"inner": "inner/deeper"}),
]


def make_server(rig):
    """The pod that the others talk to."""
    return rig.pod("shop", "server-7c5d-x1", ("ReplicaSet", "server-7c5d"))


def make_styles(rig):
    pods = []
    for name, owner, how in STYLES:
        how = dict(how)
        c = Container("c-" + name, how.pop("kind", "containers"), how.pop("inner", ""))
        pods.append(rig.pod("ns-" + name, "pod-" + name, owner, containers=[c], **how))
    return pods


def pair(rig, tag, client, server, client_script, server_script, port, family=V4, **more):
    """One connection; (client's truth, server's truth)."""
    address = getattr(server, family)
    s = rig.actors.start(rig.place(server), tag, "listen", address, port, server_script, ready=True)
    try:
        rig.actors.run(rig.place(client), tag, "connect", address, port, client_script, **more)
        c = rig.actors.told(tag, 1, role="client")[0]
        return c, rig.actors.told(tag, 1, role="server")[0]
    finally:
        rig.actors.kill(s)


def names(rig, server, pods):
    """Each pod, named as its runtime names it, over IPv4 and IPv6; both ends of each connection."""
    for family, port in ((V4, 7000), (V6, 7006)):
        s = rig.actors.start(rig.place(server), "names" + family, "listen", getattr(server, family),
                             port, "r100,w300,R", ready=True)
        for pod in pods:
            rig.actors.run(rig.place(pod), "name-" + pod.name + family, "connect",
                           getattr(server, family), port, "w100,r300")
        seen = {(t["remote"], t["remote_port"]): t
                for t in rig.actors.told("names" + family, len(pods))}
        rig.actors.kill(s)
        for pod in pods:
            t = rig.actors.told("name-" + pod.name + family)[0]
            other = seen[(t["local"], t["local_port"])]
            rig.checks.test("%s %s is named at its own end" % (pod.name, family),
                            rig.compare(t, ends(pod, server)))
            rig.checks.test("%s %s is named at the other end" % (pod.name, family),
                            rig.compare(other, ends(server, pod)))


def host_service(rig, server):
    dirs = rig.world.mkdir("system.slice/kindred-demo.service")
    s = rig.actors.start(rig.place(server), "svc-s", "listen", server.ip4, 7010, "r10,R", ready=True)
    rig.actors.run((None, dirs), "svc", "connect", server.ip4, 7010, "w10")
    rig.checks.test("a host service is named by its unit", rig.compare(
        rig.actors.told("svc")[0],
        {"local.workload": "host/kindred-demo.service", "local.known_by": "host",
         **end(server, "remote", known_by=("cgroup", "address"))}))
    rig.actors.kill(s)


def equal_begin(rig, v2, patience=30):
    """A directory in v1 and one in v2 that have the same number and are two pods'. Numbers grow by
    one with every directory, in each hierarchy by itself; None when they do not meet in time."""
    pods = [Pod("shop", "equal-%s-1-x" % x, ("ReplicaSet", "equal-%s-1" % x),
                style="containerd-cgroupfs") for x in ("v1", "v2")]
    dirs, numbers = [], [0, 0]
    for pod, top in zip(pods, (rig.world.top[0], v2 + "/kindred-test-%d" % os.getpid())):
        rig.world.make_netns(pod)
        rig.world.pods.append(pod)
        rig.api.tell(pod)
        path = top
        for part in cgroup_path(pod.style, pod.qos, pod.uid, "").split("/"):
            if not os.path.isdir(path):
                os.mkdir(path)
                rig.world.made.append(path)
            path = os.path.join(path, part)
        dirs.append(path + pod.containers[0].id)
    end_at = time.monotonic() + patience
    while time.monotonic() < end_at:
        behind = int(numbers[1] < numbers[0])
        if numbers[behind]:
            os.rmdir(dirs[behind])
        os.mkdir(dirs[behind])
        numbers[behind] = os.stat(dirs[behind]).st_ino
        if numbers[0] == numbers[1]:
            break
    rig.world.made.extend(dirs)
    for pod, d in zip(pods, dirs):
        pod.containers[0].dirs = [d]
    return pods if numbers[0] == numbers[1] else None


def equal_end(rig, server, pods):
    if not pods:
        rig.checks.skip("equal numbers in v1 and v2", "other programs make cgroups too fast")
        return
    s = rig.actors.start(rig.place(server), "equal-s", "listen", server.ip4, 7011, "r10,w20,R",
                         ready=True)
    for pod in pods:
        rig.actors.run(rig.place(pod), "equal-" + pod.name, "connect", server.ip4, 7011, "w10,r20")
    rig.actors.kill(s)
    rows = []
    for pod in pods:
        t = rig.actors.told("equal-" + pod.name)[0]
        rig.checks.test("equal numbers, " + pod.name, rig.compare(t, ends(pod, server)))
        rows.append(rig.last(t) or {})
    for t in rig.actors.told("equal-s", 2):
        pod = [p for p in pods if p.ip4 == t["remote"]][0]
        rig.checks.test("equal numbers, the server of " + pod.name,
                        rig.compare(t, ends(server, pod)))
    rig.checks.test("the numbers are equal",
                    rows[0].get("cgroup_id") == rows[1].get("cgroup_id") is not None)


SHAPES = [  # name, client's script, server's script, client's and server's reason
    ("active close", "w100,r200", "r100,w200,R", "", ""),
    ("passive close", "w101,R", "r101,w200", "", ""),
    ("half-close by the client", "w1000,s,R", "R,w5000", "", ""),
    ("half-close by the server", "R,w3000", "w700,s,R", "", ""),
    ("nothing said", "d1", "R", "", ""),
    ("long", "w3000000,s,R", "R,w2000000", "", ""),
    ("reset by its client", "w100,r100,q,x", "r100,w100,R", "rst_sent", "rst_received"),
    ("reset by its server", "w100,r100,R", "r100,w100,q,x", "rst_received", "rst_sent"),
    ("reset by unread bytes", "w10,d60", "r10,w500,R", "rst_sent", "rst_received"),
    ("reset with bytes on their way", "W100000000,x", "r1,d1200,R", "rst_sent", "rst_received"),
]


def shapes(rig, client, server, families=(V4, V6)):
    for family in families:
        truths = []
        for i, (name, cs, ss, _, _) in enumerate(SHAPES):
            tag = "shape%d%s" % (i, family)
            truths.append(pair(rig, tag, client, server, cs, ss, 7100 + i, family))
        for (name, _, _, why_c, why_s), (c, s) in zip(SHAPES, truths):
            for t, local, remote, why in ((c, client, server, why_c), (s, server, client, why_s)):
                rig.checks.test("%s, %s, %s" % (name, family, t["role"]), rig.compare(
                    t, {"event": "close", "reason": (why, None) if not why else why,
                        **ends(local, remote)}))


def refused(rig, client, server):
    for family in (V4, V6):
        tag = "refused" + family
        rig.actors.run(rig.place(client), tag, "connect", getattr(server, family), 9, "w1", "bind")
        t = rig.actors.told(tag)[0]
        t["local"] = getattr(client, family)    # it was bound to no address
        rig.checks.test("refused " + family, rig.compare(
            t, {"event": "fail", "reason": "refused", **ends(client, server, remote_by=("address",))}))


def unbound(rig, client, server):
    """The kernel takes the port back from a connect that failed; its flow has one all the same."""
    rig.actors.run(rig.place(client), "unbound", "connect", server.ip4, 10, "w1", "count=50")

    def rows():
        rig.agent.flows.read()
        return [r for r in rig.agent.flows.rows if r.get("remote", {}).get("port") == 10]
    got = until(lambda: len(rows()) >= 50) and rows()
    rig.checks.test("refused with a port of the kernel's choice", [
        "%d flows" % len(got or [])] * (not got or len(got) != 50) + [
        "local port 0"] * any(r["local"]["port"] == 0 for r in got or []))


def timed_out_begin(rig, client, server):
    """Starts what takes seconds: a connect without an answer, and data without one."""
    rig.world.nft("add rule inet cut way meta nfproto ipv4 tcp dport 81 counter drop\n"
                  "add rule inet cut way meta nfproto ipv6 tcp dport 81 counter drop")
    s = rig.actors.start(rig.place(server), "mute", "listen", server.ip4, 82, "r100,R", ready=True)
    a = rig.actors.start(rig.place(client), "syn4", "connect", server.ip4, 81, "w1", "bind",
                         "syncnt=1")
    b = rig.actors.start(rig.place(client), "syn6", "connect", server.ip6, 81, "w1", "bind",
                         "syncnt=1")
    c = rig.actors.start(rig.place(client), "data", "connect", server.ip4, 82, "w100,q,h,w1000,R",
                         "timeout=1000")
    rig.actors.held(c)
    rig.world.nft("add rule inet cut way tcp dport 82 drop")
    rig.actors.go(c)
    return [a, b, c, s]


def timed_out_end(rig, client, server, running):
    for p in running[:3]:
        p.wait(30)
        rig.actors.forget(p)
    syns = [int(n) for n in re.findall(r"dport 81 counter packets (\d+)",
                                       run(["nft", "list", "table", "inet", "cut"]))]
    for tag, family, seen in (("syn4", V4, syns[0]), ("syn6", V6, syns[1])):
        t = rig.actors.told(tag)[0]
        t["local"] = getattr(client, family)
        rig.checks.test("connect timed out " + family, rig.compare(
            t, {"event": "fail", "reason": "timed_out", "retransmits": seen - 1,
                **ends(client, server, remote_by=("address",))}))
    t = rig.actors.told("data")[0]
    rig.checks.test("timed out with data under way",
                    ["error is " + t["error"]] * (t["error"] != "ETIMEDOUT") +
                    rig.compare(t, {"event": "close", "reason": "timed_out", "bytes_sent": 100,
                                    **ends(client, server)}))
    rig.actors.kill(running[3])


def queue_begin(rig, client, server):
    """A server that does not accept, and whose queue has room for two."""
    s = rig.actors.start(rig.place(server), "queue-s", "listen", server.ip4, 7320, "r10,R", "backlog=1",
                         "stall", ready=True)
    first = rig.actors.start(rig.place(client), "queue-1", "connect", server.ip4, 7320, "w10,h",
                             "count=2", "parallel=2")
    rig.actors.held(first, 2)
    rig.world.nft("add rule inet cut way tcp dport 7320 tcp flags syn counter")
    more = rig.actors.start(rig.place(client), "queue-2", "connect", server.ip4, 7320, "w10", "count=3",
                            "parallel=3", "bind", "syncnt=1")
    return [s, first, more]


def queue_end(rig, client, server, running):
    """Who finds it full has failed, and the server has flows of the others alone."""
    rig.actors.wait(running[2])
    rig.actors.go(running[0])
    rig.actors.go(running[1])
    rig.actors.wait(running[1])
    problems = ["the queue was not full"] * (listen_drops(server) == 0)
    syns = int(re.search(r"dport 7320 .*counter packets (\d+)",
                         run(["nft", "list", "table", "inet", "cut"])).group(1))
    for t in rig.actors.told("queue-2", 3):
        t["local"] = client.ip4     # it was bound to no address
        problems += rig.compare(t, {"event": "fail", "reason": "timed_out",
                                    "retransmits": syns // 3 - 1,
                                    **ends(client, server, remote_by=("address",))})
    for tag, local, remote in (("queue-1", client, server), ("queue-s", server, client)):
        for t in rig.actors.told(tag, 2):
            problems += rig.compare(t, {"event": "close", **ends(local, remote)})
    got = len(rig.ended(server.ip4, 7320, 2))
    problems += ["the server has %d flows, not 2" % got] * (got != 2)
    rig.checks.test("a full accept queue", problems)
    rig.actors.kill(running[0])


def listen_drops(pod):
    """What the kernel counted in the pod's namespace."""
    text = run(["nsenter", "--net=" + pod.netns, "cat", "/proc/self/net/netstat"]).splitlines()
    names, values = (line.split() for line in text if line.startswith("TcpExt:"))
    return int(dict(zip(names, values))["ListenDrops"])


def ended(rig, truths):
    """A question: have all of them ended, as the agent says? None is asked for twice."""
    left = list(truths)

    def ask():
        while left and rig.last(left[-1], 0):
            left.pop()
        return not left
    return ask


def burst(rig, client, server, count):
    """Many short connections at once: none is missing, each one's bytes are right."""
    s = rig.actors.start(rig.place(server), "burst", "listen", server.ip4, 7300, "r20,w30,R",
                         ready=True)
    rig.actors.run(rig.place(client), "burst", "connect", server.ip4, 7300, "w20,r30",
                   "count=%d" % count, "parallel=4")
    truths = rig.actors.told("burst", 2 * count)
    rig.actors.kill(s)
    until(ended(rig, truths))
    for role, local, remote in (("client", client, server), ("server", server, client)):
        problems = []
        for t in truths:
            if t["role"] == role:
                problems += rig.compare(t, ends(local, remote), 0)
        rig.checks.test("%d short connections, %s" % (count, role), problems)


def streams_begin(rig, client, server, seconds):
    """One way each, at a rate, for the length of the test."""
    out = []
    for tag, cs, ss, port in (("up", "p400000:%d" % seconds, "R", 7401),
                              ("down", "R", "p400000:%d" % seconds, 7402)):
        for family in (V4, V6):
            port += 10
            out.append(rig.actors.start(rig.place(server), tag + family, "listen",
                                        getattr(server, family), port, ss, ready=True))
            rig.actors.start(rig.place(client), tag + family, "connect",
                             getattr(server, family), port, cs)
    return out


def streams_end(rig, client, server, servers):
    for tag in ("up", "down"):
        for family in (V4, V6):
            for t in rig.actors.told(tag + family, 2):
                local, remote = (client, server) if t["role"] == "client" else (server, client)
                name = "stream %s %s %s" % (tag, family, t["role"])
                rig.checks.test(name, rig.compare(t, ends(local, remote)))
                rig.checks.test(name + " is refreshed", refreshes(rig, t))
    for s in servers:
        rig.actors.kill(s)


def refreshes(rig, t):
    rows = rig.events(t)
    field = "bytes_sent" if t["written"] else "bytes_received"
    values = [r[field] for r in rows if r["event"] == "refresh"]
    total = t["written"] or t["read"]
    # A value of zero would say that nothing was read of the socket in between.
    if len(set(v for v in values if 0 < v < total)) < 2 or values != sorted(values):
        return ["%s of the refreshes: %s of %d" % (field, values, total)]
    return []


def silence(rig, client, server):
    """All bytes at once and then none: both ends show them long before the end, by polls of a
    second. Seconds more are for a machine that others load, too: the opening, too, is told before
    the bytes come, else it shows them and no refresh needs to."""
    size, first, still, before = 100000000, 3, 10, 3
    c, s = pair(rig, "silence", client, server,
                "d%d,w%d,q,d%d" % (first * 1000, size, still * 1000), "R", 7451)
    for t, local, remote, field in ((c, client, server, "bytes_sent"),
                                    (s, server, client, "bytes_received")):
        name = "silence, " + t["role"]
        rig.checks.test(name, rig.compare(t, ends(local, remote)))
        rows = rig.events(t)
        shown = [seconds_of(r) for r in rows if r["event"] == "refresh" and r[field] == size]
        over = [seconds_of(r) for r in rows if r["event"] == "close"]
        rig.checks.test(name + ", is shown at once", [
            "events %s" % [(r["event"], r["time"], r[field]) for r in rows]
        ] * (not shown or not over or over[0] - shown[0] < before))


def seconds_of(row):
    return datetime.datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp()


def stopped(rig, client, server, count):
    """The agent stands still while the ring runs over: late, but nothing is missing."""
    s = rig.actors.start(rig.place(server), "stopped", "listen", server.ip4, 7310, "r20,w30,R",
                         ready=True)
    os.kill(rig.agent.proc.pid, signal.SIGSTOP)
    try:
        rig.actors.run(rig.place(client), "stopped", "connect", server.ip4, 7310, "w20,r30",
                       "count=%d" % count, "parallel=4")
        truths = rig.actors.told("stopped", 2 * count)
    finally:
        os.kill(rig.agent.proc.pid, signal.SIGCONT)
    rig.actors.kill(s)
    until(ended(rig, truths))
    for role, local, remote in (("client", client, server), ("server", server, client)):
        problems = []
        for t in truths:
            if t["role"] == role:
                problems += rig.compare(t, {"event": "close", **ends(local, remote)}, 0)
        rig.checks.test("%d connections while the agent is stopped, %s" % (count, role),
                        ["%d problems" % len(problems)] * bool(problems) + problems)
    full = sum(v for k, v in rig.agent.metrics().items() if "ring_full" in k and "close" in k)
    rig.checks.test("the ring ran over", ["it did not"] * (not full))


def loss(rig, client, server):
    """Every 40th full segment is lost on its way."""
    rig.world.nft("add rule inet cut way tcp dport 7501 meta length > 400 "
                  "numgen inc mod 40 0 counter drop")
    c, s = pair(rig, "loss", client, server, "w1000000,q,s,R", "R", 7501)
    rig.checks.test("loss: retransmits are the kernel's own",
                    ["no retransmit was made"] * (c["retrans"] == 0) +
                    rig.compare(c, ends(client, server)))
    rig.checks.test("loss: the receiver's bytes", rig.compare(s, ends(server, client)))


def shared_namespace(rig, server):
    """Two containers of one pod have one address; their cgroups tell them apart."""
    pod = rig.pod("shop", "two-6c4f-aa", ("ReplicaSet", "two-6c4f"),
                  containers=[Container("app"), Container("sidecar")])
    s = rig.actors.start(rig.place(server), "two-s", "listen", server.ip4, 7020, "r10,R", ready=True)
    for i in (0, 1):
        rig.actors.run(rig.place(pod, i), "two%d" % i, "connect", server.ip4, 7020, "w10")
        rig.checks.test("shared namespace, " + pod.containers[i].name, rig.compare(
            rig.actors.told("two%d" % i)[0], ends(pod, server, i)))
    # One container talks to the other over the pod's loopback.
    local = rig.actors.start(rig.place(pod, 1), "lo-s", "listen", "127.0.0.1", 7021, "r10,w20,R",
                             ready=True)
    rig.actors.run(rig.place(pod, 0), "lo-c", "connect", "127.0.0.1", 7021, "w10,r20")
    rig.checks.test("shared namespace, loopback", rig.compare(
        rig.actors.told("lo-c")[0],
        {**end(pod, "local"), **end(pod, "remote"), "remote.container": "sidecar"}))
    rig.actors.kill(local)
    rig.actors.kill(s)


def host_network(rig, server):
    """A pod in the node's namespace: right by its cgroup; it never owns the node's address."""
    pod = rig.pod("kube-system", "proxy-q", ("DaemonSet", "proxy"), host_network=True)
    s = rig.actors.start(rig.place(server), "hn-s", "listen", server.ip4, 7030, "r10,w5,R",
                         ready=True)
    rig.actors.run(rig.place(pod), "hn", "connect", server.ip4, 7030, "w10,r5")
    rig.checks.test("hostNetwork, its own end", rig.compare(rig.actors.told("hn")[0],
                                                            ends(pod, server)))
    rig.checks.test("hostNetwork, the other end", rig.compare(
        rig.actors.told("hn-s")[0], {**end(server, "local"), **end(pod, "remote")}))
    rig.actors.kill(s)
    # A process of the node itself has the same address and is not that pod.
    s = rig.actors.start((None, rig.world.mkdir("system.slice/other.service")), "hs", "listen",
                         NODE4, 7031, "r10,R", ready=True)
    rig.actors.run(rig.place(server), "hs", "connect", NODE4, 7031, "w10")
    t = rig.actors.told("hs", 2)
    client = [x for x in t if x["role"] == "client"][0]
    rig.checks.test("the node's address is no pod's", rig.compare(
        client, {**end(server, "local"), "remote.pod": (None, ""), "remote.known_by":
                 ("host", "cgroup")}))
    rig.actors.kill(s)


def moving(rig, server):
    """A process that moves keeps its old socket's owner and gives new ones the new owner."""
    pod = rig.pod("shop", "move-55c-aa", ("ReplicaSet", "move-55c"),
                  containers=[Container("first"), Container("second")])
    s = rig.actors.start(rig.place(server), "mv-s", "listen", server.ip4, 7040, "r10,R", ready=True)
    rig.actors.run(rig.place(pod), "mv", "connect", server.ip4, 7040, "w10,d200,m,d200", "count=2",
                   move=pod.containers[1].dirs)
    old, new = rig.actors.told("mv", 2)
    rig.checks.test("a socket from before the move", rig.compare(old, ends(pod, server, 0)))
    rig.checks.test("a socket from after the move", rig.compare(new, ends(pod, server, 1)))
    rig.checks.test("the reducer is told of the move", bool(until(
        lambda: [m for m in rig.messages("pid_cgroup_move") if m["pid"] == old["pid"]])))
    rig.actors.kill(s)


def late(rig, server):
    """Pods that the API server tells of when their flows are over."""
    slow = rig.pod("shop", "late-6b-aa", ("ReplicaSet", "late-6b"), told=False)
    short = rig.pod("shop", "brief-1-aa", ("ReplicaSet", "brief-1"), told=False)
    s = rig.actors.start(rig.place(server), "late-s", "listen", server.ip4, 7050, "r10,w7,R",
                         ready=True)
    rig.actors.run(rig.place(slow), "late", "connect", server.ip4, 7050, "w10,r7")
    rig.actors.run(rig.place(short), "brief", "connect", server.ip4, 7050, "w10,r7,d100")
    rig.world.rmdir(short.containers[0].dirs)
    rig.world.end_netns(short)
    short.phase = "Succeeded"
    waits = rig.last(rig.actors.told("late")[0], 1.5) is None
    rig.checks.test("a flow waits for its pod", waits)
    rig.api.tell(slow)
    rig.api.tell(short)
    rig.api.forget(short)
    rig.checks.test("a pod told 2 s late", rig.compare(rig.actors.told("late")[0],
                                                       ends(slow, server)))
    rig.checks.test("a pod that lived 100 ms", rig.compare(rig.actors.told("brief")[0],
                                                           ends(short, server)))
    rig.actors.kill(s)


def address_reuse(rig, server):
    """A pod's address goes to another pod; each flow has the one that held it then."""
    a = rig.pod("shop", "old-1-aa", ("ReplicaSet", "old-1"))
    s = rig.actors.start(rig.place(server), "reuse-s", "listen", server.ip4, 7060, "r10,R",
                         ready=True)
    until(lambda: rig.agent.flows.read() and False, 0.3)
    rig.actors.run(rig.place(a), "reuse-a", "connect", server.ip4, 7060, "w10")
    ta = rig.actors.told("reuse-a")[0]
    sa = rig.actors.told("reuse-s", 1)[0]
    rig.world.end_netns(a)
    a.phase = "Succeeded"
    rig.api.tell(a)
    rig.api.forget(a)
    b = rig.pod("shop", "new-2-bb", ("ReplicaSet", "new-2"), ip4=a.ip4, ip6=a.ip6)
    until(lambda: rig.agent.flows.read() and False, 0.3)
    rig.actors.run(rig.place(b), "reuse-b", "connect", server.ip4, 7060, "w10")
    tb = rig.actors.told("reuse-b")[0]
    sb = rig.actors.told("reuse-s", 2)[1]
    for name, t, local, remote in (("the old pod", ta, a, server), ("the new pod", tb, b, server),
                                   ("towards the old pod", sa, server, a),
                                   ("towards the new pod", sb, server, b)):
        rig.checks.test("address reuse: " + name, rig.compare(t, ends(local, remote)))
    rig.actors.kill(s)


BLURRED = 33070     # a port of the client's


def existing_begin(rig, client, server):
    """Connections that are open before the agent is."""
    s = rig.actors.start(rig.place(server), "old", "listen", server.ip4, 7070, "r10,w20,h,w5,R",
                         ready=True)
    c = rig.actors.start(rig.place(client), "old", "connect", server.ip4, 7070,
                         "w10,r20,h,w30,r5")
    n = rig.actors.start((None, rig.world.mkdir("system.slice/older.service")), "older", "connect",
                         server.ip4, 7070, "w10,r20,h,w30,r5")
    b = rig.actors.start((None, rig.world.mkdir("system.slice/older.service")), "blurred", "connect",
                         server.ip4, 7070, "w10,r20,h,w30,r5", "port=%d" % BLURRED)
    for p, held in ((s, 3), (c, 1), (n, 1), (b, 1)):
        rig.actors.held(p, held)
    return [s, c, n, b]


def existing_end(rig, client, server, running, service_known=True):
    until(lambda: "open before: " in rig.agent.log(), 20)   # the walk through /proc takes its time
    # The first with data never leaves this machine: what was sent does not tell who connected.
    rig.world.nft("add chain inet cut own { type filter hook output priority 0; }\n"
                  "add rule inet cut own tcp sport %d meta length > 60 numgen inc mod 1000 0 "
                  "counter drop" % BLURRED)
    for p in running:
        rig.actors.go(p)
    for p in running[1:]:
        p.wait(20)
    for t in rig.actors.told("old", 4):
        if t["role"] == "server" and t["remote"] != client.ip4:
            continue
        local, remote = (client, server) if t["role"] == "client" else (server, client)
        want = ends(local, remote)
        if not service_known:   # /proc tells whose namespace it is: the pod; no socket names its own in v1
            want["local.container"] = (None, local.containers[0].name)
        rig.checks.test("open before the agent, " + t["role"], rig.compare(t, want))
    # cgroup v1 owns no sockets, and nobody may look into another's descriptors: then it is unknown,
    # and no guess. What the node's address means is known either way.
    want = {"local.workload": "host/older.service"} if service_known else {
        "local.known_by": "unknown", "local.reason": "no_cgroup", "local.workload": None}
    want.update(end(server, "remote", known_by=("cgroup", "address")))
    rig.checks.test("open before the agent, the node's own",
                    rig.compare(rig.actors.told("older")[0], want))
    rig.checks.test("open before the agent, a packet dropped by the node itself",
                    ["no packet was dropped"] * ("packets 1 " not in rig.world.run(
                        ["nft", "list", "chain", "inet", "cut", "own"])) +
                    rig.compare(rig.actors.told("blurred")[0], want))
    before = 'kindred_reducer_untold_total{cause="began_before"}'
    rig.checks.test("what they had counted before is said not to be told to the reducer",
                    bool(until(lambda: rig.agent.metrics()[before] >= len(running))))
    for p in running:
        rig.actors.kill(p)


