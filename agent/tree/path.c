/*
 * Walking a tree by a compiled expression. No memory is taken; the depth of the
 * calls is bounded by the expression's length and the tree's depth.
 */
#include "tree/path.h"

#include "base/mem.h"
#include "decode/text.h"
#include "tree/path_parts.h"

#include <errno.h>
#include <stdlib.h>

#define ARENA_MAX ((size_t)4 << 20) /* each name takes the expression's length at most */

struct walk {
	int (*found)(void *ctx, const struct tree *value);
	void *ctx;
	const struct tree *root;
};

size_t path_until(struct str text, char stop)
{
	int depth = 0;
	char quote = 0;

	for (size_t i = 0; i < text.n; i++) {
		const char c = text.p[i];

		if (quote) {
			i += c == '\\';
			quote = c == quote ? 0 : quote;
		} else if (c == '\'' || c == '"') {
			quote = c;
		} else if (c == '[' || c == '(' || c == '{') {
			depth++;
		} else if (c == ']' || c == ')' || c == '}') {
			depth--;
		} else if (c == stop && depth <= 0) {
			return i;
		}
	}
	return quote || depth > 0 ? SIZE_MAX : text.n;
}

int path_new(struct str text, struct path **ret, struct buf *ret_error)
{
	struct path *p;
	int r;

	if (text.n > PATH_MAX_TEXT) {
		r = buf_printf(ret_error, "an expression may have %d bytes at most", PATH_MAX_TEXT);
		return r == -ENOMEM ? r : -EINVAL;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	arena_init(&p->arena, ARENA_MAX);
	r = arena_dup(&p->arena, text, &p->source);
	if (r == 0)
		r = path_compile(p, ret_error);
	if (r < 0)
		path_free(&p);
	else
		*ret = p;
	return r;
}

void path_free(struct path **p)
{
	if (!*p)
		return;
	arena_done(&(*p)->arena);
	free(*p);
	*p = NULL;
}

static int walk_on(const struct walk *w, const struct step *s, const struct tree *t);

static int walk_children(const struct walk *w, const struct step *s, const struct tree *t)
{
	int r = 0;

	for (const struct tree *c = t->first; c && r == 0; c = c->next)
		r = walk_on(w, s, c);
	return r;
}

/* "metadata.name" where no member is called so. */
static const struct tree *by_dots(const struct tree *t, struct str name)
{
	bool more = true;
	struct str part;

	while (t && more) {
		more = str_split(&name, '.', &part);
		t = tree_get_str(t, part);
	}
	return t;
}

static int walk_name(const struct walk *w, const struct step *s, const struct step *next,
		     const struct tree *t)
{
	const struct tree *value = tree_get_str(t, s->name);

	if (!value && s->dotted)
		value = by_dots(t, s->name);
	return value ? walk_on(w, next, value) : 0;
}

static int walk_slice(const struct walk *w, const struct step *s, const struct step *next,
		      const struct tree *t)
{
	int64_t from = s->from < 0 ? s->from + t->n : s->from, i = 0;
	int64_t to = s->to < 0 ? s->to + t->n : s->to;
	int r = 0;

	if (t->type != TREE_ARRAY)
		return 0;
	from = MAX(from, (int64_t)0);
	for (const struct tree *c = t->first; c && i < to && r == 0; c = c->next, i++)
		if (i >= from && (i - from) % s->by == 0)
			r = walk_on(w, next, c);
	return r;
}

static int walk_union(const struct walk *w, const struct step *s, const struct tree *t)
{
	int r = 0;

	for (const struct step *one = s->among; one && r == 0; one = one->next)
		r = one->type == STEP_NAME ? walk_name(w, one, s->next, t)
					   : walk_slice(w, one, s->next, t);
	return r;
}

static int walk_deep(const struct walk *w, const struct step *s, const struct tree *t)
{
	int r = walk_on(w, s->next, t);

	for (const struct tree *c = t->first; c && r == 0; c = c->next)
		r = walk_deep(w, s, c);
	return r;
}

/* ---- filters ---- */

struct compare {
	enum filter_op op;
	const struct tree *right;
};

static double as_double(struct str s)
{
	char z[64] = "";

	memcpy(z, s.p, MIN(s.n, sizeof(z) - 1));
	return strtod(z, NULL);
}

static int order_numbers(struct str a, struct str b)
{
	int64_t x, y;
	double u, v;

	if (text_int(a, INT64_MIN, INT64_MAX, &x) == 0 &&
	    text_int(b, INT64_MIN, INT64_MAX, &y) == 0)
		return (x > y) - (x < y);
	u = as_double(a);
	v = as_double(b);
	return (u > v) - (u < v);
}

static bool holds(enum filter_op op, int order)
{
	switch (op) {
	case FILTER_EXISTS:
		return true;
	case FILTER_EQ:
		return order == 0;
	case FILTER_NE:
		return order != 0;
	case FILTER_LT:
		return order < 0;
	case FILTER_LE:
		return order <= 0;
	case FILTER_GT:
		return order > 0;
	case FILTER_GE:
		return order >= 0;
	}
	return false;
}

static bool is_bool(const struct tree *t)
{
	return t->type == TREE_TRUE || t->type == TREE_FALSE;
}

/* Non-zero ends the walk: one value that fulfils it is enough. */
static int compare(void *ctx, const struct tree *left)
{
	const struct compare *c = ctx;
	const struct tree *right = c->right;

	if (c->op == FILTER_EXISTS)
		return 1;
	if (!right)
		return 0;
	if (left->type == right->type && left->type == TREE_NUMBER)
		return holds(c->op, order_numbers(left->text, right->text));
	if (left->type == right->type && left->type == TREE_STRING)
		return holds(c->op, str_cmp(left->text, right->text));
	if (c->op != FILTER_EQ && c->op != FILTER_NE)
		return 0;
	if (left->type == right->type && (is_bool(left) || left->type == TREE_NULL))
		return c->op == FILTER_EQ;
	return c->op == FILTER_NE;
}

static int take_first(void *ctx, const struct tree *t)
{
	*(const struct tree **)ctx = t;
	return 1;
}

static bool passes(const struct walk *w, const struct filter *f, const struct tree *t)
{
	const struct tree *right = f->right.literal ? &f->right.value : NULL;
	struct walk first = {.found = take_first, .ctx = &right, .root = w->root};
	struct compare c = {.op = f->op};
	struct walk left = {.found = compare, .ctx = &c, .root = w->root};

	if (f->op != FILTER_EXISTS && !f->right.literal)
		(void)walk_on(&first, f->right.steps, f->right.from_root ? w->root : t);
	c.right = right;
	return walk_on(&left, f->left.steps, f->left.from_root ? w->root : t) != 0;
}

static int walk_filter(const struct walk *w, const struct step *s, const struct tree *t)
{
	int r = 0;

	for (const struct tree *c = t->first; c && r == 0; c = c->next)
		if (passes(w, s->filter, c))
			r = walk_on(w, s->next, c);
	return r;
}

static int walk_on(const struct walk *w, const struct step *s, const struct tree *t)
{
	if (!s)
		return w->found(w->ctx, t);
	switch (s->type) {
	case STEP_NAME:
		return walk_name(w, s, s->next, t);
	case STEP_WILD:
		return walk_children(w, s->next, t);
	case STEP_DEEP:
		return walk_deep(w, s, t);
	case STEP_UNION:
		return walk_union(w, s, t);
	case STEP_SLICE:
		return walk_slice(w, s, s->next, t);
	case STEP_FILTER:
		return walk_filter(w, s, t);
	}
	return 0;
}

int path_eval(const struct path *p, const struct tree *t,
	      int (*found)(void *ctx, const struct tree *value), void *ctx)
{
	struct walk w = {.found = found, .ctx = ctx, .root = t};

	return t ? walk_on(&w, p->steps, t) : 0;
}

const struct tree *path_first(const struct path *p, const struct tree *t)
{
	const struct tree *first = NULL;

	(void)path_eval(p, t, take_first, &first);
	return first;
}

/* ---- removing ---- */

/* Marked first and taken out afterwards, for the walk goes on behind a value. */
static int mark(void *ctx, const struct tree *value)
{
	/* The tree is the caller's of path_remove, and not const there. */
	struct tree *t = (struct tree *)(uintptr_t)value;

	*(uint32_t *)ctx += !t->marked;
	t->marked = true;
	return 0;
}

static void sweep(struct tree *t)
{
	struct tree **link = &t->first, *c, *last = NULL;

	while ((c = *link)) {
		if (c->marked) {
			*link = c->next;
			t->n--;
			continue;
		}
		sweep(c);
		last = c;
		link = &c->next;
	}
	t->last = last;
}

uint32_t path_remove(const struct path *p, struct tree *t)
{
	uint32_t n = 0;

	(void)path_eval(p, t, mark, &n);
	if (n)
		sweep(t);
	if (t->marked) { /* the object itself stays */
		t->marked = false;
		n--;
	}
	return n;
}
