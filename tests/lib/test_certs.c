/* Certificates made while a test runs; see test_certs.h. */
#include "tests/lib/test_certs.h"

#include <stdlib.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

static char *bio_take(BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	char *z = str_dup(str_make(p, (size_t)n));

	must(z != NULL);
	BIO_free(b);
	return z;
}

static void extension(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;

	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	must(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

void test_cert_make(const struct test_cert_opts *o, struct test_cert *ret)
{
	static long serial = 1000;
	bool default_life = !o->from && !o->until;
	struct test_cert c = {.x = X509_new(), .key = EVP_EC_gen("P-256")};
	X509 *issuer = o->issuer ? o->issuer->x : c.x;
	X509_NAME *name = X509_get_subject_name(c.x);
	BIO *b;

	must(c.x && c.key && X509_set_version(c.x, 2));
	must(ASN1_INTEGER_set(X509_get_serialNumber(c.x), serial++));
	must(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)o->name,
					-1, -1, 0));
	must(X509_set_issuer_name(c.x, X509_get_subject_name(issuer)));
	must(X509_gmtime_adj(X509_getm_notBefore(c.x), default_life ? -3600 : o->from) != NULL);
	must(X509_gmtime_adj(X509_getm_notAfter(c.x), default_life ? 3600 : o->until) != NULL);
	must(X509_set_pubkey(c.x, c.key));
	extension(c.x, issuer, NID_basic_constraints, o->ca ? "critical,CA:TRUE" : "CA:FALSE");
	if (o->san)
		extension(c.x, issuer, NID_subject_alt_name, o->san);
	must(X509_sign(c.x, o->issuer ? o->issuer->key : c.key, EVP_sha256()) > 0);
	b = BIO_new(BIO_s_mem());
	must(PEM_write_bio_X509(b, c.x));
	c.cert_pem = bio_take(b);
	b = BIO_new(BIO_s_mem());
	must(PEM_write_bio_PrivateKey(b, c.key, NULL, NULL, 0, NULL, NULL));
	c.key_pem = bio_take(b);
	*ret = c;
}

void test_cert_done(struct test_cert *c)
{
	X509_free(c->x);
	EVP_PKEY_free(c->key);
	free(c->cert_pem);
	free(c->key_pem);
	*c = (struct test_cert){0};
}

SSL_CTX *test_cert_server(const struct test_cert *c, const struct test_cert *client_ca)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	must(ctx && SSL_CTX_use_certificate(ctx, c->x) && SSL_CTX_use_PrivateKey(ctx, c->key));
	if (client_ca) {
		must(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), client_ca->x));
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	}
	return ctx;
}
