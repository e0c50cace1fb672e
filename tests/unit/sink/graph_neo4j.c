/*
 * The graph in Neo4j, against a stand-in that carries out the statements: after any
 * history, with failures among it, it holds the edges of the objects that live.
 */
#include "sink/graph/graph.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/unit/sink/services_rig.h"

#define ARENA_BYTES ((size_t)64 << 20)

struct place {
	struct rig r;
	struct graph_backend *b;
	struct arena a;
	bool ended;
	enum vector_outcome how;
	char words[512];
};

static void open_place(struct place *p)
{
	_buf_ struct buf error = {.max = 1024};
	char url[256], spec[300];

	*p = (struct place){0};
	rig_loop(&p->r);
	arena_init(&p->a, ARENA_BYTES);
	fake_start(&p->r.fake, p->r.base, p->r.http, &(struct fake_opts){.script = "neo4j.py"});
	(void)snprintf(spec, sizeof(spec), "neo4j:%s",
		       fake_url(&p->r.fake, "/db/graph", url, sizeof(url)));
	if (graph_backend_new(&(struct graph_backend_opts){.base = p->r.base,
							   .http = p->r.http,
							   .spec = str_of(spec),
							   .cluster = STR("c1"),
							   .epoch = 7},
			      &p->b, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
}

static void close_place(struct place *p)
{
	assert_int_equal(fake_complaints(&p->r.fake), 0);
	graph_backend_free(&p->b);
	arena_done(&p->a);
	rig_done(&p->r);
}

static void on_end(void *ctx, const struct vector_end *end)
{
	struct place *p = ctx;

	p->ended = true;
	p->how = end->how;
	(void)snprintf(p->words, sizeof(p->words), "%.*s", STR_ARG(end->text));
}

static void turn(struct place *p)
{
	while (!p->ended)
		assert_true(event_base_loop(p->r.base, EVLOOP_ONCE) >= 0);
	p->ended = false;
}

static struct relay_item item_of(struct place *p, const char *json)
{
	struct graph_made *made = arena_alloc(&p->a, sizeof(*made));
	struct relay_item item = {.time = 1700000000 * NSEC_PER_SEC};
	struct tree *t;

	*made = (struct graph_made){0};
	assert_int_equal(tree_parse(&p->a, str_of(json), &t), 0);
	assert_int_equal(edges_of(t, &p->a, &made->set), 0);
	assert_int_equal(graph_state_of(t, &p->a, item.time, &made->state), 0);
	item.made = made;
	item.group = made->set.nodes[0].ref.group;
	item.kind = made->set.nodes[0].ref.kind;
	item.ns = made->set.nodes[0].ref.ns;
	item.name = made->set.nodes[0].ref.name;
	return item;
}

static enum vector_outcome write_items(struct place *p, const struct relay_item *items, uint32_t n)
{
	assert_int_equal(p->b->ops->write(p->b, items, n, on_end, p), 0);
	turn(p);
	return p->how;
}

static enum vector_outcome apply(struct place *p, const char *json, bool deleted)
{
	struct relay_item item = item_of(p, json);

	if (deleted) {
		item.action = RELAY_DELETED;
		item.made = NULL;
	}
	return write_items(p, &item, 1);
}

static size_t count(struct place *p, const char *what)
{
	json_t *dump = fake_ask(&p->r.fake, "GET", "/_fake/dump", NULL);
	size_t n = json_is_object(json_object_get(dump, what))
			   ? json_object_size(json_object_get(dump, what))
			   : json_array_size(json_object_get(dump, what));

	json_decref(dump);
	return n;
}

#define POD                                                                                   \
	"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":" \
	"\"n\",\"uid\":"                                                                      \
	"\"1\",\"labels\":{\"app\":\"x\"}},\"spec\":{\"nodeName\":\"w\",\"containers\":[{"    \
	"\"name\":\"c\","                                                                     \
	"\"image\":\"i:1\",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/"               \
	"v\"}]}],\"volumes\":[{"                                                              \
	"\"name\":\"v\",\"secret\":{\"secretName\":\"it's "                                   \
	"\\\"s\\\"\"}}]},\"status\":{\"phase\":\"Running\"}}"
#define SERVICE                                                                                   \
	"{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"s\",\"namespace\":" \
	"\"n\"},\"spec\":{\"selector\":{\"app\":\"x\"}}}"

static void objects_come_and_go(void **state)
{
	struct place p;

	(void)state;
	open_place(&p);
	assert_int_equal(apply(&p, POD, false), VECTOR_OK);
	assert_int_equal(apply(&p, SERVICE, false), VECTOR_OK);
	assert_int_equal(count(&p, "schema"), 5);
	/* Pod, container, volume, image, Secret, Node; Service and its selector. */
	assert_int_equal(count(&p, "nodes"), 8);
	assert_int_equal(count(&p, "edges"), 8);
	assert_int_equal(count(&p, "states"), 1);
	assert_int_equal(apply(&p, POD, false), VECTOR_OK); /* again: the same */
	assert_int_equal(count(&p, "edges"), 8);
	assert_int_equal(count(&p, "states"), 1);
	assert_int_equal(apply(&p, POD, true), VECTOR_OK);
	assert_int_equal(count(&p, "nodes"), 2);
	assert_int_equal(count(&p, "states"), 0);
	assert_int_equal(apply(&p, SERVICE, true), VECTOR_OK);
	assert_int_equal(count(&p, "nodes"), 0);
	close_place(&p);
}

static void sweeping(void **state)
{
	struct place p;

	(void)state;
	open_place(&p);
	assert_int_equal(apply(&p, POD, false), VECTOR_OK);
	assert_int_equal(apply(&p, SERVICE, false), VECTOR_OK);
	p.b->epoch++;
	assert_int_equal(apply(&p, SERVICE, false), VECTOR_OK);
	assert_int_equal(p.b->ops->sweep(p.b, STR(""), STR("Service"), on_end, &p), 0);
	turn(&p);
	assert_int_equal(count(&p, "nodes"), 8);
	assert_int_equal(p.b->ops->sweep(p.b, STR(""), STR("Pod"), on_end, &p), 0);
	turn(&p);
	assert_int_equal(p.how, VECTOR_OK);
	assert_int_equal(count(&p, "nodes"), 2);
	close_place(&p);
}

static void every_failure(void **state)
{
	static const struct {
		const char *fault, *set;
		enum vector_outcome want;
	} cases[] = {
		{"{\"status\":503}", NULL, VECTOR_RETRY},
		{"{\"status\":429,\"headers\":{\"Retry-After\":\"3\"}}", NULL, VECTOR_RETRY},
		{"{\"status\":408}", NULL, VECTOR_RETRY},
		{"{\"status\":400}", NULL, VECTOR_SPLIT},
		{"{\"status\":413}", NULL, VECTOR_SPLIT},
		{"{\"status\":401}", NULL, VECTOR_REFUSED},
		{"{\"status\":404}", NULL, VECTOR_GONE},
		{"{\"status\":200,\"body\":\"<html>\"}", NULL, VECTOR_RETRY},
		{"{\"status\":200,\"body\":{\"results\":[]}}", NULL, VECTOR_RETRY},
		{NULL, "{\"fail_with\":[\"Neo.TransientError.Transaction.DeadlockDetected\",1]}",
		 VECTOR_RETRY},
		{NULL, "{\"fail_with\":[\"Neo.DatabaseError.General.UnknownError\",1]}",
		 VECTOR_RETRY},
		{NULL, "{\"fail_with\":[\"Neo.ClientError.Statement.TypeError\",1]}", VECTOR_SPLIT},
		{NULL, "{\"fail_with\":[\"Neo.ClientError.Security.Forbidden\",1]}",
		 VECTOR_REFUSED},
		/* Done there, but nobody knows. */
		{"{\"half\":true}", NULL, VECTOR_RETRY},
	};
	struct place p;

	(void)state;
	open_place(&p);
	assert_int_equal(apply(&p, SERVICE, false), VECTOR_OK); /* constraints are made */
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (cases[i].fault)
			fake_fault(&p.r.fake, cases[i].fault);
		else
			fake_tell(&p.r.fake, "/_fake/set", cases[i].set);
		if (apply(&p, POD, false) != cases[i].want)
			fail_msg("%s: %s %s", cases[i].fault ? cases[i].fault : cases[i].set,
				 vector_outcome_name(p.how), p.words);
		assert_true(p.words[0] != '\0');
		if (i + 1 < ARRAY_SIZE(cases))
			assert_int_equal(count(&p, "nodes"), 2); /* nothing by halves */
	}
	assert_int_equal(apply(&p, POD, false), VECTOR_OK);
	close_place(&p);
}

static void who_may_not_make_constraints(void **state)
{
	struct place p;

	(void)state;
	open_place(&p);
	fake_tell(&p.r.fake, "/_fake/set",
		  "{\"fail_with\":[\"Neo.ClientError.Security.Forbidden\",1]}");
	assert_int_equal(apply(&p, SERVICE, false), VECTOR_OK);
	close_place(&p);
}

/* ---- any history ----------------------------------------------------------------------------- */

enum { OBJECTS = 9, STEPS = 120 };

static void make_random(struct rng *g, int i, char *json, size_t n)
{
	static const char *const kinds[] = {"Pod", "Secret", "Deployment"};
	int kind = i % 3;

	(void)snprintf(
		json, n,
		"{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"o%d\","
		"\"namespace\":\"n\",\"uid\":\"%d\",\"ownerReferences\":[{\"kind\":\"Deployment\","
		"\"apiVersion\":\"apps/v1\",\"name\":\"o%d\"}]},\"spec\":{\"a\":{\"secretName\":"
		"\"o%d\"},\"containers\":[{\"name\":\"c%d\",\"image\":\"i%d\"}],\"volumes\":[{"
		"\"name\":\"v\",\"secret\":{\"secretName\":\"o%d\"}}]}}",
		kind == 2 ? "apps/v1" : "v1", kinds[kind], i, i, (int)rng_below(g, OBJECTS),
		(int)rng_below(g, OBJECTS), (int)rng_below(g, 2), (int)rng_below(g, 3),
		(int)rng_below(g, OBJECTS));
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

struct lines {
	char *v[512];
	size_t n;
};

static void add_line(struct lines *l, const char *type, const char *from, const char *to)
{
	char line[512];

	assert_true(l->n < ARRAY_SIZE(l->v));
	(void)snprintf(line, sizeof(line), "%s %s %s", type, from, to);
	l->v[l->n++] = str_dup(str_of(line));
}

static void ref_text(const struct graph_ref *ref, char *to, size_t n)
{
	_buf_ struct buf b = {.max = 1024};

	assert_int_equal(graph_ref_put(&b, ref), 0);
	(void)snprintf(to, n, "c1/%.*s", STR_ARG(buf_str(&b)));
}

static void compare(struct place *p, char live[OBJECTS][1024])
{
	json_t *dump = fake_ask(&p->r.fake, "GET", "/_fake/dump", NULL), *e;
	struct lines want = {0}, is = {0};
	size_t i;

	for (int k = 0; k < OBJECTS; k++) {
		struct relay_item item;
		const struct graph_set *s;

		if (!live[k][0])
			continue;
		item = item_of(p, live[k]);
		s = &((struct graph_made *)item.made)->set;
		for (uint32_t x = 0; x < s->n_edges; x++) {
			char from[256], to[256];

			ref_text(&s->edges[x].from, from, sizeof(from));
			ref_text(&s->edges[x].to, to, sizeof(to));
			add_line(&want, graph_type_name(s->edges[x].type), from, to);
		}
	}
	json_array_foreach(json_object_get(dump, "edges"), i, e)
		add_line(&is, json_string_value(json_object_get(e, "type")),
			 json_string_value(json_object_get(e, "from")),
			 json_string_value(json_object_get(e, "to")));
	qsort(want.v, want.n, sizeof(char *), by_text);
	qsort(is.v, is.n, sizeof(char *), by_text);
	for (i = 0; i < want.n && i < is.n; i++)
		assert_string_equal(is.v[i], want.v[i]);
	assert_int_equal(is.n, want.n);
	for (i = 0; i < want.n; i++)
		free(want.v[i]);
	for (i = 0; i < is.n; i++)
		free(is.v[i]);
	json_decref(dump);
}

static void any_history(void **state)
{
	uint64_t seed = rng_entropy();
	char live[OBJECTS][1024] = {{0}};
	struct rng random;
	struct place p;

	(void)state;
	(void)printf("seed %llu\n", (unsigned long long)seed);
	rng_seed(&random, seed);
	open_place(&p);
	for (int step = 1; step <= STEPS; step++) {
		int i = (int)rng_below(&random, OBJECTS);
		char before[1024];
		bool drop = !rng_below(&random, 3);

		arena_reset(&p.a);
		(void)snprintf(before, sizeof(before), "%s", live[i]);
		if (drop && !before[0])
			continue;
		if (!rng_below(&random, 5))
			fake_fault(&p.r.fake,
				   rng_below(&random, 2) ? "{\"status\":503}" : "{\"cut\":true}");
		if (!drop)
			make_random(&random, i, live[i], sizeof(live[i]));
		while (apply(&p, drop ? before : live[i], drop) != VECTOR_OK)
			assert_int_equal(p.how, VECTOR_RETRY);
		if (drop)
			live[i][0] = '\0';
		if (step % 40 == 0)
			compare(&p, live);
	}
	for (int i = 0; i < OBJECTS; i++)
		if (live[i][0])
			assert_int_equal(apply(&p, live[i], true), VECTOR_OK);
	assert_int_equal(count(&p, "nodes"), 0);
	assert_int_equal(count(&p, "edges"), 0);
	close_place(&p);
}

static void bad_specs(void **state)
{
	static const char *const bad[] = {
		"neo4j:", "neo4j:ftp://x", "neo4j:http://x/db/", "neo4j:http://x/db/a/b",
		"what",	  "jsonl:"};
	struct rig r;

	(void)state;
	rig_loop(&r);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct graph_backend *b = NULL;
		_buf_ struct buf error = {.max = 1024};

		assert_int_equal(
			graph_backend_new(&(struct graph_backend_opts){.base = r.base,
								       .http = r.http,
								       .spec = str_of(bad[i])},
					  &b, &error),
			-EINVAL);
		assert_true(error.n > 0);
	}
	http_free(&r.http);
	event_base_free(r.base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_come_and_go),
		cmocka_unit_test(sweeping),
		cmocka_unit_test(every_failure),
		cmocka_unit_test(who_may_not_make_constraints),
		cmocka_unit_test(any_history),
		cmocka_unit_test(bad_specs),
	};

	if (!fake_possible())
		return 0;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
