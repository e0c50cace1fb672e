/*
 * Catalogues of recorded servers against lists that a script (jq's rules, not
 * ours) made of the same answers; of made-up servers, told in both ways of
 * discovery, against a list made directly from the model.
 */
#include "kube/catalog.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/fixture.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MAX_TEXT ((size_t)1 << 20)

/* Every listable and watchable resource of the recorded 1.36. */
static const char recorded[] =
	"/v1 configmaps ConfigMap namespaced\n"
	"/v1 endpoints Endpoints namespaced\n"
	"/v1 events Event namespaced\n"
	"/v1 limitranges LimitRange namespaced\n"
	"/v1 namespaces Namespace\n"
	"/v1 nodes Node\n"
	"/v1 persistentvolumeclaims PersistentVolumeClaim namespaced\n"
	"/v1 persistentvolumes PersistentVolume\n"
	"/v1 pods Pod namespaced\n"
	"/v1 podtemplates PodTemplate namespaced\n"
	"/v1 replicationcontrollers ReplicationController namespaced\n"
	"/v1 resourcequotas ResourceQuota namespaced\n"
	"/v1 secrets Secret namespaced\n"
	"/v1 serviceaccounts ServiceAccount namespaced\n"
	"/v1 services Service namespaced\n"
	"admissionregistration.k8s.io/v1 mutatingadmissionpolicies MutatingAdmissionPolicy\n"
	"admissionregistration.k8s.io/v1 mutatingadmissionpolicybindings "
	"MutatingAdmissionPolicyBinding\n"
	"admissionregistration.k8s.io/v1 mutatingwebhookconfigurations "
	"MutatingWebhookConfiguration\n"
	"admissionregistration.k8s.io/v1 validatingadmissionpolicies ValidatingAdmissionPolicy\n"
	"admissionregistration.k8s.io/v1 validatingadmissionpolicybindings "
	"ValidatingAdmissionPolicyBinding\n"
	"admissionregistration.k8s.io/v1 validatingwebhookconfigurations "
	"ValidatingWebhookConfiguration\n"
	"apiextensions.k8s.io/v1 customresourcedefinitions CustomResourceDefinition\n"
	"apiregistration.k8s.io/v1 apiservices APIService\n"
	"apps/v1 controllerrevisions ControllerRevision namespaced\n"
	"apps/v1 daemonsets DaemonSet namespaced\n"
	"apps/v1 deployments Deployment namespaced\n"
	"apps/v1 replicasets ReplicaSet namespaced\n"
	"apps/v1 statefulsets StatefulSet namespaced\n"
	"argoproj.io/v1alpha1 rollouts Rollout namespaced\n"
	"autoscaling/v2 horizontalpodautoscalers HorizontalPodAutoscaler namespaced\n"
	"batch/v1 cronjobs CronJob namespaced\n"
	"batch/v1 jobs Job namespaced\n"
	"certificates.k8s.io/v1 certificatesigningrequests CertificateSigningRequest\n"
	"coordination.k8s.io/v1 leases Lease namespaced\n"
	"discovery.k8s.io/v1 endpointslices EndpointSlice namespaced\n"
	"events.k8s.io/v1 events Event namespaced\n"
	"fixtures.example.com/v1 widgets Widget namespaced\n"
	"flowcontrol.apiserver.k8s.io/v1 flowschemas FlowSchema\n"
	"flowcontrol.apiserver.k8s.io/v1 prioritylevelconfigurations PriorityLevelConfiguration\n"
	"networking.k8s.io/v1 ingressclasses IngressClass\n"
	"networking.k8s.io/v1 ingresses Ingress namespaced\n"
	"networking.k8s.io/v1 ipaddresses IPAddress\n"
	"networking.k8s.io/v1 networkpolicies NetworkPolicy namespaced\n"
	"networking.k8s.io/v1 servicecidrs ServiceCIDR\n"
	"node.k8s.io/v1 runtimeclasses RuntimeClass\n"
	"policy/v1 poddisruptionbudgets PodDisruptionBudget namespaced\n"
	"rbac.authorization.k8s.io/v1 clusterrolebindings ClusterRoleBinding\n"
	"rbac.authorization.k8s.io/v1 clusterroles ClusterRole\n"
	"rbac.authorization.k8s.io/v1 rolebindings RoleBinding namespaced\n"
	"rbac.authorization.k8s.io/v1 roles Role namespaced\n"
	"resource.k8s.io/v1 deviceclasses DeviceClass\n"
	"resource.k8s.io/v1 resourceclaims ResourceClaim namespaced\n"
	"resource.k8s.io/v1 resourceclaimtemplates ResourceClaimTemplate namespaced\n"
	"resource.k8s.io/v1 resourceslices ResourceSlice\n"
	"scheduling.k8s.io/v1 priorityclasses PriorityClass\n"
	"storage.k8s.io/v1 csidrivers CSIDriver\n"
	"storage.k8s.io/v1 csinodes CSINode\n"
	"storage.k8s.io/v1 csistoragecapacities CSIStorageCapacity namespaced\n"
	"storage.k8s.io/v1 storageclasses StorageClass\n"
	"storage.k8s.io/v1 volumeattachments VolumeAttachment\n"
	"storage.k8s.io/v1 volumeattributesclasses VolumeAttributesClass\n";

static void print_list(const struct catalog *c, struct buf *b)
{
	for (size_t i = 0; i < catalog_n(c); i++) {
		const struct catalog_entry e = catalog_entry(c, i);

		assert_int_equal(buf_printf(b, "%.*s/%.*s %.*s %.*s%s\n", STR_ARG(e.group),
					    STR_ARG(e.version), STR_ARG(e.plural), STR_ARG(e.kind),
					    e.namespaced ? " namespaced" : ""),
				 0);
	}
}

static void assert_list(const struct catalog *c, const char *expected)
{
	_buf_ struct buf b = {.max = MAX_TEXT};

	print_list(c, &b);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal(b.p, expected);
}

/* One round; each path is answered from the table, anything else with 404. */
struct page {
	const char *path;
	int status;
	const char *body;
};

static int round_of(struct catalog *c, const struct page *pages)
{
	const char *path;
	int r = catalog_begin(c);

	while (r == 0 && (path = catalog_next(c))) {
		const struct page *p = pages;
		int e;

		while (p->path && strcmp(p->path, path) != 0)
			p++;
		e = catalog_answer(c, path, p->path ? p->status : 404,
				   str_of(p->path ? p->body : "no such page"));
		if (e == -ENOMEM)
			r = e;
	}
	return r < 0 ? r : catalog_finish(c);
}

static char *body_of(const char *fixture)
{
	_buf_ struct buf b;
	char *s;

	assert_int_equal(fixture_read(fixture, &b), 0);
	s = str_dup(buf_str(&b));
	assert_non_null(s);
	return s;
}

static void test_recorded(void **state)
{
	_free_ char *api = body_of("disc-api-aggregated"), *apis = body_of("disc-apis-aggregated");
	const struct page pages[] = {{"/api", 200, api}, {"/apis", 200, apis}, {NULL, 0, NULL}};
	struct catalog *c;

	(void)state;
	assert_int_equal(catalog_new(&c), 0);
	assert_int_equal(catalog_n(c), 0);
	assert_int_equal(round_of(c, pages), 1);
	assert_list(c, recorded);
	assert_int_equal(round_of(c, pages), 0); /* and nothing has changed */
	assert_int_equal(catalog_counters(c)->left_out, 0);
	assert_int_equal(catalog_counters(c)->failed, 0);
	catalog_free(&c);
}

static void test_recorded_legacy(void **state)
{
	_free_ char *api = body_of("disc-api"), *apis = body_of("disc-apis");
	_free_ char *v1 = body_of("disc-api-v1"), *apps = body_of("disc-apis-apps-v1");
	_free_ char *batch = body_of("disc-apis-batch-v1");
	const struct page pages[] = {
		{"/api", 200, api},	      {"/apis", 200, apis},	      {"/api/v1", 200, v1},
		{"/apis/apps/v1", 200, apps}, {"/apis/batch/v1", 200, batch}, {NULL, 0, NULL}};
	_buf_ struct buf expected = {.max = MAX_TEXT};
	struct catalog *c;

	(void)state;
	for (const char *line = recorded; *line; line = strchr(line, '\n') + 1)
		if (line[0] == '/' || strncmp(line, "apps/", 5) == 0 ||
		    strncmp(line, "batch/", 6) == 0)
			assert_int_equal(buf_append(&expected, line,
						    (size_t)(strchr(line, '\n') + 1 - line)),
					 0);
	assert_int_equal(buf_append(&expected, "", 1), 0);
	assert_int_equal(catalog_new(&c), 0);
	assert_int_equal(round_of(c, pages), 1);
	assert_list(c, expected.p);
	catalog_free(&c);
}

/* ---- what could not be learned ----------------------------------------------------------------
 */

#define RES(name, kind)                                                         \
	"{\"resource\":\"" name                                                 \
	"\",\"responseKind\":{\"group\":\"\",\"version\":\"\",\"kind\":\"" kind \
	"\"},\"scope\":\"Namespaced\",\"verbs\":[\"get\",\"list\",\"watch\"]}"
#define CORE                                                                             \
	"{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{},\"versions\":[" \
	"{\"version\":\"v1\",\"resources\":[" RES("pods",                                \
						  "Pod") "],\"freshness\":\"Current\"}]}]}"
#define GROUP(freshness, resources)                                                         \
	"{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":{\"name\":\"m.io\"}," \
	"\"versions\":[{\"version\":\"v1\",\"resources\":[" resources                       \
	"],\"freshness\":\"" freshness "\"}]}]}"
#define POD_LINE "/v1 pods Pod namespaced\n"
#define M_LINE	 "m.io/v1 metrics Metric namespaced\n"

static void test_kept(void **state)
{
	static const struct {
		const char *what;
		struct page api, apis;
		const char *list;
	} cases[] = {
		{"stale", {"/api", 200, CORE}, {"/apis", 200, GROUP("Stale", "")}, POD_LINE M_LINE},
		{"failed groups", {"/api", 200, CORE}, {"/apis", 503, "no"}, POD_LINE M_LINE},
		{"failed core", {"/api", 500, ""}, {"/apis", 200, GROUP("Current", "")}, POD_LINE},
		{"garbage",
		 {"/api", 200, "<html>"},
		 {"/apis", 200, "{\"kind\":\"Status\"}"},
		 POD_LINE M_LINE},
		{"no answer", {"/api", 0, ""}, {"/apis", 0, ""}, POD_LINE M_LINE},
		{"gone",
		 {"/api", 200, CORE},
		 {"/apis", 200, "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[]}"},
		 POD_LINE},
	};
	const struct page good[] = {{"/api", 200, CORE},
				    {"/apis", 200, GROUP("Current", RES("metrics", "Metric"))},
				    {NULL, 0, NULL}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct page pages[] = {cases[i].api, cases[i].apis, {NULL, 0, NULL}};
		struct catalog *c;

		print_message("%s\n", cases[i].what);
		assert_int_equal(catalog_new(&c), 0);
		assert_int_equal(round_of(c, good), 1);
		assert_list(c, POD_LINE M_LINE);
		assert_true(round_of(c, pages) >= 0);
		assert_list(c, cases[i].list);
		assert_true(round_of(c, pages) == 0); /* kept twice is kept */
		assert_list(c, cases[i].list);
		catalog_free(&c);
	}
}

#define ONE_GROUP                                                                               \
	"{\"kind\":\"APIGroupList\",\"groups\":[{\"name\":\"m.io\",\"versions\":[{\"version\":" \
	"\"v1\"}],\"preferredVersion\":{\"version\":\"v1\"}}]}"
#define METRICS                                                                                   \
	"{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":\"metrics\",\"kind\":\"Metric\"," \
	"\"namespaced\":true,\"verbs\":[\"list\",\"watch\"]}]}"

/* The server of a group (an APIService) is down, or its version is gone. */
static void test_kept_legacy(void **state)
{
	struct page pages[] = {{"/api", 200, "{\"kind\":\"APIVersions\",\"versions\":[]}"},
			       {"/apis", 200, ONE_GROUP},
			       {"/apis/m.io/v1", 200, METRICS},
			       {NULL, 0, NULL}};
	struct catalog *c;

	(void)state;
	assert_int_equal(catalog_new(&c), 0);
	assert_int_equal(round_of(c, pages), 1);
	assert_list(c, M_LINE);
	assert_false(catalog_entry(c, 0).can_get);
	pages[2].status = 503;
	assert_int_equal(round_of(c, pages), 0);
	assert_list(c, M_LINE);
	pages[2].status = 404;
	assert_int_equal(round_of(c, pages), 1);
	assert_list(c, "");
	catalog_free(&c);
}

static void test_extensions(void **state)
{
	static const char groups[] =
		"{\"kind\":\"APIGroupDiscoveryList\",\"items\":["
		"{\"metadata\":{\"name\":\"extensions\"},\"versions\":[{\"version\":\"v1beta1\","
		"\"resources\":[" RES("ingresses", "Ingress") "," RES(
			"others", "Other") "]}]},"
					   "{\"metadata\":{\"name\":\"networking.k8s.io\"},"
					   "\"versions\":[{\"version\":\"v1\","
					   "\"resources\":[" RES("ingresses", "Ingress") "]}]}]}";
	const struct page pages[] = {{"/api", 0, ""}, {"/apis", 200, groups}, {NULL, 0, NULL}};
	struct catalog *c;

	(void)state;
	assert_int_equal(catalog_new(&c), 0);
	assert_int_equal(round_of(c, pages), 1);
	assert_list(c, "extensions/v1beta1 others Other namespaced\n"
		       "networking.k8s.io/v1 ingresses Ingress namespaced\n");
	catalog_free(&c);
}

/* Names that are none, wrong types, parts of other resources: each costs itself. */
static void test_bad_parts(void **state)
{
	static const char groups[] =
		"{\"kind\":\"APIGroupDiscoveryList\",\"items\":[7,{},{\"metadata\":{\"name\":\"a/"
		"b\"},"
		"\"versions\":[{\"version\":\"v1\",\"resources\":[" RES(
			"x",
			"X") "]}]},"
			     "{\"metadata\":{\"name\":\"m.io\"},\"versions\":[null,{\"version\":3},"
			     "{\"version\":\"../"
			     "..\",\"resources\":[]},{\"version\":\"v1\",\"resources\":["
			     "null,{},{\"resource\":\"broken\",\"responseKind\":null,\"verbs\":["
			     "\"list\"]}," RES("metrics/status", "Metric") "," RES(
				     "m%2fx",
				     "Metri"
				     "c") "," RES("Upper",
						  "Metric") "," RES("metrics",
								    "Metric") "," RES("metrics",
										      "Twice") "]}]"
											       "}]"
											       "}";
	const struct page pages[] = {{"/api", 200, "[]"}, {"/apis", 200, groups}, {NULL, 0, NULL}};
	struct catalog *c;

	(void)state;
	assert_int_equal(catalog_new(&c), 0);
	assert_int_equal(round_of(c, pages), 1);
	assert_list(c, M_LINE);
	assert_int_equal(catalog_counters(c)->failed, 1);
	catalog_free(&c);
}

static void test_too_many(void **state)
{
	_buf_ struct buf b = {.max = (size_t)4 << 20};
	const struct page pages[] = {{"/api", 0, ""}, {"/apis", 200, ""}, {NULL, 0, NULL}};
	struct page full[3];
	struct catalog *c;

	(void)state;
	memcpy(full, pages, sizeof(full));
	assert_int_equal(buf_printf(&b,
				    "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[{\"metadata\":"
				    "{\"name\":\"m.io\"},\"versions\":[{\"version\":\"v1\","
				    "\"resources\":["),
			 0);
	for (int i = 0; i < CATALOG_MAX_RESOURCES + 5; i++)
		assert_int_equal(buf_printf(&b,
					    "%s{\"resource\":\"r%d\",\"responseKind\":{\"kind\":"
					    "\"R\"},\"verbs\":[\"list\",\"watch\"]}",
					    i ? "," : "", i),
				 0);
	assert_int_equal(buf_append(&b, "]}]}]}", 7), 0);
	full[1].body = b.p;
	assert_int_equal(catalog_new(&c), 0);
	assert_int_equal(round_of(c, full), 1);
	assert_int_equal(catalog_n(c), CATALOG_MAX_RESOURCES);
	assert_int_equal(catalog_counters(c)->left_out, 5);
	catalog_free(&c);
}

/* ---- rounds -----------------------------------------------------------------------------------
 */

static void test_rounds(void **state)
{
	struct catalog *c;
	const char *path;

	(void)state;
	assert_int_equal(catalog_new(&c), 0);
	assert_false(catalog_complete(c));
	assert_null(catalog_next(c));
	assert_int_equal(catalog_begin(c), 0);
	assert_int_equal(catalog_answer(c, "/api", 200, str_of(CORE)), 0); /* was not asked */
	assert_string_equal(path = catalog_next(c), "/api");
	assert_int_equal(catalog_answer(c, "/nothing", 200, str_of(CORE)), 0);
	assert_int_equal(catalog_answer(c, "/api", 200, str_of(CORE)), 0);
	assert_int_equal(catalog_answer(c, "/api", 500, str_of("")), 0); /* twice: ignored */
	assert_false(catalog_complete(c));
	assert_int_equal(catalog_begin(c), 0); /* begun anew */
	assert_string_equal(path = catalog_next(c), "/api");
	assert_int_equal(catalog_answer(c, "/api", 200, str_of(CORE)), 0);
	assert_string_equal(path = catalog_next(c), "/apis");
	assert_null(catalog_next(c));
	assert_int_equal(catalog_answer(c, "/apis", 200, str_of(GROUP("Current", ""))), 0);
	assert_true(catalog_complete(c));
	assert_int_equal(catalog_finish(c), 1);
	assert_false(catalog_complete(c));
	assert_list(c, POD_LINE);
	catalog_free(&c);
	catalog_free(&c);
}

/* ---- made-up servers ---------------------------------------------------------------------------
 */

#define GROUPS	  4
#define VERSIONS  3
#define RESOURCES 6

struct model {
	bool version[GROUPS][VERSIONS];
	bool served[GROUPS][VERSIONS][RESOURCES];
	bool watch[GROUPS][VERSIONS][RESOURCES];
};

static void model_make(struct model *m, struct rng *g)
{
	for (int i = 0; i < GROUPS; i++)
		for (int v = 0; v < VERSIONS; v++) {
			/* The core group has one version. */
			m->version[i][v] = i == 0 ? v == 0 : rng_below(g, 3) > 0;
			for (int r = 0; r < RESOURCES; r++) {
				m->served[i][v][r] = rng_below(g, 2);
				m->watch[i][v][r] = rng_below(g, 4) > 0;
			}
		}
}

static void model_list(const struct model *m, struct buf *b)
{
	for (int i = 0; i < GROUPS; i++)
		for (int r = 0; r < RESOURCES; r++)
			for (int v = 0; v < VERSIONS; v++)
				if (m->version[i][v] && m->served[i][v][r] && m->watch[i][v][r]) {
					(void)buf_printf(b, "%.*s/v%d r%d R%d%s\n", i ? 2 : 0,
							 &"  g1g2g3"[2 * i], 9 - v, r, r,
							 r % 2 ? " namespaced" : "");
					break;
				}
	(void)buf_append(b, "", 1);
}

static void put_resource(struct buf *b, const struct model *m, bool old, int i, int v, int r)
{
	const char *verbs = m->watch[i][v][r] ? "\"list\",\"watch\"" : "\"list\"";

	if (old)
		(void)buf_printf(
			b,
			"{\"name\":\"r%d\",\"kind\":\"R%d\",\"namespaced\":%s,\"verbs\":[%s]}"
			",{\"name\":\"r%d/status\",\"kind\":\"R%d\",\"verbs\":[\"list\","
			"\"watch\"]},",
			r, r, r % 2 ? "true" : "false", verbs, r, r);
	else
		(void)buf_printf(
			b,
			"{\"resource\":\"r%d\",\"responseKind\":{\"kind\":\"R%d\"},\"scope\":"
			"\"%s\",\"verbs\":[%s],\"subresources\":[{\"subresource\":\"status\"}]"
			"},",
			r, r, r % 2 ? "Namespaced" : "Cluster", verbs);
}

/* null ends each list, so that commas need no care; it is left out like any other bad part. */
static void put_resources(struct buf *b, const struct model *m, bool old, int i, int v)
{
	for (int r = 0; r < RESOURCES; r++)
		if (m->served[i][v][r])
			put_resource(b, m, old, i, v, r);
	(void)buf_printf(b, "null]");
}

static void put_group(struct buf *b, const struct model *m, int i)
{
	(void)buf_printf(b,
			 i ? "{\"metadata\":{\"name\":\"g%d\"},\"versions\":["
			   : "{\"metadata\":{},\"versions\":[",
			 i);
	for (int v = 0; v < VERSIONS; v++)
		if (m->version[i][v]) {
			(void)buf_printf(b, "{\"version\":\"v%d\",\"resources\":[", 9 - v);
			put_resources(b, m, false, i, v);
			(void)buf_printf(b, "},");
		}
	(void)buf_printf(b, "null]},");
}

static void answer_new(struct catalog *c, const struct model *m, const char *path)
{
	_buf_ struct buf b = {.max = MAX_TEXT};
	const bool core = strcmp(path, "/api") == 0;

	(void)buf_printf(&b, "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[");
	for (int i = core ? 0 : 1; i < (core ? 1 : GROUPS); i++)
		put_group(&b, m, i);
	if (buf_str(&b).p[b.n - 1] == ',')
		b.n--;
	(void)buf_printf(&b, "]}");
	assert_int_equal(catalog_answer(c, path, 200, buf_str(&b)), 0);
}

/* Versions are listed from the worst up: only preferredVersion tells which is best. */
static void answer_old(struct catalog *c, const struct model *m, const char *path)
{
	_buf_ struct buf b = {.max = MAX_TEXT};
	int i = 0, v = 0;

	if (strcmp(path, "/api") == 0) {
		(void)buf_printf(&b, "{\"kind\":\"APIVersions\",\"versions\":[\"v9\"]}");
	} else if (strcmp(path, "/apis") == 0) {
		(void)buf_printf(&b, "{\"kind\":\"APIGroupList\",\"groups\":[");
		for (i = 1; i < GROUPS; i++) {
			int best = -1;

			(void)buf_printf(&b, "{\"name\":\"g%d\",\"versions\":[", i);
			for (v = 0; v < VERSIONS; v++)
				if (m->version[i][v]) {
					best = best < 0 ? v : best;
					(void)buf_printf(&b, "{\"version\":\"v%d\"},", 9 - v);
				}
			(void)buf_printf(&b, "{}],\"preferredVersion\":{\"version\":\"v%d\"}}%s",
					 9 - best, i < GROUPS - 1 ? "," : "]}");
		}
	} else {
		if (sscanf(path, "/apis/g%d/v%d", &i, &v) != 2)
			assert_int_equal(sscanf(path, "/api/v%d", &v), 1);
		assert_true(m->version[i][9 - v]);
		(void)buf_printf(&b, "{\"kind\":\"APIResourceList\",\"resources\":[");
		put_resources(&b, m, true, i, 9 - v);
		(void)buf_printf(&b, "}");
	}
	assert_int_equal(catalog_answer(c, path, 200, buf_str(&b)), 0);
}

static void test_random(void **state)
{
	struct rng g;
	struct catalog *a, *o;

	(void)state;
	rng_seed(&g, 20261129);
	assert_int_equal(catalog_new(&a), 0);
	assert_int_equal(catalog_new(&o), 0);
	for (int i = 0; i < 300; i++) {
		_buf_ struct buf expected = {.max = MAX_TEXT};
		struct model m;
		const char *path;
		int changed;

		model_make(&m, &g);
		model_list(&m, &expected);
		assert_int_equal(catalog_begin(a), 0);
		while ((path = catalog_next(a)))
			answer_new(a, &m, path);
		assert_int_equal(catalog_begin(o), 0);
		while ((path = catalog_next(o)))
			answer_old(o, &m, path);
		assert_true(catalog_complete(a) && catalog_complete(o));
		changed = catalog_finish(a);
		assert_int_equal(catalog_finish(o), changed);
		assert_list(a, expected.p);
		assert_list(o, expected.p);
	}
	catalog_free(&a);
	catalog_free(&o);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

static int rounds(void *ctx)
{
	const struct page *pages = ctx;
	struct catalog *c;
	int r = catalog_new(&c);

	if (r < 0)
		return r;
	r = round_of(c, pages);
	if (r >= 0)
		r = round_of(c, pages);
	catalog_free(&c);
	return r < 0 ? r : 0;
}

static void test_torture(void **state)
{
	struct page pages[] = {{"/api", 200, CORE},
			       {"/apis", 200, ONE_GROUP},
			       {"/apis/m.io/v1", 200, METRICS},
			       {NULL, 0, NULL}};

	(void)state;
	assert_int_equal(torture_run(rounds, pages), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded),   cmocka_unit_test(test_recorded_legacy),
		cmocka_unit_test(test_kept),	   cmocka_unit_test(test_kept_legacy),
		cmocka_unit_test(test_extensions), cmocka_unit_test(test_bad_parts),
		cmocka_unit_test(test_too_many),   cmocka_unit_test(test_rounds),
		cmocka_unit_test(test_random),	   cmocka_unit_test(test_torture),
	};

	return cmocka_run_group_tests_name("kube/catalog", tests, NULL, NULL);
}
