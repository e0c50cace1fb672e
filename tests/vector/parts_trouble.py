"""What happens to the agent and its databases: another leader, a database that is away, a disk that
is full or not writable."""

import os
import shutil
import subprocess
import time

import make
import parts_ask as questions
import rig as r
import truth


def leader(rig):
    """A successor on an empty disk asks the database what it holds."""
    api = r.Replay(rig)
    db = r.Fake(rig, "qdrant", keep=True)
    args = ("--vector", "qdrant:" + db.url, "--embed", "hash:384")
    agent = r.Agent(rig, api, *args)
    api.put(*[make.config_map("many-%d" % i, "shop", labels={"n": str(i)}) for i in range(100)])

    def holds():
        return r.qdrant_rows(db)

    rig.compare("documents equal the cluster's objects", holds, api, agent.settled)
    agent.end()
    for i in range(50):
        api.drop("v1", "ConfigMap", "many-%d" % i, "shop")
    api.put(make.config_map("many-70", "shop", labels={"n": "seventy"}))
    db.clear()
    agent = r.Agent(rig, api, *args)
    rig.compare("the successor's equal them, too", holds, api, agent.settled)
    s = agent.sink()
    rig.checks.test("it has embedded what had changed alone",
                    (s["embedded"], s["upserts"], s["payloads"]) == (1, 1, 0) or [s])
    rig.checks.test("and pruned the fifty", s["deletes"] == 50 or [s])
    writes = [q["path"] for q in db.requests() if q["method"] == "PUT" or "delete" in q["path"]]
    rig.checks.test("in two requests", len(writes) == 2 or writes)
    questions.search(rig, api, agent, "qdrant", holds)
    rig.checks.test("no complaints", db.complaints())

    # Another cluster's agent in the same collection is left alone, and leaves alone.
    other = r.Agent(rig, api, *args, "--cluster-name", "blue")
    rig.compare("two clusters share a collection", lambda: {
        i: d for i, d in holds().items() if d["cluster"] == "blue"}, api, other.settled,
        cluster="blue")
    other.end()
    other = r.Agent(rig, api, *args, "--cluster-name", "blue")
    rig.checks.test("a restart of the second one writes nothing, too",
                    bool(r.until(other.settled)) and other.idle() == [] or [other.idle()])
    other.end()
    agent.json("/api/v1/resync", "POST")
    r.until(agent.settled)
    rig.checks.test("and do not prune each other",
                    len(holds()) == 2 * len([d for d in holds().values() if not d["cluster"]]))


IMPATIENT = "is not waited for any longer"


def quiet(agent, sinks, least):
    """Nothing is under way, and so many wait."""
    rows = [s for s in agent.sinks().values() if s["health"] == "ok"]
    return len(rows) == sinks and all(s["complete"] and not s["ready"] and not s["lag_changes"] and
                                      s["waiting"] >= least for s in rows)


def last_words(rig):
    """SIGTERM: what waits goes to the databases, for some seconds at most."""
    api = r.Replay(rig)
    good, deaf = r.Fake(rig, "qdrant"), r.Fake(rig, "qdrant")
    agent = r.Agent(rig, api, "--vector", "qdrant:" + good.url, "--vector", "qdrant:" + deaf.url, "--embed",
                    "hash:384", "--debounce", "10m", "--debounce-max", "20m")
    r.until(lambda: quiet(agent, 2, 0))
    deaf.fault(times=0, path="/points", delay=60)
    api.put(*[make.service("late-%d" % i, "shop") for i in range(30)])
    r.until(lambda: quiet(agent, 2, 30))
    rig.checks.test("nothing is written before it is quiet", not [i for i in r.qdrant_rows(good) if "late-" in i])
    code = agent.end(r.signal.SIGTERM, 60)
    rig.checks.test("what waited is there", r.differences(r.qdrant_rows(good), truth.documents(api.url)))
    rig.checks.test("a database that does not answer is not waited for longer", code == 0 or [code])
    rig.checks.test("which is said, of it alone", "qdrant:%s/kindred: %s" % (deaf.url, IMPATIENT) in agent.log() and
                    agent.log().count(IMPATIENT) == 1 or rig.log(agent))


def last_try(rig):
    """SIGTERM while databases are away: they are not waited for, and what the other one has taken is in the
    ledger."""
    api = r.Replay(rig)
    good, away, closed = (r.Fake(rig, "qdrant") for _ in range(3))
    ledger = rig.path("ledger.db")
    args = ("--vector", "qdrant:" + good.url, "--vector", "qdrant:" + away.url, "--ledger", ledger, "--embed", "hash:384")
    agent = r.Agent(rig, api, *args, "--vector", "qdrant:" + closed.url, "--debounce", "10m", "--debounce-max", "20m")
    r.until(lambda: quiet(agent, 3, 0))
    away.fault(times=0, cut=True)
    closed.end()
    agent.json("/api/v1/resync", "POST")    # it finds them away
    r.until(lambda: quiet(agent, 1, 0) and [s["health"] for s in agent.sinks().values()].count("failing") == 2)
    api.put(*[make.service("late-%d" % i, "shop") for i in range(30)])
    r.until(lambda: quiet(agent, 1, 30))
    code = agent.end(r.signal.SIGTERM, 60)
    rig.checks.test("databases that are away are not waited for", code == 0 and IMPATIENT not in agent.log() or
                    [code, agent.log()[-1500:]])
    wants = truth.documents(api.url)
    rig.checks.test("what waited is where it is taken", r.differences(r.qdrant_rows(good), wants))
    rows = r.ledger_rows(ledger, "qdrant:%s/kindred" % good.url)
    rig.checks.test("and in the ledger", sorted(rows) == sorted(wants) or sorted(set(rows) ^ set(wants)))
    away.clear()
    has = r.qdrant_rows(away)
    missing = [i for i in wants if r.differences({i: has[i]} if i in has else {}, {i: wants[i]})]
    agent = r.Agent(rig, api, *args)
    rig.compare("the next start writes the rest", lambda: r.qdrant_rows(away), api, lambda: agent.settled(2))
    told = {s: v["upserts"] + v["payloads"] + v["deletes"] for s, v in agent.sinks().items()}
    rig.checks.test("and nothing else", sorted(told.values()) == [0, len(missing)] or [told, len(missing)])


def resync(rig):
    """--resync-interval: what the database lost is written again, without being asked for."""
    api = r.Replay(rig)
    db = r.Fake(rig, "qdrant")
    agent = r.Agent(rig, api, "--vector", "qdrant:" + db.url, "--embed", "hash:384", "--resync-interval", "1")

    def holds():
        return r.qdrant_rows(db)

    rig.compare("documents equal the cluster's objects", holds, api, agent.settled)
    some = list(db.dump()["kindred"]["points"])[:5]
    r.ask(db.url + "/collections/kindred/points/delete?wait=true", "POST", {"points": some},
          {"Content-Type": "application/json"})
    rig.checks.test("documents are lost", len(truth.documents(api.url)) == len(holds()) + 5)
    r.until(lambda: not r.differences(holds(), truth.documents(api.url)), 150, every=0.5)
    rig.checks.test("and found at the interval", r.differences(holds(), truth.documents(api.url)))


def away(rig):
    """A database that is away costs marks, not memory."""
    api = r.Replay(rig)
    db = r.Fake(rig, "qdrant")
    agent = r.Agent(rig, api, "--vector", "qdrant:" + db.url, "--embed", "hash:384")
    api.put(*[make.config_map("busy-%d" % i, "shop") for i in range(100)])

    def holds():
        return r.qdrant_rows(db)

    rig.compare("documents equal the cluster's objects", holds, api, agent.settled)
    db.fault(times=0, cut=True)

    def change(n):
        api.put(*[make.config_map("busy-%d" % i, "shop", labels={"turn": "%06d" % n})
                  for i in range(100)])

    def all_wait():
        s = agent.sink() or {}
        return s.get("health") == "failing" and s["waiting"] + s["ready"] >= 100 and s

    change(0)
    first = r.until(all_wait)
    rig.checks.test("all of them wait", bool(first) or [agent.sink()])
    for n in range(1, 30):
        change(n)
        time.sleep(0.05)
    time.sleep(0.5)
    s = agent.sink()
    rig.checks.test("it is said that the database is away", s["health"] == "failing" and
                    s["reason"] != "" or [s])
    rig.checks.test("what waits are the objects, not their changes",
                    s["waiting"] + s["ready"] <= 101 or [s])
    rig.checks.test("memory does not grow with changes", s["bytes"] <= first["bytes"] or
                    [first["bytes"], s["bytes"]])
    for i in range(50, 100):
        api.drop("v1", "ConfigMap", "busy-%d" % i, "shop")
    db.clear()
    rig.compare("equal when it is back", holds, api, agent.settled)


def told(reducer):
    with open(reducer.log_path, "rb") as f:
        return f.read()


def start_reducer(rig):
    port = rig.path("reducer.port")
    p = r.Process([rig.bin("kindred"), "reducer", "--listen", "127.0.0.1:0", "--port-file", port,
                   "--json"], rig.path("reducer.log"))
    rig.own(p)
    return p, r.wait_port(p, port)


def pod(name):
    return {"apiVersion": "v1", "kind": "Pod", "metadata": make.meta(name, "shop"),
            "spec": {"nodeName": "node-1", "containers": [make.container("main", "app:1")]},
            "status": {"phase": "Running", "podIP": "10.9.9.%d" % (len(name) % 250),
                       "podIPs": [{"ip": "10.9.9.%d" % (len(name) % 250)}],
                       "containerStatuses": [{"name": "main", "image": "app:1", "imageID": "app@1",
                                              "containerID": "containerd://" + "ab" * 32,
                                              "state": {"running": {}}}]}}


def open_folders(rig):
    """An agent that is nobody has to come to its folder."""
    for folder in (os.path.dirname(rig.work), rig.work):
        os.chmod(folder, 0o777)


def store_trouble(rig, api, what, wrap, folder, mend):
    """From its start on the agent cannot write its store, until it is mended."""
    reducer, port = start_reducer(rig)
    db = folder + "/store.db"
    agent = r.Agent(rig, api, "--intake-port", str(port), "--vector", "sqlite:" + db, "--embed",
                    "hash:1024", wrap=wrap)
    s = r.until(lambda: agent.proc.poll() is not None or
                (agent.sink() or {}).get("health") in ("failing", "refused") and agent.sink(), 30)
    words = s["reason"] if isinstance(s, dict) else ""
    rig.checks.test(what + ": said in words, with the file", db in words and
                    any(w in words for w in ("full", "ermission", "I/O", "larger")) or
                    [s, agent.log()])
    name = "witness-" + what
    api.put(pod(name))
    rig.checks.test(what + ": the rest goes on",
                    bool(r.until(lambda: name.encode() in told(reducer), 20)) or [agent.log()])
    mend(agent)
    agent.json("/api/v1/resync", "POST")    # else it is tried again after a minute
    rig.compare(what + ": equal when it is mended", lambda: r.sqlite_rows(db), api, agent.settled)
    rig.checks.test(what + ": the agent ends with exit code 0", agent.end(r.signal.SIGTERM) == 0)


def disk(rig):
    api = r.Replay(rig)
    open_folders(rig)

    def unlimited(agent):
        subprocess.run(["prlimit", "--pid", str(agent.proc.pid), "--fsize=unlimited:unlimited"],
                       check=True)

    for what, most in (("full", 300000), ("full-at-once", 0)):
        folder = rig.path(what)
        os.mkdir(folder)
        if shutil.which("prlimit"):
            store_trouble(rig, api, what, ("prlimit", "--fsize=%d:unlimited" % most), folder,
                          unlimited)
        else:
            rig.checks.skip(what, "no prlimit (cannot run here)")
    wrap = ()
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            rig.checks.skip("read-only", "no setpriv (cannot run here)")
            return
        wrap = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
    folder = rig.path("read-only")
    os.mkdir(folder)
    os.chmod(folder, 0o555)
    store_trouble(rig, api, "read-only", wrap, folder, lambda _: os.chmod(folder, 0o777))
