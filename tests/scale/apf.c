#include "tests/scale/apf.h"

#include "base/hash.h"
#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct waiting {
	uint32_t request, width;
	nsec_t since;
};

/* A ring; `head` grows. */
struct queue {
	struct waiting *v; /* queue_limit of them */
	uint32_t head, n, seats;
	uint64_t virtual_start; /* of its next request; seats granted so far, in fair terms */
};

struct apf {
	struct apf_opts o;
	struct queue queues[APF_MAX_QUEUES];
	uint64_t virtual_now; /* the start of the request that was served last */
	struct apf_counters count;
};

struct apf *apf_new(const struct apf_opts *o)
{
	struct apf *a = calloc(1, sizeof(*a));

	assert(a && o->queues <= APF_MAX_QUEUES && o->hand <= o->queues && o->hand);
	a->o = *o;
	for (uint32_t i = 0; i < o->queues; i++) {
		a->queues[i].v = calloc(o->queue_limit, sizeof(*a->queues[i].v));
		assert(a->queues[i].v);
	}
	return a;
}

void apf_free(struct apf **ap)
{
	struct apf *a = *ap;

	if (!a)
		return;
	for (uint32_t i = 0; i < a->o.queues; i++)
		free(a->queues[i].v);
	free(a);
	*ap = NULL;
}

/* The flow's hand, dealt from the whole deck: the queue in it with the fewest seats waiting. */
static struct queue *choose_queue(struct apf *a, uint64_t flow)
{
	uint32_t deck[APF_MAX_QUEUES];
	struct queue *best = NULL;
	struct rng g;

	rng_seed(&g, a->o.seed ^ flow * 0x9e3779b97f4a7c15ULL);
	for (uint32_t i = 0; i < a->o.queues; i++)
		deck[i] = i;
	for (uint32_t i = 0; i < a->o.hand; i++) {
		const uint32_t k = i + (uint32_t)rng_below(&g, a->o.queues - i);
		struct queue *q = &a->queues[deck[k]];

		deck[k] = deck[i];
		if (!best || q->seats < best->seats)
			best = q;
	}
	return best;
}

static bool has_seats(const struct apf *a, uint32_t width)
{
	/* A request wider than the level runs alone. */
	return a->count.seats_used == 0 || a->count.seats_used + width <= a->o.seats;
}

static void take_seats(struct apf *a, uint32_t width)
{
	a->count.seats_used += width;
	a->count.ran++;
}

static struct waiting pop(struct apf *a, struct queue *q)
{
	const struct waiting w = q->v[q->head % a->o.queue_limit];

	q->head++;
	q->n--;
	q->seats -= w.width;
	a->count.waiting--;
	return w;
}

/* The one that fair queuing would begin first. */
static struct queue *next_queue(struct apf *a)
{
	struct queue *best = NULL;

	for (uint32_t i = 0; i < a->o.queues; i++) {
		struct queue *q = &a->queues[i];

		if (q->n && (!best || q->virtual_start < best->virtual_start))
			best = q;
	}
	return best;
}

static void dispatch(struct apf *a, nsec_t now)
{
	struct queue *q;

	while ((q = next_queue(a)) && has_seats(a, q->v[q->head % a->o.queue_limit].width)) {
		const struct waiting w = pop(a, q);

		a->virtual_now = q->virtual_start;
		q->virtual_start += w.width;
		take_seats(a, w.width);
		a->count.longest_wait = MAX(a->count.longest_wait, now - w.since);
		a->o.turn(a->o.ctx, w.request, true, now);
	}
}

enum apf_answer apf_arrive(struct apf *a, nsec_t now, uint32_t request, uint64_t flow,
			   uint32_t width)
{
	struct queue *q = choose_queue(a, flow);

	a->count.arrived++;
	if (!a->count.waiting && has_seats(a, width)) {
		take_seats(a, width);
		return APF_RUNS;
	}
	if (q->n == a->o.queue_limit) {
		a->count.full++;
		return APF_FULL;
	}
	if (!q->n)
		q->virtual_start = MAX(q->virtual_start, a->virtual_now);
	q->v[(q->head + q->n) % a->o.queue_limit] =
		(struct waiting){.request = request, .width = width, .since = now};
	q->n++;
	q->seats += width;
	a->count.waiting++;
	a->count.most_waiting = MAX(a->count.most_waiting, a->count.waiting);
	return APF_WAITS;
}

void apf_done(struct apf *a, nsec_t now, uint32_t width)
{
	a->count.seats_used -= width;
	dispatch(a, now);
}

nsec_t apf_expire(struct apf *a, nsec_t now)
{
	nsec_t next = NSEC_NEVER;

	for (uint32_t i = 0; i < a->o.queues; i++) {
		struct queue *q = &a->queues[i];

		while (q->n && q->v[q->head % a->o.queue_limit].since + a->o.wait_limit <= now) {
			const struct waiting w = pop(a, q);

			a->count.late++;
			a->o.turn(a->o.ctx, w.request, false, now);
		}
		if (q->n)
			next = MIN(next, q->v[q->head % a->o.queue_limit].since + a->o.wait_limit);
	}
	return next;
}

struct apf_counters apf_counters(const struct apf *a)
{
	return a->count;
}
