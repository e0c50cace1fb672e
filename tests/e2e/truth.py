"""What a reducer must hold, computed from plain GETs of the API.

Independent of the agent: written from the rules alone, over whole lists, with
no events and no state but one memory: an owner that is gone counts with what
it last said for as long as a pod names it.
"""

import ipaddress

FINISHED = ("Succeeded", "Failed")
# Kinds with a number of their own on the wire; all others are told as Other.
NUMBERED = {("apps", "ReplicaSet"), ("apps", "Deployment"), ("batch", "Job"), ("batch", "CronJob")}
CLIMBED = {("apps", "ReplicaSet"), ("batch", "Job")}
PATHS = {
    ("apps", "ReplicaSet"): "/apis/apps/v1/replicasets",
    ("batch", "Job"): "/apis/batch/v1/jobs",
    ("argoproj.io", "Rollout"): "/apis/argoproj.io/v1alpha1/rollouts",
}


def group_of(api_version):
    return api_version.split("/")[0] if "/" in api_version else ""


def controller(meta):
    """The controlling owner reference, or None."""
    for ref in meta.get("ownerReferences") or []:
        if ref.get("controller") is True:
            return ref
    return None


def top_owner(pod, owners, climbed=CLIMBED):
    """(kind, name, uid) as announced. owners: uid -> metadata of an owner, where known."""
    ref = controller(pod["metadata"])
    if ref is None:
        return "NoOwner", pod["metadata"]["name"], ""
    seen = set()
    while (group_of(ref["apiVersion"]), ref["kind"]) in climbed and ref["uid"] not in seen:
        seen.add(ref["uid"])
        meta = owners.get(ref["uid"])
        above = controller(meta) if meta else None
        if above is None:
            break
        ref = above
    known = (group_of(ref["apiVersion"]), ref["kind"]) in NUMBERED
    return ref["kind"] if known else "Other", ref["name"], ref["uid"]


def addresses(pod):
    status = pod.get("status", {})
    ips = [i.get("ip") for i in status.get("podIPs") or []]
    if status.get("podIP"):
        ips.append(status["podIP"])
    return [i for i in ips if i]


def announced_ip(pod):
    """The first IPv4 address, or "" (0 on the wire)."""
    for ip in addresses(pod):
        if ipaddress.ip_address(ip).version == 4:
            return ip
    return ""


def containers(pod):
    """id -> (name, image) of every container that has an id."""
    status = pod.get("status", {})
    found = {}
    for group in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
        for c in status.get(group) or []:
            if c.get("containerID"):
                found[c["containerID"]] = (c["name"], c["image"])
    return found


def version(pod):
    images = [c.get("image", "") for c in pod.get("status", {}).get("containerStatuses") or []]
    return ",".join(sorted("'%s'" % i for i in images))


def announced(pod):
    return pod.get("status", {}).get("phase") not in FINISHED and bool(addresses(pod))


def row(pod, owners, climbed=CLIMBED):
    kind, name, uid = top_owner(pod, owners, climbed)
    return {
        "ns": pod["metadata"]["namespace"],
        "pod": pod["metadata"]["name"],
        "ip": announced_ip(pod),
        "owner_kind": kind,
        "owner_name": name,
        "owner_uid": uid,
        "host_network": pod["spec"].get("hostNetwork") is True,
        "version": version(pod),
        "containers": containers(pod),
    }


class Truth:
    """The expected tables, from one set of lists; refresh() reads them again."""

    def __init__(self, api):
        self.api = api
        self.pods = []
        self.owners = {}        # uid -> metadata, also of owners that are gone but still named
        self.kinds = {}         # uid -> (group, kind) of the same
        self.ever_ids = {}      # pod uid -> every container id the API has shown
        self.former = {}        # pod uid -> owners it had while its own reference was the same
        self._last = {}

    def refresh(self):
        pods = self.api.get("/api/v1/pods")["items"]
        fresh, kinds = {}, {}
        for kind, path in PATHS.items():
            for item in self.api.get(path)["items"]:
                fresh[item["metadata"]["uid"]] = item["metadata"]
                kinds[item["metadata"]["uid"]] = kind
        named = {r["uid"] for p in pods for r in p["metadata"].get("ownerReferences") or []}
        for uid, meta in self.owners.items():
            if uid in named and uid not in fresh:
                fresh[uid] = meta
                kinds[uid] = self.kinds[uid]
        self.pods, self.owners, self.kinds = pods, fresh, kinds
        for pod in pods:
            self._note(pod)

    def _note(self, pod):
        uid = pod["metadata"]["uid"]
        self.ever_ids.setdefault(uid, set()).update(containers(pod))
        ref = controller(pod["metadata"])
        own, top = ref["uid"] if ref else "", top_owner(pod, self.owners)
        before = self._last.get(uid)
        if before and before[0] == own and before[1] != top:
            self.former.setdefault(uid, set()).add(before[1])
        elif before and before[0] != own:
            self.former.pop(uid, None)
        self._last[uid] = (own, top)

    def table(self, node=None, namespaces=None, denied=(), follow=()):
        """uid -> row, as an agent with that scope and those permissions must tell it."""
        climbed = CLIMBED | set(follow)
        owners = {u: m for u, m in self.owners.items() if self.kinds[u] not in denied}
        return {
            p["metadata"]["uid"]: row(p, owners, climbed)
            for p in self.pods
            if announced(p)
            and (node is None or p["spec"].get("nodeName") == node)
            and (namespaces is None or p["metadata"]["namespace"] in namespaces)
        }

    def differences(self, want, have, late_owners=False):
        """Readable lines, none when equal.

        have may hold ids of containers that a restart has replaced: the wire
        has no message that takes one back. late_owners accepts an owner the
        pod had before, as node scope may for some minutes when only the owner
        of the owner has changed.
        """
        out = []
        for uid in sorted(want.keys() | have.keys(), key=lambda u: _label(want, have, u)):
            label = _label(want, have, uid)
            if uid not in have:
                out.append("%s: missing" % label)
            elif uid not in want:
                out.append("%s: still there" % label)
            else:
                out += ["%s: %s" % (label, d)
                        for d in self._row_differences(uid, want[uid], have[uid], late_owners)]
        return out

    def _row_differences(self, uid, want, have, late_owners):
        out = []
        owner = tuple(have[k] for k in ("owner_kind", "owner_name", "owner_uid"))
        late = late_owners and owner in self.former.get(uid, ())
        for key, value in want.items():
            if key == "containers" or (late and key.startswith("owner_")):
                continue
            if have[key] != value:
                out.append("%s is %r, must be %r" % (key, have[key], value))
        for cid, facts in want["containers"].items():
            if cid not in have["containers"]:
                out.append("container %s %s missing" % (facts[0], cid))
            elif have["containers"][cid] != facts:
                out.append("container %s is %r, must be %r" % (cid, have["containers"][cid], facts))
        for cid in have["containers"].keys() - self.ever_ids.get(uid, set()):
            out.append("container %s was never in the API" % cid)
        return out


def _label(want, have, uid):
    r = want.get(uid) or have.get(uid)
    return "%s/%s (%s)" % (r["ns"], r["pod"], uid)
