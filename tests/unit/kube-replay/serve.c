/*
 * kube-replay as a process, spoken to over a socket: what a client that lists,
 * pages and watches ends up with, and what the faults look like on the wire.
 */
#include "tests/unit/kube-replay/client.h"

#include "tests/kube-replay/encode.h"
#include "tests/kube-replay/pb.h"
#include "tests/kube-replay/span.h"

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#define WATCH  "watch=1&allowWatchBookmarks=true&timeoutSeconds=1"
#define STREAM "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"

/* ---- a client's table: uid and resourceVersion ---- */

struct table {
	struct {
		char uid[40], rv[24];
	} v[4096];
	size_t n;
	char rv[24]; /* to go on from */
};

static void table_set(struct table *t, struct str uid, struct str rv, bool gone)
{
	size_t i = 0;

	while (i < t->n && !str_eq(str_of(t->v[i].uid), uid))
		i++;
	snprintf(t->rv, sizeof(t->rv), "%.*s", STR_ARG(rv));
	if (gone) {
		assert_true(i < t->n);
		t->v[i] = t->v[--t->n];
		return;
	}
	assert_true(i < ARRAY_SIZE(t->v));
	t->n += i == t->n;
	snprintf(t->v[i].uid, sizeof(t->v[i].uid), "%.*s", STR_ARG(uid));
	snprintf(t->v[i].rv, sizeof(t->v[i].rv), "%.*s", STR_ARG(rv));
}

static void table_event(struct table *t, struct str type, struct str uid, struct str rv)
{
	assert_false(str_eq(type, STR("ERROR")));
	if (str_eq(type, STR("BOOKMARK")))
		snprintf(t->rv, sizeof(t->rv), "%.*s", STR_ARG(rv));
	else
		table_set(t, uid, rv, str_eq(type, STR("DELETED")));
}

/* Returns the continue token, empty on the last page. */
static struct str table_list_json(struct table *t, struct str body)
{
	struct str meta, items, item;
	size_t off = 0;

	assert_true(span_member(body, "metadata", &meta));
	assert_true(span_member(body, "items", &items));
	while (span_element(items, &off, &item)) {
		struct str m;

		assert_true(span_member(item, "metadata", &m));
		table_set(t, span_text(m, "uid"), span_text(m, "resourceVersion"), false);
	}
	snprintf(t->rv, sizeof(t->rv), "%.*s", STR_ARG(span_text(meta, "resourceVersion")));
	return span_text(meta, "continue");
}

static void table_watch_json(struct table *t, struct str body)
{
	while (body.n) {
		struct str line, object, meta;

		if (!str_split(&body, '\n', &line))
			return; /* cut */
		assert_true(span_member(line, "object", &object));
		assert_true(span_member(object, "metadata", &meta));
		table_event(t, span_text(line, "type"), span_text(meta, "uid"),
			    span_text(meta, "resourceVersion"));
	}
}

static void table_watch_pb(struct table *t, struct str body)
{
	while (body.n >= 4) {
		struct str event, object, meta;
		uint32_t n;

		memcpy(&n, body.p, 4);
		n = ntohl(n);
		if (n > body.n - 4)
			return;
		event = str_make(body.p + 4, n);
		body = str_from(body, 4 + (size_t)n);
		object = pb_get(pb_get(event, 2), 1);
		assert_true(str_starts(object, PB_MAGIC));
		meta = pb_get(pb_get(str_from(object, 4), 2), 1);
		table_event(t, pb_get(event, 1), pb_get(meta, 5), pb_get(meta, 6));
	}
}

/* Against truth-pods.tsv: uid in column 0, resourceVersion in column 15. */
static void table_check(const struct table *t)
{
	_buf_ struct buf b;
	struct str rest, line;
	size_t n = 0;

	buf_init(&b, READ_MAX);
	assert_int_equal(read_recorded(DIR, "truth-pods", ".tsv", &b), 0);
	rest = buf_str(&b);
	str_split(&rest, '\n', &line);
	while (rest.n) {
		struct str col[16];
		size_t i = 0;

		str_split(&rest, '\n', &line);
		for (int c = 0; c < 16; c++)
			str_split(&line, '\t', &col[c]);
		while (i < t->n && !str_eq(str_of(t->v[i].uid), col[0]))
			i++;
		assert_true(i < t->n);
		assert_true(str_eq(str_of(t->v[i].rv), col[15]));
		n++;
	}
	assert_int_equal(n, t->n);
}

/* ---- tests ---- */

static struct table table;

static void list_and_watch(const struct replay *r, size_t limit)
{
	char target[2048], cont[1600] = "";
	struct answer a;
	int pages = 0;

	do {
		assert_true(pages++ < 101); /* a token that leads nowhere new */
		snprintf(target, sizeof(target), "/api/v1/pods?limit=%zu%s%s", limit,
			 *cont ? "&continue=" : "", cont);
		get(r, target, "application/json", &a);
		assert_int_equal(a.status, 200);
		snprintf(cont, sizeof(cont), "%.*s",
			 STR_ARG(table_list_json(&table, buf_str(&a.body))));
		answer_done(&a);
	} while (*cont);
	assert_int_equal(table.n, 101);
	/* The first connection is cut in the middle: go on from what was seen. */
	for (int i = 0; i < 2; i++) {
		snprintf(target, sizeof(target), "/api/v1/pods?" WATCH "&resourceVersion=%s",
			 table.rv);
		get(r, target, "application/json", &a);
		assert_int_equal(a.status, 200);
		assert_int_equal(a.complete, i == 1);
		table_watch_json(&table, buf_str(&a.body));
		answer_done(&a);
	}
}

static void test_list_watch_resume(void **state)
{
	static const char *const more[] = {"--speed", "0", "--fault", "cut-watch=1000000@times=1",
					   NULL};
	struct replay r;

	(void)state;
	for (size_t limit = 0; limit < 20; limit += 7) {
		table = (struct table){0};
		start(&r, DIR, more);
		list_and_watch(&r, limit);
		stop(&r);
		table_check(&table);
	}
}

static void test_streaming_list(void **state)
{
	static const char *const more[] = {"--speed", "0", NULL};
	static const char *const accept[] = {PB, (PB META), "application/json",
					     ("application/json" META)};
	struct replay r;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		struct answer a;

		table = (struct table){0};
		start(&r, DIR, more);
		get(&r, "/api/v1/pods?" WATCH STREAM, accept[i], &a);
		assert_int_equal(a.status, 200);
		assert_true(a.complete);
		assert_non_null(memmem(a.body.p, a.body.n, "initial-events-end", 18));
		if (i < 2)
			table_watch_pb(&table, buf_str(&a.body));
		else
			table_watch_json(&table, buf_str(&a.body));
		answer_done(&a);
		stop(&r);
		table_check(&table);
	}
}

/* Recorded time at 232 times its speed: all over within a second or so. */
static void test_speed(void **state)
{
	static const char *const more[] = {"--speed", "232", NULL};
	struct replay r;
	struct answer a;

	(void)state;
	table = (struct table){0};
	start(&r, DIR, more);
	get(&r, "/api/v1/pods?" WATCH STREAM, "application/json", &a);
	assert_true(a.complete);
	table_watch_json(&table, buf_str(&a.body));
	assert_true(table.n > 0);
	answer_done(&a);
	nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
	get(&r, "/api/v1/pods", "application/json", &a);
	table = (struct table){0};
	table_list_json(&table, buf_str(&a.body));
	answer_done(&a);
	stop(&r);
	table_check(&table);
}

/* A filtered watch, event for event as recorded; bookmarks fell on other moments. */
static void check_filtered(const struct replay *r, const char *query, const char *name)
{
	_buf_ struct buf want;
	struct str w, h, wl, hl;
	char target[512];
	struct answer a;
	size_t n = 0;

	buf_init(&want, READ_MAX);
	assert_int_equal(read_recorded(DIR, name, ".body", &want), 0);
	snprintf(target, sizeof(target), "%s" WATCH "&resourceVersion=2265", query);
	get(r, target, "application/json", &a);
	w = buf_str(&want);
	h = buf_str(&a.body);
	while (w.n || h.n) {
		str_split(&w, '\n', &wl);
		while (h.n && (str_split(&h, '\n', &hl), true) &&
		       str_eq(span_text(hl, "type"), STR("BOOKMARK")))
			;
		while (w.n && str_eq(span_text(wl, "type"), STR("BOOKMARK")))
			str_split(&w, '\n', &wl);
		if (str_eq(span_text(wl, "type"), STR("BOOKMARK")))
			break;
		assert_true(str_eq(wl, hl));
		n++;
	}
	assert_true(n > 30);
	answer_done(&a);
}

static void test_selectors(void **state)
{
	static const char *const more[] = {"--speed", "0", NULL};
	struct replay r;

	(void)state;
	start(&r, DIR, more);
	check_filtered(&r, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-12.fixture.internal&",
		       "watch-pods-node-json");
	check_filtered(&r, "/api/v1/pods?fieldSelector=status.phase%3DRunning&",
		       "watch-pods-running-json");
	check_filtered(&r, "/api/v1/namespaces/data-platform/pods?", "watch-pods-ns-json");
	stop(&r);
}

struct fault_case {
	const char *fault, *target, *accept;
	int status; /* 0: no answer at all */
	bool complete;
	const char *has; /* in head or body; NULL: anything */
};

#define LIST_T	"/api/v1/pods"
#define WATCH_T "/api/v1/pods?" WATCH "&resourceVersion=2265"

static const struct fault_case fault_cases[] = {
	{"401", LIST_T, PB, 401, true, "Unauthorized"},
	{"403=pods", LIST_T, PB, 403, true, "pods is forbidden"},
	{"403=jobs", LIST_T, PB, 200, true, "PodList"},
	{"404", "/api/v1/namespaces/a/pods/b", PB, 404, true, "not found"},
	{"410", LIST_T "?limit=5", PB, 410, true, "Expired"},
	{"429=7", LIST_T, PB, 429, true, "Retry-After: 7\r\n"},
	{"500", LIST_T, PB, 500, true, "InternalError"},
	{"504", LIST_T, PB, 504, true, "{\"metadata\":{},\"status\":\"Failure\""},
	{"redirect=https://elsewhere/", LIST_T, PB, 302, true, "Location: https://elsewhere/\r\n"},
	{"html=503", LIST_T, PB, 503, true, "<!DOCTYPE html>"},
	{"empty", LIST_T, PB, 200, true, "Content-Length: 0\r\n"},
	{"garbage=100", LIST_T, PB, 200, true, "Content-Length: 100\r\n"},
	{"no-protobuf", LIST_T, PB, 406, true, "Not Acceptable"},
	{"no-protobuf", LIST_T, PB ",application/json", 200, true,
	 "Content-Type: application/json"},
	{"401,json-status", LIST_T, PB, 401, true, "{\"kind\":\"Status\""},
	{"content-type=text/html", LIST_T, PB, 200, true, "Content-Type: text/html"},
	{"no-streaming-list", "/api/v1/pods?" WATCH STREAM, PB, 422, true,
	 "WatchList feature gate"},
	{"410-watch", WATCH_T, PB, 200, true, "too old resource version: 2265"},
	{"error-event=504", WATCH_T, "application/json", 200, true, "\"code\":504"},
	{"end-events=3", WATCH_T, PB, 200, true, NULL},
	{"cut=5000", LIST_T, PB, 200, false, NULL},
	{"cut-chunk=5000", LIST_T, PB, 200, false, NULL},
	{"truncate=5000", LIST_T, PB, 200, true, NULL},
	{"oversized=3", LIST_T, PB, 200, true, "oversized"},
	{"depth=1000", WATCH_T, PB, 200, true, "replay-hostile"},
	{"bad-utf8", LIST_T, "application/json", 200, true, "bad-utf8-\xff\xfe"},
	{"nul", LIST_T, "application/json", 200, true, "nul-\\u0000-name"},
	{"many-owners=50", LIST_T, PB, 200, true, "owner-49"},
	{"owner-cycle", "/apis/apps/v1/replicasets", PB, 200, true, "cycle-b"},
	{"negative-length", WATCH_T, PB, 200, true, "\xff\xff\xff\xff"},
	{"huge-length", WATCH_T, PB, 200, true, "\x7f\xff\xff\xff"},
	{"long-line=2", LIST_T, "application/json", 200, false, "aaaaaaaaaaaaaaaa"},
	{"404@nth=2", LIST_T, PB, 200, true, NULL},
	{"404@after=60", LIST_T, PB, 200, true, NULL},
	{"404@p=0", LIST_T, PB, 200, true, NULL},
	{"404-watch", LIST_T, PB, 200, true, NULL},
};

static void set_fault(const struct replay *r, const char *fault)
{
	char target[256];
	struct answer a;

	snprintf(target, sizeof(target), "/replay/fault?set=%s", fault);
	ask(r, "POST", target, "*/*", &a);
	answer_done(&a);
}

static bool has_text(const struct answer *a, const char *text)
{
	return memmem(a->head.p, a->head.n, text, strlen(text)) ||
	       (a->body.n && memmem(a->body.p, a->body.n, text, strlen(text)));
}

static void test_faults(void **state)
{
	static const char *const more[] = {"--speed", "0", NULL};
	struct replay r;

	(void)state;
	start(&r, DIR, more);
	for (size_t i = 0; i < ARRAY_SIZE(fault_cases); i++) {
		const struct fault_case *c = &fault_cases[i];
		struct answer a;

		set_fault(&r, c->fault);
		get(&r, c->target, c->accept, &a);
		if (a.status != c->status || a.complete != c->complete ||
		    (c->has && !has_text(&a, c->has)))
			fail_msg("fault %s: status %d, complete %d, %zu bytes", c->fault, a.status,
				 a.complete, a.body.n);
		answer_done(&a);
	}
	stop(&r);
}

static void test_control(void **state)
{
	static const char *const more[] = {"--speed", "0",   "--start", "paused",
					   "--token", "one", NULL};
	struct replay r;
	struct answer a;

	(void)state;
	start(&r, DIR, more);
	get(&r, LIST_T, "application/json", &a);
	assert_int_equal(a.status, 401);
	answer_done(&a);
	ask(&r, "POST", "/replay/token?value=", "*/*", &a);
	answer_done(&a);
	get(&r, LIST_T, "application/json", &a);
	assert_int_equal(a.status, 200);
	assert_true(has_text(&a, "\"resourceVersion\":\"2265\"},\"items\""));
	answer_done(&a);
	ask(&r, "POST", "/replay/advance?end=1", "*/*", &a);
	answer_done(&a);
	table = (struct table){0};
	get(&r, LIST_T, "application/json", &a);
	table_list_json(&table, buf_str(&a.body));
	answer_done(&a);
	table_check(&table);
	ask(&r, "POST", "/replay/compact?now=1", "*/*", &a);
	answer_done(&a);
	get(&r, WATCH_T, "application/json", &a);
	assert_true(has_text(&a, "too old resource version: 2265"));
	answer_done(&a);
	get(&r, "/replay/state", "*/*", &a);
	assert_true(has_text(&a, "\"finished\": true"));
	answer_done(&a);
	stop(&r);
}

/* X509_V_OK or the reason the handshake failed for. */
static long handshake(const struct replay *r, const char *ca)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *ssl = SSL_new(ctx);
	_close_ int fd = dial(r);
	long result;

	assert_int_equal(X509_STORE_load_file(SSL_CTX_get_cert_store(ctx), ca), 1);
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), "127.0.0.1");
	SSL_set_fd(ssl, fd);
	(void)SSL_connect(ssl);
	result = SSL_get_verify_result(ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	return result;
}

static void test_tls(void **state)
{
	static const struct {
		const char *option;
		long result;
	} cases[] = {
		{"--tls", X509_V_OK},
		{"--tls-expired", X509_V_ERR_CERT_HAS_EXPIRED},
		{"--tls-wrong-host", X509_V_ERR_IP_ADDRESS_MISMATCH},
	};
	char ca[64];

	(void)state;
	snprintf(ca, sizeof(ca), "/tmp/kube-replay-ca-%d.pem", (int)getpid());
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *more[] = {cases[i].option, "--ca-out", ca, NULL};
		struct replay r;

		start(&r, DIR, more);
		assert_int_equal(handshake(&r, ca), cases[i].result);
		stop(&r);
	}
	unlink(ca);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list_watch_resume),
		cmocka_unit_test(test_streaming_list),
		cmocka_unit_test(test_speed),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_tls),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
