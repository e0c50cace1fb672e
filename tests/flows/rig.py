"""One agent between a world of namespaces, an API server and a reducer; and how its flows are held
against what the actors say they did."""

import re
import traceback

from kubeapi import KubeApi
from programs import PATIENCE, Actors, Agent, Reducer, until
from world import Container, Pod, World

LAST = ("close", "fail", "drop")    # events that end a flow
# Sent again after the program's last look, where the other side has no CPU for 200 ms, 400, 800, ...
FIN_AGAIN = 4
SEGMENT = 500   # bytes: less than the smallest one that is full


class Checks:
    """Counted tests. One test is one thing that can be wrong, however many flows prove it."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.where = ""

    def test(self, name, problems):
        """`problems`: a list of texts, or a bool that says all is well."""
        if problems is True or problems == []:
            self.passed += 1
            return True
        self.failed += 1
        if isinstance(problems, (list, tuple)):
            more = ["  ... %d more" % (len(problems) - 5)] if len(problems) > 5 else []
            text = "\n".join(["  " + str(p) for p in problems[:5]] + more)
        else:
            text = ""
        print("FAILED %s: %s\n%s" % (self.where, name, text), flush=True)
        return False

    def part(self, name, run):
        """A part that stumbles is one failed test; the rest goes on."""
        try:
            run()
        except Exception:   # whatever it is, it is this part's failure
            self.test(name + " runs to its end", [traceback.format_exc()])

    def skip(self, name, why):
        self.skipped += 1
        print("skipped: %s: %s" % (name, why), flush=True)


class Rig:
    """A node with all that there is in a cluster; or, `beside` another rig, a second one, which has
    neither an API server nor a reducer of its own."""

    def __init__(self, checks, programs, work, name, tier, hierarchies, cgroup_root, witness=None,
                 beside=None):
        self.checks, self.name, self.tier, self.beside = checks, name, tier, beside
        self.world = self.api = self.reducer = self.agent = self.actors = None
        self.witness = beside.witness if beside else witness
        self.programs, self.work = programs, work
        self.cgroup_root = cgroup_root
        self.index, self.read = {}, 0       # flow key -> its events, in order
        self.over = {}                      # local address and port -> the last events of flows
        self.lost = []
        self.gone = set()                   # flows whose end the agent does not have
        self.not_run = set()                # no program was run for them
        checks.where = name
        try:
            self.world = World(programs["actor"], hierarchies, 2 if beside else 1)
            self.api = beside.api if beside else KubeApi()
            self.api_url = self.api.url
            if not beside:
                self.reducer = Reducer(programs["kindred"], work)
                self.reducer.start()
            self.agent = Agent(programs["kindred"], work, name, tier, self.world.enter)
            self.actors = Actors(programs["actor"], self.agent.work)
        except BaseException:
            self.close()
            raise

    def start_agent(self, scope="cluster", *more):
        self.agent.start("--scope", scope, "--node-name", self.world.name, "--api-server", self.api_url,
                         "--streaming-list", "off", "--encoding", "json", "--api-qps", "1000",
                         "--api-burst", "1000",
                         "--intake-host", "127.0.0.1",
                         "--intake-port", str(self.reducer.port if self.reducer else 9),
                         "--cgroup-root", self.cgroup_root,
                         *(("--flows", "on") if "--flows" not in more else ()), *more)
        if not until(lambda: self.agent.proc.poll() is not None or self.ready(), 20):
            raise RuntimeError("the agent is not ready:\n" + self.agent.log()[-3000:])
        if self.agent.proc.poll() is not None:
            raise RuntimeError("the agent ended with %d:\n%s" % (
                self.agent.proc.returncode, self.agent.log()[-3000:]))

    def ready(self):
        """Pods are synced and programs attached: both are said in the log."""
        log = self.agent.log()
        return "pods: synced" in log and "flows" in log

    def close(self):
        left = []
        for part in (self.actors, None if self.beside else self.api):
            if part:
                part.close()
        if self.agent and self.agent.proc:
            self.agent.stop()
        if self.reducer:
            self.reducer.stop()
        if self.world:
            left = self.world.close()
        return left

    # -- pods

    def pod(self, ns, name, owner=None, told=True, ip4=None, ip6=None, **more):
        pod = self.world.add(Pod(ns, name, owner, node=self.world.name, **more), ip4, ip6)
        if told:
            self.api.tell(pod)
        return pod

    def place(self, pod, container=0):
        return (pod.netns, pod.containers[container].dirs)

    # -- what the agent says

    def pull(self):
        rows = self.agent.flows.read()
        for row in rows[self.read:]:
            if "proto" not in row:      # what a slow reader lost, as a count
                self.lost.append(row)
                continue
            if row.get("netns") and row["netns"] not in self.world.spaces:
                continue    # another run of this test, with the same addresses
            key = (row["proto"], row["local"]["address"], row["local"]["port"],
                   row["remote"]["address"], row["remote"]["port"])
            self.index.setdefault(key, []).append(row)
            if row["event"] in LAST:
                self.over.setdefault(key[1:3], []).append(row)
        self.read = len(rows)

    def events(self, truth, proto="tcp"):
        """All events of the flow that this line of truth is about."""
        self.pull()
        return self.index.get((proto, truth["local"], truth["local_port"],
                               truth["remote"], truth["remote_port"]), [])

    def ended(self, address, port, n, match=lambda remote: True, seconds=8):
        """The last events of n flows with this local end and a remote end that matches, in the order
        of their starts."""
        def rows():
            self.pull()
            return [r for r in self.over.get((address, port), []) if match(r["remote"])]
        until(lambda: len(rows()) >= n, seconds)
        return sorted(rows(), key=lambda r: r["start"])

    def last(self, truth, seconds=PATIENCE, proto="tcp"):
        """The event that ended it; None when it did not come."""
        def ended():
            rows = [r for r in self.events(truth, proto) if r["event"] in LAST]
            return rows[-1] if rows else None
        return until(ended, seconds)

    # -- what the reducer was told, on its newest connection

    def messages(self, *names):
        """Each message is one flat object; addresses are text."""
        out, conn = [], None
        for row in self.reducer.lines.read():
            if row["event"] == "connect":
                conn, out = row["conn"], []
            elif row["event"] == "message" and row["conn"] == conn:
                if not names or row["name"] in names:
                    out.append({**row["fields"], **row.get("addresses", {}), "what": row["name"]})
        return out

    def sockets(self, closed=False):
        """TCP sockets as the messages have them, by addresses: container, sums, whether open."""
        cgroups, pids, socks, out = {}, {}, {}, {}
        for m in self.messages():
            what, sock = m["what"], socks.get(m.get("sk"))
            if what == "cgroup_create":
                cgroups[m["cgroup"]] = m
            elif what in ("pid_info_create", "pid_cgroup_move"):
                pids[m["pid"]] = m["cgroup"]
            elif what == "new_sock_info":
                socks[m["sk"]] = {"cgroup": pids.get(m["pid"]), "open": True, "sent": 0,
                                  "received": 0, "retrans": 0, "resets": [], "syn_timeouts": 0}
            elif sock is None:
                continue
            elif what in ("set_state_ipv4", "set_state_ipv6"):
                out[(m["src"], m["sport"], m["dest"], m["dport"])] = sock
                sock["side"] = m["tx_rx"]
                sock["container"] = container_of(cgroups, sock["cgroup"])
            elif what == "socket_stats":
                sock["received" if m["is_rx"] else "sent"] += m["diff_bytes"]
                sock["retrans"] += 0 if m["is_rx"] else m["diff_retrans"]
            elif what == "tcp_reset":
                sock["resets"].append(m["is_rx"])
            elif what == "syn_timeout":
                sock["syn_timeouts"] += 1
            elif what == "nat_remapping":
                sock["nat"] = m
            elif what == "close_sock_info":
                socks.pop(m["sk"])["open"] = False
        return out if closed else {k: s for k, s in out.items() if s["open"]}

    def diff(self, row, want):
        """Texts for what differs; `a.b` looks into an object."""
        out = []
        for key, value in want.items():
            at = row
            for part in key.split("."):
                at = at.get(part) if isinstance(at, dict) else None
            if at != value and not (isinstance(value, (tuple, set)) and at in value):
                out.append("%s is %r, not %r" % (key, at, value))
        return out

    def excused(self, truth, row):
        """The agent lost this end, or does not tell it until the socket's address comes again, and the
        kernel did not run its program for this one, too: it says so, or the trace shows why."""
        if row and row.get("reason") != "close_lost":
            return False
        key = gone_key(truth)
        if key not in self.not_run and self.witness.in_process_1(truth):
            self.not_run.add(key)
            print("excused: the end of %s %s came in process 1, where this kernel runs no programs" % (
                truth["tag"], truth["role"]), flush=True)
        if key not in self.not_run:
            self.gone.add(key)
        return key in self.not_run or len(self.gone) <= self.agent.skipped()

    def is_gone(self, truth):
        """Its end was excused."""
        return gone_key(truth) in self.gone | self.not_run

    def compare(self, truth, want, seconds=PATIENCE):
        """Problems of one flow: its bytes, retransmits and whatever else is wanted."""
        row = self.last(truth, seconds)
        if self.excused(truth, row):
            return []
        name = "%s %s %s:%s>%s:%s" % (truth["tag"], truth["role"], truth["local"],
                                      truth["local_port"], truth["remote"], truth["remote_port"])
        if not row or row.get("reason") == "close_lost":
            return ["%s: no end; events: %s; lost: %s; ends not had: %d, runs skipped: %d" % (
                name, [r["event"] for r in self.events(truth)], self.lost, len(self.gone),
                self.agent.skipped())]
        full = {"bytes_sent": truth["written"] - truth["outq"],
                "bytes_received": truth["read"] + truth["unread"],
                "retransmits": retransmits(truth),
                "direction": "out" if truth["role"] == "client" else "in"}
        full.update(want)
        return ["%s: %s" % (name, d) for d in self.diff(row, full)]


def gone_key(truth):
    return tuple(truth[k] for k in ("tag", "role", "local_port", "remote", "remote_port"))


def retransmits(truth):
    """The kernel's count; a FIN that was still to be sent may be sent more than once, and so may what
    was under way when that count was taken."""
    n = truth["retrans"]
    return n if truth["over"] else tuple(range(n, n + 1 + FIN_AGAIN + truth["left"] // SEGMENT))


def container_of(cgroups, cgroup):
    """The 64 hex digits in the names from here upwards; as a reducer finds a container."""
    while cgroup in cgroups:
        found = re.findall(r"[0-9a-f]{64}", str(cgroups[cgroup]["name"]))
        if found:
            return found[-1]
        cgroup = cgroups[cgroup]["cgroup_parent"]
    return None


def end(pod, side, container=0, known_by="cgroup"):
    """What is wanted of one end that is a pod."""
    workload, kind = pod.workload
    want = {"namespace": pod.ns, "pod": pod.name, "workload": workload, "workload_kind": kind,
            "known_by": known_by}
    if side == "local":
        want["container"] = pod.containers[container].name
    return {"%s.%s" % (side, k): v for k, v in want.items()}


def ends(local, remote, container=0, remote_by=("cgroup", "address")):
    return {**end(local, "local", container), **end(remote, "remote", known_by=remote_by)}

