/*
 * One leader among several agents, by a coordination.k8s.io Lease: who may write to
 * what all of them could write to.
 *
 * Pure, like the reflector: time and answers come in as arguments, requests and
 * deadlines go out. The shell (elector.c) carries the requests out; lease_object.h
 * turns records into JSON and back.
 *
 *   waits    reads the Lease every `retry`, and takes it when it is free, or when it
 *            has not changed for as long as its holder may lead without renewing it.
 *            "Not changed" is measured on this machine's own clock from when the last
 *            change was seen: the times in the Lease are never compared with a clock
 *   leads    writes the Lease every `retry`; until `renew` after the moment at which
 *            the last acknowledged write was sent, and not an instant longer
 *
 * Why there are never two: a write that was acknowledged was stored after it was sent,
 * and seen by others after it was stored. So whoever waits `duration` waits past the
 * moment at which the leader stopped by itself, as long as their clocks run at rates
 * that differ by less than duration / renew (1.5 by default). Whatever is lost, late,
 * or comes twice on the way, the resourceVersion lets only one write of two replace
 * the same Lease. A process that was stopped and goes on has to ask lease_leads before
 * each thing it does as the leader; it then learns that its time is over.
 *
 * A Lease that is held under this agent's own name by somebody else (two processes of
 * one name, or this one before it was killed) counts as anybody else's.
 *
 * Who deletes the Lease object takes the protection away: an agent that starts at that
 * moment finds no Lease and leads, while the leader learns of it at its next renewal.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define LEASE_DURATION	   (15 * NSEC_PER_SEC)
#define LEASE_RENEW	   (10 * NSEC_PER_SEC)
#define LEASE_RETRY	   (2 * NSEC_PER_SEC)
#define LEASE_DURATION_MAX (600 * NSEC_PER_SEC) /* a holder that claims more is not believed */
#define LEASE_MAX_HOLDER   512			/* bytes of a holder's name */
#define LEASE_MAX_TIME	   48
#define LEASE_MAX_VERSION  256

struct lease;

/* The parts of a Lease that matter here. Texts are as the server has them. */
struct lease_record {
	char holder[LEASE_MAX_HOLDER]; /* "": nobody's */
	char acquired[LEASE_MAX_TIME], renewed[LEASE_MAX_TIME];
	char version[LEASE_MAX_VERSION]; /* resourceVersion */
	uint32_t duration_s, transitions;
};

/* Callbacks come from lease_poll, lease_answer and lease_release, and may call lease_leads and
 * lease_status. Each may be NULL. */
struct lease_ops {
	void (*started)(void *ctx);
	void (*stopped)(void *ctx);
	/* Another holder was seen than before, perhaps this agent itself. */
	void (*new_leader)(void *ctx, const char *holder);
};

struct lease_opts {
	const char *identity; /* not empty, below LEASE_MAX_HOLDER bytes; copied */
	/* 0 means the default. retry < renew < duration. */
	nsec_t duration, renew, retry;
	uint64_t seed;
	const struct lease_ops *ops;
	void *ctx;
};

/* 0, -EINVAL or -ENOMEM. */
int lease_new(const struct lease_opts *o, struct lease **ret);
void lease_free(struct lease **l);

enum lease_action {
	LEASE_NONE,
	LEASE_READ,
	LEASE_CREATE,
	LEASE_UPDATE, /* replaces the one of record->version */
	LEASE_ABORT,  /* the request under way is not waited for any longer */
};

struct lease_request {
	uint64_t id;			   /* goes back with the answer */
	const struct lease_record *record; /* to write; borrowed until the next call */
};

/*
 * What to do now, and when to poll again at the latest (NSEC_NEVER: only after another call). One
 * request is under way at a time; answers to others than the last are ignored. `wall` is for the
 * texts in the Lease alone.
 */
enum lease_action lease_poll(struct lease *l, nsec_t now, nsec_t wall, struct lease_request *ret,
			     nsec_t *ret_deadline);

struct lease_answer {
	uint64_t id;
	int status;			   /* of HTTP; 0: none came, or none that is understood */
	const struct lease_record *record; /* with 200 and 201, else NULL */
	nsec_t retry_after;
};
void lease_answer(struct lease *l, nsec_t now, const struct lease_answer *a);

/* Whether what only a leader may do may be done at `now`. */
bool lease_leads(const struct lease *l, nsec_t now);
/* Leads no more, and gives the Lease back if it is this agent's: poll on until lease_over. */
void lease_release(struct lease *l, nsec_t now);
bool lease_over(const struct lease *l);

struct lease_status {
	bool leads;
	nsec_t until;	      /* if it leads: when it stops unless it renews */
	const char *holder;   /* as seen last, "": nobody; borrowed until the next call */
	nsec_t changed;	      /* when the Lease was last seen to change; 0: it was never seen */
	uint32_t transitions; /* the Lease's own count of holders */
	unsigned tries;	      /* requests in a row that came to nothing */
	uint64_t requests, renewals, conflicts, failures, acquired, lost;
};
struct lease_status lease_status(const struct lease *l, nsec_t now);
