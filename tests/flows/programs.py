"""The processes of a test: actors, the agent under test with one tier's capabilities, the reducer."""

import contextlib
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import threading
import time

TIERS = {"trace": ["bpf", "perfmon"], "full": ["bpf", "perfmon", "net_admin"], "none": []}
NOBODY = "65534"


PATIENCE = 40.0     # a machine that others load, too: only what fails takes as long


def until(what, seconds=PATIENCE, every=0.02):
    """The first true value of what(), or its last value when the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = what()
        if value or time.monotonic() > end:
            return value
        time.sleep(every)


class Lines:
    """A file of JSON lines that grows; each line is parsed once."""

    def __init__(self, path):
        self.path, self.at, self.rest, self.rows = path, 0, b"", []

    def read(self):
        try:
            with open(self.path, "rb") as f:
                f.seek(self.at)
                data = f.read()
        except FileNotFoundError:
            return self.rows
        self.at += len(data)
        parts = (self.rest + data).split(b"\n")
        self.rest = parts.pop()
        self.rows += [json.loads(p) for p in parts]
        return self.rows


class Actors:
    """Starts actors and reads their truth."""

    def __init__(self, actor, work):
        self.actor, self.work = actor, work
        self.truth = Lines(work + "/truth.jsonl")
        self.running = []

    def start(self, where, tag, *role, move=None, ready=False):
        """`where`: (network namespace or None, cgroup directories)."""
        args = [self.actor, "--out", self.truth.path, "--tag", tag]
        for d in where[1]:
            args += ["--cgroup", d]
        for d in move or []:
            args += ["--move", d]
        if where[0]:
            args += ["--netns", where[0]]
        p = subprocess.Popen(args + [str(r) for r in role], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, bufsize=0)
        self.running.append(p)
        if ready and not p.stdout.readline().startswith(b"ready"):
            raise RuntimeError("actor %s %s did not start" % (tag, role))
        return p

    def run(self, where, tag, *role, **more):
        self.wait(self.start(where, tag, *role, **more))

    def wait(self, p, seconds=60):
        """Until it has ended by itself, and well."""
        try:
            p.wait(seconds)
        except subprocess.TimeoutExpired as e:
            raise RuntimeError("an actor does not end: %s" % p.args) from e
        self.forget(p)
        if p.returncode:
            raise RuntimeError("an actor ended with %d: %s" % (p.returncode, p.args))

    def held(self, p, n=1, seconds=PATIENCE):
        """Waits until n connections of it hold."""
        for _ in range(n):
            if not select.select([p.stdout], [], [], seconds)[0] or \
                    not p.stdout.readline().startswith(b"held"):
                raise RuntimeError("actor %s does not hold" % p.args)

    def go(self, p):
        """The word that ends a hold."""
        p.stdin.close()

    def end(self, p, wait=True):
        if p.stdin and not p.stdin.closed:
            p.stdin.close()
        if not wait:
            p.kill()
        p.wait(20)
        self.forget(p)

    def kill(self, p):
        p.kill()
        p.wait()
        self.forget(p)

    def forget(self, p):
        for f in (p.stdin, p.stdout):
            if f and not f.closed:
                f.close()
        if p in self.running:
            self.running.remove(p)

    def told(self, tag, n=1, seconds=PATIENCE, role=None):
        """The lines with that tag once there are n of them."""
        def rows():
            got = [r for r in self.truth.read() if r["tag"] == tag and role in (None, r["role"])]
            return got if len(got) >= n else []
        got = until(rows, seconds)
        if len(got) < n:
            raise RuntimeError("%s: %d lines of truth, not %d" % (tag, len(got), n))
        return got

    def close(self):
        for p in list(self.running):
            self.kill(p)


class Reducer:
    def __init__(self, kindred, work):
        self.kindred, self.work = kindred, work
        self.port, self.proc, self.n = 0, None, 0
        self.lines = None

    def start(self):
        self.n += 1
        port_file, out = self.work + "/reducer.port", "%s/reducer.%d" % (self.work, self.n)
        if os.path.exists(port_file):
            os.unlink(port_file)
        with open(out, "wb") as f, open(out + ".log", "wb") as log:
            self.proc = subprocess.Popen(
                [self.kindred, "reducer", "--listen", "127.0.0.1:%d" % self.port,
                 "--port-file", port_file, "--json"], stdout=f, stderr=log)
        self.lines = Lines(out)

        def read_port():
            try:
                with open(port_file, encoding="ascii") as f:
                    return f.read().strip()
            except FileNotFoundError:
                return ""
        text = until(read_port)
        if not text:
            raise RuntimeError("the reducer did not start")
        self.port = int(text)

    def stop(self):
        if self.proc:
            self.proc.terminate()
            self.proc.wait(20)
            self.proc = None


class Agent:
    """`kindred agent` as nobody, with exactly one tier's capabilities."""

    def __init__(self, kindred, work, name, tier, enter=()):
        """`enter`: the command that goes into its node's network."""
        self.enter = list(enter)
        self.work = "%s/%s" % (work, name)
        os.mkdir(self.work)
        os.chmod(self.work, 0o777)
        self.kindred = work + "/kindred"
        if not os.path.exists(self.kindred):    # a folder that nobody may enter is no obstacle
            shutil.copy(kindred, self.kindred)
            os.chmod(self.kindred, 0o755)
        self.tier, self.proc = tier, None
        self.flows = Lines(self.work + "/flows.jsonl")
        self.socket = self.work + "/socket"
        self.n = 0

    def start(self, *args):
        caps = ",".join(["-all"] + ["+" + c for c in TIERS[self.tier]])
        self.n += 1
        with open("%s/log.%d" % (self.work, self.n), "wb") as log:
            self.proc = subprocess.Popen(
                self.enter +
                ["setpriv", "--reuid=" + NOBODY, "--regid=" + NOBODY, "--clear-groups",
                 "--inh-caps=" + caps, "--ambient-caps=" + caps, "--bounding-set=" + caps,
                 self.kindred, "agent", "--flows-out", "jsonl:" + self.flows.path,
                 "--socket", self.socket, "--log-level", "debug", "--start-jitter", "0s",
                 "--leader-election", "off"] + list(args),
                stdout=log, stderr=log, cwd=self.work)

    def log(self):
        with open("%s/log.%d" % (self.work, self.n), encoding="utf-8", errors="replace") as f:
            return f.read()

    def stop(self, sig=signal.SIGTERM):
        """The exit code; None when it had to be killed."""
        self.proc.send_signal(sig)
        try:
            code = self.proc.wait(20)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            code = None
        self.proc = None
        return code

    def get(self, path):
        """An answer of the unix socket."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            s.connect(self.socket)
            s.sendall(b"GET %s HTTP/1.1\r\nHost: kindred\r\nConnection: close\r\n\r\n"
                      % path.encode())
            data = b""
            while True:
                part = s.recv(65536)
                if not part:
                    break
                data += part
        return data.partition(b"\r\n\r\n")[2].decode()

    def metrics(self):
        """Series and values, labels as the text has them."""
        out = {}
        for line in self.get("/metrics").splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                out[name] = float(value)
        return out

    def skipped(self):
        """Runs of its programs that the kernel skipped, because they would have been inside
        themselves on one CPU: what ended just then is lost, and the agent says so."""
        n, folder = 0, "/proc/%d/fdinfo" % self.proc.pid
        for fd in os.listdir(folder):
            with contextlib.suppress(OSError), open(folder + "/" + fd, encoding="ascii",
                                                    errors="replace") as f:
                n += sum(int(x) for x in re.findall(r"^recursion_misses:\s*(\d+)", f.read(), re.M))
        return n

    def command(self, *args):
        return subprocess.run([self.kindred] + list(args) + ["--socket", self.socket],
                              capture_output=True, text=True, timeout=30, check=False)


class Ticker(threading.Thread):
    """Does something every few milliseconds beside the test."""

    def __init__(self, what, every):
        super().__init__(daemon=True)
        self.what, self.every, self.over = what, every, threading.Event()

    def run(self):
        while not self.over.wait(self.every):
            self.what()
