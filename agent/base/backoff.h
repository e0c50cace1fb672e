/*
 * How long to wait before the next try: full jitter ("Exponential Backoff And
 * Jitter", Brooker 2015), so that thousands of agents that lost the same server
 * do not come back together. Pure; the caller owns the random source.
 */
#pragma once

#include "base/clock.h"
#include "base/rng.h"

#define BACKOFF_BASE	(500 * NSEC_PER_MSEC)
#define BACKOFF_CAP	(30 * NSEC_PER_SEC)
#define BACKOFF_HEALTHY (60 * NSEC_PER_SEC)
/* A server that asks for a longer pause than this is not believed. */
#define BACKOFF_MAX_RETRY_AFTER (300 * NSEC_PER_SEC)

struct backoff {
	nsec_t base;	/* widest delay of the first try */
	nsec_t cap;	/* widest delay of any try */
	nsec_t healthy; /* so long must things go well before it starts again at base */
	nsec_t good;	/* since when things go well; NSEC_NEVER while they do not */
	unsigned tries; /* failures that count */
};

/* With the defaults above; the fields may be changed before the first use. */
void backoff_init(struct backoff *b);
/* Things go well since now; repeated calls keep the first time. */
void backoff_good(struct backoff *b, nsec_t now);
/*
 * A failure at `now`. Returns the delay before the next try: evenly from
 * [0, min(cap, base * 2^tries)], on top of `retry_after` (0 when the server named
 * none, cut at BACKOFF_MAX_RETRY_AFTER), which is thereby a floor.
 */
nsec_t backoff_next(struct backoff *b, struct rng *g, nsec_t now, nsec_t retry_after);
