/*
 * Times as the API writes them (RFC 3339).
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* "2026-11-20T17:54:00Z" (fractions are dropped, offsets are honoured) in Unix seconds.
 * 0 or -EBADMSG. */
int rfc3339_parse(struct str s, int64_t *ret_seconds);
