/*
 * Owner objects read one by one, as metadata only: what the node scope needs
 * instead of watches, and --follow-owners everywhere. An owner is read once, and
 * again on an event of its pods when the answer is old.
 *
 * Pure, like the reflector: the shell carries requests out and polls after every
 * call. Several requests may be under way; each has a number, below
 * owners_opts.parallel.
 *
 * Owners that share kind and namespace wait in one lane: where a Role is missing
 * one of them asks from time to time, not all.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "kube/budget.h"
#include "kube/reflector.h"
#include "model/object.h"

#include <stdint.h>

#define OWNERS_MAX_PARALLEL 8
#define OWNERS_MAX_UID	    128 /* bytes; a longer uid, name or namespace is -EINVAL */
#define OWNERS_MAX_NAME	    256

struct owners;

/* Callbacks may call owners_want, nothing else of this room. Views are borrowed until they return.
 */
struct owners_ops {
	/* It was read, for the first time or again. api_version and kind are those of the
	 * reference. */
	void (*owner)(void *ctx, struct str uid, const struct object *o);
	/* It does not exist, or its name belongs to another object now. Final. */
	void (*gone)(void *ctx, struct str uid);
	/* It cannot be read: forbidden for 10 s without interruption, no such kind, or not
	 * understood. It is tried again; a later answer comes as owner or gone. Never after an
	 * owner was read. */
	void (*refused)(void *ctx, struct str uid, const char *text);
	void (*unauthorized)(void *ctx); /* 401; may be NULL */
};

struct owners_opts {
	uint32_t max_queue;   /* owners that wait to be read; 0 means 10,000 */
	uint32_t max_known;   /* owners remembered; 0 means 200,000 */
	uint32_t parallel;    /* requests under way; 0 means 4, at most OWNERS_MAX_PARALLEL */
	nsec_t refresh;	      /* an older answer is read again; 0 means 10 minutes */
	nsec_t refresh_space; /* between two such; 0 means 1 s */
	nsec_t refuse_after;  /* of uninterrupted 403 until `refused`; 0 means 10 s */
	nsec_t idle;	      /* silence that ends a request; 0 means 30 s */
	bool no_protobuf;
	struct budget *budget; /* may be NULL; must outlive */
	uint64_t seed;
	const struct owners_ops *ops;
	void *ctx;
};

struct owners_request {
	unsigned id;
	const char *target, *accept; /* for START; borrowed until the next call */
};

struct owners_counters {
	uint64_t wanted;  /* new uids */
	uint64_t refused; /* new uids over a maximum */
	uint64_t requests, read, refreshed, gone, forbidden, errors, discoveries;
};

int owners_new(const struct owners_opts *o, struct owners **ret);
void owners_free(struct owners **o);

/*
 * To be called for each pod event (and each read owner that is climbed through).
 * 0: known, or will be answered. -EINVAL: the reference is unusable. -ENOSPC: over
 * a maximum, counted; ask again at the next event. -ENOMEM.
 */
int owners_want(struct owners *o, nsec_t now, const struct owner_ref *ref, struct str ns);
/* owners_opts.refresh of answers from now on; 0: the default. */
void owners_tune(struct owners *o, nsec_t refresh);
/* Nobody refers to it any more. Unknown uids are ignored. */
void owners_forget(struct owners *o, struct str uid);

/* As reflector_poll; for ABORT only the id is filled. */
enum reflector_action owners_poll(struct owners *o, nsec_t now, struct owners_request *ret,
				  nsec_t *ret_deadline);
int owners_response(struct owners *o, nsec_t now, unsigned id, int status, struct str content_type,
		    nsec_t retry_after);
int owners_data(struct owners *o, nsec_t now, unsigned id, const void *p, size_t n);
void owners_end(struct owners *o, nsec_t now, unsigned id, enum reflector_end how,
		const char *text);

const struct owners_counters *owners_counters(const struct owners *o);
uint32_t owners_known(const struct owners *o);
uint32_t owners_queued(const struct owners *o);
