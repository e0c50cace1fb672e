/*
 * Single requests, one try each: GETs of one object, or of an answer as it is; and
 * calls of other methods. What the server says of its load goes to the budget.
 */
#include "kube/client_parts.h"

#include "base/mem.h"
#include "kube/redact.h"
#include "kube/target.h"

#include <errno.h>
#include <stdio.h>

#define GET_TIMEOUT (30 * NSEC_PER_SEC)

static void get_close(struct get *g)
{
	http_cancel(&g->xfer);
	decode_free(&g->decode);
	if (g->timer)
		event_free(g->timer);
	free(g->target);
	buf_done(&g->body);
	buf_done(&g->sent);
	*g = (struct get){0};
}

/* Hands the answer over; the place is free again when its callback runs. */
static void call_done(struct get *g, const struct client_answer *a)
{
	void (*called)(void *, const struct client_answer *) = g->called;
	struct buf body = g->body;
	void *ctx = g->ctx;

	g->body = (struct buf){0};
	get_close(g);
	called(ctx, a);
	buf_done(&body);
}

static void get_fail(struct get *g, int r, const char *text)
{
	client_get_done done = g->done;
	client_raw_done raw = g->raw;
	const int status = g->status;
	void *ctx = g->ctx;
	char why[256];

	redact_text(why, sizeof(why), str_of(text));
	if (g->called) {
		const struct client_answer a = {
			.status = status, .text = why, .retry_after = g->retry_after};

		return call_done(g, &a);
	}
	get_close(g);
	if (raw)
		raw(ctx, status, (struct str){0}, why);
	else
		done(ctx, r, NULL, why);
}

static int get_object(void *ctx, enum event_type type, const struct object *o)
{
	struct get *g = ctx;

	(void)type;
	if (!g->got)
		g->done(g->ctx, 0, o, "");
	g->got = true;
	return 0;
}

static int get_status(void *ctx, const struct api_status *s)
{
	struct get *g = ctx;

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
	struct get *g = ctx;

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

static bool is_good(const struct get *g, int status)
{
	return status == 200 || (g->called && status == 201);
}

static int raw_data(struct get *g, const void *p, size_t n)
{
	int r = buf_append(&g->body, p, n);

	if (r == -EMSGSIZE)
		(void)snprintf(g->message, sizeof(g->message), "the answer is over %zu bytes",
			       g->body.max);
	return r;
}

static int get_data(void *ctx, struct http_xfer *x, const void *p, size_t n)
{
	struct get *g = ctx;

	if ((g->raw || g->called) && is_good(g, http_status(x)))
		return raw_data(g, p, n);
	if (!g->head_seen) {
		struct decode_opts d = {
			.body = http_status(x) == 200 ? DECODE_OBJECT : DECODE_STATUS,
			.shape = g->shape,
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

/* What the answer, or that there is none, says of the server. */
static void tell_budget(const struct get *g, int status, enum http_result how)
{
	struct budget *b = g->client->o.budget;
	const nsec_t now = clock_mono();
	const bool unreachable = how == HTTP_CONNECT_FAILED || how == HTTP_TLS_FAILED ||
				 (how == HTTP_TIMEOUT && !status);

	if (unreachable || status == 429 || status == 503)
		budget_slow_down(b, now, g->started, g->retry_after);
	else if (status && status < 500)
		budget_answered(b, now);
}

static bool hand_over(struct get *g, int status)
{
	const struct client_answer a = {.status = status, .body = buf_str(&g->body), .text = ""};

	if (g->called) {
		call_done(g, &a);
		return true;
	}
	if (!g->raw)
		return false;
	g->raw(g->ctx, status, a.body, "");
	get_close(g);
	return true;
}

static void get_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct get *g = ctx;
	int status = http_status(x);
	char why[320];

	g->xfer = NULL;
	g->retry_after = http_retry_after(x);
	tell_budget(g, status, how);
	if (g->decode)
		(void)decode_finish(g->decode);
	if (g->got)
		return get_close(g);
	if (how == HTTP_DONE && is_good(g, status) && hand_over(g, status))
		return;
	g->status = how == HTTP_DONE ? status : 0;
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
	struct get *g = ctx;
	struct client *c = g->client;
	nsec_t now = clock_mono(), when = 0;

	(void)fd, (void)what;
	if (client_waits(c, now))
		return client_arm(g->timer, now, now + NSEC_PER_SEC);
	if (g->called)
		budget_charge(c->o.budget, now);
	else if (!budget_take(c->o.budget, now, &when))
		return client_arm(g->timer, now, when);
	const struct client_http q = {
		.method = g->method,
		.target = g->target,
		.accept = g->accept ? g->accept
				    : accept_header(
					      (struct accept_form){.protobuf = !c->o.no_protobuf}),
		.body = buf_str(&g->sent),
		.timeout = g->timeout ? g->timeout : GET_TIMEOUT,
		.ops = &get_http,
		.ctx = g,
	};
	g->started = now;
	int r = client_request(c, &q, &g->xfer);
	if (r < 0)
		get_fail(g, -EIO, client_request_error(c, r));
}

/* Takes over what `g` says, in a place of its own. What it owns stays the caller's on failure. */
static int get_start(struct client *c, const char *target, const struct get *g)
{
	struct get *place = NULL;
	nsec_t now = clock_mono();

	for (unsigned i = 0; !place && i < CLIENT_MAX_GETS; i++)
		if (!c->gets[i].client)
			place = &c->gets[i];
	if (!place)
		return -EBUSY;
	*place = *g;
	place->client = c;
	place->target = str_dup(str_of(target));
	place->timer = evtimer_new(c->o.base, on_get_timer, place);
	if (!place->target || !place->timer) {
		place->sent = (struct buf){0};
		get_close(place);
		return -ENOMEM;
	}
	client_arm(place->timer, now, now);
	return 0;
}

int client_get(struct client *c, const char *target, enum decode_shape shape, client_get_done done,
	       void *ctx)
{
	const struct get g = {.shape = shape, .done = done, .ctx = ctx};

	return get_start(c, target, &g);
}

int client_get_raw(struct client *c, const char *target, const char *accept, size_t max,
		   client_raw_done done, void *ctx)
{
	const struct get g = {.raw = done, .accept = accept, .body = {.max = max}, .ctx = ctx};

	return get_start(c, target, &g);
}

int client_send(struct client *c, const struct client_call *call)
{
	struct get g = {.method = call->method,
			.accept = "application/json",
			.body = {.max = call->max},
			.sent = {.max = call->body.n},
			.timeout = call->timeout,
			.called = call->done,
			.ctx = call->ctx};
	int r = buf_append_str(&g.sent, call->body);

	r = r < 0 ? r : get_start(c, call->target, &g);
	if (r < 0)
		buf_done(&g.sent);
	return r;
}

void client_drop(struct client *c, const void *ctx)
{
	for (unsigned i = 0; i < CLIENT_MAX_GETS; i++)
		if (c->gets[i].called && c->gets[i].ctx == ctx)
			get_close(&c->gets[i]);
}

void gets_stop(struct client *c, bool calls)
{
	for (unsigned i = 0; i < CLIENT_MAX_GETS; i++)
		if (c->gets[i].client && (calls || !c->gets[i].called))
			get_close(&c->gets[i]);
}
