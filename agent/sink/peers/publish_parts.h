/*
 * The publisher from the inside; private to this folder.
 *
 *   nametab.c   names told
 *   tell.c      from an object of the inventory to its record, and whether it is news
 *   publish.c   the log of frames, and when what is done
 *   whole.c     everything there is, as frames
 *   subs.c      subscribers
 */
#pragma once

#include "base/buf.h"
#include "base/hash.h"
#include "peers/frame.h"
#include "sink/peers/nametab.h"
#include "sink/peers/publish.h"

#include <sys/queue.h>

/* Ids of the feed: pods are even, places odd. */
#define ENTRY_OF_POD(id)   ((id) << 1)
#define ENTRY_OF_PLACE(id) ((id) << 1 | 1)

/* What was told of one entry. */
struct told {
	uint64_t what, over; /* hashes: of all but ends, of those (0: all claims last) */
	name_ix workload, ns, node;
	bool is, running; /* it was told; with a `running` */
};
struct told_list {
	struct told *v; /* by id */
	uint32_t n;
};

struct piece { /* a frame, ready to be sent */
	uint32_t n;
	char bytes[];
};

/* Records on their way into a frame. */
struct records {
	struct buf buf; /* the base and the records */
	struct peerfeed_base base;
};

struct whole {
	uint32_t refs;
	struct piece **v;
	uint32_t n, cap;
	uint64_t position;  /* changes go on behind it */
	uint64_t log_total; /* publish.log_total at that position */
	size_t bytes;
};

enum build_stage { BUILD_NONE, BUILD_TEXTS, BUILD_WORKLOADS, BUILD_PODS, BUILD_PLACES };

struct build {
	enum build_stage stage;
	uint32_t at;   /* passed last */
	uint32_t mark; /* of names that it has */
	struct whole *whole;
	struct records records;
};

LIST_HEAD(publish_subs, publish_sub);
TAILQ_HEAD(publish_queue, publish_sub);

struct publish {
	struct publish_opts o;
	char name[PEERFEED_TEXT_MAX];
	struct inv_cursor *cursor;
	struct hash_seed seed;
	struct nametab names;
	struct told_list pods, places;
	nsec_t listed_at; /* as told */
	bool caught_up;	  /* everything there was at the start is known: changes are told */
	bool broken;	  /* something could not be told: a new feed is to begin */
	struct peerfeed_record rec;
	struct buf scratch; /* of one record */

	nsec_t now, known, wall;
	struct records pending;
	nsec_t since; /* of the oldest record that is pending */

	/* the log: frames of position (position - n_log, position] */
	struct piece **log; /* a ring */
	uint32_t log_cap, log_at, n_log;
	size_t log_bytes;
	uint64_t log_total; /* bytes that ever went in */
	uint64_t position;
	nsec_t framed; /* when the last frame or beat was made */
	struct buf beat, wait;
	uint64_t beats;		/* serial of the last one */
	uint64_t beat_position; /* what it says */

	struct build build;
	struct whole *current; /* may be NULL */

	struct publish_subs subs;
	struct publish_queue queue; /* for the whole */
	struct publish_stats stats;
};

/* publish.c */
/* 0 or negative: nothing was put. A frame is made first when there is no more room. */
int publish_put(struct publish *p, const struct peerfeed_record *rec);
/* The frame at a position that the log has. */
const struct piece *publish_at(const struct publish *p, uint64_t position);
static inline uint64_t publish_oldest(const struct publish *p)
{
	return p->position - p->n_log; /* what it goes on behind */
}
struct piece *piece_new(enum frame_kind kind, struct str payload);
/* Appends to the records; -EAGAIN: a frame is to be made of them first. */
int records_put(struct records *r, nsec_t now, nsec_t wall, const struct peerfeed_record *rec);

/* tell.c */
int tell_pod(struct publish *p, pod_id id);
int tell_place(struct publish *p, place_id id);
int tell_forget(struct publish *p, struct told_list *l, uint32_t id, uint32_t entry);
/* Fills p->rec with what is told of the entry now: its names are those of `t`. */
void tell_again_pod(struct publish *p, pod_id id, const struct told *t);
void tell_again_place(struct publish *p, place_id id, const struct told *t);
void told_list_done(struct told_list *l);

/* whole.c */
bool whole_usable(const struct publish *p);
void whole_unref(struct whole **w);
int whole_begin(struct publish *p);
/* A bounded piece; the cursor is at its end. 0 or negative. */
int whole_step(struct publish *p);
void whole_abandon(struct publish *p);

/* subs.c */
/* Some are in line for the whole. */
bool subs_wanting(const struct publish *p);
/* As many of them as there is room for. */
void subs_wake_queue(const struct publish *p);
void subs_wake_all(const struct publish *p);
/* All are to come again. */
void subs_end(struct publish *p);
size_t subs_bytes(const struct publish *p);
