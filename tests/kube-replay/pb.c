#include "pb.h"

#include "read.h"

#include <errno.h>

static int take_varint(struct str *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < 10 && i < s->n; i++) {
		uint8_t c = (uint8_t)s->p[i];

		v |= (uint64_t)(c & 0x7f) << (7 * i);
		if (!(c & 0x80)) {
			*s = str_from(*s, i + 1);
			*ret = v;
			return 0;
		}
	}
	return -EBADMSG;
}

static int take_bytes(struct str *s, uint64_t n, struct str *ret)
{
	if (n > s->n)
		return -EBADMSG;
	*ret = str_make(s->p, (size_t)n);
	*s = str_from(*s, (size_t)n);
	return 0;
}

int pb_next(struct str *msg, struct pb_field *ret_field)
{
	struct pb_field f = {0};
	struct str s = *msg;
	uint64_t v;
	int r;

	if (!s.n)
		return 0;
	r = take_varint(&s, &v);
	if (r < 0)
		return r;
	f.no = (uint32_t)(v >> 3);
	f.wire = (uint32_t)(v & 7);
	if (f.wire == PB_VARINT) {
		r = take_varint(&s, &f.num);
	} else if (f.wire == PB_LEN) {
		r = take_varint(&s, &v);
		if (r == 0)
			r = take_bytes(&s, v, &f.data);
	} else if (f.wire == PB_I64 || f.wire == PB_I32) {
		r = take_bytes(&s, f.wire == PB_I64 ? 8 : 4, &f.data);
	} else {
		r = -EBADMSG;
	}
	if (r < 0)
		return r;
	f.raw = str_make(msg->p, msg->n - s.n);
	*msg = s;
	*ret_field = f;
	return 1;
}

struct str pb_get(struct str msg, uint32_t no)
{
	struct pb_field f;

	while (pb_next(&msg, &f) > 0)
		if (f.no == no && f.wire == PB_LEN)
			return f.data;
	return (struct str){0};
}

void pb_put_varint(struct buf *b, uint64_t v)
{
	char c[10];
	size_t n = 0;

	for (; v >= 0x80; v >>= 7)
		c[n++] = (char)(v | 0x80);
	c[n++] = (char)v;
	put(b, c, n);
}

void pb_put_num(struct buf *b, uint32_t no, uint64_t v)
{
	pb_put_varint(b, (uint64_t)no << 3 | PB_VARINT);
	pb_put_varint(b, v);
}

void pb_put_head(struct buf *b, uint32_t no, size_t n)
{
	pb_put_varint(b, (uint64_t)no << 3 | PB_LEN);
	pb_put_varint(b, n);
}

void pb_put_len(struct buf *b, uint32_t no, struct str data)
{
	pb_put_head(b, no, data.n);
	put_str(b, data);
}
