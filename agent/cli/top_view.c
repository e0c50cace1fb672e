#include "cli/top_view.h"

#include "base/mem.h"
#include "cli/screen.h"
#include "cli/text.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define AROUND	  4 /* lines of a screen that are not rows: title, figures, heads, keys */
#define LINE_MAX_ 1024
#define KEYS                                                                                       \
	"t traffic  c connections  f failures  r retransmits  / filter  space pause  arrows move " \
	" "                                                                                        \
	"q quit"

/* ---- keys ------------------------------------------------------------------------------------ */

static void type_key(struct top_view *v, int key)
{
	const size_t n = strlen(v->typed);

	if (key == '\n' || key == '\r')
		(void)snprintf(v->filter, sizeof(v->filter), "%s", v->typed);
	if (key == '\n' || key == '\r' || key == KEY_ESCAPE) {
		v->typing = false;
		v->skip = 0;
	} else if ((key == 127 || key == '\b') && n) {
		v->typed[n - 1] = '\0';
	} else if (key >= ' ' && key < 127 && n + 1 < sizeof(v->typed)) {
		v->typed[n] = (char)key;
		v->typed[n + 1] = '\0';
	}
}

static void move(struct top_view *v, long by)
{
	v->skip = by < 0 && v->skip < (size_t)-by ? 0 : v->skip + (size_t)by;
}

static void sort_by(struct top_view *v, enum top_sort by)
{
	v->sort = by;
	v->skip = 0;
}

static void command_key(struct top_view *v, int key, long page)
{
	switch (key) {
	case 't':
		return sort_by(v, TOP_BY_TRAFFIC);
	case 'c':
		return sort_by(v, TOP_BY_CONNECTIONS);
	case 'f':
		return sort_by(v, TOP_BY_FAILURES);
	case 'r':
		return sort_by(v, TOP_BY_RETRANSMITS);
	case '/':
		v->typing = true;
		(void)snprintf(v->typed, sizeof(v->typed), "%s", v->filter);
		return;
	case KEY_ESCAPE:
		v->filter[0] = '\0';
		return;
	case ' ':
		v->paused = !v->paused;
		return;
	case 'k':
	case KEY_UP:
		return move(v, -1);
	case 'j':
	case KEY_DOWN:
		return move(v, 1);
	case KEY_PAGE_UP:
		return move(v, -page);
	case KEY_PAGE_DOWN:
		return move(v, page);
	case 'q':
		v->quit = true;
		return;
	default:
		return;
	}
}

void top_view_key(struct top_view *v, int key, unsigned rows)
{
	if (key == KEY_END)
		v->quit = true;
	else if (v->typing)
		type_key(v, key);
	else
		command_key(v, key, rows > AROUND ? (long)(rows - AROUND) : 1);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static double seconds_of(const struct top_view *v)
{
	const double s =
		v->before ? (double)(v->now->at - v->before->at) / NSEC_PER_SEC : v->now->age;

	return MAX(s, 0.001);
}

/* Those that the filter lets pass, sorted; the caller's to free. */
static int rows_of(const struct top_view *v, struct top_row **ret, size_t *ret_n)
{
	size_t n = 0;
	int r = top_differences(v->before, v->now, ret);

	if (r < 0)
		return r;
	for (size_t i = 0; i < v->now->n; i++)
		if (!v->filter[0] || top_row_has(&(*ret)[i], v->filter))
			(*ret)[n++] = (*ret)[i];
	top_sort_rows(*ret, n, v->sort);
	*ret_n = n;
	return 0;
}

static int put_rows(const struct top_row *v, size_t n, double seconds,
		    const struct sheet_look *look, struct buf *out)
{
	_sheet_ struct sheet *s = NULL;
	int r = top_sheet_new(&s);

	for (size_t i = 0; i < n && r == 0; i++)
		r = top_sheet_put(s, &v[i], seconds);
	return r ?: sheet_print(s, look, SIZE_MAX, out);
}

int top_view_table(const struct top_view *v, const struct sheet_look *look, struct buf *out)
{
	_free_ struct top_row *rows = NULL;
	size_t n;
	int r = rows_of(v, &rows, &n);

	return r ?: put_rows(rows, n, seconds_of(v), look, out);
}

int top_view_json(const struct top_view *v, struct buf *out)
{
	_free_ struct top_row *rows = NULL;
	size_t n = 0;
	int r = rows_of(v, &rows, &n);

	for (size_t i = 0; i < n && r == 0; i++)
		r = top_row_json(&rows[i], seconds_of(v), out);
	return r;
}

/* ---- the screen ------------------------------------------------------------------------------ */

/* A line of the terminal's width, its text as it is. */
static int put_line(struct buf *out, const struct sheet_look *look, enum tint tint,
		    const char *text, bool last)
{
	int r = buf_append_str(out, str_of(tint_on(tint, look->colours)));

	r = r ?: text_put(out, str_of(text), look->width, 0);
	r = r ?: buf_append_str(out, str_of(tint_off(tint, look->colours)));
	return r ?: buf_append_str(out, last ? STR("") : STR("\n"));
}

static int put_title(const struct top_view *v, const struct sheet_look *look, size_t n,
		     struct buf *out)
{
	char line[LINE_MAX_], span[TEXT_FIGURE_MAX];

	if (v->before)
		(void)snprintf(span, sizeof(span), "the last %.1f s", seconds_of(v));
	else
		(void)text_span((uint64_t)seconds_of(v), span);
	(void)snprintf(
		line, sizeof(line), "kindred top: %zu of %zu by %s, %s%s%s%s%s  (%s)", n, v->now->n,
		top_sort_names[v->sort], v->before ? "" : "since the agent began, ", span,
		v->filter[0] ? ", filter " : "", v->filter, v->paused ? ", paused" : "", v->where);
	return put_line(out, look, TINT_BOLD, line, false);
}

static int put_sums(const struct top_view *v, const struct sheet_look *look,
		    const struct top_row *rows, size_t n, struct buf *out)
{
	char line[LINE_MAX_], sent[TEXT_FIGURE_MAX], back[TEXT_FIGURE_MAX];
	double sum[_TOP_FIGURES] = {0};
	const double s = seconds_of(v);

	if (v->error.n) {
		(void)snprintf(line, sizeof(line), "%.*s", STR_ARG(v->error));
		return put_line(out, look, TINT_BAD, line, false);
	}
	for (size_t i = 0; i < n; i++)
		for (int f = 0; f < _TOP_FIGURES; f++)
			sum[f] += rows[i].v[f];
	(void)snprintf(
		line, sizeof(line),
		"a second: %s sent, %s back, %.1f connections, %.1f failures, %.1f retransmits",
		text_bytes((uint64_t)(sum[TOP_SENT] / s), sent),
		text_bytes((uint64_t)(sum[TOP_BACK] / s), back), sum[TOP_CONNECTIONS] / s,
		sum[TOP_FAILURES] / s, sum[TOP_RETRANSMITS] / s);
	return put_line(out, look, TINT_PLAIN, line, false);
}

static int put_keys(const struct top_view *v, const struct sheet_look *look, struct buf *out)
{
	char line[LINE_MAX_];

	if (!v->typing)
		return put_line(out, look, TINT_DIM, KEYS, true);
	(void)snprintf(line, sizeof(line), "filter: %s_   (enter takes it, escape does not)",
		       v->typed);
	return put_line(out, look, TINT_BOLD, line, true);
}

int top_view_screen(struct top_view *v, const struct sheet_look *look, unsigned rows,
		    struct buf *out)
{
	const size_t room = rows > AROUND ? rows - AROUND : 1;
	_free_ struct top_row *all = NULL;
	size_t n, shown;
	int r = rows_of(v, &all, &n);

	if (r < 0)
		return r;
	v->skip = n > room ? MIN(v->skip, n - room) : 0;
	shown = MIN(n - v->skip, room);
	r = put_title(v, look, n, out);
	r = r ?: put_sums(v, look, all, n, out);
	r = r ?: put_rows(all + v->skip, shown, seconds_of(v), look, out);
	for (size_t i = shown; i < room && r == 0; i++)
		r = buf_append_str(out, STR("\n"));
	return r ?: put_keys(v, look, out);
}
