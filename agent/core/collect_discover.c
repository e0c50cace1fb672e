/*
 * When discovery goes round: at the start, a moment after something said that it is
 * out of date, after a failure with backoff, and slowly by itself (an aggregated
 * API's resources announce themselves nowhere).
 */
#include "core/collect_parts.h"

#include "base/mem.h"

#include <errno.h>

#define PARALLEL     4 /* GETs of a round under way; servers without aggregation need many */
#define DEBOUNCE     NSEC_PER_SEC
#define DEBOUNCE_MAX (5 * NSEC_PER_SEC) /* of events that go on and on */
#define SPACING	     (2 * NSEC_PER_SEC) /* from the end of a round to the next */
#define BUSY	     (100 * NSEC_PER_MSEC)
#define TRIES_MAX    5

static nsec_t jittered(struct collect *c, nsec_t every)
{
	return every - every / 5 + rng_below(&c->rng, every * 2 / 5 + 1);
}

void discover_wanted(struct collect *c, nsec_t now, unsigned tries)
{
	struct discover *d = &c->discover;

	if (!d->trigger)
		d->trigger = now;
	d->tries = MAX(d->tries, MIN(tries, (unsigned)TRIES_MAX));
	d->trigger_at = MIN(now + DEBOUNCE, d->trigger + DEBOUNCE_MAX);
	if (c->counters.rounds)
		d->trigger_at = MAX(d->trigger_at, d->ended + SPACING);
	collect_due(c);
}

/* The round is over: when is the next? */
static void schedule(struct collect *c, nsec_t now, bool changed, bool failed)
{
	struct discover *d = &c->discover;

	d->ended = now;
	/* What was told while the round went on may not be in it. */
	if (d->trigger)
		d->trigger_at = MAX(d->trigger_at, now + SPACING);
	if (failed) {
		d->at = now + backoff_next(&d->backoff, &c->rng, now, 0);
		return;
	}
	backoff_good(&d->backoff, now);
	d->at = now + jittered(c, c->o.discover_every);
	if (changed)
		d->tries = 0;
	/* A new definition is served a moment after it was made. */
	if (d->tries) {
		d->at = MIN(d->at, now + (SPACING << (TRIES_MAX - d->tries)));
		d->tries--;
	}
}

static bool finish(struct collect *c, nsec_t now)
{
	struct discover *d = &c->discover;
	const bool failed = catalog_counters(c->catalog)->failed != d->failed_before;
	int r = catalog_finish(c->catalog);

	d->active = false;
	if (r < 0) {
		d->at = now + SPACING;
		return false;
	}
	c->counters.rounds++;
	c->counters.failed_rounds += failed;
	schedule(c, now, r > 0, failed);
	return true;
}

/* Hands paths out as long as the shell takes them: 0, or when to try again. */
static nsec_t ask(struct collect *c, nsec_t now)
{
	struct discover *d = &c->discover;

	while (d->under_way < PARALLEL) {
		if (!d->path)
			d->path = catalog_next(c->catalog);
		if (!d->path)
			return NSEC_NEVER;
		if (c->o.ops->get(c->o.ctx, d->path, CATALOG_ACCEPT) < 0)
			return now + BUSY;
		d->under_way++;
		d->path = NULL;
	}
	return NSEC_NEVER;
}

nsec_t discover_tick(struct collect *c, nsec_t now, bool *ret_changed)
{
	struct discover *d = &c->discover;
	nsec_t next;

	if (!d->active && now < MIN(d->at, d->trigger_at))
		return MIN(d->at, d->trigger_at);
	if (!d->active) {
		d->path = NULL;
		d->trigger = 0;
		d->trigger_at = NSEC_NEVER;
		d->failed_before = catalog_counters(c->catalog)->failed;
		if (catalog_begin(c->catalog) < 0) {
			d->at = now + SPACING;
			return d->at;
		}
		d->active = true;
	}
	next = ask(c, now);
	if (catalog_complete(c->catalog)) {
		*ret_changed = finish(c, now);
		return MIN(d->at, d->trigger_at);
	}
	return next;
}

void collect_answer(struct collect *c, nsec_t now, const char *path, int status, struct str body)
{
	struct discover *d = &c->discover;

	d->under_way -= d->under_way > 0;
	if (catalog_answer(c->catalog, path, status, body) == -ENOMEM && d->active) {
		d->active = false;
		d->path = NULL;
		d->at = now + SPACING;
	}
	collect_due(c);
}
