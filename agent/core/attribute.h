/*
 * Gives flows their names: joins the flow table with the inventory. No I/O.
 *
 *     inventory ─ cursor ─ wakes the flows that wait for a pod
 *     flows ─ unnamed ─ match/end ─ names
 *
 * The remote end is the local end of the same connection's other side, where that
 * is on this node too; else what its address was when the flow began.
 */
#pragma once

#include "flow/flows.h"
#include "match/end.h"

struct attribute;

/* So long a remote end may wait for the collector's feed (scope.peers) to tell of the flow's time:
 * the table's flows_opts.remote_wait. */
#define ATTRIBUTE_PEERS_WAIT (5 * NSEC_PER_SEC)

struct attribute_opts {
	struct flows *flows;
	struct inventory *inventory; /* written to only through its cursor */
	struct end_scope scope; /* inventory and memo are filled in here; the rest is borrowed */
};

/* 0, -ENOMEM, or -EMSGSIZE (no place for another cursor). */
int attribute_new(const struct attribute_opts *o, struct attribute **ret);
void attribute_free(struct attribute **a);
/* A bounded piece of work: 1 more to do, 0 done for now, -ENOMEM run again later. */
int attribute_run(struct attribute *a, nsec_t now);
/* What changes while it runs: the host's addresses, its name, `unsynced`, the clocks' distance. */
struct end_scope *attribute_scope(struct attribute *a);
