#include "serve/search_api.h"

#include "base/mem.h"
#include "serve/parts.h"
#include "sink/vector/backend.h"
#include "sink/vector/sync.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define RESULTS	    10
#define RESULTS_MAX 200

enum step { STEP_WAIT, STEP_EMBED, STEP_LEND, STEP_SEARCH };

struct question {
	struct serve *serve;
	struct question *next;
	struct web_client *client; /* NULL: it has hung up */
	struct search_target target;
	enum step step;
	char words[FILTER_TEXT_MAX], kind[FILTER_TEXT_MAX], ns[FILTER_TEXT_MAX];
	uint32_t n, dim;
	float *vector; /* dim floats, or NULL */
};

static void ask_next(struct serve *s);

/* ---- the end --------------------------------------------------------------------------------- */

static void question_free(struct question *q)
{
	free(q->vector);
	free(q);
}

/* The first question is over; `words` when there is no answer. */
static void finish(struct question *q, int status, struct str json, struct str words)
{
	struct serve *s = q->serve;
	struct web_client *c = q->client;

	s->questions = q->next;
	if (c && status == 200)
		web_reply(c, 200, TYPE_JSON, json);
	else if (c)
		serve_error(c, status, words.n ? words : STR("the database gave no answer"));
	question_free(q);
	ask_next(s);
}

static void on_gone(void *ctx)
{
	struct question *q = ctx, **at = &q->serve->questions;

	q->client = NULL;
	if (q->step != STEP_WAIT) /* its end comes */
		return;
	while (*at != q)
		at = &(*at)->next;
	*at = q->next;
	question_free(q);
}

/* What is under way for the first one is given up. */
static void abandon(struct question *q)
{
	struct backend *b = sync_backend(q->target.sync);

	if (q->step == STEP_EMBED)
		q->target.asker->ops->cancel(q->target.asker);
	if (q->step == STEP_SEARCH)
		b->ops->cancel(b);
	if (q->step == STEP_SEARCH || q->step == STEP_LEND)
		sync_give_back(q->target.sync);
}

void serve_search_done(struct serve *s, struct str words)
{
	if (s->questions)
		abandon(s->questions);
	while (s->questions) {
		struct question *q = s->questions;

		s->questions = q->next;
		if (q->client && words.n)
			serve_error(q->client, 503, words);
		question_free(q);
	}
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void on_found(void *ctx, const struct vector_end *end, struct str json)
{
	struct question *q = ctx;

	sync_give_back(q->target.sync);
	finish(q, end->how == VECTOR_OK ? 200 : 503, json, end->text);
}

static void on_lent(void *ctx)
{
	struct question *q = ctx;
	struct backend *b = sync_backend(q->target.sync);
	const struct backend_query query = {.words = str_of(q->words),
					    .vector = q->vector,
					    .dim = q->dim,
					    .kind = str_of(q->kind),
					    .ns = str_of(q->ns),
					    .n = q->n};
	int r = b->ops->search(b, &query, on_found, q);

	q->step = STEP_SEARCH;
	if (r == 0)
		return;
	sync_give_back(q->target.sync);
	finish(q, 503, (struct str){0},
	       r == -EINVAL ? STR("the embedder gives no vector, and this database finds nothing "
				  "by words alone")
			    : str_of(strerror(-r)));
}

static void lend(struct question *q)
{
	int r;

	q->step = STEP_LEND;
	r = sync_lend(q->target.sync, on_lent, q);
	if (r < 0)
		finish(q, 503, (struct str){0}, str_of(strerror(-r)));
}

/* Without a vector the words must do. */
static void on_embedded(void *ctx, const struct vector_end *end, const float *vectors, uint32_t dim)
{
	struct question *q = ctx;

	if (end->how == VECTOR_OK && vectors)
		q->vector = malloc(dim * sizeof(*q->vector));
	if (q->vector) {
		memcpy(q->vector, vectors, dim * sizeof(*q->vector));
		q->dim = dim;
	}
	lend(q);
}

static void ask(struct question *q)
{
	const struct str words = str_of(q->words);
	struct embedder *e = q->target.asker;

	q->step = STEP_EMBED;
	if (!e || e->ops->embed(e, &words, 1, on_embedded, q) < 0)
		lend(q);
}

static void ask_next(struct serve *s)
{
	if (s->questions)
		ask(s->questions);
}

/* ---- the question ---------------------------------------------------------------------------- */

static int take_param(struct question *q, const char *name, const char *value, struct buf *words)
{
	unsigned long long n = 0;

	if (strcmp(name, "q") == 0)
		(void)snprintf(q->words, sizeof(q->words), "%s", value);
	else if (strcmp(name, "kind") == 0)
		(void)snprintf(q->kind, sizeof(q->kind), "%s", value);
	else if (strcmp(name, "namespace") == 0)
		(void)snprintf(q->ns, sizeof(q->ns), "%s", value);
	else if (strcmp(name, "n") != 0)
		(void)buf_printf(words, "\"%s\" is not understood; there are q, kind, namespace, n",
				 name);
	else if (str_to_u64(str_of(value), &n) < 0 || !n || n > RESULTS_MAX)
		(void)buf_printf(words, "n is a number from 1 to %d", RESULTS_MAX);
	else
		q->n = (uint32_t)n;
	return words->n ? -EINVAL : 0;
}

static int parse(struct question *q, struct str query, struct buf *words)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	int r;

	q->n = RESULTS;
	while ((r = query_next(&query, name, value)) > 0)
		if (take_param(q, name, value, words) < 0)
			return -EINVAL;
	if (r < 0)
		(void)buf_append_str(words, STR("the question is malformed, or too long"));
	else if (!q->words[0])
		(void)buf_append_str(words, STR("q, the words to search for, is missing"));
	return words->n ? -EINVAL : 0;
}

static void put_last(struct serve *s, struct question *q)
{
	struct question **at = &s->questions;

	while (*at)
		at = &(*at)->next;
	*at = q;
	if (s->questions == q)
		ask(q);
}

void serve_search(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf words = {.max = 1024};
	struct question *q = calloc(1, sizeof(*q));

	if (!q) {
		serve_error(c, 503, STR("no memory"));
	} else if (parse(q, r->query, &words) < 0) {
		serve_error(c, 400, buf_str(&words));
	} else if (!s->o.search_target || !s->o.search_target(s->o.ctx, &q->target, &words)) {
		serve_error(c, 503,
			    words.n ? buf_str(&words) : STR("this agent keeps no vector database"));
	} else {
		q->serve = s;
		q->client = c;
		web_defer(c, on_gone, q);
		put_last(s, q);
		return;
	}
	free(q);
}
