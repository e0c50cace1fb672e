/*
 * What an answer holds before it is written, and how it grows. Private to agent/sink/graph.
 */
#pragma once

#include "base/arena.h"
#include "sink/graph/edges.h"
#include "sink/graph/graph_query.h"

struct sqlite3_stmt;

struct found_node {
	int64_t id;
	struct graph_ref ref;
	struct str uid, props, since, state, cluster;
	int present; /* 0: only named, 1: an object, 2: of the graph alone */
	bool dangling;
	bool written; /* by the printer */
};

struct found_edge {
	uint32_t from, to; /* indexes of nodes */
	struct str type, selector, via, props;
	bool inward; /* found on the way in */
};

struct answer {
	struct arena arena;
	struct found_node *nodes; /* the first is the one that was asked for */
	struct found_edge *edges;
	uint32_t n_nodes, n_edges, nodes_cap, edges_cap;
	bool cut;
};

/* The columns of a node `n`, as asking_node takes them from the beginning of a row. */
#define GRAPH_NODE                                                                             \
	"n.id, n.kind, n.namespace, n.name, n.api_group, n.present, n.uid, n.props, n.since, " \
	"n.state, n.cluster, "                                                                 \
	"n.present=0 AND EXISTS(SELECT 1 FROM graph_kind k WHERE k.cluster=n.cluster"          \
	" AND k.api_group=n.api_group AND k.kind=n.kind)"
enum { GRAPH_NODE_COLUMNS = 12 };

struct asking {
	struct sqlite3 *db;
	struct buf *error;
	struct sqlite3_stmt *sql[5]; /* graph_walk.c's; prepared when they are needed */
	struct answer a;
	int r; /* the first failure; from then on nothing is added */
};

/* graph_walk.c */
void asking_begin(struct asking *q, struct sqlite3 *db, struct buf *error);
void asking_done(struct asking *q);
/* The node that the row begins with, at its index in the answer; UINT32_MAX: there is no more room.
 */
uint32_t asking_node(struct asking *q, struct sqlite3_stmt *s);
/* Adds the edges that lead from this node of the answer, or to it. */
void asking_step(struct asking *q, uint32_t here, bool inward);
/* Adds the edges of those whose selectors select this pod. */
void asking_selectors(struct asking *q, uint32_t pod);

/* graph_print.c */
int answer_print(struct answer *a, enum graph_output output, struct buf *ret);
