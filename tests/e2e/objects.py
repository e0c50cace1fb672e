"""Manifests of the scenario, as short as the API server takes them."""

from kubelet import PREFIX

CRDS = (("argoproj.io", "v1alpha1", "rollouts", "Rollout"),
        ("example.com", "v1", "apps", "App"),
        # Kinds that only look like the built-in ones.
        ("example.com", "v1", "deployments", "Deployment"),
        ("example.com", "v1", "replicasets", "ReplicaSet"))


def notes(**values):
    return {PREFIX + k: v for k, v in values.items()}


def meta(name, labels=None, annotations=None, owners=None):
    out = {"name": name}
    if labels:
        out["labels"] = labels
    if annotations:
        out["annotations"] = annotations
    if owners:
        out["ownerReferences"] = owners
    return out


def owner(api_version, kind, obj, control=True):
    ref = {"apiVersion": api_version, "kind": kind,
           "name": obj["metadata"]["name"], "uid": obj["metadata"]["uid"]}
    if control is not None:
        ref["controller"] = control
    return ref


def pod_spec(images=("app:1",), init=(), node=None, **more):
    spec = {"containers": [{"name": "c%d" % i, "image": im} for i, im in enumerate(images)],
            "terminationGracePeriodSeconds": 1}
    if init:
        spec["initContainers"] = [{"name": "i%d" % i, "image": im} for i, im in enumerate(init)]
    if node:
        spec["nodeSelector"] = {"kubernetes.io/hostname": node}
    spec.update(more)
    return spec


def pod(name, spec=None, labels=None, annotations=None, owners=None):
    return {"kind": "Pod", "apiVersion": "v1",
            "metadata": meta(name, labels, annotations, owners), "spec": spec or pod_spec()}


def template(labels, spec=None, annotations=None):
    return {"metadata": {"labels": labels, "annotations": annotations or {}},
            "spec": spec or pod_spec()}


def workload(kind, name, replicas=None, spec=None, annotations=None, owners=None, app=None):
    """A Deployment, ReplicaSet, StatefulSet or DaemonSet."""
    labels = {"app": app or name}
    body = {"selector": {"matchLabels": labels}, "template": template(labels, spec, annotations)}
    if replicas is not None:
        body["replicas"] = replicas
    if kind == "StatefulSet":
        body["serviceName"] = name
    return {"kind": kind, "apiVersion": "apps/v1",
            "metadata": meta(name, labels, owners=owners), "spec": body}


def job_spec(runs=None, exit_code="0", completions=1, annotations=None, backoff=0):
    wants = dict(annotations or {})
    if runs is not None:
        wants.update(notes(runs=str(runs), exit=exit_code))
    return {"completions": completions, "parallelism": completions, "backoffLimit": backoff,
            "template": template({}, pod_spec(("task:1",), restartPolicy="Never"), wants)}


def job(name, owners=None, **kwargs):
    return {"kind": "Job", "apiVersion": "batch/v1", "metadata": meta(name, owners=owners),
            "spec": job_spec(**kwargs)}


def cronjob(name, schedule, suspend=False, **kwargs):
    return {"kind": "CronJob", "apiVersion": "batch/v1", "metadata": meta(name),
            "spec": {"schedule": schedule, "suspend": suspend, "concurrencyPolicy": "Forbid",
                     "jobTemplate": {"spec": job_spec(**kwargs)}}}


def crd(group, version, plural, kind):
    return {
        "kind": "CustomResourceDefinition", "apiVersion": "apiextensions.k8s.io/v1",
        "metadata": {"name": plural + "." + group},
        "spec": {"group": group, "scope": "Namespaced",
                 "names": {"plural": plural, "singular": kind.lower(), "kind": kind,
                           "listKind": kind + "List"},
                 "versions": [{"name": version, "served": True, "storage": True,
                               "schema": {"openAPIV3Schema": {
                                   "type": "object",
                                   "x-kubernetes-preserve-unknown-fields": True}}}]},
    }


def role(kind, name, rules):
    """rules: (group, resources, verbs) each."""
    return {"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name},
            "rules": [{"apiGroups": [g], "resources": list(r), "verbs": list(v)}
                      for g, r, v in rules]}


def binding(kind, name, role_kind, role_name, subject):
    return {"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind,
                        "name": role_name},
            "subjects": [subject]}


def account(name):
    return {"kind": "ServiceAccount", "namespace": "kindred", "name": name}


def user(name):
    return {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name}
