/*
 * The UDP programs where something is full, and what they tell besides counts:
 * drops equal what the socket itself counted, what a full map or ring leaves out is
 * counted, copies of DNS equal what was sent, owners in v1 are who made the socket.
 */
#include "tests/unit/flow/udp_rig.h"

#include <sys/wait.h>

/* ---- drops, bounds, other traffic ------------------------------------------------------------ */

/* Reads all that is left; returns what the socket says it dropped before the last one. */
static uint32_t drain(struct side *s)
{
	char bytes[2048], control[64];
	uint32_t dropped = 0;

	for (;;) {
		struct iovec v = {.iov_base = bytes, .iov_len = sizeof(bytes)};
		struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control};
		struct cmsghdr *h;
		ssize_t r;

		m.msg_controllen = sizeof(control);
		r = recvmsg(s->fd, &m, MSG_DONTWAIT);
		if (r < 0)
			return dropped;
		s->received += (uint64_t)r;
		s->received_packets++;
		for (h = CMSG_FIRSTHDR(&m); h; h = CMSG_NXTHDR(&m, h))
			if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SO_RXQ_OVFL)
				memcpy(&dropped, CMSG_DATA(h), 4);
	}
}

static void drops(const char *ip)
{
	int small = 4096, on = 1;
	struct side c, s;
	struct abi_udp u;

	assert_true(kern_netns() >= 0);
	load(1000, 1 << 16, 0);
	c = side(&client, ip, 0);
	s = side(&server, ip, 0);
	assert_int_equal(setsockopt(s.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	assert_int_equal(setsockopt(s.fd, SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof(on)), 0);
	for (int i = 0; i < 300; i++)
		give(&c, &s.at, 700);
	(void)drain(&s);
	give(&c, &s.at, 700); /* carries the count */
	assert_true(entry(server.id, &s.at, &c.at, &u));
	assert_int_equal(u.dropped, drain(&s));
	assert_true(u.dropped > 100);
	assert_int_equal(u.received_packets, 301);
	assert_int_equal(u.received_packets - u.dropped, s.received_packets);
	assert_int_equal(u.received - u.dropped_bytes, s.received);
	assert_int_equal(entries(), 2);
	(void)close(c.fd);
	(void)close(s.fd);
}

static void drops_equal_what_the_socket_counted(void **state)
{
	(void)state;
	drops("127.0.0.1");
}

static void drops_v6(void **state)
{
	(void)state;
	drops("::1");
}

/* Where the datagram is not given: a connected socket has a remote, another has none. */
static void drops_without_the_datagram(void **state)
{
	const union kern_addr nobody = {.v6.sin6_family = AF_INET6};
	int small = 4096;
	struct side c, s[2];
	struct abi_udp u;

	(void)state;
	assert_true(kern_netns() >= 0);
	old_kernel = true;
	load(1000, 1 << 16, 0);
	c = side(&client, "127.0.0.1", 0);
	for (int i = 0; i < 2; i++) {
		s[i] = side(&server, "127.0.0.1", 0);
		assert_int_equal(setsockopt(s[i].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)),
				 0);
	}
	assert_int_equal(connect(s[1].fd, &c.at.sa, kern_addr_len(&c.at)), 0);
	for (int i = 0; i < 200; i++)
		give(&c, &s[i % 2].at, 700);
	for (int i = 0; i < 2; i++)
		(void)drain(&s[i]);
	assert_true(entry(server.id, &s[1].at, &c.at, &u));
	assert_int_equal(u.received_packets - u.dropped, s[1].received_packets);
	assert_true(u.dropped > 50 && u.dropped_bytes == 0);
	assert_true(entry(server.id, &s[0].at, &c.at, &u));
	assert_true(u.received_packets == 100 && u.dropped == 0);
	assert_true(entry(server.id, &s[0].at, &nobody, &u));
	assert_int_equal(100 - u.dropped, s[0].received_packets);
	assert_true(u.received_packets == 0 && u.sent_packets == 0 && u.last >= u.first);
	for (int i = 0; i < 2; i++)
		(void)close(s[i].fd);
	(void)close(c.fd);
}

static uint64_t drops_told;

static int on_drop(void *ctx, void *data, size_t n)
{
	const struct abi_udp_drop *d = data;

	(void)ctx;
	assert_true(n == sizeof(*d) && d->head.type == ABI_UDP_DROP && d->key.rport == 0);
	drops_told += d->drops;
	return 0;
}

/* ... and no room in the map: records. */
static void drops_without_room(void **state)
{
	int small = 4096;
	struct ring_buffer *r;
	struct side c, s;

	(void)state;
	assert_true(kern_netns() >= 0);
	old_kernel = true;
	load(2, 1 << 16, 0);
	c = side(&client, "127.0.0.1", 0);
	s = side(&server, "127.0.0.1", 0);
	assert_int_equal(setsockopt(s.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (int i = 0; i < 100; i++)
		give(&c, &s.at, 700);
	(void)drain(&s);
	drops_told = 0;
	r = ring_buffer__new(bpf_map__fd(rig.udp->maps.ring), on_drop, NULL, NULL);
	assert_non_null(r);
	assert_true(ring_buffer__consume(r) > 0);
	ring_buffer__free(r);
	assert_int_equal(100 - drops_told, s.received_packets);
	(void)close(c.fd);
	(void)close(s.fd);
}

static void a_full_map_counts_what_it_leaves_out(void **state)
{
	struct side c, s[5];

	(void)state;
	assert_true(kern_netns() >= 0);
	load(2, 1 << 16, 0);
	c = side(&client, "127.0.0.1", 0);
	for (unsigned int i = 0; i < 5; i++)
		s[i] = side(&server, "127.0.0.1", 0);
	for (unsigned int i = 0; i < 5; i++) {
		give(&c, &s[i].at, 10);
		take(&s[i]);
	}
	assert_side(&server, &s[0], &s[0].at, &c.at, ABI_DIR_IN);
	assert_int_equal(entries(), 2);
	assert_int_equal(counted(ABI_COUNT_DROP_UDP_FULL), 8);
	for (unsigned int i = 0; i < 5; i++)
		(void)close(s[i].fd);
	(void)close(c.fd);
}

static void what_is_not_udp_leaves_nothing(void **state)
{
	union kern_addr at;
	int l, c, a;
	char bytes[64];

	(void)state;
	assert_true(kern_netns() >= 0);
	load(100, 1 << 16, 0);
	kern_cgroup_enter(client.path);
	l = kern_bound(SOCK_STREAM, "::1", 0, &at);
	assert_int_equal(listen(l, 1), 0);
	c = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(c, &at.sa, kern_addr_len(&at)), 0);
	a = accept(l, NULL, NULL);
	assert_int_equal(send(c, "kindred", 7, 0), 7);
	assert_int_equal(recv(a, bytes, sizeof(bytes), 0), 7);
	assert_int_equal(entries(), 0);
	(void)close(a);
	(void)close(c);
	(void)close(l);
}

/* Many senders at once on one conversation: not one is lost. */
static void concurrent_senders_add_up(void **state)
{
	enum { CHILDREN = 4, EACH = 20000 };
	struct side c, s;
	struct abi_udp u;

	(void)state;
	assert_true(kern_netns() >= 0);
	load(100, 1 << 16, 0);
	c = side(&client, "127.0.0.1", 0);
	s = side(&server, "127.0.0.1", 0);
	assert_int_equal(connect(c.fd, &s.at.sa, kern_addr_len(&s.at)), 0);
	for (int i = 0; i < CHILDREN; i++) {
		if (fork() != 0)
			continue;
		for (int j = 0; j < EACH; j++)
			if (send(c.fd, "twelve bytes", 12, 0) != 12)
				_exit(1);
		_exit(0);
	}
	for (int i = 0; i < CHILDREN; i++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	(void)drain(&s);
	assert_true(entry(client.id, &c.at, &s.at, &u));
	assert_int_equal(u.sent_packets, CHILDREN * EACH);
	assert_int_equal(u.sent, CHILDREN * EACH * 12);
	assert_true(entry(server.id, &s.at, &c.at, &u));
	assert_int_equal(u.received_packets, CHILDREN * EACH);
	assert_int_equal(u.received_packets - u.dropped, s.received_packets);
	(void)close(c.fd);
	(void)close(s.fd);
}

/* ---- DNS ------------------------------------------------------------------------------------- */

static struct {
	struct abi_dns d[8];
	unsigned int n;
} told;

static int on_record(void *ctx, void *data, size_t n)
{
	(void)ctx;
	assert_true(n == sizeof(struct abi_dns) && told.n < ARRAY_SIZE(told.d));
	memcpy(&told.d[told.n++], data, n);
	return 0;
}

static void read_ring(void)
{
	struct ring_buffer *r =
		ring_buffer__new(bpf_map__fd(rig.udp->maps.ring), on_record, NULL, NULL);

	assert_non_null(r);
	assert_true(ring_buffer__consume(r) >= 0);
	ring_buffer__free(r);
}

static void assert_copy(unsigned int i, uint64_t cgroup, bool egress, const char *bytes, size_t n)
{
	const struct abi_dns *d = &told.d[i];

	assert_int_equal(d->head.type, ABI_DNS);
	assert_int_equal(d->head.version, ABI_VERSION);
	assert_int_equal(d->head.size, sizeof(*d));
	assert_true(d->key.cgroup == cgroup);
	assert_int_equal(d->egress, egress);
	assert_int_equal(d->len, n);
	assert_int_equal(d->captured, MIN(n, (size_t)ABI_DNS_MAX));
	assert_memory_equal(d->data, bytes, d->captured);
	assert_true(d->head.time > 0);
	assert_int_equal(cgroup == client.id ? d->key.rport : d->key.lport, 53);
}

static void dns_is_copied(const char *ip)
{
	static const size_t sizes[] = {1, 40, ABI_DNS_MAX - 1, ABI_DNS_MAX, ABI_DNS_MAX + 1, 4000};
	char bytes[4000];
	struct side c, s;

	assert_true(kern_netns() >= 0);
	load(100, 1 << 16, 0);
	c = side(&client, ip, 0);
	s = side(&server, ip, 53);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 7 + i / 256);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		size_t n = sizes[i];

		told.n = 0;
		assert_true(sendto(c.fd, bytes, n, 0, &s.at.sa, kern_addr_len(&s.at)) ==
			    (ssize_t)n);
		take(&s);
		assert_true(sendto(s.fd, bytes + 1, n - 1, 0, &c.at.sa, kern_addr_len(&c.at)) ==
			    (ssize_t)n - 1);
		take(&c);
		read_ring();
		assert_int_equal(told.n, n == 1 ? 2 : 4);
		assert_copy(0, client.id, true, bytes, n);
		assert_copy(1, server.id, false, bytes, n);
		if (n == 1)
			continue; /* an empty datagram is no message */
		assert_copy(2, server.id, true, bytes + 1, n - 1);
		assert_copy(3, client.id, false, bytes + 1, n - 1);
	}
	assert_int_equal(counted(ABI_COUNT_DROP_DNS), 0);
	(void)close(c.fd);
	(void)close(s.fd);
}

static void dns_v4(void **state)
{
	(void)state;
	dns_is_copied("127.0.0.1");
}

static void dns_v6(void **state)
{
	(void)state;
	dns_is_copied("::1");
}

static void a_full_ring_counts_what_it_leaves_out(void **state)
{
	struct side c, s;
	struct abi_udp u;

	(void)state;
	assert_true(kern_netns() >= 0);
	load(100, 4096, 0);
	c = side(&client, "127.0.0.1", 0);
	s = side(&server, "127.0.0.1", 53);
	for (int i = 0; i < 20; i++)
		give(&c, &s.at, 100);
	told.n = 0;
	read_ring();
	assert_true(told.n > 0);
	assert_int_equal(told.n + counted(ABI_COUNT_DROP_DNS), 40);
	assert_true(entry(client.id, &c.at, &s.at, &u));
	assert_int_equal(u.sent_packets, 20);
	(void)close(c.fd);
	(void)close(s.fd);
}

/* ---- pods in v1 ------------------------------------------------------------------------------ */

static void owners_of_v1(void **state)
{
	struct kern_cgroup a = {0}, b = {0};
	struct side c, s, old;
	struct abi_udp u;
	char root[256];

	(void)state;
	if (!kern_mount("memory", root) || !kern_cgroup_make(&a, root, "kindred-udp-a") ||
	    !kern_cgroup_make(&b, root, "kindred-udp-b"))
		skip();
	assert_true(kern_netns() >= 0);
	kern_cgroup_enter(b.path);
	old = side(&top, "127.0.0.1", 0); /* open before the programs are */
	load(100, 1 << 16, 1);
	s = side(&top, "127.0.0.1", 0);
	kern_cgroup_enter(a.path);
	c = side(&top, "127.0.0.1", 0);
	kern_cgroup_enter(root); /* who made it counts, not who sends */
	give(&c, &s.at, 10);
	take(&s);
	kern_cgroup_enter(b.path);
	give(&old, &s.at, 20);
	take(&s);
	kern_cgroup_enter(root);
	assert_true(entry(a.id | ABI_CGROUP_V1, &c.at, &s.at, &u));
	assert_int_equal(u.sent, 10);
	assert_true(entry(b.id | ABI_CGROUP_V1, &s.at, &c.at, &u));
	assert_int_equal(u.received, 10);
	assert_true(entry(b.id | ABI_CGROUP_V1, &old.at, &s.at, &u));
	assert_int_equal(u.sent, 20);
	(void)close(c.fd);
	(void)close(s.fd);
	(void)close(old.fd);
	kern_cgroup_remove(&a);
	kern_cgroup_remove(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(drops_equal_what_the_socket_counted),
		CASE(drops_v6),
		CASE(drops_without_the_datagram),
		CASE(drops_without_room),
		CASE(a_full_map_counts_what_it_leaves_out),
		CASE(what_is_not_udp_leaves_nothing),
		CASE(concurrent_senders_add_up),
		CASE(dns_v4),
		CASE(dns_v6),
		CASE(a_full_ring_counts_what_it_leaves_out),
		CASE(owners_of_v1),
	};

	if (!kern_may_load() || !kern_mount(NULL, v2))
		return 77;
	return cmocka_run_group_tests(tests, make_cgroups, remove_cgroups);
}
