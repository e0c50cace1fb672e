/*
 * How late the loop comes to what is due: a timer, and by how much it was missed.
 */
#pragma once

#include "base/hist.h"

struct event;
struct event_base;

#define LOOP_LAG_EVERY (250 * NSEC_PER_MSEC)

struct loop_lag {
	struct hist lag;
	struct event *timer;
	nsec_t due;
};

/* Into zeroed memory; 0 or -ENOMEM. It measures from then on. */
int loop_lag_start(struct loop_lag *l, struct event_base *base);
void loop_lag_done(struct loop_lag *l);
