/*
 * What the reference reducer tells: effects as JSON lines, and the table of
 * workloads and pods for people. Text in a buffer; no I/O.
 */
#pragma once

#include "reducer/ingest.h"
#include "reducer/table.h"

#include "base/buf.h"

/* One object and a newline, as documented in `kindred reducer --help`. All or nothing: 0, -EMSGSIZE
 * or -ENOMEM. */
int report_effect(uint32_t conn, const struct ingest_effect *e, struct buf *out);
int report_disconnect(uint32_t conn, struct buf *out);

/* The table, sorted by namespace, workload and pod; at most `max_rows` pods (0: all), the rest in
 * one line. 0, -EMSGSIZE or -ENOMEM. */
int report_table(const struct reducer_table *t, size_t max_rows, struct buf *out);
