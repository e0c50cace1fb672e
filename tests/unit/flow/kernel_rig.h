/*
 * What the tests of the kernel's programs share: the objects loaded by themselves (no agent), the
 * ring read into an array, a network namespace so that nobody else's sockets are looked at, and
 * cgroups that are removed. Other programs of the machine are seen by the programs, too: sums of
 * counters are compared when they stand still.
 */
#pragma once

#include "flow/tape.h"
#include "flow_abi.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RIG_RECORDS 65536 /* records kept; more are a failure */
#define RIG_MAPS    32

struct rig {
	struct bpf_map *maps[RIG_MAPS]; /* shared so far, by name */
	unsigned n_maps;
	struct ring_buffer *rb;
	int counts, socks;
	struct tape *tape; /* NULL: the programs do without, as the next */
	struct abi_places *places;
	size_t n_places;		     /* buckets */
	char (*rec)[sizeof(struct abi_tcp)]; /* the largest record that is kept here */
	size_t n;
	unsigned long lost;
};

static inline bool rig_may_load(void)
{
	cap_t caps = cap_get_proc();
	cap_flag_value_t bpf = CAP_CLEAR, net = CAP_CLEAR;

	if (!caps)
		return false;
	(void)cap_get_flag(caps, CAP_BPF, CAP_EFFECTIVE, &bpf);
	(void)cap_get_flag(caps, CAP_NET_ADMIN, CAP_EFFECTIVE, &net);
	cap_free(caps);
	return bpf == CAP_SET && net == CAP_SET;
}

/* Ends the program when the programs cannot be loaded here. */
static inline void rig_or_skip(void)
{
	if (rig_may_load())
		return;
	printf("skipped: no CAP_BPF (cannot run here)\n");
	exit(77);
}

/* Its own network namespace with loopback up; every test program's first step. 0 or -errno. */
static inline int rig_netns(uint32_t *ret_inode)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	struct stat st;
	int fd, r = 0;

	if (unshare(CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	if (ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 || stat("/proc/self/ns/net", &st) < 0)
		r = -errno;
	else
		*ret_inode = (uint32_t)st.st_ino;
	close(fd);
	return r;
}

static inline int rig_on_record(void *ctx, void *data, size_t size)
{
	struct rig *g = ctx;

	if (g->n == RIG_RECORDS || size > sizeof(g->rec[0])) {
		g->lost++;
		return 0;
	}
	memcpy(g->rec[g->n], data, size);
	g->n++;
	return 0;
}

static inline void rig_init(struct rig *g)
{
	*g = (struct rig){.counts = -1, .socks = -1};
	g->rec = calloc(RIG_RECORDS, sizeof(g->rec[0]));
}

/* Everything that waits in the ring and on the tape. */
static inline void rig_read(struct rig *g)
{
	const struct abi_tcp *t;

	(void)ring_buffer__consume(g->rb);
	while (g->tape && (t = tape_peek(g->tape))) {
		(void)rig_on_record(g, (void *)(uintptr_t)t, sizeof(*t));
		tape_next(g->tape);
		tape_give(g->tape);
	}
}

/* Maps `places`, `tape`, `tape_at`: memory of the programs. False: they cannot be mapped. */
static inline bool rig_share_memory(struct rig *g, int places, size_t n, int tape, int at)
{
	void *p = mmap(NULL, n * sizeof(*g->places), PROT_READ | PROT_WRITE, MAP_SHARED, places, 0);

	if (p == MAP_FAILED)
		return false;
	g->places = p;
	g->n_places = n;
	return tape_new(tape, at, &g->tape) == 0;
}

/* Gives an object, opened and not loaded, the maps that are there already. 0 or -errno. */
static inline int rig_share(struct rig *g, struct bpf_object *o)
{
	struct bpf_map *m;
	unsigned i;
	int r;

	bpf_object__for_each_map(m, o)
	{
		for (i = 0; i < g->n_maps; i++) {
			if (strcmp(bpf_map__name(m), bpf_map__name(g->maps[i])) != 0)
				continue;
			r = bpf_map__reuse_fd(m, bpf_map__fd(g->maps[i]));
			if (r < 0)
				return r;
		}
	}
	return 0;
}

/* Of two programs for one hook, NAME and NAME_direct, one is loaded. */
static inline void rig_choose(struct bpf_object *o, bool direct)
{
	struct bpf_program *p, *twin;
	char name[64];

	bpf_object__for_each_program(p, o)
	{
		snprintf(name, sizeof(name), "%s_direct", bpf_program__name(p));
		twin = bpf_object__find_program_by_name(o, name);
		if (!twin)
			continue;
		bpf_program__set_autoload(p, !direct);
		bpf_program__set_autoload(twin, direct);
	}
}

/* Remembers the maps of an object that was loaded. The ring is read from now on. 0 or -errno. */
static inline int rig_loaded(struct rig *g, struct bpf_object *o)
{
	struct bpf_map *m;

	bpf_object__for_each_map(m, o)
	{
		if (strchr(bpf_map__name(m), '.') || g->n_maps == RIG_MAPS)
			continue;
		if (!strcmp(bpf_map__name(m), "ring") && !g->rb)
			g->rb = ring_buffer__new(bpf_map__fd(m), rig_on_record, g, NULL);
		if (!strcmp(bpf_map__name(m), "counts"))
			g->counts = bpf_map__fd(m);
		if (!strcmp(bpf_map__name(m), "socks"))
			g->socks = bpf_map__fd(m);
		g->maps[g->n_maps++] = m;
	}
	return g->rb ? 0 : -ENOENT;
}

static inline void rig_done(struct rig *g)
{
	ring_buffer__free(g->rb);
	tape_free(&g->tape);
	if (g->places)
		(void)munmap(g->places, g->n_places * sizeof(*g->places));
	free(g->rec);
	*g = (struct rig){.counts = -1, .socks = -1};
}

static inline uint64_t rig_count(const struct rig *g, uint32_t what)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t cell[256] = {0}, sum = 0;

	if (cpus > 256 || bpf_map_lookup_elem(g->counts, &what, cell) < 0)
		return UINT64_MAX;
	for (int i = 0; i < cpus; i++)
		sum += cell[i];
	return sum;
}

static inline void rig_sleep_ms(long ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

	nanosleep(&t, NULL);
}

/* ---- cgroups --------------------------------------------------------------------------------- */

/* Where v2 is mounted. False: nowhere. */
static inline bool rig_cgroup2(char *ret, size_t size)
{
	static const char *const where[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	char path[128];

	for (size_t i = 0; i < sizeof(where) / sizeof(where[0]); i++) {
		snprintf(path, sizeof(path), "%s/cgroup.procs", where[i]);
		if (access(path, F_OK) != 0)
			continue;
		snprintf(ret, size, "%s", where[i]);
		return true;
	}
	return false;
}

static inline bool rig_cgroup_join(const char *dir)
{
	char path[512];
	int fd;
	bool ok;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	ok = write(fd, "0", 1) == 1;
	close(fd);
	return ok;
}

static inline uint64_t rig_inode(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? 0 : st.st_ino;
}
