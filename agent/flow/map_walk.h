/*
 * A walk over a hash map of the kernel in steps of one batch; one key at a time
 * where this kernel has no batches (before Linux 5.6). Entries that come or go
 * meanwhile may be missed or met; the others are met at least once.
 */
#pragma once

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_walk;

/* One entry. True: delete it. */
typedef bool (*map_walk_fn)(void *ctx, nsec_t now, const void *key, const void *value);
/* All entries that were read, before `fn` is called for each: it may change the values. */
typedef void (*map_walk_batch_fn)(void *ctx, const void *keys, void *values, uint32_t n);

struct map_walk_opts {
	int map;		       /* borrowed */
	uint32_t key_size, value_size; /* key: at most 64 bytes */
	map_walk_fn fn;
	map_walk_batch_fn before; /* may be NULL */
	void *ctx;
	bool empties;	 /* entries are deleted as they are read: false of `fn` puts one back */
	bool one_by_one; /* for a test: as on an old kernel */
};

/* 0 or -ENOMEM. */
int map_walk_new(const struct map_walk_opts *o, struct map_walk **ret);
void map_walk_free(struct map_walk **w);
/* From the beginning. What was read is still to be taken. */
void map_walk_begin(struct map_walk *w);
/* Reads one batch and keeps it: 1 there is more, 0 that was all, -errno. */
int map_walk_read(struct map_walk *w);
/* Gives what was read to `fn`. */
void map_walk_take(struct map_walk *w, nsec_t now);
/* Both. */
int map_walk_step(struct map_walk *w, nsec_t now);
