/* Certificates, good and bad, and what people are told about them. */
#include "http/http.h"

#include "tests/lib/http_probe.h"
#include "tests/lib/raw_server.h"
#include "tests/lib/test_certs.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <cmocka.h>

struct fixture {
	struct event_base *base;
	struct http *http;
	struct probe p;
	struct raw_server *server;
	SSL_CTX *ctx;
	struct test_cert ca, other_ca, cert, client;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct http_opts o = {0};

	f->base = event_base_new();
	o.base = f->base;
	assert_int_equal(http_new(&o, &f->http), 0);
	probe_init(&f->p, f->base, f->http);
	test_cert_make(&(struct test_cert_opts){.name = "kindred test CA", .ca = true}, &f->ca);
	test_cert_make(&(struct test_cert_opts){.name = "another CA", .ca = true}, &f->other_ca);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	probe_done(&f->p);
	http_free(&f->http);
	raw_server_stop(&f->server);
	SSL_CTX_free(f->ctx);
	test_cert_done(&f->ca);
	test_cert_done(&f->other_ca);
	test_cert_done(&f->cert);
	test_cert_done(&f->client);
	event_base_free(f->base);
	free(f);
	return 0;
}

static char seen_head[8192], seen_name[256];

static void serve_hello(struct raw_conn *c)
{
	const char *name = c->ssl ? SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name) : NULL;

	(void)snprintf(seen_name, sizeof(seen_name), "%s", name ? name : "");
	while (raw_read_head(c, seen_head, sizeof(seen_head)) > 0)
		if (!raw_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
			return;
}

/* A server with a certificate made as `o` says, signed by f->ca unless it names another. */
static void serve(struct fixture *f, struct test_cert_opts o, raw_serve *how,
		  const struct test_cert *client_ca)
{
	if (!o.issuer)
		o.issuer = &f->ca;
	test_cert_make(&o, &f->cert);
	f->ctx = test_cert_server(&f->cert, client_ca);
	f->server = raw_server_start(how, NULL, f->ctx);
}

static struct http_tls trust(const struct fixture *f)
{
	return (struct http_tls){.ca = str_of(f->ca.cert_pem)};
}

static void get(struct fixture *f, struct http_tls tls)
{
	struct http_request req = {.tls = &tls};

	probe_get(&f->p, "https", raw_server_port(f->server), req);
}

static void assert_says(const struct fixture *f, enum http_result how, const char *words)
{
	if (f->p.how != how || !strstr(f->p.text, words))
		print_error("got %s: %s\n", http_result_name(f->p.how), f->p.text);
	assert_int_equal(f->p.how, how);
	assert_non_null(strstr(f->p.text, words));
}

static const struct test_cert_opts good = {.name = "api", .san = "IP:127.0.0.1,DNS:api.test"};

static void test_good(void **state)
{
	struct fixture *f = *state;

	serve(f, good, serve_hello, NULL);
	get(f, trust(f));
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.body.n, 2);
	get(f, trust(f));
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(raw_server_accepted(f->server), 1);
}

static void test_expired(void **state)
{
	struct fixture *f = *state;
	struct test_cert_opts o = good;

	o.from = -7200;
	o.until = -3600;
	serve(f, o, serve_hello, NULL);
	get(f, trust(f));
	assert_says(f, HTTP_TLS_FAILED, "it expired on ");
	assert_says(f, HTTP_TLS_FAILED, "subject \"CN=api\", issuer \"CN=kindred test CA\"");
}

static void test_not_yet_valid(void **state)
{
	struct fixture *f = *state;
	struct test_cert_opts o = good;

	o.from = 3600;
	o.until = 7200;
	serve(f, o, serve_hello, NULL);
	get(f, trust(f));
	assert_says(f, HTTP_TLS_FAILED, "it is not valid before ");
}

static void test_unknown_authority(void **state)
{
	struct fixture *f = *state;

	serve(f, good, serve_hello, NULL);
	get(f, (struct http_tls){.ca = str_of(f->other_ca.cert_pem)});
	assert_says(f, HTTP_TLS_FAILED, "its issuer is not among the trusted authorities");
	assert_says(f, HTTP_TLS_FAILED, "issuer \"CN=kindred test CA\"");
	get(f, (struct http_tls){0}); /* the system's */
	assert_says(f, HTTP_TLS_FAILED, "certificate of 127.0.0.1:");
}

static void test_self_signed(void **state)
{
	struct fixture *f = *state;

	test_cert_make(&good, &f->cert);
	f->ctx = test_cert_server(&f->cert, NULL);
	f->server = raw_server_start(serve_hello, NULL, f->ctx);
	get(f, trust(f));
	assert_says(f, HTTP_TLS_FAILED, "it is self-signed");
}

static void test_wrong_host(void **state)
{
	struct fixture *f = *state;

	serve(f, (struct test_cert_opts){.name = "api", .san = "DNS:api.test,IP:10.0.0.1"},
	      serve_hello, NULL);
	get(f, trust(f));
	assert_says(f, HTTP_TLS_FAILED, "is for another host: it names api.test, 10.0.0.1");
	assert_says(f, HTTP_TLS_FAILED, "127.0.0.1");
}

static void test_server_name(void **state)
{
	struct fixture *f = *state;
	struct http_tls tls = trust(f);
	char host[64];

	serve(f, (struct test_cert_opts){.name = "api", .san = "DNS:api.test"}, serve_hello, NULL);
	tls.server_name = "api.test";
	get(f, tls);
	assert_says(f, HTTP_DONE, "");
	assert_string_equal(seen_name, "api.test");
	(void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%d\r\n",
		       raw_server_port(f->server));
	assert_non_null(strstr(seen_head, host));
	tls.server_name = "other.test";
	get(f, tls);
	assert_says(f, HTTP_TLS_FAILED, "it names api.test");
}

static void test_insecure(void **state)
{
	struct fixture *f = *state;

	serve(f, (struct test_cert_opts){.name = "x", .issuer = &f->other_ca}, serve_hello, NULL);
	get(f, (struct http_tls){.insecure = true});
	assert_int_equal(f->p.how, HTTP_DONE);
	get(f, trust(f)); /* must not ride on the connection that was not checked */
	assert_int_equal(f->p.how, HTTP_TLS_FAILED);
}

static void test_client_certificate(void **state)
{
	struct fixture *f = *state;
	struct http_tls tls = trust(f);

	serve(f, good, serve_hello, &f->other_ca);
	get(f, tls);
	assert_says(f, HTTP_TLS_FAILED, "alert");
	test_cert_make(&(struct test_cert_opts){.name = "node", .issuer = &f->other_ca},
		       &f->client);
	tls.cert = str_of(f->client.cert_pem);
	tls.key = str_of(f->client.key_pem);
	get(f, tls);
	assert_says(f, HTTP_DONE, "");
	int before = raw_server_accepted(f->server);
	struct test_cert renewed;

	test_cert_make(&(struct test_cert_opts){.name = "node", .issuer = &f->other_ca}, &renewed);
	tls.cert = str_of(renewed.cert_pem);
	tls.key = str_of(renewed.key_pem);
	get(f, tls);
	assert_says(f, HTTP_DONE, "");
	assert_int_equal(raw_server_accepted(f->server), before + 1);
	test_cert_done(&renewed);
}

static void test_refused_client_certificate(void **state)
{
	struct fixture *f = *state;
	struct http_tls tls = trust(f);

	serve(f, good, serve_hello, &f->other_ca);
	test_cert_make(&(struct test_cert_opts){.name = "node", .issuer = &f->ca}, &f->client);
	tls.cert = str_of(f->client.cert_pem);
	tls.key = str_of(f->client.key_pem);
	get(f, tls);
	assert_says(f, HTTP_TLS_FAILED, "alert");
}

static void serve_plain_error(struct raw_conn *c)
{
	char b[16];

	if (raw_read(c, b, sizeof(b)))
		(void)raw_say(c, "HTTP/1.1 400 Bad Request\r\n\r\n");
}

static void test_http_on_the_port(void **state)
{
	struct fixture *f = *state;

	f->server = raw_server_start(serve_plain_error, NULL, NULL);
	get(f, trust(f));
	assert_says(f, HTTP_TLS_FAILED, "does not speak TLS on this port");
}

static void test_bad_ca(void **state)
{
	struct fixture *f = *state;

	serve(f, good, serve_hello, NULL);
	get(f, (struct http_tls){.ca = STR("no certificate at all")});
	assert_int_equal(f->p.how, HTTP_TLS_FAILED);
}

#define FLOOD_TOTAL (24u << 20)

static atomic_size_t flooded;

static void serve_flood(struct raw_conn *c)
{
	static char block[16384];
	char head[8192];

	if (raw_read_head(c, head, sizeof(head)) < 0)
		return;
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

static void test_pause_over_tls(void **state)
{
	struct fixture *f = *state;
	struct http_tls tls = trust(f);
	size_t got, sent;
	char url[64];

	atomic_store(&flooded, 0);
	serve(f, good, serve_flood, NULL);
	(void)snprintf(url, sizeof(url), "https://127.0.0.1:%d/", raw_server_port(f->server));
	f->p.on_data = pause_on_data;
	assert_int_equal(probe_begin(&f->p, (struct http_request){.url = url, .tls = &tls}), 0);
	for (int i = 0; i < 2000 && !f->p.body.n; i++)
		probe_turn(f->base, 5);
	got = f->p.body.n;
	sent = turn_until_full(f);
	assert_in_range(got, 1, 1 << 20);
	assert_in_range(sent, got, 12u << 20);
	assert_int_equal(f->p.body.n, got);
	http_pause(f->p.x, false);
	probe_wait(&f->p);
	assert_int_equal(f->p.how, HTTP_DONE);
	assert_int_equal(f->p.body.n, FLOOD_TOTAL);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_good),
		T(test_expired),
		T(test_not_yet_valid),
		T(test_unknown_authority),
		T(test_self_signed),
		T(test_wrong_host),
		T(test_server_name),
		T(test_insecure),
		T(test_client_certificate),
		T(test_refused_client_certificate),
		T(test_http_on_the_port),
		T(test_bad_ca),
		T(test_pause_over_tls),
	};

	(void)signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
