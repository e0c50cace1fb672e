"""Translated addresses: Services by nftables (kube-proxy), load balancers in connect(), masquerade."""

import time

from parts_other import compare_udp
from rig import end, ends, until
from world import GATEWAY4, GATEWAY6, NODE4, NODE6

BACKEND_PORT = 8080
V4, V6 = "ip4", "ip6"
SERVICE = {V4: "10.96.0.10", V6: "fd00:96::10"}
BALANCED = {    # what a balancer loaded then rewrites
    "before": {V4: "10.96.0.20", V6: "fd00:96::20"},
    "after": {V4: "10.96.0.21", V6: "fd00:96::21"},
}
NODE = {V4: NODE4, V6: NODE6}
TABLE = {V4: "ip", V6: "ip6"}
KNOWN = "cgroup", "address"


def make_backends(rig):
    """Two pods behind one Service, each a workload of its own: a mistake has another name."""
    return [rig.pod("shop", "backend-%s-7d-x" % x, ("StatefulSet", "backend-" + x)) for x in "ab"]


def serve(rig, pods, port, script, tag, family):
    return [rig.actors.start(rig.place(p), tag, "listen", getattr(p, family), port, script, ready=True)
            for p in pods]


def balance(rig, family, port, pods, target, proto="tcp"):
    """As kube-proxy does: each connection to the Service's port goes to one of the pods."""
    table = TABLE[family]
    choice = ", ".join("%d : %s . %d" % (i, getattr(p, family), target) for i, p in enumerate(pods))
    for chain in ("pre", "out"):
        rig.world.nft("add rule %s nat %s %s daddr %s %s dport %d dnat %s to numgen random mod %d map "
                      "{ %s }" % (table, chain, table, SERVICE[family], proto, port, table, len(pods),
                                  choice))


# ---- Services ------------------------------------------------------------------------------------

def services(rig, clients, backends):
    """Many clients, some of them at once, and the node's own programs: asked and backend are exact."""
    for family in (V4, V6):
        tag = "svc" + family
        balance(rig, family, 80, backends, BACKEND_PORT)
        servers = serve(rig, backends, BACKEND_PORT, "r100,w300,R", tag + "-s", family)
        own = rig.world.mkdir("system.slice/asker.service")
        for i, c in enumerate(clients):
            rig.actors.run(rig.place(c), "%s-%d" % (tag, i), "connect", SERVICE[family], 80,
                           "w100,r300", "count=6", "parallel=2")
        rig.actors.run((None, own), tag + "-own", "connect", SERVICE[family], 80, "w100,r300",
                       "count=2")
        seen = {(t["remote"], t["remote_port"]): t
                for t in rig.actors.told(tag + "-s", 6 * len(clients) + 2)}
        problems, used = [], set()
        for i, c in enumerate(clients):
            for t in rig.actors.told("%s-%d" % (tag, i), 6):
                other = seen[(t["local"], t["local_port"])]
                pod = pod_at(backends, other)
                used.add(other["local"])
                both_ends(rig, t, other, SERVICE[family], (ends(c, pod), ends(pod, c)), problems)
        rig.checks.test("Service %s: asked and backend are the programs' own" % family, problems)
        rig.checks.test("Service %s: both backends were used" % family, len(used) == 2)
        problems = []
        for t in rig.actors.told(tag + "-own", 2):
            other = seen[(t["local"], t["local_port"])]
            pod = pod_at(backends, other)
            both_ends(rig, t, other, SERVICE[family], (
                {"local.workload": "host/asker.service", **end(pod, "remote", known_by=KNOWN)},
                {**end(pod, "local"), "remote.workload": "host/asker.service"}), problems)
        rig.checks.test("Service %s: the node's own programs" % family, problems)
        for s in servers:
            rig.actors.kill(s)


def pod_at(pods, t):
    """The pod whose program wrote that line."""
    return [p for p in pods if t["local"] in (p.ip4, p.ip6)][0]


def both_ends(rig, t, other, vip, wants, problems):
    """The client's flow has the backend as its remote end, and the asked address beside it. Adds to
    `problems`; where there are some, nothing is waited for any more."""
    asked = {"asked.address": vip, "asked.port": t["remote_port"]}
    t = {**t, "remote": other["local"], "remote_port": other["local_port"]}
    for truth, want in ((t, {**asked, **wants[0]}), (other, {"asked": None, **wants[1]})):
        problems += rig.compare(truth, want, 0 if problems else 8)


def service_udp(rig, client, backends):
    """A conversation with a Service."""
    for family in (V4, V6):
        balance(rig, family, 53, backends, 5353, "udp")
        tag = "svcudp" + family
        servers = [rig.actors.start(rig.place(p), tag + "-s", "udp-serve", getattr(p, family), 5353,
                                    ready=True) for p in backends]
        rig.actors.run(rig.place(client), tag, "udp-send", SERVICE[family], 53, "100,200,300")
        for s in servers:
            rig.actors.end(s)
        t, other = rig.actors.told(tag)[0], rig.actors.told(tag + "-s")[0]
        pod = pod_at(backends, other)
        t["remote"], t["remote_port"] = other["local"], other["local_port"]
        rig.checks.test("Service %s by UDP, client" % family, compare_udp(rig, t, {
            "asked.address": SERVICE[family], "asked.port": 53, **ends(client, pod)}))
        rig.checks.test("Service %s by UDP, server" % family,
                        compare_udp(rig, other, {"asked": None, **ends(pod, client)}))


# ---- the same source port, again and again -------------------------------------------------------

REUSED = 20000      # the source port
AGAIN = [           # how they end, client's script, servers' script, refused by a third backend
    ("closed by the server", "w100,R", "r100,w300", False),
    ("reset by the client", "w100,r300,x", "r100,w300,R", False),
    ("reset by the server", "w100,r300,R", "r100,w300,q,d5,x", False),
    ("some refused", "w100,R", "r100,w300", True),
]


def reused_ports(rig, clients, backends, absent, count):
    """Clients bind one source port and ask one Service again and again: the addresses that the
    clients' own sockets have are the same for every connection, and the backends are not."""
    for i, (how, cs, ss, refused) in enumerate(AGAIN):
        for family in (V4, V6) if i == 0 else (V4,):
            reused(rig, "%s %s" % (how, family), clients,
                   {"pods": backends + [absent] * refused, "vip": SERVICE[family], "port": 90 + i,
                    "target": 8090 + i, "family": family}, (cs, ss), count)


def reused(rig, name, clients, service, scripts, count):
    family, tag = service["family"], "again-" + name
    tag = tag.replace(" ", "-")
    balance(rig, family, service["port"], service["pods"], service["target"])
    servers = serve(rig, service["pods"][:2], service["target"], scripts[1], tag + "-s", family)
    running = [rig.actors.start(rig.place(c), "%s-%d" % (tag, i), "connect", service["vip"],
                                service["port"], scripts[0], "count=%d" % count, "port=%d" % REUSED)
               for i, c in enumerate(clients)]
    for p in running:
        rig.actors.wait(p)
    answered = rig.actors.told(tag + "-s", 1)
    until(lambda: len(rig.actors.told(tag + "-s", 1)) == len(answered), 0.2)
    told, problems = [], []
    for i, c in enumerate(clients):
        truths = sorted(rig.actors.told("%s-%d" % (tag, i), count), key=lambda t: t["start"])
        told.append(again_client(rig, c, service, truths, tag, problems))
        for b in service["pods"][:2]:
            told.append(again_server(rig, c, b, service, tag, problems))
    for s in servers:
        rig.actors.kill(s)
    flows, doubts = sum(n for n, _ in told), sum(d for _, d in told)
    print("  reused ports, %s: %d flows, %d ambiguous" % (name, flows, doubts), flush=True)
    rig.checks.test("reused ports, %s: no wrong name" % name, problems)
    rig.checks.test("reused ports, %s: most are known" % name,
                    ["%d of %d are ambiguous" % (doubts, flows)] * (doubts * 2 > flows))
    counted = sum(v for k, v in rig.agent.metrics().items() if k.startswith("kindred_flows_in_doubt"))
    rig.checks.test("reused ports, %s: what is ambiguous is counted" % name, counted >= doubts)


def again_client(rig, client, service, truths, tag, problems):
    """(flows, of which in doubt) of a client, in order; adds to `problems`."""
    family = service["family"]
    answers = iter(sorted((t for t in rig.actors.told(tag + "-s", 1)
                           if t["remote"] == getattr(client, family)), key=lambda t: t["start"]))
    places = {getattr(p, family) for p in service["pods"]} | {service["vip"]}
    rows = rig.ended(getattr(client, family), REUSED, len(truths), lambda r: r["address"] in places and
                     r["port"] in (service["port"], service["target"]))
    doubts = 0
    problems += ["%s: %d flows of %d connections" % (client.name, len(rows), len(truths))
                 ] * (len(rows) != len(truths))
    for t, row in zip(truths, rows):
        pod = pod_at(service["pods"], next(answers)) if not t["error"] or t["read"] \
            else service["pods"][2]
        if in_doubt(row):
            doubts += 1
            problems += nobody(row)
            continue
        problems += row_problems(rig, row, {
            "event": "fail" if t["error"] == "ECONNREFUSED" else "close",
            "asked.address": service["vip"], "asked.port": service["port"],
            "remote.address": getattr(pod, family), "remote.port": service["target"],
            "bytes_received": t["read"], **ends(client, pod)})
    return len(rows), doubts


def again_server(rig, client, pod, service, tag, problems):
    family = service["family"]
    truths = sorted((t for t in rig.actors.told(tag + "-s", 1) if t["remote"] == getattr(client, family)
                     and t["local"] == getattr(pod, family)), key=lambda t: t["start"])
    rows = rig.ended(getattr(pod, family), service["target"], len(truths),
                     lambda r: (r["address"], r["port"]) == (getattr(client, family), REUSED))
    problems += ["%s: %d flows of %d connections" % (pod.name, len(rows), len(truths))
                 ] * (len(rows) != len(truths))
    doubts = 0
    for row in rows:
        if in_doubt(row):
            doubts += 1
            problems += nobody(row)
            continue
        problems += row_problems(rig, row, {"asked": None, **ends(pod, client)})
    return len(rows), doubts


def row_problems(rig, row, want):
    """One text a flow, with all that was said of it."""
    found = rig.diff(row, want)
    return ["%s: %s" % ("; ".join(found), row)] if found else []


def in_doubt(row):
    return row["remote"].get("reason") == "ambiguous"


def nobody(row):
    """Who is in doubt has no name at all."""
    return ["in doubt, and called %s" % row["remote"]] * bool(
        row["remote"].get("pod") or row["remote"].get("workload"))


# ---- load balancers in connect() -----------------------------------------------------------------

def rewriters(rig, server, when, root=None):
    """A socket load balancer's programs, for IPv4 and IPv6, at the root of the v2 hierarchy."""
    root = root or rig.v2
    return [rig.actors.start((None, []), "lb", "rewrite", root, vip, 80, getattr(server, family),
                             BACKEND_PORT, ready=True) for family, vip in BALANCED[when].items()]


def rewritten(rig, client, server, asked=True):
    """The balancers were loaded before the agent, and after it. Without `asked` the backend is right
    and nothing is said of the address that was asked for."""
    for when, vips in BALANCED.items():
        for family, vip in vips.items():
            tag = "lb-%s-%s" % (when, family)
            s = serve(rig, [server], BACKEND_PORT, "r100,w300,R", tag + "-s", family)[0]
            rig.actors.run(rig.place(client), tag, "connect", vip, 80, "w100,r300")
            t, other = rig.actors.told(tag)[0], rig.actors.told(tag + "-s")[0]
            t["remote"], t["remote_port"] = other["local"], other["local_port"]
            want = {"asked.address": vip, "asked.port": 80} if asked else {"asked": None}
            name = "balancer loaded %s the agent, %s" % (when, family)
            rig.checks.test(name + ", client", rig.compare(t, {**want, **ends(client, server)}))
            rig.checks.test(name + ", server", rig.compare(other, {"asked": None,
                                                                   **ends(server, client)}))
            rig.actors.kill(s)


def asked_is_off(rig, why):
    """Said with its reason at the start, and in the metrics."""
    log = rig.agent.log()
    line = [x for x in log.splitlines() if " flows: on, " in x]
    said = any(part.startswith(" off: ") and "asked" in part and part.endswith("(%s)" % why)
               for part in (line or [""])[0].split(";"))
    on = rig.agent.metrics().get('kindred_flow_feature_on{feature="asked"}')
    rig.checks.test("asked is off, and it says why", ["not said to be off for %r: %s" % (why, line)
                                                      ] * (not said) +
                    ["kindred_flow_feature_on is %s" % on] * (on != 0))


# ---- masquerade ----------------------------------------------------------------------------------

MASKED = 7800       # ports from here on leave by the node's address,
INTERFACE = 7900    # and from here on by the one of its interface there
MASKED_UDP = 5800
SEEN_AS = {MASKED: NODE, INTERFACE: {V4: GATEWAY4, V6: GATEWAY6}}


def masquerade_begin(rig):
    for family, table in TABLE.items():
        for match, how in (("tcp dport %d-%d" % (MASKED, MASKED + 99), "snat to " + NODE[family]),
                           ("udp dport %d" % MASKED_UDP, "snat to " + NODE[family]),
                           ("tcp dport %d" % INTERFACE, "masquerade")):
            rig.world.nft("add rule %s nat post %s saddr != %s %s %s" % (table, table, NODE[family],
                                                                         match, how))


def visit(rig, tag, client, server, port, family, asked=None, *more):
    """One connection, to the server or to (address, port); (client's truth, server's truth)."""
    s = serve(rig, [server], port, "r100,w300,R", tag + "-s", family)[0]
    address, at = asked or (getattr(server, family), port)
    where = client if isinstance(client, tuple) else rig.place(client)
    rig.actors.run(where, tag, "connect", address, at, "w100,r300", *more)
    out = rig.actors.told(tag)[0], rig.actors.told(tag + "-s")[0]
    rig.actors.kill(s)
    return out


def masked(rig, visited, client, server, asked=None):
    """Both ends of a pod's connection that the server sees as the node's."""
    t, other = visited
    t = {**t, "remote": other["local"], "remote_port": other["local_port"]}
    asked = {"asked.address": asked[0], "asked.port": asked[1]} if asked else {"asked": None}
    seen = [a[f] for a in SEEN_AS.values() for f in a]
    return ["the server saw %s" % other["remote"]] * (other["remote"] not in seen) + \
        rig.compare(t, {**asked, **ends(client, server)}) + \
        rig.compare(other, {"asked": None, **ends(server, client)})


def masquerade(rig, clients, server):
    """Pods that leave by the node's address are themselves, not the node."""
    done = []
    for family in (V4, V6):
        for port in SEEN_AS:
            done.append(("a pod, port %d, %s" % (port, family), clients[0], None, visit(
                rig, "mask%d%s" % (port, family), clients[0], server, port, family)))
        # A Service whose every client is masqueraded, and one that leads back to who asks.
        for i, (name, c) in enumerate((("a Service", clients[0]), ("one's own Service", server))):
            asked = (SERVICE[family], 70 + i)
            balance(rig, family, asked[1], [server], MASKED + 1 + i)
            done.append(("%s, %s" % (name, family), c, asked, visit(
                rig, "mask%d%s" % (i, family), c, server, MASKED + 1 + i, family, asked)))
    for name, c, asked, visited in done:
        rig.checks.test("masquerade, " + name, masked(rig, visited, c, server, asked))
    same_port(rig, clients, server)
    node_itself(rig, server)
    masked_udp(rig, clients[0], server)


def same_port(rig, clients, server):
    """Two pods have one source port at once: the kernel gives the second another one."""
    s = serve(rig, [server], MASKED + 5, "r100,w300,R", "twice-s", V4)[0]
    running = [rig.actors.start(rig.place(c), "twice%d" % i, "connect", server.ip4, MASKED + 5,
                                "w100,r300,h", "port=%d" % REUSED) for i, c in enumerate(clients)]
    for p in running:
        rig.actors.held(p)
    for p in running:
        rig.actors.go(p)
        rig.actors.wait(p)
    by_port = sorted(rig.actors.told("twice-s", len(clients)), key=lambda t: t["start"])
    rig.actors.kill(s)
    problems = ["they share a port"] * (len({t["remote_port"] for t in by_port}) != len(clients))
    rows = []
    for t in by_port:
        row = rig.last(t) or {}
        problems += rig.diff(row, {"remote.address": NODE4, **end(server, "local")})
        rows.append(row.get("remote", {}).get("pod"))
    problems += ["seen: %s" % rows] * (sorted(map(str, rows)) != sorted(c.name for c in clients))
    for i, c in enumerate(clients):
        problems += rig.compare(rig.actors.told("twice%d" % i)[0], ends(c, server))
    rig.checks.test("masquerade, one source port of two pods at once", problems)


def masked_in_turn(rig, clients, server, rounds):
    """The node's address and one port are a pod's now, and another's when conntrack has forgotten the
    first: nobody has the other's name."""
    with open("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close", "w", encoding="ascii") as f:
        f.write("1")
    s = serve(rig, [server], MASKED + 6, "r100,w300,R", "turn-s", V4)[0]
    order = []
    for i in range(rounds):
        c = clients[i % len(clients)]
        order.append(c)
        rig.actors.run(rig.place(c), "turn%d" % i, "connect", server.ip4, MASKED + 6, "w100,r300,x",
                       "port=%d" % (REUSED + 1))
        time.sleep(1.1)
    truths = sorted(rig.actors.told("turn-s", rounds), key=lambda t: t["start"])
    rig.actors.kill(s)
    rows = rig.ended(server.ip4, MASKED + 6, rounds)
    problems = ["%d flows of %d" % (len(rows), rounds)] * (len(rows) != rounds)
    doubts = 0
    for c, row in zip(order, rows):
        doubts += in_doubt(row)
        problems += nobody(row) if in_doubt(row) else rig.diff(row, ends(server, c))
    print("  masquerade in turn: %d ports, %d flows, %d ambiguous" % (
        len({t["remote_port"] for t in truths}), len(rows), doubts), flush=True)
    rig.checks.test("masquerade, one source port of two pods in turn", problems +
                    ["%d are ambiguous" % doubts] * (doubts * 4 > rounds))


def node_itself(rig, server, masked_too=True):
    """A program of the node has the node's address as its own, or gets it on its way out."""
    own = (None, rig.world.mkdir("system.slice/node-own.service"))
    for name, more in [("own", ["from=" + NODE4])] + [("masked", [])] * masked_too:
        _, other = visit(rig, "node-" + name, own, server, MASKED + 7, V4, None, *more)
        rig.checks.test("a program of the node, its address %s" % name, rig.compare(
            other, {**end(server, "local"), "remote.workload": "host/node-own.service",
                    "remote.address": NODE4}))


def masked_udp(rig, client, server):
    for family in (V4, V6):
        tag = "maskudp" + family
        s = rig.actors.start(rig.place(server), tag + "-s", "udp-serve", getattr(server, family),
                             MASKED_UDP, ready=True)
        rig.actors.run(rig.place(client), tag, "udp-send", getattr(server, family), MASKED_UDP,
                       "100,200")
        rig.actors.end(s)
        other = rig.actors.told(tag + "-s")[0]
        rig.checks.test("masquerade by UDP " + family,
                        ["the server saw %s" % other["remote"]] * (other["remote"] != NODE[family]) +
                        compare_udp(rig, other, ends(server, client)))


def without_conntrack(rig, client, server):
    """Where conntrack cannot be read, what is translated is unknown: nobody, and not the node."""
    nobody_is = {"remote.known_by": "unknown", "remote.pod": None, "remote.workload": None}
    done = []
    for family in (V4, V6):
        for port, address in SEEN_AS.items():
            _, other = visit(rig, "blind%d%s" % (port, family), client, server, port, family)
            done.append(("masquerade %s, server" % address[family], other, {
                **end(server, "local"), "remote.address": address[family], **nobody_is,
                "remote.reason": "translated"}))
        balance(rig, family, 80, [server], BACKEND_PORT)
        t, other = visit(rig, "blindsvc" + family, client, server, BACKEND_PORT, family,
                         (SERVICE[family], 80))
        done.append(("Service %s, client" % family, t, {
            **end(client, "local"), "asked": None, "remote.address": SERVICE[family], **nobody_is}))
        done.append(("Service %s, server" % family, other, ends(server, client)))
    for name, t, want in done:
        rig.checks.test("without conntrack, " + name, rig.compare(t, want))
    node_itself(rig, server, False)
    counted = rig.agent.metrics().get('kindred_flows_unknown_remote_total{reason="translated"}', 0)
    rig.checks.test("what is translated is counted", ["%d" % counted] * (counted < 4))
