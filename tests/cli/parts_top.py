"""kindred top, against an agent whose figures are known: each page of metrics is the next one."""

import json
import os
import re
import threading

from parts_broken import Bad, page
from setting import Agent, Replay, Terminal, kindred, until

ENDS = {"web": ("shop", "web", "Deployment"), "db": ("shop", "db", "StatefulSet"),
        "job": ("batch", "job", "CronJob"), "unknown": ("", "unknown", "address")}


def labels(source, target, proto="tcp"):
    return ",".join('%s_%s="%s"' % (side, name, value) for side, end in (("src", source), ("dst", target))
                    for name, value in zip(("namespace", "workload", "kind"), ENDS[end])) + \
        ',proto="%s"' % proto


def metrics(step, extra=0):
    """Counters after so many steps: web to db has the traffic, job to db the failures, db to unknown
    the connections and retransmits."""
    web, job, db = labels("web", "db"), labels("job", "db"), labels("db", "unknown")
    lines = ["kindred_flow_series_max 2000", "process_start_time_seconds 1000"]
    for pair, sent, back, conns, failed, again in (
            (web, 1000000, 9000000, 1, 0, 0), (job, 10, 20, 2, 50, 1), (db, 500, 600, 70, 0, 30)):
        lines += ['kindred_flow_bytes_total{%s,direction="sent"} %d' % (pair, sent * step),
                  'kindred_flow_bytes_total{%s,direction="received"} %d' % (pair, back * step),
                  "kindred_flow_connections_total{%s} %d" % (pair, conns * step),
                  'kindred_flow_failures_total{%s,reason="refused"} %d' % (pair, failed * step // 2),
                  'kindred_flow_failures_total{%s,reason="timed_out"} %d' % (pair, failed * step // 2),
                  "kindred_flow_retransmits_total{%s} %d" % (pair, again * step),
                  "kindred_flow_rtt_seconds_sum{%s} %f" % (pair, 0.00025 * step),
                  "kindred_flow_rtt_seconds_count{%s} %d" % (pair, step)]
    for i in range(extra):
        ends = 'src_namespace="n",src_workload="w%03d",src_kind="D",dst_namespace="",' \
            'dst_workload="other",dst_kind="",proto="udp"' % i
        lines.append('kindred_flow_bytes_total{%s,direction="sent"} %d' % (ends, step))
    return page(("\n".join(lines) + "\n").encode())


class Figures(Bad):
    """Such an agent: a step further with every question."""

    def __init__(self, rig, extra=0):
        self.step, self.extra, self.lock = 0, extra, threading.Lock()
        super().__init__(rig, b"")

    @property
    def answer(self):
        with self.lock:
            self.step += 1
            return metrics(self.step, self.extra)

    @answer.setter
    def answer(self, _):
        pass


def firsts(screen):
    """The pairs on the screen, from above."""
    return re.findall(r"^(\S+(?: \(\w+\))?) +(\S+(?: \(\w+\))?) +(?:tcp|udp) ", screen or "", re.M)


WEB, JOB, DB = ("shop/web", "shop/db"), ("batch/job", "shop/db"), ("shop/db", "unknown (address)")


def tables(rig):
    """Without a terminal."""
    test = rig.checks.test
    agent = Figures(rig)
    where = ("--socket", agent.path)
    for sort, order in (("traffic", [WEB, DB, JOB]), ("connections", [DB, JOB, WEB]),
                        ("failures", [JOB, DB, WEB]), ("retransmits", [DB, JOB, WEB])):
        said = kindred(rig, "top", "--sort", sort, *where)
        got = firsts(said.out)
        test("sorted by " + sort, said.code == 0 and got[0] == order[0] and set(got) == set(order) or [said])
    said = kindred(rig, "top", "--filter", "JOB -> shop", *where)
    test("filtered", firsts(said.out) == [JOB] or [said])
    agent.step = 0
    said = kindred(rig, "top", "-o", "json", "--count", "2", "--interval", "200ms", *where)
    rows = [json.loads(x) for x in said.out.splitlines()]
    second = {(r["from"]["workload"], r["to"]["workload"]): r for r in rows[3:]}
    test("the second table has what came between", len(rows) == 6 and [
        (r["bytes_sent"], r["bytes_received"], r["connections"], r["failures"], r["retransmits"],
         r["rtt_us"]) for r in (second["web", "db"], second["job", "db"], second["db", "unknown"])] == [
             (1000000, 9000000, 1, 0, 0, 250), (10, 20, 2, 50, 1, 250), (500, 600, 70, 0, 30, 250)] and
         all(r["seconds"] >= 0.2 for r in second.values()) or [said])
    agent.close()
    expect = kindred(rig, "top", *where)
    test("nobody answers", expect.code == 3 and expect.err.count("\n") == 1 or [expect])
    real = Agent(rig, Replay(rig))
    said = kindred(rig, "top", "--socket", real.socket)
    test("an agent without flows says so", said.code == 1 and "sees no flows" in said.err or [said])


def keys(rig):
    """On a terminal: sort, filter, pause, move, quit; and it is given back as it was."""
    test = rig.checks.test
    if not Terminal.there():
        rig.checks.skip("the screen of top", "no tmux (cannot run here)")
        return
    agent = Figures(rig, 200)
    t = Terminal(rig, 90, 20).run("top", "--interval", "300ms", "--socket", agent.path)

    def sorted_as(name, first):
        return until(lambda: (s := t.screen()) and "by " + name in s and firsts(s)[:1] == [first], 30) or \
            [t.screen()]
    test("begins with traffic", sorted_as("traffic", WEB))
    test("an interval later", bool(t.wait(r"the last \d+\.\d s")) or [t.screen()])
    for key, name, first in (("f", "failures", JOB), ("c", "connections", DB), ("r", "retransmits", DB),
                             ("t", "traffic", WEB)):
        t.keys(key)
        test("key " + key, sorted_as(name, first))

    def fills():        # it may just be drawn anew
        lines = t.screen().rstrip("\n").split("\n")
        return len(lines) == 20 and max(map(len, lines)) <= 90 and lines[-1].startswith("t traffic")
    test("fills the screen and no more", until(fills, 30) or [t.screen()])
    test("colours", until(lambda: "\033[" in t.screen(True), 30))
    t.keys("j", "j")
    test("down", until(lambda: firsts(t.screen())[:1] not in ([WEB], [])) or [t.screen()])
    t.keys("Up", "Up")
    test("up", sorted_as("traffic", WEB))
    t.keys("/")
    t.wait(r"filter: _")
    t.keys("-l", "JOBX")
    t.keys("BSpace")
    test("what is typed is seen", bool(t.wait(r"filter: JOB_")) or [t.screen()])
    t.keys("Enter")
    test("filter", until(lambda: firsts(t.screen()) == [JOB] and "1 of 203" in t.screen()) or [t.screen()])
    t.keys("Escape")
    test("no filter", bool(t.wait("203 of 203")) or [t.screen()])
    t.keys("Space")
    t.wait("paused")
    step = agent.step
    test("pause", bool(t.wait("paused")) and not until(lambda: agent.step > step + 1, 1.0) or [agent.step])
    t.keys("Space")
    test("goes on", until(lambda: agent.step > step + 2 and "paused" not in t.screen()) or [t.screen()])
    agent.close()
    os.unlink(agent.path)
    test("the agent goes", bool(t.wait("no agent answers")) and bool(firsts(t.screen())) or [t.screen()])
    t.keys("q")
    ended = t.wait(r"\[ended 0\]") or t.screen()
    test("quits, and the screen is as before", "ended 0" in ended and "kindred top" not in ended or [ended])
    t.end()


def given_back(rig):
    """A signal ends it as q does: echo and cursor are there again."""
    if not Terminal.there():
        rig.checks.skip("signals of top", "no tmux (cannot run here)")
        return
    agent = Figures(rig)
    t = Terminal(rig).run("top", "--socket", agent.path)
    t.wait("kindred top")
    pane = t.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}")
    t.keys("C-c")
    ended = t.wait(r"\[ended 0\]") or t.screen()
    after = t.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag}")
    rig.checks.test("the other screen, no cursor", pane.strip() == "1 0" or [pane])
    rig.checks.test("given back by a signal", "ended 0" in ended and after.strip() == "0 1" or [ended, after])
    t.end()
    agent.close()
