#include "select.h"

#include "span.h"

#include <errno.h>

static const char *const known_fields[] = {"metadata.name", "metadata.namespace", "spec.nodeName",
					   "status.phase"};

static int add_one(struct selector *s, struct str part, bool label)
{
	struct requirement *r = &s->req[s->n];
	struct str value = part;

	if (s->n == SELECT_MAX)
		return -EINVAL;
	*r = (struct requirement){.label = label};
	if (!part.n || !memchr(part.p, '=', part.n))
		return -EINVAL;
	str_split(&value, '=', &r->key);
	if (str_starts(value, STR("=")))
		value = str_from(value, 1);
	if (str_ends(r->key, STR("!"))) {
		r->not_equal = true;
		r->key.n--;
	}
	r->key = str_trim(r->key);
	r->value = str_trim(value);
	s->n++;
	if (label)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(known_fields); i++)
		if (str_eq(r->key, str_of(known_fields[i])))
			return 0;
	return -EINVAL;
}

int selector_add(struct selector *s, struct str text, bool label)
{
	while (text.n) {
		struct str part;
		int r;

		str_split(&text, ',', &part);
		r = add_one(s, part, label);
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
static struct str label_value(const struct version *v, struct str key)
{
	struct str labels;
	char name[320];

	if (key.n >= sizeof(name) || !span_member(v->meta_json, "labels", &labels))
		return (struct str){0};
	memcpy(name, key.p, key.n);
	name[key.n] = 0;
	return span_text(labels, name);
}

bool selector_match(const struct selector *s, const struct version *v)
{
	if (s->ns.n && !str_eq(s->ns, v->ns))
		return false;
	for (size_t i = 0; i < s->n; i++) {
		const struct requirement *r = &s->req[i];
		struct str have = r->label ? label_value(v, r->key) : field_value(v, r->key);

		if (str_eq(have, r->value) == r->not_equal)
			return false;
	}
	return true;
}
