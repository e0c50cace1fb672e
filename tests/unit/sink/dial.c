/*
 * Dialing with TLS against a server with a certificate made here: accepted, for
 * another name, of another authority, expired, and a server that speaks no TLS.
 */
#include "sink/reducer/dial.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "sink/reducer/hostinfo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct world {
	struct event_base *base;
	struct evconnlistener *listener;
	struct bufferevent *server;
	SSL_CTX *ctx; /* NULL: the server speaks no TLS */
	uint16_t port;
	struct dial *d;
	struct bufferevent *bev;
	char text[DIAL_MAX_TEXT];
	int done;
	char got[64];
};

/* A self-signed certificate with these subjectAltNames, good from `from` to `to` seconds from now;
 * written to `path`. */
static SSL_CTX *server_ctx(const char *names, long from, long to, const char *path)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	FILE *f = fopen(path, "w");

	assert_true(key && x && ctx && ext && f);
	(void)X509_set_version(x, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(x), from + to);
	(void)X509_gmtime_adj(X509_getm_notBefore(x), from);
	(void)X509_gmtime_adj(X509_getm_notAfter(x), to);
	(void)X509_set_pubkey(x, key);
	(void)X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
					 (const unsigned char *)"reducer", -1, -1, 0);
	(void)X509_set_issuer_name(x, X509_get_subject_name(x));
	(void)X509_add_ext(x, ext, -1);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_X509(f, x), 1);
	(void)fclose(f);
	assert_int_equal(SSL_CTX_use_certificate(ctx, x), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
	X509_EXTENSION_free(ext);
	X509_free(x);
	EVP_PKEY_free(key);
	return ctx;
}

static void on_server_read(struct bufferevent *bev, void *ctx)
{
	struct world *w = ctx;
	const size_t held = strlen(w->got);

	(void)evbuffer_remove(bufferevent_get_input(bev), w->got + held, sizeof(w->got) - 1 - held);
}

static void on_server_event(struct bufferevent *bev, short what, void *ctx)
{
	(void)bev;
	(void)what;
	(void)ctx;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len,
		      void *ctx)
{
	struct world *w = ctx;

	(void)l;
	(void)sa;
	(void)len;
	if (w->server)
		bufferevent_free(w->server);
	if (w->ctx)
		w->server = bufferevent_openssl_socket_new(w->base, fd, SSL_new(w->ctx),
							   BUFFEREVENT_SSL_ACCEPTING,
							   BEV_OPT_CLOSE_ON_FREE);
	else
		w->server = bufferevent_socket_new(w->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(w->server, on_server_read, NULL, on_server_event, w);
	(void)bufferevent_enable(w->server, EV_READ | EV_WRITE);
	if (!w->ctx)
		(void)bufferevent_write(w->server, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
}

static void on_done(void *ctx, struct bufferevent *bev, const char *text)
{
	struct world *w = ctx;

	w->bev = bev;
	w->done++;
	(void)snprintf(w->text, sizeof(w->text), "%s", text);
}

static void world_init(struct world *w)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(sa);

	*w = (struct world){.base = event_base_new()};
	w->listener = evconnlistener_new_bind(w->base, on_accept, w, LEV_OPT_CLOSE_ON_FREE, 4,
					      (struct sockaddr *)&sa, sizeof(sa));
	assert_non_null(w->listener);
	(void)getsockname(evconnlistener_get_fd(w->listener), (struct sockaddr *)&sa, &n);
	w->port = ntohs(sa.sin_port);
}

static void world_done(struct world *w)
{
	if (w->bev)
		bufferevent_free(w->bev);
	if (w->server)
		bufferevent_free(w->server);
	dial_free(&w->d);
	SSL_CTX_free(w->ctx);
	evconnlistener_free(w->listener);
	event_base_free(w->base);
}

static int dial(struct world *w, const char *host, const char *ca)
{
	const struct dial_opts o = {
		.base = w->base,
		.host = host,
		.port = w->port,
		.timeout = 500 * NSEC_PER_MSEC,
		.tls = true,
		.ca_file = ca,
		.done = on_done,
		.ctx = w,
	};
	const int r = dial_new(&o, &w->d, w->text);

	if (r < 0)
		return r;
	dial_start(w->d);
	assert_int_equal(w->done, 0); /* never from inside the call */
	while (!w->done)
		(void)event_base_loop(w->base, EVLOOP_ONCE);
	return 0;
}

static void verifies_the_server(void **state)
{
	static const char names[] = "DNS:localhost,IP:127.0.0.1";
	static const struct {
		const char *host, *names;
		long from, to;
		bool other_ca;
		const char *reason; /* NULL: accepted */
	} cases[] = {
		{"localhost", names, -60, 3600, false, NULL},
		{"127.0.0.1", names, -60, 3600, false, NULL},
		{"localhost", "DNS:other.example", -60, 3600, false, "hostname mismatch"},
		{"127.0.0.1", "DNS:127.0.0.1", -60, 3600, false, "IP address mismatch"},
		{"localhost", names, -3600, -60, false, "expired"},
		{"localhost", names, 3600, 7200, false, "not yet valid"},
		{"localhost", names, -60, 3600, true, "self-signed certificate"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char path[] = "/tmp/kindred-dial-XXXXXX", other[] = "/tmp/kindred-dial-XXXXXX";
		struct world w;

		(void)close(mkstemp(path));
		(void)close(mkstemp(other));
		world_init(&w);
		SSL_CTX_free(server_ctx(names, -60, 3600, other));
		w.ctx = server_ctx(cases[i].names, cases[i].from, cases[i].to, path);
		assert_int_equal(dial(&w, cases[i].host, cases[i].other_ca ? other : path), 0);
		if (cases[i].reason) {
			assert_null(w.bev);
			assert_non_null(strstr(w.text, "the certificate is not accepted"));
			assert_non_null(strstr(w.text, cases[i].reason));
		} else {
			assert_non_null(w.bev);
			(void)bufferevent_enable(w.bev, EV_READ | EV_WRITE);
			(void)bufferevent_write(w.bev, "hello", 5);
			while (strlen(w.got) < 5)
				(void)event_base_loop(w.base, EVLOOP_ONCE);
			assert_string_equal(w.got, "hello");
		}
		(void)unlink(path);
		(void)unlink(other);
		world_done(&w);
	}
}

static void needs_tls_on_the_other_side(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	assert_int_equal(dial(&w, "127.0.0.1", NULL), 0);
	assert_null(w.bev);
	assert_memory_equal(w.text, "TLS: ", 5);
	world_done(&w);
}

static void names_a_bad_ca_file(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	assert_int_equal(dial(&w, "127.0.0.1", "/nonexistent/ca.pem"), -EINVAL);
	assert_non_null(strstr(w.text, "CA file /nonexistent/ca.pem: No such file or directory"));
	world_done(&w);
}

/* ---- resolving ------------------------------------------------------------------------------- */

struct dns {
	int fd;
	bool answers;
	unsigned int asked;
};

/* A name server that says 127.0.0.1 to every question for an IPv4 address, or nothing at all. */
static void on_question(evutil_socket_t fd, short what, void *ctx)
{
	static const unsigned char answer[] = {0xc0, 0x0c, 0, 1, 0,   1, 0, 0,
					       0,    60,   0, 4, 127, 0, 0, 1};
	struct dns *dns = ctx;
	unsigned char q[512];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, q, sizeof(q) - sizeof(answer), 0, (struct sockaddr *)&from, &len);

	(void)what;
	dns->asked++;
	if (n < 16 || !dns->answers)
		return;
	q[2] |= 0x80;	      /* RFC 1035 section 4.1.1: QR */
	q[7] = q[n - 3] == 1; /* ANCOUNT: one for a question of type A */
	if (q[7])
		memcpy(q + n, answer, sizeof(answer));
	(void)sendto(fd, q, (size_t)n + (q[7] ? sizeof(answer) : 0), 0, (struct sockaddr *)&from,
		     len);
}

static void dns_start(struct dns *dns, char *path)
{
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	char line[64];
	int fd;

	dns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(dns->fd, (struct sockaddr *)&sa, len), 0);
	(void)getsockname(dns->fd, (struct sockaddr *)&sa, &len);
	fd = mkstemp(path);
	(void)snprintf(line, sizeof(line), "nameserver 127.0.0.1:%u\n", ntohs(sa.sin_port));
	assert_int_equal(write(fd, line, strlen(line)), (ssize_t)strlen(line));
	(void)close(fd);
}

enum dns_case { ANSWERS, SILENT, CANCELED, DNS_CASES };

static void one_dial(struct world *w, struct dns *dns, enum dns_case how)
{
	w->done = 0;
	dns->asked = 0;
	dial_start(w->d);
	while (!w->done && !(how == CANCELED && dns->asked))
		(void)event_base_loop(w->base, EVLOOP_ONCE);
	if (how == CANCELED) {
		assert_true(dial_busy(w->d));
		dial_cancel(w->d);
	} else if (how == SILENT) {
		assert_null(w->bev);
		assert_string_equal(w->text, "cannot resolve the name: no answer");
	} else {
		assert_non_null(w->bev);
		assert_memory_equal(w->text, "127.0.0.1:", 10);
		bufferevent_free(w->bev);
		w->bev = NULL;
	}
}

static void resolves_by_dns(void **state)
{
	(void)state;
	for (enum dns_case how = ANSWERS; how < DNS_CASES; how++) {
		char path[] = "/tmp/kindred-dial-XXXXXX";
		struct dns dns = {.answers = how == ANSWERS};
		struct dial_opts o;
		struct event *ev;
		struct world w;

		world_init(&w);
		dns_start(&dns, path);
		ev = event_new(w.base, dns.fd, EV_READ | EV_PERSIST, on_question, &dns);
		(void)event_add(ev, NULL);
		o = (struct dial_opts){
			.base = w.base,
			.host = "reducer.example",
			.port = w.port,
			.timeout = 300 * NSEC_PER_MSEC,
			.resolv_conf = path,
			.done = on_done,
			.ctx = &w,
		};
		assert_int_equal(dial_new(&o, &w.d, w.text), 0);
		one_dial(&w, &dns, how);
		one_dial(&w, &dns, how); /* at once: the lookup before may still be there */
		while (dial_busy(w.d))
			(void)event_base_loop(w.base, EVLOOP_ONCE);
		for (int i = 0; i < 3; i++) /* nothing comes after a cancel */
			(void)event_base_loop(w.base, EVLOOP_NONBLOCK);
		assert_int_equal(w.done, how != CANCELED);
		event_free(ev);
		(void)close(dns.fd);
		(void)unlink(path);
		world_done(&w);
	}
}

/* ---- the host -------------------------------------------------------------------------------- */

static void knows_its_host(void **state)
{
	struct hostinfo_usage last = {0};
	struct session_usage u;
	struct addr addrs[64];
	char name[HOSTINFO_NAME_MAX], text[ADDR_TEXT_MAX];
	const uint32_t n = hostinfo_addrs(addrs, 64);

	(void)state;
	hostinfo_name(name);
	assert_true(name[0] != '\0');
	assert_true(hostinfo_cpus() >= 1);
	assert_int_equal(hostinfo_addrs(addrs, 0), 0);
	for (uint32_t i = 0; i < n; i++) {
		assert_true(strncmp(addr_print(&addrs[i], text), "127.", 4) != 0);
		assert_true(strncmp(text, "fe80", 4) != 0 && strcmp(text, "::1") != 0);
	}
	hostinfo_usage(&last, NSEC_PER_SEC, &u);
	assert_int_equal(u.cpu_agent, 0); /* no time between two looks yet */
	assert_true(u.max_rss > 65536);
	hostinfo_usage(&last, 2 * NSEC_PER_SEC, &u);
	assert_in_range(u.cpu_agent, 0, 10000);
	assert_in_range(u.cpu_idle, 0, 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(verifies_the_server),
		cmocka_unit_test(needs_tls_on_the_other_side),
		cmocka_unit_test(names_a_bad_ca_file),
		cmocka_unit_test(resolves_by_dns),
		cmocka_unit_test(knows_its_host),
	};

	log_setup(LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
