/*
 * Pods that wait for an owner, bounded in number and time.
 *
 * A pod's time begins when it enters, or when its owner kind becomes readable,
 * whichever is later: a slow start never announces ReplicaSets that soon become
 * Deployments. First in, first out.
 */
#pragma once

#include "base/clock.h"
#include "inventory/inventory.h"

struct waiting;

struct waiting_opts {
	uint32_t max;	/* pods (--waiting-max) */
	nsec_t timeout; /* --waiting-timeout */
};

int waiting_new(const struct waiting_opts *o, struct waiting **ret);
void waiting_free(struct waiting **w);

/* Other limits: those that wait already are measured by them, too. */
void waiting_tune(struct waiting *w, const struct waiting_opts *o);

/* Enters the pod: 0 or -ENOMEM. One that is in already keeps its time as long as it waits for the
 * same kind. Over the maximum the oldest is due at once
 * and the overflow begins. */
int waiting_enter(struct waiting *w, pod_id id, enum kind owner_kind, struct str ns, nsec_t now);
void waiting_leave(struct waiting *w, pod_id id);
bool waiting_holds(const struct waiting *w, pod_id id);
uint32_t waiting_count(const struct waiting *w);

/* The owner kind can be read since `since`, or (NSEC_NEVER) not yet: pods that wait for it are not
 * due. `since` may lie ahead. An empty namespace means all. A kind never spoken of is readable from
 * the start; speak of it before pods wait for it. 0, -ENOMEM, -EMSGSIZE (over 4096 of them). */
int waiting_kind(struct waiting *w, enum kind kind, struct str ns, nsec_t since);

/* A pod whose time is over, removed; 0 when none is due. */
pod_id waiting_due(struct waiting *w, nsec_t now);
nsec_t waiting_deadline(const struct waiting *w);
/* True once after an overflow when no more than half of the maximum waits: time for one resync. */
bool waiting_overflow_over(struct waiting *w);
uint64_t waiting_overflows(const struct waiting *w); /* pods pushed out by the maximum so far */
