/*
 * The resource side of a running agent, wired: the collector's reflectors and the
 * core's watches feed the store, redacted; sinks and questions read it. No decision
 * about data is made here.
 */
#pragma once

#include "cli/agent_words.h"
#include "config/agent_options.h"
#include "core/collect.h"
#include "kube/client.h"

struct agent_resources;
struct event_base;
struct ready;

struct agent_resources_opts {
	const struct agent_config *cfg; /* borrowed, as all here */
	struct event_base *base;
	const struct reflector_opts *watch; /* what all watches share; copied */
	struct agent_words *words;
	/* An object was read again: answers may wait for it. */
	void (*fetched)(void *ctx);
	void *ctx;
};

/* Makes store, redaction and collector. 0 with *ret NULL: resources are off. Negative with words in
 * ret_error: an expression or a selector that is none; or no memory. */
int agent_resources_new(const struct agent_resources_opts *o, struct agent_resources **ret,
			struct buf *ret_error);
/* After client_free, before core_free. NULL-safe. */
void agent_resources_free(struct agent_resources **r);

/* Before core_new: the core's watches are heard. NULL-safe. */
void agent_resources_tap(struct agent_resources *r, struct core_opts *o);
/* After core_new. 0, or negative with words. */
int agent_resources_join(struct agent_resources *r, struct core *core, struct buf *ret_error);
/* How many watches the client may have besides the core's. */
unsigned agent_resources_watches(const struct agent_resources *r);
/* The configuration has changed: the store's limits, the interval of resyncs, and of `watch` what
 * reflector_tune takes. */
void agent_resources_tune(struct agent_resources *r, const struct reflector_opts *watch);
/* With the client, when everything stands. */
void agent_resources_start(struct agent_resources *r, struct client *client);
/* Nothing is asked for any more; the store stays. After client_stop. */
void agent_resources_stop(struct agent_resources *r);

struct store *agent_resources_store(struct agent_resources *r);
struct collect *agent_resources_collect(struct agent_resources *r);
/* Whether the kinds are in step: one condition of readiness; NULL: none. */
void agent_resources_ready(const struct agent_resources *r, nsec_t now, nsec_t grace,
			   struct ready *to);
/* Bytes of the collector and its watches. */
size_t agent_resources_bytes(const struct agent_resources *r);
/* One line of figures. */
void agent_resources_figures(const struct agent_resources *r);
/* Series about them in Prometheus' text format; also without resources (NULL). 0, -EMSGSIZE or
 * -ENOMEM. */
int agent_resources_series(const struct agent_resources *r, struct buf *out);
