/*
 * The owner reader from the inside:
 *
 *   owners.c       what is wanted and forgotten; polling; making
 *   owners_lane.c  the book: entries, their lanes and queues, and what is told of a lane
 *   owners_job.c   which request comes next, and what it says
 *   owners_read.c  answers, and what they mean for an entry, its lane, or the server
 *
 *   entry   one uid: queued in its lane, being asked, or answered
 *   lane    all entries of one apiVersion, kind and namespace, with one backoff
 *   slot    one request under way, of an entry or of a group version's discovery
 *
 * Entries and lanes live in pools: callbacks may add to them and nothing moves.
 */
#pragma once

#include "base/buf.h"
#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "decode/decode.h"
#include "kube/discovery.h"
#include "kube/owners.h"

/* Lanes are as many as there are kinds times namespaces; over it owners are refused. */
#define OWNERS_MAX_LANES 16384
/* What only an installation can change (a missing kind) is looked at again so often. */
#define OWNERS_SLOW_RETRY (300 * NSEC_PER_SEC)

enum entry_state {
	ENTRY_QUEUED, /* in its lane */
	ENTRY_ASKING, /* in a slot */
	ENTRY_IDLE,   /* answered, or given up until the next refresh */
	ENTRY_GONE,
};

struct queue {
	pool_id head, tail;
};

struct entry {
	pool_id lane, prev, next;
	char *uid, *name;   /* one block, at uid; NULL in a free record */
	nsec_t fresh_until; /* an event after this has it read again */
	uint8_t state;	    /* enum entry_state */
	uint8_t tries;
	bool read;    /* an object was delivered */
	bool told;    /* refused was */
	bool confirm; /* ask the storage, not the cache */
	bool again;   /* to be read again: waits in owners.refresh and not in its lane */
};

struct lane {
	struct queue queue;	       /* entries never read, oldest first */
	char *api_version, *kind, *ns; /* one block, at api_version; NULL in a free record */
	uint32_t entries;	       /* of any state */
	nsec_t not_before;
	nsec_t refused_since; /* NSEC_NEVER: the last answer was no 403 */
	struct backoff backoff;
	char text[320];	  /* why its entries are refused; "" while they are not */
	bool untold;	  /* some of the queue may not have been told */
	bool discovering; /* named by a slot: not dropped with its last entry */
};

enum slot_use { SLOT_FREE, SLOT_ENTRY, SLOT_DISCOVERY };

struct slot {
	struct owners *owners;
	enum slot_use use;
	pool_id entry; /* 0 when it was forgotten meanwhile */
	pool_id lane;
	nsec_t start, heard;
	bool confirm, plain;
	bool answered, delivered, other_uid, missing_kind, abort;
	int status;
	nsec_t retry_after;
	char content_type[128];
	struct buf body; /* of a discovery */
	struct decode *decode;
	size_t bytes; /* of an entry's answer */
	char message[256];
};

struct owners {
	struct owners_opts o;
	struct pool entries, lanes;
	struct index by_uid, by_lane;
	struct hash_seed seed;
	struct rng rng;
	struct backoff backoff; /* of the server as a whole */
	nsec_t not_before;
	nsec_t next_refresh;
	struct queue refresh;
	uint32_t queued; /* in all queues */
	pool_id turn;	 /* the lane that was served last */
	bool plain;	 /* the server does not give metadata alone */
	struct discovery *discovery;
	struct buf target;
	struct slot slots[OWNERS_MAX_PARALLEL];
	nsec_t now; /* of the running call */
	struct owners_counters counters;
};

/* owners_lane.c */
struct entry *entry_at(const struct owners *o, pool_id id);
struct lane *lane_at(const struct owners *o, pool_id id);
pool_id entry_find(const struct owners *o, struct str uid); /* 0: none */
/* Into the queue of its lane: 0, -ENOSPC over a maximum, -ENOMEM. */
int entry_make(struct owners *o, const struct owner_ref *ref, struct str ns);
void entry_free(struct owners *o, pool_id id);
void queue_put(struct owners *o, pool_id entry, bool front);
void queue_take(struct owners *o, pool_id entry, enum entry_state then);
/* Drops a lane that nothing names any more. */
void lane_let_go(struct owners *o, pool_id id);
/* No owner of the lane can be read, for so long. */
void lane_refuse(struct owners *o, pool_id id, nsec_t wait, const char *what, const char *why);
/* Tells those who came since. */
void lane_tell(struct owners *o, pool_id id);
void lane_fine(struct owners *o, pool_id id);
void entry_tell(struct owners *o, struct entry *e, const char *text);
/* An entry that was read before keeps its answer, whatever a refresh meets; false: it was not. */
bool entry_keep(struct owners *o, pool_id id);

/* owners_job.c */
enum step { STEP_NOTHING, STEP_READ, STEP_DISCOVER };

/* What has to be done for an owner. */
struct job {
	enum step step;
	pool_id lane, entry;
	struct resource res;
};
/* The next one; when there is none, *when is brought forward to the time of the next look. */
struct job job_next(struct owners *o, nsec_t *when);
/* 0, or -errno with nothing begun. */
int job_start(struct owners *o, struct slot *s, const struct job *job, struct owners_request *ret);

/* owners_read.c */
void slot_close(struct owners *o, struct slot *s);
/* There was no answer. */
void slot_failed(struct owners *o, struct slot *s, bool unreachable);
