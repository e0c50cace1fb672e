/*
 * What the reference reducer knows: the pods and containers that its agents
 * have announced. A pod is shared by the connections that hold it and goes
 * with the last of them; containers go with their pod (the reducer's own
 * rules). Strings are kept as sent; the real reducer cuts them to 64 bytes. Flows,
 * which are looked up in it, are beside it (traffic.h).
 *
 * Pure state: no I/O, no clock. One owner, one thread.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reducer_container {
	struct str id; /* as sent, with its runtime scheme */
	struct str name, image;
};

struct reducer_pod {
	struct str uid, ns, name, owner_name, owner_uid, version;
	uint32_t ip; /* number form, 0: none */
	uint8_t owner_kind;
	bool host_network;
	struct reducer_container *containers;
	uint32_t n_containers;
	uint32_t *holders; /* numbers of the connections that announced it */
	uint32_t n_holders;
};

struct reducer_table_opts {
	uint32_t max_pods;	 /* 0: REDUCER_MAX_PODS */
	uint32_t max_containers; /* of all pods; 0: REDUCER_MAX_CONTAINERS */
};
/* The pools of one ingest shard of the real reducer. */
#define REDUCER_MAX_PODS       220000
#define REDUCER_MAX_CONTAINERS 600000

struct reducer_table;
struct traffic;

/* 0 or -ENOMEM. */
int reducer_table_new(const struct reducer_table_opts *o, struct reducer_table **ret);
void reducer_table_free(struct reducer_table **t);

/* Creates or overwrites the pod of p->uid and lets `holder` hold it; p's containers and holders are
 * not looked at. 0, -ENOSPC (table full) or -ENOMEM. */
int reducer_table_put(struct reducer_table *t, uint32_t holder, const struct reducer_pod *p);
/* Adds a container to a pod. An id that is there already (without its scheme) changes nothing.
 * 0; -ENOENT: nobody announced that pod; -ENOSPC; -ENOMEM. */
int reducer_table_add_container(struct reducer_table *t, struct str uid,
				const struct reducer_container *c);
/* `holder` gives the pod up. 0, or -ENOENT when it does not hold it. */
int reducer_table_drop(struct reducer_table *t, uint32_t holder, struct str uid);
/* `holder` gives all its pods up; their number is returned. */
size_t reducer_table_drop_all(struct reducer_table *t, uint32_t holder);

/* Borrowed until the next change; NULL when there is none. */
const struct reducer_pod *reducer_table_find(const struct reducer_table *t, struct str uid);
bool reducer_pod_held_by(const struct reducer_pod *p, uint32_t holder);
/* Walks all pods: start with *at = 0, ends with NULL. */
const struct reducer_pod *reducer_table_next(const struct reducer_table *t, uint32_t *at);
uint32_t reducer_table_pods(const struct reducer_table *t);
uint32_t reducer_table_containers(const struct reducer_table *t);

/* The pod that has a container of that id (given without its scheme), NULL when none has. */
const struct reducer_pod *reducer_table_by_container(const struct reducer_table *t, struct str id);
/* Who talks to whom; lives as long as the table. */
struct traffic *reducer_table_traffic(const struct reducer_table *t);

/* The last epoch of an agent's connections that have closed, by host name; 0: not known. Kept for
 * the last 4096 hosts. */
uint64_t reducer_table_epoch(const struct reducer_table *t, struct str host);
/* Remembers it; without memory it is forgotten. */
void reducer_table_set_epoch(struct reducer_table *t, struct str host, uint64_t epoch);
