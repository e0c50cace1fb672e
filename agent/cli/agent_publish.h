/*
 * The collector's feed for agents of nodes, in a running agent: the publisher is run as
 * the inventory changes and as its own time comes. No decision about data is made here.
 */
#pragma once

#include "base/buf.h"

struct agent;
struct agent_publish;
struct prom;
struct publish;

/* With --serve-peers; else 0 with *ret NULL. After the core is made. 0, or negative and logged. */
int agent_publish_new(struct agent *a, struct agent_publish **ret);
/* Before the core goes and after the server has gone. */
void agent_publish_free(struct agent_publish **p);
/* The inventory may have changed. Cheap; NULL-safe. */
void agent_publish_wake(struct agent_publish *p);
/* NULL: there is no feed. */
struct publish *agent_publish_feed(const struct agent_publish *p);
/* Whether it may be given to anybody: this agent leads, and knows the whole cluster. */
bool agent_publish_ready(const struct agent *a, struct buf *words);
size_t agent_publish_bytes(const struct agent_publish *p);
void agent_publish_series(const struct agent_publish *p, struct prom *out);
