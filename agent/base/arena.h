/*
 * One arena per decoded message: allocations are freed all at once by
 * arena_reset. Blocks are kept for the next message.
 */
#pragma once

#include "base/str.h"

#include <stddef.h>

struct arena_block;
struct arena {
	struct arena_block *first, *cur;
	size_t used; /* bytes given out since the last reset */
	size_t max;  /* most bytes between two resets */
};

/* Allocates nothing. Over `max` bytes an allocation fails. */
void arena_init(struct arena *a, size_t max);
void arena_done(struct arena *a);
/* Everything given out becomes invalid; all blocks but the first are freed. */
void arena_reset(struct arena *a);
/* Aligned for any type, not zeroed; NULL when memory is short or the maximum is reached. */
void *arena_alloc(struct arena *a, size_t n);
/* A copy that lives until the reset; p is NULL (n too) on failure unless s was empty. */
int arena_dup(struct arena *a, struct str s, struct str *ret);
