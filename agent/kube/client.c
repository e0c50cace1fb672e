/*
 * Reflectors and owners on sockets and timers; see client.h.
 *
 *   line   one reflector, its transfer and its timer
 *   ask    one request of the owner reader
 *   get    one request of client_get
 *
 * A timer stands at the deadline its machine named last. Data only moves
 * deadlines back, so that a chunk costs no timer: it fires early, asks, and is
 * set anew.
 */
#include "kube/client.h"

#include "base/log.h"
#include "base/mem.h"
#include "kube/budget.h"
#include "kube/redact.h"
#include "kube/target.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>

#define DEFAULT_QPS   10
#define DEFAULT_BURST 20
#define DEFAULT_ASKS  4
#define GET_TIMEOUT   (30 * NSEC_PER_SEC)
#define MAX_URL	      (64 * 1024)
/* A failing watch says so at most so often, and all together at most so many times in it. */
#define LOG_SPACING (60 * NSEC_PER_SEC)
#define LOG_BURST   20
/* Longer sleeps than this gain nothing and could overflow a timeval. */
#define MAX_SLEEP (3600 * NSEC_PER_SEC)

struct line {
	struct client *client;
	unsigned index;
	struct reflector *reflector;
	struct http_xfer *xfer;
	struct event *timer;
	nsec_t logged_at;   /* the last word about a failure; 0: never */
	bool failure_told;  /* good news is due */
	bool synced_before; /* the first sync was told */
};

struct ask {
	struct client *client;
	unsigned id;
	struct http_xfer *xfer;
};

struct client_get {
	struct client *client; /* NULL: free */
	struct http_xfer *xfer;
	struct event *timer;
	struct decode *decode;
	char *target;
	enum decode_shape shape;
	bool got, head_seen;
	char message[256];
	client_get_done done;
	void *ctx;
};

struct client {
	struct client_opts o;
	struct http *http;
	struct kube_cred *cred;
	struct watchset set;
	struct line *lines;
	struct owners *owners;
	struct event *owners_timer;
	struct ask asks[OWNERS_MAX_PARALLEL];
	struct client_get gets[CLIENT_MAX_GETS];
	struct budget budget;
	struct rng rng;
	struct buf url;
	bool running, paused, no_streaming;
	nsec_t log_window; /* when the running minute of failures began */
	unsigned log_count, log_suppressed;
};

static void arm(struct event *timer, nsec_t now, nsec_t deadline)
{
	if (deadline == NSEC_NEVER) {
		(void)evtimer_del(timer);
		return;
	}
	nsec_t wait = deadline > now ? MIN(deadline - now, MAX_SLEEP) : 0;
	/* Rounded up: a timer that fires before its deadline would be set again for nothing. */
	uint64_t usec = (wait + NSEC_PER_USEC - 1) / NSEC_PER_USEC;
	struct timeval tv = {
		.tv_sec = (time_t)(usec / 1000000),
		.tv_usec = (suseconds_t)(usec % 1000000),
	};
	(void)evtimer_add(timer, &tv);
}

/* ---- requests ---- */

/* Borrowed until the next call; NULL when memory is short. */
static const char *make_url(struct client *c, const char *base, const char *target)
{
	buf_reset(&c->url);
	return buf_printf(&c->url, "%s%s", base, target) == 0 && buf_append(&c->url, "", 1) == 0
		       ? buf_str(&c->url).p
		       : NULL;
}

#define MAX_HEADERS 8

/* 0; -EAGAIN while credentials are being fetched; -EACCES when there are none. */
static int start_request(struct client *c, const char *target, const char *accept, nsec_t total,
			 const struct http_ops *ops, void *ctx, struct http_xfer **ret)
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
	headers[n++] = (struct http_field){STR("Accept"), str_of(accept)};
	const char *url = make_url(c, access.url, target);
	if (!url)
		return -ENOMEM;
	struct http_request req = {
		.url = url,
		.headers = headers,
		.n_headers = n,
		.tls = access.tls,
		.proxy = access.proxy,
		.connect_timeout = c->o.connect_timeout,
		.total_timeout = total,
		.ops = ops,
		.ctx = ctx,
	};
	return http_start(c->http, &req, ret);
}

static const char *start_error(const struct client *c, int r)
{
	return r == -EACCES ? kube_cred_error(c->cred) : strerror(-r);
}

static enum reflector_end end_of(enum http_result how)
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

/* ---- what is logged ---- */

/* True when one more word about a failure may be said. */
static bool may_complain(struct client *c, struct line *l, nsec_t now)
{
	if (l->logged_at && now - l->logged_at < LOG_SPACING)
		return false;
	if (now - c->log_window >= LOG_SPACING) {
		if (c->log_suppressed)
			log_warn("%u more failures of watches were not told", c->log_suppressed);
		c->log_window = now;
		c->log_count = c->log_suppressed = 0;
	}
	if (c->log_count >= LOG_BURST) {
		c->log_suppressed++;
		return false;
	}
	c->log_count++;
	l->logged_at = now;
	return true;
}

static void log_state(struct line *l, const struct reflector_status *s)
{
	struct client *c = l->client;
	const char *path = c->set.specs[l->index].path;

	switch (s->health) {
	case REFLECTOR_FAILING:
	case REFLECTOR_FORBIDDEN:
		if (!may_complain(c, l, clock_mono()))
			return;
		log_warn("%s", s->text);
		l->failure_told = true;
		return;
	case REFLECTOR_SYNCED:
		if (!l->synced_before)
			log_info("%s: synced", path);
		else if (l->failure_told)
			log_info("%s: works again", path);
		l->synced_before = true;
		l->failure_told = false;
		return;
	case REFLECTOR_SYNCING:
		if (s->text[0])
			log_info("%s", s->text);
		return;
	case _REFLECTOR_HEALTH_MAX:
		break;
	}
}

/* ---- lines: what reflectors say ---- */

static void line_list_begin(void *ctx)
{
	struct line *l = ctx;

	l->client->o.ops->list_begin(l->client->o.ctx, l->index);
}

static int line_object(void *ctx, enum event_type type, const struct object *o)
{
	struct line *l = ctx;

	return l->client->o.ops->object(l->client->o.ctx, l->index, type, o);
}

static void line_list_end(void *ctx)
{
	struct line *l = ctx;

	l->client->o.ops->list_end(l->client->o.ctx, l->index);
}

static void line_state(void *ctx, const struct reflector_status *s)
{
	struct line *l = ctx;

	log_state(l, s);
	if (l->client->o.ops->state)
		l->client->o.ops->state(l->client->o.ctx, l->index, s);
}

static void line_unauthorized(void *ctx)
{
	struct line *l = ctx;

	kube_cred_refused(l->client->cred, clock_mono());
}

static void line_bad_object(void *ctx, enum decode_bad why, struct str name)
{
	struct line *l = ctx;
	char text[256];

	redact_text(text, sizeof(text), name);
	log_warn("%s: object '%s' left out or cut: %s", l->client->set.specs[l->index].path, text,
		 decode_bad_name(why));
}

static const struct reflector_ops line_ops = {
	.list_begin = line_list_begin,
	.object = line_object,
	.list_end = line_list_end,
	.state = line_state,
	.unauthorized = line_unauthorized,
	.bad_object = line_bad_object,
};

/* ---- lines: what transfers say ---- */

static void line_poll(struct line *l);

static int line_response(void *ctx, struct http_xfer *x, int status)
{
	struct line *l = ctx;
	int r = reflector_response(l->reflector, clock_mono(), status,
				   http_header(x, "Content-Type"), http_retry_after(x));

	if (r == 0)
		line_poll(l);
	return r;
}

static int line_data(void *ctx, struct http_xfer *x, const void *p, size_t n)
{
	struct line *l = ctx;

	(void)x;
	return reflector_data(l->reflector, clock_mono(), p, n);
}

static void line_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct line *l = ctx;

	(void)x;
	l->xfer = NULL;
	reflector_end(l->reflector, clock_mono(), end_of(how), text);
	line_poll(l);
}

static const struct http_ops line_http = {
	.response = line_response,
	.data = line_data,
	.end = line_end,
};

static void line_start(struct line *l, const struct reflector_request *req, nsec_t now)
{
	struct client *c = l->client;

	/* What was dropped by a callback's return may not have ended yet. */
	http_cancel(&l->xfer);
	int r = start_request(c, req->target, req->accept, 0, &line_http, l, &l->xfer);
	if (r == -EAGAIN)
		reflector_end(l->reflector, now, REFLECTOR_END_ABORTED, NULL);
	else if (r < 0)
		reflector_end(l->reflector, now, REFLECTOR_END_CONNECT, start_error(c, r));
}

static bool credentials_pending(struct client *c, nsec_t now)
{
	struct kube_access access;

	return kube_cred_get(c->cred, now, &access) == KUBE_CRED_PENDING;
}

static void line_poll(struct line *l)
{
	struct reflector_request req;
	nsec_t now = clock_mono(), deadline;

	if (!l->client->running)
		return;
	/* Nothing can be asked until the plugin has answered; credentials_ready comes back here. */
	if (!l->xfer && credentials_pending(l->client, now))
		return;
	for (;;) {
		switch (reflector_poll(l->reflector, now, &req, &deadline)) {
		case REFLECTOR_NONE:
			arm(l->timer, now, deadline);
			return;
		case REFLECTOR_ABORT:
			http_cancel(&l->xfer);
			break;
		case REFLECTOR_START:
			line_start(l, &req, now);
			break;
		}
	}
}

static void on_line_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd, (void)what;
	line_poll(ctx);
}

/* ---- owners ---- */

static void owner_read(void *ctx, struct str uid, const struct object *o)
{
	struct client *c = ctx;

	c->o.ops->owner(c->o.ctx, uid, o);
}

static void owner_gone(void *ctx, struct str uid)
{
	struct client *c = ctx;

	c->o.ops->owner_gone(c->o.ctx, uid);
}

static void owner_refused(void *ctx, struct str uid, const char *text)
{
	struct client *c = ctx;

	log_debug("owner %.*s: %s", STR_ARG(uid), text);
	c->o.ops->owner_refused(c->o.ctx, uid, text);
}

static void owner_unauthorized(void *ctx)
{
	struct client *c = ctx;

	kube_cred_refused(c->cred, clock_mono());
}

static const struct owners_ops owner_ops = {
	.owner = owner_read,
	.gone = owner_gone,
	.refused = owner_refused,
	.unauthorized = owner_unauthorized,
};

static void owners_run(struct client *c);

static int ask_response(void *ctx, struct http_xfer *x, int status)
{
	struct ask *a = ctx;

	return owners_response(a->client->owners, clock_mono(), a->id, status,
			       http_header(x, "Content-Type"), http_retry_after(x));
}

static int ask_data(void *ctx, struct http_xfer *x, const void *p, size_t n)
{
	struct ask *a = ctx;

	(void)x;
	return owners_data(a->client->owners, clock_mono(), a->id, p, n);
}

static void ask_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct ask *a = ctx;

	(void)x;
	a->xfer = NULL;
	owners_end(a->client->owners, clock_mono(), a->id, end_of(how), text);
	owners_run(a->client);
}

static const struct http_ops ask_http = {
	.response = ask_response,
	.data = ask_data,
	.end = ask_end,
};

static void ask_start(struct client *c, const struct owners_request *req, nsec_t now)
{
	struct ask *a = &c->asks[req->id];

	http_cancel(&a->xfer);
	int r = start_request(c, req->target, req->accept, 0, &ask_http, a, &a->xfer);
	if (r < 0)
		owners_end(c->owners, now, req->id,
			   r == -EAGAIN ? REFLECTOR_END_ABORTED : REFLECTOR_END_CONNECT,
			   start_error(c, r));
}

static void owners_run(struct client *c)
{
	struct owners_request req;
	nsec_t now = clock_mono(), deadline;

	if (!c->running || credentials_pending(c, now))
		return;
	for (;;) {
		switch (owners_poll(c->owners, now, &req, &deadline)) {
		case REFLECTOR_NONE:
			arm(c->owners_timer, now, deadline);
			return;
		case REFLECTOR_ABORT:
			http_cancel(&c->asks[req.id].xfer);
			break;
		case REFLECTOR_START:
			ask_start(c, &req, now);
			break;
		}
	}
}

static void on_owners_timer(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd, (void)what;
	owners_run(ctx);
}

int client_owner_want(struct client *c, const struct owner_ref *ref, struct str ns)
{
	nsec_t now = clock_mono();
	uint32_t before = owners_queued(c->owners);
	int r = owners_want(c->owners, now, ref, ns);

	if (c->running && owners_queued(c->owners) != before)
		arm(c->owners_timer, now, now);
	return r;
}

void client_owner_forget(struct client *c, struct str uid)
{
	nsec_t now = clock_mono();

	owners_forget(c->owners, uid);
	if (c->running)
		arm(c->owners_timer, now, now);
}

/* ---- single objects ---- */

static void get_close(struct client_get *g)
{
	http_cancel(&g->xfer);
	decode_free(&g->decode);
	if (g->timer)
		event_free(g->timer);
	free(g->target);
	*g = (struct client_get){0};
}

static void get_fail(struct client_get *g, int r, const char *text)
{
	client_get_done done = g->done;
	void *ctx = g->ctx;
	char why[256];

	redact_text(why, sizeof(why), str_of(text));
	get_close(g);
	done(ctx, r, NULL, why);
}

static int get_object(void *ctx, enum event_type type, const struct object *o)
{
	struct client_get *g = ctx;

	(void)type;
	if (!g->got)
		g->done(g->ctx, 0, o, "");
	g->got = true;
	return 0;
}

static int get_status(void *ctx, const struct api_status *s)
{
	struct client_get *g = ctx;

	redact_text(g->message, sizeof(g->message), s->message);
	return 0;
}

static int get_list(void *ctx, const struct list_meta *m)
{
	(void)ctx, (void)m;
	return -EBADMSG;
}

static void get_bad(void *ctx, enum decode_bad why, struct str name)
{
	struct client_get *g = ctx;

	(void)name;
	(void)snprintf(g->message, sizeof(g->message), "the object was left out: %s",
		       decode_bad_name(why));
}

static const struct decode_ops get_decode = {
	.on_object = get_object,
	.on_list = get_list,
	.on_status = get_status,
	.on_bad = get_bad,
};

static int get_data(void *ctx, struct http_xfer *x, const void *p, size_t n)
{
	struct client_get *g = ctx;

	if (!g->head_seen) {
		struct decode_opts d = {
			.body = http_status(x) == 200 ? DECODE_OBJECT : DECODE_STATUS,
			.shape = g->shape,
			.max_object = g->client->o.watch.max_object,
			.ops = &get_decode,
			.ctx = g,
		};
		g->head_seen = true;
		if (decode_sniff(http_header(x, "Content-Type"), str_make(p, n), &d.format) == 0)
			(void)decode_new(&d, &g->decode);
	}
	if (!g->decode)
		return http_status(x) == 200 ? -EPROTONOSUPPORT : 0;
	if (decode_feed(g->decode, p, n) == 0)
		return 0;
	decode_free(&g->decode);
	return http_status(x) == 200 ? -EBADMSG : 0;
}

static void get_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct client_get *g = ctx;
	int status = http_status(x);
	char why[320];

	g->xfer = NULL;
	if (g->decode)
		(void)decode_finish(g->decode);
	if (g->got)
		return get_close(g);
	if (status == 401)
		kube_cred_refused(g->client->cred, clock_mono());
	if (how == HTTP_DONE && status != 200)
		(void)snprintf(why, sizeof(why), "status %d%s%s", status, g->message[0] ? ": " : "",
			       g->message);
	else if (how == HTTP_DONE || how == HTTP_ABORTED)
		(void)snprintf(why, sizeof(why), "%s",
			       g->message[0] ? g->message : "the answer is no Kubernetes object");
	else
		(void)snprintf(why, sizeof(why), "%s", text);
	get_fail(g, status == 404 ? -ENOENT : status == 401 || status == 403 ? -EACCES : -EIO, why);
}

static const struct http_ops get_http = {.data = get_data, .end = get_end};

static void on_get_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct client_get *g = ctx;
	struct client *c = g->client;
	nsec_t now = clock_mono(), when = 0;

	(void)fd, (void)what;
	if (credentials_pending(c, now))
		return arm(g->timer, now, now + NSEC_PER_SEC);
	if (!budget_take(&c->budget, now, &when))
		return arm(g->timer, now, when);
	int r = start_request(c, g->target,
			      accept_header((struct accept_form){
				      .protobuf = !c->o.watch.no_protobuf,
			      }),
			      GET_TIMEOUT, &get_http, g, &g->xfer);
	if (r < 0)
		get_fail(g, -EIO, start_error(c, r));
}

int client_get(struct client *c, const char *target, enum decode_shape shape, client_get_done done,
	       void *ctx)
{
	struct client_get *g = NULL;
	nsec_t now = clock_mono();

	for (unsigned i = 0; !g && i < CLIENT_MAX_GETS; i++)
		if (!c->gets[i].client)
			g = &c->gets[i];
	if (!g)
		return -EBUSY;
	*g = (struct client_get){.client = c, .shape = shape, .done = done, .ctx = ctx};
	g->target = str_dup(str_of(target));
	g->timer = evtimer_new(c->o.base, on_get_timer, g);
	if (!g->target || !g->timer) {
		get_close(g);
		return -ENOMEM;
	}
	arm(g->timer, now, now);
	return 0;
}

/* ---- all of it ---- */

/* A plugin has answered, well or not. */
static void credentials_ready(void *ctx)
{
	struct client *c = ctx;

	for (size_t i = 0; c->running && i < c->set.n; i++)
		if (!c->lines[i].xfer)
			line_poll(&c->lines[i]);
	owners_run(c);
}

void client_start(struct client *c)
{
	nsec_t now = clock_mono();

	c->running = true;
	for (size_t i = 0; i < c->set.n; i++)
		arm(c->lines[i].timer, now, now);
	arm(c->owners_timer, now, now);
}

void client_stop(struct client *c)
{
	c->running = false;
	for (size_t i = 0; i < c->set.n && c->lines; i++) {
		http_cancel(&c->lines[i].xfer);
		if (c->lines[i].timer)
			(void)evtimer_del(c->lines[i].timer);
	}
	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		http_cancel(&c->asks[i].xfer);
	if (c->owners_timer)
		(void)evtimer_del(c->owners_timer);
	for (unsigned i = 0; i < CLIENT_MAX_GETS; i++)
		if (c->gets[i].client)
			get_close(&c->gets[i]);
}

void client_pause(struct client *c, bool paused)
{
	nsec_t now = clock_mono();

	if (paused == c->paused)
		return;
	c->paused = paused;
	for (size_t i = 0; i < c->set.n; i++) {
		struct line *l = &c->lines[i];

		reflector_pause(l->reflector, now, paused);
		if (l->xfer)
			http_pause(l->xfer, paused);
		if (c->running)
			arm(l->timer, now, now);
	}
}

void client_relist(struct client *c)
{
	nsec_t now = clock_mono();

	for (size_t i = 0; i < c->set.n; i++) {
		reflector_relist(c->lines[i].reflector, now);
		if (c->running)
			arm(c->lines[i].timer, now, now);
	}
}

static int line_init(struct client *c, unsigned i)
{
	const struct watch_spec *s = &c->set.specs[i];
	struct line *l = &c->lines[i];
	struct reflector_opts o = c->o.watch;

	o.path = str_of(s->path);
	o.shape = s->shape;
	o.metadata_only = s->metadata_only;
	o.api_version = str_of(s->api_version);
	o.kind = str_of(kind_name(s->kind));
	o.field_selector = str_of(s->field_selector);
	o.label_selector = str_of(s->label_selector);
	o.list_from_cache = s->list_from_cache;
	o.no_streaming_shared = &c->no_streaming;
	o.budget = &c->budget;
	o.seed = rng_next(&c->rng);
	o.ops = &line_ops;
	o.ctx = l;
	l->client = c;
	l->index = i;
	l->timer = evtimer_new(c->o.base, on_line_timer, l);
	return l->timer ? reflector_new(&o, &l->reflector) : -ENOMEM;
}

static int init_owners(struct client *c)
{
	struct owners_opts o = {
		.parallel = DEFAULT_ASKS,
		.refresh = c->o.owner_refresh,
		.no_protobuf = c->o.watch.no_protobuf,
		.budget = &c->budget,
		.seed = rng_next(&c->rng),
		.ops = &owner_ops,
		.ctx = c,
	};

	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		c->asks[i] = (struct ask){.client = c, .id = i};
	c->owners_timer = evtimer_new(c->o.base, on_owners_timer, c);
	return c->owners_timer ? owners_new(&o, &c->owners) : -ENOMEM;
}

/* "kindred/1.2.3 (agent; node-1)": what an administrator sees in audit logs. */
static int init_http(struct client *c)
{
	char agent[512], name[256];

	redact_text(name, sizeof(name),
		    str_of(c->o.scope.node_name ? c->o.scope.node_name : "cluster"));
	(void)snprintf(agent, sizeof(agent), "kindred/%s (%s; %s)",
		       c->o.version ? c->o.version : "0", c->o.role ? c->o.role : "agent", name);
	struct http_opts o = {
		.base = c->o.base,
		.user_agent = agent,
		.connect_timeout = c->o.connect_timeout,
		.max_transfers = (unsigned)c->set.n + OWNERS_MAX_PARALLEL + CLIENT_MAX_GETS,
	};
	return http_new(&o, &c->http);
}

static int init_parts(struct client *c, struct buf *ret_error)
{
	int r = watchset_make(&c->o.scope, &c->set);

	if (r == -EINVAL)
		(void)buf_printf(ret_error, "a node's or namespace's name is none");
	else if (r == -EMSGSIZE)
		(void)buf_printf(ret_error, "too many namespaces: more than %u watches",
				 (unsigned)WATCHSET_MAX);
	if (r < 0)
		return r;
	struct kube_cred_opts cred = c->o.cred;
	cred.base = c->o.base;
	cred.ready = credentials_ready;
	cred.ctx = c;
	r = kube_cred_new(&cred, &c->cred, ret_error);
	if (r == 0)
		r = init_http(c);
	c->lines = r == 0 ? calloc(c->set.n, sizeof(*c->lines)) : NULL;
	if (r == 0 && !c->lines)
		r = -ENOMEM;
	for (size_t i = 0; r == 0 && i < c->set.n; i++)
		r = line_init(c, (unsigned)i);
	return r == 0 ? init_owners(c) : r;
}

int client_new(const struct client_opts *o, struct client **ret, struct buf *ret_error)
{
	assert(o->base && o->ops && o->ops->list_begin && o->ops->object && o->ops->list_end);
	struct client *c = calloc(1, sizeof(*c));
	int r = c ? 0 : -ENOMEM;

	if (c) {
		c->o = *o;
		buf_init(&c->url, MAX_URL);
		rng_seed(&c->rng, o->seed ? o->seed : rng_entropy());
		budget_init(&c->budget, o->qps > 0 ? o->qps : DEFAULT_QPS,
			    o->burst ? o->burst : DEFAULT_BURST, rng_next(&c->rng));
		r = init_parts(c, ret_error);
	}
	if (r < 0) {
		if (buf_str(ret_error).n == 0)
			(void)buf_printf(ret_error, "%s", strerror(-r));
		client_free(&c);
		return r;
	}
	/* Good for client_new alone. */
	c->o.cred = (struct kube_cred_opts){0};
	c->o.scope = (struct watchset_opts){0};
	*ret = c;
	return 0;
}

void client_free(struct client **cp)
{
	struct client *c = *cp;

	if (!c)
		return;
	client_stop(c);
	for (size_t i = 0; c->lines && i < c->set.n; i++) {
		reflector_free(&c->lines[i].reflector);
		if (c->lines[i].timer)
			event_free(c->lines[i].timer);
	}
	free(c->lines);
	owners_free(&c->owners);
	if (c->owners_timer)
		event_free(c->owners_timer);
	http_free(&c->http);
	kube_cred_free(&c->cred);
	watchset_done(&c->set);
	buf_done(&c->url);
	free(c);
	*cp = NULL;
}

/* ---- looking in ---- */

size_t client_watches(const struct client *c)
{
	return c->set.n;
}

const struct watch_spec *client_watch(const struct client *c, unsigned watch)
{
	return &c->set.specs[watch];
}

struct reflector_status client_status(const struct client *c, unsigned watch)
{
	return reflector_status(c->lines[watch].reflector);
}

const struct reflector_counters *client_counters(const struct client *c, unsigned watch)
{
	return reflector_counters(c->lines[watch].reflector);
}

const struct owners_counters *client_owner_counters(const struct client *c)
{
	return owners_counters(c->owners);
}

const struct budget *client_budget(const struct client *c)
{
	return &c->budget;
}

const char *client_source(const struct client *c)
{
	return kube_cred_source(c->cred);
}

size_t client_bytes(const struct client *c)
{
	size_t n = sizeof(*c) + c->set.n * (sizeof(*c->lines) + sizeof(*c->set.specs)) +
		   owners_bytes(c->owners);

	for (size_t i = 0; i < c->set.n; i++)
		n += reflector_bytes(c->lines[i].reflector);
	return n;
}
