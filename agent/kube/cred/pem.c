/* Certificates and keys; see pem.h. */
#include "kube/cred/pem.h"

#include "base/mem.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static size_t squeeze(struct str text, char *to)
{
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++)
		if (!memchr(" \t\r\n", text.p[i], 4))
			to[n++] = text.p[i];
	return n;
}

int base64_decode(struct str text, char **ret, size_t *ret_n)
{
	_free_ char *tight = malloc(text.n + 1);
	_free_ char *out = NULL;
	size_t n, pad = 0;
	int got;

	if (!tight || text.n > INT_MAX)
		return tight ? -EBADMSG : -ENOMEM;
	n = squeeze(text, tight);
	if (!n || n % 4)
		return -EBADMSG;
	while (pad < 2 && tight[n - 1 - pad] == '=')
		pad++;
	/* EVP_DecodeBlock takes '=' for zero bits, wherever it stands. */
	if (memchr(tight, '=', n - pad))
		return -EBADMSG;
	out = malloc(n / 4 * 3 + 1);
	if (!out)
		return -ENOMEM;
	got = EVP_DecodeBlock((unsigned char *)out, (const unsigned char *)tight, (int)n);
	explicit_bzero(tight, n);
	if (got < 0 || (size_t)got != n / 4 * 3) /* it passes over '-' at the end */
		return -EBADMSG;
	*ret_n = (size_t)got - pad;
	out[*ret_n] = '\0';
	*ret = TAKE_PTR(out);
	return 0;
}

char *base64_encode(struct str bytes)
{
	char *out = bytes.n <= INT_MAX / 2 ? malloc((bytes.n + 2) / 3 * 4 + 1) : NULL;

	if (!out)
		return NULL;
	out[0] = '\0';
	if (bytes.n)
		(void)EVP_EncodeBlock((unsigned char *)out, (const unsigned char *)bytes.p,
				      (int)bytes.n);
	return out;
}

/* OpenSSL would ask at the terminal. */
static int no_passphrase(char *p, int n, int rw, void *asked)
{
	(void)p;
	(void)n;
	(void)rw;
	*(int *)asked = 1;
	return -1;
}

static BIO *bio_of(struct str s)
{
	return s.n && s.n <= INT_MAX ? BIO_new_mem_buf(s.p, (int)s.n) : NULL;
}

/* The first certificate, or NULL. */
static X509 *cert_read(struct str pem)
{
	BIO *b = bio_of(pem);
	int asked = 0;
	X509 *x = b ? PEM_read_bio_X509(b, NULL, no_passphrase, &asked) : NULL;

	BIO_free(b);
	return x;
}

const char *pem_check_authorities(struct str ca)
{
	X509 *x = cert_read(ca);
	const char *why = x ? NULL : "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)";

	X509_free(x);
	ERR_clear_error();
	return why;
}

static const char *check_key(X509 *x, struct str key)
{
	BIO *b = bio_of(key);
	int asked = 0;
	EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &asked) : NULL;
	const char *why = NULL;

	if (!k && asked)
		why = "the key is encrypted; a key without a passphrase is needed";
	else if (!k)
		why = "the key is no private key in PEM (-----BEGIN PRIVATE KEY-----)";
	else if (X509_check_private_key(x, k) != 1)
		why = "the key does not belong to the certificate";
	EVP_PKEY_free(k);
	BIO_free(b);
	return why;
}

const char *pem_check_client(struct str cert, struct str key)
{
	X509 *x = cert_read(cert);
	const char *why = x ? check_key(x, key)
			    : "the certificate is not in PEM (-----BEGIN CERTIFICATE-----)";

	X509_free(x);
	ERR_clear_error();
	return why;
}
