"""The image's root file system: what is in it, and both roles of the chart started in it under exactly
their security context. test-image.sh starts this with image=FOLDER, helm=PATH and o=FOLDER."""

import base64
import contextlib
import lzma
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
import urllib.request

import yaml

import charts

IMAGE, O = charts.need("image"), charts.need("o")
HELM = charts.helm()
NODE = "node-11.fixture.internal"       # of the recorded cluster
MOST = 25 * 1000 * 1000
PROFILE = os.path.join(charts.ROOT, "deploy", "seccomp", "kindred.json")
STORE = "sqlite:/var/lib/kindred/kindred.db"
PATIENCE = 60
CAPS = {"CHOWN": 0, "NET_ADMIN": 12, "SYS_PTRACE": 19, "SYS_RESOURCE": 24, "PERFMON": 38, "BPF": 39}


def until(what, words):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            value = what()
        except OSError:
            value = None
        if value:
            return value
        assert time.monotonic() < end, words()
        time.sleep(0.1)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def mask(names):
    return sum(1 << CAPS[n] for n in names)


# ---- what is in it ---------------------------------------------------------------------------------

def files():
    for folder, _, names in os.walk(IMAGE):
        for n in names:
            path = os.path.join(folder, n)
            yield path[len(IMAGE):], os.lstat(path)


def test_size():
    """it is smaller than 25 MB, licences and certificates included"""
    size = sum(s.st_size for _, s in files())
    print("image: %.2f MB" % (size / 1e6))
    assert 5e6 < size < MOST, size


def test_nothing_else():
    """the program and the loader are all that can be started; there is no shell and no other tool"""
    runs = [p for p, s in files() if stat.S_ISREG(s.st_mode) and s.st_mode & 0o111]
    libs = [p for p in runs if re.search(r"\.so(\.|$)", p)]
    assert [p for p in runs if p not in libs] == ["/usr/bin/kindred"], runs
    assert os.listdir(IMAGE + "/usr/bin") == ["kindred"] and not os.path.exists(IMAGE + "/bin")
    writable = [p for p, s in files() if stat.S_ISREG(s.st_mode) and s.st_mode & 0o6022]
    assert not writable, writable


def test_complete():
    """every library is found in it, and certificates where OpenSSL and curl look"""
    done = subprocess.run(["chroot", IMAGE, "/usr/bin/kindred", "version"], capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout.startswith("kindred "), done.stderr
    target = os.readlink(IMAGE + "/usr/lib/ssl/cert.pem")
    with open(IMAGE + target) as f:
        assert f.read().count("BEGIN CERTIFICATE") > 50


def test_licences():
    """the terms of every library that is in it are in it"""
    with lzma.open(IMAGE + "/usr/share/doc/copyright.xz", "rt") as f:
        text = f.read()
    assert "Apache License" in text
    packages = re.findall(r"^==== (\S+)$", text, re.M)
    libs = [p for p, _ in files() if re.search(r"\.so(\.|$)", p)]
    for name in ("libc6", "libcurl4", "libssl3", "libsqlite3-0", "libbpf1"):
        assert any(p.startswith(name) for p in packages), (name, packages)
    assert len(libs) / 2 < len(packages) <= len(libs), packages


def file_caps(path):
    out = subprocess.run(["getcap", path], capture_output=True, text=True, check=True).stdout.split()
    return out[-1] if out else ""


def test_file_capabilities():
    """the program's file may have what the chart can add, permitted and not effective"""
    names, _, how = file_caps(IMAGE + "/usr/bin/kindred").rpartition("=")
    assert how == "p", how
    assert set(names.split(",")) == {"cap_bpf", "cap_perfmon", "cap_net_admin", "cap_sys_ptrace",
                                     "cap_sys_resource"}, names


# ---- containers ------------------------------------------------------------------------------------

class Container:
    """One of a rendered pod, by contain.py."""

    def __init__(self, folder, args, probe):
        self.probe, self.log_path = probe, os.path.join(folder, "log")
        with open(self.log_path, "wb") as log:
            self.proc = subprocess.Popen(args, stdout=log, stderr=log)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def pid(self):
        """Of the program: the container's own process, or the first in its own process numbers."""
        with open("/proc/%d/task/%d/children" % (self.proc.pid, self.proc.pid)) as f:
            children = f.read().split()
        return int(children[0]) if children else self.proc.pid

    def says(self, words):
        until(lambda: words in self.log() or self.proc.poll() is not None,
              lambda: "no \"%s\": %s" % (words, self.log()))
        assert words in self.log(), self.log()

    def get(self, path):
        with urllib.request.urlopen("http://127.0.0.1:%d%s" % (self.probe, path), timeout=10) as r:
            return r.read().decode()

    def status(self):
        with open("/proc/%d/status" % self.pid()) as f:
            return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)

    def inside(self, *args):
        """A command as kubectl exec runs it: `kindred` and its arguments."""
        with open("/proc/%d/environ" % self.pid(), "rb") as f:
            env = dict(x.split("=", 1) for x in f.read().decode().split("\0") if x)
        return subprocess.run([shutil.which("nsenter"), "--target", str(self.pid()), "--mount", "--root", "--wd",
                               "/usr/bin/kindred"] + list(args), capture_output=True, text=True, timeout=60, env=env)

    def readme(self, role):
        """Each command of the README that goes into a pod of that role."""
        lines = [x.split(" -- kindred ", 1) for x in charts.commands() if " exec " in x]
        mine = [args.split() for where, args in lines if where.endswith(role)]
        assert mine, role
        for args in mine:
            done = self.inside(*args)
            # What stands in for an API server knows no reviews: nobody can be asked (2).
            allowed = (0, 2) if "--check-access" in args else (0,)
            assert done.returncode in allowed, "%s: %s%s" % (args, done.stdout, done.stderr)

    def stop(self):
        self.proc.terminate()
        try:
            code = self.proc.wait(30)
        finally:
            self.proc.kill()
        assert code == 0, "exit code %d: %s" % (code, self.log())

    def kill(self):
        """The program first: who waits for it cannot take it along."""
        if self.proc.poll() is None:
            os.kill(self.pid(), signal.SIGKILL)
        self.proc.kill()
        self.proc.wait()


class Stage:
    """An API server, a reducer, and containers between them."""

    def __init__(self):
        self.work = tempfile.mkdtemp(prefix="kindred-image.")
        os.chmod(self.work, 0o755)
        self.running, self.containers = [], []

    def start(self, name, *args):
        port = os.path.join(self.work, name + ".port")
        with open(os.path.join(self.work, name + ".log"), "wb") as log:
            p = subprocess.Popen([os.path.join(O, args[0])] + list(args[1:]) + [
                "--listen", "127.0.0.1:0", "--port-file", port], stdout=log, stderr=log)
        self.running.append(p)
        until(lambda: os.path.getsize(port), lambda: name + " does not start")
        with open(port) as f:
            return f.read().strip()

    def servers(self):
        fixtures = os.path.join(charts.ROOT, "tests", "fixtures")
        self.api = self.start("api", "kube-replay", os.path.join(fixtures, "recorded"), "--objects",
                              os.path.join(fixtures, "objects"), "--speed", "0")
        self.intake = self.start("reducer", "kindred", "reducer", "--json")

    def container(self, objects, kind, env=(), give=(), image=IMAGE, seccomp=None):
        n = len(self.containers) + 1
        folder, probe = os.path.join(self.work, "container-%d" % n), free_port()
        os.makedirs(folder + "/inside")
        with open(folder + "/objects.yaml", "w") as f:
            yaml.safe_dump_all(list(objects), f)
        envs = ["KINDRED_API_SERVER=http://127.0.0.1:" + self.api, "EBPF_NET_INTAKE_HOST=127.0.0.1",
                "EBPF_NET_INTAKE_PORT=" + self.intake, "POD_NAME=kindred-%d" % n,
                "POD_NAMESPACE=kindred", "KINDRED_PROBE_LISTEN=127.0.0.1:%d" % probe] + list(env)
        if kind == "DaemonSet":
            envs.append("NODE_NAME=" + NODE)
        args = [sys.executable, os.path.join(charts.HERE, "contain.py"), folder + "/objects.yaml", kind, image,
                "--work", folder + "/inside"]
        for flag, values in (("--env", envs), ("--give", give), ("--seccomp", [seccomp] if seccomp else [])):
            for v in values:
                args += [flag, v]
        self.containers.append(Container(folder, args, probe))
        return self.containers[-1]

    def close(self):
        for c in self.containers:
            c.kill()
        for p in self.running:
            p.kill()
            p.wait()
        shutil.rmtree(self.work, ignore_errors=True)


@contextlib.contextmanager
def stage():
    s = Stage()
    try:
        s.servers()
        yield s
    finally:
        s.close()


def confined(status, caps):
    """User, groups and capability sets as the pod says; what the start used up is given up."""
    assert status["Uid"].split() == ["65532"] * 4 and status["Gid"].split() == ["65532"] * 4, status["Uid"]
    assert status["Groups"].strip() == "", status["Groups"]
    assert status["NoNewPrivs"].strip() == "1"
    assert int(status["CapBnd"], 16) == mask(caps), status["CapBnd"]
    for name in ("CapInh", "CapEff", "CapAmb"):
        assert int(status[name], 16) == 0, (name, status[name])
    assert int(status["CapPrm"], 16) & ~mask(caps) == 0, status["CapPrm"]


def read_only(c):
    """Nothing but the socket's folder and the store's can be written."""
    with open("/proc/%d/mounts" % c.pid()) as f:
        mounts = [line.split() for line in f]
    loose = {m[1] for m in mounts if "rw" in m[3].split(",") and m[2] not in ("proc", "cgroup", "cgroup2")}
    allowed = {"/run/kindred", "/var/lib/kindred", "/dev", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}
    loose = {p for p in loose if not p.startswith(("/proc/", "/host/sys/fs/cgroup/"))}
    assert loose <= allowed, loose - allowed


def features(page):
    return {m[0]: m[1] == "1" for m in re.findall(r'^kindred_flow_feature_on\{feature="(\w+)"\} (\d)', page, re.M)}


def agent_in(s, seccomp=None):
    c = s.container(HELM.render({}), "DaemonSet", seccomp=seccomp)
    c.says("/api/v1/pods: synced")
    c.says("flows: on, with CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN")
    confined(c.status(), ["BPF", "PERFMON", "NET_ADMIN"])
    read_only(c)
    until(lambda: c.get("/readyz"), c.log)
    on = features(c.get("/metrics"))
    assert len(on) == 13, on
    until(lambda: "kindred_reducer_connected 1" in c.get("/metrics"), c.log)
    c.readme("daemonset/kindred-agent")
    log = c.log()
    c.stop()
    return on, log


def test_agent():
    """the node role: every feature of flows that works outside works in it, and it ends clean"""
    with stage() as s:
        on, log = agent_in(s)
    off = sorted(n for n, there in on.items() if not there)
    assert not off, "%s: %s" % (off, log)


def test_agent_without_flows():
    """the node role with flows off: no capability, and pods all the same"""
    with stage() as s:
        c = s.container(HELM.render({"node": {"flows": {"mode": "off"}}}), "DaemonSet")
        c.says("/api/v1/pods: synced")
        confined(c.status(), [])
        read_only(c)
        until(lambda: c.get("/readyz"), c.log)
        c.stop()


def test_fewer_capabilities():
    """auto with fewer capabilities than the file has starts, and says what is off"""
    values = {"node": {"flows": {"capabilities": {"netAdmin": False}}}}
    with stage() as s:
        c = s.container(HELM.render(values), "DaemonSet")
        c.says("flows: on, with CAP_BPF and CAP_PERFMON,")
        confined(c.status(), ["BPF", "PERFMON"])
        c.stop()


def test_more_capabilities():
    """CAP_SYS_PTRACE by value is there at the start, and kept for as long as others are looked at"""
    values = {"node": {"flows": {"capabilities": {"sysPtrace": True}}}}
    with stage() as s:
        c = s.container(HELM.render(values), "DaemonSet")
        c.says("/api/v1/pods: synced")
        confined(c.status(), ["BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE"])
        assert int(c.status()["CapPrm"], 16) in (0, mask(["SYS_PTRACE"])), c.status()["CapPrm"]
        c.stop()


def test_effective_would_not_start():
    """with effective file capabilities (+ep) the program could not start under a smaller bounding set:
    that is why they are not"""
    with stage() as s:
        image = os.path.join(s.work, "image")
        shutil.copytree(IMAGE, image, symlinks=True)
        subprocess.run(["setcap", "cap_bpf,cap_perfmon,cap_net_admin=ep", image + "/usr/bin/kindred"], check=True)
        c = s.container(HELM.render({"node": {"flows": {"mode": "off"}}}), "DaemonSet", image=image)
        assert c.proc.wait(30) != 0
        assert "Operation not permitted" in c.log(), c.log()


def collector_in(s, seccomp=None):
    objects = HELM.render({"collector": {"enabled": True, "replicas": 1, "leaderElection": False,
                                         "vector": [STORE], "graph": [STORE],
                                         "config": {"debounce": "100ms", "batch-interval": "1s"}},
                           "node": {"enabled": False}})
    store = os.path.join(s.work, "store")
    os.makedirs(store, exist_ok=True)
    os.chown(store, 65532, 65532)
    c = s.container(objects, "Deployment", give=["store=" + store], seccomp=seccomp)
    c.says("/api/v1/pods: synced")
    confined(c.status(), [])
    read_only(c)
    until(lambda: c.get("/readyz"), c.log)
    until(lambda: "payments/" in c.inside("search", "payments database secret", "-n", "3").stdout, c.log)
    c.readme("deployment/kindred-collector")
    c.stop()
    assert os.path.getsize(store + "/kindred.db") > 10000


def test_collector():
    """the collector: no capability, its files on the volume alone, searched from inside"""
    with stage() as s:
        collector_in(s)


def give_secrets(s, objects):
    """--give of the volumes whose Secrets Helm has made."""
    out = []
    for o in objects.all("Secret"):
        name = o["metadata"]["name"].replace("kindred-", "")
        folder = os.path.join(s.work, name)
        os.makedirs(folder, exist_ok=True)
        for key, text in o["data"].items():
            with open(os.path.join(folder, key), "wb") as f:
                f.write(base64.b64decode(text))
        out += ["%s=%s" % (volume, folder) for volume in (name, name.replace("tls", "ca"))]
    return out


def test_peers():
    """both roles as the chart has them: node agents follow the collector, by the certificate and the token
    that Helm made, under the Service's name"""
    objects = HELM.render({"collector": {"enabled": True}})
    with stage() as s:
        port, hosts = free_port(), os.path.join(s.work, "hosts")
        with open(hosts, "w") as f:
            f.write("127.0.0.1 localhost kindred-collector.kindred.svc\n")
        give = give_secrets(s, objects) + ["hosts=" + hosts]
        leader = s.container(objects, "Deployment", ["KINDRED_LISTEN=:%d" % port], give)
        leader.says("leads")
        confined(leader.status(), [])
        url = "KINDRED_PEERS=https://kindred-collector.kindred.svc:%d" % port
        c = s.container(objects, "DaemonSet", [url], give)
        until(lambda: re.search(r'^kindred_peers_things\{kind="pods?"\} [1-9]', c.get("/metrics"), re.M),
              lambda: c.log() + leader.log())
        assert "kindred_feed_subscribers 1" in leader.get("/metrics")
        confined(c.status(), ["BPF", "PERFMON", "NET_ADMIN"])
        c.stop()
        leader.stop()


def test_seccomp_agent():
    """the node role under deploy/seccomp/kindred.json does the same"""
    with stage() as s:
        on, log = agent_in(s, PROFILE)
        assert all(on.values()), log


def test_seccomp_collector():
    """so does the collector"""
    with stage() as s:
        collector_in(s, PROFILE)


if __name__ == "__main__":
    sys.exit(charts.run([f for n, f in sorted(globals().items()) if n.startswith("test_")]))
