"""A small API server for one test: lists, watches and single objects as JSON, with events on
command. It knows nothing that the test has not told it."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from world import NODE4, NODE6

KINDS = {   # path: (apiVersion, kind)
    "/api/v1/pods": ("v1", "Pod"),
    "/api/v1/nodes": ("v1", "Node"),
    "/api/v1/services": ("v1", "Service"),
    "/apis/apps/v1/replicasets": ("apps/v1", "ReplicaSet"),
    "/apis/batch/v1/jobs": ("batch/v1", "Job"),
}


def _ref(kind, name, uid):
    api = "batch/v1" if kind in ("Job", "CronJob") else "v1" if kind == "Node" else "apps/v1"
    return [{"apiVersion": api, "kind": kind, "name": name, "uid": uid, "controller": True}]


def uid_of(kind, name):
    return "00000000-0000-4000-8000-%012x" % (abs(hash((kind, name))) & 0xffffffffffff)


def pod_object(pod):
    status = {"phase": pod.phase, "hostIP": pod.host_ip}
    if pod.ip4:
        status.update(podIP=pod.ip4, podIPs=[{"ip": pod.ip4}, {"ip": pod.ip6}])
    runtime = {"crio": "cri-o"}.get(pod.style, "docker" if "docker" in pod.style else "containerd")
    spec = {"nodeName": pod.node, "hostNetwork": pod.host_network}
    for c in pod.containers:
        spec.setdefault(c.kind, []).append({"name": c.name, "image": "test/%s:1" % c.name})
        key = c.kind[:-1] + "Statuses" if c.kind != "containers" else "containerStatuses"
        status.setdefault(key, []).append({
            "name": c.name, "image": "test/%s:1" % c.name, "imageID": "", "ready": True,
            "restartCount": 0, "state": {"running": {"startedAt": pod.started}},
            "containerID": "%s://%s" % (runtime, c.id)})
    meta = {"name": pod.name, "namespace": pod.ns, "uid": pod.uid,
            "creationTimestamp": "2026-01-01T00:00:00Z"}
    if pod.owner:
        meta["ownerReferences"] = _ref(pod.owner[0], pod.owner[1], uid_of(*pod.owner))
    if pod.hash:
        meta["annotations"] = {"kubernetes.io/config.hash": pod.hash,
                               "kubernetes.io/config.mirror": pod.hash,
                               "kubernetes.io/config.source": "file"}
    return {"metadata": meta, "spec": spec, "status": status}


def replicaset_object(ns, name):
    deployment = name.rsplit("-", 1)[0]
    return {"metadata": {"name": name, "namespace": ns, "uid": uid_of("ReplicaSet", name),
                         "ownerReferences": _ref("Deployment", deployment,
                                                 uid_of("Deployment", deployment))}}


def node_object(name, ip4=NODE4, ip6=NODE6):
    return {"metadata": {"name": name, "uid": uid_of("Node", name), "labels": {}},
            "spec": {}, "status": {"addresses": [{"type": "InternalIP", "address": ip4},
                                                 {"type": "InternalIP", "address": ip6},
                                                 {"type": "Hostname", "address": name}]}}


class KubeApi:
    def __init__(self, node="n1"):
        self.cond = threading.Condition()
        self.version = 100
        self.objects = {p: {} for p in KINDS}       # path -> (ns, name) -> object
        self.events = []                            # (version, path, type, object)
        self.closed = False
        self.requests = []                          # (who, by the address it comes from; path)
        self.set("/api/v1/nodes", node_object(node))
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args):
                pass

            def do_GET(self):
                api.serve(self)

        self.server = ThreadingHTTPServer(("", 0), Handler)
        self.server.daemon_threads = True
        self.url = self.url_at("127.0.0.1")
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        with self.cond:
            self.closed = True
            self.cond.notify_all()
        self.server.shutdown()
        self.server.server_close()

    def url_at(self, address):
        return "http://%s:%d" % (address, self.server.server_port)

    # -- what the test says

    def set(self, path, obj):
        meta = obj["metadata"]
        key = (meta.get("namespace", ""), meta["name"])
        with self.cond:
            self.version += 1
            meta["resourceVersion"] = str(self.version)
            obj["apiVersion"], obj["kind"] = KINDS[path]
            verb = "MODIFIED" if key in self.objects[path] else "ADDED"
            self.objects[path][key] = obj
            self.events.append((self.version, path, verb, obj))
            self.cond.notify_all()

    def drop(self, path, ns, name):
        with self.cond:
            self.version += 1
            obj = dict(self.objects[path].pop((ns, name)))
            obj["metadata"] = dict(obj["metadata"], resourceVersion=str(self.version))
            self.events.append((self.version, path, "DELETED", obj))
            self.cond.notify_all()

    def tell(self, pod):
        if pod.owner and pod.owner[0] == "ReplicaSet":
            path, key = "/apis/apps/v1/replicasets", (pod.ns, pod.owner[1])
            with self.cond:
                known = key in self.objects[path]
            if not known:
                self.set(path, replicaset_object(*key))
        self.set("/api/v1/pods", pod_object(pod))

    def forget(self, pod):
        self.drop("/api/v1/pods", pod.ns, pod.name)

    # -- what the agent asks

    def serve(self, h):
        url = urllib.parse.urlsplit(h.path)
        query = {k: v[0] for k, v in urllib.parse.parse_qs(url.query).items()}
        with self.cond:
            self.requests.append((h.client_address[0], h.path))
        if url.path in KINDS:
            pick = dict(p.split("=", 1) for p in query.get("fieldSelector", "").split(",") if "=" in p)
            if query.get("watch") in ("1", "true"):
                self.watch(h, url.path, pick, query)
            else:
                self.list(h, url.path, pick)
            return
        obj = self.one(url.path)
        if obj:
            answer(h, 200, obj)
        else:
            answer(h, 404, {"kind": "Status", "apiVersion": "v1", "status": "Failure",
                            "reason": "NotFound", "code": 404, "message": "not found"})

    def one(self, path):
        for base in KINDS:
            head, _, plural = base.rpartition("/")
            for ns, name in list(self.objects[base]):
                full = "%s/%s/%s" % (head, plural, name) if not ns else \
                    "%s/namespaces/%s/%s/%s" % (head, ns, plural, name)
                if full == path:
                    return self.objects[base][(ns, name)]
        return None

    def list(self, h, path, pick):
        with self.cond:
            items = [o for o in self.objects[path].values() if chosen(o, pick)]
            body = {"kind": KINDS[path][1] + "List", "apiVersion": KINDS[path][0],
                    "metadata": {"resourceVersion": str(self.version)}, "items": items}
        answer(h, 200, body)

    def watch(self, h, path, pick, query):
        at = int(query.get("resourceVersion") or 0)
        h.send_response(200)
        h.send_header("Content-Type", "application/json")
        h.send_header("Transfer-Encoding", "chunked")
        h.end_headers()
        h.wfile.flush()
        while True:
            with self.cond:
                self.cond.wait_for(lambda: self.closed or self.version > at, 30)
                if self.closed:
                    break
                new = [e for e in self.events if e[0] > at]
                at = self.version
            text = "".join(json.dumps({"type": verb, "object": obj}) + "\n"
                           for _, p, verb, obj in new if p == path and chosen(obj, pick))
            if not text:
                text = json.dumps({"type": "BOOKMARK", "object": {
                    "kind": KINDS[path][1], "apiVersion": KINDS[path][0],
                    "metadata": {"resourceVersion": str(at)}}}) + "\n"
            try:
                h.wfile.write(b"%x\r\n%s\r\n" % (len(text), text.encode()))
                h.wfile.flush()
            except OSError:
                return
        h.close_connection = True


def chosen(obj, pick):
    for field, want in pick.items():
        at = obj
        for part in field.split("."):
            at = at.get(part, {})
        if at != want:
            return False
    return True


def answer(h, code, body):
    data = json.dumps(body).encode()
    h.send_response(code)
    h.send_header("Content-Type", "application/json")
    h.send_header("Content-Length", str(len(data)))
    h.end_headers()
    h.wfile.write(data)
