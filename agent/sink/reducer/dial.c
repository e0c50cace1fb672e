/* Resolving and connecting; see dial.h. */
#include "sink/reducer/dial.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "http/lookup.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>

#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/util.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct dial {
	struct event_base *base;
	char *host;
	nsec_t timeout;
	SSL_CTX *tls; /* NULL: plain */
	struct rng rng;
	void (*done)(void *ctx, struct bufferevent *bev, const char *text);
	void *ctx;

	struct event *timer; /* the limit of the step under way; or the next step is due at once */
	struct lookup *lookup;
	struct bufferevent *bev;
	struct lookup_addr addrs[DIAL_MAX_ADDRS];
	unsigned int n_addrs, next;
	bool running, timed;	    /* timed: the timer stands for a limit */
	char reason[DIAL_MAX_TEXT]; /* of the last failure */
};

static void on_timer(evutil_socket_t fd, short what, void *ctx);

static void after(struct dial *d, nsec_t delay, bool is_limit)
{
	const struct timeval tv = clock_timeval(delay);

	d->timed = is_limit;
	(void)evtimer_add(d->timer, &tv);
}

/* ---- TLS ------------------------------------------------------------------------------------- */

static bool is_literal(const char *host)
{
	struct in6_addr a;

	return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

/* Why the CA file was not taken: what the system said, else OpenSSL's last word. */
static const char *ca_reason(void)
{
	const unsigned long first = ERR_peek_error();

	if (ERR_SYSTEM_ERROR(first))
		return strerror(ERR_GET_REASON(first));
	return ERR_reason_error_string(ERR_peek_last_error()) ?: "cannot be read";
}

static int tls_init(struct dial *d, const char *ca_file, char *ret_reason)
{
	int ok;

	d->tls = SSL_CTX_new(TLS_client_method());
	if (!d->tls || !SSL_CTX_set_min_proto_version(d->tls, TLS1_2_VERSION))
		return -ENOMEM;
	SSL_CTX_set_verify(d->tls, SSL_VERIFY_PEER, NULL);
	ERR_clear_error();
	ok = ca_file ? SSL_CTX_load_verify_locations(d->tls, ca_file, NULL)
		     : SSL_CTX_set_default_verify_paths(d->tls);
	if (ok)
		return 0;
	(void)snprintf(ret_reason, DIAL_MAX_TEXT, "CA file %s: %s", ca_file ? ca_file : "",
		       ca_reason());
	ERR_clear_error();
	return -EINVAL;
}

/* The certificate must be for the host as it was configured. */
static SSL *tls_stream(const struct dial *d)
{
	SSL *ssl = SSL_new(d->tls);
	int ok;

	if (!ssl)
		return NULL;
	if (is_literal(d->host))
		ok = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), d->host);
	else
		ok = SSL_set1_host(ssl, d->host) && SSL_set_tlsext_host_name(ssl, d->host);
	if (!ok) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

/* A certificate that was refused is what people must hear of, whatever another address said. */
static bool certificate_told(const struct dial *d)
{
	return str_starts(str_of(d->reason), STR("the certificate"));
}

static bool tls_reason(struct dial *d)
{
	SSL *ssl = bufferevent_openssl_get_ssl(d->bev);
	const unsigned long e = bufferevent_get_openssl_error(d->bev);
	const long verify = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;

	if (verify != X509_V_OK)
		(void)snprintf(d->reason, sizeof(d->reason), "the certificate is not accepted: %s",
			       X509_verify_cert_error_string(verify));
	else if (e && !certificate_told(d))
		(void)snprintf(d->reason, sizeof(d->reason), "TLS: %s",
			       ERR_reason_error_string(e) ?: "handshake failed");
	return verify != X509_V_OK || e;
}

/* ---- one address ----------------------------------------------------------------------------- */

/* Ends the start; `bev` is handed over. */
static void finish(struct dial *d, struct bufferevent *bev, const char *text)
{
	d->running = false;
	(void)evtimer_del(d->timer);
	d->done(d->ctx, bev, text);
}

static void drop_stream(struct dial *d)
{
	if (d->bev)
		bufferevent_free(d->bev);
	d->bev = NULL;
}

/* This address is no good. */
static void give_up_addr(struct dial *d, const char *reason)
{
	char addr[LOOKUP_TEXT_MAX];

	if (reason && !certificate_told(d))
		(void)snprintf(d->reason, sizeof(d->reason), "%s", reason);
	log_debug("reducer %s: %s", lookup_print(&d->addrs[d->next - 1], false, addr), d->reason);
	drop_stream(d);
	after(d, 0, false);
}

static void connected(struct dial *d)
{
	struct bufferevent *bev = TAKE_PTR(d->bev);
	char addr[LOOKUP_TEXT_MAX];
	const int one = 1;

	/* Batches are whole; waiting for more bytes only delays them. */
	(void)setsockopt(bufferevent_getfd(bev), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	bufferevent_setcb(bev, NULL, NULL, NULL, NULL);
	finish(d, bev, lookup_print(&d->addrs[d->next - 1], false, addr));
}

static void on_stream(struct bufferevent *bev, short what, void *ctx)
{
	const int e = EVUTIL_SOCKET_ERROR();
	struct dial *d = ctx;

	(void)bev;
	if (what & BEV_EVENT_CONNECTED)
		connected(d);
	else if (d->tls && tls_reason(d))
		give_up_addr(d, NULL);
	else if (what & BEV_EVENT_EOF)
		give_up_addr(d, "closed during the handshake");
	else
		give_up_addr(d, e ? evutil_socket_error_to_string(e) : "cannot connect");
}

/* Callbacks come from the loop, never from inside a call. */
static struct bufferevent *new_stream(const struct dial *d)
{
	const int flags = BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS;
	struct bufferevent *bev;
	SSL *ssl;

	if (!d->tls)
		return bufferevent_socket_new(d->base, -1, flags);
	ssl = tls_stream(d);
	if (!ssl)
		return NULL;
	bev = bufferevent_openssl_socket_new(d->base, -1, ssl, BUFFEREVENT_SSL_CONNECTING, flags);
	if (!bev)
		SSL_free(ssl);
	else /* reducers end without close_notify */
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

static void try_next(struct dial *d)
{
	const struct lookup_addr *a;

	if (d->next == d->n_addrs) {
		finish(d, NULL, d->reason);
		return;
	}
	a = &d->addrs[d->next++];
	d->bev = new_stream(d);
	if (!d->bev) {
		give_up_addr(d, "out of memory");
		return;
	}
	bufferevent_setcb(d->bev, NULL, NULL, on_stream, d);
	after(d, d->timeout, true);
	if (bufferevent_socket_connect(d->bev, (const struct sockaddr *)&a->sa, (int)a->len) < 0)
		give_up_addr(d, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

/* ---- resolving ------------------------------------------------------------------------------- */

static void on_lookup(void *ctx, const struct lookup_addr *v, unsigned int n, const char *text)
{
	struct dial *d = ctx;

	d->n_addrs = MIN(n, (unsigned int)DIAL_MAX_ADDRS);
	memcpy(d->addrs, v, d->n_addrs * sizeof(*v));
	for (unsigned int i = d->n_addrs; i > 1; i--) { /* Fisher-Yates */
		const unsigned int k = (unsigned int)rng_below(&d->rng, i);
		const struct lookup_addr t = d->addrs[i - 1];

		d->addrs[i - 1] = d->addrs[k];
		d->addrs[k] = t;
	}
	(void)snprintf(d->reason, sizeof(d->reason), "cannot resolve the name: %s", text);
	try_next(d);
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct dial *d = ctx;

	(void)fd;
	(void)what;
	if (d->timed)
		give_up_addr(d, "no answer");
	else
		try_next(d);
}

int dial_new(const struct dial_opts *o, struct dial **ret, char *ret_reason)
{
	struct lookup_opts lookup = {.base = o->base,
				     .host = o->host,
				     .port = o->port,
				     .timeout = o->timeout,
				     .resolv_conf = o->resolv_conf,
				     .done = on_lookup};
	struct dial *d = calloc(1, sizeof(*d));
	int r = -ENOMEM;

	if (!d)
		return -ENOMEM;
	d->base = o->base;
	d->timeout = o->timeout;
	d->done = o->done;
	d->ctx = o->ctx;
	rng_seed(&d->rng, o->seed);
	d->host = str_dup(str_of(o->host));
	d->timer = evtimer_new(o->base, on_timer, d);
	lookup.ctx = d;
	if (d->host && d->timer)
		r = lookup_new(&lookup, &d->lookup);
	if (r == 0 && o->tls)
		r = tls_init(d, o->ca_file, ret_reason);
	if (r < 0) {
		dial_free(&d);
		return r;
	}
	*ret = d;
	return 0;
}

void dial_tune(struct dial *d, nsec_t timeout)
{
	d->timeout = timeout;
	lookup_tune(d->lookup, timeout);
}

void dial_free(struct dial **dp)
{
	struct dial *d = *dp;

	if (!d)
		return;
	drop_stream(d);
	lookup_free(&d->lookup);
	if (d->timer)
		event_free(d->timer);
	SSL_CTX_free(d->tls);
	free(d->host);
	free(d);
	*dp = NULL;
}

void dial_start(struct dial *d)
{
	assert(!d->running);
	d->running = true;
	d->n_addrs = d->next = 0;
	d->reason[0] = '\0';
	lookup_start(d->lookup);
}

void dial_cancel(struct dial *d)
{
	lookup_cancel(d->lookup);
	drop_stream(d);
	(void)evtimer_del(d->timer);
	d->running = false;
}

bool dial_busy(const struct dial *d)
{
	return lookup_busy(d->lookup);
}
