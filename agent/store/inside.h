/*
 * The store from the inside, for the files of this room alone.
 *
 *   store.c    the whole: making, freeing, views, figures
 *   kinds.c    kinds of objects and how they are found by name
 *   objects.c  records: keys, coming, changing, dying
 *   bodies.c   the objects themselves: compressed, bounded, fetched again
 *   index.c    look-up by JSONPath keys
 *   sweep.c    sources and generations of their lists
 *   owners.c   objects by their controller
 *   changes.c  the change log, cursors, tombstones
 *
 * An operation changes records and marks which cursors are to be woken; the
 * public function that it belongs to ends with store_wake.
 */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/intern.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/uid.h"
#include "store/store.h"
#include "tree/path.h"

/* Most JSON of one object; the API server takes 1.5 MiB, over this one is refused. */
#define STORE_MAX_OBJECT ((size_t)4 << 20)

#define DEFAULT_MAX_OBJECTS 1000000U
#define DEFAULT_MAX_BODIES  ((size_t)256 << 20)
#define DEFAULT_TTL	    (130 * NSEC_PER_SEC)

enum rec_flag {
	REC_DEAD = 1 << 0,
	REC_INITIAL = 1 << 1,  /* as its source's first list brought it */
	REC_HELD = 1 << 2,     /* its source's first list is not complete (or was not when it died):
				* cursors that hold such back have never known of it */
	REC_FETCHING = 1 << 3, /* an answer will come: the id may not be given away */
	REC_RV_TEXT = 1 << 4,  /* rv is an interned text: no number */
	REC_PINNED = 1 << 5,   /* a callback looks at it */
};

/* The controller that an object names. */
struct owner_rec {
	struct uid uid; /* as an object's */
	pool_id kind, name;
	uint8_t uid_form; /* UID_NONE: it names none */
};

struct object_rec {
	struct uid uid; /* UID_OTHER: the interned text's id in the first four bytes */
	uint64_t hash;	/* of the content: see object_write */
	uint64_t change;
	nsec_t changed;
	uint64_t rv;
	char *text; /* name[name_len], index keys[keys_len], key_links: see text_size */
	struct body *body;
	store_id log_prev, log_next;
	store_id list_prev,
		list_next;	     /* among its source's objects; of a dead one the tombstones */
	struct owner_rec owner;	     /* of a dead one: none */
	store_id kin_prev, kin_next; /* among those with the same controller */
	pool_id ns;
	uint32_t created; /* Unix seconds; 0: not known */
	uint32_t gen;	  /* the list of its source that named it last */
	store_kind kind;  /* 0: a free record */
	uint16_t source;  /* 0: dead */
	/* One bit a cursor: is done with the tombstone; has been shown this state though it stands
	 * before it in the log; waits for the body. */
	uint16_t done, seen, waiting;
	uint16_t fetch_error; /* errno of the last fetch, until somebody was told */
	uint16_t name_len, keys_len;
	uint8_t flags, uid_form;
};

/* Of one object and one prefix of its keys: its neighbours among those that have the same. */
struct key_link {
	store_id prev, next;
};

struct id_list {
	store_id head, tail;
};

/* ---- bodies ---------------------------------------------------------------------------------- */

enum lru { /* in the order of eviction */
	   LRU_CACHE,
	   LRU_DEAD, /* cannot be fetched again, but nobody needs them much */
	   LRU_MEMORY,
	   LRU_WANTED, /* fetched and not read yet: else many fetches under a small maximum push
			* each other out and are repeated without end */
	   _LRU_MAX,
};

struct body {
	store_id prev, next; /* in its list, the one used last at the end */
	nsec_t used;
	uint32_t n_json; /* bytes of the object's JSON */
	uint32_t n;	 /* of them kept here; equal: not compressed */
	uint8_t lru;
	uint8_t dict; /* compressed with the kind's dictionary */
	char data[];
};

/* ---- kinds, sources, cursors ----------------------------------------------------------------- */

struct kind_rec {
	char *text; /* owns the texts below */
	struct str group, version, kind, plural, api_version;
	bool namespaced, metadata_only;
	bool removed; /* only tombstones are left */
	enum store_keep keep;
	struct path *paths[STORE_MAX_INDEXES];
	uint32_t n_paths;
	struct index by_keys; /* the first object of each prefix of keys */
	char *dict;	      /* an object of the kind, for compression */
	uint32_t n_dict;
	uint32_t n_sources, n_begun, n_synced;
	nsec_t synced_at;
	uint32_t recs; /* live and dead */
	struct store_stats stats;
};

struct source {
	store_kind kind; /* 0: free */
	bool begun, synced, listing;
	uint32_t gen;
	uint32_t initial; /* objects when its first list was complete */
	uint32_t n;
	pool_id ns;
	struct id_list objects;
};

struct store_cursor {
	struct store_cursor_opts opts;
	store_id pos;	 /* the object passed last; 0: before the first */
	uint64_t passed; /* the highest change number that it passed */
	uint16_t bit;
	bool armed; /* a change is to be announced */
	bool fresh; /* was not told yet which sources are complete */
};

struct store {
	struct store_opts opts;
	struct hash_seed seed;
	struct intern strings;
	struct pool objects;
	struct index by_name, by_uid;
	struct index by_owner; /* a controller's uid -> the first of its objects */
	struct kind_rec *kinds[STORE_MAX_KINDS + 1]; /* by store_kind */
	store_kind n_kinds;			     /* the highest in use */
	struct source *sources;			     /* source n is sources[n - 1] */
	uint16_t n_sources, n_free_sources;
	struct id_list log;   /* what changed last at the end */
	struct id_list tombs; /* oldest first */
	uint32_t n_dead;
	uint64_t change; /* the last change number */
	struct store_cursor *cursors[STORE_MAX_CURSORS];
	uint16_t cursor_mask, holding, owning, waking;
	struct id_list lru[_LRU_MAX];
	size_t body_bytes, text_bytes;
	void *lz4;	 /* the compressor's state */
	struct buf json; /* of the object at hand */
	struct buf keys; /* its index keys */
	struct buf out;	 /* JSON for store_tree */
	char *packed;	 /* room for a compressed object */
	size_t n_packed;
	struct store_stats gone; /* counters of kinds that were freed */
};

static inline struct object_rec *rec_at(const struct store *s, store_id id)
{
	return pool_at(&s->objects, id);
}
static inline struct kind_rec *kind_of(const struct store *s, const struct object_rec *o)
{
	return s->kinds[o->kind];
}
static inline struct str rec_name(const struct object_rec *o)
{
	return str_make(o->text, o->name_len);
}
static inline struct str rec_keys(const struct object_rec *o)
{
	return str_make(o->text + o->name_len, o->keys_len);
}
/* Where the links stand in an object's text. */
static inline size_t links_at(size_t name_len, size_t keys_len)
{
	return (name_len + keys_len + _Alignof(struct key_link) - 1) &
	       ~(_Alignof(struct key_link) - 1);
}
static inline size_t text_size(const struct kind_rec *k, size_t name_len, size_t keys_len)
{
	return links_at(name_len, keys_len) + k->n_paths * sizeof(struct key_link);
}
static inline struct key_link *rec_links(const struct object_rec *o)
{
	return (struct key_link *)(void *)(o->text + links_at(o->name_len, o->keys_len));
}
/* What malloc takes for so many bytes. */
static inline size_t heap_bytes(size_t n)
{
	return (n + 8 + 15) & ~(size_t)15;
}

/* What store_apply read from a tree; texts are borrowed from it and from the store's buffers. */
struct incoming {
	struct str ns, name, uid, rv, json, keys;
	struct str owner_uid, owner_kind, owner_name; /* of its controller; empty: it has none */
	uint64_t hash;
	uint32_t created;
};

/* store.c */
/* The record of an id that a caller gave; NULL when there is none. */
struct object_rec *store_rec(const struct store *s, store_id id);
void stats_add(struct store_stats *to, const struct store_stats *of);

/* kinds.c */
struct kind_rec *kind_live(const struct store *s, store_kind k); /* NULL: none, or removed */
/* Frees a removed kind when its last record is gone. */
void kind_release(struct store *s, store_kind k);
void kind_free(struct store *s, store_kind k);

/* objects.c */
int object_incoming(struct store *s, struct kind_rec *k, const struct tree *t,
		    struct incoming *ret);
int object_update(struct store *s, store_id id, const struct incoming *in, nsec_t now,
		  bool initial);
/* Whether the answer or event is older than what is known. */
bool object_is_stale(const struct object_rec *o, struct str rv);
bool object_has_uid(const struct store *s, const struct object_rec *o, struct str uid);
uint32_t object_uid_hash(const struct store *s, const struct uid *u);
/* The live object with this uid, else the one that died last; 0. */
store_id object_by_uid(const struct store *s, const struct uid *u, enum uid_form form);
void object_kill(struct store *s, store_id id, nsec_t now);
void object_free(struct store *s, store_id id);

/* bodies.c */
int bodies_init(struct store *s);
void bodies_done(struct store *s);
/* Makes the body of JSON without keeping it yet; NULL in ret_body: too large for all bodies. */
int body_pack(struct store *s, struct kind_rec *k, struct str json, struct body **ret_body);
/* The object's body from now on; a former one is freed. `b` may be NULL. */
void body_keep(struct store *s, store_id id, struct body *b, nsec_t now, bool wanted);
/* The object died: its body cannot be fetched any more. */
void body_bury(struct store *s, store_id id);
/* It lives again. */
void body_unbury(struct store *s, store_id id);
void body_drop(struct store *s, store_id id);
/* Gives an object of the kind to it as the dictionary, once it has enough of them. */
void body_learn(struct kind_rec *k, struct str json);

/* index.c */
/* Appends an object's keys; the buffer stays empty when it has no place in the index. */
int keys_of(const struct kind_rec *k, const struct tree *t, struct buf *keys);
/* Makes room, so that keys_link cannot fail. */
int keys_reserve(struct kind_rec *k);
/* How many leading keys are the same; prefixes of so many need no change. */
uint32_t keys_common(const struct kind_rec *k, struct str a, struct str b);
/* Takes the object out of the index, or puts it in, but for prefixes of `from` or fewer keys. */
void keys_unlink(struct store *s, store_id id, uint32_t from);
void keys_link(struct store *s, store_id id, uint32_t from);

/* sweep.c */
struct source *source_at(const struct store *s, uint16_t source); /* NULL: there is none */
void source_link(struct store *s, store_id id, uint16_t source);
void source_unlink(struct store *s, store_id id);
/* The object is held back no more: for cursors that do so to see now; others have seen it, or will.
 */
void source_release(struct store *s, store_id id);
/* Deletes its objects and frees the place. */
void source_end(struct store *s, uint16_t source, nsec_t now);

/* owners.c */
void owner_incoming(const struct tree *meta, struct incoming *ret);
bool owner_same(const struct store *s, const struct object_rec *o, const struct incoming *in);
/* What the record will have, and room for it. 0, -EMSGSIZE or -ENOMEM; owner_drop in any case. */
int owner_make(struct store *s, const struct incoming *in, struct owner_rec *ret);
void owner_drop(struct store *s, struct owner_rec *w);
/* The object has this controller from now on, and `w` has the former one. */
void owner_swap(struct store *s, store_id id, struct owner_rec *w);
/* The object came, went, or has another controller: cursors that care for that see again what is
 * below it. */
void owner_changed(struct store *s, store_id id);

/* changes.c */
#define ALL_CURSORS ((uint16_t)0xffff)
/* To the end of the log, to be seen by these cursors; the others see it if they had not yet. */
void journal_touch(struct store *s, store_id id, uint16_t cursors);
void journal_remove(struct store *s, store_id id);
void tomb_add(struct store *s, store_id id);
void tomb_remove(struct store *s, store_id id);
/* Frees a tombstone that nobody needs; whether it did. */
bool tomb_release(struct store *s, store_id id);
/* Takes the oldest tombstone away; false when there is none that may go. */
bool tomb_evict(struct store *s);
void cursors_done(struct store *s);
/* Tells cursors that a source's first list is complete. */
void cursors_synced(struct store *s, const struct source *src);
/* Tells cursors that something may be there. */
void store_wake(struct store *s);
