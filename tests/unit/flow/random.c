/*
 * The flow table against a model of the kernel: sockets come and go at few
 * addresses, some were there before; programs are skipped now and then; records take
 * the ring or are left in the maps or are lost, and whoever reads is slow: the ring,
 * the maps, and what sock_diag lists, in every order that the probe may read them in.
 * Whenever all stands still and was read, the ledger balances; each socket's end
 * reaches each cursor exactly once, with the bytes it had, and nothing is told as lost
 * that the kernel did not lose. In hostile histories records also come twice, late and
 * torn, and only the sums hold.
 */
#include "flow/flows.h"

#include "base/mem.h"
#include "base/rng.h"
#include "flow_abi.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
enum {
	ADDRS = 8,
	RING = 64,
	ENDS = 12,
	STEPS = 2000,
	CONNS = STEPS + 1,
	CURSORS = 2,
	CGROUPS = 12
};
enum { BATCH = 3 }; /* of a poll's step */

struct conn {
	uint64_t bytes; /* at its end, as far as that was told */
	uint8_t ends[CURSORS];
	bool told;	/* a record of its end was, or will be, given */
	bool no_record; /* the kernel dropped it */
	uint32_t found; /* so many times sock_diag listed it */
	bool lost;	/* the kernel lost its end */
};

struct entry { /* of a map */
	uint64_t sk;
	struct abi_sock s;
	uint32_t conn;
	bool used;
};

struct sock { /* of the kernel */
	bool lives, up;
	bool no_room; /* the map had none for it */
	uint32_t conn;
	uint64_t bytes;
};

enum poll_step { POLL_NONE, POLL_SOCKS, POLL_ENDS, POLL_LAST };

static struct {
	struct rng g;
	struct flows *f;
	struct flow_cursor *cursor[CURSORS];
	struct sock sock[ADDRS];
	struct entry map[ADDRS], ends[ENDS];
	struct abi_tcp ring[RING];
	struct abi_tcp old; /* some record given before */
	uint64_t counts[_ABI_COUNT_MAX];
	struct conn conn[CONNS];
	uint64_t serial_ended[CURSORS][CONNS * 4]; /* by serial */
	uint32_t n_conns, n_ring;
	uint64_t produced, consumed, mark; /* records */
	enum poll_step poll;
	uint32_t poll_at;
	struct entry held[BATCH];
	uint32_t n_held;
	bool holds;
	uint64_t names;
	uint32_t steps;
	nsec_t now;
	bool hostile, small;
	bool late; /* the ring is read seldom */
} m;

static uint32_t pick(uint32_t n)
{
	return (uint32_t)(rng_next(&m.g) % n);
}

static uint64_t sk_of(uint32_t i)
{
	return 0xffff888000000000ULL + i * 0x1000;
}

/* ---- the kernel ------------------------------------------------------------------------------ */

static void count_to_flows(void)
{
	flows_kernel_counts(m.f, m.counts, _ABI_COUNT_MAX);
}

static void give(const struct abi_tcp *t)
{
	int r = flows_record(m.f, m.now, str_make(t, sizeof(*t)));

	assert_int_equal(r, 0);
	if (pick(8) == 0)
		m.old = *t;
}

static void drain(uint32_t n)
{
	n = MIN(n, m.n_ring);
	for (uint32_t i = 0; i < n; i++)
		give(&m.ring[i]);
	memmove(m.ring, m.ring + n, (m.n_ring - n) * sizeof(*m.ring));
	m.n_ring -= n;
	m.consumed += n;
}

static bool ring_put(enum abi_type type, uint32_t at)
{
	if (m.n_ring == RING || pick(6) == 0)
		return false;
	m.produced++;
	m.ring[m.n_ring++] = (struct abi_tcp){
		.head = {.type = (uint8_t)type,
			 .version = ABI_VERSION,
			 .size = sizeof(struct abi_tcp),
			 .time = m.now},
		.sk = sk_of(at),
		.sock = m.map[at].s,
	};
	return true;
}

/* Connection n and the one after it are the two ends of one. */
static struct abi_tuple tuple_of(uint32_t n)
{
	struct abi_tuple t = {.netns = 1};
	uint32_t pair = n / 2;
	uint8_t a[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1}, b[16];

	memcpy(b, a, sizeof(b));
	b[15] = 2;
	memcpy(t.laddr, n % 2 ? b : a, 16);
	memcpy(t.raddr, n % 2 ? a : b, 16);
	t.lport = n % 2 ? 80 : (uint16_t)(1024 + pair);
	t.rport = n % 2 ? (uint16_t)(1024 + pair) : 80;
	return t;
}

static uint32_t conn_of(const struct flow_view *v)
{
	return v->lport == 80 ? (v->rport - 1024U) * 2 + 1 : (v->lport - 1024U) * 2;
}

static struct conn *conn_at(uint32_t at)
{
	return &m.conn[m.sock[at].conn];
}

/* What record_put does. */
static bool entry_put(uint32_t at, const struct abi_sock *s)
{
	struct entry *e = &m.map[at];

	m.counts[ABI_COUNT_STARTED]++;
	if (!e->used && pick(20) == 0) {
		m.counts[ABI_COUNT_DROP_SOCKS_FULL]++;
		m.sock[at].no_room = conn_at(at)->no_record = true;
		return false;
	}
	if (e->used && e->s.state != TCP_CLOSE) { /* an end was missed and is lost now */
		m.counts[ABI_COUNT_DROP_CLOSE]++;
		m.conn[e->conn].lost = true;
	}
	*e = (struct entry){.used = true, .sk = sk_of(at), .s = *s, .conn = m.sock[at].conn};
	return true;
}

static void tell_open(uint32_t at)
{
	struct abi_sock *s = &m.map[at].s;

	s->tuple = tuple_of(m.sock[at].conn);
	s->state = TCP_ESTABLISHED;
	s->flags |= ABI_SOCK_WAS_OPEN;
	s->updated = m.now;
	s->counters.sent = m.sock[at].bytes;
	if (!ring_put(ABI_TCP_OPEN, at))
		s->flags |= ABI_SOCK_OPEN_UNSENT;
}

static struct abi_sock new_sock(uint32_t at)
{
	const uint32_t n = m.sock[at].conn;

	m.now++; /* no two of one address at one time */
	return (struct abi_sock){.start = m.now,
				 .updated = m.now,
				 .cgroup = pick(CGROUPS),
				 .cgroup_v1 = pick(3) ? 0 : pick(CGROUPS) | ABI_CGROUP_V1,
				 .tuple = tuple_of(n),
				 .state = TCP_ESTABLISHED,
				 .dir = n % 2 ? ABI_DIR_IN : ABI_DIR_OUT,
				 .pid = pick(4),
				 .comm = "test"};
}

/* By one that connects, or accepted. */
static void start_one(uint32_t at)
{
	const bool connects = pick(3) == 0;
	struct abi_sock s;

	m.sock[at] = (struct sock){.lives = true, .up = !connects, .conn = m.n_conns++};
	s = new_sock(at);
	if (!m.map[at].used && pick(15) == 0) /* the program was skipped, or not there yet */
		return;
	if (connects) {
		s.state = TCP_SYN_SENT;
		s.tuple.lport = pick(2) ? s.tuple.lport : 0;
		(void)entry_put(at, &s);
	} else if (entry_put(at, &s)) {
		tell_open(at);
	}
}

/* What record_found does, where the map has nothing of this socket. */
static bool find_one(uint32_t at)
{
	struct abi_sock s = new_sock(at);

	if (m.sock[at].no_room)
		return false;
	s.pid = 0;
	s.flags = ABI_SOCK_PRE_EXISTING;
	m.counts[ABI_COUNT_PRE_EXISTING]++;
	return entry_put(at, &s);
}

static bool has_entry(uint32_t at)
{
	return m.map[at].used && m.map[at].s.state != TCP_CLOSE &&
	       m.map[at].conn == m.sock[at].conn;
}

static void come_up(uint32_t at)
{
	m.sock[at].up = true;
	if (pick(15) == 0)
		return;
	if (has_entry(at) || find_one(at))
		tell_open(at);
}

/* The ring is full. */
static void leave_end(uint32_t at)
{
	struct abi_sock *s = &m.map[at].s;

	s->flags |= ABI_SOCK_CLOSE_UNSENT;
	for (int i = 0; i < ENDS; i++) {
		if (m.ends[i].used)
			continue;
		m.ends[i] = m.map[at];
		m.counts[ABI_COUNT_ENDED]++;
		return;
	}
	m.counts[ABI_COUNT_DROP_CLOSE]++;
	conn_at(at)->lost = true;
}

static void close_one(uint32_t at)
{
	static const uint16_t errs[] = {0, 0, 0, ECONNREFUSED, ETIMEDOUT, ECONNRESET, EPIPE};
	struct abi_sock *s = &m.map[at].s;

	m.sock[at].lives = false;
	if (pick(25) == 0) /* skipped: lost, when the address comes again */
		return;
	if (!has_entry(at) && !find_one(at))
		return;
	s->tuple = tuple_of(m.sock[at].conn);
	s->counters.sent = m.sock[at].bytes;
	s->updated = m.now;
	s->err = errs[pick(ARRAY_SIZE(errs))];
	s->flags |= m.sock[at].up ? ABI_SOCK_WAS_OPEN : 0;
	s->state = TCP_CLOSE;
	conn_at(at)->bytes = s->counters.sent;
	if (ring_put(ABI_TCP_CLOSE, at))
		m.counts[ABI_COUNT_ENDED]++;
	else
		leave_end(at);
	conn_at(at)->told = !conn_at(at)->lost;
	if (pick(4)) /* else its entry is not deleted yet, or cannot be */
		m.map[at].used = false;
}

static void socket_step(void)
{
	uint32_t at = pick(ADDRS);
	struct sock *k = &m.sock[at];

	if (!k->lives) {
		if (m.map[at].s.state == TCP_CLOSE && pick(2))
			m.map[at].used = false;
		if (m.n_conns < CONNS)
			start_one(at);
	} else if (!k->up && pick(2)) {
		come_up(at);
	} else if (pick(3) == 0) {
		close_one(at);
	} else if (k->up) {
		k->bytes += pick(1000);
		if (has_entry(at) && m.map[at].s.flags & ABI_SOCK_WAS_OPEN) {
			m.map[at].s.counters.sent = k->bytes;
			m.map[at].s.updated = m.now;
		} else if (!has_entry(at) && pick(2) && find_one(at)) { /* it reads */
			tell_open(at);
		}
	}
}

/* ---- who reads ------------------------------------------------------------------------------- */

static void poll_socks(void)
{
	for (int n = 0; n < BATCH && m.poll_at < ADDRS; n++, m.poll_at++) {
		struct abi_sock s = m.map[m.poll_at].s;

		if (!m.map[m.poll_at].used || s.state == TCP_CLOSE)
			continue;
		if (m.hostile && pick(4) == 0)
			s.updated = pick(3) ? s.updated / 2 : m.now * 2;
		assert_false(flows_sock(m.f, m.now, sk_of(m.poll_at), &s));
	}
	if (m.poll_at < ADDRS)
		return;
	m.poll = POLL_ENDS;
	m.poll_at = 0;
}

static void hold_ends(void)
{
	for (; m.n_held < BATCH && m.poll_at < ENDS; m.poll_at++) {
		if (!m.ends[m.poll_at].used)
			continue;
		m.held[m.n_held++] = m.ends[m.poll_at];
		m.ends[m.poll_at].used = false;
	}
	m.mark = m.produced;
	m.holds = true;
}

/* True: the ring was read that far. */
static bool at_mark(void)
{
	if (m.consumed < m.mark && !m.hostile)
		drain(pick(RING));
	return m.consumed >= m.mark || m.hostile;
}

static void poll_ends(void)
{
	if (!m.holds)
		hold_ends();
	if (!at_mark())
		return;
	for (uint32_t i = 0; i < m.n_held; i++)
		assert_true(flows_sock(m.f, m.now, m.held[i].sk, &m.held[i].s));
	m.n_held = 0;
	m.holds = false;
	if (m.poll_at < ENDS)
		return;
	m.poll = POLL_LAST;
	m.mark = m.produced;
}

static void poll_step(void)
{
	switch (m.poll) {
	case POLL_NONE:
		flows_poll_begin(m.f, m.now);
		m.poll = POLL_SOCKS;
		m.poll_at = 0;
		break;
	case POLL_SOCKS:
		poll_socks();
		break;
	case POLL_ENDS:
		poll_ends();
		break;
	case POLL_LAST:
	default:
		if (!at_mark())
			break;
		flows_poll_end(m.f, m.now);
		m.poll = POLL_NONE;
	}
}

static void poll_whole(void)
{
	do
		poll_step();
	while (m.poll != POLL_NONE);
}

/* sock_diag lists it, with or without its namespace. */
static void found_step(void)
{
	const uint32_t at = pick(ADDRS);
	const struct abi_tuple t = tuple_of(m.sock[at].conn);
	struct flows_found s = {.lport = t.lport,
				.rport = t.rport,
				.netns = pick(2),
				.counters.sent = m.sock[at].bytes,
				.cgroup = pick(CGROUPS)};

	if (!m.hostile && (!m.sock[at].lives || !m.sock[at].up))
		return;
	memcpy(s.laddr.b, t.laddr, 16);
	memcpy(s.raddr.b, t.raddr, 16);
	conn_at(at)->found++;
	assert_int_equal(flows_pre_existing(m.f, m.now, &s), 0);
}

/* ---- hostile --------------------------------------------------------------------------------- */

static void hostile_step(void)
{
	struct abi_tcp t = m.old;

	switch (pick(6)) {
	case 0:
		t.head.type = ABI_TCP_CLOSE;
		break;
	case 1:
		t.head.type = ABI_TCP_OPEN;
		break;
	case 2:
		t.sock.start += pick(3) - 1U;
		break;
	case 3:
		t.sk = sk_of(pick(ADDRS));
		break;
	case 4:
		(void)flows_record(m.f, m.now, str_make(&t, pick(sizeof(t))));
		return;
	default:
		break;
	}
	t.head.version = ABI_VERSION;
	t.head.size = sizeof(t);
	if (!t.head.type)
		t.head.type = ABI_TCP_OPEN;
	(void)flows_record(m.f, m.now, str_make(&t, sizeof(t)));
}

/* ---- everything else ------------------------------------------------------------------------- */

static void cgroup_step(void)
{
	static const char *const names[] = {
		"kubepods.slice",
		"kubepods-pod0f6b1a52-7e0c-4a06-8d3a-6a1d6d2f0001.slice",
		("cri-containerd-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
		 ".scope"),
		"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdee",
		"sshd.service",
		"x",
	};
	struct abi_cgroup c = {.head = {.version = ABI_VERSION, .size = sizeof(c), .time = m.now}};
	const char *name = names[pick(ARRAY_SIZE(names))];

	c.head.type = pick(3) ? ABI_CGROUP_NEW : ABI_CGROUP_GONE;
	c.id = pick(CGROUPS) | (pick(3) ? 0 : ABI_CGROUP_V1);
	c.parent = pick(2) ? pick(CGROUPS) : 0;
	memcpy(c.name, name, strlen(name));
	assert_int_equal(flows_record(m.f, m.now, str_make(&c, sizeof(c))), 0);
	for (cgroup_ix ix = 0; (ix = flows_cgroup_next(m.f, ix));) {
		struct flow_cgroup g;

		assert_true(flows_cgroup_at(m.f, ix, &g));
		assert_true(g.ref.what == CGROUP_CONTAINER ? g.ref.container_id.n == 64
							   : g.ref.container_id.n == 0);
	}
	flows_wake_container(m.f, STR("0123456789abcdef0123456789abcdef0123456789abcdef0123456789"
				      "abcdef"));
	flows_wake_pod(m.f, STR("0f6b1a52-7e0c-4a06-8d3a-6a1d6d2f0001"));
}

static void proc_step(void)
{
	struct abi_proc p = {.head = {.type = pick(2) ? ABI_PROC_EXIT : ABI_PROC_MOVE,
				      .version = ABI_VERSION,
				      .size = sizeof(p),
				      .time = m.now},
			     .cgroup = pick(CGROUPS),
			     .pid = 1 + pick(6)};
	uint32_t n = 0;

	assert_int_equal(flows_record(m.f, m.now, str_make(&p, sizeof(p))), 0);
	for (uint32_t pid = 0; (pid = flows_proc_next(m.f, pid));)
		n++;
	assert_in_range(n, 0, 6);
}

static struct flows_endpoint end_of(const uint8_t ip[16], uint16_t port)
{
	struct flows_endpoint e = {.port = port};

	memcpy(e.ip.b, ip, 16);
	return e;
}

static void udp_step(void)
{
	struct abi_tuple t = tuple_of(pick(6));
	struct abi_udp_key k = {.cgroup = pick(CGROUPS), .lport = t.lport, .rport = t.rport};
	struct abi_udp u = {.first = m.now / SEC * SEC, .last = m.now - pick(2) * 2 * SEC};
	struct abi_udp_drop d = {.head = {.type = ABI_UDP_DROP,
					  .version = ABI_VERSION,
					  .size = sizeof(d),
					  .time = m.now},
				 .drops = pick(5)};

	memcpy(k.laddr, t.laddr, 16);
	if (pick(4))
		memcpy(k.raddr, t.raddr, 16);
	else
		k.rport = 0;
	u.received_packets = u.sent = m.now / 1000;
	u.dropped = pick(100);
	(void)flows_udp(m.f, m.now, &k, &u);
	d.key = k;
	assert_int_equal(flows_record(m.f, m.now, str_make(&d, sizeof(d))), 0);
}

static void nat_step(void)
{
	struct abi_tuple t = tuple_of(m.n_conns - MIN(m.n_conns, pick(6)));
	struct flows_endpoint from = end_of(t.laddr, t.lport), asked = end_of(t.raddr, t.rport);
	struct flows_endpoint backend = end_of(t.raddr, (uint16_t)(8080 + pick(3)));

	if (m.hostile) /* else a connection could not be told by its ports */
		flows_nat(m.f, m.now, pick(4) ? FLOW_TCP : FLOW_UDP, &from, &asked, &backend,
			  pick(4) == 0);
}

static void name_step(uint32_t n)
{
	static const char *const words[] = {"web", "db", "cache", "queue"};
	flow_id id;

	while (n-- && (id = flows_unnamed(m.f, m.now))) {
		struct flow_end local = {.known_by = KNOWN_CGROUP,
					 .ns = STR("ns"),
					 .workload = str_of(words[pick(4)])};
		struct flow_end remote = {.known_by = KNOWN_ADDRESS,
					  .workload = str_of(words[pick(4)])};
		bool overdue = flows_overdue(m.f, id, m.now);

		if (pick(3) == 0)
			local = (struct flow_end){.why = overdue ? UNKNOWN_NO_POD
								 : UNKNOWN_PENDING};
		if (pick(3) == 0)
			remote = (struct flow_end){.why = overdue ? UNKNOWN_ADDRESS
								  : UNKNOWN_PENDING};
		assert_int_equal(flows_name(m.f, m.now, id, &local, &remote), 0);
		m.names++;
	}
}

static void see(uint32_t c, const struct flow_view *v)
{
	uint32_t n = conn_of(v);

	assert_true(v->named);
	if (!v->ended)
		return;
	assert_in_range(v->serial, 1, CONNS * 4 - 1);
	assert_int_equal(m.serial_ended[c][v->serial]++, 0);
	if (v->proto != FLOW_TCP || m.hostile)
		return;
	assert_in_range(n, 0, CONNS - 1);
	m.conn[n].ends[c]++;
	if (v->state != FLOW_LOST)
		assert_true(v->counters.sent == m.conn[n].bytes);
	else if (!m.small) /* nothing is evicted there */
		assert_true(m.conn[n].lost);
}

static void cursor_step(uint32_t c, uint32_t n)
{
	flow_id id;

	while (n-- && (id = flows_cursor_next(m.f, m.cursor[c]))) {
		struct flow_view v;

		assert_true(flows_at(m.f, id, &v));
		see(c, &v);
		flows_cursor_done(m.f, m.cursor[c], id);
	}
	if (pick(50) == 0)
		flows_cursor_rewind(m.f, m.cursor[c]);
}

/* ---- what always holds ----------------------------------------------------------------------- */

static void check(void)
{
	struct flows_stats s;
	struct flow_view v, t;
	uint64_t dropped = 0, released = 0;

	flows_stats(m.f, &s);
	for (int i = 0; i < _FLOW_DROP_MAX; i++)
		dropped += s.dropped[i];
	assert_true((int64_t)s.started == (int64_t)(s.reported + s.open + dropped) + s.unaccounted);
	for (flow_id id = 0; (id = flows_next(m.f, id));) {
		assert_true(flows_at(m.f, id, &v));
		released++;
		if (!v.twin)
			continue;
		assert_true(flows_at(m.f, v.twin, &t));
		assert_true(t.twin == id && t.lport == v.rport && t.rport == v.lport);
	}
	assert_true(released <= s.flows);
	if (m.small) {
		assert_in_range(s.ended, 0, 8);
		assert_in_range(s.flows, 0, 5 + 8);
		assert_in_range(s.pending, 0, 2);
		assert_in_range(s.cgroups, 0, 6);
		assert_in_range(s.procs, 0, 2);
	}
}

/* Nothing happens any more, and all is read: two polls tell of what was lost. */
static void rest(void)
{
	struct flows_stats s;

	for (int i = 0; i < 4; i++) {
		drain(m.n_ring);
		poll_whole();
	}
	count_to_flows();
	flows_stats(m.f, &s);
	if (!m.hostile)
		assert_int_equal(s.unaccounted, 0);
}

static void step(void)
{
	m.now += pick(10) ? pick(20) * NSEC_PER_MSEC : pick(3) * SEC;
	if (pick(100) == 0)
		rest();
	switch (pick(12)) {
	case 0:
		for (uint32_t n = pick(8); n; n--)
			poll_step();
		break;
	case 1:
		if (!m.late || pick(8) == 0)
			drain(pick(10));
		break;
	case 2:
		name_step(pick(8));
		break;
	case 3:
		cursor_step(pick(CURSORS), pick(8));
		break;
	case 4:
		cgroup_step();
		break;
	case 5:
		proc_step();
		break;
	case 6:
		if (m.hostile)
			udp_step();
		break;
	case 7:
		nat_step();
		break;
	case 8:
		(void)flows_tick(m.f, m.now);
		count_to_flows();
		break;
	case 9:
		if (m.hostile && pick(2))
			hostile_step();
		else
			found_step();
		break;
	default:
		socket_step();
		break;
	}
	check();
}

/* Those that nobody told of the end of: entries that are left, and sockets that only sock_diag
 * knew. */
static uint64_t left_open(void)
{
	uint64_t n = 0;

	for (int i = 0; i < ADDRS; i++)
		n += m.map[i].used && m.map[i].s.state != TCP_CLOSE;
	for (flow_id id = 0; (id = flows_next(m.f, id));) {
		struct flow_view v;

		assert_true(flows_at(m.f, id, &v));
		if (v.ended || v.sk)
			continue;
		assert_true(m.conn[conn_of(&v)].found && (m.small || !m.conn[conn_of(&v)].told));
		n++;
	}
	return n;
}

static void check_ends(void)
{
	uint64_t unseen[CURSORS] = {0};

	for (uint32_t n = 0; n < m.n_conns; n++) {
		const struct conn *x = &m.conn[n];
		/* One that was found and evicted is another one when it is found or told of again.
		 */
		const uint32_t more = m.small ? x->found : 0;

		for (uint32_t c = 0; c < CURSORS; c++) {
			assert_in_range(x->ends[c], 0, !x->no_record + more);
			unseen[c] += x->told && !x->ends[c];
		}
	}
	for (uint32_t c = 0; c < CURSORS; c++)
		assert_in_range(unseen[c], 0, flows_cursor_dropped(m.cursor[c]));
}

/* All is closed and read: what was started is reported or dropped, each end was seen once. */
static void finish(void)
{
	struct flows_stats s;

	for (uint32_t i = 0; i < ADDRS; i++)
		if (m.sock[i].lives)
			close_one(i);
	for (int i = 0; i < 4; i++) {
		rest();
		m.now += 100 * SEC;
		name_step(UINT32_MAX);
		for (uint32_t c = 0; c < CURSORS; c++)
			cursor_step(c, UINT32_MAX);
		(void)flows_tick(m.f, m.now);
		check();
	}
	flows_stats(m.f, &s);
	if (!m.hostile) {
		assert_in_range(s.open, 0, left_open());
		if (!m.small)
			assert_int_equal(s.open, left_open());
		check_ends();
	}
	flows_free(&m.f);
}

static void run(uint64_t seed, uint32_t steps)
{
	/* Nobody may need to be remembered whose end was told of in order. */
	struct flows_opts o = {
		.settle = SEC, .udp_idle = SEC, .cgroup_linger = 2 * SEC, .max_tombs = 1};

	memset(&m, 0, sizeof(m));
	rng_seed(&m.g, seed);
	m.steps = MIN(steps, (uint32_t)STEPS);
	m.now = 1000 * SEC;
	m.hostile = seed % 2;
	m.small = seed % 3 == 0;
	m.late = seed % 4 < 2;
	if (m.small) {
		o.max_flows = 5;
		o.max_known = ADDRS + ENDS + RING;
		o.max_ended = 8;
		o.max_pending = 2;
		o.max_cgroups = 6;
		o.max_procs = 2;
		o.max_nat = 3;
		o.max_dns = 2;
	}
	assert_int_equal(flows_new(&o, &m.f), 0);
	for (int c = 0; c < CURSORS; c++)
		assert_int_equal(flows_cursor_add(m.f, &m.cursor[c]), 0);
	for (uint32_t i = 0; i < m.steps; i++)
		step();
	finish();
}

static uint64_t number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

/* In the environment: SEED, that one first; SEEDS, so many; STEPS of each. */
static void agrees_with_a_model_of_the_kernel(void **state)
{
	const uint64_t first = number("SEED", 1), n = number("SEEDS", getenv("SEED") ? 1 : 60);
	const uint32_t steps = (uint32_t)number("STEPS", STEPS);

	(void)state;
	for (uint64_t seed = first; seed < first + n; seed++) {
		if (seed == first || seed % (n / 4 + 1) == 0)
			print_message("seed %lu\n", (unsigned long)seed);
		run(seed, steps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_model_of_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
