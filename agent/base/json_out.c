#include "base/json_out.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define LAST_SECOND 253402300799LL /* 9999-12-31T23:59:59Z: RFC 3339 has four digits for a year */

static void put(struct json_out *j, struct str s)
{
	if (j->r == 0)
		j->r = buf_append_str(j->out, s);
}

static void begin(struct json_out *j, const char *key)
{
	if (j->comma)
		put(j, STR(","));
	j->comma = true;
	if (!key)
		return;
	put(j, STR("\""));
	put(j, str_of(key));
	put(j, STR("\":"));
}

void json_open(struct json_out *j, const char *key, char bracket)
{
	begin(j, key);
	put(j, str_make(&bracket, 1));
	j->comma = false;
}

void json_close(struct json_out *j, char bracket)
{
	put(j, bracket == '{' ? STR("}") : STR("]"));
	j->comma = true;
}

static int escape_one(struct buf *out, unsigned char c)
{
	switch (c) {
	case '"':
		return buf_append_str(out, STR("\\\""));
	case '\\':
		return buf_append_str(out, STR("\\\\"));
	case '\n':
		return buf_append_str(out, STR("\\n"));
	case '\t':
		return buf_append_str(out, STR("\\t"));
	default:
		/* Readers in C refuse a NUL, escaped or not. */
		return (c && c < 0x20) || c == 0x7f ? buf_printf(out, "\\u%04x", c)
						    : buf_append_str(out, STR("\\ufffd"));
	}
}

static bool plain(struct str s, size_t n)
{
	unsigned char c = n && s.p ? (unsigned char)s.p[0] : 0;

	return n > 1 || (n == 1 && c >= 0x20 && c != 0x7f && c != '"' && c != '\\');
}

int json_escape(struct buf *out, struct str s)
{
	int r = 0;

	while (s.n && r == 0) {
		size_t run = 0, n;

		while ((n = str_utf8(str_from(s, run))) && plain(str_from(s, run), n))
			run += n;
		r = buf_append(out, s.p, run);
		s = str_from(s, run);
		if (s.n && r == 0) {
			r = escape_one(out, (unsigned char)s.p[0]);
			s = str_from(s, 1);
		}
	}
	return r;
}

void json_text(struct json_out *j, const char *key, struct str s)
{
	begin(j, key);
	put(j, STR("\""));
	if (j->r == 0)
		j->r = json_escape(j->out, s);
	put(j, STR("\""));
}

void json_some(struct json_out *j, const char *key, struct str s)
{
	if (!str_empty(s))
		json_text(j, key, s);
}

void json_u64(struct json_out *j, const char *key, uint64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64, v);

	begin(j, key);
	put(j, str_make(text, (size_t)n));
}

void json_bool(struct json_out *j, const char *key, bool v)
{
	begin(j, key);
	put(j, v ? STR("true") : STR("false"));
}

void json_none(struct json_out *j, const char *key)
{
	begin(j, key);
	put(j, STR("null"));
}

void json_raw(struct json_out *j, const char *key, struct str json)
{
	begin(j, key);
	put(j, json);
}

void json_floats(struct json_out *j, const char *key, const float *v, size_t n)
{
	char text[24];

	json_open(j, key, '[');
	for (size_t i = 0; i < n; i++) {
		int len = snprintf(text, sizeof(text), i ? ",%.9g" : "%.9g", (double)v[i]);

		put(j, str_make(text, (size_t)len));
	}
	json_close(j, '[');
}

const char *time_text(nsec_t wall, char ret[TIME_TEXT_MAX])
{
	time_t s = (time_t)(wall / NSEC_PER_SEC);
	unsigned us = (unsigned)(wall % NSEC_PER_SEC / NSEC_PER_USEC);
	struct tm tm;

	if (s > LAST_SECOND) {
		s = LAST_SECOND;
		us = 999999;
	}
	(void)gmtime_r(&s, &tm);
	(void)snprintf(ret, TIME_TEXT_MAX, "%04u-%02u-%02uT%02u:%02u:%02u.%06uZ",
		       ((unsigned)tm.tm_year + 1900) % 10000, ((unsigned)tm.tm_mon + 1) % 100,
		       (unsigned)tm.tm_mday % 100, (unsigned)tm.tm_hour % 100,
		       (unsigned)tm.tm_min % 100, (unsigned)tm.tm_sec % 100, us % 1000000);
	return ret;
}

void json_time(struct json_out *j, const char *key, nsec_t wall)
{
	char text[TIME_TEXT_MAX];

	json_text(j, key, str_of(time_text(wall, text)));
}
