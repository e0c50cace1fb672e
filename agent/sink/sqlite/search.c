#include "base/mem.h"
#include "sink/sqlite/bm25.h"
#include "sink/sqlite/scan.h"
#include "sink/sqlite/search_parts.h"
#include "sink/sqlite/words.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

#define BEST 200U /* that each ranking finds, at least */

#define AS_TEXT_(...) #__VA_ARGS__
#define AS_TEXT(...)  AS_TEXT_(__VA_ARGS__)

/* Both rankings become one by reciprocal ranks (Cormack, Clarke, Buettcher 2009): a document has
 * SHARE / (DAMPING + place) of each that found it. Words count twice as much. 1 is the score of one
 * that is first in both. On tests/retrieval, recall of the best ten: words 0.95, vectors 0.90, this
 * 0.96; with a letter missing in each question's longest word 0.90, 0.91, 0.90, and the first right
 * one comes earlier than by words alone. */
#define DAMPING	      10
#define WORDS_SHARE   (2 / 3.0 * (DAMPING + 1))
#define VECTORS_SHARE (1 / 3.0 * (DAMPING + 1))

/* Parameters 2 to 5: the collection's rows, and the filter. */
static void bind_filter(struct sqlite3_stmt *s, const struct search *f)
{
	(void)sqlite3_bind_int64(s, 2, docs_first(f->d));
	(void)sqlite3_bind_int64(s, 3, docs_end(f->d));
	db_bind_text(s, 4, f->q->kind);
	db_bind_text(s, 5, f->q->ns);
}

int search_add(struct search *f, int64_t doc, double score, struct str id, bool by_words)
{
	const struct found one = {.doc = doc,
				  .score = score,
				  .id = (uint32_t)f->ids.n,
				  .id_n = (uint32_t)id.n,
				  .by_words = by_words};
	int r = buf_append_str(&f->ids, id);

	if (r == 0)
		f->v[f->n++] = one;
	return r;
}

/* qsort_r's */
static int by_id(const void *pa, const void *pb, void *ctx)
{
	const struct found *a = pa, *b = pb;
	const char *ids = ctx;

	return str_cmp(str_make(ids + a->id, a->id_n), str_make(ids + b->id, b->id_n));
}

static int read_id(struct search *f, struct found *one)
{
	struct sqlite3_stmt *s;
	struct str id;
	int r = docs_prepare(f->d, "SELECT id FROM document WHERE doc = ?", &f->d->read.id,
			     f->error);

	if (r < 0)
		return r;
	s = f->d->read.id;
	(void)sqlite3_bind_int64(s, 1, one->doc);
	r = db_step(s, f->error);
	if (r <= 0)
		return r;
	id = db_text(s, 0);
	one->id = (uint32_t)f->ids.n;
	one->id_n = (uint32_t)id.n;
	r = buf_append_str(&f->ids, id);
	(void)sqlite3_reset(s);
	return r;
}

static int sort_equals(struct search *f, struct found *v, uint32_t n)
{
	int r = 0;

	for (uint32_t i = 0; i < n && r == 0; i++)
		if (!v[i].id_n)
			r = read_id(f, &v[i]);
	if (r == 0)
		qsort_r(v, n, sizeof(*v), by_id, f->ids.p);
	return r;
}

/* What comes is nearly in order, or two runs of that. */
static void insert_each(struct found *v, uint32_t n)
{
	for (uint32_t i = 1; i < n; i++) {
		const struct found one = v[i];
		uint32_t at = i;

		for (; at && v[at - 1].score < one.score; at--)
			v[at] = v[at - 1];
		v[at] = one;
	}
}

void search_sort(struct search *f, uint32_t from)
{
	const uint32_t told = MIN(f->n, from + f->q->n);
	uint32_t end;

	insert_each(f->v + from, f->n - from);
	for (uint32_t i = from; i < told && f->r == 0; i = end) {
		for (end = i + 1; end < f->n && f->v[end].score == f->v[i].score;)
			end++;
		if (end - i > 1)
			f->r = sort_equals(f, f->v + i, end - i);
	}
}

struct found *search_among(struct search *f, uint32_t n, int64_t doc)
{
	for (uint32_t i = 0; i < n; i++)
		if (f->v[i].doc == doc)
			return &f->v[i];
	return NULL;
}

/* Those before `from` were found by words, the others by vectors, each best first. */
static void join(struct search *f, uint32_t from)
{
	uint32_t n = from;

	for (uint32_t i = 0; i < from; i++)
		f->v[i].score = WORDS_SHARE / (DAMPING + 1 + i);
	for (uint32_t i = from; i < f->n; i++) {
		double share = VECTORS_SHARE / (DAMPING + 1 + i - from);
		struct found *twice = search_among(f, from, f->v[i].doc);

		if (twice) {
			twice->score += share;
		} else {
			f->v[n] = f->v[i];
			f->v[n++].score = share;
		}
	}
	f->n = n;
	search_sort(f, 0);
}

/* ---- by words -------------------------------------------------------------------------------- */

/* FTS5 sorts by rank itself, so that documents are read for the best ones alone: CROSS JOIN keeps
 * SQLite from another order. */
static const char by_words_sql[] =
	"SELECT document_fts.rowid, rank FROM document_fts CROSS JOIN document "
	"ON doc = document_fts.rowid WHERE document_fts MATCH ?1 AND rank MATCH "
	"'bm25(" AS_TEXT(BM25_WEIGHTS) ")' "
				       "AND document_fts.rowid >= ?2 AND document_fts.rowid < "
				       "?3" SEARCH_FILTER " ORDER BY rank LIMIT ?6";

/* Where there is no matrix: in SQL. */
static int words_by_sql(struct search *f, struct str match)
{
	struct sqlite3_stmt *s;
	int r = docs_prepare(f->d, by_words_sql, &f->d->read.words, f->error);

	if (r < 0)
		return r;
	s = f->d->read.words;
	db_bind_text(s, 1, match);
	bind_filter(s, f);
	(void)sqlite3_bind_int64(s, 6, f->best);
	while ((r = db_step(s, f->error)) > 0) {
		r = search_add(f, sqlite3_column_int64(s, 0), -sqlite3_column_double(s, 1),
			       (struct str){0}, true);
		if (r < 0)
			break;
	}
	(void)sqlite3_reset(s);
	return r;
}

static int words_by_matrix(struct search *f, struct str match)
{
	struct scan_hit hits[SEARCH_BEST_MAX];
	struct scan_top top = {.hits = hits, .max = f->best};
	int r = docs_prepare(f->d, bm25_sql, &f->d->read.rank, f->error);

	if (r == 0)
		r = bm25_rank(f->d->read.rank, match, f->d->matrix, f->q->kind, f->q->ns, &top,
			      f->error);
	scan_sort(&top);
	for (uint32_t i = 0; i < top.n && r == 0; i++)
		r = search_add(f, hits[i].doc, hits[i].score, (struct str){0}, true);
	return r;
}

static int by_words(struct search *f)
{
	_buf_ struct buf match = {.max = WORDS_MATCH_MAX};
	int r = words_match(f->q->words, &match);

	if (r == -ENOENT)
		return 0;
	if (r == -EMSGSIZE)
		return db_say(f->d->db, f->error, r, "the question is too long");
	if (r == 0)
		r = f->matrix && matrix_is_whole(f->d->matrix) ? words_by_matrix(f, buf_str(&match))
							       : words_by_sql(f, buf_str(&match));
	search_sort(f, 0);
	return r;
}

/* ---- by vectors ------------------------------------------------------------------------------ */

/* Where there is no matrix: all floats, from the disk. */
static int scan_tables(struct search *f, struct scan_top *top)
{
	const size_t bytes = f->d->dim * sizeof(float);
	struct sqlite3_stmt *s;
	int r = docs_prepare(f->d,
			     "SELECT vector.doc, v, ?1 FROM vector JOIN document "
			     "ON document.doc = vector.doc "
			     "WHERE vector.doc >= ?2 AND vector.doc < ?3" SEARCH_FILTER,
			     &f->d->read.all_floats, f->error);

	if (r < 0)
		return r;
	s = f->d->read.all_floats;
	bind_filter(s, f);
	while ((r = db_step(s, f->error)) > 0) {
		const float *v = db_blob(s, 1, bytes);
		double score;

		if (v && scan_cosine(f->q->vector, f->length, v, f->d->dim, &score))
			scan_put(top, sqlite3_column_int64(s, 0), score);
	}
	return r;
}

/* The score that counts, from the floats. */
static int score_again(struct search *f, int64_t doc)
{
	struct sqlite3_stmt *s = f->d->read.floats;
	const float *v;
	double score;
	int r;

	(void)sqlite3_bind_int64(s, 1, doc);
	r = db_step(s, f->error);
	v = r > 0 ? db_blob(s, 0, f->d->dim * sizeof(float)) : NULL;
	if (v && scan_cosine(f->q->vector, f->length, v, f->d->dim, &score))
		r = search_add(f, doc, score, (struct str){0}, false);
	(void)sqlite3_reset(s);
	return MIN(r, 0);
}

static int by_vectors(struct search *f)
{
	struct scan_hit hits[SEARCH_BEST_MAX];
	struct scan_top top = {.hits = hits, .max = f->best};
	struct docs *d = f->d;
	const uint32_t from = f->n;
	int r = docs_prepare(d, "SELECT v FROM vector WHERE doc = ?", &d->read.floats, f->error);

	f->length = scan_length(f->q->vector, d->dim);
	if (f->matrix)
		matrix_scan(d->matrix, f->q->vector, f->q->kind, f->q->ns, &top);
	else if (r == 0)
		r = scan_tables(f, &top);
	scan_sort(&top);
	for (uint32_t i = 0; i < top.n && r >= 0; i++)
		r = score_again(f, top.hits[i].doc);
	search_sort(f, from);
	if (r >= 0 && from)
		join(f, from);
	return MIN(r, 0);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static int tell(struct search *f, const struct found *one,
		int (*hit)(void *ctx, const struct docs_hit *h), void *ctx)
{
	struct sqlite3_stmt *s = f->d->read.whole;
	struct docs_hit h = {.score = one->score, .by_words = one->by_words};
	int r;

	(void)sqlite3_bind_int64(s, 1, one->doc);
	r = db_step(s, f->error);
	if (r > 0) {
		h.id = db_text(s, 0);
		h.text = db_text(s, 1);
		for (int i = 0; i < _DOC_FIELD_MAX; i++)
			h.fields[i] = db_text(s, 2 + i);
		r = hit(ctx, &h);
	}
	(void)sqlite3_reset(s);
	return r;
}

static int check(const struct search *f)
{
	const struct docs_query *q = f->q;
	const uint32_t dim = f->d->dim;

	if (!q->n || q->n > DOCS_MAX_RESULTS)
		return db_say(f->d->db, f->error, -EINVAL, "1 to %u results can be asked for",
			      DOCS_MAX_RESULTS);
	if (q->vector && q->dim != dim)
		return db_say(f->d->db, f->error, -EINVAL,
			      "the question's vector has dimension %u, the collection %u", q->dim,
			      dim);
	if (q->vector && !scan_good(q->vector, dim))
		return db_say(f->d->db, f->error, -EINVAL, "the question's vector has no length");
	return 0;
}

/* For words alone it is not worth filling. */
static int look_for_matrix(struct search *f, bool vectors)
{
	struct docs *d = f->d;
	int r = 0;

	if (vectors || matrix_is_filled(d->matrix))
		r = matrix_ready(d->matrix, d->db, docs_first(d), docs_end(d), f->error);
	f->matrix = r > 0;
	return MIN(r, 0);
}

int search_rank(struct search *f)
{
	const struct docs_query *q = f->q;
	const bool vectors = q->vector && q->rank != DOCS_BM25;
	int r = look_for_matrix(f, vectors);

	if (r == 0 && q->rank != DOCS_VECTOR)
		r = by_words(f);
	if (r == 0 && vectors)
		r = by_vectors(f);
	return r ? r : f->r;
}

static int answer(struct search *f, int (*hit)(void *ctx, const struct docs_hit *h), void *ctx)
{
	struct docs *d = f->d;
	int r = docs_prepare(d, "SELECT id, text, " DOCS_FIELDS " FROM document WHERE doc = ?",
			     &d->read.whole, f->error);

	if (r == 0)
		r = search_rank(f);
	if (r == 0 && f->q->rank == DOCS_HYBRID)
		r = relate(f);
	r = r ? r : f->r;
	for (uint32_t i = 0; i < MIN(f->n, f->q->n) && r == 0; i++)
		r = tell(f, &f->v[i], hit, ctx);
	return r;
}

/* Hundreds of rows are read: in one transaction, unless it is the caller's, the file is locked and
 * looked at but once. */
int docs_search(struct docs *d, const struct docs_query *q,
		int (*hit)(void *ctx, const struct docs_hit *h), void *ctx, struct buf *error)
{
	struct search f = {.d = d,
			   .q = q,
			   .error = error,
			   .ids = {.max = SEARCH_IDS_MAX},
			   .best = MAX(BEST, 2 * q->n)};
	const bool alone = sqlite3_get_autocommit(d->db);
	int r = check(&f);

	if (r == 0 && alone)
		r = db_exec(d->db, "BEGIN", error);
	if (r == 0)
		r = answer(&f, hit, ctx);
	if (alone && !sqlite3_get_autocommit(d->db))
		(void)db_exec(d->db, "COMMIT", NULL);
	buf_done(&f.ids);
	return r;
}
