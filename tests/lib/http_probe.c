/* One HTTP transfer; see http_probe.h. */
#include "tests/lib/http_probe.h"

#include <stdio.h>
#include <stdlib.h>

void probe_init(struct probe *p, struct event_base *base, struct http *http)
{
	*p = (struct probe){.base = base, .http = http};
	buf_init(&p->body, 256u << 20);
}

void probe_done(struct probe *p)
{
	http_cancel(&p->x);
	buf_done(&p->body);
}

void probe_reset(struct probe *p)
{
	struct event_base *base = p->base;
	struct http *http = p->http;

	probe_done(p);
	probe_init(p, base, http);
}

static int on_response(void *ctx, struct http_xfer *x, int status)
{
	struct probe *p = ctx;

	p->status = status;
	(void)snprintf(p->type, sizeof(p->type), "%.*s", STR_ARG(http_header(x, "Content-Type")));
	(void)snprintf(p->location, sizeof(p->location), "%.*s",
		       STR_ARG(http_header(x, "location")));
	p->retry_after = http_retry_after(x);
	return p->on_response ? p->on_response(p, x) : 0;
}

static int on_data(void *ctx, struct http_xfer *x, const void *bytes, size_t n)
{
	struct probe *p = ctx;

	if (buf_append(&p->body, bytes, n) < 0)
		abort();
	return p->on_data ? p->on_data(p, x, n) : 0;
}

static void on_end(void *ctx, struct http_xfer *x, enum http_result how, const char *text)
{
	struct probe *p = ctx;

	if (p->ended || x != p->x)
		abort(); /* once, and for this one */
	p->ended = true;
	p->how = how;
	(void)snprintf(p->text, sizeof(p->text), "%s", text);
	if (p->on_end)
		p->on_end(p);
	p->x = NULL;
}

int probe_begin(struct probe *p, struct http_request req)
{
	static const struct http_ops ops = {
		.response = on_response, .data = on_data, .end = on_end};

	req.ops = &ops;
	req.ctx = p;
	return http_start(p->http, &req, &p->x);
}

void probe_wait(struct probe *p)
{
	for (nsec_t end = clock_mono() + 60 * NSEC_PER_SEC; !p->ended;) {
		if (clock_mono() > end) {
			(void)fprintf(stderr, "no end after 60 s\n");
			abort();
		}
		probe_turn(p->base, 2);
	}
}

void probe_get(struct probe *p, const char *scheme, int port, struct http_request req)
{
	char url[64];

	(void)snprintf(url, sizeof(url), "%s://127.0.0.1:%d/", scheme, port);
	probe_reset(p);
	req.url = url;
	if (probe_begin(p, req) < 0)
		abort();
	probe_wait(p);
}

void probe_turn(struct event_base *base, int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (suseconds_t)(ms % 1000) * 1000};

	(void)event_base_loopexit(base, &tv);
	(void)event_base_dispatch(base);
}
