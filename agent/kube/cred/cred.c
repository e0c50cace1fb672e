/* Where the API server is and how to be let in; see cred.h, and cred_parts.h for the other files.
 */
#include "kube/cred/cred_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_EVERY (1 * NSEC_PER_SEC) /* at the files */

void cred_authorize(struct kube_cred *c, char *value)
{
	if (c->authorization)
		explicit_bzero(c->authorization, strlen(c->authorization));
	free(c->authorization);
	c->authorization = value;
}

int cred_bearer(struct kube_cred *c, struct str token)
{
	char *value;

	if (asprintf(&value, "Bearer %.*s", STR_ARG(token)) < 0)
		return -ENOMEM;
	cred_authorize(c, value);
	return 0;
}

static bool uses_exec(const struct kube_cred *c)
{
	return c->config && c->config->has_exec;
}

enum kube_cred_state kube_cred_get(struct kube_cred *c, nsec_t now, struct kube_access *ret)
{
	enum kube_cred_state s = KUBE_CRED_READY;

	if (now - c->looked >= LOOK_EVERY) {
		c->looked = now;
		cred_look(c, false);
	}
	if (uses_exec(c))
		s = cred_plugin_get(c, now);
	if (s != KUBE_CRED_READY)
		return s;
	c->tls.cert = c->answer.cert ? str_of(c->answer.cert) : c->cert_pem;
	c->tls.key = c->answer.cert ? str_of(c->answer.key) : c->key_pem;
	c->header = (struct http_field){.name = STR("Authorization"),
					.value = str_of(c->authorization)};
	*ret = (struct kube_access){
		.url = c->url,
		.headers = &c->header,
		.n_headers = c->authorization ? 1 : 0,
		.tls = &c->tls,
		.proxy = c->config ? c->config->proxy : NULL,
	};
	return KUBE_CRED_READY;
}

void kube_cred_refused(struct kube_cred *c, nsec_t now)
{
	if (c->refused && now - c->refused < KUBE_CRED_REFUSED_MIN)
		return;
	c->refused = now;
	c->looked = now;
	cred_look(c, true);
	c->have_answer = false; /* the bytes stay: requests under way have their own copy */
}

void kube_cred_tune(struct kube_cred *c, nsec_t exec_timeout)
{
	c->o.exec_timeout = exec_timeout;
}

const char *kube_cred_error(const struct kube_cred *c)
{
	return c->error;
}

const char *kube_cred_source(const struct kube_cred *c)
{
	return c->source;
}

int kube_cred_new(const struct kube_cred_opts *o, struct kube_cred **ret, struct buf *ret_error)
{
	struct kube_cred *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->o = (struct kube_cred_opts){
		.base = o->base, .exec_timeout = o->exec_timeout, .ready = o->ready, .ctx = o->ctx};
	r = cred_resolve(c, o, ret_error);
	if (r == 0 && uses_exec(c) && !c->o.base) {
		(void)buf_printf(ret_error, "exec plugins need an event loop");
		r = -EINVAL;
	}
	if (r < 0) {
		kube_cred_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void kube_cred_free(struct kube_cred **cp)
{
	struct kube_cred *c = *cp;

	if (!c)
		return;
	*cp = NULL;
	exec_cred_cancel(&c->run);
	exec_answer_done(&c->answer);
	cred_authorize(c, NULL);
	watched_file_done(&c->token);
	watched_file_done(&c->ca);
	watched_file_done(&c->cert);
	watched_file_done(&c->key);
	kubeconfig_free(&c->config);
	free(c->url);
	free(c);
}
