/*
 * Object uids in 16 bytes. API uids are opaque text; nearly all are RFC 4122
 * text ("8-4-4-4-12", lower case) and static pods have 32 hex digits. Those two
 * forms are kept in binary; anything else is kept as text by its owner.
 */
#pragma once

#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define UID_TEXT_MAX 128 /* bytes; a longer uid is refused: Kubernetes makes 36 */

enum uid_form { UID_NONE, UID_RFC4122, UID_HEX32, UID_OTHER, _UID_FORM_MAX };

struct uid {
	uint8_t b[16];
};

/* UID_RFC4122 or UID_HEX32 with the bytes, UID_OTHER when it is neither (upper case too), UID_NONE
 * when empty. */
enum uid_form uid_parse(struct str text, struct uid *ret);
/* Writes the text of one of the two binary forms, NUL-terminated, returns its length. */
size_t uid_print(enum uid_form form, const struct uid *u, char out[UID_TEXT_MAX + 1]);
/* `n` lower-case hex digits into n / 2 bytes; false when there is any other character. */
bool uid_hex(const char *p, size_t n, uint8_t *ret);
/* `n` bytes as 2 * n of them, without a NUL. Returns what is behind them. */
char *uid_print_hex(const uint8_t *b, size_t n, char *ret);
