#include "sink/sqlite/worker.h"

#include "base/mem.h"
#include "sink/sqlite/db.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdint.h>
#include <sys/eventfd.h>

#define STEPS_A_LOOK 10000 /* of SQLite's machine, about a millisecond */

struct slot {
	struct worker_job job;
	struct buf error;
	int r;
	bool cancelled; /* `dropped` was called */
};

/* The ring holds, oldest first: jobs that ran and whose end is to be told, the one that runs, and
 * those that wait. Numbers only grow; a job's slot is its number modulo the size. */
struct worker {
	pthread_t thread;
	pthread_mutex_t lock; /* guards all below but what the thread and the loop own */
	pthread_cond_t more;  /* a job, or the end */
	pthread_cond_t ran;
	struct slot ring[WORKER_MAX_JOBS];
	uint64_t told, ran_to, put; /* numbers: first to tell, first to run, next to put */
	bool running, stop, abandoned;
	bool (*may_write)(void *ctx);
	void *may_ctx;

	struct sqlite3 *db; /* the thread's; NULL: not open yet */
	char *file;
	bool full_sync, was_open;
	int wake; /* eventfd: something is to be told */
	struct event *woken;
	bool started;
};

static struct slot *slot_at(struct worker *w, uint64_t number)
{
	return &w->ring[number % WORKER_MAX_JOBS];
}

/* ---- the thread ------------------------------------------------------------------------------ */

static int is_abandoned(void *ctx)
{
	struct worker *w = ctx;
	bool abandoned;

	(void)pthread_mutex_lock(&w->lock);
	abandoned = w->abandoned;
	(void)pthread_mutex_unlock(&w->lock);
	return abandoned;
}

/* A statement asks now and then whether it is still wanted: sqlite3_interrupt would be lost on a
 * job that is between two statements. */
static int open_db(struct worker *w, struct buf *error)
{
	int r = db_open(w->file, w->full_sync, &w->db, error);

	if (r == 0)
		sqlite3_progress_handler(w->db, STEPS_A_LOOK, is_abandoned, w);
	return r;
}

static bool may_commit(struct worker *w, const struct worker_job *job)
{
	return !is_abandoned(w) && (job->reads || !w->may_write || w->may_write(w->may_ctx));
}

static int run_in_transaction(struct worker *w, struct slot *s)
{
	int r = w->db ? 0 : open_db(w, &s->error);

	if (r < 0)
		return r;
	r = db_exec(w->db, s->job.reads ? "BEGIN" : "BEGIN IMMEDIATE", &s->error);

	r = r < 0 ? r : s->job.run(s->job.ctx, w->db, &s->error);
	if (r >= 0 && !may_commit(w, &s->job))
		r = -ECANCELED;
	if (r >= 0) {
		int c = db_exec(w->db, "COMMIT", &s->error);

		r = c < 0 ? c : r;
	}
	if (!sqlite3_get_autocommit(w->db))
		(void)db_exec(w->db, "ROLLBACK", NULL);
	return r;
}

static void run_next(struct worker *w)
{
	struct slot *s = slot_at(w, w->ran_to);
	const uint64_t one = 1;

	if (!s->cancelled) {
		w->running = true;
		(void)pthread_mutex_unlock(&w->lock);
		s->r = run_in_transaction(w, s);
		(void)pthread_mutex_lock(&w->lock);
		w->running = false;
	}
	w->ran_to++;
	(void)pthread_cond_broadcast(&w->ran);
	(void)!write(w->wake, &one, sizeof(one));
}

static void *run(void *ctx)
{
	struct worker *w = ctx;

	(void)pthread_mutex_lock(&w->lock);
	while (!w->stop) {
		if (w->ran_to == w->put)
			(void)pthread_cond_wait(&w->more, &w->lock);
		else
			run_next(w);
	}
	(void)pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- the loop -------------------------------------------------------------------------------- */

/* The slot may be used again as soon as the lock is given back: its job goes out as a copy. */
static bool take_told(struct worker *w, struct slot *ret)
{
	bool any;

	(void)pthread_mutex_lock(&w->lock);
	any = w->told != w->ran_to;
	if (any) {
		struct slot *s = slot_at(w, w->told);

		*ret = *s;
		*s = (struct slot){0};
		w->told++;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return any;
}

static void on_wake(evutil_socket_t fd, short what, void *ctx)
{
	struct worker *w = ctx;
	uint64_t count;
	struct slot s;

	(void)what;
	(void)!read(fd, &count, sizeof(count));
	while (take_told(w, &s)) {
		if (!s.cancelled)
			s.job.done(s.job.ctx, s.r, buf_str(&s.error));
		buf_done(&s.error);
	}
}

int worker_put(struct worker *w, const struct worker_job *job)
{
	int r = -EAGAIN;

	(void)pthread_mutex_lock(&w->lock);
	if (w->put - w->told < WORKER_MAX_JOBS) {
		*slot_at(w, w->put) = (struct slot){.job = *job, .error = {.max = DB_ERROR_MAX}};
		w->put++;
		(void)pthread_cond_signal(&w->more);
		r = 0;
	}
	(void)pthread_mutex_unlock(&w->lock);
	return r;
}

unsigned worker_queued(const struct worker *cw)
{
	struct worker *w = (struct worker *)(uintptr_t)cw; /* the lock is not part of the value */
	unsigned n;

	(void)pthread_mutex_lock(&w->lock);
	n = (unsigned)(w->put - w->told);
	(void)pthread_mutex_unlock(&w->lock);
	return n;
}

bool worker_was_open(const struct worker *w)
{
	return w->was_open;
}

const char *worker_file(const struct worker *w)
{
	return w->file;
}

/* Callers hold no lock. `dropped` is called without it, too: it may free what it likes. */
static void drop(struct worker *w, const void *ctx, bool all)
{
	for (uint64_t i = w->told;; i++) {
		struct worker_job job = {0};

		(void)pthread_mutex_lock(&w->lock);
		i = MAX(i, w->told);
		if (i >= w->put) {
			(void)pthread_mutex_unlock(&w->lock);
			return;
		}
		if (!slot_at(w, i)->cancelled && (all || slot_at(w, i)->job.ctx == ctx)) {
			slot_at(w, i)->cancelled = true;
			while (w->running && w->ran_to == i)
				(void)pthread_cond_wait(&w->ran, &w->lock);
			job = slot_at(w, i)->job;
		}
		(void)pthread_mutex_unlock(&w->lock);
		if (job.dropped)
			job.dropped(job.ctx);
	}
}

void worker_cancel(struct worker *w, const void *ctx)
{
	drop(w, ctx, false);
}

/* ---- birth and end --------------------------------------------------------------------------- */

/* Signals are the loop's. */
static int start(struct worker *w)
{
	sigset_t all, before;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_BLOCK, &all, &before);
	r = pthread_create(&w->thread, NULL, run, w);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->started = r == 0;
	return -r;
}

static int prepare(struct worker *w, const struct worker_opts *o)
{
	w->file = str_dup(str_of(o->file));
	w->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake < 0)
		return -errno;
	w->woken = event_new(o->base, w->wake, EV_READ | EV_PERSIST, on_wake, w);
	return w->file && w->woken && event_add(w->woken, NULL) == 0 ? 0 : -ENOMEM;
}

bool worker_may_pass(int r)
{
	return r == -EACCES || r == -EPERM || r == -EROFS || r == -ENOSPC || r == -EDQUOT ||
	       r == -EFBIG || r == -EIO;
}

int worker_new(const struct worker_opts *o, struct worker **ret, struct buf *ret_error)
{
	struct worker *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->wake = -1;
	(void)signal(SIGXFSZ, SIG_IGN); /* a limit of file sizes is an error like a full disk */
	(void)pthread_mutex_init(&w->lock, NULL);
	(void)pthread_cond_init(&w->more, NULL);
	(void)pthread_cond_init(&w->ran, NULL);
	r = prepare(w, o);
	(void)signal(SIGXFSZ, SIG_IGN); /* over the limit of a file's size: an error like others */
	w->full_sync = o->full_sync;
	w->may_write = o->may_write;
	w->may_ctx = o->ctx;
	r = r < 0 ? r : open_db(w, ret_error);
	w->was_open = r == 0;
	if (o->patient && worker_may_pass(r))
		r = 0;
	r = r < 0 ? r : start(w);
	if (r < 0)
		worker_free(&w);
	else
		*ret = w;
	return r;
}

void worker_abandon(struct worker *w)
{
	(void)pthread_mutex_lock(&w->lock);
	w->abandoned = w->stop = true;
	(void)pthread_cond_signal(&w->more);
	(void)pthread_mutex_unlock(&w->lock);
	if (w->started)
		(void)pthread_join(w->thread, NULL);
	w->started = false;
}

void worker_free(struct worker **pw)
{
	struct worker *w = *pw;

	*pw = NULL;
	if (!w)
		return;
	(void)pthread_mutex_lock(&w->lock);
	w->stop = true;
	(void)pthread_cond_signal(&w->more);
	(void)pthread_mutex_unlock(&w->lock);
	if (w->started)
		(void)pthread_join(w->thread, NULL);
	drop(w, NULL, true);
	for (size_t i = 0; i < ARRAY_SIZE(w->ring); i++)
		buf_done(&w->ring[i].error);
	if (w->woken)
		event_free(w->woken);
	if (w->wake >= 0)
		(void)close(w->wake);
	if (w->db)
		db_close(&w->db);
	(void)pthread_cond_destroy(&w->ran);
	(void)pthread_cond_destroy(&w->more);
	(void)pthread_mutex_destroy(&w->lock);
	free(w->file);
	free(w);
}
