/*
 * Making, starting and stopping a client; its requests and credentials.
 */
#include "kube/client_parts.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define MAX_URL	    (64 * 1024)
#define MAX_HEADERS 8
/* Longer sleeps than this gain nothing and could overflow a timeval. */
#define MAX_SLEEP (3600 * NSEC_PER_SEC)

void client_arm(struct event *timer, nsec_t now, nsec_t deadline)
{
	if (deadline == NSEC_NEVER) {
		(void)evtimer_del(timer);
		return;
	}
	nsec_t wait = deadline > now ? MIN(deadline - now, MAX_SLEEP) : 0;
	/* Rounded up: a timer that fires before its deadline would be set again for nothing. */
	const struct timeval tv = clock_timeval(wait + NSEC_PER_USEC - 1);

	(void)evtimer_add(timer, &tv);
}

/* Borrowed until the next call; NULL when memory is short. */
static const char *make_url(struct client *c, const char *base, const char *target)
{
	buf_reset(&c->url);
	return buf_printf(&c->url, "%s%s", base, target) == 0 && buf_append(&c->url, "", 1) == 0
		       ? buf_str(&c->url).p
		       : NULL;
}

/* 0; -EAGAIN while credentials are being fetched; -EACCES when there are none. */
int client_request(struct client *c, const struct client_http *q, struct http_xfer **ret)
{
	struct kube_access access;

	switch (kube_cred_get(c->cred, clock_mono(), &access)) {
	case KUBE_CRED_READY:
		break;
	case KUBE_CRED_PENDING:
		return -EAGAIN;
	case KUBE_CRED_FAILED:
		return -EACCES;
	}
	struct http_field headers[MAX_HEADERS];
	size_t n = MIN(access.n_headers, (size_t)MAX_HEADERS - 1);
	for (size_t i = 0; i < n; i++)
		headers[i] = access.headers[i];
	headers[n++] = (struct http_field){STR("Accept"), str_of(q->accept)};
	const char *url = make_url(c, access.url, q->target);
	if (!url)
		return -ENOMEM;
	struct http_request req = {
		.url = url,
		.method = q->method,
		.body = q->body,
		.content_type = "application/json",
		.headers = headers,
		.n_headers = n,
		.tls = access.tls,
		.proxy = access.proxy,
		.connect_timeout = c->o.connect_timeout,
		.total_timeout = q->timeout,
		.ops = q->ops,
		.ctx = q->ctx,
	};
	return http_start(c->http, &req, ret);
}

const char *client_request_error(const struct client *c, int r)
{
	return r == -EACCES ? kube_cred_error(c->cred) : strerror(-r);
}

enum reflector_end client_end_of(enum http_result how)
{
	switch (how) {
	case HTTP_DONE:
		return REFLECTOR_END_CLEAN;
	case HTTP_CONNECT_FAILED:
		return REFLECTOR_END_CONNECT;
	case HTTP_TLS_FAILED:
		return REFLECTOR_END_TLS;
	case HTTP_TIMEOUT:
		return REFLECTOR_END_TIMEOUT;
	case HTTP_CUT:
	case HTTP_BAD_ANSWER:
		return REFLECTOR_END_CUT;
	case HTTP_ABORTED:
	case _HTTP_RESULT_MAX:
		break;
	}
	return REFLECTOR_END_ABORTED;
}

bool client_waits(struct client *c, nsec_t now)
{
	struct kube_access access;

	return kube_cred_get(c->cred, now, &access) == KUBE_CRED_PENDING;
}

void client_refused(struct client *c)
{
	kube_cred_refused(c->cred, clock_mono());
}

void client_wake(struct client *c)
{
	for (unsigned i = 0; c->running && i < c->n_lines; i++)
		line_wake(c->lines[i]);
}

void client_wake_owners(struct client *c)
{
	if (c->running && c->owners)
		event_active(c->owners_timer, EV_TIMEOUT, 0);
}

/* A plugin has answered, well or not. */
static void credentials_ready(void *ctx)
{
	struct client *c = ctx;

	for (unsigned i = 0; c->running && i < c->n_lines; i++)
		if (!c->lines[i]->xfer)
			line_poll(c->lines[i]);
	asks_poll(c);
}

void client_tune(struct client *c, nsec_t connect_timeout, nsec_t exec_timeout)
{
	c->o.connect_timeout = connect_timeout;
	kube_cred_tune(c->cred, exec_timeout);
}

void client_start(struct client *c)
{
	c->running = true;
	client_wake(c);
	client_wake_owners(c);
}

void client_stop(struct client *c)
{
	c->running = false;
	for (unsigned i = 0; i < c->n_lines; i++)
		line_stop(c->lines[i]);
	asks_stop(c);
	gets_stop(c, false);
}

static int make_room(struct client *c)
{
	struct line **v;

	if (c->n_lines == c->o.max_watches)
		return -EMSGSIZE;
	if (c->n_lines & (c->n_lines - 1)) /* there is room up to the next power of two */
		return 0;
	v = realloc(c->lines, (c->n_lines ? 2 * (size_t)c->n_lines : 1) * sizeof(struct line *));
	if (!v)
		return -ENOMEM;
	c->lines = v;
	return 0;
}

int client_add(struct client *c, struct reflector *r, struct str name)
{
	struct line *l;
	int e = make_room(c);

	if (e < 0)
		return e;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	e = line_init(c, l, r, name);
	if (e < 0) {
		free(l);
		return e;
	}
	c->lines[c->n_lines++] = l;
	if (c->running)
		line_wake(l);
	return 0;
}

void client_remove(struct client *c, const struct reflector *r)
{
	unsigned i = 0;

	while (i < c->n_lines && c->lines[i]->reflector != r)
		i++;
	if (i == c->n_lines)
		return;
	line_stop(c->lines[i]);
	line_done(c->lines[i]);
	free(c->lines[i]);
	c->lines[i] = c->lines[--c->n_lines];
}

static int init_parts(struct client *c, const struct client_opts *o, struct buf *ret_error)
{
	struct kube_cred_opts cred = o->cred;
	struct http_opts http = {
		.base = o->base,
		.user_agent = o->user_agent,
		.connect_timeout = o->connect_timeout,
		.max_transfers = o->max_watches + OWNERS_MAX_PARALLEL + CLIENT_MAX_GETS,
	};
	int r;

	cred.base = o->base;
	cred.ready = credentials_ready;
	cred.ctx = c;
	r = kube_cred_new(&cred, &c->cred, ret_error);
	return r < 0 ? r : http_new(&http, &c->http);
}

int client_new(const struct client_opts *o, struct client **ret, struct buf *ret_error)
{
	struct client *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	assert(o->base && o->budget);
	if (c) {
		c->o = *o;
		c->o.cred = (struct kube_cred_opts){0}; /* good for this call alone */
		c->o.user_agent = NULL;
		buf_init(&c->url, MAX_URL);
		r = init_parts(c, o, ret_error);
	}
	if (r < 0) {
		if (buf_str(ret_error).n == 0)
			(void)buf_printf(ret_error, "%s", strerror(-r));
		client_free(&c);
		return r;
	}
	*ret = c;
	return 0;
}

void client_free(struct client **cp)
{
	struct client *c = *cp;

	if (!c)
		return;
	client_stop(c);
	gets_stop(c, true);
	for (unsigned i = 0; i < c->n_lines; i++) {
		line_done(c->lines[i]);
		free(c->lines[i]);
	}
	free(c->lines);
	if (c->owners_timer)
		event_free(c->owners_timer);
	http_free(&c->http);
	kube_cred_free(&c->cred);
	buf_done(&c->url);
	free(c);
	*cp = NULL;
}

const char *client_source(const struct client *c)
{
	return kube_cred_source(c->cred);
}

size_t client_bytes(const struct client *c)
{
	return sizeof(*c) + c->n_lines * sizeof(struct line) + http_bytes(c->http);
}
