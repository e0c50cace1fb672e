/*
 * A byte buffer that is given its maximum at birth. Full is an error
 * (-EMSGSIZE), never a surprise. Bytes are appended at the end and consumed
 * from the front.
 */
#pragma once

#include "base/mem.h"
#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
	char *p;    /* heap, or NULL while empty */
	size_t off; /* consumed bytes in front */
	size_t n;   /* bytes held after `off` */
	size_t cap; /* bytes allocated */
	size_t max; /* most bytes it may ever hold */
};

/* Allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* Frees the bytes; the buffer can be used again with the same maximum. */
void buf_done(struct buf *b);
#define _buf_ _cleanup_(buf_done)

/* Forgets the content, keeps the memory. */
void buf_reset(struct buf *b);
/* Makes room for `n` more bytes in one piece: 0, -EMSGSIZE (over max) or -ENOMEM. */
int buf_reserve(struct buf *b, size_t n);
/* The place behind the last byte; good for what buf_reserve promised. Borrowed until the next call.
 */
char *buf_tail(struct buf *b);
/* Counts `n` bytes that were written at buf_tail. */
void buf_commit(struct buf *b, size_t n);
/* All or nothing: 0, -EMSGSIZE or -ENOMEM. */
int buf_append(struct buf *b, const void *p, size_t n);
int buf_append_str(struct buf *b, struct str s);
int buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Drops `n` bytes from the front; n may not exceed what is held. */
void buf_consume(struct buf *b, size_t n);
/* What is held. Borrowed until the next call that changes the buffer. */
struct str buf_str(const struct buf *b);
