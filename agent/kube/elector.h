/*
 * The shell of lease.h: carries its requests over the client, wakes it in time, and
 * says in the log who leads. Decisions are the machine's.
 *
 * Its timer has the highest priority of the loop, so that a process that was stopped and
 * goes on hears that its time is over before anything else of the loop runs (the loop
 * must look for such events between two others: event_config_set_max_dispatch_interval).
 * Time is CLOCK_BOOTTIME: a machine that slept does not lead on.
 *
 * One thread, but for elector_leads.
 */
#pragma once

#include "kube/client.h"
#include "kube/lease.h"

struct elector;

struct elector_opts { /* texts are copied */
	struct event_base *base;
	const char *ns, *name; /* of the Lease */
	const char *identity;
	nsec_t duration, renew, retry; /* as lease_opts */
	uint64_t seed;
	/* From the loop. May be NULL. */
	void (*started)(void *ctx);
	void (*stopped)(void *ctx);
	void (*new_leader)(void *ctx, const char *holder);
	void *ctx;
};

/* 0, -EINVAL (times, identity) or -ENOMEM. */
int elector_new(const struct elector_opts *o, struct elector **ret);
void elector_free(struct elector **e);
/* Once. The client must outlive the elector, or be stopped by elector_free. */
void elector_start(struct elector *e, struct client *client);

/* Whether what only a leader may do may be done now. Any thread. */
bool elector_leads(const struct elector *e);
/* Leads no more, gives the Lease back if it can within `grace`, then calls `done` from the loop,
 * once. After client_stop, too. Everything that was done as the leader must be over. */
void elector_release(struct elector *e, nsec_t grace, void (*done)(void *ctx), void *ctx);

struct lease_status elector_status(const struct elector *e);
/* Why the last request came to nothing; "" when it did not. Borrowed. `ret_since` (clock_boot) is
 * when that began. */
const char *elector_error(const struct elector *e, nsec_t *ret_since);
/* "NAMESPACE/NAME, as IDENTITY"; 0 or -errno of the buffer. */
int elector_describe(const struct elector *e, struct buf *out);
