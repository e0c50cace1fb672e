"""What the log says: what matters of a start, in one block, and of what goes on for long not too much."""

import json
import re
import signal
import socket
import threading

from world import Agent, Reducer, Replay, until

LINES_MAX = 100     # a minute, of one place in the program
NODE = ("--scope", "node", "--node-name", "node-1", "--flows", "off")
CLUSTER = ("--scope", "cluster", "--flows", "auto", "--debounce", "1s")


def block(agent, n=9):
    """The first lines without time and level."""
    until(lambda: agent.log().count("\n") >= n or agent.proc.poll() is not None, 30)
    return [line.split(None, 2)[2] for line in agent.log().splitlines()[:n]]


def expect(test, name, lines, patterns):
    test(name, [lines] if len(lines) != len(patterns) else
         ["%r is not %s" % (line, p) for line, p in zip(lines, patterns) if not re.fullmatch(p, line)])


def start(rig):
    """One block in the order of what people ask: what, by which configuration, where; each feature with a reason."""
    test, api, reducer = rig.checks.test, Replay(rig), Reducer(rig)
    first = r"kindred \d+\.\d+\.\d+ \(\w[\w-]*\): %s, API server " + re.escape(api.url) + \
        r" \(--api-server\), reducer 127\.0\.0\.1 port %d" % reducer.port
    answers = r"answers: probes at \S+, data at \S+, commands at \S+"
    page = r"page: http://127\.0\.0\.1:\d+/"
    config = rig.path("config.yaml")
    with open(config, "w", encoding="ascii") as f:
        f.write("heartbeat: 10s\n")
    expect(test, "node scope", block(Agent(rig, api, quick=NODE, reducer=reducer.port)), [
        first % "node scope, node node-1", r"configuration: no file \(--config\)", answers, page, "flows: off: --flows off", "otlp: off: --otlp is not given",
        "leader election: off: in node scope every agent tells of its own node",
        "resources: off: in node scope none are watched",
        "peers: off: --peers is not given, ends on other nodes have no name"])
    events, graph = "jsonl:" + rig.path("events"), "sqlite:" + rig.path("graph")
    agent = Agent(rig, api, "--config", config, "--events", events, "--graph", graph, "--serve-peers", "--pod-name", "a",
                  "--lease-namespace", "kindred", "--watch-config", "kindred/c", "--otlp", "http://127.0.0.1:9", quick=CLUSTER, reducer=reducer.port)
    expect(test, "cluster scope, with everything", block(agent), [
        first % "cluster scope", "configuration: %s, read again when it changes, and ConfigMap kindred/c" % re.escape(config),
        answers, page, r"flows: (on, with CAP_\w+.*|off: .{10,})",
        "otlp: (on, to http://127.0.0.1:9|off: flows are off)", "leader election: lease kindred/kindred, as a",
        "resources: on, for graph %s, events %s" % (re.escape(graph), re.escape(events)),
        "peers: on, agents of nodes may follow this one"])
    agent = Agent(rig, api, "--log-format", "json", quick=("--scope", "cluster", "--flows", "off"), reducer=reducer.port)
    until(lambda: agent.log().count("\n") >= 9, 30)
    words = [json.loads(line)["msg"] for line in agent.log().splitlines()[:9]]
    test("the same as JSON", words[6:9] == ["leader election: off: there is no --pod-name (environment POD_NAME)",
                                            "resources: off: no sink wants them (--resources)",
                                            "peers: off: --serve-peers is not given"] or words)


class Flapping(threading.Thread):
    """A reducer that hangs up at once."""

    def __init__(self):
        super().__init__(daemon=True)
        self.socket, self.times = socket.create_server(("127.0.0.1", 0)), 0
        self.port = self.socket.getsockname()[1]
        self.start()

    def run(self):
        while True:
            self.socket.accept()[0].close()
            self.times += 1


def noise(rig):
    """Everything fails at once and again and again: each place says so a bounded number of times."""
    test, api, reducer = rig.checks.test, Replay(rig), Flapping()
    api.fault("reset-connect@p=0.5")
    sinks = Agent(rig, api, "--vector", "qdrant:http://127.0.0.1:9", "--graph", "neo4j:http://127.0.0.1:9", "--events",
                  "http:http://127.0.0.1:9/", "--capabilities", "http://127.0.0.1:9/")
    agent = Agent(rig, api, "--intake-backoff-min", "10ms", "--intake-backoff-max", "10ms", reducer=reducer.port)
    test("the reducer goes and goes", until(lambda: reducer.times > LINES_MAX + 20, 60))
    agent.end(signal.SIGTERM)
    test("what fails is said of each sink", until(lambda: all(
        re.search(r"warn  %s.*127.0.0.1:9" % s, sinks.log()) for s in ("qdrant", "graph", "events", "capabilities")), 20))
    kinds = {}
    for line in agent.log().splitlines():
        kind = re.sub(r"\d+", "0", line.split(None, 2)[-1])
        kinds[kind] = kinds.get(kind, 0) + 1
    test("no place says more than its share", ["%d %s" % (n, k) for k, n in kinds.items() if n > LINES_MAX])
    test("how much was left out is said", "more lines like this were left out: reducer 127.0.0.1" in agent.log())
