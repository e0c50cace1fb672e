"""The programs under test, and what stands between them and the servers."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

from cluster import end_process, free_port


class Held:
    """What one connection of the reducer holds, by its JSON lines."""

    def __init__(self, host):
        self.host = host
        self.epoch = None
        self.resyncs = 0
        self.pods = {}      # uid -> row as in truth.py
        self.messages = 0   # pod, container and delete messages so far


class Reducer:
    """`kindred reducer --json` and the state it reports, held by connection."""

    def __init__(self, cluster, kindred):
        self.cluster = cluster
        self.kindred = kindred
        self.port = free_port()
        self.lock = threading.Lock()
        self.conns = {}
        self.epochs = {}        # host -> the highest epoch so far
        self.ever = set()       # uids of all pods ever announced
        self.ever_owners = set()  # (uid, owner kind) of the same
        self.problems = []      # what an agent should not have sent
        self.proc = None

    def start(self):
        self.conns = {}
        self.proc = self.cluster.run("reducer", [
            self.kindred, "reducer", "--listen", "127.0.0.1:%d" % self.port, "--json"],
            stdout=subprocess.PIPE)
        threading.Thread(target=self._read, args=(self.proc,), daemon=True).start()

    def stop(self, sig=signal.SIGTERM):
        return end_process(self.proc, sig)

    def _read(self, proc):
        for line in proc.stdout:
            with self.lock:
                if proc is not self.proc:
                    return
                try:
                    self._take(json.loads(line))
                except (ValueError, KeyError) as e:
                    self.problems.append("reducer line %r: %r" % (line[:200], e))

    def _take(self, e):
        event, conn = e["event"], e.get("conn")
        if event == "connect":
            self.conns[conn] = Held(e["host"])
        elif event == "error":
            self.problems.append("reducer error: %s" % e["error"])
        elif event == "disconnect":
            self.conns.pop(conn, None)
        elif event in ("resync", "pod", "container", "delete"):
            getattr(self, "_" + event)(self.conns[conn], e)

    def _resync(self, held, e):
        if e["epoch"] <= self.epochs.get(held.host, 0):
            self.problems.append("%s: epoch %d after %d" % (
                held.host, e["epoch"], self.epochs[held.host]))
        self.epochs[held.host] = held.epoch = e["epoch"]
        held.pods = {}
        held.resyncs += 1

    def _pod(self, held, e):
        held.messages += 1
        row = {k: e[k] for k in ("ns", "pod", "ip", "owner_kind", "owner_name", "owner_uid",
                                 "host_network", "version")}
        old = held.pods.get(e["uid"])
        row["containers"] = old["containers"] if old else {}
        if old == row:
            self.problems.append("%s: %s/%s told again without a change" % (
                held.host, row["ns"], row["pod"]))
        if held.epoch is None:
            self.problems.append("%s: a pod before the first resync" % held.host)
        held.pods[e["uid"]] = row
        self.ever.add(e["uid"])
        self.ever_owners.add((e["uid"], row["owner_kind"], row["owner_name"]))

    def _container(self, held, e):
        held.messages += 1
        row = held.pods.get(e["uid"])
        if row is None:
            self.problems.append("%s: a container of an unknown pod %s" % (held.host, e["uid"]))
        elif e["id"] in row["containers"]:
            self.problems.append("%s: container %s told again" % (held.host, e["id"]))
        else:
            row["containers"][e["id"]] = (e["name"], e["image"])

    def _delete(self, held, e):
        held.messages += 1
        if held.pods.pop(e["uid"], None) is None:
            self.problems.append("%s: delete of an unknown pod %s" % (held.host, e["uid"]))

    def held_by(self, host):
        """(pods, number of connections) of that host; pods None without exactly one."""
        with self.lock:
            conns = [h for h in self.conns.values() if h.host == host]
            if len(conns) != 1 or conns[0].epoch is None:
                return None, len(conns)
            pods = {u: dict(r, containers=dict(r["containers"])) for u, r in conns[0].pods.items()}
            return pods, 1

    def counted(self, host):
        """(resyncs, messages) over the host's present connection."""
        with self.lock:
            for h in self.conns.values():
                if h.host == host:
                    return h.resyncs, h.messages
        return 0, 0

    def take_problems(self):
        with self.lock:
            out, self.problems = self.problems, []
            return out


class Agent:
    """One `kindred agent`; table() arguments say what it is expected to tell."""

    def __init__(self, cluster, reducer, name, args, env=None, scope=None, late_owners=False):
        self.cluster = cluster
        self.reducer = reducer
        self.name = name
        self.args = args
        self.env = env or {}
        self.scope = scope or {}
        self.late_owners = late_owners
        self.proc = None

    def start(self):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith(("KINDRED_", "EBPF_NET_", "KUBE", "NODE_NAME", "K8S_", "POD_"))
               and k.lower() not in ("http_proxy", "https_proxy", "all_proxy")}
        env["K8S_COLLECTOR_HOSTNAME"] = self.name
        env["KINDRED_FLOWS"] = "off"  # what is held here is pods; flows have their own rig
        env["KINDRED_START_JITTER"] = "0s"
        env.update(self.env)
        self.proc = self.cluster.run("agent-" + self.name, [
            self.reducer.kindred, "agent", "--intake-host", "127.0.0.1",
            "--intake-port", str(self.reducer.port)] + self.args, env=env)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def alive(self):
        return self.proc is not None and self.proc.poll() is None

    def stop(self, sig=signal.SIGTERM, seconds=5):
        """(exit code, seconds it took)"""
        began = time.monotonic()
        code = end_process(self.proc, sig, seconds)
        self.proc = None
        return code, time.monotonic() - began

    def kill(self):
        end_process(self.proc, signal.SIGKILL)
        self.proc = None

    def log_tail(self, lines=12):
        with open(self.cluster.path("agent-%s.log" % self.name), errors="replace") as f:
            return f.read().splitlines()[-lines:]


class Proxy:
    """A TCP forwarder in front of the API server whose connections can be cut at will."""

    def __init__(self, target):
        self.target = target
        self.lock = threading.Lock()
        self.open = set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                near = self.listener.accept()[0]
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self.target), 5)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self.lock:
                self.open |= {near, far}
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(a, b), daemon=True).start()

    def _pump(self, src, dst):
        try:
            while True:
                data = src.recv(65536)
                if not data:
                    break
                dst.sendall(data)
        except OSError:
            pass
        self._shut(src)
        self._shut(dst)

    def _shut(self, sock):
        with self.lock:
            self.open.discard(sock)
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        # close() comes with the last reference: both pumps still use the socket.

    def cut(self):
        """Ends every connection at once; new ones are taken."""
        with self.lock:
            now = list(self.open)
        for sock in now:
            self._shut(sock)
        return len(now) // 2

    def close(self):
        self.listener.close()
        self.cut()
