/*
 * What the parts of the simulation share: the cluster's numbers, the model's, and how
 * figures are printed and held to their limits.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

#define MSEC NSEC_PER_MSEC
#define SEC  NSEC_PER_SEC

#define PODS_PER_NODE 30 /* as population.h places them */

/* A kube-apiserver with its defaults: --max-requests-inflight and the mutating ones, and the shares
 * of the levels that it makes itself. */
#define SERVER_SEATS  600
#define SERVER_SHARES 245

/* What the chart makes; see README.md. */
struct level {
	uint32_t shares, queues, hand, queue_limit;
};
extern struct level level;
/* Seats of a level with so many shares, beside the server's own. */
uint32_t level_seats(const struct level *l);
/* Seats that a list of a large cluster takes in it: ten, and since 1.28 no more than 15 % of the
 * level's, nor than the level's by the hand. */
uint32_t level_list_width(const struct level *l);

/* "scale.NAME VALUE UNIT"; when it is over the limit (not 0) that is said, and main fails. */
void figure(const char *name, double value, const char *unit, double limit);
/* The same for what has to be so. */
void must(bool is, const char *what);

double cpu_seconds(void);
/* Bytes that malloc has given out. */
double heap_bytes(void);

void scale_nodes(uint32_t agents, uint64_t seed);
void scale_collectors(uint32_t pods, uint64_t seed);
void scale_reducer(uint32_t nodes);
