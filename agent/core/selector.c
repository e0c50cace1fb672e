/* Label selectors; see selector.h. */
#include "core/selector.h"

#include "base/mem.h"

#include <errno.h>

#define MAX_NAME 317 /* bytes of a key: a DNS name, '/', 63 more; values are shorter */

struct term {
	struct str key;
	bool negated; /* !=, notin, !key */
	bool exists;  /* no values: is it there? */
	uint32_t n;
	struct str values[SELECTOR_MAX_VALUES];
};

struct selector {
	char *text; /* what the views look at */
	uint32_t n;
	struct term terms[SELECTOR_MAX_TERMS];
};

static int fault(struct buf *b, struct str text, const char *why)
{
	int r = buf_printf(b, "the label selector \"%.*s\" is not understood: %s", STR_ARG(text),
			   why);

	return r < 0 ? r : -EINVAL;
}

static bool good(struct str s, bool may_be_empty)
{
	if (s.n > MAX_NAME || (!s.n && !may_be_empty))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || c == '.' || c == '/'))
			return false;
	}
	return true;
}

static const char *add_value(struct term *t, struct str v)
{
	v = str_trim(v);
	if (!good(v, true))
		return "a value has characters that none may have";
	if (t->n == SELECTOR_MAX_VALUES)
		return "a term has too many values";
	t->values[t->n++] = v;
	return NULL;
}

/* "(a, b)" */
static const char *read_set(struct term *t, struct str set)
{
	const char *why = NULL;
	struct str one;
	bool more;

	set = str_trim(set);
	if (set.n < 2 || set.p[0] != '(' || set.p[set.n - 1] != ')')
		return "in and notin want values in parentheses";
	set = str_make(set.p + 1, set.n - 2);
	do {
		more = str_split(&set, ',', &one);
		why = add_value(t, one);
	} while (more && !why);
	return why;
}

static const char *read_term(struct term *t, struct str s)
{
	size_t i = 0;

	s = str_trim(s);
	*t = (struct term){.negated = s.n && s.p[0] == '!'};
	if (t->negated)
		s = str_trim(str_from(s, 1));
	while (i < s.n && !strchr("=! \t", s.p[i]))
		i++;
	t->key = str_make(s.p, i);
	s = str_trim(str_from(s, i));
	if (!good(t->key, false))
		return "a key is missing, or has characters that none may have";
	t->exists = s.n == 0;
	if (t->exists)
		return NULL;
	if (t->negated)
		return "nothing may follow a key with '!' before it";
	if (str_starts(s, STR("!="))) {
		t->negated = true;
		return add_value(t, str_from(s, 2));
	}
	if (s.p[0] == '=')
		return add_value(t, str_from(s, str_starts(s, STR("==")) ? 2 : 1));
	t->negated = str_starts(s, STR("notin"));
	if (t->negated || str_starts(s, STR("in")))
		return read_set(t, str_from(s, t->negated ? 5 : 2));
	return "after a key comes =, ==, !=, in or notin";
}

/* Up to the next comma outside of parentheses. */
static struct str take_term(struct str *s)
{
	size_t i = 0;
	bool inside = false;

	while (i < s->n && (s->p[i] != ',' || inside)) {
		inside = (inside || s->p[i] == '(') && s->p[i] != ')';
		i++;
	}
	struct str head = str_make(s->p, i);
	*s = i < s->n ? str_from(*s, i + 1) : (struct str){0};
	return head;
}

static const char *read_all(struct selector *s)
{
	struct str rest = str_trim(str_of(s->text));
	const char *why = NULL;

	while (rest.n && !why) {
		const size_t before = rest.n;
		const struct str one = take_term(&rest);

		if (s->n == SELECTOR_MAX_TERMS)
			return "it has too many terms";
		why = read_term(&s->terms[s->n++], one);
		if (!why && !rest.n && one.n < before)
			why = "it ends with a comma";
	}
	return why;
}

int selector_new(struct str text, struct selector **ret, struct buf *ret_error)
{
	struct selector *s = calloc(1, sizeof(*s));
	const char *why;

	if (s)
		s->text = str_dup(text);
	if (!s || !s->text) {
		selector_free(&s);
		return -ENOMEM;
	}
	why = memchr(s->text, 0, text.n) ? "it has a NUL byte" : read_all(s);
	if (why) {
		selector_free(&s);
		return fault(ret_error, text, why);
	}
	*ret = s;
	return 0;
}

void selector_free(struct selector **s)
{
	if (*s)
		free((*s)->text);
	free(*s);
	*s = NULL;
}

static bool term_match(const struct term *t, const struct tree *labels)
{
	const struct tree *label = tree_get_str(labels, t->key);
	bool yes = label && t->exists;

	for (uint32_t i = 0; label && !yes && i < t->n; i++)
		yes = str_eq(tree_text(label), t->values[i]);
	return yes != t->negated;
}

bool selector_match(const struct selector *s, const struct tree *labels)
{
	for (uint32_t i = 0; s && i < s->n; i++)
		if (!term_match(&s->terms[i], labels))
			return false;
	return true;
}
