/*
 * What the makers of edges share: the set that grows, the place at hand, names of
 * kinds. Private to agent/sink/graph.
 */
#pragma once

#include "base/buf.h"
#include "sink/graph/edges.h"

struct json_out;

struct maker {
	struct arena *a;
	const struct tree *object;
	struct graph_set *set;
	struct graph_ref self;
	uint32_t nodes_cap, edges_cap;
	struct {
		const struct tree *t;
		uint32_t number;    /* among its siblings */
		bool element;	    /* of an array */
	} path[TREE_MAX_DEPTH + 1]; /* where the walk is */
	uint32_t n_path;
	char place[512]; /* in words: "spec.containers[app]" */
	size_t n_place;
	int r; /* the first failure; from then on nothing is added */
};

/* A node of the graph alone, once; `props` may be NULL. */
void make_part(struct maker *m, struct graph_ref ref, const struct buf *props);
/* The node of an image and an edge to it; `digest` as the container runs it, may be empty. */
void make_image(struct maker *m, const struct graph_ref *from, struct str text, struct str digest);
/* An edge from the object itself (from NULL) or from another node, or one more place of one that
 * is there. Nothing when the name is empty, or its namespace is and must not be. */
void make_edge(struct maker *m, enum graph_type type, const struct graph_ref *from,
	       struct graph_ref to, struct str via, struct str props);
void make_selector(struct maker *m, struct str kind, struct str group, const struct tree *labels,
		   const struct tree *expressions);
/* The place at hand. */
struct str make_place(struct maker *m);

/* "apps" for "Deployment", of those kinds everybody knows; empty for the core and others. */
struct str group_of_kind(struct str kind);
bool kind_is_cluster_scoped(struct str group, struct str kind);
/* A reference of kind and name, with a namespace, apiVersion or group if it has them. */
struct graph_ref ref_of(const struct maker *m, const struct tree *reference, struct str kind);
struct graph_ref ref_named(const struct maker *m, const char *group, const char *kind,
			   struct str name);

/* What the kind of the object adds (edges_kinds.c, edges_pod.c). */
void make_by_kind(struct maker *m);
void make_pod(struct maker *m);
/* Members of a container's properties; at most 512 KiB. `type` as in "initContainer". Failures
 * stay in `j`. */
void container_props(struct json_out *j, const struct tree *container, const char *type);
