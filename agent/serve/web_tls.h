/*
 * A server's certificate and key, from files that may change. A new pair is used for
 * the connections from then on; those that are open go on with theirs. A pair that
 * cannot be used (half replaced, unreadable) is told of, and the one before stays.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"

struct web_tls;

#define WEB_TLS_LOOK (1 * NSEC_PER_SEC) /* the files are looked at so often at most */

struct web_tls_opts {
	const char *cert_file, *key_file; /* PEM, the chain behind the certificate; copied */
	/* A pair cannot be used, or (words "") a new one is. May be NULL. */
	void (*told)(void *ctx, const char *words);
	void *ctx;
};
/* 0, -ENOMEM, or why the files cannot be used with a line in ret_error. */
int web_tls_new(const struct web_tls_opts *o, struct web_tls **ret, struct buf *ret_error);
void web_tls_free(struct web_tls **t);
/* A server's end of one connection (an SSL), the caller's; NULL: no memory. */
void *web_tls_stream(struct web_tls *t, nsec_t now);
