"""What a vector database has to hold, computed from plain GETs of every kind: a second
implementation, which shares nothing with the agent.

    truth.py URL        prints the documents as JSON lines

Fields that tell when the agent looked and not what is there (resource_version, content_id) are left
out: they are not reasons to write a document anew."""

import json
import sys
import urllib.error
import urllib.request

NOISY = ("events", "leases", "endpointslices", "componentstatuses")
SYSTEM = ("kube-system", "kube-public", "kube-node-lease")
FIELDS = ("cluster", "namespace", "name", "kind", "api_group", "api_version", "uid", "created_at",
          "owner_kind", "owner_name", "node", "phase", "images", "labels")
STARTING = ("ContainerCreating", "PodInitializing")


def get(url):
    for attempt in range(5):
        try:
            with urllib.request.urlopen(url, timeout=30) as r:
                return json.load(r)
        except (urllib.error.URLError, ConnectionError, ValueError):
            if attempt == 4:
                raise
    return None


def kinds(url):
    """(apiVersion, resource) of what can be listed and watched, each group in its preferred
    version."""
    versions = ["v1"] + [g["preferredVersion"]["groupVersion"] for g in get(url + "/apis")["groups"]]
    for v in versions:
        base = "/api/v1" if v == "v1" else "/apis/" + v
        for r in get(url + base)["resources"]:
            if "/" not in r["name"] and {"list", "watch"} <= set(r["verbs"]):
                yield v, base, r


def objects(url, wanted=lambda plural, group: plural not in NOISY):
    """Every object that is to be known, with its apiVersion and kind."""
    for version, base, r in kinds(url):
        group = version.rpartition("/")[0]
        if not wanted(r["name"], group):
            continue
        for o in get("%s%s/%s" % (url, base, r["name"]))["items"] or []:
            o["apiVersion"], o["kind"] = version, r["kind"]
            if o["metadata"].get("namespace") not in SYSTEM:
                yield o


def pod_spec(o):
    spec = o.get("spec") or {}
    if o["kind"] == "Pod":
        return spec
    if o["kind"] == "CronJob":
        spec = (spec.get("jobTemplate") or {}).get("spec") or {}
    template = spec.get("template") if o["kind"] != "PodTemplate" else o.get("template")
    return (template or {}).get("spec") or {} if isinstance(template, dict) else {}


def images(o):
    spec = pod_spec(o)
    return ",".join(c["image"] for part in ("initContainers", "containers", "ephemeralContainers")
                    for c in spec.get(part) or [] if c.get("image"))


def phase(o):
    status = o.get("status") or {}
    for part in ("initContainerStatuses", "containerStatuses"):
        for s in status.get(part) or []:
            reason = ((s.get("state") or {}).get("waiting") or {}).get("reason")
            if reason and reason not in STARTING:
                return reason
    return status.get("phase")


def controller(o):
    for ref in o["metadata"].get("ownerReferences") or []:
        if ref.get("controller"):
            return ref
    return None


def top_owner(o, by_uid):
    """The end of the chain of controllers, as far as its links are known."""
    top, seen = None, 0
    ref = controller(o)
    while ref and seen < 8:
        top, seen = ref, seen + 1
        ref = controller(by_uid[ref["uid"]]) if ref["uid"] in by_uid else None
    return (top["kind"], top["name"]) if top else (None, None)


def document(o, by_uid, cluster, bare):
    m = o["metadata"]
    labels = m.get("labels") or {}
    owner = top_owner(o, by_uid)
    fields = {
        "cluster": cluster, "namespace": m.get("namespace"), "name": m["name"], "kind": o["kind"],
        "api_group": o["apiVersion"].rpartition("/")[0], "api_version": o["apiVersion"],
        "uid": m.get("uid"), "created_at": m.get("creationTimestamp"),
        "owner_kind": owner[0], "owner_name": owner[1],
        "node": None if bare else (o.get("spec") or {}).get("nodeName"),
        "phase": None if bare else phase(o), "images": None if bare else images(o),
        "labels": "," + ",".join("%s=%s" % (k, labels[k]) for k in sorted(labels)) + ","
                  if labels else None}
    parts = [m.get("namespace") or "_cluster", o["apiVersion"], o["kind"], m["name"]]
    return "/".join(([cluster] if cluster else []) + parts), \
        {k: v or None for k, v in fields.items()}


def documents(url, cluster=None, bare=("Secret", "ConfigMap"), **more):
    """id -> fields. `bare`: kinds of which metadata alone is known."""
    every = list(objects(url, **more))
    by_uid = {o["metadata"].get("uid"): o for o in every}
    return dict(document(o, by_uid, cluster, o["kind"] in bare) for o in every)


if __name__ == "__main__":
    for i, f in sorted(documents(sys.argv[1]).items()):
        print(json.dumps({"id": i, **f}))
