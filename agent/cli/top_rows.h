/*
 * Traffic from workload to workload in a span of time, from two pages of /metrics. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "cli/sheet.h"

#include <stddef.h>

enum top_figure {
	TOP_SENT, /* bytes, client to server */
	TOP_BACK,
	TOP_CONNECTIONS,
	TOP_FAILURES,
	TOP_RETRANSMITS,
	TOP_RTT_SUM, /* seconds */
	TOP_RTT_COUNT,
	_TOP_FIGURES
};
enum top_sort {
	TOP_BY_TRAFFIC,
	TOP_BY_CONNECTIONS,
	TOP_BY_FAILURES,
	TOP_BY_RETRANSMITS,
	_TOP_SORT_MAX
};
extern const char *const top_sort_names[];

struct top_row {
	struct str key; /* labels of the pair: a view into a sample's page */
	double v[_TOP_FIGURES];
};

struct top_sample {
	struct buf page;   /* of /metrics; filled before top_sample_read */
	nsec_t at;	   /* monotonic */
	double age;	   /* seconds since the agent began; 0: not known */
	bool flows;	   /* there are figures of flows */
	struct top_row *v; /* by key */
	size_t n;
};

/* 0 or -ENOMEM. `wall`: the wall clock's time. */
int top_sample_read(struct top_sample *s, nsec_t wall);
void top_sample_done(struct top_sample *s);

/* What came between: as many rows as `now` has, the caller's to free; keys stay views into `now`.
 * `before` NULL: since the agent began. Figures that went back count anew. 0 or -ENOMEM. */
int top_differences(const struct top_sample *before, const struct top_sample *now,
		    struct top_row **ret);
/* The most first; equal ones by name. */
void top_sort_rows(struct top_row *v, size_t n, enum top_sort by);
/* Whether `filter` stands in "NAMESPACE/WORKLOAD -> NAMESPACE/WORKLOAD"; case does not matter. */
bool top_row_has(const struct top_row *r, const char *filter);
/* In columns FROM TO PROTO SENT/s BACK/s CONN/s FAIL/s RETR/s RTT. */
int top_sheet_new(struct sheet **ret);
int top_sheet_put(struct sheet *s, const struct top_row *r, double seconds);
/* {"from": {"namespace", "workload", "kind"}, "to": ..., "proto", "seconds", "bytes_sent",
 * "bytes_received", "connections", "failures", "retransmits", "rtt_us"}, a line. 0, -EMSGSIZE or
 * -ENOMEM. */
int top_row_json(const struct top_row *r, double seconds, struct buf *out);
