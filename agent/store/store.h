/*
 * What the agent knows of every resource beside the reducer's own model: one small
 * record per object, indexes, a change log that sinks follow by cursors, and the
 * objects themselves, redacted and compressed.
 *
 *     record    kind, namespace, name, uid, resourceVersion, hash, change number:
 *               always there, what "memory per tracked object" counts
 *     body      the redacted JSON, LZ4. STORE_MEMORY: kept as long as the object.
 *               STORE_CACHE: kept for a time and within a size; read again through
 *               `fetch` (a GET) when it is wanted. Under one maximum of bytes for
 *               all: over it bodies of STORE_CACHE kinds go first, then those of
 *               STORE_MEMORY kinds are fetched, too, counted
 *
 * Pure: time comes as an argument, fetches go out through an operation and come
 * back by store_fetched. One thread. Time is monotonic.
 *
 * A deleted object stays as a tombstone, with its last body, until every cursor
 * is done with it. An object that comes again under its name with another uid is
 * the old one deleted and a new one. A change of nothing but resourceVersion,
 * generation, managedFields or what filters remove reaches no cursor.
 *
 * Callbacks of cursors come at the end of the call that caused them, when the store
 * is whole; `fetch` may answer at once, from within.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "tree/tree.h"

#include <stdbool.h>
#include <stdint.h>

struct store;
typedef uint32_t store_id;   /* an object; 0: none. Valid until it is freed */
typedef uint16_t store_kind; /* a resource of the API; 0: none */
struct store_cursor;

#define STORE_MAX_KINDS	  1024
#define STORE_MAX_CURSORS 16
#define STORE_MAX_INDEXES 8 /* of one kind */

enum store_keep { STORE_MEMORY, STORE_CACHE };

struct store_opts {
	/* Live and dead; over it the oldest tombstone goes (see `lost`), and without one a new
	 * object is refused, counted. 0: 1 million. */
	uint32_t max_objects;
	size_t max_bodies; /* bytes of all bodies; 0: 256 MiB */
	nsec_t ttl;	   /* of STORE_CACHE bodies since they were used last; 0: 130 s */
	/* Reads an object again; store_fetched must follow (the object stays until then). May be
	 * NULL: a body that went is gone. 0, or -errno: the store is told nothing more of this
	 * fetch.
	 */
	int (*fetch)(void *ctx, store_id id);
	void *ctx;
};

int store_new(const struct store_opts *o, struct store **ret);
void store_free(struct store **s);
/* max_bodies and ttl from now on, 0: the defaults; over a smaller maximum bodies go at once. */
void store_tune(struct store *s, size_t max_bodies, nsec_t ttl);

/* ---- kinds ----------------------------------------------------------------------------------- */

struct store_kind_opts {			 /* copied */
	struct str group, version, kind, plural; /* "apps", "v1", "Deployment", "deployments" */
	bool namespaced;
	bool metadata_only; /* bodies are PartialObjectMetadata */
	enum store_keep keep;
	const struct str *indexes; /* JSONPath expressions: a composite key in this order */
	uint32_t n_indexes;
};
/* 0; -EINVAL with words in ret_error (an expression, a kind that is there); -EMSGSIZE; -ENOMEM. */
int store_kind_add(struct store *s, const struct store_kind_opts *o, store_kind *ret,
		   struct buf *ret_error);
/* Its sources are removed and all its objects deleted, as deletions that cursors see. The kind is
 * found no more, but its view stays until the last tombstone is gone. */
void store_kind_remove(struct store *s, store_kind k, nsec_t now);

enum store_sync { STORE_NEVER, STORE_LISTING, STORE_SYNCED };
struct store_kind_view { /* borrowed until the kind and its tombstones are gone */
	struct str group, version, kind, plural;
	struct str api_version; /* "apps/v1", "v1" */
	bool namespaced, metadata_only;
	enum store_sync sync; /* SYNCED: every source of the kind has had a complete list */
	nsec_t synced_at;
	uint32_t objects; /* live */
};
bool store_kind_get(const struct store *s, store_kind k, struct store_kind_view *ret);
/* By "deployments", "deployments.apps", "deployments.v1.apps" or "Deployment" in any case; of
 * several the one that was added first. "deploy" is not known: 0. */
store_kind store_kind_find(const struct store *s, struct str name);
/* First kind after `k` (start with 0), 0 at the end. */
store_kind store_kind_next(const struct store *s, store_kind k);

/* ---- what reflectors put in ------------------------------------------------------------------ */

/* A source is one watch of a kind, perhaps in one namespace ("" : all). */
int store_source_add(struct store *s, store_kind k, struct str ns, uint16_t *ret_source);
/* Its objects are deleted (a namespace, or a kind, is watched no more). */
void store_source_remove(struct store *s, uint16_t source, nsec_t now);
void store_list_begin(struct store *s, uint16_t source);
void store_list_end(struct store *s, uint16_t source, nsec_t now);

/* Adds or updates; the tree has passed redact_object. 0, -EINVAL (no name or uid, no such source),
 * -EMSGSIZE (over a maximum: counted), -ENOMEM. A missing index field keeps the object out of the
 * index alone, counted. Outside of a list an older resourceVersion of the same object is ignored,
 * counted: another source was quicker. */
int store_apply(struct store *s, uint16_t source, nsec_t now, const struct tree *object);
/* By what the watch said last. Ignored: unknown ones, and another uid under that name. An empty uid
 * is any. */
void store_delete(struct store *s, uint16_t source, struct str ns, struct str name, struct str uid,
		  nsec_t now);
/* The answer of a fetch: the object, redacted; NULL with -ENOENT (gone), else the reason. The
 * record of one that is gone stays: the watch will tell. Cursors that wait see the object again. */
void store_fetched(struct store *s, store_id id, nsec_t now, const struct tree *object, int r);
/* What is due by time: expired bodies. Returns when to call again. */
nsec_t store_tick(struct store *s, nsec_t now);

/* ---- reading --------------------------------------------------------------------------------- */

struct store_view { /* borrowed until the next change of the store */
	store_kind kind;
	struct str ns, name;
	char uid[64]; /* as the API gave it; cut at 63 */
	char resource_version[64];
	int64_t created; /* Unix seconds */
	bool dead;	 /* deleted; stays until every cursor is done with it */
	bool initial;	 /* came with its source's first list and did not change since */
	nsec_t changed;	 /* when it changed last */
	uint64_t change; /* its number in the change log */
};
bool store_get(const struct store *s, store_id id, struct store_view *ret);
/* The live one of that name, else the one that died last. */
store_id store_find(const struct store *s, store_kind k, struct str ns, struct str name);
store_id store_by_uid(const struct store *s, struct str uid);
/* First live object of a kind (0: any) and namespace ("": any) after `id`; sorted by nothing. */
store_id store_next(const struct store *s, store_kind k, struct str ns, store_id id);

struct store_owner { /* borrowed until the next change of the store */
	struct str kind, name;
	store_id id; /* 0: it is not in the store */
};
/* The controller that the object names; false: none, or the object is dead. */
bool store_controller(const struct store *s, store_id id, struct store_owner *ret);

/*
 * The object's JSON, appended to `b`. 0; -EAGAIN: a fetch is under way; -ENOENT: there is none and
 * none can be read; the reason of a fetch that failed, once, then the next call fetches again;
 * -EMSGSIZE; -ENOMEM. `c`, which may be NULL, waits: it sees the object again when the fetch is
 * answered.
 */
int store_body(struct store *s, struct store_cursor *c, store_id id, nsec_t now, struct buf *b);
/* The same as a tree. */
int store_tree(struct store *s, struct store_cursor *c, store_id id, nsec_t now, struct arena *a,
	       struct tree **ret);

/* Look-up by the kind's index: `keys` is a prefix of the composite key, n_keys 1..n_indexes. Calls
 * `found` in order of namespace/name; non-zero ends the walk and is returned. -EINVAL: wrong
 * number of keys. */
int store_lookup(const struct store *s, store_kind k, const struct str *keys, uint32_t n_keys,
		 int (*found)(void *ctx, store_id id), void *ctx);

/* ---- the change log -------------------------------------------------------------------------- */

struct store_cursor_opts { /* copied; each callback may be NULL */
	bool hold_initial; /* objects of a source's first list are held back until it is complete */
	void (*changed)(void *ctx); /* something may be there now; once until next returns 0 */
	/* What stands behind an object matters, too: it is seen again when one of the controllers
	 * above it comes, goes, or gets another controller itself. */
	bool owners;
	/* A source's first list is complete, with so many objects; once a source. Of those that
	 * were complete before the cursor came its first store_cursor_next tells. */
	void (*synced)(void *ctx, store_kind k, uint32_t objects);
	/* max_objects takes this tombstone away before the cursor was done with it: only a
	 * comparison with the other side finds what has to be deleted there. It may still be looked
	 * at. */
	void (*lost)(void *ctx, store_id id);
	void *ctx;
};
/* A new cursor stands at position zero: it sees every object once, then every change. */
int store_cursor_add(struct store *s, const struct store_cursor_opts *o, struct store_cursor **ret);
void store_cursor_remove(struct store *s, struct store_cursor **c);
/* The next changed object (a dead one: its deletion), 0 at the end. One that changes again is seen
 * again, once. */
store_id store_cursor_next(struct store *s, struct store_cursor *c);
/* The cursor needs the tombstone no more: the id may become invalid by this. Harmless for live
 * objects. Every dead object it was shown must be done sometime. */
void store_cursor_done(struct store *s, struct store_cursor *c, store_id id);
/* Back to position zero (a resync). Tombstones it was done with are not seen again. */
void store_cursor_rewind(struct store *s, struct store_cursor *c);
bool store_cursor_at_end(struct store *s, struct store_cursor *c);
/* Change numbers that the cursor has not passed: its lag. */
uint64_t store_cursor_lag(const struct store *s, const struct store_cursor *c);

struct store_stats { /* counters since the start, per kind (store_kind_stats) or of all */
	uint32_t objects, dead;
	uint64_t created, modified, deleted;
	uint64_t initial_created, initial_modified, initial_deleted; /* of them in first lists */
	uint64_t unchanged; /* applied without a change that counts */
	uint64_t stale;	    /* ignored: older than what is known */
	uint64_t refused;   /* over a maximum */
	uint64_t unindexed; /* applied without a field of the index */
	uint64_t lost;	    /* tombstones that a cursor still needed */
	uint64_t fetches, fetches_failed, evicted, expired;
	size_t record_bytes; /* records, names, indexes: what an object costs whatever is kept of
			      * it; of all kinds alone */
	size_t body_bytes;   /* what is in memory now; the bound is max_bodies */
};
void store_stats(const struct store *s, struct store_stats *ret);
bool store_kind_stats(const struct store *s, store_kind k, struct store_stats *ret);
