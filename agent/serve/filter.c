#include "serve/filter.h"

#include "base/mem.h"
#include "serve/whois.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- queries --------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded; a NUL is no text. */
static int decode(struct str s, char out[FILTER_TEXT_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int c = (unsigned char)s.p[i];

		if (c == '%') {
			int high = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
			int low = high < 0 ? -1 : hex_digit(s.p[i + 2]);

			if (low < 0)
				return -EINVAL;
			c = high << 4 | low;
			i += 2;
		} else if (c == '+') {
			c = ' ';
		}
		if (!c || n + 1 >= FILTER_TEXT_MAX)
			return -EINVAL;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return 0;
}

int query_next(struct str *query, char name[FILTER_TEXT_MAX], char value[FILTER_TEXT_MAX])
{
	struct str pair, key;

	do {
		if (str_empty(*query))
			return 0;
		(void)str_split(query, '&', &pair);
	} while (str_empty(pair));
	(void)str_split(&pair, '=', &key);
	return decode(key, name) < 0 || decode(pair, value) < 0 ? -EINVAL : 1;
}

static nsec_t unit_of(struct str *s)
{
	static const struct {
		const char *name;
		nsec_t ns;
	} units[] = {{"ms", NSEC_PER_MSEC},
		     {"s", NSEC_PER_SEC},
		     {"m", 60 * NSEC_PER_SEC},
		     {"h", 3600 * NSEC_PER_SEC},
		     {"d", 86400 * NSEC_PER_SEC}};

	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (str_starts(*s, str_of(units[i].name))) {
			*s = str_from(*s, strlen(units[i].name));
			return units[i].ns;
		}
	return str_empty(*s) ? NSEC_PER_SEC : 0;
}

int query_duration(struct str s, nsec_t *ret)
{
	nsec_t sum = 0;

	if (str_empty(s))
		return -EINVAL;
	while (s.n) {
		size_t digits = 0;
		unsigned long long v;
		nsec_t unit, part;

		while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
			digits++;
		if (str_to_u64(str_make(s.p, digits), &v) < 0)
			return -EINVAL;
		s = str_from(s, digits);
		unit = unit_of(&s);
		if (!unit || __builtin_mul_overflow((nsec_t)v, unit, &part) ||
		    __builtin_add_overflow(sum, part, &sum))
			return -EINVAL;
	}
	*ret = sum;
	return 0;
}

/* ---- patterns -------------------------------------------------------------------------------- */

bool glob_match(struct str pattern, struct str s)
{
	size_t p = 0, i = 0, star = SIZE_MAX, mark = 0;

	while (i < s.n) { /* only the last star is ever tried again: linear but for it */
		if (p < pattern.n && pattern.p[p] == '*') {
			star = p++;
			mark = i;
		} else if (p < pattern.n && pattern.p[p] == s.p[i]) {
			p++;
			i++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			i = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.n && pattern.p[p] == '*')
		p++;
	return p == pattern.n;
}

static int parse_end(const char *text, struct filter_end *ret)
{
	struct str rest = str_of(text), ns;

	if (!text[0])
		return -EINVAL;
	ret->set = true;
	ret->is_addr = addr_parse(rest, &ret->addr) == 0;
	(void)snprintf(ret->whole, sizeof(ret->whole), "%s", text);
	if (!str_split(&rest, '/', &ns)) {
		rest = ns;
		ns = STR("*");
	}
	(void)snprintf(ret->ns, sizeof(ret->ns), "%.*s", STR_ARG(ns));
	(void)snprintf(ret->name, sizeof(ret->name), "%.*s", STR_ARG(rest));
	return 0;
}

static int parse_port(const char *text, uint16_t *ret)
{
	unsigned long long v;

	if (str_to_u64(str_of(text), &v) < 0 || v < 1 || v > UINT16_MAX)
		return -EINVAL;
	*ret = (uint16_t)v;
	return 0;
}

static int parse_verdict(const char *text, enum filter_verdict *ret)
{
	if (strcmp(text, "failed") == 0)
		*ret = FILTER_FAILED;
	else if (strcmp(text, "retrans") == 0)
		*ret = FILTER_RETRANS;
	else
		return -EINVAL;
	return 0;
}

static int parse_limit(const char *text, uint64_t *ret)
{
	unsigned long long v;

	if (str_to_u64(str_of(text), &v) < 0 || !v)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int parse_flag(const char *text, bool *ret)
{
	*ret = strcmp(text, "1") == 0;
	return *ret || strcmp(text, "0") == 0 ? 0 : -EINVAL;
}

/* What had begun before the machine was started ends at 0. */
static int parse_until(const char *text, nsec_t now, int64_t offset, nsec_t *ret)
{
	nsec_t wall;
	int r = whois_time(str_of(text), now + (nsec_t)offset, &wall);

	if (r < 0)
		return r;
	*ret = wall > (nsec_t)offset ? wall - (nsec_t)offset : 0;
	return 0;
}

struct moment { /* of the question */
	nsec_t now;
	int64_t offset;
};

static int take(struct filter *f, const struct moment *m, const char *name, const char *value,
		const char **ret_expect)
{
	static const char end[] = "NAMESPACE/WORKLOAD, WORKLOAD or ADDRESS";

	*ret_expect = end;
	if (strcmp(name, "from") == 0)
		return parse_end(value, &f->from);
	if (strcmp(name, "to") == 0)
		return parse_end(value, &f->to);
	*ret_expect = "NAMESPACE/POD or POD";
	if (strcmp(name, "pod") == 0)
		return parse_end(value, &f->pod);
	*ret_expect = "a number from 1 to 65535";
	if (strcmp(name, "port") == 0)
		return parse_port(value, &f->port);
	*ret_expect = "failed or retrans";
	if (strcmp(name, "verdict") == 0)
		return parse_verdict(value, &f->verdict);
	*ret_expect = "a time such as 5m or 30s";
	if (strcmp(name, "last") == 0)
		return query_duration(str_of(value), &f->last);
	*ret_expect = "a time such as 2026-11-21T09:30:00Z or -5m";
	if (strcmp(name, "until") == 0)
		return parse_until(value, m->now, m->offset, &f->until);
	*ret_expect = "0 or 1";
	if (strcmp(name, "follow") == 0)
		return parse_flag(value, &f->follow);
	if (strcmp(name, "once") == 0)
		return parse_flag(value, &f->once);
	*ret_expect = "a number from 1 on";
	if (strcmp(name, "limit") == 0)
		return parse_limit(value, &f->limit);
	*ret_expect = NULL;
	return -EINVAL;
}

int filter_parse(struct str query, nsec_t now, int64_t offset, struct filter *ret,
		 struct buf *ret_error)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	struct filter f = {.until = NSEC_NEVER, .limit = UINT64_MAX};
	const struct moment m = {.now = now, .offset = offset};
	const char *expect;
	int r;

	while ((r = query_next(&query, name, value)) > 0) {
		if (take(&f, &m, name, value, &expect) == 0)
			continue;
		if (expect)
			(void)buf_printf(ret_error, "%s must be %s, not \"%s\"", name, expect,
					 value);
		else
			(void)buf_printf(ret_error, "there is no filter \"%s\"", name);
		return -EINVAL;
	}
	if (r < 0) {
		(void)buf_printf(ret_error, "the query is malformed, or a value in it is too long");
		return r;
	}
	*ret = f;
	return 0;
}

/* ---- matching -------------------------------------------------------------------------------- */

static bool end_matches(const struct filter_end *f, const struct flow_end *e,
			const struct addr *addr)
{
	struct str name = str_empty(e->workload) ? STR("unknown") : e->workload;

	if (!f->set)
		return true;
	if (f->is_addr)
		return addr_eq(&f->addr, addr);
	return (glob_match(str_of(f->ns), e->ns) && glob_match(str_of(f->name), name)) ||
	       (str_empty(e->ns) && glob_match(str_of(f->whole), name));
}

static bool pod_matches(const struct filter_end *f, const struct flow_end *e)
{
	return !str_empty(e->pod) && glob_match(str_of(f->ns), e->ns) &&
	       glob_match(str_of(f->name), e->pod);
}

static bool port_matches(uint16_t port, const struct flow_view *v)
{
	return (v->dir != FLOW_OUT && v->lport == port) ||
	       (v->dir != FLOW_IN && v->rport == port) ||
	       (v->translated && v->dir != FLOW_IN && v->asked.port == port);
}

static bool verdict_matches(enum filter_verdict verdict, const struct flow_view *v)
{
	return verdict == FILTER_ANY || (verdict == FILTER_FAILED && v->state == FLOW_FAILED) ||
	       (verdict == FILTER_RETRANS && v->counters.retrans);
}

bool filter_match(const struct filter *f, const struct flow_view *v)
{
	bool in = v->dir == FLOW_IN;

	if (v->start > f->until || (f->once && v->twin && in))
		return false;
	if ((f->port && !port_matches(f->port, v)) || !verdict_matches(f->verdict, v))
		return false;
	if (f->pod.set && !pod_matches(&f->pod, &v->local) && !pod_matches(&f->pod, &v->remote))
		return false;
	return end_matches(&f->from, in ? &v->remote : &v->local, in ? &v->raddr : &v->laddr) &&
	       end_matches(&f->to, in ? &v->local : &v->remote, in ? &v->laddr : &v->raddr);
}
