/*
 * The agent's own Node object: zone, instance type and cloud belong into the
 * handshake, but nobody waits for them for long, and a Node that cannot be read
 * is asked for again.
 */
#pragma once

#include "base/backoff.h"
#include "kube/client.h"
#include "sink/reducer/session.h"

struct agent_node {
	const char *name; /* NULL: no node, nothing to ask */
	struct client *client;
	struct session *session;
	struct inventory *inventory; /* takes its addresses, for the ends of flows; may be NULL */
	/* Once: the Node is known, or need not be waited for any longer. */
	void (*ready)(void *ctx);
	/* It came later. */
	void (*late)(void *ctx);
	void *ctx;
	/* private */
	struct event *timer;
	struct backoff backoff;
	struct rng rng;
	nsec_t first_failure;
	bool asking, told;
};

/* The public fields are filled already. 0 or -ENOMEM. */
int agent_node_start(struct agent_node *n, struct event_base *base);
void agent_node_done(struct agent_node *n);
