/* See access_rows.h. */
#include "cli/access_rows.h"

#include "base/mem.h"
#include "core/collect.h"

#include <errno.h>

enum step { STEP_EVERYWHERE, STEP_EACH, STEP_DONE };

struct access_progress {
	enum step step;
	bool asked;	   /* everywhere */
	size_t next, open; /* namespaces: the next to ask for; questions under way */
};

/* ---- rows ------------------------------------------------------------------------------------ */

static int make_room(struct access_rows *a)
{
	const size_t cap = a->n ? 2 * a->n : 1;
	struct access_progress *progress;
	struct access_row *v;

	if (a->n & (a->n - 1)) /* there is room up to the next power of two */
		return 0;
	v = realloc(a->v, cap * sizeof(*v));
	if (!v)
		return -ENOMEM;
	a->v = v;
	progress = realloc(a->progress, cap * sizeof(*progress));
	if (!progress)
		return -ENOMEM;
	a->progress = progress;
	return 0;
}

static int add_row(struct access_rows *a, const struct access_rule *rule, enum access_verb verb)
{
	int r = make_room(a);

	if (r < 0)
		return r;
	a->v[a->n] = (struct access_row){.rule = *rule, .verb = verb, .allowed = true};
	/* One namespace alone is asked for at once. */
	a->progress[a->n++] = (struct access_progress){
		.step = rule->namespaces.n == 1 ? STEP_EACH : STEP_EVERYWHERE};
	return 0;
}

static int add_rule(struct access_rows *a, const struct access_rule *rule)
{
	int r = 0;

	for (unsigned v = 0; r == 0 && v < _ACCESS_VERB_MAX; v++)
		if (rule->verbs & ACCESS_BIT(v))
			r = add_row(a, rule, (enum access_verb)v);
	return r;
}

static void remove_row(struct access_rows *a, size_t i)
{
	free(a->v[i].denied_in);
	a->n--;
	memmove(&a->v[i], &a->v[i + 1], (a->n - i) * sizeof(a->v[0]));
	memmove(&a->progress[i], &a->progress[i + 1], (a->n - i) * sizeof(a->progress[0]));
}

void access_rows_done(struct access_rows *a)
{
	for (size_t i = 0; i < a->n; i++)
		free(a->v[i].denied_in);
	free(a->v);
	free(a->progress);
	*a = (struct access_rows){0};
}

/* ---- what the catalogue says ----------------------------------------------------------------- */

static bool is_any(struct str s)
{
	return str_eq(s, STR("*"));
}

bool access_rows_want_catalog(const struct access *needed)
{
	for (size_t i = 0; i < needed->n; i++)
		if (needed->v[i].kind.n || is_any(needed->v[i].group))
			return true;
	return false;
}

static size_t entries(const struct access_rows *a)
{
	return a->catalog ? catalog_n(a->catalog) : 0;
}

/* "rollouts" of the kind Rollout. */
static int add_kind(struct access_rows *a, struct access_rule rule)
{
	for (size_t i = 0; i < entries(a); i++) {
		const struct catalog_entry e = catalog_entry(a->catalog, i);

		if (!str_eq(e.group, rule.group) || !str_eq(e.kind, rule.kind))
			continue;
		rule.resource = e.plural;
		rule.kind = (struct str){0};
		break;
	}
	return add_rule(a, &rule);
}

/* "deployments" of every group that has them. */
static int add_plural(struct access_rows *a, struct access_rule rule)
{
	bool found = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < entries(a); i++) {
		const struct catalog_entry e = catalog_entry(a->catalog, i);

		if (!str_eq(e.plural, rule.resource))
			continue;
		found = true;
		rule.group = e.group;
		r = add_rule(a, &rule);
	}
	return r < 0 || found ? r : add_rule(a, &rule);
}

int access_rows_make(struct access_rows *a, const struct access *needed)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < needed->n; i++) {
		const struct access_rule *rule = &needed->v[i];

		if (rule->kind.n)
			r = add_kind(a, *rule);
		else if (is_any(rule->group) && !is_any(rule->resource))
			r = add_plural(a, *rule);
		else
			r = add_rule(a, rule);
	}
	return r;
}

/* ---- everything, or kind by kind ------------------------------------------------------------- */

static bool is_excluded(const struct access_rows *a, const struct catalog_entry *e)
{
	const struct option_list *l = &a->c->exclude_resources;

	for (size_t i = 0; i < l->n; i++)
		if (collect_name_is(str_of(l->v[i]), e->group, e->plural))
			return true;
	return false;
}

static int add_each_kind(struct access_rows *a, struct access_rule rule, enum access_verb verb)
{
	const bool in_namespaces = rule.namespaces.n > 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < entries(a); i++) {
		const struct catalog_entry e = catalog_entry(a->catalog, i);

		if (is_excluded(a, &e) || (in_namespaces && !e.namespaced))
			continue;
		rule.group = e.group;
		rule.resource = e.plural;
		r = add_row(a, &rule, verb);
	}
	return r;
}

/* Of resources that are watched; of owners "*" says "what may be read", and nothing is missing. */
static bool is_refused_whole(const struct access_row *row)
{
	return is_any(row->rule.resource) && row->rule.verbs & ACCESS_BIT(ACCESS_WATCH) &&
	       !row->allowed;
}

static int expand(struct access_rows *a)
{
	const size_t n = a->n;
	int r = 0;

	if (!entries(a))
		return 0;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (is_refused_whole(&a->v[i]))
			r = add_each_kind(a, a->v[i].rule, a->v[i].verb);
	for (size_t i = n; r == 0 && i-- > 0;)
		if (is_refused_whole(&a->v[i]))
			remove_row(a, i);
	return r;
}

/* ---- questions ------------------------------------------------------------------------------- */

bool access_rows_next(struct access_rows *a, struct access_place *ret)
{
	for (size_t i = 0; i < a->n; i++) {
		const struct option_list *in = &a->v[i].rule.namespaces;
		struct access_progress *p = &a->progress[i];

		if (p->step == STEP_EVERYWHERE && !p->asked) {
			p->asked = true;
			*ret = (struct access_place){.row = i};
			return true;
		}
		if (p->step == STEP_EACH && p->next < in->n) {
			p->open++;
			*ret = (struct access_place){.row = i, .ns = in->v[p->next++]};
			return true;
		}
	}
	return false;
}

static int note_everywhere(struct access_rows *a, size_t row, const struct access_verdict *v)
{
	const bool each = !v->allowed && a->v[row].rule.namespaces.n;

	if (!each)
		a->v[row].allowed = v->allowed;
	a->progress[row].step = each ? STEP_EACH : STEP_DONE;
	return 0;
}

static int note_in(struct access_rows *a, const struct access_place *p,
		   const struct access_verdict *v)
{
	struct access_row *row = &a->v[p->row];
	struct access_progress *g = &a->progress[p->row];

	if (!v->allowed && !row->denied_in) {
		row->denied_in = calloc(row->rule.namespaces.n, sizeof(*row->denied_in));
		if (!row->denied_in)
			return -ENOMEM;
	}
	if (!v->allowed) {
		row->denied_in[row->n_denied++] = p->ns;
		row->allowed = false;
	}
	g->open--;
	if (!g->open && g->next == row->rule.namespaces.n)
		g->step = STEP_DONE;
	return 0;
}

int access_rows_note(struct access_rows *a, const struct access_place *p,
		     const struct access_verdict *v)
{
	if (!v->allowed)
		a->v[p->row].verdict = *v;
	return p->ns ? note_in(a, p, v) : note_everywhere(a, p->row, v);
}

static bool all_done(const struct access_rows *a)
{
	for (size_t i = 0; i < a->n; i++)
		if (a->progress[i].step != STEP_DONE)
			return false;
	return true;
}

int access_rows_over(struct access_rows *a)
{
	int r = 0;

	if (!all_done(a))
		return 0;
	if (!a->expanded)
		r = expand(a);
	a->expanded = true;
	return r < 0 ? r : all_done(a);
}

struct access_question access_rows_question(const struct access_rows *a,
					    const struct access_place *p)
{
	const struct access_row *row = &a->v[p->row];

	return (struct access_question){.verb = str_of(access_verb_name(row->verb)),
					.group = row->rule.group,
					.resource = row->rule.resource,
					.ns = str_of(p->ns),
					/* What is to be made has no name yet. */
					.name = row->verb == ACCESS_CREATE ? (struct str){0}
									   : row->rule.name,
					.path = row->rule.path};
}
