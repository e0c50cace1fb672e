/* What is said of each kind that every cluster has, beside its pod template. */
#include "sink/vector/document_text.h"

#include "base/mem.h"

static void put_names(struct prose *t, const struct tree *list, struct str before)
{
	tree_each(e, list) PROSE_ITEM(t, before, tree_text(e));
}

static void put_keys(struct prose *t, const struct tree *object)
{
	tree_each(e, object) PROSE_ITEM(t, e->key);
}

static void put_at(struct prose *t, const char *label, const struct tree *object, const char *path)
{
	prose_part(t, label);
	PROSE_ITEM(t, prose_value(tree_text_at(object, path)));
}

static void put_selector(struct prose *t, const char *label, const struct tree *selector)
{
	prose_part(t, label);
	document_pairs(t, tree_get(selector, "matchLabels") ? tree_get(selector, "matchLabels")
							    : selector);
}

/* ---- workloads ------------------------------------------------------------------------------- */

static void workload(struct prose *t, const struct tree *o)
{
	put_at(t, "replicas", o, "spec.replicas");
	put_at(t, "strategy", o, "spec.strategy.type");
	put_at(t, "governing service", o, "spec.serviceName");
}

static void cron_job(struct prose *t, const struct tree *o)
{
	put_at(t, "schedule", o, "spec.schedule");
	put_at(t, "time zone", o, "spec.timeZone");
	put_at(t, "concurrency", o, "spec.concurrencyPolicy");
	prose_part(t, "");
	PROSE_ITEM(t, tree_is_true(tree_at(o, "spec.suspend")) ? STR("suspended paused") : STR(""));
}

static void job(struct prose *t, const struct tree *o)
{
	put_at(t, "completions", o, "spec.completions");
	put_at(t, "parallelism", o, "spec.parallelism");
	put_at(t, "retries", o, "spec.backoffLimit");
}

static void pod(struct prose *t, const struct tree *o)
{
	put_at(t, "node", o, "spec.nodeName");
}

static void autoscaler(struct prose *t, const struct tree *o)
{
	prose_part(t, "scales");
	PROSE_ITEM(t, tree_text_at(o, "spec.scaleTargetRef.kind"),
		   tree_text_at(o, "spec.scaleTargetRef.name"));
	put_at(t, "min replicas", o, "spec.minReplicas");
	put_at(t, "max replicas", o, "spec.maxReplicas");
	prose_part(t, "by");
	tree_each(m, tree_at(o, "spec.metrics"))
		PROSE_ITEM(t, tree_text_at(m, "resource.name"), tree_text_at(m, "pods.metric.name"),
			   tree_text_at(m, "external.metric.name"),
			   tree_text_at(m, "resource.target.averageUtilization"));
}

static void disruption_budget(struct prose *t, const struct tree *o)
{
	put_at(t, "min available", o, "spec.minAvailable");
	put_at(t, "max unavailable", o, "spec.maxUnavailable");
	put_selector(t, "protects pods with", tree_at(o, "spec.selector"));
}

/* ---- network --------------------------------------------------------------------------------- */

static void service(struct prose *t, const struct tree *o)
{
	put_at(t, "type", o, "spec.type");
	prose_part(t, "");
	if (str_eq(tree_text_at(o, "spec.clusterIP"), STR("None")))
		PROSE_ITEM(t, STR("headless"));
	prose_part(t, "ports");
	tree_each(p, tree_at(o, "spec.ports"))
		PROSE_ITEM(t, tree_text_at(p, "name"), tree_text_at(p, "port"),
			   tree_text_at(p, "protocol"), STR("to"), tree_text_at(p, "targetPort"));
	put_selector(t, "selects pods with", tree_at(o, "spec.selector"));
	put_at(t, "external name", o, "spec.externalName");
	put_at(t, "load balancer", o, "spec.loadBalancerIP");
}

static void ingress_rule(struct prose *t, const struct tree *rule)
{
	tree_each(p, tree_at(rule, "http.paths"))
		PROSE_ITEM(t, tree_text_at(rule, "host"), tree_text_at(p, "path"),
			   STR("to service"), tree_text_at(p, "backend.service.name"),
			   tree_text_at(p, "backend.service.port.number"),
			   tree_text_at(p, "backend.service.port.name"));
}

static void ingress(struct prose *t, const struct tree *o)
{
	put_at(t, "class", o, "spec.ingressClassName");
	prose_part(t, "routes");
	tree_each(r, tree_at(o, "spec.rules")) ingress_rule(t, r);
	PROSE_ITEM(t,
		   tree_at(o, "spec.defaultBackend.service.name") ? STR("default to service")
								  : STR(""),
		   tree_text_at(o, "spec.defaultBackend.service.name"));
	prose_part(t, "tls");
	tree_each(x, tree_at(o, "spec.tls"))
	{
		PROSE_ITEM(t, STR("secret"), tree_text_at(x, "secretName"));
		put_names(t, tree_get(x, "hosts"), STR("host"));
	}
}

static void put_peers(struct prose *t, const struct tree *peers)
{
	tree_each(p, peers)
	{
		tree_each(l, tree_at(p, "podSelector.matchLabels"))
			PROSE_ITEM(t, STR("pods"), l->key, tree_text(l));
		tree_each(l, tree_at(p, "namespaceSelector.matchLabels"))
			PROSE_ITEM(t, STR("namespaces"), l->key, tree_text(l));
		PROSE_ITEM(t, tree_text_at(p, "ipBlock.cidr"));
	}
}

static void put_rule_ports(struct prose *t, const struct tree *rule)
{
	tree_each(p, tree_get(rule, "ports"))
		PROSE_ITEM(t, STR("port"), tree_text_at(p, "port"), tree_text_at(p, "protocol"));
}

static void network_policy(struct prose *t, const struct tree *o)
{
	put_selector(t, "applies to pods with", tree_at(o, "spec.podSelector"));
	prose_part(t, "types");
	put_names(t, tree_at(o, "spec.policyTypes"), (struct str){0});
	prose_part(t, "allows from");
	tree_each(r, tree_at(o, "spec.ingress"))
	{
		put_peers(t, tree_get(r, "from"));
		put_rule_ports(t, r);
	}
	prose_part(t, "allows to");
	tree_each(r, tree_at(o, "spec.egress"))
	{
		put_peers(t, tree_get(r, "to"));
		put_rule_ports(t, r);
	}
	prose_part(t, "");
	if (!tree_at(o, "spec.ingress") && !tree_at(o, "spec.egress"))
		PROSE_ITEM(t, STR("denies everything"));
}

/* ---- storage --------------------------------------------------------------------------------- */

static void volume_claim(struct prose *t, const struct tree *o)
{
	put_at(t, "size", o, "spec.resources.requests.storage");
	put_at(t, "storage class", o, "spec.storageClassName");
	prose_part(t, "access");
	put_names(t, tree_at(o, "spec.accessModes"), (struct str){0});
	put_at(t, "bound to volume", o, "spec.volumeName");
	put_at(t, "from snapshot", o, "spec.dataSource.name");
}

static bool is_volume_source(const struct tree *member)
{
	return member->type == TREE_OBJECT && !str_eq(member->key, STR("capacity")) &&
	       !str_eq(member->key, STR("claimRef")) && !str_eq(member->key, STR("nodeAffinity"));
}

static void persistent_volume(struct prose *t, const struct tree *o)
{
	put_at(t, "size", o, "spec.capacity.storage");
	put_at(t, "storage class", o, "spec.storageClassName");
	prose_part(t, "source");
	tree_each(m, tree_get(o, "spec")) if (is_volume_source(m))
		PROSE_ITEM(t, m->key, tree_text_at(m, "driver"), tree_text_at(m, "server"),
			   tree_text_at(m, "path"));
	prose_part(t, "claimed by");
	PROSE_ITEM(t, tree_text_at(o, "spec.claimRef.namespace"),
		   tree_text_at(o, "spec.claimRef.name"));
	put_at(t, "reclaim", o, "spec.persistentVolumeReclaimPolicy");
}

static void storage_class(struct prose *t, const struct tree *o)
{
	put_at(t, "provisioner", o, "provisioner");
	prose_part(t, "parameters");
	document_pairs(t, tree_get(o, "parameters"));
	put_at(t, "reclaim", o, "reclaimPolicy");
	put_at(t, "binding", o, "volumeBindingMode");
	prose_part(t, "");
	PROSE_ITEM(t,
		   tree_is_true(tree_get(o, "allowVolumeExpansion")) ? STR("expandable") : STR(""));
}

/* ---- configuration --------------------------------------------------------------------------- */

static void config_map(struct prose *t, const struct tree *o)
{
	prose_part(t, "keys");
	put_keys(t, tree_get(o, "data"));
	put_keys(t, tree_get(o, "binaryData"));
}

static void secret(struct prose *t, const struct tree *o)
{
	put_at(t, "type", o, "type");
	prose_part(t, "keys");
	put_keys(t, tree_get(o, "data"));
	put_keys(t, tree_get(o, "stringData"));
}

static void quota(struct prose *t, const struct tree *o)
{
	prose_part(t, "limits");
	document_pairs(t, tree_at(o, "spec.hard"));
}

static void limit_range(struct prose *t, const struct tree *o)
{
	tree_each(l, tree_at(o, "spec.limits"))
	{
		prose_part(t, "per");
		PROSE_ITEM(t, tree_text_at(l, "type"));
		prose_part(t, "default");
		document_pairs(t, tree_get(l, "default"));
		prose_part(t, "max");
		document_pairs(t, tree_get(l, "max"));
	}
}

static void priority_class(struct prose *t, const struct tree *o)
{
	put_at(t, "value", o, "value");
	put_at(t, "", o, "description");
	prose_part(t, "");
	PROSE_ITEM(t, tree_is_true(tree_get(o, "globalDefault")) ? STR("global default") : STR(""));
}

/* ---- permissions ----------------------------------------------------------------------------- */

static void put_list(struct prose *t, const struct tree *list)
{
	_buf_ struct buf b = {.max = 512};

	tree_each(e, list) if (buf_printf(&b, "%s%.*s", b.n ? " " : "", STR_ARG(tree_text(e))) <
			       0) break;
	PROSE_ITEM(t, buf_str(&b));
}

static void role(struct prose *t, const struct tree *o)
{
	tree_each(r, tree_get(o, "rules"))
	{
		prose_part(t, "may");
		put_list(t, tree_get(r, "verbs"));
		prose_part(t, "on");
		put_list(t, tree_get(r, "resources"));
		put_list(t, tree_get(r, "nonResourceURLs"));
		prose_part(t, "named");
		put_list(t, tree_get(r, "resourceNames"));
	}
	prose_part(t, "");
	PROSE_ITEM(t, tree_get(o, "aggregationRule") ? STR("aggregated") : STR(""));
}

static void role_binding(struct prose *t, const struct tree *o)
{
	prose_part(t, "grants");
	PROSE_ITEM(t, tree_text_at(o, "roleRef.kind"), tree_text_at(o, "roleRef.name"));
	prose_part(t, "to");
	tree_each(s, tree_get(o, "subjects")) PROSE_ITEM(
		t, tree_text_at(s, "kind"), tree_text_at(s, "namespace"), tree_text_at(s, "name"));
}

static void service_account(struct prose *t, const struct tree *o)
{
	prose_part(t, "image pull secret");
	tree_each(s, tree_get(o, "imagePullSecrets")) PROSE_ITEM(t, tree_text_at(s, "name"));
}

static void webhooks(struct prose *t, const struct tree *o)
{
	tree_each(w, tree_get(o, "webhooks"))
	{
		prose_part(t, "calls");
		PROSE_ITEM(t, STR("service"), tree_text_at(w, "clientConfig.service.namespace"),
			   tree_text_at(w, "clientConfig.service.name"));
		tree_each(r, tree_get(w, "rules"))
		{
			put_list(t, tree_get(r, "operations"));
			put_list(t, tree_get(r, "resources"));
		}
		PROSE_ITEM(t, tree_get(w, "failurePolicy") ? STR("on failure") : STR(""),
			   tree_text_at(w, "failurePolicy"));
	}
}

/* ---- the cluster ----------------------------------------------------------------------------- */

static void node(struct prose *t, const struct tree *o)
{
	put_at(t, "kubelet", o, "status.nodeInfo.kubeletVersion");
	put_at(t, "system", o, "status.nodeInfo.osImage");
	put_at(t, "runtime", o, "status.nodeInfo.containerRuntimeVersion");
	put_at(t, "architecture", o, "status.nodeInfo.architecture");
	prose_part(t, "taints");
	tree_each(x, tree_at(o, "spec.taints")) PROSE_ITEM(
		t, tree_text_at(x, "key"), tree_text_at(x, "value"), tree_text_at(x, "effect"));
	prose_part(t, "");
	PROSE_ITEM(t, tree_is_true(tree_at(o, "spec.unschedulable")) ? STR("unschedulable cordoned")
								     : STR(""));
}

static void definition(struct prose *t, const struct tree *o)
{
	put_at(t, "defines", o, "spec.names.kind");
	put_at(t, "group", o, "spec.group");
	put_at(t, "plural", o, "spec.names.plural");
	prose_part(t, "short names");
	put_names(t, tree_at(o, "spec.names.shortNames"), (struct str){0});
	put_at(t, "scope", o, "spec.scope");
	prose_part(t, "versions");
	tree_each(v, tree_at(o, "spec.versions")) PROSE_ITEM(t, tree_text_at(v, "name"));
	prose_part(t, "");
	tree_each(v, tree_at(o, "spec.versions"))
	{
		struct str words = tree_text_at(v, "schema.openAPIV3Schema.description");

		PROSE_ITEM(t, str_make(words.p, MIN(words.n, (size_t)300)));
	}
}

static void api_service(struct prose *t, const struct tree *o)
{
	prose_part(t, "served by");
	PROSE_ITEM(t, tree_text_at(o, "spec.service.namespace"),
		   tree_text_at(o, "spec.service.name"));
}

static void ingress_class(struct prose *t, const struct tree *o)
{
	put_at(t, "controller", o, "spec.controller");
}

static void nothing(struct prose *t, const struct tree *o)
{
	(void)t;
	(void)o;
}

static const struct {
	const char *group, *kind;
	void (*put)(struct prose *t, const struct tree *o);
} kinds[] = {
	{"", "Pod", pod},
	{"", "Service", service},
	{"", "ConfigMap", config_map},
	{"", "Secret", secret},
	{"", "ServiceAccount", service_account},
	{"", "PersistentVolumeClaim", volume_claim},
	{"", "PersistentVolume", persistent_volume},
	{"", "Node", node},
	{"", "Namespace", nothing},
	{"", "ResourceQuota", quota},
	{"", "LimitRange", limit_range},
	{"", "ReplicationController", workload},
	{"apps", "Deployment", workload},
	{"apps", "ReplicaSet", workload},
	{"apps", "StatefulSet", workload},
	{"apps", "DaemonSet", workload},
	{"batch", "Job", job},
	{"batch", "CronJob", cron_job},
	{"autoscaling", "HorizontalPodAutoscaler", autoscaler},
	{"policy", "PodDisruptionBudget", disruption_budget},
	{"networking.k8s.io", "Ingress", ingress},
	{"networking.k8s.io", "IngressClass", ingress_class},
	{"networking.k8s.io", "NetworkPolicy", network_policy},
	{"storage.k8s.io", "StorageClass", storage_class},
	{"rbac.authorization.k8s.io", "Role", role},
	{"rbac.authorization.k8s.io", "ClusterRole", role},
	{"rbac.authorization.k8s.io", "RoleBinding", role_binding},
	{"rbac.authorization.k8s.io", "ClusterRoleBinding", role_binding},
	{"scheduling.k8s.io", "PriorityClass", priority_class},
	{"admissionregistration.k8s.io", "ValidatingWebhookConfiguration", webhooks},
	{"admissionregistration.k8s.io", "MutatingWebhookConfiguration", webhooks},
	{"apiextensions.k8s.io", "CustomResourceDefinition", definition},
	{"apiregistration.k8s.io", "APIService", api_service},
};

bool document_kind(struct prose *t, struct str group, struct str kind, const struct tree *object)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kind, str_of(kinds[i].kind)) && str_eq(group, str_of(kinds[i].group))) {
			kinds[i].put(t, object);
			return true;
		}
	return false;
}
