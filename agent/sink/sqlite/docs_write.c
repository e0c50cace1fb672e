#include "base/mem.h"
#include "sink/sqlite/docs_parts.h"
#include "sink/sqlite/scan.h"
#include "sink/sqlite/words.h"

#include <errno.h>
#include <sqlite3.h>

/* What document_fts is made of, in its order. FTS5 forgets a document by the very texts that it was
 * told of. */
#define INDEXED	  "name, kind, namespace, text, words"
#define N_INDEXED 5

struct write {
	struct docs *d;
	struct buf *error;
	struct buf words;
	int64_t next; /* doc of the next new document; 0: not known */
	bool asides;  /* the ledger of a database at home here has documents set aside */
};

void docs_write_done(struct docs *d)
{
	db_finalize(&d->write.old);
	db_finalize(&d->write.insert);
	db_finalize(&d->write.update);
	db_finalize(&d->write.remove);
	db_finalize(&d->write.index);
	db_finalize(&d->write.unindex);
	db_finalize(&d->write.put_vector);
	db_finalize(&d->write.has_vector);
	db_finalize(&d->write.remove_vector);
	db_finalize(&d->write.any_aside);
	db_finalize(&d->write.settle);
}

/* Backends of the ledger that are at home in the collection. */
#define AT_HOME "backend IN (SELECT number FROM ledger_backend WHERE collection = ?1)"

static int prepare(struct write *w)
{
	struct docs *d = w->d;
	const struct {
		const char *sql;
		struct sqlite3_stmt **s;
	} all[] = {
		{"SELECT " INDEXED ", doc FROM document WHERE collection = ? AND id = ?",
		 &d->write.old},
		{"INSERT INTO document(doc, collection, id, uuid, text_hash, meta_hash, text, "
		 "words, " DOCS_FIELDS ") VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
		 "?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24)",
		 &d->write.insert},
		{"UPDATE document SET (uuid, text_hash, meta_hash, text, words, " DOCS_FIELDS
		 ") = (?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "
		 "?20, ?21, ?22, ?23, ?24) WHERE doc = ?1",
		 &d->write.update},
		{"DELETE FROM document WHERE doc = ?", &d->write.remove},
		{"INSERT INTO document_fts(" INDEXED ", rowid) VALUES(?, ?, ?, ?, ?, ?)",
		 &d->write.index},
		{"INSERT INTO document_fts(" INDEXED ", rowid, document_fts) "
		 "VALUES(?, ?, ?, ?, ?, ?, 'delete')",
		 &d->write.unindex},
		{"INSERT OR REPLACE INTO vector(doc, v) VALUES(?, ?)", &d->write.put_vector},
		{"SELECT 1 FROM vector WHERE doc = ?", &d->write.has_vector},
		{"DELETE FROM vector WHERE doc = ?", &d->write.remove_vector},
		{"SELECT 1 FROM ledger_row WHERE " AT_HOME " LIMIT 1", &d->write.any_aside},
		{"DELETE FROM ledger_row WHERE " AT_HOME " AND id = ?2", &d->write.settle},
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all) && r == 0; i++)
		r = docs_prepare(d, all[i].sql, all[i].s, w->error);
	return r;
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static int look_for_asides(struct write *w)
{
	struct sqlite3_stmt *s = w->d->write.any_aside;
	int r;

	db_bind_text(s, 1, buf_str(&w->d->name));
	r = db_step(s, w->error);
	w->asides = r > 0;
	(void)sqlite3_reset(s);
	return MIN(r, 0);
}

/* Stored or deleted, it is set aside no more. */
static int settle(struct write *w, struct str id)
{
	struct sqlite3_stmt *s = w->d->write.settle;

	if (!w->asides)
		return 0;
	db_bind_text(s, 1, buf_str(&w->d->name));
	db_bind_text(s, 2, id);
	return db_run(s, w->error);
}

static int begin(struct write *w)
{
	int r = prepare(w);

	return r < 0 ? r : look_for_asides(w);
}

/* ---- the row that is there ------------------------------------------------------------------- */

/* 1 with the statement `old` standing at it, to be reset; 0: there is none. */
static int find_old(struct write *w, struct str id, int64_t *ret_doc)
{
	struct sqlite3_stmt *s = w->d->write.old;
	int r;

	(void)sqlite3_bind_int64(s, 1, w->d->number);
	db_bind_text(s, 2, id);
	r = db_step(s, w->error);
	if (r > 0)
		*ret_doc = sqlite3_column_int64(s, N_INDEXED);
	return r;
}

static void indexed(const struct docs_row *row, struct str words, struct str ret[N_INDEXED])
{
	ret[0] = row->fields[DOC_NAME];
	ret[1] = row->fields[DOC_KIND];
	ret[2] = row->fields[DOC_NAMESPACE];
	ret[3] = row->text;
	ret[4] = words;
}

static bool same_texts(struct sqlite3_stmt *old, const struct str texts[N_INDEXED])
{
	for (int i = 0; i < N_INDEXED; i++)
		if (!str_eq(db_text(old, i), texts[i]))
			return false;
	return true;
}

/* The texts are bound by value: `old` stays where it is. */
static int unindex(struct write *w, int64_t doc)
{
	struct sqlite3_stmt *s = w->d->write.unindex;

	for (int i = 0; i < N_INDEXED; i++)
		db_bind_text(s, i + 1, db_text(w->d->write.old, i));
	(void)sqlite3_bind_int64(s, N_INDEXED + 1, doc);
	return db_run(s, w->error);
}

static int put_index(struct write *w, int64_t doc, const struct str texts[N_INDEXED])
{
	struct sqlite3_stmt *s = w->d->write.index;

	for (int i = 0; i < N_INDEXED; i++)
		db_bind_text(s, i + 1, texts[i]);
	(void)sqlite3_bind_int64(s, N_INDEXED + 1, doc);
	return db_run(s, w->error);
}

/* ---- upsert ---------------------------------------------------------------------------------- */

/* The running number follows the last one; another process may have written meanwhile, but not
 * within this transaction. */
static int next_doc(struct write *w, int64_t *ret)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r;

	if (!w->next) {
		r = db_prepare(w->d->db, "SELECT max(doc) FROM document WHERE doc >= ? AND doc < ?",
			       false, &s, w->error);
		if (r < 0)
			return r;
		(void)sqlite3_bind_int64(s, 1, docs_first(w->d));
		(void)sqlite3_bind_int64(s, 2, docs_end(w->d));
		r = db_step(s, w->error);
		if (r < 0)
			return r;
		w->next = MAX(sqlite3_column_int64(s, 0), docs_first(w->d)) + 1;
	}
	*ret = w->next++;
	return 0;
}

static int put_row(struct write *w, struct sqlite3_stmt *s, int64_t doc, const struct docs_row *row)
{
	(void)sqlite3_bind_int64(s, 1, doc);
	(void)sqlite3_bind_int64(s, 2, w->d->number);
	db_bind_text(s, 3, row->id);
	db_bind_text(s, 4, row->uuid);
	db_bind_blob(s, 5, row->text_hash, DOC_HASH_SIZE);
	db_bind_blob(s, 6, row->meta_hash, DOC_HASH_SIZE);
	db_bind_text(s, 7, row->text);
	db_bind_text(s, 8, buf_str(&w->words));
	for (int i = 0; i < _DOC_FIELD_MAX; i++)
		db_bind_text(s, 9 + i, row->fields[i]);
	return db_run(s, w->error);
}

static int put_new(struct write *w, const struct docs_row *row, const struct str texts[N_INDEXED],
		   int64_t *ret_doc)
{
	int r = next_doc(w, ret_doc);

	r = r < 0 ? r : put_row(w, w->d->write.insert, *ret_doc, row);
	return r < 0 ? r : put_index(w, *ret_doc, texts);
}

static int put_over(struct write *w, const struct docs_row *row, const struct str texts[N_INDEXED],
		    int64_t doc)
{
	bool same = same_texts(w->d->write.old, texts);
	int r = same ? 0 : unindex(w, doc);

	(void)sqlite3_reset(w->d->write.old);
	r = r < 0 ? r : put_row(w, w->d->write.update, doc, row);
	return r < 0 || same ? r : put_index(w, doc, texts);
}

static int put_vector(struct write *w, int64_t doc, const struct docs_row *row)
{
	struct docs *d = w->d;

	if (!scan_good(row->vector, d->dim))
		return db_say(d->db, w->error, -EINVAL,
			      "the vector of %.*s is refused: it has no length, or values that are "
			      "no numbers",
			      STR_ARG(row->id));
	(void)sqlite3_bind_int64(d->write.put_vector, 1, doc);
	db_bind_blob(d->write.put_vector, 2, row->vector, d->dim * sizeof(float));
	return db_run(d->write.put_vector, w->error);
}

static int want_vector(struct write *w, int64_t doc, const struct docs_row *row)
{
	struct sqlite3_stmt *s = w->d->write.has_vector;
	int r;

	(void)sqlite3_bind_int64(s, 1, doc);
	r = db_step(s, w->error);
	(void)sqlite3_reset(s);
	if (r == 0)
		r = db_say(w->d->db, w->error, -ENOENT, "%.*s has no vector yet", STR_ARG(row->id));
	return MIN(r, 0);
}

static int put(struct write *w, const struct docs_row *row)
{
	struct str texts[N_INDEXED];
	int64_t doc;
	int r;

	buf_reset(&w->words);
	words_of_document(row->fields[DOC_KIND], row->text, &w->words);
	indexed(row, buf_str(&w->words), texts);
	r = find_old(w, row->id, &doc);
	if (r == 0)
		r = put_new(w, row, texts, &doc);
	else if (r > 0)
		r = put_over(w, row, texts, doc);
	if (r < 0)
		return r;
	matrix_mark(w->d->matrix, doc);
	r = row->vector ? put_vector(w, doc, row) : want_vector(w, doc, row);
	return r < 0 ? r : settle(w, row->id);
}

int docs_upsert(struct docs *d, const struct docs_row *rows, uint32_t n, struct buf *error)
{
	struct write w = {.d = d, .error = error, .words = {.max = WORDS_MAX}};
	int r = begin(&w);

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = put(&w, &rows[i]);
	buf_done(&w.words);
	return r;
}

/* ---- delete ---------------------------------------------------------------------------------- */

static int remove_doc(struct write *w, struct sqlite3_stmt *s, int64_t doc)
{
	(void)sqlite3_bind_int64(s, 1, doc);
	return db_run(s, w->error);
}

static int drop(struct write *w, struct str id)
{
	int64_t doc;
	int r = settle(w, id);

	r = r < 0 ? r : find_old(w, id, &doc);
	if (r <= 0)
		return r;
	r = unindex(w, doc);
	(void)sqlite3_reset(w->d->write.old);
	r = r < 0 ? r : remove_doc(w, w->d->write.remove, doc);
	r = r < 0 ? r : remove_doc(w, w->d->write.remove_vector, doc);
	matrix_mark(w->d->matrix, doc);
	return r;
}

int docs_delete(struct docs *d, const struct str *ids, uint32_t n, struct buf *error)
{
	struct write w = {.d = d, .error = error};
	int r = begin(&w);

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = drop(&w, ids[i]);
	return r;
}
