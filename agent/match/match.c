#include "match/match.h"

#include "base/mem.h"

#include <string.h>

static const char *const end_names[_MATCH_END_MAX] = {"top", "no_owner", "unknown", "refused",
						      "cycle"};

const char *match_end_name(enum match_end e)
{
	return end_names[e < _MATCH_END_MAX ? e : MATCH_END_UNKNOWN];
}

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
	if (inventory_owner(v, pod.owner, &o))
		take(&o, MATCH_END_UNKNOWN, ret);
	else
		no_owner(&pod, ret);
}

/* Why the chain stops at `o`; MATCH_END_TOP with a parent left means that it does not. */
static bool stops(const struct match_policy *p, const struct inv_owner_view *o,
		  enum match_end *ret_end)
{
	*ret_end = MATCH_END_TOP;
	if (!match_climbs(p, o->kind, o->api_version, o->kind_text))
		return true;
	if (o->state == OWNER_REFERENCED)
		*ret_end = MATCH_END_UNKNOWN;
	if (o->state == OWNER_REFUSED)
		*ret_end = MATCH_END_REFUSED;
	return *ret_end != MATCH_END_TOP || !o->parent;
}

enum match_result match_pod(const struct inventory *v, const struct match_policy *p, pod_id id,
			    struct workload *ret)
{
	struct inv_pod_view pod;
	struct inv_owner_view o = {0};
	enum match_end end;
	owner_id at, slow; /* `slow` takes every other step: it is met again in a circle (Floyd) */
	bool odd = false;

	if (!inventory_pod(v, id, &pod) || !pod.owner) {
		match_direct(v, id, ret);
		return MATCH_FOUND;
	}
	for (at = slow = pod.owner;; at = o.parent) {
		(void)inventory_owner(v, at, &o); /* what is referred to exists */
		if (stops(p, &o, &end))
			break;
		slow = odd ? inventory_owner_parent(v, slow) : slow;
		odd = !odd;
		if (o.parent != slow)
			continue;
		match_direct(v, id, ret);
		ret->end = MATCH_END_CYCLE;
		return MATCH_FOUND;
	}
	take(&o, end, ret);
	ret->missing = end == MATCH_END_UNKNOWN ? at : 0;
	return end == MATCH_END_UNKNOWN ? MATCH_WAIT : MATCH_FOUND;
}
