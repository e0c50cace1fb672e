#include "sink/otlp/tell_records.h"

#include "base/mem.h"
#include "sink/otlp/record.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define TURN_FLOWS 64 /* of one callback: about a millisecond */
#define DELAY	   NSEC_PER_SEC
#define AGAIN	   (100 * NSEC_PER_MSEC) /* without memory */

struct tell_records {
	struct otlp_opts o;
	struct flow_cursor *cursor;
	struct line_marks marks;
	struct post *post;
	struct event *turn, *late;
	struct buf scratch; /* the records of one flow */
	struct buf batch;   /* entries; as it was sent, while that is under way or to be repeated */
	uint64_t n;	    /* in the batch */
	nsec_t first;	    /* when its first came */
	uint64_t number;    /* of the last record */
	flow_id again;	    /* this one had no room, or no memory */
	bool full;	    /* it has a flow waiting, or is under way: nothing is added */
	bool ripe;	    /* its first has waited long enough */
	bool stopping, over, left;
	uint64_t sent, lost[_OTLP_LOST_MAX];
};

static void arm(struct event *e, nsec_t t)
{
	const struct timeval tv = clock_timeval(t);

	(void)evtimer_add(e, &tv);
}

/* ---- the batch ------------------------------------------------------------------------------- */

/* Its records into `scratch`: how many, or -errno. */
static int encode(struct tell_records *t, const struct flow_view *v, int64_t offset)
{
	struct record r = {.flow = v,
			   .offset = offset,
			   .observed = clock_wall(),
			   .instance = t->o.source.instance};
	enum line_event events[2];
	unsigned n = line_events(&t->marks, v, events), told = 0;
	int e = 0;

	buf_reset(&t->scratch);
	for (unsigned i = 0; i < n && e == 0; i++) {
		if (!(t->o.tuning.events & 1U << events[i]))
			continue;
		r.event = events[i];
		r.number = t->number + ++told;
		e = record_encode(&r, &t->scratch);
	}
	return e < 0 ? e : (int)told;
}

static int append(struct tell_records *t, unsigned n)
{
	int r = buf_append_str(&t->batch, buf_str(&t->scratch));

	if (r < 0 || !n)
		return r;
	if (!t->n) {
		t->first = clock_mono();
		arm(t->late, t->o.delay ? t->o.delay : DELAY);
	}
	t->n += n;
	t->number += n;
	return 0;
}

/* All records of the flow or none: 0, -EMSGSIZE (no room) or -ENOMEM. */
static int put_flow(struct tell_records *t, const struct flow_view *v, int64_t offset)
{
	int n = encode(t, v, offset), r;

	if (n == -EMSGSIZE) {
		t->lost[OTLP_LOST_TOO_LONG]++;
		buf_reset(&t->scratch);
		n = 0;
	}
	r = n < 0 ? n : line_marks_fit(&t->marks, v->id);
	if (r == 0)
		r = append(t, (unsigned)n);
	if (r == 0)
		line_mark(&t->marks, v);
	return r;
}

static int put_next(struct tell_records *t, int64_t offset)
{
	flow_id id = t->again ? t->again : flows_cursor_next(t->o.flows, t->cursor);
	struct flow_view v;
	int r;

	if (!id)
		return -ENOENT;
	t->again = 0;
	if (!flows_at(t->o.flows, id, &v)) /* it waited for room, and a bound took it */
		return 0;
	r = put_flow(t, &v, offset);
	if (r < 0)
		t->again = id;
	else
		flows_cursor_done(t->o.flows, t->cursor, id);
	return r;
}

/* 0: there is more; -ENOENT: not for now; -EMSGSIZE: the batch is full; -ENOMEM. */
static int fill(struct tell_records *t)
{
	int64_t offset = clock_offset();
	int r = t->full ? -EMSGSIZE : 0;

	for (unsigned i = 0; i < TURN_FLOWS && r == 0; i++)
		r = put_next(t, offset);
	return r;
}

/* ---- telling --------------------------------------------------------------------------------- */

static size_t body_max(const struct otlp_opts *o)
{
	return o->batch + 2UL * RECORD_MAX + ENVELOPE_MAX;
}

static void end(struct tell_records *t)
{
	if (t->over)
		return;
	t->over = true;
	t->o.stopped(t->o.ctx);
}

static void send_batch(struct tell_records *t)
{
	_buf_ struct buf body = {.max = body_max(&t->o)};

	if (records_encode(buf_str(&t->batch), &t->o.source, &body) < 0) {
		if (t->stopping)
			end(t);
		else
			arm(t->late, AGAIN);
		return;
	}
	t->full = true;
	post_send(t->post, buf_str(&body), t->o.tuning.gzip);
	if (t->stopping && !post_busy(t->post))
		end(t);
}

static bool is_due(const struct tell_records *t, bool at_end)
{
	if (!t->n)
		return false;
	return t->full || t->ripe || (t->stopping && at_end);
}

static void run(struct tell_records *t)
{
	int r;

	if (t->over)
		return;
	r = fill(t);
	if (r == -EMSGSIZE)
		t->full = true;
	if (is_due(t, r == -ENOENT) && post_idle(t->post))
		send_batch(t);
	else if (t->stopping && r == -ENOENT && !t->n)
		end(t);
	else if (r == 0 || r == -ENOMEM)
		arm(t->turn, r == 0 ? NSEC_PER_MSEC : AGAIN);
}

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	run(ctx);
}

static void on_late(evutil_socket_t fd, short what, void *ctx)
{
	struct tell_records *t = ctx;

	(void)fd;
	(void)what;
	t->ripe = true;
	run(t);
}

static void on_over(void *ctx, enum otlp_end how, uint64_t rejected)
{
	struct tell_records *t = ctx;

	if (t->left)
		return;
	if (how != OTLP_RETRY) {
		otlp_count(how, t->n, rejected, &t->sent, t->lost);
		buf_reset(&t->batch);
		t->n = 0;
		t->full = t->ripe = false;
		(void)evtimer_del(t->late);
	}
	if (t->stopping && how != OTLP_TAKEN) /* that was the last try */
		end(t);
	else
		run(t);
}

static void on_due(void *ctx)
{
	run(ctx);
}

void tell_records_changed(struct tell_records *t)
{
	if (!t->stopping && !evtimer_pending(t->turn, NULL))
		event_active(t->turn, EV_TIMEOUT, 0);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int make(struct tell_records *t, const struct post_opts *post, struct buf *ret_error)
{
	struct post_opts p = *post;
	int r;

	p.path = "/v1/logs";
	p.what = "logs";
	p.max_body = body_max(&t->o);
	p.over = on_over;
	p.due = on_due;
	p.ctx = t;
	buf_init(&t->scratch, 2UL * RECORD_MAX);
	buf_init(&t->batch, MAX(t->o.batch, 2UL * RECORD_MAX));
	t->turn = evtimer_new(t->o.base, on_turn, t);
	t->late = evtimer_new(t->o.base, on_late, t);
	if (!t->turn || !t->late)
		return -ENOMEM;
	r = post_new(&p, &t->post, ret_error);
	return r < 0 ? r : flows_cursor_add(t->o.flows, &t->cursor);
}

int tell_records_new(const struct otlp_opts *o, const struct post_opts *post,
		     struct tell_records **ret, struct buf *ret_error)
{
	struct tell_records *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->o = *o;
	r = make(t, post, ret_error);
	if (r < 0) {
		tell_records_free(&t);
		return r;
	}
	tell_records_changed(t);
	*ret = t;
	return 0;
}

void tell_records_free(struct tell_records **tp)
{
	struct tell_records *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	if (t->cursor)
		flows_cursor_remove(t->o.flows, &t->cursor);
	post_free(&t->post);
	if (t->turn)
		event_free(t->turn);
	if (t->late)
		event_free(t->late);
	line_marks_done(&t->marks);
	buf_done(&t->scratch);
	buf_done(&t->batch);
	free(t);
}

void tell_records_tune(struct tell_records *t, const struct otlp_tuning *tuning)
{
	t->o.tuning = *tuning;
}

void tell_records_stop(struct tell_records *t)
{
	t->stopping = true;
	if (post_busy(t->post))
		return;
	post_hurry(t->post);
	run(t);
}

/* Records of flows that were not looked at. */
static uint64_t untold(struct tell_records *t)
{
	enum line_event events[2];
	struct flow_view v;
	uint64_t n = 0;

	for (flow_id id = t->again; id || (id = flows_cursor_next(t->o.flows, t->cursor)); id = 0) {
		if (!flows_at(t->o.flows, id, &v))
			continue;
		for (unsigned i = line_events(&t->marks, &v, events); i--;)
			n += t->o.tuning.events >> events[i] & 1;
	}
	return n;
}

void tell_records_leave(struct tell_records *t)
{
	t->over = t->left = true;
	t->lost[OTLP_LOST_STOPPED] += t->n + untold(t);
	t->n = 0;
}

bool tell_records_over(const struct tell_records *t)
{
	return t->over;
}

void tell_records_stats(const struct tell_records *t, struct otlp_stats *ret)
{
	*ret = (struct otlp_stats){.sent = t->sent,
				   .waiting = t->n,
				   .oldest = t->n ? t->first : 0,
				   .bytes = sizeof(*t) + t->batch.cap + t->scratch.cap +
					    t->marks.n * sizeof(*t->marks.serial)};
	memcpy(ret->lost, t->lost, sizeof(ret->lost));
	ret->lost[OTLP_LOST_SLOW] = flows_cursor_dropped(t->cursor);
	post_status(t->post, &ret->post);
	ret->bytes += ret->post.held;
}
