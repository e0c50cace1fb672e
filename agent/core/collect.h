/*
 * The collector: which resources are watched for the store, as they come and go.
 *
 *     discovery ─ kinds ─┐
 *                        ├─ watches ─ tree ─ redact ─ store
 *     Namespaces ────────┘
 *
 * Kinds come from discovery, which is repeated when a CustomResourceDefinition
 * changes, when a watch fails, and slowly by itself. With namespaces each kind has
 * a watch per namespace, made and ended as they come and go. What the core watches
 * anyway (pods, ReplicaSets, Jobs, Services, Nodes) is taken from its watches
 * (collect_tap), so that no kind is watched twice.
 *
 * Pure, like the core: the shell drives the reflectors that watch_add brings,
 * carries GETs out and calls collect_tick. A forbidden or broken kind, and a bad
 * object, cost themselves alone; all is counted per kind.
 */
#pragma once

#include "base/buf.h"
#include "core/core.h"
#include "store/store.h"
#include "tree/redact.h"

#define COLLECT_MAX_WATCHES    8192 /* of all kinds; those over it are not made, counted and said */
#define COLLECT_MAX_NAMESPACES 4096 /* the same */
#define COLLECT_MAX_OBJECT     ((size_t)64 << 20) /* bytes of one object's tree */

struct collect;

enum collect_state {
	COLLECT_SYNCING, /* no complete list of every watch yet */
	COLLECT_SYNCED,
	COLLECT_FAILING,   /* a watch fails; what was learned stays */
	COLLECT_FORBIDDEN, /* the same, because of a 403 */
	_COLLECT_STATE_MAX,
};
const char *collect_state_name(enum collect_state s);

/* Why an object is not in the store, beside decode_bad's reasons. */
enum collect_bad {
	COLLECT_BAD_JSON = _DECODE_BAD_MAX, /* not what a tree is made of, or too deep or large */
	COLLECT_BAD_OBJECT,		    /* the store says -EINVAL: no name or uid */
	COLLECT_BAD_FULL,		    /* the store says -EMSGSIZE */
	COLLECT_BAD_MEMORY,		    /* it is listed again later */
	_COLLECT_BAD_MAX,
};
const char *collect_bad_name(unsigned why); /* of either enum: "json", "too_large" */

struct collect_kind {	 /* borrowed until the next call that may change kinds */
	struct str name; /* "pods", "deployments.apps" */
	struct str group, version, kind, plural;
	bool namespaced, metadata_only;
	store_kind store; /* 0: watched for the agent's own needs, not kept */
	enum collect_state state;
	nsec_t since;
	const char *text; /* why, for people; "" when there is nothing to say */
	uint32_t watches;
	uint64_t objects; /* that came: items of lists and events */
	uint64_t skipped; /* of excluded namespaces, other labels or fields, or not to be kept
			     (redact.h) */
	uint64_t bad[_COLLECT_BAD_MAX];
};

/* No call back into the collector from any of them. */
struct collect_ops {
	/* Drive this reflector from now on: 0 or -errno (it is tried again). */
	int (*watch_add)(void *ctx, struct reflector *r);
	/* It is freed after the return. */
	void (*watch_remove)(void *ctx, const struct reflector *r);
	/* Watches were asked to list anew: they are to be polled. */
	void (*watches_asked)(void *ctx);
	/* GET this path; collect_answer must follow, not within this call. 0, or -EBUSY (asked
	 * again at the next tick). */
	int (*get)(void *ctx, const char *path, const char *accept);
	/* collect_tick is to be called soon. */
	void (*due)(void *ctx);
	/* These may be NULL. */
	/* It has lasted. `before`: what was told last; _COLLECT_STATE_MAX: nothing. */
	void (*state)(void *ctx, const struct collect_kind *k, enum collect_state before);
	void (*bad_object)(void *ctx, const struct collect_kind *k, unsigned why, struct str name);
	void (*unauthorized)(void *ctx);
};

/* Whether a name as people write it ("pods", "Deployments.apps", "*") is this resource's. */
bool collect_name_is(struct str name, struct str group, struct str plural);

struct collect_names { /* of resources: "pods", "deployments.apps", "*"; any case */
	const struct str *v;
	uint32_t n;
};

struct collect_index {
	struct str resource;
	const struct str *paths; /* a composite key in this order */
	uint32_t n;
};

struct collect_opts {
	struct store *store; /* both must outlive */
	struct redact *redact;
	struct reflector_opts watch; /* what all watches share: times, sizes, budget */
	/* What these point to must outlive the collector. */
	struct collect_names resources; /* none: all but the excluded; else these alone */
	struct collect_names excluded;
	struct collect_names metadata_only, whole; /* `whole` wins */
	struct collect_names cached;		   /* bodies in STORE_CACHE */
	struct collect_names excluded_namespaces;
	struct collect_names namespaces; /* a watch for each; cluster-wide kinds only by name */
	bool each_namespace;		 /* or: as Namespaces come and go */
	struct str namespace_selector;	 /* those with these labels; implies each_namespace */
	struct str resource_selector;	 /* objects with these labels */
	struct collect_names field_selectors; /* and these fields (field_selector.h) */
	const struct collect_index *indexes;
	uint32_t n_indexes;
	bool core_selects; /* the core's pods are not all pods: they need a watch of their own */
	nsec_t discover_every; /* 0: 10 minutes */
	nsec_t resync_every;   /* all is listed anew; 0: never */
	uint64_t seed;
	nsec_t (*clock)(void *ctx); /* the same time that all parts are driven with */
	void *clock_ctx;
	const struct collect_ops *ops;
	void *ctx;
};

/* 0; -EINVAL with a sentence in ret_error (a selector, a field, an index); -ENOMEM. Nothing is
 * asked for before the first tick. */
int collect_new(const struct collect_opts *o, struct collect **ret, struct buf *ret_error);
/* After the client, before core, store and redact. Says nothing more. */
void collect_free(struct collect **c);

/* For core_opts; its context is the collector. */
extern const struct core_tap collect_tap;
/* The core is there (or NULL: there is none): its tapped watches become the collector's. Once,
 * before the start. 0, -ENOMEM, or -EINVAL with a sentence. */
int collect_join(struct collect *c, struct core *core, nsec_t now, struct buf *ret_error);

/* Of `watch` what reflector_tune takes, for all watches that are not the core's, and resync_every
 * from now on. Nothing is listed anew; the watches are to be polled. */
void collect_tune(struct collect *c, const struct reflector_opts *watch, nsec_t resync_every,
		  nsec_t now);
/* What is due. Returns when to call again. */
nsec_t collect_tick(struct collect *c, nsec_t now);
/* The answer to ops->get; status 0: there was none. */
void collect_answer(struct collect *c, nsec_t now, const char *path, int status, struct str body);
/* Lists everything anew, spread over `spread`. */
void collect_resync(struct collect *c, nsec_t now, nsec_t spread);

/* Where an object of the store is read again: path appended, NUL-terminated. 0, -ENOENT or
 * -errno. */
int collect_target(const struct collect *c, store_id id, struct buf *path, const char **ret_accept);
/* What was read there: the object goes through redaction to store_fetched. */
void collect_fetched(struct collect *c, store_id id, nsec_t now, int status, struct str body);

uint32_t collect_n_kinds(const struct collect *c);
struct collect_kind collect_kind(const struct collect *c, uint32_t i);
/* What its watches have brought, those that have ended too. Walks them. */
struct collect_traffic {
	uint64_t bytes, errors, restarts; /* of bodies; failed tries; lists begun anew */
	nsec_t heard; /* when the watch that was silent for longest was heard from; 0: never */
	size_t held;  /* bytes of memory */
};
struct collect_traffic collect_traffic(const struct collect *c, uint32_t i);
/* Discovery has had an answer, and no kind is still syncing for the first time. */
bool collect_synced(const struct collect *c);

struct collect_counters {
	uint64_t rounds, failed_rounds; /* of discovery; failed: something could not be learned */
	uint64_t kinds_removed;
	uint64_t left_out; /* watches, namespaces and kinds over a maximum or without memory */
	uint32_t watches, namespaces; /* now */
};
struct collect_counters collect_counters(const struct collect *c);
