"""Nodes made of namespaces: pods with addresses behind veth pairs, routed by the node's namespace, and
their cgroups, named as each runtime names them. Everything is gone when it closes."""

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


def netns_of(process):
    """None: the test's own."""
    return "/proc/%s/ns/net" % (process.pid if process else "self")


def end_pause(process):
    process.stdin.close()
    process.wait()
    process.stdout.close()


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
        self.host_ip = NODE4
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
        return netns_of(self.pause) if self.pause else None


class World:
    """A node. The first one is the namespace that the test runs in; each other one has its own."""

    def __init__(self, actor, hierarchies, number=1):
        """`hierarchies`: directories of mounted hierarchies; a process goes into all of them."""
        self.actor, self.number = actor, number
        self.name = "n%d" % number
        self.ip4, self.ip6 = "10.98.0.%d" % number, "fd00:98::%x" % number
        self.top = ["%s/kindred-test-%d%s" % (h, os.getpid(), "-" + self.name if number > 1 else "")
                    for h in hierarchies]
        self.made = []          # cgroup directories, in the order of making
        self.pods = []
        self.next = ((number - 1) << 12) + 2
        self.space = self.pause() if number > 1 else None
        self.enter = ["nsenter", "--net=" + netns_of(self.space)] if self.space else []
        self.spaces = {os.stat(netns_of(self.space)).st_ino}    # network namespaces, past ones too
        self._node()

    def pause(self):
        """A process in a network namespace of its own, which lasts as long."""
        p = subprocess.Popen([self.actor, "pause"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        p.stdout.readline()
        return p

    def run(self, args, text=None, check=True):
        """In the node's network."""
        return run(self.enter + args, text, check)

    def _node(self):
        self.run(["sh", "-e"], "".join("echo '%s' >/proc/sys/net/%s\n" % (v, p) for p, v in (
            ("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1"),
            ("ipv4/conf/all/rp_filter", "0"), ("ipv4/conf/default/rp_filter", "0"),
            ("ipv4/ip_local_port_range", "15000 60999"),
            ("ipv6/conf/default/accept_dad", "0"))))
        # Services have a route, so that a program of the node finds a source address.
        self.run(["ip", "-batch", "-"], """link set lo up
            addr replace %(n4)s/32 dev lo
            addr replace %(n6)s/128 dev lo nodad
            route replace 10.96.0.0/16 dev lo src %(n4)s
            route replace fd00:96::/64 dev lo src %(n6)s
            """ % {"n4": self.ip4, "n6": self.ip6})
        # The namespace is the test's own; the part before this one may have left rules.
        self.nft("""
            flush ruleset
            table ip nat { chain pre { type nat hook prerouting priority -100; };
                           chain out { type nat hook output priority -100; };
                           chain post { type nat hook postrouting priority 100; }; }
            table ip6 nat { chain pre { type nat hook prerouting priority -100; };
                            chain out { type nat hook output priority -100; };
                            chain post { type nat hook postrouting priority 100; }; }
            table inet cut { chain way { type filter hook forward priority 0; }; }
            """)

    def join(self, other):
        """A cable to another node, and ways to it and its pods."""
        run(["ip", "link", "add", "cable", "netns", str(other.space.pid), "type", "veth", "peer",
             "name", "cable"])
        for a, b in ((self, other), (other, self)):
            a.run(["ip", "-batch", "-"], """addr add 10.97.0.%(a)d/24 dev cable
                addr add fd00:97::%(a)x/64 dev cable nodad
                link set cable up
                """ % {"a": a.number})
            a.run(["ip", "-batch", "-"], """route add %(n4)s/32 via 10.97.0.%(b)d src %(s4)s
                route add %(n6)s/128 via fd00:97::%(b)x src %(s6)s
                route add 10.99.%(p4)d.0/20 via 10.97.0.%(b)d src %(s4)s
                route add fd00:99::%(p6)x/116 via fd00:97::%(b)x src %(s6)s
                """ % {"n4": b.ip4, "n6": b.ip6, "s4": a.ip4, "s6": a.ip6, "b": b.number,
                       "p4": (b.number - 1) << 4, "p6": (b.number - 1) << 12})

    def nft(self, text):
        self.run(["nft", "-f", "-"], text)

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
        pod.pause = self.pause()
        self.spaces.add(os.stat(pod.netns).st_ino)
        veth = "v%d" % pod.index
        self.run(["ip", "-batch", "-"], """link add %(v)s type veth peer name eth0 netns %(p)d
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
            self.run(["ip", "link", "del", "v%d" % pod.index], check=False)
            end_pause(pod.pause)
            pod.pause = None

    def add(self, pod, ip4=None, ip6=None):
        self.make_cgroups(pod)
        if pod.host_network:
            pod.ip4, pod.ip6 = self.ip4, self.ip6
        else:
            self.make_netns(pod, ip4, ip6)
        pod.host_ip = self.ip4
        self.pods.append(pod)
        return pod

    def close(self):
        for pod in self.pods:
            self.end_netns(pod)
        if self.space:
            end_pause(self.space)
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
