/*
 * Edges of one object: hand-made objects with their edges written by hand, and
 * recorded pods, whose edges jansson finds another way.
 */
#include "sink/graph/edges.h"

#include "base/mem.h"
#include "tests/lib/fixture.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#define ARENA_MAX ((size_t)64 << 20)

static void put(struct buf *b, struct str s)
{
	assert_int_equal(buf_append_str(b, s), 0);
}

/* "USES_SECRET Pod/a/b -> Secret/a/c (spec.x)", one a line, in order. */
static void write_edges(struct buf *b, const struct graph_set *s)
{
	for (uint32_t i = 0; i < s->n_edges; i++) {
		const struct graph_edge *e = &s->edges[i];

		assert_int_equal(buf_printf(b, "%s ", graph_type_name(e->type)), 0);
		assert_int_equal(graph_ref_put(b, &e->from), 0);
		put(b, STR(" -> "));
		assert_int_equal(graph_ref_put(b, &e->to), 0);
		if (graph_edge_selects(e))
			assert_int_equal(buf_printf(b, " {%.*s}", STR_ARG(e->selector)), 0);
		if (e->via.n)
			assert_int_equal(buf_printf(b, " (%.*s)", STR_ARG(e->via)), 0);
		if (e->props.n)
			assert_int_equal(buf_printf(b, " %.*s", STR_ARG(e->props)), 0);
		put(b, STR("\n"));
	}
}

static void edges_are(const char *json, const char *want)
{
	struct graph_set s;
	struct tree *t;
	struct arena a;
	_buf_ struct buf b;

	arena_init(&a, ARENA_MAX);
	buf_init(&b, ARENA_MAX);
	assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
	assert_int_equal(edges_of(t, &a, &s), 0);
	write_edges(&b, &s);
	put(&b, str_make("", 1));
	assert_string_equal(buf_str(&b).p, want);
	arena_done(&a);
}

#define META(name) "\"metadata\":{\"name\":\"" name "\",\"namespace\":\"pay\"}"

static void workloads(void **state)
{
	(void)state;
	/* The template counts as the workload's; one edge, all its places. */
	edges_are(
		"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\"," META(
			"gw") ",\"spec\":{"
			      "\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"spec\":"
			      "{"
			      "\"serviceAccountName\":\"robot\",\"imagePullSecrets\":[{\"name\":"
			      "\"reg\"}],"
			      "\"priorityClassName\":\"high\",\"containers\":[{\"name\":\"app\","
			      "\"image\":"
			      "\"gw:1.2\",\"env\":[{\"name\":\"PW\",\"valueFrom\":{"
			      "\"secretKeyRef\":{\"name\":"
			      "\"db\",\"key\":\"pw\"}}},{\"name\":\"C\",\"valueFrom\":{"
			      "\"configMapKeyRef\":{"
			      "\"name\":\"conf\",\"key\":\"c\"}}}],\"envFrom\":[{\"secretRef\":{"
			      "\"name\":\"db\"}},"
			      "{\"configMapRef\":{\"name\":\"conf2\"}}]}],\"volumes\":[{\"name\":"
			      "\"v\",\"secret\":{"
			      "\"secretName\":\"tls\"}},{\"name\":\"p\",\"projected\":{\"sources\":"
			      "[{\"secret\":{"
			      "\"name\":\"tok\"}},{\"configMap\":{\"name\":\"ca\"}}]}},{\"name\":"
			      "\"d\","
			      "\"persistentVolumeClaim\":{\"claimName\":\"data\"}},{\"name\":\"c\","
			      "\"csi\":{"
			      "\"driver\":\"x\",\"nodePublishSecretRef\":{\"name\":\"csi\"}}}]}}}}",
		"RUNS_AS Deployment.apps/pay/gw -> ServiceAccount/pay/robot "
		"(spec.template.spec.serviceAccountName)\n"
		"USES_SECRET Deployment.apps/pay/gw -> Secret/pay/reg "
		"(spec.template.spec.imagePullSecrets)\n"
		"USES_CLASS Deployment.apps/pay/gw -> PriorityClass.scheduling.k8s.io//high "
		"(spec.template.spec.priorityClassName)\n"
		"RUNS_IMAGE Deployment.apps/pay/gw -> Image//docker.io/library/gw:1.2 "
		"(spec.template.spec.containers[app].image)\n"
		"USES_SECRET Deployment.apps/pay/gw -> Secret/pay/db "
		"(spec.template.spec.containers[app].env[PW].valueFrom.secretKeyRef, "
		"spec.template.spec.containers[app].envFrom[0].secretRef)\n"
		"USES_CONFIGMAP Deployment.apps/pay/gw -> ConfigMap/pay/conf "
		"(spec.template.spec.containers[app].env[C].valueFrom.configMapKeyRef)\n"
		"USES_CONFIGMAP Deployment.apps/pay/gw -> ConfigMap/pay/conf2 "
		"(spec.template.spec.containers[app].envFrom[1].configMapRef)\n"
		"USES_SECRET Deployment.apps/pay/gw -> Secret/pay/tls "
		"(spec.template.spec.volumes[v].secret.secretName)\n"
		"USES_SECRET Deployment.apps/pay/gw -> Secret/pay/tok "
		"(spec.template.spec.volumes[p].projected.sources[0].secret)\n"
		"USES_CONFIGMAP Deployment.apps/pay/gw -> ConfigMap/pay/ca "
		"(spec.template.spec.volumes[p].projected.sources[1].configMap)\n"
		"USES_CLAIM Deployment.apps/pay/gw -> PersistentVolumeClaim/pay/data "
		"(spec.template.spec.volumes[d].persistentVolumeClaim.claimName)\n"
		"USES_SECRET Deployment.apps/pay/gw -> Secret/pay/csi "
		"(spec.template.spec.volumes[c].csi.nodePublishSecretRef)\n");
	edges_are("{\"apiVersion\":\"batch/v1\",\"kind\":\"CronJob\"," META(
			  "nightly") ",\"spec\":{"
				     "\"jobTemplate\":{\"spec\":{\"template\":{\"spec\":{"
				     "\"initContainers\":[{\"name\":"
				     "\"i\",\"image\":\"r:5000/x\"}]}}}}}}",
		  "RUNS_IMAGE CronJob.batch/pay/nightly -> Image//r:5000/x:latest "
		  "(spec.jobTemplate.spec.template.spec.initContainers[i].image)\n");
	edges_are(
		"{\"apiVersion\":\"apps/v1\",\"kind\":\"StatefulSet\"," META(
			"pg") ",\"spec\":{"
			      "\"serviceName\":\"pg-head\",\"volumeClaimTemplates\":[{\"metadata\":"
			      "{\"name\":"
			      "\"d\"},\"spec\":{\"storageClassName\":\"fast\"}}]}}",
		"USES_CLASS StatefulSet.apps/pay/pg -> StorageClass.storage.k8s.io//fast "
		"(spec.volumeClaimTemplates[0].spec.storageClassName)\n"
		"GOVERNED_BY StatefulSet.apps/pay/pg -> Service/pay/pg-head (spec.serviceName)\n");
}

static void pods(void **state)
{
	(void)state;
	edges_are(
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\","
		"\"namespace\":"
		"\"pay\",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\","
		"\"name\":\"rs\",\"controller\":true},{\"apiVersion\":\"x.io/v1\",\"kind\":\"Odd\","
		"\"name\":\"o\"},{\"apiVersion\":\"v1\",\"kind\":\"Node\",\"name\":\"w1\"}]},"
		"\"spec\":{\"nodeName\":\"w1\",\"serviceAccountName\":\"default\",\"containers\":[{"
		"\"name\":\"app\",\"image\":\"quay.io/t/gw:1\",\"volumeMounts\":[{\"name\":\"v\","
		"\"mountPath\":\"/"
		"v\",\"readOnly\":true}]}],\"ephemeralContainers\":[{\"name\":\"dbg\","
		"\"image\":\"busybox@sha256:ab\"}],\"volumes\":[{\"name\":\"v\",\"configMap\":{"
		"\"name\":"
		"\"cm\"}}]},\"status\":{\"containerStatuses\":[{\"name\":\"app\",\"imageID\":"
		"\"quay.io/t/gw@sha256:cd\"}]}}",
		"OWNS ReplicaSet.apps/pay/rs -> Pod/pay/p (metadata.ownerReferences) "
		"{\"controller\":true}\n"
		"OWNS Odd.x.io/pay/o -> Pod/pay/p (metadata.ownerReferences)\n"
		"OWNS Node//w1 -> Pod/pay/p (metadata.ownerReferences)\n"
		"RUNS_AS Pod/pay/p -> ServiceAccount/pay/default (spec.serviceAccountName)\n"
		"USES_CONFIGMAP Pod/pay/p -> ConfigMap/pay/cm (spec.volumes[v].configMap)\n"
		"HAS_CONTAINER Pod/pay/p -> Container/pay/p/app\n"
		"RUNS_IMAGE Pod/pay/p -> Image//quay.io/t/gw:1@sha256:cd (spec.containers[app])\n"
		"USES_VOLUME Container/pay/p/app -> Volume/pay/p/v (/v) "
		"{\"mount_path\":\"/v\",\"read_only\":true}\n"
		"HAS_CONTAINER Pod/pay/p -> Container/pay/p/dbg\n"
		"RUNS_IMAGE Pod/pay/p -> Image//docker.io/library/busybox@sha256:ab "
		"(spec.ephemeralContainers[dbg])\n"
		"USES_VOLUME Pod/pay/p -> Volume/pay/p/v\n"
		"BACKED_BY Volume/pay/p/v -> ConfigMap/pay/cm\n"
		"RUNS_ON Pod/pay/p -> Node//w1\n");
}

/* The properties of the node of this name; empty when there is none. */
static struct str props_of(struct arena *a, struct str json, const char *name)
{
	struct graph_set s;
	struct tree *t;

	assert_int_equal(tree_parse(a, json, &t), 0);
	assert_int_equal(edges_of(t, a, &s), 0);
	for (uint32_t i = 0; i < s.n_nodes; i++)
		if (str_eq(s.nodes[i].ref.name, str_of(name)))
			return s.nodes[i].props;
	return (struct str){0};
}

static void containers(void **state)
{
	static const char pod[] = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META(
		"p") ",\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"gw:1\","
		     "\"imagePullPolicy\":\"Always\",\"tty\":true,\"stdin\":false,"
		     "\"command\":[\"/gw\"],\"args\":[\"-v\",\"2\"],\"env\":[{"
		     "\"name\":\"PW\",\"valueFrom\":{\"secretKeyRef\":{\"name\":\"db\"}}}],"
		     "\"ports\":[{\"containerPort\":80}],\"resources\":{},\"lifecycle\":null,"
		     "\"livenessProbe\":{\"httpGet\":{\"path\":\"/\"}}}],\"initContainers\":["
		     "{\"name\":\"i\",\"restartPolicy\":\"Always\"}]}}";
	struct arena a;

	(void)state;
	arena_init(&a, ARENA_MAX);
	assert_true(str_eq(
		props_of(&a, STR(pod), "p/app"),
		STR("{\"type\":\"container\",\"image\":\"gw:1\",\"image_pull_policy\":\"Always\","
		    "\"stdin\":false,\"tty\":true,\"command\":[\"/gw\"],\"args\":[\"-v\",\"2\"],"
		    "\"env\":\"[{\\\"name\\\":\\\"PW\\\",\\\"valueFrom\\\":{\\\"secretKeyRef\\\":{"
		    "\\\"name\\\":\\\"db\\\"}}}]\",\"ports\":\"[{\\\"containerPort\\\":80}]\","
		    "\"liveness_probe\":\"{\\\"httpGet\\\":{\\\"path\\\":\\\"/\\\"}}\"}")));
	assert_true(str_eq(props_of(&a, STR(pod), "p/i"),
			   STR("{\"type\":\"initContainer\",\"restart_policy\":\"Always\"}")));
	arena_done(&a);
}

/* What is too long is left out, and the rest is JSON all the same. */
static void long_properties(void **state)
{
	_buf_ struct buf b;
	struct str props;
	struct arena a;

	(void)state;
	arena_init(&a, ARENA_MAX);
	buf_init(&b, ARENA_MAX);
	put(&b, STR("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META(
			"p") ",\"spec\":{\"containers\":[{\"name\":\"app\",\"tty\":true,"
			     "\"image\":\""));
	for (int i = 0; i < 5000; i++)
		put(&b, STR("x"));
	put(&b, STR("\",\"args\":[\"y\",\""));
	for (int i = 0; i < 5000; i++)
		put(&b, STR("y"));
	put(&b, STR("\"]}],\"volumes\":[{\"name\":\"v\",\""));
	for (int i = 0; i < 5000; i++)
		put(&b, STR("z"));
	put(&b, STR("\":{}}]}}"));
	props = props_of(&a, buf_str(&b), "p/app");
	assert_true(str_eq(props, STR("{\"type\":\"container\",\"tty\":true}")));
	assert_true(str_eq(props_of(&a, buf_str(&b), "p/v"), STR("{}")));
	arena_done(&a);
}

static void network(void **state)
{
	(void)state;
	edges_are("{\"apiVersion\":\"v1\",\"kind\":\"Service\"," META(
			  "s") ",\"spec\":{\"selector\":{"
			       "\"app\":\"web\",\"tier\":\"x\"}}}",
		  "SELECTS Service/pay/s -> Pod/pay/ {app=web,tier=x} (spec.selector)\n");
	edges_are("{\"apiVersion\":\"v1\",\"kind\":\"Service\"," META("s") ",\"spec\":{}}", "");
	edges_are("{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"NetworkPolicy\"," META(
			  "n") ",\"spec\":{\"podSelector\":{}}}",
		  "SELECTS NetworkPolicy.networking.k8s.io/pay/n -> Pod/pay/ {} "
		  "(spec.podSelector)\n");
	edges_are("{\"apiVersion\":\"policy/v1\",\"kind\":\"PodDisruptionBudget\"," META(
			  "b") ",\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"1\"},"
			       "\"matchExpressions\":[{"
			       "\"key\":\"t\",\"operator\":\"In\",\"values\":[\"x\",\"y\"]},{"
			       "\"key\":\"u\","
			       "\"operator\":\"NotIn\",\"values\":[\"z\"]},{\"key\":\"v\","
			       "\"operator\":\"Exists\"},"
			       "{\"key\":\"w\",\"operator\":\"DoesNotExist\"}]}}}",
		  "SELECTS PodDisruptionBudget.policy/pay/b -> Pod/pay/ "
		  "{a=1,t in (x,y),u notin (z),v,!w} (spec.selector)\n");
	edges_are("{\"apiVersion\":\"networking.k8s.io/v1\",\"kind\":\"Ingress\"," META(
			  "i") ",\"spec\":{\"ingressClassName\":\"nginx\",\"tls\":[{\"secretName\":"
			       "\"cert\"}],"
			       "\"defaultBackend\":{\"service\":{\"name\":\"d\"}},\"rules\":[{"
			       "\"host\":\"h\",\"http\":{"
			       "\"paths\":[{\"path\":\"/"
			       "a\",\"backend\":{\"service\":{\"name\":\"s\"}}},{\"path\":"
			       "\"/b\",\"backend\":{\"service\":{\"name\":\"s\"}}}]}}]}}",
		  "USES_CLASS Ingress.networking.k8s.io/pay/i -> "
		  "IngressClass.networking.k8s.io//nginx (spec.ingressClassName)\n"
		  "USES_SECRET Ingress.networking.k8s.io/pay/i -> Secret/pay/cert "
		  "(spec.tls[0].secretName)\n"
		  "ROUTES_TO Ingress.networking.k8s.io/pay/i -> Service/pay/d (default)\n"
		  "ROUTES_TO Ingress.networking.k8s.io/pay/i -> Service/pay/s (h/a, h/b)\n");
	edges_are("{\"apiVersion\":\"gateway.networking.k8s.io/v1\",\"kind\":\"HTTPRoute\"," META(
			  "r") ",\"spec\":{\"parentRefs\":[{\"name\":\"g\",\"namespace\":\"edge\"}]"
			       ",\"rules\":[{"
			       "\"backendRefs\":[{\"name\":\"s\"}]}]}}",
		  "ATTACHED_TO HTTPRoute.gateway.networking.k8s.io/pay/r -> "
		  "Gateway.gateway.networking.k8s.io/edge/g (spec.parentRefs)\n"
		  "ROUTES_TO HTTPRoute.gateway.networking.k8s.io/pay/r -> Service/pay/s "
		  "(spec.rules)\n");
}

static void others(void **state)
{
	(void)state;
	edges_are("{\"apiVersion\":\"autoscaling/v2\",\"kind\":\"HorizontalPodAutoscaler\"," META(
			  "h") ",\"spec\":{\"scaleTargetRef\":{\"apiVersion\":\"apps/"
			       "v1\",\"kind\":\"Deployment\","
			       "\"name\":\"gw\"}}}",
		  "SCALES HorizontalPodAutoscaler.autoscaling/pay/h -> Deployment.apps/pay/gw "
		  "(spec.scaleTargetRef)\n");
	edges_are("{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolumeClaim\"," META(
			  "c") ",\"spec\":{\"storageClassName\":\"fast\",\"volumeName\":\"pv1\"}}",
		  "USES_CLASS PersistentVolumeClaim/pay/c -> StorageClass.storage.k8s.io//fast "
		  "(spec.storageClassName)\n"
		  "BOUND_TO PersistentVolumeClaim/pay/c -> PersistentVolume//pv1 "
		  "(spec.volumeName)\n");
	edges_are("{\"apiVersion\":\"v1\",\"kind\":\"PersistentVolume\",\"metadata\":{\"name\":"
		  "\"pv1\"},"
		  "\"spec\":{\"storageClassName\":\"fast\",\"claimRef\":{\"kind\":\"X\",\"name\":"
		  "\"c\"},"
		  "\"csi\":{\"nodeStageSecretRef\":{\"name\":\"s\",\"namespace\":\"sys\"}}}}",
		  "USES_CLASS PersistentVolume//pv1 -> StorageClass.storage.k8s.io//fast "
		  "(spec.storageClassName)\n"
		  "USES_SECRET PersistentVolume//pv1 -> Secret/sys/s "
		  "(spec.csi.nodeStageSecretRef)\n");
	edges_are("{\"apiVersion\":\"rbac.authorization.k8s.io/v1\",\"kind\":\"RoleBinding\"," META(
			  "b") ",\"roleRef\":{\"apiGroup\":\"rbac.authorization.k8s.io\",\"kind\":"
			       "\"ClusterRole\","
			       "\"name\":\"view\"},\"subjects\":[{\"kind\":\"ServiceAccount\","
			       "\"name\":\"robot\","
			       "\"namespace\":\"ops\"},{\"kind\":\"Group\",\"apiGroup\":"
			       "\"rbac.authorization.k8s.io\",\"name\":\"devs\"}]}",
		  "GRANTS RoleBinding.rbac.authorization.k8s.io/pay/b -> "
		  "ClusterRole.rbac.authorization.k8s.io//view (roleRef)\n"
		  "GRANTS_TO RoleBinding.rbac.authorization.k8s.io/pay/b -> "
		  "ServiceAccount/ops/robot (subjects)\n"
		  "GRANTS_TO RoleBinding.rbac.authorization.k8s.io/pay/b -> "
		  "Group.rbac.authorization.k8s.io//devs (subjects)\n");
	edges_are("{\"apiVersion\":\"v1\",\"kind\":\"ServiceAccount\"," META(
			  "a") ",\"secrets\":[{\"name\":\"t\"}],\"imagePullSecrets\":[{\"name\":"
			       "\"r\"}]}",
		  "USES_SECRET ServiceAccount/pay/a -> Secret/pay/r (imagePullSecrets)\n"
		  "USES_SECRET ServiceAccount/pay/a -> Secret/pay/t (secrets)\n");
	edges_are("{\"apiVersion\":\"x.io/v1\",\"kind\":\"Widget\"," META(
			  "w") ",\"spec\":{\"auth\":{"
			       "\"passwordSecretRef\":{\"name\":\"s\"}},\"issuerRef\":{\"kind\":"
			       "\"ClusterIssuer\","
			       "\"group\":\"cert-manager.io\",\"name\":\"ca\"}}}",
		  "USES_SECRET Widget.x.io/pay/w -> Secret/pay/s (spec.auth.passwordSecretRef)\n"
		  "REFERS_TO Widget.x.io/pay/w -> ClusterIssuer.cert-manager.io//ca "
		  "(spec.issuerRef)\n");
	edges_are(
		"{\"apiVersion\":\"source.toolkit.fluxcd.io/v1\",\"kind\":\"OCIRepository\"," META(
			"o") ",\"status\":{\"artifact\":{\"digest\":\"sha256:ab\"}}}",
		"RECONCILED OCIRepository.source.toolkit.fluxcd.io/pay/o -> "
		"OCIArtifact//sha256:ab (status.artifact.digest)\n");
	edges_are("{\"apiVersion\":\"kustomize.toolkit.fluxcd.io/"
		  "v1\",\"kind\":\"Kustomization\"," META(
			  "k") ",\"spec\":{\"sourceRef\":{\"kind\":\"OCIRepository\",\"name\":"
			       "\"o\"}},"
			       "\"status\":{\"lastAppliedRevision\":\"v1@sha256:ab\"}}",
		  "REFERS_TO Kustomization.kustomize.toolkit.fluxcd.io/pay/k -> "
		  "OCIRepository.source.toolkit.fluxcd.io/pay/o (spec.sourceRef)\n"
		  "DEPLOYED Kustomization.kustomize.toolkit.fluxcd.io/pay/k -> "
		  "OCIArtifact//sha256:ab (status.lastAppliedRevision)\n");
	/* A schema that speaks of such fields. */
	edges_are(
		"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\","
		"\"metadata\":{\"name\":\"x\"},\"spec\":{\"secretName\":\"no\"}}",
		"");
}

static void images(void **state)
{
	static const struct {
		const char *text, *registry, *repository, *tag, *digest;
	} cases[] = {
		{"nginx", "docker.io", "nginx", "latest", ""},
		{"nginx:1.2", "docker.io", "nginx", "1.2", ""},
		{"team/app", "docker.io", "team/app", "latest", ""},
		{"localhost/app:x", "localhost", "app", "x", ""},
		{"r.example.com:5000/a/b", "r.example.com:5000", "a/b", "latest", ""},
		{"r.example.com/a:1@sha256:ab", "r.example.com", "a", "1", "sha256:ab"},
		{"app@sha256:ab", "docker.io", "app", "", "sha256:ab"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image_name n = image_parse(str_of(cases[i].text));

		if (!str_eq(n.registry, str_of(cases[i].registry)) ||
		    !str_eq(n.repository, str_of(cases[i].repository)) ||
		    !str_eq(n.tag, str_of(cases[i].tag)) ||
		    !str_eq(n.digest, str_of(cases[i].digest)))
			fail_msg("%s: %.*s %.*s %.*s %.*s", cases[i].text, STR_ARG(n.registry),
				 STR_ARG(n.repository), STR_ARG(n.tag), STR_ARG(n.digest));
	}
}

/* ---- recorded, found another way ------------------------------------------------------------- */

static const char *text_at(const json_t *o, const char *a, const char *b)
{
	const char *z = json_string_value(json_object_get(json_object_get(o, a), b));

	return z ? z : "";
}

static uint32_t count_type(const struct graph_set *s, enum graph_type type)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < s->n_edges; i++)
		n += s->edges[i].type == type;
	return n;
}

static bool has_edge(const struct graph_set *s, enum graph_type type, const char *to)
{
	for (uint32_t i = 0; i < s->n_edges; i++)
		if (s->edges[i].type == type && str_eq(s->edges[i].to.name, str_of(to)))
			return true;
	return false;
}

static void check_pod(const json_t *pod, const struct graph_set *s)
{
	const json_t *spec = json_object_get(pod, "spec"), *volumes, *v;
	size_t containers = json_array_size(json_object_get(spec, "containers")) +
			    json_array_size(json_object_get(spec, "initContainers")) +
			    json_array_size(json_object_get(spec, "ephemeralContainers"));
	size_t i;

	assert_int_equal(count_type(s, GRAPH_HAS_CONTAINER), containers);
	assert_int_equal(count_type(s, GRAPH_OWNS),
			 json_array_size(json_object_get(json_object_get(pod, "metadata"),
							 "ownerReferences")));
	assert_int_equal(has_edge(s, GRAPH_RUNS_ON, text_at(pod, "spec", "nodeName")),
			 *text_at(pod, "spec", "nodeName") != 0);
	assert_int_equal(has_edge(s, GRAPH_RUNS_AS, text_at(pod, "spec", "serviceAccountName")),
			 *text_at(pod, "spec", "serviceAccountName") != 0);
	volumes = json_object_get(spec, "volumes");
	json_array_foreach(volumes, i, v)
	{
		if (*text_at(v, "secret", "secretName"))
			assert_true(
				has_edge(s, GRAPH_USES_SECRET, text_at(v, "secret", "secretName")));
		if (*text_at(v, "configMap", "name"))
			assert_true(
				has_edge(s, GRAPH_USES_CONFIGMAP, text_at(v, "configMap", "name")));
	}
}

static void recorded_pods(void **state)
{
	static const char *const names[] = {"base-pods-json", "big-pods-json"};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		_buf_ struct buf body;
		json_t *root, *pod;
		struct arena a;
		size_t i;

		arena_init(&a, ARENA_MAX);
		assert_int_equal(fixture_read(names[k], &body), 0);
		root = json_loadb(body.p + body.off, body.n, 0, NULL);
		json_array_foreach(json_object_get(root, "items"), i, pod)
		{
			_free_ char *json = NULL;
			struct graph_set s, again;
			struct tree *t;

			(void)json_object_set_new(pod, "kind", json_string("Pod"));
			(void)json_object_set_new(pod, "apiVersion", json_string("v1"));
			json = json_dumps(pod, JSON_COMPACT);
			arena_reset(&a);
			assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
			assert_int_equal(edges_of(t, &a, &s), 0);
			assert_int_equal(edges_of(t, &a, &again), 0);
			assert_true(edges_hash(&s, STR("")) == edges_hash(&again, STR("")));
			check_pod(pod, &s);
		}
		json_decref(root);
		arena_done(&a);
	}
}

static void bad_objects(void **state)
{
	static const char *const bad[] = {"{}", "[]", "1", "{\"kind\":\"Pod\"}",
					  "{\"kind\":\"Pod\",\"metadata\":{\"name\":1}}"};
	struct graph_set s;
	struct arena a;

	(void)state;
	arena_init(&a, ARENA_MAX);
	for (size_t i = 0; i + 1 < ARRAY_SIZE(bad); i++) {
		struct tree *t;

		assert_int_equal(tree_parse(&a, str_of(bad[i]), &t), 0);
		assert_int_equal(edges_of(t, &a, &s), -EINVAL);
	}
	arena_done(&a);
	/* Members of other types than the API's. */
	edges_are("{\"apiVersion\":\"v1\",\"kind\":\"Pod\"," META(
			  "p") ",\"spec\":{\"containers\":{\"a\":1},\"volumes\":[1,null,\"x\"],"
			       "\"nodeName\":[]}}",
		  "");
}

static void too_many_edges(void **state)
{
	struct graph_set s;
	struct tree *t;
	struct arena a;
	_buf_ struct buf b;

	(void)state;
	arena_init(&a, ARENA_MAX);
	buf_init(&b, ARENA_MAX);
	put(&b, STR("{\"apiVersion\":\"x/v1\",\"kind\":\"X\"," META("x") ",\"spec\":["));
	for (int i = 0; i < GRAPH_MAX_EDGES + 10; i++)
		assert_int_equal(buf_printf(&b, "%s{\"secretName\":\"s%d\"}", i ? "," : "", i), 0);
	put(&b, STR("]}"));
	assert_int_equal(tree_parse(&a, buf_str(&b), &t), 0);
	assert_int_equal(edges_of(t, &a, &s), 0);
	assert_true(s.cut);
	assert_int_equal(s.n_edges, GRAPH_MAX_EDGES);
	arena_done(&a);
}

static int make(void *ctx)
{
	struct graph_set s;
	struct tree *t;
	struct arena a;
	int r;

	arena_init(&a, ARENA_MAX);
	r = tree_parse(&a, str_of(ctx), &t);
	if (r == 0)
		r = edges_of(t, &a, &s);
	arena_done(&a);
	return r;
}

static void short_of_memory(void **state)
{
	char json[] = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\","
		      "\"namespace\":\"n\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"containers\":[{"
		      "\"name\":\"a\",\"image\":\"b\",\"args\":[\"c\"],\"volumeMounts\":[{"
		      "\"name\":\"v\"}]}],"
		      "\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}]}}";

	(void)state;
	assert_int_equal(torture_run(make, json), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workloads),	   cmocka_unit_test(pods),
		cmocka_unit_test(containers),	   cmocka_unit_test(long_properties),
		cmocka_unit_test(network),	   cmocka_unit_test(others),
		cmocka_unit_test(images),	   cmocka_unit_test(recorded_pods),
		cmocka_unit_test(bad_objects),	   cmocka_unit_test(too_many_edges),
		cmocka_unit_test(short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
