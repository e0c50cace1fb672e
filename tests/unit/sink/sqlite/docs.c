/*
 * Collections: what is written is read again, the full text index follows every change,
 * and what is wrong is refused in words.
 */
#include "tests/unit/sink/sqlite/rig.h"

#include <math.h>

#include "base/rng.h"
#include "tests/lib/torture.h"

static const float up[RIG_DIM] = {1, 0.5F}, down[RIG_DIM] = {0.5F, -1};

static struct docs_opts opts(const char *name, const char *model, uint32_t dim,
			     const char *template_)
{
	return (struct docs_opts){.collection = str_of(name),
				  .model = str_of(model),
				  .dim = dim,
				  .template_ = str_of(template_)};
}

static void a_collection_is_of_one_model(void **state)
{
	struct rig *g = *state;
	struct docs_opts o = opts("kindred", "test:16", RIG_DIM, "t1:rich");
	struct docs *d = NULL;
	struct docs_info info;

	rig_open(g, 0);
	rig_ok(g, docs_open(g->db, &o, &d, &g->error));
	docs_close(&d);
	o.model = STR("test:17");
	rig_said(g, docs_open(g->db, &o, &d, &g->error), -EEXIST, "test:16, dimension 16");
	o = opts("kindred", "test:16", 32, "t1:rich");
	rig_said(g, docs_open(g->db, &o, &d, &g->error), -EEXIST, "dimension 32");
	o = opts("kindred", "test:16", RIG_DIM, "t2:rich");
	rig_said(g, docs_open(g->db, &o, &d, &g->error), -EEXIST, "t2:rich");
	o = opts("other", "test:16", 0, "t1");
	rig_said(g, docs_open(g->db, &o, &d, &g->error), -EINVAL, "dimension 0");
	o.dim = DOCS_MAX_DIM + 1;
	rig_said(g, docs_open(g->db, &o, &d, &g->error), -EINVAL, "dimension 8193");
	assert_null(d);
	o = opts("other", "test:8", 8, "");
	rig_ok(g, docs_open(g->db, &o, &d, &g->error));
	rig_ok(g, docs_info(d, &info, &g->error));
	assert_true(str_eq(info.model, STR("test:8")));
	assert_int_equal(info.dim, 8);
	docs_close(&d);
}

static void find(struct rig *g, const char *name, int want, const char *words)
{
	struct docs *d = NULL;
	struct docs_info info;

	if (want) {
		rig_said(g, docs_find(g->db, str_of(name), 0, &d, &g->error), want, words);
		return;
	}
	rig_ok(g, docs_find(g->db, str_of(name), 0, &d, &g->error));
	rig_ok(g, docs_info(d, &info, &g->error));
	assert_true(str_eq(info.collection, str_of(words)));
	docs_close(&d);
}

static void a_collection_is_found(void **state)
{
	struct rig *g = *state;
	struct docs_opts o = opts("aaa", "test:8", 8, "");
	struct docs *d = NULL;

	rig_ok(g, db_open(g->file, false, &g->db, &g->error));
	find(g, "", -ENOENT, "no collection yet");
	rig_ok(g, docs_open(g->db, &o, &d, &g->error));
	docs_close(&d);
	find(g, "", 0, "aaa");
	find(g, "kindred", -ENOENT, "no collection kindred");
	o.collection = STR("kindred");
	rig_ok(g, docs_open(g->db, &o, &d, &g->error));
	docs_close(&d);
	find(g, "", 0, "kindred");
	find(g, "aaa", 0, "aaa");
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct seen {
	char ids[512];
	int n, stop;
};

static int on_known(void *ctx, const struct docs_known *k)
{
	struct seen *s = ctx;
	size_t at = strlen(s->ids);

	(void)snprintf(s->ids + at, sizeof(s->ids) - at, "%.*s(%.*s,%.*s) ", STR_ARG(k->id),
		       STR_ARG(k->kind), STR_ARG(k->ns));
	assert_non_null(k->text_hash);
	assert_int_equal(k->text_hash[1], 2);
	assert_non_null(k->meta_hash);
	return ++s->n == s->stop ? 7 : 0;
}

static void scroll(struct rig *g, const char *after, uint32_t max, const char *want)
{
	struct seen s = {0};

	rig_ok(g, docs_scroll(g->docs, str_of(after), max, on_known, &s, &g->error));
	assert_string_equal(s.ids, want);
}

static void fill(struct rig *g)
{
	const struct docs_row rows[] = {
		rig_row("b", "payments", "Deployment", "gateway", "mounts payments-db", up),
		rig_row("a", "payments", "Secret", "payments-db", "password", down),
		rig_row("c", "", "Node", "worker-1", "memory and CPU", up),
	};

	rig_ok(g, docs_upsert(g->docs, rows, ARRAY_SIZE(rows), &g->error));
}

static void rows_are_walked_in_order(void **state)
{
	struct rig *g = *state;
	struct seen s = {.stop = 2};

	rig_open(g, 0);
	fill(g);
	scroll(g, "", 10, "a(Secret,payments) b(Deployment,payments) c(Node,) ");
	scroll(g, "a", 1, "b(Deployment,payments) ");
	scroll(g, "bb", 10, "c(Node,) ");
	scroll(g, "c", 10, "");
	rig_said(g, docs_scroll(g->docs, STR(""), 10, on_known, &s, &g->error), 7, NULL);
	assert_int_equal(s.n, 2);
}

static int64_t matches(struct rig *g, const char *match)
{
	char sql[256];

	(void)snprintf(sql, sizeof(sql),
		       "SELECT count(*) FROM document_fts WHERE document_fts MATCH '%s'", match);
	return rig_number(g, sql);
}

static void the_index_follows(void **state)
{
	struct rig *g = *state;
	struct docs_row row = rig_row("b", "payments", "Deployment", "gateway", "uses kafka", up);
	const struct str gone[] = {STR("a"), STR("nobody")};

	rig_open(g, 0);
	fill(g);
	rig_check(g);
	assert_int_equal(matches(g, "mount"), 1);
	rig_ok(g, docs_upsert(g->docs, &row, 1, &g->error));
	assert_int_equal(matches(g, "mount"), 0);
	assert_int_equal(matches(g, "kafka"), 1);
	rig_ok(g, docs_upsert(g->docs, &row, 1, &g->error)); /* nothing changes */
	rig_check(g);
	rig_ok(g, docs_delete(g->docs, gone, 2, &g->error));
	assert_int_equal(matches(g, "password"), 0);
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document"), 2);
	rig_check(g);
}

static void names_are_found_in_parts_and_whole(void **state)
{
	struct rig *g = *state;
	const struct docs_row rows[] = {
		rig_row("1", "shop", "PersistentVolumeClaim", "payments-db", "x", up),
		rig_row("2", "shop", "ConfigMap", "db-payments",
			"imagePullSecrets registry.io/a_b:1.2", up),
	};

	rig_open(g, 0);
	rig_ok(g, docs_upsert(g->docs, rows, 2, &g->error));
	assert_int_equal(matches(g, "payments"), 2);
	assert_int_equal(matches(g, "db"), 2);
	assert_int_equal(matches(g, "\"payments-db\""), 1);
	assert_int_equal(matches(g, "persistentvolumeclaims"), 1);
	assert_int_equal(matches(g, "volume"), 1);
	assert_int_equal(matches(g, "map"), 1);
	assert_int_equal(matches(g, "secret"), 1);
	assert_int_equal(matches(g, "\"a_b\""), 1);
	rig_check(g);
}

static void metadata_alone_keeps_the_vector(void **state)
{
	struct rig *g = *state;
	struct docs_row row = rig_row("a", "payments", "Secret", "payments-db", "password", NULL);

	rig_open(g, 0);
	fill(g);
	row.fields[DOC_PHASE] = STR("Active");
	rig_ok(g, docs_upsert(g->docs, &row, 1, &g->error));
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document WHERE phase = 'Active'"), 1);
	rig_check(g);
	row.id = STR("z");
	rig_said(g, docs_upsert(g->docs, &row, 1, &g->error), -ENOENT, "z has no vector yet");
}

static void bad_vectors_are_refused(void **state)
{
	struct rig *g = *state;
	const float bad[][RIG_DIM] = {{0},	{1, NAN}, {INFINITY}, {0, -INFINITY, 1},
				      {1e-30F}, {-0.0F}};

	rig_open(g, 0);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct docs_row row = rig_row("x", "", "Node", "n", "t", bad[i]);

		rig_said(g, docs_upsert(g->docs, &row, 1, &g->error), -EINVAL, "the vector of x");
	}
}

static void collections_are_apart(void **state)
{
	struct rig *g = *state;
	const struct docs_opts o = opts("other", "test:16", RIG_DIM, "");
	const struct docs_row row = rig_row("b", "", "Deployment", "gateway", "another", up);
	const struct str id = STR("b");
	struct docs *mine = NULL;

	rig_open(g, 0);
	fill(g);
	mine = TAKE_PTR(g->docs);
	rig_ok(g, docs_open(g->db, &o, &g->docs, &g->error));
	rig_ok(g, docs_upsert(g->docs, &row, 1, &g->error));
	scroll(g, "", 10, "b(Deployment,) ");
	rig_ok(g, docs_delete(mine, &id, 1, &g->error));
	scroll(g, "", 10, "b(Deployment,) ");
	docs_close(&g->docs);
	g->docs = mine;
	scroll(g, "", 10, "a(Secret,payments) c(Node,) ");
	rig_check(g);
}

static void a_rollback_leaves_nothing(void **state)
{
	struct rig *g = *state;

	rig_open(g, 0);
	rig_ok(g, db_exec(g->db, "BEGIN", &g->error));
	fill(g);
	rig_ok(g, db_exec(g->db, "ROLLBACK", &g->error));
	scroll(g, "", 10, "");
	fill(g);
	rig_check(g);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int whole(void *ctx)
{
	struct rig *g = ctx;
	const struct docs_opts o = opts("torture", "test:16", RIG_DIM, "t");
	const struct docs_row row = rig_row("b", "shop", "ConfigMap", "fooBar", "another", up);
	struct seen s = {0};
	_docs_ struct docs *d = NULL;
	int r = docs_open(g->db, &o, &d, NULL);

	r = r < 0 ? r : docs_upsert(d, &row, 1, NULL);
	r = r < 0 ? r : docs_scroll(d, STR(""), 10, on_known, &s, NULL);
	return r;
}

static void memory_may_run_out(void **state)
{
	struct rig *g = *state;

	rig_open(g, 0);
	assert_int_equal(torture_run(whole, g), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_collection_is_of_one_model),
		TEST(a_collection_is_found),
		TEST(rows_are_walked_in_order),
		TEST(the_index_follows),
		TEST(names_are_found_in_parts_and_whole),
		TEST(metadata_alone_keeps_the_vector),
		TEST(bad_vectors_are_refused),
		TEST(collections_are_apart),
		TEST(a_rollback_leaves_nothing),
		TEST(memory_may_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
