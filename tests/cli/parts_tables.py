"""Tables and JSON of the recorded world: against golden files, and against plain GETs."""

import json
import re

from parts_broken import Bad, page
from setting import Agent, Replay, Terminal, ask, golden, kindred, on_terminal, settled, until


def start(rig):
    """(API server, agent, options that name the agent), when the recorded world has come."""
    api = Replay(rig)
    agent = Agent(rig, api, "--vector", "sqlite:" + rig.path("k.db"))
    where = ("--socket", agent.socket)
    until(lambda: agent.settled())
    settled(rig, "pods", "-o", "json", *where)
    return api, agent, where


def times(text):
    return re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", text)


def figures(text):
    """Without what differs from run to run, columns as they come."""
    text = re.sub(r"at \S+, up .*", "at SOCKET, up TIME", times(text))
    text = re.sub(r"for \d+ s", "for N s", text)
    text = re.sub(r"heard from \d+ s ago", "heard from N s ago", text)
    text = re.sub(r"memory .*", "memory M", text)
    return text


def pods_of(api):
    """(namespace, name) -> (phase, node, addresses, workload), by plain GETs."""
    def items(path):
        return json.loads(ask(api.url + path)[1])["items"]
    owners = {o["metadata"]["uid"]: o for path in ("/apis/apps/v1/replicasets", "/apis/batch/v1/jobs")
              for o in items(path)}

    def top(o, kind):
        ref = next((r for r in o["metadata"].get("ownerReferences", ()) if r.get("controller")), None)
        if ref is None:
            return kind, o["metadata"]["name"]
        known = owners.get(ref["uid"])
        return top(known, ref["kind"]) if known else (ref["kind"], ref["name"])
    return {(p["metadata"]["namespace"], p["metadata"]["name"]): (
        p["status"].get("phase", "Unknown"), p["spec"].get("nodeName", ""), top(p, "Pod"))
        for p in items("/api/v1/pods")}


def truth(rig):
    """Every pod that the server has is told of as it is, with the top of its chain of owners; and
    workloads add up to them."""
    api, _, where = start(rig)
    said = kindred(rig, "pods", "-o", "json", *where)
    got = {(p["namespace"], p["name"]): (
        p["phase"], p.get("node", ""), (p["workload"]["kind"], p["workload"]["name"]))
        for p in map(json.loads, said.out.splitlines())}
    want = pods_of(api)
    rig.checks.test("pods are the server's", [
        "%s: want %s, got %s" % (k, want.get(k), got.get(k)) for k in sorted(want.keys() | got.keys())
        if want.get(k) != got.get(k)] or len(want) > 50)
    sums = {}
    for (ns, _), (phase, _, workload) in want.items():
        n = sums.setdefault((ns, *workload), [0, 0])
        n[0] += 1
        n[1] += phase == "Running"
    said = kindred(rig, "workloads", "-o", "json", *where)
    got = {(w["namespace"], w["kind"], w["name"]): [w["pods"], w["running"]]
           for w in map(json.loads, said.out.splitlines())}
    rig.checks.test("workloads are theirs", got == sums or [
        "%s: want %s, got %s" % (k, sums.get(k), got.get(k)) for k in sums if sums[k] != got.get(k)])


def tables(rig):
    """What people see, in a pipe: nothing is cut, nothing has colours."""
    _, _, where = start(rig)
    golden(rig, "pods.txt", kindred(rig, "pods", "-n", "payments", *where))
    golden(rig, "pods-wide.txt", kindred(rig, "pods", "-n", "payments", "-o", "wide", *where))
    golden(rig, "pods-node.txt", kindred(rig, "pods", "--node", "node-12*", "--workload", "g*", *where))
    golden(rig, "workloads.txt", kindred(rig, "workloads", "-n", "payments", *where))
    golden(rig, "workloads-wide.txt", kindred(rig, "workloads", "--kind", "StatefulSet", "-o", "wide",
                                              *where))
    golden(rig, "workloads.json", kindred(rig, "workloads", "-n", "payments", "-o", "json", *where))
    golden(rig, "whois-pod.txt", kindred(rig, "whois", "payments/postgres-0", *where), times)
    golden(rig, "whois-address.txt", kindred(rig, "whois", "10.244.1.19", *where), times)
    golden(rig, "sinks.txt", kindred(rig, "sinks", *where), lambda t: re.sub(
        r" +\d+ s *\n", "  AGE\n", re.sub(r"SINK +|sqlite:\S+ +", "", t)))
    said = kindred(rig, "pods", "-n", "nowhere", *where)
    rig.checks.test("none is said, exit code 1", (said.code, said.out) == (1, "") and
                    "knows no such pod" in said.err or [said])
    said = kindred(rig, "pods", "-n", "payments", *where, env={"CLICOLOR_FORCE": "1"})
    rig.checks.test("no colours in a pipe", "\033" not in said.out or [said])


def terminal(rig):
    """In a terminal rows fit, and there are colours unless somebody objects."""
    if not Terminal.there():
        rig.checks.skip("a terminal", "no tmux (cannot run here)")
        return
    _, _, where = start(rig)
    for width in (60, 80, 132):
        for args in (("pods",), ("workloads",), ("sinks",)):
            plain, _ = on_terminal(rig, *args, *where, width=width, height=120)
            rows = plain.rstrip().split("\n")
            titles = [i for i, r in enumerate(rows) if re.match("NAMES|SINK", r)]
            # A row that was too long would go on in the next line, without a namespace.
            good = titles and rows[-1] == "[ended 0]" and all(
                re.match(r"\S", r) for r in rows)
            rig.checks.test("%s fits %d columns" % (args[0], width), bool(good) or [plain])
    flows_fit(rig)
    _, coloured = on_terminal(rig, "workloads", "-n", "payments", *where)
    rig.checks.test("colours", "\033[1m" in coloured or [coloured])
    for env in ("NO_COLOR=1 TERM=xterm-256color", "TERM=dumb"):
        _, coloured = on_terminal(rig, "workloads", "-n", "payments", *where, env=env)
        rig.checks.test("none with " + env, "\033" not in coloured and "payments" in coloured or [coloured])
    plain, _ = on_terminal(rig, "pods", "-n", "payments", "-o", "wide", *where, width=60)
    rig.checks.test("wide is not cut", "…" not in plain or [plain])


def flow(minute, state, **more):
    end = {"address": "10.0.0.1", "port": 80, "namespace": "payments", "pod": "a-pod", "known_by": "cgroup",
           "workload": "a-name-that-is-longer-than-it-should-be"}
    return {"event": "close", "time": "2026-11-21T09:%02d:01.250000Z" % minute, "proto": "tcp",
            "start": "2026-11-21T09:%02d:00.000000Z" % minute, "direction": "out", "state": state,
            "local": end, "remote": end, "bytes_sent": 1, "bytes_received": 2, "segments_out": 1,
            "segments_in": 1, **more}


def flows_agent(rig):
    return Bad(rig, page("".join(json.dumps(f) + "\n" for f in (
        flow(1, "closed", retransmits=3), flow(2, "failed", reason="refused"), flow(3, "closed"))).encode()))


def flows_fit(rig):
    agent = flows_agent(rig)
    for width in (60, 80, 100, 140):
        plain, colours = on_terminal(rig, "flows", "--socket", agent.path, width=width, height=20)
        rows = plain.rstrip().split("\n")
        rig.checks.test("flows fit %d columns" % width, len(rows) == 5 and rows[-1] == "[ended 0]" and
                        max(map(len, rows)) <= width or [plain])
        rig.checks.test("what failed is red", "\033[31mfailed:" in colours or [colours])
    agent.close()


def flows(rig):
    """As a table, and everything about them."""
    agent = flows_agent(rig)
    where = ("--socket", agent.path)
    golden(rig, "flows.txt", kindred(rig, "flows", *where))
    golden(rig, "flows-wide.txt", kindred(rig, "flows", "-o", "wide", *where))
    said = kindred(rig, "flows", "--until", "yesterday", *where)
    rig.checks.test("no time", said.code == 2 and "must be a time such as" in said.err or [said])
    agent.close()


def status(rig):
    """Without a reducer it does not work, and the screen says so, why, and what to do."""
    _, agent, where = start(rig)
    until(lambda: "not connected yet: " in agent.raw("/readyz")[1].decode())
    said = kindred(rig, "status", *where)
    said.code, code = 0, said.code
    golden(rig, "status.txt", said, figures)
    rig.checks.test("exit code 1", code == 1 or [code])
    said = kindred(rig, "status", "-o", "json", *where)
    answer = json.loads(said.out)
    bad = [c for c in answer["conditions"] if not c["ok"]]
    rig.checks.test("the same as JSON", said.code == 1 and answer["ready"] is False and
                    [c["name"] for c in bad] == ["reducer"] and "--intake-host" in bad[0]["advice"] and
                    answer["figures"]["pods"] == len(settled(rig, "pods", "-o", "json", *where)
                                                     .out.splitlines()) or [said])
