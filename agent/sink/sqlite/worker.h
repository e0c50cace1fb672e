/*
 * One SQLite file and the one thread that writes it, so that a slow disk holds up
 * nothing else. Jobs run one after the other on that thread and see copies only;
 * their ends are told on the loop.
 *
 * The queue is bounded: a full one refuses (-EAGAIN), and the caller keeps its mark
 * and comes again after the next job's end. A file that cannot be written (disk
 * full, read-only, corrupt) fails the job with SQLite's words and is tried again by
 * the caller's backoff; the rest of the agent goes on.
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

#define WORKER_MAX_JOBS 64

struct event_base;
struct sqlite3;
struct worker;

struct worker_job {
	/* On the worker's thread. The connection has the schema, WAL and a busy timeout; one
	 * transaction a job: committed when run returns 0 (or more), else rolled back. Returns 0 or
	 * -errno with words in `error` (its maximum is set). */
	int (*run)(void *ctx, struct sqlite3 *db, struct buf *error);
	/* On the loop, once, unless worker_cancel or worker_free came first (then `dropped`, which
	 * may be NULL). It may put and cancel jobs, not free the worker. */
	void (*done)(void *ctx, int r, struct str error);
	void (*dropped)(void *ctx);
	void *ctx;
	bool reads; /* it changes nothing: it runs also where nothing can be written */
};

struct worker_opts {
	struct event_base *base;
	const char *file; /* made when it is not there, mode 0600 */
	bool full_sync;	  /* see db_open */
	/* A disk that is full or cannot be written is no reason to fail: the file is opened when a
	 * job comes, and jobs fail until it can be. */
	bool patient;
	/* On the worker's thread, before a job that writes is committed: false rolls it back with
	 * -ECANCELED. May be NULL. */
	bool (*may_write)(void *ctx);
	void *ctx;
};

/* Whether it is the disk that does not let a file be opened, which may pass. */
bool worker_may_pass(int r);

/* Opens, makes or upgrades the schema. 0, or db.h's codes with words (file, SQLite's reason, what
 * to do): a newer schema than this program knows is refused. With `patient` there may be words with
 * 0: the file is not open yet. The process ignores SIGXFSZ from here on. */
int worker_new(const struct worker_opts *o, struct worker **ret, struct buf *ret_error);
/* From here on no job is committed: the one that runs is interrupted, rolled back and waited for.
 * To be freed. */
void worker_abandon(struct worker *w);
/* Waits for the running job; the others are dropped. */
void worker_free(struct worker **w);
/* 0 or -EAGAIN (the queue is full). */
int worker_put(struct worker *w, const struct worker_job *job);
/* Jobs with this ctx are dropped, one that runs is waited for; when it returns, nothing is called
 * with this ctx any more, so that it can be freed. */
void worker_cancel(struct worker *w, const void *ctx);
/* Whether worker_new could open the file. */
bool worker_was_open(const struct worker *w);
unsigned worker_queued(const struct worker *w);
const char *worker_file(const struct worker *w);
