/*
 * The graph in SQLite: after any history of changes its edges are those of the objects
 * that live, and nothing is left of the others; questions, with answers by hand.
 */
#include "sink/graph/rows.h"

#include "base/mem.h"
#include "base/rng.h"
#include "sink/graph/graph_query.h"
#include "sink/graph/selector.h"
#include "sink/sqlite/db.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#define ARENA_BYTES ((size_t)64 << 20)

struct rig {
	char file[64];
	struct sqlite3 *db;
	struct arena a;
	struct buf error;
	uint64_t epoch;
};

static void open_rig(struct rig *g)
{
	*g = (struct rig){.epoch = 1};
	buf_init(&g->error, DB_ERROR_MAX);
	arena_init(&g->a, ARENA_BYTES);
	(void)snprintf(g->file, sizeof(g->file), "/tmp/kindred-graph-%d.db", (int)getpid());
	(void)unlink(g->file);
	assert_int_equal(db_open(g->file, false, &g->db, &g->error), 0);
}

static void close_rig(struct rig *g)
{
	char more[80];

	db_close(&g->db);
	arena_done(&g->a);
	buf_done(&g->error);
	(void)unlink(g->file);
	(void)snprintf(more, sizeof(more), "%s-wal", g->file);
	(void)unlink(more);
	(void)snprintf(more, sizeof(more), "%s-shm", g->file);
	(void)unlink(more);
}

static struct relay_item item_of(struct rig *g, const char *json)
{
	struct graph_made *made = arena_alloc(&g->a, sizeof(*made));
	struct relay_item item = {.time = 1700000000 * NSEC_PER_SEC};
	struct tree *t;

	*made = (struct graph_made){0};
	assert_int_equal(tree_parse(&g->a, str_of(json), &t), 0);
	assert_int_equal(edges_of(t, &g->a, &made->set), 0);
	assert_int_equal(graph_state_of(t, &g->a, item.time, &made->state), 0);
	made->hash = edges_hash(&made->set, made->state.json);
	item.made = made;
	item.group = made->set.nodes[0].ref.group;
	item.kind = made->set.nodes[0].ref.kind;
	item.ns = made->set.nodes[0].ref.ns;
	item.name = made->set.nodes[0].ref.name;
	item.uid = tree_text_at(t, "metadata.uid");
	return item;
}

static void write_item(struct rig *g, struct relay_item item)
{
	if (rows_write(g->db, STR("c1"), g->epoch, &item, 1, &g->error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&g->error)));
}

static void apply(struct rig *g, const char *json)
{
	write_item(g, item_of(g, json));
}

static void drop(struct rig *g, const char *json)
{
	struct relay_item item = item_of(g, json);

	item.action = RELAY_DELETED;
	item.made = NULL;
	write_item(g, item);
}

static int64_t number(struct rig *g, const char *sql)
{
	int64_t n = -1;

	assert_int_equal(db_number(g->db, sql, -1, &n, &g->error), 0);
	return n;
}

static void answers(struct rig *g, struct graph_query q, const char *want)
{
	_buf_ struct buf b = {.max = 1 << 20};

	buf_reset(&g->error);
	if (graph_ask(g->db, &q, &b, &g->error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&g->error)));
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal(buf_str(&b).p, want);
}

#define DEPLOYMENT(secret)                                                                      \
	"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"gw\","    \
	"\"namespace\":\"pay\",\"uid\":\"1\"},\"spec\":{\"template\":{\"spec\":{\"volumes\":[{" \
	"\"name\":\"v\",\"secret\":{\"secretName\":\"" secret "\"}}]}}}}"
#define SECRET(name)                                                                \
	"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{\"name\":\"" name \
	"\",\"namespace\":\"pay\",\"uid\":\"s-" name "\"}}"
#define POD(name, label)                                                                         \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"" name                 \
	"\",\"namespace\":\"pay\",\"uid\":\"p-" name "\",\"labels\":{\"app\":\"" label           \
	"\"},\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":" \
	"\"rs\"}]},\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"}]}}"
#define SERVICE(label)                                                              \
	"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\"," \
	"\"namespace\":\"pay\",\"uid\":\"2\"},\"spec\":{\"selector\":{\"app\":\"" label "\"}}}"

static void who_uses_a_secret(void **state)
{
	const struct graph_query in = {.what = STR("Secret/pay/db"), .in = true};
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, DEPLOYMENT("db"));
	apply(&g, SECRET("db"));
	answers(&g, in,
		"Secret/pay/db\n"
		"\xe2\x94\x94\xe2\x94\x80 <- USES_SECRET Deployment/pay/gw  "
		"spec.template.spec.volumes[v].secret.secretName\n");
	/* A changed spec takes the edge back. */
	apply(&g, DEPLOYMENT("other"));
	answers(&g, in, "Secret/pay/db\n");
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_edge"), 1);
	drop(&g, DEPLOYMENT("other"));
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_edge"), 0);
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_node"), 1); /* the Secret */
	close_rig(&g);
}

static void missing_objects(void **state)
{
	_buf_ struct buf b = {.max = 1 << 20};
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, DEPLOYMENT("db"));
	/* Before Secrets are known completely, nobody says that one is missing. */
	assert_int_equal(graph_dangling(g.db, STR(""), GRAPH_TREE, &b, &g.error), 0);
	assert_int_equal(b.n, 0);
	assert_int_equal(rows_sweep(g.db, STR("c1"), 1, STR(""), STR("Secret"), &g.error), 0);
	assert_int_equal(graph_dangling(g.db, STR(""), GRAPH_TREE, &b, &g.error), 0);
	assert_true(
		str_eq(buf_str(&b), STR("USES_SECRET Deployment.apps/pay/gw -> Secret/pay/db "
					"(spec.template.spec.volumes[v].secret.secretName)\n")));
	answers(&g, (struct graph_query){.what = STR("deployments/gw"), .out = true},
		"Deployment/pay/gw\n"
		"\xe2\x94\x94\xe2\x94\x80 -> USES_SECRET Secret/pay/db (does not exist)  "
		"spec.template.spec.volumes[v].secret.secretName\n");
	apply(&g, SECRET("db"));
	buf_reset(&b);
	assert_int_equal(graph_dangling(g.db, STR(""), GRAPH_TREE, &b, &g.error), 0);
	assert_int_equal(b.n, 0);
	drop(&g, SECRET("db")); /* still named by the Deployment */
	assert_int_equal(graph_dangling(g.db, STR(""), GRAPH_JSON, &b, &g.error), 0);
	assert_true(b.n > 0);
	close_rig(&g);
}

static void selectors_follow_pods(void **state)
{
	const struct graph_query of_service = {.what = STR("Service/pay/s"), .out = true};
	const struct graph_query of_pod = {.what = STR("pod/pay/a"), .in = true};
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, SERVICE("web"));
	apply(&g, POD("a", "web"));
	apply(&g, POD("b", "db"));
	answers(&g, of_service,
		"Service/pay/s\n\xe2\x94\x94\xe2\x94\x80 -> SELECTS Pod/pay/a  spec.selector\n");
	answers(&g, of_pod,
		"Pod/pay/a\n"
		"\xe2\x94\x9c\xe2\x94\x80 <- OWNS ReplicaSet/pay/rs  metadata.ownerReferences\n"
		"\xe2\x94\x94\xe2\x94\x80 <- SELECTS Service/pay/s  spec.selector\n");
	apply(&g, POD("a", "db")); /* its labels changed, the Service did not */
	answers(&g, of_service, "Service/pay/s\n");
	apply(&g, SERVICE("db"));
	answers(&g, of_service,
		"Service/pay/s\n"
		"\xe2\x94\x9c\xe2\x94\x80 -> SELECTS Pod/pay/a  spec.selector\n"
		"\xe2\x94\x94\xe2\x94\x80 -> SELECTS Pod/pay/b  spec.selector\n");
	close_rig(&g);
}

static void depth_and_forms(void **state)
{
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, SERVICE("web"));
	apply(&g, POD("a", "web"));
	answers(&g, (struct graph_query){.what = STR("services/s"), .out = true, .depth = 3},
		"Service/pay/s\n"
		"\xe2\x94\x94\xe2\x94\x80 -> SELECTS Pod/pay/a  spec.selector\n"
		"   \xe2\x94\x9c\xe2\x94\x80 -> HAS_CONTAINER Container/pay/a/c\n"
		"   \xe2\x94\x94\xe2\x94\x80 -> RUNS_IMAGE Image//docker.io/library/i:1  "
		"spec.containers[c]\n");
	answers(&g,
		(struct graph_query){
			.what = STR("Service/pay/s"), .out = true, .output = GRAPH_DOT},
		"digraph kindred {\n\trankdir=LR;\n\tnode [shape=box];\n\t\"Service/pay/s\";\n"
		"\t\"Pod/pay/a\";\n\t\"Service/pay/s\" -> \"Pod/pay/a\" [label=\"SELECTS\"];\n}\n");
	answers(&g,
		(struct graph_query){.what = STR("image/docker.io/library/i:1"),
				     .in = true,
				     .output = GRAPH_JSON},
		"{\"root\":\"Image//docker.io/library/i:1\",\"nodes\":[{\"node\":"
		"\"Image//docker.io/library/i:1\",\"kind\":\"Image\",\"name\":"
		"\"docker.io/library/i:1\",\"cluster\":\"c1\",\"exists\":true,\"dangling\":false,"
		"\"props\":{\"registry\":\"docker.io\",\"repository\":\"i\",\"tag\":\"1\"}},{"
		"\"node\":"
		"\"Pod/pay/"
		"a\",\"kind\":\"Pod\",\"namespace\":\"pay\",\"name\":\"a\",\"cluster\":\"c1\","
		"\"exists\":true,\"dangling\":false,\"uid\":\"p-a\",\"props\":{\"uid\":"
		"\"p-a\",\"apiVersion\":\"v1\"}}],\"edges\":[{\"type\":\"RUNS_IMAGE\",\"from\":"
		"\"Pod/pay/a\",\"to\":\"Image//docker.io/library/i:1\",\"via\":"
		"\"spec.containers[c]\"}],\"cut\":false}\n");
	close_rig(&g);
}

static void bad_questions(void **state)
{
	static const struct {
		const char *what;
		int r;
	} cases[] = {{"", -EINVAL},
		     {"Pod", -EINVAL},
		     {"/x", -EINVAL},
		     {"Pod/", -EINVAL},
		     {"Pod/pay/", -EINVAL},
		     {"Pod/pay/no", -ENOENT},
		     {"Pod/other/a", -ENOENT},
		     {"Nothing/a", -ENOENT},
		     {"pods/a", -EINVAL}};
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, POD("a", "x"));
	apply(&g,
	      "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":"
	      "\"p2\"}}");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct graph_query q = {.what = str_of(cases[i].what)};
		_buf_ struct buf b = {.max = 1 << 20};

		buf_reset(&g.error);
		assert_int_equal(graph_ask(g.db, &q, &b, &g.error), cases[i].r);
		assert_true(g.error.n > 0);
	}
	close_rig(&g);
}

static void sweeping(void **state)
{
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, POD("a", "x"));
	apply(&g, POD("b", "x"));
	apply(&g, SERVICE("x"));
	g.epoch = 2; /* another run: b went meanwhile */
	apply(&g, POD("a", "x"));
	assert_int_equal(rows_sweep(g.db, STR("c1"), 2, STR(""), STR("Pod"), &g.error), 0);
	assert_int_equal(
		number(&g, "SELECT count(*) FROM graph_node WHERE kind='Pod' AND present=1"), 1);
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_node WHERE kind='Container'"), 1);
	/* Of another kind, and of another cluster, nothing goes. */
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_node WHERE kind='Service'"), 1);
	assert_int_equal(rows_sweep(g.db, STR("c2"), 9, STR(""), STR("Pod"), &g.error), 0);
	assert_int_equal(
		number(&g, "SELECT count(*) FROM graph_node WHERE kind='Pod' AND present=1"), 1);
	close_rig(&g);
}

static void states_are_kept_as_they_change(void **state)
{
#define WITH(rv, phase)                                                                       \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":" \
	"\"n\","                                                                              \
	"\"uid\":\"1\",\"annotations\":{\"x\":\"" rv "\"}},\"status\":{\"phase\":\"" phase    \
	"\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":"  \
	"\"2026-01-02T03:04:05Z\"}]}}"
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, WITH("1", "Pending"));
	apply(&g, WITH("2", "Pending"));
	apply(&g, WITH("3", "Running"));
	drop(&g, WITH("3", "Running"));
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_change"), 3);
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_change WHERE action='Applied' AND"
				    " since='2026-01-02T03:04:05Z'"),
			 2);
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_change WHERE action='Deleted'"), 1);
	close_rig(&g);
}

static void another_object_of_the_name(void **state)
{
	struct rig g;

	(void)state;
	open_rig(&g);
	apply(&g, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"uid\":\"new\"}}");
	drop(&g, "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"uid\":\"old\"}}"); /* late */
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_node WHERE present=1"), 1);
	close_rig(&g);
}

/* ---- any history ----------------------------------------------------------------------------- */

enum { OBJECTS = 12, STEPS = 600 };

static void make_random(struct rng *g, int i, char *json, size_t n)
{
	static const char *const kinds[] = {"Pod", "Secret", "Deployment"};
	int kind = i % 3;

	(void)snprintf(
		json, n,
		"{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"o%d\","
		"\"namespace\":"
		"\"n\",\"uid\":\"%d\",\"labels\":{\"l\":\"%d\"},\"ownerReferences\":[{\"kind\":"
		"\"Deployment\",\"apiVersion\":\"apps/v1\",\"name\":\"o%d\"}]},\"spec\":{\"a\":{"
		"\"secretName\":\"o%d\"},\"b\":{\"secretName\":\"o%d\"},\"nodeName\":\"w%d\","
		"\"containers\":[{\"name\":\"c%d\",\"image\":\"i%d\"}],\"volumes\":[{\"name\":\"v%"
		"d\","
		"\"secret\":{\"secretName\":\"o%d\"}}]}}",
		kind == 2 ? "apps/v1" : "v1", kinds[kind], i, i, (int)rng_below(g, 3),
		(int)rng_below(g, OBJECTS), (int)rng_below(g, OBJECTS), (int)rng_below(g, OBJECTS),
		(int)rng_below(g, 2), (int)rng_below(g, 2), (int)rng_below(g, 3),
		(int)rng_below(g, 2), (int)rng_below(g, OBJECTS));
}

/* What a fresh file holds of the objects that live is what this one holds. */
static void compare(struct rig *g, char live[OBJECTS][1024])
{
	static const char dump[] =
		"SELECT s.kind||s.name||' '||a.kind||'/'||a.name||' '||e.type||' '||b.kind||'/'||"
		"b.name||' '||e.selector||' '||ifnull(e.via,'')||b.present||a.present"
		" FROM graph_edge e JOIN graph_node s ON s.id=e.source"
		" JOIN graph_node a ON a.id=e.src JOIN graph_node b ON b.id=e.dst ORDER BY 1";
	struct rig fresh = {.epoch = 1};
	struct sqlite3_stmt *x = NULL, *y = NULL;
	int r;

	buf_init(&fresh.error, DB_ERROR_MAX);
	arena_init(&fresh.a, ARENA_BYTES);
	(void)snprintf(fresh.file, sizeof(fresh.file), "/tmp/kindred-graph2-%d.db", (int)getpid());
	(void)unlink(fresh.file);
	assert_int_equal(db_open(fresh.file, false, &fresh.db, &fresh.error), 0);
	for (int i = 0; i < OBJECTS; i++)
		if (live[i][0])
			apply(&fresh, live[i]);
	assert_int_equal(db_prepare(g->db, dump, false, &x, &g->error), 0);
	assert_int_equal(db_prepare(fresh.db, dump, false, &y, &fresh.error), 0);
	do {
		r = db_step(x, &g->error);
		assert_int_equal(r, db_step(y, &fresh.error));
		if (r == 1 && !str_eq(db_text(x, 0), db_text(y, 0)))
			fail_msg("%.*s, wanted %.*s", STR_ARG(db_text(x, 0)),
				 STR_ARG(db_text(y, 0)));
	} while (r == 1);
	db_finalize(&x);
	db_finalize(&y);
	assert_int_equal(number(g, "SELECT count(*) FROM graph_node"),
			 number(&fresh, "SELECT count(*) FROM graph_node"));
	assert_int_equal(number(g, "SELECT count(*) FROM graph_label"),
			 number(&fresh, "SELECT count(*) FROM graph_label"));
	close_rig(&fresh);
}

static void any_history(void **state)
{
	uint64_t seed = rng_entropy();
	char live[OBJECTS][1024] = {{0}};
	struct rng random;
	struct rig g;

	(void)state;
	(void)printf("seed %llu\n", (unsigned long long)seed);
	rng_seed(&random, seed);
	open_rig(&g);
	for (int step = 1; step <= STEPS; step++) {
		int i = (int)rng_below(&random, OBJECTS);

		arena_reset(&g.a);
		if (rng_below(&random, 3)) {
			make_random(&random, i, live[i], sizeof(live[i]));
			apply(&g, live[i]);
		} else if (live[i][0]) {
			drop(&g, live[i]);
			live[i][0] = '\0';
		}
		if (step % 100 == 0)
			compare(&g, live);
	}
	for (int i = 0; i < OBJECTS; i++)
		if (live[i][0])
			drop(&g, live[i]);
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_node"), 0);
	assert_int_equal(number(&g, "SELECT count(*) FROM graph_edge"), 0);
	close_rig(&g);
}

static void selectors(void **state)
{
	static const struct graph_label labels[] = {{STR("app"), STR("web")}, {STR("t"), STR("x")}};
	static const struct {
		const char *selector;
		bool want;
	} cases[] = {{"", true},
		     {"*", true},
		     {"app=web", true},
		     {"app=we", false},
		     {"app=web,t=x", true},
		     {"app=web,t=y", false},
		     {"app", true},
		     {"no", false},
		     {"!no", true},
		     {"!app", false},
		     {"t in (a,x)", true},
		     {"t in (a,b)", false},
		     {"no in (a)", false},
		     {"t notin (a,b)", true},
		     {"t notin (a,x),app", false},
		     {"no notin (a)", true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (selector_matches(str_of(cases[i].selector), labels, 2) != cases[i].want)
			fail_msg("%s", cases[i].selector);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_uses_a_secret),
		cmocka_unit_test(missing_objects),
		cmocka_unit_test(selectors_follow_pods),
		cmocka_unit_test(depth_and_forms),
		cmocka_unit_test(bad_questions),
		cmocka_unit_test(sweeping),
		cmocka_unit_test(states_are_kept_as_they_change),
		cmocka_unit_test(another_object_of_the_name),
		cmocka_unit_test(any_history),
		cmocka_unit_test(selectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
