/*
 * The whole agent with resources on: one watch a kind feeds the reducer and the
 * store, both come to the recorded truth, and what cannot be watched is named.
 */
#include "tests/lib/rig.h"
#include "tests/lib/rig_page.h"

#include "base/mem.h"
#include "base/str.h"
#include "tests/lib/fixture.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MAX_ARGS 12

/* ---- the truth ---------------------------------------------------------------------------------
 */

static bool in(const char *const *names, struct str name)
{
	for (size_t i = 0; names[i]; i++)
		if (str_eq(str_of(names[i]), name))
			return true;
	return false;
}

/* Lines of truth-KIND whose namespace is one of `only` (NULL: any) and not kube-system. */
static long true_count(const char *kind, const char *const *only)
{
	static const char *const excluded[] = {"kube-system", "kube-public", "kube-node-lease",
					       NULL};
	_buf_ struct buf b;
	char path[100];
	struct str rest, line, cell;
	long n = 0;

	(void)snprintf(path, sizeof(path), "recorded/truth-%s.tsv.gz", kind);
	assert_int_equal(fixture_read_file(path, &b), 0);
	rest = buf_str(&b);
	(void)str_split(&rest, '\n', &line); /* the columns' names */
	while (str_split(&rest, '\n', &line)) {
		(void)str_split(&line, '\t', &cell);
		(void)str_split(&line, '\t', &cell);
		n += !in(excluded, cell) && (!only || in(only, cell));
	}
	assert_true(n > 0);
	return n;
}

static void assert_true_store(struct rig *rig, const char *const *only)
{
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"pods\"}", true_count("pods", only));
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"replicasets.apps\"}",
			true_count("replicasets", only));
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"jobs.batch\"}",
			true_count("jobs", only));
}

/* Requests of that sort that were answered with that status. */
static long asked(struct rig *rig, const char *what, const char *status)
{
	json_t *state = rig_ask(rig, "GET", "/replay/state");
	const json_t *of = json_object_get(json_object_get(state, "requests"), what);
	const long n = (long)json_integer_value(json_object_get(of, status));

	json_decref(state);
	return n;
}

static void agent(struct rig *rig, const char *const *more)
{
	const char *args[MAX_ARGS + 8] = {"--resources", "on", "--api-qps", "100", "--socket"};
	char path[PROC_PATH_MAX];
	size_t n = 6;

	(void)rig_path(rig, RIG_SOCKET, path);
	args[5] = path;
	while (more && *more)
		args[n++] = *more++;
	rig_agent(rig, args, NULL);
	rig_wait_log(rig, "cluster scope, API server", RIG_PATIENCE); /* its socket is there */
}

static void begin(struct rig *rig, const char *fault)
{
	const char *const args[] = {"--fault", fault, NULL};
	const struct truth_select all = {0};

	rig_truth(rig, "", &all);
	rig_replay(rig, fault ? args : NULL);
	rig_reducer(rig, NULL);
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void test_one_watch_a_kind(void **state)
{
	struct rig *rig = *state;
	json_t *now;
	size_t i;
	json_t *watch;

	begin(rig, NULL);
	agent(rig, NULL);
	rig_converge(rig);
	assert_true_store(rig, NULL);
	rig_wait_log(rig, "objects: synced", RIG_PATIENCE); /* kinds that nothing else waits for */
	assert_int_equal(asked(rig, "watch pods", "200"), 1);
	assert_int_equal(asked(rig, "watch replicasets", "200"), 1);
	assert_int_equal(asked(rig, "watch jobs", "200"), 1);
	assert_int_equal(asked(rig, "watch services", "200"), 1);
	assert_int_equal(asked(rig, "list pods", "200"), 0);
	now = rig_ask(rig, "GET", "/replay/state");
	json_array_foreach(json_object_get(now, "watches"), i, watch)
	{
		assert_true(json_is_false(json_object_get(watch, "protobuf")));
		assert_true(json_is_false(json_object_get(watch, "metadata")));
	}
	assert_int_equal(i, 5); /* with services and nodes, which only the store has */
	json_decref(now);
	assert_int_equal(rig_figure(rig, "kindred_resource_state{kind=\"pods\",state=\"synced\"}"),
			 1);
	assert_true(rig_figure(rig, "kindred_redactions_total{detector=\"env_value\"}") > 0);
	assert_true(rig_figure(rig, "kindred_store_body_bytes") > 10000);
	assert_int_equal(rig_figure(rig, "kindred_discovery_rounds_total"), 1);
	rig_stop(rig, SIGTERM);
	rig_assert(rig, rig_logged(rig, "resources: kinds "), "no figures");
}

/* Nobody wants them: nothing is discovered, the core reads protobuf as ever. */
static void test_off(void **state)
{
	struct rig *rig = *state;
	json_t *now;
	size_t i;
	json_t *watch;
	char path[PROC_PATH_MAX];

	begin(rig, NULL);
	(void)rig_path(rig, RIG_SOCKET, path);
	rig_agent(rig, (const char *const[]){"--socket", path, NULL}, NULL);
	rig_converge(rig);
	now = rig_ask(rig, "GET", "/replay/state");
	json_array_foreach(json_object_get(now, "watches"), i, watch)
		assert_true(json_is_true(json_object_get(watch, "protobuf")));
	assert_int_equal(i, 3);
	json_decref(now);
	rig_assert(rig, rig_logged(rig, "resources: off: no sink wants them (--resources)"),
		   "that they are off is not said");
	assert_int_equal(rig_figure(rig, "kindred_resource_kinds"), -1);
	rig_stop(rig, SIGTERM);
}

static void test_what_is_refused_is_named(void **state)
{
	struct rig *rig = *state;
	_free_ char *log = NULL;

	begin(rig, "403=services");
	agent(rig, NULL);
	rig_wait_log(rig, "resources: services is forbidden, the others go on: ", RIG_PATIENCE);
	rig_wait_log(rig, "objects: synced but for ", RIG_PATIENCE);
	rig_converge(rig);
	assert_true_store(rig, NULL);
	assert_int_equal(
		rig_figure(rig, "kindred_resource_state{kind=\"services\",state=\"forbidden\"}"),
		1);
	/* A kind that this server names, but does not serve. */
	assert_int_equal(
		rig_figure(rig, "kindred_resource_state{kind=\"secrets\",state=\"failing\"}"), 1);
	proc_sleep(2 * NSEC_PER_SEC);
	log = proc_text(rig->agent.err);
	assert_null(strstr(strstr(log, "resources: services is forbidden") + 1,
			   "resources: services is forbidden"));
	rig_stop(rig, SIGTERM);
}

static void test_faults_end_in_the_truth(void **state)
{
	struct rig *rig = *state;

	begin(rig,
	      "cut-watch=50000@times=4,410-event@times=2,429=1@times=2,reset-list=9000@times=2");
	agent(rig, (const char *const[]){"--streaming-list", "off", NULL});
	rig_converge(rig);
	assert_true_store(rig, NULL);
	rig_stop(rig, SIGTERM);
}

static void test_namespaces(void **state)
{
	static const char *const two[] = {"payments", "shop", NULL};
	const struct truth_select select = {.namespaces = two};
	struct rig *rig = *state;

	rig_truth(rig, "", &select);
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	agent(rig, (const char *const[]){"--namespaces", "payments,shop", NULL});
	rig_converge(rig);
	assert_true_store(rig, two);
	assert_int_equal(rig_figure(rig, "kindred_resource_watches{kind=\"pods\"}"), 2);
	assert_int_equal(rig_figure(rig, "kindred_resource_watches{kind=\"nodes\"}"), -1);
	assert_int_equal(asked(rig, "watch pods", "200"), 2);
	rig_stop(rig, SIGTERM);
}

/* ReplicaSets and Jobs that nobody wants whole stay metadata for the core. */
static void test_some_kinds(void **state)
{
	struct rig *rig = *state;
	json_t *now;
	size_t i, meta = 0;
	json_t *watch;

	begin(rig, NULL);
	agent(rig, (const char *const[]){"--watch-resources", "PODS,jobs.batch", "--metadata-only",
					 "jobs", NULL});
	rig_converge(rig);
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"pods\"}", true_count("pods", NULL));
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"jobs.batch\"}",
			true_count("jobs", NULL));
	assert_int_equal(rig_figure(rig, "kindred_resource_objects{kind=\"replicasets.apps\"}"),
			 -1);
	now = rig_ask(rig, "GET", "/replay/state");
	json_array_foreach(json_object_get(now, "watches"), i, watch) meta +=
		json_is_true(json_object_get(watch, "metadata"));
	json_decref(now);
	assert_int_equal(i, 3);
	assert_int_equal(meta, 2);
	rig_stop(rig, SIGTERM);
}

static void refused(struct rig *rig, const char *const *args, const char *const *env,
		    const char *says)
{
	rig_agent(rig, args, env);
	assert_int_equal(proc_wait(&rig->agent, RIG_PATIENCE), 0);
	assert_int_equal(rig->agent.code, 2);
	rig_assert(rig, rig_logged(rig, says), "the agent does not say: %s", says);
}

static void test_refused_at_start(void **state)
{
	struct rig *rig = *state;

	begin(rig, NULL);
	refused(rig, (const char *const[]){"--resources", "on", NULL},
		(const char *const[]){"NODE_NAME=n", NULL},
		"resources are watched in --scope cluster alone");
	refused(rig,
		(const char *const[]){"--resources", "on", "--index", "pods=.spec.nodeName,.a[",
				      NULL},
		NULL, ".a[");
	refused(rig, (const char *const[]){"--resources", "on", "--index", ".spec", NULL}, NULL,
		"must be RESOURCE=JSONPATH");
	refused(rig,
		(const char *const[]){"--resources", "on", "--resource-selector", "a in b", NULL},
		NULL, "the label selector \"a in b\" is not understood");
	refused(rig, (const char *const[]){"--resources", "on", "--ignore-fields", ".a[", NULL},
		NULL, ".a[");
}

/* ---- objects that come and go
 * -------------------------------------------------------------------- */

/* A server that has, besides what was recorded, the objects of this list. */
static void begin_with(struct rig *rig, const char *objects)
{
	char dir[PROC_PATH_MAX], file[PROC_PATH_MAX];
	FILE *f;

	(void)rig_path(rig, "objects", dir);
	assert_int_equal(mkdir(dir, 0700), 0);
	(void)rig_path(rig, "objects/all.json", file);
	f = fopen(file, "w");
	assert_non_null(f);
	assert_true(fprintf(f, "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[%s]}",
			    objects) > 0);
	assert_int_equal(fclose(f), 0);
	rig_replay(rig, (const char *const[]){"--objects", dir, NULL});
	rig_reducer(rig, NULL);
}

static void put(struct rig *rig, const char *object)
{
	const int status = rig_send(rig, "POST", "/replay/object", object);

	rig_assert(rig, status == 200, "status %d: %s", status, object);
}

static void drop(struct rig *rig, const char *query)
{
	char target[300];

	(void)snprintf(target, sizeof(target), "/replay/object?%s", query);
	assert_int_equal(rig_send(rig, "DELETE", target, ""), 200);
}

#define META(ns, name) "\"metadata\":{\"namespace\":\"" ns "\",\"name\":\"" name "\"}"
#define CONFIG_MAP(ns, name, text)                             \
	"{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\"," META( \
		ns, name) ",\"data\":{\"config.yaml\":\"" text "\"}}"
#define CRD(plural, kind)                                                                    \
	"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\"," \
	"\"metadata\":{\"name\":\"" plural ".shop.io\"},\"spec\":{\"group\":\"shop.io\","    \
	"\"scope\":\"Namespaced\",\"names\":{\"plural\":\"" plural                           \
	"\",\"singular\":\"one\",\"kind\":\"" kind "\"},\"versions\":[{\"name\":\"v1\","     \
	"\"served\":true,\"storage\":true}]}}"
#define GADGET "{\"apiVersion\":\"shop.io/v1\",\"kind\":\"Gadget\"," META("shop", "one") "}"
#define NAMESPACE(name, labels)                                                        \
	"{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"" name \
	"\",\"labels\":{" labels "}}}"

static void test_definitions_come_and_go(void **state)
{
	static const char gadgets[] = "kindred_resource_objects{kind=\"gadgets.shop.io\"}";
	struct rig *rig = *state;

	begin_with(rig, CONFIG_MAP("shop", "a", "b") "," CRD("others", "Other"));
	agent(rig, NULL);
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"configmaps\"}", 1);
	assert_int_equal(rig_figure(rig, gadgets), -1);
	for (int i = 0; i < 2; i++) {
		put(rig, CRD("gadgets", "Gadget"));
		put(rig, GADGET);
		rig_wait_figure(rig, gadgets, 1);
		drop(rig, "apiVersion=apiextensions.k8s.io/v1&kind=CustomResourceDefinition&"
			  "name=gadgets.shop.io");
		rig_wait_figure(rig, gadgets, -1);
	}
	assert_int_equal(asked(rig, "watch configmaps", "200"), 1);
	rig_stop(rig, SIGTERM);
}

static void test_namespaces_come_and_go(void **state)
{
	static const char objects[] = "kindred_resource_objects{kind=\"configmaps\"}";
	static const char watches[] = "kindred_resource_watches{kind=\"configmaps\"}";
	struct rig *rig = *state;
	long before;

	begin_with(rig, CONFIG_MAP("alpha", "a", "b") "," CONFIG_MAP(
				"beta", "a", "b") "," CONFIG_MAP("kube-system", "a", "b"));
	agent(rig, (const char *const[]){"--namespaces", "*", "--watch-resources",
					 "configmaps,pods,namespaces", NULL});
	rig_wait_figure(rig, objects, 2);
	before = rig_figure(rig, watches);
	assert_int_equal(before, rig_figure(rig, "kindred_resource_namespaces"));
	put(rig, NAMESPACE("gamma", ""));
	put(rig, CONFIG_MAP("gamma", "one", "b"));
	put(rig, CONFIG_MAP("gamma", "two", "b"));
	rig_wait_figure(rig, objects, 4);
	assert_int_equal(rig_figure(rig, watches), before + 1);
	drop(rig, "apiVersion=v1&kind=Namespace&name=gamma");
	rig_wait_figure(rig, watches, before);
	rig_wait_figure(rig, objects, 2);
	assert_int_equal(asked(rig, "watch pods", "200"), 1); /* the core's, of all */
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"pods\"}", true_count("pods", NULL));
	rig_stop(rig, SIGTERM);
}

static void test_namespaces_by_label(void **state)
{
	static const char objects[] = "kindred_resource_objects{kind=\"configmaps\"}";
	struct rig *rig = *state;

	begin_with(rig,
		   NAMESPACE("alpha", "\"team\":\"a\"") "," NAMESPACE("beta", "") "," CONFIG_MAP(
			   "alpha", "a", "b") "," CONFIG_MAP("beta", "a", "b"));
	agent(rig, (const char *const[]){"--namespace-selector", "team=a", "--watch-resources",
					 "configmaps,pods", NULL});
	rig_wait_figure(rig, objects, 1);
	put(rig, NAMESPACE("beta", "\"team\":\"a\""));
	rig_wait_figure(rig, objects, 2);
	put(rig, NAMESPACE("alpha", "\"team\":\"b\""));
	rig_wait_figure(rig, objects, 1);
	assert_int_equal(rig_figure(rig, "kindred_resource_objects{kind=\"pods\"}"), 0);
	rig_stop(rig, SIGTERM);
}

/* What the cache let go of is read again, and redacted again. */
static void test_read_again(void **state)
{
	static const char path[] = "GET /api/v1/resources/configmaps/shop/a";
	static const char canary[] = "canary-in-a-config";
	static const char fetches[] = "kindred_store_fetches_total";
	struct rig *rig = *state;
	_buf_ struct buf b = {.max = RIG_PAGE_MAX}, again = {.max = RIG_PAGE_MAX};
	long before;

	begin_with(rig, CONFIG_MAP("shop", "a", "canary-in-a-config"));
	agent(rig, (const char *const[]){"--whole", "configmaps", "--cache-resources", "configmaps",
					 "--cache-ttl", "1s", NULL});
	rig_wait_figure(rig, "kindred_resource_objects{kind=\"configmaps\"}", 1);
	rig_page(rig, path, &b);
	rig_assert(rig, strstr(b.p, "config.yaml") && !strstr(b.p, canary), "%s", b.p);
	before = rig_figure(rig, fetches); /* on a busy machine its second may have been over */
	proc_sleep(2500 * NSEC_PER_MSEC);
	rig_page(rig, path, &again);
	rig_assert(rig, strstr(again.p, "config.yaml") && !strstr(again.p, canary), "%s", again.p);
	assert_int_equal(rig_figure(rig, fetches), before + 1);
	assert_int_equal(asked(rig, "get configmaps", "200"), before + 1);
	rig_stop(rig, SIGTERM);
	rig_assert(rig, !rig_logged(rig, canary), "a value is in the log");
}

static void test_listed_anew_on_request(void **state)
{
	struct rig *rig = *state;
	_buf_ struct buf b = {.max = RIG_PAGE_MAX};
	/* The lists begin within 30 s. */
	const nsec_t until = clock_mono() + (60 * NSEC_PER_SEC + RIG_PATIENCE) * RIG_SLOWNESS;

	begin(rig, NULL);
	agent(rig, NULL);
	rig_converge(rig);
	assert_true_store(rig, NULL);
	rig_page(rig, "POST /api/v1/resync", &b);
	rig_assert(rig, strstr(b.p, "\"status\":\"ok\""), "%s", b.p);
	while (asked(rig, "watch pods", "200") < 2) {
		rig_assert(rig, clock_mono() < until, "nothing is listed anew");
		proc_sleep(50 * NSEC_PER_MSEC);
	}
	rig_converge(rig);
	assert_true_store(rig, NULL);
	assert_int_equal(asked(rig, "watch pods", "200"), 2);
	rig_stop(rig, SIGTERM);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_one_watch_a_kind),
		TEST(test_off),
		TEST(test_what_is_refused_is_named),
		TEST(test_faults_end_in_the_truth),
		TEST(test_namespaces),
		TEST(test_some_kinds),
		TEST(test_refused_at_start),
		TEST(test_definitions_come_and_go),
		TEST(test_namespaces_come_and_go),
		TEST(test_namespaces_by_label),
		TEST(test_read_again),
		TEST(test_listed_anew_on_request),
	};

	return rig_run("agent/resources", tests, ARRAY_SIZE(tests), argc, argv);
}
