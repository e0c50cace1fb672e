/*
 * A node's view from the inside; private to this room.
 *
 *   peers.c         the life of a subscription: whom to ask and when
 *   peers_stream.c  what comes in, frame by frame
 *   peers_look.c    what was learned, on our clock
 */
#pragma once

#include "base/backoff.h"
#include "base/rng.h"
#include "peers/frame.h"
#include "peers/peers.h"
#include "peers/two_clocks.h"

#define PEERS_TEXT 512

enum peers_phase {
	PHASE_PAUSE,   /* until `due` */
	PHASE_LOOKUP,  /* the host's addresses are looked up */
	PHASE_READY,   /* START is to be said */
	PHASE_ASKED,   /* the request is under way; the answer is due by `due` */
	PHASE_REFUSED, /* an answer that is no stream: its body is read for its words */
	PHASE_STREAM,  /* the next frame is due by `due` */
};

struct peers {
	struct peers_opts opts;
	struct replica *replica;
	struct rng rng;
	struct backoff backoff;

	enum peers_phase phase;
	bool abort; /* to be said */
	nsec_t due;
	nsec_t asked;			/* when the request was made */
	nsec_t lost;			/* when the last stream ended, or the whole began */
	nsec_t renew;			/* the stream is to be made anew */
	uint8_t order[PEERS_MAX_ADDRS]; /* in which the addresses are asked */
	uint32_t n_addrs, next;

	/* the stream */
	struct frame_reader reader;
	bool greeted;	    /* a hello came */
	uint32_t snapshots; /* frames of the whole so far */
	nsec_t patience;    /* between frames */

	/* what is known */
	uint8_t feed[PEERFEED_ID];
	bool whole; /* the snapshot was read to its end: the feed can be resumed */
	uint64_t position;
	uint64_t right_from; /* from that position on the whole is right */
	struct two_clocks clocks;
	nsec_t hello;	     /* theirs, when the stream began */
	nsec_t heard, known; /* ours: when the last mark came, and what it says */
	uint64_t edition;    /* see peers_edition */

	bool full;
	char from[PEERFEED_TEXT_MAX + 1];
	char error[PEERS_TEXT];
	struct peers_status counts; /* the counters alone */
};

/* peers_stream.c: a piece of the stream; 0 or what to drop it for. */
int stream_data(struct peers *p, nsec_t now, struct str bytes);
/* Nothing of what was learned is kept. */
void stream_forget(struct peers *p);
/* All of the feed was heard, and it is right. */
static inline bool is_synced(const struct peers *p)
{
	return p->whole && p->position >= p->right_from;
}
