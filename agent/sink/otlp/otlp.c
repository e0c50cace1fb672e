/* The two signals together; see otlp.h. */
#include "sink/otlp/otlp.h"

#include "base/mem.h"
#include "base/rng.h"
#include "sink/otlp/tell_points.h"
#include "sink/otlp/tell_records.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define INSTANCE_MAX 37 /* a UUID's text, and a NUL */

struct otlp {
	struct otlp_opts o;
	char instance[INSTANCE_MAX];
	struct headers headers;
	struct tell_points *points;   /* NULL: not told */
	struct tell_records *records; /* the same */
	struct event *stopped;
	bool stopping;
};

/* ---- counts ---------------------------------------------------------------------------------- */

const char *otlp_lost_name(enum otlp_lost l)
{
	static const char *const names[_OTLP_LOST_MAX] = {"rejected", "refused", "unconfirmed",
							  "too_long", "slow",	 "stopped"};

	return names[l];
}

const char *otlp_signal_name(enum otlp_signal s)
{
	return s == OTLP_POINTS ? "metrics" : "logs";
}

void otlp_count(enum otlp_end how, uint64_t n, uint64_t rejected, uint64_t *sent,
		uint64_t lost[_OTLP_LOST_MAX])
{
	rejected = MIN(rejected, n); /* whatever the collector says */
	switch (how) {
	case OTLP_TAKEN:
		*sent += n - rejected;
		lost[OTLP_LOST_REJECTED] += rejected;
		break;
	case OTLP_REFUSED:
		lost[OTLP_LOST_REFUSED] += n;
		break;
	case OTLP_UNCONFIRMED:
		lost[OTLP_LOST_UNCONFIRMED] += n;
		break;
	case OTLP_RETRY:
	case _OTLP_END_MAX:
		break;
	}
}

bool otlp_stats(const struct otlp *s, enum otlp_signal signal, struct otlp_stats *ret)
{
	if (signal == OTLP_POINTS ? !s->points : !s->records)
		return false;
	if (signal == OTLP_POINTS)
		tell_points_stats(s->points, ret);
	else
		tell_records_stats(s->records, ret);
	return true;
}

/* ---- the end --------------------------------------------------------------------------------- */

static bool is_over(const struct otlp *s)
{
	return (!s->points || tell_points_over(s->points)) &&
	       (!s->records || tell_records_over(s->records));
}

/* One of them is through, or patience is. */
static void on_stopped(evutil_socket_t fd, short what, void *ctx)
{
	struct otlp *s = ctx;

	(void)fd;
	(void)what;
	if (!s->stopping)
		return;
	s->stopping = false;
	if (s->records)
		tell_records_leave(s->records);
	s->o.stopped(s->o.ctx);
}

static void one_stopped(void *ctx)
{
	struct otlp *s = ctx;

	if (s->stopping && is_over(s))
		event_active(s->stopped, EV_TIMEOUT, 0);
}

void otlp_stop(struct otlp *s, nsec_t patience)
{
	const struct timeval tv = clock_timeval(patience);

	(void)evtimer_add(s->stopped, &tv);
	s->stopping = true;
	if (s->points)
		tell_points_stop(s->points);
	if (s->records)
		tell_records_stop(s->records);
}

/* ---- life ------------------------------------------------------------------------------------ */

/* A UUID of version 4 (RFC 9562). */
static void make_instance(char ret[INSTANCE_MAX])
{
	const uint64_t a = rng_entropy(), b = rng_entropy();

	(void)snprintf(ret, INSTANCE_MAX, "%08x-%04x-4%03x-%04x-%012" PRIx64, (unsigned)(a >> 32),
		       (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff),
		       (unsigned)(b >> 48 & 0x3fff) | 0x8000, b & 0xffffffffffff);
}

static int make(struct otlp *s, struct buf *ret_error)
{
	struct otlp_opts o = s->o;
	struct post_opts post = {.base = o.base,
				 .http = o.http,
				 .url = o.url,
				 .access = o.access,
				 .headers = &s->headers,
				 .seed = o.seed};
	int r = headers_init(&s->headers, o.headers_file, ret_error);

	o.source = s->o.source;
	o.stopped = one_stopped;
	o.ctx = s;
	s->stopped = evtimer_new(o.base, on_stopped, s);
	if (r == 0 && !s->stopped)
		r = -ENOMEM;
	if (r == 0 && o.points)
		r = tell_points_new(&o, &post, &s->points, ret_error);
	post.seed++;
	if (r == 0 && o.records)
		r = tell_records_new(&o, &post, &s->records, ret_error);
	return r;
}

int otlp_new(const struct otlp_opts *o, struct otlp **ret, struct buf *ret_error)
{
	struct otlp *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->o = *o;
	make_instance(s->instance);
	s->o.source.instance = str_of(s->instance);
	r = make(s, ret_error);
	if (r < 0)
		otlp_free(&s);
	else
		*ret = s;
	return r;
}

void otlp_free(struct otlp **sp)
{
	struct otlp *s = *sp;

	*sp = NULL;
	if (!s)
		return;
	tell_points_free(&s->points);
	tell_records_free(&s->records);
	headers_done(&s->headers);
	if (s->stopped)
		event_free(s->stopped);
	free(s);
}

void otlp_changed(struct otlp *s)
{
	if (s->points)
		tell_points_changed(s->points);
	if (s->records)
		tell_records_changed(s->records);
}

void otlp_tune(struct otlp *s, const struct otlp_tuning *t)
{
	if (s->points)
		tell_points_tune(s->points, t);
	if (s->records)
		tell_records_tune(s->records, t);
}
