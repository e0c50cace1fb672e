/*
 * Keeps a graph of the cluster somewhere else in step with the store: of every object
 * its nodes and edges (edges.h) and its state (states.h), written whole. A backend
 * replaces what it had of the object by what comes: edges that a changed spec makes no
 * more are gone with that, and those of a deleted object, too.
 *
 * What was deleted while nobody watched is found by epochs: each run writes its own
 * beside every object, and when a kind is complete the older ones go.
 */
#pragma once

#include "sink/relay.h"
#include "sink/graph/edges.h"
#include "sink/graph/states.h"

struct event_base;
struct graph;
struct http;
struct service_access;
struct worker;

struct graph_made { /* relay_item.made; NULL of a deleted object */
	struct graph_set set;
	struct graph_state state;
	uint64_t hash;
};

typedef void (*graph_done)(void *ctx, const struct vector_end *end);

struct graph_backend;
struct graph_backend_ops {
	/* The items stay until the end is told or `cancel` returns. One operation at a time. */
	int (*write)(struct graph_backend *b, const struct relay_item *items, uint32_t n,
		     graph_done done, void *ctx);
	/* Objects of this kind that were not written in this epoch are gone. NULL: what is written
	 * is never read back by this program. */
	int (*sweep)(struct graph_backend *b, struct str group, struct str kind, graph_done done,
		     void *ctx);
	void (*cancel)(struct graph_backend *b);
	/* What was taken and not written yet is let go of: nothing more is written. NULL: there is
	 * never any. */
	void (*drop)(struct graph_backend *b);
	void (*free)(struct graph_backend *b);
};

struct graph_backend { /* first member of each */
	const struct graph_backend_ops *ops;
	struct str cluster;
	uint64_t epoch; /* changes with every run and resync, upwards */
};

struct graph_backend_opts {
	struct event_base *base;
	struct http *http;     /* neo4j */
	struct worker *worker; /* sqlite: the file's */
	struct str spec;       /* "sqlite:FILE", "jsonl:FILE", "-", "neo4j:URL" */
	struct str cluster;
	uint64_t epoch;			     /* seconds of the wall clock */
	const struct service_access *access; /* neo4j; may be NULL */
};
/* 0, -EINVAL with a sentence, or -errno with words. */
int graph_backend_new(const struct graph_backend_opts *o, struct graph_backend **ret,
		      struct buf *ret_error);
void graph_backend_drop(struct graph_backend *b);
void graph_backend_free(struct graph_backend **b);

struct graph_opts {
	struct store *store;
	struct sink_filter *filter; /* NULL: everything */
	struct graph_backend *backend;
	uint32_t batch;	   /* 0: the relay's */
	bool hold_initial; /* as relay_opts */
	uint64_t seed;
	void (*wake)(void *ctx); /* graph_run is to be called soon */
	nsec_t (*now)(void *ctx);
	void *ctx;
};
int graph_new(const struct graph_opts *o, struct graph **ret);
/* The backend is the caller's, and is cancelled. */
void graph_free(struct graph **g);
nsec_t graph_run(struct graph *g, nsec_t now, nsec_t wall);
/* Everything is written again, under a new epoch. */
void graph_resync(struct graph *g);
void graph_status(const struct graph *g, struct relay_status *ret);
