/*
 * Notes about the server's certificates, taken while OpenSSL verifies them, so
 * that a failure can be told in words: whose certificate, from whom, what is
 * wrong with it. Verification itself is not changed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define HTTP_CERT_NAME_MAX  192 /* bytes of a subject or issuer, cut */
#define HTTP_CERT_NAMES_MAX 256 /* bytes of all host names of a certificate, cut */

struct http_cert {
	char subject[HTTP_CERT_NAME_MAX]; /* RFC 4514 form, escaped; "" when not seen */
	char issuer[HTTP_CERT_NAME_MAX];
	char not_before[32], not_after[32];
};

/* Held by the transfer and by the connection, which may live on without it. */
struct http_certs {
	unsigned refs;
	struct http_cert leaf;		 /* what the server showed for itself */
	char names[HTTP_CERT_NAMES_MAX]; /* its host names and addresses, ", " between */
	struct http_cert bad;		 /* the one that was not accepted */
	int error;			 /* X509_V_ERR_..., 0 while all is well */
	const char *alert;		 /* the last one the server sent, or NULL; static */
};

/*
 * Takes notes of every verification and alert under `ssl_ctx` (an SSL_CTX).
 * They have two owners, the caller and `ssl_ctx`. NULL when memory is short.
 */
struct http_certs *http_certs_watch(void *ssl_ctx);
/* The caller's part. NULL-safe, sets *c = NULL. */
void http_certs_unref(struct http_certs **c);
/* What is wrong with c->bad, in words; cut to `n` bytes. */
void http_certs_reason(const struct http_certs *c, char *p, size_t n);
