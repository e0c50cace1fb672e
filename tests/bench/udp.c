/*
 * What the UDP programs cost: their run time per datagram of a conversation, and
 * that of their early exit, which is what a TCP packet pays. Measured twice: with
 * the kernel's test runs (BPF_PROG_TEST_RUN, the program alone) and on real
 * loopback traffic (run time statistics, whose own clock costs some 20 ns a run;
 * and the round trip with and without the programs, which includes the kernel's
 * part of the hook).
 */
#include "tests/bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <mntent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "bpf/udp.skel.h"
#pragma GCC diagnostic pop

#define REPEAT 1000000
#define TRIPS  2000
#define ROUNDS 101

static void say(const char *name, double v, const char *unit)
{
	printf("udp_%-42s %12.1f %s\n", name, v, unit);
}

/* ---- test runs ------------------------------------------------------------------------------- */

static const uint8_t v4_udp[14 + 20 + 8 + 32] = {
	[12] = 0x08, [14] = 0x45, [17] = 60, [22] = 64, [23] = 17, [26] = 10,
	[29] = 1,    [30] = 10,	  [33] = 2,  [34] = 90, [36] = 91, [39] = 40,
};
static const uint8_t v4_tcp[14 + 20 + 20 + 20] = {
	[12] = 0x08, [14] = 0x45, [17] = 60, [22] = 64, [23] = 6, [26] = 10, [30] = 10,
};
static const uint8_t v6_udp[14 + 40 + 8 + 32] = {
	[12] = 0x86, [13] = 0xdd, [14] = 0x60, [19] = 40, [20] = 17, [21] = 64,
	[22] = 0xfd, [38] = 0xfd, [54] = 90,   [56] = 91, [59] = 40,
};
static const uint8_t v6_tcp[14 + 40 + 20 + 20] = {
	[12] = 0x86, [13] = 0xdd, [14] = 0x60, [19] = 40, [20] = 6, [21] = 64, [22] = 0xfd,
};

static void test_run(int program, const char *name, const uint8_t *data, size_t n)
{
	uint32_t best = UINT32_MAX;

	for (int i = 0; i < 5; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, o, .data_in = data, .data_size_in = (uint32_t)n,
			    .repeat = REPEAT);

		if (bpf_prog_test_run_opts(program, &o) < 0 || o.retval != 1) {
			printf("udp: %s: cannot be run\n", name);
			return;
		}
		best = MIN(best, o.duration);
	}
	say(name, best, "ns");
}

/* A program that does nothing: what of the figures below is the test run itself. */
static void test_run_nothing(void)
{
	const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int program = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "nothing", "GPL", code,
				    ARRAY_SIZE(code), NULL);

	if (program < 0)
		return;
	test_run(program, "run_of_nothing", v4_tcp, sizeof(v4_tcp));
	(void)close(program);
}

static void test_runs(struct bpf_program *const p[2])
{
	int egress = bpf_program__fd(p[0]), ingress = bpf_program__fd(p[1]);

	test_run_nothing();
	test_run(egress, "run_egress_v4", v4_udp, sizeof(v4_udp));
	test_run(ingress, "run_ingress_v4", v4_udp, sizeof(v4_udp));
	test_run(egress, "run_egress_v6", v6_udp, sizeof(v6_udp));
	test_run(ingress, "run_ingress_v6", v6_udp, sizeof(v6_udp));
	test_run(egress, "early_exit_v4_tcp", v4_tcp, sizeof(v4_tcp));
	test_run(egress, "early_exit_v6_tcp", v6_tcp, sizeof(v6_tcp));
}

/* ---- real traffic ---------------------------------------------------------------------------- */

static int pair(int type, int fd[2])
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
			   b = a;
	socklen_t n = sizeof(a);
	int l = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	fd[0] = socket(AF_INET, type | SOCK_CLOEXEC, 0);
	if (bind(l, (void *)&a, n) < 0 || getsockname(l, (void *)&a, &n) < 0)
		return -1;
	if (type == SOCK_STREAM && listen(l, 1) < 0)
		return -1;
	if (type == SOCK_DGRAM && bind(fd[0], (void *)&b, n) < 0)
		return -1;
	if (connect(fd[0], (void *)&a, n) < 0 || getsockname(fd[0], (void *)&b, &n) < 0)
		return -1;
	fd[1] = type == SOCK_STREAM ? accept(l, NULL, NULL) : l;
	if (type == SOCK_DGRAM)
		return connect(l, (void *)&b, n);
	(void)close(l);
	for (int i = 0; i < 2; i++)
		(void)setsockopt(fd[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

/* Nanoseconds a message, sent and received on one thread. */
static double trips(const int fd[2])
{
	nsec_t from = clock_mono();
	char c[32] = {0};

	for (int i = 0; i < TRIPS; i++) {
		if (send(fd[i % 2], c, sizeof(c), 0) != sizeof(c) ||
		    recv(fd[1 - i % 2], c, sizeof(c), MSG_WAITALL) != sizeof(c))
			return 0;
	}
	return (double)(clock_mono() - from) / TRIPS;
}

struct hooks {
	struct bpf_program *program[2];
	struct bpf_link *link[2];
	int cgroup;
};

static void hook(struct hooks *h, bool on)
{
	for (int i = 0; i < 2; i++) {
		if (on)
			h->link[i] = bpf_program__attach_cgroup(h->program[i], h->cgroup);
		else
			(void)bpf_link__destroy(h->link[i]);
	}
}

/* Interleaved runs, the quickest of each kind: what else the machine does only ever adds. */
static void round_trips(struct hooks *h, int type, const char *name)
{
	double off = 1e18, on = 1e18, again = 1e18;
	int fd[2] = {-1, -1};
	char line[64];

	if (pair(type, fd) < 0) {
		printf("udp: %s: no sockets\n", name);
		return;
	}
	for (int i = 0; i < ROUNDS; i++) {
		off = MIN(off, trips(fd));
		hook(h, true);
		on = MIN(on, trips(fd));
		hook(h, false);
		again = MIN(again, trips(fd));
	}
	(void)snprintf(line, sizeof(line), "%s_message", name);
	say(line, off, "ns");
	(void)snprintf(line, sizeof(line), "%s_message_both_hooks_more", name);
	say(line, on - off, "ns");
	(void)snprintf(line, sizeof(line), "%s_message_a_a_more", name);
	say(line, again - off, "ns");
	(void)close(fd[0]);
	(void)close(fd[1]);
}

static void run_times(struct hooks *h, int type, const char *name)
{
	struct bpf_prog_info from[2], to[2];
	uint32_t n = sizeof(from[0]);
	uint64_t runs = 0, ns = 0;
	int fd[2] = {-1, -1}, stats = bpf_enable_stats(BPF_STATS_RUN_TIME);
	char line[64];

	memset(from, 0, sizeof(from));
	memset(to, 0, sizeof(to));
	if (pair(type, fd) < 0 || stats < 0)
		return;
	hook(h, true);
	for (int i = 0; i < 2; i++)
		(void)bpf_obj_get_info_by_fd(bpf_program__fd(h->program[i]), &from[i], &n);
	for (int i = 0; i < ROUNDS; i++)
		(void)trips(fd);
	for (int i = 0; i < 2; i++) {
		(void)bpf_obj_get_info_by_fd(bpf_program__fd(h->program[i]), &to[i], &n);
		runs += to[i].run_cnt - from[i].run_cnt;
		ns += to[i].run_time_ns - from[i].run_time_ns;
	}
	hook(h, false);
	(void)snprintf(line, sizeof(line), "%s_run_with_statistics", name);
	say(line, runs ? (double)ns / (double)runs : 0, "ns");
	(void)close(stats);
	(void)close(fd[0]);
	(void)close(fd[1]);
}

int bench_cgroup_root(void)
{
	FILE *f = setmntent("/proc/self/mounts", "r");
	struct mntent *m;
	int fd = -1;

	while (f && fd < 0 && (m = getmntent(f)))
		if (strcmp(m->mnt_type, "cgroup2") == 0)
			fd = open(m->mnt_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f)
		(void)endmntent(f);
	return fd;
}

static int quiet(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	(void)level;
	(void)fmt;
	(void)ap;
	return 0;
}

void bench_udp(void)
{
	libbpf_print_fn_t before = libbpf_set_print(quiet);
	struct udp_bpf *b = udp_bpf__open();
	struct hooks h = {.cgroup = bench_cgroup_root()};

	if (b) {
		(void)bpf_program__set_autoload(b->progs.udp_sock_create, false);
		(void)bpf_program__set_autoload(b->progs.udp_sock_release, false);
	}
	if (!b || h.cgroup < 0 || udp_bpf__load(b) < 0) {
		printf("udp: skipped: no CAP_BPF and CAP_NET_ADMIN, or no cgroup v2\n");
	} else {
		h.program[0] = b->progs.udp_egress;
		h.program[1] = b->progs.udp_ingress;
		test_runs(h.program);
		run_times(&h, SOCK_DGRAM, "datagram");
		run_times(&h, SOCK_STREAM, "tcp_packet");
		round_trips(&h, SOCK_DGRAM, "datagram");
		round_trips(&h, SOCK_STREAM, "tcp");
	}
	udp_bpf__destroy(b);
	if (h.cgroup >= 0)
		(void)close(h.cgroup);
	(void)libbpf_set_print(before);
}
