/*
 * TCP clients and servers that follow a script, and the truth of each connection:
 * what was written and read, what stayed unread and unacknowledged at the end, and the
 * kernel's own account (TCP_INFO) as a second opinion.
 */
#include "actor.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CHUNK	 65536
#define FULL_MS	 300 /* a window that stays shut this long is full */
#define STACK	 (512 * 1024)
#define ACKED_MS 3000

enum { ST_FIN_WAIT2 = 5, ST_TIME_WAIT, ST_CLOSE }; /* include/net/tcp_states.h */

struct conn {
	int fd;
	const char *role; /* "client", "server" */
	union endpoint local, remote;
	uint64_t written, read;
	int unread, outq; /* bytes at the end */
	int left;	  /* of them under way at the account: may be sent again after it */
	int err;
	bool up;    /* it was connected; else the kernel's account means nothing */
	bool reset; /* it is to end by a reset */
	bool shut;  /* a FIN was sent: SIOCOUTQ may count it */
	bool over;  /* nothing is sent again after this account */
	uint64_t start, end;
	struct tcp_info info;
};

static const char zeros[CHUNK];

static void get_names(struct conn *c)
{
	union endpoint e = {0};
	socklen_t n = sizeof(e);

	if (getsockname(c->fd, &e.sa, &n) == 0 && e.v4.sin_port)
		c->local = e;
	n = sizeof(e);
	if (getpeername(c->fd, &e.sa, &n) == 0)
		c->remote = e;
}

static void write_truth(const struct conn *c)
{
	char *line = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&line, &n);

	if (!f)
		die("no memory");
	fprintf(f, "{\"tag\":\"%s\",\"role\":\"%s\",\"proto\":\"tcp\",\"pid\":%d,", actor.tag,
		c->role, getpid());
	print_endpoint(f, "local", &c->local);
	fputc(',', f);
	print_endpoint(f, "remote", &c->remote);
	fprintf(f,
		",\"written\":%llu,\"read\":%llu,\"unread\":%d,\"outq\":%d,\"left\":%d,\"error\":"
		"\"%s\""
		",\"retrans\":%u,\"srtt_us\":%u,\"bytes_acked\":%llu,\"bytes_received\":%llu"
		",\"segs_out\":%u,\"segs_in\":%u,\"over\":%s,\"start\":%llu,\"end\":%llu}\n",
		(unsigned long long)c->written, (unsigned long long)c->read, c->unread, c->outq,
		c->left, error_name(c->err), c->info.tcpi_total_retrans, c->info.tcpi_rtt,
		(unsigned long long)c->info.tcpi_bytes_acked,
		(unsigned long long)c->info.tcpi_bytes_received, c->info.tcpi_segs_out,
		c->info.tcpi_segs_in, c->over ? "true" : "false", (unsigned long long)c->start,
		(unsigned long long)c->end);
	if (fclose(f) != 0)
		die("no memory");
	write_line(line, n);
	free(line);
}

/* The end of every connection: the account is taken before close() gives the socket away. */
static void finish(struct conn *c)
{
	socklen_t n = sizeof(c->info);

	if (c->up) {
		ioctl(c->fd, FIONREAD, &c->unread);
		ioctl(c->fd, SIOCOUTQ, &c->outq);
		getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &c->info, &n);
	}
	c->over =
		!c->up || c->reset || c->err ||
		(c->shut && (c->info.tcpi_state == ST_FIN_WAIT2 ||
			     c->info.tcpi_state == ST_TIME_WAIT || c->info.tcpi_state == ST_CLOSE));
	if (c->shut && c->outq > 0)
		c->outq--;
	c->left = c->outq;
	if (!c->reset && !c->err) /* what is on its way still arrives */
		c->outq = 0;
	get_names(c);
	close(c->fd);
	c->end = now_ns();
	write_truth(c);
}

static int write_n(struct conn *c, uint64_t n)
{
	while (n) {
		const size_t part = n < CHUNK ? (size_t)n : CHUNK;
		const ssize_t w = send(c->fd, zeros, part, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		c->written += (uint64_t)w;
		n -= (uint64_t)w;
	}
	return 0;
}

static int write_full(struct conn *c, uint64_t n)
{
	while (n) {
		struct pollfd p = {.fd = c->fd, .events = POLLOUT};
		ssize_t w;

		if (poll(&p, 1, FULL_MS) == 0)
			return 0;
		w = send(c->fd, zeros, n < CHUNK ? (size_t)n : CHUNK, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (w < 0 && errno == EAGAIN)
			continue;
		if (w < 0)
			return -errno;
		c->written += (uint64_t)w;
		n -= (uint64_t)w;
	}
	return 0;
}

/* RATE bytes a second for SECONDS, in steps of 10 ms. */
static int write_paced(struct conn *c, const char *arg)
{
	char *rest = NULL;
	const uint64_t rate = strtoull(arg, &rest, 10), begin = now_ns();
	const uint64_t seconds = *rest == ':' ? strtoull(rest + 1, NULL, 10) : 1;
	uint64_t done = 0;
	int r = 0;

	while (r == 0 && done < rate * seconds) {
		const uint64_t due = (now_ns() - begin) / 1000 * rate / 1000000;
		const uint64_t to = due < rate * seconds ? due : rate * seconds;

		r = write_n(c, to - done);
		done = to;
		sleep_ms(10);
	}
	return r;
}

/* n: 0 for all there is. */
static int read_n(struct conn *c, uint64_t n)
{
	static __thread char buf[CHUNK];
	const bool all = n == 0;

	while (all || n) {
		const ssize_t g = recv(c->fd, buf, all || n > CHUNK ? CHUNK : (size_t)n, 0);

		if (g < 0 && errno == EINTR)
			continue;
		if (g < 0)
			return -errno;
		if (g == 0)
			return all ? 0 : -ENODATA;
		c->read += (uint64_t)g;
		n -= all ? 0 : (uint64_t)g;
	}
	return 0;
}

static int wait_acked(struct conn *c)
{
	const uint64_t until = now_ns() + ACKED_MS * 1000000ULL;
	int left = 1;

	while (now_ns() < until && ioctl(c->fd, SIOCOUTQ, &left) == 0 && left)
		sleep_ms(1);
	return left ? -ETIME : 0;
}

static int step(struct conn *c, const char *s)
{
	const struct linger reset = {.l_onoff = 1};
	const uint64_t n = strtoull(s + 1, NULL, 10);

	switch (*s) {
	case 'w':
		return write_n(c, n);
	case 'W':
		return write_full(c, n);
	case 'p':
		return write_paced(c, s + 1);
	case 'r':
		return n ? read_n(c, n) : 0;
	case 'R':
		return read_n(c, 0);
	case 's':
		c->shut = true;
		return shutdown(c->fd, SHUT_WR) < 0 ? -errno : 0;
	case 'd':
		sleep_ms((unsigned)n);
		return 0;
	case 'h':
		hold();
		return 0;
	case 'm':
		enter_cgroups(actor.move, actor.n_move);
		return 0;
	case 'q':
		return wait_acked(c);
	case 'x':
		c->reset = true;
		return setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ? -errno
											   : 0;
	default:
		die("script step %s", s);
	}
}

static void play(struct conn *c, const char *script)
{
	while (*script && c->err == 0) {
		c->err = -step(c, script);
		script += strcspn(script, ",");
		script += *script == ',';
	}
	finish(c);
}

static pthread_attr_t thread_attr;

static void thread_run(void *(*f)(void *), void *arg, pthread_t *ret)
{
	pthread_t t;

	if (pthread_create(ret ? ret : &t, &thread_attr, f, arg) != 0)
		die("no thread");
	if (!ret)
		pthread_detach(t);
}

static void threads_init(void)
{
	pthread_attr_init(&thread_attr);
	pthread_attr_setstacksize(&thread_attr, STACK);
	hold_begin();
}

/* ---- server ---------------------------------------------------------------------------------- */

struct served {
	struct conn conn;
	const char *script;
};

static void *serve_one(void *arg)
{
	struct served *s = arg;

	play(&s->conn, s->script);
	free(s);
	return NULL;
}

static int listen_on(const char *address, const char *port, unsigned backlog)
{
	union endpoint e;
	const socklen_t n = endpoint_of(address, port, &e);
	const int one = 1, fd = socket(e.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, &e.sa, n) < 0 || listen(fd, (int)backlog) < 0)
		die("%s port %s: %s", address, port, strerror(errno));
	return fd;
}

static bool number(const char *arg, const char *name, unsigned *ret)
{
	const size_t n = strlen(name);

	if (strncmp(arg, name, n) != 0 || arg[n] != '=')
		return false;
	*ret = (unsigned)strtoul(arg + n + 1, NULL, 10);
	return true;
}

/* Accepts until it is killed; with `stall` not before the word comes. */
int role_listen(int argc, char **argv)
{
	bool here = false, stall = false;
	unsigned backlog = 4096;

	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "inline") == 0)
			here = true;
		else if (strcmp(argv[i], "stall") == 0)
			stall = true;
		else if (!number(argv[i], "backlog", &backlog))
			die("%s?", argv[i]);
	}

	const int fd = listen_on(argv[0], argv[1], backlog);

	threads_init();
	say_ready(argv[1]);
	if (stall)
		hold();
	for (;;) {
		const int one = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		struct served *s = one < 0 ? NULL : calloc(1, sizeof(*s));

		if (!s)
			die("accept: %s", strerror(errno));
		s->conn = (struct conn){.fd = one, .role = "server", .up = true, .start = now_ns()};
		s->script = argv[2];
		get_names(&s->conn); /* a reset forgets them */
		if (here)
			serve_one(s);
		else
			thread_run(serve_one, s, NULL);
	}
}

/* ---- client ---------------------------------------------------------------------------------- */

struct client {
	union endpoint to;
	socklen_t to_len;
	const char *script;
	unsigned count, parallel, syncnt, timeout_ms;
	unsigned port; /* to bind to; 0: the kernel's choice */
	bool bind;
	const char *from; /* an address to bind to; NULL: any */
	pthread_mutex_t lock;
	unsigned begun;
};

/* So that a connect that fails leaves its port behind to be told. */
static void bind_any(struct conn *c, const struct client *k)
{
	union endpoint any = {.sa.sa_family = k->to.sa.sa_family};
	const int one = 1;

	if (k->from)
		(void)endpoint_of(k->from, "0", &any);
	if (k->port)
		setsockopt(c->fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	any.v4.sin_port = htons((uint16_t)k->port); /* where an IPv6 address has it, too */
	if (bind(c->fd, &any.sa, k->to_len) < 0)
		die("bind: %s", strerror(errno));
	get_names(c);
}

static void connect_one(const struct client *k)
{
	struct conn c = {.role = "client", .remote = k->to, .start = now_ns()};

	c.fd = socket(k->to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c.fd < 0)
		die("socket: %s", strerror(errno));
	if (k->syncnt)
		setsockopt(c.fd, IPPROTO_TCP, TCP_SYNCNT, &k->syncnt, sizeof(k->syncnt));
	if (k->timeout_ms)
		setsockopt(c.fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &k->timeout_ms,
			   sizeof(k->timeout_ms));
	if (k->bind || k->from || k->port)
		bind_any(&c, k);
	if (connect(c.fd, &k->to.sa, k->to_len) < 0) {
		c.err = errno;
		finish(&c);
		return;
	}
	c.up = true;
	get_names(&c);
	play(&c, k->script);
}

static void *connect_many(void *arg)
{
	struct client *k = arg;

	for (;;) {
		bool more;

		pthread_mutex_lock(&k->lock);
		more = k->begun < k->count;
		k->begun += more;
		pthread_mutex_unlock(&k->lock);
		if (!more)
			return NULL;
		connect_one(k);
	}
}

int role_connect(int argc, char **argv)
{
	struct client k = {.count = 1, .parallel = 1, .lock = PTHREAD_MUTEX_INITIALIZER};
	pthread_t *threads;

	k.to_len = endpoint_of(argv[0], argv[1], &k.to);
	k.script = argv[2];
	for (int i = 3; i < argc; i++) {
		if (strcmp(argv[i], "bind") == 0)
			k.bind = true;
		else if (strncmp(argv[i], "from=", 5) == 0)
			k.from = argv[i] + 5;
		else if (!number(argv[i], "count", &k.count) &&
			 !number(argv[i], "parallel", &k.parallel) &&
			 !number(argv[i], "syncnt", &k.syncnt) &&
			 !number(argv[i], "port", &k.port) &&
			 !number(argv[i], "timeout", &k.timeout_ms))
			die("%s?", argv[i]);
	}
	threads_init();
	threads = calloc(k.parallel, sizeof(*threads));
	if (!threads)
		die("no memory");
	for (unsigned i = 0; i < k.parallel; i++)
		thread_run(connect_many, &k, &threads[i]);
	for (unsigned i = 0; i < k.parallel; i++)
		pthread_join(threads[i], NULL);
	free(threads);
	return 0;
}
