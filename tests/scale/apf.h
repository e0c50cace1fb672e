/*
 * One priority level of API Priority and Fairness, as a kube-apiserver has it (KEP-1040):
 * seats, queues that flows are dealt to by shuffle sharding, fair queuing between them,
 * and 429 where there is no place or no time left. In virtual time; pure.
 *
 * What is left out: borrowing between levels (the chart's lends and borrows nothing),
 * extra seats of mutating requests.
 */
#pragma once

#include "base/clock.h"
#include "base/rng.h"

#include <stdbool.h>
#include <stdint.h>

#define APF_MAX_QUEUES 128

struct apf;

struct apf_opts {
	uint32_t seats;	      /* the level's concurrency limit */
	uint32_t queues;      /* at most APF_MAX_QUEUES */
	uint32_t hand;	      /* queues that one flow is dealt */
	uint32_t queue_limit; /* requests that wait in one queue; over it: 429 */
	nsec_t wait_limit;    /* a request that waits longer: 429 */
	uint64_t seed;	      /* of the dealing */
	/* A request that waited gets its seats, or (false) its time is over. */
	void (*turn)(void *ctx, uint32_t request, bool runs, nsec_t now);
	void *ctx;
};

enum apf_answer { APF_RUNS, APF_WAITS, APF_FULL };

struct apf *apf_new(const struct apf_opts *o);
void apf_free(struct apf **a);
/* `request` is whatever the caller calls it. One that runs holds `width` seats until apf_done. */
enum apf_answer apf_arrive(struct apf *a, nsec_t now, uint32_t request, uint64_t flow,
			   uint32_t width);
void apf_done(struct apf *a, nsec_t now, uint32_t width);
/* Turns away who has waited too long. Returns when to call again. */
nsec_t apf_expire(struct apf *a, nsec_t now);

struct apf_counters {
	uint64_t arrived, ran, full, late;
	uint32_t waiting, seats_used;
	uint32_t most_waiting;
	nsec_t longest_wait; /* of those that ran */
};
struct apf_counters apf_counters(const struct apf *a);
