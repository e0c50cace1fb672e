#include "cli/sheet.h"

#include "base/mem.h"
#include "cli/text.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define GAP	  2
#define TEXTS_MAX ((size_t)1 << 30)
#define CELL_MAX  8192

struct cell {
	size_t at;
	unsigned bytes;
	unsigned short chars;
	unsigned char tint;
};

struct sheet {
	const struct sheet_column *columns;
	size_t n;
	struct cell *cells;
	size_t n_cells, cap;
	struct buf texts;
};

struct widths {
	unsigned v[SHEET_COLUMNS_MAX];
};

struct sheet_look sheet_look(bool wide)
{
	return (struct sheet_look){
		.width = wide ? 0 : term_width(), .colours = term_colours(), .wide = wide};
}

int sheet_new(const struct sheet_column *columns, size_t n, struct sheet **ret)
{
	struct sheet *t = calloc(1, sizeof(*t));

	assert(n <= SHEET_COLUMNS_MAX);
	if (!t)
		return -ENOMEM;
	t->columns = columns;
	t->n = n;
	buf_init(&t->texts, TEXTS_MAX);
	*ret = t;
	return 0;
}

void sheet_free(struct sheet **t)
{
	if (!*t)
		return;
	free((*t)->cells);
	buf_done(&(*t)->texts);
	free(*t);
	*t = NULL;
}

/* ---- cells ----------------------------------------------------------------------------------- */

static int grow(struct sheet *t)
{
	size_t cap = t->cap ? 2 * t->cap : 256;
	struct cell *v;

	if (t->n_cells < t->cap)
		return 0;
	v = realloc(t->cells, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	t->cells = v;
	t->cap = cap;
	return 0;
}

int sheet_put(struct sheet *t, struct str s, enum tint tint)
{
	const struct cell c = {
		.at = t->texts.n,
		.bytes = (unsigned)MIN(s.n, (size_t)CELL_MAX),
		.chars = (unsigned short)text_count(str_make(s.p, MIN(s.n, (size_t)CELL_MAX))),
		.tint = (unsigned char)tint};
	int r = grow(t);

	if (r == 0)
		r = buf_append(&t->texts, s.p ? s.p : "", c.bytes);
	if (r == 0)
		t->cells[t->n_cells++] = c;
	return r;
}

int sheet_printf(struct sheet *t, enum tint tint, const char *fmt, ...)
{
	char text[CELL_MAX];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return sheet_put(t, str_of(text), tint);
}

size_t sheet_rows(const struct sheet *t)
{
	return t->n_cells / t->n;
}

static struct str text_at(const struct sheet *t, const struct cell *c)
{
	return str_make(buf_str(&t->texts).p + c->at, c->bytes);
}

static int compare(const void *a, const void *b, void *ctx)
{
	const struct sheet *t = ctx;
	const struct cell *x = a, *y = b;
	int r = 0;

	for (size_t i = 0; i < t->n && r == 0; i++)
		r = str_cmp(text_at(t, &x[i]), text_at(t, &y[i]));
	return r;
}

void sheet_sort(struct sheet *t)
{
	if (sheet_rows(t) > 1)
		qsort_r(t->cells, sheet_rows(t), t->n * sizeof(struct cell), compare, t);
}

/* ---- widths ---------------------------------------------------------------------------------- */

static bool shown(const struct sheet *t, size_t column, const struct sheet_look *look)
{
	return look->wide || !t->columns[column].wide;
}

static unsigned whole_width(const struct sheet *t, const struct sheet_look *look,
			    const struct widths *w)
{
	unsigned sum = 0;

	for (size_t i = 0; i < t->n; i++)
		sum += shown(t, i, look) ? w->v[i] + (sum ? GAP : 0) : 0;
	return sum;
}

/* The widest of those that may be cut further; t->n: none. */
static size_t widest(const struct sheet *t, const struct sheet_look *look, const struct widths *w)
{
	size_t best = t->n;

	for (size_t i = 0; i < t->n; i++)
		if (shown(t, i, look) && t->columns[i].min && w->v[i] > t->columns[i].min &&
		    (best == t->n || w->v[i] > w->v[best]))
			best = i;
	return best;
}

static void measure(const struct sheet *t, const struct sheet_look *look, size_t rows,
		    struct widths *ret)
{
	struct widths w = {0};
	size_t i;

	for (i = 0; i < t->n; i++)
		w.v[i] = (unsigned)text_count(str_of(t->columns[i].title));
	for (i = 0; i < rows * t->n; i++)
		w.v[i % t->n] = MAX(w.v[i % t->n], (unsigned)t->cells[i].chars);
	while (look->width && whole_width(t, look, &w) > look->width &&
	       (i = widest(t, look, &w)) < t->n)
		w.v[i]--;
	*ret = w;
}

/* ---- printing -------------------------------------------------------------------------------- */

static bool is_last(const struct sheet *t, const struct sheet_look *look, size_t column)
{
	for (size_t i = column + 1; i < t->n; i++)
		if (shown(t, i, look))
			return false;
	return true;
}

static int put_blanks(struct buf *out, size_t n)
{
	return n ? buf_printf(out, "%*s", (int)n, "") : 0;
}

/* Nothing stands behind the last column, and the colour ends before the blanks. */
static int put_cell(const struct sheet *t, const struct sheet_look *look, size_t column,
		    unsigned width, struct str s, enum tint tint, struct buf *out)
{
	const size_t n = text_count(s), pad = n < width ? width - n : 0;
	const bool right = t->columns[column].right, last = is_last(t, look, column);
	int r = right ? put_blanks(out, pad) : 0;

	r = r ?: buf_append_str(out, str_of(n ? tint_on(tint, look->colours) : ""));
	r = r ?: text_put(out, s, width, 0);
	r = r ?: buf_append_str(out, str_of(n ? tint_off(tint, look->colours) : ""));
	if (!last)
		return r ?: put_blanks(out, GAP + (right ? 0 : pad));
	while (r == 0 && str_ends(buf_str(out), STR(" ")))
		out->n--;
	return r ?: buf_append_str(out, STR("\n"));
}

int sheet_print(const struct sheet *t, const struct sheet_look *look, size_t most, struct buf *out)
{
	const size_t rows = MIN(sheet_rows(t), most);
	struct widths w;
	int r = 0;

	measure(t, look, rows, &w);
	for (size_t i = 0; i < t->n && r == 0; i++)
		if (shown(t, i, look))
			r = put_cell(t, look, i, w.v[i], str_of(t->columns[i].title), TINT_BOLD,
				     out);
	for (size_t i = 0; i < rows * t->n && r == 0; i++)
		if (shown(t, i % t->n, look))
			r = put_cell(t, look, i % t->n, w.v[i % t->n], text_at(t, &t->cells[i]),
				     (enum tint)t->cells[i].tint, out);
	return r;
}
