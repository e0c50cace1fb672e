/*
 * What the files of this folder share.
 */
#pragma once

#include "base/hist.h"
#include "sink/metrics/metrics.h"
#include "sink/metrics/pairs.h"
#include "sink/metrics/prom.h"
#include "sink/metrics/seen.h"

#define DNS_RCODES 17 /* the last one: all that do not fit four bits */

struct dns_counts {
	uint64_t rcode[DNS_RCODES], timeouts;
	struct hist latency; /* of what was answered */
};

/* Which pair the flows between two ends were last, so that its labels need not be written. */
#define RECENT 1024
struct recent {
	uint64_t src, dst; /* flow_view's serials */
	uint64_t folded;   /* pairs.folded then: the pair is still there if none was since */
	pool_id pair;
	uint8_t proto;
};

struct metrics {
	struct metrics_opts o;
	struct flow_cursor *cursor; /* NULL without flows */
	struct pairs pairs;
	struct seen_table seen;
	struct recent recent[RECENT];
	struct dns_counts dns[2]; /* the client's side, the server's */
	uint64_t dns_serial, dns_missed;
	struct buf labels; /* scratch */
	flow_id again;	   /* no memory for this one */
};
