#include "sink/otlp/tell_points.h"

#include "base/mem.h"
#include "base/rng.h"
#include "sink/metrics/metrics.h"
#include "sink/otlp/points.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>

#define AGAIN	  (100 * NSEC_PER_MSEC) /* without memory */
#define DRAIN_MAX 10000			/* slices at a stop: a bound, not an aim */

struct tell_points {
	struct otlp_opts o;
	struct metrics *metrics;
	struct post *post;
	struct event *turn, *timer;
	struct points_from at, next; /* what was told of this round; what will have been */
	bool round, more;	     /* a round is under way; there is more behind the request */
	bool stopping;
	bool anew; /* the last round begins when the request under way is over */
	uint64_t sent, lost[_OTLP_LOST_MAX];
};

static void arm(struct event *e, nsec_t t)
{
	const struct timeval tv = clock_timeval(t);

	(void)evtimer_add(e, &tv);
}

/* ---- a round --------------------------------------------------------------------------------- */

static size_t body_max(const struct otlp_opts *o)
{
	return o->batch + POINTS_PAIR_MAX + ENVELOPE_MAX;
}

static void end_round(struct tell_points *t)
{
	t->round = false;
	if (t->stopping)
		t->o.stopped(t->o.ctx);
}

/* Encoded anew for each try: what is told late is told as it is then. */
static void tell(struct tell_points *t)
{
	_buf_ struct buf body = {.max = body_max(&t->o)};
	int r;

	if (!t->round || !post_idle(t->post))
		return;
	t->next = t->at;
	r = points_encode(metrics_pairs(t->metrics), &t->o.source, clock_wall(), t->o.batch,
			  &t->next, &body);
	if (r < 0 && !t->stopping) {
		t->round = false; /* no memory: the next round is due soon */
		arm(t->timer, AGAIN);
		return;
	}
	t->more = r == 1;
	if (r >= 0 && t->next.points)
		post_send(t->post, buf_str(&body), t->o.tuning.gzip);
	if (r < 0 || !t->next.points || (t->stopping && !post_busy(t->post)))
		end_round(t);
}

static void on_over(void *ctx, enum otlp_end how, uint64_t rejected)
{
	struct tell_points *t = ctx;

	if (how != OTLP_RETRY) {
		otlp_count(how, t->next.points, rejected, &t->sent, t->lost);
		t->at = t->anew ? (struct points_from){0} : t->next;
	}
	if (t->stopping && how != OTLP_TAKEN) /* that was the last try */
		end_round(t);
	else if (how != OTLP_RETRY && (t->more || t->anew))
		tell(t);
	else if (how != OTLP_RETRY)
		end_round(t);
	t->anew = false;
}

static void on_due(void *ctx)
{
	tell(ctx);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct tell_points *t = ctx;

	(void)fd;
	(void)what;
	arm(t->timer, t->o.tuning.interval);
	if (t->round)
		return;
	t->round = true;
	t->at = (struct points_from){0};
	tell(t);
}

/* ---- flows ----------------------------------------------------------------------------------- */

static void on_turn(evutil_socket_t fd, short what, void *ctx)
{
	struct tell_points *t = ctx;
	int r = metrics_run(t->metrics, clock_mono());

	(void)fd;
	(void)what;
	if (r != 0)
		arm(t->turn, r < 0 ? AGAIN : NSEC_PER_MSEC);
}

void tell_points_changed(struct tell_points *t)
{
	if (!t->stopping && !evtimer_pending(t->turn, NULL))
		event_active(t->turn, EV_TIMEOUT, 0);
}

/* ---- life ------------------------------------------------------------------------------------ */

static int make(struct tell_points *t, const struct post_opts *post, struct buf *ret_error)
{
	const struct metrics_opts m = {.flows = t->o.flows,
				       .max_series = t->o.tuning.max_series,
				       .label = points_label,
				       .wall = clock_wall};
	struct post_opts p = *post;
	struct rng g;
	int r;

	p.path = "/v1/metrics";
	p.what = "metrics";
	p.max_body = body_max(&t->o);
	p.over = on_over;
	p.due = on_due;
	p.ctx = t;
	t->turn = evtimer_new(t->o.base, on_turn, t);
	t->timer = evtimer_new(t->o.base, on_timer, t);
	if (!t->turn || !t->timer)
		return -ENOMEM;
	r = metrics_new(&m, &t->metrics);
	if (r == 0)
		r = post_new(&p, &t->post, ret_error);
	/* Agents that start together do not tell together. */
	rng_seed(&g, post->seed);
	arm(t->timer, rng_below(&g, t->o.tuning.interval + 1));
	return r;
}

int tell_points_new(const struct otlp_opts *o, const struct post_opts *post,
		    struct tell_points **ret, struct buf *ret_error)
{
	struct tell_points *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->o = *o;
	r = make(t, post, ret_error);
	if (r < 0) {
		tell_points_free(&t);
		return r;
	}
	tell_points_changed(t);
	*ret = t;
	return 0;
}

void tell_points_free(struct tell_points **tp)
{
	struct tell_points *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	post_free(&t->post);
	metrics_free(&t->metrics);
	if (t->turn)
		event_free(t->turn);
	if (t->timer)
		event_free(t->timer);
	free(t);
}

void tell_points_tune(struct tell_points *t, const struct otlp_tuning *tuning)
{
	const bool other = t->o.tuning.interval != tuning->interval;

	t->o.tuning = *tuning;
	metrics_tune(t->metrics, tuning->max_series);
	if (other)
		arm(t->timer, tuning->interval);
}

void tell_points_stop(struct tell_points *t)
{
	for (int i = 0; i < DRAIN_MAX && metrics_run(t->metrics, clock_mono()) == 1; i++)
		;
	t->stopping = t->round = true;
	(void)event_del(t->turn);
	(void)event_del(t->timer);
	t->anew = post_busy(t->post);
	if (t->anew)
		return;
	t->at = (struct points_from){0};
	post_hurry(t->post);
	tell(t);
}

bool tell_points_over(const struct tell_points *t)
{
	return !t->round;
}

void tell_points_stats(const struct tell_points *t, struct otlp_stats *ret)
{
	struct metrics_stats m;

	*ret = (struct otlp_stats){.sent = t->sent};
	metrics_stats(t->metrics, &m);
	memcpy(ret->lost, t->lost, sizeof(ret->lost));
	ret->lost[OTLP_LOST_SLOW] = m.dropped;
	post_status(t->post, &ret->post);
	ret->bytes = sizeof(*t) + m.bytes + ret->post.held;
}
