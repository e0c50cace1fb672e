#include "sink/sqlite/ledger.h"

#include "sink/sqlite/db.h"

#include <errno.h>
#include <sqlite3.h>

/* ---- backends -------------------------------------------------------------------------------- */

/* 0 with the number, 0 when there is none. */
static int find_backend(struct sqlite3 *db, struct str backend, int64_t *ret, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db, "SELECT number FROM ledger_backend WHERE name = ?", false, &s,
			   error);

	if (r < 0)
		return r;
	db_bind_text(s, 1, backend);
	r = db_step(s, error);
	if (r < 0)
		return r;
	*ret = r ? sqlite3_column_int64(s, 0) : 0;
	return 0;
}

int ledger_backend(struct sqlite3 *db, struct str backend, struct buf *ret_model, uint32_t *ret_dim,
		   struct buf *ret_template, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db, "SELECT model, dim, template FROM ledger_backend WHERE name = ?",
			   false, &s, error);

	if (r < 0)
		return r;
	db_bind_text(s, 1, backend);
	r = db_step(s, error);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	r = buf_append_str(ret_model, db_text(s, 0));
	r = r < 0 ? r : buf_append_str(ret_template, db_text(s, 2));
	if (r == 0)
		*ret_dim = (uint32_t)sqlite3_column_int64(s, 1);
	return r;
}

int ledger_backend_set(struct sqlite3 *db, struct str backend, struct str model, uint32_t dim,
		       struct str template_, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db,
			   "INSERT INTO ledger_backend(name, model, dim, template) VALUES(?,?,?,?) "
			   "ON CONFLICT(name) DO UPDATE SET model = excluded.model, "
			   "dim = excluded.dim, template = excluded.template",
			   false, &s, error);

	if (r < 0)
		return r;
	db_bind_some(s, 1, backend);
	db_bind_some(s, 2, model);
	(void)sqlite3_bind_int64(s, 3, dim);
	db_bind_some(s, 4, template_);
	return db_run(s, error);
}

int ledger_set_home(struct sqlite3 *db, struct str backend, struct str collection,
		    struct buf *error)
{
	_stmt_ struct sqlite3_stmt *name = NULL, *rows = NULL;
	int r = db_prepare(db,
			   "UPDATE ledger_backend SET collection = ?2 "
			   "WHERE name = ?1 AND collection IS NOT ?2",
			   false, &name, error);

	r = r < 0 ? r
		  : db_prepare(db,
			       "DELETE FROM ledger_row WHERE state = ?2 AND backend = "
			       "(SELECT number FROM ledger_backend WHERE name = ?1)",
			       false, &rows, error);
	if (r < 0)
		return r;
	db_bind_some(name, 1, backend);
	db_bind_some(name, 2, collection);
	db_bind_some(rows, 1, backend);
	(void)sqlite3_bind_int(rows, 2, LEDGER_STORED);
	r = db_run(name, error);
	return r < 0 ? r : db_run(rows, error);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void bind_hash(struct sqlite3_stmt *s, int at, const uint8_t *hash)
{
	if (hash)
		db_bind_blob(s, at, hash, DOC_HASH_SIZE);
	else
		(void)sqlite3_bind_null(s, at);
}

static int put_row(struct sqlite3_stmt *s, int64_t backend, const struct ledger_row *row,
		   struct buf *error)
{
	(void)sqlite3_bind_int64(s, 1, backend);
	db_bind_text(s, 2, row->id);
	db_bind_text(s, 3, row->uid);
	bind_hash(s, 4, row->text_hash);
	bind_hash(s, 5, row->meta_hash);
	(void)sqlite3_bind_int(s, 6, (int)row->state);
	db_bind_text(s, 7, row->reason);
	return db_run(s, error);
}

/* Rows of a batch mostly have the same backend: it is looked up when it changes. */
static int backend_of(struct sqlite3 *db, struct str name, struct str *last, int64_t *number,
		      struct buf *error)
{
	int r = 0;

	if (*number && str_eq(*last, name))
		return 0;
	*last = name;
	r = find_backend(db, name, number, error);
	if (r == 0 && !*number)
		r = db_say(db, error, -ENOENT, "the ledger does not know the database %.*s",
			   STR_ARG(name));
	return r;
}

int ledger_put(struct sqlite3 *db, const struct ledger_row *rows, uint32_t n, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	struct str last = {0};
	int64_t number = 0;
	int r = db_prepare(db,
			   "INSERT OR REPLACE INTO "
			   "ledger_row(backend, id, uid, text_hash, meta_hash, state, reason) "
			   "VALUES(?,?,?,?,?,?,?)",
			   false, &s, error);

	for (uint32_t i = 0; i < n && r == 0; i++) {
		r = backend_of(db, rows[i].backend, &last, &number, error);
		r = r < 0 ? r : put_row(s, number, &rows[i], error);
	}
	return r;
}

int ledger_delete(struct sqlite3 *db, struct str backend, const struct str *ids, uint32_t n,
		  struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int64_t number = 0;
	int r = find_backend(db, backend, &number, error);

	r = r < 0 ? r
		  : db_prepare(db, "DELETE FROM ledger_row WHERE backend = ? AND id = ?", false, &s,
			       error);
	for (uint32_t i = 0; i < n && r == 0; i++) {
		(void)sqlite3_bind_int64(s, 1, number);
		db_bind_text(s, 2, ids[i]);
		r = db_run(s, error);
	}
	return r;
}

int ledger_each(struct sqlite3 *db, struct str backend,
		int (*row)(void *ctx, const struct ledger_row *r), void *ctx, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int64_t number = 0;
	int r = find_backend(db, backend, &number, error);

	r = r < 0 ? r
		  : db_prepare(
			    db,
			    "SELECT id, uid, text_hash, meta_hash, state, reason FROM ledger_row "
			    "WHERE backend = ? ORDER BY id",
			    false, &s, error);
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(s, 1, number);
	while ((r = db_step(s, error)) > 0) {
		const struct ledger_row l = {
			.backend = backend,
			.id = db_text(s, 0),
			.uid = db_text(s, 1),
			.text_hash = db_blob(s, 2, DOC_HASH_SIZE),
			.meta_hash = db_blob(s, 3, DOC_HASH_SIZE),
			.state = (enum ledger_state)sqlite3_column_int(s, 4),
			.reason = db_text(s, 5),
		};

		r = row(ctx, &l);
		if (r)
			return r;
	}
	return r;
}
