#!/usr/bin/env python3
"""Questions about who uses, selects, routes to, runs as what, as people ask them, and a predicate for
what answers each. Writes relations.tsv and held-out.tsv as queries.py does. All were written before any result
was seen; those of held-out.tsv were not looked at until the code was done.

What answers is one of tests/fixtures/objects: a workload, not the pods that it makes."""
import json

from queries import OBJECTS, ROOT, WORKLOADS, any_of, containers, image, is_, kind, name, ns, object_id, pod_spec, uses_secret


def in_ns(namespace, test):
    return lambda o: ns(o) == namespace and test(o)


def volume(source, key, n):
    """Workloads with a volume of this source, such as configMap, whose member `key` is n."""
    return lambda o: kind(o, *WORKLOADS) and any(v.get(source, {}).get(key) == n for v in pod_spec(o).get("volumes", []))


def claim(n):
    return volume("persistentVolumeClaim", "claimName", n)


def config(n):
    return volume("configMap", "name", n)


def runs_as(n):
    return lambda o: kind(o, *WORKLOADS) and pod_spec(o).get("serviceAccountName") == n


def selects(**labels):
    """What picks pods with exactly these labels."""
    def test(o):
        s = o.get("spec", {})
        if kind(o, "Service"):
            return s.get("selector") == labels
        if kind(o, "NetworkPolicy"):
            return s["podSelector"].get("matchLabels") == labels
        return kind(o, "PodDisruptionBudget") and s["selector"]["matchLabels"] == labels
    return test


def routes_to(service):
    return lambda o: kind(o, "Ingress") and any(
        p["backend"]["service"]["name"] == service for r in o["spec"]["rules"] for p in r["http"]["paths"])


def tls_of_ingress(secret):
    return lambda o: kind(o, "Ingress") and any(t["secretName"] == secret for t in o["spec"].get("tls", []))


def scales(n):
    return lambda o: kind(o, "HorizontalPodAutoscaler") and o["spec"]["scaleTargetRef"]["name"] == n


def storage(c):
    return lambda o: kind(o, "PersistentVolumeClaim") and o["spec"]["storageClassName"] == c


def template_storage(c):
    return lambda o: kind(o, "StatefulSet") and any(
        t["spec"]["storageClassName"] == c for t in o["spec"].get("volumeClaimTemplates", []))


def binding(role=None, subject=None):
    return lambda o: kind(o, "RoleBinding", "ClusterRoleBinding") and (
        role is None or o["roleRef"]["name"] == role) and (
        subject is None or any(s["name"] == subject for s in o["subjects"]))


def issued_by(n):
    return lambda o: kind(o, "Certificate") and o["spec"]["issuerRef"]["name"] == n


QUERIES = [
    # Secrets
    ("which deployments use the session keys of the shop", uses_secret("session-keys", "shop")),
    ("what reads the wildcard tls certificate", uses_secret("wildcard-tls", "edge")),
    ("what reads the tls certificate of the shop", in_ns("shop", tls_of_ingress("shop-tls"))),
    ("who needs the grafana admin password", uses_secret("grafana-admin", "monitoring")),
    ("which cron jobs get the backup bucket credentials", uses_secret("backup-bucket", "payments")),
    ("is anybody using the pagerduty secret", uses_secret("pagerduty", "monitoring")),
    ("workloads that depend on smtp-relay", uses_secret("smtp-relay", "mail")),
    ("where is the secret mysql-root referenced", uses_secret("mysql-root", "auth")),
    ("what consumes the warehouse service account key", uses_secret("warehouse-service-account", "data-platform")),
    ("who pulls images with the registry login", lambda o: kind(o, "ServiceAccount") and o.get("imagePullSecrets", [{}])[0].get("name") == "registry-login"),
    ("which certificate fills the login-tls secret", lambda o: kind(o, "Certificate") and o["spec"]["secretName"] == "login-tls"),
    ("the webhook signing secret is used by what", uses_secret("webhook-signing", "payments")),
    # ConfigMaps
    ("what mounts the fraud rules", config("fraud-rules")),
    ("deployments that load frontend-config", config("frontend-config")),
    ("which daemonset reads the log shipper configuration", in_ns("edge", config("log-shipper"))),
    ("who uses the prometheus rules config map", config("prometheus-rules")),
    ("which deployments use the ingest settings config map", in_ns("data-platform", config("settings"))),
    # Claims
    ("pods that mount pvc training-data", claim("training-data")),
    ("who writes to the build cache volume", claim("build-cache")),
    ("which app uses the photos claim", claim("photos")),
    ("what has the fraud model volume mounted", claim("fraud-model")),
    # Service accounts
    ("which service account does gitlab-runner run with", is_("ServiceAccount", "deployer", "ci")),
    ("what runs under the deployer service account", runs_as("deployer")),
    ("what identity does the prometheus statefulset have", is_("ServiceAccount", "prometheus", "monitoring")),
    ("who runs as key-rotator", runs_as("key-rotator")),
    # Images
    ("who uses image grafana/loki", image("grafana/loki:")),
    ("which workloads run the redis 7.2 image", image("redis:7.2")),
    ("what image does keycloak run", is_("Deployment", "keycloak", "auth")),
    ("where do we run elasticsearch 8.11.1", image("elasticsearch:8.11.1")),
    ("everything running registry.example.com/kafka-tools", image("kafka-tools")),
    # Selectors
    ("what selects the pods of keycloak", in_ns("auth", selects(app="keycloak"))),
    ("which service is in front of the checkout", in_ns("shop", is_("Service", "checkout"))),
    ("which network policy covers the redis pods", in_ns("shop", is_("NetworkPolicy", "redis-from-cart"))),
    ("which services point at postfix", is_("Service", "smtp", "mail")),
    ("what protects the gateway pods from eviction", is_("PodDisruptionBudget", "gateway", "payments")),
    ("which pods does the smtp service select", is_("Deployment", "postfix", "mail")),
    # Routes
    ("which ingress leads to the service imgproxy", routes_to("imgproxy")),
    ("what does the payments-api ingress route to", any_of(is_("Service", "gateway", "payments"), is_("Service", "webhooks", "payments"))),
    ("which ingress exposes crm-web", routes_to("crm-web")),
    ("where does notebooks.research.example.com go", any_of(is_("Ingress", "notebooks"), is_("Service", "jupyter"))),
    # Scaling
    ("what scales the frontend", scales("frontend")),
    ("which deployment does the checkout autoscaler scale", is_("Deployment", "checkout", "shop")),
    # Storage
    ("which claims use the shared-nfs storage class", storage("shared-nfs")),
    ("which volume is bound to the photos claim", is_("PersistentVolume", "pv-photos")),
    ("statefulsets on bulk-hdd", template_storage("bulk-hdd")),
    # Rights
    ("who is bound to the cluster-admin role", binding(role="cluster-admin")),
    ("which roles does the airflow service account have", any_of(is_("Role", "airflow-launcher"), binding(subject="airflow"))),
    ("what is granted to the developers group", any_of(is_("ClusterRole", "read-pods"), binding(subject="developers"))),
    # References
    ("which certificates come from letsencrypt-prod", issued_by("letsencrypt-prod")),
    ("what calls the policy guard service", is_("ValidatingWebhookConfiguration", "policy-guard")),
    ("ingresses of class internal", lambda o: kind(o, "Ingress") and o["spec"]["ingressClassName"] == "internal"),
    ("which statefulset is governed by the kafka service", lambda o: kind(o, "StatefulSet") and o["spec"]["serviceName"] == "kafka"),
]

HELD_OUT = [
    ("where is postgres-credentials mounted", volume("secret", "secretName", "postgres-credentials")),
    ("list all workloads referencing the stripe api key", uses_secret("stripe-api-key", "payments")),
    ("anything that touches crm-db-app", uses_secret("crm-db-app", "crm")),
    ("jobs with access to the training data", claim("training-data")),
    ("who is using the jupyter token", uses_secret("jupyter-token", "ml-batch")),
    ("what depends on the ldap bind password", uses_secret("ldap-bind", "auth")),
    ("deployments with the envoy config", config("envoy-config")),
    ("pods using the host path /var/log", volume("hostPath", "path", "/var/log")),
    ("what uses the wildcard certificate", uses_secret("wildcard-tls", "edge")),
    ("which tls secret does the login ingress use", is_("Secret", "login-tls")),
    ("which secret does the certificate login write", is_("Secret", "login-tls")),
    ("which secrets does the postgres-backup job mount", any_of(is_("Secret", "postgres-credentials"), is_("Secret", "backup-bucket"))),
    ("what config does envoy mount", is_("ConfigMap", "envoy-config")),
    ("which account does the airflow scheduler run as", is_("ServiceAccount", "airflow")),
    ("what runs with the prometheus account", runs_as("prometheus")),
    ("who uses image mysql", image("mysql:")),
    ("which container image is used by grafana", is_("Deployment", "grafana")),
    ("deployments based on envoyproxy/envoy", image("envoyproxy/envoy:")),
    ("what serves traffic for the model-server pods", in_ns("ml-batch", is_("Service", "model-server"))),
    ("services that select rabbitmq", is_("Service", "rabbitmq", "mail")),
    ("which policy isolates the mysql pods", is_("NetworkPolicy", "mysql-from-keycloak")),
    ("disruption budget of the checkout", is_("PodDisruptionBudget", "checkout")),
    ("which ingress routes to keycloak", routes_to("keycloak")),
    ("which host leads to grafana", routes_to("grafana")),
    ("what backend does the storefront ingress send to", any_of(is_("Service", "frontend", "shop"), is_("Service", "checkout", "shop"))),
    ("is there an autoscaler for the gateway", scales("gateway")),
    ("who claims pv-photos", is_("PersistentVolumeClaim", "photos", "media")),
    ("which disk backs the training-data claim", is_("PersistentVolume", "pv-training-data")),
    ("claims on fast-ssd", storage("fast-ssd")),
    ("who may act as deployer", binding(role="deployer")),
    ("which bindings give rights to the prometheus service account", binding(subject="prometheus")),
    ("who grants read-pods", binding(role="read-pods")),
    ("statefulsets governed by service postgres", lambda o: kind(o, "StatefulSet") and o["spec"]["serviceName"] == "postgres"),
    ("webhooks that call guard", is_("ValidatingWebhookConfiguration", "policy-guard")),
]


def write(objects, file, queries):
    with open(ROOT / file, "w") as f:
        for question, test in queries:
            ids = [object_id(o) for o in objects if test(o)]
            assert ids, question
            assert len(ids) <= 8, (question, len(ids))
            f.write(question + "\t" + ",".join(ids) + "\n")
    print(len(queries), "questions")


def main():
    objects = []
    for path in sorted(OBJECTS.glob("*.json")):
        objects += json.loads(path.read_text())["items"]
    write(objects, "relations.tsv", QUERIES)
    write(objects, "held-out.tsv", HELD_OUT)


if __name__ == "__main__":
    main()
