#include "tests/sim/cluster.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PODS   60 /* alive at once; small clusters meet all cases more often */
#define MAX_OWNERS 20 /* ReplicaSets and Jobs */
#define ADDRESSES  40 /* fewer than pods over time: they are used again */

void cluster_init(struct cluster *c, struct rng *rng)
{
	*c = (struct cluster){.rng = rng, .rv = 1000};
}

void cluster_done(struct cluster *c)
{
	free(c->live);
	free(c->versions);
	free(c->events);
	*c = (struct cluster){0};
}

static void *grow(void *p, uint32_t n, uint32_t *cap, size_t size)
{
	if (n < *cap)
		return p;
	*cap = *cap ? *cap * 2 : 64;
	p = realloc(p, *cap * size);
	assert(p);
	return p;
}

enum sim_kind cluster_kind(const struct gen_object *o)
{
	if (o->kind == KIND_POD)
		return SIM_PODS;
	if (o->kind == KIND_OTHER)
		return SIM_CUSTOM;
	return o->kind == KIND_REPLICASET ? SIM_REPLICASETS : SIM_JOBS;
}

bool cluster_odd(const struct gen_object *o)
{
	return strtoul(o->uid, NULL, 16) % 2;
}

bool cluster_always_deployed(const struct cluster *c, const char *uid)
{
	bool seen = false;

	for (uint32_t i = 0; i < c->n_events; i++) {
		const struct gen_object *o = &c->versions[c->events[i].object];

		if (strcmp(o->uid, uid) != 0)
			continue;
		if (c->events[i].type == EVENT_DELETED || !o->has_owner ||
		    strcmp(o->owner.kind, "Deployment") != 0)
			return false;
		seen = true;
	}
	return seen;
}

nsec_t cluster_born(const struct cluster *c, const char *uid)
{
	for (uint32_t i = 0; i < c->n_events; i++)
		if (strcmp(c->versions[c->events[i].object].uid, uid) == 0)
			return c->events[i].at;
	return NSEC_NEVER;
}

const struct gen_object *cluster_by_uid(const struct cluster *c, const char *uid)
{
	for (uint32_t i = 0; i < c->n_live; i++)
		if (strcmp(c->live[i].uid, uid) == 0)
			return &c->live[i];
	return NULL;
}

static uint32_t pick(struct cluster *c, uint32_t n)
{
	return (uint32_t)rng_below(c->rng, n);
}

static bool chance(struct cluster *c, uint32_t percent)
{
	return pick(c, 100) < percent;
}

static void emit(struct cluster *c, struct gen_object *o, enum event_type type)
{
	o->rv = ++c->rv;
	c->versions = grow(c->versions, c->n_versions, &c->cap_versions, sizeof(*c->versions));
	c->events = grow(c->events, c->n_events, &c->cap_events, sizeof(*c->events));
	c->versions[c->n_versions] = *o;
	c->events[c->n_events++] = (struct sim_event){.rv = o->rv,
						      .kind = cluster_kind(o),
						      .type = type,
						      .object = c->n_versions++,
						      .at = c->now};
}

static void delete_at(struct cluster *c, uint32_t i)
{
	emit(c, &c->live[i], EVENT_DELETED);
	c->live[i] = c->live[--c->n_live];
}

static void new_uid(struct cluster *c, char out[40])
{
	(void)snprintf(out, 40, "%08x-1111-4222-8333-%012x", c->next_uid, c->next_uid * 7919);
	c->next_uid++;
}

static struct gen_object *add(struct cluster *c, enum kind kind, const char *api, const char *name)
{
	struct gen_object *o;

	c->live = grow(c->live, c->n_live, &c->cap_live, sizeof(*c->live));
	o = &c->live[c->n_live++];
	*o = (struct gen_object){.kind = kind};
	(void)snprintf(o->api_version, sizeof(o->api_version), "%s", api);
	(void)snprintf(o->kind_text, sizeof(o->kind_text), "%s",
		       kind == KIND_OTHER ? "Cluster" : kind_name(kind));
	(void)snprintf(o->ns, sizeof(o->ns), "ns-%u", pick(c, CLUSTER_SPACES));
	(void)snprintf(o->name, sizeof(o->name), "%s-%u", name, c->next_name++);
	new_uid(c, o->uid);
	return o;
}

static void set_owner(struct gen_object *o, const char *api, const char *kind, const char *name,
		      const char *uid)
{
	o->has_owner = true;
	(void)snprintf(o->owner.api_version, sizeof(o->owner.api_version), "%s", api);
	(void)snprintf(o->owner.kind, sizeof(o->owner.kind), "%s", kind);
	(void)snprintf(o->owner.name, sizeof(o->owner.name), "%s", name);
	(void)snprintf(o->owner.uid, sizeof(o->owner.uid), "%s", uid);
}

/* An owner that is not modelled itself: Deployments and the like end every chain. */
static void set_top_owner(struct cluster *c, struct gen_object *o, const char *api,
			  const char *kind)
{
	char uid[40], name[32];

	new_uid(c, uid);
	(void)snprintf(name, sizeof(name), "top-%u", c->next_name++);
	set_owner(o, api, kind, name, uid);
}

/* The custom resource that is in the namespace for longest. */
static const struct gen_object *first_custom(const struct cluster *c, const char *ns)
{
	const struct gen_object *best = NULL;

	for (uint32_t i = 0; i < c->n_live; i++) {
		const struct gen_object *o = &c->live[i];

		if (o->kind == KIND_OTHER && strcmp(o->ns, ns) == 0 &&
		    (!best || strcmp(o->uid, best->uid) < 0))
			best = o;
	}
	return best;
}

static void own_custom(struct gen_object *o, const struct gen_object *up)
{
	set_owner(o, up->api_version, up->kind_text, up->name, up->uid);
}

static void make_owner(struct cluster *c)
{
	bool rs = chance(c, 60);
	struct gen_object *o;

	if (chance(c, 15)) {
		const struct gen_object *up;

		o = add(c, KIND_OTHER, "db.example.com/v1", "db");
		up = first_custom(c, o->ns);
		if (up && strcmp(up->uid, o->uid) != 0 && chance(c, 50))
			own_custom(o, up);
		else if (chance(c, 60))
			set_top_owner(c, o, "fleet.example.com/v1", "Fleet");
		emit(c, o, EVENT_ADDED);
		return;
	}
	o = rs ? add(c, KIND_REPLICASET, "apps/v1", "rs") : add(c, KIND_JOB, "batch/v1", "job");

	if (chance(c, 75))
		set_top_owner(c, o, rs ? "apps/v1" : "batch/v1", rs ? "Deployment" : "CronJob");
	else if (chance(c, 40))
		set_top_owner(c, o, "argoproj.io/v1alpha1", "Rollout");
	emit(c, o, EVENT_ADDED);
}

static struct gen_object *any(struct cluster *c, bool pod)
{
	uint32_t start = c->n_live ? pick(c, c->n_live) : 0;

	for (uint32_t i = 0; i < c->n_live; i++) {
		struct gen_object *o = &c->live[(start + i) % c->n_live];

		if ((o->kind == KIND_POD) == pod)
			return o;
	}
	return NULL;
}

/* An owner is of the pod's namespace; a new pod goes where its owner is. */
static void own_pod(struct cluster *c, struct gen_object *pod, bool fresh)
{
	const struct gen_object *owner = any(c, false);
	uint32_t dice = pick(c, 100);

	if (owner && !fresh && strcmp(owner->ns, pod->ns) != 0)
		owner = NULL;

	if (dice < 65 && owner)
		set_owner(pod, owner->api_version, owner->kind_text, owner->name, owner->uid);
	else if (dice < 75)
		set_top_owner(c, pod, "apps/v1", "StatefulSet");
	else if (dice < 80)
		set_top_owner(c, pod, "v1", "Node");
	else if (dice < 85)
		set_top_owner(c, pod, "db.example.com/v1", "Replica");
	else
		pod->has_owner = false;
	if (dice < 65 && owner)
		(void)snprintf(pod->ns, sizeof(pod->ns), "%s", owner->ns);
}

static void new_container_id(struct cluster *c, struct gen_container *k)
{
	(void)snprintf(k->id, sizeof(k->id), "containerd://%032llx%032llx",
		       (unsigned long long)rng_next(c->rng), (unsigned long long)rng_next(c->rng));
}

static void give_address(struct cluster *c, struct gen_object *pod)
{
	uint32_t n = c->next_ip++ % ADDRESSES;

	(void)snprintf(pod->ips[0], sizeof(pod->ips[0]), "10.0.0.%u", n + 1);
	(void)snprintf(pod->ips[1], sizeof(pod->ips[1]), "fd00::%x", n + 1);
	if (chance(c, 20)) /* IPv6 first, or alone */
		(void)snprintf(pod->ips[0], sizeof(pod->ips[0]), "fd00::%x", n + 1);
	if (chance(c, 30))
		pod->ips[1][0] = '\0';
}

static void start_pod(struct cluster *c, struct gen_object *pod)
{
	pod->phase = POD_PHASE_RUNNING;
	give_address(c, pod);
	for (uint32_t i = 0; i < pod->n_containers; i++)
		if (chance(c, 80))
			new_container_id(c, &pod->containers[i]);
}

static void make_pod(struct cluster *c)
{
	struct gen_object *pod = add(c, KIND_POD, "v1", "pod");

	pod->phase = POD_PHASE_PENDING;
	pod->host_network = chance(c, 10);
	pod->bulk = chance(c, 3) ? CLUSTER_HUGE : chance(c, 20) ? pick(c, 3000) : 0;
	(void)snprintf(pod->node, sizeof(pod->node), "node-%u", pick(c, CLUSTER_NODES));
	pod->n_containers = 1 + pick(c, 3);
	for (uint32_t i = 0; i < pod->n_containers; i++) {
		struct gen_container *k = &pod->containers[i];

		(void)snprintf(k->name, sizeof(k->name), "c%u", i);
		(void)snprintf(k->image, sizeof(k->image), "repo/app-%u:%u", pick(c, 3),
			       pick(c, 3));
		k->type = i == 0 ? CONTAINER_MAIN : pick(c, _CONTAINER_TYPE_MAX);
	}
	own_pod(c, pod, true);
	if (chance(c, 30))
		start_pod(c, pod);
	emit(c, pod, EVENT_ADDED);
}

static void change_pod(struct cluster *c, struct gen_object *pod)
{
	switch (pick(c, 8)) {
	case 0:
		pod->phase = chance(c, 70) ? POD_PHASE_SUCCEEDED : POD_PHASE_FAILED;
		break;
	case 1:
		pod->ips[0][0] = '\0'; /* loses its address */
		break;
	case 2:
		new_container_id(c, &pod->containers[pick(c, pod->n_containers)]);
		break;
	case 3:
		own_pod(c, pod, false); /* adopted or orphaned */
		break;
	case 4:
		pod->terminating = true;
		break;
	default:
		if (pod->phase == POD_PHASE_PENDING || !pod->ips[0][0])
			start_pod(c, pod);
		break;
	}
	emit(c, pod, EVENT_MODIFIED);
}

static void change_owner(struct cluster *c, struct gen_object *o)
{
	if (o->has_owner && chance(c, 50))
		o->has_owner = false;
	else
		set_top_owner(c, o, o->kind == KIND_OTHER ? "fleet.example.com/v1" : "apps/v1",
			      o->kind == KIND_OTHER ? "Fleet" : "Deployment");
	emit(c, o, EVENT_MODIFIED);
}

static uint32_t count(const struct cluster *c, bool pods)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n_live; i++)
		n += (c->live[i].kind == KIND_POD) == pods;
	return n;
}

void cluster_step(struct cluster *c)
{
	uint32_t dice = pick(c, 100);
	struct gen_object *pod = any(c, true), *owner = any(c, false);

	if (dice < 8 && count(c, false) < MAX_OWNERS)
		make_owner(c);
	else if (dice < 30 && count(c, true) < MAX_PODS)
		make_pod(c);
	else if (dice < 75 && pod)
		change_pod(c, pod);
	else if (dice < 80 && owner)
		change_owner(c, owner);
	else if (dice < 96 && pod)
		delete_at(c, (uint32_t)(pod - c->live));
	else if (owner)
		delete_at(c, (uint32_t)(owner - c->live));
}

static bool dangling(const struct cluster *c, const struct gen_object *o)
{
	enum kind k = o->has_owner ? kind_of(api_group(str_of(o->owner.api_version)),
					     str_of(o->owner.kind))
				   : KIND_NODE;

	if (k == KIND_OTHER && strcmp(o->owner.kind, "Cluster") != 0)
		return false;
	return (k == KIND_REPLICASET || k == KIND_JOB || k == KIND_OTHER) &&
	       !cluster_by_uid(c, o->owner.uid);
}

void cluster_collect(struct cluster *c)
{
	for (uint32_t i = 0; i < c->n_live;) {
		if (dangling(c, &c->live[i]))
			delete_at(c, i);
		else
			i++;
	}
}

void cluster_touch_pods(struct cluster *c)
{
	for (uint32_t i = 0; i < c->n_live; i++)
		if (c->live[i].kind == KIND_POD)
			emit(c, &c->live[i], EVENT_MODIFIED);
}

void cluster_compact(struct cluster *c)
{
	c->compacted = c->rv;
}
