/*
 * The backends there are; graph_backend_new chooses. Private to agent/sink/graph.
 */
#pragma once

#include "sink/graph/graph.h"

#define GRAPH_TASK_NAME 256 /* bytes of a group or kind; DNS names both */

/* What a database is to do: write items, or (none) sweep a kind. */
struct graph_task {
	const struct relay_item *items;
	uint32_t n;
	char group[GRAPH_TASK_NAME], kind[GRAPH_TASK_NAME];
	graph_done done;
	void *ctx;
};
void graph_task_write(struct graph_task *t, const struct relay_item *items, uint32_t n,
		      graph_done done, void *ctx);
/* Copies the names. */
void graph_task_sweep(struct graph_task *t, struct str group, struct str kind, graph_done done,
		      void *ctx);

/* `cluster` and `epoch` are set by graph_backend_new. */
int graph_sqlite_new(struct worker *w, struct graph_backend **ret);
int graph_jsonl_new(struct event_base *base, struct str file, struct graph_backend **ret,
		    struct buf *ret_error);
int graph_neo4j_new(const struct graph_backend_opts *o, struct str url, struct graph_backend **ret,
		    struct buf *ret_error);
