"""truth.py on facts made by hand: the expected table itself must be right."""

import unittest

import truth


def ref(kind, name, api="apps/v1", control=True):
    out = {"apiVersion": api, "kind": kind, "name": name, "uid": "u-" + name}
    if control is not None:
        out["controller"] = control
    return out


def pod(name, owners=(), ips=("10.0.0.1",), phase="Running", host=False, statuses=None, uid=None):
    return {
        "metadata": {"name": name, "namespace": "ns", "uid": uid or "p-" + name,
                     "ownerReferences": list(owners)},
        "spec": {"nodeName": "n1", "hostNetwork": host},
        "status": dict({"phase": phase, "podIP": ips[0] if ips else "",
                        "podIPs": [{"ip": i} for i in ips]}, **(statuses or {})),
    }


def meta(name, *owners):
    return {"name": name, "uid": "u-" + name, "ownerReferences": list(owners)}


class Owners(unittest.TestCase):
    known = {m["uid"]: m for m in (
        meta("rs", ref("Deployment", "dep")), meta("rs-alone"),
        meta("rs-roll", ref("Rollout", "roll", "argoproj.io/v1alpha1")),
        meta("roll", ref("App", "app", "example.com/v1")),
        meta("job", ref("CronJob", "cron", "batch/v1")), meta("job-alone"),
        meta("loop-a", ref("ReplicaSet", "loop-b")), meta("loop-b", ref("ReplicaSet", "loop-a")),
    )}

    def top(self, *owners, **kwargs):
        return truth.top_owner(pod("x", owners), self.known, **kwargs)

    def test_chains(self):
        for owner, want in (
            (ref("ReplicaSet", "rs"), ("Deployment", "dep", "u-dep")),
            (ref("ReplicaSet", "rs-alone"), ("ReplicaSet", "rs-alone", "u-rs-alone")),
            (ref("ReplicaSet", "unknown"), ("ReplicaSet", "unknown", "u-unknown")),
            (ref("ReplicaSet", "rs-roll"), ("Other", "roll", "u-roll")),
            (ref("Job", "job", "batch/v1"), ("CronJob", "cron", "u-cron")),
            (ref("Job", "job-alone", "batch/v1"), ("Job", "job-alone", "u-job-alone")),
            (ref("StatefulSet", "sts"), ("Other", "sts", "u-sts")),
            (ref("DaemonSet", "ds"), ("Other", "ds", "u-ds")),
            (ref("Node", "n1", "v1"), ("Other", "n1", "u-n1")),
            (ref("ReplicaSet", "rs", "example.com/v1"), ("Other", "rs", "u-rs")),
            (ref("Deployment", "dep", "example.com/v1"), ("Other", "dep", "u-dep")),
        ):
            self.assertEqual(self.top(owner), want, owner)

    def test_only_the_controller_counts(self):
        self.assertEqual(self.top(), ("NoOwner", "x", ""))
        for control in (False, None):
            self.assertEqual(self.top(ref("ReplicaSet", "rs", control=control)),
                             ("NoOwner", "x", ""))
        both = (ref("ReplicaSet", "rs", control=False), ref("StatefulSet", "sts"))
        self.assertEqual(self.top(*both), ("Other", "sts", "u-sts"))

    def test_followed_kinds_and_cycles(self):
        climbed = truth.CLIMBED | {("argoproj.io", "Rollout")}
        self.assertEqual(self.top(ref("ReplicaSet", "rs-roll"), climbed=climbed),
                         ("Other", "app", "u-app"))
        self.assertEqual(self.top(ref("ReplicaSet", "loop-a"))[0], "ReplicaSet")


class Rows(unittest.TestCase):
    def test_address(self):
        for ips, want, there in ((("10.0.0.1",), "10.0.0.1", True),
                                 (("fd00::1", "10.0.0.2"), "10.0.0.2", True),
                                 (("fd00::1",), "", True), ((), "", False)):
            self.assertEqual(truth.announced_ip(pod("x", ips=ips)), want)
            self.assertEqual(truth.announced(pod("x", ips=ips)), there)
        for phase in ("Succeeded", "Failed"):
            self.assertFalse(truth.announced(pod("x", phase=phase)))

    def test_containers_and_version(self):
        p = pod("x", statuses={
            "containerStatuses": [{"name": "b", "image": "b:2", "containerID": "containerd://2"},
                                  {"name": "a", "image": "a:1"}, {"name": "c", "image": "b:2"}],
            "initContainerStatuses": [{"name": "i", "image": "i:1",
                                       "containerID": "containerd://3"}],
            "ephemeralContainerStatuses": [{"name": "e", "image": "e:1",
                                            "containerID": "containerd://4"}]})
        self.assertEqual(truth.version(p), "'a:1','b:2','b:2'")
        self.assertEqual(truth.containers(p), {"containerd://2": ("b", "b:2"),
                                               "containerd://3": ("i", "i:1"),
                                               "containerd://4": ("e", "e:1")})


class Lists:
    """Answers GETs from a dict of lists."""

    def __init__(self, **lists):
        self.lists = lists

    def get(self, path):
        return {"items": self.lists.get(path.rsplit("/", 1)[1], [])}


class Tables(unittest.TestCase):
    def setUp(self):
        self.api = Lists(
            pods=[pod("a", [ref("ReplicaSet", "rs")]), pod("b", ips=())],
            replicasets=[{"metadata": meta("rs", ref("Deployment", "dep"))}])
        self.truth = truth.Truth(self.api)
        self.truth.refresh()

    def owner(self):
        row = self.truth.table()["p-a"]
        return row["owner_kind"], row["owner_name"]

    def test_gone_owner_is_remembered_while_named(self):
        self.api.lists["replicasets"] = []
        self.truth.refresh()
        self.assertEqual(self.owner(), ("Deployment", "dep"))
        self.api.lists["pods"] = []
        self.truth.refresh()
        self.assertEqual(self.truth.owners, {})

    def test_denied_and_scopes(self):
        denied = self.truth.table(denied=(("apps", "ReplicaSet"),))
        self.assertEqual(denied["p-a"]["owner_kind"], "ReplicaSet")
        self.assertEqual(self.truth.table(node="n2"), {})
        self.assertEqual(self.truth.table(namespaces=("other",)), {})
        self.assertEqual(set(self.truth.table(node="n1", namespaces=("ns",))), {"p-a"})

    def test_differences(self):
        want = self.truth.table()
        self.assertEqual(self.truth.differences(want, want), [])
        self.assertIn("missing", self.truth.differences(want, {})[0])
        self.assertIn("still there", self.truth.differences({}, want)[0])
        wrong = {"p-a": dict(want["p-a"], ip="10.9.9.9", containers={"containerd://x": ("c", "i")})}
        self.assertEqual(len(self.truth.differences(want, wrong)), 2)

    def test_late_owner_only_where_allowed(self):
        old = self.truth.table()
        self.api.lists["replicasets"] = [{"metadata": meta("rs")}]
        self.truth.refresh()
        want = self.truth.table()
        self.assertEqual(self.owner(), ("ReplicaSet", "rs"))
        self.assertTrue(self.truth.differences(want, old))
        self.assertEqual(self.truth.differences(want, old, late_owners=True), [])


if __name__ == "__main__":
    unittest.main()
