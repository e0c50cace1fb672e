#include "proto/print.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#define EXACT_MAX (1ULL << 53) /* larger integers do not survive a double */

/* Bytes of the UTF-8 sequence at the start of `s`, 0 when there is none (RFC 3629: no overlong
 * forms, no surrogates, nothing above U+10FFFF). */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	size_t len;
	uint32_t c;

	if (p[0] < 0x80)
		return 1;
	if (p[0] < 0xc2 || p[0] > 0xf4)
		return 0;
	len = p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	if (n < len)
		return 0;
	c = p[0] & (0xffU >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fU);
	}
	if ((len == 3 && (c < 0x800 || (c >= 0xd800 && c < 0xe000))) ||
	    (len == 4 && (c < 0x10000 || c > 0x10ffff)))
		return 0;
	return len;
}

static bool is_utf8(struct str s)
{
	size_t len;

	for (; s.n; s = str_from(s, len)) {
		len = utf8_length((const unsigned char *)s.p, s.n);
		if (!len)
			return false;
	}
	return true;
}

static int print_hex(struct str s, struct buf *out)
{
	static const char digits[] = "0123456789abcdef";
	char *p;
	int r;

	r = buf_append_str(out, STR("{\"hex\":\""));
	if (r == 0)
		r = buf_reserve(out, 2 * s.n + 2);
	if (r < 0)
		return r;
	p = buf_tail(out);
	for (size_t i = 0; i < s.n; i++) {
		*p++ = digits[(unsigned char)s.p[i] >> 4];
		*p++ = digits[(unsigned char)s.p[i] & 15];
	}
	*p++ = '"';
	*p++ = '}';
	buf_commit(out, 2 * s.n + 2);
	return 0;
}

static bool needs_escape(char c)
{
	return (unsigned char)c < 0x20 || c == '"' || c == '\\' || c == 0x7f;
}

static int print_escape(char c, struct buf *out)
{
	switch (c) {
	case '"':
	case '\\':
		return buf_printf(out, "\\%c", c);
	case '\n':
		return buf_append_str(out, STR("\\n"));
	case '\t':
		return buf_append_str(out, STR("\\t"));
	default:
		return buf_printf(out, "\\u%04x", (unsigned)(unsigned char)c);
	}
}

static int print_string(struct str s, struct buf *out)
{
	size_t run;
	int r;

	r = buf_append_str(out, STR("\""));
	while (r == 0 && s.n) {
		for (run = 0; run < s.n && !needs_escape(s.p[run]); run++)
			;
		r = buf_append(out, s.p, run);
		s = str_from(s, run);
		if (r == 0 && s.n) {
			r = print_escape(s.p[0], out);
			s = str_from(s, 1);
		}
	}
	return r < 0 ? r : buf_append_str(out, STR("\""));
}

int wire_print_text(struct str s, struct buf *out)
{
	return is_utf8(s) ? print_string(s, out) : print_hex(s, out);
}

static int print_array(struct str s, struct buf *out)
{
	struct str text = s;

	while (text.n && !text.p[text.n - 1])
		text.n--;
	return is_utf8(text) ? print_string(text, out) : print_hex(s, out);
}

static int print_u64(uint64_t u, struct buf *out)
{
	return buf_printf(out, u > EXACT_MAX ? "\"%" PRIu64 "\"" : "%" PRIu64, u);
}

static int print_s64(int64_t i, struct buf *out)
{
	const bool exact = i >= -(int64_t)EXACT_MAX && i <= (int64_t)EXACT_MAX;

	return buf_printf(out, exact ? "%" PRId64 : "\"%" PRId64 "\"", i);
}

static int print_u128(struct wire_u128 w, struct buf *out)
{
	unsigned __int128 v = (unsigned __int128)w.hi << 64 | w.lo;
	char digits[40];
	size_t at = sizeof(digits);

	if (!w.hi)
		return print_u64(w.lo, out);
	for (; v; v /= 10)
		digits[--at] = (char)('0' + (int)(v % 10));
	return buf_printf(out, "\"%.*s\"", (int)(sizeof(digits) - at), digits + at);
}

static int print_value(const struct wire_field *f, const union wire_value *v, struct buf *out)
{
	switch (f->type) {
	case WIRE_U8:
	case WIRE_U16:
	case WIRE_U32:
	case WIRE_IP4:
	case WIRE_IP4N:
	case WIRE_U64:
		return print_u64(v->u, out);
	case WIRE_S32:
	case WIRE_S64:
		return print_s64(v->i, out);
	case WIRE_U128:
		return print_u128(v->w, out);
	case WIRE_BYTES:
		return print_array(v->s, out);
	case WIRE_IP6:
		return print_hex(v->s, out);
	case WIRE_STR:
	case WIRE_IP4S:
	case WIRE_IP6S:
		return wire_print_text(v->s, out);
	case _WIRE_TYPE_MAX:
		break;
	}
	return -EINVAL;
}

static int print_address(int family, const void *bytes, struct buf *out)
{
	char text[INET6_ADDRSTRLEN];

	return buf_printf(out, "\"%s\"", inet_ntop(family, bytes, text, sizeof(text)));
}

/* Packed addresses; bytes that make no whole address are left out here. */
static int print_list(int family, struct str s, struct buf *out)
{
	const size_t width = family == AF_INET ? 4 : 16;
	const char *comma = "";
	int r;

	r = buf_append_str(out, STR("["));
	for (; r == 0 && s.n >= width; s = str_from(s, width), comma = ",") {
		r = buf_append_str(out, str_of(comma));
		if (r == 0)
			r = print_address(family, s.p, out);
	}
	return r < 0 ? r : buf_append_str(out, STR("]"));
}

void wire_ip4n_text(uint32_t ip, char ret[16])
{
	ret[0] = '\0';
	if (ip)
		(void)snprintf(ret, 16, "%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
			       ip & 255);
}

static bool is_address(enum wire_type t)
{
	return t == WIRE_IP4 || t == WIRE_IP4N || t == WIRE_IP6 || t == WIRE_IP4S || t == WIRE_IP6S;
}

static int print_as_address(const struct wire_field *f, const union wire_value *v, struct buf *out)
{
	uint32_t ip = (uint32_t)v->u;
	char text[16];

	switch (f->type) { /* the types of is_address */
	case WIRE_IP4:
		return print_address(AF_INET, &ip, out);
	case WIRE_IP4N:
		wire_ip4n_text(ip, text);
		return buf_printf(out, "\"%s\"", text);
	case WIRE_IP6:
		return print_address(AF_INET6, v->s.p, out);
	case WIRE_IP4S:
		return print_list(AF_INET, v->s, out);
	case WIRE_IP6S:
		return print_list(AF_INET6, v->s, out);
	case WIRE_U8:
	case WIRE_U16:
	case WIRE_U32:
	case WIRE_U64:
	case WIRE_U128:
	case WIRE_S32:
	case WIRE_S64:
	case WIRE_BYTES:
	case WIRE_STR:
	case _WIRE_TYPE_MAX:
		break;
	}
	return -EINVAL;
}

static int print_fields(const struct wire_msg *m, bool addresses, struct buf *out)
{
	const char *comma = "";
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->desc->n_fields; i++) {
		const struct wire_field *f = &m->desc->fields[i];

		if (addresses && !is_address(f->type))
			continue;
		r = buf_printf(out, "%s\"%s\":", comma, f->name);
		if (r == 0)
			r = addresses ? print_as_address(f, &m->v[i], out)
				      : print_value(f, &m->v[i], out);
		comma = ",";
	}
	return r < 0 ? r : buf_append_str(out, STR("}"));
}

static bool has_addresses(const struct wire_desc *d)
{
	for (size_t i = 0; i < d->n_fields; i++)
		if (is_address(d->fields[i].type))
			return true;
	return false;
}

int wire_print_members(const struct wire_msg *m, struct buf *out)
{
	int r;

	r = buf_printf(out, "\"name\":\"%s\",\"id\":%u,\"timestamp\":", m->desc->name, m->desc->id);
	if (r == 0)
		r = print_u64(m->timestamp, out);
	if (r == 0)
		r = buf_append_str(out, STR(",\"fields\":{"));
	if (r == 0)
		r = print_fields(m, false, out);
	if (r < 0 || !has_addresses(m->desc))
		return r;
	r = buf_append_str(out, STR(",\"addresses\":{"));
	return r < 0 ? r : print_fields(m, true, out);
}

int wire_print_json(const struct wire_msg *m, struct buf *out)
{
	const size_t before = out->n;
	int r;

	r = buf_append_str(out, STR("{"));
	if (r == 0)
		r = wire_print_members(m, out);
	if (r == 0)
		r = buf_append_str(out, STR("}"));
	if (r < 0)
		out->n = before;
	return r;
}
