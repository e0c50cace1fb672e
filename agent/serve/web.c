/* Clients of the server and their answers; see web.h. */
#include "serve/web_parts.h"

#include "base/mem.h"
#include "serve/web_tls.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* What a client costs besides its buffers; streams over TLS have OpenSSL's state. */
#define CLIENT_BYTES	 2048
#define CLIENT_TLS_BYTES (24UL << 10)

/* ---- the end of a client --------------------------------------------------------------------- */

void web_client_free(struct web_client *c)
{
	const struct web_stream_ops *ops = TAKE_PTR(c->ops);

	if (ops)
		ops->gone(c->ctx);
	if (c->phase == WAITING)
		c->gone(c->ctx);
	if (c->at) {
		*c->at = c->next;
		if (c->next)
			c->next->at = c->at;
		c->web->stats.clients--;
		c->listener->clients--;
	}
	if (c->timer)
		event_free(c->timer);
	if (c->last)
		event_free(c->last);
	if (c->bev)
		bufferevent_free(c->bev);
	free(c);
}

static void enter(struct web_client *c, enum client_phase phase)
{
	c->phase = phase;
	c->moved = clock_mono();
}

static void client_cut(struct web_client *c)
{
	c->web->stats.cut++;
	web_client_free(c);
}

/* All was sent. */
static void client_last(struct web_client *c)
{
	const struct timeval tv = clock_timeval(WEB_LINGER_TIME);
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	if (ssl)
		(void)SSL_shutdown(ssl);
	if (!c->unread || c->eof || c->phase == LINGERING) {
		web_client_free(c);
		return;
	}
	enter(c, LINGERING);
	(void)shutdown(bufferevent_getfd(c->bev), SHUT_WR);
	(void)evtimer_add(c->timer, &tv);
}

/* From now on, unless it runs already. */
static void limit_answer(struct web_client *c)
{
	const struct timeval tv = clock_timeval(c->web->o.answer_time);

	if (!evtimer_pending(c->last, NULL))
		(void)evtimer_add(c->last, &tv);
}

/* Everything is said: the connection ends when it was sent. */
static void client_end(struct web_client *c)
{
	const struct web_stream_ops *ops = TAKE_PTR(c->ops);

	enter(c, ENDING);
	limit_answer(c);
	if (ops)
		ops->gone(c->ctx);
	bufferevent_setwatermark(c->bev, EV_WRITE, 0, 0);
	/* From here on every way out goes through the loop: the caller may still hold the client.
	 */
	event_active(c->timer, EV_TIMEOUT, 0);
}

/* ---- answers --------------------------------------------------------------------------------- */

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 202:
		return "Accepted";
	case 400:
		return "Bad Request";
	case 401:
		return "Unauthorized";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 408:
		return "Request Timeout";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 429:
		return "Too Many Requests";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	case 504:
		return "Gateway Timeout";
	case 505:
		return "HTTP Version Not Supported";
	default:
		return "Internal Server Error";
	}
}

/* All that is sent goes this way; -ENOMEM is remembered as the end of the client. */
static int put(struct web_client *c, const void *p, size_t n)
{
	return bufferevent_write(c->bev, p, n) < 0 ? -ENOMEM : 0;
}

/* What a status brings along. */
static const char *more_of(int status)
{
	switch (status) {
	case 401:
		return "WWW-Authenticate: Bearer\r\n";
	case 405:
		return "Allow: GET, HEAD, POST\r\n";
	case 429:
	case 503:
		return "Retry-After: 1\r\n";
	default:
		return "";
	}
}

static int put_head(struct web_client *c, int status, const char *type, const char *length,
		    const char *more)
{
	char text[WEB_MORE_MAX + 512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %d %s\r\nContent-Type: %s\r\n%s\r\nConnection: close\r\n"
			 "X-Content-Type-Options: nosniff\r\n%s%s\r\n",
			 status, reason_of(status), type, length, more_of(status), more);

	return put(c, text, (size_t)MIN(n, (int)sizeof(text) - 1));
}

void web_reply_more(struct web_client *c, int status, const char *type, const char *more,
		    struct str body)
{
	char length[48];

	assert(c->phase == READING || c->phase == WAITING);
	assert(strlen(more) <= WEB_MORE_MAX);
	(void)snprintf(length, sizeof(length), "Content-Length: %zu", body.n);
	if (put_head(c, status, type, length, more) == 0 && !c->head)
		(void)put(c, body.p, body.n); /* a body that is short is seen to be */
	client_end(c);
}

void web_reply(struct web_client *c, int status, const char *type, struct str body)
{
	web_reply_more(c, status, type, "", body);
}

void web_defer(struct web_client *c, void (*gone)(void *ctx), void *ctx)
{
	const struct timeval tv = clock_timeval(WEB_DEFER_TIME);

	assert(c->phase == READING);
	enter(c, WAITING);
	c->gone = gone;
	c->ctx = ctx;
	(void)evtimer_add(c->timer, &tv);
}

/* `words` need no escapes. */
static void reply_error(struct web_client *c, int status, const char *words)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "{\"error\":\"%s\"}\n", words);

	web_reply(c, status, "application/json", str_make(text, (size_t)n));
}

int web_stream_put(struct web_client *c, struct str bytes)
{
	char size[24];
	int n = snprintf(size, sizeof(size), "%zx\r\n", bytes.n);

	assert(c->phase == STREAMING);
	if (!bytes.n || c->head)
		return 0;
	if (!web_stream_waiting(c)) /* the client took all there was */
		c->moved = clock_mono();
	if (c->broken || put(c, size, (size_t)n) < 0 || put(c, bytes.p, bytes.n) < 0 ||
	    put(c, "\r\n", 2) < 0)
		c->broken = true;
	return c->broken ? -ENOMEM : 0;
}

size_t web_stream_waiting(const struct web_client *c)
{
	return evbuffer_get_length(bufferevent_get_output(c->bev));
}

void web_stream_wake(struct web_client *c)
{
	if (c->phase == STREAMING)
		event_active(c->timer, EV_TIMEOUT, 0);
}

void web_stream(struct web_client *c, const char *type, const struct web_stream_ops *ops, void *ctx)
{
	assert(c->phase == READING);
	enter(c, STREAMING);
	limit_answer(c);
	c->ops = ops;
	c->ctx = ctx;
	bufferevent_setwatermark(c->bev, EV_WRITE, WEB_LOW_WATER, 0);
	if (put_head(c, 200, type, "Transfer-Encoding: chunked", "") < 0 || c->head)
		client_end(c);
	else
		web_stream_wake(c);
}

void web_stream_endless(struct web_client *c)
{
	if (c->phase == STREAMING)
		(void)evtimer_del(c->last);
}

/* The client may be freed. */
static void stream_more(struct web_client *c)
{
	int r = -ENOMEM;

	if (web_stream_waiting(c) > WEB_LOW_WATER) /* on_write comes */
		return;
	if (!c->broken)
		r = c->ops->more(c->ctx);
	c->idle = r == 0;
	if (c->idle && c->eof) { /* nothing would tell that it is gone */
		web_client_free(c);
		return;
	}
	if (r < 0 && r != -ENOMEM) {
		if (put(c, "0\r\n\r\n", 5) == 0)
			client_end(c);
		else
			client_cut(c);
	} else if (r == -ENOMEM) {
		client_cut(c);
	} else if (r > 0 && web_stream_waiting(c) <= WEB_LOW_WATER) {
		web_stream_wake(c);
	}
}

/* ---- requests -------------------------------------------------------------------------------- */

static void refuse_head(struct web_client *c, int status, const char *words)
{
	c->web->stats.bad++;
	c->unread = true;
	reply_error(c, status, words);
}

static void take_head(struct web_client *c, struct str head)
{
	struct web_request r = {0};
	const char *words = "";
	int status = request_parse(head, &r, &words);

	if (status) {
		refuse_head(c, status, words);
		return;
	}
	r.place = c->listener->o.place;
	c->head = r.head;
	c->unread = r.body;
	c->web->stats.requests++;
	c->web->o.request(c->web->o.ctx, c, &r);
}

/* A body, or a second request: not wanted. */
static void ignore(struct web_client *c, struct evbuffer *in)
{
	const size_t n = evbuffer_get_length(in);

	(void)evbuffer_drain(in, n);
	c->unread = true;
	if (c->phase != LINGERING)
		return;
	c->lingered += n;
	if (c->lingered > WEB_LINGER_MAX)
		web_client_free(c);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct web_client *c = ctx;
	struct evbuffer *in = bufferevent_get_input(bev);
	_buf_ struct buf head = {.max = WEB_HEAD_MAX + 1};
	struct evbuffer_ptr end;

	if (c->phase != READING) {
		ignore(c, in);
		return;
	}
	end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	if (end.pos < 0 && evbuffer_get_length(in) < WEB_HEAD_MAX)
		return;
	if (end.pos < 0 || end.pos > WEB_HEAD_MAX - 4) {
		refuse_head(c, 431, "the request's head is too long");
		return;
	}
	(void)evtimer_del(c->timer);
	if (buf_reserve(&head, (size_t)end.pos + 4) < 0) {
		client_cut(c);
		return;
	}
	buf_commit(&head, (size_t)evbuffer_remove(in, buf_tail(&head), (size_t)end.pos + 4));
	take_head(c, buf_str(&head));
}

/* ---- events of a client ---------------------------------------------------------------------- */

static void on_write(struct bufferevent *bev, void *ctx)
{
	struct web_client *c = ctx;

	(void)bev;
	c->moved = clock_mono();
	if (c->phase == STREAMING && !c->idle)
		stream_more(c);
	else if (c->phase == STREAMING)
		web_stream_wake(c); /* it may have waited for room */
	else if (c->phase == ENDING && !web_stream_waiting(c))
		client_last(c);
}

static void begin_reading(struct web_client *c)
{
	const struct timeval tv = clock_timeval(WEB_HEAD_TIME);

	enter(c, READING);
	(void)evtimer_add(c->timer, &tv);
}

/* Before an answer was under way: nobody to tell. */
static bool is_early(const struct web_client *c)
{
	return c->phase == SHAKING || c->phase == READING || c->phase == LINGERING;
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct web_client *c = ctx;

	if (what & BEV_EVENT_CONNECTED) {
		begin_reading(c);
		return;
	}
	if (what & BEV_EVENT_TIMEOUT)
		c->web->stats.timeouts++;
	if (c->phase == SHAKING)
		c->web->stats.tls_failed++;
	/* A client that has said all may close its side and still listen; one that follows leaves
	 * that way, and so does one over TLS: its stream ends for both. */
	if ((what & BEV_EVENT_EOF) && (what & BEV_EVENT_READING) && !is_early(c) && !c->idle &&
	    !c->listener->o.tls) {
		(void)bufferevent_disable(bev, EV_READ);
		c->eof = true;
		return;
	}
	if (is_early(c) || (what & BEV_EVENT_EOF))
		web_client_free(c);
	else
		client_cut(c);
}

static void on_late(struct web_client *c)
{
	void (*gone)(void *) = c->gone;

	c->web->stats.timeouts++;
	if (c->phase == SHAKING) {
		c->web->stats.tls_failed++;
		web_client_free(c);
	} else if (c->phase == READING) {
		c->unread = true;
		reply_error(c, 408, "the request did not come in time");
	} else {
		gone(c->ctx);
		reply_error(c, 504, "the answer did not come in time");
	}
}

static void on_answer_late(evutil_socket_t fd, short what, void *ctx)
{
	struct web_client *c = ctx;

	(void)fd;
	(void)what;
	c->web->stats.timeouts++;
	client_cut(c);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct web_client *c = ctx;

	(void)fd;
	(void)what;
	switch (c->phase) {
	case SHAKING:
	case READING:
	case WAITING:
		on_late(c);
		break;
	case STREAMING:
		stream_more(c);
		break;
	case ENDING:
		if (!web_stream_waiting(c))
			client_last(c);
		break;
	case LINGERING:
		web_client_free(c);
		break;
	}
}

/* ---- the beginning of a client --------------------------------------------------------------- */

static struct bufferevent *stream_of(const struct listener *l, int fd)
{
	struct bufferevent *bev;
	SSL *ssl;

	if (!l->o.tls)
		return bufferevent_socket_new(l->web->o.base, fd, BEV_OPT_CLOSE_ON_FREE);
	ssl = web_tls_stream(l->o.tls, clock_mono());
	if (!ssl)
		return NULL;
	bev = bufferevent_openssl_socket_new(l->web->o.base, fd, ssl, BUFFEREVENT_SSL_ACCEPTING,
					     BEV_OPT_CLOSE_ON_FREE);
	if (bev) /* else libevent 2.1 has freed `ssl` itself */
		bufferevent_openssl_set_allow_dirty_shutdown(bev, 1);
	return bev;
}

static int begin(struct web_client *c, int fd)
{
	const struct timeval first =
		clock_timeval(c->phase == SHAKING ? WEB_TLS_TIME : WEB_HEAD_TIME);
	const struct timeval wr = clock_timeval(WEB_WRITE_TIME);

	c->bev = stream_of(c->listener, fd);
	if (!c->bev) {
		(void)close(fd);
		return -ENOMEM;
	}
	c->timer = evtimer_new(c->web->o.base, on_timer, c);
	c->last = evtimer_new(c->web->o.base, on_answer_late, c);
	if (!c->timer || !c->last || evtimer_add(c->timer, &first) < 0 ||
	    bufferevent_set_timeouts(c->bev, NULL, &wr) < 0)
		return -ENOMEM;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, WEB_HEAD_MAX + 4UL);
	(void)bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	return 0;
}

static void join(struct web_client *c)
{
	struct web *h = c->web;

	c->next = h->clients;
	c->at = &h->clients;
	if (c->next)
		c->next->at = &c->next;
	h->clients = c;
	h->stats.clients++;
	c->listener->clients++;
}

void web_client_new(struct listener *l, int fd)
{
	struct web_client *c = calloc(1, sizeof(*c));

	if (!c) {
		(void)close(fd);
		return;
	}
	c->web = l->web;
	c->listener = l;
	enter(c, l->o.tls ? SHAKING : READING);
	if (begin(c, fd) < 0)
		web_client_free(c);
	else
		join(c);
}

size_t web_bytes(const struct web *h)
{
	size_t n = sizeof(*h);

	for (const struct web_client *c = h->clients; c; c = c->next)
		n += CLIENT_BYTES + (c->listener->o.tls ? CLIENT_TLS_BYTES : 0) +
		     evbuffer_get_length(bufferevent_get_input(c->bev)) + web_stream_waiting(c);
	return n;
}
