/*
 * Questions about the graph that a SQLite file holds: what an object needs, and who
 * needs it, some steps far. Selectors are resolved here, against the pods that are
 * there now. Reads only.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define GRAPH_MAX_DEPTH	   16
#define GRAPH_MAX_ANSWER   5000 /* nodes; over it the answer says that it was cut */
#define GRAPH_MAX_DANGLING 10000

struct sqlite3;

enum graph_output { GRAPH_TREE, GRAPH_DOT, GRAPH_JSON, _GRAPH_OUTPUT_MAX };

struct graph_query {
	/* "KIND/NAMESPACE/NAME", "KIND/NAME"; a kind in any case, its plural, or with its group
	 * ("deployments.apps"). */
	struct str what;
	struct str cluster; /* empty: any */
	bool in, out;	    /* who leads to it, what it leads to; neither: both */
	uint32_t depth;	    /* 0: 1 */
	enum graph_output output;
};

/* Appends the answer. 0, -EINVAL or -ENOENT (words say what there is), or db.h's. */
int graph_ask(struct sqlite3 *db, const struct graph_query *q, struct buf *ret, struct buf *error);
/* Edges to objects that do not exist, of kinds that are known completely; one a line, or JSON. */
int graph_dangling(struct sqlite3 *db, struct str cluster, enum graph_output output,
		   struct buf *ret, struct buf *error);
