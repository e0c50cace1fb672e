/*
 * "Still there": one line on standard error about work that takes longer than a second,
 * if that is a terminal; it is written over and goes when the work is done.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

struct progress {
	nsec_t begun, told;
	bool shown;
};

void progress_begin(struct progress *p);
/* "waiting for the agent, 3 s" or, with `bytes`, "... 3 s, 1.2M so far". Cheap; at most five times
 * a second something is written. */
void progress_tell(struct progress *p, const char *what, uint64_t bytes);
/* The line goes, if there is one. */
void progress_end(struct progress *p);
