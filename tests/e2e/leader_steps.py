"""Several collectors and one Lease, on the real API server."""

import re
import signal

import objects as o
from agents import Agent
from cluster import wait_for
from kube import ApiError
from rig import Failure
from stage import Stage

LEASES = "/apis/coordination.k8s.io/v1/namespaces/kindred/leases"
LEASE = LEASES + "/collectors"
MICRO_TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


class LeaderSteps(Stage):
    def candidate(self, name):
        file = self.write_token(name, account="agent")[0]
        config = self.cluster.kubeconfig(name, None, {"tokenFile": file})
        return Agent(self.cluster, self.reducer, name, [
            "--kubeconfig", config, "--scope", "cluster", "--lease-name", "collectors",
            "--lease-namespace", "kindred", "--pod-name", name])

    def grant_lease(self):
        """What --print-access says, and nothing more."""
        role = o.role("Role", "collectors", [("coordination.k8s.io", ["leases"], ["create"])])
        role["rules"].append({"apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                              "resourceNames": ["collectors"], "verbs": ["get", "update"]})
        self.create(role, "kindred")
        self.create(o.binding("RoleBinding", "collectors", "Role", "collectors",
                              o.account("agent")), "kindred")

    def lease(self):
        return self.api.get(LEASE)["spec"]

    def holder(self):
        try:
            return self.lease().get("holderIdentity", "")
        except ApiError as e:
            if e.code == 404:
                return ""
            raise

    def check_lease(self, holder, transitions):
        spec = self.lease()
        want = {"holderIdentity": holder, "leaseDurationSeconds": 15,
                "leaseTransitions": transitions}
        wrong = {k: spec.get(k) for k in want if spec.get(k) != want[k]}
        wrong.update((k, spec.get(k)) for k in ("acquireTime", "renewTime")
                     if not MICRO_TIME.match(spec.get(k, "")))
        if wrong:
            raise Failure("in the Lease is %s" % wrong)
        wait_for(lambda: self.lease()["renewTime"] > spec["renewTime"], 5, "a renewal")
        if self.lease()["acquireTime"] != spec["acquireTime"]:
            raise Failure("acquireTime has changed with a renewal")

    def check_alone(self, leader, others):
        """The leader tells what is right, the others are not connected."""
        self.check([leader], seconds=20)
        for other in others:
            if self.reducer.held_by(other.name)[1]:
                raise Failure("%s stands by, and is connected" % other.name)

    def step_leader(self):
        """two collectors: one leads, is killed, the other takes over and gives the Lease back"""
        crew = [self.candidate(n) for n in ("collector-a", "collector-b")]
        crew[0].start()
        try:
            wait_for(lambda: "grant get, create and update on leases" in
                     "\n".join(crew[0].log_tail()), 10, "words about the missing permission")
            self.grant_lease()
            wait_for(lambda: self.holder() == "collector-a", 20, "a leader")
            crew[1].start()
            self.check_alone(crew[0], crew[1:])
            self.check_lease("collector-a", 0)
            crew[0].kill()
            self.scale("Deployment", "shop", "web", 3)
            wait_for(lambda: self.holder() == "collector-b", 20, "the Lease to run out")
            self.settle()
            self.check_alone(crew[1], crew[:1])
            self.check_lease("collector-b", 1)
            crew[0].start()
            self.check_lease("collector-b", 1)
            self.check_alone(crew[1], crew[:1])
            code, took = crew[1].stop(signal.SIGTERM)
            if code or took > 1.5:
                raise Failure("exit code %s after %.1f s" % (code, took))
            wait_for(lambda: self.holder() == "collector-a", 5, "the Lease that was given back")
            self.check_alone(crew[0], crew[1:])
            self.check_lease("collector-a", 2)
            crew[0].stop(signal.SIGTERM)
            spec = self.lease()
            if spec.get("holderIdentity") or spec["leaseDurationSeconds"] != 1:
                raise Failure("given back is %s" % spec)
        finally:
            for agent in crew:
                if agent.proc:
                    agent.kill()
