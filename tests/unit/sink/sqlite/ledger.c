/*
 * The ledger: rows are kept per database, written over, taken out and read again; but
 * documents of the same file are their own rows.
 */
#include "tests/unit/sink/sqlite/rig.h"

#include "sink/sqlite/ledger.h"

static const uint8_t one[DOC_HASH_SIZE] = {1}, two[DOC_HASH_SIZE] = {2};

struct seen {
	char text[1024];
	int n, stop;
};

static int on_row(void *ctx, const struct ledger_row *row)
{
	struct seen *s = ctx;
	size_t at = strlen(s->text);

	(void)snprintf(s->text + at, sizeof(s->text) - at, "%.*s:%.*s:%.*s:%d:%d:%d:%.*s ",
		       STR_ARG(row->backend), STR_ARG(row->id), STR_ARG(row->uid),
		       row->text_hash ? row->text_hash[0] : -1,
		       row->meta_hash ? row->meta_hash[0] : -1, (int)row->state,
		       STR_ARG(row->reason));
	return ++s->n == s->stop ? 3 : 0;
}

static void expect(struct rig *g, const char *backend, const char *want)
{
	struct seen s = {0};

	rig_ok(g, ledger_each(g->db, str_of(backend), on_row, &s, &g->error));
	assert_string_equal(s.text, want);
}

static struct ledger_row row_of(const char *backend, const char *id, const uint8_t *hash)
{
	return (struct ledger_row){.backend = str_of(backend),
				   .id = str_of(id),
				   .uid = STR("u"),
				   .text_hash = hash,
				   .meta_hash = two};
}

static void fill(struct rig *g)
{
	const struct ledger_row rows[] = {row_of("q", "b", one), row_of("c", "x", one),
					  row_of("q", "a", two)};

	rig_ok(g, db_open(g->file, false, &g->db, &g->error));
	rig_ok(g, ledger_backend_set(g->db, STR("q"), STR("m"), 384, STR("t1"), &g->error));
	rig_ok(g, ledger_backend_set(g->db, STR("c"), STR("m"), 8, STR(""), &g->error));
	rig_ok(g, ledger_put(g->db, rows, ARRAY_SIZE(rows), &g->error));
}

static void rows_are_kept(void **state)
{
	struct rig *g = *state;
	struct ledger_row bad = row_of("q", "b", NULL);
	struct seen s = {.stop = 1};

	fill(g);
	expect(g, "q", "q:a:u:2:2:0: q:b:u:1:2:0: ");
	expect(g, "c", "c:x:u:1:2:0: ");
	expect(g, "nobody", "");
	bad.state = LEDGER_QUARANTINED;
	bad.reason = STR("too long");
	rig_ok(g, ledger_put(g->db, &bad, 1, &g->error));
	expect(g, "q", "q:a:u:2:2:0: q:b:u:-1:2:1:too long ");
	rig_said(g, ledger_each(g->db, STR("q"), on_row, &s, &g->error), 3, NULL);
	assert_int_equal(s.n, 1);
}

static void rows_go(void **state)
{
	struct rig *g = *state;
	const struct str ids[] = {STR("a"), STR("zzz")};

	fill(g);
	rig_ok(g, ledger_delete(g->db, STR("q"), ids, 2, &g->error));
	expect(g, "q", "q:b:u:1:2:0: ");
	rig_ok(g, ledger_delete(g->db, STR("nobody"), ids, 2, &g->error));
	expect(g, "c", "c:x:u:1:2:0: ");
}

static void a_backend_is_known_by_its_model(void **state)
{
	struct rig *g = *state;
	const struct ledger_row row = row_of("new", "a", one);
	_buf_ struct buf model = {.max = 64}, template_ = {.max = 64};
	uint32_t dim = 0;

	fill(g);
	rig_ok(g, ledger_backend(g->db, STR("q"), &model, &dim, &template_, &g->error));
	assert_true(str_eq(buf_str(&model), STR("m")));
	assert_true(str_eq(buf_str(&template_), STR("t1")));
	assert_int_equal(dim, 384);
	rig_ok(g, ledger_backend_set(g->db, STR("q"), STR("n"), 8, STR("t2"), &g->error));
	buf_reset(&model);
	rig_ok(g, ledger_backend(g->db, STR("q"), &model, &dim, &template_, &g->error));
	assert_true(str_eq(buf_str(&model), STR("n")));
	expect(g, "q", "q:a:u:2:2:0: q:b:u:1:2:0: "); /* its rows stay */
	rig_said(g, ledger_backend(g->db, STR("new"), &model, &dim, &template_, &g->error), -ENOENT,
		 NULL);
	rig_said(g, ledger_put(g->db, &row, 1, &g->error), -ENOENT, "the database new");
}

/* ---- at home --------------------------------------------------------------------------------- */

static const float up[RIG_DIM] = {1};

static void view(struct rig *g, const char *want)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	char text[1024] = "";

	rig_ok(g, db_prepare(g->db,
			     "SELECT name, id, state, hex(substr(text_hash, 1, 1)) FROM ledger "
			     "JOIN ledger_backend ON number = backend ORDER BY name, id",
			     false, &s, &g->error));
	while (db_step(s, &g->error) > 0) {
		size_t at = strlen(text);

		(void)snprintf(text + at, sizeof(text) - at, "%.*s:%.*s:%d:%.*s ",
			       STR_ARG(db_text(s, 0)), STR_ARG(db_text(s, 1)),
			       sqlite3_column_int(s, 2), STR_ARG(db_text(s, 3)));
	}
	assert_string_equal(text, want);
}

static void store(struct rig *g, const char *id)
{
	const struct docs_row row = rig_row(id, "shop", "Pod", id, "text", up);

	rig_ok(g, docs_upsert(g->docs, &row, 1, &g->error));
}

static void put_aside(struct rig *g, const char *backend, const char *id)
{
	struct ledger_row bad = row_of(backend, id, two);

	bad.state = LEDGER_QUARANTINED;
	bad.reason = STR("bad");
	rig_ok(g, ledger_put(g->db, &bad, 1, &g->error));
}

static void fill_home(struct rig *g)
{
	rig_open(g, 0);
	rig_ok(g, ledger_backend_set(g->db, STR("q"), STR("m"), 8, STR("t1"), &g->error));
	rig_ok(g, ledger_backend_set(g->db, STR("home"), STR("m"), 8, STR("t1"), &g->error));
	rig_ok(g, ledger_set_home(g->db, STR("home"), STR("kindred"), &g->error));
	store(g, "a");
	store(g, "b");
}

static void documents_are_their_own_rows(void **state)
{
	struct rig *g = *state;
	const struct str ids[] = {STR("b"), STR("c")};
	const struct ledger_row theirs = row_of("q", "a", two);

	fill_home(g);
	view(g, "home:a:0:01 home:b:0:01 ");
	expect(g, "home", "");
	rig_ok(g, ledger_put(g->db, &theirs, 1, &g->error));
	put_aside(g, "home", "b"); /* what is stored is an older state of it */
	put_aside(g, "home", "c");
	put_aside(g, "q", "b");
	expect(g, "home", "home:b:u:2:2:1:bad home:c:u:2:2:1:bad ");
	view(g, "home:a:0:01 home:b:1:02 home:c:1:02 q:a:0:02 q:b:1:02 ");
	store(g, "b");
	expect(g, "home", "home:c:u:2:2:1:bad ");
	view(g, "home:a:0:01 home:b:0:01 home:c:1:02 q:a:0:02 q:b:1:02 ");
	rig_ok(g, docs_delete(g->docs, ids, 2, &g->error));
	expect(g, "home", "");
	view(g, "home:a:0:01 q:a:0:02 q:b:1:02 ");
}

/* As the first two steps of the schema left it, with a row for each document. */
static void make_old(struct rig *g)
{
	const struct ledger_row rows[] = {row_of("home", "a", one), row_of("home", "b", one),
					  row_of("q", "a", two)};

	rig_open(g, 0);
	rig_ok(g, db_exec(g->db,
			  "DROP VIEW ledger;"
			  "ALTER TABLE ledger_backend DROP COLUMN collection;",
			  &g->error));
	rig_ok(g, ledger_backend_set(g->db, STR("q"), STR("m"), 8, STR("t1"), &g->error));
	rig_ok(g, ledger_backend_set(g->db, STR("home"), STR("m"), 8, STR("t1"), &g->error));
	rig_ok(g, ledger_put(g->db, rows, ARRAY_SIZE(rows), &g->error));
	put_aside(g, "home", "c");
	docs_close(&g->docs);
	rig_ok(g, db_exec(g->db,
			  "ALTER TABLE ledger_row RENAME TO ledger;"
			  "PRAGMA user_version = 2",
			  &g->error));
	db_close(&g->db);
}

static void an_older_ledger_comes_home(void **state)
{
	struct rig *g = *state;

	make_old(g);
	rig_open(g, 0);
	view(g, "home:a:0:01 home:b:0:01 home:c:1:02 q:a:0:02 ");
	store(g, "a");
	rig_ok(g, ledger_set_home(g->db, STR("home"), STR("kindred"), &g->error));
	expect(g, "home", "home:c:u:2:2:1:bad ");
	view(g, "home:a:0:01 home:c:1:02 q:a:0:02 ");
	rig_check(g);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(rows_are_kept),
		TEST(rows_go),
		TEST(a_backend_is_known_by_its_model),
		TEST(documents_are_their_own_rows),
		TEST(an_older_ledger_comes_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
