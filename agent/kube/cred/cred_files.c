/*
 * Tokens and certificates in files. What is read is checked before it takes the
 * place of what was read before: a file that is half written changes nothing.
 */
#include "kube/cred/cred_parts.h"

#include "base/log.h"
#include "base/mem.h"
#include "http/token.h"
#include "kube/cred/pem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int name_file(struct watched_file *f, const char *path)
{
	return path && *path ? watched_file_init(f, path) : 0;
}

int cred_name_files(struct kube_cred *c, const char *token, const char *ca, const char *cert,
		    const char *key)
{
	int r = name_file(&c->token, token);

	if (r == 0)
		r = name_file(&c->ca, ca);
	if (r == 0)
		r = name_file(&c->cert, cert);
	if (r == 0)
		r = name_file(&c->key, key);
	return r;
}

/* A new reading of what `f` names; the old one is not touched. */
static int fresh_read(const struct watched_file *f, const char *what, struct watched_file *ret,
		      struct buf *e)
{
	int r = watched_file_init(ret, f->path);

	return r < 0 ? r : watched_file_read(ret, what, e);
}

static void swap_in(struct watched_file *f, struct watched_file *fresh)
{
	struct watched_file old = *f;

	*f = *fresh;
	*fresh = old;
}

static int file_wrong(const struct watched_file *f, const char *what, const char *why,
		      struct buf *e)
{
	(void)buf_printf(e, "%s %s: %s", what, f->path, why);
	return -EINVAL;
}

static int token_load(struct kube_cred *c, struct buf *e)
{
	__attribute__((cleanup(watched_file_done))) struct watched_file fresh = {0};
	int r = fresh_read(&c->token, "token file", &fresh, e);
	const char *why;

	if (r < 0)
		return r;
	why = token_wrong(watched_file_str(&fresh));
	if (why)
		return file_wrong(&fresh, "token file", why, e);
	r = cred_bearer(c, str_trim(watched_file_str(&fresh)));
	if (r < 0)
		return r;
	swap_in(&c->token, &fresh);
	return 0;
}

static int ca_load(struct kube_cred *c, struct buf *e)
{
	__attribute__((cleanup(watched_file_done))) struct watched_file fresh = {0};
	int r = fresh_read(&c->ca, "CA file", &fresh, e);
	const char *why;

	if (r < 0)
		return r;
	why = pem_check_authorities(watched_file_str(&fresh));
	if (why)
		return file_wrong(&fresh, "CA file", why, e);
	swap_in(&c->ca, &fresh);
	c->tls.ca = watched_file_str(&c->ca);
	return 0;
}

/* Either half may stand in the kubeconfig instead of in a file. */
static int client_load(struct kube_cred *c, struct buf *e)
{
	__attribute__((cleanup(watched_file_done))) struct watched_file cert = {0};
	__attribute__((cleanup(watched_file_done))) struct watched_file key = {0};
	struct str cert_pem = c->config ? kubeconfig_pem_str(&c->config->cert) : (struct str){0};
	struct str key_pem = c->config ? kubeconfig_pem_str(&c->config->key) : (struct str){0};
	const char *why;
	int r = 0;

	if (!c->cert.path && !c->key.path)
		return 0;
	if (c->cert.path)
		r = fresh_read(&c->cert, "client certificate", &cert, e);
	if (r == 0 && c->key.path)
		r = fresh_read(&c->key, "client key", &key, e);
	if (r < 0)
		return r;
	cert_pem = c->cert.path ? watched_file_str(&cert) : cert_pem;
	key_pem = c->key.path ? watched_file_str(&key) : key_pem;
	why = pem_check_client(cert_pem, key_pem);
	if (why)
		return file_wrong(c->cert.path ? &c->cert : &c->key, "client certificate", why, e);
	if (c->cert.path)
		swap_in(&c->cert, &cert);
	if (c->key.path)
		swap_in(&c->key, &key);
	c->cert_pem = cert_pem;
	c->key_pem = key_pem;
	return 0;
}

int cred_load(struct kube_cred *c, struct buf *e)
{
	int r = c->token.path ? token_load(c, e) : 0;

	if (r == 0 && c->ca.path)
		r = ca_load(c, e);
	return r < 0 ? r : client_load(c, e);
}

/* --- reading again -------------------------------------------------------- */

static bool changed(const struct watched_file *f)
{
	return f->path && watched_file_changed(f);
}

/* A file that went bad is told once; what was read before stays in use. */
static void complain(struct kube_cred *c, struct buf *e)
{
	char text[CRED_ERROR_MAX];

	(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(e)));
	if (strcmp(text, c->logged) == 0)
		return;
	(void)snprintf(c->logged, sizeof(c->logged), "%s", text);
	log_warn("credentials: %s; what was read before stays in use", text);
}

/* Loads, and adds a complaint to those before. */
static bool load_one(struct kube_cred *c, int (*load)(struct kube_cred *, struct buf *),
		     struct buf *e)
{
	_buf_ struct buf one;

	buf_init(&one, CRED_ERROR_MAX);
	if (load(c, &one) == 0)
		return true;
	if (e->n)
		(void)buf_append_str(e, STR("; "));
	(void)buf_append_str(e, buf_str(&one));
	return false;
}

/* One bad file does not keep the others from being read. */
void cred_look(struct kube_cred *c, bool all)
{
	_buf_ struct buf e;
	bool good = true;

	buf_init(&e, CRED_ERROR_MAX);
	if (c->token.path && (all || changed(&c->token)))
		good &= load_one(c, token_load, &e);
	if (c->ca.path && (all || changed(&c->ca)))
		good &= load_one(c, ca_load, &e);
	if (all || changed(&c->cert) || changed(&c->key))
		good &= load_one(c, client_load, &e);
	if (good)
		c->logged[0] = '\0';
	else
		complain(c, &e);
}
