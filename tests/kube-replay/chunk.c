#include "chunk.h"

#include <string.h>

void chunk_flush(struct chunker *c)
{
	size_t n = c->n;

	c->n = 0;
	if (n)
		c->emit(c->arg, c->held, n);
}

void chunk_write(struct chunker *c, const void *p, size_t n)
{
	const char *at = p;

	while (n > CHUNK_BUFFER - c->n) {
		size_t room = CHUNK_BUFFER - c->n;

		if (c->n == 0) {
			c->emit(c->arg, at, n);
			return;
		}
		memcpy(c->held + c->n, at, room);
		c->n = CHUNK_BUFFER;
		at += room;
		n -= room;
		chunk_flush(c);
	}
	if (n)
		memcpy(c->held + c->n, at, n);
	c->n += n;
}
