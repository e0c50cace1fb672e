/*
 * From the store's change log to a place that takes changes in order: the cursor,
 * the batch, retries, and what became of each object. Graph and event sinks are two
 * users; what they make of an object and where it goes are operations.
 *
 *   in order    one batch at a time; it is written again, byte by byte the same, until
 *               it is taken. What changed meanwhile comes with the next one
 *   bounded     a place that is away for a day costs the marks of its objects (24 bytes
 *               each) and one batch. The store keeps the rest
 *   refused     a batch that cannot be taken is halved down to the one bad object, which
 *               is left out, counted, until it changes
 *
 * No I/O of its own; time is an argument. One thread.
 */
#pragma once

#include "base/arena.h"
#include "base/clock.h"
#include "sink/filter.h"
#include "sink/vector/embedder.h"
#include "store/store.h"

#include <stdbool.h>
#include <stdint.h>

struct relay;

enum relay_action {
	RELAY_APPLIED,
	RELAY_DELETED,
	RELAY_RESTARTED, /* applied, and a container of the pod was started again */
	_RELAY_ACTION_MAX,
};
const char *relay_action_name(enum relay_action a); /* "Applied" */

struct relay_item { /* everything lives until the batch is taken */
	enum relay_action action;
	struct str group, api_version, kind, ns, name, uid;
	nsec_t time;		   /* wall clock, when the sink saw it */
	const struct tree *object; /* NULL: deleted, and nothing more is known of it */
	void *made;		   /* by ops->make */
};

struct relay_ops {
	/* Makes of the item what will be written. *ret_hash: a number of what it is worth telling;
	 * an object whose number is the one that was taken last is not told again. 0: always. 0,
	 * -ENOMEM (also: the batch is full), or another -errno: the object is left out. */
	int (*make)(void *ctx, struct arena *a, struct relay_item *item, uint64_t *ret_hash);
	/* Begins to write; relay_done must follow, on a later turn. 0, -EMSGSIZE (too much at once:
	 * halved), or another -errno: tried again. */
	int (*write)(void *ctx, const struct relay_item *items, uint32_t n);
	/* All that is in the store has been taken; called again after more was. May be NULL. true:
	 * there was something to do; it ends by relay_done, too. */
	bool (*rest)(void *ctx);
};

struct relay_opts { /* copied; what it points to must outlive the relay */
	struct store *store;
	struct sink_filter *filter;	  /* NULL: everything */
	bool hold_initial;		  /* objects of a first list come when it is complete */
	uint32_t batch;			  /* objects: 200 */
	size_t batch_bytes;		  /* of a batch in memory: 32 MiB */
	nsec_t backoff_base, backoff_cap; /* 1 s, 30 s */
	uint64_t seed;
	const struct relay_ops *ops;
	void (*wake)(void *ctx); /* relay_run is to be called soon */
	void *ctx;		 /* of ops and wake */
};

int relay_new(const struct relay_opts *o, struct relay **ret);
void relay_free(struct relay **f);

/* Does a bounded piece of what is due. Returns when to call again at the latest. `wall` is now on
 * the wall clock. */
nsec_t relay_run(struct relay *f, nsec_t now, nsec_t wall);
/* What ops->write (or rest) began is over. */
void relay_done(struct relay *f, nsec_t now, const struct vector_end *end);
/* Every object is told again; `wake` is called. */
void relay_resync(struct relay *f);

struct relay_status { /* texts are borrowed until the next call */
	bool failing;
	struct str words; /* why */
	nsec_t since;
	uint64_t lag;	/* changes of the store not looked at yet */
	nsec_t behind;	/* since when something waits to be told; 0: nothing does */
	uint32_t ready; /* of the batch under way */
	uint64_t told[_RELAY_ACTION_MAX];
	uint64_t unchanged, left_out, retries, lost;
	size_t bytes; /* of marks and the batch */
};
void relay_status(const struct relay *f, struct relay_status *ret);
