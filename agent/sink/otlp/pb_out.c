#include "sink/otlp/pb_out.h"

#include "peers/varint.h"

#include <assert.h>
#include <string.h>

enum wire { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2 };

static void put(struct pb_out *p, struct str s)
{
	if (p->r == 0 && s.n)
		p->r = buf_append_str(p->out, s);
}

/* Seven bits a byte; returns how many. */
static size_t number(char out[VARINT_MAX], uint64_t v)
{
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		out[n++] = (char)((v & 0x7f) | 0x80);
	out[n++] = (char)v;
	return n;
}

/* The tag and a number behind it, in one piece. */
static void put_head(struct pb_out *p, unsigned field, enum wire type, uint64_t v)
{
	char bytes[2 * VARINT_MAX];
	size_t n = number(bytes, (uint64_t)field << 3 | type);

	n += number(bytes + n, v);
	put(p, str_make(bytes, n));
}

void pb_varint(struct pb_out *p, unsigned field, uint64_t v)
{
	put_head(p, field, WIRE_VARINT, v);
}

void pb_fixed64(struct pb_out *p, unsigned field, uint64_t v)
{
	char bytes[VARINT_MAX + 8];
	size_t n = number(bytes, (uint64_t)field << 3 | WIRE_FIXED64);

	for (size_t i = 0; i < 8; i++)
		bytes[n++] = (char)(v >> 8 * i & 0xff);
	put(p, str_make(bytes, n));
}

void pb_double(struct pb_out *p, unsigned field, double v)
{
	uint64_t bits;

	_Static_assert(sizeof(bits) == sizeof(v), "IEEE 754, 64 bits");
	memcpy(&bits, &v, sizeof(bits));
	pb_fixed64(p, field, bits);
}

void pb_bytes(struct pb_out *p, unsigned field, struct str s)
{
	put_head(p, field, WIRE_BYTES, s.n);
	put(p, s);
}

void pb_raw(struct pb_out *p, struct str s)
{
	put(p, s);
}

/* Bytes in front that are valid UTF-8. */
static size_t valid(struct str s)
{
	size_t run = 0, n;

	while (run < s.n &&
	       (n = (unsigned char)s.p[run] < 0x80 ? 1 : str_utf8(str_from(s, run))) != 0)
		run += n;
	return run;
}

void pb_text(struct pb_out *p, unsigned field, struct str s)
{
	size_t run = valid(s), at;

	if (run == s.n) {
		pb_bytes(p, field, s);
		return;
	}
	at = pb_open(p, field);
	while (p->r == 0) {
		put(p, str_make(s.p, run));
		if (run == s.n)
			break;
		put(p, STR("\xef\xbf\xbd"));
		s = str_from(s, run + 1);
		run = valid(s);
	}
	pb_close(p, at);
}

size_t pb_open(struct pb_out *p, unsigned field)
{
	if (field)
		put_head(p, field, WIRE_BYTES, 0); /* most lengths take no more than a byte */
	else
		put(p, STR("\0"));
	return p->out->n;
}

void pb_close(struct pb_out *p, size_t at)
{
	char bytes[VARINT_MAX];
	const size_t n = p->out->n - at, length = number(bytes, n);
	char *content;

	if (p->r < 0)
		return;
	assert(at && p->out->n >= at);
	p->r = buf_reserve(p->out, length - 1);
	if (p->r < 0)
		return;
	content = buf_tail(p->out) - n;
	if (length > 1)
		memmove(content + length - 1, content, n);
	memcpy(content - 1, bytes, length);
	buf_commit(p->out, length - 1);
}
