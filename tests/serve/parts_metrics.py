"""The page of metrics, held against what the other programs saw; and memory, part by part."""

import json
import os
import re
import subprocess

import world
from world import Agent, Reducer, Replay, ask, until

SERIES_MAX = 4000       # of an agent without flows, whatever the cluster holds


def page(agent):
    """{(name, labels as a sorted tuple): value}"""
    series = {}
    for line in ask(agent.probe + "/metrics")[1].decode().splitlines():
        m = re.fullmatch(r"([a-z_]+)(?:\{(.*)\})? (\S+)", line)
        if m:
            labels = tuple(sorted(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', m.group(2) or "")))
            series[m.group(1), labels] = float(m.group(3))
    return series


def total(series, name, **labels):
    want = set(labels.items())
    return sum(v for (n, have), v in series.items() if n == name and want <= set(have))


def promtool(test, checks, text):
    script = os.path.join(world.TESTS, "deploy", "promtool.sh")
    tool = subprocess.run(["sh", script], capture_output=True, text=True, check=False)
    if tool.returncode:
        checks.skip("promtool check metrics", "%s (cannot run here)" % (tool.stdout + tool.stderr).strip()[-200:])
        return
    r = subprocess.run([tool.stdout.strip(), "check", "metrics"], input=text, capture_output=True, check=False)
    test("promtool finds nothing", r.returncode == 0 and not r.stdout and not r.stderr or
         [r.returncode, r.stdout, r.stderr])


class Seen:
    """What agent, reducer and API server say, one after the other."""

    def __init__(self, agent, reducer, api):
        self.m, self.state = page(agent), api.state()
        lines = reducer.log().splitlines(keepends=True)
        self.told = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        self.pods = sum(t["event"] == "pod" for t in self.told)
        self.held = total(self.m, "kindred_inventory_objects", kind="pods") - \
            total(self.m, "kindred_inventory_objects", kind="dead_pods")

    def agree(self):
        """Words may still be on their way."""
        return self.pods == total(self.m, "kindred_reducer_messages_total", kind="pod_new") and \
            self.held == self.state["resources"]["pods"]["objects"] and self


def metrics(rig):
    test = rig.checks.test
    api = Replay(rig)
    reducer = Reducer(rig)
    agent = Agent(rig, api, "--resources", "on", "--events", "jsonl:" + rig.path("events"),
                  reducer=reducer.port)
    test("in step", until(lambda: ask(agent.probe + "/readyz")[0] == 200 and api.state()["delivered"] and
                          total(page(agent), "kindred_reducer_lag_changes") == 0, 30))
    seen = until(lambda: Seen(agent, reducer, api).agree(), 30) or Seen(agent, reducer, api)
    m, told, state = seen.m, seen.told, seen.state
    test("pods told", total(m, "kindred_reducer_messages_total", kind="pod_new") == seen.pods > 50 or
         [total(m, "kindred_reducer_messages_total"), len(told)])
    test("each with an owner, or why not", total(m, "kindred_owners_resolved_total") +
         total(m, "kindred_owners_unresolved_total") ==
         total(m, "kindred_reducer_messages_total", kind="pod_new"))
    test("Deployments are two owners away", total(m, "kindred_owners_resolved_total", hops="2") > 20)
    test("the epoch", [t["epoch"] for t in told if t["event"] == "resync"][-1:] ==
         [total(m, "kindred_reducer_epoch")] or [total(m, "kindred_reducer_epoch")])
    test("LZ4 makes it less", 0 < total(m, "kindred_reducer_bytes_total") <
         total(m, "kindred_reducer_plain_bytes_total"))
    test("pods held", seen.held == state["resources"]["pods"]["objects"] or [seen.held, state["resources"]["pods"]])
    test("a watch a kind, in step", total(m, "kindred_watches", kind="pods", state="synced") == 1 ==
         total(m, "kindred_watches", kind="pods"))
    test("requests", total(m, "kindred_api_requests_total") >= total(m, "kindred_resource_watches"))
    waits = total(m, "kindred_reducer_send_seconds_count")
    test("the wait of what is told", waits > 0 and
         total(m, "kindred_reducer_send_seconds_bucket", le="+Inf") == waits)
    until(lambda: total(page(agent), "kindred_loop_lag_seconds_count") >= 8, 10)
    test("the loop's lag", total(page(agent), "kindred_loop_lag_seconds_count") >= 8)
    test("the process", total(m, "process_resident_memory_bytes") > 1e6 and
         total(m, "process_cpu_seconds_total") > 0 and 10 < total(m, "process_open_fds") < 500)
    test("one build", [dict(k)["version"] for n, k in m if n == "kindred_build_info"] != [])
    test("a bound on series", len(m) < SERIES_MAX or [len(m)])
    test("lag grows when nothing is heard", until(
        lambda: 2 < total(page(agent), "kindred_watch_lag_seconds", kind="pods") < 30, 20))
    promtool(test, rig.checks, ask(agent.probe + "/metrics")[1])


MANY = 12000        # pods, each with a ReplicaSet's name of its own
SHARE = 0.6, 1.15   # of what the process grew by, that the parts say they did


def pods(n):
    """Of a thousand workloads; half of them finished, whose addresses are given back."""
    for i in range(n):
        app = "app-%d" % (i % 1000)
        name = "%s-7d9c6b%04x-%05x" % (app, i % 1000, i)
        yield {"apiVersion": "v1", "kind": "Pod",
               "metadata": {"name": name, "namespace": "team-%d" % (i % 40), "uid": "%08x-0000-4000-8000-%012x" % (i, i),
                            "labels": {"app": app, "pod-template-hash": "7d9c6b%04x" % (i % 1000)},
                            "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": app,
                                                 "uid": "%08x-0000-4000-9000-%012x" % (i % 1000, i), "controller": True}]},
               "spec": {"nodeName": "node-%d" % (i % 200), "serviceAccountName": app,
                        "containers": [{"name": "main", "image": "registry.example.com/%s:1.%d" % (app, i % 7)}]},
               "status": {"phase": "Running", "podIP": "10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255),
                          "podIPs": [{"ip": "10.%d.%d.%d" % (i >> 16, i >> 8 & 255, i & 255)}],
                          "containerStatuses": [{"name": "main", "containerID": "containerd://%064x" % i,
                                                 "image": "registry.example.com/%s" % app,
                                                 "state": {"running": {}}}]}}


def memory(rig):
    """What the parts say they hold is what the process holds: the difference that 12,000 pods make."""
    test = rig.checks.test
    many, n = rig.path("objects"), 1000 if world.is_sanitized(rig) else MANY
    os.mkdir(many)
    with open(os.path.join(many, "pods.json"), "w", encoding="ascii") as f:
        json.dump({"kind": "List", "apiVersion": "v1", "items": list(pods(n))}, f)
    held = []
    for objects in ((), ("--objects", many)):
        agent = Agent(rig, Replay(rig, *objects), "--vector", "sqlite:" + rig.path("k.db"),
                      reducer=Reducer(rig).port)
        test("in step", until(lambda: ask(agent.probe + "/readyz")[0] == 200 and total(
            page(agent), "kindred_vector_documents") > (n if objects else 100) and not total(
                page(agent), "kindred_vector_waiting"), 120))
        held.append(json.loads(ask(agent.data + "/api/v1/debug/memory")[1]))
        agent.end()
    few, much = held
    parts = {p["part"]: p["bytes"] for p in much["parts"]}
    test("the sum is of its parts", sum(parts.values()) == much["sum_bytes"])
    test("every room that keeps state", {"kube", "inventory", "sink/reducer", "core", "store", "sink/vector",
                                         "sink/sqlite", "serve"} <= set(parts) or [sorted(parts)])
    if world.is_sanitized(rig):
        return      # their allocator is another
    grown = much["process"]["anonymous_bytes"] - few["process"]["anonymous_bytes"]
    said = much["sum_bytes"] - few["sum_bytes"]
    rig.checks.say("  %d pods: the process grew by %.1f MB, its parts by %.1f MB (%.2f); of all %.2f" % (
        n, grown / 1e6, said / 1e6, said / grown, much["sum_bytes"] / much["process"]["anonymous_bytes"]))
    test("a share of %.2f to %.2f of what it grew by" % SHARE, SHARE[0] <= said / grown <= SHARE[1] or
         [few, much])
