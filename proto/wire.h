/*
 * One message of the ingest protocol to bytes and back. Pure: no allocation of
 * its own, no I/O, no state.
 *
 *	timestamp u64 | id u16 | [length u16] | fixed fields | string bytes
 *
 * README.md in this folder is the written specification.
 */
#pragma once

#include "proto/messages.h"

#include "base/buf.h"

/* A message with its timestamp is never longer (the reducer's buffer). */
#define WIRE_MAX_MESSAGE 65536
/* Bytes before the id. */
#define WIRE_STAMP ((size_t)8)

union wire_value {
	uint64_t u; /* u8 to u64, ip4, ip4n */
	int64_t i;  /* s32, s64 */
	struct wire_u128 w;
	struct str s; /* strings and byte arrays */
};

/*
 * Appends one message: all of it or nothing. `values` are in declaration order,
 * `n` of them; `ts` is Unix time in nanoseconds (0 is allowed: not known).
 * Padding is zero. A byte array that is given shorter is filled with zeros.
 *
 * 0; -EMSGSIZE when a string or byte array is too long, the message would be
 * longer than WIRE_MAX_MESSAGE, or `out` is full; -ERANGE when a number does
 * not fit its field; -EINVAL when n is not the number of fields; -ENOMEM.
 */
int wire_encode(const struct wire_desc *d, const union wire_value *values, size_t n, uint64_t ts,
		struct buf *out);
/* The same from the message's C struct (`m` may be NULL for a message without fields). */
int wire_encode_struct(const struct wire_desc *d, const void *m, uint64_t ts, struct buf *out);

/* int wire_put_pod_delete(struct buf *out, uint64_t ts, const struct wire_pod_delete *m); and the
 * other 90: like wire_encode. Messages without fields take no struct. */
#define MSG(num, name, ...)                                             \
	static inline int wire_put_##name(struct buf *out, uint64_t ts, \
					  const struct wire_##name *m)  \
	{                                                               \
		return wire_encode_struct(wire_desc(num), m, ts, out);  \
	}
#define MSG0(num, name)                                                   \
	static inline int wire_put_##name(struct buf *out, uint64_t ts)   \
	{                                                                 \
		return wire_encode_struct(wire_desc(num), NULL, ts, out); \
	}
#include "proto/messages.def"
#undef MSG
#undef MSG0

/* A decoded message. Its strings borrow from the bytes it was read from. */
struct wire_msg {
	const struct wire_desc *desc;
	uint64_t timestamp;
	size_t size;			     /* bytes on the wire, timestamp included */
	bool dirty;			     /* padding was not zero */
	union wire_value v[WIRE_MAX_FIELDS]; /* in declaration order */
};

/* What is wrong with a message: a constant text, and the byte it was seen at, from the first one
 * of the timestamp. */
struct wire_fault {
	const char *reason;
	size_t at;
};

/*
 * Reads the message at the start of `bytes`, which may hold more. 0 and the
 * message; its size is in ret->size. -EAGAIN: more bytes are needed, see
 * wire_need. -EBADMSG, with `ret_fault` (may be NULL) telling why: unknown id, a
 * length word below the fixed part, strings longer than the length word allows,
 * or more than WIRE_MAX_MESSAGE bytes. A message is refused as soon as the
 * bytes that show the fault are there.
 */
int wire_decode(struct str bytes, struct wire_msg *ret, struct wire_fault *ret_fault);
/* How many bytes must be there before wire_decode can say more than it does for these `bytes`
 * (the timestamp and id, then the length word, then the whole). Good after its -EAGAIN. */
size_t wire_need(struct str bytes);

/* NULL when the message has no such field. */
const union wire_value *wire_value(const struct wire_msg *m, struct str field);
/* Fills the message's C struct; `ret` must be the one of m->desc. */
void wire_to_struct(const struct wire_msg *m, void *ret);

/* bool wire_get_pod_delete(const struct wire_msg *m, struct wire_pod_delete *ret); and so on:
 * false and nothing done when `m` is another message. */
#define MSG(num, name, ...)                                                                   \
	static inline bool wire_get_##name(const struct wire_msg *m, struct wire_##name *ret) \
	{                                                                                     \
		if (m->desc->id != (num))                                                     \
			return false;                                                         \
		wire_to_struct(m, ret);                                                       \
		return true;                                                                  \
	}
#define MSG0(num, name)
#include "proto/messages.def"
#undef MSG
#undef MSG0
