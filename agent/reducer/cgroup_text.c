#include "reducer/cgroup_text.h"

#define ID_HEX	64
#define UID_HEX 32

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool is_id(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_hex(s.p[i]))
			return false;
	return s.n == ID_HEX;
}

/* 32 hex digits, with separators or not. Takes them off the front of `*s`. */
static bool take_uid(struct str *s, struct str *ret)
{
	size_t i = 0, hex = 0;

	for (; i < s->n && hex < UID_HEX; i++) {
		if (is_hex(s->p[i]))
			hex++;
		else if (s->p[i] != '-' && s->p[i] != '_')
			return false;
	}
	if (hex != UID_HEX)
		return false;
	*ret = str_make(s->p, i);
	*s = str_from(*s, i);
	return true;
}

static struct str cut_tail(struct str s, struct str tail)
{
	s.n -= str_ends(s, tail) ? tail.n : 0;
	return s;
}

/* What follows the last `c`, all when there is none. */
static struct str after_last(struct str s, char c)
{
	size_t i = s.n;

	while (i && s.p[i - 1] != c)
		i--;
	return str_from(s, i);
}

static void parse_kubepods(struct str name, struct cgroup_text *ret)
{
	struct str rest = name;

	while (rest.n && !str_starts(rest, STR("-pod")))
		rest = str_from(rest, 1);
	rest = str_from(rest, 4);
	if (!take_uid(&rest, &ret->uid) || !str_starts(rest, STR(".slice"))) {
		ret->uid = (struct str){0};
		return;
	}
	rest = after_last(str_from(rest, 6), ':');
	if (is_id(rest))
		ret->container = rest;
}

void cgroup_text_parse(struct str name, struct cgroup_text *ret)
{
	struct str rest = str_from(name, 3);

	*ret = (struct cgroup_text){0};
	if (str_starts(name, STR("kubepods-"))) {
		parse_kubepods(name, ret);
	} else if (is_id(name)) {
		ret->container = name;
	} else if (str_starts(name, STR("pod"))) {
		if (!take_uid(&rest, &ret->uid) || rest.n)
			ret->uid = (struct str){0};
	} else if (str_starts(name, STR("cri-")) && str_ends(name, STR(".scope"))) {
		rest = after_last(cut_tail(name, STR(".scope")), '-');
		if (is_id(rest))
			ret->container = rest;
	} else if (str_ends(name, STR(".service"))) {
		ret->service = cut_tail(name, STR(".service"));
	}
}
