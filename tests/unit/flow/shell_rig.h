/*
 * For tests of the shell around the kernel programs: a piece of a test runs in a child
 * process of its own (namespaces, capabilities and what it leaves behind are its own),
 * and real connections on its loopback.
 */
#pragma once

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RIG_SKIP 77

/* What a child ended with: all held, or no namespace was to be had, which is said. */
#define RIG_NEED(ended)                                                                     \
	do {                                                                                \
		const int need_r = (ended);                                                 \
                                                                                            \
		if (need_r == RIG_SKIP) {                                                   \
			print_message("skipped: no network namespace (cannot run here)\n"); \
			skip();                                                             \
		}                                                                           \
		assert_int_equal(need_r, 0);                                                \
	} while (0)

/* In a child: says what did not hold and where, and ends the child. */
#define CHECK(cond, ...)                                                           \
	do {                                                                       \
		if (!(cond)) {                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
			fprintf(stderr, __VA_ARGS__);                              \
			fprintf(stderr, "\n");                                     \
			_exit(1);                                                  \
		}                                                                  \
	} while (0)

/* Runs `fn` in a child: its exit code, or 128 + signal. */
static inline int rig_child(void (*fn)(void *ctx), void *ctx)
{
	int status;
	const pid_t pid = fork();

	if (pid == 0) {
		fn(ctx);
		exit(0); /* not _exit: the leak checker reports at exit */
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A network namespace of its own with loopback up. False: not permitted here. */
static inline bool rig_netns(void)
{
	if (unshare(CLONE_NEWNET) < 0)
		return false;
	_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq q = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};

	return fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &q) == 0;
}

/* A TCP connection over loopback. */
struct rig_pair {
	int listener, client, server;
	uint16_t lport, cport;
};

static inline socklen_t rig_addr(bool v6, uint16_t port, struct sockaddr_storage *ret)
{
	*ret = (struct sockaddr_storage){0};
	if (v6) {
		*(struct sockaddr_in6 *)ret = (struct sockaddr_in6){
			.sin6_family = AF_INET6,
			.sin6_port = htons(port),
			.sin6_addr = IN6ADDR_LOOPBACK_INIT,
		};
		return sizeof(struct sockaddr_in6);
	}
	*(struct sockaddr_in *)ret = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	return sizeof(struct sockaddr_in);
}

static inline uint16_t rig_port(int fd)
{
	struct sockaddr_in6 a; /* both families have the port at the same place */
	socklen_t n = sizeof(a);

	return getsockname(fd, (struct sockaddr *)&a, &n) == 0 ? ntohs(a.sin6_port) : 0;
}

static inline struct rig_pair rig_connect(bool v6)
{
	struct rig_pair p = {.listener = -1, .client = -1, .server = -1};
	const int family = v6 ? AF_INET6 : AF_INET;
	struct sockaddr_storage a;
	socklen_t n = rig_addr(v6, 0, &a);

	p.listener = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	CHECK(bind(p.listener, (struct sockaddr *)&a, n) == 0, "bind: %s", strerror(errno));
	CHECK(listen(p.listener, 8) == 0, "listen: %s", strerror(errno));
	p.lport = rig_port(p.listener);
	p.client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	n = rig_addr(v6, p.lport, &a);
	CHECK(connect(p.client, (struct sockaddr *)&a, n) == 0, "connect: %s", strerror(errno));
	p.cport = rig_port(p.client);
	p.server = accept4(p.listener, NULL, NULL, SOCK_CLOEXEC);
	CHECK(p.server >= 0, "accept: %s", strerror(errno));
	return p;
}

/* `n` bytes from one end to the other, all read. */
static inline void rig_send(int from, int to, size_t n)
{
	char buf[4096] = {0};
	size_t left = n;

	while (left) {
		const size_t k = MIN(left, sizeof(buf));

		CHECK(send(from, buf, k, MSG_NOSIGNAL) == (ssize_t)k, "send: %s", strerror(errno));
		for (size_t got = 0; got < k;) {
			const ssize_t r = recv(to, buf, k - got, 0);

			CHECK(r > 0, "recv: %s", strerror(errno));
			got += (size_t)r;
		}
		left -= k;
	}
}

static inline void rig_close(struct rig_pair *p)
{
	(void)close(p->listener);
	(void)close(p->client);
	(void)close(p->server);
}
