#include "span.h"

static size_t skip_space(struct str s, size_t i)
{
	while (i < s.n && (s.p[i] == ' ' || s.p[i] == '\n' || s.p[i] == '\t' || s.p[i] == '\r'))
		i++;
	return i;
}

/* `i` stands on the opening quote; returns the place behind the closing one. */
static size_t skip_text(struct str s, size_t i)
{
	for (i++; i < s.n && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
	return i < s.n ? i + 1 : s.n;
}

static size_t skip_nested(struct str s, size_t i)
{
	size_t depth = 0;

	while (i < s.n) {
		char c = s.p[i];

		if (c == '"') {
			i = skip_text(s, i);
			continue;
		}
		i++;
		if (c == '{' || c == '[')
			depth++;
		else if ((c == '}' || c == ']') && --depth == 0)
			break;
	}
	return i;
}

static size_t skip_value(struct str s, size_t i)
{
	if (i >= s.n)
		return s.n;
	if (s.p[i] == '"')
		return skip_text(s, i);
	if (s.p[i] == '{' || s.p[i] == '[')
		return skip_nested(s, i);
	while (i < s.n && !strchr(",]} \n\t\r", s.p[i]))
		i++;
	return i;
}

bool span_member(struct str object, const char *key, struct str *ret_value)
{
	struct str want = str_of(key);
	size_t i = skip_space(object, 0);

	if (i < object.n && object.p[i] == '{')
		i++;
	for (;;) {
		struct str name, value;
		size_t from;

		i = skip_space(object, i);
		if (i >= object.n || object.p[i] != '"')
			return false;
		from = i + 1;
		i = skip_text(object, i);
		name = str_make(object.p + from, i - from - 1);
		i = skip_space(object, i);
		if (i >= object.n || object.p[i] != ':')
			return false;
		from = skip_space(object, i + 1);
		i = skip_value(object, from);
		value = str_make(object.p + from, i - from);
		if (str_eq(name, want)) {
			*ret_value = value;
			return true;
		}
		i = skip_space(object, i);
		if (i >= object.n || object.p[i] != ',')
			return false;
		i++;
	}
}

struct str span_text(struct str object, const char *key)
{
	struct str v;

	if (!span_member(object, key, &v) || v.n < 2 || v.p[0] != '"')
		return (struct str){0};
	return str_make(v.p + 1, v.n - 2);
}

bool span_element(struct str array, size_t *off, struct str *ret_value)
{
	size_t i = skip_space(array, *off);
	size_t end;

	if (i < array.n && (array.p[i] == '[' || array.p[i] == ','))
		i = skip_space(array, i + 1);
	if (i >= array.n || array.p[i] == ']')
		return false;
	end = skip_value(array, i);
	*ret_value = str_make(array.p + i, end - i);
	*off = end;
	return true;
}
