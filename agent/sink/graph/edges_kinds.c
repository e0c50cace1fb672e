/*
 * What each kind says in a way of its own, and which kinds have no namespace.
 */
#include "base/mem.h"
#include "model/object.h"
#include "sink/graph/edges_parts.h"

#define NONE ((struct str){0})

struct known {
	struct str kind, group;
	bool cluster;
};
static const struct known kinds[] = {
	{STR("Deployment"), STR("apps"), false},
	{STR("StatefulSet"), STR("apps"), false},
	{STR("DaemonSet"), STR("apps"), false},
	{STR("ReplicaSet"), STR("apps"), false},
	{STR("ControllerRevision"), STR("apps"), false},
	{STR("Job"), STR("batch"), false},
	{STR("CronJob"), STR("batch"), false},
	{STR("Ingress"), STR("networking.k8s.io"), false},
	{STR("NetworkPolicy"), STR("networking.k8s.io"), false},
	{STR("IngressClass"), STR("networking.k8s.io"), true},
	{STR("HorizontalPodAutoscaler"), STR("autoscaling"), false},
	{STR("PodDisruptionBudget"), STR("policy"), false},
	{STR("Role"), STR("rbac.authorization.k8s.io"), false},
	{STR("RoleBinding"), STR("rbac.authorization.k8s.io"), false},
	{STR("ClusterRole"), STR("rbac.authorization.k8s.io"), true},
	{STR("ClusterRoleBinding"), STR("rbac.authorization.k8s.io"), true},
	{STR("StorageClass"), STR("storage.k8s.io"), true},
	{STR("CSIDriver"), STR("storage.k8s.io"), true},
	{STR("VolumeAttachment"), STR("storage.k8s.io"), true},
	{STR("PriorityClass"), STR("scheduling.k8s.io"), true},
	{STR("RuntimeClass"), STR("node.k8s.io"), true},
	{STR("Gateway"), STR("gateway.networking.k8s.io"), false},
	{STR("GatewayClass"), STR("gateway.networking.k8s.io"), true},
	{STR("Node"), STR(""), true},
	{STR("Namespace"), STR(""), true},
	{STR("PersistentVolume"), STR(""), true},
	{STR("ClusterIssuer"), STR("cert-manager.io"), true},
	{STR("GitRepository"), STR("source.toolkit.fluxcd.io"), false},
	{STR("OCIRepository"), STR("source.toolkit.fluxcd.io"), false},
	{STR("HelmRepository"), STR("source.toolkit.fluxcd.io"), false},
	{STR("HelmChart"), STR("source.toolkit.fluxcd.io"), false},
	{STR("Bucket"), STR("source.toolkit.fluxcd.io"), false},
};

static const struct known *known_kind(struct str kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].kind, kind))
			return &kinds[i];
	return NULL;
}

struct str group_of_kind(struct str kind)
{
	const struct known *k = known_kind(kind);

	return k ? k->group : NONE;
}

bool kind_is_cluster_scoped(struct str group, struct str kind)
{
	const struct known *k = known_kind(kind);

	return k && k->cluster && str_eq(k->group, group);
}

static void at(struct maker *m, const char *place)
{
	m->n_place = strlen(place);
	memcpy(m->place, place, m->n_place);
}

static void select_pods(struct maker *m, const struct tree *selector)
{
	make_selector(m, STR("Pod"), NONE, tree_get(selector, "matchLabels"),
		      tree_get(selector, "matchExpressions"));
}

static void service(struct maker *m)
{
	const struct tree *selector = tree_at(m->object, "spec.selector");

	at(m, "spec.selector");
	if (selector && selector->n)
		make_selector(m, STR("Pod"), NONE, selector, NULL);
}

static void network_policy(struct maker *m)
{
	at(m, "spec.podSelector");
	select_pods(m, tree_at(m->object, "spec.podSelector"));
}

static void disruption_budget(struct maker *m)
{
	const struct tree *selector = tree_at(m->object, "spec.selector");

	at(m, "spec.selector");
	if (selector)
		select_pods(m, selector);
}

static void to_service(struct maker *m, enum graph_type type, const struct tree *backend,
		       struct str via)
{
	struct str ns = tree_text(tree_get(backend, "namespace"));
	struct str name = tree_text(tree_get(backend, "name"));
	struct graph_ref to = ref_named(m, "", "Service", name);

	if (ns.n)
		to.ns = ns;
	make_edge(m, type, NULL, to, via, NONE);
}

static void ingress(struct maker *m)
{
	const struct tree *spec = tree_get(m->object, "spec");

	to_service(m, GRAPH_ROUTES_TO, tree_at(spec, "defaultBackend.service"), STR("default"));
	tree_each(rule, tree_get(spec, "rules")) tree_each(path, tree_at(rule, "http.paths"))
	{
		struct str host = tree_text(tree_get(rule, "host"));
		struct str p = tree_text(tree_get(path, "path"));

		m->n_place = 0;
		at(m, "");
		m->n_place = MIN(host.n + p.n, sizeof(m->place));
		if (host.n + p.n <= sizeof(m->place)) {
			memcpy(m->place, host.n ? host.p : "", host.n);
			memcpy(m->place + host.n, p.n ? p.p : "", p.n);
		} else {
			m->n_place = 0;
		}
		to_service(m, GRAPH_ROUTES_TO, tree_at(path, "backend.service"), make_place(m));
	}
}

static void claim(struct maker *m)
{
	make_edge(m, GRAPH_BOUND_TO, NULL,
		  ref_named(m, "", "PersistentVolume", tree_text_at(m->object, "spec.volumeName")),
		  STR("spec.volumeName"), NONE);
}

static void binding(struct maker *m)
{
	const struct tree *role = tree_get(m->object, "roleRef");

	make_edge(m, GRAPH_GRANTS, NULL, ref_of(m, role, tree_text(tree_get(role, "kind"))),
		  STR("roleRef"), NONE);
	tree_each(s, tree_get(m->object, "subjects"))
	{
		struct graph_ref to = ref_of(m, s, tree_text(tree_get(s, "kind")));

		if (str_eq(to.kind, STR("User")) || str_eq(to.kind, STR("Group"))) {
			to.group = STR("rbac.authorization.k8s.io");
			to.ns = NONE;
			make_part(m, to, NULL);
		}
		make_edge(m, GRAPH_GRANTS_TO, NULL, to, STR("subjects"), NONE);
	}
}

static void stateful_set(struct maker *m)
{
	make_edge(m, GRAPH_GOVERNED_BY, NULL,
		  ref_named(m, "", "Service", tree_text_at(m->object, "spec.serviceName")),
		  STR("spec.serviceName"), NONE);
}

static void service_account(struct maker *m)
{
	tree_each(s, tree_get(m->object, "secrets")) make_edge(
		m, GRAPH_USES_SECRET, NULL,
		ref_named(m, "", "Secret", tree_text(tree_get(s, "name"))), STR("secrets"), NONE);
}

/* HTTPRoute, GRPCRoute, TLSRoute, TCPRoute, UDPRoute */
static void route(struct maker *m)
{
	const struct tree *spec = tree_get(m->object, "spec");

	tree_each(p, tree_get(spec, "parentRefs"))
	{
		struct str kind = tree_text(tree_get(p, "kind"));

		make_edge(m, GRAPH_ATTACHED_TO, NULL, ref_of(m, p, kind.n ? kind : STR("Gateway")),
			  STR("spec.parentRefs"), NONE);
	}
	tree_each(rule, tree_get(spec, "rules")) tree_each(b, tree_get(rule, "backendRefs"))
	{
		struct str kind = tree_text(tree_get(b, "kind"));

		if (!kind.n || str_eq(kind, STR("Service")))
			to_service(m, GRAPH_ROUTES_TO, b, STR("spec.rules"));
	}
}

static void gateway(struct maker *m)
{
	tree_each(l, tree_at(m->object, "spec.listeners"))
		tree_each(c, tree_at(l, "tls.certificateRefs"))
	{
		struct str kind = tree_text(tree_get(c, "kind"));

		if (!kind.n || str_eq(kind, STR("Secret")))
			make_edge(m, GRAPH_USES_SECRET, NULL, ref_of(m, c, STR("Secret")),
				  STR("spec.listeners"), NONE);
	}
}

static void webhooks(struct maker *m)
{
	tree_each(w, tree_get(m->object, "webhooks")) to_service(
		m, GRAPH_CALLS, tree_at(w, "clientConfig.service"), tree_text(tree_get(w, "name")));
}

static void api_service(struct maker *m)
{
	to_service(m, GRAPH_CALLS, tree_at(m->object, "spec.service"), STR("spec.service"));
}

static void volume_attachment(struct maker *m)
{
	const struct tree *spec = tree_get(m->object, "spec");

	make_edge(m, GRAPH_BOUND_TO, NULL,
		  ref_named(m, "", "PersistentVolume",
			    tree_text_at(spec, "source.persistentVolumeName")),
		  STR("spec.source"), NONE);
	make_edge(m, GRAPH_RUNS_ON, NULL,
		  ref_named(m, "", "Node", tree_text(tree_get(spec, "nodeName"))),
		  STR("spec.nodeName"), NONE);
}

static void artifact(struct maker *m, enum graph_type type, struct str digest, struct str via)
{
	struct graph_ref to = {.kind = STR("OCIArtifact"), .name = digest};

	if (!digest.n || !memchr(digest.p, ':', digest.n))
		return;
	make_part(m, to, NULL);
	make_edge(m, type, NULL, to, via, NONE);
}

static void oci_repository(struct maker *m)
{
	artifact(m, GRAPH_RECONCILED, tree_text_at(m->object, "status.artifact.digest"),
		 STR("status.artifact.digest"));
}

static void kustomization(struct maker *m)
{
	struct str rest = tree_text_at(m->object, "status.lastAppliedRevision"), head;

	if (str_split(&rest, '@', &head))
		artifact(m, GRAPH_DEPLOYED, rest, STR("status.lastAppliedRevision"));
}

void make_by_kind(struct maker *m)
{
	static const struct {
		struct str group, kind;
		void (*make)(struct maker *m);
	} makers[] = {
		{STR(""), STR("Pod"), make_pod},
		{STR(""), STR("Service"), service},
		{STR(""), STR("PersistentVolumeClaim"), claim},
		{STR(""), STR("ServiceAccount"), service_account},
		{STR("apps"), STR("StatefulSet"), stateful_set},
		{STR("networking.k8s.io"), STR("Ingress"), ingress},
		{STR("networking.k8s.io"), STR("NetworkPolicy"), network_policy},
		{STR("policy"), STR("PodDisruptionBudget"), disruption_budget},
		{STR("rbac.authorization.k8s.io"), STR("RoleBinding"), binding},
		{STR("rbac.authorization.k8s.io"), STR("ClusterRoleBinding"), binding},
		{STR("storage.k8s.io"), STR("VolumeAttachment"), volume_attachment},
		{STR("gateway.networking.k8s.io"), STR("HTTPRoute"), route},
		{STR("gateway.networking.k8s.io"), STR("GRPCRoute"), route},
		{STR("gateway.networking.k8s.io"), STR("TLSRoute"), route},
		{STR("gateway.networking.k8s.io"), STR("TCPRoute"), route},
		{STR("gateway.networking.k8s.io"), STR("UDPRoute"), route},
		{STR("gateway.networking.k8s.io"), STR("Gateway"), gateway},
		{STR("admissionregistration.k8s.io"), STR("ValidatingWebhookConfiguration"),
		 webhooks},
		{STR("admissionregistration.k8s.io"), STR("MutatingWebhookConfiguration"),
		 webhooks},
		{STR("apiregistration.k8s.io"), STR("APIService"), api_service},
		{STR("source.toolkit.fluxcd.io"), STR("OCIRepository"), oci_repository},
		{STR("kustomize.toolkit.fluxcd.io"), STR("Kustomization"), kustomization},
	};

	for (size_t i = 0; i < ARRAY_SIZE(makers); i++)
		if (str_eq(makers[i].kind, m->self.kind) &&
		    str_eq(makers[i].group, m->self.group)) {
			m->n_place = 0;
			makers[i].make(m);
			return;
		}
}
