/*
 * A hash index from keys to ids. It stores only hashes and ids; the keys stay in
 * the records. The caller compares: walk the ids of a hash with index_first and
 * index_next until the record's key is the wanted one.
 *
 * Open addressing, linear probing, deletion by shifting back (no tombstones),
 * growth by a quarter so that memory follows the number of entries closely. Several
 * ids may share one hash or one key. Changing the index ends a walk.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct index_slot {
	uint32_t hash, id; /* id 0: empty */
};
struct index {
	struct index_slot *slots;
	uint32_t size; /* slots */
	uint32_t n;    /* of them in use */
};

void index_init(struct index *x);
void index_done(struct index *x);
int index_grow(struct index *x, uint32_t n);
/* Makes room for `n` more pairs, so that as many index_put cannot fail: 0 or -ENOMEM. At most
 * 13/16 full: probes stay short, memory stays small. */
static inline int index_reserve(struct index *x, uint32_t n)
{
	return ((uint64_t)x->n + n) * 16 <= (uint64_t)x->size * 13 ? 0 : index_grow(x, n);
}
/* 0 or -ENOMEM. The same pair may be put twice. */
int index_put(struct index *x, uint32_t hash, uint32_t id);
/* Removes one such pair; nothing happens when there is none. */
void index_del(struct index *x, uint32_t hash, uint32_t id);
/* First id under this hash, 0 when none. `*at` is the walk's position. */
uint32_t index_first(const struct index *x, uint32_t hash, uint32_t *at);
uint32_t index_next(const struct index *x, uint32_t hash, uint32_t *at);
size_t index_bytes(const struct index *x);
