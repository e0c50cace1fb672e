#include "peers/frame.h"

#include "base/mem.h"

#include <errno.h>
#include <lz4.h>

#define PACK_MIN 64 /* bytes; a shorter payload stays as it is */

static void put_u24(char *p, uint32_t v)
{
	for (int i = 0; i < 3; i++)
		p[i] = (char)(uint8_t)(v >> (8 * i));
}

static uint32_t take_u24(const char *p)
{
	return (uint8_t)p[0] | (uint32_t)(uint8_t)p[1] << 8 | (uint32_t)(uint8_t)p[2] << 16;
}

/* Head: kind, bytes unpacked (24 bits), bytes that follow (24 bits), 0. */
static void put_head(char *p, enum frame_kind kind, size_t raw, size_t packed)
{
	p[0] = (char)kind;
	put_u24(p + 1, (uint32_t)raw);
	put_u24(p + 4, (uint32_t)packed);
	p[7] = 0;
}

int frame_put(struct buf *out, enum frame_kind kind, struct str payload)
{
	size_t n = payload.n;
	char *head;
	int r, packed;

	if (payload.n > FRAME_RAW_MAX)
		return -EMSGSIZE;
	r = buf_reserve(out, FRAME_HEAD + payload.n);
	if (r < 0)
		return r;
	head = buf_tail(out);
	packed = payload.n < PACK_MIN ? 0
				      : LZ4_compress_default(payload.p, head + FRAME_HEAD,
							     (int)payload.n, (int)payload.n - 1);
	if (packed > 0)
		n = (size_t)packed;
	else if (n)
		memcpy(head + FRAME_HEAD, payload.p, n);
	put_head(head, kind, payload.n, n);
	buf_commit(out, FRAME_HEAD + n);
	return 0;
}

void frame_reader_init(struct frame_reader *r)
{
	buf_init(&r->in, FRAME_HEAD + FRAME_RAW_MAX);
	buf_init(&r->raw, FRAME_RAW_MAX);
}

void frame_reader_done(struct frame_reader *r)
{
	buf_done(&r->in);
	buf_done(&r->raw);
}

void frame_reader_reset(struct frame_reader *r)
{
	buf_reset(&r->in);
}

/* Moves bytes until `n` are held: whether they are. */
static int gather(struct frame_reader *r, struct str *bytes, size_t n)
{
	const size_t lacking = n > r->in.n ? n - r->in.n : 0;
	const size_t k = MIN(lacking, bytes->n);
	int e = buf_append(&r->in, bytes->p, k);

	if (e < 0)
		return e;
	*bytes = str_from(*bytes, k);
	return k == lacking;
}

static bool is_kind(char c)
{
	return c == FRAME_HELLO || c == FRAME_SNAPSHOT || c == FRAME_CHANGES || c == FRAME_BEAT ||
	       c == FRAME_WAIT || c == FRAME_END;
}

static int unpack(struct frame_reader *r, size_t raw, size_t packed, struct frame *ret)
{
	const struct str all = buf_str(&r->in);

	ret->kind = (enum frame_kind)all.p[0];
	ret->payload = str_from(all, FRAME_HEAD);
	if (raw == packed)
		return 1;
	buf_reset(&r->raw);
	if (buf_reserve(&r->raw, raw) < 0)
		return -ENOMEM;
	if (LZ4_decompress_safe(ret->payload.p, buf_tail(&r->raw), (int)packed, (int)raw) !=
	    (int)raw)
		return -EBADMSG;
	buf_commit(&r->raw, raw);
	ret->payload = buf_str(&r->raw);
	return 1;
}

int frame_take(struct frame_reader *r, struct str *bytes, struct frame *ret)
{
	const char *head;
	size_t raw, packed;
	int e;

	if (r->in.n >= FRAME_HEAD &&
	    r->in.n == FRAME_HEAD + take_u24(buf_str(&r->in).p + 4)) /* was given out */
		buf_reset(&r->in);
	e = gather(r, bytes, FRAME_HEAD);
	if (e <= 0)
		return e;
	head = buf_str(&r->in).p;
	raw = take_u24(head + 1);
	packed = take_u24(head + 4);
	if (!is_kind(head[0]) || head[7] || raw > FRAME_RAW_MAX || packed > raw || (raw && !packed))
		return -EBADMSG;
	e = gather(r, bytes, FRAME_HEAD + packed);
	return e <= 0 ? e : unpack(r, raw, packed, ret);
}
