/*
 * Flows as Prometheus series, workload to workload: a cursor over the flow table that
 * adds up what changed. The client's side comes first (`src`); of a connection that has
 * both ends on this node only the client's view is counted.
 *
 *     kindred_flow_bytes_total{direction="sent"|"received"}   client to server, and back
 *     kindred_flow_connections_total     TCP that came up, UDP conversations
 *     kindred_flow_failures_total{reason}      TCP that never came up
 *     kindred_flow_resets_total                came up, ended by a reset or an error
 *     kindred_flow_retransmits_total
 *     kindred_flow_rtt_seconds_sum, _count     one observation each time a connection's
 *                                              counters were read anew
 *     kindred_flow_udp_dropped_total
 *
 * Labels: src_namespace, src_workload, src_kind, dst_namespace, dst_workload, dst_kind,
 * proto. An end that has no name is workload "unknown", and its kind is why. Series are
 * within a budget (pairs.h); what is over goes to workload "other".
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "flow/flows.h"

#include <stddef.h>
#include <stdint.h>

struct metrics;
struct pairs;

#define METRICS_LABELS_MAX 8192

/* What a flow's counters have grown by since it was last looked at; the client's side comes
 * first. */
struct metrics_growth {
	uint64_t sent, received; /* bytes, client to server, and back */
	uint64_t connections, failures, resets, retransmits;
};
void metrics_grow(struct metrics_growth *g, const struct metrics_growth *d);

struct metrics_opts {	     /* 0: the default in brackets */
	struct flows *flows; /* borrowed, outlives it; NULL: fed by metrics_flow alone */
	uint32_t max_series; /* [2000]; over it `other` */
	nsec_t idle;	     /* a pair unused for so long gives its place to a new one [15 min] */
	/* Writes what a flow's pair is called, at most METRICS_LABELS_MAX bytes; NULL: Prometheus'
	 * labels, as above. Two flows between ends of the same serials and protocol have the same.
	 * 0, -EMSGSIZE (counted in `other`) or -ENOMEM. */
	int (*label)(const struct flow_view *v, struct buf *out);
	nsec_t (*wall)(void); /* what pair.born is told by; NULL: it is 0 */
	/* Every flow that has ended, once; may be NULL. May not change flows or metrics. */
	void (*ended)(void *ctx, const struct flow_view *v);
	/* Whatever is counted of a flow; as `ended`. */
	void (*grown)(void *ctx, nsec_t now, const struct flow_view *v,
		      const struct metrics_growth *d);
	void *ctx;
};

/* 0, -ENOMEM, -EMSGSIZE (no place for another cursor). */
int metrics_new(const struct metrics_opts *o, struct metrics **ret);
void metrics_free(struct metrics **m);
/* max_series from now on; 0: the default. */
void metrics_tune(struct metrics *m, uint32_t max_series);
/* Follows the flow table, a bounded piece: 1 more to do, 0 done for now, -ENOMEM run again later.
 */
int metrics_run(struct metrics *m, nsec_t now);
/* One look at one flow. `twin` is its other end on this node, or NULL. 0, or -ENOMEM: nothing was
 * counted, look again. */
int metrics_flow(struct metrics *m, nsec_t now, const struct flow_view *v,
		 const struct flow_view *twin);
/* One DNS transaction. */
void metrics_dns(struct metrics *m, const struct flow_dns *d);

/* For another form than Prometheus' text. Borrowed; metrics_run and metrics_flow change it. */
const struct pairs *metrics_pairs(const struct metrics *m);
/* Appends all of the above and DNS, where `label` is NULL: about 200 bytes and 0.8 us a series. 0,
 * -EMSGSIZE, -ENOMEM. */
int metrics_print(const struct metrics *m, struct buf *out);

struct metrics_stats {
	uint32_t series, pairs, max_series;
	uint64_t overflows; /* counts that went to `other` */
	uint64_t folded;    /* pairs that gave their place back */
	uint64_t dropped;   /* flows that ended uncounted: this cursor was too slow */
	uint64_t dns_missed;
	size_t bytes;
};
void metrics_stats(const struct metrics *m, struct metrics_stats *ret);
