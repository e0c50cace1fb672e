#include "sink/jsonl/jsonl.h"

#include "base/buf.h"
#include "base/mem.h"
#include "sink/jsonl/line.h"
#include "sink/jsonl/out.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define TURN_FLOWS 256 /* of one callback: about a millisecond */

struct jsonl {
	struct jsonl_opts o;
	struct out *out;
	struct flow_cursor *cursor;
	struct event *turn;
	struct line_marks marks;
	struct buf scratch; /* the lines of one flow */
	flow_id again;	    /* this one could not be told: no room, or no memory */
	uint64_t told_dropped, told_cut, too_long, told_too_long;
	uint64_t left; /* lines not written when it was stopped */
	bool stopped;
};

static int put_lost(struct jsonl *j, const char *why, uint64_t now, uint64_t *told)
{
	int r = 0;

	if (now == *told)
		return 0;
	buf_reset(&j->scratch);
	r = line_lost(clock_wall(), why, now - *told, &j->scratch);
	if (r == 0)
		r = out_put(j->out, buf_str(&j->scratch));
	if (r == 0)
		*told = now;
	return r;
}

static int put_losses(struct jsonl *j)
{
	struct out_stats s;
	int r;

	out_stats(j->out, &s);
	r = put_lost(j, "slow_output", flows_cursor_dropped(j->cursor), &j->told_dropped);
	if (r == 0)
		r = put_lost(j, "not_written", s.cut, &j->told_cut);
	return r < 0 ? r : put_lost(j, "too_long", j->too_long, &j->told_too_long);
}

/* All lines of the flow or none. */
static int put_flow(struct jsonl *j, const struct flow_view *v, int64_t offset)
{
	enum line_event events[2];
	unsigned n = line_events(&j->marks, v, events);
	int r = 0;

	buf_reset(&j->scratch);
	for (unsigned i = 0; i < n && r == 0; i++)
		r = line_flow(v, events[i], offset, &j->scratch);
	if (r == -EMSGSIZE) {
		j->too_long++;
		return 0;
	}
	if (r == 0)
		r = line_marks_fit(&j->marks, v->id);
	if (r == 0)
		r = out_put(j->out, buf_str(&j->scratch));
	if (r == 0)
		line_mark(&j->marks, v);
	return r;
}

static int put_next(struct jsonl *j, int64_t offset)
{
	flow_id id = j->again ? j->again : flows_cursor_next(j->o.flows, j->cursor);
	struct flow_view v;
	int r;

	if (!id)
		return -ENOENT;
	j->again = 0;
	if (!flows_at(j->o.flows, id, &v)) /* it waited for room, and a bound took it */
		return 0;
	r = put_flow(j, &v, offset);
	if (r < 0)
		j->again = id;
	else
		flows_cursor_done(j->o.flows, j->cursor, id);
	return r;
}

/* 0: there is more; -ENOENT: not for now; -EMSGSIZE: no room, `on_room` comes; -ENOMEM. */
static int run(struct jsonl *j, unsigned most)
{
	int64_t offset = clock_offset();
	int r = put_losses(j);

	for (unsigned i = 0; i < most && r == 0; i++)
		r = put_next(j, offset);
	out_flush(j->out);
	return r;
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	struct jsonl *j = ctx;
	int r = run(j, TURN_FLOWS);
	const struct timeval soon = {.tv_usec = r == -ENOMEM ? 100000 : 1000};

	(void)fd;
	(void)what;
	if (r == 0 || r == -ENOMEM)
		(void)evtimer_add(j->turn, &soon);
}

void jsonl_changed(struct jsonl *j)
{
	if (!j->stopped && !evtimer_pending(j->turn, NULL))
		event_active(j->turn, EV_TIMEOUT, 0);
}

static void on_room(void *ctx)
{
	jsonl_changed(ctx);
}

int jsonl_new(const struct jsonl_opts *o, struct jsonl **ret)
{
	struct jsonl *j = calloc(1, sizeof(*j));
	struct out_opts out = {
		.base = o->base, .path = o->path, .max = o->max, .room = on_room, .ctx = j};
	int r = -ENOMEM;

	if (!j)
		return -ENOMEM;
	j->o = *o;
	buf_init(&j->scratch, 2UL * LINE_MAX);
	j->turn = evtimer_new(o->base, on_turn, j);
	if (j->turn)
		r = out_new(&out, &j->out);
	if (r == 0)
		r = flows_cursor_add(o->flows, &j->cursor);
	if (r < 0) {
		jsonl_free(&j);
		return r;
	}
	*ret = j;
	return 0;
}

void jsonl_free(struct jsonl **pj)
{
	struct jsonl *j = *pj;

	*pj = NULL;
	if (!j)
		return;
	if (j->cursor)
		flows_cursor_remove(j->o.flows, &j->cursor);
	if (j->turn)
		event_free(j->turn);
	out_free(&j->out);
	line_marks_done(&j->marks);
	buf_done(&j->scratch);
	free(j);
}

void jsonl_drop(struct jsonl *j)
{
	out_drop(j->out);
}

void jsonl_reopen(struct jsonl *j)
{
	out_reopen(j->out);
	jsonl_changed(j);
}

int jsonl_redirect(struct jsonl *j, const char *path)
{
	int r = out_redirect(j->out, path);

	jsonl_changed(j);
	return r;
}

/* Lines of flows that there was no room for. */
static uint64_t untold(struct jsonl *j)
{
	enum line_event events[2];
	struct flow_view v;
	uint64_t n = 0;

	for (flow_id id = j->again; id || (id = flows_cursor_next(j->o.flows, j->cursor)); id = 0)
		if (flows_at(j->o.flows, id, &v))
			n += line_events(&j->marks, &v, events);
	j->again = 0;
	return n;
}

void jsonl_drain(struct jsonl *j)
{
	uint64_t most = 2ULL * flows_ids(j->o.flows) + TURN_FLOWS;

	for (uint64_t i = 0; i < most; i += TURN_FLOWS)
		if (run(j, TURN_FLOWS) != 0)
			return;
}

void jsonl_stop(struct jsonl *j)
{
	jsonl_drain(j);
	j->stopped = true;
	(void)event_del(j->turn);
	j->left += out_stop(j->out) + untold(j);
}

void jsonl_stats(const struct jsonl *j, struct jsonl_stats *ret)
{
	struct out_stats s;

	out_stats(j->out, &s);
	*ret = (struct jsonl_stats){.lines = s.lines,
				    .bytes = s.bytes,
				    .dropped = flows_cursor_dropped(j->cursor),
				    .too_long = j->too_long,
				    .cut = s.cut,
				    .left = j->left,
				    .errors = s.errors,
				    .waiting = s.waiting};
}
