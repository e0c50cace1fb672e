/*
 * The graph and event sinks of a running agent, one for each --graph and --events, and
 * --capabilities; driven by timers of the loop.
 */
#pragma once

#include "cli/agent_files.h"
#include "config/agent_options.h"
#include "sink/capabilities/capabilities.h"
#include "sink/events/events.h"
#include "sink/graph/graph.h"

struct agent_streams;
struct json_out;
struct ready;

struct agent_streams_opts { /* what it points to must outlive it */
	const struct agent_config *cfg;
	struct event_base *base;
	struct agent_files *files;
	struct http *http;
	struct store *store;
};

/* 0 with NULL when none is wanted; or -errno, logged. */
int agent_streams_new(const struct agent_streams_opts *o, struct agent_streams **ret);
void agent_streams_free(struct agent_streams **s);
/* Nothing more is written, not what waits either: to be freed. NULL-safe. */
void agent_streams_drop(struct agent_streams *s);

/* All take NULL. */
void agent_streams_resync(struct agent_streams *s);
/* The one of that name alone: whether there is such a one. */
bool agent_streams_resync_one(struct agent_streams *s, struct str name);
/* Other filters, each with a resync of its sinks; another debounce of --capabilities. */
void agent_streams_tune(struct agent_streams *s);
/* Files that were moved away are let go of. */
void agent_streams_reopen(struct agent_streams *s);
void agent_streams_put(struct agent_streams *s, struct json_out *j);
int agent_streams_series(struct agent_streams *s, struct buf *out);
void agent_streams_figures(struct agent_streams *s);
/* Bytes of the graphs, or of the others. */
size_t agent_streams_bytes(struct agent_streams *s, bool graphs);
/* A condition of readiness for each. */
void agent_streams_ready(struct agent_streams *s, nsec_t now, nsec_t grace, struct ready *r);
/* The worker of the file that the first graph is kept in; NULL. */
struct worker *agent_streams_graph(struct agent_streams *s);
