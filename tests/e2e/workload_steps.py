"""Steps that change the cluster as people and controllers do."""

import contextlib
import subprocess
import time

import objects as o
from cluster import wait_for
from rig import Failure, Skip, path
from stage import Stage

ROLLOUT = ("argoproj.io", "Rollout")


class WorkloadSteps(Stage):
    def step_first_state(self):
        """a cluster that was there before the agents"""
        self.create(o.workload("Deployment", "web", 3), "shop")
        two = o.pod_spec(("api:2", "proxy:1"), ("setup:1",))
        self.create(o.workload("Deployment", "api", 2, two, o.notes(ip="dual")), "shop")
        self.create(o.workload("StatefulSet", "db", 2, annotations=o.notes(ip="dual6")), "shop")
        self.create(o.workload("DaemonSet", "logs", None,
                               o.pod_spec(("logs:1",), hostNetwork=True)), "kindred")
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
                    and self.replicas_run("shop", "db") and self.running("kindred", "logs", 3))
        self.reducer.start()
        for agent in self.agents.values():
            agent.start()
        self.check(seconds=20)

    def static_pod(self):
        node = self.get("Node", None, "node-2")
        spec = o.pod_spec(("etcd:3",), nodeName="node-2", hostNetwork=True)
        self.create(o.pod("etcd-node-2", spec,
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

    def step_scaling(self):
        """scaling up and down"""
        self.scale("Deployment", "shop", "web", 7)
        self.scale("StatefulSet", "shop", "db", 4)
        self.settle_and_check(lambda: self.rolled("shop", "web")
                              and self.replicas_run("shop", "db"))
        self.scale("Deployment", "shop", "web", 2)
        self.scale("StatefulSet", "shop", "db", 1)
        self.scale("ReplicaSet", "shop", "alone", 1)
        self.settle_and_check(lambda: self.rolled("shop", "web")
                              and self.replicas_run("shop", "db"))

    def step_rollout(self):
        """rollouts, forward and back"""
        self.set_image("Deployment", "shop", "web", "app:2")
        self.set_image("Deployment", "shop", "api", "api:3", "proxy:1")
        self.settle_and_check(lambda: self.rolled("shop", "web") and self.rolled("shop", "api"))
        self.set_image("Deployment", "shop", "web", "app:1")
        self.set_image("StatefulSet", "shop", "db", "app:2")
        self.settle_and_check(lambda: self.rolled("shop", "web")
                              and self.replicas_run("shop", "db"))

    def step_same_name(self):
        """a pod that comes again under its name with another uid"""
        before = self.get("Pod", "shop", "db-0")["metadata"]["uid"]
        self.delete("Pod", "shop", "db-0")
        self.settle_and_check(lambda: self.replicas_run("shop", "db") and self.get(
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

    def step_short_lives(self):
        """pods that live for a blink"""
        self.create(o.cronjob("tick", "* * * * *", runs=1.5), "batch")
        uids = set()
        for i in range(5):
            name = "blink-%d" % i
            uids.add(self.create(o.pod(name), "shop")["metadata"]["uid"])
            wait_for(lambda n=name: self.get("Pod", "shop", n)["status"].get("podIP"), 10,
                     "an address for " + name, 0.01)
            self.delete("Pod", "shop", name, grace=0)
        self.settle_and_check()
        with self.reducer.lock:
            missed = uids - self.reducer.ever
        if missed:
            raise Failure("never told, though they had an address: %s" % ", ".join(missed))

    def step_adoption(self):
        """a bare pod adopted, orphaned, adopted again and let go"""
        self.create(o.pod("stray", o.pod_spec(node="node-2"), {"app": "family"}), "shop")
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
        self.owners_read_again()
        self.patch("Pod", "shop", "stray", {"metadata": {"labels": {"app": "free"}}})
        self.settle_and_check(lambda: not self.controller_of("Pod", "shop", "stray")
                              and self.running("shop", "family", 1))
        self.delete("ReplicaSet", "shop", "family", policy="Orphan")
        self.settle_and_check(lambda: self.gone("ReplicaSet", "shop", "family"))

    def owners_read_again(self):
        """node-2 reads owners again after 10 s, on the next event of their pods."""
        agent = self.agents["node-2"]
        time.sleep(10.1)
        self.annotate("shop", "stray", touched="yes")
        agent.late_owners = False
        try:
            self.settle_and_check(agents=[agent])
        finally:
            agent.late_owners = True

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

    def step_other_ways(self):
        """JSON, pages, exec plugin, inline certificate, flags alone"""
        with contextlib.ExitStack() as stack:
            others = [stack.enter_context(agent) for agent in self.other_agents()]
            self.check(others, 20)
            self.scale("Deployment", "shop", "web", 4)
            self.settle_and_check(lambda: self.rolled("shop", "web"), others)

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

    def step_cron_fires(self):
        """a CronJob that fires by itself"""
        def fired():
            with self.reducer.lock:
                return any(kind == "CronJob" and name == "tick"
                           for _, kind, name in self.reducer.ever_owners)
        wait_for(fired, 75, "a pod of CronJob tick at the reducer", 0.5)
        self.patch("CronJob", "batch", "tick", {"spec": {"suspend": True}})
        self.settle_and_check(
            lambda: not self.get("CronJob", "batch", "tick")["status"].get("active"))

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
