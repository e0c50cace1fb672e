/* Where the API server is, and who says so: options, a kubeconfig, or the pod's service account. */
#include "kube/cred/cred_parts.h"

#include "base/mem.h"
#include "base/server_url.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool given(const char *s)
{
	return s && *s;
}

static int from_url(struct kube_cred *c, const struct kube_cred_opts *o, struct buf *e)
{
	const char *why = server_url_wrong(str_of(o->api_server));
	int r;

	if (why) {
		(void)buf_printf(e, "--api-server: %s", why);
		return -EINVAL;
	}
	if (given(o->client_cert) != given(o->client_key)) {
		(void)buf_printf(e, "%s is given without %s; certificate and key go together",
				 given(o->client_cert) ? "--client-cert" : "--client-key",
				 given(o->client_cert) ? "--client-key" : "--client-cert");
		return -EINVAL;
	}
	c->url = str_dup(str_of(o->api_server));
	if (!c->url)
		return -ENOMEM;
	server_url_trim(c->url);
	(void)snprintf(c->source, sizeof(c->source), "%s (--api-server)", c->url);
	r = cred_name_files(c, o->token_file, o->ca_file, o->client_cert, o->client_key);
	return r < 0 ? r : cred_load(c, e);
}

static int from_kubeconfig(struct kube_cred *c, const char *paths, const char *context,
			   struct buf *e)
{
	struct kubeconfig *k;
	int r = kubeconfig_load(paths, context, &c->config, e);

	if (r < 0)
		return r;
	k = c->config;
	c->url = str_dup(str_of(k->server));
	if (!c->url)
		return -ENOMEM;
	(void)snprintf(c->source, sizeof(c->source), "%s (kubeconfig %s, context \"%s\")", c->url,
		       paths, k->context);
	c->tls = (struct http_tls){.ca = kubeconfig_pem_str(&k->ca),
				   .server_name = k->server_name,
				   .insecure = k->insecure};
	c->cert_pem = kubeconfig_pem_str(&k->cert);
	c->key_pem = kubeconfig_pem_str(&k->key);
	if (k->token && cred_bearer(c, str_of(k->token)) < 0)
		return -ENOMEM;
	r = cred_name_files(c, k->token_file, k->ca.file, k->cert.file, k->key.file);
	return r < 0 ? r : cred_load(c, e);
}

/* kubelet sets the host without brackets, also when it is an IPv6 address. */
static int cluster_url(struct kube_cred *c, const char *host, const char *port, struct buf *e)
{
	const char *why;

	if (asprintf(&c->url, strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host, port) <
	    0) {
		c->url = NULL;
		return -ENOMEM;
	}
	why = server_url_wrong(str_of(c->url));
	if (!why)
		return 0;
	(void)buf_printf(
		e, "KUBERNETES_SERVICE_HOST \"%.80s\" and KUBERNETES_SERVICE_PORT \"%.20s\": %s",
		host, port, why);
	return -EINVAL;
}

static int from_service_account(struct kube_cred *c, const char *folder, const char *host,
				const char *port, struct buf *e)
{
	_free_ char *token = NULL;
	_free_ char *ca = NULL;
	int r = cluster_url(c, host, port, e);

	if (r < 0)
		return r;
	if (asprintf(&token, "%s/token", folder) < 0) {
		token = NULL;
		return -ENOMEM;
	}
	if (asprintf(&ca, "%s/ca.crt", folder) < 0) {
		ca = NULL;
		return -ENOMEM;
	}
	(void)snprintf(c->source, sizeof(c->source), "%s (service account)", c->url);
	r = cred_name_files(c, token, ca, NULL, NULL);
	if (r == 0)
		r = cred_load(c, e);
	if (r == -ENOENT)
		(void)buf_printf(e, "; does the pod have automountServiceAccountToken: false?");
	return r;
}

/* Heap path when it exists, else NULL. */
static char *home_kubeconfig(void)
{
	const char *home = getenv("HOME");
	char *path;

	if (!given(home) || asprintf(&path, "%s/.kube/config", home) < 0)
		return NULL;
	if (access(path, F_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static int lonely_option(const struct kube_cred_opts *o, struct buf *e)
{
	const char *name = given(o->token_file)	   ? "--token-file"
			   : given(o->ca_file)	   ? "--ca-file"
			   : given(o->client_cert) ? "--client-cert"
			   : given(o->client_key)  ? "--client-key"
						   : NULL;

	if (!name)
		return 0;
	(void)buf_printf(e,
			 "%s goes with --api-server, which is not given (a kubeconfig and a "
			 "service account bring their own)",
			 name);
	return -EINVAL;
}

int cred_resolve(struct kube_cred *c, const struct kube_cred_opts *o, struct buf *e)
{
	const char *host = getenv("KUBERNETES_SERVICE_HOST");
	const char *port = getenv("KUBERNETES_SERVICE_PORT");
	_free_ char *home = NULL;
	int r;

	if (given(o->api_server))
		return from_url(c, o, e);
	r = lonely_option(o, e);
	if (r < 0)
		return r;
	if (given(o->kubeconfig))
		return from_kubeconfig(c, o->kubeconfig, o->context, e);
	/* Who names a context means a kubeconfig, also inside a pod. */
	if (given(host) && given(port) && !given(o->context))
		return from_service_account(
			c, given(o->service_account) ? o->service_account : KUBE_SERVICE_ACCOUNT,
			host, port, e);
	home = home_kubeconfig();
	if (home)
		return from_kubeconfig(c, home, o->context, e);
	(void)buf_printf(e, "no API server: give --kubeconfig FILE (KUBECONFIG) or --api-server "
			    "URL, or run in a pod with a service account "
			    "(KUBERNETES_SERVICE_HOST is not set, and there is no "
			    "$HOME/.kube/config)");
	return -EINVAL;
}
