/*
 * Text of the API: UTF-8, JSON escapes, numbers.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

/* Whether the bytes are UTF-8 (RFC 3629). */
bool text_is_utf8(struct str s);
/* Writes `s` with every byte that is not part of UTF-8 replaced by U+FFFD, as Go does. `dst` has
 * room for 3 * s.n bytes. Returns the bytes written. */
size_t text_fix_utf8(struct str s, char *dst);
/* Resolves the escapes of a JSON string (RFC 8259 section 7; without its quotes). A lone
 * surrogate becomes U+FFFD. `dst` has room for s.n bytes. 0 or -EBADMSG. */
int text_unescape(struct str s, char *dst, size_t *ret_n);
/* An integer of a JSON number: 0, -EBADMSG (fraction, exponent, no number) or -ERANGE. */
int text_int(struct str s, int64_t min, int64_t max, int64_t *ret_value);
/* Whether it is a number of RFC 8259 section 6. */
bool text_is_number(struct str s);
