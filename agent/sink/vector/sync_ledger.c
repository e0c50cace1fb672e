/*
 * Rows for the ledger are copied into a job of the worker. What is on its way when the
 * sync ends is dropped: the database has it, and is asked at the next start.
 */
#include "sink/vector/sync_ledger.h"

#include "base/mem.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct entry { /* a job: rows to put, ids to delete, or (neither) what the database is filled with
		*/
	struct sync_book *book;
	struct arena arena;
	struct ledger_row *rows;
	struct str *ids;
	uint32_t n;
	struct str model, template_;
	uint32_t dim;
	void (*done)(void *ctx, int r, struct str error);
	void *ctx;
	struct entry *next;
};

struct sync_book {
	struct worker *worker;
	char *backend;
	char *home;	       /* the collection that is in the same file; NULL: elsewhere */
	struct entry *entries; /* on their way */
};

int sync_book_new(struct worker *worker, const char *backend, const char *home,
		  struct sync_book **ret)
{
	struct sync_book *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;
	b->worker = worker;
	b->backend = str_dup(str_of(backend));
	b->home = home ? str_dup(str_of(home)) : NULL;
	if (!b->backend || (home && !b->home)) {
		sync_book_free(&b);
		return -ENOMEM;
	}
	*ret = b;
	return 0;
}

static void entry_free(struct entry *e)
{
	arena_done(&e->arena);
	free(e->rows);
	free(e->ids);
	free(e);
}

void sync_book_free(struct sync_book **bp)
{
	struct sync_book *b = *bp;

	if (!b)
		return;
	while (b->entries) {
		struct entry *e = b->entries;

		b->entries = e->next;
		worker_cancel(b->worker, e);
		entry_free(e);
	}
	free(b->backend);
	free(b->home);
	free(b);
	*bp = NULL;
}

static void entry_unlink(struct entry *e)
{
	struct entry **at = &e->book->entries;

	while (*at != e)
		at = &(*at)->next;
	*at = e->next;
}

/* ---- on the worker's thread ------------------------------------------------------------------ */

/* Whether it was filled with the same. A new database is told of. */
static int check_model(struct entry *e, struct sqlite3 *db, struct buf *error)
{
	_buf_ struct buf model = {.max = 1024}, template_ = {.max = 1024};
	struct str backend = str_of(e->book->backend);
	uint32_t dim;
	int r = ledger_backend(db, backend, &model, &dim, &template_, error);

	if (r == -ENOENT)
		return ledger_backend_set(db, backend, e->model, e->dim, e->template_, error);
	if (r < 0 || (str_eq(buf_str(&model), e->model) && dim == e->dim &&
		      str_eq(buf_str(&template_), e->template_)))
		return r;
	(void)buf_printf(error,
			 "it was filled with model %.*s of %u dimensions, template %.*s; now it is "
			 "%.*s of %u, %.*s: --reembed makes a new collection",
			 STR_ARG(buf_str(&model)), dim, STR_ARG(buf_str(&template_)),
			 STR_ARG(e->model), e->dim, STR_ARG(e->template_));
	return -EEXIST;
}

static int begin(struct entry *e, struct sqlite3 *db, struct buf *error)
{
	const struct sync_book *b = e->book;
	int r = check_model(e, db, error);

	return r < 0 || !b->home ? r
				 : ledger_set_home(db, str_of(b->backend), str_of(b->home), error);
}

static int entry_run(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct entry *e = ctx;

	if (!e->rows && !e->ids)
		return begin(e, db, error);
	return e->rows ? ledger_put(db, e->rows, e->n, error)
		       : ledger_delete(db, str_of(e->book->backend), e->ids, e->n, error);
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void entry_done(void *ctx, int r, struct str error)
{
	struct entry *e = ctx;

	entry_unlink(e);
	e->done(e->ctx, r, error);
	entry_free(e);
}

static void entry_dropped(void *ctx)
{
	(void)ctx; /* freed by sync_book_free */
}

static int entry_new(struct sync_book *b, uint32_t n, struct entry **ret)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return -ENOMEM;
	e->book = b;
	e->n = n;
	arena_init(&e->arena, 16UL << 20);
	*ret = e;
	return 0;
}

static int entry_put(struct entry *e, void (*done)(void *ctx, int r, struct str error), void *ctx)
{
	const struct worker_job job = {
		.run = entry_run, .done = entry_done, .dropped = entry_dropped, .ctx = e};
	int r = worker_put(e->book->worker, &job);

	if (r < 0)
		return r;
	e->done = done;
	e->ctx = ctx;
	e->next = e->book->entries;
	e->book->entries = e;
	return 0;
}

static int copy_row(struct entry *e, uint32_t i, const struct ledger_row *from)
{
	struct ledger_row *to = &e->rows[i];
	uint8_t *hashes = arena_alloc(&e->arena, 2 * (size_t)DOC_HASH_SIZE);
	int r = hashes ? arena_dup(&e->arena, from->id, &to->id) : -ENOMEM;

	if (r == 0)
		r = arena_dup(&e->arena, from->uid, &to->uid);
	if (r == 0)
		r = arena_dup(&e->arena, from->reason, &to->reason);
	if (r < 0)
		return r;
	memcpy(hashes, from->text_hash, DOC_HASH_SIZE);
	memcpy(hashes + DOC_HASH_SIZE, from->meta_hash, DOC_HASH_SIZE);
	to->text_hash = hashes;
	to->meta_hash = hashes + DOC_HASH_SIZE;
	to->backend = str_of(e->book->backend);
	to->state = from->state;
	return 0;
}

static int book_put(void *ctx, const struct ledger_row *rows, uint32_t n,
		    void (*done)(void *done_ctx, int r, struct str error), void *done_ctx)
{
	struct entry *e = NULL;
	int r = entry_new(ctx, n, &e);

	if (r < 0)
		return r;
	e->rows = calloc(n, sizeof(*e->rows));
	r = e->rows ? 0 : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = copy_row(e, i, &rows[i]);
	if (r == 0)
		r = entry_put(e, done, done_ctx);
	if (r < 0)
		entry_free(e);
	return r;
}

static int book_remove(void *ctx, const struct str *ids, uint32_t n,
		       void (*done)(void *done_ctx, int r, struct str error), void *done_ctx)
{
	struct entry *e = NULL;
	int r = entry_new(ctx, n, &e);

	if (r < 0)
		return r;
	e->ids = calloc(n, sizeof(*e->ids));
	r = e->ids ? 0 : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = arena_dup(&e->arena, ids[i], &e->ids[i]);
	if (r == 0)
		r = entry_put(e, done, done_ctx);
	if (r < 0)
		entry_free(e);
	return r;
}

static int book_begin(void *ctx, struct str model, uint32_t dim, struct str template_,
		      void (*done)(void *done_ctx, int r, struct str error), void *done_ctx)
{
	struct entry *e = NULL;
	int r = entry_new(ctx, 0, &e);

	if (r < 0)
		return r;
	e->dim = dim;
	r = arena_dup(&e->arena, model, &e->model);
	if (r == 0)
		r = arena_dup(&e->arena, template_, &e->template_);
	if (r == 0)
		r = entry_put(e, done, done_ctx);
	if (r < 0)
		entry_free(e);
	return r;
}

/* At the start, before there is anything to hold up: a connection of its own. A disk that cannot be
 * read is no reason not to start: the database is asked then. */
static int book_load(void *ctx, int (*row)(void *row_ctx, const struct ledger_row *r),
		     void *row_ctx, struct buf *error)
{
	struct sync_book *b = ctx;
	_db_ struct sqlite3 *db = NULL;
	int r;

	if (!worker_was_open(b->worker))
		return 0;
	r = db_open_reader(worker_file(b->worker), &db, error);
	return r < 0 ? r : ledger_each(db, str_of(b->backend), row, row_ctx, error);
}

struct sync_ledger sync_book_ledger(struct sync_book *b)
{
	return (struct sync_ledger){.load = book_load,
				    .begin = book_begin,
				    .put = book_put,
				    .remove = book_remove,
				    .ctx = b,
				    .at_home = b->home};
}
