/*
 * A walk over the map `places` (bpf/map_socks.h), memory that the programs write: as map_walk,
 * without a system call. Sockets that come or go meanwhile may be missed or met; the others are met
 * once.
 */
#pragma once

#include "base/clock.h"
#include "flow/map_walk.h"

struct places;

struct places_opts {
	int map;	/* borrowed */
	map_walk_fn fn; /* its answer is of no matter: who ends an entry is the program */
	map_walk_batch_fn before;
	void *ctx;
};

/* 0, -ENOMEM or -errno of mapping. */
int places_new(const struct places_opts *o, struct places **ret);
void places_free(struct places **p);
void places_begin(struct places *p);
/* Some of them: 1 there is more, 0 that was all. */
int places_step(struct places *p, nsec_t now);
