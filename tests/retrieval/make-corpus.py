#!/usr/bin/env python3
"""Writes the made objects of the test cluster, tests/fixtures/objects/*.json, one List a namespace.

They stand beside the recorded pods, ReplicaSets and Jobs: what is recorded as an owner there has the
same name and uid here. Written by hand, as people write them; nobody looked at any search result.
"""
import base64
import gzip
import json
import pathlib
import uuid

ROOT = pathlib.Path(__file__).resolve().parent.parent
RECORDED = ROOT / "fixtures" / "recorded"
OUT = ROOT / "fixtures" / "objects"

objects = []
uids = {}


def recorded_owners():
    for name in ("base-pods-json", "base-replicasets-json", "base-jobs-json"):
        with gzip.open(RECORDED / (name + ".body.gz")) as f:
            for item in json.load(f)["items"]:
                for ref in item["metadata"].get("ownerReferences", []):
                    key = (item["metadata"].get("namespace"), ref["kind"], ref["name"])
                    uids[key] = ref["uid"]


def add(api, kind, name, ns=None, labels=None, notes=None, **body):
    path = "/".join([ns or "_cluster", api, kind, name])
    meta = {"name": name}
    if ns:
        meta["namespace"] = ns
    meta["uid"] = uids.get((ns, kind, name)) or str(uuid.uuid5(uuid.NAMESPACE_URL, path))
    meta["resourceVersion"] = str(1000 + len(objects))
    meta["creationTimestamp"] = "2026-11-%02dT%02d:00:00Z" % (1 + len(objects) % 19, len(objects) % 24)
    if labels:
        meta["labels"] = labels
    if notes:
        meta["annotations"] = notes
    o = {"apiVersion": api, "kind": kind, "metadata": meta}
    o.update(body)
    objects.append(o)
    return o


def b64(text):
    return base64.b64encode(text.encode()).decode()


def secret(ns, name, type_="Opaque", notes=None, **data):
    keys = {k.replace("__", "."): b64(v) for k, v in data.items()}
    return add("v1", "Secret", name, ns, notes=notes, type=type_, data=keys)


def config(ns, name, notes=None, **data):
    return add("v1", "ConfigMap", name, ns, notes=notes, data={k.replace("__", "."): v for k, v in data.items()})


def env(**values):
    out = []
    for k, v in values.items():
        if isinstance(v, tuple):
            kind, name, key = v
            out.append({"name": k, "valueFrom": {kind + "KeyRef": {"name": name, "key": key}}})
        else:
            out.append({"name": k, "value": v})
    return out


def vol(name, kind, source, path):
    body = {"secret": {"secret": {"secretName": source}}, "configMap": {"configMap": {"name": source}},
            "claim": {"persistentVolumeClaim": {"claimName": source}}, "host": {"hostPath": {"path": source}},
            "empty": {"emptyDir": {}}}[kind]
    return (dict(name=name, **body), {"name": name, "mountPath": path})


def container(name, image, ports=(), env=None, env_from=(), vols=(), command=None, limits=None, privileged=False):
    c = {"name": name, "image": image, "imagePullPolicy": "IfNotPresent"}
    if ports:
        c["ports"] = [{"name": n, "containerPort": p, "protocol": "TCP"} for n, p in ports]
    if env:
        c["env"] = env
    if env_from:
        c["envFrom"] = [{k + "Ref": {"name": n}} for k, n in env_from]
    if vols:
        c["volumeMounts"] = [m for _, m in vols]
    if command:
        c["command"] = command
    c["resources"] = {"limits": limits or {"memory": "256Mi"}, "requests": {"cpu": "50m", "memory": "64Mi"}}
    if privileged:
        c["securityContext"] = {"privileged": True}
    return c


def spec(containers, vols=(), init=(), **more):
    s = {"containers": containers, "restartPolicy": "Always", "dnsPolicy": "ClusterFirst"}
    if init:
        s["initContainers"] = init
    if vols:
        s["volumes"] = [v for v, _ in vols]
    s.update(more)
    return s


def template(app, s, labels=None):
    return {"metadata": {"labels": dict({"app": app}, **(labels or {}))}, "spec": s}


def deployment(ns, name, s, replicas=2, labels=None, notes=None):
    return add("apps/v1", "Deployment", name, ns, dict({"app": name}, **(labels or {})), notes,
               spec={"replicas": replicas, "selector": {"matchLabels": {"app": name}},
                     "strategy": {"type": "RollingUpdate"}, "template": template(name, s, labels)},
               status={"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas})


def stateful(ns, name, s, replicas, size, notes=None, labels=None, cls="fast-ssd"):
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": cls,
             "resources": {"requests": {"storage": size}}}}
    return add("apps/v1", "StatefulSet", name, ns, dict({"app": name}, **(labels or {})), notes,
               spec={"replicas": replicas, "serviceName": name, "selector": {"matchLabels": {"app": name}},
                     "template": template(name, s), "volumeClaimTemplates": [claim]})


def daemon(ns, name, s, notes=None, labels=None):
    return add("apps/v1", "DaemonSet", name, ns, dict({"app": name}, **(labels or {})), notes,
               spec={"selector": {"matchLabels": {"app": name}}, "template": template(name, s)})


def cron(ns, name, schedule, s, notes=None, suspend=False, zone=None):
    body = {"schedule": schedule, "concurrencyPolicy": "Forbid", "suspend": suspend,
            "jobTemplate": {"spec": {"template": template(name, dict(s, restartPolicy="OnFailure"))}}}
    if zone:
        body["timeZone"] = zone
    return add("batch/v1", "CronJob", name, ns, {"app": name}, notes, spec=body)


def service(ns, name, port, target, selector=None, type_="ClusterIP", notes=None, **more):
    s = {"type": type_, "ports": [{"name": "main", "port": port, "targetPort": target, "protocol": "TCP"}]}
    if type_ != "ExternalName":
        s["selector"] = {"app": selector or name}
        s["clusterIP"] = more.pop("clusterIP", "10.96.%d.%d" % (len(objects) % 200, len(objects) % 250))
    s.update(more)
    return add("v1", "Service", name, ns, {"app": selector or name}, notes, spec=s)


def ingress(ns, name, host, paths, tls=None, cls="nginx", notes=None):
    rules = [{"host": host, "http": {"paths": [
        {"path": p, "pathType": "Prefix", "backend": {"service": {"name": s, "port": {"number": n}}}}
        for p, s, n in paths]}}]
    body = {"ingressClassName": cls, "rules": rules}
    if tls:
        body["tls"] = [{"hosts": [host], "secretName": tls}]
    return add("networking.k8s.io/v1", "Ingress", name, ns, notes=notes, spec=body)


def hpa(ns, name, target, low, high, cpu, kind="Deployment"):
    return add("autoscaling/v2", "HorizontalPodAutoscaler", name, ns,
               spec={"scaleTargetRef": {"apiVersion": "apps/v1", "kind": kind, "name": target}, "minReplicas": low,
                     "maxReplicas": high, "metrics": [{"type": "Resource", "resource": {"name": "cpu",
                     "target": {"type": "Utilization", "averageUtilization": cpu}}}]})


def pvc(ns, name, size, cls, volume, modes=("ReadWriteOnce",), notes=None):
    return add("v1", "PersistentVolumeClaim", name, ns, notes=notes,
               spec={"accessModes": list(modes), "storageClassName": cls, "volumeName": volume,
                     "resources": {"requests": {"storage": size}}}, status={"phase": "Bound"})


def pv(name, size, cls, claim, **source):
    return add("v1", "PersistentVolume", name,
               spec=dict({"capacity": {"storage": size}, "accessModes": ["ReadWriteOnce"], "storageClassName": cls,
                          "persistentVolumeReclaimPolicy": "Retain",
                          "claimRef": {"kind": "PersistentVolumeClaim", "namespace": claim[0], "name": claim[1]}},
                         **source), status={"phase": "Bound"})


def account(ns, name, notes=None, pull=None):
    body = {"imagePullSecrets": [{"name": pull}]} if pull else {}
    return add("v1", "ServiceAccount", name, ns, notes=notes, **body)


def role(name, rules, ns=None, notes=None):
    out = [{"apiGroups": [g], "resources": r, "verbs": v} for g, r, v in rules]
    return add("rbac.authorization.k8s.io/v1", "Role" if ns else "ClusterRole", name, ns, notes=notes, rules=out)


def binding(name, role_kind, role_name, subjects, ns=None):
    return add("rbac.authorization.k8s.io/v1", "RoleBinding" if ns else "ClusterRoleBinding", name, ns,
               roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role_name},
               subjects=[dict({"kind": k, "name": n}, **({"namespace": s} if s else {})) for k, n, s in subjects])


def policy(ns, name, selector, allow_from=None, allow_to=None, notes=None):
    body = {"podSelector": {"matchLabels": selector} if selector else {}, "policyTypes": []}
    if allow_from is not None:
        body["policyTypes"].append("Ingress")
        if allow_from:
            body["ingress"] = [{"from": [{"podSelector": {"matchLabels": l}} for l in allow_from]}]
    if allow_to is not None:
        body["policyTypes"].append("Egress")
        if allow_to:
            body["egress"] = [{"to": [{"ipBlock": {"cidr": c}} for c in allow_to]}]
    return add("networking.k8s.io/v1", "NetworkPolicy", name, ns, notes=notes, spec=body)


def budget(ns, name, app, low):
    return add("policy/v1", "PodDisruptionBudget", name, ns,
               spec={"minAvailable": low, "selector": {"matchLabels": {"app": app}}})


def namespace(name, notes=None, **labels):
    return add("v1", "Namespace", name, labels=dict({"kubernetes.io/metadata.name": name}, **labels), notes=notes,
               status={"phase": "Active"})


def crd(group, kind, plural, words, short=(), scope="Namespaced"):
    return add("apiextensions.k8s.io/v1", "CustomResourceDefinition", plural + "." + group,
               spec={"group": group, "scope": scope,
                     "names": {"kind": kind, "plural": plural, "singular": kind.lower(), "shortNames": list(short)},
                     "versions": [{"name": "v1", "served": True, "storage": True,
                                   "schema": {"openAPIV3Schema": {"type": "object", "description": words}}}]})


R = "registry.example.com/"


def payments():
    ns = "payments"
    namespace(ns, {"example.com/owner": "team-money", "description": "Card payments and the accounts behind them"},
              team="money", pci="in-scope")
    secret(ns, "postgres-credentials", username="ledger", password="hunter2-not-shown",
           notes={"description": "Login of the payments database"})
    secret(ns, "stripe-api-key", api_key="sk_live_nothing_real")
    secret(ns, "gateway-tls", "kubernetes.io/tls", tls__crt="-", tls__key="-")
    secret(ns, "webhook-signing", signing_secret="x")
    config(ns, "ledger-settings", ledger__yaml="currency: EUR\nrounding: half-even\n", timezone="Europe/Berlin")
    config(ns, "fraud-rules", rules__json="[]", thresholds__json="{}",
           notes={"description": "Rules that decide which card payments look suspicious"})
    v = [vol("db", "secret", "postgres-credentials", "/etc/ledger/db"),
         vol("cfg", "configMap", "ledger-settings", "/etc/ledger")]
    deployment(ns, "ledger", spec([container("ledger", R + "ledger:2.4.1", [("http", 8080)],
               env(DB_HOST="postgres.payments.svc", DB_NAME="ledger"), vols=v)], v, serviceAccountName="ledger"), 1,
               notes={"description": "Double-entry bookkeeping of all card transactions"})
    v = [vol("tls", "secret", "gateway-tls", "/tls")]
    deployment(ns, "gateway", spec([container("gateway", R + "gateway:1.1", [("https", 8443)],
               env(STRIPE_KEY=("secret", "stripe-api-key", "api_key"), FRAUD_URL="http://fraud-detector:8080"), vols=v)],
               v, serviceAccountName="gateway", priorityClassName="business-critical"), 3,
               notes={"description": "Takes card payments from the shop and talks to Stripe"})
    v = [vol("rules", "configMap", "fraud-rules", "/rules"), vol("model", "claim", "fraud-model", "/model")]
    deployment(ns, "fraud-detector", spec([container("scorer", R + "fraud-detector:0.9", [("http", 8080)], vols=v,
               limits={"memory": "2Gi", "nvidia.com/gpu": "1"})], v, nodeSelector={"accelerator": "nvidia-t4"}))
    stateful(ns, "postgres", spec([container("postgres", "postgres:15.4", [("pg", 5432)],
             env(POSTGRES_PASSWORD=("secret", "postgres-credentials", "password")))]), 2, "100Gi",
             {"description": "The database of the ledger"})
    service(ns, "postgres", 5432, "pg", clusterIP="None")
    service(ns, "gateway", 443, 8443)
    service(ns, "ledger", 80, 8080)
    service(ns, "fraud-detector", 8080, 8080)
    ingress(ns, "payments-api", "pay.example.com", [("/v1", "gateway", 443), ("/hooks", "webhooks", 80)], "gateway-tls")
    hpa(ns, "gateway", "gateway", 3, 20, 65)
    budget(ns, "gateway", "gateway", 2)
    policy(ns, "default-deny", None, [], notes={"description": "Nothing may connect unless another policy allows it"})
    policy(ns, "postgres-from-ledger", {"app": "postgres"}, [{"app": "ledger"}, {"app": "postgres-backup"}])
    account(ns, "ledger")
    account(ns, "gateway", pull="registry-login")
    secret(ns, "registry-login", "kubernetes.io/dockerconfigjson", __dockerconfigjson="{}")
    v = [vol("db", "secret", "postgres-credentials", "/etc/backup/db"),
         vol("bucket", "secret", "backup-bucket", "/etc/backup/s3")]
    cron(ns, "postgres-backup", "15 2 * * *", spec([container("dump", R + "pg-backup:3", vols=v,
         command=["/bin/backup", "--full"])], v), {"description": "Dumps the ledger database to object storage"})
    secret(ns, "backup-bucket", access_key="AK", secret_key="SK")
    cron(ns, "settle-accounts", "*/30 * * * *", spec([container("settle", R + "settle:1.0",
         env=env(DB_PASSWORD=("secret", "postgres-credentials", "password")))]))
    deployment(ns, "webhooks", spec([container("webhooks", R + "webhooks:4.0", [("http", 8080)],
               env_from=[("secret", "webhook-signing")])]))
    service(ns, "webhooks", 80, 8080)
    pvc(ns, "fraud-model", "20Gi", "shared-nfs", "pv-fraud-model", ("ReadOnlyMany",))
    add("v1", "ResourceQuota", "payments-quota", ns, spec={"hard": {"limits.cpu": "40", "limits.memory": "96Gi", "pods": "80"}})


def shop():
    ns = "shop"
    namespace(ns, {"description": "The web shop"}, team="storefront")
    config(ns, "frontend-config", api__url="https://api.shop.example.com", features__json="{}")
    secret(ns, "session-keys", current="a", previous="b")
    secret(ns, "redis-auth", password="p")
    secret(ns, "shop-tls", "kubernetes.io/tls", tls__crt="-", tls__key="-")
    v = [vol("cfg", "configMap", "frontend-config", "/app/config")]
    deployment(ns, "frontend", spec([container("web", R + "frontend:5.2", [("http", 3000)],
               env(NODE_ENV="production"), vols=v)], v), 4, {"tier": "web"}, {"description": "Server-side rendered pages of the shop"})
    deployment(ns, "cart", spec([container("cart", R + "cart:1.1", [("grpc", 9090)],
               env(REDIS_URL="redis://redis:6379", REDIS_PASSWORD=("secret", "redis-auth", "password")))]), 3, {"tier": "backend"})
    deployment(ns, "checkout", spec([container("checkout", R + "checkout:7.0", [("http", 8080)],
               env(PAYMENTS_URL="https://gateway.payments", SESSION_KEY=("secret", "session-keys", "current")))]), 3, {"tier": "backend"})
    deployment(ns, "catalog-api-with-a-rather-long-deployment-name-for-truncation-tests", spec([container("api", R + "catalog:2.0", [("http", 8080)],
               env(ELASTIC_URL="http://search.shop:9200"))]), 2, {"tier": "backend"})
    deployment(ns, "promo-banner", spec([container("banner", R + "promo:1.0", [("http", 8080)])]), 1, {"tier": "web"})
    stateful(ns, "redis", spec([container("redis", "redis:7.2", [("redis", 6379)],
             env(REDIS_PASSWORD=("secret", "redis-auth", "password")))]), 1, "8Gi", {"description": "Shopping carts live here"})
    stateful(ns, "search", spec([container("elasticsearch", "elasticsearch:8.11.1", [("http", 9200)],
             limits={"memory": "8Gi"})]), 3, "200Gi", {"description": "Product search index"})
    for name, port, target in (("frontend", 80, 3000), ("cart", 9090, 9090), ("checkout", 80, 8080), ("redis", 6379, 6379), ("search", 9200, 9200)):
        service(ns, name, port, target)
    ingress(ns, "storefront", "www.shop.example.com", [("/", "frontend", 80), ("/checkout", "checkout", 80)], "shop-tls",
            notes={"cert-manager.io/cluster-issuer": "letsencrypt-prod"})
    hpa(ns, "frontend", "frontend", 4, 40, 70)
    hpa(ns, "checkout", "checkout", 3, 15, 60)
    budget(ns, "checkout", "checkout", 2)
    cron(ns, "abandoned-carts", "0 9 * * *", spec([container("mailer", R + "cart-mailer:1", env=env(SMTP_HOST="smtp.mail.svc"))]),
         {"description": "Writes to customers who left something in their cart"}, zone="Europe/Paris")
    cron(ns, "sitemap", "0 4 * * 0", spec([container("sitemap", R + "sitemap:1")]))
    policy(ns, "redis-from-cart", {"app": "redis"}, [{"app": "cart"}])
    add("v1", "LimitRange", "shop-defaults", ns, spec={"limits": [{"type": "Container", "default": {"memory": "256Mi", "cpu": "500m"}, "max": {"memory": "4Gi"}}]})
    service(ns, "legacy-erp", 443, 443, type_="ExternalName", externalName="erp.intern.example.com", notes={"description": "The old inventory system outside of the cluster"})


def edge():
    ns = "edge"
    namespace(ns, {"description": "Everything that faces the internet"}, team="platform")
    config(ns, "envoy-config", envoy__yaml="static_resources: {}")
    v = [vol("cfg", "configMap", "envoy-config", "/etc/envoy"), vol("tls", "secret", "wildcard-tls", "/etc/tls")]
    secret(ns, "wildcard-tls", "kubernetes.io/tls", tls__crt="-", tls__key="-", notes={"description": "Certificate of *.example.com"})
    deployment(ns, "envoy", spec([container("envoy", "envoyproxy/envoy:v1.29", [("http", 8080), ("https", 8443), ("admin", 9901)], vols=v)], v))
    deployment(ns, "rate-limiter", spec([container("ratelimit", R + "rate-limiter:1.3", [("grpc", 8081)], env(REDIS="redis.edge:6379"))]))
    service(ns, "envoy", 443, 8443, type_="LoadBalancer", loadBalancerIP="192.0.2.10", notes={"description": "Public entry point"})
    v = [vol("varlog", "host", "/var/log", "/var/log"), vol("out", "configMap", "log-shipper", "/fluent-bit/etc")]
    daemon(ns, "log-shipper", spec([container("fluent-bit", "fluent/fluent-bit:2.2", vols=v)], v, tolerations=[{"operator": "Exists"}]),
           {"description": "Ships container logs of every node to Loki"})
    config(ns, "log-shipper", fluent_bit__conf="[OUTPUT]")
    add("networking.k8s.io/v1", "IngressClass", "nginx", notes={"ingressclass.kubernetes.io/is-default-class": "true"}, spec={"controller": "k8s.io/ingress-nginx"})
    add("networking.k8s.io/v1", "IngressClass", "internal", spec={"controller": "k8s.io/ingress-nginx-internal"})
    policy(ns, "egress-only-dns-and-cluster", {"app": "rate-limiter"}, None, ["10.0.0.0/8"])


def data_platform():
    ns = "data-platform"
    namespace(ns, {"description": "Streams and the warehouse"}, team="data")
    config(ns, "settings", ingest__toml="batch = 500")
    secret(ns, "kafka-users", admin="x", ingest="y", notes={"description": "SASL logins of the brokers"})
    secret(ns, "warehouse-service-account", key__json="{}", notes={"description": "BigQuery access of the loaders"})
    stateful(ns, "kafka", spec([container("server", R + "kafka:1.3", [("http", 8080), ("broker", 9092)], env(KAFKA_ROLE="broker")),
             container("jmx", R + "jmx:1.1", [("metrics", 5556)])]), 3, "500Gi", {"description": "Event log of the company"}, cls="bulk-hdd")
    service(ns, "kafka", 9092, "broker", clusterIP="None")
    v = [vol("cfg", "configMap", "settings", "/etc/ingest"), vol("users", "secret", "kafka-users", "/etc/kafka")]
    deployment(ns, "ingest", spec([container("ingest", R + "ingest:1.1", [("http", 8080)], vols=v)], v), 3, notes={"description": "Reads click events from Kafka into the warehouse"})
    deployment(ns, "query-router", spec([container("router", R + "query-router:1", [("sql", 5433)])]))
    cron(ns, "compact-topics", "0 3 * * *", spec([container("compact", R + "kafka-tools:1.3", command=["kafka-compact"])]))
    v = [vol("sa", "secret", "warehouse-service-account", "/var/run/gcp")]
    cron(ns, "load-warehouse", "20 * * * *", spec([container("load", R + "loader:9", vols=v)], v), {"description": "Hourly load of orders into BigQuery"})
    deployment(ns, "schema-registry", spec([container("registry", "confluentinc/cp-schema-registry:7.5", [("http", 8081)])]), 2)
    service(ns, "schema-registry", 8081, 8081)
    deployment(ns, "airflow-scheduler", spec([container("scheduler", "apache/airflow:2.8", env_from=[("secret", "airflow-env")])], serviceAccountName="airflow"), 1)
    secret(ns, "airflow-env", fernet_key="k", sql_alchemy_conn="c")
    account(ns, "airflow", {"description": "May start pods for tasks"})
    role("airflow-launcher", [("", ["pods", "pods/log"], ["get", "list", "watch", "create", "delete"])], ns)
    binding("airflow-launcher", "Role", "airflow-launcher", [("ServiceAccount", "airflow", ns)], ns)


def ml():
    ns = "ml-batch"
    namespace(ns, {"description": "Training of models"}, team="research")
    cron(ns, "report", "*/2 * * * *", spec([container("report", R + "report:1.1")]))
    v = [vol("shm", "empty", "", "/dev/shm"), vol("data", "claim", "training-data", "/data")]
    add("batch/v1", "Job", "finetune-reviews", ns, {"app": "finetune"}, {"description": "Fine-tunes the review classifier"},
        spec={"completions": 1, "parallelism": 4, "backoffLimit": 2, "template": template("finetune", spec(
            [container("train", R + "pytorch-train:2.1", vols=v, limits={"memory": "64Gi", "nvidia.com/gpu": "4"})], v,
            nodeSelector={"accelerator": "nvidia-a100"}, restartPolicy="Never"))})
    pvc(ns, "training-data", "2Ti", "shared-nfs", "pv-training-data", ("ReadWriteMany",), {"description": "Images and reviews for training"})
    deployment(ns, "jupyter", spec([container("notebook", "jupyter/datascience-notebook:2023-11", [("http", 8888)], env(JUPYTER_TOKEN=("secret", "jupyter-token", "token")))]), 1)
    secret(ns, "jupyter-token", token="t")
    ingress(ns, "notebooks", "notebooks.research.example.com", [("/", "jupyter", 80)], cls="internal")
    service(ns, "jupyter", 80, 8888)
    add("scheduling.k8s.io/v1", "PriorityClass", "batch-low", value=-100, description="Training jobs, evicted first", preemptionPolicy="Never")
    add("scheduling.k8s.io/v1", "PriorityClass", "business-critical", value=100000, description="What earns money")
    deployment(ns, "model-server", spec([container("triton", "nvcr.io/nvidia/tritonserver:23.10-py3", [("http", 8000), ("grpc", 8001)], limits={"nvidia.com/gpu": "1", "memory": "16Gi"})]),
               1, notes={"description": "Serves the embedding and ranking models"})
    service(ns, "model-server", 8000, 8000)


def auth():
    ns = "auth"
    namespace(ns, {"description": "Single sign-on"}, team="security")
    secret(ns, "keycloak-admin", username="admin", password="pw")
    secret(ns, "ldap-bind", bind_dn="cn", bind_password="pw", notes={"description": "Account that reads the company directory"})
    secret(ns, "oidc-client-grafana", client_id="g", client_secret="s")
    v = [vol("ldap", "secret", "ldap-bind", "/etc/ldap")]
    deployment(ns, "keycloak", spec([container("keycloak", "quay.io/keycloak/keycloak:23.0", [("http", 8080)],
               env(KEYCLOAK_ADMIN_PASSWORD=("secret", "keycloak-admin", "password"), KC_DB="mysql"), vols=v)], v), 2, notes={"description": "Login for staff and customers"})
    stateful(ns, "mysql", spec([container("mysql", "mysql:8.0.35", [("mysql", 3306)], env(MYSQL_ROOT_PASSWORD=("secret", "mysql-root", "password")))]), 1, "30Gi", {"description": "Users and sessions of Keycloak"})
    secret(ns, "mysql-root", password="pw")
    service(ns, "mysql", 3306, 3306)
    service(ns, "keycloak", 80, 8080)
    ingress(ns, "login", "login.example.com", [("/", "keycloak", 80)], "login-tls")
    secret(ns, "login-tls", "kubernetes.io/tls", tls__crt="-", tls__key="-")
    deployment(ns, "oauth2-proxy", spec([container("proxy", "quay.io/oauth2-proxy/oauth2-proxy:v7.5.1", [("http", 4180)], env_from=[("secret", "oidc-client-grafana")])]))
    cron(ns, "rotate-signing-keys", "0 0 1 * *", spec([container("rotate", R + "key-rotator:1")], serviceAccountName="key-rotator"), {"description": "New token signing keys every month"})
    account(ns, "key-rotator")
    role("rotate-secrets", [("", ["secrets"], ["get", "update", "patch"])], ns)
    binding("rotate-secrets", "Role", "rotate-secrets", [("ServiceAccount", "key-rotator", ns)], ns)
    policy(ns, "mysql-from-keycloak", {"app": "mysql"}, [{"app": "keycloak"}])


def monitoring():
    ns = "monitoring"
    namespace(ns, {"description": "Metrics, logs, alerts"}, team="platform")
    config(ns, "prometheus-rules", alerts__yaml="groups: []", recording__yaml="groups: []")
    v = [vol("rules", "configMap", "prometheus-rules", "/etc/prometheus/rules")]
    stateful(ns, "prometheus", spec([container("prometheus", "prom/prometheus:v2.48.0", [("web", 9090)], vols=v, limits={"memory": "12Gi"})], v, serviceAccountName="prometheus"), 2, "300Gi")
    deployment(ns, "grafana", spec([container("grafana", "grafana/grafana:10.2", [("http", 3000)], env(GF_SECURITY_ADMIN_PASSWORD=("secret", "grafana-admin", "password")))]), 1, notes={"description": "Dashboards"})
    secret(ns, "grafana-admin", username="admin", password="pw")
    config(ns, "grafana-dashboards", cluster__json="{}", payments__json="{}", shop__json="{}")
    stateful(ns, "loki", spec([container("loki", "grafana/loki:2.9", [("http", 3100)])]), 1, "150Gi", {"description": "Keeps logs for 30 days"}, cls="bulk-hdd")
    deployment(ns, "alertmanager", spec([container("alertmanager", "prom/alertmanager:v0.26", [("web", 9093)], env_from=[("secret", "pagerduty")])]))
    secret(ns, "pagerduty", routing_key="k", notes={"description": "Wakes people up"})
    v = [vol("proc", "host", "/proc", "/host/proc"), vol("sys", "host", "/sys", "/host/sys")]
    daemon("kube-system", "node-exporter", spec([container("node-exporter", "prom/node-exporter:v1.7", [("metrics", 9100)], vols=v)], v, hostNetwork=True, hostPID=True), {"description": "Hardware and kernel figures of each machine"})
    account(ns, "prometheus")
    role("prometheus", [("", ["nodes", "services", "endpoints", "pods"], ["get", "list", "watch"]), ("", ["nodes/metrics"], ["get"])])
    binding("prometheus", "ClusterRole", "prometheus", [("ServiceAccount", "prometheus", ns)])
    for name, port, target in (("prometheus", 9090, 9090), ("grafana", 80, 3000), ("loki", 3100, 3100), ("alertmanager", 9093, 9093)):
        service(ns, name, port, target)
    ingress(ns, "grafana", "grafana.example.com", [("/", "grafana", 80)], cls="internal")
    cron(ns, "synthetic-checkout", "*/5 * * * *", spec([container("k6", "grafana/k6:0.48", command=["k6", "run", "checkout.js"])]), {"description": "Buys a test article every five minutes and complains when that fails"})


def mail_and_ci():
    namespace("mail", {"description": "Outgoing mail"}, team="platform")
    secret("mail", "smtp-relay", username="u", password="p", notes={"description": "Login at the mail provider"})
    deployment("mail", "postfix", spec([container("postfix", R + "postfix:3.8", [("smtp", 25)], env(RELAY_PASSWORD=("secret", "smtp-relay", "password")))]), 2, notes={"description": "Relays order confirmations and newsletters"})
    service("mail", "smtp", 25, 25, "postfix")
    stateful("mail", "rabbitmq", spec([container("rabbitmq", "rabbitmq:3.12-management", [("amqp", 5672)])]), 3, "10Gi", {"description": "Queue of mails to be sent"})
    service("mail", "rabbitmq", 5672, 5672)
    deployment("mail", "newsletter-worker", spec([container("worker", R + "newsletter:2", env(AMQP_URL="amqp://rabbitmq.mail", TEMPLATE_BUCKET="mail-templates"))]), 2)
    namespace("ci", {"description": "Build and release"}, team="platform")
    v = [vol("docker", "host", "/var/run/docker.sock", "/var/run/docker.sock"), vol("cache", "claim", "build-cache", "/cache")]
    deployment("ci", "gitlab-runner", spec([container("runner", "gitlab/gitlab-runner:v16.6", vols=v, privileged=True)], v, serviceAccountName="deployer"), 4, notes={"description": "Runs pipelines"})
    pvc("ci", "build-cache", "250Gi", "fast-ssd", "pv-build-cache")
    account("ci", "deployer", {"description": "Rolls out releases from the pipeline"})
    role("deployer", [("apps", ["deployments", "statefulsets"], ["get", "list", "patch", "update"]), ("", ["configmaps", "secrets"], ["get", "list", "create", "update"])])
    binding("deployer", "ClusterRole", "deployer", [("ServiceAccount", "deployer", "ci")])
    binding("ci-is-admin", "ClusterRole", "cluster-admin", [("ServiceAccount", "deployer", "ci"), ("User", "anna@example.com", None)])
    role("cluster-admin", [("*", ["*"], ["*"])], notes={"description": "May do everything"})
    role("read-pods", [("", ["pods", "pods/log"], ["get", "list", "watch"])], notes={"description": "For developers who look for errors"})
    binding("developers-read", "ClusterRole", "read-pods", [("Group", "developers", None)])
    deployment("ci", "registry", spec([container("registry", "registry:2.8", [("http", 5000)], env(REGISTRY_STORAGE_S3_BUCKET="images"))]), 1, notes={"description": "Container images of the company"})
    service("ci", "registry", 5000, 5000)
    add("batch/v1", "Job", "e2e-tests-1482", "ci", {"app": "e2e-tests"}, spec={"completions": 1, "parallelism": 8, "backoffLimit": 0, "template": template("e2e-tests", spec([container("cypress", "cypress/included:13.6")], restartPolicy="Never"))})
    cron("ci", "prune-images", "0 5 * * 6", spec([container("prune", R + "registry-prune:1")]), {"description": "Deletes old container images"}, suspend=True)


def storage():
    add("storage.k8s.io/v1", "StorageClass", "fast-ssd", provisioner="ebs.csi.aws.com", parameters={"type": "gp3", "iops": "6000"}, reclaimPolicy="Delete", volumeBindingMode="WaitForFirstConsumer", allowVolumeExpansion=True)
    add("storage.k8s.io/v1", "StorageClass", "bulk-hdd", provisioner="ebs.csi.aws.com", parameters={"type": "st1"}, reclaimPolicy="Delete", volumeBindingMode="WaitForFirstConsumer")
    add("storage.k8s.io/v1", "StorageClass", "shared-nfs", provisioner="nfs.csi.k8s.io", parameters={"server": "nas.intern.example.com", "share": "/export"}, reclaimPolicy="Retain", volumeBindingMode="Immediate")
    pv("pv-fraud-model", "20Gi", "shared-nfs", ("payments", "fraud-model"), nfs={"server": "nas.intern.example.com", "path": "/export/models"})
    pv("pv-training-data", "2Ti", "shared-nfs", ("ml-batch", "training-data"), nfs={"server": "nas.intern.example.com", "path": "/export/training"})
    pv("pv-build-cache", "250Gi", "fast-ssd", ("ci", "build-cache"), csi={"driver": "ebs.csi.aws.com", "volumeHandle": "vol-0abc"})
    v = [vol("data", "claim", "photos", "/photos")]
    namespace("media", {"description": "Product photos and videos"}, team="storefront")
    deployment("media", "imgproxy", spec([container("imgproxy", "darthsim/imgproxy:v3.20", [("http", 8080)], vols=v)], v), 3, notes={"description": "Resizes product photos"})
    pvc("media", "photos", "5Ti", "shared-nfs", "pv-photos", ("ReadWriteMany",))
    pv("pv-photos", "5Ti", "shared-nfs", ("media", "photos"), nfs={"server": "nas.intern.example.com", "path": "/export/photos"})
    deployment("media", "transcoder", spec([container("ffmpeg", R + "transcoder:4", env(QUEUE="amqp://rabbitmq.mail"), limits={"memory": "4Gi"})]), 2, notes={"description": "Turns uploaded videos into streams"})
    service("media", "imgproxy", 80, 8080)
    ingress("media", "cdn-origin", "img.example.com", [("/", "imgproxy", 80)])


def extensions():
    crd("cert-manager.io", "Certificate", "certificates", "A TLS certificate that cert-manager obtains and renews", ("cert",))
    crd("cert-manager.io", "ClusterIssuer", "clusterissuers", "Where certificates are obtained from", scope="Cluster")
    crd("postgresql.cnpg.io", "Cluster", "clusters", "A PostgreSQL cluster run by CloudNativePG: instances, backups and failover")
    crd("argoproj.io", "Rollout", "rollouts", "A progressive delivery of pods: blue-green and canary", ("ro",))
    crd("monitoring.coreos.com", "PrometheusRule", "prometheusrules", "Alerting and recording rules of Prometheus", ("promrule",))
    crd("kafka.strimzi.io", "KafkaTopic", "kafkatopics", "A topic of a Kafka cluster", ("kt",))
    add("cert-manager.io/v1", "Certificate", "login", "auth", spec={"secretName": "login-tls", "dnsNames": ["login.example.com"], "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt-prod"}, "renewBefore": "360h"})
    add("cert-manager.io/v1", "Certificate", "wildcard", "edge", spec={"secretName": "wildcard-tls", "dnsNames": ["*.example.com", "example.com"], "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt-prod"}})
    add("cert-manager.io/v1", "ClusterIssuer", "letsencrypt-prod", spec={"acme": {"server": "https://acme-v02.api.letsencrypt.org/directory", "email": "ops@example.com", "privateKeySecretRef": {"name": "letsencrypt-account"}}})
    add("postgresql.cnpg.io/v1", "Cluster", "crm-db", "crm", notes={"description": "Customer records"}, spec={"instances": 3, "imageName": "ghcr.io/cloudnative-pg/postgresql:16.1", "storage": {"size": "50Gi", "storageClass": "fast-ssd"}, "backup": {"barmanObjectStore": {"destinationPath": "s3://crm-backups"}, "retentionPolicy": "30d"}})
    namespace("crm", {"description": "Customer relations"}, team="sales")
    deployment("crm", "crm-web", spec([container("web", R + "crm:12", [("http", 8080)], env(DATABASE_URL=("secret", "crm-db-app", "uri")))]), 2, notes={"description": "Where support looks up customers"})
    secret("crm", "crm-db-app", uri="postgres://x", username="crm", password="pw")
    service("crm", "crm-web", 80, 8080)
    ingress("crm", "crm", "crm.example.com", [("/", "crm-web", 80)], cls="internal")
    add("argoproj.io/v1", "Rollout", "pricing", "shop", {"app": "pricing"}, {"description": "Prices and discounts, released as a canary"}, spec={"replicas": 4, "selector": {"matchLabels": {"app": "pricing"}}, "strategy": {"canary": {"steps": [{"setWeight": 10}, {"pause": {"duration": "10m"}}]}}, "template": template("pricing", spec([container("pricing", R + "pricing:3.3", [("http", 8080)])]))})
    add("monitoring.coreos.com/v1", "PrometheusRule", "disk-space", "monitoring", spec={"groups": [{"name": "disk", "rules": [{"alert": "DiskAlmostFull", "expr": "disk_free < 0.1", "for": "15m", "labels": {"severity": "page"}, "annotations": {"summary": "A disk is nearly full"}}]}]})
    add("monitoring.coreos.com/v1", "PrometheusRule", "payment-errors", "monitoring", spec={"groups": [{"name": "payments", "rules": [{"alert": "PaymentErrorRateHigh", "expr": "rate(payment_errors[5m]) > 0.05", "labels": {"severity": "page"}, "annotations": {"summary": "More than 5 % of card payments fail"}}]}]})
    add("kafka.strimzi.io/v1", "KafkaTopic", "orders", "data-platform", spec={"partitions": 24, "replicas": 3, "config": {"retention.ms": "604800000", "cleanup.policy": "delete"}})
    add("kafka.strimzi.io/v1", "KafkaTopic", "clicks", "data-platform", spec={"partitions": 96, "replicas": 3, "config": {"retention.ms": "86400000"}})
    add("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "policy-guard", webhooks=[{"name": "guard.example.com", "failurePolicy": "Fail", "clientConfig": {"service": {"namespace": "policy", "name": "guard"}}, "rules": [{"operations": ["CREATE", "UPDATE"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["pods"]}]}])
    namespace("policy", {"description": "What may run here"}, team="security")
    deployment("policy", "guard", spec([container("guard", R + "guard:1", [("https", 8443)])]), 2, notes={"description": "Refuses pods that run as root"})
    service("policy", "guard", 443, 8443)
    for i, (name, zone, gpu) in enumerate((("gpu-1", "zone-a", "nvidia-a100"), ("gpu-2", "zone-b", "nvidia-t4"), ("big-mem-1", "zone-a", None))):
        add("v1", "Node", name, labels=dict({"topology.kubernetes.io/zone": zone, "kubernetes.io/arch": "amd64"}, **({"accelerator": gpu} if gpu else {})),
            spec={"taints": [{"key": "dedicated", "value": "gpu" if gpu else "memory", "effect": "NoSchedule"}], "unschedulable": i == 1},
            status={"nodeInfo": {"kubeletVersion": "v1.31.4", "osImage": "Debian GNU/Linux 12 (bookworm)", "containerRuntimeVersion": "containerd://1.7.24", "architecture": "amd64"}})


def main():
    recorded_owners()
    for part in (payments, shop, edge, data_platform, ml, auth, monitoring, mail_and_ci, storage, extensions):
        part()
    OUT.mkdir(exist_ok=True)
    places = {}
    for o in objects:
        places.setdefault(o["metadata"].get("namespace", "_cluster"), []).append(o)
    for ns, items in sorted(places.items()):
        with open(OUT / (ns + ".json"), "w") as f:
            json.dump({"apiVersion": "v1", "kind": "List", "items": items}, f, indent=1)
            f.write("\n")
    print(len(objects), "objects in", len(places), "files")


main()
