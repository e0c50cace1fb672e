/*
 * A certificate authority and a server certificate, made at start and kept in
 * memory, so that TLS tests need no files and nothing ever expires by itself.
 */
#include "server.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#define DAY	   86400L
#define WRONG_HOST "DNS:another-host.example"

static EVP_PKEY *new_key(void)
{
	return EVP_EC_gen("P-256");
}

static int add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *ext;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	if (!ext)
		return -1;
	X509_add_ext(cert, ext, -1);
	X509_EXTENSION_free(ext);
	return 0;
}

struct cert_opts {
	const char *name;
	long serial;
	long from, to;	   /* seconds from now */
	const char *alt;   /* subjectAltName, or NULL */
	const char *usage; /* extendedKeyUsage, or NULL: an authority */
};

static X509 *new_cert(const struct cert_opts *o, EVP_PKEY *key, X509 *ca, EVP_PKEY *ca_key)
{
	X509 *cert = X509_new();
	X509 *issuer = ca ? ca : cert;
	X509_NAME *name = X509_get_subject_name(cert);
	int r = 0;

	X509_set_version(cert, X509_VERSION_3);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), o->serial);
	X509_gmtime_adj(X509_getm_notBefore(cert), o->from);
	X509_gmtime_adj(X509_getm_notAfter(cert), o->to);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)o->name, -1, -1,
				   0);
	X509_set_issuer_name(cert, X509_get_subject_name(issuer));
	X509_set_pubkey(cert, key);
	r |= add_ext(cert, issuer, NID_basic_constraints,
		     o->usage ? "critical,CA:FALSE" : "critical,CA:TRUE");
	r |= add_ext(cert, issuer, NID_key_usage,
		     o->usage ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign");
	r |= add_ext(cert, issuer, NID_subject_key_identifier, "hash");
	if (o->usage)
		r |= add_ext(cert, issuer, NID_ext_key_usage, o->usage);
	if (o->alt)
		r |= add_ext(cert, issuer, NID_subject_alt_name, o->alt);
	if (r < 0 || !X509_sign(cert, ca_key, EVP_sha256())) {
		X509_free(cert);
		return NULL;
	}
	return cert;
}

static int write_cert(const char *path, X509 *cert)
{
	FILE *f = fopen(path, "w");
	int ok = f && PEM_write_X509(f, cert);

	if (f && fclose(f) != 0)
		ok = 0;
	if (!ok)
		fprintf(stderr, "kube-replay: cannot write %s\n", path);
	return ok ? 0 : -1;
}

static int write_client(const char *prefix, X509 *ca, EVP_PKEY *ca_key)
{
	EVP_PKEY *key = new_key();
	X509 *cert = new_cert(&(struct cert_opts){.name = "kindred-agent",
						  .serial = 3,
						  .from = -DAY,
						  .to = 365 * DAY,
						  .usage = "clientAuth"},
			      key, ca, ca_key);
	char path[4096];
	FILE *f;
	int r;

	snprintf(path, sizeof(path), "%s.crt", prefix);
	r = cert ? write_cert(path, cert) : -1;
	snprintf(path, sizeof(path), "%s.key", prefix);
	f = r == 0 ? fopen(path, "w") : NULL;
	if (!f || !PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL))
		r = -1;
	if (f)
		fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
	return r;
}

/* IP: for an address, DNS: for a name; the loopback names always. */
static void alt_names(const char *host, char *out, size_t n)
{
	bool ip = strspn(host, "0123456789.") == strlen(host) || strchr(host, ':');

	snprintf(out, n, "DNS:localhost,IP:127.0.0.1,IP:::1%s%s",
		 *host ? (ip ? ",IP:" : ",DNS:") : "", host);
}

static int ask_client(SSL_CTX *ctx, const struct options *o, X509 *ca, EVP_PKEY *ca_key)
{
	if (!o->client_ca && !o->client_out)
		return 0;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
	if (o->client_ca && SSL_CTX_load_verify_file(ctx, o->client_ca) != 1) {
		fprintf(stderr, "kube-replay: --client-ca %s: cannot be read\n", o->client_ca);
		return -1;
	}
	X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
	return o->client_out ? write_client(o->client_out, ca, ca_key) : 0;
}

SSL_CTX *tls_new(const struct options *o, const char *host)
{
	EVP_PKEY *ca_key = new_key(), *key = new_key();
	X509 *ca = new_cert(
		&(struct cert_opts){
			.name = "kube-replay CA", .serial = 1, .from = -DAY, .to = 365 * DAY},
		ca_key, NULL, ca_key);
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509 *cert;
	char alt[512];
	int r = 0;

	alt_names(host, alt, sizeof(alt));
	cert = new_cert(&(struct cert_opts){.name = "kube-apiserver",
					    .serial = 2,
					    .from = o->tls_expired ? -3 * DAY : -DAY,
					    .to = o->tls_expired ? -DAY : 365 * DAY,
					    .alt = o->tls_wrong_host ? WRONG_HOST : alt,
					    .usage = "serverAuth"},
			key, ca, ca_key);
	if (!ca || !cert || SSL_CTX_use_certificate(ctx, cert) != 1 ||
	    SSL_CTX_use_PrivateKey(ctx, key) != 1)
		r = -1;
	if (r == 0 && o->ca_out)
		r = write_cert(o->ca_out, ca);
	if (r == 0)
		r = ask_client(ctx, o, ca, ca_key);
	SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"kube-replay", 11);
	X509_free(cert);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(ca_key);
	if (r == 0)
		return ctx;
	ERR_print_errors_fp(stderr);
	SSL_CTX_free(ctx);
	return NULL;
}
