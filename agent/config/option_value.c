/*
 * From text to typed values and back, and the words for what is accepted.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#define HOST_MAX 255 /* bytes; no name is longer */

struct unit {
	const char *name;
	uint64_t scale;
};

static const struct unit durations[] = {
	{"ms", NSEC_PER_MSEC},	    {"s", NSEC_PER_SEC}, {"m", 60 * NSEC_PER_SEC},
	{"h", 3600 * NSEC_PER_SEC}, {NULL, 0},
};
/* Ki, Mi and Gi are what Kubernetes quantities are written with. */
static const struct unit sizes[] = {
	{"B", 1},	    {"KB", 1000},    {"kB", 1000},     {"MB", 1000000},
	{"GB", 1000000000}, {"KiB", 1024},   {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"Ki", 1024},	    {"Mi", 1 << 20}, {"Gi", 1 << 30},  {NULL, 0},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* "12", "1.5": the whole part and up to nine decimals as billionths. Moves *s behind it. */
static int parse_decimal(struct str *s, unsigned long long *ret_whole, uint64_t *ret_billionths)
{
	uint64_t part = 0, scale = NSEC_PER_SEC;
	size_t n = 0;
	int r;

	while (n < s->n && is_digit(s->p[n]))
		n++;
	r = str_to_u64(str_make(s->p, n), ret_whole);
	if (r < 0)
		return r;
	*s = str_from(*s, n);
	if (s->n && s->p[0] == '.') {
		for (n = 1; n < s->n && is_digit(s->p[n]); n++) {
			if (scale == 1)
				return -EBADMSG; /* a tenth decimal */
			scale /= 10;
			part += (uint64_t)(s->p[n] - '0') * scale;
		}
		if (n == 1)
			return -EBADMSG;
		*s = str_from(*s, n);
	}
	*ret_billionths = part;
	return 0;
}

static const struct unit *unit_take(struct str *s, const struct unit *units)
{
	size_t n = 0;

	while (n < s->n && !is_digit(s->p[n]))
		n++;
	for (; units->name; units++) {
		if (!str_eq(str_of(units->name), str_make(s->p, n)))
			continue;
		*s = str_from(*s, n);
		return units;
	}
	return NULL;
}

/* One number with its unit, added to *sum. */
static int add_quantity(struct str *s, const struct unit *units, uint64_t *sum)
{
	unsigned long long whole = 0;
	uint64_t billionths = 0, v;
	const struct unit *u;
	int r = parse_decimal(s, &whole, &billionths);

	if (r < 0)
		return r;
	u = unit_take(s, units);
	if (!u)
		return -EBADMSG;
	v = (uint64_t)((unsigned __int128)billionths * u->scale / NSEC_PER_SEC);
	if (__builtin_mul_overflow((uint64_t)whole, u->scale, &whole) ||
	    __builtin_add_overflow(v, (uint64_t)whole, &v) || __builtin_add_overflow(*sum, v, sum))
		return -ERANGE;
	return 0;
}

int option_parse_duration(struct str s, uint64_t *ret_ns)
{
	uint64_t sum = 0;
	int r;

	do {
		r = add_quantity(&s, durations, &sum);
		if (r < 0)
			return r;
	} while (s.n);
	*ret_ns = sum;
	return 0;
}

int option_parse_size(struct str s, uint64_t *ret_bytes)
{
	uint64_t sum = 0;
	int r = add_quantity(&s, sizes, &sum);

	if (r < 0)
		return r;
	if (s.n)
		return -EBADMSG;
	*ret_bytes = sum;
	return 0;
}

/* "::1", "fe80::1%eth0". */
static bool is_ipv6(struct str s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr ignored;
	struct str head;

	(void)str_split(&s, '%', &head);
	if (head.n >= sizeof(text))
		return false;
	(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(head));
	return inet_pton(AF_INET6, text, &ignored) == 1;
}

/* A name or an IPv4 address; empty: any. */
static bool is_host(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && (!s.p[i] || !strchr(".-_", s.p[i])))
			return false;
	return s.n <= HOST_MAX;
}

int option_parse_endpoint(struct str s, struct str *ret_host, uint16_t *ret_port)
{
	struct str host = s, port = {0};
	unsigned long long n;
	int r;

	for (size_t i = s.n; i > 0; i--) {
		if (s.p[i - 1] != ':')
			continue;
		host = str_make(s.p, i - 1);
		port = str_from(s, i);
		break;
	}
	if (host.n && host.p[0] == '[') {
		if (host.n < 3 || host.p[host.n - 1] != ']')
			return -EBADMSG;
		host = str_make(host.p + 1, host.n - 2);
		if (!is_ipv6(host))
			return -EBADMSG;
	} else if (!is_host(host)) {
		return -EBADMSG; /* an IPv6 address needs brackets */
	}
	r = str_to_u64(port, &n);
	if (r < 0)
		return r;
	if (n > UINT16_MAX)
		return -ERANGE;
	*ret_host = host;
	*ret_port = (uint16_t)n;
	return 0;
}

int option_format_duration(struct buf *b, uint64_t ns)
{
	uint64_t ms = ns / NSEC_PER_MSEC;
	int r = 0;

	if (ms >= 3600000)
		r = buf_printf(b, "%lluh", (unsigned long long)(ms / 3600000));
	if (r == 0 && ms % 3600000 >= 60000)
		r = buf_printf(b, "%llum", (unsigned long long)(ms % 3600000 / 60000));
	if (r == 0 && (ms % 60000 >= 1000 || ms == 0))
		r = buf_printf(b, "%llus", (unsigned long long)(ms % 60000 / 1000));
	if (r == 0 && ms % 1000)
		r = buf_printf(b, "%llums", (unsigned long long)(ms % 1000));
	return r;
}

int option_format_size(struct buf *b, uint64_t bytes)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB"};
	size_t i = 0;

	while (i + 1 < ARRAY_SIZE(names) && bytes && bytes % 1024 == 0) {
		bytes /= 1024;
		i++;
	}
	return buf_printf(b, "%llu%s", (unsigned long long)bytes, names[i]);
}

static int print_choices(const struct option_desc *d, struct buf *b)
{
	int r = 0;

	for (size_t i = 0; d->choices[i] && r == 0; i++)
		r = buf_printf(b, "%s%s",
			       i == 0		   ? ""
			       : d->choices[i + 1] ? ", "
						   : " or ",
			       d->choices[i]);
	return r;
}

static int print_span(const struct option_desc *d, struct buf *b,
		      int (*format)(struct buf *, uint64_t))
{
	int r = format(b, d->min);

	if (r == 0)
		r = buf_append_str(b, STR(" to "));
	return r < 0 ? r : format(b, d->max);
}

static int print_plain(struct buf *b, uint64_t v)
{
	return buf_printf(b, "%llu", (unsigned long long)v);
}

int option_print_range(const struct option_desc *d, struct buf *b)
{
	switch (d->type) {
	case OPTION_INT:
	case OPTION_NUMBER:
		return print_span(d, b, print_plain);
	case OPTION_DURATION:
		return print_span(d, b, option_format_duration);
	case OPTION_SIZE:
		return print_span(d, b, option_format_size);
	case OPTION_LIST:
		return buf_printf(b, "at most %llu", d->max);
	case OPTION_BOOL:
	case OPTION_STRING:
	case OPTION_ENUM:
	case OPTION_ENDPOINT:
	case _OPTION_TYPE_MAX:
		break;
	}
	return 0;
}

static int print_range(const struct option_desc *d, const char *before, struct buf *b)
{
	int r = buf_append_str(b, str_of(before));

	return r < 0 ? r : option_print_range(d, b);
}

static const char *expected_text(const struct option_desc *d)
{
	return d->expect ? d->expect : "text of 1 to 4096 bytes without control characters";
}

int option_print_expected(const struct option_desc *d, struct buf *b)
{
	switch (d->type) {
	case OPTION_BOOL:
		return buf_printf(b, "true or false");
	case OPTION_INT:
	case OPTION_NUMBER:
		return option_print_range(d, b);
	case OPTION_DURATION:
		return print_range(d, "a time with its unit (ms, s, m, h) from ", b);
	case OPTION_SIZE:
		return print_range(d, "a size with its unit (B, KB, MB, GB, KiB, MiB, GiB) from ",
				   b);
	case OPTION_ENUM:
		return print_choices(d, b);
	case OPTION_ENDPOINT:
		return buf_printf(b, "HOST:PORT or [IPV6]:PORT%s",
				  d->flags & OPTION_OFF ? ", or off" : "");
	case OPTION_LIST:
		return buf_printf(b, "%s, at most %llu", expected_text(d), d->max);
	case OPTION_STRING:
	case _OPTION_TYPE_MAX:
		break;
	}
	return buf_printf(b, "%s", expected_text(d));
}

/* The item of a list that is wrong; `p` NULL: it is not for an item. */
static int print_item(const struct option_desc *d, struct str item, struct buf *b)
{
	int r;

	if (!item.p || d->flags & (OPTION_SECRET | OPTION_HUSH))
		return 0;
	r = buf_append_str(b, STR(": item "));
	return r < 0 ? r : option_quote(b, item);
}

static int refuse_value(struct options *o, const struct option_slot *s, struct str item)
{
	struct buf *words = option_fault(o);
	int r = option_slot_describe(o, s, words);

	if (r == 0)
		r = print_item(s->desc, item, words);
	if (r == 0)
		r = buf_append_str(words, STR(": must be "));
	if (r == 0)
		r = option_print_expected(s->desc, words);
	if (r == 0 && s->desc->type == OPTION_ENUM)
		r = option_suggest_choice(s->desc, str_of(s->text), words);
	if (r == 0 && s->desc->why)
		r = buf_printf(words, "; %s", s->desc->why);
	return option_fault_end(o, r);
}

static int store_uint(char *field, size_t size, uint64_t v)
{
	switch (size) {
	case sizeof(uint16_t):
		*(uint16_t *)(void *)field = (uint16_t)v;
		return 0;
	case sizeof(uint32_t):
		*(uint32_t *)(void *)field = (uint32_t)v;
		return 0;
	default:
		assert(size == sizeof(uint64_t));
		*(uint64_t *)(void *)field = v;
		return 0;
	}
}

static int store_ranged(const struct option_desc *d, int r, uint64_t v, char *field)
{
	if (r < 0 || v < d->min || v > d->max)
		return -EBADMSG;
	return store_uint(field, d->size, v);
}

static int store_int(const struct option_desc *d, struct str s, char *field)
{
	unsigned long long v = 0;
	int r = str_to_u64(s, &v);

	return store_ranged(d, r, v, field);
}

static int store_number(const struct option_desc *d, struct str s, char *field)
{
	unsigned long long whole = 0;
	uint64_t billionths = 0;
	double v;

	if (parse_decimal(&s, &whole, &billionths) < 0 || s.n)
		return -EBADMSG;
	v = (double)whole + (double)billionths / 1e9;
	if (v < (double)d->min || v > (double)d->max)
		return -EBADMSG;
	*(double *)(void *)field = v;
	return 0;
}

static int store_bool(struct str s, char *field)
{
	bool yes = str_ieq(s, STR("true")) || str_ieq(s, STR("yes")) || str_eq(s, STR("1"));

	if (!yes && !str_ieq(s, STR("false")) && !str_ieq(s, STR("no")) && !str_eq(s, STR("0")))
		return -EBADMSG;
	*(bool *)(void *)field = yes;
	return 0;
}

/* "true" and "false" are what becomes of an unquoted `on` and `off` where YAML 1.1 is spoken, as in
 * Helm's values. */
static bool is_off(struct str s)
{
	return str_eq(s, STR("off")) || str_eq(s, STR("false"));
}

static int store_enum(const struct option_desc *d, struct str s, char *field)
{
	if (is_off(s))
		s = STR("off");
	else if (str_eq(s, STR("true")))
		s = STR("on");
	for (int i = 0; d->choices[i]; i++) {
		if (!str_eq(str_of(d->choices[i]), s))
			continue;
		*(int *)(void *)field = i;
		return 0;
	}
	return -EBADMSG;
}

/* Empty text, and bytes that would garble a log or a header, are no value for anything. */
static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && s.n <= OPTION_TEXT_MAX;
}

bool option_item_ok(const struct option_desc *d, struct str item)
{
	return is_plain(item) && (!d->ok || d->ok(item));
}

static int store_string(const struct option_slot *s, struct str text, char *field)
{
	if (!option_item_ok(s->desc, text))
		return -EBADMSG;
	*(const char **)(void *)field = s->text;
	return 0;
}

static int store_endpoint(struct option_slot *s, struct str text, char *field)
{
	struct str host;
	uint16_t port;

	if ((s->desc->flags & OPTION_OFF) && is_off(text)) {
		*(struct option_endpoint *)(void *)field = (struct option_endpoint){.off = true};
		return 0;
	}
	if (!is_plain(text) || option_parse_endpoint(text, &host, &port) < 0)
		return -EBADMSG;
	s->parts = str_dup(host);
	if (!s->parts)
		return -ENOMEM;
	*(struct option_endpoint *)(void *)field =
		(struct option_endpoint){.host = s->parts, .port = port};
	return 0;
}

/* The text cut at its commas, blanks around items dropped. */
static int store_list(struct option_slot *s, struct str text, char *field, struct str *ret_wrong)
{
	size_t n = 1, at = 0;
	struct str item;
	bool more;

	for (size_t i = 0; i < text.n; i++)
		n += text.p[i] == ',';
	if (n > s->desc->max)
		return -EBADMSG;
	s->parts = malloc(text.n + 1);
	s->items = calloc(n, sizeof(*s->items));
	if (!s->parts || !s->items)
		return -ENOMEM;
	n = 0;
	do {
		more = str_split(&text, ',', &item);
		item = str_trim(item);
		if (!option_item_ok(s->desc, item)) {
			*ret_wrong = item.p ? item : STR("");
			return -EBADMSG;
		}
		memcpy(s->parts + at, item.p, item.n);
		s->parts[at + item.n] = '\0';
		s->items[n++] = s->parts + at;
		at += item.n + 1;
	} while (more);
	*(struct option_list *)(void *)field = (struct option_list){.v = s->items, .n = n};
	return 0;
}

static void store_nothing(const struct option_desc *d, char *field)
{
	memset(field, 0, d->size);
	if (d->type == OPTION_ENUM)
		*(int *)(void *)field = -1;
}

/* -EBADMSG: it is none; of a list *ret_wrong is what is wrong with it, if one item is. */
static int store_text(struct option_slot *s, struct str text, char *field, struct str *ret_wrong)
{
	const struct option_desc *d = s->desc;
	uint64_t v = 0;
	int r;

	switch (d->type) {
	case OPTION_BOOL:
		return store_bool(text, field);
	case OPTION_INT:
		return store_int(d, text, field);
	case OPTION_NUMBER:
		return store_number(d, text, field);
	case OPTION_DURATION:
		r = option_parse_duration(text, &v);
		return store_ranged(d, r, v, field);
	case OPTION_SIZE:
		r = option_parse_size(text, &v);
		return store_ranged(d, r, v, field);
	case OPTION_STRING:
		return store_string(s, text, field);
	case OPTION_ENUM:
		return store_enum(d, text, field);
	case OPTION_LIST:
		return store_list(s, text, field, ret_wrong);
	case OPTION_ENDPOINT:
		return store_endpoint(s, text, field);
	case _OPTION_TYPE_MAX:
		break;
	}
	return -EBADMSG;
}

int option_slot_convert(struct options *o, struct option_slot *s)
{
	char *field = o->target + s->desc->offset;
	struct str wrong = {0};
	int r;

	store_nothing(s->desc, field);
	if (!s->text || s->bad)
		return 0;
	r = store_text(s, str_of(s->text), field, &wrong);
	return r == -EBADMSG ? refuse_value(o, s, wrong) : r;
}
