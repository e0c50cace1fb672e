/* Requests over plain TCP against a listener that misbehaves in every way. */
#include "http/http.h"

#include "tests/lib/http_probe.h"
#include "tests/lib/raw_server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>

#define MS NSEC_PER_MSEC

struct fixture {
	struct event_base *base;
	struct http *http;
	struct probe p, q;
	struct raw_server *server;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct http_opts o = {.user_agent = "kindred/test"};

	f->base = event_base_new();
	o.base = f->base;
	o.max_transfers = 4;
	o.max_head = 4096;
	assert_int_equal(http_new(&o, &f->http), 0);
	probe_init(&f->p, f->base, f->http);
	probe_init(&f->q, f->base, f->http);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	probe_done(&f->p);
	probe_done(&f->q);
	http_free(&f->http);
	raw_server_stop(&f->server);
	event_base_free(f->base);
	free(f);
	return 0;
}

static void get(struct fixture *f, raw_serve *serve, void *arg, struct http_request req)
{
	raw_server_stop(&f->server);
	f->server = raw_server_start(serve, arg, NULL);
	probe_get(&f->p, "http", raw_server_port(f->server), req);
}

static void assert_body(const struct probe *p, const char *text)
{
	assert_int_equal(p->body.n, strlen(text));
	assert_memory_equal(buf_str(&p->body).p, text, p->body.n);
}

/* --- answers ------------------------------------------------------------- */

/* Sends `arg` after each request, for ever. */
static void serve_text(struct raw_conn *c)
{
	char head[8192];

	while (raw_read_head(c, head, sizeof(head)) > 0)
		if (!raw_say(c, c->arg))
			return;
}

/* Sends `arg` after one request and closes. */
static void serve_once(struct raw_conn *c)
{
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) > 0)
		(void)raw_say(c, c->arg);
}

#define OK_HELLO "HTTP/1.1 200 OK\r\nContent-Type:  text/plain \r\nContent-Length: 5\r\n\r\nhello"

static void test_get(void **state)
{
	struct fixture *f = *state;

	get(f, serve_text, OK_HELLO, (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.status, 200);
	assert_string_equal(f->p.type, "text/plain");
	assert_string_equal(f->p.text, "");
	assert_body(&f->p, "hello");
	assert_int_equal(http_counters(f->http)->bytes, 5);
	assert_int_equal(http_counters(f->http)->open, 0);
}

static void test_connection_is_used_again(void **state)
{
	struct fixture *f = *state;
	int port;

	get(f, serve_text, OK_HELLO, (struct http_request){0});
	port = raw_server_port(f->server);
	probe_get(&f->p, "http", port, (struct http_request){0});
	assert_int_equal(raw_server_accepted(f->server), 1);
	probe_get(&f->p, "http", port, (struct http_request){.fresh_connection = true});
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(raw_server_accepted(f->server), 2);
	assert_int_equal(http_counters(f->http)->connects, 2);
}

struct seen {
	char head[8192];
	char body[64];
};

static void serve_note(struct raw_conn *c)
{
	struct seen *s = c->arg;
	const char *length;

	if (raw_read_head(c, s->head, sizeof(s->head)) < 0)
		return;
	length = strstr(s->head, "Content-Length: ");
	if (length && !raw_read(c, s->body, strtoul(length + 16, NULL, 10)))
		return;
	(void)raw_say(c, "HTTP/1.1 204 No Content\r\n\r\n");
}

static void test_request_as_sent(void **state)
{
	struct fixture *f = *state;
	struct http_field fields[] = {{STR("Accept"), STR("application/json")},
				      {STR("Authorization"), STR("Bearer abc")},
				      {STR("X-Empty"), STR("")}};
	struct seen s = {0};

	get(f, serve_note, &s, (struct http_request){.headers = fields, .n_headers = 3});
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.status, 204);
	assert_memory_equal(s.head, "GET / HTTP/1.1\r\n", 16);
	assert_non_null(strstr(s.head, "\r\nUser-Agent: kindred/test\r\n"));
	assert_non_null(strstr(s.head, "\r\nAccept: application/json\r\n"));
	assert_non_null(strstr(s.head, "\r\nAuthorization: Bearer abc\r\n"));
	assert_non_null(strstr(s.head, "\r\nX-Empty:\r\n"));
	assert_null(strstr(s.head, "Accept-Encoding"));
}

static void test_body_is_sent(void **state)
{
	struct fixture *f = *state;
	struct seen s = {0};

	get(f, serve_note, &s,
	    (struct http_request){.method = "PUT",
				  .body = str_make("{\"a\":1}", 7),
				  .content_type = "application/json"});
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_memory_equal(s.head, "PUT / HTTP/1.1\r\n", 16);
	assert_non_null(strstr(s.head, "\r\nContent-Type: application/json\r\n"));
	assert_null(strstr(s.head, "Expect"));
	assert_string_equal(s.body, "{\"a\":1}");
}

static void serve_chunks(struct raw_conn *c)
{
	static const char answer[] =
		"HTTP/1.1 100 Continue\r\nContent-Type: no\r\n\r\n"
		"HTTP/1.1 200 OK\r\nContent-Type: yes\r\n"
		"Transfer-Encoding: chunked\r\n\r\n"
		"3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nContent-Type: late\r\n\r\n";
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) < 0)
		return;
	for (size_t i = 0; i < sizeof(answer) - 1; i++)
		if (!raw_send(c, answer + i, 1))
			return;
}

static void test_chunked_byte_by_byte(void **state)
{
	struct fixture *f = *state;

	get(f, serve_chunks, NULL, (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.status, 200);
	assert_string_equal(f->p.type, "yes");
	assert_body(&f->p, "abcdefgh");
}

static void test_redirect_is_an_answer(void **state)
{
	struct fixture *f = *state;

	get(f, serve_text,
	    "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
	    (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.status, 302);
	assert_string_equal(f->p.location, "http://127.0.0.1:1/");
}

static void test_retry_after(void **state)
{
	struct fixture *f = *state;
	char answer[256], date[64];
	time_t at = time(NULL) + 100;
	struct tm tm;

	get(f, serve_text, "HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
	    (struct http_request){0});
	assert_int_equal(f->p.retry_after, 7 * NSEC_PER_SEC);
	(void)strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
	(void)snprintf(answer, sizeof(answer),
		       "HTTP/1.1 503 No\r\nRetry-After: %s\r\nContent-Length: 0\r\n\r\n", date);
	get(f, serve_text, answer, (struct http_request){0});
	assert_in_range(f->p.retry_after, 90 * NSEC_PER_SEC, 100 * NSEC_PER_SEC);
	get(f, serve_text, "HTTP/1.1 503 No\r\nRetry-After: soon\r\nContent-Length: 0\r\n\r\n",
	    (struct http_request){0});
	assert_int_equal(f->p.retry_after, 0);
}

static void test_proxy(void **state)
{
	struct fixture *f = *state;
	struct seen s = {0};
	char proxy[64];

	f->server = raw_server_start(serve_note, &s, NULL);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", raw_server_port(f->server));
	struct http_request req = {.url = "http://api.invalid/x", .proxy = proxy};

	assert_int_equal(probe_begin(&f->p, req), 0);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_memory_equal(s.head, "GET http://api.invalid/x HTTP/1.1\r\n", 35);
}

static void test_proxy_by_environment(void **state)
{
	struct fixture *f = *state;
	struct seen s = {0};
	char proxy[64];

	f->server = raw_server_start(serve_note, &s, NULL);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", raw_server_port(f->server));
	(void)setenv("http_proxy", proxy, 1);
	(void)setenv("NO_PROXY", "10.0.0.0/8,127.0.0.1", 1);
	assert_int_equal(probe_begin(&f->p, (struct http_request){.url = "http://api.invalid/"}),
			 0);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_memory_equal(s.head, "GET http://api.invalid/ ", 24);
	probe_get(&f->p, "http", raw_server_port(f->server), (struct http_request){0});
	assert_memory_equal(s.head, "GET / HTTP", 10);
	(void)unsetenv("http_proxy");
	(void)unsetenv("NO_PROXY");
}

/* --- broken answers ------------------------------------------------------ */

static void test_cut_in_a_chunk(void **state)
{
	struct fixture *f = *state;

	get(f, serve_once,
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde",
	    (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_CUT);
	assert_body(&f->p, "abcde");
	assert_non_null(strstr(f->p.text, "after 5 bytes"));
}

static void test_cut_in_a_sized_body(void **state)
{
	struct fixture *f = *state;

	get(f, serve_once, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc",
	    (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_CUT);
	assert_body(&f->p, "abc");
}

static void test_cut_before_an_answer(void **state)
{
	struct fixture *f = *state;
	char where[32];

	get(f, serve_once, "", (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_CUT);
	assert_int_equal(f->p.status, 0);
	(void)snprintf(where, sizeof(where), "127.0.0.1:%d", raw_server_port(f->server));
	assert_non_null(strstr(f->p.text, where));
}

static void serve_reset(struct raw_conn *c)
{
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) < 0)
		return;
	(void)raw_say(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	raw_sleep_ms(30);
	raw_reset(c);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;

	get(f, serve_reset, NULL, (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_CUT);
	assert_non_null(strstr(f->p.text, "reset"));
}

static void test_bad_chunk(void **state)
{
	struct fixture *f = *state;

	get(f, serve_once, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
	    (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_CUT);
}

static void test_no_http(void **state)
{
	struct fixture *f = *state;

	get(f, serve_once, "220 mail.example ESMTP\r\n", (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_BAD_ANSWER);
	assert_non_null(strstr(f->p.text, "no HTTP"));
}

static void serve_long_head(struct raw_conn *c)
{
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) < 0 || !raw_say(c, "HTTP/1.1 200 OK\r\n"))
		return;
	while (raw_say(c, "X-More: and more and more and more and more and more\r\n"))
		;
}

static void test_head_without_end(void **state)
{
	struct fixture *f = *state;

	get(f, serve_long_head, NULL, (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_BAD_ANSWER);
	assert_non_null(strstr(f->p.text, "4096 bytes"));
}

static void test_nobody_listens(void **state)
{
	struct fixture *f = *state;

	f->server = raw_server_start(serve_once, "", NULL);
	int port = raw_server_port(f->server);
	char want[64];

	raw_server_stop(&f->server);
	probe_get(&f->p, "http", port, (struct http_request){0});
	assert_int_equal(f->p.how, HTTP_CONNECT_FAILED);
	(void)snprintf(want, sizeof(want), "127.0.0.1:%d: Connection refused", port);
	assert_non_null(strstr(f->p.text, want));
}

static void test_unknown_host(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(probe_begin(&f->p, (struct http_request){.url = "http://no.invalid/"}), 0);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_CONNECT_FAILED);
	assert_non_null(strstr(f->p.text, "no.invalid"));
}

/* --- limits of time ------------------------------------------------------ */

static void serve_silence(struct raw_conn *c)
{
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) > 0 && (!c->arg || raw_say(c, c->arg)))
		raw_hang(c);
}

static void test_no_first_byte(void **state)
{
	struct fixture *f = *state;

	get(f, serve_silence, NULL,
	    (struct http_request){.first_byte_timeout = 100 * MS, .idle_timeout = 1 * MS});
	assert_int_equal(f->p.how, HTTP_TIMEOUT);
	assert_non_null(strstr(f->p.text, "no answer from 127.0.0.1:"));
	assert_non_null(strstr(f->p.text, "within 0.1 s"));
}

static void test_silence_after_the_head(void **state)
{
	struct fixture *f = *state;
	nsec_t began = clock_mono();

	get(f, serve_silence, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc",
	    (struct http_request){.first_byte_timeout = 10 * NSEC_PER_SEC,
				  .idle_timeout = 150 * MS});
	assert_int_equal(f->p.how, HTTP_TIMEOUT);
	assert_non_null(strstr(f->p.text, "silent for 0.15 s after 3 bytes"));
	assert_in_range(clock_mono() - began, 150 * MS, 5 * NSEC_PER_SEC);
	assert_body(&f->p, "abc");
}

static void serve_drip(struct raw_conn *c)
{
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) < 0)
		return;
	(void)raw_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
	for (int i = 0; i < 20 && raw_say(c, "x"); i++)
		raw_sleep_ms(30);
}

static void test_slow_is_not_silent(void **state)
{
	struct fixture *f = *state;

	get(f, serve_drip, NULL, (struct http_request){.idle_timeout = 400 * MS});
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.body.n, 20);
	get(f, serve_drip, NULL,
	    (struct http_request){.idle_timeout = 400 * MS, .total_timeout = 200 * MS});
	assert_int_equal(f->p.how, HTTP_TIMEOUT);
	assert_non_null(strstr(f->p.text, "more than 0.2 s"));
}

static void serve_nothing(struct raw_conn *c)
{
	raw_hang(c);
}

static void test_handshake_that_never_ends(void **state)
{
	struct fixture *f = *state;

	f->server = raw_server_start(serve_nothing, NULL, NULL);
	probe_get(&f->p, "https", raw_server_port(f->server),
		  (struct http_request){.connect_timeout = 100 * MS});
	assert_int_equal(f->p.how, HTTP_TIMEOUT);
	assert_non_null(strstr(f->p.text, "no connection to 127.0.0.1:"));
	assert_non_null(strstr(f->p.text, "TLS"));
}

/* --- callbacks ----------------------------------------------------------- */

static int refuse_response(struct probe *p, struct http_xfer *x)
{
	(void)p;
	(void)x;
	return -EPROTO;
}

static int refuse_data(struct probe *p, struct http_xfer *x, size_t n)
{
	(void)p;
	(void)x;
	(void)n;
	return -ENOSPC;
}

static void begin(struct fixture *f, raw_serve *serve, void *arg, struct http_request req)
{
	char url[64];

	raw_server_stop(&f->server);
	f->server = raw_server_start(serve, arg, NULL);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/", raw_server_port(f->server));
	req.url = url;
	assert_int_equal(probe_begin(&f->p, req), 0);
}

/* Turns the loop until `n` bytes of the body are there, however slow the machine is. */
static void turn_until_body(struct fixture *f, size_t n)
{
	for (int i = 0; i < 2000 && f->p.body.n < n; i++)
		probe_turn(f->base, 5);
	assert_true(f->p.body.n >= n);
}

static void turn_until_accepted(struct fixture *f, int n)
{
	for (int i = 0; i < 2000 && raw_server_accepted(f->server) < n; i++)
		probe_turn(f->base, 5);
	assert_int_equal(raw_server_accepted(f->server), n);
}

static void test_callbacks_give_up(void **state)
{
	struct fixture *f = *state;

	f->p.on_response = refuse_response;
	begin(f, serve_text, OK_HELLO, (struct http_request){0});
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_ABORTED);
	assert_int_equal(f->p.body.n, 0);
	probe_reset(&f->p);
	f->p.on_data = refuse_data;
	begin(f, serve_text, OK_HELLO, (struct http_request){0});
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_ABORTED);
	assert_non_null(strstr(f->p.text, strerror(ENOSPC)));
}

static int cancel_response(struct probe *p, struct http_xfer *x)
{
	(void)x;
	http_cancel(&p->x);
	return 0;
}

static int cancel_data(struct probe *p, struct http_xfer *x, size_t n)
{
	(void)x;
	(void)n;
	http_cancel(&p->x);
	return 0;
}

static void cancel_end(struct probe *p)
{
	http_cancel(&p->x);
}

static void test_cancel_inside_callbacks(void **state)
{
	struct fixture *f = *state;

	f->p.on_response = cancel_response;
	begin(f, serve_text, OK_HELLO, (struct http_request){0});
	for (int i = 0; i < 2000 && !f->p.status; i++)
		probe_turn(f->base, 5);
	probe_turn(f->base, 20);
	assert_int_equal(f->p.status, 200);
	assert_int_equal(f->p.body.n, 0);
	assert_false(f->p.ended);
	probe_reset(&f->p);
	f->p.on_data = cancel_data;
	begin(f, serve_drip, NULL, (struct http_request){0});
	turn_until_body(f, 1);
	probe_turn(f->base, 100);
	assert_int_equal(f->p.body.n, 1);
	assert_false(f->p.ended);
	probe_reset(&f->p);
	f->p.on_end = cancel_end;
	begin(f, serve_text, OK_HELLO, (struct http_request){0});
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(http_counters(f->http)->open, 0);
}

static void test_cancel_outside(void **state)
{
	struct fixture *f = *state;

	begin(f, serve_silence, NULL, (struct http_request){0});
	http_cancel(&f->p.x);
	assert_null(f->p.x);
	http_cancel(&f->p.x);
	probe_turn(f->base, 30);
	assert_int_equal(raw_server_accepted(f->server), 0);
	begin(f, serve_silence, NULL, (struct http_request){0});
	turn_until_accepted(f, 1);
	http_cancel(&f->p.x);
	probe_turn(f->base, 10);
	assert_int_equal(http_counters(f->http)->open, 0);
	assert_false(f->p.ended);
}

static void test_free_with_transfers_under_way(void **state)
{
	struct fixture *f = *state;

	begin(f, serve_silence, NULL, (struct http_request){.idle_timeout = NSEC_PER_SEC});
	probe_turn(f->base, 30);
	http_free(&f->http);
	f->p.x = NULL;
	assert_false(f->p.ended);
	probe_turn(f->base, 10);
}

static struct probe *follower;
static char follow_url[64];

static int start_on_data(struct probe *p, struct http_xfer *x, size_t n)
{
	(void)p;
	(void)x;
	(void)n;
	assert_int_equal(probe_begin(follower, (struct http_request){.url = follow_url}), 0);
	assert_int_equal(follower->status, 0);
	return 0;
}

static void start_on_end(struct probe *p)
{
	(void)start_on_data(p, NULL, 0);
}

static void test_start_inside_callbacks(void **state)
{
	struct fixture *f = *state;

	f->p.on_data = start_on_data;
	follower = &f->q;
	f->server = raw_server_start(serve_text, OK_HELLO, NULL);
	(void)snprintf(follow_url, sizeof(follow_url), "http://127.0.0.1:%d/",
		       raw_server_port(f->server));
	assert_int_equal(probe_begin(&f->p, (struct http_request){.url = follow_url}), 0);
	probe_wait(&f->p);
	probe_wait(&f->q);
	assert_int_equal(f->q.how, HTTP_DONE);
	probe_reset(&f->p);
	probe_reset(&f->q);
	f->p.on_end = start_on_end;
	assert_int_equal(probe_begin(&f->p, (struct http_request){.url = follow_url}), 0);
	probe_wait(&f->p);
	probe_wait(&f->q);
	assert_int_equal(f->q.how, HTTP_DONE);
}

/* --- pause --------------------------------------------------------------- */

#define FLOOD_TOTAL (24u << 20)

static atomic_size_t flooded;

static void serve_flood(struct raw_conn *c)
{
	static char block[65536];
	char head[8192];
	int small = 65536;

	if (raw_read_head(c, head, sizeof(head)) < 0)
		return;
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	(void)snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n",
		       FLOOD_TOTAL);
	(void)raw_say(c, head);
	while (atomic_load(&flooded) < FLOOD_TOTAL && raw_send(c, block, sizeof(block)))
		atomic_fetch_add(&flooded, sizeof(block));
	raw_hang(c);
}

static int pause_on_data(struct probe *p, struct http_xfer *x, size_t n)
{
	(void)n;
	http_pause(x, true);
	p->on_data = NULL;
	return 0;
}

/* Turns the loop until the server's send blocks: nothing was sent for 400 ms. */
static size_t turn_until_full(struct fixture *f)
{
	size_t sent;

	do {
		sent = atomic_load(&flooded);
		probe_turn(f->base, 400);
	} while (!sent || atomic_load(&flooded) != sent);
	return sent;
}

static void check_pause(struct fixture *f)
{
	size_t got, sent;

	turn_until_body(f, 1);
	got = f->p.body.n;
	sent = turn_until_full(f);
	assert_in_range(got, 1, 1 << 20);
	assert_in_range(sent, got, 12u << 20); /* what kernel buffers take */
	assert_int_equal(f->p.body.n, got);
	assert_false(f->p.ended);
	http_pause(f->p.x, false);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.body.n, FLOOD_TOTAL);
}

static void test_pause_stops_the_socket(void **state)
{
	struct fixture *f = *state;

	atomic_store(&flooded, 0);
	f->p.on_data = pause_on_data;
	begin(f, serve_flood, NULL,
	      (struct http_request){.idle_timeout = 300 * MS, .first_byte_timeout = 5000 * MS});
	check_pause(f);
}

static void test_pause_before_the_answer(void **state)
{
	struct fixture *f = *state;

	atomic_store(&flooded, 0);
	begin(f, serve_flood, NULL, (struct http_request){.idle_timeout = 300 * MS});
	http_pause(f->p.x, true);
	probe_turn(f->base, 400);
	assert_int_equal(f->p.body.n, 0);
	assert_false(f->p.ended);
	assert_true(atomic_load(&flooded) < 12u << 20);
	http_pause(f->p.x, false);
	http_pause(f->p.x, true);
	http_pause(f->p.x, false);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.body.n, FLOOD_TOTAL);
}

static void test_pause_from_outside(void **state)
{
	struct fixture *f = *state;
	size_t got;

	begin(f, serve_drip, NULL, (struct http_request){.idle_timeout = 300 * MS});
	turn_until_body(f, 3);
	http_pause(f->p.x, true);
	got = f->p.body.n;
	probe_turn(f->base, 900); /* longer than the drip and the idle limit */
	assert_int_equal(f->p.body.n, got);
	assert_false(f->p.ended);
	http_pause(f->p.x, false);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.body.n, 20);
}

static void serve_and_leave(struct raw_conn *c)
{
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) < 0)
		return;
	(void)raw_say(c, "HTTP/1.1 200 OK\r\n\r\nabc");
	raw_sleep_ms(400);
}

/* The socket is not even read to see that the server has gone. */
static void test_hang_up_during_a_pause(void **state)
{
	struct fixture *f = *state;

	begin(f, serve_and_leave, NULL, (struct http_request){0});
	turn_until_body(f, 3);
	http_pause(f->p.x, true);
	probe_turn(f->base, 700);
	assert_false(f->p.ended);
	http_pause(f->p.x, false);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
}

static void test_cancel_while_paused(void **state)
{
	struct fixture *f = *state;

	atomic_store(&flooded, 0);
	f->p.on_data = pause_on_data;
	begin(f, serve_flood, NULL, (struct http_request){0});
	turn_until_body(f, 1);
	probe_turn(f->base, 50);
	http_pause(f->p.x, false);
	http_cancel(&f->p.x);
	probe_turn(f->base, 20);
	assert_int_equal(http_counters(f->http)->open, 0);
	assert_false(f->p.ended);
}

static int cancel_after_pause(struct probe *p, struct http_xfer *x, size_t n)
{
	(void)n;
	http_pause(x, true);
	p->on_data = cancel_data;
	return 0;
}

static void test_cancel_as_the_pause_ends(void **state)
{
	struct fixture *f = *state;

	atomic_store(&flooded, 0);
	f->p.on_data = cancel_after_pause;
	begin(f, serve_flood, NULL, (struct http_request){0});
	turn_until_body(f, 1);
	probe_turn(f->base, 50);
	http_pause(f->p.x, false);
	probe_turn(f->base, 100);
	assert_null(f->p.x);
	assert_int_equal(http_counters(f->http)->open, 0);
	assert_false(f->p.ended);
}

static int fail_after_pause(struct probe *p, struct http_xfer *x, size_t n)
{
	(void)n;
	http_pause(x, true);
	p->on_data = refuse_data;
	return 0;
}

static void test_fail_as_the_pause_ends(void **state)
{
	struct fixture *f = *state;

	atomic_store(&flooded, 0);
	f->p.on_data = fail_after_pause;
	begin(f, serve_flood, NULL, (struct http_request){0});
	turn_until_body(f, 1);
	probe_turn(f->base, 50);
	http_pause(f->p.x, false);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_ABORTED);
}

/* --- refusals ------------------------------------------------------------ */

static void test_bad_requests(void **state)
{
	struct fixture *f = *state;
	static const char *const urls[] = {
		"",	      "x", "ftp://a/", "file:///etc/passwd", "http://", "http://a:99999/",
		"http://a b/"};
	struct http_field bad[] = {{STR("A"), STR("b\r\nC: d")},
				   {STR("A:"), STR("b")},
				   {STR(""), STR("b")},
				   {STR("A\nB"), STR("b")},
				   {STR("A"), str_make("b\0c", 3)}};

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
		assert_int_equal(probe_begin(&f->p, (struct http_request){.url = urls[i]}),
				 -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(probe_begin(&f->p, (struct http_request){.url = "http://a/",
									  .headers = &bad[i],
									  .n_headers = 1}),
				 -EINVAL);
	assert_int_equal(
		probe_begin(&f->p, (struct http_request){.url = "http://a/", .method = "GET / X"}),
		-EINVAL);
	assert_int_equal(http_counters(f->http)->open, 0);
}

static void test_most_transfers(void **state)
{
	struct fixture *f = *state;
	struct probe many[5];
	char url[64];

	f->server = raw_server_start(serve_silence, NULL, NULL);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%d/", raw_server_port(f->server));
	for (int i = 0; i < 5; i++) {
		probe_init(&many[i], f->base, f->http);
		assert_int_equal(probe_begin(&many[i], (struct http_request){.url = url}),
				 i < 4 ? 0 : -EMSGSIZE);
	}
	turn_until_accepted(f, 4);
	for (int i = 0; i < 5; i++)
		probe_done(&many[i]);
	probe_turn(f->base, 10);
	assert_int_equal(http_counters(f->http)->cancelled, 4);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_get),
		T(test_connection_is_used_again),
		T(test_request_as_sent),
		T(test_body_is_sent),
		T(test_chunked_byte_by_byte),
		T(test_redirect_is_an_answer),
		T(test_retry_after),
		T(test_proxy),
		T(test_proxy_by_environment),
		T(test_cut_in_a_chunk),
		T(test_cut_in_a_sized_body),
		T(test_cut_before_an_answer),
		T(test_reset),
		T(test_bad_chunk),
		T(test_no_http),
		T(test_head_without_end),
		T(test_nobody_listens),
		T(test_unknown_host),
		T(test_no_first_byte),
		T(test_silence_after_the_head),
		T(test_slow_is_not_silent),
		T(test_handshake_that_never_ends),
		T(test_callbacks_give_up),
		T(test_cancel_inside_callbacks),
		T(test_cancel_outside),
		T(test_free_with_transfers_under_way),
		T(test_start_inside_callbacks),
		T(test_pause_stops_the_socket),
		T(test_pause_before_the_answer),
		T(test_pause_from_outside),
		T(test_hang_up_during_a_pause),
		T(test_cancel_while_paused),
		T(test_cancel_as_the_pause_ends),
		T(test_fail_as_the_pause_ends),
		T(test_bad_requests),
		T(test_most_transfers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
