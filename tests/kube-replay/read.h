/*
 * Recorded files: NAME.SUFFIX or NAME.SUFFIX.gz, read whole.
 */
#pragma once

#include "base/buf.h"

/* Most bytes one recorded file or one made body may have. */
#define READ_MAX (256U << 20)

/* Appends the (unpacked) file. 0, -ENOENT, -EIO, -EMSGSIZE or -ENOMEM. */
int read_recorded(const char *dir, const char *name, const char *suffix, struct buf *b);

/* This is a test tool: out of memory ends it. Appends or aborts. */
void put(struct buf *b, const void *p, size_t n);
void put_str(struct buf *b, struct str s);
void put_z(struct buf *b, const char *z);
void put_f(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* calloc and realloc that abort. */
void *must_calloc(size_t n, size_t size);
void *must_realloc(void *p, size_t n, size_t size);
