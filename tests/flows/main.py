"""Flows against real kernel events: programs of known deeds in pods of known names, and an agent
with one tier's capabilities that has to say the same. tests/flows/README.md has the plan.

    test-flows.sh [PART...]       PART: full, trace, none, hybrid, nodes

Runs in a network and a mount namespace of its own (test-flows.sh makes them)."""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import parts_nat as nat
import parts_nodes as across
import parts_other as other
import parts_tcp as tcp
from programs import TIERS
from rig import Checks, Rig, until
from witness import Witness

STREAM_SECONDS = 10
ALL_AT_ONCE = "--flow-max", "100000"    # a quarter may have ended before the file has them


def seconds(name, begin):
    print("  %-34s %5.1f s" % (name, time.monotonic() - begin), flush=True)


class Script:
    """Runs parts in order, and says how long each took. FLOWS_ONLY: a pattern of names."""

    def __init__(self, checks):
        self.checks = checks
        self.only = re.compile(os.environ.get("FLOWS_ONLY", ""))

    def __call__(self, name, run, *args):
        if not self.only.search(name):
            return
        begin = time.monotonic()
        self.checks.part(name, lambda: run(*args))
        seconds(name, begin)


def full(rig, part, short):
    """Everything, with CAP_NET_ADMIN, cgroup v2 and a cluster's view."""
    checks = rig.checks
    server = tcp.make_server(rig)
    pods = tcp.make_styles(rig)
    client = pods[0]
    backends = nat.make_backends(rig)
    balancers = nat.rewriters(rig, server, "before")
    existing = tcp.existing_begin(rig, client, server)
    rig.start_agent("cluster", "--flow-refresh", "1s", "--udp-idle", "5s", "--dns-timeout", "3s",
                    "--flow-pending", "10s", *ALL_AT_ONCE)
    checks.test("exactly one tier's capabilities", other.capabilities(rig, TIERS["full"]))
    balancers += nat.rewriters(rig, server, "after")
    nat.masquerade_begin(rig)
    part("before the agent", tcp.existing_end, rig, client, server, existing)
    streams = tcp.streams_begin(rig, client, server, STREAM_SECONDS)
    mute = tcp.timed_out_begin(rig, client, server)
    queue = tcp.queue_begin(rig, client, server)
    part("names", tcp.names, rig, server, pods)
    part("host service", tcp.host_service, rig, server)
    part("shared namespace", tcp.shared_namespace, rig, server)
    part("host network", tcp.host_network, rig, server)
    part("move", tcp.moving, rig, server)
    part("late pods", tcp.late, rig, server)
    part("address reuse", tcp.address_reuse, rig, server)
    part("refused", tcp.refused, rig, client, server)
    part("refused, unbound", tcp.unbound, rig, client, server)
    part("shapes", tcp.shapes, rig, client, server)
    part("loss", tcp.loss, rig, client, server)
    part("time-outs", tcp.timed_out_end, rig, client, server, mute)
    part("full accept queue", tcp.queue_end, rig, client, server, queue)
    part("streams", tcp.streams_end, rig, client, server, streams)
    part("Services", nat.services, rig, pods[:3], backends)
    part("Services, UDP", nat.service_udp, rig, client, backends)
    part("reused ports", nat.reused_ports, rig, pods[:2], backends, server, 15)
    part("balancers", nat.rewritten, rig, client, server)
    part("masquerade", nat.masquerade, rig, pods[:2], server)
    part("masquerade in turn", nat.masked_in_turn, rig, pods[:2], server, 6)
    part("UDP", other.udp, rig, client, server)
    part("UDP drops", other.udp_drops, rig, client, server)
    part("DNS", other.dns, rig, client, server)
    part("the reducer's copy", other.reducers_copy, rig, client, server)
    part("reducer restart", other.reducer_restart, rig, client, server, 200 if short else 1000)
    part("silence", tcp.silence, rig, client, server)
    part("burst", tcp.burst, rig, client, server, 2000 if short else 10000)
    part("stopped", tcp.stopped, rig, client, server, 9000)
    part("commands", other.commands, rig, client, server)
    part("ledger", lambda: checks.test("ledger", other.ledger(rig)))
    part("kill", other.killed, rig)
    for b in balancers:
        rig.actors.kill(b)


def trace(rig, part, short):
    """Without CAP_NET_ADMIN, and a node's view."""
    checks = rig.checks
    server = tcp.make_server(rig)
    pods = tcp.make_styles(rig)
    client = pods[1]
    balancers = nat.rewriters(rig, server, "before")
    existing = tcp.existing_begin(rig, client, server)
    rig.start_agent("node", "--flow-refresh", "1s", "--flow-pending", "10s", *ALL_AT_ONCE)
    balancers += nat.rewriters(rig, server, "after")
    nat.masquerade_begin(rig)
    part("before the agent", tcp.existing_end, rig, client, server, existing)
    checks.test("exactly one tier's capabilities", other.capabilities(rig, TIERS["trace"]))
    nat.asked_is_off(rig, "needs CAP_NET_ADMIN")
    streams = tcp.streams_begin(rig, client, server, 5)
    part("names", tcp.names, rig, server, pods)
    part("host service", tcp.host_service, rig, server)
    part("shared namespace", tcp.shared_namespace, rig, server)
    part("host network", tcp.host_network, rig, server)
    part("move", tcp.moving, rig, server)
    part("late pods", tcp.late, rig, server)
    part("address reuse", tcp.address_reuse, rig, server)
    part("refused", tcp.refused, rig, client, server)
    part("shapes", tcp.shapes, rig, client, server, ("ip4",))
    part("balancers", nat.rewritten, rig, client, server, False)
    part("without conntrack", nat.without_conntrack, rig, client, server)
    part("loss", tcp.loss, rig, client, server)
    part("streams", tcp.streams_end, rig, client, server, streams)
    part("silence", tcp.silence, rig, client, server)
    part("burst", tcp.burst, rig, client, server, 500 if short else 2000)
    part("stopped", tcp.stopped, rig, client, server, 9000)
    part("ledger", lambda: checks.test("ledger", other.ledger(rig)))
    checks.test("the agent ends with exit code 0", rig.agent.stop() == 0)
    for b in balancers:
        rig.actors.kill(b)


def hybrid(rig, part, short):
    """Pods are known by cgroup v1 directories alone."""
    del short
    server = tcp.make_server(rig)
    pods = tcp.make_styles(rig)
    client = pods[0]
    equal = tcp.equal_begin(rig, rig.v2)
    balancers = nat.rewriters(rig, server, "before")
    existing = tcp.existing_begin(rig, client, server)
    rig.start_agent("cluster", "--flow-refresh", "1s", "--udp-idle", "5s")
    balancers += nat.rewriters(rig, server, "after")
    nat.masquerade_begin(rig)
    part("before the agent", tcp.existing_end, rig, client, server, existing, False)
    part("equal numbers", tcp.equal_end, rig, server, equal)
    part("names", tcp.names, rig, server, pods)
    part("host service", tcp.host_service, rig, server)
    part("shared namespace", tcp.shared_namespace, rig, server)
    part("host network", tcp.host_network, rig, server)
    part("move", tcp.moving, rig, server)
    part("late pods", tcp.late, rig, server)
    part("refused", tcp.refused, rig, client, server)
    part("shapes", tcp.shapes, rig, client, server, ("ip4",))
    part("balancers", nat.rewritten, rig, client, server, False)
    part("Services", nat.services, rig, pods[:2], nat.make_backends(rig))
    part("masquerade", nat.masquerade, rig, pods[:2], server)
    part("UDP", other.udp, rig, client, server)
    part("burst", tcp.burst, rig, client, server, 500)
    part("ledger", lambda: rig.checks.test("ledger", other.ledger(rig)))
    rig.checks.test("the agent ends with exit code 0", rig.agent.stop() == 0)
    for b in balancers:
        rig.actors.kill(b)


def none(rig, part, short):
    """Without capabilities the rest of the agent works, and says what is off."""
    del part, short
    rig.pod("shop", "quiet-1-aa", ("ReplicaSet", "quiet-1"))
    rig.start_agent("cluster", "--flows", "auto")
    log = rig.agent.log()
    rig.checks.test("it says that flows are off, and why",
                    [] if "flows: off" in log and "CAP_BPF" in log else [log[-1000:]])
    rig.checks.test("the reducer is told of pods all the same", bool(until(
        lambda: [r for r in rig.reducer.lines.read() if r["event"] == "pod"])))
    rig.checks.test("the agent ends with exit code 0", rig.agent.stop() == 0)


def nodes(rig, part, short):
    """Two nodes, whose agents know each other's pods by the collector's feed alone."""
    del short
    if not shutil.which("openssl"):
        rig.checks.skip("nodes", "no openssl (cannot run here)")
        return
    pair = across.Pair(rig, rig.v2)
    try:
        pods, first = across.make_pods(pair), across.holder(pair, 0)
        part("TCP across", across.tcp, pair, pods)
        part("UDP across", across.udp, pair, pods)
        part("a Service across", across.service, pair, pods)
        part("node addresses", across.node_address, pair, pods)
        part("reuse across", across.reuse, pair, pods, first)
        part("both ends are named", pair.settle)
        rig.checks.test("agents ask for their own node's pods alone", across.asked_for(pair))
        rig.checks.test("both agents end with exit code 0", across.ended_well(pair))
    finally:
        left = pair.close()
        rig.checks.test("nothing is left of node 2", left)


PARTS = {   # name: script, tier, hierarchies that pods are in, what --cgroup-root shows
    "full": (full, "full", "v2", "v2"),
    "trace": (trace, "trace", "v2", "v2"),
    "none": (none, "none", "v2", "v2"),
    "hybrid": (hybrid, "full", "v1", "both"),
    "nodes": (nodes, "full", "v2", "v2"),
}


def mounts(work):
    """A cgroup v2 hierarchy by itself, and the machine's v1 memory hierarchy where there is one."""
    v2 = work + "/cgroup2"
    os.mkdir(v2)
    subprocess.run(["mount", "-t", "cgroup2", "none", v2], check=True)
    v1 = "/sys/fs/cgroup/memory"
    return v2, v1 if os.path.exists(v1 + "/cgroup.procs") else None


def run_part(name, checks, programs, work, v2, v1, witness):
    script, tier, where, root = PARTS[name]
    if where == "v1" and not v1:
        checks.skip(name, "no cgroup v1 memory hierarchy (cannot run here)")
        return
    print("%s:" % name, flush=True)
    rig = Rig(checks, programs, work, name, tier, [v1 if where == "v1" else v2],
              "/sys/fs/cgroup" if root == "both" else v2, witness)
    rig.v2 = v2
    try:
        checks.part(name, lambda: script(rig, Script(checks), bool(os.environ.get("FLOWS_SHORT"))))
    finally:
        failed = checks.failed
        left = rig.close()
        checks.test("nothing is left of the test's cgroups", left)
        if failed and rig.agent and rig.agent.n:
            print("--- the agent's last words\n" + rig.agent.log()[-3000:], flush=True)


def stop(*_):
    raise KeyboardInterrupt


def main():
    o = sys.argv[1]
    seed = int(os.environ.get("SEED") or random.randrange(1 << 32))
    random.seed(seed)
    print("seed %d" % seed, flush=True)
    signal.signal(signal.SIGTERM, stop)
    checks = Checks()
    work = tempfile.mkdtemp(prefix="kindred-flows-")
    os.chmod(work, 0o755)
    v2 = None
    witness = Witness(work)
    try:
        v2, v1 = mounts(work)
        programs = {"kindred": o + "/kindred", "actor": o + "/actor"}
        for name in sys.argv[2:] or PARTS:
            checks.part(name, lambda name=name: run_part(name, checks, programs, work, v2, v1,
                                                         witness))
    finally:
        witness.close()
        if v2:
            subprocess.run(["umount", v2], check=False)
        if not os.environ.get("KEEP"):
            shutil.rmtree(work, ignore_errors=True)
        else:
            print("kept: " + work)
        print("%d passed, %d failed, %d skipped" % (checks.passed, checks.failed, checks.skipped))
    return 1 if checks.failed else 0


sys.exit(main())
