/*
 * The flow table when memory is short: what cannot be taken in is counted and can
 * be given again, what is in stays whole, the ledger balances, nothing leaks.
 */
#include "flow/flows.h"

#include "base/mem.h"
#include "flow_abi.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
#define T0  (1000 * SEC)

static struct abi_tcp tcp(uint32_t n)
{
	struct abi_tcp t = {
		.head = {.type = ABI_TCP_OPEN,
			 .version = ABI_VERSION,
			 .size = sizeof(t),
			 .time = T0 + n},
		.sk = 0xffff888000000000ULL + n % 150 * 64,
		.sock = {.start = T0 + n,
			 .updated = T0 + n,
			 .cgroup = 10 + n % 90,
			 .tuple = {.lport = n % 2 ? 80 : (uint16_t)(1000 + n),
				   .rport = n % 2 ? (uint16_t)(1000 + n - 1) : 80,
				   .netns = 1},
			 .asked_port = n % 3 ? 0 : 8080,
			 .state = 1,
			 .pid = n % 7 + 1,
			 .flags = ABI_SOCK_WAS_OPEN},
	};

	t.sock.tuple.laddr[15] = t.sock.tuple.raddr[15] = 9;
	t.sock.asked_addr[0] = 1;
	return t;
}

static void check(const struct flows *f)
{
	struct flows_stats s;
	uint64_t sum = 0;

	flows_stats(f, &s);
	for (int i = 0; i < _FLOW_DROP_MAX; i++)
		sum += s.dropped[i];
	assert_true((int64_t)s.started == (int64_t)(s.reported + s.open + sum) + s.unaccounted);
}

/* Once more after a failure. */
static int record(struct flows *f, const void *p, size_t n)
{
	int r = flows_record(f, T0, str_make(p, n));

	check(f);
	if (r == -ENOMEM)
		r = flows_record(f, T0, str_make(p, n));
	return r;
}

static int cgroups(struct flows *f, uint32_t n)
{
	char name[100];
	int r = 0;

	for (uint32_t i = 1; r == 0 && i < n; i++) {
		if (i % 3 == 0)
			(void)snprintf(name, sizeof(name), "pod%032x", i);
		else
			(void)snprintf(name, sizeof(name), "cri-containerd-%064x.scope", i);
		r = flows_cgroup(f, T0, i, i / 3 * 3 == i ? i + 3 : i / 3 * 3, str_of(name));
		if (r == -ENOMEM)
			r = flows_cgroup(f, T0, i, i / 3 * 3, str_of(name));
	}
	return r;
}

static int name_all(struct flows *f, nsec_t now)
{
	static const char *const words[] = {"a", "b", "c", "d", "e"};
	flow_id id;
	int r = 0;

	while (r == 0 && (id = flows_unnamed(f, now))) {
		struct flow_end local = {.known_by = KNOWN_CGROUP,
					 .workload = str_of(words[id % 5])};
		struct flow_end remote = {.known_by = KNOWN_ADDRESS, .pod = str_of(words[id % 4])};

		if (id % 4 == 0 && !flows_overdue(f, id, now))
			local = (struct flow_end){.why = UNKNOWN_PENDING};
		r = flows_name(f, now, id, &local, &remote);
		if (r == -ENOMEM)
			r = flows_name(f, now, id, &local, &remote);
	}
	return r;
}

static int others(struct flows *f, uint32_t i)
{
	const struct flows_endpoint from = {.ip = {{[15] = 9}}, .port = (uint16_t)(1000 + i)},
				    asked = {.ip = {{[15] = 9}}, .port = 80},
				    to = {.ip = {{[15] = 8}}, .port = 80};
	struct abi_udp_key k = {.cgroup = i % 5, .lport = (uint16_t)i, .rport = 53};
	struct abi_udp u = {.first = T0, .last = T0, .sent = i};
	struct abi_dns d = {.head = {.type = ABI_DNS, .version = ABI_VERSION, .size = sizeof(d)},
			    .key = k,
			    .egress = 1,
			    .len = 21,
			    .captured = 21,
			    .data = {0, (uint8_t)i, 1, 0, 0, 1,	  0,   0,
				     0, 0,	    0, 0, 3, 'a', 'b', (uint8_t)('a' + i % 26),
				     0, 0,	    1, 0, 1}};
	struct flows_found s = {.lport = (uint16_t)i, .rport = 7, .cgroup = 3};
	int r;

	(void)flows_udp(f, T0, &k, &u);
	flows_nat(f, T0, FLOW_TCP, &from, &asked, &to, false);
	r = record(f, &d, sizeof(d));
	if (r == 0)
		r = flows_pre_existing(f, T0, &s);
	k.rport = 0;
	u.dropped = i;
	(void)flows_udp(f, T0, &k, &u);
	return r;
}

static int story(struct flows *f, struct flow_cursor *c, uint32_t n)
{
	struct flow_view v;
	flow_id id;
	int r = cgroups(f, MIN(n, 80U));

	for (uint32_t i = 0; r == 0 && i < n; i++) {
		struct abi_tcp t = tcp(i);

		r = record(f, &t, sizeof(t));
		if (r == 0 && i % 4 == 0)
			r = others(f, i);
		if (r == 0 && i % 8 == 0)
			r = name_all(f, T0);
		t.head.type = ABI_TCP_CLOSE; /* of one that is known: cannot fail */
		if (r == 0 && i % 2)
			assert_int_equal(flows_record(f, T0, str_make(&t, sizeof(t))), 0);
		check(f);
	}
	if (r == 0)
		r = name_all(f, T0 + 100 * SEC);
	(void)flows_tick(f, T0 + 200 * SEC);
	while ((id = flows_cursor_next(f, c))) {
		assert_true(flows_at(f, id, &v));
		flows_cursor_done(f, c, id);
	}
	check(f);
	return r;
}

static int run(void *ctx)
{
	struct flows_opts o = {.max_dns = 16};
	struct flow_cursor *c = NULL;
	struct flows *f = NULL;
	int r = flows_new(&o, &f);

	if (r == 0)
		r = flows_cursor_add(f, &c);
	if (r == 0)
		r = story(f, c, *(uint32_t *)ctx);
	if (f)
		flows_cursor_remove(f, &c);
	flows_free(&f);
	return r;
}

static void a_short_story_survives(void **state)
{
	uint32_t n = 20;

	(void)state;
	assert_int_equal(run(&n), 0);
	assert_int_equal(torture_run(run, &n), 0);
}

/* Enough for pools and indexes to grow. */
static void a_longer_one_too(void **state)
{
	uint32_t n = 300;

	(void)state;
	assert_int_equal(run(&n), 0);
	assert_int_equal(torture_run(run, &n), 0);
}

/* A flow whose only record found no memory is dropped, and counted once. */
static int lose(void *ctx)
{
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_STARTED] = 1};
	struct flows_stats s;
	struct flows *f = ctx;
	struct abi_tcp t = tcp(0);
	int r;

	t.head.type = ABI_TCP_CLOSE;
	t.sock.pid = 0;
	r = flows_record(f, T0, str_make(&t, sizeof(t)));
	flows_kernel_counts(f, counts, _ABI_COUNT_MAX);
	flows_stats(f, &s);
	assert_true(s.started == s.reported + s.open + s.dropped[FLOW_DROP_MEMORY]);
	assert_true(s.unaccounted == 0);
	if (r == -ENOMEM)
		assert_true(s.dropped[FLOW_DROP_MEMORY] >= 1);
	return r;
}

static int lose_one(void *ctx)
{
	struct flows *f = NULL;
	int r = flows_new(&(struct flows_opts){.max_dns = 1}, &f);

	(void)ctx;
	if (r == 0)
		r = lose(f);
	flows_free(&f);
	return r;
}

static void a_lost_flow_is_counted(void **state)
{
	(void)state;
	assert_int_equal(torture_run(lose_one, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_short_story_survives),
		cmocka_unit_test(a_longer_one_too),
		cmocka_unit_test(a_lost_flow_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
