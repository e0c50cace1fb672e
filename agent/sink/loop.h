/*
 * What drives a sink on the agent's loop: a timer that is set to when it wants to run
 * next, and runs it soon when it is woken.
 */
#pragma once

#include "base/clock.h"

struct event_base;
struct sink_loop;

/* `run` returns when it wants to be called again at the latest. 0 or -ENOMEM. */
int sink_loop_new(struct event_base *base, nsec_t (*run)(void *ctx, nsec_t now, nsec_t wall),
		  void *ctx, struct sink_loop **ret);
void sink_loop_free(struct sink_loop **l);
/* Runs it on the next turn. */
void sink_loop_wake(struct sink_loop *l);
