"""What the steps of deploy.py use: a cluster with a few inert objects, what the chart renders, accounts
with exactly some permissions, and agents that run with them."""

import base64
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import objects as o
from cluster import end_process, free_port, wait_for
from kube import ApiError
from rig import Failure, Rig, path

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "deploy"))
import charts  # noqa: E402

NODE = "node-9"
STORE = "sqlite:/var/lib/kindred/kindred.db"


def url(obj):
    """Where it is applied."""
    version, kind, meta = obj["apiVersion"], obj["kind"], obj["metadata"]
    plural = kind.lower() + "s" if not kind.endswith("y") else kind.lower()[:-1] + "ies"
    ns = "/namespaces/" + meta["namespace"] if "namespace" in meta else ""
    return "/%s/%s%s/%s/%s" % ("apis" if "/" in version else "api", version, ns, plural, meta["name"])


def text_of(permission):
    """"list pods", "update leases.coordination.k8s.io/kindred in kindred"."""
    ns, group, resource, verb, name = permission
    return "%s %s%s%s%s" % (verb, resource, "." + group if group else "", "/" + name if name else "",
                            " in " + ns if ns else "")


class Run:
    """One `kindred agent` as a pod of that role, by its rendered configuration and with that account."""

    def __init__(self, rig, name, objects, role, token, env=()):
        self.rig, self.name = rig, name
        self.dir = rig.cluster.path("run-" + name)
        os.makedirs(self.dir, exist_ok=True)
        self.probe, self.socket = free_port(), os.path.join(self.dir, "socket")
        self.env = rig.environment(self.dir, token, role)
        self.env.update({"KINDRED_PROBE_LISTEN": "127.0.0.1:%d" % self.probe, "KINDRED_SOCKET": self.socket})
        self.env.update(env)
        self.config = os.path.join(self.dir, "config.yaml")
        with open(self.config, "w") as f:
            f.write(rig.inside(objects.config(role)[1], self.dir))
        self.proc = None

    def __enter__(self):
        self.log_path = os.path.join(self.dir, "log")
        with open(self.log_path, "wb") as log:
            self.proc = subprocess.Popen([self.rig.kindred, "agent", "--config", self.config], env=self.env,
                                         stdout=subprocess.DEVNULL, stderr=log)
        return self

    def __exit__(self, *_):
        self.code = end_process(self.proc)

    def ask(self, *args):
        """A finished run of another kind: --check-access."""
        return subprocess.run([self.rig.kindred, "agent", "--config", self.config] + list(args),
                              env=self.env, capture_output=True, text=True, timeout=60)

    def log(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def get(self, what, token=None):
        """The body, whatever the status: 503 has the reason; "" where nobody answers."""
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.probe, what))
        if token:
            request.add_header("Authorization", "Bearer " + token)
        try:
            with urllib.request.urlopen(request, timeout=5) as r:
                return r.read().decode()
        except urllib.error.HTTPError as e:
            return "%d %s" % (e.code, e.read().decode())
        except OSError:
            return ""

    def data(self, what):
        """Of the unix socket, as commands ask it."""
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(10)
            try:
                s.connect(self.socket)
                s.sendall(("GET %s HTTP/1.0\r\n\r\n" % what).encode())
                parts = []
                while not parts or parts[-1]:
                    parts.append(s.recv(65536))
            except OSError:
                return ""
        return b"".join(parts).decode(errors="replace")

    def ready(self):
        return self.get("/readyz").startswith(("ok", "ready"))


class DeployRig(Rig):
    def set_up(self):
        self.cluster.make_keys()
        self.cluster.start_etcd()
        self.cluster.start_apiserver()
        self.reducer.start()
        for ns in ("kindred", "shop"):
            self.create({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": ns}})
            self.create({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": "default"}}, ns)
        for args in o.CRDS[:2]:
            self.create(o.crd(*args))
        wait_for(lambda: self.api.get(path("Rollout")), 20, "custom resources")
        self.populate()

    # What is there: no controller touches it.

    def populate(self):
        self.create({"kind": "Node", "apiVersion": "v1", "metadata": {"name": NODE, "labels": {
            "topology.kubernetes.io/zone": "zone-a", "node.kubernetes.io/instance-type": "m1"}}})
        top = self.create(o.workload("Deployment", "cart", 1), "shop")
        self.chain("cart", ("apps/v1", "Deployment", top))
        rollout = self.create({"kind": "Rollout", "apiVersion": "argoproj.io/v1alpha1",
                               "metadata": {"name": "till"}, "spec": {}}, "shop")
        self.chain("till", ("argoproj.io/v1alpha1", "Rollout", rollout))
        job = self.create(o.job("report"), "shop")
        self.pod("report-1", o.owner("batch/v1", "Job", job), "10.1.0.9")

    def chain(self, name, top):
        body = o.workload("ReplicaSet", name + "-1", 1, owners=[o.owner(*top)])
        rs = self.create(body, "shop")
        self.pod(name + "-1-a", o.owner("apps/v1", "ReplicaSet", rs), "10.1.0.%d" % (len(name) + ord(name[0])))

    def pod(self, name, owner, ip):
        pod = o.pod(name, o.pod_spec(nodeName=NODE), owners=[owner])
        pod["spec"].pop("nodeSelector", None)
        self.create(pod, "shop")
        self.api.patch(path("Pod", "shop", name) + "/status", {"status": {
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "containerStatuses": [{
                "name": "c0", "image": "app:1", "imageID": "", "ready": True, "restartCount": 0,
                "containerID": "containerd://" + name.encode().hex().ljust(64, "0")[:64]}]}})

    # What the chart renders.

    def apply(self, obj, dry=False):
        """Server-side, with every field checked: an unknown or doubled one is refused."""
        query = "?fieldManager=e2e&force=true&fieldValidation=Strict" + ("&dryRun=All" if dry else "")
        return self.api.call("PATCH", url(obj) + query, obj, "application/apply-patch+yaml")

    def try_apply(self, objects, dry):
        wrong = []
        for obj in objects:
            try:
                self.apply(obj, dry)
            except ApiError as e:
                wrong.append("%s %s: %s" % (obj["kind"], obj["metadata"]["name"], e))
        if wrong:
            raise Failure("\n".join(wrong))

    # Accounts.

    def account(self, name, permissions):
        """A service account that may do exactly that; its token."""
        self.create({"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": name}}, "kindred")
        for ns in sorted({p[0] for p in permissions}):
            rules = [dict({"apiGroups": [g], "resources": [r], "verbs": [v]}, **({"resourceNames": [n]} if n else {}))
                     for place, g, r, v, n in sorted(permissions) if place == ns]
            kind, where = ("Role", ns) if ns else ("ClusterRole", None)
            self.create({"kind": kind, "apiVersion": "rbac.authorization.k8s.io/v1",
                         "metadata": {"name": name}, "rules": rules}, where)
            self.create(o.binding(kind + "Binding", name, kind, name, o.account(name)), where)
        return self.token(name)

    def token(self, account):
        answer = self.api.post(path("ServiceAccount", "kindred", account) + "/token", {
            "kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 3600}})
        return answer["status"]["token"]

    def environment(self, folder, token, role):
        with open(os.path.join(folder, "token"), "w") as f:
            f.write(token)
        env = {"PATH": os.environ["PATH"], "KINDRED_API_SERVER": "https://127.0.0.1:%d" % self.cluster.port,
               "KINDRED_CA_FILE": self.cluster.ca, "KINDRED_TOKEN_FILE": os.path.join(folder, "token"),
               "EBPF_NET_INTAKE_HOST": "127.0.0.1", "EBPF_NET_INTAKE_PORT": str(self.reducer.port),
               "KINDRED_FLOWS": "off", "KINDRED_READY_GRACE": "1s", "KINDRED_API_QPS": "1000",
               "KINDRED_API_BURST": "1000", "POD_NAME": os.path.basename(folder),
               "POD_NAMESPACE": "kindred"}
        if role == "agent":
            env["NODE_NAME"] = NODE
            env["KINDRED_LISTEN"] = "off"
        else:
            env["KINDRED_LISTEN"] = "127.0.0.1:%d" % free_port()
        return env

    def inside(self, config, folder):
        """The same with a folder for what a pod has mounted."""
        for name, data in self.mounted.items():
            target = os.path.join(folder, "etc", name)
            os.makedirs(target, exist_ok=True)
            for key, text in data.items():
                with open(os.path.join(target, key), "wb") as f:
                    f.write(base64.b64decode(text))
        os.makedirs(os.path.join(folder, "lib"), exist_ok=True)
        return config.replace("/etc/kindred", folder + "/etc").replace("/var/lib/kindred", folder + "/lib")
