#include "tests/bench/traffic.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define REQUEST	 64
#define DATAGRAM 1200
#define CHUNK	 65536
#define BUFFER	 (128 << 10)
#define WINDOW	 32 /* datagrams that are under way at most: none finds its queue full */

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* The load is to be the same each time: no pace by what is measured on the way, no windows that
 * grow until the data has left the processor's cache in one run and not in the other. */
static void be_plain(int fd)
{
	const int bytes = BUFFER;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", sizeof("reno") - 1);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
}

/* A socket bound to a free port of 127.0.0.1, listening if it is TCP. */
static int server_socket(int type, struct sockaddr_in *ret)
{
	socklen_t len = sizeof(*ret);
	int fd = socket(AF_INET, type, 0);

	*ret = loopback(0);
	if (type == SOCK_STREAM)
		be_plain(fd);
	if (fd < 0 || bind(fd, (struct sockaddr *)ret, sizeof(*ret)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 128) < 0) ||
	    getsockname(fd, (struct sockaddr *)ret, &len) < 0)
		die("bench: server socket");
	return fd;
}

static int connected(int type, const struct sockaddr_in *to)
{
	int fd = socket(AF_INET, type, 0);

	if (type == SOCK_STREAM)
		be_plain(fd);
	if (fd < 0 || connect(fd, (const struct sockaddr *)to, sizeof(*to)) < 0)
		die("bench: connect");
	return fd;
}

/* Runs `serve` in a child that ends with its parent at the latest. */
static pid_t fork_server(int fd, void (*serve)(int fd))
{
	pid_t pid = fork();

	if (pid < 0)
		die("bench: fork");
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(fd);
		_exit(0);
	}
	(void)close(fd);
	return pid;
}

static nsec_t cpu_of(const struct rusage *u)
{
	const struct timeval *a = &u->ru_utime, *b = &u->ru_stime;

	return (nsec_t)(a->tv_sec + b->tv_sec) * NSEC_PER_SEC +
	       (nsec_t)(a->tv_usec + b->tv_usec) * NSEC_PER_USEC;
}

static nsec_t own_cpu(void)
{
	struct rusage u;

	return getrusage(RUSAGE_SELF, &u) < 0 ? 0 : cpu_of(&u);
}

/* Before all else on their CPU, where that is permitted: what else the machine does is not to be in
 * what is measured. */
static void go_first(pid_t pid, bool first)
{
	const struct sched_param p = {.sched_priority = first};

	(void)sched_setscheduler(pid, first ? SCHED_FIFO : SCHED_OTHER, &p);
}

struct run {
	pid_t server;
	nsec_t wall, cpu; /* when it began */
};

static struct run begin(pid_t server)
{
	go_first(server, true);
	go_first(0, true);
	return (struct run){.server = server, .wall = clock_mono(), .cpu = own_cpu()};
}

/* Ends the server. */
static struct traffic_took end(const struct run *r)
{
	struct traffic_took t = {.wall = clock_mono() - r->wall, .cpu = own_cpu() - r->cpu};
	struct rusage u;

	go_first(0, false);
	(void)kill(r->server, SIGKILL);
	if (wait4(r->server, NULL, 0, &u) == r->server)
		t.cpu += cpu_of(&u);
	return t;
}

void traffic_pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (cpu < 0 || i == cpu)
			CPU_SET(i, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void serve_requests(int fd)
{
	char b[REQUEST];

	for (;;) {
		int c = accept(fd, NULL, NULL);

		if (c < 0)
			continue;
		if (read(c, b, sizeof(b)) > 0)
			(void)!write(c, b, sizeof(b));
		(void)close(c);
	}
}

static void one_request(const struct sockaddr_in *to)
{
	char b[REQUEST] = "";
	int fd = connected(SOCK_STREAM, to);

	if (write(fd, b, sizeof(b)) != sizeof(b))
		die("bench: write");
	while (read(fd, b, sizeof(b)) > 0)
		;
	(void)close(fd);
}

struct traffic_took traffic_connections(uint32_t n)
{
	struct sockaddr_in at;
	pid_t server = fork_server(server_socket(SOCK_STREAM, &at), serve_requests);
	const struct run r = begin(server);

	for (uint32_t i = 0; i < n; i++)
		one_request(&at);
	return end(&r);
}

static void serve_sink(int fd)
{
	static char b[CHUNK];
	int c = accept(fd, NULL, NULL);

	while (read(c, b, sizeof(b)) > 0)
		;
	(void)!write(c, b, 1); /* all of it has arrived */
	(void)close(c);
}

struct traffic_took traffic_tcp(uint64_t bytes)
{
	static char b[CHUNK];
	struct sockaddr_in at;
	pid_t server = fork_server(server_socket(SOCK_STREAM, &at), serve_sink);
	int fd = connected(SOCK_STREAM, &at);
	const struct run r = begin(server);
	struct traffic_took took;

	for (uint64_t sent = 0; sent < bytes; sent += sizeof(b))
		if (write(fd, b, sizeof(b)) != sizeof(b))
			die("bench: write");
	(void)shutdown(fd, SHUT_WR);
	(void)!read(fd, b, 1);
	took = end(&r);
	(void)close(fd);
	return took;
}

/* Answers once in a window. */
static void serve_datagrams(int fd)
{
	static char b[DATAGRAM];
	struct sockaddr_in from;
	socklen_t len = sizeof(from);

	(void)recvfrom(fd, b, sizeof(b), MSG_PEEK, (struct sockaddr *)&from, &len);
	(void)connect(fd, (struct sockaddr *)&from, len);
	for (uint32_t i = 1;; i++) {
		(void)!recv(fd, b, sizeof(b), 0);
		if (i % WINDOW == 0)
			(void)!send(fd, b, 1, 0);
	}
}

struct traffic_took traffic_udp(uint32_t n)
{
	static char b[DATAGRAM];
	struct sockaddr_in at;
	pid_t server = fork_server(server_socket(SOCK_DGRAM, &at), serve_datagrams);
	int fd = connected(SOCK_DGRAM, &at);
	const struct timeval patience = {.tv_sec = 5};
	const struct run r = begin(server);
	struct traffic_took took;

	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (uint32_t i = 1; i <= n; i++) {
		(void)!send(fd, b, sizeof(b), 0);
		if (i % WINDOW == 0 && recv(fd, b, sizeof(b), 0) < 0)
			die("bench: a datagram was lost");
	}
	took = end(&r);
	(void)close(fd);
	return took;
}

void traffic_udp_fan(uint32_t n)
{
	struct sockaddr_in to = loopback(0);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		die("bench: socket");
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	for (uint32_t i = 0; i < n; i++) {
		to.sin_port = htons((uint16_t)(1024 + i));
		(void)sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof(to));
	}
	(void)close(fd);
}
