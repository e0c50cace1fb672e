#include "match/match.h"

#include "base/mem.h"

#include <string.h>

static bool listed(const struct match_policy *p, struct str group, struct str kind)
{
	for (uint32_t i = 0; i < p->n_follow; i++) {
		struct str f = p->follow[i];

		if (f.n == group.n + 1 + kind.n && str_starts(f, group) && f.p[group.n] == '/' &&
		    str_ends(f, kind))
			return true;
	}
	return false;
}

bool match_climbs(const struct match_policy *p, enum kind kind, struct str api_version,
		  struct str kind_text)
{
	switch (kind) {
	case KIND_REPLICASET:
	case KIND_JOB:
		return true;
	case KIND_OTHER:
		return p->follow_all || listed(p, api_group(api_version), kind_text);
	case KIND_POD:
	case KIND_NODE:
	case KIND_SERVICE:
	case KIND_DEPLOYMENT:
	case KIND_STATEFULSET:
	case KIND_DAEMONSET:
	case KIND_CRONJOB:
	case _KIND_MAX:
		break;
	}
	return false;
}

static void no_owner(const struct inv_pod_view *pod, struct workload *ret)
{
	*ret = (struct workload){.end = MATCH_END_NO_OWNER, .name = pod->name};
}

static void take(const struct inv_owner_view *o, enum match_end end, struct workload *ret)
{
	*ret = (struct workload){
		.end = end, .kind = o->kind, .kind_text = o->kind_text, .name = o->name};
	memcpy(ret->uid, o->uid, sizeof(ret->uid));
}

void match_direct(const struct inventory *v, pod_id id, struct workload *ret)
{
	struct inv_pod_view pod;
	struct inv_owner_view o;

	if (!inventory_pod(v, id, &pod)) {
		*ret = (struct workload){.end = MATCH_END_UNKNOWN};
		return;
	}
	if (!inventory_owner(v, pod.owner, &o)) {
		no_owner(&pod, ret);
		return;
	}
	take(&o, MATCH_END_UNKNOWN, ret);
	ret->hops = 1;
}

static bool climbs(const struct inventory *v, const struct match_policy *p, owner_id id,
		   enum kind kind)
{
	struct inv_owner_view o;

	if (kind != KIND_OTHER)
		return match_climbs(p, kind, (struct str){0}, (struct str){0});
	return (p->follow_all || p->n_follow) && inventory_owner(v, id, &o) &&
	       match_climbs(p, o.kind, o.api_version, o.kind_text);
}

/* Why the chain stops at `o`; MATCH_END_TOP with a parent left means that it does not. */
static bool stops(const struct inventory *v, const struct match_policy *p, owner_id id,
		  const struct inv_owner_step *o, enum match_end *ret_end)
{
	*ret_end = MATCH_END_TOP;
	if (!climbs(v, p, id, o->kind))
		return true;
	if (o->state == OWNER_REFERENCED)
		*ret_end = MATCH_END_UNKNOWN;
	if (o->state == OWNER_REFUSED)
		*ret_end = MATCH_END_REFUSED;
	return *ret_end != MATCH_END_TOP || !o->parent;
}

owner_id match_owner(const struct inventory *v, const struct match_policy *p, pod_id id,
		     enum match_end *ret_end)
{
	owner_id at, slow; /* `slow` takes every other step: it is met again in a circle (Floyd) */
	owner_id first = inventory_pod_owner(v, id);
	struct inv_owner_step o;
	bool odd = false;

	*ret_end = MATCH_END_NO_OWNER;
	for (at = slow = first; at; at = o.parent) {
		o = inventory_owner_step(v, at);
		if (stops(v, p, at, &o, ret_end))
			break;
		slow = odd ? inventory_owner_parent(v, slow) : slow;
		odd = !odd;
		if (o.parent != slow)
			continue;
		*ret_end = MATCH_END_CYCLE;
		return first;
	}
	return at;
}

owner_id match_owner_now(const struct inventory *v, const struct match_policy *p, pod_id id)
{
	enum match_end end;
	const owner_id at = match_owner(v, p, id, &end);

	return end == MATCH_END_UNKNOWN ? inventory_pod_owner(v, id) : at;
}

enum match_result match_pod(const struct inventory *v, const struct match_policy *p, pod_id id,
			    struct workload *ret)
{
	struct inv_pod_view pod;
	struct inv_owner_view o;
	enum match_end end;
	owner_id at;

	if (!inventory_pod(v, id, &pod) || !pod.owner) {
		match_direct(v, id, ret);
		return MATCH_FOUND;
	}
	at = match_owner(v, p, id, &end);
	(void)inventory_owner(v, at, &o); /* what is referred to exists */
	take(&o, end, ret);
	ret->hops = 1;
	for (owner_id i = pod.owner; i != at; i = inventory_owner_parent(v, i))
		ret->hops++;
	ret->missing = end == MATCH_END_UNKNOWN ? at : 0;
	return end == MATCH_END_UNKNOWN ? MATCH_WAIT : MATCH_FOUND;
}
