/*
 * The feed of who has which address (agent/peers/README.md), from the collector's
 * inventory to any number of subscribers. Pure: bytes, times and wake-ups; the shell
 * (serve/peers_api.c) owns the sockets.
 *
 *     inventory ─ cursor ─ records ─┬─ log of frames ────┐
 *                                   └─ the whole, cached ┴─ subscribers
 *
 * A subscriber is a position in the log, not a queue: every frame is made once and
 * copied to whoever has room. The log holds a bounded number of bytes; who falls
 * behind it, or comes with a position that it does not reach, gets the whole again. The
 * whole is made in slices, once for all that want it, and used again until the changes
 * since weigh half as much; so many are sent it at a time, the others stand in line.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "inventory/inventory.h"
#include "match/match.h"
#include "peers/peerfeed.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PUBLISH_BATCH	(1 * NSEC_PER_SEC) /* a change waits so long at most */
#define PUBLISH_BEAT	(2 * NSEC_PER_SEC) /* a subscriber hears something at least this often */
#define PUBLISH_LOG	(8UL << 20)	   /* bytes of changes kept */
#define PUBLISH_SENDING 32		   /* subscribers that are sent the whole at a time */

struct publish;
struct publish_sub;

struct publish_opts {
	struct inventory *inventory;	   /* outlives it; written to only through its cursor */
	const struct match_policy *policy; /* the same */
	struct str name;		   /* who sends; copied, cut at PEERFEED_TEXT_MAX */
	uint8_t feed[PEERFEED_ID];	   /* random: no other feed has it */
	/* The subscriber may have something to take; publish_run is to be called soon. Both may
	 * come inside any call, and may not call back. May be NULL. */
	void (*wake)(void *sub_ctx);
	void (*due)(void *ctx);
	void *ctx;
	/* 0: the defaults above. */
	size_t log_bytes;
	uint32_t sending;
};

/* 0, -ENOMEM, or -EMSGSIZE (no place for a cursor). */
int publish_new(const struct publish_opts *o, struct publish **ret);
/* Subscribers are to be freed before. */
void publish_free(struct publish **p);

/*
 * A bounded piece of work; `fresh`: all that the API server told of until then is in the inventory.
 * `wall` is the wall clock at `now`. Returns when to call again: at once (0) while there is more
 * to do. After changes of the inventory it is to be called within PUBLISH_BATCH.
 */
nsec_t publish_run(struct publish *p, nsec_t now, nsec_t fresh, nsec_t wall);

/* Goes on behind `from` of the feed (PEERFEED_ID bytes) where that can be, else begins with the
 * whole. `feed` NULL: the whole. 0 or -ENOMEM. */
int publish_sub_new(struct publish *p, const uint8_t *feed, uint64_t from, void *sub_ctx,
		    struct publish_sub **ret);
void publish_sub_free(struct publish_sub **s);
/* The next bytes: 1, borrowed until the next call of any function here; 0: none for now; -ESTALE:
 * it fell behind the log and is to come again; -ENOMEM. */
int publish_sub_take(struct publish_sub *s, nsec_t now, struct str *ret);

/* Appends a last frame, for whoever is sent away: why, in words. 0, -EMSGSIZE or -ENOMEM. */
int publish_farewell(struct buf *out, struct str words);

struct publish_stats {
	uint32_t subscribers, queued, sending;
	uint64_t position;
	uint64_t records;	 /* told in changes */
	uint64_t frames;	 /* of changes */
	uint64_t frame_bytes;	 /* of them, as sent */
	uint64_t resumed, whole; /* subscribers that began so */
	uint64_t overtaken;	 /* that fell behind the log */
	uint64_t built;		 /* times the whole was made */
	uint64_t left_out;	 /* things with too many addresses or too long a name */
	uint64_t restarts;	 /* new feeds begun: memory was short */
	size_t whole_bytes;	 /* of the last one */
	size_t bytes;		 /* held: log, whole, what was told */
};
void publish_stats(const struct publish *p, struct publish_stats *ret);
