"""What stores can do, reached by configuration and HTTP: indexes, cached kinds, field filters, sync
state, statistics."""

import re

import make
import rig as r

RESOURCES = "/api/v1/resources"


def gets(api):
    return api.state()["requests"].get("get statefulsets", {}).get("200", 0)


def names(rows):
    return sorted(o["metadata"]["name"] for o in rows)


def stores(rig):
    wrong(rig)
    api = r.Replay(rig)
    agent = r.Agent(rig, api, "--resources", "on",
                    "--index", "deployments=.metadata.namespace,.metadata.labels['app']",
                    "--index", "services=.spec.ports[0].port",
                    "--cache-resources", "statefulsets", "--cache-ttl", "2s",
                    "--field-selector", "ingresses=.spec.ingressClassName=picked",
                    "--ignore-fields", ".metadata.annotations['example.com/noise'],.spec.replicas")
    r.until(lambda: re.search(r"resources: \d+ kinds.* synced", agent.log()))
    kinds(rig, agent, api)
    indexes(rig, agent, api)
    ignored(rig, agent, api)
    fields(rig, agent, api)
    cached(rig, agent, api)
    rig.checks.test("the agent ends with exit code 0", agent.end(r.signal.SIGTERM) == 0)


def kind(agent, name):
    return [k for k in agent.json(RESOURCES)["kinds"] if k["name"] == name][0]


def kinds(rig, agent, api):
    every = agent.json(RESOURCES)["kinds"]
    rig.checks.test("every kind is synced", [k for k in every if k["sync"] != "synced"])
    bare = {k["name"] for k in every if k["metadata_only"]}
    rig.checks.test("Secrets and ConfigMaps are metadata alone", {"secrets", "configmaps"} <= bare and
                    "deployments" not in bare or sorted(bare))
    rows = agent.lines(RESOURCES + "/configmaps")
    rig.checks.test("and have no data", bool(rows) and not any("data" in o for o in rows))
    services = kind(agent, "services")
    rig.checks.test("what came with the first list is counted apart",
                    0 < services["initial_created"] <= services["created"] or [services])
    api.put(make.service("counted", "shop", 4242), make.service("counted2", "shop", 4243))
    r.until(lambda: kind(agent, "services")["created"] == services["created"] + 2)
    api.put(make.service("counted", "shop", 4244))
    api.drop("v1", "Service", "counted2", "shop")

    def grew():
        now = kind(agent, "services")
        return {k: now[k] - services[k] for k in ("created", "modified", "deleted",
                                                  "initial_created")}

    r.until(lambda: grew()["deleted"] == 1)
    rig.checks.test("changes are counted by what they were", grew() == {
        "created": 2, "modified": 1, "deleted": 1, "initial_created": 0} or [grew()])


def indexes(rig, agent, api):
    api.put(make.deployment("one", "shop", labels={"app": "pair"}),
            make.deployment("two", "shop", labels={"app": "pair"}),
            make.deployment("three", "mail", labels={"app": "pair"}))
    at = RESOURCES + "/deployments?index=%s,pair"
    r.until(lambda: names(agent.lines(at % "shop")) == ["one", "two"] and
            names(agent.lines(at % "mail")) == ["three"])
    rig.checks.test("a composite index finds its objects", names(agent.lines(at % "shop")) ==
                    ["one", "two"] or names(agent.lines(at % "shop")))
    api.put(make.deployment("one", "shop", labels={"app": "single"}))
    r.until(lambda: names(agent.lines(at % "shop")) == ["two"])
    rig.checks.test("a changed key leaves its old place", names(agent.lines(at % "shop")) == ["two"]
                    and names(agent.lines(RESOURCES + "/deployments?index=shop,single")) == ["one"])
    api.drop("apps/v1", "Deployment", "two", "shop")
    r.until(lambda: not agent.lines(at % "shop"))
    rig.checks.test("a deleted object is not found", agent.lines(at % "shop"))
    rig.checks.test("a number is a key, too",
                    names(agent.lines(RESOURCES + "/services?index=4244")) == ["counted"])
    status, body = agent.raw(RESOURCES + "/services?index=1,2")
    rig.checks.test("the wrong number of keys is refused in words",
                    status == 400 and b"no index of 2 keys" in body or [status, body])
    status, body = agent.raw(RESOURCES + "/deployments/shop/one")
    rig.checks.test("one object by its name", status == 200 and b'"one"' in body or [status, body])


def ignored(rig, agent, api):
    api.put({**make.deployment("noisy", "shop"),
             "metadata": make.meta("noisy", "shop", annotations={"example.com/noise": "1",
                                                                 "example.com/kept": "yes"})})
    path = RESOURCES + "/deployments/shop/noisy"
    r.until(lambda: agent.raw(path)[0] == 200)
    o = agent.json(path)
    rig.checks.test("fields that are ignored are not kept, others are",
                    "example.com/noise" not in o["metadata"]["annotations"] and
                    o["metadata"]["annotations"]["example.com/kept"] == "yes" and
                    "replicas" not in o["spec"] or [o])


def fields(rig, agent, api):
    """An object is there while its field has the value, and its going is a deletion."""
    def put(name):
        api.put({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                 "metadata": make.meta("door", "shop"), "spec": {"ingressClassName": name}})

    path, answers = RESOURCES + "/ingresses/shop/door", []
    deleted = kind(agent, "ingresses")["deleted"]
    for name, status in (("picked", 200), ("other", 404), ("picked", 200)):
        put(name)
        r.until(lambda status=status: agent.raw(path)[0] == status)
        answers.append(agent.raw(path)[0])
    rig.checks.test("an object comes and goes with its field", answers == [200, 404, 200] or answers)
    rig.checks.test("of the others there are none",
                    names(agent.lines(RESOURCES + "/ingresses")) == ["door"])
    rig.checks.test("its going is counted as a deletion",
                    kind(agent, "ingresses")["deleted"] == deleted + 1)


def cached(rig, agent, api):
    """Bodies are let go after a second, and read again when they are asked for."""
    rows = names(agent.lines(RESOURCES + "/statefulsets"))
    rig.checks.test("there are StatefulSets", len(rows) > 2 or rows)
    r.until(lambda: kind(agent, "statefulsets")["body_bytes"] == 0, 20)
    rig.checks.test("their bodies go after their time", kind(agent, "statefulsets")["body_bytes"]
                    == 0 or [kind(agent, "statefulsets")])
    before = gets(api), kind(agent, "statefulsets")["fetches"]
    rig.checks.test("and are read again when they are asked for",
                    names(agent.lines(RESOURCES + "/statefulsets")) == rows)
    after = gets(api), kind(agent, "statefulsets")["fetches"]
    rig.checks.test("each by one GET", [a - b for a, b in zip(after, before)] == [len(rows)] * 2 or
                    [before, after, len(rows)])

    def remembered():       # on a busy machine their second may be over before they are asked for again
        agent.lines(RESOURCES + "/statefulsets")
        before = gets(api)
        agent.lines(RESOURCES + "/statefulsets")
        return gets(api) == before

    rig.checks.test("within their time from memory", r.until(remembered, 20))


def points_at(log):
    """What stands over the mark."""
    lines = log.splitlines()
    at = [i for i, line in enumerate(lines) if line.endswith(" ^")]
    return lines[at[0] - 1][len(lines[at[0]]) - 1:] if at else ""


def wrong(rig):
    """An expression that is wrong is pointed at, before anything starts."""
    for option, text, words, fault in (
            ("--index", "services=.spec.ports[", "--index services", "["),
            ("--index", "services=.spec.ports[abc].x", "--index services", "abc].x"),
            ("--index", "services", "RESOURCE=JSONPATH", ""),
            ("--field-selector", "pods=.spec", "RESOURCE=JSONPATH=VALUE", ""),
            ("--field-selector", "pods=.spec.a[abc]=1", "--field-selector pods", "abc]"),
            ("--ignore-fields", ".spec['x", "--ignore-fields", "'x"),
            ("--resource-selector", "a in (b", "a in (b", "")):
        p = r.Process([rig.bin("kindred"), "agent", "--scope", "cluster", "--resources", "on",
                       "--flows", "off", "--api-server", "http://127.0.0.1:9", option, text],
                      rig.path("wrong.log"))
        rig.own(p)
        ended = r.until(lambda p=p: p.proc.poll() is not None, 20)
        rig.checks.test("%s %s is refused in words" % (option, text), bool(ended) and
                        p.proc.returncode != 0 and words in p.log() and
                        points_at(p.log()) == fault or [p.log(), points_at(p.log())])
