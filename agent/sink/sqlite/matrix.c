#include "sink/sqlite/matrix.h"

#include "base/index.h"
#include "base/intern.h"
#include "base/mem.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/docs.h"
#include "sink/sqlite/scan.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK	  1024U	 /* rows that are allocated at once */
#define MARKS_MAX 16384U /* over it the whole is read again, which costs about as much */
#define NAMES_MAX 65536U /* different kinds and namespaces; over it the matrix is too large */
#define KIND_MAX  128U

struct row {
	int64_t doc;
	float factor; /* see scan_quantise */
	uint32_t kind, ns;
	uint32_t tokens; /* as FTS5 counts them */
};

struct matrix {
	uint32_t dim, stride;
	size_t max_bytes;
	bool filled; /* rows and marks count */
	bool too_large;
	bool lacks_some; /* documents whose vector is not good */
	int64_t version; /* PRAGMA data_version when it was in step */

	int8_t **chunks; /* CHUNK rows of `stride` bytes each */
	uint32_t n_chunks, cap_chunks;
	struct row *rows;
	uint32_t n, cap;
	struct index index;  /* doc -> 1 + its place in rows */
	struct intern names; /* kinds in lower case, and namespaces */

	int64_t *marks;
	uint32_t n_marks;
	size_t counted; /* of it in all_bytes */
};

/* Each is its worker's; the loop wants to know what they hold together. */
static atomic_size_t all_bytes;

static uint32_t hash_of(int64_t doc)
{
	return (uint32_t)(((uint64_t)doc * 0x9e3779b97f4a7c15ULL) >> 32);
}

static int8_t *cells(const struct matrix *m, uint32_t at)
{
	return m->chunks[at / CHUNK] + (size_t)(at % CHUNK) * m->stride;
}

size_t matrix_bytes(const struct matrix *m)
{
	return (size_t)m->n_chunks * CHUNK * m->stride + m->cap * sizeof(*m->rows) +
	       index_bytes(&m->index) + intern_bytes(&m->names) +
	       (m->marks ? MARKS_MAX * sizeof(*m->marks) : 0);
}

static void empty(struct matrix *m)
{
	for (uint32_t i = 0; i < m->n; i++) {
		intern_put(&m->names, m->rows[i].kind);
		intern_put(&m->names, m->rows[i].ns);
	}
	for (uint32_t i = 0; i < m->n_chunks; i++)
		free(m->chunks[i]);
	free(m->rows);
	free(m->marks);
	m->rows = NULL;
	m->marks = NULL;
	m->n = m->cap = m->n_chunks = m->n_marks = 0;
	index_done(&m->index);
	m->filled = m->lacks_some = false;
}

static void count(struct matrix *m, size_t bytes)
{
	(void)atomic_fetch_add(&all_bytes, bytes - m->counted);
	m->counted = bytes;
}

size_t matrix_all_bytes(void)
{
	return atomic_load(&all_bytes);
}

int matrix_new(uint32_t dim, size_t max_bytes, struct matrix **ret)
{
	struct matrix *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->dim = dim;
	m->stride = (dim + SCAN_ALIGN - 1) / SCAN_ALIGN * SCAN_ALIGN;
	m->max_bytes = max_bytes;
	index_init(&m->index);
	intern_init(&m->names, NAMES_MAX);
	*ret = m;
	return 0;
}

void matrix_free(struct matrix **pm)
{
	struct matrix *m = *pm;

	*pm = NULL;
	if (!m)
		return;
	count(m, 0);
	empty(m);
	free(m->chunks);
	intern_done(&m->names);
	free(m);
}

void matrix_mark(struct matrix *m, int64_t doc)
{
	m->too_large = false; /* it may fit again */
	if (!m->filled)
		return;
	if (m->n_marks == MARKS_MAX)
		empty(m);
	else
		m->marks[m->n_marks++] = doc;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static uint32_t find(const struct matrix *m, int64_t doc)
{
	uint32_t at, id = index_first(&m->index, hash_of(doc), &at);

	while (id && m->rows[id - 1].doc != doc)
		id = index_next(&m->index, hash_of(doc), &at);
	return id;
}

static int grow_rows(struct matrix *m)
{
	uint32_t cap = m->cap ? m->cap + m->cap / 2 : CHUNK;
	struct row *rows = realloc(m->rows, cap * sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	m->rows = rows;
	m->cap = cap;
	return 0;
}

static int grow_chunks(struct matrix *m)
{
	int8_t *chunk;

	if (m->n_chunks == m->cap_chunks) {
		uint32_t cap = m->cap_chunks ? m->cap_chunks * 2 : 16;
		int8_t **chunks = realloc(m->chunks, cap * sizeof(*chunks));

		if (!chunks)
			return -ENOMEM;
		m->chunks = chunks;
		m->cap_chunks = cap;
	}
	chunk = aligned_alloc(SCAN_ALIGN, (size_t)CHUNK * m->stride);
	if (!chunk)
		return -ENOMEM;
	m->chunks[m->n_chunks++] = chunk;
	return 0;
}

/* 0 with a place behind the last row; -EMSGSIZE over the cap. */
static int make_room(struct matrix *m)
{
	const size_t more = (m->n == m->n_chunks * CHUNK ? (size_t)CHUNK * m->stride : 0) +
			    (m->n == m->cap ? (m->cap / 2 + CHUNK) * sizeof(struct row) : 0);
	int r = 0;

	if (matrix_bytes(m) + more > m->max_bytes)
		return -EMSGSIZE;
	if (m->n == m->cap)
		r = grow_rows(m);
	if (r == 0 && m->n == m->n_chunks * CHUNK)
		r = grow_chunks(m);
	return r < 0 ? r : index_reserve(&m->index, 1);
}

static void drop_names(struct matrix *m, struct row *row)
{
	intern_put(&m->names, row->kind);
	intern_put(&m->names, row->ns);
	row->kind = row->ns = 0;
}

/* Kinds are compared without case; one too long to be a kind by its beginning. */
static struct str lower(struct str kind, char room[KIND_MAX])
{
	kind.n = MIN(kind.n, (size_t)KIND_MAX);
	for (size_t i = 0; i < kind.n; i++)
		room[i] =
			(char)(kind.p[i] >= 'A' && kind.p[i] <= 'Z' ? kind.p[i] | 0x20 : kind.p[i]);
	return str_make(room, kind.n);
}

static uint32_t find_kind(const struct matrix *m, struct str kind)
{
	char room[KIND_MAX];

	return intern_find(&m->names, lower(kind, room));
}

static int take_names(struct matrix *m, struct str kind, struct str ns, struct row *row)
{
	struct row new = *row;
	char room[KIND_MAX];
	int r = intern_get(&m->names, lower(kind, room), &new.kind);

	if (r < 0)
		return r;
	r = intern_get(&m->names, ns, &new.ns);
	if (r < 0) {
		intern_put(&m->names, new.kind);
		return r;
	}
	*row = new;
	return 0;
}

static int put_row(struct matrix *m, struct row row, const float *v, struct str kind, struct str ns)
{
	const int64_t doc = row.doc;
	uint32_t at = find(m, doc);
	int r = at ? 0 : make_room(m);

	r = r < 0 ? r : take_names(m, kind, ns, &row);
	if (r < 0)
		return r;
	if (at)
		drop_names(m, &m->rows[at - 1]);
	else
		(void)index_put(&m->index, hash_of(doc),
				at = ++m->n); /* make_room has reserved it */
	scan_quantise(v, m->dim, cells(m, at - 1), &row.factor);
	m->rows[at - 1] = row;
	return 0;
}

/* The last row takes its place. */
static void drop_row(struct matrix *m, int64_t doc)
{
	uint32_t at = find(m, doc);

	if (!at)
		return;
	drop_names(m, &m->rows[at - 1]);
	index_del(&m->index, hash_of(doc), at);
	if (at != m->n) {
		uint32_t h = hash_of(m->rows[m->n - 1].doc);

		index_del(&m->index, h, m->n);
		(void)index_put(&m->index, h, at); /* two were taken out */
		m->rows[at - 1] = m->rows[m->n - 1];
		memcpy(cells(m, at - 1), cells(m, m->n - 1), m->stride);
	}
	m->n--;
}

/* ---- in step --------------------------------------------------------------------------------- */

/* FTS5's blob: for each column how many tokens, in 7 bits a byte, the high ones first. */
static uint32_t tokens_of(const uint8_t *p, size_t n)
{
	uint32_t sum = 0, one = 0;

	for (size_t i = 0; i < n; i++) {
		one = one << 7 | (p[i] & 0x7f);
		if (p[i] & 0x80)
			continue;
		sum += one;
		one = 0;
	}
	return sum;
}

#define ROWS                                                                   \
	"SELECT vector.doc, v, kind, namespace, sz FROM vector JOIN document " \
	"ON document.doc = vector.doc LEFT JOIN document_fts_docsize AS size " \
	"ON size.id = vector.doc WHERE vector.doc"

/* A vector that is not good (another program's) cannot be found. */
static int take_row(struct matrix *m, struct sqlite3_stmt *s)
{
	struct row row = {.doc = sqlite3_column_int64(s, 0)};
	const float *v = db_blob(s, 1, m->dim * sizeof(float));

	if (!v || !scan_good(v, m->dim)) {
		drop_row(m, row.doc);
		m->lacks_some = true;
		return 0;
	}
	row.tokens = tokens_of(sqlite3_column_blob(s, 4), (size_t)sqlite3_column_bytes(s, 4));
	return put_row(m, row, v, db_text(s, 2), db_text(s, 3));
}

static int fill(struct matrix *m, struct sqlite3 *db, int64_t first, int64_t end, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db, ROWS " >= ? AND vector.doc < ?", false, &s, error);

	if (r < 0)
		return r;
	m->marks = calloc(MARKS_MAX, sizeof(*m->marks));
	if (!m->marks)
		return -ENOMEM;
	(void)sqlite3_bind_int64(s, 1, first);
	(void)sqlite3_bind_int64(s, 2, end);
	while ((r = db_step(s, error)) > 0)
		if ((r = take_row(m, s)) < 0)
			return r;
	m->filled = r == 0;
	return r;
}

static int read_marked(struct matrix *m, struct sqlite3 *db, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db, ROWS " = ?", false, &s, error);

	for (uint32_t i = 0; i < m->n_marks && r >= 0; i++) {
		(void)sqlite3_bind_int64(s, 1, m->marks[i]);
		r = db_step(s, error);
		if (r == 0)
			drop_row(m, m->marks[i]);
		else if (r > 0)
			r = take_row(m, s);
		(void)sqlite3_reset(s);
	}
	if (r >= 0)
		m->n_marks = 0;
	return MIN(r, 0);
}

int matrix_ready(struct matrix *m, struct sqlite3 *db, int64_t first, int64_t end,
		 struct buf *error)
{
	int64_t version;
	int r = db_number(db, "PRAGMA data_version", 0, &version, error);

	if (r < 0)
		return r;
	if (version != m->version) { /* another connection has written */
		empty(m);
		m->too_large = false;
		m->version = version;
	}
	if (m->too_large)
		return 0;
	r = m->filled ? read_marked(m, db, error) : fill(m, db, first, end, error);
	if (r < 0)
		empty(m);
	m->too_large = r == -EMSGSIZE;
	count(m, matrix_bytes(m));
	return m->too_large ? 0 : r < 0 ? r : 1;
}

/* ---- looking ----------------------------------------------------------------------------------
 */

bool matrix_is_whole(const struct matrix *m)
{
	return m->filled && !m->lacks_some;
}

bool matrix_is_filled(const struct matrix *m)
{
	return m->filled;
}

uint32_t matrix_rows(const struct matrix *m)
{
	return m->n;
}

uint32_t matrix_tokens(const struct matrix *m, uint32_t row)
{
	return m->rows[row].tokens;
}

uint32_t matrix_find_near(const struct matrix *m, int64_t doc, uint32_t near)
{
	if (near) {
		const int64_t row = (int64_t)near - 1 + doc - m->rows[near - 1].doc;

		if (row >= 0 && row < m->n && m->rows[row].doc == doc)
			return (uint32_t)row + 1;
	}
	return find(m, doc);
}

struct filter {
	uint32_t kind, ns; /* 0: any */
};

/* False: no row can pass. */
static bool make_filter(const struct matrix *m, struct str kind, struct str ns, struct filter *ret)
{
	ret->kind = find_kind(m, kind);
	ret->ns = intern_find(&m->names, ns);
	return (!kind.n || ret->kind) && (!ns.n || ret->ns);
}

static bool passes(const struct row *row, const struct filter *f)
{
	return (!f->kind || row->kind == f->kind) && (!f->ns || row->ns == f->ns);
}

void matrix_put(const struct matrix *m, const double *scores, struct str kind, struct str ns,
		struct scan_top *top)
{
	struct filter f;

	if (!make_filter(m, kind, ns, &f))
		return;
	for (uint32_t i = 0; i < m->n; i++)
		if (scores[i] > 0 && passes(&m->rows[i], &f))
			scan_put(top, m->rows[i].doc, scores[i]);
}

void matrix_scan(const struct matrix *m, const float *query, struct str kind, struct str ns,
		 struct scan_top *top)
{
	int8_t q[DOCS_MAX_DIM] __attribute__((aligned(SCAN_ALIGN)));
	struct filter f;
	float factor;

	if (!make_filter(m, kind, ns, &f))
		return;
	scan_quantise(query, m->dim, q, &factor);
	for (uint32_t i = 0; i < m->n; i++) {
		const struct row *row = &m->rows[i];

		if (passes(row, &f))
			scan_put(top, row->doc,
				 scan_dot(q, cells(m, i), m->stride) * (row->factor * factor));
	}
}
