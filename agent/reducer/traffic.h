/*
 * Who talks to whom: the reference reducer's connections, matched from both ends,
 * and their sums between workloads.
 *
 *     socket span (ingest) ─ side ─┐
 *                                  ├─ link ─ when it is over ─ edge: from, to, sums
 *     socket span (ingest) ─ side ─┘
 *
 * The two ends of a connection may be reported by two agents, or by one agent twice,
 * at different times. They meet in a link by their mirrored addresses. A link of
 * which one end alone was ever reported stays for TRAFFIC_LINGER after its end, for the
 * other to come; the same holds for one whose agent went away and may come again. The
 * bytes from A to B are those that A says it has sent; where A is not reported, those
 * that B says it has received.
 *
 * Shared by all connections, pure, one thread. Full tables are counted and do no harm.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "model/address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAFFIC_LINGER	  (30 * NSEC_PER_SEC) /* the reducer's reporting interval */
#define TRAFFIC_MAX_LINKS 5120000	      /* the reducer's TCP and UDP pools */
#define TRAFFIC_MAX_NODES 100000	      /* one more is "(other)" */
#define TRAFFIC_MAX_EDGES 200000	      /* the same, from and to "(other)" */
#define TRAFFIC_MAX_NAMES 100000	      /* addresses with a DNS name; the oldest goes */
#define TRAFFIC_NAME_MAX  64		      /* bytes of such a name: the last ones */

/* How an end was resolved, best first; the order in which the reducer asks. */
enum traffic_type {
	TRAFFIC_NOBODY, /* not reported */
	TRAFFIC_K8S,	/* by a pod */
	TRAFFIC_CONTAINER,
	TRAFFIC_PROCESS, /* service name, else comm */
	TRAFFIC_DNS,
	TRAFFIC_IP,
	_TRAFFIC_TYPE_MAX,
};
/* "K8S_CONTAINER", "PROCESS", ... */
const char *traffic_type_name(enum traffic_type t);

typedef uint32_t traffic_node; /* 0: nobody */
typedef uint32_t traffic_link; /* 0: none */

struct traffic_end { /* what is known of a node */
	enum traffic_type type;
	struct str ns, workload;
};

struct traffic_tuple { /* seen from one end */
	bool udp;
	struct addr laddr, raddr;
	uint16_t lport, rport;
	uint32_t tx_rx; /* 1 connector, 2 acceptor */
};

struct traffic_counts { /* of one end; also what is added to it */
	uint64_t sent, received, packets_out, packets_in;
	uint64_t retrans, resets, syn_timeouts, drops;
	uint64_t rtt_sum, rtt_n; /* microseconds, and measurements */
	uint64_t dns_responses, dns_timeouts, dns_ns, dns_n;
};

struct traffic;

/* 0 or -ENOMEM. */
int traffic_new(struct traffic **ret);
void traffic_free(struct traffic **t);

/* The node of that name; "(other)" when there are too many. 0 and `ret`, or -ENOMEM. */
int traffic_intern(struct traffic *t, const struct traffic_end *end, traffic_node *ret);
/* Borrowed for the life of `t`; 0 gives TRAFFIC_NOBODY. */
struct traffic_end traffic_end(const struct traffic *t, traffic_node n);

/* An end was reported. `ret_side` (0, 1) is its place in the link. 0; -ENOSPC: counted; -ENOMEM. */
int traffic_open(struct traffic *t, const struct traffic_tuple *tuple, traffic_node node,
		 nsec_t now, traffic_link *ret, int *ret_side);
void traffic_set_node(struct traffic *t, traffic_link l, int side, traffic_node node);
void traffic_add(struct traffic *t, traffic_link l, int side, const struct traffic_counts *c);
/* The end was never there (it is another connection's): `ret` is what was counted for it. */
void traffic_retract(struct traffic *t, traffic_link l, int side, struct traffic_counts *ret);
/* `lost`: its agent went away. */
void traffic_close(struct traffic *t, traffic_link l, int side, bool lost, nsec_t now);
/* An address was the answer to a question for that name. */
void traffic_name(struct traffic *t, const struct addr *ip, struct str name);
/* Ends what has lingered. */
void traffic_tick(struct traffic *t, nsec_t now);

struct traffic_row { /* sums of one edge; `from` connected, or has the higher UDP port */
	bool udp;
	struct traffic_end from, to;
	uint64_t connections, open; /* of them */
	uint64_t bytes, packets;    /* from -> to */
	uint64_t bytes_back, packets_back;
	uint64_t retrans, resets, syn_timeouts, drops;
	uint64_t rtt_sum, rtt_n; /* microseconds */
	uint64_t dns_responses, dns_timeouts, dns_ns, dns_n;
};
/* Any order in which rows of the same edge, of one table at different times, are equal. */
int traffic_same_order(const struct traffic_row *a, const struct traffic_row *b);
/* One row for all that goes by the same names, however they were resolved; returns how many are
 * left. */
size_t traffic_merge(struct traffic_row *rows, size_t n);
/* All edges, sorted by bytes, then by names; the caller frees `*ret`. 0 or -ENOMEM. */
int traffic_rows(const struct traffic *t, struct traffic_row **ret, size_t *ret_n);

struct traffic_stats {
	uint32_t links, lingering, edges, nodes, names;
	uint64_t full;	  /* ends, nodes and edges for which there was no room */
	uint64_t changes; /* grows with everything a table shows */
};
void traffic_stats(const struct traffic *t, struct traffic_stats *ret);
