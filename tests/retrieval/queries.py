#!/usr/bin/env python3
"""Questions as people ask them, and a predicate for what answers each. Writes queries.tsv: the question,
a tab, the ids of all objects of tests/fixtures/objects that answer it. Written before any result was seen."""
import json
import pathlib

ROOT = pathlib.Path(__file__).resolve().parent
OBJECTS = ROOT.parent / "fixtures" / "objects"

WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "Rollout")


def ns(o):
    return o["metadata"].get("namespace", "")


def name(o):
    return o["metadata"]["name"]


def kind(o, *kinds):
    return o["kind"] in kinds


def is_(k, n, namespace=None):
    return lambda o: kind(o, k) and name(o) == n and (namespace is None or ns(o) == namespace)


def any_of(*tests):
    return lambda o: any(t(o) for t in tests)


def pod_spec(o):
    s = o.get("spec", {})
    s = s.get("jobTemplate", {}).get("spec", s)
    return s.get("template", {}).get("spec", {})


def containers(o):
    return pod_spec(o).get("containers", [])


def uses_secret(n, namespace):
    def test(o):
        if ns(o) != namespace or not kind(o, *WORKLOADS):
            return False
        if any(v.get("secret", {}).get("secretName") == n for v in pod_spec(o).get("volumes", [])):
            return True
        for c in containers(o):
            if any(e.get("secretRef", {}).get("name") == n for e in c.get("envFrom", [])):
                return True
            if any(e.get("valueFrom", {}).get("secretKeyRef", {}).get("name") == n for e in c.get("env", [])):
                return True
        return False
    return test


def mounts_secret(n, namespace):
    return lambda o: ns(o) == namespace and kind(o, *WORKLOADS) and any(
        v.get("secret", {}).get("secretName") == n for v in pod_spec(o).get("volumes", []))


def image(text):
    return lambda o: any(text in c.get("image", "") for c in containers(o))


def gpu(o):
    return any("nvidia.com/gpu" in c["resources"]["limits"] for c in containers(o))


def host_path(path):
    return lambda o: any(v.get("hostPath", {}).get("path") == path for v in pod_spec(o).get("volumes", []))


QUERIES = [
    ("who mounts the payments database secret", mounts_secret("postgres-credentials", "payments")),
    ("which workloads use the redis password of the shop", uses_secret("redis-auth", "shop")),
    ("stripe api key", any_of(is_("Secret", "stripe-api-key"), uses_secret("stripe-api-key", "payments"))),
    ("database backup job", is_("CronJob", "postgres-backup")),
    ("what runs postgres", image("postgres:")),
    ("mysql database for logins", is_("StatefulSet", "mysql", "auth")),
    ("where do shopping carts live", any_of(is_("StatefulSet", "redis", "shop"), is_("Deployment", "cart", "shop"))),
    ("workloads with a gpu", gpu),
    ("nodes with nvidia accelerators", lambda o: kind(o, "Node") and "accelerator" in o["metadata"]["labels"]),
    ("who has cluster admin rights", any_of(is_("ClusterRoleBinding", "ci-is-admin"), is_("ClusterRole", "cluster-admin"))),
    ("permissions to read pods and logs", any_of(is_("ClusterRole", "read-pods"), is_("ClusterRoleBinding", "developers-read"), is_("Role", "airflow-launcher"))),
    ("service account that deploys releases", any_of(is_("ServiceAccount", "deployer", "ci"), is_("ClusterRole", "deployer"), is_("ClusterRoleBinding", "deployer"))),
    ("http routes to the shop website", is_("Ingress", "storefront")),
    ("ingress for grafana dashboards", is_("Ingress", "grafana")),
    ("public load balancer entry point", is_("Service", "envoy", "edge")),
    ("autoscaling of the checkout", is_("HorizontalPodAutoscaler", "checkout")),
    ("firewall rules for the payments database", any_of(is_("NetworkPolicy", "postgres-from-ledger"), is_("NetworkPolicy", "default-deny", "payments"))),
    ("network policies that restrict redis", is_("NetworkPolicy", "redis-from-cart")),
    ("tls certificates", any_of(lambda o: kind(o, "Secret") and o.get("type") == "kubernetes.io/tls", lambda o: kind(o, "Certificate"))),
    ("wildcard certificate for example.com", any_of(is_("Certificate", "wildcard"), is_("Secret", "wildcard-tls"))),
    ("let's encrypt issuer", is_("ClusterIssuer", "letsencrypt-prod")),
    ("storage class for fast ssd disks", is_("StorageClass", "fast-ssd")),
    ("nfs volumes", lambda o: kind(o, "PersistentVolume") and "nfs" in o["spec"]),
    ("disk with training data", any_of(is_("PersistentVolumeClaim", "training-data"), is_("PersistentVolume", "pv-training-data"))),
    ("jobs that run every night", lambda o: kind(o, "CronJob") and o["spec"]["schedule"].split()[1] in ("2", "3", "4")),
    ("suspended cron jobs", lambda o: kind(o, "CronJob") and o["spec"]["suspend"]),
    ("privileged containers", lambda o: any(c.get("securityContext", {}).get("privileged") for c in containers(o))),
    ("which pods mount the docker socket", host_path("/var/run/docker.sock")),
    ("log collection agent on every node", is_("DaemonSet", "log-shipper")),
    ("node exporter metrics", is_("DaemonSet", "node-exporter")),
    ("alert when payments fail", is_("PrometheusRule", "payment-errors")),
    ("disk full alert", is_("PrometheusRule", "disk-space")),
    ("kafka topics", lambda o: kind(o, "KafkaTopic") or (kind(o, "CustomResourceDefinition") and "kafka" in name(o))),
    ("reads click events from kafka", is_("Deployment", "ingest", "data-platform")),
    ("secrets with kafka logins", is_("Secret", "kafka-users")),
    ("single sign on login server", any_of(is_("Deployment", "keycloak", "auth"), is_("Service", "keycloak", "auth"), is_("Ingress", "login", "auth"))),
    ("ldap bind account", any_of(is_("Secret", "ldap-bind"), uses_secret("ldap-bind", "auth"))),
    ("rotates token signing keys", any_of(is_("CronJob", "rotate-signing-keys"), is_("ServiceAccount", "key-rotator"))),
    ("what sends mails to customers", any_of(is_("Deployment", "postfix"), is_("CronJob", "abandoned-carts"), is_("Deployment", "newsletter-worker"))),
    ("message queue", any_of(is_("StatefulSet", "rabbitmq"), is_("Service", "rabbitmq"), is_("StatefulSet", "kafka"), is_("Service", "kafka"))),
    ("resize product photos", is_("Deployment", "imgproxy")),
    ("resource quota of payments", is_("ResourceQuota", "payments-quota")),
    ("default memory limits in the shop namespace", is_("LimitRange", "shop-defaults")),
    ("priority class for business critical pods", is_("PriorityClass", "business-critical")),
    ("canary release of prices", is_("Rollout", "pricing")),
    ("pod disruption budgets", lambda o: kind(o, "PodDisruptionBudget")),
    ("postgres cluster of the crm", any_of(is_("Cluster", "crm-db"), is_("Secret", "crm-db-app"), is_("CustomResourceDefinition", "clusters.postgresql.cnpg.io"))),
    ("webhook that validates pods", is_("ValidatingWebhookConfiguration", "policy-guard")),
    ("elasticsearch for product search", any_of(is_("StatefulSet", "search"), is_("Service", "search"))),
    ("old inventory system outside the cluster", is_("Service", "legacy-erp")),
    ("fraud detection rules", any_of(is_("ConfigMap", "fraud-rules"), is_("Deployment", "fraud-detector"))),
    ("container image registry", any_of(is_("Deployment", "registry", "ci"), is_("Service", "registry", "ci"))),
]


def object_id(o):
    return "/".join([ns(o) or "_cluster", o["apiVersion"], o["kind"], name(o)])


def main():
    objects = []
    for path in sorted(OBJECTS.glob("*.json")):
        objects += json.loads(path.read_text())["items"]
    with open(ROOT / "queries.tsv", "w") as f:
        for question, test in QUERIES:
            ids = [object_id(o) for o in objects if test(o)]
            assert ids, question
            assert len(ids) <= 12, (question, len(ids))
            f.write(question + "\t" + ",".join(ids) + "\n")
    print(len(QUERIES), "questions")


if __name__ == "__main__":
    main()
