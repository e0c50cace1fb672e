/*
 * What tests against the running kernel share: cgroups and network namespaces of
 * their own, removed at the end, and words for what cannot run here.
 */
#pragma once

#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cmocka.h>

struct kern_cgroup {
	char path[400];
	uint64_t id;
	int fd;
};

/* The mount point of v2 (`option` NULL) or of the v1 hierarchy with this controller. */
static inline bool kern_mount(const char *option, char ret[256])
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	bool found = false;

	while (f && !found && (m = getmntent(f))) {
		found = option ? strcmp(m->mnt_type, "cgroup") == 0 && hasmntopt(m, option)
			       : strcmp(m->mnt_type, "cgroup2") == 0;
		if (found)
			(void)snprintf(ret, 256, "%s", m->mnt_dir);
	}
	if (f)
		(void)endmntent(f);
	return found;
}

static inline bool kern_cgroup_make(struct kern_cgroup *c, const char *under, const char *name)
{
	struct stat st;

	(void)snprintf(c->path, sizeof(c->path), "%.300s/%.90s", under, name);
	if (mkdir(c->path, 0755) < 0 && errno != EEXIST)
		return false;
	c->fd = open(c->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->fd < 0 || fstat(c->fd, &st) < 0)
		return false;
	c->id = st.st_ino;
	return true;
}

/* Sockets made from here on belong to `c`. */
static inline void kern_cgroup_enter(const char *path)
{
	char procs[450];
	int fd;

	(void)snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	fd = open(procs, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_true(write(fd, "0", 1) == 1);
	(void)close(fd);
}

static inline void kern_cgroup_remove(struct kern_cgroup *c)
{
	if (c->fd > 0)
		(void)close(c->fd);
	if (c->path[0])
		(void)rmdir(c->path);
	c->path[0] = 0;
}

/* A new network namespace with loopback up; returns its descriptor. */
static inline int kern_netns(void)
{
	struct ifreq lo = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int s;

	if (unshare(CLONE_NEWNET) < 0)
		return -1;
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(s, SIOCSIFFLAGS, &lo), 0);
	(void)close(s);
	return open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
}

/* Is the process allowed to load programs? Else says so; the caller exits with 77. */
static inline bool kern_may_load(void)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "probe", 0, 0, 4096, NULL);

	if (fd < 0) {
		(void)printf("skipped: no CAP_BPF (cannot run here)\n");
		return false;
	}
	(void)close(fd);
	return true;
}

static inline int kern_quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

/* ---- addresses ------------------------------------------------------------------------------- */

union kern_addr {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static inline union kern_addr kern_addr(const char *ip, uint16_t port)
{
	union kern_addr a = {0};

	if (strchr(ip, ':')) {
		a.v6.sin6_family = AF_INET6;
		a.v6.sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, ip, &a.v6.sin6_addr), 1);
	} else {
		a.v4.sin_family = AF_INET;
		a.v4.sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, ip, &a.v4.sin_addr), 1);
	}
	return a;
}

static inline socklen_t kern_addr_len(const union kern_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->v6) : sizeof(a->v4);
}

static inline uint16_t kern_port(const union kern_addr *a)
{
	return ntohs(a->sa.sa_family == AF_INET6 ? a->v6.sin6_port : a->v4.sin_port);
}

/* As flow_abi.h has addresses. */
static inline void kern_bytes(const union kern_addr *a, uint8_t ret[16])
{
	if (a->sa.sa_family == AF_INET6) {
		memcpy(ret, &a->v6.sin6_addr, 16);
		return;
	}
	memset(ret, 0, 10);
	memset(ret + 10, 0xff, 2);
	memcpy(ret + 12, &a->v4.sin_addr, 4);
}

/* A bound socket (port 0: any); `at` is filled with where it is. */
static inline int kern_bound(int type, const char *ip, uint16_t port, union kern_addr *at)
{
	union kern_addr a = kern_addr(ip, port);
	socklen_t n = sizeof(*at);
	int s = socket(a.sa.sa_family, type | SOCK_CLOEXEC, 0);

	assert_true(s >= 0);
	assert_int_equal(bind(s, &a.sa, kern_addr_len(&a)), 0);
	assert_int_equal(getsockname(s, &at->sa, &n), 0);
	return s;
}
