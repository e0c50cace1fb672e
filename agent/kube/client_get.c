/*
 * Single GETs: one object, one try.
 */
#include "kube/client_parts.h"

#include "base/mem.h"
#include "kube/redact.h"
#include "kube/target.h"

#include <errno.h>
#include <stdio.h>

#define GET_TIMEOUT (30 * NSEC_PER_SEC)

void get_close(struct get *g)
{
	http_cancel(&g->xfer);
	decode_free(&g->decode);
	if (g->timer)
		event_free(g->timer);
	free(g->target);
	*g = (struct get){0};
}

static void get_fail(struct get *g, int r, const char *text)
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

static int get_data(void *ctx, struct http_xfer *x, const void *p, size_t n)
{
	struct get *g = ctx;

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

static void get_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct get *g = ctx;
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
	struct get *g = ctx;
	struct client *c = g->client;
	nsec_t now = clock_mono(), when = 0;

	(void)fd, (void)what;
	if (client_waits(c, now))
		return client_arm(g->timer, now, now + NSEC_PER_SEC);
	if (!budget_take(c->o.budget, now, &when))
		return client_arm(g->timer, now, when);
	int r = client_request(c, g->target,
			       accept_header((struct accept_form){
				       .protobuf = !c->o.no_protobuf,
			       }),
			       GET_TIMEOUT, &get_http, g, &g->xfer);
	if (r < 0)
		get_fail(g, -EIO, client_request_error(c, r));
}

int client_get(struct client *c, const char *target, enum decode_shape shape, client_get_done done,
	       void *ctx)
{
	struct get *g = NULL;
	nsec_t now = clock_mono();

	for (unsigned i = 0; !g && i < CLIENT_MAX_GETS; i++)
		if (!c->gets[i].client)
			g = &c->gets[i];
	if (!g)
		return -EBUSY;
	*g = (struct get){.client = c, .shape = shape, .done = done, .ctx = ctx};
	g->target = str_dup(str_of(target));
	g->timer = evtimer_new(c->o.base, on_get_timer, g);
	if (!g->target || !g->timer) {
		get_close(g);
		return -ENOMEM;
	}
	client_arm(g->timer, now, now);
	return 0;
}
