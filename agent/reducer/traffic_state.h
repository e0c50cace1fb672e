/* traffic.h from the inside, for traffic*.c alone. */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "reducer/traffic.h"

enum side_state {
	SIDE_NONE, /* not reported */
	SIDE_OPEN,
	SIDE_CLOSED,
	SIDE_LOST, /* its agent went away */
};

struct side {
	struct addr ip;
	traffic_node node;
	uint32_t users; /* sockets; more than one with UDP only */
	uint16_t port;
	uint8_t state; /* enum side_state */
	uint8_t tx_rx;
	struct traffic_counts n;
};

struct link {
	struct side side[2]; /* the lower address and port first */
	uint64_t serial;
	nsec_t since;	    /* when it began to linger */
	pool_id prev, next; /* of those that linger, oldest first */
	bool udp, lingers, used;
};

struct node {
	char *text;
	struct str ns, workload;
	uint8_t type;
};

struct edge {
	traffic_node from, to;
	struct traffic_row sum; /* without the ends */
};

struct edges {
	struct pool pool;
	struct index index;
};

struct name {
	struct addr ip;
	uint8_t n;
	char text[TRAFFIC_NAME_MAX];
};

struct traffic {
	struct hash_seed seed;
	struct pool links, nodes;
	struct index by_key, by_node, by_ip;
	pool_id first, last; /* lingering */
	struct edges edges;
	traffic_node other;
	struct name *names; /* a ring */
	uint32_t n_names, next_name, cap_names;
	uint64_t serials;
	struct traffic_stats count;
};

/* traffic_names.c */
/* Of DNS; empty when there is none. */
struct str traffic_name_of(const struct traffic *t, const struct addr *ip);
/* traffic_sum.c */
/* Adds a link to the sums: 0 or -ENOMEM. Too many edges: the one of "(other)". */
int traffic_sum(const struct traffic *t, struct edges *e, const struct link *l, bool *ret_full);
void edges_init(struct edges *e);
void edges_done(struct edges *e);
