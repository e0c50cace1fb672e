"""UDP, DNS, the reducer's copy, the ledger, and what a killed agent leaves."""

import json
import os
import re
import signal
import subprocess

from programs import NOBODY
from parts_tcp import SHAPES, pair
from rig import ends, until, retransmits
from world import hex_id

ALL_OF_THE_TEST = 40000     # sockets


def udp(rig, client, server):
    """Datagrams of every size, connected and not, over IPv4 and IPv6."""
    sizes = ",".join(str(n) for n in [1, 100, 512, 1400, 5000, 0] * 20)
    for family in ("ip4", "ip6"):
        s = rig.actors.start(rig.place(server), "udp-s" + family, "udp-serve",
                             getattr(server, family), 5300, ready=True)
        for kind in ("connected", "unconnected"):
            rig.actors.run(rig.place(client), "udp-%s%s" % (kind, family), "udp-send",
                           getattr(server, family), 5300, sizes, kind)
        rig.actors.end(s)
        ports = {t["remote_port"]: t for t in rig.actors.told("udp-s" + family, 2)}
        for kind in ("connected", "unconnected"):
            t = rig.actors.told("udp-%s%s" % (kind, family))[0]
            other = ports[t["local_port"]]
            t["local"] = getattr(client, family)
            rig.checks.test("UDP %s %s, client" % (kind, family),
                            compare_udp(rig, t, ends(client, server)))
            rig.checks.test("UDP %s %s, server" % (kind, family),
                            compare_udp(rig, other, ends(server, client)))


def compare_udp(rig, t, want, seconds=15):
    """The newest event has everything: the conversation is silent."""
    full = {"bytes_sent": t["written"], "bytes_received": t["read"],
            "segments_out": t["written_packets"], "segments_in": t["read_packets"],
            "direction": "out" if t["role"] == "client" else "in", **want}

    def settled():
        rows = rig.events(t, "udp")
        return rows and not rig.diff(rows[-1], full)
    until(settled, seconds)
    rows = rig.events(t, "udp")
    if not rows:
        return ["%s %s: no event" % (t["tag"], t["role"])]
    return ["%s %s: %s" % (t["tag"], t["role"], d) for d in rig.diff(rows[-1], full)]


def udp_drops(rig, client, server):
    """A server that does not read: what its queue cannot take is told apart from what it got."""
    for family in ("ip4", "ip6"):
        if family == "ip6" and [int(n) for n in os.uname().release.split(".")[:2]] < [6, 4]:
            rig.checks.skip("UDP drops ip6", "the kernel tells of them from 6.4 on (cannot run here)")
            continue
        tag = "drops" + family
        s = rig.actors.start(rig.place(server), tag, "udp-serve", getattr(server, family), 5301,
                             "silent", "stall", ready=True)
        rig.actors.run(rig.place(client), tag, "udp-send", getattr(server, family), 5301,
                       ",".join(["1000"] * 100), "silent")
        rig.actors.end(s)
        got = [t for t in rig.actors.told(tag, 2) if t["role"] == "server"][0]
        lost = 100 - got["read_packets"]
        rig.checks.test("UDP drops " + family, ["nothing was dropped"] * (lost == 0) +
                        compare_udp(rig, got, {**ends(server, client), "dropped": lost}))


ASKED = [   # name, type, response code, IPv4 and IPv6 answers
    ("a.shop.test", "A", 0, ["192.0.2.1", "192.0.2.2"], []),
    ("aaaa.shop.test", "AAAA", 0, [], ["2001:db8::1"]),
    ("nx.shop.test", "A", 3, [], []),
    ("Slow.Shop.test", "A", 0, ["192.0.2.1", "192.0.2.2"], []),
    ("never.shop.test", "A", None, [], []),
]


def dns(rig, client, server):
    s = rig.actors.start(rig.place(server), "dns-s", "dns-serve", server.ip4, 53, ready=True)
    # Names of this run: another may ask at the same time on this machine, and is heard as well.
    names = [(n.replace("test", "x" + hex_id(8)), *rest) for n, *rest in ASKED]
    rig.actors.run(rig.place(client), "dns", "dns-ask", server.ip4, 53,
                   *["%s/%s" % (n, t) for n, t, *_ in names])
    asked = {t["name"].lower(): t for t in rig.actors.told("dns", len(ASKED))}
    want = [n.lower() for n, *_ in names]

    def told(name=None):
        return [m for m in rig.messages("dns_response", "dns_timeout")
                if m["domain_name"] in ([name] if name else want)]
    until(lambda: len(told()) >= 2 * len(ASKED) - 1, 12)
    for name, _, rcode, v4, v6 in names:
        low = name.lower()
        kind = "dns_timeout" if rcode is None else "dns_response"
        got = [m for m in told(low) if m["what"] == kind]
        problems = [] if got else ["no %s; told: %s" % (kind, told(low))]
        for m in got:
            problems += dns_problems(m, asked[low], v4, v6)
        seen = sorted(m["client_server"] for m in got if kind == "dns_response")
        problems += ["ends %s" % seen] * (got != [] and rcode is not None and seen != [0, 1])
        rig.checks.test("DNS %s %s" % (name, rcode), problems)
    rig.actors.end(s)


def dns_problems(m, truth, v4, v6):
    """The client's end of one answer against what the client saw."""
    out = []
    if m["what"] == "dns_response" and (m["ipv4_addrs"], m["ipv6_addrs"]) != (v4, v6):
        out.append("answers %s %s, not %s %s" % (m["ipv4_addrs"], m["ipv6_addrs"], v4, v6))
    if m["domain_name"] != truth["name"].lower():
        out.append("name %s, not %s" % (m["domain_name"], truth["name"]))
    took = truth["end"] - truth["start"]
    if "latency_ns" in m and not 0 < m["latency_ns"] <= took:
        out.append("latency %d ns, but the client waited %d" % (m["latency_ns"], took))
    if "latency_ns" in m and truth["name"].lower().startswith("slow.") and \
            m["latency_ns"] < 200000000:
        out.append("latency %d ns of a slow answer" % m["latency_ns"])
    return out


def reducer_restart(rig, client, server, count):
    """The new reducer ends with what the old one held, and both hold what is open."""
    s = rig.actors.start(rig.place(server), "held", "listen", server.ip4, 7600, "r10,R", ready=True)
    c = rig.actors.start(rig.place(client), "held", "connect", server.ip4, 7600, "w10,h",
                         "count=%d" % count, "parallel=%d" % count)

    def table():
        return [k + (s["container"],) for k, s in rig.sockets().items() if 7600 in (k[1], k[3])]
    before = until(lambda: table() if len(table()) >= 2 * count else None) or table()
    rig.reducer.stop()
    rig.reducer.start()
    after = until(lambda: table() if len(table()) >= 2 * count else None) or table()
    rig.actors.go(c)
    truths = rig.actors.told("held", 2 * count)
    want = sorted((t["local"], t["local_port"], t["remote"], t["remote_port"],
                   (client if t["role"] == "client" else server).containers[0].id)
                  for t in truths)
    rig.checks.test("the reducer holds %d open sockets" % (2 * count), same(want, before))
    rig.checks.test("a restarted reducer holds the same", same(want, after))
    gone = until(lambda: not table())
    rig.checks.test("and lets go of them when they close", bool(gone) or
                    ["%d are left" % len(table())])
    rig.actors.kill(c)
    rig.actors.kill(s)


RESETS = {"rst_sent": [0], "rst_received": [1]}


def reducers_copy(rig, client, server):
    """What the reducer was told of connections that have ended: sums, ends, resets, time-outs."""
    told = {}

    def find(t):
        nonlocal told
        key = (t["local"], t["local_port"], t["remote"], t["remote_port"])
        if key not in told:
            told = rig.sockets(closed=True)
        return told.get(key)

    problems = []
    for i, (name, _, _, why_c, why_s) in enumerate(SHAPES):
        for family in ("ip4", "ip6"):
            for t in rig.actors.told("shape%d%s" % (i, family), 2):
                if rig.is_gone(t):
                    continue
                pod, why = (client, why_c) if t["role"] == "client" else (server, why_s)
                want = {"sent": t["written"] - t["outq"], "received": t["read"] + t["unread"],
                        "retrans": retransmits(t), "container": pod.containers[0].id,
                        "side": 1 if t["role"] == "client" else 2, "open": False,
                        "resets": RESETS.get(why, [])}
                got = until(lambda t=t: (find(t) or {"open": True})["open"] is False and find(t))
                diff = rig.diff(got, want) if got else ["not told, or not closed: %s" % find(t)]
                problems += ["%s %s %s: %s" % (name, family, t["role"], d) for d in diff]
    rig.checks.test("the reducer's sums, ends and resets", problems)
    told = rig.sockets(closed=True)
    problems = []
    for tag, family in (("syn4", "ip4"), ("syn6", "ip6")):
        t = rig.actors.told(tag)[0]
        if rig.is_gone(t):
            continue
        got = told.get((getattr(client, family), t["local_port"], t["remote"], 81))
        problems += rig.diff(got, {"syn_timeouts": 1}) if got else [tag + " is not told"]
    rig.checks.test("the reducer's SYN time-outs", problems)


def same(want, got):
    got = sorted(got)
    out = ["missing: %s" % (x,) for x in want if x not in set(got)]
    return out + ["too much: %s" % (x,) for x in got if x not in set(want)] + \
        ["%d, not %d" % (len(got), len(want))] * (len(got) != len(want))


def ledger(rig):
    """The agent's own metrics: what the kernel counted as started is reported, open or dropped, each of
    them counted for itself; `unaccounted` is what is left, and 0 once all is read."""
    m, p = {}, {}

    def balanced():
        nonlocal m, p
        m = rig.agent.metrics()
        p = {k: sum(v for n, v in m.items() if re.match(r"kindred_flows_%s(_total)?(\{|$)" % k, n)
                    and 'proto="udp"' not in n)
             for k in ("started", "reported", "open", "dropped", "unaccounted")}
        return p["started"] > 0 and p["unaccounted"] == 0 and \
            "kindred_flows_unaccounted" in m and \
            p["started"] == p["reported"] + p["open"] + p["dropped"] and \
            p["started"] >= m['kindred_kernel_events_total{event="sockets_started"}']
    # Somebody else's connections that begin just now are counted before they are told of.
    if not until(balanced):
        return ["out of balance: %s" % p] if p["started"] else [
            "no figures: %s" % sorted(n for n in m if "flow" in n)[:20]]
    # The programs see every socket of the machine: a storm of somebody else's may not fit.
    not_run = rig.agent.skipped() + rig.witness.all_in_process_1()
    return ["dropped: %s, not run: %d" % (p, not_run)] \
        if p["dropped"] > not_run and p["started"] < ALL_OF_THE_TEST else []


def bpf_ids(pid):
    """Programs and links that a process holds, by what /proc says of its files."""
    progs, links = set(), set()
    folder = "/proc/%d/fdinfo" % pid
    for fd in os.listdir(folder):
        try:
            with open(folder + "/" + fd, encoding="ascii", errors="replace") as f:
                text = f.read()
        except OSError:
            continue
        progs |= {int(x) for x in re.findall(r"^prog_id:\s*(\d+)", text, re.M)}
        links |= {int(x) for x in re.findall(r"^link_id:\s*(\d+)", text, re.M)}
    return progs, links


def bpftool(*args):
    text = subprocess.run(["bpftool", "-j", *args], capture_output=True, text=True,
                          check=False).stdout
    return json.loads(text or "[]")


def killed(rig):
    """-9 at any moment leaves no program and no link."""
    progs, links = bpf_ids(rig.agent.proc.pid)
    rig.checks.test("the agent holds programs and links", bool(progs and links))
    code = rig.agent.stop(signal.SIGKILL)
    rig.checks.test("the agent was killed", code == -signal.SIGKILL)
    left = []

    def clean():
        left[:] = ["program %s" % x["name"] for x in bpftool("prog", "list") if x.get("id") in progs]
        left.extend("link %d" % x["id"] for x in bpftool("link", "list") if x.get("id") in links)
        left.extend("%s at %s" % (x["name"], c["cgroup"])
                    for c in bpftool("cgroup", "tree", rig.world.top[0])
                    for x in c.get("programs", []) if x["id"] in progs)
        return not left
    until(clean, every=0.2)
    rig.checks.test("a killed agent leaves nothing attached", left)


def commands(rig, client, server):
    """The commands people type, as somebody else than the agent."""
    t, _ = pair(rig, "asked", client, server, "w10", "R", 7700)     # the history is short
    rig.last(t)
    r = rig.agent.command("flows", "-o", "json", "--last", "5m")
    rows = [json.loads(x) for x in r.stdout.splitlines() if x.startswith("{")]
    rig.checks.test("kindred flows knows the client", [] if any(
        client.name in json.dumps(x) for x in rows) else [
            "exit code %d, %d rows: %s %s" % (r.returncode, len(rows), r.stderr[:500],
                                              r.stdout[:500])])
    r = rig.agent.command("whois", client.ip4)
    rig.checks.test("kindred whois knows its address", [] if client.name in r.stdout else [
        "exit code %d: %s%s" % (r.returncode, r.stdout[:500], r.stderr[:500])])


def capabilities(rig, want):
    """The process has no capability beyond its tier, and is nobody."""
    with open("/proc/%d/status" % rig.agent.proc.pid, encoding="ascii") as f:
        text = f.read()
    bits = {"net_admin": 12, "perfmon": 38, "bpf": 39}
    mask = sum(1 << bits[c] for c in want)
    out = []
    for key in ("CapPrm", "CapEff", "CapBnd"):
        have = int(re.search(key + r":\s*(\w+)", text).group(1), 16)
        if have & ~mask:
            out.append("%s is %x" % (key, have))
    uid = re.search(r"Uid:\s*(\d+)", text).group(1)
    return out + ["user %s" % uid] * (uid != NOBODY)

