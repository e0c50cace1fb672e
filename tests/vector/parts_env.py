"""The environment of k8s-vectordb-sync drives the agent as it drove that."""

import json
import time

import make
import rig as r
import truth


def free_port():
    with r.socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def old_names(rig):
    api = r.Replay(rig)
    db = r.Fake(rig, "whisperer", keep=True)
    port = free_port()
    env = {"WATCH_RESOURCE_TYPES": "pods,deployments,services,configmaps,Deployments",
           "EXCLUDE_RESOURCE_TYPES": "configmaps", "DEBOUNCE_WINDOW_MS": "300",
           "BATCH_FLUSH_INTERVAL_MS": "200", "BATCH_MAX_SIZE": "7", "RESYNC_INTERVAL_MIN": "60",
           "API_BIND_ADDRESS": "127.0.0.1:%d" % port, "LOG_LEVEL": "debug"}
    for i, name in enumerate(("REST_ENDPOINT", "INSTANCES_ENDPOINT")):
        agent = r.Agent(rig, api, quick=("--flows", "off", "--scope", "cluster", "--api-qps", "1000",
                                         "--api-burst", "1000"),
                        level=None, env={name: db.url + "/api/v1/instances/sync", **env})

        def wanted(plural, _group):
            return plural in ("pods", "deployments", "services", "configmaps")

        def holds():
            wants = truth.documents(api.url, wanted=wanted)
            return {k: wants.get(k, {}) for k in db.dump()}

        rig.compare(name + ": instances equal the kinds that were named", holds, api, agent.settled,
                    wanted=wanted)
        sizes = [len(json.loads(q["body"]).get("upserts") or []) for q in db.requests()
                 if q["method"] == "POST"]
        rig.checks.test("BATCH_MAX_SIZE is kept", bool(sizes) and max(sizes) == 7 or sizes)
        rig.checks.test("LOG_LEVEL is heard", " debug " in agent.log())
        code, out = r.ask("http://127.0.0.1:%d/api/v1/resync" % port, "POST")
        answer = json.loads(out)
        rig.checks.test("API_BIND_ADDRESS answers the resync as it did",
                        code == 200 and set(answer) == {"status", "resources", "message"} and
                        answer["resources"] >= len(holds()) or [code, answer])
        code, out = r.ask("http://127.0.0.1:%d/metrics" % port)
        rig.checks.test("and nothing else", code == 404 or [code, out[:200]])
        r.until(agent.settled)
        db.clear()
        begin = time.monotonic()
        api.put(make.service("timed-%d" % i, "shop"))
        took = r.until(lambda n=i: "shop/v1/Service/timed-%d" % n in db.dump() and
                       time.monotonic() - begin, every=0.02)
        rig.checks.test("DEBOUNCE_WINDOW_MS is waited for, not ten seconds",
                        0.3 <= took < 9 or [took])
        rig.checks.test("the configuration says where each came from", printed(rig, name, env))
        agent.end()
    rig.checks.test("no complaints", db.complaints())


def scans(db):
    """Bodies of the requests of the scan, in order."""
    return [json.loads(q["body"]) for q in db.requests() if q["method"] == "POST"]


def definitions(api):
    return sorted(o["metadata"]["name"] for o in truth.objects(api.url)
                  if o["kind"] == "CustomResourceDefinition")


def capabilities(rig):
    """CAPABILITIES_ENDPOINT: names of definitions, new ones when it was quiet, deletions at once."""
    api = r.Replay(rig)
    db = r.Fake(rig, "whisperer", keep=True)
    quick = ("--flows", "off", "--scope", "cluster", "--backoff-min", "50ms", "--backoff-max", "500ms")
    env = {"DEBOUNCE_WINDOW_MS": "1000", "CAPABILITIES_ENDPOINT": db.url + "/api/v1/capabilities/scan"}
    agent = r.Agent(rig, api, quick=quick, env=env)

    def equal():
        return db.dump().get("capabilities") == definitions(api)

    r.until(equal)
    rig.checks.test("names of all definitions are told", len(definitions(api)) > 3 and equal() or
                    [db.dump(), definitions(api)])
    db.clear()
    begin = time.monotonic()
    api.put(make.crd("gadgets", "Gadget"), make.crd("widgets", "Widget"))
    r.until(equal, every=0.02)
    took = time.monotonic() - begin
    rig.checks.test("new ones wait until it is quiet", equal() and took >= 1 or [took, scans(db)])
    db.clear()
    api.put(make.crd("doodads", "Doodad"))
    api.drop("apiextensions.k8s.io/v1", "CustomResourceDefinition", "gadgets.test.example.com")
    r.until(equal)
    rig.checks.test("a deletion does not wait for the new one", scans(db) == [
        {"deletes": ["gadgets.test.example.com"]}, {"upserts": ["doodads.test.example.com"]}] or scans(db))
    rig.checks.test("no complaints", db.complaints())
    agent.end()
    no_scan(rig, api, db, quick, env)


def no_scan(rig, api, db, quick, env):
    """An older receiver does not know the path."""
    agent = r.Agent(rig, api, quick=quick, env=dict(env, CAPABILITIES_ENDPOINT=db.url + "/api/v1/older"))
    r.until(lambda: r.said(agent.log(), "warn .*capabilities.*404"))
    s = agent.sinks().get("capabilities", {})
    rig.checks.test("a receiver without the scan is named, with what it answered", s.get("health") == "failing" and
                    "404" in s.get("reason", "") and r.said(agent.log(), "warn .*capabilities.*404") or
                    [s, agent.log()[-1500:]])


def printed(rig, name, env):
    import subprocess
    out = subprocess.run([rig.bin("kindred"), "agent", "--print-config"], capture_output=True,
                         text=True, check=False, env={name: "http://x/y", **env}).stdout
    return ["%s is not named: %s" % (k, out[-500:]) for k in [name, *env] if k not in out]
