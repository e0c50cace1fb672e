/*
 * What an object is connected with by the graph that is kept in the same file: for those who
 * search its documents. Reads only.
 */
#pragma once

#include "sink/sqlite/docs.h"

/* docs_links. A selector's edges are those to pods that are there now, and from whatever selects
 * the object's pods. */
int graph_links(struct sqlite3 *db, const struct docs_object *o, bool in,
		int (*link)(void *ctx, const struct docs_link *l), void *ctx, struct buf *error);
