/* GET /metrics, and who may have them; see serve.h. */
#include "base/mem.h"
#include "serve/guard.h"
#include "serve/parts.h"
#include "serve/timeline.h"
#include "sink/metrics/about.h"
#include "sink/metrics/prom.h"

#include <stdlib.h>

#define METRICS_MAX                                                                  \
	(64UL << 20) /* a larger page is not given; a series has a few hundred bytes \
		      */

/* ---- the page ---------------------------------------------------------------------------------
 */

static void put_own(const struct serve *s, struct prom *p)
{
	static const char refused[] = "kindred_questions_refused_total";
	static const char lost[] = "kindred_timeline_lost_total";
	struct timeline_stats timeline;
	struct history_stats history;
	struct web_stats web;

	timeline_stats(s->timeline, &timeline);
	web_stats(s->web, &web);
	history_stats(s->history, &history);
	prom_one(p, "kindred_questions_total", "counter", "Requests to the agent.", web.requests);
	prom_family(p, refused, "counter", "Clients turned away or cut, by cause.");
	prom_named(p, refused, "cause", "too_many", web.refused);
	prom_named(p, refused, "cause", "displaced", web.displaced);
	prom_named(p, refused, "cause", "bad_request", web.bad);
	prom_named(p, refused, "cause", "timeout", web.timeouts);
	prom_named(p, refused, "cause", "cut", web.cut);
	prom_named(p, refused, "cause", "tls", web.tls_failed);
	prom_named(p, refused, "cause", "denied", s->denied);
	prom_one(p, "kindred_clients", "gauge", "Clients that ask just now.", web.clients);
	prom_one(p, "kindred_followers", "gauge", "Clients that follow flows.", s->n_followers);
	prom_one(p, "kindred_followers_missed_total", "counter",
		 "Lines that a follower was too slow for.", s->missed);
	prom_one(p, "kindred_history_entries", "gauge", "Ended flows kept for questions.",
		 history.entries);
	prom_one(p, "kindred_watchers", "gauge", "Clients that watch the map.", s->n_watchers);
	prom_one(p, "kindred_timeline_edges", "gauge", "Pairs of workloads that the map has.",
		 timeline.edges);
	prom_family(p, lost, "counter", "What the map does not show as it was, by cause.");
	prom_named(p, lost, "cause", "memory", timeline.lost);
	prom_named(p, lost, "cause", "edges_full", timeline.other);
	prom_named(p, lost, "cause", "slot_early", timeline.early);
}

static int put_about(const struct serve *s, struct buf *out)
{
	struct about a = {.probe = s->o.probe,
			  .now = clock_mono(),
			  .version = s->o.version,
			  .commit = s->o.commit};
	struct flows_stats flows;
	struct inventory_stats inventory;
	struct metrics_stats metrics;
	struct jsonl_stats jsonl;

	if (s->o.flows) {
		flows_stats(s->o.flows, &flows);
		metrics_stats(s->metrics, &metrics);
		a.flows = &flows;
		a.metrics = &metrics;
	}
	if (s->o.scope && s->o.scope->inventory) {
		inventory_stats(s->o.scope->inventory, &inventory);
		a.inventory = &inventory;
	}
	if (s->o.jsonl) {
		jsonl_stats(s->o.jsonl, &jsonl);
		a.jsonl = &jsonl;
	}
	return about_print(&a, out);
}

static void reply(struct serve *s, struct web_client *c)
{
	_buf_ struct buf out = {.max = METRICS_MAX};
	struct prom p = {.out = &out};
	int r = s->metrics ? metrics_print(s->metrics, &out) : 0;

	if (r == 0)
		r = put_about(s, &out);
	put_own(s, &p);
	if (r == 0)
		r = p.r;
	if (r == 0 && s->o.more_metrics)
		r = s->o.more_metrics(s->o.ctx, &out);
	if (r < 0) /* half a page would look like a whole one */
		serve_error(c, 500, STR("the metrics have no room in memory"));
	else
		web_reply(c, 200, TYPE_METRICS, buf_str(&out));
}

/* ---- leave ----------------------------------------------------------------------------------- */

struct scrape { /* a client that waits for leave */
	struct serve *serve;
	struct web_client *client; /* NULL: it has hung up */
	struct scrape *next, **at;
};

static void scrape_free(struct scrape *x)
{
	*x->at = x->next;
	if (x->next)
		x->next->at = x->at;
	free(x);
}

static void on_gone(void *ctx)
{
	((struct scrape *)ctx)->client = NULL;
}

static void refuse(struct serve *s, struct web_client *c, int status)
{
	s->denied++;
	serve_error(c, status,
		    status == 401   ? STR("a bearer token that the API server knows is needed")
		    : status == 403 ? STR("that user may not get /metrics")
				    : STR("the API server cannot be asked who may get /metrics"));
}

static void answer(struct serve *s, struct web_client *c, int status)
{
	if (status == 200)
		reply(s, c);
	else
		refuse(s, c, status);
}

void serve_leave(struct scrape *x, int status)
{
	struct serve *s = x->serve;
	struct web_client *c = x->client;

	scrape_free(x);
	if (c)
		answer(s, c, status);
}

static void ask_leave(struct serve *s, struct web_client *c, struct str token)
{
	struct scrape *x = calloc(1, sizeof(*x));
	int status;

	if (!x) {
		refuse(s, c, 503);
		return;
	}
	*x = (struct scrape){.serve = s, .next = s->scrapes, .at = &s->scrapes};
	if (x->next)
		x->next->at = &x->next;
	s->scrapes = x;
	status = s->o.authorise(s->o.ctx, token, x);
	if (status) {
		scrape_free(x);
		answer(s, c, status);
		return;
	}
	x->client = c;
	web_defer(c, on_gone, x);
}

void serve_metrics(struct serve *s, struct web_client *c, const struct web_request *r)
{
	struct str token;

	if (r->place != WEB_PROBE || !s->o.authorise)
		reply(s, c);
	else if (guard_bearer(r->authorization, &token))
		ask_leave(s, c, token);
	else
		refuse(s, c, 401);
}

void serve_metrics_done(struct serve *s)
{
	while (s->scrapes)
		scrape_free(s->scrapes);
}
