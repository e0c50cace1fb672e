/* GET /api/v1/edges/stream; see edges_api.h. */
#include "serve/edges_api.h"

#include "base/mem.h"
#include "serve/ready.h"

#include <errno.h>
#include <stdlib.h>

#define TYPE_EVENTS "text/event-stream"
#define PIECE_MAX   (EDGES_PIECE * LINE_MAX)

struct watcher { /* one stream */
	struct serve *serve;
	struct web_client *client;
	struct watcher *next, **at;
	bool greeted, in_pass;
	uint64_t slot; /* where this pass over the cells is */
	uint32_t index;
	uint64_t since, mark; /* marks of the pass before and of this one */
	uint64_t newest;      /* the slot that was the newest when this pass began */
	nsec_t pass_at, health_at;
	uint64_t left;	/* events, of the limit */
	uint64_t *told; /* by id of the edge: the serial that was told of */
	struct buf piece;
};

/* ---- events ---------------------------------------------------------------------------------- */

static int event_begin(struct watcher *w, const char *name, struct json_out *ret)
{
	*ret = (struct json_out){.out = &w->piece};
	return buf_printf(&w->piece, "event: %s\ndata: ", name);
}

static int event_end(struct watcher *w, int r)
{
	w->left--;
	return r < 0 ? r : buf_append(&w->piece, "\n\n", 2);
}

static int put_hello(struct watcher *w)
{
	const struct serve *s = w->serve;
	const uint64_t slot = clock_mono() / TIMELINE_SLOT;
	struct json_out j;
	int r = event_begin(w, "hello", &j);

	json_open(&j, NULL, '{');
	json_text(&j, "version", str_of(s->o.version));
	json_u64(&j, "slot_seconds", TIMELINE_SLOT / NSEC_PER_SEC);
	json_u64(&j, "keep_seconds", TIMELINE_KEEP / NSEC_PER_SEC);
	json_u64(&j, "slot", slot);
	json_time(&j, "time", line_wall(slot * TIMELINE_SLOT, clock_offset()));
	json_time(&j, "now", clock_wall());
	if (!s->o.flows)
		json_text(&j, "flows_off",
			  s->o.flows_off ? str_of(s->o.flows_off) : STR("they are not asked for"));
	json_close(&j, '{');
	return event_end(w, r < 0 ? r : j.r);
}

static int put_health(struct watcher *w)
{
	struct json_out j;
	int r = event_begin(w, "health", &j);

	return event_end(w, r < 0 ? r : serve_ready_json(w->serve, &w->piece));
}

static void put_count(struct json_out *j, const char *key, uint64_t v)
{
	if (v)
		json_u64(j, key, v);
}

static void put_cell(struct watcher *w, struct json_out *j, const struct timeline_cell *c)
{
	struct timeline_edge e;

	if (!timeline_edge_at(w->serve->timeline, c->edge, &e))
		return;
	json_open(j, NULL, '{');
	json_u64(j, "edge", e.serial);
	if (w->told[c->edge] != e.serial)
		edges_put_ends(j, &e);
	w->told[c->edge] = e.serial;
	put_count(j, "sent", c->counts.sent);
	put_count(j, "received", c->counts.received);
	put_count(j, "connections", c->counts.connections);
	put_count(j, "failures", c->counts.failures);
	put_count(j, "resets", c->counts.resets);
	put_count(j, "retransmits", c->counts.retransmits);
	json_close(j, '{');
}

/* ---- a pass over the cells ------------------------------------------------------------------- */

/* The next one that has changed since the pass before, among EDGES_PIECE that are looked at. 1;
 * 0: none among those; -ENODATA: there are no more. */
static int next_cell(struct watcher *w, uint32_t *looked, struct timeline_cell *ret)
{
	while (*looked < EDGES_PIECE) {
		++*looked;
		if (!timeline_cell_at(w->serve->timeline, w->slot, w->index, ret))
			return -ENODATA;
		w->slot = ret->slot;
		w->index = ret->index;
		if (ret->mark >= w->since)
			return 1;
		w->index++;
	}
	return 0;
}

static int put_slot(struct watcher *w, struct timeline_cell *c, uint32_t *looked)
{
	const uint64_t slot = c->slot;
	struct json_out j;
	int r = event_begin(w, "cells", &j), more;

	json_open(&j, NULL, '{');
	json_u64(&j, "slot", slot);
	json_time(&j, "time", line_wall(slot * TIMELINE_SLOT, clock_offset()));
	json_open(&j, "cells", '[');
	do {
		put_cell(w, &j, c);
		w->index++;
		more = next_cell(w, looked, c);
	} while (more > 0 && c->slot == slot);
	json_close(&j, '[');
	json_close(&j, '{');
	r = event_end(w, r < 0 ? r : j.r);
	return r < 0 ? r : more;
}

/* 1: the pass goes on; 0: it is over. */
static int put_cells(struct watcher *w)
{
	uint32_t looked = 0;
	struct timeline_cell c;
	int r = next_cell(w, &looked, &c);

	while (r > 0 && w->left)
		r = put_slot(w, &c, &looked);
	return r == -ENODATA ? 0 : r < 0 ? r : 1;
}

static void pass_begin(struct watcher *w, nsec_t now)
{
	w->since = w->mark;
	w->mark = timeline_mark(w->serve->timeline);
	w->slot = w->newest; /* older ones have not changed since */
	w->index = 0;
	w->newest = now / TIMELINE_SLOT;
	w->pass_at = now + EDGES_EVERY;
	w->in_pass = true;
}

/* ---- the stream ------------------------------------------------------------------------------ */

static int put_due(struct watcher *w, nsec_t now)
{
	int r = 0;

	if (!w->greeted)
		r = put_hello(w);
	w->greeted = true;
	if (r == 0 && now >= w->health_at && w->left) {
		r = put_health(w);
		w->health_at = now + EDGES_HEALTH;
	}
	if (r == 0 && !w->in_pass && now >= w->pass_at)
		pass_begin(w, now);
	return r;
}

static int watcher_more(void *ctx)
{
	struct watcher *w = ctx;
	int r;

	buf_reset(&w->piece);
	r = put_due(w, clock_mono());
	if (r == 0 && w->in_pass && w->left) {
		r = put_cells(w);
		w->in_pass = r > 0;
	}
	if (r < 0 || web_stream_put(w->client, buf_str(&w->piece)) < 0)
		return -ENOMEM;
	return w->left ? w->in_pass : -ENODATA;
}

static void watcher_gone(void *ctx)
{
	struct watcher *w = ctx;

	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->serve->n_watchers--;
	buf_done(&w->piece);
	free(w->told);
	free(w);
}

static const struct web_stream_ops watcher_stream = {.more = watcher_more, .gone = watcher_gone};

void serve_edges_run(struct serve *s, nsec_t now)
{
	for (struct watcher *w = s->watchers; w; w = w->next)
		if (!w->in_pass && now >= w->pass_at)
			web_stream_wake(w->client);
}

static int watcher_new(struct serve *s, struct web_client *c, const struct edges_query *q,
		       struct watcher **ret)
{
	struct watcher *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->told = calloc(TIMELINE_MAX_IDS + 1, sizeof(*w->told));
	if (!w->told) {
		free(w);
		return -ENOMEM;
	}
	w->serve = s;
	w->client = c;
	w->left = q->limit;
	w->newest = edges_query_slot(q, clock_mono());
	buf_init(&w->piece, PIECE_MAX);
	w->next = s->watchers;
	w->at = &s->watchers;
	if (w->next)
		w->next->at = &w->next;
	s->watchers = w;
	s->n_watchers++;
	*ret = w;
	return 0;
}

void serve_edges_stream(struct serve *s, struct web_client *c, const struct web_request *r)
{
	struct edges_query q;
	struct watcher *w;

	if (!edges_query_parse(c, r->query, true, &q))
		return;
	if (s->n_watchers >= EDGES_MAX_STREAMS) {
		serve_error(c, 503, STR("too many watch already"));
		return;
	}
	if (watcher_new(s, c, &q, &w) < 0) {
		serve_error(c, 503, STR("out of memory"));
		return;
	}
	web_stream(c, TYPE_EVENTS, &watcher_stream, w);
	web_stream_endless(c);
}
