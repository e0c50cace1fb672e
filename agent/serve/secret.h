/*
 * The bearer token that clients of an address must have: the content of a file, which
 * may change. A file that goes bad (empty, gone) is told of, and the token that was read
 * before stays good.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>

struct secret;

#define SECRET_LOOK (1 * NSEC_PER_SEC) /* the file is looked at so often at most */

struct secret_opts {
	const char *file; /* copied */
	/* It went bad, or (words "") is well again. May be NULL. */
	void (*told)(void *ctx, const char *words);
	void *ctx;
};
/* 0, -ENOMEM, or why the file cannot be used with a line in ret_error. */
int secret_new(const struct secret_opts *o, struct secret **ret, struct buf *ret_error);
void secret_free(struct secret **s);
/* Whether an Authorization header has it. */
bool secret_fits(struct secret *s, nsec_t now, struct str authorization);
