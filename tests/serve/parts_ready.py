"""Health and readiness, and agents that want the same addresses."""

import json
import signal

from world import Agent, Reducer, Replay, ask, until


def state(agent):
    """(status, conditions that fail) at /readyz."""
    status, body = ask(agent.probe + "/readyz?output=json")
    answer = json.loads(body)
    return status, [c["name"] for c in answer["conditions"] if not c["ok"]]


def is_state(agent, *failing):
    want = (503 if failing else 200, list(failing))
    return until(lambda: state(agent) == want, 30) or [state(agent), want]


def ready(rig):
    """Each condition fails by itself, in words, and is well again."""
    test = rig.checks.test
    api = Replay(rig)
    api.fault("500=pods")
    agent = Agent(rig, api, "--ready-grace", "1s", "--vector", "sqlite:" + rig.path("k.db"))
    test("nothing is there yet", until(lambda: {"watch /api/v1/pods", "reducer"} <=
                                       set(state(agent)[1]), 30))
    test("the loop turns all the same", ask(agent.probe + "/healthz") == (200, b"ok\n"))
    api.clear()
    test("without a reducer", is_state(agent, "reducer"))
    status, text = ask(agent.probe + "/readyz")
    lines = text.decode().splitlines()
    test("the first line and the first condition say it",
         status == 503 and lines[0].startswith("not ready: 1 of ") and
         lines[1].startswith("[-] reducer: not connected yet: ") or [status, text])
    port = Reducer(rig).port
    agent.end(signal.SIGTERM)
    reducer = rig.children[-1]
    agent = Agent(rig, api, "--ready-grace", "1s", "--intake-backoff-min", "50ms",
                  "--intake-backoff-max", "200ms", reducer=port)
    test("with one", is_state(agent))
    test("a line for each watch", [line for line in ask(agent.data + "/readyz")[1].decode().splitlines()
                                   if line.startswith("[+] watch /ap")] != [])
    reducer.end()
    test("the reducer went", is_state(agent, "reducer"))
    Reducer(rig, port)
    test("the reducer came back", is_state(agent))
    api.fault("500=pods")
    api.control("drop?how=close")
    failing = is_state(agent, "watch /api/v1/pods")
    test("a watch fails for longer than the grace", failing)
    api.clear()
    test("and goes on", is_state(agent))


def taken(rig):
    """Several agents on one host: a default address goes to the first, and the others go without;
    one that was asked for is an error."""
    test = rig.checks.test
    api = Replay(rig)
    agents = [Agent(rig, api, "--socket", rig.path("%d.sock" % i), listen=()) for i in range(3)]
    for a in agents[1:]:
        test("the next ones go without, and say so", a.log().count("; the agent goes on without") == 2 or
             [a.log()])
        test("and run", a.proc.poll() is None and "answers: commands at" in a.log())
    first = Agent(rig, api)
    for flag, url in (("--probe-listen", first.probe), ("--listen", first.data)):
        second = Agent(rig, api, flag, url[7:])
        second.proc.wait(30)
        test("an address that was asked for is an error: " + flag,
             second.proc.returncode == 2 and "Address already in use" in second.log() or [second.log()])
    none = Agent(rig, api, listen=("--probe-listen", "off", "--listen", "off", "--socket", "off"))
    test("all of them off", "answers: nowhere" in none.log() or [none.log()])
    far = Agent(rig, api, "--listen", "0.0.0.0:0")
    far.proc.wait(30)
    test("others are not let in without TLS and a token",
         far.proc.returncode == 2 and "--listen-token-file" in far.log() or [far.log()])
