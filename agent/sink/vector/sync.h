/*
 * Keeps one vector database in step with the store.
 *
 *     change log ─ debounce ─ document ─ (unchanged? done) ─ embedder ─ database ─ ledger
 *
 * One small record per document remembers what the database is known to hold
 * (hashes) and what is still to do. A change marks the record; the document is made
 * from the store when its batch goes, so the last state wins and a database that is
 * away for a day costs marks, not memory.
 *
 *   debounce   a change waits until its object was quiet for `debounce`, but never
 *              longer than `debounce_max`; objects of a first list and deletions
 *              do not wait
 *   batches    go when `batch` documents are ready, or the first of them has waited
 *              for `interval`; cut by bytes; deletions first
 *   failures   the batch goes back to its marks and is made anew after a pause (full
 *              jitter, Retry-After); one that the service refuses is halved down to
 *              the one bad document, which is set aside with its reason until it
 *              changes. The vector that was there stays
 *   truth      at the start what the ledger knows, then (where the database can be
 *              listed) what the database says. Documents without an object are
 *              deleted, but only of kinds that were listed to their end
 *
 * No I/O of its own: embedder, backend and ledger are operations whose ends come on
 * later turns; time is an argument. One thread. One operation at a time.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "sink/filter.h"
#include "sink/sqlite/ledger.h"
#include "sink/vector/backend.h"
#include "sink/vector/document.h"
#include "sink/vector/embedder.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct sync;

#define SYNC_MAX_DOCUMENTS 2000000 /* over it an object is left out, counted */
#define SYNC_MAX_REASONS   256	   /* of documents set aside; over it the reason is not kept */
#define SYNC_REASON_MAX	   512	   /* bytes */

/* Where it is durable what the database holds. Each may be NULL: then that part is not kept. */
struct sync_ledger {
	/* Calls `row` for what was kept. 0 or -errno with words. */
	int (*load)(void *ctx, int (*row)(void *row_ctx, const struct ledger_row *r), void *row_ctx,
		    struct buf *error);
	/* What the database is filled with, before the first row. -EEXIST with words: it was filled
	 * with something else; its rows are then not used. */
	int (*begin)(void *ctx, struct str model, uint32_t dim, struct str template_,
		     void (*done)(void *done_ctx, int r, struct str error), void *done_ctx);
	/* Copied before they return; the ends are told by `done`, once, later. 0, -EAGAIN, -ENOMEM.
	 */
	int (*put)(void *ctx, const struct ledger_row *rows, uint32_t n,
		   void (*done)(void *done_ctx, int r, struct str error), void *done_ctx);
	int (*remove)(void *ctx, const struct str *ids, uint32_t n,
		      void (*done)(void *done_ctx, int r, struct str error), void *done_ctx);
	void *ctx;
	/* The database is at home in the ledger's file (ledger.h): what it stores and deletes is in
	 * the ledger by that. Only documents set aside are put. */
	bool at_home;
};

struct sync_opts { /* copied; what it points to must outlive the sync */
	struct store *store;
	struct backend *backend;
	struct embedder *embedder; /* may be NULL where the backend embeds by itself */
	struct sync_ledger ledger;
	struct sink_filter *filter; /* NULL: everything */
	bool hold_initial;	    /* objects of a first list come when it is complete */
	struct doc_opts doc;
	struct str model, template_;   /* as ledger and database call them */
	nsec_t debounce, debounce_max; /* 10 s, 60 s */
	nsec_t interval;	       /* 5 s */
	nsec_t initial_wait; /* documents wait so long at most for all kinds, whose owners they
				name: 30 s */
	uint32_t batch;	     /* documents: 100 */
	size_t batch_bytes;  /* of text and fields: 1 MiB */
	nsec_t backoff_base, backoff_cap; /* 1 s, 30 s */
	uint64_t seed;
	/* sync_run is to be called soon. No call back into the sync. */
	void (*wake)(void *ctx);
	/* For logs: what changed about its health (sync_status), or an object was set aside. */
	void (*told)(void *ctx, const char *words);
	void *ctx;
};

/* 0 or -errno with words (the ledger cannot be read). Zeros in the options mean the defaults. */
int sync_new(const struct sync_opts *o, struct sync **ret, struct buf *ret_error);
/* Drops what is under way. */
void sync_free(struct sync **s);

/* Does a bounded piece of what is due. Returns when to call again at the latest. */
nsec_t sync_run(struct sync *s, nsec_t now);
/* Every object is looked at again and compared, the database is listed again, and what has no
 * object is deleted. Nothing is embedded or written that is unchanged. One that refused or did not
 * fit is tried at once. */
void sync_resync(struct sync *s, nsec_t now);
/* Whether all kinds of the API server are known to the store: then documents of kinds that are not
 * there are deleted, too. */
void sync_kinds_complete(struct sync *s, bool complete, nsec_t now);
/* debounce, debounce_max, interval, batch, batch_bytes and the backoff of `o` from now on; marks
 * that wait are measured by them, too. */
void sync_tune(struct sync *s, const struct sync_opts *o, nsec_t now);
/* The filter is another one (in the same place): a resync, in which documents that do not pass it
 * any more are deleted. */
void sync_refilter(struct sync *s, nsec_t now);
/* What waits goes at once (the agent stops): sync_run until sync_spent, as long as the shell likes.
 */
void sync_flush(struct sync *s, nsec_t now);
/* Everything is written, and nothing is under way. */
bool sync_idle(struct sync *s);
/* Nothing is under way, and nothing more goes before `now` is another one: all is written, or there
 * is a pause after a failure or a refusal. What was acknowledged is in the ledger. */
bool sync_spent(struct sync *s, nsec_t now);

enum sync_health {
	SYNC_STARTING, /* the database is being made or listed */
	SYNC_OK,
	SYNC_FAILING,  /* tries again */
	SYNC_REFUSED,  /* credentials, or a missing model: tried again slowly */
	SYNC_MISMATCH, /* another model or dimension: nothing is written; looked at again slowly */
	_SYNC_HEALTH_MAX,
};
const char *sync_health_name(enum sync_health h);

struct sync_status { /* texts are borrowed until the next call */
	enum sync_health health;
	const char *words; /* why, "" when all is well */
	nsec_t since;
	uint32_t documents; /* that the database is known to hold */
	uint32_t waiting;   /* debounced */
	uint32_t ready;	    /* and those that only wait for their batch, deletions too */
	uint32_t quarantined;
	uint64_t lag;			     /* changes of the store not looked at yet */
	nsec_t oldest;			     /* how long the oldest mark has waited; 0: none */
	bool complete;			     /* listed and swept: orphans are gone */
	uint64_t upserts, payloads, deletes; /* documents acknowledged */
	uint64_t unchanged, embedded;
	uint64_t requests, retries, splits, set_aside, refused_full;
	uint64_t ledger_failures;
	size_t bytes; /* of records */
};
void sync_status(const struct sync *s, nsec_t now, struct sync_status *ret);
/* Documents set aside: calls `row` for each whose reason is kept. */
void sync_quarantine(const struct sync *s, void (*row)(void *ctx, struct str id, struct str reason),
		     void *ctx);
struct backend *sync_backend(const struct sync *s);

/* The database takes one request at a time, the sync's or a question's. `lent` is called once, on a
 * later turn, between two requests of the sync, which then makes none until sync_give_back. 0 or
 * -EBUSY: it is lent already. */
int sync_lend(struct sync *s, void (*lent)(void *ctx), void *ctx);
/* The question has its answer, or is not asked after all; `lent` is not called any more. */
void sync_give_back(struct sync *s);
