/*
 * Texts that come from elsewhere (servers, proxies, libraries) made fit for a
 * log: one line, printable, bounded, and without anything that looks like a
 * credential. An error page may well echo the request's headers.
 */
#pragma once

#include "base/str.h"

#include <stddef.h>

/* Writes at most cap - 1 bytes and a NUL to dst (cap > 0); cuts in silence. */
void redact_text(char *dst, size_t cap, struct str s);
