"""The end-to-end scenario; run.sh starts it.

Every step changes the cluster or hurts one of the parts, waits until the
cluster is at rest, and compares what each agent has made the reducer hold
with what plain GETs of the API say (truth.py), for a bounded time.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import objects as o
from agents import Agent, Proxy
from cluster import wait_for
from kube import ApiError
from rig import Failure, Rig, Skip, path

JOB = ("batch", "Job")
ROLLOUT = ("argoproj.io", "Rollout")
READ = ("get", "list", "watch")
OWNERS = (("apps", ["replicasets"]), ("batch", ["jobs"]))


class Scenario(Rig):
    def __init__(self, *args):
        super().__init__(*args)
        self.proxy = None
        self.old_secret = None

    # Before the first step.

    def start_servers(self):
        self.cluster.make_keys()
        self.cluster.start_etcd()
        self.cluster.start_apiserver()
        for args in o.CRDS:
            self.create(o.crd(*args))
        for args in o.CRDS:
            kind = args[3] if args[3] in ("Rollout", "App") else "example.com/" + args[3]
            wait_for(lambda k=kind: self.api.get(path(k)), 20, "custom resources")
        # After the definitions: the garbage collector looks for new kinds only every 30 s.
        self.cluster.start_manager()
        self.kubelets.start()
        for ns in ("kindred", "shop", "batch", "private"):
            self.namespace(ns)
        self.proxy = Proxy(self.cluster.port)

    def give_permissions(self):
        pods = ("", ["pods"], READ)
        node = ("", ["nodes"], ["get"])
        lists = [(g, r, READ) for g, r in OWNERS]
        gets = [(g, r, ["get"]) for g, r in OWNERS]
        roles = {
            "agent": [pods, node] + lists,
            "node-agent": [pods, node] + gets,
            "nojobs": [pods, node, lists[0]],
            "jobs": [lists[1]],
            "follow": [pods, node, ("argoproj.io", ["rollouts"], ["get"])] + lists,
        }
        for name, rules in roles.items():
            self.create(o.role("ClusterRole", "kindred-" + name, rules))
        for name in ("agent", "nojobs", "follow", "narrow"):
            self.create({"kind": "ServiceAccount", "apiVersion": "v1",
                         "metadata": {"name": name}}, "kindred")
            if name != "narrow":
                self.bind_cluster(name, name, o.account(name))
        for i in (1, 2):
            self.bind_cluster("node-agent-%d" % i, "node-agent", o.user("node-agent-%d" % i))
            self.cluster.make_cert("node-agent-%d" % i, "/O=kindred:agents/CN=node-agent-%d" % i,
                                   "extendedKeyUsage=clientAuth")
        for ns in ("shop", "batch"):
            self.bind_narrow(ns)

    def bind_cluster(self, name, role, subject):
        self.create(o.binding("ClusterRoleBinding", "kindred-" + name, "ClusterRole",
                              "kindred-" + role, subject))

    def bind_narrow(self, ns):
        rules = [("", ["pods"], READ)] + [(g, r, READ) for g, r in OWNERS]
        self.create(o.role("Role", "narrow", rules), ns)
        self.create(o.binding("RoleBinding", "narrow", "Role", "narrow", o.account("narrow")), ns)

    def token(self, name, bound=None):
        spec = {"expirationSeconds": 3600}
        if bound:
            spec["boundObjectRef"] = {"kind": "Secret", "apiVersion": "v1",
                                      "name": bound["metadata"]["name"],
                                      "uid": bound["metadata"]["uid"]}
        answer = self.api.post(path("ServiceAccount", "kindred", name) + "/token", {
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": spec})
        return answer["status"]["token"]

    def write_token(self, name, bound=None):
        """Into the file that the kubeconfig names, replaced in one step as kubelets do."""
        file = self.cluster.path(name + ".token")
        token = self.token(name, bound)
        with open(file + ".new", "w") as f:
            f.write(token)
        os.rename(file + ".new", file)
        return file, token

    def new_secret(self, name):
        return self.create({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": name}},
                           "kindred")

    def token_agent(self, name, args, port=None, bound=None, scope=None):
        file = self.write_token(name, bound)[0]
        config = self.cluster.kubeconfig(name, port, {"tokenFile": file})
        return Agent(self.cluster, self.reducer, name,
                     ["--kubeconfig", config, "--scope", "cluster"] + args, scope=scope)

    def make_agents(self):
        self.old_secret = self.new_secret("token-1")
        self.agents["agent"] = self.token_agent("agent", [], self.proxy.port, self.old_secret)
        self.agents["narrow"] = self.token_agent(
            "narrow", ["--namespaces", "shop,batch,private"],
            scope={"namespaces": ("shop", "batch")})
        for i in (1, 2):
            node, cert = "node-%d" % i, self.cluster.path("node-agent-%d" % i)
            config = self.cluster.kubeconfig("node-agent-%d" % i, self.proxy.port, {
                "client-certificate": cert + ".crt", "client-key": cert + ".key"})
            # The ways a DaemonSet sets them: the environment for one, flags for the other.
            args = [] if i == 1 else ["--scope", "node", "--node-name", node]
            env = {"KUBECONFIG": config}
            if i == 1:
                env.update(NODE_NAME=node, KINDRED_SCOPE="node")
            self.agents[node] = Agent(self.cluster, self.reducer, node, args, env,
                                      {"node": node}, late_owners=True)

    # Steps, in order.

    def step_first_state(self):
        """a cluster that was there before the agents"""
        self.create(o.workload("Deployment", "web", 3), "shop")
        self.create(o.workload("Deployment", "api", 2, o.pod_spec(("api:2", "proxy:1"), ("setup:1",)),
                               o.notes(ip="dual")), "shop")
        self.create(o.workload("StatefulSet", "db", 2, annotations=o.notes(ip="dual6")), "shop")
        self.create(o.workload("DaemonSet", "logs", None, o.pod_spec(("logs:1",), hostNetwork=True)),
                    "kindred")
        self.create(o.workload("ReplicaSet", "alone", 2), "shop")
        self.create(o.cronjob("nightly", "0 3 * * *", True), "batch")
        self.create(o.job("import", annotations=o.notes(ip="v6")), "batch")
        self.create(o.pod("bare-v4"), "shop")
        self.create(o.pod("bare-v6", annotations=o.notes(ip="v6")), "shop")
        self.create(o.pod("bare-waiting", annotations=o.notes(ip="none")), "shop")
        self.create(o.pod("hidden"), "private")
        self.create(o.pod("host", o.pod_spec(node="node-1", hostNetwork=True),
                          annotations=o.notes(ip="dual")), "shop")
        self.static_pod()
        self.odd_owners()
        self.cron_run("nightly", "nightly-1", 600)
        self.settle(lambda: self.rolled("shop", "web") and self.rolled("shop", "api")
                    and self.running("shop", "db", 2) and self.running("kindred", "logs", 3))
        self.reducer.start()
        for agent in self.agents.values():
            agent.start()
        self.check(seconds=20)

    def static_pod(self):
        node = self.get("Node", None, "node-2")
        self.create(o.pod("etcd-node-2", o.pod_spec(("etcd:3",), nodeName="node-2", hostNetwork=True),
                          annotations={"kubernetes.io/config.mirror": "0" * 32,
                                       "kubernetes.io/config.hash": "0" * 32,
                                       "kubernetes.io/config.source": "file"},
                          owners=[o.owner("v1", "Node", node)]), "kindred")

    def odd_owners(self):
        """Controllers that are not first, not controllers, or only look like built-in kinds."""
        like = {k: self.create({"kind": k, "apiVersion": "example.com/v1",
                                "metadata": {"name": "like-" + k.lower()}}, "shop",
                               "example.com/" + k) for k in ("Deployment", "ReplicaSet")}
        app = self.create({"kind": "App", "apiVersion": "example.com/v1",
                           "metadata": {"name": "suite"}}, "shop")
        for kind, obj in like.items():
            self.create(o.pod("of-like-" + kind.lower(),
                              owners=[o.owner("example.com/v1", kind, obj)]), "shop")
        web = self.get("Deployment", "shop", "web")
        self.create(o.pod("second-controls", owners=[
            o.owner("apps/v1", "Deployment", web, False),
            o.owner("example.com/v1", "App", app)]), "shop")
        self.create(o.pod("none-controls", owners=[o.owner("apps/v1", "Deployment", web, None)]),
                    "shop")

    def cron_run(self, cron, name, runs, exit_code="0"):
        """A Job as `kubectl create job --from=cronjob` makes it."""
        ref = o.owner("batch/v1", "CronJob", self.get("CronJob", "batch", cron))
        self.create(o.job(name, [ref], runs=runs, exit_code=exit_code), "batch")

    def step_scaling(self):
        """scaling up and down"""
        self.scale("Deployment", "shop", "web", 7)
        self.scale("StatefulSet", "shop", "db", 4)
        self.settle_and_check(lambda: self.rolled("shop", "web") and self.running("shop", "db", 4))
        self.scale("Deployment", "shop", "web", 2)
        self.scale("StatefulSet", "shop", "db", 1)
        self.scale("ReplicaSet", "shop", "alone", 1)
        self.settle_and_check(lambda: self.rolled("shop", "web") and self.running("shop", "db", 1))

    def step_rollout(self):
        """rollouts, forward and back"""
        self.set_image("Deployment", "shop", "web", "app:2")
        self.set_image("Deployment", "shop", "api", "api:3", "proxy:1")
        self.settle_and_check(lambda: self.rolled("shop", "web") and self.rolled("shop", "api"))
        self.set_image("Deployment", "shop", "web", "app:1")
        self.set_image("StatefulSet", "shop", "db", "app:2")
        self.settle_and_check(lambda: self.rolled("shop", "web") and self.running("shop", "db", 1))

    def step_same_name(self):
        """a pod that comes again under its name with another uid"""
        before = self.get("Pod", "shop", "db-0")["metadata"]["uid"]
        self.delete("Pod", "shop", "db-0")
        self.settle_and_check(lambda: self.running("shop", "db", 1) and self.get(
            "Pod", "shop", "db-0")["metadata"]["uid"] != before)

    def step_live_pod(self):
        """a pod that changes: image, restart, debug container, address lost and back"""
        self.set_pod_image("shop", "bare-v4", "app:9")
        self.settle_and_check()
        self.annotate("shop", "bare-v4", restarts="1")
        self.settle_and_check()
        debug = self.get("Pod", "shop", "bare-v4")
        debug["spec"]["ephemeralContainers"] = [{"name": "debug", "image": "busybox:1"}]
        self.api.put(path("Pod", "shop", "bare-v4") + "/ephemeralcontainers", debug)
        self.settle_and_check()
        uid = debug["metadata"]["uid"]
        self.annotate("shop", "bare-v4", ip="none")
        self.settle_and_check()
        if uid in self.truth.table():
            raise Failure("the stand-in left the address in place")
        self.annotate("shop", "bare-v4", ip="dual6")
        self.annotate("shop", "bare-waiting", ip="v4")
        self.settle_and_check()

    def step_jobs(self):
        """Jobs that succeed, fail and are retried, run by hand from a CronJob"""
        self.cron_run("nightly", "nightly-2", 0.2)
        self.cron_run("nightly", "nightly-3", 0.2, "1")
        self.create(o.job("parallel", runs=0.5, completions=3), "batch")
        self.create(o.job("flaky", runs=0.2, exit_code="1", backoff=1), "batch")
        self.settle_and_check(lambda: self.job_done("nightly-2", "Complete")
                              and self.job_done("nightly-3", "Failed")
                              and self.job_done("parallel", "Complete"))
        with self.reducer.lock:
            told = {owner for _, kind, owner in self.reducer.ever_owners if kind == "CronJob"}
        if "nightly" not in told:
            raise Failure("no pod of CronJob nightly was ever told")
        self.delete("Job", "batch", "nightly-2", policy="Background")
        self.delete("Job", "batch", "nightly-1", policy="Background")
        self.settle_and_check(lambda: self.gone("Job", "batch", "nightly-1"))

    def job_done(self, name, how):
        status = self.get("Job", "batch", name)["status"]
        return any(c["type"] == how and c["status"] == "True"
                   for c in status.get("conditions") or [])

    def step_short_lives(self):
        """pods that live for a blink"""
        self.create(o.cronjob("tick", "* * * * *", runs=1.5), "batch")
        uids = set()
        for i in range(5):
            name = "blink-%d" % i
            uids.add(self.create(o.pod(name), "shop")["metadata"]["uid"])
            wait_for(lambda n=name: self.get("Pod", "shop", n)["status"].get("podIP"), 10, name, 0.01)
            self.delete("Pod", "shop", name, grace=0)
        self.settle_and_check()
        with self.reducer.lock:
            missed = uids - self.reducer.ever
        if missed:
            raise Failure("never told, though they had an address: %s" % ", ".join(missed))

    def controller_of(self, kind, ns, name):
        refs = self.get(kind, ns, name)["metadata"].get("ownerReferences") or []
        return [r["kind"] for r in refs if r.get("controller")]

    def step_adoption(self):
        """a bare pod adopted, orphaned, adopted again and let go"""
        self.create(o.pod("stray", labels={"app": "family"}), "shop")
        self.settle_and_check()
        self.create(o.workload("ReplicaSet", "family", 1), "shop")
        self.settle_and_check(lambda: self.controller_of("Pod", "shop", "stray") == ["ReplicaSet"])
        for _ in range(2):
            self.create(o.workload("Deployment", "family", 1), "shop")
            self.settle_and_check(
                lambda: self.controller_of("ReplicaSet", "shop", "family") == ["Deployment"]
                and self.rolled("shop", "family"))
            self.delete("Deployment", "shop", "family", policy="Orphan")
            self.settle_and_check(lambda: self.gone("Deployment", "shop", "family")
                                  and not self.controller_of("ReplicaSet", "shop", "family"))
        self.patch("Pod", "shop", "stray", {"metadata": {"labels": {"app": "free"}}})
        self.settle_and_check(lambda: not self.controller_of("Pod", "shop", "stray")
                              and self.running("shop", "family", 1))
        self.delete("ReplicaSet", "shop", "family", policy="Orphan")
        self.settle_and_check(lambda: self.gone("ReplicaSet", "shop", "family"))

    def step_custom_owners(self):
        """custom resources that own ReplicaSets and pods"""
        app = self.get("App", "shop", "suite")
        rollout = self.create({"kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1",
                               "metadata": o.meta("canary", owners=[
                                   o.owner("example.com/v1", "App", app)])}, "shop")
        ref = o.owner("argoproj.io/v1alpha1", "Rollout", rollout)
        self.create(o.workload("ReplicaSet", "canary-1", 2, owners=[ref]), "shop")
        self.create(o.workload("ReplicaSet", "canary-2", 1, owners=[ref]), "shop")
        self.create(o.workload("ReplicaSet", "short", 1, owners=[
            o.owner("example.com/v1", "App", app)]), "shop")
        self.settle_and_check(lambda: self.running("shop", "canary-1", 2)
                              and self.running("shop", "canary-2", 1))
        self.scale("ReplicaSet", "shop", "canary-1", 0)
        self.scale("ReplicaSet", "shop", "canary-2", 3)
        self.settle_and_check(lambda: self.running("shop", "canary-2", 3))

    def step_follow_owners(self):
        """--follow-owners argoproj.io/Rollout"""
        helped = subprocess.run([self.kindred, "agent", "--help"], capture_output=True, text=True)
        if "--follow-owners" not in helped.stdout + helped.stderr:
            raise Skip("the agent has no --follow-owners")
        agent = self.token_agent("follow", ["--follow-owners", "argoproj.io/Rollout"],
                                 scope={"follow": (ROLLOUT,)})
        with agent:
            self.check([agent], 20)

    def step_owner_gone_first(self):
        """terminating pods whose owners are gone"""
        self.create(o.workload("Deployment", "lingering", 2, annotations=o.notes(linger="true")),
                    "shop")
        self.settle_and_check(lambda: self.rolled("shop", "lingering"))
        self.delete("Deployment", "shop", "lingering", policy="Background")
        self.settle_and_check(lambda: all(p["metadata"].get("deletionTimestamp")
                                          for p in self.pods("shop", "lingering"))
                              and not self.replica_sets("shop", "lingering"))
        pods = self.pods("shop", "lingering")
        if len(pods) != 2:
            raise Failure("%d lingering pods, must be 2" % len(pods))
        for p in pods:
            self.annotate("shop", p["metadata"]["name"], linger=None)
        self.settle_and_check(lambda: not self.pods("shop", "lingering"))

    def replica_sets(self, ns, app):
        return self.api.get(path("ReplicaSet", ns) + "?labelSelector=app%3D" + app)["items"]

    def step_cron_fires(self):
        """a CronJob that fires by itself"""
        def fired():
            with self.reducer.lock:
                return any(kind == "CronJob" and name == "tick"
                           for _, kind, name in self.reducer.ever_owners)
        wait_for(fired, 75, "a pod of CronJob tick at the reducer", 0.5)
        self.patch("CronJob", "batch", "tick", {"spec": {"suspend": True}})
        self.settle_and_check(lambda: not self.get("CronJob", "batch", "tick")["status"].get("active"),
                              seconds=15)

    def asked_since(self, mark, user):
        return [(verb, uri) for who, verb, uri in self.cluster.requests(mark) if who == user]

    def step_connections_cut(self):
        """cut connections: resumed without a list and without a word to the reducer"""
        mark = self.cluster.requests_mark()
        names = ("agent", "node-1", "node-2")
        before = {n: self.reducer.counted(n) for n in names}
        me = "system:serviceaccount:kindred:agent"
        for _ in range(3):
            if not self.proxy.cut():
                raise Failure("the agents hold no connection to the API server")
            time.sleep(1.5)
        wait_for(lambda: self.watches_since(mark, me) >= {"pods", "replicasets", "jobs"}, 15,
                 "the watches after a cut")
        time.sleep(0.5)
        after = {n: self.reducer.counted(n) for n in names}
        if after != before:
            raise Failure("(resyncs, messages) at the reducer went from %s to %s" % (before, after))
        lists = [r for r in self.asked_since(mark, me) if r[0] == "list" or "sendInitialEvents" in r[1]]
        if lists:
            raise Failure("listed again after a cut: %s" % lists[:4])
        self.scale("Deployment", "shop", "web", 4)
        self.settle_and_check(lambda: self.rolled("shop", "web"))

    def watches_since(self, mark, user):
        return {uri.split("?")[0].rsplit("/", 1)[1]
                for verb, uri in self.asked_since(mark, user) if verb == "watch"}

    def step_reducer_restart(self):
        """the reducer ends and comes back, by TERM and by KILL, with changes in between"""
        for sig, replicas in ((signal.SIGTERM, 2), (signal.SIGKILL, 5)):
            self.reducer.stop(sig)
            self.scale("Deployment", "shop", "web", replicas)
            self.delete("Pod", "shop", "db-0")
            self.settle(lambda n=replicas: self.running("shop", "web", n)
                        and self.running("shop", "db", 1))
            self.reducer.start()
            self.check(seconds=20)

    def step_apiserver_killed(self):
        """kube-apiserver killed in the middle of a rollout"""
        self.set_image("Deployment", "shop", "web", "app:3")
        time.sleep(0.4)
        self.cluster.restart_apiserver(signal.SIGKILL)
        self.settle_and_check(lambda: self.rolled("shop", "web"), seconds=30)

    def step_apiserver_unchanged(self):
        """kube-apiserver ended by TERM, nothing changed: nothing is told"""
        names = ("agent", "node-1", "node-2")
        before = {n: self.reducer.counted(n) for n in names}
        self.cluster.restart_apiserver(signal.SIGTERM)
        mark = self.cluster.requests_mark()
        wait_for(lambda: self.watches_since(mark, "system:serviceaccount:kindred:agent")
                 >= {"pods", "replicasets", "jobs"}, 40, "the watches after a restart")
        self.settle()
        after = {n: self.reducer.counted(n) for n in names}
        if after != before:
            raise Failure("(resyncs, messages) at the reducer went from %s to %s" % (before, after))
        self.scale("Deployment", "shop", "web", 3)
        self.settle_and_check(lambda: self.rolled("shop", "web"), seconds=30)

    def step_compaction(self):
        """agents stopped, history compacted: the resume gets 410"""
        rv = self.api.get(path("Pod"))["metadata"]["resourceVersion"]
        held = [self.agents[n] for n in ("agent", "node-1", "node-2")]
        for agent in held:
            agent.proc.send_signal(signal.SIGSTOP)
        try:
            self.scale("Deployment", "shop", "web", 6)
            self.delete("Pod", "shop", "db-0")
            self.delete("Pod", "shop", "bare-v6")
            self.delete("ReplicaSet", "shop", "alone", policy="Background")
            self.create(o.workload("Deployment", "unseen", 1), "shop")
            self.cron_run("nightly", "nightly-unseen", 600)
            self.settle(lambda: self.rolled("shop", "web") and self.rolled("shop", "unseen")
                        and self.running("shop", "db", 1))
            self.cluster.compact()
            self.cluster.restart_apiserver(signal.SIGKILL)
            self.expect_410(rv)
        finally:
            mark = self.cluster.requests_mark()
            for agent in held:
                agent.proc.send_signal(signal.SIGCONT)
        self.settle_and_check(seconds=30)
        asked = self.asked_since(mark, "system:serviceaccount:kindred:agent")
        if not any("/pods" in uri and (verb == "list" or "sendInitialEvents" in uri)
                   for verb, uri in asked):
            raise Failure("the agent never listed pods again: %s" % asked[:10])

    def expect_410(self, rv):
        for event in self.cluster.client().watch(path("Pod") + "?watch=1&resourceVersion=" + rv):
            if event["type"] == "ERROR" and event["object"]["code"] == 410:
                return
            raise Failure("a watch from before the compaction began with %s" % event["type"])
        raise Failure("a watch from before the compaction ended without an event")

    def step_token_rotation(self):
        """the token stops being valid; the file gets a new one a little later"""
        with open(self.cluster.path("agent.token")) as f:
            old = f.read()
        secret = self.new_secret("token-2")
        self.delete("Secret", "kindred", self.old_secret["metadata"]["name"])
        self.cluster.restart_apiserver(signal.SIGKILL)

        def refused():
            try:
                self.cluster.client(old).get(path("Pod"))
            except ApiError as e:
                return e.code == 401
            return False
        wait_for(refused, 30, "401 for the old token")
        self.scale("Deployment", "shop", "web", 2)
        self.settle(lambda: self.rolled("shop", "web"))
        self.write_token("agent", secret)
        self.old_secret = secret
        self.check(seconds=40)

    def step_missing_permission(self):
        """no permission for Jobs, then granted"""
        self.truth.refresh()
        of_jobs = {p["metadata"]["uid"] for p in self.truth.pods
                   if any(r["kind"] == "Job" for r in p["metadata"].get("ownerReferences") or [])}
        full = self.truth.table()
        if not any(r["owner_kind"] == "CronJob" for r in full.values()):
            raise Failure("no running pod of a CronJob to tell the difference")
        rest = {u: r for u, r in full.items() if u not in of_jobs}
        agent = self.token_agent("nojobs", ["--waiting-timeout", "2s"], scope={"denied": (JOB,)})
        with agent:
            wait_for(lambda: not self.differences_of_others(agent, rest, of_jobs), 12,
                     "pods of other kinds told while Jobs are refused")
            self.check([agent], 30)
            self.bind_cluster("jobs", "jobs", o.account("nojobs"))
            agent.scope = {}
            self.check([agent], 45)

    def differences_of_others(self, agent, want, ignored):
        held, _ = self.reducer.held_by(agent.name)
        if held is None:
            return ["not connected"]
        return self.truth.differences(want, {u: r for u, r in held.items() if u not in ignored})

    def step_namespace_granted(self):
        """--namespaces: one that was refused is granted"""
        self.bind_narrow("private")
        self.agents["narrow"].scope = {"namespaces": ("shop", "batch", "private")}
        self.check(seconds=45)

    def step_namespace_teardown(self):
        """a namespace deleted with everything in it"""
        self.namespace("temp")
        self.create(o.workload("Deployment", "web", 3), "temp")
        self.create(o.workload("StatefulSet", "db", 1), "temp")
        self.create(o.job("run"), "temp")
        self.create(o.pod("bare"), "temp")
        self.settle_and_check(lambda: self.rolled("temp", "web") and len(self.pods("temp")) == 6)
        for ns in ("temp", "private"):
            self.delete("Namespace", None, ns)
        self.settle(lambda: self.gone("Namespace", None, "temp")
                    and self.gone("Namespace", None, "private"), 60)
        self.check()

    def step_agent_restart(self):
        """an agent killed and started again"""
        for name in ("agent", "node-1"):
            self.agents[name].kill()
        self.delete("Pod", "shop", "bare-waiting")
        self.settle()
        for name in ("agent", "node-1"):
            self.agents[name].start()
        self.check(seconds=20)

    def step_gentle(self):
        """node agents have asked only for their node's pods and single owners"""
        bad = []
        for who, verb, uri in self.cluster.requests():
            if not who.startswith("node-agent-"):
                continue
            where = uri.split("?")[0]
            node = "fieldSelector=spec.nodeName%%3Dnode-%s" % who[-1]
            if where.endswith("/pods"):
                bad += [] if node in uri else [(who, verb, uri)]
            elif verb != "get":
                bad.append((who, verb, uri))
        if bad:
            raise Failure("%d requests a node agent must not make, as %s %s %s"
                          % ((len(bad),) + bad[0]))

    def step_clean_stop(self):
        """TERM: exit code 0 within a second"""
        slow = []
        for name in list(self.agents):
            code, took = self.agents[name].stop()
            if code != 0 or took > 1.5:  # half a second for a busy machine
                slow.append("%s: exit code %s after %.2f s" % (name, code, took))
        if slow:
            raise Failure("\n".join(slow))


def steps():
    """In the order of their definitions."""
    return [(n, f) for n, f in vars(Scenario).items() if n.startswith("step_")]


def run(scenario, only):
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for name, step in steps():
        if only and name[5:] not in only and name != "step_first_state":
            continue
        began, text = time.monotonic(), ""
        try:
            step(scenario)
            result = "passed"
        except Skip as e:
            result, text = "skipped", str(e)
        except (Failure, TimeoutError) as e:
            result, text = "failed", str(e)
        except Exception:
            result, text = "failed", traceback.format_exc()
        counts[result] += 1
        print("e2e: %5.1f s  %-7s  %s: %s" % (
            time.monotonic() - began, result, name[5:], step.__doc__), flush=True)
        if text:
            print("    " + text.replace("\n", "\n    "), flush=True)
        if result == "failed" and name == "step_first_state":
            print("e2e: nothing else can be tried", flush=True)
            break
    return counts


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--bin", required=True, help="folder of the server programs")
    p.add_argument("--kindred", required=True)
    p.add_argument("--only", help="these steps after the first, by name, with commas")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="kindred-e2e.")
    scenario, failed = Scenario(args.bin, args.kindred, folder), True
    try:
        began = time.monotonic()
        scenario.start_servers()
        scenario.give_permissions()
        scenario.make_agents()
        print("e2e: %5.1f s  start servers" % (time.monotonic() - began), flush=True)
        counts = run(scenario, args.only.split(",") if args.only else None)
        print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts)
        failed = counts["failed"] > 0
    except (KeyboardInterrupt, SystemExit):
        print("e2e: stopped", file=sys.stderr)
    finally:
        scenario.stop()
        if os.environ.get("KEEP"):
            print("e2e: kept %s" % folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
