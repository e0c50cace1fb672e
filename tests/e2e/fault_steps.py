"""Steps that hurt one of the parts, or take permissions away."""

import signal
import time

import objects as o
from cluster import wait_for
from kube import ApiError
from rig import Failure, path
from stage import Stage

JOB = ("batch", "Job")
# Backoff grows to 30 s while one fault follows the other, and a resume that gets 410 waits twice.
SLOWEST = 75


class FaultSteps(Stage):
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
        lists = [(verb, uri) for verb, uri in self.asked_since(mark, me)
                 if verb == "list" or "sendInitialEvents" in uri]
        if lists:
            raise Failure("listed again after a cut: %s" % lists[:4])
        self.scale("Deployment", "shop", "web", 4)
        self.settle_and_check(lambda: self.rolled("shop", "web"))

    def asked_since(self, mark, user):
        return [(verb, uri) for who, verb, uri, _ in self.cluster.requests(mark) if who == user]

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
                        and self.replicas_run("shop", "db"))
            self.reducer.start()
            self.check(seconds=20)

    def step_apiserver_killed(self):
        """kube-apiserver killed in the middle of a rollout"""
        self.set_image("Deployment", "shop", "web", "app:3")
        time.sleep(0.4)
        self.cluster.restart_apiserver(signal.SIGKILL)
        self.settle_and_check(lambda: self.rolled("shop", "web"), seconds=SLOWEST)

    def step_apiserver_unchanged(self):
        """kube-apiserver ended by TERM, nothing changed: nothing is told"""
        names = ("agent", "node-1", "node-2")
        before = {n: self.reducer.counted(n) for n in names}
        mark = self.cluster.requests_mark()
        self.cluster.restart_apiserver(signal.SIGTERM)
        wait_for(lambda: self.watches_since(mark, "system:serviceaccount:kindred:agent")
                 >= {"pods", "replicasets", "jobs"}, SLOWEST, "the watches after a restart")
        self.settle()
        after = {n: self.reducer.counted(n) for n in names}
        if after != before:
            raise Failure("(resyncs, messages) at the reducer went from %s to %s" % (before, after))
        self.scale("Deployment", "shop", "web", 3)
        self.settle_and_check(lambda: self.rolled("shop", "web"), seconds=SLOWEST)

    def step_compaction(self):
        """agents stopped, history compacted: the resume gets 410"""
        rv = self.api.get(path("Pod"))["metadata"]["resourceVersion"]
        held = [self.agents[n] for n in ("agent", "node-1", "node-2")]
        for agent in held:
            agent.proc.send_signal(signal.SIGSTOP)
        self.proxy.cut()  # what comes now must not wait for them in a socket
        try:
            self.scale("Deployment", "shop", "web", 6)
            self.delete("Pod", "shop", "db-0")
            self.delete("Pod", "shop", "bare-v6")
            self.delete("ReplicaSet", "shop", "alone", policy="Background")
            self.create(o.workload("Deployment", "unseen", 1), "shop")
            self.cron_run("nightly", "nightly-unseen", 600)
            self.settle(lambda: self.rolled("shop", "web") and self.rolled("shop", "unseen")
                        and self.replicas_run("shop", "db"))
            self.cluster.compact()
            self.cluster.restart_apiserver(signal.SIGKILL)
            self.expect_410(rv)
        finally:
            mark = self.cluster.requests_mark()
            for agent in held:
                agent.proc.send_signal(signal.SIGCONT)
        self.settle_and_check(seconds=SLOWEST)
        asked = self.asked_since(mark, "system:serviceaccount:kindred:agent")
        if not any("/pods" in uri and (verb == "list" or "sendInitialEvents" in uri)
                   for verb, uri in asked):
            raise Failure("true without listing pods again? It asked for %s" % asked[:10])

    def expect_410(self, rv):
        for event in self.cluster.client().watch(path("Pod") + "?watch=1&resourceVersion=" + rv):
            if event["type"] == "ERROR" and event["object"]["code"] == 410:
                return
            raise Failure("a watch from before the compaction began with %s" % event["type"])
        raise Failure("a watch from before the compaction ended without an event")

    def step_etcd_stalls(self):
        """etcd stands still for longer than a request may last"""
        self.cluster.etcd.send_signal(signal.SIGSTOP)
        try:
            self.proxy.cut()
            time.sleep(10)
        finally:
            self.cluster.etcd.send_signal(signal.SIGCONT)
        self.cluster.wait_ready()
        self.scale("Deployment", "shop", "web", 3)
        self.settle_and_check(lambda: self.rolled("shop", "web"), seconds=SLOWEST)

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
        self.check(seconds=SLOWEST)

    def step_missing_permission(self):
        """no permission for Jobs, then granted"""
        self.cron_run("nightly", "nightly-hidden", 600)
        self.settle()
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
        """node agents have asked only for their node's pods and single owners; leases are written"""
        bad = []
        for who, verb, uri, program in self.cluster.requests():
            if not program.startswith("kindred/"):
                bad.append((who, program, uri))
            if verb not in ("get", "list", "watch") and "/leases" not in uri:
                bad.append((who, verb, uri))
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
