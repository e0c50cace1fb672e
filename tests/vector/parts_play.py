"""The cluster played through into SQLite: what is there equals what the API server's objects ask
for, whatever happens on the way."""

import time

import make
import rig as r
import truth


def facts(rig, rows, api):
    """The text says what people ask for; the words around it are the product's own affair."""
    problems, every, looked = [], {i: o for i, o in ids(api)}, 0
    for i, o in every.items():
        text = rows[i]["text"]
        name, ns = o["metadata"]["name"], o["metadata"].get("namespace", "_cluster")
        for what in (o["kind"], name, ns):
            if what not in text:
                problems.append("%s: the text does not say %s: %s" % (i, what, text[:200]))
        for v in truth.pod_spec(o).get("volumes") or []:
            source = (v.get("secret") or {}).get("secretName") or \
                (v.get("configMap") or {}).get("name") or \
                (v.get("persistentVolumeClaim") or {}).get("claimName")
            if source and len(text) < 1900:
                looked += 1
                if source not in text:
                    problems.append("%s mounts %s: %s" % (i, source, text[:600]))
    rig.checks.test("texts name kind, name and namespace", problems)
    rig.checks.test("and there were volumes to be named (%d)" % looked, looked > 10)


def ids(api):
    for o in truth.objects(api.url):
        yield truth.document(o, {}, None, False)[0], o


class Churn:
    """Objects that come, change and go; each step leaves the former one's kind and namespace."""

    def __init__(self, rig, api):
        self.rig, self.api, self.n = rig, api, 0

    def step(self):
        self.n += 1
        api, n, ns = self.api, self.n, "churn-%d" % self.n
        api.put(make.namespace(ns), make.crd("gadgets%d" % n, "Gadget%d" % n))
        api.put(*[make.deployment("web-%d" % i, ns, secret="creds-%d" % i) for i in range(8)],
                *[make.config_map("conf-%d" % i, ns) for i in range(8)],
                *[make.custom("Gadget%d" % n, "g-%d" % i, ns, {"size": i}) for i in range(5)])
        api.put(make.deployment("web-1", ns, image="registry.example.com/app:2.0"),
                make.deployment("web-2", ns, labels={"app": "web-2", "tier": "gold"}))
        for i in self.rig.random.sample(range(3, 8), 3):
            api.drop("apps/v1", "Deployment", "web-%d" % i, ns)
            api.drop("v1", "ConfigMap", "conf-%d" % i, ns)
        # The same name again is another object.
        api.drop("v1", "ConfigMap", "conf-0", ns)
        api.put(make.config_map("conf-0", ns, labels={"again": "yes"}))
        if n > 1:
            api.drop("apiextensions.k8s.io/v1", "CustomResourceDefinition",
                     "gadgets%d.test.example.com" % (n - 1))
            api.drop("v1", "Namespace", "churn-%d" % (n - 1))


def adopt(rig, api):
    """A custom resource becomes the controller of a Deployment that has pods: of three steps, the one
    in the middle changes."""
    every = list(truth.objects(api.url))
    sets = {truth.controller(o)["uid"] for o in every if o["kind"] == "ReplicaSet" and truth.controller(o)}
    deployment = next(o for o in every if o["kind"] == "Deployment" and o["metadata"]["uid"] in sets)
    ns = deployment["metadata"]["namespace"]
    api.put(make.crd("apps", "App"))
    api.put(make.custom("App", "the-owner", ns))
    app = next(o for o in truth.objects(api.url) if o["kind"] == "App")
    deployment["metadata"]["ownerReferences"] = [
        {"apiVersion": app["apiVersion"], "kind": "App", "name": "the-owner", "uid": app["metadata"]["uid"],
         "controller": True}]
    api.put(deployment)
    below = [i for i, f in truth.documents(api.url).items() if f["owner_name"] == "the-owner" and f["kind"] == "Pod"]
    rig.checks.test("pods are two steps below", len(below) > 0)


def play(rig):
    api = r.Replay(rig)
    db = rig.path("store.db")
    args = ("--vector", "sqlite:" + db, "--embed", "hash:384", "--batch-size", "20")
    churn = Churn(rig, api)
    agent = r.Agent(rig, api, *args)

    def same(name):
        return rig.compare(name, lambda: r.sqlite_rows(db), api, lambda: agent.settled())

    same("documents equal the cluster's objects")
    rig.checks.test("there is something to compare", len(r.sqlite_rows(db)) > 300)
    facts(rig, r.sqlite_rows(db), api)
    adopt(rig, api)
    same("after a Deployment was adopted, ReplicaSets and pods name its owner")
    churn.step()
    same("after churn")
    churn.step()
    same("after more churn, with a kind and a namespace gone")

    for fault in (["cut-watch=20000@times=40"], ["410-watch@times=30", "410-list@times=8"],
                                  ["500=configmaps@for=2", "500=deployments@for=2"],
                                  ["429=1@p=0.2@for=2", "reset-watch=3000@times=20"]):
        for f in fault:
            api.fault(f)
        api.control("drop?how=reset")
        churn.step()
        api.clear()
        same("after " + ", ".join(fault))

    for _ in range(4):
        churn.step()
        time.sleep(rig.random.random() * 0.6)
        agent.end()
        churn.step()
        agent = r.Agent(rig, api, *args)
        time.sleep(rig.random.random() * 1.5)
    same("after four ends by SIGKILL")
    rig.checks.test("ledger and documents agree",
                    set(r.ledger_rows(db)) == set(r.sqlite_rows(db)) or
                    sorted(set(r.ledger_rows(db)) ^ set(r.sqlite_rows(db))))
    agent.end()
    agent = r.Agent(rig, api, *args)
    same("after a restart without a change")
    rig.checks.test("which embeds and writes nothing", agent.idle())
    rig.checks.test("the agent ends with exit code 0", agent.end(r.signal.SIGTERM) == 0)
