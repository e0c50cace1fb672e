"""Objects that tests write."""


def meta(name, ns=None, **more):
    m = {"name": name, **more}
    if ns:
        m["namespace"] = ns
    return m


def namespace(name):
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": meta(name)}


def container(name, image, **more):
    return {"name": name, "image": image, **more}


def deployment(name, ns, image="registry.example.com/app:1.0", labels=None, secret=None, **pod):
    volumes = [{"name": "creds", "secret": {"secretName": secret}}] if secret else []
    mounts = [{"name": "creds", "mountPath": "/etc/creds"}] if secret else []
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": meta(name, ns, labels=labels or {"app": name}),
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}},
                     "template": {"metadata": {"labels": {"app": name}},
                                  "spec": {"containers": [container("main", image,
                                                                    volumeMounts=mounts)],
                                           "volumes": volumes, **pod}}}}


def config_map(name, ns, data=None, labels=None, **more):
    return {"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": meta(name, ns, labels=labels or {}, **more), "data": data or {}}


def secret(name, ns, **more):
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta(name, ns), "type": "Opaque",
            **more}


def service(name, ns, port=80, labels=None, annotations=None):
    return {"apiVersion": "v1", "kind": "Service",
            "metadata": meta(name, ns, labels=labels or {}, annotations=annotations or {}),
            "spec": {"selector": {"app": name}, "ports": [{"port": port}], "type": "ClusterIP"}}


def crd(plural, kind, group="test.example.com"):
    return {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": meta(plural + "." + group),
            "spec": {"group": group, "scope": "Namespaced",
                     "names": {"plural": plural, "singular": kind.lower(), "kind": kind,
                               "listKind": kind + "List"},
                     "versions": [{"name": "v1", "served": True, "storage": True,
                                   "schema": {"openAPIV3Schema": {"type": "object"}}}]}}


def custom(kind, name, ns, spec=None, group="test.example.com", **more):
    return {"apiVersion": group + "/v1", "kind": kind, "metadata": meta(name, ns, **more),
            "spec": spec or {}}
