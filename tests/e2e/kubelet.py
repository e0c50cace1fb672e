"""Plays scheduler and kubelets: binds pods, gives addresses and container ids, ends pods.

Every pod's wanted status is computed from the pod alone and written when it
differs, one step per event, as kubelets do it: first bound, then Pending with
an address and the init containers done, then Running. What a test wants to
happen it says with annotations:

    kindred-e2e/ip        dual, dual6 (IPv6 first), v6, none; default one IPv4
    kindred-e2e/runs      seconds until the pod ends by itself
    kindred-e2e/exit      its exit code (0: Succeeded, else Failed)
    kindred-e2e/restarts  how often its containers have restarted
    kindred-e2e/linger    a deleted pod stays terminating while this is "true"

Addresses are given again as soon as their pod has finished or is gone, the
last returned first, so that the address of a finished pod, which the API
still shows, soon belongs to another pod too.
"""

import hashlib
import heapq
import threading
import time

from kube import ApiError

PREFIX = "kindred-e2e/"
STARTED = "2024-01-01T00:00:00Z"


class Node:
    def __init__(self, index):
        self.index = index
        self.name = "node-%d" % index
        self.ip = "192.168.77.%d" % index
        self.ip6 = "fd77::%d" % index
        self.free = ["10.%d.0.%d" % (200 + index, n) for n in range(250, 1, -1)]
        self.free6 = ["fd00:%d::%d" % (index, n) for n in range(999, 1, -1)]

    def manifest(self):
        return {
            "kind": "Node", "apiVersion": "v1",
            "metadata": {"name": self.name, "labels": {
                "kubernetes.io/hostname": self.name, "kubernetes.io/os": "linux",
                "topology.kubernetes.io/zone": "zone-%d" % self.index,
                "node.kubernetes.io/instance-type": "played.large"}},
            "spec": {"providerID": "played:///zone-%d/%s" % (self.index, self.name)},
        }

    def status(self):
        size = {"cpu": "16", "memory": "64Gi", "pods": "500"}
        return {
            "capacity": size, "allocatable": size,
            "conditions": [{"type": "Ready", "status": "True", "reason": "Played"}],
            "addresses": [{"type": "InternalIP", "address": self.ip},
                          {"type": "Hostname", "address": self.name}],
        }

    def take(self, shape):
        if shape == "none":
            return []
        if shape == "v6":
            return [self.free6.pop()]
        if shape == "dual":
            return [self.free.pop(), self.free6.pop()]
        if shape == "dual6":
            return [self.free6.pop(), self.free.pop()]
        return [self.free.pop()]

    def give_back(self, ips):
        for ip in ips:
            (self.free6 if ":" in ip else self.free).append(ip)


def annotation(pod, key, default=None):
    return (pod["metadata"].get("annotations") or {}).get(PREFIX + key, default)


def wanted_node(pod):
    """The node a DaemonSet or a nodeSelector asks for, or None."""
    spec = pod["spec"]
    if "kubernetes.io/hostname" in (spec.get("nodeSelector") or {}):
        return spec["nodeSelector"]["kubernetes.io/hostname"]
    required = spec.get("affinity", {}).get("nodeAffinity", {}).get(
        "requiredDuringSchedulingIgnoredDuringExecution", {})
    for term in required.get("nodeSelectorTerms", []):
        for field in term.get("matchFields", []):
            if field["key"] == "metadata.name":
                return field["values"][0]
    return None


def container_status(pod, spec, restarts, state):
    """state: waiting, running or terminated; an id from the first start on."""
    cid = hashlib.sha256(("%s/%s/%s/%d" % (
        pod["metadata"]["uid"], spec["name"], spec["image"], restarts)).encode()).hexdigest()
    status = {
        "name": spec["name"], "image": spec["image"], "imageID": "", "restartCount": restarts,
        "ready": state == "running", "started": state == "running", "lastState": {},
    }
    if state == "waiting":
        status["state"] = {"waiting": {"reason": "PodInitializing"}}
        return status
    status["containerID"] = "containerd://" + cid
    status["imageID"] = "sha256:" + hashlib.sha256(spec["image"].encode()).hexdigest()
    if state == "running":
        status["state"] = {"running": {"startedAt": STARTED}}
    else:
        status["state"] = {"terminated": {
            "exitCode": 0, "reason": "Completed", "startedAt": STARTED, "finishedAt": STARTED,
            "containerID": status["containerID"]}}
    return status


class Kubelets:
    def __init__(self, make_client, count):
        self.make_client = make_client
        self.nodes = {n.name: n for n in (Node(i + 1) for i in range(count))}
        self.lock = threading.Condition()
        self.pods = {}          # uid -> the pod as last seen
        self.dirty = set()      # uids to look at
        self.timers = []        # (when, uid)
        self.ends = {}          # uid -> when it ends by itself
        self.ips = {}           # uid -> (node, addresses)
        self.synced = False
        self.working = False
        self.problems = []
        self.stopping = False

    def start(self):
        api = self.make_client()
        for node in self.nodes.values():
            api.post("/api/v1/nodes", node.manifest())
            api.patch("/api/v1/nodes/%s/status" % node.name, {"status": node.status()})
            # A new node is tainted not-ready until the node lifecycle controller, which does
            # not run here, sees it ready.
            api.patch("/api/v1/nodes/" + node.name, {"spec": {"taints": None}})
        for body in (self._watch_forever, self._work_forever):
            threading.Thread(target=body, daemon=True).start()

    def stop(self):
        with self.lock:
            self.stopping = True
            self.lock.notify_all()

    def idle(self):
        """Nothing left to do for what has been seen; timers are not counted."""
        with self.lock:
            return self.synced and not self.dirty and not self.working

    # The watching thread.

    def _watch_forever(self):
        while not self.stopping:
            try:
                self._watch_once(self.make_client())
            except (ApiError, OSError, ValueError):
                time.sleep(0.2)

    def _watch_once(self, api):
        listed = api.get("/api/v1/pods")
        with self.lock:
            for uid in self.pods.keys() - {p["metadata"]["uid"] for p in listed["items"]}:
                self._forget(uid)
            for pod in listed["items"]:
                self._see(pod)
            self.synced = True
            self.lock.notify_all()
        rv = listed["metadata"]["resourceVersion"]
        for event in api.watch("/api/v1/pods?watch=1&timeoutSeconds=10&resourceVersion=" + rv):
            pod = event["object"]
            with self.lock:
                if event["type"] == "ERROR":
                    return
                if event["type"] == "DELETED":
                    self._forget(pod["metadata"]["uid"])
                else:
                    self._see(pod)
                self.lock.notify_all()

    def _see(self, pod):
        self.pods[pod["metadata"]["uid"]] = pod
        self.dirty.add(pod["metadata"]["uid"])

    def _forget(self, uid):
        self.pods.pop(uid, None)
        self.dirty.discard(uid)
        self.ends.pop(uid, None)
        self._free(uid)

    def _free(self, uid):
        node, ips = self.ips.pop(uid, (None, []))
        if node:
            self.nodes[node].give_back(ips)

    # The working thread.

    def _work_forever(self):
        api = self.make_client()
        while True:
            with self.lock:
                self.working = False
                while not self.dirty and not self.stopping and not self._due():
                    wait = self.timers[0][0] - time.monotonic() if self.timers else 1
                    self.lock.wait(max(0.01, min(wait, 1)))
                if self.stopping:
                    return
                if not self.dirty:
                    continue
                uid = self.dirty.pop()
                pod = self.pods.get(uid)
                self.working = True
            if pod is None:
                continue
            try:
                self._attend(api, pod)
            except ApiError as e:
                # 404 and 409: the pod went on meanwhile, and its event is coming.
                if e.code not in (404, 409):
                    if e.code not in (401, 403, 429, 500, 503, 504):
                        self.problems.append("%s: %s" % (pod["metadata"]["name"], e))
                    self._later(uid, 0.3)
            except OSError:
                self._later(uid, 0.3)

    def _due(self):
        while self.timers and self.timers[0][0] <= time.monotonic():
            uid = heapq.heappop(self.timers)[1]
            if uid in self.pods:
                self.dirty.add(uid)
        return bool(self.dirty)

    def _later(self, uid, seconds):
        with self.lock:
            heapq.heappush(self.timers, (time.monotonic() + seconds, uid))

    def _attend(self, api, pod):
        meta = pod["metadata"]
        path = "/api/v1/namespaces/%s/pods/%s" % (meta["namespace"], meta["name"])
        if not pod["spec"].get("nodeName"):
            self._bind(api, path, pod)
        elif meta.get("deletionTimestamp"):
            self._end_deleted(api, path, pod)
        else:
            self._write(api, path, pod, self._status(pod))

    def _bind(self, api, path, pod):
        node = wanted_node(pod)
        if node is None:
            with self.lock:
                load = {n: 0 for n in self.nodes}
                for p in self.pods.values():
                    if p["spec"].get("nodeName") in load:
                        load[p["spec"]["nodeName"]] += 1
            node = min(sorted(load), key=load.get)
        api.post(path + "/binding", {
            "kind": "Binding", "apiVersion": "v1", "metadata": {"name": pod["metadata"]["name"]},
            "target": {"kind": "Node", "apiVersion": "v1", "name": node}})

    def _end_deleted(self, api, path, pod):
        if annotation(pod, "linger") == "true":
            self._write(api, path, pod, self._status(pod))
            return
        # Newer kubelets write a last, finished status before they let go; both ways occur.
        phase = pod.get("status", {}).get("phase")
        if phase == "Running" and int(pod["metadata"]["uid"][-1], 16) % 2:
            self._write(api, path, pod, self._final(pod, "Failed"))
            return
        api.delete(path, grace=0, uid=pod["metadata"]["uid"])

    def _write(self, api, path, pod, status):
        """PUTs the status when it differs in a field that is ours."""
        have = pod.get("status", {})
        if status is None or all(_plain(have.get(k)) == _plain(v) for k, v in status.items()):
            return
        body = dict(pod, status=dict(have, **status))
        api.put(path + "/status", body)

    def _addresses(self, pod):
        uid, node = pod["metadata"]["uid"], self.nodes[pod["spec"]["nodeName"]]
        shape = annotation(pod, "ip", "v4")
        if pod["spec"].get("hostNetwork"):
            return [node.ip, node.ip6] if shape.startswith("dual") else [node.ip]
        with self.lock:
            if uid in self.ips and (shape == "none") == bool(self.ips[uid][1]):
                self._free(uid)
            if uid not in self.ips:
                self.ips[uid] = (node.name, node.take(shape))
            return self.ips[uid][1]

    def _status(self, pod):
        """The next status of a bound, living pod; None when it needs none from us."""
        uid, have = pod["metadata"]["uid"], pod.get("status", {})
        finished = have.get("phase") in ("Succeeded", "Failed")
        if finished or pod["spec"]["nodeName"] not in self.nodes:
            with self.lock:
                self._free(uid)
            return None
        if self.ends.get(uid, float("inf")) <= time.monotonic():
            good = annotation(pod, "exit", "0") == "0"
            return self._final(pod, "Succeeded" if good else "Failed")
        running = have.get("phase") == "Running" or bool(have.get("podIPs"))
        status = self._network(pod)
        status["phase"] = "Running" if running else "Pending"
        status["containerStatuses"] = self._containers(pod, "running" if running else "waiting")
        status["initContainerStatuses"] = [
            container_status(pod, c, 0, "terminated")
            for c in pod["spec"].get("initContainers") or []]
        status["ephemeralContainerStatuses"] = [
            container_status(pod, c, 0, "running")
            for c in pod["spec"].get("ephemeralContainers") or []] if running else []
        status["conditions"] = [
            {"type": t, "status": "True" if running else "False"}
            for t in ("PodScheduled", "Ready", "ContainersReady")]
        runs = annotation(pod, "runs")
        if running and runs is not None and uid not in self.ends:
            self.ends[uid] = time.monotonic() + float(runs)
            self._later(uid, float(runs))
        return status

    def _network(self, pod):
        node, ips = self.nodes[pod["spec"]["nodeName"]], self._addresses(pod)
        return {
            "hostIP": node.ip, "hostIPs": [{"ip": node.ip}, {"ip": node.ip6}],
            "podIP": ips[0] if ips else None, "podIPs": [{"ip": i} for i in ips],
            "startTime": STARTED,
        }

    def _containers(self, pod, state):
        restarts = int(annotation(pod, "restarts", "0"))
        return [container_status(pod, c, restarts, state) for c in pod["spec"]["containers"]]

    def _final(self, pod, phase):
        """A finished pod still shows its address, which is free again."""
        with self.lock:
            self._free(pod["metadata"]["uid"])
        return {"phase": phase, "containerStatuses": self._containers(pod, "terminated"),
                "conditions": [{"type": "Ready", "status": "False"}]}


def _plain(value):
    """Without what the server adds or leaves out, for comparing."""
    if isinstance(value, dict):
        out = {k: _plain(v) for k, v in value.items()
               if k not in ("lastProbeTime", "lastTransitionTime", "observedGeneration")}
        return {k: v for k, v in out.items() if v not in (None, {}, [], "", False)}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return value or None
