/*
 * Traffic between workloads: the table for people and the JSON events "flow". Text in
 * a buffer; no I/O.
 */
#pragma once

#include "reducer/traffic.h"

#include "base/buf.h"

/* Edges by bytes, most first; at most `max_rows` (0: all), the rest in one line. Nothing when there
 * is no traffic. 0, -EMSGSIZE or -ENOMEM. */
int report_traffic(const struct traffic *t, size_t max_rows, struct buf *out);
/* One edge: an object and a newline. All or nothing. */
int report_flow(const struct traffic_row *row, struct buf *out);

/* The edges as they were told last. Begins with zeros. */
struct report_grown {
	struct traffic_row *rows;
	size_t n;
};
void report_grown_done(struct report_grown *g);
/* One line for each edge that is not as it was the last time. 0, -EMSGSIZE or -ENOMEM: what is in
 * `out` is whole lines. */
int report_grown(struct report_grown *g, const struct traffic *t, struct buf *out);
