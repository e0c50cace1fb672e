#include "base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 256 /* bytes of the first allocation */

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
	free(b->p);
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	b->off = 0;
	b->n = 0;
}

static void buf_shift(struct buf *b)
{
	if (b->off && b->n)
		memmove(b->p, b->p + b->off, b->n);
	b->off = 0;
}

int buf_reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap;
	char *p;

	if (n > b->max || b->n > b->max - n)
		return -EMSGSIZE;
	if (b->p && b->off + b->n + n <= b->cap)
		return 0;
	if (b->p && b->n + n <= b->cap && b->off >= b->n) {
		buf_shift(b); /* never moves more than was consumed */
		return 0;
	}
	buf_shift(b);
	cap = MAX(cap, (size_t)BUF_FIRST);
	while (cap < b->n + n)
		cap += cap / 2;
	cap = MAX(MIN(cap, b->max), b->n + n);
	p = realloc(b->p, cap);
	if (!p)
		return -ENOMEM;
	b->p = p;
	b->cap = cap;
	return 0;
}

char *buf_tail(struct buf *b)
{
	return b->p + b->off + b->n;
}

void buf_commit(struct buf *b, size_t n)
{
	assert(b->off + b->n + n <= b->cap);
	b->n += n;
}

int buf_append(struct buf *b, const void *p, size_t n)
{
	int r;

	if (!n)
		return 0;
	r = buf_reserve(b, n);
	if (r < 0)
		return r;
	memcpy(buf_tail(b), p, n);
	b->n += n;
	return 0;
}

int buf_append_str(struct buf *b, struct str s)
{
	return buf_append(b, s.p, s.n);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n, r;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	r = n < 0 ? -EINVAL : buf_reserve(b, (size_t)n + 1); /* vsnprintf ends with NUL */
	if (r == 0) {
		(void)vsnprintf(buf_tail(b), (size_t)n + 1, fmt, again);
		b->n += (size_t)n;
	}
	va_end(again);
	return r;
}

void buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->n);
	b->off += n;
	b->n -= n;
	if (!b->n)
		b->off = 0;
}

struct str buf_str(const struct buf *b)
{
	return b->n ? str_make(b->p + b->off, b->n) : (struct str){0};
}
