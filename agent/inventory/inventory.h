/*
 * The inventory: the agent's only state. Pods and the objects that own them,
 * compact, indexed, with a change log that sinks follow by cursors.
 *
 * Time, events and decoded objects come in as arguments; nothing is sent and
 * nothing is called back, except when something goes: a cursor's owner is told when
 * the bound on dead pods takes a pod away under it, the inventory's when an owner
 * is forgotten. One thread.
 *
 * A deleted pod stays as a dead pod until every cursor is done with it and its
 * linger time is over, so that a sink still tells of it and a late flow still
 * finds it. A deleted owner stays as long as something refers to it.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "model/address.h"
#include "base/uid.h"
#include "model/object.h"

#include <stdbool.h>
#include <stdint.h>

struct inventory;

typedef uint32_t pod_id;   /* 0: none. Valid until the pod is freed (see inv_cursor) */
typedef uint32_t place_id; /* a Service or Node; 0: none. Valid until the next change */
typedef uint32_t owner_id; /* 0: none. Valid until the next change of the inventory */

#define INVENTORY_MAX_CURSORS 8
#define CONTAINER_ID_MAX      255 /* bytes, scheme included; runtimes make 80 or less */

struct inventory_opts {
	uint32_t max_pods;     /* live and dead; a pod over it is refused (-EMSGSIZE) */
	uint32_t max_owners;   /* known and referenced; one over it is refused */
	uint32_t max_dead;     /* dead pods kept for slow sinks; over it the oldest goes, counted */
	nsec_t linger;	       /* how long a dead pod still answers look-ups */
	bool keep_idle_owners; /* cluster scope: owners without pods are kept, the watch deletes
				  them */
	/* An owner's record is freed: nothing refers to it. May be NULL; may not call back. */
	void (*owner_freed)(void *ctx, struct str uid);
	void *ctx;
};
/* One million pods, two million owners, 10,000 dead, 120 s. */
extern const struct inventory_opts inventory_defaults;

int inventory_new(const struct inventory_opts *o, struct inventory **ret);
void inventory_free(struct inventory **v);

/* ---- what reflectors put in ------------------------------------------------------------------ */

/*
 * A source is one watch (a kind, perhaps in one namespace). Its objects are swept
 * by generation: what a full list did not name is gone.
 */
int inventory_source_add(struct inventory *v, uint16_t *ret_source);
void inventory_list_begin(struct inventory *v, uint16_t source);
/* Deletes every object of the source that was not applied since list_begin. */
void inventory_list_end(struct inventory *v, uint16_t source, nsec_t now);

/*
 * Adds or updates. 0, -EMSGSIZE (over a maximum), -ENOMEM, or -EINVAL (no uid).
 * The object is copied. Nothing reaches the change log when nothing that is kept
 * has changed.
 */
int inventory_apply_pod(struct inventory *v, uint16_t source, nsec_t now, const struct object *o);
int inventory_apply_owner(struct inventory *v, uint16_t source, nsec_t now, const struct object *o);
/* Unknown uids are ignored. */
void inventory_delete_pod(struct inventory *v, struct str uid, nsec_t now);
void inventory_delete_owner(struct inventory *v, struct str uid, nsec_t now);
/* The owner cannot be read: chains end at it, with what its references say. A later apply mends it.
 */
void inventory_refuse_owner(struct inventory *v, struct str uid);

/* A Service or a Node (`kind`) and its addresses: the ends of flows that are no pods. As for pods;
 * 200,000 at most. They have a change log of their own: inventory_cursor_next_place. */
int inventory_apply_place(struct inventory *v, uint16_t source, nsec_t now, enum kind kind,
			  const struct object *o);
void inventory_delete_place(struct inventory *v, struct str uid, nsec_t now);

/* Frees dead pods (and places) whose time is over. Returns when to call again (NSEC_NEVER: nothing
 * dead). */
nsec_t inventory_expire(struct inventory *v, nsec_t now);

/* ---- pods ------------------------------------------------------------------------------------ */

struct inv_pod_view { /* borrowed until the next change of the inventory */
	struct str ns, name, node;
	struct str static_hash;	    /* a static pod's config hash; empty for all others */
	char uid[UID_TEXT_MAX + 1]; /* text form as the API gave it, NUL-terminated */
	enum pod_phase phase;
	bool host_network;
	bool dead;	       /* DELETED was seen, or a list no longer named it */
	bool announceable;     /* live, has an address, is not finished */
	bool was_announceable; /* at some time so far */
	owner_id owner;	       /* of the controller reference */
	uint32_t n_addrs, n_containers;
	uint32_t n_former; /* of n_addrs: those it had before, at the end */
};
/* False when there is no such pod. */
bool inventory_pod(const struct inventory *v, pod_id id, struct inv_pod_view *ret);

struct inv_addr {
	struct addr ip;
	nsec_t from, to; /* to: NSEC_NEVER while the pod has it */
	nsec_t heard;	 /* <= to: a list did not name it any more; until then it was known of */
};
/* i < n_addrs; the order of podIPs, former addresses behind them. */
struct inv_addr inventory_pod_addr(const struct inventory *v, pod_id id, uint32_t i);

struct inv_container_view {
	/* With its scheme; "" while not started, and of a longer one: a part would be no id. */
	char id[CONTAINER_ID_MAX + 1];
	struct str name, image; /* borrowed */
	enum container_type type;
	enum container_state state;
	uint8_t marks; /* one bit a cursor, see inventory_container_mark */
};
void inventory_pod_container(const struct inventory *v, pod_id id, uint32_t i,
			     struct inv_container_view *ret);

pod_id inventory_by_uid(const struct inventory *v, struct str uid);
/* The live pod of that name, else the one that died last. */
pod_id inventory_by_name(const struct inventory *v, struct str ns, struct str name);
/* With or without the runtime's scheme ("containerd://"). */
pod_id inventory_by_container(const struct inventory *v, struct str container_id);
/* The same, with the container's name in its pod (borrowed; NULL: not wanted). */
pod_id inventory_container_name(const struct inventory *v, struct str container_id,
				struct str *ret_name);
/* Who had the address at that time. hostNetwork pods never own an address. 0: nobody known. */
pod_id inventory_by_address(const struct inventory *v, const struct addr *ip, nsec_t at);
/* A static pod by its config hash, which its cgroup carries: the mirror pod in the API has another
 * uid. 0: none, or two live ones that claim it. */
pod_id inventory_by_static_hash(const struct inventory *v, struct str hash);
/* The pod's own controller, 0: none. What a walk up the chain begins with. */
owner_id inventory_pod_owner(const struct inventory *v, pod_id id);

/*
 * A claim: something that has or had an address. Times are those at which the
 * inventory was told, which may be late both ways; match/end.h says what may be
 * concluded from them.
 */
struct inv_claim {
	uint32_t id; /* pod_id or place_id */
	nsec_t from, to;
	nsec_t heard;	  /* `to`; or earlier, when the watch heard something last before a list
			   * that told of the end: the end may have been at any time between */
	uint32_t running; /* pods: Unix seconds; the address was the pod's at the end of this second
			   * (a container ran). 0: not known */
	bool listed;	  /* a list told of it: it may be much older than `from` */
};
/* Every pod's claims on an address, hostNetwork pods excepted, in no order. Returns how many there
 * are; at most `max` are filled in. */
uint32_t inventory_pod_claims(const struct inventory *v, const struct addr *ip,
			      struct inv_claim *ret, uint32_t max);
/* Claim i of a pod, in the order of inventory_pod_addr; the address goes to ret_ip. False: there
 * are not so many. Those of a hostNetwork pod are not its own. */
bool inventory_pod_claim(const struct inventory *v, pod_id id, uint32_t i, struct addr *ret_ip,
			 struct inv_claim *ret);
/* When a list ended last: from then on every change was told of. 0: never. */
nsec_t inventory_listed_at(const struct inventory *v);
struct inv_place_view { /* borrowed until the next change */
	enum kind kind; /* KIND_SERVICE or KIND_NODE */
	struct str ns, name;
	bool dead;
};
bool inventory_place(const struct inventory *v, place_id id, struct inv_place_view *ret);
uint32_t inventory_place_claims(const struct inventory *v, const struct addr *ip,
				struct inv_claim *ret, uint32_t max);
/* As inventory_pod_claim. */
bool inventory_place_claim(const struct inventory *v, place_id id, uint32_t i, struct addr *ret_ip,
			   struct inv_claim *ret);
/* The highest pod id in use: ids lie in 1..n, so a sink can keep an array beside the pods. */
uint32_t inventory_pod_ids(const struct inventory *v);

/* Another number once a look-up may answer otherwise than before, or a borrowed text has gone. */
uint64_t inventory_edition(const struct inventory *v);

/* ---- owners ---------------------------------------------------------------------------------- */

enum owner_state {
	OWNER_REFERENCED, /* somebody refers to it; the object itself was not seen */
	OWNER_KNOWN,
	OWNER_GONE,    /* was known, is deleted; remembered because it is referred to */
	OWNER_REFUSED, /* cannot be read */
	_OWNER_STATE_MAX,
};
struct inv_owner_view { /* borrowed until the next change */
	enum owner_state state;
	enum kind kind;
	struct str api_version, kind_text, ns, name;
	char uid[UID_TEXT_MAX + 1];
	owner_id parent; /* its own controller; 0 when it has none or is not known */
};
bool inventory_owner(const struct inventory *v, owner_id id, struct inv_owner_view *ret);
owner_id inventory_owner_by_uid(const struct inventory *v, struct str uid);
/* The owner's parent alone, and what else a walk up the chain needs; of an owner that exists. */
owner_id inventory_owner_parent(const struct inventory *v, owner_id id);
struct inv_owner_step {
	enum owner_state state;
	enum kind kind;
	owner_id parent;
};
struct inv_owner_step inventory_owner_step(const struct inventory *v, owner_id id);
/* Its name and kind alone; borrowed. */
void inventory_owner_names(const struct inventory *v, owner_id id, struct str *ret_kind,
			   struct str *ret_name);
/* Walks all owners: first id after `id` (start with 0), 0 at the end. */
owner_id inventory_owner_next(const struct inventory *v, owner_id id);

/* ---- the change log -------------------------------------------------------------------------- */

struct inv_cursor; /* owned by the inventory, freed by inventory_cursor_remove */

struct inv_cursor_ops {
	/* The bound on dead pods takes this one away before the cursor was done with it. */
	void (*dropped)(void *ctx, pod_id id);
	/* The record goes, whatever the reason: the id may come again as another's. The first may
	 * be told of a pod after `dropped`. All may be NULL; none may call back. */
	void (*pod_freed)(void *ctx, pod_id id);
	void (*place_freed)(void *ctx, place_id id);
};

/* A new cursor stands at position zero: it sees every pod once, then every change.
 * 0, -ENOMEM, or -EMSGSIZE over INVENTORY_MAX_CURSORS. */
int inventory_cursor_add(struct inventory *v, const struct inv_cursor_ops *ops, void *ctx,
			 struct inv_cursor **ret);
void inventory_cursor_remove(struct inventory *v, struct inv_cursor **c);
/* The next changed pod, 0 when the cursor is at the end. A pod that changes again is seen again.
 * A dead pod stays valid until inventory_cursor_done was called for it by every cursor. */
pod_id inventory_cursor_next(struct inventory *v, struct inv_cursor *c);
/* This cursor needs the dead pod no more. Harmless for live pods. */
void inventory_cursor_done(struct inventory *v, struct inv_cursor *c, pod_id id);
/* The oldest dead pod that this cursor still needs, if it died before that time; 0: none. */
pod_id inventory_cursor_dead(const struct inventory *v, const struct inv_cursor *c, nsec_t before);
/* The same of Services and Nodes; 0 at the end. A dead one lingers, and nobody can hold it. */
place_id inventory_cursor_next_place(struct inventory *v, struct inv_cursor *c);
/* Back to position zero (a resync). Dead pods it was done with are not seen again. */
void inventory_cursor_rewind(struct inventory *v, struct inv_cursor *c);
/* Pods that it is still to see; walks them. */
uint32_t inventory_cursor_lag(const struct inventory *v, const struct inv_cursor *c);
bool inventory_cursor_at_end(const struct inventory *v, const struct inv_cursor *c);

/* A bit of the cursor on one container; survives updates as long as the container id stays. */
void inventory_container_mark(struct inventory *v, struct inv_cursor *c, pod_id id, uint32_t i,
			      bool set);
bool inventory_container_marked(const struct inventory *v, const struct inv_cursor *c, pod_id id,
				uint32_t i);

/* ---- figures --------------------------------------------------------------------------------- */

struct inventory_stats {
	uint32_t pods, dead, owners, owners_referenced, containers, strings;
	uint64_t applied, unchanged, changed, deleted, swept;
	uint64_t dropped_dead; /* dead pods that the bound took away */
	uint64_t refused_full; /* objects over a maximum */
	uint64_t long_ids;     /* containers applied without their id: over CONTAINER_ID_MAX */
	size_t bytes;	       /* held by records, names, indexes */
};
void inventory_stats(const struct inventory *v, struct inventory_stats *ret);
/* The `bytes` alone; cheap. */
size_t inventory_bytes(const struct inventory *v);
/* Of those, what pods and owners need: places that were given back are held, not used, and the next
 * ones take them. A limit goes by this, else it would never have room again. */
size_t inventory_used(const struct inventory *v);
