/*
 * A modelled cluster: the objects an API server holds, their resource versions
 * and the history that watches read. Random things happen to it, decided by one
 * seed.
 */
#pragma once

#include "base/rng.h"
#include "tests/lib/gen.h"

#define CLUSTER_NODES  3
#define CLUSTER_SPACES 3     /* namespaces, "ns-0" ... */
#define CLUSTER_HUGE   20000 /* gen_object.bulk of a pod that no agent takes */

/* SIM_CUSTOM: a resource of an operator's own, "db.example.com/v1" Cluster. */
enum sim_kind { SIM_PODS, SIM_REPLICASETS, SIM_JOBS, SIM_CUSTOM, _SIM_KIND_MAX };

struct sim_event {
	uint64_t rv;
	enum sim_kind kind;
	enum event_type type;
	uint32_t object; /* index into versions */
	nsec_t at;
};

struct cluster {
	struct rng *rng;
	struct gen_object *live; /* what exists now */
	uint32_t n_live, cap_live;
	struct gen_object *versions; /* every state that ever was */
	uint32_t n_versions, cap_versions;
	struct sim_event *events;
	uint32_t n_events, cap_events;
	uint64_t rv, compacted; /* watches from before `compacted` get 410 */
	uint32_t next_uid, next_ip, next_name;
	nsec_t now; /* set by who drives it */
};

void cluster_init(struct cluster *c, struct rng *rng);
void cluster_done(struct cluster *c);
/* One random thing: an object made, changed, finished, adopted or deleted. */
void cluster_step(struct cluster *c);
/* Deletes pods and ReplicaSets whose owner does not exist, as garbage collection does. */
void cluster_collect(struct cluster *c);
/* An event for every pod that changes nothing that is announced. */
void cluster_touch_pods(struct cluster *c);
/* Forgets the history up to now, as etcd's compaction does. */
void cluster_compact(struct cluster *c);

enum sim_kind cluster_kind(const struct gen_object *o);
const struct gen_object *cluster_by_uid(const struct cluster *c, const char *uid);
/* Pods with the label that --label-selector "sim=odd" asks for. */
bool cluster_odd(const struct gen_object *o);
/* An owner that always was there and always had a Deployment above it. */
bool cluster_always_deployed(const struct cluster *c, const char *uid);
/* When it was first heard of; NSEC_NEVER: it never was. */
nsec_t cluster_born(const struct cluster *c, const char *uid);
