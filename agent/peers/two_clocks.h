/*
 * How another machine's monotonic clock stands to ours. Pure.
 *
 * offset = our clock - theirs. What they say of their clock has left them before we hear of it and
 * after we asked, so
 *
 *     asked - theirs  <=  offset  <=  heard - theirs
 *
 * The upper bound is found anew with every word; the lower one only by asking. Both widen
 * with time, as two clocks drift. A virtual machine that stood still has lost time: an
 * upper bound that jumps up is taken as it is, and one below the lower bound proves
 * that ours has lost some. What was before such a moment cannot be placed: `since`.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/* One part in so many: NTP slews a clock by 500 ppm at most, and ours and theirs may go apart. */
#define TWO_CLOCKS_DRIFT 1000
/* What a jump may be and not be seen: it counts as doubt on both sides. */
#define TWO_CLOCKS_SLACK (200 * NSEC_PER_MSEC)

struct two_clocks {
	bool set;
	int64_t low, high;
	nsec_t low_at, high_at; /* ours, when they held */
	nsec_t since;		/* ours: from then on neither stood still */
};

/* We asked at `asked`, and hear their time. `same`: it is the clock that `c` knows. */
void two_clocks_begin(struct two_clocks *c, bool same, nsec_t asked, nsec_t now, nsec_t theirs);
/* False: the clocks have lost each other; ask anew. */
bool two_clocks_heard(struct two_clocks *c, nsec_t now, nsec_t theirs);
/* How far apart the bounds are, slack included. */
nsec_t two_clocks_doubt(const struct two_clocks *c, nsec_t now);
/* Their time on our clock: surely not before the first, surely not after the second. Never below 0;
 * NSEC_NEVER stays. `now` is when the bounds are taken. */
nsec_t two_clocks_earliest(const struct two_clocks *c, nsec_t now, nsec_t theirs);
nsec_t two_clocks_latest(const struct two_clocks *c, nsec_t now, nsec_t theirs);
