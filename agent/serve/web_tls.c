/* Certificates of a server; see web_tls.h. */
#include "serve/web_tls.h"

#include "base/mem.h"
#include "http/watched_file.h"

#include <errno.h>
#include <stdlib.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#define WORDS_MAX 1024

struct web_tls {
	struct web_tls_opts o;
	struct watched_file cert, key;
	SSL_CTX *ctx;
	nsec_t looked;
};

/* ---- from bytes to a context ----------------------------------------------------------------- */

static BIO *bio_of(const struct watched_file *f)
{
	struct str s = watched_file_str(f);

	return BIO_new_mem_buf(s.p, (int)s.n);
}

static int refuse(struct buf *error, const char *what, const char *path)
{
	const char *why = ERR_reason_error_string(ERR_peek_last_error());

	(void)buf_printf(error, "%s %s: %s", what, path, why ?: "cannot be used");
	ERR_clear_error();
	return -EINVAL;
}

/* What stands behind the certificate. */
static bool add_chain(SSL_CTX *ctx, BIO *b)
{
	bool ok = true;
	X509 *x;

	while (ok && (x = PEM_read_bio_X509(b, NULL, NULL, NULL))) {
		ok = SSL_CTX_add1_chain_cert(ctx, x);
		X509_free(x);
	}
	ERR_clear_error(); /* the end of the file is one */
	return ok;
}

static int use_cert(SSL_CTX *ctx, const struct watched_file *f, struct buf *error)
{
	BIO *b = bio_of(f);
	X509 *x = b ? PEM_read_bio_X509_AUX(b, NULL, NULL, NULL) : NULL;
	bool ok = x && SSL_CTX_use_certificate(ctx, x) && add_chain(ctx, b);

	X509_free(x);
	BIO_free(b);
	return ok ? 0 : refuse(error, "certificate file", f->path);
}

/* Nobody is there to be asked. */
static int no_password(char *buf, int size, int writing, void *ctx)
{
	(void)buf;
	(void)size;
	(void)writing;
	(void)ctx;
	return -1;
}

static int use_key(SSL_CTX *ctx, const struct watched_file *f, struct buf *error)
{
	BIO *b = bio_of(f);
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_password, NULL) : NULL;
	bool ok = k && SSL_CTX_use_PrivateKey(ctx, k);

	EVP_PKEY_free(k);
	BIO_free(b);
	return ok && SSL_CTX_check_private_key(ctx) ? 0 : refuse(error, "key file", f->path);
}

static int fill(SSL_CTX *ctx, const struct web_tls *t, struct buf *error)
{
	int r;

	if (!SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION))
		return -ENOMEM;
	/* Many clients end without close_notify. Buffers of idle streams are given back. */
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	r = use_cert(ctx, &t->cert, error);
	return r < 0 ? r : use_key(ctx, &t->key, error);
}

static int load(struct web_tls *t, struct buf *error)
{
	SSL_CTX *ctx;
	int r = watched_file_read(&t->cert, "certificate file", error);

	if (r == 0)
		r = watched_file_read(&t->key, "key file", error);
	if (r < 0)
		return r;
	ERR_clear_error();
	ctx = SSL_CTX_new(TLS_server_method());
	r = ctx ? fill(ctx, t, error) : -ENOMEM;
	if (r < 0) {
		SSL_CTX_free(ctx);
		return r;
	}
	SSL_CTX_free(t->ctx);
	t->ctx = ctx;
	return 0;
}

/* ---- the pair as it is now ------------------------------------------------------------------- */

static void look(struct web_tls *t, nsec_t now)
{
	_buf_ struct buf words = {.max = WORDS_MAX};
	int r;

	if (t->looked && now - t->looked < WEB_TLS_LOOK)
		return;
	t->looked = now;
	if (!watched_file_changed(&t->cert) && !watched_file_changed(&t->key))
		return;
	r = load(t, &words);
	(void)buf_append(&words, "", 1);
	if (t->o.told)
		t->o.told(t->o.ctx, r < 0 ? words.p : "");
}

void *web_tls_stream(struct web_tls *t, nsec_t now)
{
	look(t, now);
	return SSL_new(t->ctx);
}

int web_tls_new(const struct web_tls_opts *o, struct web_tls **ret, struct buf *ret_error)
{
	struct web_tls *t = calloc(1, sizeof(*t));
	int r = t ? watched_file_init(&t->cert, o->cert_file) : -ENOMEM;

	if (r == 0)
		r = watched_file_init(&t->key, o->key_file);
	if (r == 0)
		r = load(t, ret_error);
	if (r < 0) {
		web_tls_free(&t);
		return r;
	}
	t->o = *o;
	*ret = t;
	return 0;
}

void web_tls_free(struct web_tls **tp)
{
	struct web_tls *t = *tp;

	*tp = NULL;
	if (!t)
		return;
	SSL_CTX_free(t->ctx);
	watched_file_done(&t->cert);
	watched_file_done(&t->key);
	free(t);
}
