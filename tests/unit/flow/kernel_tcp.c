/*
 * The programs that follow TCP, against real sockets on loopback: what the ring and the map say is
 * what this program itself did.
 */
#include "base/mem.h"
#include "flow/refresh.h"
#include "tests/unit/flow/kernel_rig.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>

/* bpftool 7.1 writes a cast that drops const. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "bpf/refresh.skel.h"
#include "bpf/resets.skel.h"
#include "bpf/retransmits.skel.h"
#include "bpf/tcp.skel.h"
#pragma GCC diagnostic pop

#define KERNEL_TCP_CLOSE  7
#define KERNEL_TCP_LISTEN 10
#define CHUNK		  50000 /* fits every socket buffer: one thread may play both ends */
#define UNREAD		  20000

static uint32_t netns;
static bool direct; /* the programs that follow pointers, else those that copy */

/* ---- the programs ---------------------------------------------------------------------------- */

struct kernel_opts {
	uint32_t ring, socks; /* 0: 4 MiB, 1024 */
	uint32_t ends;	      /* 0: 16384 */
	uint32_t bits;	      /* of the number of buckets of `places`; 0: 6 */
	uint32_t map_flags;
	bool only_tcp;
};

struct kernel {
	struct rig rig;
	struct tcp_bpf *tcp;
	struct refresh_bpf *refresh;
	struct retransmits_bpf *retransmits;
	struct resets_bpf *resets;
};

#define LOAD(k, name)                                                       \
	do {                                                                \
		assert_int_equal(rig_share(&(k)->rig, (k)->name->obj), 0);  \
		rig_choose((k)->name->obj, direct);                         \
		assert_int_equal(name##_bpf__load((k)->name), 0);           \
		assert_int_equal(rig_loaded(&(k)->rig, (k)->name->obj), 0); \
	} while (0)

static void load_others(struct kernel *k)
{
	k->refresh = refresh_bpf__open();
	k->retransmits = retransmits_bpf__open();
	k->resets = resets_bpf__open();
	assert_true(k->refresh && k->retransmits && k->resets);
	k->refresh->rodata->places_shift = k->resets->rodata->places_shift =
		k->tcp->rodata->places_shift;
	LOAD(k, refresh);
	LOAD(k, retransmits);
	LOAD(k, resets);
	assert_int_equal(retransmits_bpf__attach(k->retransmits), 0);
	assert_int_equal(resets_bpf__attach(k->resets), 0);
}

/* As the agent does where it takes the programs that follow pointers. */
static void tune(struct kernel *k, const struct kernel_opts *o)
{
	const uint32_t bits = o->bits ? o->bits : 6;

	k->tcp->rodata->places_shift = 32 - bits;
	k->tcp->rodata->tape_slots = (o->ring ? o->ring : 4 << 20) / 256;
	assert_int_equal(bpf_map__set_max_entries(k->tcp->maps.places, 1U << bits), 0);
	assert_int_equal(bpf_map__set_max_entries(k->tcp->maps.tape, k->tcp->rodata->tape_slots),
			 0);
}

static void kernel_up(struct kernel *k, const struct kernel_opts *o)
{
	*k = (struct kernel){0};
	rig_init(&k->rig);
	assert_non_null(k->rig.rec);
	k->tcp = tcp_bpf__open();
	assert_non_null(k->tcp);
	assert_int_equal(bpf_map__set_max_entries(k->tcp->maps.ring, o->ring ? o->ring : 4 << 20),
			 0);
	assert_int_equal(bpf_map__set_max_entries(k->tcp->maps.socks, o->socks ? o->socks : 1024),
			 0);
	assert_int_equal(bpf_map__set_map_flags(k->tcp->maps.socks, o->map_flags), 0);
	if (o->ends)
		assert_int_equal(bpf_map__set_max_entries(k->tcp->maps.ends, o->ends), 0);
	k->tcp->rodata->want_procs = 0; /* the agent's part, see flow/proc_watch.h */
	if (direct)
		tune(k, o);
	LOAD(k, tcp);
	if (direct)
		assert_true(rig_share_memory(&k->rig, bpf_map__fd(k->tcp->maps.places),
					     bpf_map__max_entries(k->tcp->maps.places),
					     bpf_map__fd(k->tcp->maps.tape),
					     bpf_map__fd(k->tcp->maps.tape_at)));
	if (!o->only_tcp)
		load_others(k);
	assert_int_equal(tcp_bpf__attach(k->tcp), 0);
}

static void kernel_down(struct kernel *k)
{
	resets_bpf__destroy(k->resets);
	retransmits_bpf__destroy(k->retransmits);
	refresh_bpf__destroy(k->refresh);
	tcp_bpf__destroy(k->tcp);
	rig_done(&k->rig);
}

/* The next record of this namespace and type that has these ports (0: any), from *at on. */
static const struct abi_tcp *record_next(struct kernel *k, size_t *at, uint8_t type, uint16_t lport,
					 uint16_t rport)
{
	while (*at < k->rig.n) {
		const struct abi_tcp *t = (const void *)k->rig.rec[(*at)++];

		if (t->head.type != type || t->sock.tuple.netns != netns)
			continue;
		if ((lport && t->sock.tuple.lport != lport) ||
		    (rport && t->sock.tuple.rport != rport))
			continue;
		return t;
	}
	return NULL;
}

/* The last one; waits up to a second. NULL: none came. */
static const struct abi_tcp *record_wait(struct kernel *k, uint8_t type, uint16_t lport,
					 uint16_t rport)
{
	const struct abi_tcp *last = NULL, *t;

	for (int i = 0; i < 100 && !last; i++) {
		size_t at = 0;

		rig_read(&k->rig);
		while ((t = record_next(k, &at, type, lport, rport)))
			last = t;
		if (!last)
			rig_sleep_ms(10);
	}
	return last;
}

static unsigned entries(struct kernel *k)
{
	uint64_t key, *prev = NULL;
	unsigned n = 0;

	while (bpf_map_get_next_key(k->rig.socks, prev, &key) == 0) {
		n++;
		prev = &key;
	}
	for (size_t i = 0; i < k->rig.n_places * ABI_PLACES; i++)
		n += k->rig.places[i / ABI_PLACES].sk[i % ABI_PLACES] != 0;
	return n;
}

/* STARTED = ENDED + open + drops. Others' connections come and go: looked at until all stand still.
 */
static void check_equation(struct kernel *k)
{
	for (int i = 0; i < 200; i++) {
		uint64_t started = rig_count(&k->rig, ABI_COUNT_STARTED);
		uint64_t ended = rig_count(&k->rig, ABI_COUNT_ENDED);
		uint64_t open = entries(k);
		uint64_t full = rig_count(&k->rig, ABI_COUNT_DROP_SOCKS_FULL);
		uint64_t close = rig_count(&k->rig, ABI_COUNT_DROP_CLOSE);

		if (started == ended + open + full + close)
			return;
		rig_sleep_ms(10);
		if (i == 199)
			fail_msg("started %lu != ended %lu + open %lu + full %lu + close %lu",
				 (unsigned long)started, (unsigned long)ended, (unsigned long)open,
				 (unsigned long)full, (unsigned long)close);
	}
}

/* ---- sockets --------------------------------------------------------------------------------- */

union addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

enum family { V4, V6, MAPPED, FAMILIES }; /* MAPPED: IPv4 through an IPv6 socket */

static void addr_make(union addr *a, enum family f, uint16_t port)
{
	memset(a, 0, sizeof(*a));
	if (f == V4) {
		a->v4.sin_family = AF_INET;
		a->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		a->v4.sin_port = htons(port);
		return;
	}
	a->v6.sin6_family = AF_INET6;
	a->v6.sin6_port = htons(port);
	assert_int_equal(
		inet_pton(AF_INET6, f == V6 ? "::1" : "::ffff:127.0.0.1", &a->v6.sin6_addr), 1);
}

static int sock_new(enum family f, int flags)
{
	int fd = socket(f == V4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);

	assert_true(fd >= 0);
	return fd;
}

static uint16_t port_of(int fd)
{
	union addr a;
	socklen_t n = sizeof(a);

	assert_int_equal(getsockname(fd, &a.sa, &n), 0);
	return ntohs(a.v4.sin_port); /* at the same place in both */
}

static int listen_at(enum family f, uint16_t *ret_port)
{
	int fd = sock_new(f, 0);
	union addr a;

	addr_make(&a, f, 0);
	assert_int_equal(bind(fd, &a.sa, sizeof(a)), 0);
	assert_int_equal(listen(fd, 128), 0);
	*ret_port = port_of(fd);
	return fd;
}

static int connect_to(enum family f, uint16_t port)
{
	int fd = sock_new(f, 0);
	union addr a;

	addr_make(&a, f, port);
	assert_int_equal(connect(fd, &a.sa, sizeof(a)), 0);
	return fd;
}

static void put(int fd, size_t n)
{
	static char buf[CHUNK];

	if (n)
		assert_int_equal(send(fd, buf, n, MSG_NOSIGNAL), (ssize_t)n);
}

/* Reads until `n` bytes came, or (n = SIZE_MAX) to the end. Returns how many. */
static size_t take(int fd, size_t n)
{
	static char buf[65536];
	size_t got = 0;

	while (got < n) {
		ssize_t r = recv(fd, buf, n - got < sizeof(buf) ? n - got : sizeof(buf), 0);

		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

static void set_linger0(int fd)
{
	struct linger l = {.l_onoff = 1};

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
}

struct pair {
	int client, server, listener;
	uint16_t cport, sport;
};

static struct pair pair_up(enum family f)
{
	struct pair p;

	p.listener = listen_at(f, &p.sport);
	p.client = connect_to(f, p.sport);
	p.server = accept(p.listener, NULL, NULL);
	assert_true(p.server >= 0);
	p.cport = port_of(p.client);
	return p;
}

/* ---- every way to end ------------------------------------------------------------------------ */

enum shape {
	CLIENT_CLOSES,
	SERVER_CLOSES,
	HALF_CLIENT, /* the client sends, shuts down, and is answered */
	HALF_SERVER,
	BOTH_AT_ONCE, /* data and FIN of both cross each other */
	LINGER_CLIENT,
	LINGER_SERVER,
	LINGER_HALF,   /* a reset after the own FIN was acknowledged */
	UNREAD_CLIENT, /* a reset because data was not read */
	UNREAD_SERVER,
	SHAPES,
};

static void close_shape(struct pair *p, enum shape s, size_t up, size_t down)
{
	if (s == HALF_CLIENT || s == HALF_SERVER) {
		int a = s == HALF_CLIENT ? p->client : p->server;
		int b = s == HALF_CLIENT ? p->server : p->client;
		size_t first = s == HALF_CLIENT ? up : down;

		put(a, first);
		assert_int_equal(shutdown(a, SHUT_WR), 0);
		assert_int_equal(take(b, SIZE_MAX), first);
		put(b, s == HALF_CLIENT ? down : up);
		close(b);
		assert_int_equal(take(a, SIZE_MAX), s == HALF_CLIENT ? down : up);
		close(a);
		return;
	}
	put(p->client, up);
	put(p->server, down);
	if (s == BOTH_AT_ONCE) {
		assert_int_equal(shutdown(p->client, SHUT_WR), 0);
		assert_int_equal(shutdown(p->server, SHUT_WR), 0);
	}
	if (s != UNREAD_SERVER)
		assert_int_equal(take(p->server, up), up);
	if (s != UNREAD_CLIENT)
		assert_int_equal(take(p->client, down), down);
	if (s == LINGER_HALF)
		assert_int_equal(shutdown(p->client, SHUT_WR), 0);
	if (s == LINGER_CLIENT || s == LINGER_HALF)
		set_linger0(p->client);
	if (s == LINGER_SERVER)
		set_linger0(p->server);
	if (s == SERVER_CLOSES || s == LINGER_SERVER || s == UNREAD_SERVER) {
		close(p->server);
		close(p->client);
	} else {
		close(p->client);
		close(p->server);
	}
}

static bool shape_resets(enum shape s, bool client, size_t up, size_t down)
{
	return client ? s == LINGER_CLIENT || s == LINGER_HALF || (s == UNREAD_CLIENT && down)
		      : s == LINGER_SERVER || (s == UNREAD_SERVER && up);
}

static void check_addresses(const struct abi_tuple *t, enum family f)
{
	struct in6_addr want;

	assert_int_equal(inet_pton(AF_INET6, f == V6 ? "::1" : "::ffff:127.0.0.1", &want), 1);
	assert_memory_equal(t->laddr, &want, 16);
	assert_memory_equal(t->raddr, &want, 16);
}

static void check_end(struct kernel *k, const struct pair *p, bool client, enum family f,
		      enum shape shape, size_t up, size_t down)
{
	uint16_t lport = client ? p->cport : p->sport, rport = client ? p->sport : p->cport;
	const struct abi_tcp *open = record_wait(k, ABI_TCP_OPEN, lport, rport);
	const struct abi_tcp *end = record_wait(k, ABI_TCP_CLOSE, lport, rport);
	bool reset = shape_resets(shape, client, up, down);
	bool was_reset = shape_resets(shape, !client, up, down);

	assert_non_null(open);
	assert_non_null(end);
	if (end->sock.counters.sent != (client ? up : down) ||
	    end->sock.counters.received != (client ? down : up) || end->sock.counters.unacked)
		fail_msg("family %d shape %d %s up %zu down %zu: sent %lu received %lu unacked %lu",
			 (int)f, (int)shape, client ? "client" : "server", up, down,
			 (unsigned long)end->sock.counters.sent,
			 (unsigned long)end->sock.counters.received,
			 (unsigned long)end->sock.counters.unacked);
	assert_int_equal(open->sk, end->sk);
	assert_int_equal(open->sock.start, end->sock.start);
	assert_true(open->head.time >= open->sock.start && end->head.time >= open->head.time);
	assert_int_equal(end->sock.dir, client ? ABI_DIR_OUT : ABI_DIR_IN);
	assert_int_equal(end->sock.pid, getpid());
	assert_int_equal(end->sock.state, KERNEL_TCP_CLOSE);
	assert_int_equal(!!(end->sock.flags & ABI_SOCK_RST_SENT), reset);
	assert_int_equal(!!(end->sock.flags & ABI_SOCK_RST_RECEIVED), was_reset);
	assert_true(end->sock.flags & ABI_SOCK_WAS_OPEN);
	assert_int_equal(end->sock.flags & (ABI_SOCK_PRE_EXISTING | ABI_SOCK_STAND_IN), 0);
	if (!was_reset)
		assert_int_equal(end->sock.err, 0);
	else
		assert_true(end->sock.err == ECONNRESET || end->sock.err == EPIPE);
	assert_true(!client || end->sock.counters.segs_out >= 2); /* SYN and its answer's ACK */
	assert_true(end->sock.counters.segs_in >= 1);
	assert_true(end->sock.counters.srtt_us && end->sock.counters.rtt_min_us);
	check_addresses(&end->sock.tuple, f);
}

static void every_shape_counts_what_was_sent(void **state)
{
	static const size_t sizes[] = {0, 1, 100, CHUNK};
	struct kernel k;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	for (int f = 0; f < FAMILIES; f++) {
		for (int s = 0; s < SHAPES; s++) {
			for (int i = 0; i < 16; i++) {
				size_t up = sizes[i % 4], down = sizes[i / 4];
				struct pair p = pair_up(f);

				/* What nobody reads has to fit the first window. */
				if (s == UNREAD_CLIENT && down > UNREAD)
					down = UNREAD;
				if (s == UNREAD_SERVER && up > UNREAD)
					up = UNREAD;

				close_shape(&p, s, up, down);
				close(p.listener);
				check_end(&k, &p, true, f, s, up, down);
				check_end(&k, &p, false, f, s, up, down);
				k.rig.n = 0;
			}
		}
	}
	assert_int_equal(k.rig.lost, 0);
	check_equation(&k);
	kernel_down(&k);
}

/* ---- never came up --------------------------------------------------------------------------- */

static void check_failed(const struct abi_tcp *end, int err)
{
	assert_non_null(end);
	assert_int_equal(end->sock.err, err);
	assert_int_equal(end->sock.flags & ~ABI_SOCK_RST_RECEIVED, 0);
	assert_int_equal(end->sock.dir, ABI_DIR_OUT);
	assert_int_equal(end->sock.pid, getpid());
	assert_true(end->sock.tuple.lport != 0);
	assert_int_equal(end->sock.counters.sent + end->sock.counters.received +
				 end->sock.counters.unacked,
			 0);
	assert_true(end->sock.counters.segs_out >= 1);
}

static void a_refused_connect_is_told_alone(void **state)
{
	struct kernel k;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	for (int f = 0; f < FAMILIES; f++) {
		int fd = sock_new(f, 0), listener;
		union addr a;
		uint16_t port, to;

		close(listen_at(f, &port));
		addr_make(&a, f, port);
		assert_int_equal(connect(fd, &a.sa, sizeof(a)), -1);
		assert_int_equal(errno, ECONNREFUSED);
		check_failed(record_wait(&k, ABI_TCP_CLOSE, 0, port), ECONNREFUSED);
		k.rig.n = 0;
		/* The same socket, to where somebody listens. */
		listener = listen_at(f, &to);
		addr_make(&a, f, to);
		assert_int_equal(connect(fd, &a.sa, sizeof(a)), 0);
		put(fd, 7);
		close(fd);
		close(listener);
		const struct abi_tcp *end = record_wait(&k, ABI_TCP_CLOSE, 0, to);

		assert_non_null(end);
		assert_int_equal(end->sock.counters.sent, 7);
		assert_int_equal(end->sock.counters.unacked, 0);
		k.rig.n = 0;
	}
	check_equation(&k);
	kernel_down(&k);
}

/* A listener whose queue is full: a SYN more is not answered. Returns a socket that waits. */
static int waiting_connect(enum family f, int *ret_listener, int *ret_filler, uint16_t *ret_port)
{
	int fd = sock_new(f, SOCK_NONBLOCK);
	union addr a;

	*ret_listener = listen_at(f, ret_port);
	assert_int_equal(listen(*ret_listener, 0), 0);
	*ret_filler = connect_to(f, *ret_port);
	addr_make(&a, f, *ret_port);
	assert_int_equal(connect(fd, &a.sa, sizeof(a)), -1);
	assert_int_equal(errno, EINPROGRESS);
	return fd;
}

static void who_gives_up_has_no_error_who_waits_times_out(void **state)
{
	struct kernel k;
	int listener, filler, fd, ms = 200, n = 0;
	uint16_t port, lport;
	const struct abi_tcp *end;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	fd = waiting_connect(V4, &listener, &filler, &port);
	lport = port_of(fd);
	close(fd);
	check_failed(record_wait(&k, ABI_TCP_CLOSE, lport, port), 0);
	close(filler);
	close(listener);

	fd = waiting_connect(V6, &listener, &filler, &port);
	lport = port_of(fd);
	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)), 0);
	do
		end = record_wait(&k, ABI_TCP_CLOSE, lport, port);
	while (!end && ++n < 20);
	check_failed(end, ETIMEDOUT);
	close(fd);
	close(filler);
	close(listener);
	check_equation(&k);
	kernel_down(&k);
}

/* ---- stranger ways --------------------------------------------------------------------------- */

static void data_that_nobody_took_is_told_apart(void **state)
{
	struct kernel k;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	for (int f = 0; f < FAMILIES; f++) {
		struct pair p = pair_up(f);
		static char buf[65536];
		size_t total = 0;
		const struct abi_tcp *c, *s;
		ssize_t r;

		for (int idle = 0; idle < 5; idle++) {
			while ((r = send(p.client, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
				total += (size_t)r;
				idle = 0;
			}
			rig_sleep_ms(10);
		}
		close(p.server);
		close(p.client);
		c = record_wait(&k, ABI_TCP_CLOSE, p.cport, p.sport);
		s = record_wait(&k, ABI_TCP_CLOSE, p.sport, p.cport);
		assert_true(c && s);
		assert_true(c->sock.counters.unacked > 0);
		assert_int_equal(c->sock.counters.sent + c->sock.counters.unacked, total);
		assert_int_equal(s->sock.counters.received, c->sock.counters.sent);
		close(p.listener);
	}
	check_equation(&k);
	kernel_down(&k);
}

static void a_socket_that_talks_to_itself(void **state)
{
	struct kernel k;
	int fd = sock_new(V4, 0), twin = sock_new(V4, 0);
	const struct abi_tcp *end;
	uint16_t port;
	union addr a;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	addr_make(&a, V4, 0);
	assert_int_equal(bind(fd, &a.sa, sizeof(a)), 0);
	port = port_of(fd);
	addr_make(&a, V4, port);
	assert_int_equal(connect(fd, &a.sa, sizeof(a)), 0);
	put(fd, 1234);
	assert_int_equal(take(fd, 1234), 1234);
	close(fd);
	close(twin);
	end = record_wait(&k, ABI_TCP_CLOSE, port, port);
	assert_non_null(end);
	assert_non_null(record_wait(&k, ABI_TCP_OPEN, port, port));
	assert_int_equal(end->sock.counters.sent, 1234);
	assert_int_equal(end->sock.counters.received, 1234);
	assert_int_equal(end->sock.counters.unacked, 0);
	check_equation(&k);
	kernel_down(&k);
}

/* connect(AF_UNSPEC) ends the connection and the socket connects again. */
static void a_socket_used_twice_is_two_flows(void **state)
{
	struct kernel k;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	for (int f = 0; f < FAMILIES; f++) {
		struct pair p = pair_up(f);
		struct sockaddr none = {.sa_family = AF_UNSPEC};
		const struct abi_tcp *one, *two;
		uint64_t sk, start;
		union addr a;
		uint16_t second;

		put(p.client, 11);
		assert_int_equal(take(p.server, 11), 11);
		assert_int_equal(connect(p.client, &none, sizeof(none)), 0);
		one = record_wait(&k, ABI_TCP_CLOSE, p.cport, p.sport);
		assert_non_null(one);
		assert_int_equal(one->sock.counters.sent, 11);
		assert_true(one->sock.flags & ABI_SOCK_RST_SENT);
		sk = one->sk;
		start = one->sock.start;
		addr_make(&a, f, p.sport);
		assert_int_equal(connect(p.client, &a.sa, sizeof(a)), 0);
		second = port_of(p.client);
		put(p.client, 5);
		close(p.client);
		k.rig.n = 0;
		two = record_wait(&k, ABI_TCP_CLOSE, second, p.sport);
		assert_non_null(two);
		assert_int_equal(two->sk, sk);
		assert_true(two->sock.start > start);
		assert_int_equal(two->sock.counters.sent, 5);
		assert_int_equal(two->sock.counters.unacked, 0);
		close(p.server);
		close(p.listener);
		k.rig.n = 0;
	}
	check_equation(&k);
	kernel_down(&k);
}

static bool set_fastopen(void)
{
	int fd = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, "1027", 4) == 4; /* both ends, without cookies */

	if (fd >= 0)
		close(fd);
	return ok;
}

/* Data goes with the SYN; the server may read it, and close, before the handshake is over. */
static void fast_open_counts_what_goes_with_the_syn(void **state)
{
	struct kernel k;

	(void)state;
	if (!set_fastopen())
		skip();
	kernel_up(&k, &(struct kernel_opts){0});
	for (int i = 0; i < 4; i++) {
		enum family f = i & 1 ? V6 : V4;
		int qlen = 16, fd = sock_new(f, 0), served, one = 1;
		const struct abi_tcp *c, *s;
		uint16_t port, lport;
		int listener = listen_at(f, &port);
		char buf[300] = {0};
		union addr a;

		assert_int_equal(
			setsockopt(listener, IPPROTO_TCP, TCP_FASTOPEN, &qlen, sizeof(qlen)), 0);
		(void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &one, sizeof(one));
		addr_make(&a, f, port);
		assert_int_equal(sendto(fd, buf, 300, MSG_FASTOPEN, &a.sa, sizeof(a)), 300);
		lport = port_of(fd);
		served = accept(listener, NULL, NULL);
		assert_true(served >= 0);
		assert_int_equal(take(served, 300), 300);
		put(served, 40);
		if (i < 2) {
			close(served);
			assert_int_equal(take(fd, SIZE_MAX), 40);
			close(fd);
		} else {
			assert_int_equal(take(fd, 40), 40);
			close(fd);
			close(served);
		}
		c = record_wait(&k, ABI_TCP_CLOSE, lport, port);
		s = record_wait(&k, ABI_TCP_CLOSE, port, lport);
		assert_true(c && s);
		assert_int_equal(c->sock.counters.sent, 300);
		assert_int_equal(c->sock.counters.received, 40);
		assert_int_equal(s->sock.counters.sent, 40);
		assert_int_equal(s->sock.counters.received, 300);
		assert_int_equal(c->sock.counters.unacked + s->sock.counters.unacked, 0);
		close(listener);
		k.rig.n = 0;
	}
	check_equation(&k);
	kernel_down(&k);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void short_connection(enum family f, int listener, uint16_t port, size_t up, size_t down)
{
	int c = connect_to(f, port), s = accept(listener, NULL, NULL);

	assert_true(s >= 0);
	put(c, up);
	assert_int_equal(take(s, up), up);
	put(s, down);
	assert_int_equal(take(c, down), down);
	close(c);
	close(s);
}

static void a_thousand_short_ones(void **state)
{
	struct kernel k;
	uint64_t up = 0, down = 0, sent = 0, received = 0;
	unsigned opens = 0, closes = 0;
	const struct abi_tcp *t;
	uint16_t port;
	int listener = listen_at(V4, &port);
	size_t at = 0;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	for (size_t i = 0; i < 1000; i++) {
		short_connection(V4, listener, port, i, 2 * i);
		up += i;
		down += 2 * i;
	}
	close(listener);
	rig_read(&k.rig);
	while ((t = record_next(&k, &at, ABI_TCP_OPEN, 0, port)))
		opens++;
	at = 0;
	while ((t = record_next(&k, &at, ABI_TCP_CLOSE, 0, port))) {
		sent += t->sock.counters.sent;
		received += t->sock.counters.received;
		closes++;
	}
	assert_int_equal(opens, 1000);
	assert_int_equal(closes, 1000);
	assert_int_equal(sent, up);
	assert_int_equal(received, down);
	at = 0;
	closes = 0;
	sent = received = 0;
	while ((t = record_next(&k, &at, ABI_TCP_CLOSE, port, 0))) {
		sent += t->sock.counters.sent;
		received += t->sock.counters.received;
		closes++;
	}
	assert_int_equal(closes, 1000);
	assert_int_equal(sent, down);
	assert_int_equal(received, up);
	check_equation(&k);
	kernel_down(&k);
}

struct late {
	unsigned waiting, good;
};

/* What `ends` has of this namespace: 10 bytes up, 20 down. */
static struct late late_ends(struct kernel *k)
{
	struct abi_end_key key, *prev = NULL;
	const int fd = bpf_map__fd(k->tcp->maps.ends);
	struct late l = {0};
	struct abi_sock s;

	while (bpf_map_get_next_key(fd, prev, &key) == 0) {
		prev = &key;
		if (bpf_map_lookup_elem(fd, &key, &s) < 0 || s.tuple.netns != netns)
			continue;
		l.waiting++;
		assert_int_equal(key.start, s.start);
		assert_true(s.flags & ABI_SOCK_CLOSE_UNSENT);
		assert_int_equal(s.state, KERNEL_TCP_CLOSE);
		l.good += s.counters.sent == (s.dir == ABI_DIR_OUT ? 10 : 20) &&
			  s.counters.received == (s.dir == ABI_DIR_OUT ? 20 : 10);
	}
	return l;
}

static unsigned told_ends(struct kernel *k)
{
	const struct abi_tcp *t;
	unsigned told = 0;
	size_t at = 0;

	rig_read(&k->rig);
	while ((t = record_next(k, &at, ABI_TCP_CLOSE, 0, 0)))
		told++;
	return told;
}

/* With nobody reading, the ends wait with their counters, though their addresses come again. */
static void a_full_ring_loses_nothing(void **state)
{
	struct kernel k;
	uint16_t port;
	int listener = listen_at(V4, &port);
	struct late l;
	unsigned told;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){.ring = 4096});
	for (int i = 0; i < 2000; i++)
		short_connection(V4, listener, port, 10, 20);
	l = late_ends(&k);
	told = told_ends(&k);
	assert_int_equal(l.good, l.waiting);
	assert_true(l.waiting > 0 && told > 0);
	assert_int_equal(l.waiting + told, 4000);
	assert_int_equal(rig_count(&k.rig, ABI_COUNT_DROP_CLOSE), 0);
	assert_true(rig_count(&k.rig, ABI_COUNT_RING_FULL_OPEN) > 0);
	assert_true(rig_count(&k.rig, ABI_COUNT_RING_FULL_CLOSE) >= l.waiting);
	check_equation(&k);
	close(listener);
	kernel_down(&k);
}

static void what_finds_no_room_at_all_is_counted(void **state)
{
	struct kernel k;
	uint16_t port;
	int listener = listen_at(V4, &port);
	uint64_t dropped;
	struct late l;
	unsigned told;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){.ring = 4096, .ends = 16});
	for (int i = 0; i < 200; i++)
		short_connection(V4, listener, port, 10, 20);
	l = late_ends(&k);
	told = told_ends(&k);
	dropped = rig_count(&k.rig, ABI_COUNT_DROP_CLOSE);
	assert_true(l.waiting <= 16 && told > 0 && dropped > 0);
	/* Others' sockets may be among the dropped, never among the rest. */
	assert_true(l.waiting + told <= 400 && l.waiting + told + dropped >= 400);
	check_equation(&k);
	close(listener);
	kernel_down(&k);
}

static void a_full_map_is_counted_once_a_socket(void **state)
{
	struct kernel k;
	struct pair p[20];
	const struct abi_tcp *t;
	size_t at = 0;
	uint64_t pre;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){.socks = 4, .bits = 1});
	for (int i = 0; i < 20; i++)
		p[i] = pair_up(V4);
	/* Of 40, or those that find none of 8 places in two buckets. */
	assert_true(rig_count(&k.rig, ABI_COUNT_DROP_SOCKS_FULL) >= (direct ? 28 : 36));
	check_equation(&k);
	pre = rig_count(&k.rig, ABI_COUNT_PRE_EXISTING);
	for (int i = 0; i < 20; i++) {
		close_shape(&p[i], CLIENT_CLOSES, 100, 100);
		close(p[i].listener);
	}
	check_equation(&k);
	/* Their ends are not taken for those of sockets that were there before. */
	rig_read(&k.rig);
	while ((t = record_next(&k, &at, ABI_TCP_CLOSE, 0, 0)))
		assert_int_equal(t->sock.flags & ABI_SOCK_PRE_EXISTING, 0);
	at = 0;
	while ((t = record_next(&k, &at, ABI_TCP_OPEN, 0, 0)))
		assert_int_equal(t->sock.flags & ABI_SOCK_PRE_EXISTING, 0);
	(void)pre;
	kernel_down(&k);
}

/* ---- in between ------------------------------------------------------------------------------ */

static void sockets_that_were_open_before(void **state)
{
	struct kernel k;

	(void)state;
	for (int f = 0; f < FAMILIES; f++) {
		struct pair p = pair_up(f), silent = pair_up(f);
		const struct abi_tcp *c, *s;

		put(p.client, 1000);
		assert_int_equal(take(p.server, 1000), 1000);
		put(p.server, 500);
		kernel_up(&k, &(struct kernel_opts){0});
		assert_int_equal(take(p.client, 500), 500);
		close(p.client);
		close(p.server);
		c = record_wait(&k, ABI_TCP_CLOSE, p.cport, p.sport);
		assert_non_null(c);
		assert_int_equal(c->sock.flags, ABI_SOCK_PRE_EXISTING | ABI_SOCK_WAS_OPEN);
		assert_int_equal(c->sock.dir, ABI_DIR_OUT);
		assert_int_equal(c->sock.counters.sent, 1000);
		assert_int_equal(c->sock.counters.received, 500);
		close(silent.server);
		close(silent.client);
		s = record_wait(&k, ABI_TCP_CLOSE, p.sport, p.cport);
		assert_non_null(s);
		assert_int_equal(s->sock.flags,
				 ABI_SOCK_PRE_EXISTING | ABI_SOCK_WAS_OPEN | ABI_SOCK_STAND_IN);
		assert_int_equal(s->sock.dir, ABI_DIR_IN);
		assert_int_equal(s->sock.pid, 0);
		assert_int_equal(s->sock.counters.sent, 500);
		assert_int_equal(s->sock.counters.received, 1000);
		c = record_wait(&k, ABI_TCP_CLOSE, silent.cport, silent.sport);
		s = record_wait(&k, ABI_TCP_CLOSE, silent.sport, silent.cport);
		assert_true(c && s);
		assert_int_equal(c->sock.counters.sent + c->sock.counters.received +
					 s->sock.counters.sent + s->sock.counters.received,
				 0);
		close(p.listener);
		close(silent.listener);
		check_equation(&k);
		kernel_down(&k);
	}
}

static bool is_sock(const struct abi_sock *s, uint16_t lport, uint16_t rport)
{
	return s->tuple.netns == netns && s->tuple.lport == lport && s->tuple.rport == rport;
}

static bool sock_of(struct kernel *k, uint16_t lport, uint16_t rport, uint64_t *ret_sk,
		    struct abi_sock *ret)
{
	uint64_t *prev = NULL;

	while (bpf_map_get_next_key(k->rig.socks, prev, ret_sk) == 0) {
		prev = ret_sk;
		if (bpf_map_lookup_elem(k->rig.socks, ret_sk, ret) == 0 &&
		    is_sock(ret, lport, rport))
			return true;
	}
	for (size_t i = 0; i < k->rig.n_places * ABI_PLACES; i++) {
		const struct abi_places *p = &k->rig.places[i / ABI_PLACES];

		*ret_sk = p->sk[i % ABI_PLACES];
		*ret = p->sock[i % ABI_PLACES];
		if (*ret_sk && is_sock(ret, lport, rport))
			return true;
	}
	return false;
}

/* Its entry where it has a place; NULL: it has none. */
static struct abi_sock *placed(struct kernel *k, uint64_t sk)
{
	for (size_t i = 0; i < k->rig.n_places * ABI_PLACES; i++)
		if (k->rig.places[i / ABI_PLACES].sk[i % ABI_PLACES] == sk)
			return &k->rig.places[i / ABI_PLACES].sock[i % ABI_PLACES];
	return NULL;
}

/* What its bucket knows of those that are in the hash. */
static void spilled_add(struct kernel *k, uint64_t sk, int by)
{
	const uint32_t hash = (uint32_t)(sk >> 6) * 2654435761U;

	if (k->rig.places)
		k->rig.places[(uint64_t)hash * k->rig.n_places >> 32].spilled += (uint64_t)by;
}

/* Forges an entry: in its place, or in the hash. */
static void plant(struct kernel *k, uint64_t sk, const struct abi_sock *s)
{
	struct abi_sock *there = placed(k, sk);

	if (there) {
		*there = *s;
		return;
	}
	spilled_add(k, sk, 1);
	assert_int_equal(bpf_map_update_elem(k->rig.socks, &sk, s, BPF_ANY), 0);
}

/* Of the hash, if it is still there. */
static void uproot(struct kernel *k, uint64_t sk)
{
	if (bpf_map_delete_elem(k->rig.socks, &sk) == 0)
		spilled_add(k, sk, -1);
}

static struct refresh *reader(struct kernel *k)
{
	struct refresh *r;

	assert_int_equal(refresh_new(bpf_program__fd(k->refresh->progs.refresh_run),
				     bpf_map__fd(k->refresh->maps.fresh), &r),
			 0);
	return r;
}

/* Both ends of a pair: what the reader says, in a socket's record. */
struct both {
	uint64_t sk[2]; /* client, server */
	struct abi_sock s[2];
};

static void find_both(struct kernel *k, const struct pair *p, struct both *b)
{
	assert_true(sock_of(k, p->cport, p->sport, &b->sk[0], &b->s[0]));
	assert_true(sock_of(k, p->sport, p->cport, &b->sk[1], &b->s[1]));
}

/* A program that would run inside itself on its CPU is skipped: here, as a socket came up. */
static void a_connection_whose_coming_up_was_skipped_has_its_port(void **state)
{
	struct kernel k;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	for (int f = 0; f < FAMILIES; f++) {
		struct pair p = pair_up(f);
		const struct abi_tcp *t;
		struct both b;

		find_both(&k, &p, &b);
		b.s[0].state = 2; /* SYN_SENT */
		b.s[0].flags &= (uint16_t)~ABI_SOCK_WAS_OPEN;
		b.s[0].tuple.lport = 0;
		plant(&k, b.sk[0], &b.s[0]);
		close(p.client);
		close(p.server);
		close(p.listener);
		t = record_wait(&k, ABI_TCP_CLOSE, p.cport, p.sport);
		assert_non_null(t);
		assert_true(t->sk == b.sk[0] && t->sock.flags & ABI_SOCK_WAS_OPEN);
	}
	check_equation(&k);
	kernel_down(&k);
}

enum { LEFT = 8 };

static void leave_entries(struct kernel *k, struct both *b, uint8_t state)
{
	struct pair p[LEFT];

	for (int n = 0; n < LEFT; n++) {
		p[n] = pair_up(V4);
		find_both(k, &p[n], &b[n]);
	}
	for (int n = 0; n < LEFT; n++) {
		close(p[n].client);
		close(p[n].server);
		close(p[n].listener);
		assert_non_null(record_wait(k, ABI_TCP_CLOSE, p[n].cport, p[n].sport));
		assert_non_null(record_wait(k, ABI_TCP_CLOSE, p[n].sport, p[n].cport));
	}
	for (int i = 0; i < 2 * LEFT; i++) {
		struct abi_sock *s = &b[i / 2].s[i % 2];

		s->state = state;
		s->tuple.rport = 1;
		s->flags = state == 2 ? 0 : ABI_SOCK_WAS_OPEN;
		plant(k, b[i / 2].sk[i % 2], s);
	}
}

/* Accepted sockets at the address of one whose entry is left, with that state. How many ends then
 * count as lost; the new ones are told of as themselves. */
static uint64_t over_what_is_left(struct kernel *k, uint8_t state)
{
	const uint64_t before = rig_count(&k->rig, ABI_COUNT_DROP_CLOSE);
	struct both left[LEFT], now;
	unsigned hits = 0;

	for (int tries = 0; tries < 20 && !hits; tries++) {
		leave_entries(k, left, state);
		for (int n = 0; n < LEFT; n++) {
			struct pair p = pair_up(V4);

			find_both(k, &p, &now);
			for (int i = 0; i < 2 * LEFT; i++) {
				if (now.sk[1] != left[i / 2].sk[i % 2])
					continue;
				hits++;
				assert_true(now.s[1].start > left[i / 2].s[i % 2].start);
			}
			close(p.client);
			close(p.server);
			close(p.listener);
		}
		for (int i = 0; i < 2 * LEFT; i++)
			uproot(k, left[i / 2].sk[i % 2]);
	}
	assert_true(hits > 0);
	return rig_count(&k->rig, ABI_COUNT_DROP_CLOSE) - before;
}

static void an_address_comes_again_where_an_entry_was_left(void **state)
{
	struct kernel k;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	assert_true(over_what_is_left(&k, 1) > 0);		      /* its end was missed */
	assert_true(over_what_is_left(&k, 2) > 0);		      /* the same, as it came up */
	assert_int_equal(over_what_is_left(&k, KERNEL_TCP_CLOSE), 0); /* told, not deleted */
	kernel_down(&k);
}

/* Sent at once, then silence. */
static void idle_connections_show_all_bytes(void **state)
{
	struct kernel k;
	struct refresh *r;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	r = reader(&k);
	for (int i = 0; i < 2 * FAMILIES; i++) {
		struct pair p = pair_up(i / 2);
		const int back = i & 1;
		struct both b;
		uint64_t was;

		find_both(&k, &p, &b);
		was = b.s[0].updated;
		for (int n = 0; n < 20; n++) {
			put(back ? p.server : p.client, CHUNK);
			assert_int_equal(take(back ? p.client : p.server, CHUNK), CHUNK);
		}
		assert_int_equal(refresh_run(r, b.sk, b.s, 2), 2);
		assert_int_equal(b.s[back].counters.sent, 20 * CHUNK);
		assert_int_equal(b.s[!back].counters.received, 20 * CHUNK);
		assert_int_equal(b.s[!back].counters.sent + b.s[back].counters.received, 0);
		assert_int_equal(b.s[0].counters.unacked + b.s[1].counters.unacked, 0);
		assert_true(b.s[0].counters.segs_out && b.s[1].counters.segs_in);
		assert_true(b.s[0].updated > was && b.s[0].state == 1);
		/* Half closed: FINs are no payload. */
		assert_int_equal(shutdown(p.client, SHUT_WR), 0);
		assert_int_equal(take(p.server, 1), 0);
		assert_int_equal(refresh_run(r, b.sk, b.s, 2), 2);
		assert_int_equal(b.s[back].counters.sent, 20 * CHUNK);
		assert_int_equal(b.s[!back].counters.received, 20 * CHUNK);
		assert_int_equal(b.s[!back].counters.sent + b.s[back].counters.received, 0);
		assert_true(b.s[0].state == 4 || b.s[0].state == 5); /* FIN_WAIT1, 2 */
		close(p.client);
		close(p.server);
		close(p.listener);
	}
	refresh_free(&r);
	kernel_down(&k);
}

/* What is not acknowledged yet, and that a run of more than the map holds is cut in pieces. */
static void many_are_read_in_pieces(void **state)
{
	enum { N = 100 };
	static struct abi_sock s[2 * N];
	static uint64_t sk[2 * N];
	struct pair p[N];
	struct kernel k;
	struct refresh *r;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	r = reader(&k);
	for (int i = 0; i < N; i++) {
		p[i] = pair_up(V4);
		put(p[i].client, (size_t)i + 1);
		assert_true(sock_of(&k, p[i].cport, p[i].sport, &sk[2 * i], &s[2 * i]));
		assert_true(sock_of(&k, p[i].sport, p[i].cport, &sk[2 * i + 1], &s[2 * i + 1]));
	}
	assert_int_equal(refresh_run(r, sk, s, (size_t)2 * N), 2 * N);
	for (int i = 0; i < N; i++) {
		assert_int_equal(s[2 * i].counters.sent + s[2 * i].counters.unacked, i + 1);
		assert_int_equal(s[2 * i + 1].counters.received, i + 1);
		close(p[i].client);
		close(p[i].server);
		close(p[i].listener);
	}
	refresh_free(&r);
	kernel_down(&k);
}

/* Records that are not of the socket that is there now are left alone. */
static void what_is_gone_is_not_touched(void **state)
{
	const uint64_t nowhere[] = {1, 0xffff888000000000, 0xdeadbeef00000000, UINT64_MAX};
	struct pair p = pair_up(V4), q;
	struct abi_sock old, forged;
	struct both b;
	struct kernel k;
	struct refresh *r;

	(void)state;
	close(p.client);
	close(p.server);
	close(p.listener);
	kernel_up(&k, &(struct kernel_opts){0});
	r = reader(&k);
	q = pair_up(V4);
	put(q.client, 100);
	assert_int_equal(take(q.server, 100), 100);
	find_both(&k, &q, &b);
	/* An earlier socket at the same address. */
	old = b.s[0];
	old.start--;
	assert_int_equal(refresh_run(r, &b.sk[0], &old, 1), 0);
	assert_int_equal(old.counters.sent, 0);
	/* Its end was missed: the record is there, the addresses are another's. */
	forged = b.s[0];
	forged.tuple.rport++;
	plant(&k, b.sk[0], &forged);
	assert_int_equal(refresh_run(r, &b.sk[0], &forged, 1), 0);
	assert_int_equal(forged.counters.sent, 0);
	/* Memory that is no socket, or is not there; with a record and without. */
	for (size_t i = 0; i < ARRAY_SIZE(nowhere); i++) {
		uint64_t sk = nowhere[i];
		struct abi_sock s = b.s[0];

		assert_int_equal(refresh_run(r, &sk, &s, 1), 0);
		plant(&k, sk, &s);
		assert_int_equal(refresh_run(r, &sk, &s, 1), 0);
		uproot(&k, sk);
		assert_int_equal(s.counters.sent, 0);
	}
	assert_int_equal(refresh_run(r, &b.sk[1], &b.s[1], 1), 1);
	/* Closed, and not a word of it. */
	close(q.client);
	close(q.server);
	assert_int_equal(refresh_run(r, &b.sk[1], &b.s[1], 1), 0);
	close(q.listener);
	refresh_free(&r);
	kernel_down(&k);
}

/* Once, and only when it is no connect that has just begun. */
static void an_end_that_was_missed_is_noticed(void **state)
{
	enum { OLD_NS = 2000000000 };
	struct kernel k;
	struct refresh *r;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	r = reader(&k);
	for (int f = 0; f < FAMILIES; f++) {
		const uint64_t lost = rig_count(&k.rig, ABI_COUNT_DROP_CLOSE);
		struct pair p = pair_up(f);
		struct abi_sock now;
		struct both b;

		find_both(&k, &p, &b);
		for (int i = 0; i < 2; i++) {
			b.s[i].start -= OLD_NS;
			plant(&k, b.sk[i], &b.s[i]);
		}
		/* Alive: the server is as it was, the client has not come up yet for all we know.
		 */
		b.s[0].state = 2; /* SYN_SENT */
		b.s[0].flags &= (uint16_t)~ABI_SOCK_WAS_OPEN;
		plant(&k, b.sk[0], &b.s[0]);
		assert_int_equal(refresh_run(r, b.sk, b.s, 2), 1);
		close(p.client);
		close(p.server);
		close(p.listener);
		assert_non_null(record_wait(&k, ABI_TCP_CLOSE, p.cport, p.sport));
		assert_non_null(record_wait(&k, ABI_TCP_CLOSE, p.sport, p.cport));
		for (int i = 0; i < 2; i++)
			plant(&k, b.sk[i], &b.s[i]);
		assert_int_equal(rig_count(&k.rig, ABI_COUNT_DROP_CLOSE), lost);
		for (int i = 0; i < 2; i++)
			assert_int_equal(refresh_run(r, b.sk, b.s, 2), 0);
		assert_int_equal(rig_count(&k.rig, ABI_COUNT_DROP_CLOSE), lost + 2);
		for (int i = 0; i < 2; i++) {
			uint64_t sk;

			if (!sock_of(&k, b.s[i].tuple.lport, b.s[i].tuple.rport, &sk, &now))
				continue; /* somebody has the address by now */
			assert_true(sk == b.sk[i] && now.state == KERNEL_TCP_CLOSE);
			b.s[i].start += OLD_NS * 10ULL; /* a connect that is told of just now */
			plant(&k, b.sk[i], &b.s[i]);
		}
		assert_int_equal(refresh_run(r, b.sk, b.s, 2), 0);
		assert_int_equal(rig_count(&k.rig, ABI_COUNT_DROP_CLOSE), lost + 2);
		for (int i = 0; i < 2; i++)
			uproot(&k, b.sk[i]);
	}
	refresh_free(&r);
	kernel_down(&k);
}

/* An entry whose end was missed, in a place of its bucket where there are such. */
static void plant_missed(struct kernel *k, uint64_t sk, const struct abi_sock *s)
{
	const uint64_t hash = (uint32_t)(sk >> 6) * 2654435761U;
	struct abi_places *p = k->rig.places ? &k->rig.places[hash * k->rig.n_places >> 32] : NULL;

	for (int i = 0; p && i < ABI_PLACES; i++) {
		if (p->sk[i])
			continue;
		p->sock[i] = *s;
		p->sk[i] = sk;
		return;
	}
	plant(k, sk, s);
}

/* When its address comes again: by the poll that noticed it, or then. */
static void a_missed_end_is_counted_once(void **state)
{
	struct kernel k;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	for (int noticed = 0; noticed < 2; noticed++) {
		struct sockaddr none = {.sa_family = AF_UNSPEC};
		struct pair p = pair_up(V4);
		struct both b;
		union addr a;
		uint64_t lost;

		find_both(&k, &p, &b);
		assert_int_equal(connect(p.client, &none, sizeof(none)), 0);
		assert_non_null(record_wait(&k, ABI_TCP_CLOSE, p.cport, p.sport));
		lost = rig_count(&k.rig, ABI_COUNT_DROP_CLOSE);
		if (noticed)
			b.s[0].state = KERNEL_TCP_CLOSE;
		plant_missed(&k, b.sk[0], &b.s[0]);
		addr_make(&a, V4, p.sport);
		assert_int_equal(connect(p.client, &a.sa, sizeof(a)), 0);
		assert_int_equal(rig_count(&k.rig, ABI_COUNT_DROP_CLOSE), lost + !noticed);
		close(p.client);
		close(p.server);
		close(p.listener);
		k.rig.n = 0;
	}
	kernel_down(&k);
}

/* A sender that never rests: nothing ever goes backwards, or beyond what was given. */
static void counters_of_busy_sockets_only_grow(void **state)
{
	struct pair p;
	struct both b, was;
	struct kernel k;
	struct refresh *r;
	int status, n = 0;
	pid_t pid;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	r = reader(&k);
	p = pair_up(V4);
	find_both(&k, &p, &b);
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 4000; i++)
			put(p.client, CHUNK);
		_exit(0);
	}
	assert_true(pid > 0);
	close(p.client);
	for (size_t got = 0; got < (size_t)4000 * CHUNK;) {
		size_t some = take(p.server, 20 * CHUNK);

		got += some;
		was = b;
		n += refresh_run(r, b.sk, b.s, 2);
		assert_true(b.s[1].counters.received >= was.s[1].counters.received);
		assert_true(b.s[0].counters.sent >= was.s[0].counters.sent);
		assert_true(b.s[1].counters.received >= got);
		assert_true(b.s[0].counters.sent <= (size_t)4000 * CHUNK);
		assert_true(b.s[0].counters.unacked < 64 << 20);
	}
	assert_true(n > 100);
	assert_true(waitpid(pid, &status, 0) == pid && status == 0);
	close(p.server);
	close(p.listener);
	refresh_free(&r);
	kernel_down(&k);
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* A server in a process and a cgroup of its own: accepts one connection, echoes 10 bytes. */
static pid_t server_in(const char *dir, enum family f, bool any, uint16_t *ret_port)
{
	int ready[2];
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		int fd, s;
		union addr a;
		uint16_t port;

		if (dir && !rig_cgroup_join(dir))
			_exit(2);
		fd = socket(f == V4 ? AF_INET : AF_INET6, SOCK_STREAM, 0);
		addr_make(&a, f, 0);
		if (any && f == V4)
			a.v4.sin_addr.s_addr = 0;
		if (any && f != V4)
			memset(&a.v6.sin6_addr, 0, 16);
		if (bind(fd, &a.sa, sizeof(a)) < 0 || listen(fd, 16) < 0)
			_exit(3);
		port = port_of(fd);
		if (write(ready[1], &port, sizeof(port)) != sizeof(port))
			_exit(4);
		s = accept(fd, NULL, NULL);
		put(s, take(s, 10));
		_exit(0);
	}
	assert_int_equal(read(ready[0], ret_port, sizeof(*ret_port)), sizeof(*ret_port));
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void the_owner_is_the_sockets_own(void **state)
{
	char root[128], dir[256];
	struct kernel k;
	uint64_t id = 0;
	int n = 0;

	(void)state;
	if (rig_cgroup2(root, sizeof(root))) {
		snprintf(dir, sizeof(dir), "%s/kindred-test-%d", root, getpid());
		assert_int_equal(mkdir(dir, 0755), 0);
		id = rig_inode(dir);
	}
	kernel_up(&k, &(struct kernel_opts){0});
	for (int i = 0; i < 6; i++) {
		/* to an exact address; to a wildcard; IPv4 to the wildcard of IPv6 */
		enum family to = i % 3 == 2 ? V4 : i & 1 ? V6 : V4;
		enum family at = i % 3 == 2 ? V6 : to;
		uint16_t port;
		pid_t pid = server_in(id ? dir : NULL, at, i % 3 != 0, &port);
		const struct abi_tcp *c, *s, *l;
		int fd = connect_to(to, port), status;
		uint16_t lport = port_of(fd);

		put(fd, 10);
		assert_int_equal(take(fd, SIZE_MAX), 10);
		close(fd);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		l = record_wait(&k, ABI_TCP_OPEN, port, 0);
		s = record_wait(&k, ABI_TCP_CLOSE, port, lport);
		c = record_wait(&k, ABI_TCP_CLOSE, lport, port);
		assert_true(c && s && l);
		assert_int_equal(s->sock.pid, pid);
		assert_int_equal(c->sock.pid, getpid());
		assert_memory_equal(s->sock.comm, "kernel_tcp", 11);
		assert_int_equal(s->sock.flags & ABI_SOCK_STAND_IN, 0);
		if (id)
			assert_int_equal(s->sock.cgroup, id);
		assert_true(c->sock.cgroup && (!id || c->sock.cgroup != id));
		k.rig.n = 0;
		n++;
	}
	assert_int_equal(n, 6);
	kernel_down(&k);
	if (id)
		assert_int_equal(rmdir(dir), 0);
}

/* Two processes at one address: the accepted socket may be either's, so it is nobody's. */
static void two_who_listen_together_are_not_told_apart(void **state)
{
	struct kernel k;
	int one = 1, a = sock_new(V4, 0), fd, s;
	const struct abi_tcp *end;
	uint16_t port, lport;
	union addr addr;
	pid_t pid;

	(void)state;
	kernel_up(&k, &(struct kernel_opts){0});
	addr_make(&addr, V4, 0);
	assert_int_equal(setsockopt(a, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(a, &addr.sa, sizeof(addr)), 0);
	assert_int_equal(listen(a, 16), 0);
	port = port_of(a);
	pid = fork();
	if (!pid) {
		int b = socket(AF_INET, SOCK_STREAM, 0);

		addr_make(&addr, V4, port);
		(void)setsockopt(b, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
		_exit(bind(b, &addr.sa, sizeof(addr)) < 0 || listen(b, 1) < 0);
	}
	assert_true(pid > 0 && waitpid(pid, &s, 0) == pid && s == 0);
	fd = connect_to(V4, port);
	lport = port_of(fd);
	s = accept(a, NULL, NULL);
	close(s);
	close(fd);
	end = record_wait(&k, ABI_TCP_CLOSE, port, lport);
	assert_non_null(end);
	assert_int_equal(end->sock.pid, 0);
	assert_true(end->sock.flags & ABI_SOCK_STAND_IN);
	close(a);
	kernel_down(&k);
}

/* ---- what it costs: printed ------------------------------------------------------------------ */

/* Runs of a program so far and their nanoseconds, as kernel.bpf_stats_enabled counts them. */
struct cost {
	uint64_t ns, runs;
};

static struct cost cost_of(int prog)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(prog, &info, &len), 0);
	return (struct cost){.ns = info.run_time_ns, .runs = info.run_cnt};
}

enum { COST_BATCH = 300, COST_BATCHES = 20, COST_PROGS = 2 };

struct costs {
	int prog[COST_PROGS];
	double ns[COST_PROGS], runs[COST_PROGS]; /* a connection; of the cheapest batch */
};

static void cost_batch(struct kernel *k, struct costs *c, int listener, uint16_t port)
{
	struct cost was[COST_PROGS];

	for (int i = 0; i < COST_PROGS; i++)
		was[i] = cost_of(c->prog[i]);
	for (int i = 0; i < COST_BATCH; i++)
		short_connection(V4, listener, port, 100, 100);
	for (int i = 0; i < COST_PROGS; i++) {
		struct cost now = cost_of(c->prog[i]);
		double ns = (double)(now.ns - was[i].ns) / COST_BATCH;

		if (c->ns[i] > 0 && ns >= c->ns[i])
			continue;
		c->ns[i] = ns;
		c->runs[i] = (double)(now.runs - was[i].runs) / COST_BATCH;
	}
	rig_read(&k->rig);
}

/* A program that does nothing: what the statistics cost a run. Returns it; *ret_link holds it. */
static int cost_empty(int *ret_link)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int prog = bpf_prog_load(BPF_PROG_TYPE_RAW_TRACEPOINT, "empty", "Dual BSD/GPL", insns, 2,
				 NULL);

	assert_true(prog >= 0);
	*ret_link = bpf_raw_tracepoint_open("inet_sock_set_state", prog);
	assert_true(*ret_link >= 0);
	return prog;
}

static void cost(uint32_t map_flags)
{
	static const char *const names[COST_PROGS] = {"tcp", "empty"};
	struct kernel k;
	struct costs c = {0};
	uint16_t port;
	int listener, stats, link;
	double sum = 0, empty;

	kernel_up(&k, &(struct kernel_opts){.socks = 65536, .map_flags = map_flags, .bits = 12});
	listener = listen_at(V4, &port);
	c.prog[0] =
		bpf_program__fd(direct ? k.tcp->progs.tcp_state_direct : k.tcp->progs.tcp_state);
	c.prog[1] = cost_empty(&link);
	stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	assert_true(stats >= 0);
	for (int i = 0; i < COST_BATCHES; i++)
		cost_batch(&k, &c, listener, port);
	close(stats);
	empty = c.ns[1] / c.runs[1];
	printf("  cost: socks with flags %u; a run that does nothing reads as %.0f ns\n", map_flags,
	       empty);
	for (int i = 0; i < 1; i++) {
		printf("  cost: %-10s %4.1f runs, %5.0f ns a connection, %5.0f without that\n",
		       names[i], c.runs[i], c.ns[i], c.ns[i] - c.runs[i] * empty);
		sum += c.ns[i] - c.runs[i] * empty;
	}
	printf("  cost: both ends together %.0f ns a connection\n", sum);
	close(link);
	close(c.prog[1]);
	close(listener);
	kernel_down(&k);
}

static void cost_of_refresh(void)
{
	enum { N = 200, TIMES = 200 };
	static struct abi_sock s[2 * N];
	static uint64_t sk[2 * N];
	struct pair p[N];
	struct timespec a, b;
	struct kernel k;
	struct refresh *r;

	kernel_up(&k, &(struct kernel_opts){0});
	r = reader(&k);
	for (int i = 0; i < N; i++) {
		p[i] = pair_up(V4);
		assert_true(sock_of(&k, p[i].cport, p[i].sport, &sk[2 * i], &s[2 * i]));
		assert_true(sock_of(&k, p[i].sport, p[i].cport, &sk[2 * i + 1], &s[2 * i + 1]));
	}
	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < TIMES; i++)
		assert_int_equal(refresh_run(r, sk, s, (size_t)2 * N), 2 * N);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("  cost: refresh %.0f ns a socket and poll\n",
	       ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) /
		       (2.0 * N * TIMES));
	for (int i = 0; i < N; i++) {
		close(p[i].client);
		close(p[i].server);
		close(p[i].listener);
	}
	refresh_free(&r);
	kernel_down(&k);
}

static void what_it_costs(void **state)
{
	(void)state;
	cost_of_refresh();
	cost(0);
	cost(BPF_F_NO_PREALLOC);
}

static bool may_follow(void)
{
	struct tcp_bpf *tcp = tcp_bpf__open();
	int r;

	rig_choose(tcp->obj, true);
	r = tcp_bpf__load(tcp);
	tcp_bpf__destroy(tcp);
	return r == 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_shape_counts_what_was_sent),
		cmocka_unit_test(a_refused_connect_is_told_alone),
		cmocka_unit_test(who_gives_up_has_no_error_who_waits_times_out),
		cmocka_unit_test(data_that_nobody_took_is_told_apart),
		cmocka_unit_test(a_socket_that_talks_to_itself),
		cmocka_unit_test(a_socket_used_twice_is_two_flows),
		cmocka_unit_test(fast_open_counts_what_goes_with_the_syn),
		cmocka_unit_test(a_thousand_short_ones),
		cmocka_unit_test(a_full_ring_loses_nothing),
		cmocka_unit_test(what_finds_no_room_at_all_is_counted),
		cmocka_unit_test(a_full_map_is_counted_once_a_socket),
		cmocka_unit_test(sockets_that_were_open_before),
		cmocka_unit_test(a_connection_whose_coming_up_was_skipped_has_its_port),
		cmocka_unit_test(an_address_comes_again_where_an_entry_was_left),
		cmocka_unit_test(idle_connections_show_all_bytes),
		cmocka_unit_test(many_are_read_in_pieces),
		cmocka_unit_test(what_is_gone_is_not_touched),
		cmocka_unit_test(an_end_that_was_missed_is_noticed),
		cmocka_unit_test(a_missed_end_is_counted_once),
		cmocka_unit_test(counters_of_busy_sockets_only_grow),
		cmocka_unit_test(the_owner_is_the_sockets_own),
		cmocka_unit_test(two_who_listen_together_are_not_told_apart),
		cmocka_unit_test(what_it_costs),
	};

	int failed;

	setvbuf(stdout, NULL, _IOLBF, 0);
	rig_or_skip();
	signal(SIGPIPE, SIG_IGN);
	if (rig_netns(&netns) < 0) {
		printf("skipped: no network namespace (cannot run here)\n");
		return 77;
	}
	failed = cmocka_run_group_tests_name("by copies", tests, NULL, NULL);
	direct = may_follow();
	if (direct)
		failed += cmocka_run_group_tests_name("directly", tests, NULL, NULL);
	else
		printf("skipped: bpf_rdonly_cast is not in this kernel\n");
	return failed;
}
