/*
 * The agent's server over real sockets: what it answers, and what bad, slow and many
 * clients get.
 */
#include "tests/unit/serve/rig.h"
#include "tests/unit/sink/schema.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "serve/filter.h"
#include "serve/history.h"
#include "serve/listen.h"
#include "serve/web.h"
#include "tests/lib/torture.h"

#define IN_MAX (64UL << 20)

/* One question, answered whole. */
static struct buf ask(struct ask_rig *g, const char *request)
{
	struct buf in = {.max = IN_MAX};
	int fd = rig_connect(g);

	rig_say(fd, request);
	assert_true(rig_read(g, fd, &in, NULL, 8000));
	(void)close(fd);
	return in;
}

static struct buf get(struct ask_rig *g, const char *target)
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", target);
	return ask(g, text);
}

static void expect(struct ask_rig *g, const char *request, const char *status, const char *text)
{
	_buf_ struct buf in = ask(g, request);

	if (strncmp(in.p, "HTTP/1.1 ", 9) != 0 || strncmp(in.p + 9, status, strlen(status)) != 0 ||
	    !strstr(in.p, text))
		fail_msg("%s\nis answered with\n%s", request, in.p);
}

static int count(const struct buf *in, const char *text)
{
	int n = 0;

	for (const char *p = in->n ? in->p + in->off : ""; (p = strstr(p, text)); p++)
		n++;
	return n;
}

/* ---- requests -------------------------------------------------------------------------------- */

static void bad_requests_are_told_so(void **state)
{
	struct ask_rig *g = *state;
	char *much = malloc(20000);

	expect(g, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200 OK", "\r\n\r\nok\n");
	expect(g, "hello\r\n\r\n", "400", "no HTTP");
	expect(g, "\r\n\r\n", "400", "no HTTP");
	expect(g, "GET healthz HTTP/1.1\r\nHost: x\r\n\r\n", "400", "");
	expect(g, "GET /healthz HTTP/2.0\r\n\r\n", "505", "");
	expect(g, "PUT /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "405", "Allow: GET, HEAD, POST");
	expect(g, "POST /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "405", "asked by GET");
	expect(g, "GET /api/v1/resync HTTP/1.1\r\nHost: x\r\n\r\n", "405", "done by POST");
	expect(g, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", "404", "/api/v1/whois");
	expect(g, "GET /api/v1/flows?port=0 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "1 to 65535");
	expect(g, "GET /api/v1/flows?limit=0 HTTP/1.1\r\nHost: x\r\n\r\n", "400", "from 1 on");
	expect(g, "GET /api/v1/flows?until=noon HTTP/1.1\r\nHost: x\r\n\r\n", "400",
	       "until must be a time such as");
	expect(g, "GET /api/v1/flows?verdict=x HTTP/1.1\r\nHost: x\r\n\r\n", "400",
	       "failed or retrans");
	expect(g, "GET /api/v1/flows?last=soon HTTP/1.1\r\nHost: x\r\n\r\n", "400", "such as 5m");
	expect(g, "GET /api/v1/flows?colour=red HTTP/1.1\r\nHost: x\r\n\r\n", "400", "no filter");
	expect(g, "GET /api/v1/flows?from=%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400", "malformed");
	expect(g, "GET /api/v1/whois HTTP/1.1\r\nHost: x\r\n\r\n", "400", "missing");
	expect(g, "GET /api/v1/whois?q=1&at=x HTTP/1.1\r\nHost: x\r\n\r\n", "400", "at must be");
	memset(much, 'a', 20000);
	memcpy(much, "GET /", 5);
	much[19999] = '\0';
	expect(g, much, "431", "too long");
	free(much);
}

static void a_head_has_no_body(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = ask(g, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");

	assert_non_null(strstr(in.p, "200 OK"));
	assert_string_equal(strstr(in.p, "\r\n\r\n"), "\r\n\r\n");
}

static void a_request_may_come_byte_by_byte(void **state)
{
	struct ask_rig *g = *state;
	static const char text[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
	_buf_ struct buf in = {.max = IN_MAX};
	int fd = rig_connect(g);

	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		assert_int_equal(send(fd, text + i, 1, 0), 1);
		rig_turn(g);
	}
	assert_true(rig_read(g, fd, &in, "ok\n", 2000));
	(void)close(fd);
}

static void a_silent_client_is_cut(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	int fd = rig_connect(g);

	rig_say(fd, "GET /healthz HT");
	assert_true(rig_read(g, fd, &in, NULL, 8000));
	assert_non_null(strstr(in.p, "408"));
	(void)close(fd);
}

static void the_17th_client_is_turned_away(void **state)
{
	struct ask_rig *g = *state;
	int fds[WEB_MAX_CLIENTS], fd;
	_buf_ struct buf in = {.max = IN_MAX};

	for (int i = 0; i < WEB_MAX_CLIENTS; i++) {
		fds[i] = rig_connect(g);
		rig_turn(g);
	}
	fd = rig_connect(g);
	assert_true(rig_read(g, fd, &in, "too many clients", 2000));
	(void)close(fd);
	(void)close(fds[3]); /* one leaves: there is a place */
	for (int i = 0; i < 10; i++)
		rig_turn(g);
	expect(g, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200", "ok");
	for (int i = 0; i < WEB_MAX_CLIENTS; i++)
		if (i != 3)
			(void)close(fds[i]);
}

static void tcp_has_metrics_alone(void **state)
{
	struct ask_rig *g = *state;
	struct sockaddr_in sin = {.sin_family = AF_INET,
				  .sin_port = htons(serve_port(g->serve, WEB_PROBE)),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	static const struct {
		const char *target, *status;
	} all[] = {{"/metrics", "200"},
		   {"/healthz", "200"},
		   {"/api/v1/flows", "404"},
		   {"/api/v1/whois?q=1", "404"}};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		_buf_ struct buf in = {.max = IN_MAX};
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_int_equal(connect(fd, (struct sockaddr *)&sin, sizeof(sin)), 0);
		assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
		rig_get(fd, all[i].target);
		assert_true(rig_read(g, fd, &in, NULL, 5000));
		assert_memory_equal(in.p + 9, all[i].status, 3);
		(void)close(fd);
	}
}

/* ---- flows ----------------------------------------------------------------------------------- */

static void flows_are_listed_and_filtered(void **state)
{
	struct ask_rig *g = *state;
	static const struct {
		const char *query;
		int flows;
	} all[] = {{"", 1},
		   {"?last=5m", 4},
		   {"?last=5m&from=shop/web", 4},
		   {"?last=5m&from=shop/*", 4},
		   {"?last=5m&from=*/web", 4},
		   {"?last=5m&from=web", 4},
		   {"?last=5m&from=shop/db", 0},
		   {"?last=5m&to=shop%2Fdb", 4},
		   {"?last=5m&to=10.0.0.2", 4},
		   {"?last=5m&to=10.0.0.1", 0},
		   {"?last=5m&pod=shop/db-1", 4},
		   {"?last=5m&pod=web-*", 4},
		   {"?last=5m&pod=other/*", 0},
		   {"?last=5m&port=5432", 4},
		   {"?last=5m&port=1001", 0},
		   {"?last=5m&verdict=failed", 1},
		   {"?last=5m&verdict=retrans", 2},
		   {"?last=5m&verdict=retrans&from=x", 0},
		   {"?last=5m&until=-0s", 4},
		   {"?last=5m&until=-1h", 0},
		   {"?last=5m&until=2026-11-21T09:30:00%2B01:00", 0},
		   {"?last=5m&until=2200-01-01T00:00:00Z&verdict=failed", 1},
		   {"?limit=9", 1},
		   {"?last=5m&limit=3", 3},
		   {"?last=5m&limit=1", 1}};
	struct schema schema;

	assert_true(schema_load(&schema));
	rig_flow(g, ABI_TCP_OPEN, 1, 5, 0, 0);
	rig_flow(g, ABI_TCP_CLOSE, 2, 6, 0, 0);
	rig_flow(g, ABI_TCP_CLOSE, 3, 7, 2, 0);
	rig_flow(g, ABI_TCP_CLOSE, 4, 0, 1, ECONNREFUSED);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		char target[256];
		_buf_ struct buf in = {0};

		(void)snprintf(target, sizeof(target), "/api/v1/flows%s", all[i].query);
		in = get(g, target);
		if (count(&in, "\"event\"") != all[i].flows)
			fail_msg("%s: %d\n%s", target, count(&in, "\"event\""), in.p);
		for (char *l = in.p; (l = strstr(l, "{\"event\"")); l++)
			if (!schema_line(&schema, l, strcspn(l, "\n")))
				fail_msg("%s", schema.why);
	}
	json_decref(schema.root);
}

/* Ten thousand open flows are more than one piece. */
static void a_long_list_arrives_whole(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {0};

	for (uint64_t i = 1; i <= 10000; i++)
		rig_flow(g, ABI_TCP_OPEN, i, i, 0, 0);
	in = get(g, "/api/v1/flows");
	assert_int_equal(count(&in, "\"event\":\"open\""), 10000);
	assert_string_equal(in.p + in.n - 5, "0\r\n\r\n");
}

static void a_follower_sees_what_comes(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	int fd = rig_connect(g);

	rig_flow(g, ABI_TCP_OPEN, 1, 5, 0, 0);
	rig_get(fd, "/api/v1/flows?follow=1&port=5432");
	assert_true(rig_read(g, fd, &in, "chunked", 2000));
	for (int i = 0; i < 20; i++)
		rig_turn(g);
	rig_flow(g, ABI_TCP_OPEN, 2, 5, 0, 0);
	assert_true(rig_read(g, fd, &in, "\"event\":\"open\"", 2000));
	rig_flow(g, ABI_TCP_CLOSE, 2, 9, 0, 0);
	assert_true(rig_read(g, fd, &in, "\"event\":\"close\"", 2000));
	rig_flow(g, ABI_TCP_CLOSE, 1, 9, 0, 0);
	assert_true(rig_read(g, fd, &in, "\"port\":1001", 2000));
	assert_int_equal(count(&in, "\"event\":\"open\""), 1); /* not what was open before */
	(void)close(fd);
	for (int i = 0; i < 20; i++)
		rig_turn(g);
	rig_flow(g, ABI_TCP_OPEN, 3, 9, 0, 0); /* nobody is there any more */
	for (int i = 0; i < 20; i++)
		rig_turn(g);
	{
		_buf_ struct buf page = get(g, "/metrics");

		assert_non_null(strstr(page.p, "\nkindred_followers 0\n"));
	}
}

static void a_follower_may_want_a_few_alone(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	int fd = rig_connect(g);

	rig_get(fd, "/api/v1/flows?follow=1&limit=2");
	assert_true(rig_read(g, fd, &in, "chunked", 2000));
	for (uint64_t i = 1; i <= 5; i++)
		rig_flow(g, ABI_TCP_OPEN, i, i, 0, 0);
	assert_true(rig_read(g, fd, &in, NULL, 2000)); /* ended by the agent */
	assert_int_equal(count(&in, "\"event\":\"open\""), 2);
	assert_int_equal(count(&in, "slow_reader"), 0);
	(void)close(fd);
}

/* Free cursors of the table: a follower takes one, and gives it back. */
static int free_cursors(struct ask_rig *g)
{
	struct flow_cursor *c[FLOWS_MAX_CURSORS + 1];
	int n = 0;

	while (flows_cursor_add(g->flows, &c[n]) == 0)
		n++;
	for (int i = 0; i < n; i++)
		flows_cursor_remove(g->flows, &c[i]);
	return n;
}

static void nobody_follows_nothing_costs(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	int before = free_cursors(g), fds[2];

	for (int i = 0; i < 2; i++) {
		fds[i] = rig_connect(g);
		rig_get(fds[i], "/api/v1/flows?follow=1");
		assert_true(rig_read(g, fds[i], &in, "chunked", 2000));
	}
	assert_int_equal(free_cursors(g), before - 1);
	for (int i = 0; i < 2; i++)
		(void)close(fds[i]);
	for (int i = 0; i < 20; i++)
		rig_turn(g);
	assert_int_equal(free_cursors(g), before);
}

static void the_9th_follower_is_turned_away(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};
	int fds[SERVE_MAX_FOLLOWERS + 1];

	for (int i = 0; i <= SERVE_MAX_FOLLOWERS; i++) {
		buf_reset(&in);
		fds[i] = rig_connect(g);
		rig_get(fds[i], "/api/v1/flows?follow=1");
		assert_true(rig_read(g, fds[i], &in,
				     i < SERVE_MAX_FOLLOWERS ? "chunked" : "too many follow",
				     2000));
	}
	for (int i = 0; i <= SERVE_MAX_FOLLOWERS; i++)
		(void)close(fds[i]);
}

/* A reader that falls behind is told how many lines it missed, and the others see all. */
static void a_slow_follower_is_told_and_cut(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf slow = {.max = IN_MAX}, quick = {.max = IN_MAX};
	int fds[2], told;
	char *lost;

	for (int i = 0; i < 2; i++) {
		fds[i] = rig_connect(g);
		rig_get(fds[i], "/api/v1/flows?follow=1");
		assert_true(rig_read(g, fds[i], i ? &quick : &slow, "chunked", 2000));
	}
	for (int i = 0; i < 20; i++)
		rig_turn(g);
	for (uint64_t i = 1; i <= 5000; i++) {
		rig_flow(g, ABI_TCP_OPEN, i, i, 0, 0);
		if (i % 100 == 0)
			(void)rig_read(g, fds[1], &quick, "never", 5);
	}
	(void)rig_read(g, fds[1], &quick, "\"port\":6000,", 5000);
	assert_int_equal(count(&quick, "\"event\":\"open\""), 5000);
	assert_true(rig_read(g, fds[0], &slow, NULL, 5000)); /* ended by the agent */
	told = count(&slow, "\"event\":\"open\"");
	lost = strstr(slow.p, "\"reason\":\"slow_reader\",\"count\":");
	assert_non_null(lost);
	assert_in_range(told, 1, 4999);
	assert_int_equal(told + (int)strtol(lost + 31, NULL, 10), 5000);
	(void)close(fds[0]);
	(void)close(fds[1]);
}

static void who_leaves_amid_an_answer_is_forgotten(void **state)
{
	struct ask_rig *g = *state;
	_buf_ struct buf in = {.max = IN_MAX};

	for (uint64_t i = 1; i <= 5000; i++)
		rig_flow(g, ABI_TCP_OPEN, i, i, 0, 0);
	for (int i = 0; i < 40; i++) {
		int fd = rig_connect(g);

		rig_get(fd, i % 2 ? "/api/v1/flows" : "/api/v1/flows?last=1m&follow=1");
		assert_true(rig_read(g, fd, &in, "HTTP", 2000));
		buf_reset(&in);
		(void)close(fd);
		for (int k = 0; k < 5; k++)
			rig_turn(g);
	}
	expect(g, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200", "ok");
}

/* ---- history and patterns -------------------------------------------------------------------- */

static void history_keeps_the_last_ones(void **state)
{
	struct history *h = NULL;
	struct flow_view v = {.local = {.workload = STR("web")}}, got;
	struct history_stats s;
	uint64_t number = 0;

	(void)state;
	assert_int_equal(history_new(10, 1UL << 20, &h), 0);
	for (nsec_t i = 1; i <= 25; i++) {
		v.ended = i;
		history_put(h, &v);
	}
	for (nsec_t i = 16; history_next(h, number, &number, &got); i++) {
		assert_int_equal(got.ended, i);
		assert_memory_equal(got.local.workload.p, "web", 3);
	}
	assert_int_equal(number, 25);
	assert_int_equal(history_reaches(h), 15);
	history_free(&h);
	assert_int_equal(history_new(1000, 10000, &h), 0);
	for (int i = 0; i < 1000; i++) {
		history_put(h, &v);
		history_stats(h, &s);
		assert_in_range(s.bytes, 0, 10000 + 1000 * sizeof(void *));
	}
	assert_true(s.entries > 2);
	history_free(&h);
}

static void patterns(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} all[] = {{"", "", true},
		   {"*", "", true},
		   {"*", "abc", true},
		   {"a*", "abc", true},
		   {"*c", "abc", true},
		   {"a*c", "abc", true},
		   {"a*b", "abc", false},
		   {"abc", "abcd", false},
		   {"*a*a*", "banana", true},
		   {"*a*b*", "banana", false},
		   {"a", "", false},
		   {"**", "x", true},
		   {"*ab", "aab", true}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		if (glob_match(str_of(all[i].pattern), str_of(all[i].text)) != all[i].fits)
			fail_msg("%s %s", all[i].pattern, all[i].text);
}

static void durations(void **state)
{
	nsec_t t = 7;

	(void)state;
	assert_int_equal(query_duration(STR("1h30m"), &t), 0);
	assert_int_equal(t, 5400 * NSEC_PER_SEC);
	assert_int_equal(query_duration(STR("250ms"), &t), 0);
	assert_int_equal(t, 250 * NSEC_PER_MSEC);
	assert_int_equal(query_duration(STR("0s"), &t), 0);
	assert_int_equal(query_duration(STR(""), &t), -EINVAL);
	assert_int_equal(query_duration(STR("m"), &t), -EINVAL);
	assert_int_equal(query_duration(STR("-5m"), &t), -EINVAL);
	assert_int_equal(query_duration(STR("99999999999999999h"), &t), -EINVAL);
}

/* ---- the socket's file ----------------------------------------------------------------------- */

static int start(struct ask_rig *g, const char *path, struct serve **ret)
{
	const struct serve_opts o = {.base = g->base, .socket = path};

	buf_reset(&g->words);
	return serve_new(&o, ret, &g->words);
}

static void a_living_agents_socket_is_left_alone(void **state)
{
	struct ask_rig *g = *state;
	struct serve *other = NULL;
	struct stat st;

	assert_int_equal(start(g, g->socket, &other), -EADDRINUSE);
	assert_non_null(memmem(g->words.p, g->words.n, "another agent", 13));
	expect(g, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", "200", "ok");
	assert_int_equal(stat(g->socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
}

static void a_dead_agents_socket_is_taken_over(void **state)
{
	struct ask_rig *g = *state;
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	struct serve *other = NULL;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	(void)snprintf(sun.sun_path, sizeof(sun.sun_path), "%s/dead", g->folder);
	assert_int_equal(bind(fd, (struct sockaddr *)&sun, sizeof(sun)), 0);
	(void)close(fd);
	assert_int_equal(start(g, sun.sun_path, &other), 0);
	serve_free(&other);
	assert_int_equal(access(sun.sun_path, F_OK), -1);
}

static void what_is_no_socket_is_left_alone(void **state)
{
	struct ask_rig *g = *state;
	struct serve *other = NULL;
	char path[100];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/file", g->folder);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	(void)close(fd);
	assert_int_equal(start(g, path, &other), -EEXIST);
	assert_int_equal(unlink(path), 0);
	(void)snprintf(path, sizeof(path), "%s/none/none/sock", g->folder);
	assert_int_equal(start(g, path, &other), -ENOENT);
}

static int tortured(void *ctx)
{
	struct ask_rig *g = ctx;
	struct serve_opts o = {.base = g->base, .flows = g->flows, .scope = &g->scope};
	_buf_ struct buf words = {.max = 4096};
	struct serve *s = NULL;
	char path[100];
	int r;

	(void)snprintf(path, sizeof(path), "%s/torture", g->folder);
	o.socket = path;
	r = serve_new(&o, &s, &words);
	serve_free(&s);
	return r;
}

static void no_memory_is_an_error(void **state)
{
	assert_int_equal(torture_run(tortured, *state), 0);
}

#define T(name) cmocka_unit_test_setup_teardown(name, ask_rig_setup, ask_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(bad_requests_are_told_so),
		T(a_head_has_no_body),
		T(a_request_may_come_byte_by_byte),
		T(a_silent_client_is_cut),
		T(the_17th_client_is_turned_away),
		T(tcp_has_metrics_alone),
		T(flows_are_listed_and_filtered),
		T(a_long_list_arrives_whole),
		T(a_follower_sees_what_comes),
		T(a_follower_may_want_a_few_alone),
		T(nobody_follows_nothing_costs),
		T(the_9th_follower_is_turned_away),
		T(a_slow_follower_is_told_and_cut),
		T(who_leaves_amid_an_answer_is_forgotten),
		cmocka_unit_test(history_keeps_the_last_ones),
		cmocka_unit_test(patterns),
		cmocka_unit_test(durations),
		T(a_living_agents_socket_is_left_alone),
		T(a_dead_agents_socket_is_taken_over),
		T(what_is_no_socket_is_left_alone),
		T(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
