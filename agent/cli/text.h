/*
 * Text for people: what came from elsewhere without anything in it that moves a cursor,
 * and figures that are short. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"

#include <stdint.h>

/* Control characters and bytes that are no UTF-8 become '?'. At most `most` characters (0: all),
 * cut with an ellipsis, padded to `pad`. 0, -EMSGSIZE or -ENOMEM. */
int text_put(struct buf *out, struct str s, size_t most, size_t pad);
/* How many characters text_put shows. */
size_t text_count(struct str s);

#define TEXT_FIGURE_MAX 32
/* 999B, 1.2K, 34M: at most six characters. */
const char *text_bytes(uint64_t n, char ret[TEXT_FIGURE_MAX]);
/* "42 s", "7 min", "3 h 12 min", "4 d 3 h" */
const char *text_span(uint64_t seconds, char ret[TEXT_FIGURE_MAX]);
