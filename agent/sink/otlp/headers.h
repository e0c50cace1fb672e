/*
 * Headers of every request that stand in a file, a line each: "NAME: VALUE". Keys of
 * vendors, tenants. Blank lines and those that begin with '#' count for nothing. Read
 * again when the file changes.
 */
#pragma once

#include "base/buf.h"
#include "http/http.h"
#include "http/watched_file.h"

#define HEADERS_MAX 16 /* more are a fault of the file */

struct headers { /* embedded; zero: none */
	struct watched_file file;
	struct http_field v[HEADERS_MAX]; /* views into the file's bytes */
	size_t n;
	const char *wrong; /* what is wrong with the file now; static; NULL: nothing */
};

/* NULL, or what is wrong with such a text. `v` and `n` may be NULL. Pure. */
const char *headers_wrong(struct str text, struct http_field v[HEADERS_MAX], size_t *ret_n);
/* The same, for those who only ask. */
const char *headers_text_wrong(struct str text);

/* `path` NULL: none. 0, -ENOMEM, or -EINVAL with a sentence. */
int headers_init(struct headers *h, const char *path, struct buf *ret_error);
void headers_done(struct headers *h);
/* What the file says now; one that cannot be read any more leaves what it said. False, with a
 * sentence: it is wrong, and a request without its headers would be another's. */
bool headers_refresh(struct headers *h, struct buf *ret_error);
