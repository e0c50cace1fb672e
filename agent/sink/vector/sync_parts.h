/*
 * The sync from the inside:
 *
 *   sync.c          making, the turn of its wheel, resync, status
 *   sync_marks.c    the records, their lists, debounce
 *   sync_changes.c  from the change log to marks
 *   sync_known.c    what the ledger and the database say is there; the sweep
 *   sync_batch.c    when a batch is made: its documents, and their vectors
 *   sync_fly.c      writing it, and telling the ledger
 *   sync_remove.c   deletions
 *   sync_end.c      ends of requests: pauses, halving, what is set aside
 */
#pragma once

#include "base/backoff.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "sink/vector/sync.h"

#define HASH_KEPT                                                                       \
	16 /* bytes of each hash that are held in memory; 128 bits tell documents apart \
	    */
#define BATCH_MAX	BACKEND_MAX_BATCH
#define DRAIN_SLICE	512 /* changes looked at in one turn */
#define MAKE_SLICE	16  /* documents made in one turn: about a millisecond */
#define SWEEP_SLICE	4096
#define REFUSED_PAUSE	(60 * NSEC_PER_SEC)
#define BATCH_ARENA_MAX (64UL << 20)
#define OBJECT_MAX	(16UL << 20) /* bytes of one object as a tree */

enum mark_list { LIST_NONE, LIST_WAITING, LIST_READY, LIST_GONE, LIST_FLYING, _LIST_MAX };

#define MARK_STORED (1 << 0) /* the database is known to hold it */
#define MARK_ASIDE  (1 << 1) /* set aside; the hashes are those of the bad document */
#define MARK_AGAIN  (1 << 2) /* changed while it was flying */
#define MARK_SEEN   (1 << 3) /* named by the list of the database that is under way */
#define MARK_DEAD   (1 << 4) /* the object is gone */
#define MARK_FORCE  (1 << 5) /* written whatever the hashes say */
#define MARK_FETCH  (1 << 6) /* its body is being read: goes as soon as the cursor shows it */

struct mark {
	uint32_t prev, next; /* in its list; first, for a released record loses these bytes */
	uint32_t age_prev, age_next; /* LIST_WAITING: by first change */
	char *key;	    /* the id, or the uid: stays while the object lives. NULL: no record */
	char *point;	    /* DOC_ID_CONTENT: the id in the database; else NULL */
	nsec_t first, last; /* changes since it went last; last: or since when it is ready */
	store_id object;    /* 0: gone, or not seen yet */
	uint16_t key_n;
	uint8_t list, flags;
	uint8_t text_hash[HASH_KEPT], meta_hash[HASH_KEPT];
};

struct mark_queue {
	uint32_t head, tail, n;
};

enum fly {
	FLY_NONE,
	FLY_PROBE, /* a text to learn the dimension by */
	FLY_ENSURE,
	FLY_BEGIN, /* the ledger is told of the database */
	FLY_LIST,
	FLY_WRITE,
	FLY_PAYLOAD,
	FLY_LEDGER,
	FLY_REMOVE,
	FLY_UNLEDGER, /* the ledger lets go of what was removed */
	FLY_LENT,     /* somebody else asks the database (sync_lend) */
};

struct flyer { /* a document of the batch under way */
	uint32_t mark;
	bool payload; /* its text is the same: metadata alone */
	struct document doc;
};

/* The next batch is made while the one before it flies. */
enum making {
	MAKE_NONE,
	MAKE_DOCUMENTS, /* a slice a turn */
	MAKE_VECTORS,	/* the embedder is asked */
	MAKE_DONE,
	MAKE_FAILED, /* by the embedder: seen to when nothing flies */
};

struct batch {
	struct arena arena; /* documents, ids */
	struct flyer flyers[BATCH_MAX];
	uint32_t n, n_embed; /* those to be embedded first, then the others */
	size_t bytes;
	float *vectors; /* n_vectors * dim of n_embed * dim */
	size_t cap;	/* floats */
	uint32_t n_vectors, dim;
	uint32_t n_asked; /* texts of the embedder's request under way, or that failed */
};

struct reason {
	uint32_t mark;
	char *text;
};

struct sync {
	struct sync_opts o;
	struct store_cursor *cursor;
	struct pool marks;
	struct index index; /* key -> mark */
	struct hash_seed seed;
	struct mark_queue lists[_LIST_MAX];
	struct mark_queue ages; /* the waiting ones, the oldest first change first */
	uint32_t n_stored, n_aside;
	size_t key_bytes;

	bool ensured, begun_ledger, listed, sweep_due, complete, kinds_complete, flushing;
	bool refiltered;   /* what does not pass the filter may be in the database */
	bool rewound;	   /* the cursor shows everything again: nothing waits */
	uint32_t sweep_at; /* pool id; 0: no sweep under way */
	nsec_t begun;	   /* first run */

	enum fly fly;
	void (*lent)(void *ctx); /* who asks, or waits for it; NULL: nobody */
	void *lent_ctx;
	struct batch batches[2];
	struct batch *made, *out; /* which of them is being made, and which flies */
	enum making making;
	struct vector_end embed_end; /* MAKE_FAILED: why; its text is in embed_text */
	char embed_text[512];
	uint32_t from, n_part;	   /* the part of `out` that flies */
	uint32_t n_asked;	   /* documents of the request under way */
	struct arena object;	   /* of one object */
	uint32_t gone[BATCH_MAX];  /* marks of a removal under way */
	struct str ids[BATCH_MAX]; /* of these, in the database */
	uint32_t n_gone;
	bool asked_embedder; /* by the request that ended; else the database */
	uint32_t most;	     /* documents of a batch */
	uint32_t limit,
		suspects; /* of halving: documents a batch, and among how many the bad one is */
	uint32_t asides;  /* documents set aside without one success between */

	struct backoff backoff;
	struct rng rng;
	nsec_t blocked_until;
	nsec_t now;	 /* of the running call */
	bool list_begun; /* of the database */
	struct reason reasons[SYNC_MAX_REASONS];
	uint32_t n_reasons;
	struct sync_status status;
	char words[512];
};

/* sync_marks.c */
struct mark *mark_at(const struct sync *s, uint32_t id);
uint32_t mark_find(const struct sync *s, struct str key);
/* Finds or makes: 0, -EMSGSIZE or -ENOMEM. */
int mark_get(struct sync *s, struct str key, uint32_t *ret);
void mark_free(struct sync *s, uint32_t id);
void mark_move(struct sync *s, uint32_t id, enum mark_list to);
void mark_move_front(struct sync *s, uint32_t id, enum mark_list to);
/* It has changed: waits (again), or goes at once. */
void mark_changed(struct sync *s, uint32_t id, nsec_t now, bool at_once);
void mark_gone(struct sync *s, uint32_t id, nsec_t now);
/* From waiting to ready, what is due. Returns when the next one is. */
nsec_t marks_ripen(struct sync *s, nsec_t now);
void mark_set_stored(struct sync *s, uint32_t id, bool stored);
void mark_set_aside(struct sync *s, uint32_t id, struct str reason);
void mark_unset_aside(struct sync *s, uint32_t id);
/* DOC_ID_CONTENT: notes its id in the database; nothing else. 0 or -ENOMEM. */
int mark_set_point(struct sync *s, uint32_t id, struct str point);
/* The id it has in the database. */
struct str mark_point(const struct mark *m);

/* sync_changes.c: whether there is more. */
bool changes_drain(struct sync *s, nsec_t now);
void changes_lost(struct sync *s, store_id id);

/* sync_known.c */
int known_load(struct sync *s, struct buf *error);
/* A document of the database that belongs to no object any more: it will be deleted. 0 or -errno.
 */
int known_drop(struct sync *s, struct str point);
/* Starts the next page of the database's list. */
void known_list(struct sync *s);
/* A slice of the sweep: whether there is more to do at once. */
bool known_sweep(struct sync *s);
bool known_all_synced(const struct sync *s);

/* sync_batch.c */
/* Goes on making the next batch. Whether there is more to do at once; *next is when one is due by
 * time. */
bool batch_make(struct sync *s, nsec_t *next);
/* Nothing flies: the embedder's failure (MAKE_FAILED) has its consequences. */
void batch_failed(struct sync *s);
/* Nothing flies: deletions go, or the batch that was made. Whether there is more to do at once. */
bool batch_go(struct sync *s);
/* What was made goes back to its list. */
void batch_release(struct sync *s);

/* sync_fly.c: the next part of the batch that was made goes. */
void fly_next(struct sync *s);
/* What flew goes back to its list, at the front and in its order; what was made behind it. */
void fly_release(struct sync *s);
/* The same for these of a batch. */
void flyers_release(struct sync *s, const struct batch *b, uint32_t from);
/* Those of a batch that was made whose objects are gone by now: they are not written any more. */
void flyers_drop_dead(struct sync *s, struct batch *b);

/* sync_remove.c */
void remove_start(struct sync *s);
void remove_release(struct sync *s);

/* sync_end.c */
/* A request has ended otherwise than well; nothing flies any more. */
void sync_failed(struct sync *s, const struct vector_end *end);
/* An operation could not be started: -EMSGSIZE is SPLIT, all else RETRY. */
void sync_not_started(struct sync *s, int r);
struct vector_end sync_not_started_end(int r);
void sync_worked(struct sync *s);
void sync_wake(struct sync *s);
/* The ledger could not be written: the database is right all the same, and a restart asks it. */
void sync_ledger_failed(struct sync *s, int r, struct str error);
