/*
 * Object versions and the events between them: what the recorded API server
 * held at every moment of the recording.
 *
 * The base LIST is the state at time 0; each recorded watch event carries it
 * on. All bytes are views into the files as read, owned by the store. One
 * kind's events stand in the order of their resourceVersions.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Recorded kinds, then those that come while it runs (kinds.c). A kind that is served in several
 * versions is several of these, whose objects one of them has. */
enum kind {
	KIND_PODS,
	KIND_REPLICASETS,
	KIND_JOBS,
	KIND_NODES,
	KIND_SERVICES,
	KIND_RECORDED, /* how many are recorded */
	_KIND_MAX = 512,
};

struct kind_info {
	const char *plural;
	const char *kind;
	const char *group;	 /* "" for the core group */
	const char *api_version; /* "v1" or "group/version" */
	const char *prefix;	 /* path in front of the plural or of namespaces/ */
	bool namespaced;
	enum kind of; /* which has the objects: itself, or another version */
	bool gone;    /* not served any more */
	int rank;     /* its place in discovery */
	void *entry;  /* json_t: its resource in aggregated discovery; NULL: nobody knows of it */
};

extern struct kind_info kind_info[_KIND_MAX];
extern enum kind kind_end; /* one behind the last kind that is or was there */

#define NO_VERSION UINT32_MAX

struct version {
	uint32_t obj; /* its object: place in namespace/name order */
	uint64_t rv;
	struct str rv_text, uid, ns, name;
	struct str json; /* from "metadata": to the closing brace, kind and apiVersion left out */
	struct str meta_json; /* the value of metadata */
	struct str pb;	      /* the typed message, e.g. core.Pod */
	struct str meta_pb;   /* its ObjectMeta */
	bool pb_made;	      /* pb holds metadata only: recorded in JSON alone */
};

enum event_type { EVENT_ADDED, EVENT_MODIFIED, EVENT_DELETED, EVENT_BOOKMARK, _EVENT_TYPE_MAX };

extern const char *const event_name[_EVENT_TYPE_MAX];

struct event {
	double ms; /* recorded time since the first watch began */
	enum event_type type;
	uint64_t rv;
	uint32_t version; /* NO_VERSION for bookmarks */
	uint32_t prev;	  /* the object's version before, or NO_VERSION */
};

struct kind_store {
	struct version *versions;
	size_t n_versions;
	struct event *events;
	size_t n_events;
	uint32_t *base; /* versions of the first list */
	size_t n_base;
	uint64_t base_rv;
	size_t n_objects;
	uint32_t *cur; /* by object: its version now, or NO_VERSION */
	uint32_t *any; /* by object: one of its versions; NULL until objects.c needs it */
	size_t pos;    /* events that have happened */
	size_t n_pb_made;
	bool bookmark_null;	  /* older servers write "creationTimestamp":null into bookmarks */
	struct str bookmark_json; /* what follows metadata in a bookmark's object, brace included */
	struct str bookmark_pb;	  /* a whole recorded bookmark object */
};

struct store {
	struct kind_store kinds[_KIND_MAX];
	unsigned int minor; /* of the recorded server's version 1.MINOR */
	struct buf *files;  /* keeps what was read */
	size_t n_files;
};

/*
 * Reads a folder of recordings. `set` is "churn" (the base lists and the watches from them) or
 * "big" (one large list, no events). 0 or -errno after a readable line on stderr.
 */
int recorded_load(const char *dir, const char *set, struct store *s);
void recorded_done(struct store *s);

/* resourceVersion of a list of this kind now. */
uint64_t recorded_rv(const struct kind_store *k);
/* Lets the first `pos` events have happened. Never goes back. */
void recorded_advance(struct kind_store *k, size_t pos);
/* Number of events with a resourceVersion up to rv, among the happened and the coming ones. */
size_t recorded_find(const struct kind_store *k, uint64_t rv);
/* Number of events up to a recorded time. */
size_t recorded_at(const struct kind_store *k, double ms);
/* The state after `pos` events, one slot per object in list order; the caller frees it. */
uint32_t *recorded_state(const struct kind_store *k, size_t pos);
/* The current version of an object by name, or NULL. */
const struct version *recorded_get(const struct kind_store *k, struct str ns, struct str name);

/* "pods" or "replicasets.apps" */
void kind_full_name(enum kind k, char *text, size_t n);
/* The objects of a kind. */
static inline struct kind_store *kind_data(struct store *s, enum kind k)
{
	return &s->kinds[kind_info[k].of];
}

/* load.c's helpers for filling a kind, used by recorded_load and nodes_make. */
struct version *recorded_add_version(struct kind_store *k);
struct event *recorded_add_event(struct kind_store *k);
/* A file buffer the store will free. */
struct buf *recorded_file(struct store *s);
/* Sets the JSON views of a version from one object's text. 0 or -EBADMSG. */
int version_set_json(struct version *v, struct str object);
/* A member of the object beside metadata (spec, status). */
bool version_member(const struct version *v, const char *key, struct str *ret_value);
/* Makes Node objects (none were recorded) for every node a recorded pod ran on. */
void nodes_make(struct store *s);
/* Puts the objects in list order and finds each event's predecessor. */
void recorded_finish(struct kind_store *k);
