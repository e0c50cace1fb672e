/* Where the API server is and how to be let in; see cred.h. */
#include "kube/cred/cred.h"

#include "base/log.h"
#include "base/mem.h"
#include "kube/cred/exec_cred.h"
#include "kube/cred/kubeconfig.h"
#include "kube/cred/pem.h"
#include "kube/cred/server_url.h"
#include "kube/cred/watched_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_EVERY     (1 * NSEC_PER_SEC)  /* at the files */
#define EXEC_LEAD      (30 * NSEC_PER_SEC) /* a credential is renewed so long before its end... */
#define EXEC_LEAD_PART 10		   /* ...or a tenth of its life, if that is more */
#define EXEC_PAUSE     (1 * NSEC_PER_SEC)  /* after a plugin failed; doubles */
#define EXEC_PAUSE_MAX (30 * NSEC_PER_SEC)
#define ERROR_MAX      1024 /* bytes of an error text, cut */

struct kube_cred {
	struct kube_cred_opts o; /* base, timeout, ready, ctx; its texts are gone */
	char *url;
	char source[512];
	struct kubeconfig *config; /* NULL: none is used */
	/* Paths NULL where there is no file. */
	struct watched_file token, ca, cert, key;
	char *authorization; /* "Bearer ...", or NULL */
	struct http_field header;
	struct http_tls tls;
	struct str cert_pem, key_pem; /* of files or kubeconfig; a plugin's come before them */
	nsec_t looked, refused;

	struct exec_cred *run; /* under way, or NULL */
	bool waiting;	       /* somebody was told PENDING */
	bool have_answer;
	struct exec_answer answer;
	nsec_t renew_at, retry_at;
	nsec_t pause;

	char error[ERROR_MAX];
	char logged[ERROR_MAX]; /* the last complaint, so that it is made once */
};

static void authorization_set(struct kube_cred *c, char *value)
{
	if (c->authorization)
		explicit_bzero(c->authorization, strlen(c->authorization));
	free(c->authorization);
	c->authorization = value;
}

static int bearer_set(struct kube_cred *c, struct str token)
{
	char *value;

	if (asprintf(&value, "Bearer %.*s", STR_ARG(token)) < 0)
		return -ENOMEM;
	authorization_set(c, value);
	return 0;
}

/* --- files --------------------------------------------------------------- */

static const char *token_wrong(struct str s)
{
	s = str_trim(s);
	if (!s.n)
		return "is empty";
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return "holds a blank, line break or other byte that no token has";
	return NULL;
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
	r = bearer_set(c, str_trim(watched_file_str(&fresh)));
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

static struct str pem_str(const struct kubeconfig_pem *p)
{
	return str_make(p->data, p->n);
}

/* Either half may stand in the kubeconfig instead of in a file. */
static int client_load(struct kube_cred *c, struct buf *e)
{
	__attribute__((cleanup(watched_file_done))) struct watched_file cert = {0};
	__attribute__((cleanup(watched_file_done))) struct watched_file key = {0};
	struct str cert_pem = c->config ? pem_str(&c->config->cert) : (struct str){0};
	struct str key_pem = c->config ? pem_str(&c->config->key) : (struct str){0};
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

static bool changed(const struct watched_file *f)
{
	return f->path && watched_file_changed(f);
}

/* A file that went bad is told once; what was read before stays in use. */
static void complain(struct kube_cred *c, struct buf *e)
{
	char text[ERROR_MAX];

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

	buf_init(&one, ERROR_MAX);
	if (load(c, &one) == 0)
		return true;
	if (e->n)
		(void)buf_append_str(e, STR("; "));
	(void)buf_append_str(e, buf_str(&one));
	return false;
}

/* One bad file does not keep the others from being read. */
static void look(struct kube_cred *c, bool all)
{
	_buf_ struct buf e;
	bool good = true;

	buf_init(&e, ERROR_MAX);
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

/* --- exec plugins -------------------------------------------------------- */

static void exec_failed(struct kube_cred *c, nsec_t now, const char *text)
{
	(void)snprintf(c->error, sizeof(c->error), "%s", text);
	if (c->have_answer)
		log_warn("credentials: %s; the present one is used until it expires", text);
	c->pause = c->pause ? MIN(c->pause * 2, EXEC_PAUSE_MAX) : EXEC_PAUSE;
	c->retry_at = now + c->pause;
}

/* Takes what `a` holds. */
static int exec_take(struct kube_cred *c, nsec_t now, struct exec_answer *a)
{
	nsec_t life = a->expires == NSEC_NEVER || a->expires < now ? 0 : a->expires - now;
	nsec_t lead = MIN(MAX(life / EXEC_LEAD_PART, EXEC_LEAD), life / 2);

	if (a->token && bearer_set(c, str_of(a->token)) < 0)
		return -ENOMEM;
	if (!a->token)
		authorization_set(c, NULL);
	exec_answer_done(&c->answer);
	c->answer = *a;
	*a = (struct exec_answer){0};
	c->have_answer = true;
	c->renew_at = c->answer.expires == NSEC_NEVER ? NSEC_NEVER : c->answer.expires - lead;
	c->error[0] = '\0';
	c->pause = 0;
	c->retry_at = 0;
	return 0;
}

static void on_exec_done(void *ctx, int r, struct exec_answer *a, const char *error)
{
	struct kube_cred *c = ctx;
	bool waiting = c->waiting;
	nsec_t now = clock_mono();

	c->run = NULL;
	c->waiting = false;
	if (r == 0 && exec_take(c, now, a) < 0)
		r = -ENOMEM;
	if (r < 0)
		exec_failed(c, now, error[0] ? error : strerror(-r));
	if (waiting && c->o.ready)
		c->o.ready(c->o.ctx);
}

static int exec_start(struct kube_cred *c, nsec_t now)
{
	struct exec_cluster cluster = {
		.server = c->url,
		.server_name = c->config->server_name,
		.proxy = c->config->proxy,
		.ca = c->tls.ca,
		.insecure = c->tls.insecure,
	};
	struct exec_cred_opts o = {
		.base = c->o.base,
		.config = &c->config->exec,
		.cluster = &cluster,
		.timeout = c->o.exec_timeout,
		.done = on_exec_done,
		.ctx = c,
	};
	_buf_ struct buf e;
	char text[ERROR_MAX];
	int r;

	buf_init(&e, ERROR_MAX);
	r = exec_cred_start(&o, &c->run, &e);
	if (r < 0) {
		(void)snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&e)));
		exec_failed(c, now, text[0] ? text : strerror(-r));
	}
	return r;
}

static enum kube_cred_state exec_get(struct kube_cred *c, nsec_t now)
{
	bool good = c->have_answer && now < c->answer.expires;
	bool due = !good || now >= c->renew_at;

	if (due && !c->run && now >= c->retry_at)
		(void)exec_start(c, now);
	if (good)
		return KUBE_CRED_READY;
	if (!c->run)
		return KUBE_CRED_FAILED;
	c->waiting = true;
	return KUBE_CRED_PENDING;
}

/* --- asking -------------------------------------------------------------- */

static bool uses_exec(const struct kube_cred *c)
{
	return c->config && c->config->has_exec;
}

enum kube_cred_state kube_cred_get(struct kube_cred *c, nsec_t now, struct kube_access *ret)
{
	enum kube_cred_state s = KUBE_CRED_READY;

	if (now - c->looked >= LOOK_EVERY) {
		c->looked = now;
		look(c, false);
	}
	if (uses_exec(c))
		s = exec_get(c, now);
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
	look(c, true);
	c->have_answer = false; /* the bytes stay: requests under way have their own copy */
}

const char *kube_cred_error(const struct kube_cred *c)
{
	return c->error;
}

const char *kube_cred_source(const struct kube_cred *c)
{
	return c->source;
}

/* --- resolving ----------------------------------------------------------- */

static bool given(const char *s)
{
	return s && *s;
}

static int load_all(struct kube_cred *c, struct buf *e)
{
	int r = c->token.path ? token_load(c, e) : 0;

	if (r == 0 && c->ca.path)
		r = ca_load(c, e);
	return r < 0 ? r : client_load(c, e);
}

static int name_file(struct watched_file *f, const char *path)
{
	return given(path) ? watched_file_init(f, path) : 0;
}

static int name_files(struct kube_cred *c, const char *token, const char *ca, const char *cert,
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

static int from_url(struct kube_cred *c, const struct kube_cred_opts *o, struct buf *e)
{
	const char *why = server_url_wrong(o->api_server);
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
	r = name_files(c, o->token_file, o->ca_file, o->client_cert, o->client_key);
	return r < 0 ? r : load_all(c, e);
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
	c->tls = (struct http_tls){
		.ca = pem_str(&k->ca), .server_name = k->server_name, .insecure = k->insecure};
	c->cert_pem = pem_str(&k->cert);
	c->key_pem = pem_str(&k->key);
	if (k->token && bearer_set(c, str_of(k->token)) < 0)
		return -ENOMEM;
	r = name_files(c, k->token_file, k->ca.file, k->cert.file, k->key.file);
	return r < 0 ? r : load_all(c, e);
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
	why = server_url_wrong(c->url);
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
	r = name_files(c, token, ca, NULL, NULL);
	if (r == 0)
		r = load_all(c, e);
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

static int resolve(struct kube_cred *c, const struct kube_cred_opts *o, struct buf *e)
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

int kube_cred_new(const struct kube_cred_opts *o, struct kube_cred **ret, struct buf *ret_error)
{
	struct kube_cred *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->o = (struct kube_cred_opts){
		.base = o->base, .exec_timeout = o->exec_timeout, .ready = o->ready, .ctx = o->ctx};
	r = resolve(c, o, ret_error);
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
	authorization_set(c, NULL);
	watched_file_done(&c->token);
	watched_file_done(&c->ca);
	watched_file_done(&c->cert);
	watched_file_done(&c->key);
	kubeconfig_free(&c->config);
	free(c->url);
	free(c);
}
