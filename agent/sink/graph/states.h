/*
 * The state of an object: the few fields that say how it is, and since when. Pure.
 *
 * Since when: the latest lastTransitionTime of its conditions (and start or end of its
 * containers); else when it was marked for deletion; else when it was made; else when
 * the sink saw it. A change of anything else is no change of state.
 */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "tree/tree.h"

#include <stdint.h>

struct graph_state {
	struct str json;  /* compact, the same for the same state; empty: such objects have none */
	struct str since; /* RFC 3339 */
};
/* A number for a state's JSON, the same on every host. */
uint64_t graph_state_hash(struct str json);
/* `wall`: now. 0 or -ENOMEM. */
int graph_state_of(const struct tree *object, struct arena *a, nsec_t wall,
		   struct graph_state *ret);
