/*
 * When recorded events happen. With a speed, all kinds share one clock that
 * starts with the first watch (or at once, or by hand). With speed 0 a kind
 * jumps to its end as soon as it is watched: what was listed before is the
 * base state, everything after comes through the watch.
 */
#include "server.h"

void timeline_wake(struct server *s, enum kind k)
{
	struct conn *c;

	TAILQ_FOREACH(c, &s->conns, link)
	if (c->watch && !c->dead && !c->ended && kind_info[c->req.kind].of == k)
		watch_more(c->watch);
}

static void kind_to(struct server *s, enum kind k, size_t pos)
{
	struct kind_store *ks = &s->store.kinds[k];

	if (pos <= ks->pos)
		return;
	recorded_advance(ks, pos);
	timeline_wake(s, k);
}

bool timeline_finished(const struct server *s)
{
	for (enum kind k = 0; k < KIND_RECORDED; k++)
		if (s->store.kinds[k].pos < s->store.kinds[k].n_events)
			return false;
	return true;
}

void timeline_to(struct server *s, double ms)
{
	s->virtual_ms = MAX(s->virtual_ms, ms);
	for (enum kind k = 0; k < KIND_RECORDED; k++)
		kind_to(s, k, recorded_at(&s->store.kinds[k], s->virtual_ms));
}

/* Milliseconds of recorded time until something happens; below 0: never. */
static double next_in(const struct server *s)
{
	double next = -1;

	for (enum kind k = 0; k < KIND_RECORDED; k++) {
		const struct kind_store *ks = &s->store.kinds[k];
		double in;

		if (ks->pos >= ks->n_events)
			continue;
		in = MAX(ks->events[ks->pos].ms - s->virtual_ms, 0.0);
		next = next < 0 ? in : MIN(next, in);
	}
	return next;
}

static void arm(struct server *s)
{
	double us = next_in(s) * 1000 / s->o.speed;
	struct timeval tv;

	if (us < 0)
		return;
	us += 100; /* past the moment, so that one tick is enough */
	tv.tv_sec = (time_t)(us / 1e6);
	tv.tv_usec = (suseconds_t)(us - (double)tv.tv_sec * 1e6);
	event_add(s->tick, &tv);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;

	(void)fd;
	(void)what;
	timeline_to(s, (double)(clock_mono() - s->t0) / (double)NSEC_PER_MSEC * s->o.speed);
	arm(s);
}

static void run(struct server *s)
{
	if (s->running || s->o.speed <= 0)
		return;
	s->running = true;
	s->t0 = clock_mono();
	arm(s);
}

int timeline_init(struct server *s)
{
	s->tick = evtimer_new(s->base, on_tick, s);
	if (!s->tick)
		return -1;
	if (s->o.start == START_NOW) {
		run(s);
		if (s->o.speed <= 0)
			for (enum kind k = 0; k < KIND_RECORDED; k++)
				kind_to(s, k, s->store.kinds[k].n_events);
	}
	return 0;
}

void timeline_watch(struct server *s, enum kind k)
{
	if (s->o.start == START_PAUSED)
		return;
	if (s->o.speed <= 0)
		kind_to(s, kind_info[k].of, kind_data(&s->store, k)->n_events);
	else
		run(s);
}

/* Single objects are asked for because a newer object names them: at speed 0 the kind they are
 * of must have come as far. */
void timeline_get(struct server *s, enum kind k)
{
	if (s->o.start != START_PAUSED && s->o.speed <= 0)
		kind_to(s, kind_info[k].of, kind_data(&s->store, k)->n_events);
}
