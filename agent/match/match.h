/*
 * Who a pod belongs to: the owner chain, climbed by uid over a const inventory.
 * Nothing is guessed from names. A chain ends at the first owner that is not
 * climbed through, that has no controller of its own, or that cannot be read.
 */
#pragma once

#include "inventory/inventory.h"

/* Which kinds are climbed through. ReplicaSets and Jobs always are; Deployments, StatefulSets,
 * DaemonSets and CronJobs never; others when they are listed here. */
struct match_policy {
	bool follow_all;	  /* --follow-owners '*' */
	const struct str *follow; /* "argoproj.io/Rollout": GROUP/KIND; not owned */
	uint32_t n_follow;
};
bool match_climbs(const struct match_policy *p, enum kind kind, struct str api_version,
		  struct str kind_text);

enum match_result {
	MATCH_FOUND,
	MATCH_WAIT, /* an owner on the way was not seen yet; `ret` holds the last known one */
	_MATCH_RESULT_MAX,
};

/* Why a chain ended where it did. */
enum match_end {
	MATCH_END_TOP,	    /* the controller has no controller, or ends chains by its kind */
	MATCH_END_NO_OWNER, /* the pod has no controller */
	MATCH_END_UNKNOWN,  /* the next owner was not seen (with MATCH_WAIT) */
	MATCH_END_REFUSED,  /* it cannot be read */
	MATCH_END_CYCLE,    /* the references run in a circle: the pod's own reference counts */
	_MATCH_END_MAX,
};

struct workload { /* borrowed until the inventory changes */
	enum match_end end;
	enum kind kind;
	struct str kind_text;	    /* "Rollout"; empty without an owner */
	struct str name;	    /* the pod's own name without an owner */
	char uid[UID_TEXT_MAX + 1]; /* "" without an owner */
	owner_id missing;	    /* MATCH_WAIT: the owner that was not seen */
	uint32_t hops;		    /* owners from the pod up to it; 0 without an owner */
};

/* The workload behind a pod, for a pod that exists. */
enum match_result match_pod(const struct inventory *v, const struct match_policy *p, pod_id id,
			    struct workload *ret);
/* The same as an id, for those who need no more, of a pod that exists: where its chain ends, and
 * why. 0: it has no owner. MATCH_END_UNKNOWN: that owner was not seen yet. */
owner_id match_owner(const struct inventory *v, const struct match_policy *p, pod_id id,
		     enum match_end *ret_end);
/* The same for those who cannot wait: where an owner on the way was not seen yet, the pod's own
 * controller. */
owner_id match_owner_now(const struct inventory *v, const struct match_policy *p, pod_id id);
/* What the pod's own controller reference says, with no climbing: the fallback. */
void match_direct(const struct inventory *v, pod_id id, struct workload *ret);
