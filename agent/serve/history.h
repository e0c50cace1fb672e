/*
 * Flows that have ended, the last ones, for questions about the last minutes. A copy of
 * the view and its names each, in a ring: at most `max` of them and `max_bytes` of
 * memory, taken as they come; the oldest makes place. Whoever asks for more than there
 * is can see how far back it reaches.
 */
#pragma once

#include "flow/flows.h"

#include <stddef.h>
#include <stdint.h>

struct history;

#define HISTORY_MAX   4096
#define HISTORY_BYTES (4UL << 20)

/* 0: the defaults above. 0 or -ENOMEM. */
int history_new(uint32_t max, size_t max_bytes, struct history **ret);
void history_free(struct history **h);
/* Without memory it is left out, and counted. */
void history_put(struct history *h, const struct flow_view *v);
/* The oldest one whose number is above `after` (start with 0). The texts are borrowed until the
 * next history_put. False: there is none. */
bool history_next(const struct history *h, uint64_t after, uint64_t *ret_number,
		  struct flow_view *ret);
/* When the oldest one that is kept ended; 0 when nothing ever had to go. */
nsec_t history_reaches(const struct history *h);

struct history_stats {
	uint32_t entries;
	uint64_t no_memory;
	size_t bytes;
};
void history_stats(const struct history *h, struct history_stats *ret);
