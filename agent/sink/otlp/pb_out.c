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

static void put_number(struct pb_out *p, uint64_t v)
{
	if (p->r == 0)
		p->r = varint_put(p->out, v);
}

static void put_tag(struct pb_out *p, unsigned field, enum wire type)
{
	put_number(p, (uint64_t)field << 3 | type);
}

void pb_varint(struct pb_out *p, unsigned field, uint64_t v)
{
	put_tag(p, field, WIRE_VARINT);
	put_number(p, v);
}

void pb_fixed64(struct pb_out *p, unsigned field, uint64_t v)
{
	char bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(v >> 8 * i & 0xff);
	put_tag(p, field, WIRE_FIXED64);
	put(p, str_make(bytes, sizeof(bytes)));
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
	put_tag(p, field, WIRE_BYTES);
	put_number(p, s.n);
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

	while (run < s.n && (n = str_utf8(str_from(s, run))) != 0)
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
		put_tag(p, field, WIRE_BYTES);
	put(p, STR("\0")); /* of the length; most take no more */
	return p->out->n;
}

void pb_close(struct pb_out *p, size_t at)
{
	char bytes[VARINT_MAX];
	struct buf length = {.p = bytes, .cap = sizeof(bytes), .max = sizeof(bytes)};
	const size_t n = p->out->n - at;
	char *content;

	if (p->r < 0)
		return;
	assert(at && p->out->n >= at);
	(void)varint_put(&length, n);
	p->r = buf_reserve(p->out, length.n - 1);
	if (p->r < 0)
		return;
	content = buf_tail(p->out) - n;
	memmove(content + length.n - 1, content, n);
	memcpy(content - 1, bytes, length.n);
	buf_commit(p->out, length.n - 1);
}
