/*
 * The vector sink in a running agent: an embedder, a database and a sync for each
 * --vector, driven by timers of the loop.
 */
#pragma once

#include "cli/agent_files.h"
#include "config/agent_options.h"
#include "sink/vector/sync.h"
#include "store/store.h"

struct agent_vector;

struct agent_vector_opts { /* what it points to must outlive it */
	const struct agent_config *cfg;
	struct event_base *base;
	struct agent_files *files;
	struct http *http;
	struct store *store;
};

/* 0 with NULL when no database is wanted; or -errno, logged. */
int agent_vector_new(const struct agent_vector_opts *o, struct agent_vector **ret);
void agent_vector_free(struct agent_vector **v);
/* What the options would be refused for by embedder and databases: 0; -EINVAL or -errno with words;
 * -ENOMEM. No file is made; with `files` tokens and certificates are read. base and http alone are
 * needed besides the configuration. */
int agent_vector_check(const struct agent_vector_opts *o, bool files, struct buf *words);

/* All take NULL. */
void agent_vector_kinds_complete(struct agent_vector *v, bool complete);
void agent_vector_resync(struct agent_vector *v);
/* Another filter (and a resync), other times and batches. */
void agent_vector_tune(struct agent_vector *v);
/* Sends what waits; `done` is called on the loop when all have everything, are away or refuse, or
 * `patience` has passed. Once. */
void agent_vector_stop(struct agent_vector *v, nsec_t patience, void (*done)(void *ctx), void *ctx);
/* After agent_vector_stop: its `done` is called now, unless it was. */
void agent_vector_hurry(struct agent_vector *v);

unsigned agent_vector_n(const struct agent_vector *v);
struct sync *agent_vector_sync(struct agent_vector *v, unsigned i);
/* The embedder of questions to that database; NULL where the database does without. */
struct embedder *agent_vector_asker(struct agent_vector *v, unsigned i);
/* The first that can be searched, or -1. */
int agent_vector_searchable(const struct agent_vector *v);
