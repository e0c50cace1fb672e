/*
 * A histogram of durations: how many were at most as long as each of a few bounds.
 */
#pragma once

#include "base/clock.h"

#include <stdint.h>

#define HIST_MAX 16 /* bounds */

struct hist {
	const nsec_t *bounds; /* ascending; outlive it */
	uint32_t n;
	uint64_t counts[HIST_MAX + 1]; /* the last one used: above all bounds */
	nsec_t sum;
};

/* At most HIST_MAX bounds. */
void hist_init(struct hist *h, const nsec_t *bounds, uint32_t n);
void hist_add(struct hist *h, nsec_t v);

/* From a tenth of a millisecond to ten seconds. */
#define HIST_WIDE 11
extern const nsec_t hist_wide[HIST_WIDE];
