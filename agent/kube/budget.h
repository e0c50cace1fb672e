/*
 * What one process may ask of one API server: a token bucket for all requests
 * (--api-qps, --api-burst), and one common pause while the server cannot be
 * reached or asks for fewer requests, so that many reflectors do not each find
 * out for themselves. Pure; shared by pointer by all that ask: reflectors, owners and
 * single requests.
 */
#pragma once

#include "base/backoff.h"
#include "base/clock.h"

#include <stdbool.h>

struct budget {
	double qps, burst;
	double tokens;		/* requests */
	nsec_t filled;		/* when tokens was brought up to date */
	nsec_t pause_until;	/* 0: none */
	struct backoff backoff; /* of the pause */
	struct rng rng;
	uint64_t taken, delayed, pauses; /* counters */
};

/* The bucket starts full. qps is at least 0.01, burst 1. */
void budget_init(struct budget *b, double qps, uint32_t burst, uint64_t seed);
/* Other limits from now on; what was saved up beyond them is gone. */
void budget_tune(struct budget *b, nsec_t now, double qps, uint32_t burst);
/* Takes one request: true, or false and the time at which to ask again. */
bool budget_take(struct budget *b, nsec_t now, nsec_t *ret_when);
/* One that goes out whatever the pause and the bucket say (a lease's): later ones pay for it. */
void budget_charge(struct budget *b, nsec_t now);
/* Nothing can be taken before this time: the common start. */
void budget_hold(struct budget *b, nsec_t until);
/* A request that was started at `started` found no server, or was told to slow down; all wait.
 * Answers to requests from before the current pause say nothing new and change nothing. */
void budget_slow_down(struct budget *b, nsec_t now, nsec_t started, nsec_t retry_after);
/* A request was answered. */
void budget_answered(struct budget *b, nsec_t now);
