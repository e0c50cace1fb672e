/*
 * The lowest a value was lately: over the last `span` at least, over twice as long at
 * most. Pure.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct recent_low {
	bool set;
	nsec_t since;	     /* when this span began */
	int64_t low, before; /* in it, and in the one before */
};

static inline int64_t recent_low(struct recent_low *r, nsec_t now, nsec_t span, int64_t v)
{
	if (!r->set)
		*r = (struct recent_low){.set = true, .since = now, .low = v, .before = v};
	if (now - r->since >= span) {
		r->before = now - r->since < 2 * span ? r->low : v;
		r->low = v;
		r->since = now;
	}
	if (v < r->low)
		r->low = v;
	return r->low < r->before ? r->low : r->before;
}
