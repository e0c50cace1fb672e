/*
 * Services and Nodes by address: the ends of flows that are no pods. Small
 * records with the times at which their addresses were learned and lost, and a
 * change log: all in one list, the one that changed last at the end. A deleted one
 * lingers like a dead pod.
 *
 * For the files of this room; the public functions are in inventory.h.
 */
#pragma once

#include "base/index.h"
#include "base/pool.h"
#include "inventory/inventory.h"

struct id_list {
	uint32_t head, tail;
};

enum place_list { PLACES_LOG, PLACES_DEAD /* oldest first */, _PLACE_LIST_MAX };

struct places {
	struct pool recs;
	struct index by_uid, by_address;
	struct id_list lists[_PLACE_LIST_MAX];
	uint32_t n_dead;
	size_t addr_bytes;
};

void places_init(struct places *t);
/* Texts stay with the inventory that interned them: it goes as a whole. */
void places_done(struct places *t);
void places_list_end(struct inventory *v, uint16_t source, nsec_t now);
/* When to call again; NSEC_NEVER: nothing dead. */
nsec_t places_expire(struct inventory *v, nsec_t now);
size_t places_bytes(const struct places *t);
