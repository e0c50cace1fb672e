#include "sink/graph/selector.h"

static const struct str *value_of(struct str key, const struct graph_label *labels, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (str_eq(labels[i].key, key))
			return &labels[i].value;
	return NULL;
}

/* The next term; commas within parentheses belong to it. */
static struct str next_term(struct str *rest)
{
	struct str term = *rest;
	size_t i = 0;
	bool inside = false;

	for (; i < rest->n && (inside || rest->p[i] != ','); i++) {
		if (rest->p[i] == '(')
			inside = true;
		else if (rest->p[i] == ')')
			inside = false;
	}
	term.n = i;
	*rest = str_from(*rest, i + 1);
	return term;
}

/* "(a,b)" */
static bool is_among(struct str value, struct str list)
{
	bool more = true;
	struct str one;

	if (list.n < 2)
		return false;
	list = str_make(list.p + 1, list.n - 2);
	while (more) {
		more = str_split(&list, ',', &one);
		if (str_eq(one, value))
			return true;
	}
	return false;
}

static bool holds(struct str term, const struct graph_label *labels, uint32_t n)
{
	struct str rest = term, key;
	const struct str *value;

	if (str_starts(term, STR("!")))
		return !value_of(str_from(term, 1), labels, n);
	if (str_split(&rest, ' ', &key)) {
		value = value_of(key, labels, n);
		if (str_starts(rest, STR("in ")))
			return value && is_among(*value, str_from(rest, 3));
		/* As in the API: what has no such label is not among them. */
		return !value || !is_among(*value, str_from(rest, 6));
	}
	rest = term;
	if (!str_split(&rest, '=', &key))
		return value_of(term, labels, n);
	value = value_of(key, labels, n);
	return value && str_eq(*value, rest);
}

bool selector_matches(struct str selector, const struct graph_label *labels, uint32_t n)
{
	if (str_eq(selector, STR("*")))
		return true;
	while (selector.n)
		if (!holds(next_term(&selector), labels, n))
			return false;
	return true;
}
