"""A cluster in which pods and Services come and go and hand their addresses on, and what was true when.
Times are the wall clock's, before and after the API server was told."""

import threading
import time

LATE = 1.0      # the API server may tell of what was by so much later


class Stay:
    """Somebody had an address."""

    def __init__(self, kind, ns, name, workload, node):
        self.kind, self.ns, self.name, self.workload, self.node = kind, ns, name, workload, node
        self.begin = self.end = None    # (before, after)

    def __str__(self):
        return "%s %s/%s of %s" % (self.kind, self.ns, self.name, self.workload)

    def is_it(self, answer):
        """Whether that is who the agent named."""
        want = {"namespace": self.ns, "workload": self.workload[0], "workload_kind": self.workload[1],
                "pod": self.name if self.kind == "Pod" else None}
        return all(answer.get(k) == v for k, v in want.items())

    def may_have(self, at):
        return self.begin[0] - LATE <= at and (not self.end or at <= self.end[1] + LATE)

    def surely_has(self, at):
        return self.begin[1] <= at and (not self.end or at <= self.end[0])


class Cluster:
    def __init__(self, api, random, nodes, per_node=2, services=10):
        self.api, self.random, self.lock, self.serial = api, random, threading.Lock(), 0
        self.node_of = {"10.77.%d.%d" % (i, k): node for i, node in enumerate(nodes)
                        for k in range(1, per_node + 1)}
        self.node_of.update({"10.96.77.%d" % k: None for k in range(1, services + 1)})
        self.stays = {address: [] for address in self.node_of}

    # -- what it does

    def pod_of(self, address, stay, phase="Running"):
        self.serial += 1
        status = {"phase": phase, "podIP": address, "podIPs": [{"ip": address}], "containerStatuses": [{
            "name": "main", "image": "test/main:1", "imageID": "", "ready": True, "restartCount": 0,
            "state": {"running": {"startedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}}
            if phase == "Running" else {"terminated": {"exitCode": 0}}}]}
        name, kind = stay.workload
        owner = [{"apiVersion": "apps/v1", "kind": kind, "name": name, "controller": True,
                  "uid": "00000000-0000-4000-8000-%012x" % int.from_bytes(name.encode()[-6:], "big")}]
        return {"apiVersion": "v1", "kind": "Pod", "status": status,
                "metadata": {"name": stay.name, "namespace": stay.ns, "uid": stay.uid,
                             **({"ownerReferences": owner} if kind != "Pod" else {})},
                "spec": {"nodeName": stay.node, "containers": [{"name": "main", "image": "test/main:1"}]}}

    def newcomer(self, address):
        """Names come again, at other addresses, too."""
        node = self.node_of[address]
        if not node:
            name = "service-%s" % address.rpartition(".")[2]
            return Stay("Service", "shop", name, (name, "Service"), None)
        here = {s[-1].name for s in self.stays.values() if s and not s[-1].end}
        while True:
            n = self.random.randrange(500)
            name = "web%d-%d" % (n % 40, n)
            if name not in here:
                break
        workload = (name, "Pod") if n % 7 == 0 else ("web%d" % (n % 40), "StatefulSet")
        return Stay("Pod", "shop", name, workload, node)

    def arrive(self, address):
        stay = self.newcomer(address)
        self.serial += 1
        stay.uid = "00000000-0000-4000-a000-%012d" % self.serial
        if stay.kind == "Pod":
            obj = self.pod_of(address, stay)
        else:
            obj = {"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": address},
                   "metadata": {"name": stay.name, "namespace": stay.ns, "uid": stay.uid}}
        before = time.time()
        stay.begin = (before, before + 3600)    # while it is told of, it may have it
        with self.lock:
            self.stays[address].append(stay)
        self.api.put(obj)
        stay.begin = (before, time.time())

    def leave(self, address):
        stay = self.stays[address][-1]
        before = time.time()
        stay.end = (before, before + 3600)
        if stay.kind == "Pod" and self.random.random() < 0.3:   # it finishes, and is removed then
            self.api.put(self.pod_of(address, stay, "Succeeded"))
            stay.end = (before, time.time())
        self.api.drop("v1", stay.kind, stay.name, stay.ns)
        stay.end = (before, min(stay.end[1], time.time()))

    def change(self):
        address = self.random.choice(list(self.stays))
        if not self.holder(address):
            self.arrive(address)
            return
        self.leave(address)
        if self.random.random() < 0.5:      # the next one has it at once
            self.arrive(address)

    def fill(self):
        for address in self.stays:
            if self.random.random() < 0.7:
                self.arrive(address)

    # -- what is true

    def holder(self, address):
        stay = self.stays[address][-1] if self.stays[address] else None
        return stay if stay and not stay.end else None

    def wrong(self, address, at, answer):
        """None, or why the name cannot be right for that time."""
        with self.lock:
            stays = list(self.stays[address])
        if not any(s.is_it(answer) and s.may_have(at) for s in stays):
            return "nobody of that name had it: " + "; ".join(
                "%s %s %s" % (s, s.begin, s.end) for s in stays[-4:])
        others = [s for s in stays if not s.is_it(answer) and s.surely_has(at)]
        return "it was %s's" % others[0] if others else None
