/*
 * When something that is done again and again is due. Pure: whoever asks looks often
 * enough.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>

struct interval {
	nsec_t every; /* 0: never */
	nsec_t due;
};

/* Begins at `now` when it is another one; the same one goes on. */
static inline void interval_set(struct interval *i, nsec_t every, nsec_t now)
{
	if (every == i->every)
		return;
	i->every = every;
	i->due = now + every;
}

/* True once for each interval that has passed; for several that nobody asked after, once. */
static inline bool interval_over(struct interval *i, nsec_t now)
{
	if (!i->every || now < i->due)
		return false;
	i->due += (now - i->due) / i->every * i->every + i->every;
	return true;
}
