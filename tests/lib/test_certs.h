/* Certificates made while a test runs: authorities, servers, clients, also bad ones. */
#pragma once

#include "base/str.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

struct test_cert {
	X509 *x;
	EVP_PKEY *key;
	char *cert_pem, *key_pem; /* heap */
};

struct test_cert_opts {
	const char *name;		/* common name */
	const char *san;		/* "DNS:a,IP:127.0.0.1", or NULL */
	const struct test_cert *issuer; /* NULL: signs itself */
	bool ca;
	long from, until; /* seconds from now; both 0: an hour either way */
};

void test_cert_make(const struct test_cert_opts *o, struct test_cert *ret);
void test_cert_done(struct test_cert *c);
/* A server's context. With `client_ca` clients must show a certificate from it. */
SSL_CTX *test_cert_server(const struct test_cert *c, const struct test_cert *client_ca);
