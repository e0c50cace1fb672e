/* GET /api/v1/pods; see pods_api.h. A page is made as the client takes it. */
#include "serve/pods_api.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "match/end.h"
#include "serve/pods_query.h"
#include "serve/whois_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE_BYTES (64UL << 10) /* after so many the client has to take some first */
#define POD_MAX	    (1UL << 20)	 /* of one pod's text */

struct page {
	struct serve *serve;
	struct web_client *client;
	struct pods_query query;
	pod_id id; /* passed last */
	uint32_t left;
	bool begun;
	struct buf piece;
};

static const struct inventory *inventory_of(const struct page *p)
{
	return p->serve->o.scope->inventory;
}

/* ---- one pod --------------------------------------------------------------------------------- */

static void put_workload(struct json_out *j, const struct workload *w)
{
	static const char *const ends[_MATCH_END_MAX] = {
		[MATCH_END_TOP] = "top",	  [MATCH_END_NO_OWNER] = "no_owner",
		[MATCH_END_UNKNOWN] = "not_seen", [MATCH_END_REFUSED] = "not_readable",
		[MATCH_END_CYCLE] = "cycle",
	};

	json_open(j, "workload", '{');
	json_text(j, "kind", pods_kind(w));
	json_text(j, "name", w->name);
	json_some(j, "uid", str_of(w->uid));
	json_text(j, "end", str_of(ends[w->end]));
	json_close(j, '{');
}

static int put_pod(struct page *p, pod_id id, const struct inv_pod_view *pod,
		   const struct workload *w)
{
	static const char *const phases[_POD_PHASE_MAX] = {"Unknown", "Pending", "Running",
							   "Succeeded", "Failed"};
	struct json_out j = {.out = &p->piece, .comma = p->query.limit > p->left};
	const struct whois who = {.scope = p->serve->o.scope, .offset = clock_offset()};

	json_open(&j, NULL, '{');
	json_text(&j, "namespace", pod->ns);
	json_text(&j, "name", pod->name);
	json_text(&j, "uid", str_of(pod->uid));
	json_some(&j, "node", pod->node);
	json_text(&j, "phase", str_of(phases[pod->phase]));
	json_bool(&j, "host_network", pod->host_network);
	put_workload(&j, w);
	whois_put_pod(&j, &who, id, pod);
	json_close(&j, '{');
	return j.r;
}

/* ---- the page -------------------------------------------------------------------------------- */

/* 0; 1: it is put; -ENOMEM. */
static int look_at(struct page *p, pod_id id)
{
	const struct inventory *v = inventory_of(p);
	struct inv_pod_view pod;
	struct workload w;
	int r;

	if (!inventory_pod(v, id, &pod) || !pods_query_may_fit(&p->query, &pod))
		return 0;
	(void)match_pod(v, p->serve->o.scope->policy, id, &w);
	if (!pods_query_fits(&p->query, &w))
		return 0;
	r = put_pod(p, id, &pod, &w);
	p->left--;
	return r < 0 ? -ENOMEM : 1;
}

/* Pods that end up here are good for the agent's life: ids are given anew only to new pods. */
static int put_end(struct page *p, bool all)
{
	int r = buf_append_str(&p->piece, STR("]"));

	if (r == 0 && !all)
		r = buf_printf(&p->piece, ",\"continue\":\"%llx-%x\"",
			       (unsigned long long)p->serve->begun, p->id);
	return r < 0 ? r : buf_append_str(&p->piece, STR("}\n"));
}

/* 1: there may be more, 0: that was all, -ENOMEM. */
static int fill(struct page *p)
{
	const pod_id end = inventory_pod_ids(inventory_of(p));
	int r = p->begun ? 0 : buf_append_str(&p->piece, STR("{\"pods\":["));

	p->begun = true;
	for (int i = 0; r >= 0 && i < PODS_SLICE && p->piece.n < PIECE_BYTES; i++) {
		if (p->id >= end || !p->left)
			return put_end(p, p->id >= end) < 0 ? -ENOMEM : 0;
		r = look_at(p, ++p->id);
	}
	return r < 0 ? -ENOMEM : 1;
}

static int page_more(void *ctx)
{
	struct page *p = ctx;
	int r;

	buf_reset(&p->piece);
	r = fill(p);
	if (r < 0 || web_stream_put(p->client, buf_str(&p->piece)) < 0)
		return -ENOMEM;
	return r ? 1 : -ENODATA;
}

static void page_gone(void *ctx)
{
	struct page *p = ctx;

	buf_done(&p->piece);
	free(p);
}

static const struct web_stream_ops page_stream = {.more = page_more, .gone = page_gone};

/* ---- the question ---------------------------------------------------------------------------- */

/* Where the page before ended: 0, -EINVAL, or -ESTALE: of an agent that runs no more. */
static int take_token(struct page *p)
{
	unsigned long long begun;
	unsigned id;
	char end;

	if (!p->query.after[0])
		return 0;
	if (sscanf(p->query.after, "%llx-%x%c", &begun, &id, &end) != 2)
		return -EINVAL;
	if (begun != p->serve->begun)
		return -ESTALE;
	p->id = id;
	return 0;
}

static int parse(struct page *p, struct str query, struct buf *words)
{
	int r = pods_query_parse(query, false, &p->query, words);

	if (r == 0)
		r = take_token(p);
	if (r == -ESTALE)
		(void)buf_append_str(words,
				     STR("the agent was started anew: begin from the first page"));
	else if (r < 0 && !words->n)
		(void)buf_append_str(words, STR("that is no token of a page"));
	p->left = p->query.limit;
	return r;
}

void serve_pods(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf words = {.max = 2048};
	struct page *p;
	int e;

	if (!s->o.scope || !s->o.scope->inventory) {
		serve_error(c, 503, STR("there are no pods here"));
		return;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		serve_error(c, 503, STR("out of memory"));
		return;
	}
	p->serve = s;
	p->client = c;
	buf_init(&p->piece, PIECE_BYTES + POD_MAX);
	e = parse(p, r->query, &words);
	if (e == 0) {
		web_stream(c, TYPE_JSON, &page_stream, p);
		return;
	}
	serve_error(c, e == -ESTALE ? 410 : 400, buf_str(&words));
	page_gone(p);
}
