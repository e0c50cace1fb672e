"""The chart: what values make of it. test-chart.sh starts this with helm=PATH and kindred=PATH."""

import base64
import copy
import functools
import os
import re
import subprocess
import sys
import tempfile

import yaml

import charts

HELM = charts.helm()
KINDRED = charts.need("kindred")

COLLECTOR = {"collector": {"enabled": True}}
OFF = {"node": {"flows": {"mode": "off"}}}
SCAN = "http://cluster-whisperer:3000/api/v1/capabilities/scan"
STORE = "sqlite:/var/lib/kindred/kindred.db"


def merged(*parts):
    out = {}
    for part in parts:
        for k, v in part.items():
            old = out.get(k)
            out[k] = merged(old, v) if isinstance(old, dict) and isinstance(v, dict) else copy.deepcopy(v)
    return out


# Values that are each something else; most tests look at all of them.
MATRIX = {
    "default": {},
    "flows off": OFF,
    "flows on": {"node": {"flows": {"mode": "on", "udp": False}}},
    "every capability": {"node": {"flows": {"capabilities": {"sysPtrace": True, "sysResource": True}}}},
    "little of the host": {"node": {"flows": {"capabilities": {"netAdmin": False}, "host": {
        "network": False, "pid": False, "osRelease": ""}}}},
    "collector": COLLECTOR,
    "collector alone": merged(COLLECTOR, {"node": {"enabled": False}}),
    "collector, flows off": merged(COLLECTOR, OFF),
    "no peers": merged(COLLECTOR, {"peers": {"enabled": False}}),
    "one namespace": {"collector": {"enabled": True, "namespaces": ["shop"]}},
    "each namespace": {"collector": {"enabled": True, "namespaces": ["*"], "keepResources": True}},
    "all resources": {"collector": {"enabled": True, "vector": ["qdrant:http://qdrant:6333"]}},
    "some resources": merged({"config": {"watchResourceTypes": "Deployments, rollouts.argoproj.io"}},
                             {"collector": {"enabled": True, "events": ["http:http://sink:8080/"]}}),
    "resources of a namespace": {"collector": {"enabled": True, "namespaces": ["shop"],
                                               "graph": ["neo4j:http://neo4j:7474"]}},
    "kinds of a namespace": {"config": {"watchResourceTypes": "deployments,nodes,storageclasses.storage.k8s.io"},
                             "collector": {"enabled": True, "namespaces": ["shop"], "keepResources": True}},
    "store": {"collector": {"enabled": True, "replicas": 1, "vector": [STORE], "graph": [STORE]}},
    "store, own claim": {"collector": {"enabled": True, "replicas": 1, "vector": [STORE],
                                       "persistence": {"existingClaim": "mine"}}},
    "old keys": {"config": {
        "restEndpoint": "http://cluster-whisperer:3000/api/v1/instances/sync",
        "watchResourceTypes": "deployments,services", "excludeResourceTypes": "events,leases",
        "debounceWindowMs": 3000, "batchFlushIntervalMs": 700, "batchMaxSize": 50,
        "resyncIntervalMin": 0, "apiBindAddress": ":8082", "logLevel": "debug"}},
    "capability scan": {"collector": {"enabled": True, "capabilities": SCAN}},
    "resync": {"collector": {"enabled": True, "resync": {"enabled": True, "port": 8090}}},
    "authorised scrapers": merged(COLLECTOR, {"probe": {"auth": "kube", "tls": {"secretName": "probe-tls"}}}),
    "followed owners": merged(COLLECTOR, {"followOwners": [
        {"group": "argoproj.io", "kind": "Rollout", "resource": "rollouts"}]}),
    "watched configuration": merged(COLLECTOR, {"rbac": {"watchConfig": True}}),
    "monitoring": merged(COLLECTOR, {"metrics": {
        "serviceMonitor": {"enabled": True}, "prometheusRule": {"enabled": True},
        "dashboard": {"enabled": True}}}),
    "closed network": merged(COLLECTOR, OFF, {"networkPolicy": {"restrictEgress": True}}),
    "openshift": merged(COLLECTOR, {"openshift": {"enabled": True}}),
    "local seccomp": {"seccomp": {"type": "Localhost"}},
    "named secrets": merged(COLLECTOR, {
        "peers": {"tls": {"secretName": "peers-cert"}, "tokenSecretName": "peers-secret"},
        "reducer": {"tls": {"enabled": True, "caSecret": "reducer-ca"}},
        "image": {"registry": "registry.example.com", "digest": "sha256:" + "0" * 64,
                  "pullSecrets": ["pull"]}}),
    "otlp": merged(COLLECTOR, {"otlp": {
        "endpoint": "https://otel.example:4318/x", "tokenSecret": "otlp-token",
        "headersSecret": "otlp-headers", "caSecret": "otlp-ca"},
        "node": {"config": {"otlp-interval": "30s"}, "flows": {"host": {"network": False}}},
        "networkPolicy": {"restrictEgress": True}}),
    "issuer": merged(COLLECTOR, {"peers": {"tls": {"issuerRef": {"name": "ca", "kind": "ClusterIssuer"}}}}),
    "more options": {"collector": {"enabled": True, "replicas": 1, "config": {
        "vector-collection": "things", "debounce": "3s", "ledger": "/var/lib/kindred/ledger.db"}},
        "node": {"config": {"flow-max": 1000, "heartbeat": "7s"}}},
}
if not HELM.program:
    MATRIX = {"default": {}}
RENDERED = {}


def rendered(name):
    if name not in MATRIX:
        raise charts.Skip("no helm")
    if name not in RENDERED:
        RENDERED[name] = HELM.render(MATRIX[name])
    return RENDERED[name]


def each():
    return [(name, rendered(name)) for name in MATRIX]


# ---- the chart itself ------------------------------------------------------------------------------

def test_lint():
    """helm lint finds nothing but the missing icon"""
    done = HELM.call("lint", charts.CHART, "--kube-version", "1.33.0", "--strict")
    words = [x for x in done.stdout.splitlines() if x.startswith("[")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert words == ["[INFO] Chart.yaml: icon is recommended"], words


def test_version():
    """chart, program and image have one version"""
    with open(os.path.join(charts.ROOT, "VERSION")) as f:
        version = f.read().strip()
    with open(os.path.join(charts.CHART, "Chart.yaml")) as f:
        chart = yaml.safe_load(f)
    assert (chart["version"], chart["appVersion"]) == (version, version), chart


def test_manifests():
    """deploy/manifests is what the chart renders, the schema has the program's options"""
    if not HELM.program:
        raise charts.Skip("no helm")
    done = subprocess.run(["bash", os.path.join(charts.ROOT, "deploy", "manifests.sh"), "--check", KINDRED,
                           HELM.program], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kustomization():
    """the kustomization lists every file of the folder, and kubectl makes of it what the chart renders"""
    with open(os.path.join(charts.MANIFESTS, "kustomization.yaml")) as f:
        listed = yaml.safe_load(f)["resources"]
    assert sorted(listed + ["kustomization.yaml"]) == sorted(os.listdir(charts.MANIFESTS)), listed
    try:
        done = subprocess.run(["kubectl", "kustomize", charts.MANIFESTS], capture_output=True, text=True)
    except FileNotFoundError:
        return
    made = [o for o in charts.Objects(done.stdout) if o["kind"] != "Namespace"]

    def order(o):
        return o["kind"], o["metadata"]["name"]

    assert sorted(made, key=order) == sorted(rendered("default"), key=order), done.stderr


def test_readme():
    """every command of the README's chapter on operating is run by a test"""
    run_by = {
        r"(helm|kubectl) (?!.* exec )": "tests/e2e/deploy.py, on a real API server",
        r"kubectl .* exec .* -- kindred ": "image.py, in a pod of the role",
        r"make deb$": "test-deb.sh",
        r"apt-get install \./build/kindred_": "test-deb.sh",
        r"apt-get purge kindred$": "test-deb.sh",
        r"promtool check rules ": "alerts.py",
        r"podman build -f deploy/Containerfile ": "test-image.sh, without an engine",
    }
    lines = charts.commands()
    assert len(lines) > 10, lines
    for line in lines:
        assert [p for p in run_by if re.match(p, line)], "nothing runs: %s" % line
    for pattern in run_by:
        assert [x for x in lines if re.match(pattern, x)], "is not there: %s" % pattern
    version = open(os.path.join(charts.ROOT, "VERSION")).read().strip()
    assert "kindred_%s_" % version in [x for x in lines if x.startswith("apt-get")][0]


def leaves(value, path=()):
    if isinstance(value, dict) and value:
        for k, v in value.items():
            yield from leaves(v, path + (k,))
    else:
        yield path


def test_documented():
    """every value, or the group it is in, has a comment before it"""
    with open(os.path.join(charts.CHART, "values.yaml")) as f:
        lines = f.read().splitlines()
    with open(os.path.join(charts.CHART, "values.yaml")) as f:
        n = len(list(leaves(yaml.safe_load(f))))
    assert n > 100 and lines[0].startswith("#"), n
    plain = {"registry", "repository", "pullPolicy", "host", "port", "resources", "affinity", "size"}
    stack, bare = [], []
    for before, line in zip(lines, lines[1:]):
        m = re.match(r"^( *)([A-Za-z]+):(.*)$", line)
        if not m:
            continue
        depth = len(m[1]) // 2
        stack[depth:] = [(m[2], before.strip().startswith("#"))]
        if m[3] and not any(told for _, told in stack) and m[2] not in plain:
            bare.append(".".join(name for name, _ in stack))
    assert not bare, bare


def schema_refuses(values, word):
    words = HELM.refusal(values)
    assert word in words, "%s: %s" % (values, words)


def test_unknown_keys():
    """a key that the schema does not know is refused at every level of the values"""
    with open(os.path.join(charts.CHART, "values.yaml")) as f:
        values = yaml.safe_load(f)
    free = {"commonLabels", "nodeSelector", "affinity", "labels", "annotations", "podLabels",
            "podAnnotations", "updateStrategy", "requests", "limits", "rollingUpdate", "tlsConfig"}
    groups = {p[:i] for p in leaves(values) for i in range(len(p))
              if not free.intersection(p[:i])}
    for group in sorted(groups):
        bad = {"surprise": 1}
        for k in reversed(group):
            bad = {k: bad}
        schema_refuses(bad, "surprise")
    for role in ("node", "collector"):
        schema_refuses({role: {"config": {"surprise": 1}}}, "surprise")


def test_bad_values():
    """wrong types and values out of their range are refused, by the name of the value"""
    for values, word in (
            ({"node": {"flows": {"mode": "perhaps"}}}, "mode"),
            ({"node": {"flows": {"mode": False}}}, "mode"),
            ({"node": {"flows": {"host": {"cgroups": "sys/fs"}}}}, "cgroups"),
            ({"node": {"flows": {"host": {"pid": "yes"}}}}, "pid"),
            ({"reducer": {"port": 70000}}, "port"), ({"reducer": {"host": ""}}, "host"),
            ({"collector": {"replicas": 0}}, "replicas"), ({"collector": {"replicas": 1.5}}, "replicas"),
            ({"collector": {"vector": ["redis:x"]}}, "vector"),
            ({"collector": {"namespaces": ["Shop"]}}, "namespaces"),
            ({"collector": {"capabilities": "cluster-whisperer"}}, "capabilities"),
            ({"collector": {"persistence": {"accessMode": "ReadWriteMany"}}}, "accessMode"),
            ({"config": {"restEndpoint": "cluster-whisperer"}}, "restEndpoint"),
            ({"config": {"batchMaxSize": 0}}, "batchMaxSize"),
            ({"config": {"resyncIntervalMin": "1440"}}, "resyncIntervalMin"),
            ({"config": {"watchResourceTypes": ["pods"]}}, "watchResourceTypes"),
            ({"image": {"digest": "abc"}}, "digest"), ({"seccomp": {"type": "Custom"}}, "type"),
            ({"probe": {"auth": "basic"}}, "auth"), ({"followOwners": [{"group": "x"}]}, "followOwners"),
            ({"node": {"resources": {"requests": {"memory": "lots"}}}}, "memory"),
            ({"node": {"config": {"scope": "cluster"}}}, "scope"),
            ({"node": {"config": {"vector": "x"}}}, "vector"),
            ({"node": {"config": {"heartbeat": {"a": 1}}}}, "heartbeat"),
            ({"collector": {"config": {"listen": ":1"}}}, "listen")):
        schema_refuses(values, word)


def test_contradictions():
    """values that are right each and wrong together are refused with the way out"""
    for values, words in (
            ({"collector": {"enabled": True, "vector": [STORE]}}, "collector.replicas=1"),
            ({"collector": {"enabled": True, "graph": [STORE], "replicas": 3}}, "collector.replicas=1"),
            ({"collector": {"enabled": True, "config": {"ledger": "/var/lib/kindred/l"}}}, "collector.replicas=1"),
            ({"collector": {"enabled": True, "replicas": 1, "vector": ["sqlite:/tmp/x"]}}, "/var/lib/kindred"),
            ({"collector": {"enabled": True, "leaderElection": False}}, "leaderElection"),
            ({"collector": {"vector": ["qdrant:http://x"]}}, "collector.enabled=true"),
            ({"collector": {"capabilities": SCAN}}, "collector.enabled=true"),
            ({"node": {"enabled": False}}, "nothing"),
            (merged(COLLECTOR, {"peers": {"tls": {"secretName": "x", "issuerRef": {"name": "ca"}}}}), "one of them")):
        said = HELM.refusal(values)
        assert words in said, "%s: %s" % (values, said)
    done = HELM.call("template", "kindred", charts.CHART, "--kube-version", "1.28.0")
    assert "flowControl.enabled=false" in done.stderr, done.stderr
    done = HELM.call("template", "kindred", charts.CHART, "--kube-version", "1.28.0",
                     "--set", "flowControl.enabled=false")
    assert done.returncode == 0, done.stderr


# ---- what is rendered ------------------------------------------------------------------------------

def test_whole():
    """every object is named, in the release's namespace or in none, and no two are the same"""
    wide = {"ClusterRole", "ClusterRoleBinding", "FlowSchema", "PriorityLevelConfiguration",
            "SecurityContextConstraints"}
    for name, objects in each():
        seen = set()
        for o in objects:
            key = o["kind"], o["metadata"].get("namespace", ""), o["metadata"]["name"]
            assert key not in seen, "%s: %s twice" % (name, key)
            seen.add(key)
            assert (o["kind"] in wide) == (key[1] == ""), "%s: %s" % (name, key)
            assert o["metadata"]["labels"]["app.kubernetes.io/instance"] == "kindred", key


def volumes_of(pod):
    return {v["name"] for v in pod.get("volumes", [])}


def names_of_secrets(pod):
    return {v["secret"]["secretName"] for v in pod.get("volumes", []) if "secret" in v}


def test_references():
    """what an object refers to is there: volumes, accounts, ConfigMaps, Secrets, ports, selectors"""
    brought = {"probe-tls", "peers-cert", "peers-secret", "reducer-ca", "mine", "otlp-token",
               "otlp-headers", "otlp-ca"}
    for name, objects in each():
        made = {o["metadata"]["name"] for o in objects.all("Secret")} | {
            o["spec"]["secretName"] for o in objects.all("Certificate")}
        claims = {o["metadata"]["name"] for o in objects.all("PersistentVolumeClaim")}
        for o, pod in objects.pods():
            mounts = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
            assert mounts == volumes_of(pod), "%s: %s" % (name, mounts ^ volumes_of(pod))
            objects.one("ServiceAccount", pod["serviceAccountName"])
            assert names_of_secrets(pod) <= made | brought, name
            for v in pod["volumes"]:
                if "configMap" in v:
                    objects.one("ConfigMap", v["configMap"]["name"])
                if "persistentVolumeClaim" in v:
                    assert v["persistentVolumeClaim"]["claimName"] in claims | brought, name
            labels = o["spec"]["template"]["metadata"]["labels"]
            assert o["spec"]["selector"]["matchLabels"].items() <= labels.items(), name
        pods = [o["spec"]["template"]["metadata"]["labels"] for o, _ in objects.pods()]
        ports = {p["name"] for _, pod in objects.pods() for c in pod["containers"] for p in c["ports"]}
        for s in objects.all("Service"):
            assert sum(s["spec"]["selector"].items() <= p.items() for p in pods) == 1, s["metadata"]["name"]
            assert {p["targetPort"] for p in s["spec"]["ports"]} <= ports, s["metadata"]["name"]
        for o in objects.all("PodDisruptionBudget") + objects.all("NetworkPolicy"):
            selector = o["spec"].get("selector", o["spec"].get("podSelector"))["matchLabels"]
            assert sum(selector.items() <= p.items() for p in pods) == 1, o["metadata"]["name"]


@functools.cache
def secrets():
    """A folder like a pod's /etc/kindred, with what Helm made for the peers everywhere."""
    folder = os.path.join(HELM.work.name, "etc")
    made = {k: v for o in rendered("collector").all("Secret") for k, v in o["data"].items()} if HELM.program else {}
    made["headers"] = base64.b64encode(b"x-tenant: shop\n")
    for name in ("peers-tls", "peers-token", "probe", "reducer", "otlp-token", "otlp-headers", "otlp-ca"):
        os.makedirs(os.path.join(folder, name), exist_ok=True)
        for key, text in made.items():
            with open(os.path.join(folder, name, key), "wb") as f:
                f.write(base64.b64decode(text))
    return folder


def agent(objects, role, *args):
    """A finished `kindred agent` in a pod of that role, by its rendered configuration."""
    options = {k: v.replace("/etc/kindred", secrets()) if isinstance(v, str) else v
               for k, v in objects.config(role)[0].items()}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as f:
        yaml.safe_dump(options, f)
        f.flush()
        env = {"PATH": os.environ["PATH"], "NODE_NAME": "n1", "POD_NAME": "p", "POD_NAMESPACE": "kindred",
               "KINDRED_API_SERVER": "http://127.0.0.1:9"}
        if role == "collector":
            del env["NODE_NAME"]
        return subprocess.run([KINDRED, "agent", "--config", f.name] + list(args), env=env,
                              capture_output=True, text=True)


def roles():
    """(name, objects, role) of every configuration."""
    return [(name, objects, role) for name, objects in each() for role in ("agent", "collector")
            if any(o["metadata"]["name"] == "kindred-" + role for o in objects.all("ConfigMap"))]


def test_options():
    """the program takes every rendered configuration"""
    for name, objects, role in roles():
        done = agent(objects, role, "--check-config")
        assert done.returncode == 0, "%s, %s: %s" % (name, role, done.stderr)


def test_access():
    """the program says of every rendered configuration that it needs exactly what is granted"""
    for name, objects, role in roles():
        done = agent(objects, role, "--print-access")
        assert done.returncode == 0, "%s, %s: %s" % (name, role, done.stderr)
        asked = charts.rules(charts.Objects(done.stdout))
        given = objects.permissions("kindred-" + role)
        assert asked == given, "%s, %s: %s" % (name, role, sorted(asked ^ given))


def test_confined():
    """no container is privileged, root, may gain privileges or write its root; ALL is dropped"""
    for name, objects in each():
        for o, pod in objects.pods():
            assert pod["securityContext"]["runAsNonRoot"] is True, name
            profile = pod["securityContext"]["seccompProfile"]
            assert profile["type"] == MATRIX[name].get("seccomp", {}).get("type", "RuntimeDefault")
            assert (profile["type"] == "Localhost") == ("localhostProfile" in profile)
            for c in pod["containers"]:
                s = c["securityContext"]
                assert "privileged" not in s and s["allowPrivilegeEscalation"] is False, name
                assert s["readOnlyRootFilesystem"] is True and s["capabilities"]["drop"] == ["ALL"]
                assert c["resources"]["requests"]["memory"] and c["resources"]["limits"]["memory"]
                allowed = {"BPF", "PERFMON", "NET_ADMIN", "SYS_PTRACE", "SYS_RESOURCE"}
                added = set(s["capabilities"].get("add", []))
                assert added <= (allowed if o["kind"] == "DaemonSet" else set()), (name, added)


def host_things(pod):
    """What of a pod the Pod Security level restricted refuses."""
    out = {k for k in ("hostNetwork", "hostPID", "hostIPC") if pod.get(k)}
    out |= {v["hostPath"]["path"] for v in pod["volumes"] if "hostPath" in v}
    for c in pod["containers"]:
        out |= set(c["securityContext"]["capabilities"].get("add", []))
    return out


def test_host():
    """capabilities, host namespaces and mounts are there with the value that buys them, and only then"""
    whole = {"BPF", "PERFMON", "NET_ADMIN", "hostNetwork", "hostPID", "/sys/fs/cgroup", "/etc/os-release"}
    expected = {
        "default": whole, "flows on": whole, "flows off": set(), "collector, flows off": set(),
        "closed network": set(), "otlp": whole - {"hostNetwork"},
        "every capability": whole | {"SYS_PTRACE", "SYS_RESOURCE"},
        "little of the host": {"BPF", "PERFMON", "/sys/fs/cgroup"},
    }
    for name, objects in each():
        for o, pod in objects.pods():
            want = expected.get(name, whole) if o["kind"] == "DaemonSet" else set()
            assert host_things(pod) == want, "%s: %s" % (name, host_things(pod) ^ want)
            for c in pod["containers"]:
                for m in c["volumeMounts"]:
                    writable = m["mountPath"] in ("/run/kindred", "/var/lib/kindred")
                    assert m.get("readOnly", False) != writable, (name, m)


def triples(*rules):
    return {("", g, r, v, "") for g, rs, vs in rules for r in rs.split() for v in vs.split()}


NODE_RULES = triples(("", "pods", "list watch"), ("apps", "replicasets", "get"), ("batch", "jobs", "get"),
                     ("", "nodes", "get"))
WATCHED = (("", "pods", "list watch"), ("apps", "replicasets", "list watch"), ("batch", "jobs", "list watch"))
LEASE = {("kindred", "coordination.k8s.io", "leases", "create", "")} | {
    ("kindred", "coordination.k8s.io", "leases", v, "kindred") for v in ("get", "update")}
REMOTE = triples(("", "services nodes", "list watch"))
CRDS = triples(("apiextensions.k8s.io", "customresourcedefinitions", "list watch"))
REVIEWS = triples(("authentication.k8s.io", "tokenreviews", "create"),
                  ("authorization.k8s.io", "subjectaccessreviews", "create"))
ROLLOUTS = triples(("argoproj.io", "rollouts", "get"))
EVERYTHING = triples(("*", "*", "get list watch"))


def within(namespace, rules):
    return {(namespace,) + r[1:] for r in rules}


def test_permissions():
    """each account may do exactly what its features need, by a table of its own; nothing is written
    but the lease and the reviews of scrapers"""
    plain = triples(*WATCHED) | LEASE | REMOTE
    collector = {
        "default": set(),
        "no peers": triples(*WATCHED) | LEASE,
        "collector alone": triples(*WATCHED) | LEASE,
        "one namespace": within("shop", triples(*WATCHED, ("", "services", "list watch"))) | LEASE |
                         triples(("", "nodes", "list watch")),
        "each namespace": plain | EVERYTHING | CRDS | triples(("", "namespaces", "list watch")),
        "all resources": plain | EVERYTHING | CRDS,
        "some resources": plain | CRDS | triples(("*", "deployments", "get list watch"),
                                                 ("argoproj.io", "rollouts", "get list watch")),
        "resources of a namespace": within("shop", triples(*WATCHED, ("", "services", "list watch")) | EVERYTHING)
                                    | LEASE | CRDS | triples(("", "nodes", "list watch")),
        "kinds of a namespace": within("shop", triples(*WATCHED, ("", "services", "list watch"),
                                                       ("*", "deployments", "get list watch"))) | LEASE | CRDS |
                                triples(("*", "nodes", "get list watch"), ("", "nodes", "list watch"),
                                        ("storage.k8s.io", "storageclasses", "get list watch")),
        "capability scan": plain | EVERYTHING | CRDS,
        "store": plain | EVERYTHING | CRDS, "store, own claim": plain | EVERYTHING | CRDS,
        "old keys": plain | CRDS | triples(("*", "deployments services", "get list watch")),
        "authorised scrapers": plain | REVIEWS,
        "followed owners": plain | ROLLOUTS,
        "watched configuration": plain | {("kindred", "", "configmaps", v, "kindred-collector")
                                          for v in ("list", "watch")},
    }
    node = {
        "collector alone": set(),
        "authorised scrapers": NODE_RULES | REVIEWS,
        "followed owners": NODE_RULES | ROLLOUTS,
        "watched configuration": NODE_RULES | {("kindred", "", "configmaps", v, "kindred-agent")
                                               for v in ("list", "watch")},
    }
    for name, objects in each():
        has = any(o["kind"] == "Deployment" for o in objects)
        for account, want in (("kindred-agent", node.get(name, NODE_RULES)),
                              ("kindred-collector", collector.get(name, plain) if has else set())):
            got = objects.permissions(account)
            assert got == want, "%s: %s: %s" % (name, account, sorted(got ^ want))
        for r in objects.all("ClusterRole") + objects.all("Role"):
            for rule in r["rules"]:
                writes = set(rule["verbs"]) - {"get", "list", "watch"}
                what = set(rule.get("resources", []))
                assert not writes or what <= {"leases", "tokenreviews", "subjectaccessreviews"}, (name, rule)


def test_store():
    """files are on a claim, of one replica, which ends before the next begins"""
    for name, objects in each():
        for o in objects.all("Deployment"):
            store = "store" in volumes_of(o["spec"]["template"]["spec"])
            assert store == (name.startswith("store") or name == "more options"), name
            assert (o["spec"]["strategy"]["type"] == "Recreate") == store, name
            assert not store or o["spec"]["replicas"] == 1, name
            budget = objects.all("PodDisruptionBudget")
            assert len(budget) == (o["spec"]["replicas"] > 1), name
    assert not rendered("store, own claim").all("PersistentVolumeClaim")
    assert len(rendered("store").all("PersistentVolumeClaim")) == 1


def test_old_keys():
    """keys of the k8s-vectordb-sync chart do what they did"""
    objects = rendered("old keys")
    options = objects.config("collector")[0]
    want = {"rest-endpoint": "http://cluster-whisperer:3000/api/v1/instances/sync",
            "watch-resources": ["deployments", "services"], "exclude-resources": ["events", "leases"],
            "debounce": "3000ms", "batch-interval": "700ms", "batch-size": 50, "resync-interval": 0,
            "resync-listen": ":8082", "log-level": "debug"}
    assert want.items() <= options.items(), options
    assert objects.one("Service", "kindred-collector-resync")["spec"]["ports"][0]["port"] == 8082
    assert objects.config("agent")[0]["log-level"] == "info"


def test_capability_scan():
    """the scan's address is the collector's alone, which may read definitions for it"""
    objects = rendered("capability scan")
    assert objects.config("collector")[0]["capabilities"] == SCAN
    assert "capabilities" not in objects.config("agent")[0]
    for name, others in each():
        if name != "capability scan" and "Deployment" in others.kinds():
            assert "capabilities" not in others.config("collector")[0], name


def test_peers():
    """remote ends are on whenever both roles are there, over TLS with a token, for every candidate"""
    for name, objects in each():
        both = {"DaemonSet", "Deployment"} <= objects.kinds() and name != "no peers"
        found = [s for s in objects.all("Service") if s["metadata"]["name"] == "kindred-collector"]
        assert len(found) == both, name
        if not both:
            continue
        spec = found[0]["spec"]
        assert spec["clusterIP"] == "None" and spec["publishNotReadyAddresses"] is True
        agent, collector = objects.config("agent")[0], objects.config("collector")[0]
        assert agent["peers"] == "https://kindred-collector.kindred.svc:9901", name
        assert collector["listen"] == ":9901" and collector["listen-token-file"] == agent["peers-token-file"]
    made = {o["metadata"]["name"] for o in rendered("collector").all("Secret")}
    assert made == {"kindred-peers-tls", "kindred-peers-token"}, made
    assert not rendered("named secrets").all("Secret")
    cert = rendered("issuer").one("Certificate")["spec"]
    assert cert["dnsNames"][0] == "kindred-collector.kindred.svc" and cert["secretName"] == "kindred-peers-tls"


def test_lone_objects():
    """what is optional is there when it is asked for, and only then"""
    optional = {"ServiceMonitor": {"monitoring"}, "PrometheusRule": {"monitoring"},
                "SecurityContextConstraints": {"openshift"}, "Certificate": {"issuer"},
                "PersistentVolumeClaim": {"store", "more options"}}
    for name, objects in each():
        for kind, where in optional.items():
            assert (kind in objects.kinds()) == (name in where), (name, kind)
        assert {"FlowSchema", "PriorityLevelConfiguration"} <= objects.kinds(), name
    scc = rendered("openshift").one("SecurityContextConstraints")
    assert scc["allowedCapabilities"] == ["BPF", "PERFMON", "NET_ADMIN"], scc
    assert scc["users"] == ["system:serviceaccount:kindred:kindred-agent"], scc
    for o, pod in rendered("openshift").pods():
        se = pod["containers"][0]["securityContext"].get("seLinuxOptions")
        assert se == ({"type": "spc_t"} if o["kind"] == "DaemonSet" else None), se
        assert ("runAsUser" in pod["securityContext"]) == (o["kind"] == "DaemonSet")
    image = rendered("named secrets").pods()[0][1]["containers"][0]["image"]
    assert image == "registry.example.com/kindred@sha256:" + "0" * 64, image


def test_flow_control():
    """agents have a level of the API server of their own, as it was simulated for 5,000 of them; the
    lease has the server's for leader election"""
    with open(os.path.join(charts.ROOT, "tests", "scale", "main.c")) as f:
        said = re.search(r"struct level level = \{([^}]*)\}", f.read())[1]
    shares, queues, hand, length = (int(re.search(r"\.%s = (\d+)" % n, said)[1])
                                    for n in ("shares", "queues", "hand", "queue_limit"))
    for name, objects in each():
        limited = objects.one("PriorityLevelConfiguration")["spec"]["limited"]
        assert limited["lendablePercent"] == limited["borrowingLimitPercent"] == 0, limited
        assert limited["nominalConcurrencyShares"] == shares, (limited, shares)
        assert limited["limitResponse"]["queuing"] == {
            "queues": queues, "handSize": hand, "queueLengthLimit": length}, (limited, said)
        schemas = {o["metadata"]["name"]: o["spec"] for o in objects.all("FlowSchema")}
        accounts = {s["serviceAccount"]["name"] for s in schemas["kindred"]["rules"][0]["subjects"]}
        assert accounts == {p["serviceAccountName"] for _, p in objects.pods()}, (name, accounts)
        elects = any(o["kind"] == "Deployment" for o in objects)
        assert ("kindred-lease" in schemas) == elects, name
        if elects:
            lease = schemas["kindred-lease"]
            assert lease["priorityLevelConfiguration"]["name"] == "leader-election"
            assert lease["matchingPrecedence"] < schemas["kindred"]["matchingPrecedence"]


def test_network_policy():
    """a policy selects every pod that is not in the host's network, and lets in what it serves"""
    for name, objects in each():
        pods = [o["metadata"]["name"] for o, pod in objects.pods() if not pod.get("hostNetwork")]
        assert sorted(pods) == sorted(o["metadata"]["name"] for o in objects.all("NetworkPolicy")), name
    rules = rendered("resync").one("NetworkPolicy")["spec"]["ingress"]
    assert [r["ports"][0]["port"] for r in rules] == ["probe", "peers", "resync"], rules
    assert rules[2]["from"] == [{"podSelector": {}}], rules
    for o in rendered("closed network").all("NetworkPolicy"):
        assert o["spec"]["policyTypes"] == ["Ingress", "Egress"]
        ports = {p["port"] for r in o["spec"]["egress"] for p in r["ports"]}
        agent = {9901} if o["metadata"]["name"] == "kindred-agent" else set()
        assert ports == {53, 443, 6443, 8000} | agent, ports


def test_restart():
    """pods are replaced when their configuration changes, unless they are to read it anew"""
    def sums(values):
        return {o["metadata"]["name"]: o["spec"]["template"]["metadata"].get("annotations")
                for o, _ in HELM.render(values).pods()}
    changed = merged(COLLECTOR, {"node": {"config": {"heartbeat": "9s"}}})
    a, b = sums(COLLECTOR), sums(changed)
    assert a["kindred-agent"] != b["kindred-agent"] and a["kindred-collector"] == b["kindred-collector"]
    live = sums({"restartOnConfigChange": False})
    assert live == {"kindred-agent": None}, live


if __name__ == "__main__":
    sys.exit(charts.run([f for n, f in sorted(globals().items()) if n.startswith("test_")]))
