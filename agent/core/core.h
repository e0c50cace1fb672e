/*
 * The core of an agent: everything between the bytes of the API server and the
 * bytes for the reducer, put together, with no I/O.
 *
 *     reflectors ─┐
 *                 ├─ inventory ─ match ─ session
 *     owners ─────┘
 *
 * The shell (or a simulation) drives the parts: it polls each reflector and the
 * owner reader, carries their requests out, and runs the session. What the parts
 * have to tell each other passes through here.
 */
#pragma once

#include "base/clock.h"
#include "kube/owners.h"
#include "kube/reflector.h"
#include "kube/watchset.h"
#include "sink/reducer/session.h"

struct core;

/* One watch: a kind, perhaps in one namespace. */
struct core_watch {
	enum kind kind;
	struct str ns;	 /* empty: all */
	struct str path; /* "/api/v1/pods": what the log calls it */
	struct reflector *reflector;
	uint32_t index; /* core_watch(c, index) */
	bool tapped;
};

/*
 * Somebody who wants the objects that the core watches whole, from the same watches
 * (core/collect.h). A tapped watch speaks JSON and hands out each object's bytes
 * (object.raw); what the core makes of them is the same. No call back into the core.
 */
struct core_tap {
	/* While core_new runs: are objects of this kind wanted, too? *ret_whole: not as metadata
	 * alone. */
	bool (*wants)(void *ctx, enum kind kind, bool *ret_whole);
	/* As reflector_ops, each after the core has heard it. */
	void (*list_begin)(void *ctx, const struct core_watch *w);
	void (*object)(void *ctx, const struct core_watch *w, enum event_type type,
		       const struct object *o);
	void (*list_end)(void *ctx, const struct core_watch *w);
	void (*state)(void *ctx, const struct core_watch *w, const struct reflector_status *s);
	void (*bad_object)(void *ctx, const struct core_watch *w, enum decode_bad why,
			   struct str name);
};

/* What the shell wants to hear; each may be NULL. No call back into the core. */
struct core_ops {
	void (*state)(void *ctx, const struct core_watch *w, const struct reflector_status *s);
	void (*bad_object)(void *ctx, const struct core_watch *w, enum decode_bad why,
			   struct str name);
	/* It could not be kept: -EINVAL (a uid or name that is none), -EMSGSIZE (over a maximum).
	 * `w` is NULL for an owner that was read by itself. */
	void (*object_refused)(void *ctx, const struct core_watch *w, int r, struct str name);
	void (*owner_refused)(void *ctx, const char *text);
	void (*unauthorized)(void *ctx);
	/* Something may have changed that the session has to tell. */
	void (*changed)(void *ctx);
	/* An owner is to be read: the owner reader is to be polled. */
	void (*owner_wanted)(void *ctx);
	/* Watches were paused, may go on, or are to list anew: they are to be polled. Rare. */
	void (*watches_asked)(void *ctx);
	/* The inventory is over max_bytes, or (false) has room again. */
	void (*full)(void *ctx, bool full);
};

struct core_opts {
	struct watchset_opts scope;
	struct reflector_opts watch; /* times, sizes, budget, seed: what all watches share */
	struct owners_opts owners;   /* the same */
	struct inventory_opts inventory;
	struct session_opts session; /* its inventory is filled in here; match policy included */
	size_t max_bytes;	     /* that the inventory may use; 0: no limit */
	bool resync_on_relist;
	nsec_t (*clock)(void *ctx); /* the same time that the parts are driven with */
	void *clock_ctx;
	const struct core_tap *tap; /* NULL: nobody */
	void *tap_ctx;
	const struct core_ops *ops;
	void *ctx;
};

/* Options are copied, what they point to must outlive the core. 0, -ENOMEM or -EINVAL. */
int core_new(const struct core_opts *o, struct core **ret);
void core_free(struct core **c);

uint32_t core_n_watches(const struct core *c);
struct core_watch *core_watch(struct core *c, uint32_t i);
struct owners *core_owners(struct core *c);
struct session *core_session(struct core *c);
struct inventory *core_inventory(struct core *c);

/* Other limits and times while it runs; nothing is listed or told anew. Of `watch` what
 * reflector_tune takes. The watches and the session are to be polled. */
struct core_tuning {
	struct reflector_opts watch;
	nsec_t owner_refresh;
	struct waiting_opts waiting;
	nsec_t heartbeat;
	size_t max_bytes; /* as in core_opts; whether there is a limit at all cannot change */
	bool resync_on_relist;
};
void core_tune(struct core *c, const struct core_tuning *t);

/* What is due by time alone. Returns when to call again. */
nsec_t core_tick(struct core *c, nsec_t now);
/* Every watch has had a complete list; those of Services and Nodes (scope.places) are not waited
 * for: without them flows have fewer names. */
bool core_synced(const struct core *c);

struct core_counters {
	uint64_t refused_objects; /* not kept: memory, or a maximum */
	uint64_t full;		  /* times the inventory went over max_bytes */
};
const struct core_counters *core_counters(const struct core *c);
