#include "base/hist.h"

#include <assert.h>

const nsec_t hist_wide[HIST_WIDE] = {100 * NSEC_PER_USEC, 500 * NSEC_PER_USEC, 1 * NSEC_PER_MSEC,
				     5 * NSEC_PER_MSEC,	  10 * NSEC_PER_MSEC,  50 * NSEC_PER_MSEC,
				     100 * NSEC_PER_MSEC, 500 * NSEC_PER_MSEC, 1 * NSEC_PER_SEC,
				     5 * NSEC_PER_SEC,	  10 * NSEC_PER_SEC};

void hist_init(struct hist *h, const nsec_t *bounds, uint32_t n)
{
	assert(n <= HIST_MAX);
	*h = (struct hist){.bounds = bounds, .n = n};
}

void hist_add(struct hist *h, nsec_t v)
{
	uint32_t i = 0;

	while (i < h->n && v > h->bounds[i])
		i++;
	h->counts[i]++;
	h->sum += v;
}
