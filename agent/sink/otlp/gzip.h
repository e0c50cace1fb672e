/* Bodies of requests, compressed (RFC 1952). */
#pragma once

#include "base/buf.h"

/* Most bytes that a body of `n` may become. */
#define GZIP_MAX(n) ((n) + (n) / 1000 + 64)

/* Appends it: 0, -EMSGSIZE or -ENOMEM. About 3 ms for half a megabyte. */
int gzip_put(struct str in, struct buf *out);
