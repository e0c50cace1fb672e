"""A node made of namespaces: pods with addresses behind veth pairs, routed by the namespace the test
runs in, and their cgroups, named as each runtime names them. Everything is gone when it closes."""

import os
import random
import subprocess
import time

GATEWAY4, GATEWAY6 = "10.99.255.1", "fd00:99:ffff::1"
NODE4, NODE6 = "10.98.0.1", "fd00:98::1"


def run(args, text=None, check=True):
    r = subprocess.run(args, input=text, capture_output=True, text=True, check=False)
    if check and r.returncode:
        raise RuntimeError("%s: %s" % (" ".join(args), r.stderr.strip()))
    return r.stdout


def hex_id(n):
    return "".join(random.choice("0123456789abcdef") for _ in range(n))


def uid():
    h = hex_id(32)
    return "-".join((h[:8], h[8:12], "4" + h[13:16], "a" + h[17:20], h[20:]))


def _systemd(prefix, qos, key):
    """The three directories of a pod under the systemd driver."""
    key = key.replace("-", "_")
    if qos == "guaranteed":
        return "%skubepods.slice/%skubepods-pod%s.slice" % (prefix, prefix, key)
    return "%skubepods.slice/%skubepods-%s.slice/%skubepods-%s-pod%s.slice" % (
        prefix, prefix, qos, prefix, qos, key)


def cgroup_path(style, qos, key, cid):
    """Where a runtime puts a container; `key` is the pod's uid, or a static pod's hash."""
    if style == "containerd-systemd":
        return _systemd("", qos, key) + "/cri-containerd-%s.scope" % cid
    if style == "containerd-cgroupfs":
        return "kubepods/%spod%s/%s" % ("" if qos == "guaranteed" else qos + "/", key, cid)
    if style == "crio":
        return _systemd("", qos, key) + "/crio-%s.scope" % cid
    if style == "docker-systemd":
        return _systemd("", qos, key) + "/docker-%s.scope" % cid
    if style == "docker-cgroupfs":
        return "kubepods/%s/pod%s/%s" % (qos, key, cid)
    if style == "kind":
        return "system.slice/docker-%s.scope/kubelet.slice/%s/cri-containerd-%s.scope" % (
            "5" * 64, _systemd("kubelet-", qos, key), cid)
    raise ValueError(style)


class Container:
    def __init__(self, name, kind="containers", inner=""):
        self.name, self.kind, self.inner = name, kind, inner
        self.id = hex_id(64)
        self.dirs = []      # one per hierarchy


class Pod:
    """What is true of a pod; `told` is what the API says, made from it in kubeapi.py."""

    def __init__(self, ns, name, owner=None, style="containerd-systemd", qos="burstable",
                 containers=None, host_network=False, static=False, node="n1"):
        self.ns, self.name, self.owner, self.style, self.qos = ns, name, owner, style, qos
        self.containers = containers or [Container("main")]
        self.host_network, self.node = host_network, node
        self.uid = uid()
        self.hash = hex_id(32) if static else None
        self.phase = "Running"
        self.started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.ip4 = self.ip6 = None
        self.index = 0
        self.pause = None

    @property
    def workload(self):
        """(name, kind) of the top of the owner chain."""
        if not self.owner:
            return (self.name, "Pod")
        if self.owner[0] == "ReplicaSet":
            return (self.owner[1].rsplit("-", 1)[0], "Deployment")
        return (self.owner[1], self.owner[0])

    @property
    def netns(self):
        return "/proc/%d/ns/net" % self.pause.pid if self.pause else None


class World:
    def __init__(self, actor, hierarchies):
        """`hierarchies`: directories of mounted hierarchies; a process goes into all of them."""
        self.actor = actor
        self.top = ["%s/kindred-test-%d" % (h, os.getpid()) for h in hierarchies]
        self.made = []          # cgroup directories, in the order of making
        self.pods = []
        self.spaces = {os.stat("/proc/self/ns/net").st_ino}     # network namespaces, past ones too
        self.next = 2
        self._node()

    def _node(self):
        for p, v in (("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"),
                     ("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/default/rp_filter", "0"),
                     ("ipv4/ip_local_port_range", "15000 60999"),
                     ("ipv6/conf/default/accept_dad", "0")):
            with open("/proc/sys/net/" + p, "w", encoding="ascii") as f:
                f.write(v)
        # Services have a route, so that a program of the node finds a source address.
        run(["ip", "-batch", "-"], """link set lo up
            addr replace %(n4)s/32 dev lo
            addr replace %(n6)s/128 dev lo nodad
            route replace 10.96.0.0/16 dev lo src %(n4)s
            route replace fd00:96::/64 dev lo src %(n6)s
            """ % {"n4": NODE4, "n6": NODE6})
        # The namespace is the test's own; the part before this one may have left rules.
        run(["nft", "-f", "-"], """
            flush ruleset
            table ip nat { chain pre { type nat hook prerouting priority -100; };
                           chain out { type nat hook output priority -100; };
                           chain post { type nat hook postrouting priority 100; }; }
            table ip6 nat { chain pre { type nat hook prerouting priority -100; };
                            chain out { type nat hook output priority -100; };
                            chain post { type nat hook postrouting priority 100; }; }
            table inet cut { chain way { type filter hook forward priority 0; }; }
            """)

    def nft(self, text):
        run(["nft", "-f", "-"], text)

    # -- cgroups

    def mkdir(self, path):
        """Makes a directory below each hierarchy's top; returns them."""
        out = []
        for top in self.top:
            at = top
            for part in [""] + path.split("/"):
                at = os.path.join(at, part) if part else at
                if not os.path.isdir(at):
                    os.mkdir(at)
                    self.made.append(at)
            out.append(at)
        return out

    def rmdir(self, dirs, patience=2.0):
        end = time.monotonic() + patience
        for d in dirs:
            while True:
                try:
                    os.rmdir(d)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    if time.monotonic() > end:
                        raise
                    time.sleep(0.005)
            if d in self.made:
                self.made.remove(d)

    def make_cgroups(self, pod):
        for c in pod.containers:
            path = cgroup_path(pod.style, pod.qos, pod.hash or pod.uid, c.id)
            c.dirs = self.mkdir(path + ("/" + c.inner if c.inner else ""))
            if pod.style == "crio":
                self.mkdir(path.replace("/crio-", "/crio-conmon-"))

    # -- network

    def make_netns(self, pod, ip4=None, ip6=None):
        pod.index = self.next
        self.next += 1
        pod.ip4 = ip4 or "10.99.%d.%d" % (pod.index >> 8, pod.index & 255)
        pod.ip6 = ip6 or "fd00:99::%x" % pod.index
        pod.pause = subprocess.Popen([self.actor, "pause"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE)
        pod.pause.stdout.readline()
        self.spaces.add(os.stat(pod.netns).st_ino)
        veth = "v%d" % pod.index
        run(["ip", "-batch", "-"], """link add %(v)s type veth peer name eth0 netns %(p)d
            addr add %(g4)s/32 dev %(v)s
            addr add %(g6)s/128 dev %(v)s nodad
            link set %(v)s up
            route replace %(a4)s/32 dev %(v)s
            route replace %(a6)s/128 dev %(v)s
            """ % {"v": veth, "p": pod.pause.pid, "g4": GATEWAY4, "g6": GATEWAY6,
                   "a4": pod.ip4, "a6": pod.ip6})
        run(["nsenter", "--net=" + pod.netns, "ip", "-batch", "-"], """link set lo up
            addr add %(a4)s/32 dev eth0
            addr add %(a6)s/128 dev eth0 nodad
            link set eth0 up
            route add %(g4)s/32 dev eth0
            route add default via %(g4)s
            route add %(g6)s/128 dev eth0
            route add default via %(g6)s
            """ % {"g4": GATEWAY4, "g6": GATEWAY6, "a4": pod.ip4, "a6": pod.ip6})

    def end_netns(self, pod):
        """The pod's network is gone: a later pod may have its addresses."""
        if pod.pause:
            run(["ip", "link", "del", "v%d" % pod.index], check=False)
            pod.pause.stdin.close()
            pod.pause.wait()
            pod.pause.stdout.close()
            pod.pause = None

    def add(self, pod, ip4=None, ip6=None):
        self.make_cgroups(pod)
        if pod.host_network:
            pod.ip4, pod.ip6 = NODE4, NODE6
        else:
            self.make_netns(pod, ip4, ip6)
        self.pods.append(pod)
        return pod

    def close(self):
        for pod in self.pods:
            self.end_netns(pod)
        left = []
        for d in reversed(self.made):
            for _ in range(400):
                try:
                    os.rmdir(d)
                    break
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.01)
            else:
                left.append(d)
        return left
