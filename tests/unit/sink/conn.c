/*
 * The connection against a reducer that is down, slow, deaf, cut off, talkative
 * or restarted, on the loopback interface and in real time.
 */
#include "sink/reducer/conn.h"

#include "base/log.h"
#include "base/mem.h"
#include "tests/lib/objects.h"
#include "tests/unit/sink/peer.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#define SEC  NSEC_PER_SEC
#define MSEC NSEC_PER_MSEC

/* How the reducer of a test behaves. */
struct manners {
	size_t read_max; /* bytes in one turn; 0: does not read */
	int pause_ms;	 /* between two turns */
	size_t cut_at;	 /* closes after so many bytes; 0: never */
	bool reset;	 /* with RST */
	bool talks;	 /* sends bytes back */
	int rcvbuf;
	nsec_t heartbeat; /* of the session; 0: 20 ms */
};

struct world {
	struct event_base *base;
	struct inventory *v;
	struct session *s;
	struct conn *c;
	struct manners m;
	struct peer peer;
	struct event *listen_ev, *read_ev;
	int listen_fd, fd;
	uint16_t port, src;
	size_t got, accepted;
	bool eof, stopped, late;
};

static void close_peer(struct world *w)
{
	const struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (w->fd < 0)
		return;
	if (w->m.reset)
		(void)setsockopt(w->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	event_free(w->read_ev);
	w->read_ev = NULL;
	(void)close(w->fd);
	w->fd = -1;
}

static void next_read(struct world *w)
{
	const struct timeval tv = {.tv_usec = w->m.pause_ms * 1000};

	if (w->m.read_max)
		(void)event_add(w->read_ev, w->m.pause_ms ? &tv : NULL);
}

static void on_read(evutil_socket_t fd, short what, void *ctx)
{
	struct world *w = ctx;
	char bytes[65536];
	ssize_t n;

	(void)what;
	n = read(fd, bytes, MIN(sizeof(bytes), w->m.read_max));
	if (n < 0 && errno == EAGAIN) {
		next_read(w);
		return;
	}
	if (n <= 0) {
		w->eof = n == 0;
		close_peer(w);
		return;
	}
	w->got += (size_t)n;
	peer_feed(&w->peer, str_make(bytes, (size_t)n));
	if (w->m.talks)
		(void)!write(fd, bytes, (size_t)n);
	if (w->m.cut_at && w->got >= w->m.cut_at)
		close_peer(w);
	else
		next_read(w);
}

static void on_accept(evutil_socket_t fd, short what, void *ctx)
{
	struct world *w = ctx;
	const int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)what;
	if (peer < 0)
		return;
	close_peer(w);
	peer_reset(&w->peer);
	w->fd = peer;
	w->got = 0;
	w->eof = false;
	w->accepted++;
	/* A slow reader reads by the clock, others when there is something. */
	w->read_ev = event_new(w->base, peer, w->m.pause_ms ? EV_TIMEOUT : EV_READ, on_read, w);
	next_read(w);
}

static void listen_start(struct world *w)
{
	struct sockaddr_in sa = {.sin_family = AF_INET,
				 .sin_port = htons(w->port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sa);
	const int one = 1;

	w->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(w->listen_fd >= 0);
	(void)setsockopt(w->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (w->m.rcvbuf)
		(void)setsockopt(w->listen_fd, SOL_SOCKET, SO_RCVBUF, &w->m.rcvbuf,
				 sizeof(w->m.rcvbuf));
	assert_int_equal(bind(w->listen_fd, (struct sockaddr *)&sa, len), 0);
	assert_int_equal(listen(w->listen_fd, 16), 0);
	assert_int_equal(getsockname(w->listen_fd, (struct sockaddr *)&sa, &len), 0);
	w->port = ntohs(sa.sin_port);
	w->listen_ev = event_new(w->base, w->listen_fd, EV_READ | EV_PERSIST, on_accept, w);
	(void)event_add(w->listen_ev, NULL);
}

static void listen_stop(struct world *w)
{
	if (w->listen_ev)
		event_free(w->listen_ev);
	w->listen_ev = NULL;
	if (w->listen_fd >= 0)
		(void)close(w->listen_fd);
	w->listen_fd = -1;
}

static void on_stopped(void *ctx)
{
	struct world *w = ctx;

	w->stopped = true;
	conn_free(&w->c);
}

static void on_late(evutil_socket_t fd, short what, void *ctx)
{
	struct world *w = ctx;

	(void)fd, (void)what;
	w->late |= !w->stopped;
}

static void add_pods(struct world *w, unsigned int from, unsigned int n)
{
	struct obj b;
	char name[32], cid[96], ip[24];

	for (unsigned int i = from; i < from + n; i++) {
		(void)snprintf(name, sizeof(name), "p%u-%08x", i, i * 2654435761U);
		(void)snprintf(cid, sizeof(cid), "containerd://%08x%08x%08x%08x%08x%08x%08x%08x", i,
			       i * 2654435761U, i * 40503U, ~i, i ^ 0x5bd1e995U, i * 97U, i * 193U,
			       i * 389U);
		(void)snprintf(ip, sizeof(ip), "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
		obj_pod(&b, "ns", name, obj_uid(i), ip);
		obj_container(&b, cid, "main", "nginx:1");
		assert_int_equal(inventory_apply_pod(w->v, w->src, clock_mono(), &b.o), 0);
	}
	if (w->c)
		conn_wake(w->c);
}

static struct conn_opts fast(struct world *w, const char *host)
{
	return (struct conn_opts){
		.base = w->base,
		.session = w->s,
		.host = host,
		.port = w->port,
		.connect_timeout = 200 * MSEC,
		.backoff_min = 1 * MSEC,
		.backoff_max = 20 * MSEC,
		.stall_warn = 100 * MSEC,
		.stall_max = 300 * MSEC,
		.seed = 1,
	};
}

static void world_init(struct world *w, struct manners m)
{
	struct session_opts so = {
		.waiting = {.max = 100, .timeout = SEC},
		.hostname = STR("n"),
		.heartbeat = m.heartbeat ? m.heartbeat : 20 * MSEC,
	};

	*w = (struct world){.m = m, .listen_fd = -1, .fd = -1};
	w->base = event_base_new();
	assert_non_null(w->base);
	assert_int_equal(event_base_priority_init(w->base, 3), 0);
	assert_int_equal(inventory_new(&inventory_defaults, &w->v), 0);
	assert_int_equal(inventory_source_add(w->v, &w->src), 0);
	so.inventory = w->v;
	assert_int_equal(session_new(&so, &w->s), 0);
	peer_init(&w->peer);
	w->peer.quiet = true;
	listen_start(w);
}

static void world_start(struct world *w)
{
	const struct conn_opts o = fast(w, "127.0.0.1");

	assert_int_equal(conn_new(&o, &w->c), 0);
	conn_start(w->c);
}

static void world_done(struct world *w)
{
	if (w->c)
		conn_free(&w->c);
	listen_stop(w);
	close_peer(w);
	session_free(&w->s);
	inventory_free(&w->v);
	peer_done(&w->peer);
	event_base_free(w->base);
}

/* Turns the loop until the condition holds; fails after a minute, in which also a sanitized program
 * on a busy machine makes its 60,000 pods. */
#define UNTIL(w, cond)                                             \
	do {                                                       \
		const nsec_t until_end_ = clock_mono() + 60 * SEC; \
		while (!(cond)) {                                  \
			assert_true(clock_mono() < until_end_);    \
			turn(w, 5);                                \
		}                                                  \
	} while (0)

static void turn(struct world *w, int ms)
{
	const struct timeval tv = {.tv_usec = ms * 1000};

	(void)event_base_loopexit(w->base, &tv);
	(void)event_base_loop(w->base, EVLOOP_ONCE);
}

static struct conn_status status(const struct world *w)
{
	struct conn_status st;

	conn_status(w->c, &st);
	return st;
}

static void stop(struct world *w, nsec_t grace)
{
	conn_stop(w->c, grace, on_stopped, w);
	assert_false(w->stopped); /* never from inside the call */
	UNTIL(w, w->stopped);
}

/* Ends by itself: its time would be longer than UNTIL waits. */
static void stop_by_itself(struct world *w)
{
	stop(w, 3600 * SEC);
}

/* Ends when its time is over, if not before. A busy machine is late with both timers. */
static void stop_in_time(struct world *w)
{
	const nsec_t most = CONN_STOP_GRACE + 200 * MSEC;
	const struct timeval tv = {.tv_usec = (suseconds_t)(most / NSEC_PER_USEC)};
	struct event *late = evtimer_new(w->base, on_late, w);

	(void)evtimer_add(late, &tv);
	stop(w, 0);
	event_free(late);
	assert_false(w->late);
}

/* ---- cases ----------------------------------------------------------------------------------- */

/* Waits that were measured. */
static uint64_t sends(const struct world *w)
{
	const struct hist *h = status(w).sends;
	uint64_t n = 0;

	for (uint32_t i = 0; i <= h->n; i++)
		n += h->counts[i];
	return n;
}

static void tells_and_stops(void **state)
{
	struct world w;
	uint64_t before;

	(void)state;
	world_init(&w, (struct manners){.read_max = 65536});
	add_pods(&w, 0, 3000);
	world_start(&w);
	UNTIL(&w, w.peer.n_pods == 3000 && session_at_rest(w.s));
	assert_int_equal(status(&w).state, CONN_UP);
	assert_int_equal(status(&w).connects, 1);
	UNTIL(&w, status(&w).behind == 0);
	add_pods(&w, 3000, 1);
	assert_true(status(&w).behind > 0);
	before = sends(&w);
	UNTIL(&w, w.peer.n_pods == 3001);
	UNTIL(&w, sends(&w) > before && status(&w).behind == 0);
	UNTIL(&w, w.peer.heartbeats >= 2);
	add_pods(&w, 3001, 500); /* what is there goes out before the end */
	stop_by_itself(&w);
	UNTIL(&w, w.eof); /* FIN, not RST */
	assert_int_equal(w.peer.n_pods, 3501);
	world_done(&w);
}

static void survives_a_restart(void **state)
{
	struct world w;
	uint64_t epoch;

	(void)state;
	world_init(&w, (struct manners){.read_max = 65536});
	add_pods(&w, 0, 100);
	world_start(&w);
	UNTIL(&w, w.peer.n_pods == 100);
	epoch = w.peer.epoch;
	for (int i = 0; i < 2; i++) {
		const uint64_t failures = status(&w).failures;

		w.m.reset = i == 1;
		listen_stop(&w);
		close_peer(&w);
		UNTIL(&w, status(&w).failures >= failures + 3);
		assert_true(status(&w).error[0] != '\0');
		assert_false(session_is_connected(w.s));
		add_pods(&w, 100 + (unsigned int)i, 1);
		listen_start(&w);
		UNTIL(&w, w.peer.hello && w.peer.n_pods == 101U + (unsigned int)i &&
				  session_at_rest(w.s));
		assert_true(w.peer.epoch > epoch); /* the peer also wants it to rise */
		epoch = w.peer.epoch;
	}
	assert_int_equal(status(&w).losses, 2);
	stop_by_itself(&w);
	world_done(&w);
}

static void survives_cuts(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, (struct manners){.read_max = 1000, .cut_at = 1});
	add_pods(&w, 0, 2000);
	world_start(&w);
	for (size_t cut = 1; cut < 100000; cut = cut * 3 + 7) {
		const size_t seen = w.accepted;

		w.m.cut_at = cut;
		w.m.reset = cut % 2;
		UNTIL(&w, w.accepted > seen + 1);
	}
	w.m.cut_at = 0;
	UNTIL(&w, w.peer.n_pods == 2000 && session_at_rest(w.s));
	world_done(&w);
}

static void is_patient_with_the_slow(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, (struct manners){.read_max = 4096, .pause_ms = 2, .rcvbuf = 4096});
	add_pods(&w, 0, 4000);
	world_start(&w);
	UNTIL(&w, w.peer.n_pods == 4000 && session_at_rest(w.s));
	assert_int_equal(w.accepted, 1);
	stop_by_itself(&w);
	world_done(&w);
}

static void gives_up_on_the_deaf(void **state)
{
	struct world w;
	struct session_counters n;

	(void)state;
	world_init(&w, (struct manners){.read_max = 0, .rcvbuf = 4096});
	add_pods(&w, 0, 60000);
	world_start(&w);
	UNTIL(&w, status(&w).stalls == 1);
	session_counters(w.s, &n);
	assert_true(n.wire_bytes < 4 << 20); /* the rest stays in the inventory */
	assert_true(session_bytes(w.s) < 3 << 20);
	UNTIL(&w, w.accepted == 2);
	UNTIL(&w, session_output(w.s).n > 0);
	stop_in_time(&w);
	world_done(&w);

	world_init(&w, (struct manners){.read_max = 0, .rcvbuf = 4096});
	add_pods(&w, 0, 20000);
	world_start(&w);
	UNTIL(&w, w.accepted == 1);
	w.m.read_max = 65536; /* hears again before its time is over */
	turn(&w, 150);
	next_read(&w);
	w.read_ev ? (void)event_active(w.read_ev, EV_READ, 0) : (void)0;
	UNTIL(&w, w.peer.n_pods > 0 || status(&w).stalls);
	world_done(&w);
}

/* Long silence on both sides is no stall. */
static void is_at_ease_when_idle(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, (struct manners){.read_max = 65536, .heartbeat = 60 * SEC});
	world_start(&w);
	UNTIL(&w, w.peer.resynced);
	for (unsigned int i = 0; i < 3; i++) {
		const nsec_t until = clock_mono() + 350 * MSEC;

		UNTIL(&w, clock_mono() > until);
		add_pods(&w, i, 1);
		UNTIL(&w, w.peer.n_pods == i + 1);
	}
	assert_int_equal(w.accepted, 1);
	assert_int_equal(status(&w).stalls, 0);
	world_done(&w);
}

static void ignores_what_the_reducer_says(void **state)
{
	struct world w;
	struct session_counters n;

	(void)state;
	world_init(&w, (struct manners){.read_max = 65536, .talks = true});
	add_pods(&w, 0, 2000);
	world_start(&w);
	UNTIL(&w, w.peer.n_pods == 2000 && session_at_rest(w.s));
	session_counters(w.s, &n);
	UNTIL(&w, (session_counters(w.s, &n), n.received > 10000));
	assert_int_equal(w.accepted, 1);
	stop_by_itself(&w);
	world_done(&w);
}

/* A name with several addresses, of which only one answers. */
static void tries_every_address(void **state)
{
	struct world w;

	(void)state;
	for (uint64_t seed = 0; seed < 4; seed++) {
		struct conn_opts o;

		world_init(&w, (struct manners){.read_max = 65536});
		o = fast(&w, "localhost");
		o.seed = seed;
		assert_int_equal(conn_new(&o, &w.c), 0);
		conn_start(w.c);
		UNTIL(&w, w.peer.resynced);
		assert_int_equal(status(&w).failures, 0);
		assert_non_null(strstr(status(&w).peer, "127.0.0.1:"));
		stop_by_itself(&w);
		world_done(&w);
	}
}

static void names_the_reason(void **state)
{
	static const struct {
		const char *host, *reason;
	} cases[] = {
		{"127.0.0.1", "Connection refused"},
		{"no-such-host.invalid", "cannot resolve the name"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world w;
		struct conn_opts o;

		world_init(&w, (struct manners){.read_max = 65536});
		listen_stop(&w);
		o = fast(&w, cases[i].host);
		assert_int_equal(conn_new(&o, &w.c), 0);
		conn_start(w.c);
		UNTIL(&w, status(&w).failures >= 2);
		assert_non_null(strstr(status(&w).error, cases[i].reason));
		stop_in_time(&w);
		world_done(&w);
	}
}

/* How often the file has this text by now; the program goes on writing behind. */
static int said(FILE *f, const char *text)
{
	char line[512];
	int n = 0;

	rewind(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, text) != NULL;
	return n;
}

/* Says it again now and then while it lasts, with for how long, not with every try. */
static void reminds_of_a_reducer_that_is_down(void **state)
{
	FILE *f = tmpfile();
	const int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	struct conn_opts o;
	uint64_t failures;
	struct world w;
	nsec_t begin, took;
	int warned;

	(void)state;
	assert_non_null(f);
	world_init(&w, (struct manners){.read_max = 65536});
	listen_stop(&w);
	o = fast(&w, "127.0.0.1");
	o.remind = 200 * MSEC;
	assert_int_equal(conn_new(&o, &w.c), 0);
	(void)dup2(fileno(f), STDERR_FILENO);
	(void)fcntl(STDERR_FILENO, F_SETFL, O_APPEND); /* what is read back moves the place, too */
	log_setup(LOG_WARN, false);
	begin = clock_mono();
	conn_start(w.c);
	UNTIL(&w, said(f, "Connection refused") >= 4);
	took = clock_mono() - begin;
	failures = status(&w).failures;
	log_setup(LOG_ERROR, false);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	warned = said(f, "Connection refused");
	assert_in_range(warned, 4, 1 + took / (200 * MSEC));
	assert_int_equal(said(f, "no connection for "), warned - 1);
	(void)fclose(f);
	assert_true(failures > (uint64_t)warned);
	world_done(&w);
}

/* A full accept queue swallows the handshake: nobody answers. */
static void gives_up_on_silence(void **state)
{
	struct world w;
	struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fds[8];

	(void)state;
	world_init(&w, (struct manners){.read_max = 65536});
	event_free(w.listen_ev);
	w.listen_ev = NULL;
	assert_int_equal(listen(w.listen_fd, 0), 0);
	sa.sin_port = htons(w.port);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		(void)connect(fds[i], (struct sockaddr *)&sa, sizeof(sa));
	}
	world_start(&w);
	UNTIL(&w, status(&w).failures >= 1);
	assert_string_equal(status(&w).error, "no answer");
	UNTIL(&w, status(&w).state == CONN_DIALING);
	stop_by_itself(&w);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		(void)close(fds[i]);
	world_done(&w);
}

/* What the reducer did not take is never sent, not even what the kernel holds; and then it begins
 * anew. */
static void drops_at_once(void **state)
{
	struct world w;
	size_t seen;

	(void)state;
	world_init(&w, (struct manners){.read_max = 4096, .pause_ms = 5, .rcvbuf = 4096});
	add_pods(&w, 0, 4000);
	world_start(&w);
	UNTIL(&w, w.peer.n_pods > 100);
	conn_drop(w.c);
	assert_int_equal(status(&w).state, CONN_IDLE);
	assert_false(session_is_connected(w.s));
	seen = w.peer.n_pods;
	UNTIL(&w, w.fd < 0); /* a reset: what was not read is gone */
	assert_false(w.eof);
	assert_true(w.peer.n_pods < seen + 100);
	turn(&w, 300);
	assert_int_equal(w.accepted, 1);
	w.m = (struct manners){.read_max = 65536};
	conn_start(w.c);
	UNTIL(&w, w.accepted == 2 && w.peer.n_pods == 4000 && session_at_rest(w.s));
	assert_int_equal(status(&w).losses, 0);
	conn_drop(w.c);
	conn_drop(w.c);
	stop_by_itself(&w);
	world_done(&w);
}

/* While it stops, too: the stop ends then. */
static void drops_while_it_stops(void **state)
{
	struct world w;

	(void)state;
	world_init(&w, (struct manners){.read_max = 0, .rcvbuf = 4096});
	add_pods(&w, 0, 60000);
	world_start(&w);
	UNTIL(&w, session_output(w.s).n > 0);
	conn_stop(w.c, 60 * SEC, on_stopped, &w);
	turn(&w, 50);
	assert_false(w.stopped);
	conn_drop(w.c);
	UNTIL(&w, w.stopped);
	world_done(&w);
}

static void drops_in_every_state(void **state)
{
	(void)state;
	for (int turns = 0; turns < 12; turns++) {
		struct world w;
		struct conn_opts o;

		world_init(&w, (struct manners){.read_max = 65536});
		add_pods(&w, 0, 100);
		o = fast(&w, "localhost");
		assert_int_equal(conn_new(&o, &w.c), 0);
		for (int i = 0; i < 3; i++) {
			conn_start(w.c);
			for (int k = 0; k < turns; k++)
				(void)event_base_loop(w.base, EVLOOP_NONBLOCK);
			conn_drop(w.c);
			assert_int_equal(status(&w).state, CONN_IDLE);
		}
		conn_start(w.c);
		UNTIL(&w, session_is_connected(w.s) && session_at_rest(w.s));
		stop_in_time(&w);
		world_done(&w);
	}
}

/* At every moment of a start, and before it. */
static void stops_in_every_state(void **state)
{
	(void)state;
	for (int turns = -1; turns < 12; turns++) {
		struct world w;
		struct conn_opts o;

		world_init(&w, (struct manners){.read_max = 65536});
		add_pods(&w, 0, 2000);
		o = fast(&w, turns % 2 ? "localhost" : "no-such-host.invalid");
		assert_int_equal(conn_new(&o, &w.c), 0);
		if (turns >= 0)
			conn_start(w.c);
		for (int i = 0; i < turns; i++)
			(void)event_base_loop(w.base, EVLOOP_NONBLOCK);
		stop_in_time(&w);
		world_done(&w);
	}
}

/* Work that never ends on the loop does not hold the session back for long. */
static void on_busy(evutil_socket_t fd, short what, void *ctx)
{
	(void)fd;
	(void)what;
	(*(uint64_t *)ctx)++;
}

static void runs_on_a_busy_loop(void **state)
{
	struct world w;
	struct event *busy;
	uint64_t turns = 0;
	int fds[2];

	(void)state;
	world_init(&w, (struct manners){.read_max = 65536});
	add_pods(&w, 0, 10);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(write(fds[1], "x", 1), 1); /* never read: always ready */
	busy = event_new(w.base, fds[0], EV_READ | EV_PERSIST, on_busy, &turns);
	(void)event_add(busy, NULL);
	world_start(&w);
	UNTIL(&w, w.peer.n_pods == 10);
	assert_true(turns > 100);
	event_free(busy);
	(void)close(fds[0]);
	(void)close(fds[1]);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_and_stops),
		cmocka_unit_test(survives_a_restart),
		cmocka_unit_test(survives_cuts),
		cmocka_unit_test(is_patient_with_the_slow),
		cmocka_unit_test(gives_up_on_the_deaf),
		cmocka_unit_test(is_at_ease_when_idle),
		cmocka_unit_test(ignores_what_the_reducer_says),
		cmocka_unit_test(tries_every_address),
		cmocka_unit_test(names_the_reason),
		cmocka_unit_test(reminds_of_a_reducer_that_is_down),
		cmocka_unit_test(gives_up_on_silence),
		cmocka_unit_test(stops_in_every_state),
		cmocka_unit_test(drops_at_once),
		cmocka_unit_test(drops_while_it_stops),
		cmocka_unit_test(drops_in_every_state),
		cmocka_unit_test(runs_on_a_busy_loop),
	};

	log_setup(LOG_ERROR, false);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
