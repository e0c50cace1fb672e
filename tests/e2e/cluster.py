"""The servers of the test: etcd, kube-apiserver and kube-controller-manager on loopback.

Real programs, RBAC on, TLS with a CA made here by openssl. Everything lives in
one folder; every process is held by its Popen and ended through it.
"""

import base64
import json
import os
import secrets
import signal
import socket
import subprocess
import time
import urllib.request

from kube import ApiError, Client

# Only what the scenario needs: no node lifecycle, which would evict the pods of played nodes.
CONTROLLERS = ("deployment,replicaset,statefulset,daemonset,job,cronjob,garbagecollector,"
               "namespace,serviceaccount")
AUDIT = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [ResponseStarted, Panic]
rules:
- level: Metadata
  userGroups: ["kindred:agents", "system:serviceaccounts:kindred"]
- level: None
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(check, seconds, what, every=0.1):
    """check() until it is true; its OSError and ApiError count as not yet."""
    end, last = time.monotonic() + seconds, None
    while True:
        try:
            if check():
                return
        except (OSError, ApiError) as e:
            last = e
        if time.monotonic() > end:
            raise TimeoutError("%s: not within %g s%s" % (
                what, seconds, ": %s" % last if last else ""))
        time.sleep(every)


def end_process(proc, sig=signal.SIGTERM, seconds=5):
    """Ends a child by its Popen; returns its exit code."""
    if proc.poll() is None:
        proc.send_signal(sig)
        try:
            proc.wait(seconds)
        except subprocess.TimeoutExpired:
            proc.kill()
            proc.wait()
    return proc.returncode


class Cluster:
    def __init__(self, bindir, folder):
        self.bin = bindir
        self.dir = folder
        self.port = free_port()
        self.etcd_port = free_port()
        self.token = secrets.token_hex(16)
        self.ca = self.path("ca.crt")
        self.etcd = self.apiserver = self.manager = None

    def path(self, name):
        return os.path.join(self.dir, name)

    def client(self, token=None, timeout=15):
        return Client(self.port, self.ca, token or self.token, timeout)

    # Keys and certificates.

    def _openssl(self, *args):
        subprocess.run(("openssl",) + args, check=True, cwd=self.dir,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _key(self, name):
        self._openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256",
                      "-out", name + ".key")

    def make_cert(self, name, subject, extension):
        self._key(name)
        with open(self.path(name + ".ext"), "w") as f:
            f.write(extension + "\n")
        self._openssl("req", "-new", "-key", name + ".key", "-subj", subject, "-out", name + ".csr")
        self._openssl("x509", "-req", "-in", name + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key",
                      "-set_serial", str(secrets.randbits(63)), "-days", "2",
                      "-extfile", name + ".ext", "-out", name + ".crt")

    def make_keys(self):
        self._key("ca")
        self._openssl("req", "-x509", "-new", "-key", "ca.key", "-subj", "/CN=kindred e2e",
                      "-addext", "keyUsage=critical,keyCertSign", "-days", "2", "-out", "ca.crt")
        self.make_cert("apiserver", "/CN=kube-apiserver",
                       "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes.default.svc")
        self._key("sa")
        self._openssl("pkey", "-in", "sa.key", "-pubout", "-out", "sa.pub")
        with open(self.path("tokens.csv"), "w") as f:
            f.write('%s,admin,admin,"system:masters"\n' % self.token)
        with open(self.path("audit.yaml"), "w") as f:
            f.write(AUDIT)

    def encoded(self, name):
        with open(self.path(name), "rb") as f:
            return base64.b64encode(f.read()).decode()

    def kubeconfig(self, name, port=None, user=None):
        """Writes a kubeconfig; user: its fields as a dict, default the admin's token."""
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "e2e",
            "clusters": [{"name": "e2e", "cluster": {
                "server": "https://127.0.0.1:%d" % (port or self.port),
                "certificate-authority-data": self.encoded("ca.crt")}}],
            "users": [{"name": "u", "user": user or {"token": self.token}}],
            "contexts": [{"name": "e2e", "context": {"cluster": "e2e", "user": "u"}}],
        }
        path = self.path(name + ".kubeconfig")
        with open(path, "w") as f:
            f.write(_yaml(config) + "\n")
        os.chmod(path, 0o600)
        return path

    # Processes.

    def run(self, name, args, **kwargs):
        log = open(self.path(name + ".log"), "ab")
        with log:
            return subprocess.Popen(args, stdin=subprocess.DEVNULL, stderr=log,
                                    cwd=self.dir, **{"stdout": log, **kwargs})

    def start_etcd(self):
        url, peer = "http://127.0.0.1:%d" % self.etcd_port, "http://127.0.0.1:%d" % free_port()
        self.etcd = self.run("etcd", [
            os.path.join(self.bin, "etcd"), "--data-dir", self.path("etcd"), "--name", "e2e",
            "--listen-client-urls", url, "--advertise-client-urls", url,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
            "--initial-cluster", "e2e=" + peer, "--log-level", "warn", "--unsafe-no-fsync"])
        wait_for(lambda: self._etcd("/v3/maintenance/status", {}), 30, "etcd")

    def _etcd(self, path, body):
        req = urllib.request.Request("http://127.0.0.1:%d%s" % (self.etcd_port, path),
                                     json.dumps(body).encode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(req, timeout=10) as resp:
            return json.load(resp)

    def compact(self):
        """Drops all history up to now."""
        rev = self._etcd("/v3/maintenance/status", {})["header"]["revision"]
        self._etcd("/v3/kv/compaction", {"revision": rev, "physical": True})
        return int(rev)

    def start_apiserver(self):
        self.apiserver = self.run("kube-apiserver", [
            os.path.join(self.bin, "kube-apiserver"),
            "--etcd-servers=http://127.0.0.1:%d" % self.etcd_port, "--etcd-compaction-interval=0",
            "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            "--secure-port=%d" % self.port, "--endpoint-reconciler-type=none",
            "--service-cluster-ip-range=10.96.0.0/16", "--cert-dir=" + self.path("certs"),
            "--tls-cert-file=apiserver.crt", "--tls-private-key-file=apiserver.key",
            "--client-ca-file=ca.crt", "--token-auth-file=tokens.csv", "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            "--service-account-key-file=sa.pub", "--service-account-signing-key-file=sa.key",
            "--allow-privileged", "--profiling=false", "--request-timeout=8s",
            "--audit-policy-file=audit.yaml", "--audit-log-path=" + self.path("audit.log"),
            "--audit-log-mode=blocking"])
        self.wait_ready()

    def wait_ready(self, seconds=60):
        """Ready, and RBAC loaded: a fresh server refuses even good tokens for a moment."""
        def ready():
            if self.apiserver.poll() is not None:
                raise RuntimeError("kube-apiserver ended with %d" % self.apiserver.returncode)
            api = self.client(timeout=5)
            return api.call("GET", "/readyz").get("message") == "ok" and api.get("/api/v1/nodes")
        wait_for(ready, seconds, "kube-apiserver")

    def start_manager(self):
        self.manager = self.run("kube-controller-manager", [
            os.path.join(self.bin, "kube-controller-manager"),
            "--kubeconfig=" + self.kubeconfig("manager"), "--leader-elect=false",
            "--controllers=" + CONTROLLERS, "--bind-address=127.0.0.1",
            "--secure-port=%d" % free_port(), "--cert-dir=" + self.path("certs-manager"),
            "--kube-api-qps=200", "--kube-api-burst=400", "--profiling=false"])

    def restart_apiserver(self, sig):
        """Returns the seconds the old one took to end."""
        began = time.monotonic()
        end_process(self.apiserver, sig, 90)
        took = time.monotonic() - began
        self.start_apiserver()
        return took

    def stop(self):
        for proc, sig in ((self.manager, signal.SIGKILL), (self.apiserver, signal.SIGKILL),
                          (self.etcd, signal.SIGTERM)):
            if proc:
                end_process(proc, sig)

    def requests(self, since=0):
        """What the agents asked for, from the audit log: (user, verb, uri, User-Agent)."""
        out = []
        with open(self.path("audit.log"), "rb") as f:
            f.seek(since)
            for line in f:
                try:
                    e = json.loads(line)
                except ValueError:
                    continue
                if e["stage"] == "RequestReceived":
                    out.append((e["user"]["username"], e["verb"], e["requestURI"],
                                e.get("userAgent", "")))
        return out

    def answers(self, user, since=0):
        """(verb, group, resource, namespace, name, code) of each request of a user that was answered."""
        out = []
        with open(self.path("audit.log"), "rb") as f:
            f.seek(since)
            for line in f:
                e = json.loads(line)
                if e["stage"] != "ResponseComplete" or e["user"]["username"] != user:
                    continue
                r = e.get("objectRef", {})
                out.append((e["verb"], r.get("apiGroup", ""), r.get("resource", e["requestURI"]),
                            r.get("namespace", ""), r.get("name", ""), e["responseStatus"]["code"]))
        return out

    def requests_mark(self):
        try:
            return os.path.getsize(self.path("audit.log"))
        except FileNotFoundError:
            return 0


def _yaml(value, indent=""):
    """Block YAML of plain dicts, lists and strings."""
    lines = []
    if isinstance(value, dict):
        for k, v in value.items():
            if isinstance(v, str):
                lines.append("%s%s: %s" % (indent, k, json.dumps(v)))
            else:
                lines += [indent + k + ":", _yaml(v, indent + "  ")]
    else:
        for v in value:
            lines.append(indent + "- " + _yaml(v, indent + "  ").lstrip())
    return "\n".join(lines)
