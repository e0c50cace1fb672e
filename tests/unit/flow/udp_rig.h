/*
 * The UDP programs, loaded for one test and attached to its own cgroups, and
 * sockets there that keep account of what they sent and received.
 */
#pragma once

#include "flow_abi.h"

#include "tests/unit/flow/kern.h"

/* bpftool's text is not ours to mend. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#include "bpf/udp.skel.h"
#include "bpf/udp_drops.skel.h"
#pragma GCC diagnostic pop

#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>

static struct kern_cgroup top, client, server;
static char v2[256];
static int home_ns;

static struct rig {
	struct udp_bpf *udp;
	struct udp_drops_bpf *drops;
	struct bpf_link *links[8];
	unsigned int n_links;
} rig;

/* ---- programs, loaded for one test ----------------------------------------------------------- */

static inline void attach(struct bpf_program *p, int cgroup_fd)
{
	rig.links[rig.n_links] = bpf_program__attach_cgroup(p, cgroup_fd);
	assert_non_null(rig.links[rig.n_links++]);
}

static bool old_kernel; /* drops as kernels before 6.10 tell of them */

/* Attached to the test's own directory, so that nobody else's traffic is counted. */
static inline void load(uint32_t max_udp, uint32_t ring_bytes, uint32_t v1)
{
	memset(&rig, 0, sizeof(rig));
	rig.udp = udp_bpf__open();
	rig.drops = udp_drops_bpf__open();
	assert_true(rig.udp && rig.drops);
	(void)bpf_map__set_max_entries(rig.udp->maps.udp, max_udp);
	(void)bpf_map__set_max_entries(rig.udp->maps.ring, ring_bytes);
	rig.udp->rodata->v1_controller = v1;
	rig.drops->rodata->v1_controller = v1;
	rig.drops->rodata->use_skb = !old_kernel;
	(void)bpf_program__set_autoload(rig.udp->progs.udp_sock_create, v1 != 0);
	(void)bpf_program__set_autoload(rig.udp->progs.udp_sock_release, v1 != 0);
	assert_int_equal(udp_bpf__load(rig.udp), 0);
	(void)bpf_map__reuse_fd(rig.drops->maps.udp, bpf_map__fd(rig.udp->maps.udp));
	(void)bpf_map__reuse_fd(rig.drops->maps.ring, bpf_map__fd(rig.udp->maps.ring));
	(void)bpf_map__reuse_fd(rig.drops->maps.counts, bpf_map__fd(rig.udp->maps.counts));
	(void)bpf_map__reuse_fd(rig.drops->maps.udp_owners, bpf_map__fd(rig.udp->maps.udp_owners));
	assert_int_equal(udp_drops_bpf__load(rig.drops), 0);
	attach(rig.udp->progs.udp_egress, top.fd);
	attach(rig.udp->progs.udp_ingress, top.fd);
	if (v1) {
		attach(rig.udp->progs.udp_sock_create, top.fd);
		attach(rig.udp->progs.udp_sock_release, top.fd);
	}
	rig.links[rig.n_links] = bpf_program__attach(rig.drops->progs.udp_dropped);
	assert_non_null(rig.links[rig.n_links++]);
}

static inline int unload(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < rig.n_links; i++)
		(void)bpf_link__destroy(rig.links[i]);
	udp_drops_bpf__destroy(rig.drops);
	udp_bpf__destroy(rig.udp);
	memset(&rig, 0, sizeof(rig));
	old_kernel = false;
	kern_cgroup_enter(v2);
	return setns(home_ns, CLONE_NEWNET);
}

static inline bool entry(uint64_t cgroup, const union kern_addr *local,
			 const union kern_addr *remote, struct abi_udp *ret)
{
	struct abi_udp_key k = {.cgroup = cgroup};

	k.lport = kern_port(local);
	k.rport = kern_port(remote);
	kern_bytes(local, k.laddr);
	kern_bytes(remote, k.raddr);
	return bpf_map_lookup_elem(bpf_map__fd(rig.udp->maps.udp), &k, ret) == 0;
}

static inline uint32_t entries(void)
{
	struct abi_udp_key k, *at = NULL;
	uint32_t n = 0;

	while (bpf_map_get_next_key(bpf_map__fd(rig.udp->maps.udp), at, &k) == 0) {
		at = &k;
		n++;
	}
	return n;
}

static inline uint64_t counted(uint32_t what)
{
	int cpus = libbpf_num_possible_cpus();
	uint64_t *v = calloc((size_t)cpus, sizeof(*v)), sum = 0;

	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(rig.udp->maps.counts), &what, v), 0);
	for (int i = 0; i < cpus; i++)
		sum += v[i];
	free(v);
	return sum;
}

/* ---- two sockets and what they did ----------------------------------------------------------- */

struct side {
	int fd;
	union kern_addr at;
	uint32_t netns;
	uint64_t sent, received, sent_packets, received_packets;
};

static inline struct side side(const struct kern_cgroup *c, const char *ip, uint16_t port)
{
	struct side s = {0};
	struct stat st;

	assert_int_equal(stat("/proc/thread-self/ns/net", &st), 0);
	s.netns = (uint32_t)st.st_ino;
	kern_cgroup_enter(c->path);
	s.fd = kern_bound(SOCK_DGRAM, ip, port, &s.at);
	return s;
}

static inline void give(struct side *from, const union kern_addr *to, size_t n)
{
	static char bytes[65536];
	ssize_t r = to ? sendto(from->fd, bytes, n, 0, &to->sa, kern_addr_len(to))
		       : send(from->fd, bytes, n, 0);

	assert_true(r == (ssize_t)n);
	from->sent += n;
	from->sent_packets++;
}

static inline void take(struct side *at)
{
	struct pollfd p = {.fd = at->fd, .events = POLLIN};
	static char bytes[65536];
	ssize_t r;

	assert_int_equal(poll(&p, 1, 5000), 1);
	r = recv(at->fd, bytes, sizeof(bytes), 0);
	assert_true(r >= 0);
	at->received += (uint64_t)r;
	at->received_packets++;
}

static inline void assert_side(const struct kern_cgroup *c, const struct side *s,
			       const union kern_addr *local, const union kern_addr *remote,
			       uint8_t dir)
{
	struct abi_udp u;

	assert_true(entry(c->id, local, remote, &u));
	assert_int_equal(u.sent, s->sent);
	assert_int_equal(u.received, s->received);
	assert_int_equal(u.sent_packets, s->sent_packets);
	assert_int_equal(u.received_packets, s->received_packets);
	assert_int_equal(u.dropped, 0);
	assert_int_equal(u.dir, dir);
	assert_int_equal(u.netns, s->netns);
	assert_true(u.first && u.last >= u.first);
}

static inline void talk(struct side *a, const union kern_addr *to_b, struct side *b,
			const union kern_addr *to_a)
{
	static const size_t sizes[] = {0, 1, 100, 1472, 1473, 8000, 20000, 60000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		give(a, to_b, sizes[i]);
		take(b);
		give(b, to_a, sizes[ARRAY_SIZE(sizes) - 1 - i] / 2);
		take(a);
	}
}

static inline int make_cgroups(void **state)
{
	char name[64];

	(void)state;
	(void)snprintf(name, sizeof(name), "kindred-udp-%d", (int)getpid());
	home_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	return home_ns >= 0 && kern_cgroup_make(&top, v2, name) &&
			       kern_cgroup_make(&client, top.path, "client") &&
			       kern_cgroup_make(&server, top.path, "server")
		       ? 0
		       : -1;
}

static inline int remove_cgroups(void **state)
{
	(void)state;
	kern_cgroup_remove(&client);
	kern_cgroup_remove(&server);
	kern_cgroup_remove(&top);
	return 0;
}

#define CASE(f) cmocka_unit_test_teardown(f, unload)
