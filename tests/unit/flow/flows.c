/*
 * The flow table, one case a rule of flows.h.
 */
#include "flow/flows.h"

#include "base/mem.h"
#include "flow_abi.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
#define T0  (1000 * SEC)
#define SK  0xffff888000001000ULL

static const struct flow_end web = {
	.known_by = KNOWN_CGROUP, .ns = STR("shop"), .workload = STR("web")};
static const struct flow_end pending = {.why = UNKNOWN_PENDING};
static const struct flow_end nobody = {.why = UNKNOWN_ADDRESS};
static const struct flow_end by_address = {.known_by = KNOWN_ADDRESS, .workload = STR("db")};

struct rig {
	struct flows *f;
	struct flow_cursor *c;
};

static void start_with(struct rig *r, struct flows_opts o)
{
	assert_int_equal(flows_new(&o, &r->f), 0);
	assert_int_equal(flows_cursor_add(r->f, &r->c), 0);
}

static void start(struct rig *r)
{
	start_with(r, (struct flows_opts){0});
}

/* With the counts that the kernel gave. */
static void check_figures(const struct rig *r, uint64_t started, uint64_t reported, uint64_t open,
			  int64_t unaccounted)
{
	struct flows_stats s;
	uint64_t sum = 0;

	flows_stats(r->f, &s);
	for (int i = 0; i < _FLOW_DROP_MAX; i++)
		sum += s.dropped[i];
	assert_int_equal(s.started, started);
	assert_int_equal(s.reported, reported);
	assert_int_equal(s.open, open);
	assert_int_equal(s.unaccounted, unaccounted);
	assert_int_equal((int64_t)s.started, (int64_t)(s.reported + s.open + sum) + unaccounted);
}

/* The kernel counted so many: no more and no fewer are known here. */
static void check_ledger(const struct rig *r, uint64_t started, uint64_t reported, uint64_t open)
{
	struct flows_stats s;

	flows_stats(r->f, &s);
	s.kernel[ABI_COUNT_STARTED] = started - (s.started - s.kernel[ABI_COUNT_STARTED]);
	flows_kernel_counts(r->f, s.kernel, _ABI_COUNT_MAX);
	check_figures(r, started, reported, open, 0);
}

static void stop(struct rig *r)
{
	flows_cursor_remove(r->f, &r->c);
	flows_free(&r->f);
	assert_null(r->f);
}

static void ip4(uint8_t out[16], uint8_t a, uint8_t d)
{
	memset(out, 0, 16);
	out[10] = out[11] = 0xff;
	out[12] = a;
	out[15] = d;
}

/* 10.0.0.1:lport → 10.0.0.2:80, established. */
static struct abi_tcp tcp(uint16_t lport)
{
	struct abi_tcp t = {
		.head = {.type = ABI_TCP_OPEN,
			 .version = ABI_VERSION,
			 .size = sizeof(t),
			 .time = T0 + 1},
		.sk = SK,
		.sock = {.start = T0,
			 .updated = T0,
			 .cgroup = 10,
			 .tuple = {.lport = lport, .rport = 80, .netns = 1},
			 .state = 1,
			 .dir = ABI_DIR_OUT,
			 .flags = ABI_SOCK_WAS_OPEN},
	};

	ip4(t.sock.tuple.laddr, 10, 1);
	ip4(t.sock.tuple.raddr, 10, 2);
	return t;
}

static struct abi_tcp mirrored(const struct abi_tcp *t)
{
	struct abi_tcp m = *t;

	m.sk = t->sk + 0x1000;
	memcpy(m.sock.tuple.laddr, t->sock.tuple.raddr, 16);
	memcpy(m.sock.tuple.raddr, t->sock.tuple.laddr, 16);
	m.sock.tuple.lport = t->sock.tuple.rport;
	m.sock.tuple.rport = t->sock.tuple.lport;
	m.sock.dir = ABI_DIR_IN;
	m.sock.tuple.netns = 2;
	return m;
}

static void give(const struct rig *r, struct abi_tcp *t, enum abi_type type)
{
	t->head.type = (uint8_t)type;
	assert_int_equal(flows_record(r->f, T0 + 1, str_make(t, sizeof(*t))), 0);
}

/* Names all that is due; returns how many. */
static int name_all(const struct rig *r, nsec_t now, const struct flow_end *local,
		    const struct flow_end *remote)
{
	flow_id id;
	int n = 0;

	for (; (id = flows_unnamed(r->f, now)) && n < 1000; n++)
		assert_int_equal(flows_name(r->f, now, id, local, remote), 0);
	return n;
}

static flow_id read_one(const struct rig *r, struct flow_view *v)
{
	flow_id id = flows_cursor_next(r->f, r->c);

	if (id) {
		assert_true(flows_at(r->f, id, v));
		assert_int_equal(v->id, id);
		flows_cursor_done(r->f, r->c, id);
	}
	return id;
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void opens_and_closes(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000);

	(void)state;
	start(&r);
	give(&r, &t, ABI_TCP_OPEN);
	assert_int_equal(flows_next(r.f, 0), 0); /* not named yet: in no cursor */
	assert_true(flows_cursor_at_end(r.f, r.c));
	check_ledger(&r, 1, 0, 1);
	assert_int_equal(name_all(&r, T0 + 2 * SEC, &web, &by_address), 1);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.named && v.state == FLOW_OPEN && !v.ended && v.sk == SK && v.start == T0);
	assert_true(v.dir == FLOW_OUT && v.lport == 1000 && v.rport == 80 && v.cgroup_id == 10);
	assert_true(str_eq(v.local.workload, STR("web")) && str_eq(v.remote.workload, STR("db")));
	assert_int_equal(read_one(&r, &v), 0);

	t.sock.counters = (struct abi_counters){
		.sent = 100, .received = 7, .retrans = 2, .srtt_us = 30, .rtt_min_us = 10};
	t.sock.updated = T0 + 5;
	t.head.time = T0 + 9;
	give(&r, &t, ABI_TCP_CLOSE);
	check_ledger(&r, 1, 1, 0);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.state == FLOW_CLOSED && v.reason == FLOW_REASON_NONE && v.ended == T0 + 9);
	assert_true(v.counters.sent == 100 && v.counters.received == 7 && v.counters.retrans == 2);
	assert_true(v.counters.rtt_us == 30 && v.counters.rtt_min_us == 10);
	assert_false(flows_at(r.f, v.id, &v)); /* every cursor was done */

	give(&r, &t, ABI_TCP_CLOSE); /* once more, and late */
	give(&r, &t, ABI_TCP_OPEN);
	check_ledger(&r, 1, 1, 0);
	stop(&r);
}

static void a_listener_is_no_flow(void **state)
{
	struct rig r;
	struct abi_tcp t = tcp(80);
	struct flow_proc p;

	(void)state;
	start(&r);
	t.sock.state = 10;
	t.sock.pid = 77;
	memcpy(t.sock.comm, "nginx", 5);
	give(&r, &t, ABI_TCP_OPEN);
	check_ledger(&r, 0, 0, 0);
	assert_true(flows_proc(r.f, 77, &p));
	assert_true(str_eq(p.comm, STR("nginx")) && !p.gone);
	stop(&r);
}

static void ends_say_why(void **state)
{
	static const struct {
		uint16_t err, flags;
		enum flow_state state;
		enum flow_reason reason;
		bool syn_timeout;
	} cases[] = {
		{ECONNREFUSED, 0, FLOW_FAILED, FLOW_REASON_REFUSED, false},
		{ETIMEDOUT, 0, FLOW_FAILED, FLOW_REASON_TIMED_OUT, true},
		{EHOSTUNREACH, 0, FLOW_FAILED, FLOW_REASON_UNREACHABLE, false},
		{ENETUNREACH, 0, FLOW_FAILED, FLOW_REASON_UNREACHABLE, false},
		{0, 0, FLOW_FAILED, FLOW_REASON_ABORTED, false},
		{EIO, 0, FLOW_FAILED, FLOW_REASON_ERROR, false},
		{0, ABI_SOCK_WAS_OPEN, FLOW_CLOSED, FLOW_REASON_NONE, false},
		{ECONNRESET, ABI_SOCK_WAS_OPEN, FLOW_RESET, FLOW_REASON_RST_RECEIVED, false},
		{0, ABI_SOCK_WAS_OPEN | ABI_SOCK_RST_RECEIVED, FLOW_RESET, FLOW_REASON_RST_RECEIVED,
		 false},
		{EPIPE, ABI_SOCK_WAS_OPEN | ABI_SOCK_RST_RECEIVED, FLOW_RESET,
		 FLOW_REASON_RST_RECEIVED, false},
		{0, ABI_SOCK_WAS_OPEN | ABI_SOCK_RST_SENT, FLOW_RESET, FLOW_REASON_RST_SENT, false},
		{ETIMEDOUT, ABI_SOCK_WAS_OPEN, FLOW_RESET, FLOW_REASON_TIMED_OUT, false},
		{EIO, ABI_SOCK_WAS_OPEN, FLOW_RESET, FLOW_REASON_ERROR, false},
	};
	struct rig r;
	struct flow_view v;

	(void)state;
	start(&r);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct abi_tcp t = tcp((uint16_t)i);

		t.sock.start += i;
		t.sock.err = cases[i].err;
		t.sock.flags = cases[i].flags;
		give(&r, &t, ABI_TCP_CLOSE); /* its open was not seen: it ends as it is made */
		(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
		assert_int_not_equal(read_one(&r, &v), 0);
		assert_int_equal(v.state, cases[i].state);
		assert_int_equal(v.reason, cases[i].reason);
		assert_int_equal(v.syn_timeout, cases[i].syn_timeout);
	}
	check_ledger(&r, ARRAY_SIZE(cases), ARRAY_SIZE(cases), 0);
	stop(&r);
}

static void what_is_older_never_harms(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000), old = t, before = t;

	(void)state;
	start(&r);
	t.sock.updated = T0 + 100;
	t.sock.counters.sent = 50;
	give(&r, &t, ABI_TCP_OPEN);
	old.sock.updated = T0 + 50;
	old.sock.counters.sent = 20;
	assert_false(flows_sock(r.f, T0 + SEC, t.sk, &old.sock));
	before.sock.start = T0 - 5; /* another socket at that address, before */
	before.sock.tuple.lport = 999;
	give(&r, &before, ABI_TCP_OPEN);
	check_ledger(&r, 1, 0, 1);
	give(&r, &before, ABI_TCP_CLOSE);
	check_ledger(&r, 2, 0, 2);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	check_ledger(&r, 2, 1, 1);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.lport == 1000 && v.state == FLOW_OPEN && v.counters.sent == 50);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.lport == 999 && v.ended);
	stop(&r);
}

static void the_poll_tells_what_the_ring_could_not(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000);

	(void)state;
	start(&r);
	t.sock.flags |= ABI_SOCK_OPEN_UNSENT;
	t.sock.pid = 5;
	flows_poll_begin(r.f, T0);
	assert_false(flows_sock(r.f, T0, t.sk, &t.sock));
	flows_poll_end(r.f, T0);
	check_ledger(&r, 1, 0, 1);
	t.sock.flags |= ABI_SOCK_CLOSE_UNSENT;
	t.sock.counters.sent = 9;
	t.sock.updated = T0 + 4;
	assert_true(flows_sock(r.f, T0 + SEC, t.sk, &t.sock));
	assert_true(flows_sock(r.f, T0 + SEC, t.sk, &t.sock)); /* it could not be deleted */
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.state == FLOW_CLOSED && v.counters.sent == 9 && v.ended == T0 + 4);
	check_ledger(&r, 1, 1, 0);
	stop(&r);
}

static void refreshes_are_changes_only_with_news(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000);

	(void)state;
	start(&r);
	give(&r, &t, ABI_TCP_OPEN);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	(void)read_one(&r, &v);
	t.sock.updated++;
	assert_false(flows_sock(r.f, T0 + SEC, t.sk, &t.sock));
	assert_true(flows_cursor_at_end(r.f, r.c));
	t.sock.updated++;
	t.sock.counters.received = 1;
	assert_false(flows_sock(r.f, T0 + SEC, t.sk, &t.sock));
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_int_equal(v.counters.received, 1);
	stop(&r);
}

static void poll_without(const struct rig *r, nsec_t now)
{
	flows_poll_begin(r->f, now);
	flows_poll_end(r->f, now);
}

static void two_polls_without_an_entry_are_the_end(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000);
	struct flows_found s = {.lport = 5, .rport = 6};
	struct flows_stats st;

	(void)state;
	start(&r);
	flows_poll_begin(r.f, T0);
	give(&r, &t, ABI_TCP_OPEN); /* amid a poll: this one does not count */
	assert_int_equal(flows_pre_existing(r.f, T0, &s), 0);
	flows_poll_end(r.f, T0);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	poll_without(&r, T0 + 5 * SEC);
	flows_poll_begin(r.f, T0);
	assert_false(flows_sock(r.f, T0, t.sk, &t.sock)); /* shown again: counted anew */
	flows_poll_end(r.f, T0);
	poll_without(&r, T0 + 10 * SEC);
	check_ledger(&r, 2, 0, 2);
	poll_without(&r, T0 + 15 * SEC);
	check_ledger(&r, 2, 1, 1);
	while (read_one(&r, &v))
		assert_true(v.lport == 5
				    ? v.state == FLOW_OPEN
				    : v.state == FLOW_LOST && v.reason == FLOW_REASON_CLOSE_LOST);
	flows_stats(r.f, &st);
	assert_int_equal(st.close_lost, 1);
	stop(&r);
}

/* One end is lost, the other comes late. */
static void an_address_that_comes_again_waits_for_the_end(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000), u = tcp(1002), next = tcp(1001), after = tcp(1003);
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_STARTED] = 5, [ABI_COUNT_DROP_CLOSE] = 1};
	int lost = 0, closed = 0;

	(void)state;
	u.sk = t.sk + 64;
	start(&r);
	give(&r, &t, ABI_TCP_OPEN);
	give(&r, &u, ABI_TCP_OPEN);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	next.sk = t.sk;
	after.sk = u.sk;
	next.sock.start = after.sock.start = T0 + SEC;
	give(&r, &next, ABI_TCP_OPEN);
	give(&r, &after, ABI_TCP_OPEN);
	u.sock.flags |= ABI_SOCK_CLOSE_UNSENT | ABI_SOCK_WAS_OPEN;
	u.sock.state = 7;
	assert_true(flows_sock(r.f, T0 + 2 * SEC, u.sk, &u.sock));
	for (int i = 0; i < 2; i++) {
		flows_poll_begin(r.f, T0);
		assert_false(flows_sock(r.f, T0, next.sk, &next.sock));
		assert_false(flows_sock(r.f, T0, after.sk, &after.sock));
		flows_poll_end(r.f, T0 + 5 * SEC);
	}
	flows_kernel_counts(r.f, counts, _ABI_COUNT_MAX);
	/* Reported as lost, so not counted as dropped, too; the fifth is not told of yet. */
	check_figures(&r, 5, 2, 2, 1);
	while (read_one(&r, &v)) {
		lost += v.lport == 1000 && v.reason == FLOW_REASON_CLOSE_LOST;
		closed += v.lport == 1002 && v.state == FLOW_CLOSED;
	}
	assert_true(lost == 1 && closed == 1);
	stop(&r);
}

/* ---- twins and translations ------------------------------------------------------------------ */

static flow_id by_port(const struct rig *r, uint16_t lport, struct flow_view *v)
{
	for (flow_id id = 1; id <= flows_ids(r->f); id++)
		if (flows_at(r->f, id, v) && v->lport == lport)
			return id;
	fail();
	return 0;
}

static bool are_twins(const struct abi_tcp *a, const struct abi_tcp *b)
{
	struct rig r;
	struct flow_view v, w;
	struct abi_tcp x = *a, y = *b;
	flow_id i, j;

	start(&r);
	give(&r, &x, (enum abi_type)a->head.type);
	give(&r, &y, (enum abi_type)b->head.type);
	i = by_port(&r, a->sock.tuple.lport, &v);
	j = by_port(&r, b->sock.tuple.lport, &w);
	assert_true((v.twin == j && w.twin == i) || (!v.twin && !w.twin));
	stop(&r);
	return v.twin;
}

static void twins_know_each_other(void **state)
{
	struct abi_tcp a = tcp(1000), b = mirrored(&a), c;

	(void)state;
	assert_true(are_twins(&a, &b));
	assert_true(are_twins(&b, &a));
	c = b;
	c.sock.tuple.lport = 81;
	assert_false(are_twins(&a, &c));
	c = b;
	c.sock.dir = ABI_DIR_OUT;
	assert_false(are_twins(&a, &c));
	c = a; /* ended long before the other began */
	c.head.type = ABI_TCP_CLOSE;
	c.head.time = T0 + 10;
	b.sock.start = T0 + SEC;
	assert_false(are_twins(&c, &b));
	b.sock.start = T0 + 5;
	assert_true(are_twins(&c, &b));
	c.sock.flags = 0;
	c.sock.err = ECONNREFUSED;
	assert_false(are_twins(&c, &b));
	ip4(a.sock.tuple.laddr, 127, 1); /* loopback is a host's own */
	ip4(a.sock.tuple.raddr, 127, 1);
	b = mirrored(&a);
	assert_false(are_twins(&a, &b));
	b.sock.tuple.netns = 1;
	assert_true(are_twins(&a, &b));
	a.sock.tuple.netns = b.sock.tuple.netns = 0;
	assert_false(are_twins(&a, &b));
}

static void a_twin_brings_another_look(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp a = tcp(1000), b = mirrored(&a);
	flow_id id;

	(void)state;
	start(&r);
	give(&r, &a, ABI_TCP_OPEN);
	assert_int_equal(name_all(&r, T0 + 2 * SEC, &web, &by_address), 1);
	give(&r, &b, ABI_TCP_OPEN);
	id = flows_unnamed(r.f, T0 + 2 * SEC); /* new ones first */
	assert_true(flows_at(r.f, id, &v) && v.lport == 80);
	assert_int_equal(flows_name(r.f, T0 + 2 * SEC, id, &web, &web), 0);
	id = flows_unnamed(r.f, T0 + 2 * SEC);
	assert_true(flows_at(r.f, id, &v) && v.lport == 1000 && v.twin);
	assert_int_equal(flows_name(r.f, T0 + 2 * SEC, id, &web, &web), 0);
	assert_true(flows_at(r.f, id, &v) && v.remote.known_by == KNOWN_CGROUP);
	assert_int_equal(flows_unnamed(r.f, T0 + 2 * SEC), 0);
	stop(&r);
}

static struct flows_endpoint endpoint(uint8_t a, uint8_t d, uint16_t port)
{
	struct flows_endpoint e = {.port = port};

	ip4(e.ip.b, a, d);
	return e;
}

static void what_was_asked_is_kept(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000), u = tcp(1001);

	(void)state;
	start(&r);
	ip4(t.sock.asked_addr, 96, 9);
	t.sock.asked_port = 8080;
	give(&r, &t, ABI_TCP_OPEN);
	(void)by_port(&r, 1000, &v);
	assert_true(v.translated && v.asked.port == 8080 && v.rport == 80 &&
		    v.asked.ip.b[12] == 96);
	memcpy(u.sock.asked_addr, u.sock.tuple.raddr, 16);
	u.sock.asked_port = 80;
	u.sk++;
	give(&r, &u, ABI_TCP_OPEN);
	(void)by_port(&r, 1001, &v);
	assert_false(v.translated);
	assert_int_equal(v.asked.port, 80);
	stop(&r);
}

static void conntrack_may_come_before_or_after(void **state)
{
	const struct flows_endpoint from = endpoint(10, 1, 1000), asked = endpoint(10, 2, 80),
				    to = endpoint(10, 3, 8080), other = endpoint(10, 4, 8080);

	(void)state;
	for (int before = 0; before < 2; before++) {
		struct rig r;
		struct flow_view v;
		struct abi_tcp t = tcp(1000), backend;

		start(&r);
		if (before)
			flows_nat(r.f, T0, FLOW_TCP, &from, &asked, &to, false);
		give(&r, &t, ABI_TCP_OPEN);
		if (before)
			flows_nat_read(r.f, T0 + SEC);
		(void)name_all(&r, T0, &web, &by_address);
		if (!before) {
			(void)read_one(&r, &v);
			assert_false(v.translated);
			flows_nat(r.f, T0 + SEC, FLOW_TCP, &from, &asked, &to, false);
		}
		assert_int_not_equal(read_one(&r, &v), 0);
		assert_true(v.translated && v.rport == 8080 && v.raddr.b[15] == 3);
		assert_true(v.asked.port == 80 && v.asked.ip.b[15] == 2);
		/* One that was made after the flow came up is not its own. */
		flows_nat(r.f, T0 + 2 * SEC, FLOW_TCP, &from, &asked, &other, false);
		(void)by_port(&r, 1000, &v);
		assert_true(v.raddr.b[15] == 3 && v.asked.ip.b[15] == 2 && !v.doubt);
		backend = mirrored(&t); /* its other end is the backend's */
		ip4(backend.sock.tuple.laddr, 10, 3);
		backend.sock.tuple.lport = 8080;
		give(&r, &backend, ABI_TCP_OPEN);
		(void)by_port(&r, 1000, &v);
		assert_int_not_equal(v.twin, 0);
		give(&r, &t, ABI_TCP_CLOSE);
		give(&r, &backend, ABI_TCP_CLOSE);
		(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
		while (read_one(&r, &v))
			;
		flows_nat(r.f, T0 + 3 * SEC, FLOW_TCP, &from, &asked, &other, true);
		t.sock.start = t.sock.updated = t.head.time = T0 + 4 * SEC;
		give(&r, &t, ABI_TCP_OPEN);
		(void)by_port(&r, 1000, &v);
		assert_false(v.translated);
		stop(&r);
	}
}

/* ---- UDP ------------------------------------------------------------------------------------- */

static struct abi_udp_key udp_key(void)
{
	struct abi_udp_key k = {.cgroup = 10, .lport = 5000, .rport = 53};

	ip4(k.laddr, 10, 1);
	ip4(k.raddr, 10, 2);
	return k;
}

static void udp_lives_until_it_is_silent(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_udp_key k = udp_key();
	struct abi_udp u = {.first = T0,
			    .last = T0 + SEC,
			    .sent = 100,
			    .received = 300,
			    .sent_packets = 1,
			    .received_packets = 3,
			    .dropped = 1,
			    .dropped_bytes = 100,
			    .dir = ABI_DIR_OUT};
	struct flows_stats s;
	const struct flows_endpoint from = endpoint(10, 1, 5000), asked = endpoint(10, 2, 53),
				    to = endpoint(10, 3, 53);

	(void)state;
	start(&r);
	assert_false(flows_udp(r.f, T0 + 2 * SEC, &k, &u));
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.proto == FLOW_UDP && v.dir == FLOW_OUT && v.start == T0 && v.cgroup_id == 10);
	assert_true(v.counters.sent == 100 && v.counters.received == 200);
	assert_true(v.counters.segs_in == 2 && v.counters.dropped == 1);
	flows_nat(r.f, T0, FLOW_UDP, &from, &asked, &to, false); /* its key stays */
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_int_equal(v.raddr.b[15], 3);
	assert_false(flows_udp(r.f, T0 + 3 * SEC, &k, &u));
	assert_true(flows_cursor_at_end(r.f, r.c));
	u.sent += 5;
	u.last += SEC;
	assert_false(flows_udp(r.f, T0 + 3 * SEC, &k, &u));
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_int_equal(v.counters.sent, 105);
	assert_true(flows_udp(r.f, T0 + 70 * SEC, &k, &u));
	(void)name_all(&r, T0 + 70 * SEC, &web, &by_address);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.state == FLOW_CLOSED && v.reason == FLOW_REASON_IDLE && v.ended == u.last);
	u.first = u.last = T0 + 80 * SEC;
	assert_false(flows_udp(r.f, T0 + 80 * SEC, &k, &u)); /* it speaks again: another one */
	flows_stats(r.f, &s);
	assert_true(s.udp_started == 2 && s.udp_ended == 1 && s.udp_open == 1);
	stop(&r);
}

/* A client that is translated in its own namespace: 10.2:53 leads to 10.3:53. */
struct split {
	struct abi_udp_key asked, backend;
	struct abi_udp in, out;
};

static struct split split(void)
{
	struct split s = {.asked = udp_key(), .backend = udp_key()};

	ip4(s.backend.raddr, 10, 3);
	s.in = (struct abi_udp){.first = T0,
				.last = T0 + SEC,
				.received = 500,
				.received_packets = 5,
				.dir = ABI_DIR_OUT,
				.flags = ABI_UDP_ASKED};
	s.out = (struct abi_udp){.first = T0,
				 .last = T0 + SEC,
				 .sent = 300,
				 .sent_packets = 3,
				 .dir = ABI_DIR_OUT,
				 .asked_port = 53};
	ip4(s.out.asked_addr, 10, 2);
	return s;
}

static void told_of(struct rig *r)
{
	const struct flows_endpoint from = endpoint(10, 1, 5000), asked = endpoint(10, 2, 53),
				    to = endpoint(10, 3, 53);

	flows_nat(r->f, T0, FLOW_UDP, &from, &asked, &to, false);
}

static void udp_of_two_entries_is_one_where_conntrack_told(void **state)
{
	(void)state;
	for (int order = 0; order < 3; order++) {
		struct rig r;
		struct flow_view v;
		struct flows_stats st;
		struct split s = split();

		start(&r);
		told_of(&r);
		if (order == 2) { /* nothing was received yet: an entry that counts nothing */
			const struct abi_udp none = {.first = T0,
						     .last = T0,
						     .flags = ABI_UDP_ASKED,
						     .dir = ABI_DIR_OUT};

			assert_false(flows_udp(r.f, T0 + SEC, &s.asked, &none));
			assert_int_equal(flows_ids(r.f), 0);
		}
		for (int i = 0; i < 2; i++) {
			if ((order + i) & 1)
				assert_false(flows_udp(r.f, T0 + SEC, &s.backend, &s.out));
			else
				assert_false(flows_udp(r.f, T0 + SEC, &s.asked, &s.in));
		}
		assert_int_equal(name_all(&r, T0 + 2 * SEC, &web, &by_address), 1);
		assert_int_not_equal(read_one(&r, &v), 0);
		assert_true(v.counters.sent == 300 && v.counters.received == 500);
		assert_true(v.counters.segs_out == 3 && v.counters.segs_in == 5);
		assert_true(v.dir == FLOW_OUT && v.translated && v.raddr.b[15] != v.asked.ip.b[15]);
		/* It goes silent one way, and is forgotten by conntrack. */
		flows_nat(r.f, T0, FLOW_UDP, &(struct flows_endpoint){v.laddr, v.lport}, &v.asked,
			  &(struct flows_endpoint){v.raddr, v.rport}, true);
		s.in.last = T0 + 50 * SEC;
		s.in.received = 600;
		assert_false(flows_udp(r.f, T0 + 62 * SEC, &s.asked, &s.in));
		assert_true(flows_udp(r.f, T0 + 62 * SEC, &s.backend, &s.out));
		s.out = (struct abi_udp){.first = T0 + 70 * SEC,
					 .last = T0 + 70 * SEC,
					 .sent = 7,
					 .sent_packets = 1,
					 .asked_port = 53};
		ip4(s.out.asked_addr, 10, 2);
		assert_false(flows_udp(r.f, T0 + 71 * SEC, &s.backend, &s.out));
		assert_int_not_equal(read_one(&r, &v), 0);
		assert_true(v.counters.sent == 307 && v.counters.received == 600);
		assert_true(flows_udp(r.f, T0 + 112 * SEC, &s.asked, &s.in));
		flows_stats(r.f, &st);
		assert_int_equal(st.udp_open, 1);
		assert_true(flows_udp(r.f, T0 + 131 * SEC, &s.backend, &s.out));
		flows_stats(r.f, &st);
		assert_true(st.udp_open == 0 && st.udp_started == 1);
		stop(&r);
	}
}

/* sendto() another than the connected one; or conntrack does not tell. */
static void udp_of_two_entries_is_two_otherwise(void **state)
{
	struct rig r;
	struct flow_view v;
	struct split s = split();

	(void)state;
	start(&r);
	assert_false(flows_udp(r.f, T0 + SEC, &s.backend, &s.out));
	assert_false(flows_udp(r.f, T0 + SEC, &s.asked, &s.in));
	assert_int_equal(name_all(&r, T0 + 2 * SEC, &web, &by_address), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_not_equal(read_one(&r, &v), 0);
		assert_true(v.dir == FLOW_OUT && !v.translated);
		assert_true(v.counters.sent == (v.raddr.b[15] == s.backend.raddr[15] ? 300 : 0));
		assert_true(v.counters.received == (v.raddr.b[15] == s.asked.raddr[15] ? 500 : 0));
	}
	stop(&r);
}

static void udp_of_two_entries_is_evicted_once(void **state)
{
	struct rig r;
	struct flows_stats st;
	struct split s = split();
	struct abi_udp_key other = udp_key();
	struct abi_udp u = {.first = T0, .last = T0 + SEC, .sent = 5};

	(void)state;
	start_with(&r, (struct flows_opts){.max_flows = 2});
	told_of(&r);
	assert_false(flows_udp(r.f, T0 + SEC, &s.backend, &s.out));
	assert_false(flows_udp(r.f, T0 + SEC, &s.asked, &s.in));
	for (other.lport = 1; other.lport < 3; other.lport++)
		assert_false(flows_udp(r.f, T0 + SEC, &other, &u));
	assert_false(flows_udp(r.f, T0 + SEC, &s.backend, &s.out));
	assert_false(flows_udp(r.f, T0 + SEC, &s.asked, &s.in));
	flows_stats(r.f, &st);
	assert_int_equal(st.udp_started, 3);
	assert_int_equal(st.evicted, 1);
	stop(&r);
}

static void drop(const struct rig *r, const struct abi_udp_key *k, uint32_t n)
{
	struct abi_udp_drop d = {
		.head = {.type = ABI_UDP_DROP, .version = ABI_VERSION, .size = sizeof(d)},
		.key = *k,
		.drops = n};

	assert_int_equal(flows_record(r->f, T0, str_make(&d, sizeof(d))), 0);
}

static void drops_go_to_the_one_they_are_of(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_udp_key k = udp_key(), local = k, second = k;
	struct abi_udp u = {.first = T0, .last = T0, .received_packets = 10, .dir = ABI_DIR_IN};
	struct abi_udp d = {.first = T0, .last = T0, .dropped = 2};
	struct flows_stats s;

	(void)state;
	start(&r);
	memset(local.raddr, 0, 16);
	local.rport = 0;
	second.rport = 54;
	drop(&r, &local, 4); /* nobody is there yet */
	assert_false(flows_udp(r.f, T0, &k, &u));
	drop(&r, &k, 1);
	drop(&r, &local, 1);
	assert_false(flows_udp(r.f, T0, &local, &d)); /* an entry of the map: absolute */
	assert_false(flows_udp(r.f, T0, &local, &d));
	(void)by_port(&r, 5000, &v);
	assert_true(v.counters.dropped == 4 && v.counters.segs_in == 6);
	u.last++;
	u.received_packets += 2;
	assert_false(flows_udp(r.f, T0, &k, &u)); /* what records told is not forgotten */
	(void)by_port(&r, 5000, &v);
	assert_true(v.counters.dropped == 4 && v.counters.segs_in == 8);
	assert_false(flows_udp(r.f, T0, &second, &u));
	drop(&r, &local, 8); /* of which of the two? */
	flows_stats(r.f, &s);
	assert_true(s.udp_drops == 16 && s.udp_drops_unplaced == 12);
	assert_true(flows_udp(r.f, T0 + 100 * SEC, &local, &d));
	stop(&r);
}

/* ---- found before ---------------------------------------------------------------------------- */

static struct flows_found found(uint16_t lport, uint32_t netns)
{
	struct flows_found s = {.lport = lport, .rport = 80, .netns = netns};

	ip4(s.laddr.b, 10, 1);
	ip4(s.raddr.b, 10, 2);
	return s;
}

static void the_kernels_first_record_joins_what_was_found(void **state)
{
	struct rig r;
	struct flow_view v;
	struct flows_found s = found(1000, 1), twice = s;
	struct abi_tcp t = tcp(1000);
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_STARTED] = 1};
	struct flows_stats st;

	(void)state;
	start(&r);
	assert_int_equal(flows_pre_existing(r.f, T0 - SEC, &s), 0);
	assert_int_equal(flows_pre_existing(r.f, T0 - SEC, &twice), 0);
	check_ledger(&r, 1, 0, 1);
	flows_stats(r.f, &st);
	assert_true(st.pre_existing == 1 && st.pre_existing_unknown == 1);
	t.sock.flags |= ABI_SOCK_PRE_EXISTING;
	give(&r, &t, ABI_TCP_OPEN);
	flows_kernel_counts(r.f, counts, _ABI_COUNT_MAX);
	check_ledger(&r, 1, 0, 1);
	(void)by_port(&r, 1000, &v);
	assert_true(v.pre_existing && v.sk == t.sk && v.cgroup_id == 10);
	flows_stats(r.f, &st);
	assert_true(st.pre_existing == 1 && st.pre_existing_unknown == 0 && st.flows == 1);
	give(&r, &t, ABI_TCP_CLOSE);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	check_ledger(&r, 1, 1, 0);
	stop(&r);
}

/* /proc knows a process and its namespace; a socket's own cgroup is told of in the record, which
 * may be that of the end: that is told with the better name. */
static void the_record_knows_the_cgroup_better(void **state)
{
	static const struct flow_end container = {.known_by = KNOWN_CGROUP,
						  .ns = STR("shop"),
						  .workload = STR("web"),
						  .container = STR("app")};
	struct rig r;
	struct flow_view v;
	struct flows_found s = found(1000, 1);
	struct abi_tcp t = tcp(1000);

	(void)state;
	start(&r);
	s.cgroup = 7;
	assert_int_equal(flows_pre_existing(r.f, T0, &s), 0);
	(void)name_all(&r, T0, &web, &by_address);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.cgroup_id == 7 && str_empty(v.local.container));
	give(&r, &t, ABI_TCP_CLOSE);
	(void)name_all(&r, T0, &container, &by_address);
	assert_true(flows_at(r.f, flows_cursor_next(r.f, r.c), &v));
	assert_true(v.state == FLOW_CLOSED && v.cgroup_id == 10);
	assert_true(str_eq(v.local.container, STR("app")));
	check_ledger(&r, 1, 1, 0);
	stop(&r);
}

/* Packets that never left this machine hide from the programs who connected, and a listener that is
 * gone hides it from a list. */
static void who_connected_is_known_by_either(void **state)
{
	static const struct {
		enum flow_dir listed;
		uint8_t told;
		enum flow_dir is;
		uint64_t sent_told, sent;
	} cases[] = {
		{FLOW_OUT, ABI_DIR_UNKNOWN, FLOW_OUT, 41, 40},
		{FLOW_OUT, ABI_DIR_UNKNOWN, FLOW_OUT, 0, 0},
		{FLOW_OUT, ABI_DIR_OUT, FLOW_OUT, 40, 40},
		{FLOW_OUT, ABI_DIR_IN, FLOW_IN, 40, 40},
		{FLOW_IN, ABI_DIR_UNKNOWN, FLOW_IN, 40, 40},
		{FLOW_DIR_UNKNOWN, ABI_DIR_OUT, FLOW_OUT, 40, 40},
		{FLOW_DIR_UNKNOWN, ABI_DIR_UNKNOWN, FLOW_DIR_UNKNOWN, 41, 41},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rig r;
		struct flow_view v;
		struct flows_found s = found(1000, 1);
		struct abi_tcp t = tcp(1000);

		start(&r);
		s.dir = cases[i].listed;
		assert_int_equal(flows_pre_existing(r.f, T0 - SEC, &s), 0);
		t.sock.flags |= ABI_SOCK_PRE_EXISTING;
		t.sock.dir = cases[i].told;
		t.sock.counters.sent = cases[i].sent_told;
		give(&r, &t, ABI_TCP_CLOSE);
		(void)by_port(&r, 1000, &v);
		assert_int_equal(v.dir, cases[i].is);
		assert_int_equal(v.counters.sent, cases[i].sent);
		stop(&r);
	}
}

static void another_connection_does_not_join(void **state)
{
	struct rig r;
	struct abi_tcp t = tcp(1000), late = tcp(1001), elsewhere = tcp(1002);
	struct flows_found s = found(1000, 1), l = found(1001, 0), e = found(1002, 9);
	struct flow_view v;
	struct flows_stats st;

	(void)state;
	start(&r);
	assert_int_equal(flows_pre_existing(r.f, T0 - SEC, &s), 0);
	assert_int_equal(flows_pre_existing(r.f, T0 + SEC, &l), 0);
	assert_int_equal(flows_pre_existing(r.f, T0 + SEC, &e), 0);
	give(&r, &t, ABI_TCP_OPEN); /* began after that one was found: its end was missed */
	late.sk++;
	give(&r, &late, ABI_TCP_OPEN); /* began before: it was listed as it opened */
	elsewhere.sk += 2;
	give(&r, &elsewhere, ABI_TCP_OPEN); /* the same addresses in another namespace */
	flows_stats(r.f, &st);
	assert_int_equal(st.flows, 5);
	assert_int_equal(st.close_lost, 1);
	assert_int_equal(st.pre_existing, 2);
	(void)by_port(&r, 1001, &v);
	assert_true(!v.pre_existing && v.start == T0 && v.netns == 1);
	/* What the records told first is not found again. */
	assert_int_equal(flows_pre_existing(r.f, T0 + SEC, &l), 0);
	flows_stats(r.f, &st);
	assert_int_equal(st.flows, 5);
	stop(&r);
}

/* It was listed while it was open, and is told of after it ended: the end knows better. */
static void what_was_found_does_not_hide_the_end(void **state)
{
	struct rig r;
	struct abi_tcp t = tcp(1000);
	struct flows_found s = found(1000, 1);
	struct flow_view v;

	(void)state;
	start(&r);
	s.counters = (struct flow_counters){.sent = 1000, .segs_in = 2};
	assert_int_equal(flows_pre_existing(r.f, T0 + SEC, &s), 0);
	give(&r, &t, ABI_TCP_OPEN);
	t.sock.counters.sent = 1000;
	t.sock.counters.received = 2000;
	t.sock.counters.segs_in = 4;
	t.sock.updated = T0 + SEC / 2;
	give(&r, &t, ABI_TCP_CLOSE);
	(void)by_port(&r, 1000, &v);
	assert_true(v.state == FLOW_CLOSED && v.counters.received == 2000 &&
		    v.counters.segs_in == 4 && v.counters.sent == 1000);
	stop(&r);
}

/* ---- naming ---------------------------------------------------------------------------------- */

static void who_waits_is_woken_or_overdue(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000);
	struct flows_stats s;
	flow_id id;

	(void)state;
	start_with(&r, (struct flows_opts){.pending_timeout = 3 * SEC});
	assert_int_equal(
		flows_cgroup(r.f, T0, 10, 0, STR("pod0f6b1a52-7e0c-4a06-8d3a-6a1d6d2f0001")), 0);
	give(&r, &t, ABI_TCP_OPEN);
	id = flows_unnamed(r.f, T0);
	assert_false(flows_overdue(r.f, id, T0));
	assert_int_equal(flows_name(r.f, T0, id, &pending, &by_address), 0);
	assert_int_equal(flows_unnamed(r.f, T0), 0);
	assert_true(flows_tick(r.f, T0) == T0 + 3 * SEC);
	flows_wake_pod(r.f, STR("another"));
	assert_int_equal(flows_unnamed(r.f, T0), 0);
	flows_wake_pod(r.f, STR("0f6b1a52-7e0c-4a06-8d3a-6a1d6d2f0001"));
	assert_int_equal(flows_unnamed(r.f, T0), id);
	assert_false(flows_overdue(r.f, id, T0));
	assert_int_equal(flows_name(r.f, T0 + SEC, id, &pending, &by_address), 0);
	give(&r, &t, ABI_TCP_CLOSE); /* it ends while it waits, and waits on */
	assert_int_equal(flows_unnamed(r.f, T0 + 3 * SEC - 1), 0);
	assert_true(flows_cursor_at_end(r.f, r.c));
	flows_stats(r.f, &s);
	assert_int_equal(s.pending, 1);
	assert_int_equal(flows_unnamed(r.f, T0 + 3 * SEC), id); /* counted from the first time */
	assert_true(flows_overdue(r.f, id, T0 + 3 * SEC));
	assert_int_equal(flows_name(r.f, T0 + 3 * SEC, id, &pending, &by_address), 0);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.ended && v.local.why == UNKNOWN_NO_POD);
	flows_stats(r.f, &s);
	assert_true(s.pending == 0 && s.pending_timeouts == 1);
	assert_true(s.unknown_local[UNKNOWN_NO_POD] == 1 && s.known_remote[KNOWN_ADDRESS] == 1);
	stop(&r);
}

static void a_full_queue_gives_up_at_once(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000), u = tcp(1001);
	struct flows_stats s;
	flow_id id;

	(void)state;
	start_with(&r, (struct flows_opts){.max_pending = 1});
	give(&r, &t, ABI_TCP_OPEN);
	u.sk++;
	give(&r, &u, ABI_TCP_OPEN);
	for (int i = 0; i < 2; i++)
		assert_int_equal(flows_name(r.f, T0, flows_unnamed(r.f, T0), &pending, &nobody), 0);
	id = flows_unnamed(r.f, T0);
	assert_true(flows_overdue(r.f, id, T0));
	assert_int_equal(
		flows_name(r.f, T0, id, &(struct flow_end){.why = UNKNOWN_NO_POD}, &nobody), 0);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.lport == 1001 && v.local.why == UNKNOWN_PENDING_FULL);
	flows_stats(r.f, &s);
	assert_true(s.pending == 1 && s.pending_full == 1 && s.pending_timeouts == 0);
	stop(&r);
}

static void remote_ends_get_another_look(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000);
	flow_id id;

	(void)state;
	start(&r);
	give(&r, &t, ABI_TCP_OPEN);
	assert_int_equal(name_all(&r, T0 + 1, &web, &nobody), 1);
	(void)read_one(&r, &v);
	assert_int_equal(flows_unnamed(r.f, T0 + SEC), 0);
	id = flows_unnamed(r.f, T0 + 1 + SEC); /* settled */
	assert_int_equal(flows_name(r.f, T0 + 2 * SEC, id, &web, &nobody), 0);
	assert_int_equal(flows_unnamed(r.f, T0 + 9 * SEC), 0);
	assert_true(flows_cursor_at_end(r.f, r.c));
	give(&r, &t, ABI_TCP_CLOSE);
	assert_true(flows_cursor_at_end(r.f, r.c)); /* the end waits for the last look */
	assert_int_equal(flows_unnamed(r.f, T0 + 9 * SEC), id);
	/* A pod that is gone by now does not take the name away. */
	assert_int_equal(flows_name(r.f, T0 + 9 * SEC, id, &nobody, &by_address), 0);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.ended && v.local.known_by == KNOWN_CGROUP);
	assert_true(v.remote.known_by == KNOWN_ADDRESS);
	assert_int_equal(read_one(&r, &v), 0);
	stop(&r);
}

static void short_flows_wait_for_the_remote_end_a_moment(void **state)
{
	struct rig r;
	struct flow_view v;
	struct abi_tcp t = tcp(1000);

	(void)state;
	start(&r);
	give(&r, &t, ABI_TCP_CLOSE);
	assert_int_equal(name_all(&r, T0 + 1, &web, &pending), 1);
	assert_true(flows_cursor_at_end(r.f, r.c));
	check_ledger(&r, 1, 0, 1);
	assert_int_equal(name_all(&r, T0 + 1 + SEC, &web, &nobody), 1);
	assert_int_not_equal(read_one(&r, &v), 0);
	assert_true(v.ended && v.remote.why == UNKNOWN_ADDRESS);
	check_ledger(&r, 1, 1, 0);
	stop(&r);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

/* Local ends whose drops are kept apart: 1024, and then the oldest goes, counted. */
static void drops_of_too_many_local_ends(void **state)
{
	struct rig r;
	struct flows_stats s;
	struct abi_udp_drop d = {
		.head = {.type = ABI_UDP_DROP, .version = ABI_VERSION, .size = sizeof(d)},
		.drops = 1};

	(void)state;
	start(&r);
	for (uint16_t i = 0; i < 1030; i++) {
		d.key.lport = (uint16_t)(i + 1);
		assert_int_equal(flows_record(r.f, T0, str_make(&d, sizeof(d))), 0);
	}
	flows_stats(r.f, &s);
	assert_true(s.udp_drops == 1030 && s.udp_drops_unplaced == 1030);
	assert_int_equal(s.udp_drops_forgotten, 6);
	stop(&r);
}

static void a_full_table_reports_the_oldest(void **state)
{
	struct rig r;
	struct flow_view v;
	struct flows_stats s;
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_STARTED] = 5};
	int seen = 0;

	(void)state;
	start_with(&r, (struct flows_opts){.max_flows = 3});
	for (uint16_t i = 0; i < 5; i++) {
		struct abi_tcp t = tcp(i);

		t.sk += i;
		give(&r, &t, ABI_TCP_OPEN);
		if (i % 2)
			(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	}
	flows_kernel_counts(r.f, counts, _ABI_COUNT_MAX);
	check_figures(&r, 5, 2, 3, 0);
	for (uint16_t i = 0; i < 2; i++) { /* the kernel still has them */
		struct abi_tcp t = tcp(i);

		t.sk += i;
		assert_false(flows_sock(r.f, T0, t.sk, &t.sock));
		give(&r, &t, ABI_TCP_CLOSE);
	}
	check_ledger(&r, 5, 2, 3);
	while (read_one(&r, &v))
		if (v.ended) {
			assert_true(v.state == FLOW_LOST && v.reason == FLOW_REASON_EVICTED);
			seen++;
		}
	assert_int_equal(seen, 2);
	flows_stats(r.f, &s);
	assert_int_equal(s.evicted, 2);
	stop(&r);
}

/* A smaller maximum while it runs is reached step by step; a larger one makes room. */
static void another_maximum(void **state)
{
	struct flows_stats s;
	struct rig r;
	uint16_t i = 0;

	(void)state;
	start_with(&r, (struct flows_opts){.max_flows = 8, .max_ended = 64});
	for (; i < 8; i++) {
		struct abi_tcp t = tcp(i);

		t.sk += i;
		give(&r, &t, ABI_TCP_OPEN);
	}
	flows_tune(r.f, &(struct flows_opts){.max_flows = 4, .max_ended = 64});
	flows_stats(r.f, &s);
	assert_int_equal(s.evicted, 0);
	for (; i < 12; i++) {
		struct abi_tcp t = tcp(i);

		t.sk += i;
		give(&r, &t, ABI_TCP_OPEN);
		flows_stats(r.f, &s);
		assert_int_equal(s.evicted, 2 * (i - 7));
	}
	flows_tune(r.f, &(struct flows_opts){.max_flows = 100, .max_ended = 64});
	for (; i < 100; i++) {
		struct abi_tcp t = tcp(i);

		t.sk += i;
		give(&r, &t, ABI_TCP_OPEN);
	}
	flows_stats(r.f, &s);
	assert_int_equal(s.evicted, 8);
	stop(&r);
}

static void an_evicted_conversation_does_not_come_again(void **state)
{
	struct rig r;
	struct abi_udp_key k = udp_key(), other = k;
	struct abi_udp u = {.first = T0, .last = T0, .sent = 5};
	struct flows_stats s;

	(void)state;
	start_with(&r, (struct flows_opts){.max_flows = 1});
	other.lport++;
	assert_false(flows_udp(r.f, T0, &k, &u));
	assert_false(flows_udp(r.f, T0, &other, &u));
	u.last += SEC;
	assert_false(flows_udp(r.f, T0 + SEC, &k, &u));
	flows_stats(r.f, &s);
	assert_true(s.udp_started == 2 && s.udp_open == 1 && s.evicted == 1);
	assert_true(flows_udp(r.f, T0 + 100 * SEC, &k, &u)); /* the entry may go */
	stop(&r);
}

static void a_slow_cursor_loses_the_oldest_ends(void **state)
{
	struct rig r;
	struct flow_view v;
	int n = 0;

	(void)state;
	start_with(&r, (struct flows_opts){.max_ended = 2});
	for (uint16_t i = 0; i < 5; i++) {
		struct abi_tcp t = tcp(i);

		t.sk += i;
		give(&r, &t, ABI_TCP_CLOSE);
		(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	}
	assert_int_equal(flows_cursor_dropped(r.c), 3);
	while (read_one(&r, &v))
		n++;
	assert_int_equal(n, 2);
	check_ledger(&r, 5, 5, 0);
	stop(&r);
}

static void cursors_are_independent(void **state)
{
	struct rig r;
	struct flow_cursor *late, *more[FLOWS_MAX_CURSORS] = {0};
	struct flow_view v;
	struct flows_stats s;
	struct abi_tcp t = tcp(1);
	flow_id id;

	(void)state;
	start(&r);
	assert_int_equal(flows_cursor_add(r.f, &late), 0);
	give(&r, &t, ABI_TCP_CLOSE);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	id = read_one(&r, &v);
	assert_int_equal(flows_cursor_next(r.f, late), id); /* kept for this one */
	assert_true(flows_cursor_at_end(r.f, late));
	flows_cursor_rewind(r.f, r.c);
	assert_true(flows_cursor_at_end(r.f, r.c)); /* done is done */
	flows_cursor_rewind(r.f, late);
	assert_int_equal(flows_cursor_next(r.f, late), id);
	flows_cursor_remove(r.f, &late);
	flows_stats(r.f, &s);
	assert_int_equal(s.flows, 0);
	for (int i = 1; i < FLOWS_MAX_CURSORS; i++)
		assert_int_equal(flows_cursor_add(r.f, &more[i]), 0);
	assert_int_equal(flows_cursor_add(r.f, &late), -EMSGSIZE);
	for (int i = 1; i < FLOWS_MAX_CURSORS; i++)
		flows_cursor_remove(r.f, &more[i]);
	stop(&r);
}

static void without_a_cursor_nothing_piles_up(void **state)
{
	struct rig r;
	struct flows_stats s;
	struct abi_tcp t = tcp(1);

	(void)state;
	start(&r);
	flows_cursor_remove(r.f, &r.c);
	give(&r, &t, ABI_TCP_CLOSE);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	(void)flows_tick(r.f, T0);
	flows_stats(r.f, &s);
	assert_int_equal(s.flows, 0);
	stop(&r);
}

/* Of more ends than are remembered the last ones are. */
static void ends_that_are_told_twice(void **state)
{
	enum { N = 10, REMEMBERED = 3 };
	struct flows_stats s;
	struct rig r;

	(void)state;
	start_with(&r, (struct flows_opts){.max_tombs = REMEMBERED});
	for (int twice = 0; twice < 2; twice++)
		for (uint16_t i = twice ? N - REMEMBERED : 0; i < N; i++) {
			struct abi_tcp t = tcp(i);

			t.sk += i;
			give(&r, &t, ABI_TCP_CLOSE);
		}
	flows_stats(r.f, &s);
	assert_int_equal(s.flows + s.ended, N);
	stop(&r);
}

static void bad_records_are_counted(void **state)
{
	struct rig r;
	struct flows_stats s;
	struct abi_tcp t = tcp(1);

	(void)state;
	start(&r);
	for (size_t n = 0; n < sizeof(t); n++)
		assert_int_equal(flows_record(r.f, T0, str_make(&t, n)), -EBADMSG);
	t.head.version++;
	assert_int_equal(flows_record(r.f, T0, str_make(&t, sizeof(t))), -EBADMSG);
	flows_stats(r.f, &s);
	assert_int_equal(s.bad_records, sizeof(t) + 1);
	t = tcp(1);
	t.sk = 0;
	assert_int_equal(flows_record(r.f, T0, str_make(&t, sizeof(t))), -EBADMSG);
	t = tcp(1);
	t.head.version++;
	check_ledger(&r, 0, 0, 0);
	t.head.type = ABI_TCP_CLOSE; /* of a flow that nobody knows */
	assert_int_equal(flows_record(r.f, T0, str_make(&t, sizeof(t))), -EBADMSG);
	check_ledger(&r, 1, 0, 0);
	flows_stats(r.f, &s);
	assert_int_equal(s.dropped[FLOW_DROP_BAD_RECORD], 1);
	stop(&r);
}

/* A connect in the kernel's map that has no local port yet is open; told of, it is so once. */
static void a_connect_under_way_is_open(void **state)
{
	struct rig r;
	struct abi_tcp t = tcp(1000), opening = tcp(0);

	(void)state;
	start(&r);
	opening.sock.state = 2;
	t.sock.start = opening.sock.start = T0;
	flows_poll_begin(r.f, T0 + SEC);
	assert_false(flows_sock(r.f, T0 + SEC, t.sk, &opening.sock));
	flows_poll_end(r.f, T0 + SEC);
	check_ledger(&r, 1, 0, 1);
	give(&r, &t, ABI_TCP_OPEN);
	check_ledger(&r, 1, 0, 1);
	flows_poll_begin(r.f, T0 + 2 * SEC);
	assert_false(flows_sock(r.f, T0 + 2 * SEC, t.sk, &t.sock));
	flows_poll_end(r.f, T0 + 2 * SEC);
	check_ledger(&r, 1, 0, 1);
	stop(&r);
}

static void connects_beside_a_poll(nsec_t at, bool told_in_its_midst)
{
	struct rig r;
	struct abi_tcp t = tcp(1000), opening = tcp(0);

	start(&r);
	opening.sock.state = 2;
	t.sock.start = opening.sock.start = at;
	flows_poll_begin(r.f, T0 + SEC);
	assert_false(flows_sock(r.f, T0 + SEC, t.sk, &opening.sock));
	if (!told_in_its_midst)
		flows_poll_end(r.f, T0 + 3 * SEC);
	give(&r, &t, ABI_TCP_OPEN);
	if (told_in_its_midst)
		flows_poll_end(r.f, T0 + 3 * SEC);
	check_ledger(&r, 1, 0, 1);
	stop(&r);
}

static void a_connect_is_counted_once(void **state)
{
	(void)state;
	connects_beside_a_poll(T0, true);
	connects_beside_a_poll(T0, false);
	connects_beside_a_poll(T0 + 2 * SEC, false); /* while the poll was under way */
}

/* One that was found and never told of by the kernel is no end that the kernel counted as lost. */
static void a_flow_found_and_lost_hides_no_other(void **state)
{
	struct rig r;
	struct abi_tcp t = tcp(1000);
	struct flows_found s = found(1000, 1);
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_STARTED] = 2, [ABI_COUNT_DROP_CLOSE] = 1};

	(void)state;
	start(&r);
	assert_int_equal(flows_pre_existing(r.f, T0 - SEC, &s), 0);
	give(&r, &t, ABI_TCP_OPEN); /* another connection */
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	flows_kernel_counts(r.f, counts, _ABI_COUNT_MAX);
	check_figures(&r, 3, 1, 1, 0);
	stop(&r);
}

/* An evicted flow was reported: that the kernel lost its end later drops nothing. */
static void an_evicted_flow_is_not_dropped_too(void **state)
{
	struct rig r;
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_STARTED] = 2, [ABI_COUNT_DROP_CLOSE] = 1};

	(void)state;
	start_with(&r, (struct flows_opts){.max_flows = 1});
	for (uint16_t i = 0; i < 2; i++) {
		struct abi_tcp t = tcp((uint16_t)(1000 + i));

		t.sk += i;
		give(&r, &t, ABI_TCP_OPEN);
		(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	}
	flows_kernel_counts(r.f, counts, _ABI_COUNT_MAX);
	for (int i = 0; i < 2; i++) {
		struct abi_tcp t = tcp(1001);

		t.sk++;
		flows_poll_begin(r.f, T0 + SEC);
		assert_false(flows_sock(r.f, T0 + SEC, t.sk, &t.sock));
		flows_poll_end(r.f, T0 + SEC);
	}
	check_figures(&r, 2, 1, 1, 0);
	stop(&r);
}

/* What the kernel counted and nobody told of is unaccounted, and does not pass for open. */
static void the_ledger_knows_what_the_kernel_counted(void **state)
{
	struct rig r;
	struct abi_tcp t = tcp(1);
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_STARTED] = 10,
					   [ABI_COUNT_DROP_SOCKS_FULL] = 3,
					   [ABI_COUNT_DROP_CLOSE] = 2};
	struct flows_stats s;

	(void)state;
	start(&r);
	flows_kernel_counts(r.f, counts, _ABI_COUNT_MAX);
	check_figures(&r, 10, 0, 0, 5);
	give(&r, &t, ABI_TCP_CLOSE);
	check_figures(&r, 10, 0, 1, 4);
	(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	check_figures(&r, 10, 1, 0, 4);
	flows_stats(r.f, &s);
	assert_true(s.dropped[FLOW_DROP_SOCKS_FULL] == 3 && s.dropped[FLOW_DROP_CLOSE] == 2);
	assert_int_equal(s.kernel[ABI_COUNT_STARTED], 10);
	stop(&r);
}

/* ---- DNS ------------------------------------------------------------------------------------- */

static void dns(const struct rig *r, nsec_t at, bool egress, uint8_t id)
{
	static const uint8_t q[] = {0, 0, 1,   0,   0,	 1, 0, 0, 0, 0, 0,
				    0, 3, 'D', 'b', '1', 0, 0, 1, 0, 1};
	static const uint8_t a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 0, 0, 7};
	struct abi_dns d = {.head = {.type = ABI_DNS, .version = ABI_VERSION, .time = at},
			    .key = udp_key(),
			    .egress = egress,
			    .len = sizeof(q)};

	memcpy(d.data, q, sizeof(q));
	d.data[1] = id;
	if (!egress) {
		d.data[2] = 0x81;
		d.data[7] = 1;
		memcpy(d.data + sizeof(q), a, sizeof(a));
		d.len += sizeof(a);
	}
	d.captured = d.len;
	d.head.size = sizeof(d);
	assert_int_equal(flows_record(r->f, at, str_make(&d, sizeof(d))), 0);
}

static void dns_transactions_have_serials(void **state)
{
	struct rig r;
	struct flow_dns d;
	struct flows_stats s;
	struct abi_udp_key k = udp_key();
	struct abi_udp u = {.first = T0, .last = T0};

	(void)state;
	start_with(&r, (struct flows_opts){.max_dns = 2});
	assert_false(flows_udp(r.f, T0, &k, &u));
	dns(&r, T0, true, 1);
	assert_false(flows_dns_next(r.f, 0, &d));
	dns(&r, T0 + 1000, false, 1);
	assert_true(flows_dns_next(r.f, 0, &d));
	assert_true(d.serial == 1 && d.latency == 1000 && d.n_addrs == 1 && d.addrs[0].b[15] == 7);
	assert_true(str_eq(d.name, STR("db1")) && d.flow && !d.server && !d.timeout);
	assert_true(d.qtype == 1 && d.rcode == 0 && d.remote.port == 53 && d.local.port == 5000);
	assert_false(flows_dns_next(r.f, 1, &d));
	dns(&r, T0 + 2000, true, 2);
	flows_stats(r.f, &s);
	assert_int_equal(s.dns_open, 1);
	(void)flows_tick(r.f, T0 + 6 * SEC);
	assert_true(flows_dns_next(r.f, 1, &d));
	assert_true(d.timeout && d.latency == 5 * SEC);
	dns(&r, T0 + 7 * SEC, true, 3);
	dns(&r, T0 + 7 * SEC + 5, false, 3);
	assert_true(flows_dns_next(r.f, 0, &d)); /* overtaken: a gap in the serials */
	assert_int_equal(d.serial, 2);
	flows_stats(r.f, &s);
	assert_true(s.dns_transactions == 3 && s.dns_timeouts == 1 && s.dns_open == 0);
	stop(&r);
}

/* The figures said for memory hold for a table that is full of open flows. */
static void a_flow_costs_what_is_said(void **state)
{
	struct rig r;
	struct flows_stats empty, full;

	(void)state;
	start(&r);
	flows_stats(r.f, &empty);
	for (uint32_t i = 0; i < 50000; i++) {
		struct abi_tcp t = tcp((uint16_t)i);

		t.sk += i;
		give(&r, &t, ABI_TCP_OPEN);
		(void)name_all(&r, T0 + 2 * SEC, &web, &by_address);
	}
	flows_stats(r.f, &full);
	print_message("%zu bytes a flow\n", (full.bytes - empty.bytes) / 50000);
	assert_in_range((full.bytes - empty.bytes) / 50000, 100, 300);
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_maximum),
		cmocka_unit_test(opens_and_closes),
		cmocka_unit_test(a_listener_is_no_flow),
		cmocka_unit_test(ends_say_why),
		cmocka_unit_test(what_is_older_never_harms),
		cmocka_unit_test(the_poll_tells_what_the_ring_could_not),
		cmocka_unit_test(refreshes_are_changes_only_with_news),
		cmocka_unit_test(two_polls_without_an_entry_are_the_end),
		cmocka_unit_test(an_address_that_comes_again_waits_for_the_end),
		cmocka_unit_test(twins_know_each_other),
		cmocka_unit_test(a_twin_brings_another_look),
		cmocka_unit_test(what_was_asked_is_kept),
		cmocka_unit_test(conntrack_may_come_before_or_after),
		cmocka_unit_test(udp_lives_until_it_is_silent),
		cmocka_unit_test(udp_of_two_entries_is_one_where_conntrack_told),
		cmocka_unit_test(udp_of_two_entries_is_two_otherwise),
		cmocka_unit_test(udp_of_two_entries_is_evicted_once),
		cmocka_unit_test(drops_go_to_the_one_they_are_of),
		cmocka_unit_test(the_kernels_first_record_joins_what_was_found),
		cmocka_unit_test(the_record_knows_the_cgroup_better),
		cmocka_unit_test(who_connected_is_known_by_either),
		cmocka_unit_test(another_connection_does_not_join),
		cmocka_unit_test(what_was_found_does_not_hide_the_end),
		cmocka_unit_test(who_waits_is_woken_or_overdue),
		cmocka_unit_test(a_full_queue_gives_up_at_once),
		cmocka_unit_test(remote_ends_get_another_look),
		cmocka_unit_test(short_flows_wait_for_the_remote_end_a_moment),
		cmocka_unit_test(a_full_table_reports_the_oldest),
		cmocka_unit_test(an_evicted_conversation_does_not_come_again),
		cmocka_unit_test(a_slow_cursor_loses_the_oldest_ends),
		cmocka_unit_test(cursors_are_independent),
		cmocka_unit_test(without_a_cursor_nothing_piles_up),
		cmocka_unit_test(ends_that_are_told_twice),
		cmocka_unit_test(bad_records_are_counted),
		cmocka_unit_test(a_connect_under_way_is_open),
		cmocka_unit_test(a_connect_is_counted_once),
		cmocka_unit_test(a_flow_found_and_lost_hides_no_other),
		cmocka_unit_test(drops_of_too_many_local_ends),
		cmocka_unit_test(an_evicted_flow_is_not_dropped_too),
		cmocka_unit_test(the_ledger_knows_what_the_kernel_counted),
		cmocka_unit_test(dns_transactions_have_serials),
		cmocka_unit_test(a_flow_costs_what_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
