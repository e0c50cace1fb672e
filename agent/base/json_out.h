/*
 * JSON written straight into a buffer: what flow lines, answers to commands and
 * requests to services are made of. Texts come from the kernel, from runtimes and from the API
 * server, so anything may stand in them: bytes that are no UTF-8, and NULs, become U+FFFD, control
 * characters are escaped, and what comes out is always valid JSON (RFC 8259).
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

struct json_out {
	struct buf *out; /* borrowed */
	int r;	    /* the first failure: -EMSGSIZE or -ENOMEM; from then on nothing is written */
	bool comma; /* something stands before the next member */
};

/* `key` NULL: an element of a list, or the outermost value. `bracket` is '{' or '['. */
void json_open(struct json_out *j, const char *key, char bracket);
/* The bracket that opened it. */
void json_close(struct json_out *j, char bracket);
void json_text(struct json_out *j, const char *key, struct str s);
/* Nothing at all when `s` is empty. */
void json_some(struct json_out *j, const char *key, struct str s);
void json_u64(struct json_out *j, const char *key, uint64_t v);
void json_bool(struct json_out *j, const char *key, bool v);
/* null */
void json_none(struct json_out *j, const char *key);
/* A list of numbers, 9 significant digits each: they read back as the same floats. None may be
 * infinite or NaN. */
void json_floats(struct json_out *j, const char *key, const float *v, size_t n);
/* Text that is JSON already. */
void json_raw(struct json_out *j, const char *key, struct str json);
/* A wall-clock time as RFC 3339 in UTC with microseconds. */
void json_time(struct json_out *j, const char *key, nsec_t wall);

/* `s` as the inside of a JSON string: 0, -EMSGSIZE or -ENOMEM. */
int json_escape(struct buf *out, struct str s);

#define TIME_TEXT_MAX 40 /* "2026-11-21T09:30:00.000001Z" and a NUL */
/* RFC 3339; a time beyond the year 9999 is written as its last microsecond. */
const char *time_text(nsec_t wall, char ret[TIME_TEXT_MAX]);
