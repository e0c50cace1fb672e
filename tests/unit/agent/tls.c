/*
 * The whole agent over TLS while its certificates change: many clients ask all the time,
 * one follows flows from beginning to end, and none of them notices. The token of the
 * data API changes, too.
 */
#include "tests/lib/rig.h"

#include "base/mem.h"
#include "base/str.h"
#include "tests/lib/test_certs.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS	  4
#define ROTATIONS 5
#define BETWEEN	  (1500 * NSEC_PER_MSEC) /* the files are looked at once a second */

struct world {
	struct rig *rig;
	struct test_cert ca[2], leaf[2];
	unsigned probe, data;
	SSL_CTX *trust; /* both authorities */
	atomic_uint asked, failed, seen[2];
	atomic_bool over;
	char why[256]; /* of the first failure */
	pthread_mutex_t lock;
};

/* ---- a client that blocks -------------------------------------------------------------------- */

static SSL *dial(struct world *w, unsigned port)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct timeval patience = {.tv_sec = 20};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = SSL_new(w->trust);

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
	    SSL_set_fd(ssl, fd) && SSL_connect(ssl) == 1)
		return ssl;
	SSL_free(ssl);
	(void)close(fd);
	return NULL;
}

static void hang_up(SSL *ssl)
{
	int fd = SSL_get_fd(ssl);

	(void)SSL_shutdown(ssl);
	SSL_free(ssl);
	(void)close(fd);
}

static void note_cert(struct world *w, SSL *ssl)
{
	X509 *x = SSL_get1_peer_certificate(ssl);

	for (int i = 0; i < 2; i++)
		if (X509_cmp(x, w->leaf[i].x) == 0)
			atomic_fetch_add(&w->seen[i], 1);
	X509_free(x);
}

/* "" or why the answer is not whole, or not with this status. */
static const char *ask(struct world *w, unsigned port, const char *target, const char *token,
		       int status)
{
	static __thread char text[65536], why[128];
	char request[512], want[32];
	SSL *ssl = dial(w, port);
	size_t n = 0;
	int r = 1;

	if (!ssl)
		return "no connection";
	note_cert(w, ssl);
	(void)snprintf(request, sizeof(request),
		       "GET %s HTTP/1.1\r\nHost: localhost\r\n%s%s\r\n\r\n", target,
		       token ? "Authorization: Bearer " : "X-No: token", token ? token : "");
	if (SSL_write(ssl, request, (int)strlen(request)) <= 0)
		r = -1;
	while (r > 0 && n < sizeof(text) - 1) {
		r = SSL_read(ssl, text + n, (int)(sizeof(text) - 1 - n));
		n += r > 0 ? (size_t)r : 0;
	}
	text[n] = '\0';
	(void)snprintf(want, sizeof(want), "HTTP/1.1 %d ", status);
	why[0] = '\0';
	if (strncmp(text, want, strlen(want)) != 0)
		(void)snprintf(why, sizeof(why), "not %d: %.60s", status, text);
	else if (SSL_get_error(ssl, r) != SSL_ERROR_ZERO_RETURN)
		(void)snprintf(why, sizeof(why), "the answer is cut after %zu bytes", n);
	hang_up(ssl);
	return why;
}

/* ---- clients that go on ---------------------------------------------------------------------- */

static void *go_on(void *ctx)
{
	struct world *w = ctx;

	while (!atomic_load(&w->over)) {
		bool probe = atomic_fetch_add(&w->asked, 1) % 2;
		const char *why = ask(w, probe ? w->probe : w->data,
				      probe ? "/metrics" : "/api/v1/pods?limit=5",
				      probe ? NULL : "sesame", 200);

		if (!why[0])
			continue;
		atomic_fetch_add(&w->failed, 1);
		(void)pthread_mutex_lock(&w->lock);
		if (!w->why[0])
			(void)snprintf(w->why, sizeof(w->why), "%s", why);
		(void)pthread_mutex_unlock(&w->lock);
	}
	return NULL;
}

/* ---- the agent ------------------------------------------------------------------------------- */

/* By a rename, one file after the other. */
static void put(struct world *w, const char *name, const char *text)
{
	char path[PROC_PATH_MAX], new[PROC_PATH_MAX];

	rig_write(w->rig, "new", text);
	assert_int_equal(rename(rig_path(w->rig, "new", new), rig_path(w->rig, name, path)), 0);
}

static unsigned port_after(struct rig *rig, const char *what)
{
	char *log = proc_text(rig->agent.err), *at = strstr(log, what);
	unsigned port = 0;

	rig_assert(rig, at && sscanf(at + strlen(what), "127.0.0.1:%u (TLS)", &port) == 1,
		   "the agent does not say where it listens");
	free(log);
	return port;
}

static void world_start(struct world *w, struct rig *rig)
{
	char cert[PROC_PATH_MAX], key[PROC_PATH_MAX], token[PROC_PATH_MAX];

	*w = (struct world){.rig = rig, .trust = SSL_CTX_new(TLS_client_method())};
	(void)pthread_mutex_init(&w->lock, NULL);
	SSL_CTX_set_verify(w->trust, SSL_VERIFY_PEER, NULL);
	for (int i = 0; i < 2; i++) {
		test_cert_make(&(struct test_cert_opts){.name = i ? "ca 2" : "ca 1", .ca = true},
			       &w->ca[i]);
		test_cert_make(&(struct test_cert_opts){.name = "agent", .issuer = &w->ca[i]},
			       &w->leaf[i]);
		assert_true(X509_STORE_add_cert(SSL_CTX_get_cert_store(w->trust), w->ca[i].x));
	}
	put(w, "cert", w->leaf[0].cert_pem);
	put(w, "key", w->leaf[0].key_pem);
	put(w, "token", "sesame\n");
	rig_replay(rig, (const char *const[]){"--speed", "0", NULL});
	rig_reducer(rig, NULL);
	rig_agent(rig,
		  (const char *const[]){"--scope", "cluster", "--flows", "auto", "--probe-listen",
					"127.0.0.1:0", "--listen", "127.0.0.1:0",
					"--probe-tls-cert-file", rig_path(rig, "cert", cert),
					"--probe-tls-key-file", rig_path(rig, "key", key),
					"--tls-cert-file", cert, "--tls-key-file", key,
					"--listen-token-file", rig_path(rig, "token", token), NULL},
		  NULL);
	rig_wait_log(rig, "answers: ", RIG_PATIENCE);
	w->probe = port_after(rig, "probes at ");
	w->data = port_after(rig, "data at ");
	rig_wait_log(rig, "/api/v1/pods: synced", RIG_PATIENCE);
}

static void world_done(struct world *w)
{
	for (int i = 0; i < 2; i++) {
		test_cert_done(&w->ca[i]);
		test_cert_done(&w->leaf[i]);
	}
	SSL_CTX_free(w->trust);
}

/* A stream that lasts; where flows are off there is none to be had. */
static SSL *follow(struct world *w)
{
	static const char request[] = "GET /api/v1/flows?follow=1 HTTP/1.1\r\nHost: localhost\r\n"
				      "Authorization: Bearer sesame\r\n\r\n";
	SSL *ssl = dial(w, w->data);
	char text[64];

	rig_assert(w->rig,
		   ssl && SSL_write(ssl, request, sizeof(request) - 1) > 0 &&
			   SSL_read(ssl, text, sizeof(text)) > 12,
		   "a follower gets no answer");
	if (strncmp(text, "HTTP/1.1 200", 12) == 0)
		return ssl;
	hang_up(ssl);
	return NULL;
}

/* It was not ended meanwhile: something comes, or nothing for a while. */
static bool still_follows(SSL *ssl)
{
	const struct timeval soon = {.tv_usec = 300000};
	char text[4096];
	int n;

	(void)setsockopt(SSL_get_fd(ssl), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof(soon));
	n = SSL_read(ssl, text, sizeof(text));
	return n > 0 || (errno == EAGAIN && SSL_get_error(ssl, n) != SSL_ERROR_ZERO_RETURN);
}

static void test_certificates_change_under_load(void **state)
{
	struct rig *rig = *state;
	pthread_t threads[CLIENTS];
	struct world w;
	SSL *follower;

	world_start(&w, rig);
	follower = follow(&w);
	for (int i = 0; i < CLIENTS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, go_on, &w), 0);
	for (int i = 1; i <= ROTATIONS; i++) {
		proc_sleep(BETWEEN);
		put(&w, "cert", w.leaf[i % 2].cert_pem);
		if (i % 2) /* sometimes the agent sees half of a pair */
			proc_sleep(BETWEEN);
		put(&w, "key", w.leaf[i % 2].key_pem);
	}
	proc_sleep(BETWEEN);
	atomic_store(&w.over, true);
	for (int i = 0; i < CLIENTS; i++)
		(void)pthread_join(threads[i], NULL);
	print_message("%u requests, %u with the one certificate and %u with the other\n", w.asked,
		      w.seen[0], w.seen[1]);
	rig_assert(rig, w.failed == 0, "%u of %u requests failed: %s", w.failed, w.asked, w.why);
	assert_true(w.seen[0] > 0 && w.seen[1] > 0);
	rig_assert(rig, rig_logged(rig, "stays in use"), "half a pair was not said");
	rig_assert(rig, rig_logged(rig, "was read anew"), "the new pair was not said");
	if (follower) {
		rig_assert(rig, still_follows(follower), "the follower was cut");
		hang_up(follower);
	}
	rig_stop_flows(rig);
	world_done(&w);
}

static void test_the_token_changes(void **state)
{
	struct rig *rig = *state;
	struct world w;

	world_start(&w, rig);
	assert_string_equal(ask(&w, w.probe, "/healthz", NULL, 200), "");
	assert_string_equal(ask(&w, w.data, "/healthz", NULL, 401), "");
	assert_string_equal(ask(&w, w.data, "/healthz", "sesam", 401), "");
	assert_string_equal(ask(&w, w.data, "/healthz", "sesame", 200), "");
	put(&w, "token", "open\n");
	proc_sleep(BETWEEN);
	assert_string_equal(ask(&w, w.data, "/healthz", "sesame", 401), "");
	assert_string_equal(ask(&w, w.data, "/healthz", "open", 200), "");
	rig_assert(rig, !rig_logged(rig, "sesame"), "the token is in the log");
	rig_stop_flows(rig);
	world_done(&w);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_certificates_change_under_load),
		TEST(test_the_token_changes),
	};

	return rig_run("agent/tls", tests, ARRAY_SIZE(tests), argc, argv);
}
