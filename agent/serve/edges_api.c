/* GET /api/v1/edges; see edges_api.h. */
#include "serve/edges_api.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECE_MAX (EDGES_PIECE * LINE_MAX)

struct sum {
	uint64_t serial; /* 0: no traffic */
	struct metrics_growth counts;
};

struct edges_job { /* one question */
	struct serve *serve;
	struct web_client *client;
	struct edges_query query;
	struct sum *sums; /* by id of the edge */
	uint32_t n, at;
	bool comma;
	struct buf piece;
};

/* ---- the query ------------------------------------------------------------------------------- */

static int take_limit(const char *value, uint64_t *ret)
{
	unsigned long long n;

	if (str_to_u64(str_of(value), &n) < 0 || !n)
		return -EINVAL;
	*ret = n;
	return 0;
}

static int take(struct edges_query *q, bool stream, const char *name, const char *value,
		const char **ret_expect)
{
	*ret_expect = "a time such as 5m or 30s";
	if (strcmp(name, "last") == 0)
		return query_duration(str_of(value), &q->last) < 0 || !q->last ? -EINVAL : 0;
	*ret_expect = "a number from 1 on";
	if (stream && strcmp(name, "limit") == 0)
		return take_limit(value, &q->limit);
	*ret_expect = "a name";
	if (!stream && strcmp(name, "namespace") == 0) {
		(void)snprintf(q->ns, sizeof(q->ns), "%s", value);
		return value[0] ? 0 : -EINVAL;
	}
	*ret_expect = NULL;
	return -EINVAL;
}

bool edges_query_parse(struct web_client *c, struct str query, bool stream, struct edges_query *ret)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	_buf_ struct buf words = {.max = 2048};
	const char *expect = NULL;
	int r;

	*ret = (struct edges_query){.limit = UINT64_MAX};
	while ((r = query_next(&query, name, value)) > 0) {
		if (take(ret, stream, name, value, &expect) == 0)
			continue;
		if (expect)
			(void)buf_printf(&words, "%s must be %s, not \"%s\"", name, expect, value);
		else
			(void)buf_printf(&words, "there is no parameter \"%s\"", name);
		break;
	}
	if (r < 0)
		(void)buf_printf(&words, "the query is malformed, or a value in it is too long");
	if (r)
		serve_error(c, 400, buf_str(&words));
	return r == 0;
}

uint64_t edges_query_slot(const struct edges_query *q, nsec_t now)
{
	return q->last && q->last < now ? (now - q->last) / TIMELINE_SLOT : 0;
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void put_end(struct json_out *j, const char *key, const struct timeline_end *e)
{
	json_open(j, key, '{');
	json_text(j, "namespace", e->ns);
	json_text(j, "kind", e->kind);
	json_text(j, "name", e->name);
	json_close(j, '{');
}

void edges_put_ends(struct json_out *j, const struct timeline_edge *e)
{
	put_end(j, "from", &e->from);
	put_end(j, "to", &e->to);
}

static void put_sum(struct json_out *j, const struct timeline_edge *e,
		    const struct metrics_growth *g)
{
	json_open(j, NULL, '{');
	edges_put_ends(j, e);
	json_u64(j, "sent", g->sent);
	json_u64(j, "received", g->received);
	json_u64(j, "connections", g->connections);
	json_u64(j, "failures", g->failures);
	json_u64(j, "resets", g->resets);
	json_u64(j, "retransmits", g->retransmits);
	json_close(j, '{');
}

static bool is_wanted(const struct edges_job *j, const struct timeline_edge *e)
{
	const struct str ns = str_of(j->query.ns);

	return str_empty(ns) || glob_match(ns, e->from.ns) || glob_match(ns, e->to.ns);
}

static void put_piece(struct edges_job *job, struct json_out *j)
{
	uint32_t end = MIN(job->n, job->at + EDGES_PIECE);
	struct timeline_edge e;

	for (; job->at < end; job->at++) {
		const struct sum *sum = &job->sums[job->at];

		if (sum->serial && timeline_edge_at(job->serve->timeline, job->at, &e) &&
		    e.serial == sum->serial && is_wanted(job, &e))
			put_sum(j, &e, &sum->counts);
	}
}

static int job_more(void *ctx)
{
	struct edges_job *job = ctx;
	struct json_out j = {.out = &job->piece, .comma = job->comma};

	put_piece(job, &j);
	job->comma = j.comma;
	if (job->at == job->n) {
		json_close(&j, '[');
		json_close(&j, '{');
		if (j.r == 0)
			j.r = buf_append(&job->piece, "\n", 1);
	}
	if (j.r < 0 || web_stream_put(job->client, buf_str(&job->piece)) < 0)
		return -ENOMEM;
	buf_reset(&job->piece);
	return job->at == job->n ? -ENODATA : 1;
}

static void job_gone(void *ctx)
{
	struct edges_job *job = ctx;

	buf_done(&job->piece);
	free(job->sums);
	free(job);
}

static const struct web_stream_ops job_stream = {.more = job_more, .gone = job_gone};

/* ---- the sums -------------------------------------------------------------------------------- */

static void add_cell(struct edges_job *job, const struct timeline_cell *c)
{
	struct metrics_growth *g = &job->sums[c->edge].counts;
	struct timeline_edge e;

	if (!job->sums[c->edge].serial && timeline_edge_at(job->serve->timeline, c->edge, &e))
		job->sums[c->edge].serial = e.serial;
	metrics_grow(g, &c->counts);
}

/* All cells of the time: TIMELINE_MAX_CELLS at most, some nanoseconds each. */
static void add_all(struct edges_job *job, uint64_t slot)
{
	struct timeline_cell c = {.slot = slot};

	for (bool more = timeline_cell_at(job->serve->timeline, slot, 0, &c); more;
	     more = timeline_cell_at(job->serve->timeline, c.slot, c.index + 1, &c))
		add_cell(job, &c);
}

/* The beginning of the answer. */
static int put_times(struct edges_job *job, nsec_t now, uint64_t slot)
{
	const nsec_t first = MAX(timeline_begin(job->serve->timeline), slot * TIMELINE_SLOT);
	struct json_out j = {.out = &job->piece};

	json_open(&j, NULL, '{');
	json_time(&j, "since", line_wall(first, clock_offset()));
	json_time(&j, "until", line_wall(now, clock_offset()));
	json_open(&j, "edges", '[');
	return j.r;
}

static int job_new(struct serve *s, struct web_client *c, const struct edges_query *q,
		   struct edges_job **ret)
{
	struct edges_job *job = calloc(1, sizeof(*job));
	const nsec_t now = clock_mono();
	const uint64_t slot = edges_query_slot(q, now);
	int r;

	if (!job)
		return -ENOMEM;
	job->serve = s;
	job->client = c;
	job->query = *q;
	job->at = 1;
	job->n = timeline_ids(s->timeline) + 1;
	buf_init(&job->piece, PIECE_MAX);
	job->sums = calloc(job->n, sizeof(*job->sums));
	r = job->sums ? put_times(job, now, slot) : -ENOMEM;
	if (r < 0) {
		job_gone(job);
		return r;
	}
	add_all(job, slot);
	*ret = job;
	return 0;
}

void serve_edges(struct serve *s, struct web_client *c, const struct web_request *r)
{
	struct edges_job *job;
	struct edges_query q;

	if (!s->o.flows) {
		serve_flows_off(s, c);
		return;
	}
	if (!edges_query_parse(c, r->query, false, &q))
		return;
	if (job_new(s, c, &q, &job) < 0)
		serve_error(c, 503, STR("out of memory"));
	else
		web_stream(c, TYPE_JSON, &job_stream, job);
}
