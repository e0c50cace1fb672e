/*
 * The graph in SQLite: batches go to the worker as they are, for the relay leaves them
 * alone until they are taken.
 */
#include "base/mem.h"
#include "sink/graph/backends.h"
#include "sink/graph/rows.h"
#include "sink/sqlite/worker.h"

#include <errno.h>
#include <stdlib.h>

struct sqlite_backend {
	struct graph_backend b;
	struct worker *worker;
	struct graph_task task; /* the worker's while a job is under way */
};

static int run(void *ctx, struct sqlite3 *db, struct buf *error)
{
	const struct sqlite_backend *s = ctx;
	const struct graph_task *t = &s->task;

	if (t->items)
		return rows_write(db, s->b.cluster, s->b.epoch, t->items, t->n, error);
	return rows_sweep(db, s->b.cluster, s->b.epoch, str_of(t->group), str_of(t->kind), error);
}

static void ended(void *ctx, int r, struct str error)
{
	const struct sqlite_backend *s = ctx;
	struct vector_end end = {.how = r < 0 ? VECTOR_RETRY : VECTOR_OK, .text = error};

	s->task.done(s->task.ctx, &end);
}

static int put(struct sqlite_backend *s)
{
	return worker_put(s->worker, &(struct worker_job){.run = run, .done = ended, .ctx = s});
}

static int write_items(struct graph_backend *b, const struct relay_item *items, uint32_t n,
		       graph_done done, void *ctx)
{
	struct sqlite_backend *s = (struct sqlite_backend *)b;

	graph_task_write(&s->task, items, n, done, ctx);
	return put(s);
}

static int sweep(struct graph_backend *b, struct str group, struct str kind, graph_done done,
		 void *ctx)
{
	struct sqlite_backend *s = (struct sqlite_backend *)b;

	graph_task_sweep(&s->task, group, kind, done, ctx);
	return put(s);
}

static void cancel(struct graph_backend *b)
{
	struct sqlite_backend *s = (struct sqlite_backend *)b;

	worker_cancel(s->worker, s);
}

static void free_backend(struct graph_backend *b)
{
	cancel(b);
	free(b);
}

int graph_sqlite_new(struct worker *w, struct graph_backend **ret)
{
	static const struct graph_backend_ops ops = {
		.write = write_items, .sweep = sweep, .cancel = cancel, .free = free_backend};
	struct sqlite_backend *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->b.ops = &ops;
	s->worker = w;
	*ret = &s->b;
	return 0;
}
