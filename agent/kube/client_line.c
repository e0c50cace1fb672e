/*
 * One reflector on a socket and a timer.
 */
#include "kube/client_parts.h"

#include <errno.h>

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
	int r = reflector_data(l->reflector, clock_mono(), p, n);

	(void)x;
	/* Most bytes move the deadline back, but the first ones of a list and the first bookmark
	 * of a server bring it nearer. */
	if (r == 0)
		line_poll(l);
	return r;
}

static void line_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct line *l = ctx;

	(void)x;
	l->xfer = NULL;
	reflector_end(l->reflector, clock_mono(), client_end_of(how), text);
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
	const struct client_http q = {
		.target = req->target, .accept = req->accept, .ops = &line_http, .ctx = l};

	/* What was dropped by a callback's return may not have ended yet. */
	http_cancel(&l->xfer);
	int r = client_request(c, &q, &l->xfer);
	if (r == -EAGAIN)
		reflector_end(l->reflector, now, REFLECTOR_END_ABORTED, NULL);
	else if (r < 0)
		reflector_end(l->reflector, now, REFLECTOR_END_CONNECT, client_request_error(c, r));
}

/* The machine was paused or goes on: its socket follows. */
static void line_pause(struct line *l)
{
	bool paused = reflector_paused(l->reflector);

	if (paused == l->paused)
		return;
	l->paused = paused;
	if (l->xfer)
		http_pause(l->xfer, paused);
}

static void arm(struct line *l, nsec_t now, nsec_t deadline)
{
	if (deadline >= l->armed)
		return;
	l->armed = deadline;
	client_arm(l->timer, now, deadline);
}

void line_poll(struct line *l)
{
	struct reflector_request req;
	nsec_t now = clock_mono(), deadline;

	if (!l->client->running)
		return;
	/* Nothing can be asked until the plugin has answered; credentials_ready comes back here. */
	if (!l->xfer && client_waits(l->client, now))
		return;
	line_pause(l);
	for (;;) {
		switch (reflector_poll(l->reflector, now, &req, &deadline)) {
		case REFLECTOR_NONE:
			arm(l, now, deadline);
			line_log(l);
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
	struct line *l = ctx;

	(void)fd, (void)what;
	l->armed = NSEC_NEVER;
	line_poll(l);
}

void line_wake(struct line *l)
{
	nsec_t now = clock_mono();

	arm(l, now, now);
}

int line_init(struct client *c, struct line *l, struct reflector *r, struct str name)
{
	*l = (struct line){
		.client = c,
		.reflector = r,
		.armed = NSEC_NEVER,
		.health = _REFLECTOR_HEALTH_MAX,
	};
	l->timer = evtimer_new(c->o.base, on_line_timer, l);
	l->name = str_dup(name);
	if (l->timer && l->name)
		return 0;
	line_done(l);
	return -ENOMEM;
}

void line_stop(struct line *l)
{
	http_cancel(&l->xfer);
	(void)evtimer_del(l->timer);
	l->armed = NSEC_NEVER;
}

void line_done(struct line *l)
{
	if (l->timer)
		event_free(l->timer);
	free(l->name);
}
