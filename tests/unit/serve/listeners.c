/*
 * Addresses of the server: which may be had, TLS with certificates that change, tokens,
 * pages of other sites, and clients that hold on.
 */
#include "tests/unit/serve/rig.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>

#include "serve/web.h"
#include "tests/lib/test_certs.h"

#define IN_MAX	 (64UL << 20)
#define PATIENCE 8000 /* ms */

/* ---- a client of an address, plain or TLS, that turns the loop while it waits ---------------- */

struct client {
	struct ask_rig *rig;
	int fd;
	SSL *ssl; /* NULL: plain */
	struct buf in;
};

static int dial(uint16_t port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static struct client plain(struct ask_rig *g, uint16_t port)
{
	return (struct client){.rig = g, .fd = dial(port), .in = {.max = IN_MAX}};
}

/* Repeats an operation of OpenSSL until it is done: its result. */
static int until(struct client *c, int (*op)(struct client *c))
{
	int n = -1;

	for (int i = 0; i < PATIENCE * 5 && n < 0; i++) {
		n = op(c);
		if (n <= 0 && SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_READ &&
		    SSL_get_error(c->ssl, n) != SSL_ERROR_WANT_WRITE)
			return n;
		rig_turn(c->rig);
	}
	return n;
}

static int op_connect(struct client *c)
{
	return SSL_connect(c->ssl);
}

/* Trusts `ca`: whether the handshake came to its end. */
static bool begin_tls(struct client *c, struct ask_rig *g, uint16_t port, struct test_cert *ca)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	*c = plain(g, port);
	assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->x));
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	c->ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	assert_true(SSL_set_fd(c->ssl, c->fd));
	return until(c, op_connect) == 1;
}

static void say(struct client *c, const char *text)
{
	if (!c->ssl)
		rig_say(c->fd, text);
	else
		assert_int_equal(SSL_write(c->ssl, text, (int)strlen(text)), strlen(text));
}

/* Some bytes; 0: the end, -1: none yet. */
static ssize_t some(struct client *c)
{
	ssize_t n;

	assert_int_equal(buf_reserve(&c->in, 65537), 0);
	if (!c->ssl) {
		n = recv(c->fd, buf_tail(&c->in), 65536, 0);
		return n < 0 && errno != EAGAIN ? 0 : n;
	}
	n = SSL_read(c->ssl, buf_tail(&c->in), 65536);
	return n <= 0 && SSL_get_error(c->ssl, (int)n) == SSL_ERROR_WANT_READ ? -1 : n < 0 ? 0 : n;
}

/* Until the text is there, or (NULL) the end. */
static bool heard(struct client *c, const char *text)
{
	for (int i = 0; i < PATIENCE * 5; i++) {
		ssize_t n;

		rig_turn(c->rig);
		n = some(c);
		if (n > 0)
			buf_commit(&c->in, (size_t)n);
		buf_tail(&c->in)[0] = '\0';
		if (text && c->in.n && strstr(c->in.p, text))
			return true;
		if (n == 0)
			return !text;
	}
	return false;
}

static void leave(struct client *c)
{
	SSL_free(c->ssl);
	(void)close(c->fd);
	buf_done(&c->in);
	*c = (struct client){0};
}

static void expect(struct client *c, const char *request, int status)
{
	char line[32];

	say(c, request);
	assert_true(heard(c, NULL));
	(void)snprintf(line, sizeof(line), "HTTP/1.1 %d ", status);
	if (strncmp(c->in.p ?: "", line, strlen(line)) != 0)
		fail_msg("%s\nis answered with\n%s", request, c->in.p);
	leave(c);
}

/* ---- a server with addresses ----------------------------------------------------------------- */

struct told {
	unsigned good, bad;
	char words[512];
};

static void on_told(void *ctx, bool bad, const char *words)
{
	struct told *t = ctx;

	t->bad += bad;
	t->good += !bad;
	(void)snprintf(t->words, sizeof(t->words), "%s", words);
}

static int start(struct ask_rig *g, struct serve_opts o, struct serve **ret)
{
	o.base = g->base;
	o.flows = g->flows;
	o.scope = &g->scope;
	o.no_socket = true;
	buf_reset(&g->words);
	return serve_new(&o, ret, &g->words);
}

static bool said(const struct ask_rig *g, const char *text)
{
	return memmem(g->words.p, g->words.n, text, strlen(text));
}

static const char *path(const struct ask_rig *g, const char *name, char ret[128])
{
	(void)snprintf(ret, 128, "%s/%s", g->folder, name);
	return ret;
}

/* By a rename, as whoever rotates files should. */
static void put_file(const char *to, const char *text)
{
	char new[160];
	FILE *f;

	(void)snprintf(new, sizeof(new), "%s.new", to);
	f = fopen(new, "w");
	assert_non_null(f);
	assert_true(fputs(text, f) >= 0 && fclose(f) == 0);
	assert_int_equal(rename(new, to), 0);
}

#define LOCAL	  "Host: localhost\r\n"
#define GET(path) "GET " path " HTTP/1.1\r\n" LOCAL "\r\n"

/* ---- which addresses ------------------------------------------------------------------------- */

static void a_taken_address_is_gone_without_unless_asked_for(void **state)
{
	struct ask_rig *g = *state;
	struct serve_opts o = {.probe_at = {.host = "127.0.0.1"}, .data_at = {.host = "127.0.0.1"}};
	struct serve *a = NULL, *b = NULL, *c = NULL;
	_buf_ struct buf where = {.max = 1024};
	struct client cl;

	assert_int_equal(start(g, o, &a), 0);
	assert_int_equal(g->words.n, 0);
	o.probe_at.port = serve_port(a, WEB_PROBE);
	o.data_at.port = serve_port(a, WEB_DATA);
	o.probe_at.optional = o.data_at.optional = true;
	assert_int_equal(start(g, o, &b), 0);
	assert_true(said(g, "goes on without") && said(g, "in use"));
	assert_int_equal(serve_describe(b, &where), 0);
	assert_memory_equal(where.p, "nowhere", where.n);
	o.probe_at.optional = false;
	assert_int_equal(start(g, o, &c), -EADDRINUSE);
	assert_true(said(g, "cannot listen at 127.0.0.1 port"));
	serve_free(&b);
	cl = plain(g, serve_port(a, WEB_PROBE));
	expect(&cl, GET("/healthz"), 200);
	cl = plain(g, serve_port(a, WEB_DATA));
	expect(&cl, GET("/api/v1/flows"), 200);
	serve_free(&a);
}

static void any_address_is_both_families(void **state)
{
	struct ask_rig *g = *state;
	struct serve_opts o = {.probe_at = {.host = ""}};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
	struct serve *s = NULL;
	struct client c;
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	assert_int_equal(start(g, o, &s), 0);
	c = plain(g, serve_port(s, WEB_PROBE));
	expect(&c, GET("/healthz"), 200);
	six.sin6_port = htons(serve_port(s, WEB_PROBE));
	if (fd < 0 || connect(fd, (struct sockaddr *)&six, sizeof(six)) < 0)
		print_message("IPv6 is not to be had here, and not tried\n");
	(void)close(fd);
	serve_free(&s);
}

static void others_need_tls_and_a_token(void **state)
{
	struct ask_rig *g = *state;
	struct test_cert ca, leaf;
	char cert[128], key[128], token[128];
	struct serve_opts o = {.data_at = {.host = "0.0.0.0"}};
	struct serve *s = NULL;

	test_cert_make(&(struct test_cert_opts){.name = "ca", .ca = true}, &ca);
	test_cert_make(&(struct test_cert_opts){.name = "agent", .issuer = &ca}, &leaf);
	put_file(path(g, "cert", cert), leaf.cert_pem);
	put_file(path(g, "key", key), leaf.key_pem);
	put_file(path(g, "token", token), "sesame\n");
	assert_int_equal(start(g, o, &s), -EPERM);
	assert_true(said(g, "this machine alone"));
	o.token_file = token;
	assert_int_equal(start(g, o, &s), -EPERM);
	o.token_file = NULL;
	o.data_at.cert_file = cert;
	o.data_at.key_file = key;
	assert_int_equal(start(g, o, &s), -EPERM);
	o.data_at.host = "";
	assert_int_equal(start(g, o, &s), -EPERM);
	o.token_file = token;
	assert_int_equal(start(g, o, &s), 0);
	serve_free(&s);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(unlink((const char *const[]){cert, key, token}[i]), 0);
	test_cert_done(&ca);
	test_cert_done(&leaf);
}

static void unusable_files_are_named(void **state)
{
	struct ask_rig *g = *state;
	struct test_cert a, b;
	char cert[128], key[128], token[128];
	struct serve_opts o = {
		.data_at = {.host = "127.0.0.1", .cert_file = cert, .key_file = key}};
	struct serve *s = NULL;

	test_cert_make(&(struct test_cert_opts){.name = "a"}, &a);
	test_cert_make(&(struct test_cert_opts){.name = "b"}, &b);
	put_file(path(g, "cert", cert), a.cert_pem);
	(void)path(g, "key", key);
	assert_true(start(g, o, &s) < 0 && said(g, "key file") && said(g, "No such file"));
	put_file(key, b.key_pem);
	assert_true(start(g, o, &s) < 0 && said(g, "key file") && said(g, "mismatch"));
	put_file(key, "what is this\n");
	assert_true(start(g, o, &s) < 0 && said(g, "key file"));
	put_file(key, a.key_pem);
	put_file(cert, "what is this\n");
	assert_true(start(g, o, &s) < 0 && said(g, "certificate file"));
	put_file(cert, a.cert_pem);
	o.token_file = path(g, "token", token);
	put_file(token, "two words\n");
	assert_true(start(g, o, &s) < 0 && said(g, "token file"));
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(unlink((const char *const[]){cert, key, token}[i]), 0);
	test_cert_done(&a);
	test_cert_done(&b);
}

/* ---- TLS ------------------------------------------------------------------------------------- */

struct tls_rig {
	struct test_cert ca[2], leaf[2];
	char cert[128], key[128];
	struct serve *s;
	struct told told;
};

static void tls_setup(struct ask_rig *g, struct tls_rig *t)
{
	for (int i = 0; i < 2; i++) {
		test_cert_make(&(struct test_cert_opts){.name = i ? "ca 2" : "ca 1", .ca = true},
			       &t->ca[i]);
		test_cert_make(&(struct test_cert_opts){.name = "agent", .issuer = &t->ca[i]},
			       &t->leaf[i]);
	}
	put_file(path(g, "cert", t->cert), t->leaf[0].cert_pem);
	put_file(path(g, "key", t->key), t->leaf[0].key_pem);
	assert_int_equal(start(g,
			       (struct serve_opts){.data_at = {.host = "127.0.0.1",
							       .cert_file = t->cert,
							       .key_file = t->key},
						   .told = on_told,
						   .ctx = &t->told},
			       &t->s),
			 0);
}

static void tls_teardown(struct tls_rig *t)
{
	serve_free(&t->s);
	for (int i = 0; i < 2; i++) {
		test_cert_done(&t->ca[i]);
		test_cert_done(&t->leaf[i]);
	}
	(void)unlink(t->cert);
	(void)unlink(t->key);
}

/* Whether the certificate of this pair is shown now. */
static bool shows(struct ask_rig *g, struct tls_rig *t, int which)
{
	struct client c;
	bool ok = begin_tls(&c, g, serve_port(t->s, WEB_DATA), &t->ca[which]);

	if (ok)
		expect(&c, GET("/healthz"), 200);
	else
		leave(&c);
	return ok;
}

static void wait_look(void)
{
	usleep(1100000); /* WEB_TLS_LOOK, SECRET_LOOK */
}

static void certificates_change_and_no_connection_is_lost(void **state)
{
	struct ask_rig *g = *state;
	struct tls_rig t = {0};
	struct client follower;

	tls_setup(g, &t);
	assert_true(shows(g, &t, 0));
	assert_true(begin_tls(&follower, g, serve_port(t.s, WEB_DATA), &t.ca[0]));
	say(&follower, GET("/api/v1/flows?follow=1"));
	assert_true(heard(&follower, "chunked"));
	wait_look();
	put_file(t.cert, t.leaf[1].cert_pem); /* half of it */
	assert_true(shows(g, &t, 0));
	assert_int_equal(t.told.bad, 1);
	assert_non_null(strstr(t.told.words, "stays in use"));
	wait_look();
	put_file(t.key, t.leaf[1].key_pem);
	assert_true(shows(g, &t, 1));
	assert_false(shows(g, &t, 0));
	assert_int_equal(t.told.good, 1);
	rig_flow(g, ABI_TCP_OPEN, 1, 5, 0, 0);
	serve_changed(t.s);
	assert_true(heard(&follower, "\"event\":\"open\""));
	leave(&follower);
	tls_teardown(&t);
}

static void tls_is_what_it_takes(void **state)
{
	struct ask_rig *g = *state;
	struct tls_rig t = {0};
	struct client c, slow;

	tls_setup(g, &t);
	slow = plain(g, serve_port(t.s, WEB_DATA)); /* says nothing: closed in WEB_TLS_TIME */
	c = plain(g, serve_port(t.s, WEB_DATA));
	say(&c, GET("/healthz"));
	(void)heard(&c, NULL);
	assert_null(c.in.n ? strstr(c.in.p, "HTTP/1.1 200") : NULL);
	leave(&c);
	assert_true(begin_tls(&c, g, serve_port(t.s, WEB_DATA), &t.ca[0]));
	SSL_set_quiet_shutdown(c.ssl, 1); /* gone without a word, amid an answer */
	say(&c, GET("/metrics"));
	leave(&c);
	assert_true(heard(&slow, NULL));
	assert_int_equal(slow.in.n, 0);
	leave(&slow);
	assert_true(shows(g, &t, 0));
	tls_teardown(&t);
}

/* A large answer to a client that takes its time comes whole over TLS, too. */
static void a_long_answer_over_tls_arrives_whole(void **state)
{
	struct ask_rig *g = *state;
	struct tls_rig t = {0};
	struct client c;
	int n = 0;

	tls_setup(g, &t);
	for (uint64_t i = 1; i <= 5000; i++)
		rig_flow(g, ABI_TCP_OPEN, i, i, 0, 0);
	assert_true(begin_tls(&c, g, serve_port(t.s, WEB_DATA), &t.ca[0]));
	say(&c, GET("/api/v1/flows"));
	for (int i = 0; i < 200; i++)
		rig_turn(g);
	assert_true(heard(&c, NULL));
	for (const char *p = c.in.p; (p = strstr(p, "\"event\":\"open\"")); p++)
		n++;
	assert_int_equal(n, 5000);
	leave(&c);
	tls_teardown(&t);
}

/* ---- tokens and pages ------------------------------------------------------------------------ */

static void expect_token(struct ask_rig *g, const struct serve *s, const char *header, int status)
{
	struct client c = plain(g, serve_port(s, WEB_DATA));
	char text[512];

	(void)snprintf(text, sizeof(text), "GET /healthz HTTP/1.1\r\n" LOCAL "%s\r\n", header);
	expect(&c, text, status);
}

/* The page may be read by anybody who may ask at all: it has no data. */
static void expect_open_page(struct ask_rig *g, const struct serve *s)
{
	static const struct {
		const char *request;
		int status;
	} all[] = {{GET("/"), 200},
		   {GET("/api/v1/edges/stream"), 401},
		   {"GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403},
		   {"GET / HTTP/1.1\r\n" LOCAL "Origin: https://evil.example\r\n\r\n", 403}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct client c = plain(g, serve_port(s, WEB_DATA));

		expect(&c, all[i].request, all[i].status);
	}
}

static void a_token_is_asked_for_and_read_again(void **state)
{
	struct ask_rig *g = *state;
	struct told told = {0};
	char token[128];
	struct serve *s = NULL;

	put_file(path(g, "token", token), " sesame\n");
	assert_int_equal(start(g,
			       (struct serve_opts){.data_at = {.host = "127.0.0.1"},
						   .token_file = token,
						   .told = on_told,
						   .ctx = &told},
			       &s),
			 0);
	expect_token(g, s, "", 401);
	expect_token(g, s, "Authorization: Bearer sesam\r\n", 401);
	expect_token(g, s, "Authorization: Bearer sesame!\r\n", 401);
	expect_token(g, s, "Authorization: Basic sesame\r\n", 401);
	expect_open_page(g, s);
	expect_token(g, s, "Authorization: Bearer sesame\r\n", 200);
	wait_look();
	put_file(token, "open\n");
	expect_token(g, s, "Authorization: Bearer sesame\r\n", 401);
	expect_token(g, s, "Authorization: Bearer open\r\n", 200);
	wait_look();
	put_file(token, "\n");
	expect_token(g, s, "Authorization: Bearer \r\n", 401);
	expect_token(g, s, "Authorization: Bearer open\r\n", 200);
	assert_int_equal(told.bad, 1);
	assert_non_null(strstr(told.words, "is empty"));
	assert_null(strstr(told.words, "open\n"));
	wait_look();
	put_file(token, "again\n");
	expect_token(g, s, "Authorization: Bearer again\r\n", 200);
	assert_int_equal(told.good, 1);
	serve_free(&s);
	(void)unlink(token);
}

static void pages_of_other_sites_get_nothing(void **state)
{
	struct ask_rig *g = *state;
	static const struct {
		const char *request;
		int status;
	} all[] = {
		{GET("/api/v1/sinks"), 200},
		{"GET /api/v1/sinks HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403},
		{"GET /api/v1/sinks HTTP/1.1\r\n" LOCAL "Origin: https://evil.example\r\n\r\n",
		 403},
		{"GET /healthz HTTP/1.1\r\nHost: rebound.example\r\n\r\n", 403},
		{"POST /api/v1/resync HTTP/1.1\r\n" LOCAL "Origin: null\r\n\r\n", 403},
		{"POST /api/v1/resync HTTP/1.1\r\n" LOCAL "Origin: http://localhost\r\n\r\n", 403},
		{"POST /api/v1/resync HTTP/1.1\r\n" LOCAL "Origin: http://localhost\r\n"
		 "Content-Type: application/json\r\n\r\n",
		 503}, /* nothing to resync */
		{"POST /api/v1/resync HTTP/1.1\r\n" LOCAL "\r\n", 503},
	};
	struct serve *s = NULL;

	assert_int_equal(start(g, (struct serve_opts){.data_at = {.host = "127.0.0.1"}}, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct client c = plain(g, serve_port(s, WEB_DATA));

		expect(&c, all[i].request, all[i].status);
	}
	serve_free(&s);
}

/* ---- clients --------------------------------------------------------------------------------- */

/* Clients of one listener take no place of another's. */
static void listeners_do_not_starve_each_other(void **state)
{
	struct ask_rig *g = *state;
	struct serve_opts o = {.probe_at = {.host = "127.0.0.1"},
			       .data_at = {.host = "127.0.0.1"},
			       .max_clients = 20};
	struct client c, held[20];
	struct serve *s = NULL;

	assert_int_equal(start(g, o, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = plain(g, serve_port(s, WEB_DATA));
		rig_turn(g);
	}
	c = plain(g, serve_port(s, WEB_DATA));
	expect(&c, GET("/healthz"), 503);
	c = plain(g, serve_port(s, WEB_PROBE));
	expect(&c, GET("/healthz"), 200);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		leave(&held[i]);
	serve_free(&s);
}

static void turn_for(struct ask_rig *g, nsec_t time)
{
	const nsec_t until = clock_mono() + time;

	while (clock_mono() < until)
		rig_turn(g);
}

/* Who is waited for gives the place to whoever comes; who follows keeps it. */
static void slow_clients_give_their_places(void **state)
{
	struct ask_rig *g = *state;
	struct client held[WEB_MAX_CLIENTS], c;
	struct serve *s = NULL;
	int ended = 0;

	assert_int_equal(start(g, (struct serve_opts){.data_at = {.host = "127.0.0.1"}}, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		held[i] = plain(g, serve_port(s, WEB_DATA));
		say(&held[i],
		    i ? "GET /healthz HTTP/1.1\r\n" LOCAL "X: " : GET("/api/v1/flows?follow=1"));
		rig_turn(g);
	}
	assert_true(heard(&held[0], "chunked"));
	turn_for(g, WEB_PATIENCE + 100 * NSEC_PER_MSEC);
	c = plain(g, serve_port(s, WEB_DATA));
	expect(&c, GET("/healthz"), 200);
	for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
		char one;

		if (recv(held[i].fd, &one, 1, MSG_DONTWAIT) == 0) {
			assert_int_equal(i, 1); /* it came first of those who are waited for */
			ended++;
		}
	}
	assert_int_equal(ended, 1);
	say(&held[2], "y\r\n\r\n"); /* the others go on as if nothing had been */
	assert_true(heard(&held[2], "ok\n"));
	for (size_t i = 0; i < ARRAY_SIZE(held); i++)
		leave(&held[i]);
	serve_free(&s);
}

/* What comes behind the head is read until the client has its answer: it is not thrown away by a
 * reset. Without end it is not read. */
static void a_body_does_not_cost_the_answer(void **state)
{
	struct ask_rig *g = *state;
	struct serve *s = NULL;
	struct client c;
	char much[8192];
	size_t sent = 0;

	memset(much, 'x', sizeof(much));
	assert_int_equal(start(g, (struct serve_opts){.data_at = {.host = "127.0.0.1"}}, &s), 0);
	c = plain(g, serve_port(s, WEB_DATA));
	say(&c, "POST /api/v1/resync HTTP/1.1\r\n" LOCAL "Content-Length: 20000\r\n\r\n");
	for (int i = 0; i < 50; i++) {
		rig_turn(g);
		(void)!send(c.fd, much, 400, MSG_NOSIGNAL | MSG_DONTWAIT);
	}
	assert_true(heard(&c, NULL));
	assert_memory_equal(c.in.p, "HTTP/1.1 503", 12);
	leave(&c);
	c = plain(g, serve_port(s, WEB_DATA));
	say(&c, "nonsense\r\n\r\n");
	for (int i = 0; i < 2000; i++) {
		ssize_t n = send(c.fd, much, sizeof(much), MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			break;
		sent += n > 0 ? (size_t)n : 0;
		rig_turn(g);
	}
	assert_in_range(sent, 1, 8UL << 20);
	leave(&c);
	serve_free(&s);
}

#define T(name) cmocka_unit_test_setup_teardown(name, ask_rig_setup, ask_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_taken_address_is_gone_without_unless_asked_for),
		T(any_address_is_both_families),
		T(others_need_tls_and_a_token),
		T(unusable_files_are_named),
		T(certificates_change_and_no_connection_is_lost),
		T(tls_is_what_it_takes),
		T(a_long_answer_over_tls_arrives_whole),
		T(a_token_is_asked_for_and_read_again),
		T(pages_of_other_sites_get_nothing),
		T(listeners_do_not_starve_each_other),
		T(slow_clients_give_their_places),
		T(a_body_does_not_cost_the_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
