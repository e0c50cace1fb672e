"""What every step of the scenario uses: the parts, waiting for rest, comparing."""

import time

from agents import Reducer
from cluster import Cluster, wait_for
from kube import ApiError
from kubelet import Kubelets
from truth import Truth

PLURALS = {
    "Pod": "/api/v1/%spods", "Namespace": "/api/v1/%snamespaces", "Secret": "/api/v1/%ssecrets",
    "ServiceAccount": "/api/v1/%sserviceaccounts", "Node": "/api/v1/%snodes",
    "Deployment": "/apis/apps/v1/%sdeployments", "ReplicaSet": "/apis/apps/v1/%sreplicasets",
    "StatefulSet": "/apis/apps/v1/%sstatefulsets", "DaemonSet": "/apis/apps/v1/%sdaemonsets",
    "Job": "/apis/batch/v1/%sjobs", "CronJob": "/apis/batch/v1/%scronjobs",
    "Role": "/apis/rbac.authorization.k8s.io/v1/%sroles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/%srolebindings",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/%sclusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/%sclusterrolebindings",
    "CustomResourceDefinition":
        "/apis/apiextensions.k8s.io/v1/%scustomresourcedefinitions",
    "Rollout": "/apis/argoproj.io/v1alpha1/%srollouts",
    "App": "/apis/example.com/v1/%sapps",
    "example.com/Deployment": "/apis/example.com/v1/%sdeployments",
    "example.com/ReplicaSet": "/apis/example.com/v1/%sreplicasets",
}


class Failure(Exception):
    """Something under test is wrong; the text says what."""


class Skip(Exception):
    """A step that this build of the agent cannot take."""


def path(kind, ns=None, name=None):
    return PLURALS[kind] % ("namespaces/%s/" % ns if ns else "") + ("/" + name if name else "")


class Rig:
    def __init__(self, bindir, kindred, folder):
        self.kindred = kindred
        self.cluster = Cluster(bindir, folder)
        self.kubelets = Kubelets(self.cluster.client, 3)
        self.reducer = Reducer(self.cluster, kindred)
        self.api = self.cluster.client()
        self.truth = Truth(self.api)
        self.agents = {}

    # Objects.

    def create(self, obj, ns=None, kind=None):
        return self.api.post(path(kind or obj["kind"], ns), obj)

    def get(self, kind, ns, name):
        return self.api.get(path(kind, ns, name))

    def patch(self, kind, ns, name, change):
        return self.api.patch(path(kind, ns, name), change)

    def delete(self, kind, ns, name, **kwargs):
        return self.api.delete(path(kind, ns, name), **kwargs)

    def gone(self, kind, ns, name):
        return self.api.gone(path(kind, ns, name))

    def annotate(self, ns, name, kind="Pod", **notes):
        changes = {"kindred-e2e/" + k: v for k, v in notes.items()}
        self.patch(kind, ns, name, {"metadata": {"annotations": changes}})

    def scale(self, kind, ns, name, replicas):
        self.patch(kind, ns, name, {"spec": {"replicas": replicas}})

    def set_pod_image(self, ns, name, image):
        pod = self.get("Pod", ns, name)
        pod["spec"]["containers"][0]["image"] = image
        return self.api.put(path("Pod", ns, name), pod)

    def set_image(self, kind, ns, name, *images):
        containers = [{"name": "c%d" % i, "image": im} for i, im in enumerate(images)]
        self.patch(kind, ns, name, {"spec": {"template": {"spec": {"containers": containers}}}})

    def namespace(self, name):
        self.create({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": name}})
        wait_for(lambda: self.get("ServiceAccount", name, "default"), 20, "namespace " + name)

    def pods(self, ns, app=None):
        query = "?labelSelector=app%3D" + app if app else ""
        return self.api.get(path("Pod", ns) + query)["items"]

    def running(self, ns, app, count):
        """Exactly count pods of that app, all running, none on its way out."""
        pods = self.pods(ns, app)
        return len(pods) == count and all(
            p["status"]["phase"] == "Running" and not p["metadata"].get("deletionTimestamp")
            for p in pods)

    def rolled(self, ns, name):
        """The Deployment has finished what its latest spec asks for."""
        d = self.get("Deployment", ns, name)
        s, want = d["status"], d["spec"]["replicas"]
        return (s.get("observedGeneration") == d["metadata"]["generation"]
                and s.get("updatedReplicas", 0) == s.get("availableReplicas", 0) == want
                and s.get("replicas", 0) == want and len(self.pods(ns, name)) == want)

    def replicas_run(self, ns, name):
        """As many pods of that StatefulSet run as it asks for."""
        want = self.get("StatefulSet", ns, name)["spec"]["replicas"]
        return self.running(ns, name, want)

    # Waiting and comparing.

    def settle(self, until=None, seconds=40):
        """Until until() holds, the stand-ins are idle and no pod changes any more."""
        last = {"pods": None, "since": 0.0}

        def quiet():
            if until and not until():
                return False
            now = {p["metadata"]["uid"]: p["metadata"]["resourceVersion"]
                   for p in self.api.get(path("Pod"))["items"]}
            if now != last["pods"] or not self.kubelets.idle():
                last.update(pods=now, since=time.monotonic())
            return time.monotonic() - last["since"] > 0.6
        wait_for(quiet, seconds, "the cluster at rest")

    def differences(self, agent, want=None):
        if not agent.alive():
            return ["the process ended with %s" % agent.proc.returncode]
        held, conns = self.reducer.held_by(agent.name)
        if held is None:
            return ["%d connections at the reducer; must be one, and have had a resync" % conns]
        if want is None:
            want = self.truth.table(**agent.scope)
        return self.truth.differences(want, held, agent.late_owners)

    def check(self, agents=None, seconds=15):
        """What every running agent has told equals the API, within the seconds."""
        if agents is None:
            agents = [a for a in self.agents.values() if a.proc]
        if not agents:
            raise Failure("no agent is running")
        began, late = time.monotonic(), []
        while True:
            known = self.refresh_truth()
            wrong = {a: d for a, d in ((a, self.differences(a)) for a in agents) if d}
            waited = time.monotonic() - began
            if known and not wrong:
                break
            if waited > seconds:
                raise Failure(_report(wrong, seconds))
            late = [a.name for a in wrong]
            time.sleep(0.15)
        if waited > 5:
            print("e2e:          the last to be right, after %.1f s: %s" % (
                waited, ", ".join(late)), flush=True)
        self.check_problems()

    def refresh_truth(self):
        """False while the server has no answer: a fresh one still reads some kinds from etcd."""
        try:
            self.truth.refresh()
            return True
        except ApiError as e:
            if e.code not in (403, 429, 500, 503, 504):
                raise
        return False

    def check_problems(self):
        problems = self.reducer.take_problems() + self.kubelets.problems
        self.kubelets.problems = []
        if problems:
            raise Failure("\n".join(problems[:10]))

    def settle_and_check(self, until=None, agents=None, seconds=15):
        self.settle(until)
        self.check(agents, seconds)

    def stop(self):
        for agent in self.agents.values():
            if agent.proc:
                agent.kill()
        if self.reducer.proc:
            self.reducer.stop()
        self.kubelets.stop()
        self.cluster.stop()


def _report(wrong, seconds):
    lines = []
    for agent, diffs in wrong.items():
        lines.append("agent %s: %d differences after %g s" % (agent.name, len(diffs), seconds))
        lines += ["  " + d for d in diffs[:8]]
        lines += ["  log: " + entry for entry in agent.log_tail()]
    return "\n".join(lines)
