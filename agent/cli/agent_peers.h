/*
 * A node's subscription to the collector's feed, in a running agent: looks the host up,
 * carries peers.h's requests out over http, and says how it goes. No decision about
 * data is made here.
 */
#pragma once

#include "base/buf.h"

struct agent_config;
struct agent_peers;
struct event_base;
struct peers;
struct prom;
struct ready;

struct agent_peers_opts {
	const struct agent_config *cfg; /* borrowed */
	struct event_base *base;
	const char *user_agent;	  /* copied */
	void (*heard)(void *ctx); /* something was learned, or a later time is known */
	void *ctx;
};

/* With --peers; else 0 with *ret NULL. 0, -ENOMEM, or negative with words in ret_error. */
int agent_peers_new(const struct agent_peers_opts *o, struct agent_peers **ret,
		    struct buf *ret_error);
void agent_peers_free(struct agent_peers **p);
/* Both NULL-safe. */
void agent_peers_start(struct agent_peers *p);
void agent_peers_stop(struct agent_peers *p);
/* What is known; NULL: there is no subscription. */
const struct peers *agent_peers_known(const struct agent_peers *p);
size_t agent_peers_bytes(const struct agent_peers *p);
/* A condition that never fails: without the feed remote ends are unknown, and all else goes on. */
void agent_peers_ready(const struct agent_peers *p, struct ready *r);
void agent_peers_series(const struct agent_peers *p, struct prom *out);
