/*
 * The collector from the inside:
 *
 *   collect.c           making, time, and what others may see
 *   collect_discover.c  rounds of discovery: when, and their GETs
 *   collect_plan.c      kinds and namespaces into watches, made and ended
 *   collect_spaces.c    Namespaces as they come and go
 *   collect_watch.c     what watches and taps say
 *   collect_object.c    one object: tree, redaction, store; reading it again
 *
 * Watches are made and ended in collect_tick alone, never from within what a
 * reflector says.
 */
#pragma once

#include "core/collect.h"

#include "base/arena.h"
#include "base/backoff.h"
#include "core/field_selector.h"
#include "core/selector.h"
#include "kube/catalog.h"

/* What the agent itself needs of a kind. */
enum role { ROLE_NONE, ROLE_NAMESPACES, ROLE_CRDS };

struct ckind {
	struct collect *collect;
	struct collect_kind pub; /* its texts are the ones below */
	char *name, *group, *version, *kind, *plural, *api_version;
	enum role role;
	bool tapped; /* all its watches are the core's */
	bool pinned; /* stays, whatever discovery says */
	bool can_get;
	bool named;		 /* by the round of discovery that is looked at */
	struct cwatch **watches; /* sorted by namespace */
	uint32_t n;
	enum collect_state told;      /* _COLLECT_STATE_MAX: nothing yet */
	struct collect_traffic ended; /* of watches that are no more */
	char text[256];
};

struct cwatch {
	struct ckind *kind;
	char *ns;		     /* "": all */
	struct reflector *reflector; /* its own, or the core's */
	uint16_t source;	     /* of the store; 0 with a kind that is not kept */
	enum collect_state state;
	bool listed; /* to its end, once at least */
	bool wanted; /* by the plan that is made */
	nsec_t relist_at;
	char *text;
};

struct cnamespace {
	char *name;
	unsigned generation; /* of the list that named it last */
	bool allowed;
};

struct discover {
	nsec_t at;	   /* the next round that comes by itself */
	nsec_t trigger;	   /* the first event since the last round began; 0: none */
	nsec_t trigger_at; /* the round for it; NSEC_NEVER: none */
	bool active;
	unsigned under_way;
	unsigned tries;	  /* rounds that are still to follow when nothing changes */
	const char *path; /* named, and not yet taken by the shell */
	uint64_t failed_before;
	nsec_t ended;
	struct backoff backoff;
};

struct collect {
	struct collect_opts o;
	struct selector *resource_selector, *namespace_selector;
	struct field_selector **fields; /* of o.field_selectors */
	uint32_t n_fields;
	struct catalog *catalog;
	struct discover discover;
	struct ckind **kinds;
	uint32_t n_kinds;
	struct cwatch **taps; /* by core_watch.index; NULL: not tapped */
	uint32_t n_taps;
	struct cnamespace *namespaces; /* sorted by name */
	uint32_t n_namespaces;
	unsigned generation; /* of the list of Namespaces */
	bool namespaces_listed;
	bool plan_due;	   /* kinds or namespaces have changed */
	bool taps_stale;   /* the core's watches passed over what is wanted now, or the reverse */
	nsec_t plan_again; /* something could not be made */
	nsec_t tell_at;	   /* states to be told */
	nsec_t resync_at;
	nsec_t relist_at; /* the earliest of all watches'; NSEC_NEVER: none */
	struct arena arena;
	struct rng rng;
	struct collect_counters counters;
};

/* collect.c */
void collect_add_traffic(const struct reflector *r, struct collect_traffic *t);
nsec_t collect_now(const struct collect *c);
void collect_due(const struct collect *c);
bool collect_names_have(const struct collect_names *names, struct str group, struct str plural);
bool collect_wants(const struct collect *c, struct str group, struct str plural, bool namespaced);
void collect_relist_at(struct collect *c, struct cwatch *w, nsec_t at);

/* collect_discover.c */
/* Starts what is due; returns when to come again. *ret_changed: there is a new list. */
nsec_t discover_tick(struct collect *c, nsec_t now, bool *ret_changed);
/* Something says that the list is out of date. */
void discover_wanted(struct collect *c, nsec_t now, unsigned tries);

/* collect_plan.c */
struct kind_says {
	struct str group, version, kind, plural;
	bool namespaced, can_get;
};
/* 0, or -errno with a sentence in ret_error. The kind is not to be found on failure. */
int plan_add_kind(struct collect *c, const struct kind_says *says, enum role role,
		  struct ckind **ret, struct buf *ret_error);
int plan_add_watch(struct ckind *k, struct str ns, struct reflector *core_reflector,
		   struct cwatch **ret);
struct ckind *plan_find(const struct collect *c, struct str group, struct str plural);
/* The catalogue has changed. */
void plan_kinds(struct collect *c, nsec_t now);
void plan_watches(struct collect *c, nsec_t now);
void plan_free_kind(struct ckind *k);

/* collect_spaces.c */
/* Objects in this namespace are wanted; "" always. */
bool collect_ns_wanted(const struct collect *c, struct str ns);
void spaces_list_begin(struct collect *c);
void spaces_apply(struct collect *c, struct str name, const struct tree *labels, bool deleted);
void spaces_list_end(struct collect *c);

/* collect_watch.c */
extern const struct reflector_ops collect_watch_ops;
/* The kind's state follows from its watches'. */
void watch_settle(struct ckind *k, nsec_t now);
/* Tells states that have lasted; returns when the next is due. */
nsec_t watch_tell(struct collect *c, nsec_t now);

/* collect_object.c */
/* 0, or -ENOMEM: nothing of it was taken. */
int object_take(struct cwatch *w, enum event_type type, const struct object *o, nsec_t now);
void object_bad(struct ckind *k, unsigned why, struct str name);
