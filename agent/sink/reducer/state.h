/*
 * The session from the inside, for session.c (connections, epochs, buffers), pods.c
 * (what is told about a pod) and feed*.c (about flows) alone.
 */
#pragma once

#include "base/hash.h"
#include "base/mem.h"
#include "proto/batch.h"
#include "sink/reducer/announce.h"
#include "sink/reducer/identity.h"
#include "sink/reducer/session.h"

/* What the session knows about a pod, beside the inventory's record. Zero: nothing. */
struct mark {
	uint64_t told_hash; /* of the pod_new_with_name sent last */
	uint32_t epoch_seq; /* the epoch the reducer has it in; 0: none */
	uint32_t gave_up;   /* tag of the owner that is waited for no more; 0: none */
};
/* The low bits of gave_up are free for flags: a tag is a hash without them. */
#define MARK_TOLD_EVER 1u /* the reducer heard of it, in whatever epoch */
#define MARK_PASSING   2u /* it is over; containers and the delete are still to be sent */
#define MARK_FLAGS     3u

struct feed;

struct session {
	struct inventory *inv;
	struct inv_cursor *cursor;
	struct match_policy policy;
	struct waiting *waiting;
	struct identity who;
	uint32_t version[3];
	nsec_t heartbeat;
	const struct session_taps *taps;
	void *taps_ctx;

	struct hash_seed seed;
	struct announce text;
	struct buf scratch; /* one message, for its hash */
	struct mark *marks; /* by pod id */
	uint32_t n_marks;

	struct buf out;
	struct wire_batch batch;
	bool connected, said_hello;
	uint32_t step, step_end; /* of the identity's messages */
	bool want_epoch, first_epoch, in_snapshot, have_usage;
	struct session_usage usage;
	uint32_t epoch_seq; /* counts epochs; never 0 once there was one */
	pod_id half;	    /* taken and not yet told to the end; 0: none. May outlive the pod:
			     * telling whoever has the id now does no harm */
	nsec_t now, wall;   /* of the run under way */
	nsec_t last_put;    /* when something was sent last */
	bool starved;	    /* the last run ended with -ENOMEM */
	bool full;	    /* it ended with -EAGAIN, and nothing was sent since */

	struct feed *feed; /* flows; NULL: off */
	bool flows_turn;   /* who filled the buffer first in the last run */

	struct session_counters count;
};

/* Elements of a table beside ids up to `last`, with some for those to come. */
static inline uint32_t session_room(uint32_t last)
{
	return MAX(last + 1 + (last + 1) / 8, 64U);
}

/* Adds one message to the batch: 0, -EAGAIN (the out buffer is full, nothing was added) or
 * -ENOMEM. */
int session_put(struct session *s, enum wire_id id, const void *m);

/* pods.c */
/* The next pod to look at, 0 when there is none. */
pod_id pods_take(struct session *s);
/* Tells what is to be told about it. Repeatable: after an error the same pod is given again and
 * what was sent is not sent twice. 0, -EAGAIN or -ENOMEM. */
int pods_tell(struct session *s, pod_id id);
/* The reducer has it now. */
bool pods_told(const struct session *s, pod_id id);
/* The dead pod is not to be told. */
void pods_pass(struct session *s, pod_id id);
/* The inventory took the dead pod away. */
void pods_dropped(void *ctx, pod_id id);
