/*
 * Requests of the owner reader: several may be under way, each with a number.
 */
#include "kube/client_parts.h"

#include <errno.h>

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
	owners_end(a->client->owners, clock_mono(), a->id, client_end_of(how), text);
	asks_poll(a->client);
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
	const struct client_http q = {
		.target = req->target, .accept = req->accept, .ops = &ask_http, .ctx = a};
	int r = client_request(c, &q, &a->xfer);
	if (r < 0)
		owners_end(c->owners, now, req->id,
			   r == -EAGAIN ? REFLECTOR_END_ABORTED : REFLECTOR_END_CONNECT,
			   client_request_error(c, r));
}

void asks_poll(struct client *c)
{
	struct owners_request req;
	nsec_t now = clock_mono(), deadline;

	if (!c->running || !c->owners || client_waits(c, now))
		return;
	for (;;) {
		switch (owners_poll(c->owners, now, &req, &deadline)) {
		case REFLECTOR_NONE:
			client_arm(c->owners_timer, now, deadline);
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
	asks_poll(ctx);
}

int client_set_owners(struct client *c, struct owners *o)
{
	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		c->asks[i] = (struct ask){.client = c, .id = i};
	c->owners_timer = evtimer_new(c->o.base, on_owners_timer, c);
	if (!c->owners_timer)
		return -ENOMEM;
	c->owners = o;
	return 0;
}

void asks_stop(struct client *c)
{
	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		http_cancel(&c->asks[i].xfer);
	if (c->owners_timer)
		(void)evtimer_del(c->owners_timer);
}
