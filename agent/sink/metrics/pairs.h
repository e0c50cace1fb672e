/*
 * Totals of who talks to whom, within a budget of series. A pair is a set of labels;
 * it has three series from its birth (bytes sent, bytes received, connections) and
 * each other one from its first count on. What finds no room in the budget is counted
 * in `other`, one per protocol, beside the budget: every total over all pairs stays
 * exact. When there is no room, the pair that was unused for longest gives its place
 * back if that is long enough; what it had counted goes to `other`.
 */
#pragma once

#include "base/clock.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "base/str.h"
#include "model/flow.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pair_series {
	PAIR_SENT, /* bytes, client to server */
	PAIR_RECEIVED,
	PAIR_CONNECTIONS,
	PAIR_BIRTH, /* how many a pair begins with */
	PAIR_RETRANSMITS = PAIR_BIRTH,
	PAIR_RESETS,
	PAIR_DROPPED,
	PAIR_RTT_COUNT,
	PAIR_RTT_SUM, /* microseconds; comes and goes with the count */
	PAIR_FAILED,  /* one for each enum flow_reason, from here on */
	PAIR_MAX = PAIR_FAILED + _FLOW_REASON_MAX,
};

struct pair {
	uint64_t v[PAIR_MAX];
	uint32_t has; /* a bit for every series there is */
	uint32_t hash;
	pool_id newer, older; /* by last use */
	nsec_t used;
	nsec_t born;  /* as pairs.wall told it */
	char *labels; /* heap; NULL: this place is free */
	uint32_t n_labels;
	uint8_t proto;
};

struct pairs {
	struct pool pool;
	struct index index;
	struct hash_seed seed;
	pool_id newest, oldest;
	struct pair other[_FLOW_PROTO_MAX];
	uint32_t max_series, series; /* `other` is not among them */
	nsec_t idle;
	nsec_t (*wall)(void); /* NULL: pairs are born at 0 */
	nsec_t born;	      /* of `other` */
	size_t label_bytes;
	uint64_t overflows; /* counts that went to `other` for want of room */
	uint64_t folded;    /* pairs that gave their place back */
};

/* `idle`: how long a pair must be unused before it may be folded. */
void pairs_init(struct pairs *p, uint32_t max_series, nsec_t idle);
/* Another maximum; over a smaller one pairs go as they fall idle. */
void pairs_tune(struct pairs *p, uint32_t max_series);
void pairs_done(struct pairs *p);
/* The pair of these labels, found or made; 0: no labels, no room, or no memory. It may be folded
 * when a later one is made, or a count is added to another. */
pool_id pairs_get(struct pairs *p, nsec_t now, enum flow_proto proto, struct str labels);
/* Adds d[] to a pair, or (0) to `other`. */
void pairs_add(struct pairs *p, nsec_t now, enum flow_proto proto, pool_id id,
	       const uint64_t d[PAIR_MAX]);
/* Walks the pairs, `other` excepted, newest first: start with 0, ends with 0. */
pool_id pairs_next(const struct pairs *p, pool_id id);
/* Walks the pairs, `other` excepted, by id: start with 0, ends with 0. It may go on after changes:
 * whoever was there all the time is met once. */
pool_id pairs_after(const struct pairs *p, pool_id id);
const struct pair *pairs_at(const struct pairs *p, pool_id id);
uint32_t pairs_count(const struct pairs *p);
size_t pairs_bytes(const struct pairs *p);
