/*
 * The sinks of resources in a running agent, together: what they share, when all kinds
 * are known, resyncs, and what is told of them.
 */
#pragma once

#include "cli/agent_resources.h"
#include "cli/agent_streams.h"
#include "cli/agent_vector.h"

struct agent_sinks;
struct json_out;

struct agent_sinks_opts { /* what it points to must outlive it */
	const struct agent_config *cfg;
	struct event_base *base;
	struct agent_resources *resources;
	/* They are made, to see that they can be, and let go of until agent_sinks_lead. */
	bool standby;
	/* Whether anything may be written now; any thread. NULL: always. */
	bool (*may_write)(void *ctx);
	void *ctx;
};

/* 0 with NULL when there are no resources; or -errno, logged. */
int agent_sinks_new(const struct agent_sinks_opts *o, struct agent_sinks **ret);
/* Before the resources are freed. */
void agent_sinks_free(struct agent_sinks **s);

/* All take NULL. */
/* This agent leads: sinks begin with all there is. 0 or -errno, logged. */
int agent_sinks_lead(struct agent_sinks *s);
/* It leads no more: nothing further is written, what is under way is abandoned. Whoever asks them
 * something must have been told before (serve_set_sinks). */
void agent_sinks_drop(struct agent_sinks *s);
/* Lists everything anew and has it compared: by every sink ("") or the named one. 0 with the number
 * of objects; -ENOENT with words: no such sink; -ENOTSUP: no sinks. */
int agent_sinks_resync(struct agent_sinks *s, struct str sink, uint32_t *ret_objects,
		       struct buf *words);
/* The configuration has changed: filters (a resync of that sink), times and batches. */
void agent_sinks_tune(struct agent_sinks *s);
/* SIGHUP: files that were moved away are let go of. */
void agent_sinks_reopen(struct agent_sinks *s);
/* What waits is written, for as long as that takes but not over a bound; then `done`. */
void agent_sinks_stop(struct agent_sinks *s, void (*done)(void *ctx), void *ctx);
/* After agent_sinks_stop: its `done` is called now, unless it was. */
void agent_sinks_hurry(struct agent_sinks *s);
void agent_sinks_put(struct agent_sinks *s, struct json_out *j);
int agent_sinks_series(struct agent_sinks *s, struct buf *out);
void agent_sinks_figures(struct agent_sinks *s);
/* Bytes held by each kind of sink, and by what carries them. */
void agent_sinks_memory(struct agent_sinks *s,
			void (*put)(void *ctx, const char *part, size_t bytes), void *ctx);
/* A condition of readiness for each. */
void agent_sinks_ready(struct agent_sinks *s, nsec_t now, nsec_t grace, struct ready *r);
struct agent_vector *agent_sinks_vector(struct agent_sinks *s);
struct agent_streams *agent_sinks_streams(struct agent_sinks *s);
