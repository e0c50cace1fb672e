/*
 * Where a Go HTTP server cuts its chunks: writes go through a buffer of 2,048
 * bytes (net/http's chunkWriter behind a bufio.Writer). A write that does not
 * fit fills the buffer, and what is left goes out as one chunk of its own when
 * it is larger than the buffer. That is how 1.36's lists and watches came to
 * the chunk sizes in the recordings.
 */
#pragma once

#include <stddef.h>

#define CHUNK_BUFFER 2048

struct chunker {
	void (*emit)(void *arg, const void *p, size_t n); /* one chunk, n > 0 */
	void *arg;
	size_t n;
	char held[CHUNK_BUFFER];
};

void chunk_write(struct chunker *c, const void *p, size_t n);
void chunk_flush(struct chunker *c);
