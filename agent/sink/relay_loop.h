/*
 * What drives a relay on the agent's loop: a timer that is set to when it wants to run
 * next, and runs it soon when it is woken.
 */
#pragma once

#include "base/clock.h"

struct event_base;
struct relay_loop;

/* `run` returns when it wants to be called again at the latest. 0 or -ENOMEM. */
int relay_loop_new(struct event_base *base, nsec_t (*run)(void *ctx, nsec_t now, nsec_t wall),
		   void *ctx, struct relay_loop **ret);
void relay_loop_free(struct relay_loop **l);
/* Runs it on the next turn. */
void relay_loop_wake(struct relay_loop *l);
