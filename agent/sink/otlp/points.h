/*
 * Totals of who talks to whom as OTLP metrics: cumulative sums with the time they began
 * at. Cumulative, not deltas: a request that is lost, or told twice, makes no total
 * wrong, nothing is held to be told again, and Prometheus behind a collector takes no
 * other. A pair whose place was given up begins anew, at 0 and at a later time.
 *
 *     kindred.flow.io            By            network.io.direction: transmit (from the
 *                                              source to the destination), receive
 *     kindred.flow.connections   {connection}
 *     kindred.flow.failures      {connection}  error.type
 *     kindred.flow.resets        {connection}
 *     kindred.flow.retransmits   {segment}
 *     kindred.flow.rtt           s             a histogram without buckets: count and sum
 *     kindred.flow.drops         {datagram}
 *
 * Pure.
 */
#pragma once

#include "sink/metrics/pairs.h"
#include "sink/otlp/envelope.h"

/* For metrics_opts.label: attributes, each behind its length. */
int points_label(const struct flow_view *v, struct buf *out);

struct points_from {	 /* where in all pairs a request begins; zero: at the first */
	bool others;	 /* what has no pair was told */
	pool_id pair;	 /* the last one that was told */
	uint64_t points; /* of the request */
};
/* The most that a single pair takes, whatever its names. */
#define POINTS_PAIR_MAX (512U << 10)

/*
 * One request with what follows `*at`, about `max` bytes of it, and at most
 * POINTS_PAIR_MAX + ENVELOPE_MAX more. `wall` is now. 1: there is more behind it, and
 * `*at` stands there; 0: that was the rest; -EMSGSIZE, -ENOMEM: `*at` has not moved, and
 * `out` is to be reset.
 */
int points_encode(const struct pairs *p, const struct otlp_source *s, nsec_t wall, size_t max,
		  struct points_from *at, struct buf *out);
