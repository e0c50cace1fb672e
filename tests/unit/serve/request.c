/*
 * Heads of requests: what is taken, and what is refused with which status.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "serve/guard.h"
#include "serve/request.h"

#define H "Host: x\r\n"

static void heads(void **state)
{
	static const struct {
		const char *head;
		int status;
	} all[] = {
		{"GET / HTTP/1.1\r\n" H "\r\n", 0},
		{"GET / HTTP/1.0\r\n\r\n", 0},
		{"GET /a?b=c HTTP/1.1\r\nhost:x\r\n\r\n", 0},
		{"HEAD / HTTP/1.1\r\n" H "\r\n", 0},
		{"POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\n" H "X: \t\x80\xff\r\n\r\n", 0},
		{"GET / HTTP/1.1\r\n" H "X:\r\n\r\n", 0},
		{"GET / HTTP/1.9\r\n" H "\r\n", 0},
		/* RFC 9112 section 3.2: no Host, two, or one that is none */
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H H "\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		/* section 5: folds, blanks before the colon, no colon, no name */
		{"GET / HTTP/1.1\r\n" H " folded: y\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H "X : y\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H "X\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H ": y\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H "X: a\nY: b\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H "X: a\rY: b\r\n\r\n", 400},
		/* section 6: lengths */
		{"POST / HTTP/1.1\r\n" H "Content-Length: x\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		 400},
		{"GET / HTTP/1.1\r\n" H "Authorization: a\r\nauthorization: b\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\n" H "Origin: a\r\nORIGIN: b\r\n\r\n", 400},
		/* section 3: the first line */
		{"hello\r\n\r\n", 400},
		{"\r\n\r\n", 400},
		{"GET\r\n\r\n", 400},
		{"GET /\r\n\r\n", 400},
		{"GET  / HTTP/1.1\r\n" H "\r\n", 400},
		{"GET / HTTP/1.1 \r\n" H "\r\n", 400},
		{"GET / a HTTP/1.1\r\n" H "\r\n", 400},
		{"GET a HTTP/1.1\r\n" H "\r\n", 400},
		{"GET http://x/ HTTP/1.1\r\n" H "\r\n", 400},
		{"GET /\x80 HTTP/1.1\r\n" H "\r\n", 400},
		{"GET / HTTP/x.1\r\n" H "\r\n", 505},
		{"GET / HTTP/1.x\r\n" H "\r\n", 505},
		{"GET / HTTP/2.0\r\n" H "\r\n", 505},
		{"G(T / HTTP/1.1\r\n" H "\r\n", 400},
		{"PUT / HTTP/1.1\r\n" H "\r\n", 405},
		{"get / HTTP/1.1\r\n" H "\r\n", 405},
		/* no end */
		{"", 400},
		{"GET / HTTP/1.1\r\n" H, 400},
		{"GET / HTTP/1.1\n" H "\r\n", 400},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct web_request r = {0};
		const char *words = NULL;
		int status = request_parse(str_of(all[i].head), &r, &words);

		if (status != all[i].status || !status != !words)
			fail_msg("%d, not %d: %s", status, all[i].status, all[i].head);
		assert_true(status == 0 || r.path.n == 0);
	}
}

static void parts_of_a_head(void **state)
{
	struct web_request r = {0};
	const char *words = NULL;
	struct str head = STR("POST /api/v1/resync?sink=a%20b HTTP/1.1\r\nHOST:  localhost:1 \r\n"
			      "Origin: http://localhost:1\r\nauthorization: Bearer  t \r\n"
			      "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n");

	(void)state;
	assert_int_equal(request_parse(head, &r, &words), 0);
	assert_true(str_eq(r.path, STR("/api/v1/resync")));
	assert_true(str_eq(r.query, STR("sink=a%20b")));
	assert_true(r.post && r.body && !r.head);
	assert_true(str_eq(r.host, STR("localhost:1")));
	assert_true(str_eq(r.origin, STR("http://localhost:1")));
	assert_true(str_eq(r.authorization, STR("Bearer  t")));
	assert_true(str_eq(r.content_type, STR("application/json")));
}

/* ---- who may ask ----------------------------------------------------------------------------- */

static void hosts_of_this_machine(void **state)
{
	static const struct {
		const char *host;
		bool here;
	} all[] = {{"localhost", true},
		   {"LOCALHOST:9901", true},
		   {"127.0.0.1", true},
		   {"127.0.0.1:80", true},
		   {"127.9.8.7:80", true},
		   {"[::1]", true},
		   {"[::1]:9901", true},
		   {"", false},
		   {"x", false},
		   {"10.0.0.1", false},
		   {"0.0.0.0", false},
		   {"[::]:1", false},
		   {"[::1", false},
		   {"localhost.evil", false},
		   {"evil.localhost", false},
		   {"127.0.0.1.evil", false},
		   {"127.1", false},
		   {"[fe80::1]", false},
		   {"2130706433", false},
		   {"::1", false}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (guard_is_here(str_of(all[i].host)) != all[i].here)
			fail_msg("%s", all[i].host);
}

static void browsers(void **state)
{
	static const char json[] = "application/json", form[] = "application/x-www-form-urlencoded";
	static const struct {
		const char *host, *origin, *type;
		bool post, here, ok;
	} all[] = {
		{"localhost:1", "", "", false, true, true},
		{"evil.example", "", "", false, true, false}, /* rebound */
		{"evil.example", "", "", false, false, true},
		{"", "", "", false, true, true}, /* HTTP/1.0 */
		{"localhost:1", "http://evil.example", "", false, true, false},
		{"localhost:1", "null", "", false, true, false},
		{"localhost:1", "http://localhost:1", "", false, true, true},
		{"localhost:1", "https://localhost:1", "", false, true, true},
		{"localhost:1", "http://localhost:2", "", false, true, false},
		{"localhost:1", "http://127.0.0.1:1", "", false, true, false},
		{"localhost:1", "", "", true, true, true}, /* curl */
		{"localhost:1", "", form, true, true, true},
		{"localhost:1", "http://localhost:1", json, true, true, true},
		{"localhost:1", "http://localhost:1", "", true, true, false},
		{"localhost:1", "http://localhost:1", form, true, true, false},
		{"localhost:1", "http://localhost:1", "Text/Plain ;charset=utf-8", true, true,
		 false},
		{"localhost:1", "http://localhost:1", "multipart/form-data; boundary=a", true, true,
		 false},
		{"localhost:1", "http://evil.example", json, true, true, false},
		{"agent.example", "http://evil.example", json, true, false, false},
		{"", "http://", json, true, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct web_request r = {.host = str_of(all[i].host),
					.origin = str_of(all[i].origin),
					.content_type = str_of(all[i].type),
					.post = all[i].post};
		const char *words = NULL;
		int status = guard_browser(&r, all[i].here, &words);

		if (status != (all[i].ok ? 0 : 403) || !words != all[i].ok)
			fail_msg("%zu: %d", i, status);
	}
}

static void tokens(void **state)
{
	struct str t = {0};

	(void)state;
	assert_true(guard_bearer(STR("Bearer abc"), &t) && str_eq(t, STR("abc")));
	assert_true(guard_bearer(STR("bearer   abc "), &t) && str_eq(t, STR("abc")));
	assert_false(guard_bearer(STR("Basic abc"), &t));
	assert_false(guard_bearer(STR("Bearer"), &t));
	assert_false(guard_bearer(STR("Bearer "), &t));
	assert_false(guard_bearer(STR(""), &t));
	assert_true(guard_same(STR("abc"), STR("abc")));
	assert_false(guard_same(STR("abc"), STR("abd")));
	assert_false(guard_same(STR("abc"), STR("ab")));
	assert_false(guard_same(STR("abc"), STR("")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(heads),    cmocka_unit_test(parts_of_a_head),
		cmocka_unit_test(browsers), cmocka_unit_test(hosts_of_this_machine),
		cmocka_unit_test(tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
