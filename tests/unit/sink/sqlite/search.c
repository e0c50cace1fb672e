/*
 * Search against a plain array: whatever was written, changed, rolled back or written by
 * another process, the vectors' answer is a naive scan's, the words' answer is the set of
 * documents that hold one of them, in the order and with the scores of FTS5's own bm25();
 * with a matrix, with one that is too large, and without.
 */
#include "tests/unit/sink/sqlite/rig.h"

#include <math.h>

#include "base/rng.h"
#include "tests/lib/torture.h"

#define MODEL_DOCS 900
#define WORDS	   12

/* No two share a stem, none is a word that says nothing. */
static const char *const vocabulary[WORDS] = {"kafka",	"mysql",   "router",  "volume",
					      "quota",	"gateway", "canary",  "ledger",
					      "backup", "probe",   "webhook", "tenant"};
static const char *const kinds[] = {"Pod", "Deployment", "ConfigMap"};
static const char *const spaces[] = {"", "shop", "payments", "kube-system"};

struct thing {
	bool there;
	unsigned kind, ns;
	unsigned words; /* bits */
	float v[RIG_DIM];
};

struct model {
	struct rig *g;
	struct rng rng;
	struct thing things[MODEL_DOCS];
	char text[256];
};

static void id_of(unsigned i, char ret[32])
{
	(void)snprintf(ret, 32, "id-%03u", i);
}

static unsigned below(struct model *m, unsigned n)
{
	return (unsigned)rng_below(&m->rng, n);
}

/* Few values, so that ties are common. */
static void draw_vector(struct model *m, float v[RIG_DIM])
{
	for (int i = 0; i < RIG_DIM; i++)
		v[i] = (float)below(m, 3) - 1;
	v[below(m, RIG_DIM)] = 2;
}

static struct docs_row row_of(struct model *m, const struct thing *t, const char *id, bool vector)
{
	m->text[0] = 0;
	for (unsigned i = 0; i < WORDS; i++) {
		size_t at = strlen(m->text);

		if (t->words >> i & 1)
			(void)snprintf(m->text + at, sizeof(m->text) - at, "%s | ", vocabulary[i]);
	}
	return rig_row(id, spaces[t->ns], kinds[t->kind], id, m->text, vector ? t->v : NULL);
}

static void put_one(struct model *m, struct docs *d, unsigned i)
{
	struct thing *t = &m->things[i];
	bool vector = !t->there || below(m, 4);
	char id[32];
	struct docs_row row;

	t->there = true;
	t->kind = below(m, ARRAY_SIZE(kinds));
	t->ns = below(m, ARRAY_SIZE(spaces));
	t->words = (unsigned)rng_next(&m->rng) & (unsigned)rng_next(&m->rng) & 0xfff;
	if (vector)
		draw_vector(m, t->v);
	id_of(i, id);
	row = row_of(m, t, id, vector);
	rig_ok(m->g, docs_upsert(d, &row, 1, &m->g->error));
}

static void drop_one(struct model *m, struct docs *d, unsigned i)
{
	char text[32];
	struct str id;

	id_of(i, text);
	id = str_of(text);
	m->things[i].there = false;
	rig_ok(m->g, docs_delete(d, &id, 1, &m->g->error));
}

static void change(struct model *m, struct docs *d, unsigned n)
{
	for (unsigned k = 0; k < n; k++) {
		if (below(m, 3))
			put_one(m, d, below(m, MODEL_DOCS));
		else
			drop_one(m, d, below(m, MODEL_DOCS));
	}
}

static void transaction(struct model *m, struct sqlite3 *db, struct docs *d)
{
	static struct thing before[MODEL_DOCS];
	bool undo = below(m, 4) == 0;

	memcpy(before, m->things, sizeof(before));
	rig_ok(m->g, db_exec(db, "BEGIN IMMEDIATE", &m->g->error));
	change(m, d, 1 + below(m, 60));
	rig_ok(m->g, db_exec(db, undo ? "ROLLBACK" : "COMMIT", &m->g->error));
	if (undo)
		memcpy(m->things, before, sizeof(before));
}

/* ---- answers --------------------------------------------------------------------------------- */

struct answer {
	char ids[DOCS_MAX_RESULTS][32];
	double scores[DOCS_MAX_RESULTS];
	bool by_words[DOCS_MAX_RESULTS];
	unsigned n, stop;
};

static int on_hit(void *ctx, const struct docs_hit *h)
{
	struct answer *a = ctx;

	assert_true(a->n < DOCS_MAX_RESULTS);
	(void)snprintf(a->ids[a->n], 32, "%.*s", STR_ARG(h->id));
	a->scores[a->n] = h->score;
	a->by_words[a->n] = h->by_words;
	assert_true(str_eq(h->fields[DOC_NAME], h->id));
	return ++a->n == a->stop ? 9 : 0;
}

static bool passes(const struct thing *t, const struct docs_query *q)
{
	return t->there && (!q->kind.n || str_ieq(q->kind, str_of(kinds[t->kind]))) &&
	       (!q->ns.n || str_eq(q->ns, str_of(spaces[t->ns])));
}

static double cosine(const float *a, const float *b)
{
	double ab = 0, aa = 0, bb = 0;

	for (int i = 0; i < RIG_DIM; i++) {
		ab += (double)a[i] * b[i];
		aa += (double)a[i] * a[i];
		bb += (double)b[i] * b[i];
	}
	return ab / sqrt(aa * bb);
}

static int descending(const void *pa, const void *pb)
{
	const double *a = pa, *b = pb;

	return (*a < *b) - (*a > *b);
}

/* The scores are the naive ones in order; each is that of its document; documents of one score come
 * in order of their ids, and so but once. */
static void check_vectors(struct model *m, struct docs *d, const struct docs_query *q)
{
	double all[MODEL_DOCS];
	struct answer a = {0};
	unsigned n = 0;

	for (unsigned i = 0; i < MODEL_DOCS; i++)
		if (passes(&m->things[i], q))
			all[n++] = cosine(q->vector, m->things[i].v);
	qsort(all, n, sizeof(*all), descending);
	rig_ok(m->g, docs_search(d, q, on_hit, &a, &m->g->error));
	assert_int_equal(a.n, MIN(n, q->n));
	for (unsigned i = 0; i < a.n; i++) {
		const struct thing *t = &m->things[strtoul(a.ids[i] + 3, NULL, 10)];

		assert_true(passes(t, q));
		assert_true(fabs(a.scores[i] - all[i]) < 1e-9);
		assert_true(fabs(a.scores[i] - cosine(q->vector, t->v)) < 1e-9);
		assert_false(a.by_words[i]);
		if (i && a.scores[i] == a.scores[i - 1])
			assert_true(strcmp(a.ids[i - 1], a.ids[i]) < 0);
	}
}

static bool has(const struct answer *a, unsigned i)
{
	char id[32];

	id_of(i, id);
	for (unsigned k = 0; k < a->n; k++)
		if (strcmp(a->ids[k], id) == 0)
			return true;
	return false;
}

/* FTS5's own ranking: of a handle that has no matrix. */
static void check_scores(struct model *m, struct sqlite3 *db, const struct docs_query *q,
			 const struct answer *a)
{
	_docs_ struct docs *plain = NULL;
	struct answer want = {0};

	rig_ok(m->g, docs_find(db, STR("kindred"), 0, &plain, &m->g->error));
	rig_ok(m->g, docs_search(plain, q, on_hit, &want, &m->g->error));
	assert_int_equal(a->n, want.n);
	for (unsigned i = 0; i < a->n; i++) {
		assert_string_equal(a->ids[i], want.ids[i]);
		assert_true(a->scores[i] == want.scores[i]);
	}
}

static void check_words(struct model *m, struct docs *d, struct sqlite3 *db,
			const struct docs_query *q, unsigned words)
{
	struct answer a = {0};
	unsigned n = 0;

	rig_ok(m->g, docs_search(d, q, on_hit, &a, &m->g->error));
	check_scores(m, db, q, &a);
	for (unsigned i = 0; i < MODEL_DOCS; i++) {
		bool want = passes(&m->things[i], q) && (m->things[i].words & words);

		n += want;
		if (!want)
			assert_false(has(&a, i));
	}
	assert_int_equal(a.n, MIN(n, q->n));
	for (unsigned i = 1; i < a.n; i++)
		assert_true(a.scores[i] <= a.scores[i - 1]);
}

static void check(struct model *m, struct docs *d, struct sqlite3 *db)
{
	const unsigned one = below(m, WORDS), two = below(m, WORDS);
	char words[64];
	float v[RIG_DIM];
	struct docs_query q = {.vector = v, .dim = RIG_DIM, .rank = DOCS_VECTOR};

	draw_vector(m, v);
	q.n = 1 + below(m, DOCS_MAX_RESULTS);
	if (below(m, 2))
		q.kind = below(m, 2) ? STR("deployment") : STR("PoD");
	if (below(m, 2))
		q.ns = str_of(spaces[below(m, ARRAY_SIZE(spaces))]);
	q.n = MIN(
		q.n,
		50U); /* so few of the best 200 are sure to be the best of all, as int8 sees them */
	check_vectors(m, d, &q);
	(void)snprintf(words, sizeof(words), "the %s of %ss?", vocabulary[one], vocabulary[two]);
	q.words = str_of(words);
	q.rank = DOCS_BM25;
	check_words(m, d, db, &q, 1U << one | 1U << two);
}

static void play(struct rig *g, size_t cache, uint64_t seed)
{
	static struct model m;
	const struct docs_opts o = {.collection = STR("kindred"),
				    .model = STR("test:16"),
				    .dim = RIG_DIM,
				    .template_ = STR("t1:rich")};
	_docs_ struct docs *theirs = NULL;
	_db_ struct sqlite3 *other = NULL;

	m = (struct model){.g = g};
	rng_seed(&m.rng, seed);
	rig_open(g, cache);
	rig_ok(g, db_open(g->file, false, &other, &g->error));
	rig_ok(g, docs_open(other, &o, &theirs, &g->error));
	for (unsigned i = 0; i < MODEL_DOCS; i++)
		put_one(&m, g->docs, i);
	for (int round = 0; round < 60; round++) {
		if (below(&m, 8))
			transaction(&m, g->db, g->docs);
		else
			transaction(&m, other, theirs);
		if (below(&m, 2))
			check(&m, g->docs, g->db);
	}
	check(&m, g->docs, g->db);
	check(&m, theirs, other);
	rig_check(g);
	docs_close(&g->docs);
	db_close(&g->db);
	docs_close(&theirs);
	db_close(&other);
	rig_files(g, rig_unlink);
}

static void answers_are_those_of_an_array(void **state)
{
	const uint64_t seed = getenv("SEED") ? strtoull(getenv("SEED"), NULL, 10) : rng_entropy();

	print_message("SEED=%llu\n", (unsigned long long)seed);
	play(*state, 64UL << 20, seed);
	play(*state, 0, seed + 1);
	play(*state, 150000, seed + 2); /* room for a matrix of some sizes only */
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void order(struct rig *g, const struct docs_query *q, const char *want)
{
	struct answer a = {0};
	char all[512] = "";

	rig_ok(g, docs_search(g->docs, q, on_hit, &a, &g->error));
	for (unsigned i = 0; i < a.n; i++) {
		size_t at = strlen(all);

		(void)snprintf(all + at, sizeof(all) - at, "%s%s%s", i ? " " : "", a.ids[i],
			       a.by_words[i] ? "" : "~");
	}
	assert_string_equal(all, want);
}

static const float east[RIG_DIM] = {1}, north[RIG_DIM] = {0, 1}, between[RIG_DIM] = {1, 0.5F};

static void fill(struct rig *g, size_t cache)
{
	const struct docs_row rows[] = {
		rig_row("gateway", "payments", "Deployment", "gateway",
			"mounts secret payments-db | port 8080", east),
		rig_row("payments-db", "payments", "Secret", "payments-db", "keys password", north),
		rig_row("b", "shop", "Service", "b", "port http", between),
		rig_row("a", "shop", "Service", "a", "port http", between),
	};

	rig_open(g, cache);
	rig_ok(g, docs_upsert(g->docs, rows, ARRAY_SIZE(rows), &g->error));
}

static void words_come_first(void **state)
{
	struct rig *g = *state;
	struct docs_query q = {.words = STR("who mounts payments-db"), .n = 10};

	fill(g, 1UL << 20);
	order(g, &q, "gateway payments-db");
	q.vector = east;
	q.dim = RIG_DIM;
	order(g, &q, "gateway payments-db a~ b~"); /* ties by id */
	q.n = 3;
	order(g, &q, "gateway payments-db a~");
	q.rank = DOCS_VECTOR;
	order(g, &q, "gateway~ a~ b~");
	q.rank = DOCS_HYBRID;
	q.words = STR("nothing-like-it");
	order(g, &q, "gateway~ a~ b~");
	q.words = STR("?!");
	order(g, &q, "gateway~ a~ b~");
	q.vector = NULL;
	order(g, &q, "");
	q.words = STR("http");
	q.ns = STR("shop");
	order(g, &q, "a b");
	q.ns = STR("Shop"); /* namespaces have one case */
	order(g, &q, "");
	q.ns = STR("");
	q.kind = STR("SERVICE");
	order(g, &q, "a b");
}

static void words_of_any_kind_do_no_harm(void **state)
{
	struct rig *g = *state;
	static const char *const questions[] = {
		"\"",
		"\"\"",
		"'",
		"payments\" OR \"x",
		"a*",
		"NEAR(",
		"NOT secret",
		"AND",
		"OR OR",
		"kind:secret",
		"^x",
		"-",
		"- -",
		"(",
		"{name kind}: x",
		"\xff\xfe",
		"caf\xc3\xa9",
		"\xe2\x80\x94 \xe2\x80\x94",
		"a.b.c.d.e",
		"\x01",
		"%s%n",
		"xn--\xc3\x28",
	};
	char many[4096] = "";

	fill(g, 1UL << 20);
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		struct docs_query q = {.words = str_of(questions[i]),
				       .kind = str_of(questions[i]),
				       .ns = str_of(questions[i]),
				       .n = 10};
		struct answer a = {0};

		rig_ok(g, docs_search(g->docs, &q, on_hit, &a, &g->error));
		q.kind = q.ns = STR("");
		rig_ok(g, docs_search(g->docs, &q, on_hit, &a, &g->error));
		a.n = 0;
		q.vector = east; /* fills the matrix, which then ranks words, too */
		q.dim = RIG_DIM;
		rig_ok(g, docs_search(g->docs, &q, on_hit, &a, &g->error));
	}
	for (int i = 0; i < 500; i++)
		(void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "w%d ", i);
	order(g, &(struct docs_query){.words = str_of(many), .n = 5}, "");
}

static void wrong_questions_are_refused(void **state)
{
	struct rig *g = *state;
	const float none[RIG_DIM] = {0}, nan[RIG_DIM] = {NAN};
	struct docs_query q = {.words = STR("x"), .n = 0};
	struct answer a = {.stop = 1};
	static char long_word[16384];

	fill(g, 1UL << 20);
	rig_said(g, docs_search(g->docs, &q, on_hit, &a, &g->error), -EINVAL, "1 to 200");
	q.n = DOCS_MAX_RESULTS + 1;
	rig_said(g, docs_search(g->docs, &q, on_hit, &a, &g->error), -EINVAL, "1 to 200");
	q.n = 10;
	q.vector = none;
	q.dim = 8;
	rig_said(g, docs_search(g->docs, &q, on_hit, &a, &g->error), -EINVAL, "dimension 8");
	q.dim = RIG_DIM;
	rig_said(g, docs_search(g->docs, &q, on_hit, &a, &g->error), -EINVAL, "no length");
	q.vector = nan;
	rig_said(g, docs_search(g->docs, &q, on_hit, &a, &g->error), -EINVAL, "no length");
	q.vector = east;
	q.words = str_make(long_word, sizeof(long_word));
	memset(long_word, 'x', sizeof(long_word));
	rig_said(g, docs_search(g->docs, &q, on_hit, &a, &g->error), -EMSGSIZE, "too long");
	q.words = STR("x");
	rig_said(g, docs_search(g->docs, &q, on_hit, &a, &g->error), 9, NULL);
	assert_int_equal(a.n, 1);
}

/* Vectors that another program wrote are not trusted. */
static void strange_blobs_are_not_found(void **state)
{
	struct rig *g = *state;
	struct docs_query q = {.vector = east, .dim = RIG_DIM, .rank = DOCS_VECTOR, .n = 10};

	fill(g, 1UL << 20);
	rig_ok(g, db_exec(g->db,
			  "UPDATE vector SET v = zeroblob(64) WHERE doc % 1099511627776 = 1;"
			  "UPDATE vector SET v = x'00' WHERE doc % 1099511627776 = 2;"
			  "UPDATE vector SET v = 'text' WHERE doc % 1099511627776 = 3",
			  &g->error));
	order(g, &q, "a~");
	docs_close(&g->docs);
	db_close(&g->db);
	rig_open(g, 0);
	order(g, &q, "a~");
}

static void the_matrix_keeps_its_cap(void **state)
{
	struct rig *g = *state;
	struct docs_query q = {.vector = east, .dim = RIG_DIM, .rank = DOCS_VECTOR, .n = 10};
	struct docs_info info;

	fill(g, 1000);
	order(g, &q, "gateway~ a~ b~ payments-db~");
	rig_ok(g, docs_info(g->docs, &info, &g->error));
	assert_true(info.cache <= 1000);
	assert_int_equal(info.documents, 4);
	docs_close(&g->docs);
	db_close(&g->db);
	rig_open(g, 1UL << 20);
	order(g, &q, "gateway~ a~ b~ payments-db~");
	rig_ok(g, docs_info(g->docs, &info, &g->error));
	assert_true(info.cache > 1000 && info.cache <= 1UL << 20);
}

static void hits_are_json(void **state)
{
	_buf_ struct buf out = {.max = 4096};
	struct docs_hit h = {.id = STR("a/b"), .text = STR("say \"x\"\n"), .score = 1.5};

	(void)state;
	h.fields[DOC_KIND] = STR("Pod");
	h.fields[DOC_NAME] = STR("n");
	assert_int_equal(docs_hit_json(&h, &out), 0);
	assert_true(
		str_eq(buf_str(&out),
		       STR("{\"id\":\"a/b\",\"score\":1.5,\"found_by\":\"vector\",\"text\":\"say "
			   "\\\"x\\\"\\n\",\"name\":\"n\",\"kind\":\"Pod\"}")));
	out.max = 20;
	buf_reset(&out);
	assert_int_equal(docs_hit_json(&h, &out), -EMSGSIZE);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static int whole(void *ctx)
{
	struct rig *g = ctx;
	const struct docs_query q = {
		.words = STR("who mounts payments-db"), .vector = east, .dim = RIG_DIM, .n = 10};
	const struct docs_row row = rig_row("b", "s", "Service", "b", "port http", east);
	struct answer a = {0};
	_docs_ struct docs *d = NULL;
	int r = docs_find(g->db, STR("kindred"), 1UL << 20, &d, NULL);

	r = r < 0 ? r : docs_search(d, &q, on_hit, &a, NULL);
	r = r < 0 ? r : docs_upsert(d, &row, 1, NULL);
	return r < 0 ? r : docs_search(d, &q, on_hit, &a, NULL);
}

static void memory_may_run_out(void **state)
{
	struct rig *g = *state;

	fill(g, 0);
	assert_int_equal(torture_run(whole, g), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_up, rig_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_are_those_of_an_array),
		TEST(words_come_first),
		TEST(words_of_any_kind_do_no_harm),
		TEST(wrong_questions_are_refused),
		TEST(strange_blobs_are_not_found),
		TEST(the_matrix_keeps_its_cap),
		TEST(hits_are_json),
		TEST(memory_may_run_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
