/* Notes about certificates; see cert.h. */
#include "http/cert.h"

#include "base/mem.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* Where an SSL_CTX keeps its struct http_certs; taken once per process. */
static int certs_slot = -1;

/* What the BIO holds, as a string of at most n - 1 bytes. */
static void bio_text(BIO *b, char *p, size_t n)
{
	int got = BIO_read(b, p, (int)n - 1);

	p[got > 0 ? got : 0] = '\0';
}

static void name_text(const X509_NAME *name, char *p, size_t n)
{
	BIO *b = BIO_new(BIO_s_mem());

	p[0] = '\0';
	if (!b)
		return;
	if (name && X509_NAME_print_ex(b, name, 0, XN_FLAG_RFC2253) > 0)
		bio_text(b, p, n);
	BIO_free(b);
}

static void time_text(const ASN1_TIME *t, char *p, size_t n)
{
	BIO *b = BIO_new(BIO_s_mem());

	p[0] = '\0';
	if (!b)
		return;
	if (t && ASN1_TIME_print(b, t) == 1)
		bio_text(b, p, n);
	BIO_free(b);
}

static void cert_note(X509 *x, struct http_cert *c)
{
	name_text(X509_get_subject_name(x), c->subject, sizeof(c->subject));
	name_text(X509_get_issuer_name(x), c->issuer, sizeof(c->issuer));
	time_text(X509_get0_notBefore(x), c->not_before, sizeof(c->not_before));
	time_text(X509_get0_notAfter(x), c->not_after, sizeof(c->not_after));
}

/* One subject alternative name; "" for kinds that name no host. */
static void alt_name_text(const GENERAL_NAME *g, char *p, size_t n)
{
	const ASN1_STRING *s = g->type == GEN_DNS ? g->d.dNSName : g->d.iPAddress;

	p[0] = '\0';
	if (g->type == GEN_DNS) {
		(void)snprintf(p, n, "%.*s", ASN1_STRING_length(s), ASN1_STRING_get0_data(s));
		for (char *c = p; *c; c++) /* whatever the server wrote there */
			if (*c < ' ' || *c > '~')
				*c = '?';
	} else if (g->type == GEN_IPADD) {
		int family = ASN1_STRING_length(s) == 4 ? AF_INET : AF_INET6;

		if (ASN1_STRING_length(s) == 4 || ASN1_STRING_length(s) == 16)
			(void)inet_ntop(family, ASN1_STRING_get0_data(s), p, (socklen_t)n);
	}
}

static void names_note(X509 *x, char *p, size_t n)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	size_t used = 0;

	p[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(all); i++) {
		char one[128];
		size_t len;

		alt_name_text(sk_GENERAL_NAME_value(all, i), one, sizeof(one));
		len = strlen(one);
		if (!len)
			continue;
		if (used + len + 6 >= n) {
			(void)snprintf(p + used, n - used, " ...");
			break;
		}
		used += (size_t)snprintf(p + used, n - used, "%s%s", used ? ", " : "", one);
	}
	GENERAL_NAMES_free(all);
}

/* OpenSSL asks for each certificate of the chain; `ok` is its own verdict, and stays it. */
static int on_verify(int ok, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct http_certs *c = ssl ? SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), certs_slot) : NULL;
	X509 *x = X509_STORE_CTX_get_current_cert(store);
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	if (c && leaf && !c->leaf.subject[0]) {
		cert_note(leaf, &c->leaf);
		names_note(leaf, c->names, sizeof(c->names));
	}
	if (c && !ok && !c->error) {
		c->error = X509_STORE_CTX_get_error(store);
		if (x)
			cert_note(x, &c->bad);
	}
	return ok;
}

static void on_info(const SSL *ssl, int where, int value)
{
	struct http_certs *c = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), certs_slot);

	if (c && where == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
		c->alert = SSL_alert_desc_string_long(value);
}

void http_certs_unref(struct http_certs **cp)
{
	struct http_certs *c = *cp;

	*cp = NULL;
	if (c && --c->refs == 0)
		free(c);
}

/* The SSL_CTX ends, and with it its part in the notes. */
static void on_ctx_free(void *parent, void *p, CRYPTO_EX_DATA *ad, int slot, long l, void *arg)
{
	struct http_certs *c = p;

	(void)parent;
	(void)ad;
	(void)slot;
	(void)l;
	(void)arg;
	http_certs_unref(&c);
}

struct http_certs *http_certs_watch(void *ssl_ctx)
{
	SSL_CTX *ctx = ssl_ctx;
	struct http_certs *c = calloc(1, sizeof(*c));

	if (c && certs_slot < 0)
		certs_slot = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_ctx_free);
	if (!c || certs_slot < 0 || !SSL_CTX_set_ex_data(ctx, certs_slot, c)) {
		free(c);
		return NULL;
	}
	c->refs = 2;
	SSL_CTX_set_info_callback(ctx, on_info);
	SSL_CTX_set_verify(ctx, SSL_CTX_get_verify_mode(ctx), on_verify);
	return c;
}

void http_certs_reason(const struct http_certs *c, char *p, size_t n)
{
	switch (c->error) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
		(void)snprintf(p, n, "it expired on %s", c->bad.not_after);
		return;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		(void)snprintf(p, n, "it is not valid before %s (is this machine's clock right?)",
			       c->bad.not_before);
		return;
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		(void)snprintf(p, n, "its issuer is not among the trusted authorities");
		return;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		(void)snprintf(p, n, "it is self-signed and not among the trusted authorities");
		return;
	default:
		(void)snprintf(p, n, "%s", X509_verify_cert_error_string(c->error));
		return;
	}
}
