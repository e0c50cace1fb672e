/*
 * Whether people find what they ask for: the questions of tests/retrieval over the made
 * objects of tests/fixtures/objects. The relevant sets were written before any result
 * was seen; the floors are those of a measurement on other objects.
 */
#include "tests/unit/sink/retrieval_rig.h"

#define QUERIES	   "tests/retrieval/queries.tsv"
#define TOP	   10
#define FLOOR_HASH 0.75
#define FLOOR_BM25 0.85

struct hits {
	const struct query *q;
	uint32_t found, n;
};

static int on_hit(void *ctx, const struct docs_hit *h)
{
	struct hits *hits = ctx;

	hits->n++;
	hits->found += query_wants(hits->q, h->id);
	return 0;
}

static double recall_of(struct corpus *c, const struct query *q, enum docs_rank rank)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	float vector[CORPUS_DIM];
	struct hits hits = {.q = q};
	const struct docs_query dq = {.words = str_of(q->text),
				      .vector = rank == DOCS_BM25 ? NULL : vector,
				      .dim = CORPUS_DIM,
				      .rank = rank,
				      .n = TOP};

	embed_hash(str_of(q->text), CORPUS_DIM, vector);
	if (docs_search(c->table, &dq, on_hit, &hits, &error) < 0)
		fail_msg("%s: %.*s", q->text, STR_ARG(buf_str(&error)));
	assert_in_range(hits.n, 0, TOP);
	return (double)hits.found / (double)MIN(q->n_ids, (uint32_t)TOP);
}

static double recall(struct corpus *c, enum docs_rank rank, bool print)
{
	FILE *f = fopen(QUERIES, "r");
	struct query q;
	double sum = 0;
	uint32_t n = 0;

	assert_non_null(f);
	while (query_next(f, &q)) {
		double r = recall_of(c, &q, rank);

		if (print && r < 1)
			print_message("  %.2f  %s\n", r, q.text);
		sum += r;
		n++;
	}
	(void)fclose(f);
	assert_true(n >= 40);
	return sum / n;
}

static void people_find_what_they_ask_for(void **state)
{
	static struct corpus rich = {.mode = DOC_RICH}, raw = {.mode = DOC_JSON};
	double hash, bm25, hybrid, raw_hash, raw_bm25;

	(void)state;
	corpus_load(&rich);
	corpus_load(&raw);
	print_message("below 1 by words:\n");
	bm25 = recall(&rich, DOCS_BM25, true);
	print_message("below 1 by hash-v1:%d:\n", CORPUS_DIM);
	hash = recall(&rich, DOCS_VECTOR, true);
	print_message("below 1 by both:\n");
	hybrid = recall(&rich, DOCS_HYBRID, true);
	raw_hash = recall(&raw, DOCS_VECTOR, false);
	raw_bm25 = recall(&raw, DOCS_BM25, false);
	print_message(
		"recall@%d: rich hash %.3f, BM25 %.3f, both %.3f; raw JSON hash %.3f, BM25 %.3f\n",
		TOP, hash, bm25, hybrid, raw_hash, raw_bm25);
	assert_true(hash >= FLOOR_HASH);
	assert_true(bm25 >= FLOOR_BM25);
	assert_true(hybrid >= FLOOR_BM25);
	assert_true(raw_hash < hash);
	assert_true(raw_bm25 < bm25);
	corpus_done(&rich);
	corpus_done(&raw);
}

/* ---- who uses it ----------------------------------------------------------------------------- */

struct place {
	const char *id; /* wanted */
	int at, found;	/* 1: the first */
};

static int on_place(void *ctx, const struct docs_hit *h)
{
	struct place *p = ctx;

	p->at++;
	if (str_eq(h->id, str_of(p->id)))
		p->found = p->at;
	return 0;
}

static int place_of(struct corpus *c, const char *question, const char *id, struct str kind)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	float vector[CORPUS_DIM];
	struct place p = {.id = id};
	const struct docs_query q = {.words = str_of(question),
				     .vector = vector,
				     .dim = CORPUS_DIM,
				     .kind = kind,
				     .n = TOP};

	embed_hash(str_of(question), CORPUS_DIM, vector);
	if (docs_search(c->table, &q, on_place, &p, &error) < 0)
		fail_msg("%s: %.*s", question, STR_ARG(buf_str(&error)));
	return p.found;
}

/* The first three are what a person looks at. */
static void who_uses_it_comes_first(void **state)
{
	static struct corpus c = {.mode = DOC_RICH};
	static const struct {
		const char *question, *id;
	} asked[] = {
		{"who mounts the payments database secret", "payments/apps/v1/Deployment/ledger"},
		{"which deployment uses the stripe api key", "payments/apps/v1/Deployment/gateway"},
		{"what reads the kafka users secret", "data-platform/apps/v1/Deployment/ingest"},
		{"who mounts the envoy configuration", "edge/apps/v1/Deployment/envoy"},
		{"who mounts the product photos", "media/apps/v1/Deployment/imgproxy"},
		{"what uses the ldap bind account", "auth/apps/v1/Deployment/keycloak"},
		{"who runs as the airflow service account",
		 "data-platform/apps/v1/Deployment/airflow-scheduler"},
		{"which job mounts the training data", "ml-batch/batch/v1/Job/finetune-reviews"},
		{"who needs the redis password", "shop/apps/v1/Deployment/cart"},
	};

	(void)state;
	corpus_load(&c);
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		int place = place_of(&c, asked[i].question, asked[i].id, (struct str){0});

		if (place < 1 || place > 3)
			fail_msg("%s: place %d", asked[i].question, place);
	}
	assert_int_equal(place_of(&c, asked[0].question, asked[0].id, STR("Deployment")), 1);
	/* No secret is meant, but a right to read them. */
	assert_int_equal(place_of(&c, "who may read secrets", "auth/apps/v1/Deployment/keycloak",
				  (struct str){0}) == 1,
			 0);
	/* No question of that kind: the secret itself is meant. */
	assert_int_equal(place_of(&c, "payments database secret",
				  "payments/v1/Secret/postgres-credentials", (struct str){0}),
			 1);
	corpus_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(people_find_what_they_ask_for),
		cmocka_unit_test(who_uses_it_comes_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
