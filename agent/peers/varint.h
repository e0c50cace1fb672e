/*
 * Numbers of the feed: seven bits a byte, the lowest first, the top bit says that
 * another byte follows (LEB128, as in protobuf).
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <errno.h>
#include <stdint.h>

#define VARINT_MAX 10 /* bytes of a 64-bit number */

static inline int varint_put(struct buf *b, uint64_t v)
{
	uint8_t bytes[VARINT_MAX];
	size_t n = 0;

	for (; v > 0x7f; v >>= 7)
		bytes[n++] = (uint8_t)v | 0x80;
	bytes[n++] = (uint8_t)v;
	return buf_append(b, bytes, n);
}

/* Takes a number off the front: 0, or -EBADMSG (cut, or more than 64 bits). */
static inline int varint_take(struct str *s, uint64_t *ret)
{
	uint64_t v = 0;

	for (size_t i = 0; i < s->n && i < VARINT_MAX; i++) {
		const uint8_t byte = (uint8_t)s->p[i];

		if (i == VARINT_MAX - 1 && byte > 1)
			return -EBADMSG;
		v |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (byte & 0x80)
			continue;
		*s = str_from(*s, i + 1);
		*ret = v;
		return 0;
	}
	return -EBADMSG;
}

/* Small negative numbers are short, too. */
static inline uint64_t varint_zigzag(int64_t v)
{
	return (uint64_t)v << 1 ^ (uint64_t)(v >> 63);
}
static inline int64_t varint_unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
