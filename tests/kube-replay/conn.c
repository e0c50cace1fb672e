/*
 * One HTTP/1.1 connection. Requests are answered one after another; response
 * bytes wait in `pending` and pass through the byte faults (rate, cut, stall)
 * on their way into the socket. A connection is only ever freed from the loop.
 */
#include "server.h"

#include "read.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/http.h>
#include <stdio.h>
#include <time.h>

#define BODY_MAX     (16U << 20)
#define BATCH	     (256U << 10) /* most bytes handed to the socket at once */
#define RATE_TICK_MS 50

static void request_done(struct request *r)
{
	if (r->has_query)
		evhttp_clear_headers(&r->query);
	free(r->text);
	free(r->path);
	*r = (struct request){0};
}

static void conn_free(struct conn *c)
{
	watch_free(c->watch);
	TAILQ_REMOVE(&c->srv->conns, c, link);
	c->srv->n_conns--;
	request_done(&c->req);
	event_free(c->timer);
	event_free(c->reap);
	evbuffer_free(c->pending);
	bufferevent_free(c->bev);
	free(c);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	conn_free(arg);
}

void conn_kill(struct conn *c)
{
	if (c->dead)
		return;
	c->dead = true;
	bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	event_active(c->reap, EV_TIMEOUT, 0);
}

void conn_reset(struct conn *c)
{
	struct linger l = {.l_onoff = 1, .l_linger = 0};

	(void)setsockopt(bufferevent_getfd(c->bev), SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	conn_kill(c);
}

static void conn_close(struct conn *c)
{
	SSL *ssl = bufferevent_openssl_get_ssl(c->bev);

	/* A Go server says goodbye on a connection it means to close; a cut one gets none. */
	if (ssl && c->cut == CUT_NONE)
		(void)SSL_shutdown(ssl);
	conn_kill(c);
}

size_t conn_backlog(const struct conn *c)
{
	return evbuffer_get_length(c->pending) +
	       evbuffer_get_length(bufferevent_get_output(c->bev)) +
	       (c->fill_left > 0 ? (size_t)c->fill_left : 0);
}

/* ---- response ---- */

static const char *reason(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 302:
		return "Found";
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
	case 406:
		return "Not Acceptable";
	case 409:
		return "Conflict";
	case 410:
		return "Gone";
	case 422:
		return "Unprocessable Entity";
	case 429:
		return "Too Many Requests";
	case 500:
		return "Internal Server Error";
	case 504:
		return "Gateway Timeout";
	default:
		return "Status";
	}
}

static void send_head(struct conn *c, int64_t length)
{
	size_t before = evbuffer_get_length(c->pending);
	char date[64];
	time_t t = time(NULL);
	struct tm tm;

	strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&t, &tm));
	evbuffer_add_printf(c->pending,
			    "HTTP/1.1 %d %s\r\nAudit-Id: 00000000-0000-4000-8000-000000000000\r\n"
			    "Cache-Control: no-cache, private\r\n",
			    c->status, reason(c->status));
	if (c->type[0])
		evbuffer_add_printf(c->pending, "Content-Type: %s\r\n", c->type);
	evbuffer_add_printf(c->pending, "%sDate: %s\r\n%s", c->extra, date,
			    c->req.close ? "Connection: close\r\n" : "");
	if (length >= 0)
		evbuffer_add_printf(c->pending, "Content-Length: %lld\r\n\r\n", (long long)length);
	else
		evbuffer_add_printf(c->pending, "Transfer-Encoding: chunked\r\n\r\n");
	c->head_sent = true;
	if (c->cut != CUT_NONE)
		c->cut_left += (int64_t)(evbuffer_get_length(c->pending) - before);
}

/* One chunk, as Go's chunkWriter frames it. */
static void emit_chunk(void *arg, const void *p, size_t n)
{
	struct conn *c = arg;

	if (c->ended || (c->cut_at_chunk && c->body_bytes >= c->cut_body))
		return;
	if (!c->head_sent)
		send_head(c, -1);
	evbuffer_add_printf(c->pending, "%zx\r\n", n);
	evbuffer_add(c->pending, p, n);
	evbuffer_add(c->pending, "\r\n", 2);
	c->body_bytes += (int64_t)n;
	if (c->cut_at_chunk && c->body_bytes >= c->cut_body)
		c->cut_left = (int64_t)evbuffer_get_length(c->pending);
}

void resp_start(struct conn *c, int status, const char *type, const char *extra)
{
	c->ck = (struct chunker){.emit = emit_chunk, .arg = c};
	c->status = status;
	snprintf(c->type, sizeof(c->type), "%s", type ? type : "");
	snprintf(c->extra, sizeof(c->extra), "%s", extra ? extra : "");
	c->head_sent = false;
	c->ended = false;
	c->body_bytes = 0;
	api_count(c, status);
}

void resp_write(struct conn *c, const void *p, size_t n)
{
	int64_t have = c->body_bytes + (int64_t)c->ck.n;

	if (c->ended)
		return;
	if (c->cut == CUT_TRUNCATE && have + (int64_t)n >= c->cut_body) {
		chunk_write(&c->ck, p, (size_t)MAX(c->cut_body - have, (int64_t)0));
		resp_end(c);
		return;
	}
	chunk_write(&c->ck, p, n);
}

void resp_flush(struct conn *c)
{
	if (c->ended)
		return;
	if (!c->head_sent)
		send_head(c, -1);
	chunk_flush(&c->ck);
	conn_pump(c);
}

void resp_end(struct conn *c)
{
	if (c->ended)
		return;
	if (c->head_sent) {
		chunk_flush(&c->ck);
		evbuffer_add(c->pending, "0\r\n\r\n", 5);
	} else {
		/* All of it fitted into the buffer: Go knows the length. */
		send_head(c, (int64_t)c->ck.n);
		evbuffer_add(c->pending, c->ck.held, c->ck.n);
	}
	c->ended = true;
	conn_pump(c);
}

/* ---- bytes out ---- */

static void cut_now(struct conn *c)
{
	evbuffer_drain(c->pending, evbuffer_get_length(c->pending));
	c->fill_left = 0;
	c->stalled = true;
	if (c->cut == CUT_CLOSE) {
		c->closing = true;
		if (!evbuffer_get_length(bufferevent_get_output(c->bev)))
			conn_close(c);
	} else if (c->cut == CUT_RESET) {
		conn_reset(c);
	}
}

static void refill(struct conn *c)
{
	static char filler[65536];
	size_t n = MIN(sizeof(filler), (size_t)c->fill_left);

	if (!filler[0])
		memset(filler, 'a', sizeof(filler));
	evbuffer_add(c->pending, filler, n);
	c->fill_left -= (int64_t)n;
}

static bool cuts_by_wire(const struct conn *c)
{
	return c->cut == CUT_CLOSE || c->cut == CUT_RESET || c->cut == CUT_STALL;
}

static void arm_rate(struct conn *c)
{
	struct timeval tv = {.tv_usec = RATE_TICK_MS * 1000};

	if (!event_pending(c->timer, EV_TIMEOUT, NULL))
		event_add(c->timer, &tv);
}

static void response_done(struct conn *c)
{
	watch_free(c->watch);
	c->watch = NULL;
	if (c->req.close) {
		conn_close(c);
		return;
	}
	request_done(&c->req);
	c->busy = false;
	c->cut = CUT_NONE;
	c->cut_at_chunk = false;
	c->rate = 0;
	bufferevent_trigger(c->bev, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

void conn_pump(struct conn *c)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);

	while (!c->dead && !c->stalled) {
		size_t have, n;

		if (!evbuffer_get_length(c->pending) && c->fill_left > 0)
			refill(c);
		have = evbuffer_get_length(c->pending);
		n = MIN(have, BATCH);
		n = evbuffer_get_length(out) >= BATCH ? 0 : n;
		if (c->rate)
			n = MIN(n, (size_t)c->tokens);
		if (cuts_by_wire(c) && c->head_sent && c->cut_left >= 0)
			n = MIN(n, (size_t)c->cut_left);
		if (n) {
			evbuffer_remove_buffer(c->pending, out, n);
			c->tokens -= c->rate ? (int64_t)n : 0;
			c->cut_left -= (int64_t)n;
		}
		if (cuts_by_wire(c) && c->head_sent && c->cut_left == 0) {
			cut_now(c);
			return;
		}
		if (n == 0) {
			if (c->rate && have)
				arm_rate(c);
			break;
		}
	}
	if (c->dead || !c->busy || c->stalled || conn_backlog(c))
		return;
	if (c->closing_fill)
		conn_close(c);
	else if (c->ended)
		response_done(c);
}

static void on_write(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (c->dead)
		return;
	if (c->closing) {
		conn_close(c);
		return;
	}
	conn_pump(c);
	if (!c->dead && c->watch && !c->ended)
		watch_more(c->watch);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct conn *c = arg;

	(void)fd;
	(void)what;
	if (c->dead)
		return;
	if (c->delayed) {
		c->delayed = false;
		api_delayed(c);
		return;
	}
	c->tokens = MAX(c->rate * RATE_TICK_MS / 1000, (int64_t)1);
	conn_pump(c);
	if (!c->dead && c->watch && !c->ended)
		watch_more(c->watch);
}

/* ---- requests in ---- */

static void parse_header(struct request *r, char *line)
{
	char *value = strchr(line, ':');

	if (!value)
		return;
	*value++ = 0;
	value += strspn(value, " \t");
	if (strcasecmp(line, "accept") == 0)
		r->accept = value;
	else if (strcasecmp(line, "authorization") == 0)
		r->authorization = value;
	else if (strcasecmp(line, "connection") == 0)
		r->close = strcasestr(value, "close") != NULL;
}

static int parse_request(struct request *r)
{
	char *save = NULL, *line = strtok_r(r->text, "\r\n", &save), *words = NULL, *q;

	if (!line)
		return -EBADMSG;
	r->method = strtok_r(line, " ", &words);
	r->target = strtok_r(NULL, " ", &words);
	if (!r->method || !r->target || r->target[0] != '/')
		return -EBADMSG;
	while ((line = strtok_r(NULL, "\r\n", &save)))
		parse_header(r, line);
	q = strchr(r->target, '?');
	if (q)
		*q++ = 0;
	r->query_text = q ? q : "";
	r->path = evhttp_uridecode(r->target, 0, NULL);
	if (!r->path || evhttp_parse_query_str(r->query_text, &r->query) < 0)
		return -EBADMSG;
	r->has_query = true;
	return 0;
}

/* Of a request whose head has `n` bytes. */
static size_t body_length(struct evbuffer *in, size_t n)
{
	const char *head = (const char *)evbuffer_pullup(in, (ev_ssize_t)n), *at;
	_free_ char *text = str_dup(str_make(head, n));

	at = text ? strcasestr(text, "\r\ncontent-length:") : NULL;
	return at ? strtoul(at + strlen("\r\ncontent-length:"), NULL, 10) : 0;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	struct evbuffer_ptr end;
	size_t n, body;

	if (c->busy || c->dead)
		return;
	end = evbuffer_search(in, "\r\n\r\n", 4, NULL);
	if (end.pos < 0) {
		if (evbuffer_get_length(in) > REQUEST_MAX)
			conn_kill(c);
		return;
	}
	n = (size_t)end.pos + 4;
	body = body_length(in, n);
	if (body > BODY_MAX) {
		conn_kill(c);
		return;
	}
	if (evbuffer_get_length(in) < n + body) {
		bufferevent_setwatermark(bev, EV_READ, 0, n + body + 1);
		return;
	}
	c->req.text = must_calloc(n + body + 2, 1);
	evbuffer_remove(in, c->req.text, n);
	evbuffer_remove(in, c->req.text + n + 1, body); /* behind the head's NUL */
	c->req.body = str_make(c->req.text + n + 1, body);
	bufferevent_setwatermark(bev, EV_READ, 0, REQUEST_MAX + 1);
	c->busy = true;
	c->cut_left = -1;
	if (parse_request(&c->req) < 0) {
		conn_kill(c);
		return;
	}
	api_handle(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct conn *c = arg;

	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR | BEV_EVENT_TIMEOUT))
		conn_kill(c);
}

void conn_new(struct server *srv, evutil_socket_t fd)
{
	struct faults *f = &srv->faults;
	nsec_t now = clock_mono();
	bool reset = faults_hit(f, FAULT_RESET_CONNECT, _VERB_MAX, _KIND_MAX, now);
	bool silent = faults_hit(f, FAULT_SILENT_CONNECT, _VERB_MAX, _KIND_MAX, now);
	struct conn *c = must_calloc(1, sizeof(*c));

	c->srv = srv;
	c->pending = evbuffer_new();
	if (srv->tls && !reset && !silent)
		c->bev = bufferevent_openssl_socket_new(srv->base, fd, SSL_new(srv->tls),
							BUFFEREVENT_SSL_ACCEPTING,
							BEV_OPT_CLOSE_ON_FREE);
	else
		c->bev = bufferevent_socket_new(srv->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->timer = evtimer_new(srv->base, on_timer, c);
	c->reap = event_new(srv->base, -1, 0, on_reap, c);
	TAILQ_INSERT_TAIL(&srv->conns, c, link);
	srv->n_conns++;
	bufferevent_setcb(c->bev, on_read, on_write, on_event, c);
	bufferevent_setwatermark(c->bev, EV_READ, 0, REQUEST_MAX + 1);
	if (reset)
		conn_reset(c);
	else if (silent)
		bufferevent_disable(c->bev, EV_READ | EV_WRITE);
	else
		bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}
