"""The edges that objects make and the properties of containers, found by another program than the agent:
reads the agent's event stream (whole objects) and its graph (JSON lines), derives the edges of what lives
at the end of the one, and compares them with the other.

    edges.py EVENTS.jsonl GRAPH.jsonl
"""

import json
import sys

CORE = ""
GROUPS = {
    "Deployment": "apps", "StatefulSet": "apps", "DaemonSet": "apps", "ReplicaSet": "apps",
    "Job": "batch", "CronJob": "batch", "Role": "rbac.authorization.k8s.io",
    "ClusterRole": "rbac.authorization.k8s.io", "ClusterIssuer": "cert-manager.io",
}
CLUSTER = {"Node", "Namespace", "PersistentVolume", "ClusterRole", "ClusterRoleBinding", "User",
           "Group", "IngressClass", "StorageClass", "PriorityClass", "RuntimeClass", "GatewayClass",
           "ClusterIssuer", "Image"}
CLASSES = {"ingressClassName": ("IngressClass", "networking.k8s.io"),
           "storageClassName": ("StorageClass", "storage.k8s.io"),
           "priorityClassName": ("PriorityClass", "scheduling.k8s.io"),
           "runtimeClassName": ("RuntimeClass", "node.k8s.io")}


def key(kind, group, ns, name):
    return f"{kind}{'.' + group if group else ''}/{'' if kind in CLUSTER else ns}/{name}"


def group_of(version):
    return version.rsplit("/", 1)[0] if "/" in version else CORE


def image(text, digest=""):
    name, _, given = text.partition("@")
    digest = digest or given
    first, _, rest = name.partition("/")
    if rest and ("." in first or ":" in first or first == "localhost"):
        registry, repository = first, rest
    else:
        registry, repository = "docker.io", name
    repository, colon, tag = repository.rpartition(":") if ":" in repository else (repository, "", "")
    if not tag and not given:
        tag = "latest"
    if registry == "docker.io" and "/" not in repository:
        repository = "library/" + repository
    return (f"{registry}/{repository}" + (f":{tag}" if tag else "") + (f"@{digest}" if digest else ""))


class Object:
    def __init__(self, o):
        self.o, self.edges = o, set()
        meta = o["metadata"]
        self.kind, self.group = o["kind"], group_of(o["apiVersion"])
        self.ns, self.name = meta.get("namespace", ""), meta["name"]
        self.key = key(self.kind, self.group, self.ns, self.name)

    def add(self, kind, to, origin=None):
        self.edges.add((kind, origin or self.key, to))

    def named(self, edge, kind, name, ns=None, group=CORE):
        if isinstance(name, str) and name:
            self.add(edge, key(kind, group, ns or self.ns, name))

    # --- what is written alike everywhere ---

    def walk(self, v, name=""):
        if isinstance(v, list):
            for x in v:
                self.walk(x)
            return
        if not isinstance(v, dict):
            return
        for k, x in v.items():
            self.member(k, x)
            self.walk(x, k)

    def member(self, k, x):
        if isinstance(x, str):
            if k == "secretName":
                self.named("USES_SECRET", "Secret", x)
            elif k == "claimName":
                self.named("USES_CLAIM", "PersistentVolumeClaim", x)
            elif k == "serviceAccountName":
                self.named("RUNS_AS", "ServiceAccount", x)
            elif k in CLASSES:
                self.named("USES_CLASS", CLASSES[k][0], x, group=CLASSES[k][1])
        elif k == "imagePullSecrets":
            for s in x:
                self.named("USES_SECRET", "Secret", s.get("name"))
        elif k.endswith("ontainers") and isinstance(x, list) and self.kind != "Pod":
            for c in x:
                if isinstance(c, dict) and isinstance(c.get("image"), str):
                    self.add("RUNS_IMAGE", key("Image", "", "", image(c["image"])))
        elif isinstance(x, dict) and isinstance(x.get("name"), str):
            self.reference(k, x)

    def reference(self, k, x):
        ns = x.get("namespace")
        if k in ("secret", "secretRef", "secretKeyRef") or k.endswith(("SecretRef", "SecretKeyRef")):
            self.named("USES_SECRET", "Secret", x["name"], ns)
        elif k in ("configMap", "configMapRef", "configMapKeyRef") or k.endswith("ConfigMapRef"):
            self.named("USES_CONFIGMAP", "ConfigMap", x["name"], ns)
        elif "kind" in x and k.endswith(("Ref", "Reference")) and k not in ("roleRef", "claimRef"):
            group = (group_of(x["apiVersion"]) if "apiVersion" in x else
                     x.get("group", x.get("apiGroup", GROUPS.get(x["kind"], ""))))
            self.named("SCALES" if k == "scaleTargetRef" else "REFERS_TO", x["kind"], x["name"], ns,
                       group)

    # --- what each kind has ---

    def selects(self, labels, expressions=()):
        words = {"Exists": "", "DoesNotExist": ""}
        terms = [f"{k}={v}" for k, v in (labels or {}).items()]
        for e in expressions or ():
            op = e["operator"]
            listed = {"In": " in ", "NotIn": " notin "}.get(op)
            terms.append(("!" if op == "DoesNotExist" else "") + e["key"] +
                         (words.get(op) if not listed else f"{listed}({','.join(e['values'])})"))
        self.add("SELECTS", f"Pod/{self.ns}/ " + ",".join(terms))

    def pod(self, spec):
        digests = {}
        for which in ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"):
            for s in self.o.get("status", {}).get(which, ()):
                digest = s.get("imageID", "").partition("@")[2]
                digests[s["name"]] = digest if digest.startswith("sha256:") else ""
        for which in ("containers", "initContainers", "ephemeralContainers"):
            for c in spec.get(which, ()):
                part = key("Container", "", self.ns, f"{self.name}/{c['name']}")
                self.add("HAS_CONTAINER", part)
                self.add("RUNS_IMAGE", key("Image", "", "", image(c["image"], digests.get(c["name"], ""))))
                for m in c.get("volumeMounts", ()):
                    self.add("USES_VOLUME", key("Volume", "", self.ns, f"{self.name}/{m['name']}"), part)
        for v in spec.get("volumes", ()):
            part = key("Volume", "", self.ns, f"{self.name}/{v['name']}")
            self.add("USES_VOLUME", part)
            for x in [v] + v.get("projected", {}).get("sources", []):
                secret = x.get("secret", {})
                for kind, name in (
                        ("ConfigMap", x.get("configMap", {}).get("name")),
                        ("Secret", secret.get("secretName") or secret.get("name")),
                        ("Secret", x.get("csi", {}).get("nodePublishSecretRef", {}).get("name")),
                        ("PersistentVolumeClaim", x.get("persistentVolumeClaim", {}).get("claimName"))):
                    if name:
                        self.add("BACKED_BY", key(kind, "", self.ns, name), part)
        self.named("RUNS_ON", "Node", spec.get("nodeName"))

    def by_kind(self, spec):
        if self.kind == "Pod":
            self.pod(spec)
        elif self.kind == "Service" and spec.get("selector"):
            self.selects(spec["selector"])
        elif self.kind == "NetworkPolicy":
            s = spec["podSelector"]
            self.selects(s.get("matchLabels"), s.get("matchExpressions"))
        elif self.kind == "PodDisruptionBudget":
            s = spec["selector"]
            self.selects(s.get("matchLabels"), s.get("matchExpressions"))
        elif self.kind == "Ingress":
            paths = [p["backend"] for r in spec.get("rules", ()) for p in r.get("http", {}).get("paths", ())]
            for b in paths + [spec.get("defaultBackend", {})]:
                self.named("ROUTES_TO", "Service", b.get("service", {}).get("name"))
        elif self.kind == "PersistentVolumeClaim":
            self.named("BOUND_TO", "PersistentVolume", spec.get("volumeName"))
        elif self.kind == "StatefulSet":
            self.named("GOVERNED_BY", "Service", spec.get("serviceName"))
        elif self.kind in ("RoleBinding", "ClusterRoleBinding"):
            self.binding()
        elif self.kind == "ServiceAccount":
            for s in self.o.get("secrets", ()):
                self.named("USES_SECRET", "Secret", s["name"])
        elif self.kind.endswith("WebhookConfiguration"):
            for w in self.o.get("webhooks", ()):
                s = w["clientConfig"].get("service", {})
                self.named("CALLS", "Service", s.get("name"), s.get("namespace"))

    def binding(self):
        role = self.o["roleRef"]
        self.named("GRANTS", role["kind"], role["name"], group=role.get("apiGroup", ""))
        for s in self.o.get("subjects", ()):
            group = "rbac.authorization.k8s.io" if s["kind"] in ("User", "Group") else s.get("apiGroup", "")
            self.named("GRANTS_TO", s["kind"], s["name"], s.get("namespace"), group)

    def all(self):
        for r in self.o["metadata"].get("ownerReferences", ()):
            self.edges.add(("OWNS", key(r["kind"], group_of(r["apiVersion"]), self.ns, r["name"]), self.key))
        if self.kind != "CustomResourceDefinition":
            self.walk({k: v for k, v in self.o.items()
                       if k not in ("metadata", "status", "data", "stringData", "binaryData")})
        self.by_kind(self.o.get("spec", {}))
        return self.edges


PROPS = {"image": "image", "image_pull_policy": "imagePullPolicy", "working_dir": "workingDir",
         "restart_policy": "restartPolicy", "termination_message_path": "terminationMessagePath",
         "termination_message_policy": "terminationMessagePolicy", "stdin": "stdin", "stdin_once": "stdinOnce",
         "tty": "tty", "command": "command", "args": "args", "env": "env", "env_from": "envFrom", "ports": "ports",
         "resources": "resources", "resize_policy": "resizePolicy", "security_context": "securityContext",
         "lifecycle": "lifecycle", "liveness_probe": "livenessProbe", "readiness_probe": "readinessProbe",
         "startup_probe": "startupProbe", "volume_devices": "volumeDevices", "volume_mounts": "volumeMounts"}
IN_TEXTS = set(PROPS) - set(list(PROPS)[:11])     # as JSON


def containers(o):
    """Properties of a pod's containers, by node."""
    out = {}
    for which in ("container", "initContainer", "ephemeralContainer"):
        for c in o.o.get("spec", {}).get(which + "s", ()) if o.kind == "Pod" else ():
            props = {k: c[v] for k, v in PROPS.items() if v in c and c[v] not in ("", [], {}, None)}
            out[key("Container", "", o.ns, f"{o.name}/{c['name']}")] = dict(props, type=which)
    return out


def told(nodes):
    """The same of the graph's line. What is longer than a property may be is left out there."""
    return {n["node"]: {k: json.loads(v) if k in IN_TEXTS else v for k, v in n["props"].items()}
            for n in nodes if n["node"].startswith("Container/")}


def differ(has, wants):
    """Values that are not the same, and those that are too long to be told."""
    pairs = [(n, k, has.get(n, {}).get(k), wants.get(n, {}).get(k)) for n in has | wants
             for k in has.get(n, {}) | wants.get(n, {})]
    return [p for p in pairs if p[2] != p[3] and (p[2] is not None or len(json.dumps(p[3])) < 4096)]


def lines(path):
    with open(path, encoding="utf-8") as f:
        return [json.loads(x) for x in f]


def main():
    live, graph, parts = {}, {}, {}
    for m in lines(sys.argv[1]):
        o = Object(m["object"])
        if m["action"] == "Deleted":
            live.pop(o.key, None)
        else:
            live[o.key] = o
    for m in lines(sys.argv[2]):
        if m["action"] == "Deleted":
            graph.pop(m["object"], None)
            continue
        graph[m["object"]] = {(e["type"], e["from"], e["to"] + (" " + e["selector"] if "selector" in e else ""))
                              for e in m["edges"]}
        parts[m["object"]] = told(m["nodes"])
    bad = [f"{k}: only in one" for k in set(live) ^ set(graph)]
    edges, props = 0, 0
    for k in sorted(set(live) & set(graph)):
        want = live[k].all()
        edges += len(want)
        props += sum(map(len, containers(live[k]).values()))
        bad += [f"{k}: missing {e}" for e in want - graph[k]] + [f"{k}: too many {e}" for e in graph[k] - want]
        bad += [f"{k}: {n}: {p} is {is_!r}, not {want_!r}" for n, p, is_, want_ in differ(parts[k], containers(live[k]))]
    for b in bad[:20]:
        print("FAILED", b)
    print(f"{len(live)} objects, {edges} edges, {props} properties of containers")
    sys.exit(1 if bad or edges < 500 or props < 500 else 0)


main()
