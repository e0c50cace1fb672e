/*
 * Batches: whole messages, at most 16 KiB together, become one complete LZ4
 * frame with default preferences (header 04 22 4d 18 40 40 c0). The reducer's
 * receive loop loses data when a block is cut through a message, so one never is.
 *
 *	wire_batch_put_pod_delete(&batch, &out, now, &m);   ... any number ...
 *	wire_batch_flush(&batch, &out);                      when the loop goes idle
 *
 * The first message of a connection, version_info, is sent plain: encode it
 * with wire_put_version_info straight into the output.
 */
#pragma once

#include "proto/wire.h"

#include "base/buf.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of messages in one batch, before compression. */
#define WIRE_BATCH_MAX 16384

struct LZ4F_cctx_s;

struct wire_batch {
	struct LZ4F_cctx_s *lz4; /* reused for every frame; about 0.2 MB */
	struct buf raw;		 /* messages not yet compressed */
	size_t messages;	 /* in `raw` */
	uint64_t frames;	 /* made so far */
};

/* 0 or -ENOMEM. */
int wire_batch_init(struct wire_batch *b);
void wire_batch_done(struct wire_batch *b);
/* Forgets what was not flushed (a new connection begins); keeps the memory. */
void wire_batch_reset(struct wire_batch *b);
/* Bytes of messages that wait for wire_batch_flush. */
size_t wire_batch_pending(const struct wire_batch *b);
/* The most bytes one frame can have: an `out` with this much room never says -ENOBUFS. */
size_t wire_batch_bound(void);

/*
 * Adds one message; what is there already is flushed to `out` first when the
 * new message does not fit. All or nothing: 0; -EMSGSIZE when the message alone
 * is longer than WIRE_BATCH_MAX or cannot be encoded; -ENOBUFS when a flush was
 * needed and `out` has no room for the frame; -ENOMEM.
 */
int wire_batch_put(struct wire_batch *b, const struct wire_desc *d, const void *m, uint64_t ts,
		   struct buf *out);
/* Appends the frame of all waiting messages to `out`; nothing when there are none.
 * 0, -ENOBUFS (out is full, the messages are kept) or -ENOMEM. */
int wire_batch_flush(struct wire_batch *b, struct buf *out);

/* int wire_batch_put_pod_delete(b, out, ts, m); and so on for every message. */
#define MSG(num, name, ...)                                                               \
	static inline int wire_batch_put_##name(struct wire_batch *b, struct buf *out,    \
						uint64_t ts, const struct wire_##name *m) \
	{                                                                                 \
		return wire_batch_put(b, wire_desc(num), m, ts, out);                     \
	}
#define MSG0(num, name)                                                                \
	static inline int wire_batch_put_##name(struct wire_batch *b, struct buf *out, \
						uint64_t ts)                           \
	{                                                                              \
		return wire_batch_put(b, wire_desc(num), NULL, ts, out);               \
	}
#include "proto/messages.def"
#undef MSG
#undef MSG0
