/*
 * Who has and had which address in the whole cluster, as the feed told: pods, Services
 * and Nodes with the workloads behind them. The inventory's address index, without
 * the inventory: about 150 bytes a pod.
 *
 * Times are the sender's clock. A replica is a function of the records it was given;
 * after a failure it is to be cleared and filled anew.
 */
#pragma once

#include "inventory/inventory.h"
#include "peers/peerfeed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replica;

/* `max_bytes`: more is refused. 0 or -ENOMEM. */
int replica_new(size_t max_bytes, struct replica **ret);
void replica_free(struct replica **r);
void replica_clear(struct replica *r);
/* 0; -EBADMSG: it contradicts what was told before; -EMSGSIZE: over max_bytes; -ENOMEM. What ends
 * or forgets a thing that is not known is passed over: a snapshot may be ahead of what follows. */
int replica_apply(struct replica *r, const struct peerfeed_record *rec);

/* The claims of all things of that kind (KIND_POD, KIND_SERVICE, KIND_NODE) on an address, in no
 * order. Returns how many there are; at most `max` are filled in. Their ids are for replica_thing.
 */
uint32_t replica_claims(const struct replica *r, const struct addr *ip, enum kind kind,
			struct inv_claim *ret, uint32_t max);
/* When a list of the sender's ended last; 0: never. */
nsec_t replica_listed_at(const struct replica *r);

#define REPLICA_NAME_MAX (PEERFEED_TEXT_MAX + 1) /* of a thing's name, its NUL included */

struct replica_thing { /* borrowed until the next call that changes the replica */
	enum kind kind;
	struct str ns, node;
	struct str workload, workload_kind; /* of a pod; empty when nothing controls it */
	char name[REPLICA_NAME_MAX];
};
/* False when there is none of that id. */
bool replica_thing(const struct replica *r, uint32_t id, struct replica_thing *ret);
/* Claim i of a thing, those that last first; the address goes to ret_ip. False: there are not so
 * many, or no such thing. */
bool replica_claim(const struct replica *r, uint32_t id, uint32_t i, struct addr *ret_ip,
		   struct inv_claim *ret);
/* Walks all: start with 0, ends with 0. */
uint32_t replica_next(const struct replica *r, uint32_t id);

struct replica_stats {
	uint32_t pods, services, nodes, names;
	size_t bytes; /* that are used, and max_bytes holds for */
};
void replica_stats(const struct replica *r, struct replica_stats *ret);
