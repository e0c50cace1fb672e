/*
 * Nodes and edges that one object makes: a pure function of it, so that a change or
 * the end of the object says exactly which edges go. Which edge comes of what: the
 * table in README.md beside this file.
 *
 * Edges lead from who needs to what is needed, and are those of one source, though
 * an owner's edge leads from the owner. What a label selector selects changes with
 * other objects: such an edge carries the selector instead of a name, and is resolved
 * when somebody asks (graph_query.h).
 */
#pragma once

#include "base/arena.h"
#include "base/str.h"
#include "tree/tree.h"

#include <stdbool.h>
#include <stdint.h>

struct buf;

#define GRAPH_MAX_EDGES 4096 /* of one object; what is over it is left out, and `cut` says so */
#define GRAPH_MAX_VIA	1024 /* bytes; longer lists of places end there */

enum graph_type {
	GRAPH_OWNS,	     /* owner -> object */
	GRAPH_HAS_CONTAINER, /* Pod -> Container */
	GRAPH_USES_VOLUME,   /* Pod, Container -> Volume */
	GRAPH_BACKED_BY,     /* Volume -> ConfigMap, Secret, PersistentVolumeClaim */
	GRAPH_USES_CONFIGMAP,
	GRAPH_USES_SECRET,
	GRAPH_USES_CLAIM,
	GRAPH_USES_CLASS, /* IngressClass, StorageClass, PriorityClass, RuntimeClass, GatewayClass
			   */
	GRAPH_RUNS_IMAGE,
	GRAPH_RUNS_AS,	   /* -> ServiceAccount */
	GRAPH_RUNS_ON,	   /* Pod -> Node */
	GRAPH_SELECTS,	   /* Service, NetworkPolicy, PodDisruptionBudget -> Pods, by selector */
	GRAPH_ROUTES_TO,   /* Ingress, routes of the Gateway API -> Service */
	GRAPH_ATTACHED_TO, /* HTTPRoute -> Gateway */
	GRAPH_SCALES,	   /* HorizontalPodAutoscaler -> workload */
	GRAPH_BOUND_TO,	   /* PersistentVolumeClaim -> PersistentVolume */
	GRAPH_GRANTS,	   /* binding -> Role, ClusterRole */
	GRAPH_GRANTS_TO,   /* binding -> ServiceAccount, User, Group */
	GRAPH_GOVERNED_BY, /* StatefulSet -> Service */
	GRAPH_CALLS,	   /* webhook configuration, APIService -> Service */
	GRAPH_RECONCILED,  /* OCIRepository -> OCIArtifact */
	GRAPH_DEPLOYED,	   /* Kustomization -> OCIArtifact */
	GRAPH_REFERS_TO,   /* any other reference with a kind and a name */
	_GRAPH_TYPE_MAX,
};
const char *graph_type_name(enum graph_type t); /* "USES_SECRET" */

struct graph_ref { /* which object; of the cluster that is watched */
	struct str group, kind, ns, name;
};
bool graph_ref_eq(const struct graph_ref *a, const struct graph_ref *b);
/* "Deployment.apps/payments/gateway", "Secret/payments/db", "Node//worker-1". 0, -EMSGSIZE or
 * -ENOMEM. */
int graph_ref_put(struct buf *b, const struct graph_ref *r);

/* Kinds that exist in the graph alone: Container, Volume, Image, OCIArtifact, User, Group. */
bool graph_is_virtual(const struct graph_ref *r);

struct graph_node {
	struct graph_ref ref;
	struct str props; /* a JSON object */
};

struct graph_edge {
	enum graph_type type;
	struct graph_ref from, to; /* of a selector: `to` has a kind and a namespace, no name */
	struct str selector;	   /* "app=web,tier in (a,b),!x"; "" selects all. NULL p: none */
	struct str via;		   /* where it stands: "spec.containers[app].env[PW], ..." */
	struct str props;	   /* a JSON object, or empty */
};
static inline bool graph_edge_selects(const struct graph_edge *e)
{
	return e->selector.p != NULL;
}

struct graph_label {
	struct str key, value;
};

struct graph_set {		  /* everything lives in the arena, or in the object's */
	struct graph_node *nodes; /* the first is the object itself */
	struct graph_edge *edges; /* no two of one type from and to the same */
	struct graph_label *labels;
	uint32_t n_nodes, n_edges, n_labels;
	bool cut;
};

/* `object` has its kind and apiVersion. 0, -EINVAL (no kind or name) or -ENOMEM. */
int edges_of(const struct tree *object, struct arena *a, struct graph_set *ret);
/* A number for all of it and a text beside it: equal sets, equal numbers, on every host. */
uint64_t edges_hash(const struct graph_set *s, struct str beside);

struct image_name { /* "registry.example.com:5000/team/app:1.2@sha256:..." */
	struct str registry, repository, tag, digest;
};
/* As container runtimes read it: "nginx" is docker.io, library/nginx, latest. */
struct image_name image_parse(struct str text);
