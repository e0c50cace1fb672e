/*
 * Whether who uses, selects, routes to or runs as something is found: the questions of
 * tests/retrieval over the made objects, their ReplicaSets and pods.
 */
#include "tests/unit/sink/retrieval_rig.h"

#include "sink/graph/links.h"
#include "tests/lib/torture.h"

#include <errno.h>

#define TOP 3 /* what a person looks at */

struct looked {
	const struct query *q;
	uint32_t at, found;
	char first[TOP][160];
};

static int on_hit(void *ctx, const struct docs_hit *h)
{
	struct looked *l = ctx;

	(void)snprintf(l->first[l->at++], sizeof(l->first[0]), "%.*s", STR_ARG(h->id));
	l->found += query_wants(l->q, h->id);
	return 0;
}

/* The part of what answers it that is among the first three. */
static double look(struct corpus *c, const struct query *q)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	float vector[CORPUS_DIM];
	struct looked l = {.q = q};
	const struct docs_query dq = {.words = str_of(q->text),
				      .vector = vector,
				      .dim = CORPUS_DIM,
				      .links = graph_links,
				      .n = TOP};
	double share;

	embed_hash(str_of(q->text), CORPUS_DIM, vector);
	if (docs_search(c->table, &dq, on_hit, &l, &error) < 0)
		fail_msg("%s: %.*s", q->text, STR_ARG(buf_str(&error)));
	share = (double)l.found / (double)MIN(q->n_ids, (uint32_t)TOP);
	if (share < 1) {
		print_message("  %.2f  %s\n", share, q->text);
		for (uint32_t i = 0; i < l.at; i++)
			print_message("          %s\n", l.first[i]);
	}
	return share;
}

struct share { /* of the questions: with an answer among the first three; of all that answers them
		*/
	double answered, recall;
};

static struct share ask(struct corpus *c, const char *file, const char *how)
{
	FILE *f = fopen(file, "r");
	struct share share = {0};
	struct query q;
	uint32_t n = 0;

	assert_non_null(f);
	print_message("%s, %s:\n", file, how);
	for (; query_next(f, &q); n++) {
		double found = look(c, &q);

		share.recall += found;
		share.answered += found > 0;
	}
	(void)fclose(f);
	assert_true(n >= 30);
	print_message("%s, %s: %.0f of %u have an answer among the first %d, recall %.3f\n", file,
		      how, share.answered, n, TOP, share.recall / n);
	share.recall /= n;
	share.answered /= n;
	return share;
}

#define FLOOR 0.94 /* measured: 1.0 and 0.99 or more */

static void ask_all(struct corpus *c, const char *how)
{
	static const char *const files[] = {"tests/retrieval/relations.tsv",
					    "tests/retrieval/held-out.tsv"};

	corpus_load(c);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct share share = ask(c, files[i], how);

		assert_true(share.answered >= FLOOR && share.recall >= FLOOR);
	}
	corpus_done(c);
}

static void by_the_graph(void **state)
{
	static struct corpus c = {.mode = DOC_RICH, .pods = true, .graph = true};

	(void)state;
	ask_all(&c, "by the graph");
}

static void by_what_documents_say(void **state)
{
	static struct corpus c = {.mode = DOC_RICH, .pods = true};

	(void)state;
	ask_all(&c, "by documents alone");
}

/* JSON says nothing of it in words. */
static void by_the_graph_of_other_documents(void **state)
{
	static struct corpus c = {.mode = DOC_JSON, .pods = true, .graph = true};

	(void)state;
	ask_all(&c, "JSON by the graph");
}

/* ---- the graph's own part -------------------------------------------------------------------- */

static int count(void *ctx, const struct docs_link *l)
{
	int *n = ctx;

	assert_true(l->type.n && l->other.kind.n);
	(*n)++;
	return 0;
}

static int links_of_service(void *ctx)
{
	struct corpus *c = ctx;
	const struct docs_object service = {
		.kind = STR("Service"), .ns = STR("auth"), .name = STR("keycloak")};
	const struct docs_object workload = {.group = STR("apps"),
					     .kind = STR("Deployment"),
					     .ns = STR("auth"),
					     .name = STR("keycloak")};
	int n = 0, r = graph_links(c->db, &service, false, count, &n, NULL);

	r = r < 0 ? r : graph_links(c->db, &workload, true, count, &n, NULL);
	if (r == 1)
		assert_int_equal(n, CORPUS_PODS + 1);
	return MIN(r, 0);
}

static int stop(void *ctx, const struct docs_link *l)
{
	(void)l;
	return ++*(int *)ctx == 1 ? -ECANCELED : 0;
}

static void links_are_told(void **state)
{
	static struct corpus c = {.mode = DOC_RICH, .pods = true, .graph = true};
	const struct docs_object nobody = {
		.kind = STR("Service"), .ns = STR("auth"), .name = STR("x")};
	const struct docs_object secret = {
		.kind = STR("Secret"), .ns = STR("payments"), .name = STR("postgres-credentials")};
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	int n = 0;

	(void)state;
	corpus_load(&c);
	assert_int_equal(graph_links(c.db, &nobody, true, count, &n, &error), 0);
	assert_int_equal(n, 0);
	assert_int_equal(graph_links(c.db, &secret, true, stop, &n, &error), -ECANCELED);
	assert_int_equal(n, 1);
	assert_int_equal(torture_run(links_of_service, &c), 0);
	corpus_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(by_the_graph),
		cmocka_unit_test(by_what_documents_say),
		cmocka_unit_test(by_the_graph_of_other_documents),
		cmocka_unit_test(links_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
