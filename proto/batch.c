#include "proto/batch.h"

#include <errno.h>
#include <lz4frame.h>

int wire_batch_init(struct wire_batch *b)
{
	LZ4F_cctx *lz4 = NULL;

	if (LZ4F_isError(LZ4F_createCompressionContext(&lz4, LZ4F_VERSION)))
		return -ENOMEM;
	*b = (struct wire_batch){.lz4 = lz4};
	buf_init(&b->raw, WIRE_BATCH_MAX);
	return 0;
}

void wire_batch_done(struct wire_batch *b)
{
	(void)LZ4F_freeCompressionContext(b->lz4); /* takes NULL */
	b->lz4 = NULL;
	buf_done(&b->raw);
}

void wire_batch_reset(struct wire_batch *b)
{
	buf_reset(&b->raw);
	b->messages = 0;
}

size_t wire_batch_pending(const struct wire_batch *b)
{
	return b->raw.n;
}

size_t wire_batch_bound(void)
{
	return LZ4F_compressFrameBound(WIRE_BATCH_MAX, NULL);
}

/* Begin, update, end: LZ4F_compressFrame would choose independent blocks for data this short. */
static size_t compress(struct wire_batch *b, char *dst, size_t room)
{
	size_t n, all;

	n = LZ4F_compressBegin(b->lz4, dst, room, NULL);
	if (LZ4F_isError(n))
		return n;
	all = n;
	n = LZ4F_compressUpdate(b->lz4, dst + all, room - all, buf_str(&b->raw).p, b->raw.n, NULL);
	if (LZ4F_isError(n))
		return n;
	all += n;
	n = LZ4F_compressEnd(b->lz4, dst + all, room - all, NULL);
	return LZ4F_isError(n) ? n : all + n;
}

int wire_batch_flush(struct wire_batch *b, struct buf *out)
{
	const size_t bound = wire_batch_bound();
	size_t n;
	int r;

	if (!b->raw.n)
		return 0;
	r = buf_reserve(out, bound);
	if (r < 0)
		return r == -EMSGSIZE ? -ENOBUFS : r;
	n = compress(b, buf_tail(out), bound);
	if (LZ4F_isError(n)) /* there is room, so only memory can be short */
		return -ENOMEM;
	buf_commit(out, n);
	b->frames++;
	wire_batch_reset(b);
	return 0;
}

int wire_batch_put(struct wire_batch *b, const struct wire_desc *d, const void *m, uint64_t ts,
		   struct buf *out)
{
	int r;

	r = wire_encode_struct(d, m, ts, &b->raw);
	if (r == -EMSGSIZE && b->raw.n) {
		r = wire_batch_flush(b, out);
		if (r < 0)
			return r;
		r = wire_encode_struct(d, m, ts, &b->raw);
	}
	if (r == 0)
		b->messages++;
	return r;
}
