/* Delays between tries; see backoff.h. */
#include "base/backoff.h"

#include "base/mem.h"

void backoff_init(struct backoff *b)
{
	*b = (struct backoff){
		.base = BACKOFF_BASE,
		.cap = BACKOFF_CAP,
		.healthy = BACKOFF_HEALTHY,
		.good = NSEC_NEVER,
	};
}

void backoff_good(struct backoff *b, nsec_t now)
{
	if (b->good == NSEC_NEVER)
		b->good = now;
}

nsec_t backoff_next(struct backoff *b, struct rng *g, nsec_t now, nsec_t retry_after)
{
	/* A server that accepts and then fails at once would never slow us down if one good
	 * answer were enough to start anew. */
	if (b->good != NSEC_NEVER && now - b->good >= b->healthy)
		b->tries = 0;
	b->good = NSEC_NEVER;

	nsec_t width = b->base;
	for (unsigned i = 0; i < b->tries && width < b->cap; i++)
		width *= 2;
	width = MIN(width, b->cap);
	b->tries++;
	return MIN(retry_after, BACKOFF_MAX_RETRY_AFTER) + rng_below(g, width + 1);
}
