#include "select.h"

#include "span.h"

#include <errno.h>

static const char *const known_fields[] = {"metadata.name", "metadata.namespace", "spec.nodeName",
					   "status.phase"};

/* "a in (b,c)" or "a notin (b,c)"; false when it is neither. */
static bool parse_set(struct requirement *r, struct str part)
{
	struct str rest = part, key, word;

	if (!str_ends(part, STR(")")) || !str_split(&rest, ' ', &key))
		return false;
	rest = str_trim(rest);
	if (!str_split(&rest, '(', &word))
		return false;
	word = str_trim(word);
	if (!str_eq(word, STR("in")) && !str_eq(word, STR("notin")))
		return false;
	r->not = str_eq(word, STR("notin"));
	r->key = key;
	r->value = str_make(rest.p, rest.n - 1);
	return true;
}

static bool parse_equal(struct requirement *r, struct str part)
{
	struct str value = part;

	if (!str_split(&value, '=', &r->key))
		return false;
	if (str_starts(value, STR("=")))
		value = str_from(value, 1);
	if (str_ends(r->key, STR("!"))) {
		r->not = true;
		r->key.n--;
	}
	r->key = str_trim(r->key);
	r->value = str_trim(value);
	return true;
}

static int add_one(struct selector *s, struct str part, bool label)
{
	struct requirement *r = &s->req[s->n];

	part = str_trim(part);
	if (s->n == SELECT_MAX || !part.n)
		return -EINVAL;
	*r = (struct requirement){.label = label};
	if (!(label && parse_set(r, part)) && !parse_equal(r, part)) {
		r->exists = true;
		r->not = part.p[0] == '!';
		r->key = str_from(part, r->not );
		if (!label || !r->key.n || memchr(r->key.p, ' ', r->key.n))
			return -EINVAL;
	}
	s->n++;
	if (label)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known_fields); i++)
		if (str_eq(r->key, str_of(known_fields[i])))
			return 0;
	return -EINVAL;
}

/* Up to the next comma that is not within brackets. */
static struct str next_part(struct str *text)
{
	size_t i = 0, depth = 0;
	struct str part;

	while (i < text->n && (text->p[i] != ',' || depth)) {
		depth += text->p[i] == '(';
		depth -= text->p[i] == ')' && depth;
		i++;
	}
	part = str_make(text->p, i);
	*text = str_from(*text, i + 1);
	return part;
}

int selector_add(struct selector *s, struct str text, bool label)
{
	while (text.n) {
		int r = add_one(s, next_part(&text), label);

		if (r < 0)
			return r;
	}
	return 0;
}

bool selector_filters(const struct selector *s)
{
	return s->n > 0;
}

static struct str field_value(const struct version *v, struct str key)
{
	struct str outer = {0};

	if (str_eq(key, STR("metadata.name")))
		return v->name;
	if (str_eq(key, STR("metadata.namespace")))
		return v->ns;
	if (str_eq(key, STR("spec.nodeName")))
		return version_member(v, "spec", &outer) ? span_text(outer, "nodeName") : outer;
	return version_member(v, "status", &outer) ? span_text(outer, "phase") : outer;
}

/* Label values need no JSON escapes, so the raw text is the value. */
static bool label_value(const struct version *v, struct str key, struct str *ret)
{
	struct str labels, value;
	char name[320];

	*ret = (struct str){0};
	if (key.n >= sizeof(name) || !span_member(v->meta_json, "labels", &labels))
		return false;
	memcpy(name, key.p, key.n);
	name[key.n] = 0;
	*ret = span_text(labels, name);
	return span_member(labels, name, &value);
}

static bool is_one_of(struct str have, struct str values)
{
	struct str one;

	do {
		bool more = str_split(&values, ',', &one);

		if (str_eq(str_trim(one), have))
			return true;
		if (!more)
			return false;
	} while (true);
}

/* What a label is not, it is not without being there, either. */
static bool is_met(const struct requirement *r, const struct version *v)
{
	struct str have;

	if (!r->label)
		return str_eq(field_value(v, r->key), r->value) != r->not ;
	if (!label_value(v, r->key, &have))
		return r->not ;
	return (r->exists || is_one_of(have, r->value)) != r->not ;
}

bool selector_match(const struct selector *s, const struct version *v)
{
	if (s->ns.n && !str_eq(s->ns, v->ns))
		return false;
	for (size_t i = 0; i < s->n; i++)
		if (!is_met(&s->req[i], v))
			return false;
	return true;
}
