/*
 * GET /api/v1/flows: ended flows of the last minutes, open ones, then, for who follows,
 * everything that comes. An answer is made piece by piece, as the client takes it.
 */
#include "base/mem.h"
#include "serve/parts.h"

#include <errno.h>
#include <stdlib.h>

#define TURN_FLOWS  256		/* looked at in one piece: about a millisecond */
#define PIECE_BYTES (64U << 10) /* after so many the client has to take some first */

enum follow_phase { HISTORY, OPEN, FOLLOW };

struct follower { /* one question */
	struct serve *serve;
	struct web_client *client;
	struct follower *next, **at; /* among the followers; `at` NULL: it does not follow */
	struct filter filter;
	enum follow_phase phase;
	uint64_t number; /* of the history */
	nsec_t since;
	flow_id id;
	uint64_t missed;
	uint64_t left; /* lines, of the limit */
	struct buf piece;
};

/* ---- followers ------------------------------------------------------------------------------- */

/* The first follower brings the cursor, the last one takes it away. */
static int join(struct follower *f)
{
	struct serve *s = f->serve;
	int r = s->cursor ? 0 : flows_cursor_add(s->o.flows, &s->cursor);

	if (r < 0)
		return r;
	if (!s->followers) {
		s->caught_up = false;
		s->dropped = 0;
	}
	f->next = s->followers;
	f->at = &s->followers;
	if (f->next)
		f->next->at = &f->next;
	s->followers = f;
	s->n_followers++;
	serve_changed(s);
	return 0;
}

static void leave(struct follower *f)
{
	struct serve *s = f->serve;

	if (!f->at)
		return;
	*f->at = f->next;
	if (f->next)
		f->next->at = f->at;
	s->n_followers--;
	if (s->followers)
		return;
	flows_cursor_remove(s->o.flows, &s->cursor);
	line_marks_done(&s->marks);
}

static void follower_free(struct follower *f)
{
	leave(f);
	buf_done(&f->piece);
	free(f);
}

/* ---- what there is --------------------------------------------------------------------------- */

static int put_view(struct follower *f, const struct flow_view *v)
{
	int r;

	if (!f->left || !filter_match(&f->filter, v))
		return 0;
	r = line_flow(v, line_event_of(v), clock_offset(), &f->piece);
	f->left -= r == 0;
	return r == -EMSGSIZE ? 0 : r; /* one that is too long for a line is nobody's name */
}

/* 1: there may be more, 0: all was looked at. */
static int put_history(struct follower *f)
{
	struct flow_view v;

	if (!history_next(f->serve->history, f->number, &f->number, &v))
		return 0;
	if (v.ended >= f->since && put_view(f, &v) < 0)
		return -ENOMEM;
	return 1;
}

/* Ended ones are the history's to tell. */
static int put_open(struct follower *f)
{
	struct flow_view v;

	f->id = flows_next(f->serve->o.flows, f->id);
	if (!f->id)
		return 0;
	if (flows_at(f->serve->o.flows, f->id, &v) && v.state == FLOW_OPEN && put_view(f, &v) < 0)
		return -ENOMEM;
	return 1;
}

/* Does a follower see what there is already? Only when it asks for the past. */
static enum follow_phase after_history(const struct follower *f)
{
	return f->filter.follow && !f->filter.last ? FOLLOW : OPEN;
}

static int fill_piece(struct follower *f)
{
	int r = 1;

	for (int i = 0; i < TURN_FLOWS && f->piece.n < PIECE_BYTES && f->phase != FOLLOW && f->left;
	     i++) {
		r = f->phase == HISTORY ? put_history(f) : put_open(f);
		if (r < 0)
			return r;
		if (r == 0)
			f->phase = f->phase == HISTORY ? after_history(f) : FOLLOW;
	}
	return 0;
}

static int put_missed(struct follower *f)
{
	int r = line_lost(clock_wall(), "slow_reader", f->missed, &f->piece);

	if (r == 0)
		r = web_stream_put(f->client, buf_str(&f->piece));
	return r < 0 ? -ENOMEM : -ENODATA;
}

static int flows_more(void *ctx)
{
	struct follower *f = ctx;
	int r;

	buf_reset(&f->piece);
	if (f->missed)
		return put_missed(f);
	r = fill_piece(f);
	if (r == 0)
		r = web_stream_put(f->client, buf_str(&f->piece));
	if (r < 0)
		return -ENOMEM;
	if (!f->left)
		return -ENODATA;
	if (f->phase != FOLLOW)
		return 1;
	return f->filter.follow ? 0 : -ENODATA;
}

static void flows_gone(void *ctx)
{
	follower_free(ctx);
}

static const struct web_stream_ops flows_stream = {.more = flows_more, .gone = flows_gone};

/* ---- what comes ------------------------------------------------------------------------------ */

static void tell(struct follower *f, const struct flow_view *v, struct str line)
{
	if (!f->left || !filter_match(&f->filter, v))
		return;
	if (!--f->left)
		web_stream_wake(f->client);
	if (!f->missed && web_stream_waiting(f->client) + line.n <= SERVE_BACKLOG &&
	    web_stream_put(f->client, line) == 0)
		return;
	f->missed++;
	f->serve->missed++;
	web_stream_wake(f->client);
}

static int tell_flow(struct serve *s, const struct flow_view *v, struct buf *line)
{
	enum line_event events[2];
	unsigned n = line_events(&s->marks, v, events);
	int r = line_marks_fit(&s->marks, v->id);

	if (r < 0)
		return r;
	line_mark(&s->marks, v);
	for (unsigned i = 0; i < n && s->caught_up; i++) {
		buf_reset(line);
		r = line_flow(v, events[i], clock_offset(), line);
		if (r == -ENOMEM)
			return r;
		for (struct follower *f = s->followers; f && r == 0; f = f->next)
			tell(f, v, buf_str(line));
	}
	return 0;
}

/* Flows that ended before the cursor came by: nobody knows whose filter they would have fitted. */
static void tell_dropped(struct serve *s)
{
	uint64_t dropped = flows_cursor_dropped(s->cursor);

	for (struct follower *f = s->followers; f && dropped != s->dropped; f = f->next)
		f->missed += dropped - s->dropped;
	s->dropped = dropped;
}

bool serve_follow_run(struct serve *s)
{
	_buf_ struct buf line = {.max = LINE_MAX};
	struct flow_view v;

	if (!s->cursor)
		return false;
	for (int i = 0; i < TURN_FLOWS; i++) {
		flow_id id = flows_cursor_next(s->o.flows, s->cursor);

		if (!id) {
			s->caught_up = true;
			tell_dropped(s);
			return false;
		}
		if (flows_at(s->o.flows, id, &v) && tell_flow(s, &v, &line) < 0)
			for (struct follower *f = s->followers; f; f = f->next)
				f->missed++;
		flows_cursor_done(s->o.flows, s->cursor, id);
	}
	return true;
}

/* ---- the request ----------------------------------------------------------------------------- */

static int follower_new(struct serve *s, struct web_client *c, const struct filter *filter,
			struct follower **ret)
{
	struct follower *f = calloc(1, sizeof(*f));
	nsec_t now = clock_mono();
	int r;

	if (!f)
		return -ENOMEM;
	f->serve = s;
	f->client = c;
	f->filter = *filter;
	f->left = filter->limit;
	f->since = now > filter->last ? now - filter->last : 0;
	f->phase = filter->last ? HISTORY : after_history(f);
	buf_init(&f->piece, PIECE_BYTES + LINE_MAX);
	r = filter->follow ? join(f) : 0;
	if (r < 0)
		follower_free(f);
	else
		*ret = f;
	return r;
}

void serve_flows_off(const struct serve *s, struct web_client *c)
{
	_buf_ struct buf words = {.max = 4096};

	(void)buf_printf(&words, "flows are off%s%s", s->o.flows_off ? ": " : "",
			 s->o.flows_off ? s->o.flows_off : "");
	serve_error(c, 503, buf_str(&words));
}

void serve_flows(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf words = {.max = 4096};
	struct follower *f = NULL;
	struct filter filter;
	int e;

	if (!s->o.flows) {
		serve_flows_off(s, c);
		return;
	}
	if (filter_parse(r->query, clock_mono(), clock_offset(), &filter, &words) < 0) {
		serve_error(c, 400, buf_str(&words));
		return;
	}
	if (filter.follow && s->n_followers >= SERVE_MAX_FOLLOWERS) {
		serve_error(c, 503, STR("too many follow already"));
		return;
	}
	e = follower_new(s, c, &filter, &f);
	if (e < 0) {
		serve_error(c, 503, e == -ENOMEM ? STR("out of memory") : STR("no cursor is free"));
		return;
	}
	web_stream(c, TYPE_JSON_LINES, &flows_stream, f);
	if (filter.follow)
		web_stream_endless(c);
}
