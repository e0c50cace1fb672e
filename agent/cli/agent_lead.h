/*
 * What an agent does only as the leader of several, begun and ended together: its
 * connection to the reducer, the sinks of resources, lines of flows. Watches, inventory
 * and store run all the same, so that who takes over knows the cluster already.
 *
 * Where nobody else could write (node scope, one agent alone) it leads from the start.
 */
#pragma once

#include "kube/elector.h"

struct agent;
struct buf;

struct agent_lead {		 /* embedded in struct agent */
	struct elector *elector; /* NULL: no election */
	bool leads;		 /* what a leader does has been begun */
	bool node_known;	 /* the reducer may be told who we are */
	void (*released)(void *ctx);
};

/* Settles whether there is an election. 0, or negative with words in `error`. Before what may have
 * to stand by is made. */
int agent_lead_new(struct agent *a, struct buf *error);
void agent_lead_free(struct agent *a);
/* With the client, when everything stands. */
void agent_lead_start(struct agent *a);
/* The agent's own node is known, or need not be waited for any longer. */
void agent_lead_node_known(struct agent *a);
/* The agent stops, and all that only a leader does is over: the lease is given back, then `done`
 * (with the agent) comes from the loop. */
void agent_lead_release(struct agent *a, void (*done)(void *ctx));

/* Whether anything may be written now; any thread. For readiness: agent_lead.leads. */
bool agent_lead_may_write(void *ctx);
/* "this agent stands by: pod-b leads" */
int agent_lead_words(const struct agent *a, struct buf *out);
/* A pod of which somebody else has told by now. Called on every tick. */
void agent_lead_tick(struct agent *a, nsec_t now);
/* Series about it in Prometheus' text format. 0, -EMSGSIZE or -ENOMEM. */
int agent_lead_series(const struct agent *a, struct buf *out);
