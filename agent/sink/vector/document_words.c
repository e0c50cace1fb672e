/*
 * Words that people use for things that are called otherwise: a phrase for each kind,
 * and the long forms of short words in names.
 */
#include "sink/vector/document_text.h"

#include "base/mem.h"

#include <ctype.h>

static const struct {
	const char *group, *kind, *words;
} synonyms[] = {
	{"", "Pod", "running instance"},
	{"", "Service", "endpoint address load balancing exposes"},
	{"", "ConfigMap", "configuration settings"},
	{"", "Secret", "credentials password token certificate"},
	{"", "ServiceAccount", "identity account"},
	{"", "PersistentVolumeClaim", "storage request disk volume data"},
	{"", "PersistentVolume", "storage disk volume data"},
	{"", "Node", "machine host server worker"},
	{"", "Namespace", "project tenant environment"},
	{"", "ResourceQuota", "limit budget cpu memory allowance"},
	{"", "LimitRange", "default limits requests"},
	{"apps", "Deployment", "workload application"},
	{"apps", "ReplicaSet", "workload revision"},
	{"apps", "StatefulSet", "workload stateful application data"},
	{"apps", "DaemonSet", "workload agent on every node"},
	{"batch", "Job", "task run once batch"},
	{"batch", "CronJob", "scheduled periodic recurring task batch"},
	{"autoscaling", "HorizontalPodAutoscaler", "autoscaling scale automatically hpa"},
	{"policy", "PodDisruptionBudget", "availability eviction maintenance drain"},
	{"networking.k8s.io", "Ingress", "http route url domain public website"},
	{"networking.k8s.io", "NetworkPolicy", "firewall traffic isolation allowed"},
	{"storage.k8s.io", "StorageClass", "disk type provisioner"},
	{"rbac.authorization.k8s.io", "Role", "permissions access rights"},
	{"rbac.authorization.k8s.io", "ClusterRole", "permissions access rights"},
	{"rbac.authorization.k8s.io", "RoleBinding", "permissions access granted who"},
	{"rbac.authorization.k8s.io", "ClusterRoleBinding", "permissions access granted who"},
	{"scheduling.k8s.io", "PriorityClass", "priority preemption importance"},
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration",
	 "admission webhook validation"},
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration",
	 "admission webhook mutation injection"},
	{"apiextensions.k8s.io", "CustomResourceDefinition", "crd custom resource type"},
};

struct str document_synonyms(struct str group, struct str kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(synonyms); i++)
		if (str_eq(kind, str_of(synonyms[i].kind)) &&
		    str_eq(group, str_of(synonyms[i].group)))
			return str_of(synonyms[i].words);
	return (struct str){0};
}

static const struct {
	const char *brief, *words;
} long_forms[] = {
	{"db", "database"},
	{"dbs", "databases"},
	{"pg", "postgres"},
	{"postgres", "database"},
	{"postgresql", "database"},
	{"mysql", "database"},
	{"mongo", "mongodb database"},
	{"mongodb", "database"},
	{"redis", "cache"},
	{"memcached", "cache"},
	{"svc", "service"},
	{"cfg", "configuration"},
	{"conf", "configuration"},
	{"auth", "authentication"},
	{"authn", "authentication"},
	{"authz", "authorization"},
	{"creds", "credentials"},
	{"cred", "credentials"},
	{"pw", "password"},
	{"tls", "certificate"},
	{"cert", "certificate"},
	{"certs", "certificates"},
	{"api", "interface"},
	{"ui", "user interface frontend"},
	{"fe", "frontend"},
	{"be", "backend"},
	{"mq", "message queue"},
	{"kafka", "message queue"},
	{"rabbitmq", "message queue"},
	{"nats", "message queue"},
	{"prom", "prometheus"},
	{"prometheus", "monitoring metrics"},
	{"grafana", "dashboard monitoring"},
	{"loki", "logs"},
	{"fluentd", "logs"},
	{"fluent", "logs"},
	{"es", "elasticsearch"},
	{"elasticsearch", "search"},
	{"k8s", "kubernetes"},
	{"ns", "namespace"},
	{"lb", "load balancer"},
	{"gw", "gateway"},
	{"mgmt", "management"},
	{"img", "image"},
	{"prod", "production"},
	{"stg", "staging"},
	{"dev", "development"},
	{"repl", "replica"},
	{"ml", "machine learning"},
	{"etl", "pipeline"},
	{"smtp", "mail"},
	{"sa", "service account"},
	{"acct", "account"},
};

static void put_long_form(struct prose *t, struct str word, uint64_t *said)
{
	const char first = word.n ? (char)tolower((unsigned char)word.p[0]) : '\0';

	for (size_t i = 0; i < ARRAY_SIZE(long_forms); i++)
		if (first == long_forms[i].brief[0] && !(*said & (1ULL << i)) &&
		    str_ieq(word, str_of(long_forms[i].brief))) {
			*said |= 1ULL << i;
			PROSE_ITEM(t, str_of(long_forms[i].words));
		}
}

void document_long_forms(struct prose *t)
{
	uint64_t said = 0;

	_Static_assert(ARRAY_SIZE(long_forms) <= 64, "one bit each");
	for (uint32_t k = 0; k < t->n_named; k++) {
		size_t begin = 0;

		for (size_t i = 0; i <= t->named[k].n; i++) {
			if (i < t->named[k].n && isalnum((unsigned char)t->named[k].p[i]))
				continue;
			put_long_form(t, str_make(t->named[k].p + begin, i - begin), &said);
			begin = i + 1;
		}
	}
}
