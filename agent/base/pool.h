/*
 * Records of one size, named by a 32-bit id instead of a pointer: ids are half
 * as large, survive growth and can be checked. Memory comes in chunks that never
 * move, so growing copies nothing and a record's address is stable while it lives.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef uint32_t pool_id; /* 0 is "none" */

#define POOL_CHUNK_SHIFT 8 /* 256 records a chunk */

struct pool {
	char **chunks;
	uint32_t n_chunks, cap_chunks;
	uint32_t size;	/* bytes a record */
	uint32_t next;	/* first id never used */
	uint32_t free_; /* head of the list of freed ids */
	uint32_t live;	/* records in use */
	uint32_t max;	/* most records in use */
};

/* `size` bytes a record (at least 4). Allocates nothing. */
void pool_init(struct pool *p, size_t size, uint32_t max);
void pool_done(struct pool *p);
/* A zeroed record; 0 when the maximum is reached or memory is short. */
pool_id pool_alloc(struct pool *p);
void pool_release(struct pool *p, pool_id id);
/* The record of a live id; undefined for others. */
static inline void *pool_at(const struct pool *p, pool_id id)
{
	const uint32_t i = id - 1;

	return p->chunks[i >> POOL_CHUNK_SHIFT] +
	       (size_t)(i & ((1U << POOL_CHUNK_SHIFT) - 1)) * p->size;
}
/* Bytes held, used or not. */
size_t pool_bytes(const struct pool *p);
