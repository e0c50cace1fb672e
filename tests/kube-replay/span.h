/*
 * Pieces of JSON text as views, so that recorded objects are served with the
 * bytes they were recorded with. No value is decoded here.
 */
#pragma once

#include "base/str.h"

/* The raw value of a member of a JSON object, whose opening brace may have been cut off; false when
 * it is not there or the text is broken. */
bool span_member(struct str object, const char *key, struct str *ret_value);
/* The same for a text value, without its quotes; empty when absent. Escapes stay as written. */
struct str span_text(struct str object, const char *key);
/* Walks the elements of a JSON array; *off starts at 0. */
bool span_element(struct str array, size_t *off, struct str *ret_value);
