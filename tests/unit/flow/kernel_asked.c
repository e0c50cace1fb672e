/*
 * The connect programs at a pod's cgroup, with a rewriting program at the cgroup
 * above it (as socket load balancers have), loaded before and after ours: what is
 * kept equals what connect() was given, and the connection goes where the other
 * program said.
 */
#include "flow_abi.h"

#include "tests/unit/flow/kern.h"

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
/* bpftool's text is not ours to mend. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "bpf/asked.skel.h"
#pragma GCC diagnostic pop

#include <linux/bpf.h>
#include <stddef.h>

struct asked_value { /* bpf/map_asked.h */
	uint8_t addr[16];
	uint16_t port, pad[3];
};

static struct kern_cgroup top, pod;
static char v2[256];
static int home_ns;
static struct asked_bpf *ours;
static struct bpf_link *links[2];
static int rewriter[2] = {-1, -1}; /* links */

/* ---- programs -------------------------------------------------------------------------------- */

static struct bpf_insn set(int reg, uint32_t value)
{
	return (struct bpf_insn){
		.code = BPF_ALU | BPF_MOV | BPF_K, .dst_reg = reg & 15, .imm = (int)value};
}

static struct bpf_insn store(size_t off)
{
	return (struct bpf_insn){.code = BPF_STX | BPF_MEM | BPF_W,
				 .dst_reg = BPF_REG_1,
				 .src_reg = BPF_REG_2,
				 .off = (short)off};
}

/* A program that sends every connect() to `to`; returns its link. */
static int rewrite(int cgroup, const union kern_addr *to)
{
	enum bpf_attach_type at =
		to->sa.sa_family == AF_INET6 ? BPF_CGROUP_INET6_CONNECT : BPF_CGROUP_INET4_CONNECT;
	LIBBPF_OPTS(bpf_prog_load_opts, o, .expected_attach_type = at);
	struct bpf_insn code[16];
	size_t n = 0;
	int prog, link;

	for (size_t i = 0; at == BPF_CGROUP_INET6_CONNECT && i < 4; i++) {
		code[n++] = set(BPF_REG_2, to->v6.sin6_addr.s6_addr32[i]);
		code[n++] = store(offsetof(struct bpf_sock_addr, user_ip6) + i * 4);
	}
	if (at == BPF_CGROUP_INET4_CONNECT) {
		code[n++] = set(BPF_REG_2, to->v4.sin_addr.s_addr);
		code[n++] = store(offsetof(struct bpf_sock_addr, user_ip4));
	}
	code[n++] = set(BPF_REG_2, htons(kern_port(to)));
	code[n++] = store(offsetof(struct bpf_sock_addr, user_port));
	code[n++] = set(BPF_REG_0, 1);
	code[n++] = (struct bpf_insn){.code = BPF_JMP | BPF_EXIT};
	prog = bpf_prog_load(BPF_PROG_TYPE_CGROUP_SOCK_ADDR, "rewrite", "GPL", code, n, &o);
	assert_true(prog >= 0);
	link = bpf_link_create(prog, cgroup, at, NULL);
	assert_true(link >= 0);
	(void)close(prog);
	return link;
}

static void attach_ours(void)
{
	ours = asked_bpf__open_and_load();
	assert_non_null(ours);
	links[0] = bpf_program__attach_cgroup(ours->progs.asked_connect4, pod.fd);
	links[1] = bpf_program__attach_cgroup(ours->progs.asked_connect6, pod.fd);
	assert_true(links[0] && links[1]);
}

static int unload(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		if (rewriter[i] >= 0)
			(void)close(rewriter[i]);
		rewriter[i] = -1;
		(void)bpf_link__destroy(links[i]);
		links[i] = NULL;
	}
	asked_bpf__destroy(ours);
	ours = NULL;
	kern_cgroup_enter(v2);
	return setns(home_ns, CLONE_NEWNET);
}

/* ---- connections ----------------------------------------------------------------------------- */

static bool kept(int s, struct asked_value *ret)
{
	uint64_t cookie;
	socklen_t n = sizeof(cookie);

	assert_int_equal(getsockopt(s, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
	return bpf_map_lookup_elem(bpf_map__fd(ours->maps.asked), &cookie, ret) == 0;
}

static uint32_t entries(void)
{
	uint64_t k, *at = NULL;
	uint32_t n = 0;

	while (bpf_map_get_next_key(bpf_map__fd(ours->maps.asked), at, &k) == 0) {
		at = &k;
		n++;
	}
	return n;
}

/* connect() to `asked`; it must end at `backend`, and `asked` must have been kept. */
static void connects(const char *asked_ip, uint16_t asked_port, const union kern_addr *backend)
{
	union kern_addr asked = kern_addr(asked_ip, asked_port), peer;
	uint8_t want[16], got[16];
	struct asked_value a;
	socklen_t n = sizeof(peer);
	int s = socket(asked.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(s >= 0);
	assert_int_equal(connect(s, &asked.sa, kern_addr_len(&asked)), 0);
	assert_int_equal(getpeername(s, &peer.sa, &n), 0);
	kern_bytes(&peer, got);
	kern_bytes(backend, want);
	assert_memory_equal(got, want, 16);
	assert_int_equal(kern_port(&peer), kern_port(backend));
	assert_true(kept(s, &a));
	kern_bytes(&asked, want);
	assert_memory_equal(a.addr, want, 16);
	assert_int_equal(a.port, asked_port);
	(void)close(s);
}

static void redirected(bool rewriter_first)
{
	union kern_addr at4, at6;
	int l4, l6;

	assert_true(kern_netns() >= 0);
	l4 = kern_bound(SOCK_STREAM, "127.0.0.1", 0, &at4);
	l6 = kern_bound(SOCK_STREAM, "::1", 0, &at6);
	assert_int_equal(listen(l4, 10) | listen(l6, 10), 0);
	if (!rewriter_first)
		attach_ours();
	rewriter[0] = rewrite(top.fd, &at4);
	rewriter[1] = rewrite(top.fd, &at6);
	if (rewriter_first)
		attach_ours();
	kern_cgroup_enter(pod.path);
	connects("10.96.0.10", 443, &at4);
	connects("192.0.2.1", 65535, &at4);
	connects("fd00:10:96::a", 80, &at6);
	(void)close(rewriter[1]);
	/* An IPv4 address on an IPv6 socket passes connect6 alone. */
	kern_bytes(&at4, at6.v6.sin6_addr.s6_addr);
	at6.v6.sin6_port = at4.v4.sin_port;
	rewriter[1] = rewrite(top.fd, &at6);
	connects("::ffff:10.96.0.11", 8443, &at6);
	(void)close(l4);
	(void)close(l6);
}

static void a_balancer_before_ours(void **state)
{
	(void)state;
	redirected(true);
}

static void a_balancer_after_ours(void **state)
{
	(void)state;
	redirected(false);
}

static void without_a_balancer(void **state)
{
	union kern_addr at;
	int l;

	(void)state;
	assert_true(kern_netns() >= 0);
	l = kern_bound(SOCK_STREAM, "::", 0, &at);
	assert_int_equal(listen(l, 10), 0);
	attach_ours();
	kern_cgroup_enter(pod.path);
	at = kern_addr("127.0.0.1", kern_port(&at));
	connects("127.0.0.1", kern_port(&at), &at);
	connects("::ffff:127.0.0.1", kern_port(&at), &at);
	at = kern_addr("::1", kern_port(&at));
	connects("::1", kern_port(&at), &at);
	(void)close(l);
}

static void what_is_not_tcp_or_not_the_pods_is_left_alone(void **state)
{
	union kern_addr at = kern_addr("127.0.0.1", 9);
	int s, t;

	(void)state;
	assert_true(kern_netns() >= 0);
	attach_ours();
	kern_cgroup_enter(pod.path);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(s, &at.sa, kern_addr_len(&at)), 0);
	kern_cgroup_enter(top.path);
	t = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(connect(t, &at.sa, kern_addr_len(&at)) < 0 && errno == ECONNREFUSED);
	assert_int_equal(entries(), 0);
	(void)close(s);
	(void)close(t);
}

/* Nobody takes these entries away: the map stays within its size, and the newest are there. */
static void failed_connects_fill_nothing_up(void **state)
{
	union kern_addr at = kern_addr("127.0.0.1", 9);
	struct asked_value a;

	(void)state;
	assert_true(kern_netns() >= 0);
	attach_ours();
	kern_cgroup_enter(pod.path);
	for (int i = 0; i < 10000; i++) {
		int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		assert_true(connect(s, &at.sa, kern_addr_len(&at)) < 0 && errno == ECONNREFUSED);
		assert_true(kept(s, &a) && a.port == 9);
		(void)close(s);
	}
	assert_true(entries() <= bpf_map__max_entries(ours->maps.asked));
}

static int make_cgroups(void **state)
{
	char name[64];

	(void)state;
	(void)snprintf(name, sizeof(name), "kindred-asked-%d", (int)getpid());
	home_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return home_ns >= 0 && kern_cgroup_make(&top, v2, name) &&
			       kern_cgroup_make(&pod, top.path, "pod")
		       ? 0
		       : -1;
}

static int remove_cgroups(void **state)
{
	(void)state;
	kern_cgroup_remove(&pod);
	kern_cgroup_remove(&top);
	return 0;
}

#define CASE(f) cmocka_unit_test_teardown(f, unload)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_balancer_before_ours),
		CASE(a_balancer_after_ours),
		CASE(without_a_balancer),
		CASE(what_is_not_tcp_or_not_the_pods_is_left_alone),
		CASE(failed_connects_fill_nothing_up),
	};

	if (!kern_may_load() || !kern_mount(NULL, v2))
		return 77;
	return cmocka_run_group_tests(tests, make_cgroups, remove_cgroups);
}
