/*
 * The SQLite files of an agent, each with one worker, whoever writes to it: documents,
 * ledger and graph may share a file.
 */
#pragma once

#include "sink/sqlite/worker.h"

#define AGENT_FILES_MAX 16

struct agent_files { /* embedded */
	struct event_base *base;
	bool (*may_write)(void *ctx); /* as worker_opts; may be NULL */
	void *ctx;
	struct worker *workers[AGENT_FILES_MAX];
	unsigned n;
};

/* The file's worker, made when it is the first to ask. 0 or -errno; what went wrong is logged. */
int agent_files_get(struct agent_files *f, const char *file, struct worker **ret);
/* Nothing more is written: before those who write are freed. */
void agent_files_abandon(struct agent_files *f);
/* After all who write. */
void agent_files_done(struct agent_files *f);
