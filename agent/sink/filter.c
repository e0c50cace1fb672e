/* What a sink wants; see filter.h. */
#include "sink/filter.h"

#include <errno.h>
#include <stdlib.h>

static int complain(struct buf *error, const char *what, struct str at)
{
	(void)buf_printf(error,
			 "%s \"%.*s\" in a filter; one looks like "
			 "kinds=pods,deployments;namespaces=shop;labels=app=web,tier!=test",
			 what, STR_ARG(at));
	return -EINVAL;
}

static int take_names(struct str list, struct str *names, uint32_t *n, struct buf *error)
{
	struct str name;
	bool more;

	do {
		more = str_split(&list, ',', &name);
		name = str_trim(name);
		if (!name.n)
			return complain(error, "there is an empty name before", list);
		if (*n == FILTER_MAX_TERMS)
			return complain(error, "there are too many names from here on:", name);
		names[(*n)++] = name;
	} while (more);
	return 0;
}

static struct filter_label label_of(struct str term)
{
	struct filter_label l = {.op = FILTER_THERE};
	struct str rest = term;

	if (term.n && term.p[0] == '!')
		return (struct filter_label){.key = str_from(term, 1), .op = FILTER_MISSING};
	if (!str_split(&rest, '=', &l.key))
		return (struct filter_label){.key = term, .op = FILTER_THERE};
	l.op = FILTER_EQUAL;
	if (l.key.n && l.key.p[l.key.n - 1] == '!') {
		l.key.n--;
		l.op = FILTER_UNEQUAL;
	} else if (rest.n && rest.p[0] == '=') { /* kubectl takes == for = */
		rest = str_from(rest, 1);
	}
	l.value = rest;
	return l;
}

static int take_labels(struct sink_filter *f, struct str list, struct buf *error)
{
	struct str term;
	bool more;

	do {
		struct filter_label l;

		more = str_split(&list, ',', &term);
		l = label_of(str_trim(term));
		if (!l.key.n)
			return complain(error, "there is no label key in", term);
		if (f->n_labels == FILTER_MAX_TERMS)
			return complain(error, "there are too many labels from here on:", term);
		f->labels[f->n_labels++] = l;
	} while (more);
	return 0;
}

static int take_part(struct sink_filter *f, struct str part, struct buf *error)
{
	struct str name, rest = part;

	if (!str_split(&rest, '=', &name))
		return complain(error, "there is no '=' in", part);
	if (str_eq(name, STR("kinds")))
		return take_names(rest, f->kinds, &f->n_kinds, error);
	if (str_eq(name, STR("namespaces")))
		return take_names(rest, f->namespaces, &f->n_namespaces, error);
	if (str_eq(name, STR("labels")))
		return take_labels(f, rest, error);
	return complain(error, "there is an unknown part", name);
}

int sink_filter_init(struct sink_filter *f, struct str text, struct buf *ret_error)
{
	struct str rest, part;
	int r = 0;
	bool more = text.n > 0;

	*f = (struct sink_filter){.text = str_dup(text)};
	if (!f->text)
		return -ENOMEM;
	rest = str_make(f->text, text.n);
	while (r == 0 && more) {
		more = str_split(&rest, ';', &part);
		part = str_trim(part);
		if (part.n)
			r = take_part(f, part, ret_error);
	}
	if (r < 0)
		sink_filter_done(f);
	return r;
}

void sink_filter_done(struct sink_filter *f)
{
	free(f->text);
	*f = (struct sink_filter){0};
}

int sink_filter_change(struct sink_filter *f, struct str text, struct buf *ret_error)
{
	struct sink_filter *other;
	int r;

	if (str_eq(str_of(f->text), text))
		return 0;
	other = malloc(sizeof(*other)); /* it is large */
	r = other ? sink_filter_init(other, text, ret_error) : -ENOMEM;
	if (r == 0) {
		sink_filter_done(f);
		*f = *other;
	}
	free(other);
	return r < 0 ? r : 1;
}

static bool name_matches(struct str pattern, struct str name)
{
	if (pattern.n && pattern.p[pattern.n - 1] == '*') {
		pattern.n--;
		return name.n >= pattern.n && str_ieq(pattern, str_make(name.p, pattern.n));
	}
	return str_ieq(pattern, name);
}

/* "deployments.apps" as well as "deployments". */
static bool kind_matches(struct str pattern, const struct store_kind_view *k)
{
	struct str plural, group = pattern;

	if (name_matches(pattern, k->plural))
		return true;
	return str_split(&group, '.', &plural) && str_ieq(plural, k->plural) &&
	       name_matches(group, k->group);
}

bool sink_filter_kind(const struct sink_filter *f, const struct store_kind_view *k)
{
	for (uint32_t i = 0; i < f->n_kinds; i++)
		if (kind_matches(f->kinds[i], k))
			return true;
	return f->n_kinds == 0;
}

bool sink_filter_namespace(const struct sink_filter *f, struct str ns)
{
	for (uint32_t i = 0; i < f->n_namespaces; i++)
		if (name_matches(f->namespaces[i], ns))
			return true;
	return f->n_namespaces == 0 || ns.n == 0;
}

static bool label_holds(const struct filter_label *l, const struct tree *labels)
{
	const struct tree *value = tree_get_str(labels, l->key);

	switch (l->op) {
	case FILTER_EQUAL:
		return value && str_eq(tree_text(value), l->value);
	case FILTER_UNEQUAL:
		return !value || !str_eq(tree_text(value), l->value);
	case FILTER_THERE:
		return value != NULL;
	case FILTER_MISSING:
		return value == NULL;
	}
	return false;
}

bool sink_filter_labels(const struct sink_filter *f, const struct tree *object)
{
	const struct tree *labels = tree_at(object, "metadata.labels");

	for (uint32_t i = 0; i < f->n_labels; i++)
		if (!label_holds(&f->labels[i], labels))
			return false;
	return true;
}
