#include "sink/sqlite/docs.h"

#include "base/mem.h"
#include "sink/sqlite/docs_parts.h"

#include <errno.h>
#include <sqlite3.h>

/* ---- opening --------------------------------------------------------------------------------- */

int64_t docs_first(const struct docs *d)
{
	return d->number << DOCS_SHIFT;
}

int64_t docs_end(const struct docs *d)
{
	return (d->number + 1) << DOCS_SHIFT;
}

int docs_prepare(struct docs *d, const char *sql, struct sqlite3_stmt **s, struct buf *error)
{
	return *s ? 0 : db_prepare(d->db, sql, true, s, error);
}

void docs_close(struct docs **pd)
{
	struct docs *d = *pd;

	*pd = NULL;
	if (!d)
		return;
	docs_write_done(d);
	db_finalize(&d->read.words);
	db_finalize(&d->read.rank);
	db_finalize(&d->read.floats);
	db_finalize(&d->read.all_floats);
	db_finalize(&d->read.id);
	db_finalize(&d->read.whole);
	db_finalize(&d->read.named);
	db_finalize(&d->read.saying);
	matrix_free(&d->matrix);
	buf_done(&d->name);
	buf_done(&d->model);
	buf_done(&d->template_);
	free(d);
}

/* From the row of `collection` that the statement stands at. */
static int open_row(struct sqlite3 *db, struct sqlite3_stmt *s, size_t cache, struct docs **ret)
{
	_docs_ struct docs *d = calloc(1, sizeof(*d));
	int r;

	if (!d)
		return -ENOMEM;
	d->db = db;
	d->number = sqlite3_column_int64(s, 0);
	d->dim = (uint32_t)sqlite3_column_int64(s, 3);
	buf_init(&d->name, DOCS_NAME_MAX);
	buf_init(&d->model, DOCS_NAME_MAX);
	buf_init(&d->template_, DOCS_NAME_MAX);
	r = buf_append_str(&d->name, db_text(s, 1));
	r = r < 0 ? r : buf_append_str(&d->model, db_text(s, 2));
	r = r < 0 ? r : buf_append_str(&d->template_, db_text(s, 4));
	r = r < 0 ? r : matrix_new(d->dim, cache, &d->matrix);
	if (r == 0)
		*ret = TAKE_PTR(d);
	return r;
}

static int refuse(struct sqlite3 *db, const struct docs_opts *o, const struct docs *d,
		  struct buf *error)
{
	return db_say(db, error, -EEXIST,
		      "its collection %.*s holds vectors of %.*s, dimension %u, template %.*s, not "
		      "of %.*s, dimension %u, template %.*s; --reembed makes a new one",
		      STR_ARG(buf_str(&d->name)), STR_ARG(buf_str(&d->model)), d->dim,
		      STR_ARG(buf_str(&d->template_)), STR_ARG(o->model), o->dim,
		      STR_ARG(o->template_));
}

static int make_collection(struct sqlite3 *db, const struct docs_opts *o, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db,
			   "INSERT OR IGNORE INTO collection(name, model, dim, template) "
			   "VALUES(?, ?, ?, coalesce(?, ''))",
			   false, &s, error);

	if (r < 0)
		return r;
	db_bind_text(s, 1, o->collection);
	db_bind_text(s, 2, o->model);
	(void)sqlite3_bind_int64(s, 3, o->dim);
	db_bind_text(s, 4, o->template_);
	return db_run(s, error);
}

static bool fits(const struct docs_opts *o)
{
	return o->dim && o->dim <= DOCS_MAX_DIM && o->collection.n &&
	       o->collection.n <= DOCS_NAME_MAX && o->model.n && o->model.n <= DOCS_NAME_MAX &&
	       o->template_.n <= DOCS_NAME_MAX;
}

int docs_open(struct sqlite3 *db, const struct docs_opts *o, struct docs **ret, struct buf *error)
{
	_docs_ struct docs *d = NULL;
	int r = -EINVAL;

	if (!fits(o))
		return db_say(db, error, r, "no collection can be of dimension %u, or its names",
			      o->dim);
	r = make_collection(db, o, error);
	r = r < 0 ? r : docs_find(db, o->collection, o->cache, &d, error);
	if (!d)
		return r;
	if (d->dim != o->dim || !str_eq(buf_str(&d->model), o->model) ||
	    !str_eq(buf_str(&d->template_), o->template_))
		return refuse(db, o, d, error);
	*ret = TAKE_PTR(d);
	return 0;
}

int docs_find(struct sqlite3 *db, struct str collection, size_t cache, struct docs **ret,
	      struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db,
			   "SELECT number, name, model, dim, template FROM collection "
			   "WHERE name = ?1 OR ?1 IS NULL ORDER BY name != 'kindred', number",
			   false, &s, error);

	if (r < 0)
		return r;
	db_bind_text(s, 1, collection);
	r = db_step(s, error);
	if (r == 0)
		r = db_say(db, error, -ENOENT, "it has no collection%s%.*s",
			   collection.n ? " " : " yet", STR_ARG(collection));
	return r < 0 ? r : open_row(db, s, cache, ret);
}

int docs_info(struct docs *d, struct docs_info *ret, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(d->db, "SELECT count(*) FROM vector WHERE doc >= ? AND doc < ?", false,
			   &s, error);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(s, 1, docs_first(d));
	(void)sqlite3_bind_int64(s, 2, docs_end(d));
	r = db_step(s, error);
	if (r < 0)
		return r;
	*ret = (struct docs_info){
		.collection = buf_str(&d->name),
		.model = buf_str(&d->model),
		.template_ = buf_str(&d->template_),
		.dim = d->dim,
		.documents = (uint64_t)sqlite3_column_int64(s, 0),
		.cache = matrix_bytes(d->matrix),
	};
	return 0;
}

/* ---- walking --------------------------------------------------------------------------------- */

int docs_scroll(struct docs *d, struct str after, uint32_t max,
		int (*row)(void *ctx, const struct docs_known *k), void *ctx, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(
		d->db,
		"SELECT id, cluster, kind, namespace, text_hash, meta_hash, api_version, uid "
		"FROM document "
		"WHERE collection = ? AND id > coalesce(?, '') ORDER BY id LIMIT ?",
		false, &s, error);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(s, 1, d->number);
	db_bind_text(s, 2, after);
	(void)sqlite3_bind_int64(s, 3, max);
	while ((r = db_step(s, error)) > 0) {
		const struct docs_known k = {
			.id = db_text(s, 0),
			.cluster = db_text(s, 1),
			.kind = db_text(s, 2),
			.ns = db_text(s, 3),
			.text_hash = db_blob(s, 4, DOC_HASH_SIZE),
			.meta_hash = db_blob(s, 5, DOC_HASH_SIZE),
			.api_version = db_text(s, 6),
			.uid = db_text(s, 7),
		};

		r = row(ctx, &k);
		if (r)
			return r;
	}
	return r;
}
