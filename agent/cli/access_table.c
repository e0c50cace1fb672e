/* See access_table.h. */
#include "cli/access_table.h"

#include "base/mem.h"

#include <errno.h>

#define CELL_MAX   512
#define NAMES_MAX  3 /* namespaces that a cell names; of more it says how many */
#define COLUMN_GAP 2

static int print_names(const char *const *v, size_t n, struct buf *b)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < MIN(n, (size_t)NAMES_MAX); i++)
		r = buf_printf(b, "%s%s", i ? ", " : " in ", v[i]);
	return r < 0 || n <= NAMES_MAX ? r : buf_printf(b, " and %zu more", n - NAMES_MAX);
}

/* "list pods in shop, pay" */
static int print_permission(const struct access_row *row, struct buf *b)
{
	int r = buf_printf(b, "%s ", access_verb_name(row->verb));

	if (r == 0)
		r = access_name(&row->rule, b);
	return r < 0 ? r : print_names(row->rule.namespaces.v, row->rule.namespaces.n, b);
}

static int print_answer(const struct access_row *row, struct buf *b)
{
	int r;

	if (row->allowed)
		return buf_append_str(b, STR("allowed"));
	r = buf_append_str(b, STR("denied"));
	if (r == 0 && row->n_denied < row->rule.namespaces.n)
		r = print_names(row->denied_in, row->n_denied, b);
	return r < 0 || !row->verdict.reason[0] ? r : buf_printf(b, ": %s", row->verdict.reason);
}

/* A cell that is too long is cut. */
static struct str cell(int r, const struct buf *b)
{
	return r < 0 && r != -EMSGSIZE ? STR("?") : buf_str(b);
}

struct widths {
	size_t permission, use;
};

static void measure(const struct access_row *row, struct widths *w)
{
	_buf_ struct buf b = {.max = CELL_MAX};
	const struct str s = cell(print_permission(row, &b), &b);

	w->permission = MAX(w->permission, s.n);
	w->use = MAX(w->use, strlen(row->rule.use));
}

static int print_row(const struct access_row *row, const struct widths *w, struct buf *out)
{
	_buf_ struct buf what = {.max = CELL_MAX}, answer = {.max = 2 * CELL_MAX};
	const struct str left = cell(print_permission(row, &what), &what);
	const struct str right = cell(print_answer(row, &answer), &answer);

	return buf_printf(out, "%-*.*s%-*s%.*s\n", (int)(w->permission + COLUMN_GAP), (int)left.n,
			  left.p ? left.p : "", (int)(w->use + COLUMN_GAP), row->rule.use,
			  STR_ARG(right));
}

int access_table(const struct access_row *rows, size_t n, struct buf *out)
{
	struct widths w = {sizeof("PERMISSION") - 1, sizeof("FOR") - 1};
	int r;

	for (size_t i = 0; i < n; i++)
		measure(&rows[i], &w);
	r = buf_printf(out, "%-*s%-*s%s\n", (int)(w.permission + COLUMN_GAP), "PERMISSION",
		       (int)(w.use + COLUMN_GAP), "FOR", "ANSWER");
	for (size_t i = 0; r == 0 && i < n; i++)
		r = print_row(&rows[i], &w, out);
	return r;
}

size_t access_denied(const struct access_row *rows, size_t n)
{
	size_t denied = 0;

	for (size_t i = 0; i < n; i++)
		denied += !rows[i].allowed;
	return denied;
}

static bool same_names(const struct option_list *a, const struct option_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (strcmp(a->v[i], b->v[i]) != 0)
			return false;
	return true;
}

static bool same_place(const struct access_rule *a, const struct access_rule *b)
{
	return str_eq(a->group, b->group) && str_eq(a->resource, b->resource) &&
	       str_eq(a->path, b->path) && str_eq(a->name, b->name) &&
	       same_names(&a->namespaces, &b->namespaces);
}

static int add_missing(const struct access_row *row, struct access *a)
{
	struct access_rule rule = row->rule;

	rule.built_in = false; /* this cluster does not grant it */
	rule.verbs = ACCESS_BIT(row->verb);
	if (row->n_denied)
		rule.namespaces = (struct option_list){.v = row->denied_in, .n = row->n_denied};
	for (size_t i = 0; i < a->n; i++)
		if (same_place(&a->v[i], &rule)) {
			a->v[i].verbs |= rule.verbs;
			return 0;
		}
	return access_add(a, &rule) ? 0 : -ENOMEM;
}

int access_missing(const struct access_row *rows, size_t n, struct access *ret)
{
	struct access a;
	int r = 0;

	access_init(&a);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (!rows[i].allowed)
			r = add_missing(&rows[i], &a);
	if (r < 0)
		access_done(&a);
	else
		*ret = a;
	return r;
}
