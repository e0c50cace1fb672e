"""What the chart renders, on a real API server: it is taken with every field checked, its permissions are
enough, and each of them is needed. run.sh starts it.

    deploy.py --bin DIR --kindred PATH --helm PATH [--only STEP,...]
"""

import argparse
import concurrent.futures
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import scenario
from cluster import wait_for
from deploy_rig import NODE, STORE, DeployRig, Run, charts, text_of, url
from kube import ApiError
from objects import crd
from rig import Failure, Skip, path

ORDER = "manifests chart_takes pod_security enough each_needed commands".split()
# No server without their definitions knows these.
FOREIGN = {"ServiceMonitor", "PrometheusRule", "SecurityContextConstraints", "Certificate"}
# Every feature that has a permission, and no permission that another one covers.
EVERYTHING = {
    "collector": {"enabled": True, "graph": ["-"], "namespaces": ["*"],
                  "config": {"cache-resources": ["deployments"], "cache-ttl": "1s"}},
    "config": {"watchResourceTypes": "deployments.apps"},
    "probe": {"auth": "kube"}, "rbac": {"watchConfig": True},
    "followOwners": [{"group": "argoproj.io", "kind": "Rollout", "resource": "rollouts"}],
}
SETS = {
    "everything": EVERYTHING,
    "flows off": {"node": {"flows": {"mode": "off"}}},
    "files": {"collector": {"enabled": True, "replicas": 1, "vector": [STORE], "graph": [STORE]}},
    "one namespace": {"collector": {"enabled": True, "namespaces": ["shop"]}},
    "resync, closed network": {"collector": {"enabled": True, "resync": {"enabled": True}},
                               "networkPolicy": {"restrictEgress": True}},
    "dashboard": {"metrics": {"dashboard": {"enabled": True}}},
}


# What of an agent's own words names a permission that is missing, where it is not "VERB is forbidden".
NAMED = {
    ("get", "nodes"): r"grant get on nodes",
    ("get", "deployments"): r"it cannot be read from the API server",
    ("get", "leases"): r"lease kindred/[^\n]* 403: [^\n]* cannot get resource",
    ("create", "leases"): r"lease kindred/[^\n]* 403: [^\n]* cannot create resource",
    ("update", "leases"): r"lease kindred/[^\n]* 403: [^\n]* cannot update resource",
    ("create", "tokenreviews"): r"^503 .*who may get /metrics",
    ("create", "subjectaccessreviews"): r"^503 .*who may get /metrics",
}
PATIENCE = 60
REMOVE = ("helm uninstall ", "kubectl delete ")     # run last, wherever they stand
JOBS = 8        # agents that wait for words wait side by side


# Longer than EVERYTHING's cache-ttl: what is asked for more often is never read again.
SELDOM = 2.5


def until(what, seconds=PATIENCE, every=0.2):
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(every)


def own_lease(permission, n):
    """The same of a Lease that nobody else has: all agents are in one namespace."""
    return permission[:4] + ("less-%d" % n,) if permission[2] == "leases" and permission[4] else permission


class Deploy(DeployRig):
    def __init__(self, bindir, kindred, folder, helm):
        super().__init__(bindir, kindred, folder)
        self.helm = charts.Helm(helm)
        self.mounted = {}
        self.given = None

    def render(self, values):
        objects = self.helm.render(values)
        objects[:] = [o for o in objects if o["kind"] not in FOREIGN]
        for o in objects.all("Secret"):
            self.mounted[o["metadata"]["name"].replace("kindred-", "")] = o["data"]
        return objects

    # The server takes it.

    def step_manifests(self):
        """deploy/manifests is applied with every field checked, dry and for good, and again"""
        objects = charts.Objects("")
        for name in sorted(os.listdir(charts.MANIFESTS)):
            if name != "kustomization.yaml":
                with open(os.path.join(charts.MANIFESTS, name)) as f:
                    objects += charts.Objects(f.read())
        self.try_apply(objects, dry=True)
        self.try_apply(objects, dry=False)
        before = [self.api.get(url(x))["metadata"]["resourceVersion"] for x in objects]
        self.try_apply(objects, dry=False)
        after = [self.api.get(url(x))["metadata"]["resourceVersion"] for x in objects]
        if before != after:
            raise Failure("applied again, something changes")
        bad = dict(objects.one("DaemonSet"), spec=dict(objects.one("DaemonSet")["spec"], surprise=1))
        try:
            self.apply(bad, dry=True)
        except ApiError as e:
            if "surprise" in str(e):
                return
        raise Failure("the server does not check fields: nothing was shown")

    def step_chart_takes(self):
        """what the chart renders of other values is taken the same way"""
        for name, values in SETS.items():
            try:
                self.try_apply(self.render(values), dry=True)
            except Failure as e:
                raise Failure("%s: %s" % (name, e)) from e

    def step_pod_security(self):
        """pods are taken under the Pod Security level that is documented, and refused under the one below"""
        for level in ("privileged", "baseline", "restricted"):
            ns = "level-" + level
            self.create({"kind": "Namespace", "apiVersion": "v1", "metadata": {
                "name": ns, "labels": {"pod-security.kubernetes.io/enforce": level}}})
            self.create({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}}, ns)
        every = self.render({"collector": {"enabled": True}})
        off = self.render({"node": {"flows": {"mode": "off"}}})
        for what, template, levels in (
                ("node role", every.one("DaemonSet"), ["privileged"]),
                ("node role, flows off", off.one("DaemonSet"), ["privileged", "baseline", "restricted"]),
                ("collector", every.one("Deployment"), ["privileged", "baseline", "restricted"])):
            taken = [x for x in ("privileged", "baseline", "restricted") if self.takes_pod("level-" + x, template)]
            if taken != levels:
                raise Failure("%s is taken by %s, not by %s" % (what, taken, levels))

    def takes_pod(self, ns, template):
        spec = dict(template["spec"]["template"]["spec"], serviceAccountName="default")
        try:
            self.api.post(path("Pod", ns) + "?dryRun=All", {
                "kind": "Pod", "apiVersion": "v1", "metadata": {"name": "x"}, "spec": spec})
            return True
        except ApiError as e:
            if e.code == 403 and "PodSecurity" in str(e):
                return False
            raise

    # Permissions.

    def scraper(self):
        """A token that may get /metrics, by the chart's own role."""
        self.account("scraper", {("", "", "pods", "get", "none")})
        self.apply(self.render(EVERYTHING).one("ClusterRole", "kindred-metrics-reader"))
        self.api.post(path("ClusterRoleBinding"), {
            "kind": "ClusterRoleBinding", "apiVersion": "rbac.authorization.k8s.io/v1",
            "metadata": {"name": "scraper-reads"}, "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kindred-metrics-reader"},
            "subjects": [{"kind": "ServiceAccount", "namespace": "kindred", "name": "scraper"}]})
        return self.token("scraper")

    def use(self, run, token):
        """Everything that has a permission is used once; what an agent says of it all."""
        objects = run.data("/api/v1/resources/deployments.apps/shop/cart")
        return "\n".join([run.log(), run.get("/readyz"), objects.replace("\r", "")]), run.get("/metrics", token)

    def set_up_agents(self):
        """What is rendered with every feature, applied once, and a scraper's token."""
        if not self.given:
            objects = self.render(EVERYTHING)
            self.try_apply(objects, dry=False)
            self.given = objects, self.scraper()
        return self.given

    def step_enough(self):
        """with the rendered accounts' permissions every call succeeds, and each of them is used"""
        objects, scraper = self.set_up_agents()
        for role in ("agent", "collector"):
            since = self.cluster.requests_mark()
            for lists in ("auto", "off"):
                with Run(self, "enough-%s-%s" % (role, lists), objects, role, self.token("kindred-" + role),
                         {"KINDRED_STREAMING_LIST": lists}) as run:
                    self.works(run, role, scraper)
                if run.code != 0:
                    raise Failure("%s: exit code %s" % (role, run.code))
            self.check_answers(objects, role, since)

    def works(self, run, role, scraper):
        if not until(lambda: run.get("/readyz").startswith("ready")):
            raise Failure("%s is not ready: %s%s" % (role, run.get("/readyz"), run.log()))
        checked = run.ask("--check-access")
        if checked.returncode != 0:
            raise Failure("%s: %s%s" % (role, checked.stdout, checked.stderr))
        if not until(lambda: "kindred_build_info" in self.use(run, scraper)[1]):
            raise Failure("%s: a scraper that may get /metrics does not: %s" % (role, run.get("/metrics", scraper)))
        if not run.get("/metrics", self.token("kindred-agent")).startswith("403"):
            raise Failure("%s: /metrics for whom the API server does not let get it" % role)
        if role == "collector":     # objects go out of its cache, and are read again
            until(lambda: re.search(r"_store_fetches_total [1-9]", self.use(run, scraper)[1]), every=SELDOM)
        if role == "agent":
            self.owners_told()

    def owners_told(self):
        """Each pod with its owner of owners, through every kind that is read one by one."""
        want = {"cart-1-a": "cart", "till-1-a": "till", "report-1": "report"}

        def told():
            held = self.reducer.held_by(NODE)[0] or {}
            return {row["pod"]: row["owner_name"] for row in held.values()}
        if until(lambda: told() == want) is not True:
            raise Failure("the reducer holds %s, not %s" % (told(), want))

    def check_answers(self, objects, role, since):
        granted = objects.permissions("kindred-" + role)
        user = "system:serviceaccount:kindred:kindred-" + role
        # Watches are told of at their end; those of a stopped agent have ended.
        answers = until(lambda: [a for a in self.cluster.answers(user, since) if a[0] == "watch"]) and \
            self.cluster.answers(user, since)
        refused = [a for a in answers if a[5] in (401, 403)]
        if refused:
            raise Failure("%s: refused: %s" % (role, refused[:5]))
        used = {(v, g, r) for v, g, r, _, _, _ in answers}
        unused = {text_of(p) for p in granted if (p[3], p[1], p[2]) not in used}
        if unused:
            raise Failure("%s: granted and never used: %s" % (role, sorted(unused)))

    def step_each_needed(self):
        """each verb less: --check-access names it, and the agent says what it cannot do"""
        objects, scraper = self.set_up_agents()
        cases = []
        for role in ("agent", "collector"):
            granted = objects.permissions("kindred-" + role)
            for less in sorted(granted):
                cases.append((len(cases), role, granted, less, scraper, objects))
        for n, _, granted, less, _, _ in cases:
            self.account("less-%d" % n, {own_lease(x, n) for x in granted - {less}})
        with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
            wrong = [w for w in pool.map(lambda c: self.try_less(*c), cases) if w]
        print("e2e:          %d verbs were each taken away" % len(cases), flush=True)
        if wrong or len(cases) < 30:
            raise Failure("\n".join(wrong) or "only %d cases" % len(cases))

    def try_less(self, n, role, granted, less, scraper, objects):
        """"", or what is wrong."""
        _, _, resource, verb, _ = less
        words = NAMED.get((verb, resource), r"%s is forbidden \(403\)[^\n]*%s" % (verb, resource))
        env = {"KINDRED_STREAMING_LIST": "off", "KINDRED_LEASE_NAME": "less-%d" % n}
        client = self.cluster.client()
        token = client.post(path("ServiceAccount", "kindred", "less-%d" % n) + "/token", {
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {}})["status"]["token"]
        with Run(self, "less-%d" % n, objects, role, token, env) as run:
            checked = run.ask("--check-access")
            full = text_of(own_lease(less, n)).split(" in ")[0]
            if checked.returncode != 1 or not re.search(r"^%s\b.* denied$" % re.escape(full), checked.stdout, re.M):
                return "%s less \"%s\": --check-access does not say so: %s" % (role, text_of(less), checked.stdout)
            every = SELDOM if resource == "deployments" else 0.5
            if not until(lambda: re.search(words, "\n".join(self.use(run, scraper)), re.M), every=every):
                return "%s less \"%s\": nothing says so: %s" % (role, text_of(less), self.use(run, scraper)[0])
        return "" if run.code == 0 else "%s less \"%s\": exit code %s" % (role, text_of(less), run.code)


    # What the README says.

    def step_commands(self):
        """the README's commands for a cluster, one after the other, with helm and kubectl"""
        tools = self.cluster.path("tools")
        os.makedirs(tools)
        os.symlink(self.helm.program, os.path.join(tools, "helm"))
        kubectl = os.path.join(self.cluster.bin, "kubectl")
        if not os.path.exists(kubectl):
            kubectl = shutil.which("kubectl")
        if not kubectl:
            raise Skip("no kubectl")
        os.symlink(kubectl, os.path.join(tools, "kubectl"))
        self.cluster.start_manager()
        self.clear()
        self.kubelets.start()
        env = {"PATH": tools + ":" + os.environ["PATH"], "HOME": tools,
               "KUBECONFIG": self.cluster.kubeconfig("admin")}
        for plural, kind in (("servicemonitors", "ServiceMonitor"), ("prometheusrules", "PrometheusRule")):
            self.apply(crd("monitoring.coreos.com", "v1", plural, kind))
        lines = [x for x in charts.commands() if x.startswith(("helm ", "kubectl ")) and " exec " not in x]
        lines.sort(key=lambda x: x.startswith(REMOVE))
        for line in lines:
            done = subprocess.run(line, shell=True, cwd=charts.ROOT, env=env, capture_output=True, text=True,
                                  timeout=120)
            if done.returncode != 0:
                raise Failure("%s\n%s%s" % (line, done.stdout, done.stderr))
        print("e2e:          %d commands" % len(lines), flush=True)
        if len(lines) < 6:
            raise Failure("only %s" % lines)

    def clear(self):
        """Nothing of the chart is there, as before the first command, and nodes are played ones alone."""
        for obj in self.render(EVERYTHING):
            if "namespace" not in obj["metadata"] and not self.api.gone(url(obj)):
                self.api.delete(url(obj))
        self.delete("Node", None, NODE)
        self.delete("Namespace", None, "kindred")
        wait_for(lambda: self.gone("Namespace", None, "kindred"), 60, "the namespace gone")


def main():
    p = argparse.ArgumentParser()
    for name in ("--bin", "--kindred", "--helm"):
        p.add_argument(name, required=True)
    p.add_argument("--only")
    args = p.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = tempfile.mkdtemp(prefix="kindred-e2e.")
    deploy = Deploy(args.bin, args.kindred, folder, args.helm)
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    try:
        steps = [("start", "servers, objects that nobody touches", deploy.set_up)]
        for name in args.only.split(",") if args.only else ORDER:
            step = getattr(deploy, "step_" + name)
            steps.append((name, step.__doc__, step))
        for name, words, action in steps:
            result = scenario.attempt(name, words, action)
            counts[result] += 1
            if result == "failed" and name == "start":
                break
        print("%(passed)d passed, %(failed)d failed, %(skipped)d skipped" % counts, flush=True)
        return 1 if counts["failed"] else 0
    finally:
        deploy.stop()
        if os.environ.get("KEEP"):
            print("e2e: kept %s" % folder, file=sys.stderr)
        else:
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
