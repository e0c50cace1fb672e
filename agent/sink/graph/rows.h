/*
 * The graph's tables in SQLite (agent/sink/sqlite/schema.c says what they hold):
 * written on the worker's thread, one transaction a call.
 */
#pragma once

#include "sink/graph/graph.h"

struct sqlite3;

#define ROWS_MAX_CHANGES 100000 /* of graph_change; the oldest go */

/* 0 or -errno with words. */
int rows_write(struct sqlite3 *db, struct str cluster, uint64_t epoch,
	       const struct relay_item *items, uint32_t n, struct buf *error);
/* Objects of this kind that were not written in this epoch are deleted, and the kind counts as
 * complete from now on. */
int rows_sweep(struct sqlite3 *db, struct str cluster, uint64_t epoch, struct str group,
	       struct str kind, struct buf *error);
