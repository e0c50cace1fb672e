/*
 * The UDP programs against real sockets in cgroups of their own: bytes and
 * datagrams equal what the sockets were given and gave, whole, in segments, in
 * fragments and through a translation.
 */
#include "tests/unit/flow/udp_rig.h"

#include <netinet/udp.h>

static void over_loopback(const char *ip, const char *bound, bool connected)
{
	struct side c, s;
	union kern_addr to;

	assert_true(kern_netns() >= 0);
	load(1000, 1 << 16, 0);
	c = side(&client, ip, 0);
	s = side(&server, bound, 0);
	to = kern_addr(ip, kern_port(&s.at));
	if (connected)
		assert_int_equal(connect(c.fd, &to.sa, kern_addr_len(&to)), 0);
	talk(&c, connected ? NULL : &to, &s, &c.at);
	assert_side(&client, &c, &c.at, &to, ABI_DIR_OUT);
	assert_side(&server, &s, &to, &c.at, ABI_DIR_IN);
	assert_int_equal(entries(), 2);
	(void)close(c.fd);
	(void)close(s.fd);
}

static void v4_connected(void **state)
{
	(void)state;
	over_loopback("127.0.0.1", "127.0.0.1", true);
}

static void v4_to_a_socket_bound_to_any(void **state)
{
	(void)state;
	over_loopback("127.0.0.1", "0.0.0.0", false);
}

static void v6_connected(void **state)
{
	(void)state;
	over_loopback("::1", "::1", true);
}

static void v6_to_a_socket_bound_to_any(void **state)
{
	(void)state;
	over_loopback("::1", "::", false);
}

static void v4_on_v6_sockets_is_v4(void **state)
{
	(void)state;
	over_loopback("::ffff:127.0.0.1", "::", true);
}

static void each_remote_of_one_socket_is_a_conversation(void **state)
{
	struct side c, s[3];
	struct abi_udp u;

	(void)state;
	assert_true(kern_netns() >= 0);
	load(1000, 1 << 16, 0);
	c = side(&client, "0.0.0.0", 0);
	for (unsigned int i = 0; i < 3; i++)
		s[i] = side(&server, "127.0.0.1", 0);
	for (unsigned int i = 0; i < 30; i++) {
		give(&c, &s[i % 3].at, 10 + i % 3);
		take(&s[i % 3]);
	}
	for (unsigned int i = 0; i < 3; i++) {
		union kern_addr from = kern_addr("127.0.0.1", kern_port(&c.at));

		assert_true(entry(client.id, &from, &s[i].at, &u));
		assert_int_equal(u.sent, 10 * (10 + i));
		assert_int_equal(u.sent_packets, 10);
		assert_side(&server, &s[i], &s[i].at, &from, ABI_DIR_IN);
		(void)close(s[i].fd);
	}
	(void)close(c.fd);
}

/* ---- offloads -------------------------------------------------------------------------------- */

/* What a connected socket sends elsewhere by sendto() went there. */
static void sent_elsewhere(const char *ip)
{
	struct side c, a, b;
	struct abi_udp u;

	assert_true(kern_netns() >= 0);
	load(1000, 1 << 16, 0);
	c = side(&client, ip, 0);
	a = side(&server, ip, 0);
	b = side(&server, ip, 0);
	assert_int_equal(connect(c.fd, &a.at.sa, kern_addr_len(&a.at)), 0);
	for (int i = 0; i < 3; i++) {
		give(&c, &b.at, 1000);
		take(&b);
	}
	assert_true(entry(client.id, &c.at, &a.at, &u)); /* where an answer may come from */
	assert_true(u.flags == ABI_UDP_ASKED && u.sent_packets + u.received_packets == 0);
	assert_true(entry(client.id, &c.at, &b.at, &u));
	assert_true(u.sent == 3000 && u.sent_packets == 3 && u.dir == ABI_DIR_OUT);
	assert_int_equal(u.asked_port, kern_port(&a.at));
	give(&c, NULL, 10);
	take(&a);
	give(&a, &c.at, 20);
	take(&c);
	assert_true(entry(client.id, &c.at, &a.at, &u));
	assert_true(u.sent == 10 && u.received == 20 && u.dir == ABI_DIR_OUT);
	assert_true(entry(client.id, &c.at, &b.at, &u));
	assert_true(u.sent == 3000 && u.received == 0);
	assert_int_equal(entries(), 4);
	(void)close(a.fd);
	(void)close(b.fd);
	(void)close(c.fd);
}

static void connected_and_sent_elsewhere(void **state)
{
	(void)state;
	sent_elsewhere("127.0.0.1");
}

static void connected_and_sent_elsewhere_v6(void **state)
{
	(void)state;
	sent_elsewhere("::1");
}

static void segments_count_as_datagrams(const char *ip, bool gro)
{
	int on = 1, size = 1000;
	struct side c, s;
	struct abi_udp u;
	char bytes[10500] = {0};
	uint64_t got = 0;

	assert_true(kern_netns() >= 0);
	load(1000, 1 << 16, 0);
	c = side(&client, ip, 0);
	s = side(&server, ip, 0);
	if (setsockopt(c.fd, SOL_UDP, UDP_SEGMENT, &size, sizeof(size)) < 0)
		skip();
	if (gro && setsockopt(s.fd, SOL_UDP, UDP_GRO, &on, sizeof(on)) < 0)
		skip();
	assert_true(sendto(c.fd, bytes, sizeof(bytes), 0, &s.at.sa, kern_addr_len(&s.at)) ==
		    sizeof(bytes));
	while (got < sizeof(bytes)) {
		take(&s);
		got = s.received;
	}
	assert_true(entry(client.id, &c.at, &s.at, &u));
	assert_int_equal(u.sent, sizeof(bytes));
	assert_int_equal(u.sent_packets, 11);
	assert_true(entry(server.id, &s.at, &c.at, &u));
	assert_int_equal(u.received, sizeof(bytes));
	assert_int_equal(u.received_packets, 11);
	assert_int_equal(s.received_packets, gro ? 1 : 11);
	(void)close(c.fd);
	(void)close(s.fd);
}

static void segments_v4(void **state)
{
	(void)state;
	segments_count_as_datagrams("127.0.0.1", false);
}

static void segments_v6(void **state)
{
	(void)state;
	segments_count_as_datagrams("::1", false);
}

static void segments_taken_as_one(void **state)
{
	(void)state;
	segments_count_as_datagrams("127.0.0.1", true);
}

/* ---- two namespaces with a small MTU between ------------------------------------------------- */

static int far_ns;

static void run(const char *command)
{
	/* Set-up by the tools of the system; the commands are constants. */
	if (system(command) != 0) /* NOLINT */
		fail_msg("%s", command);
}

static bool veth(void)
{
	char command[512];
	int near_ns;

	if (system("command -v ip >/dev/null") != 0) /* NOLINT */
		return false;
	far_ns = kern_netns();
	near_ns = kern_netns();
	assert_true(far_ns >= 0 && near_ns >= 0);
	/* Descriptors of this process name the namespaces. */
	(void)snprintf(command, sizeof(command),
		       "ip link add v0 mtu 1280 type veth peer name v1 mtu 1280 netns "
		       "/proc/%d/fd/%d 2>/dev/null",
		       (int)getpid(), far_ns);
	if (system(command) != 0) /* NOLINT */
		return false;
	run("ip addr add 10.77.0.1/24 dev v0; ip addr add fd77::1/64 dev v0 nodad; "
	    "ip link set v0 up");
	assert_int_equal(setns(far_ns, CLONE_NEWNET), 0);
	run("ip addr add 10.77.0.2/24 dev v1; ip addr add fd77::2/64 dev v1 nodad; "
	    "ip link set v1 up");
	assert_int_equal(setns(near_ns, CLONE_NEWNET), 0);
	(void)close(near_ns);
	return true;
}

static void fragments(const char *near, const char *far)
{
	int near_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	struct side c, s;

	c = side(&client, near, 0);
	assert_int_equal(setns(far_ns, CLONE_NEWNET), 0);
	s = side(&server, far, 0);
	for (int i = 0; i < 20; i++) {
		give(&c, &s.at, 20000);
		take(&s);
		give(&s, &c.at, 3000);
		take(&c);
	}
	assert_int_equal(s.received, 400000);
	assert_side(&client, &c, &c.at, &s.at, ABI_DIR_OUT);
	assert_side(&server, &s, &s.at, &c.at, ABI_DIR_IN);
	(void)close(c.fd);
	(void)close(s.fd);
	assert_int_equal(setns(near_ns, CLONE_NEWNET), 0);
	(void)close(near_ns);
}

static void fragments_are_one_datagram(void **state)
{
	(void)state;
	if (!veth())
		skip();
	load(1000, 1 << 16, 0);
	fragments("10.77.0.1", "10.77.0.2");
	fragments("fd77::1", "fd77::2");
	assert_int_equal(entries(), 4);
	(void)close(far_ns);
}

/* kube-proxy's kind of translation, in the namespace of the client: what was sent went to the
 * backend, what came seems to come from the Service, and each entry tells of the other. */
static void translated_and_connected(void **state)
{
	int near_ns;
	struct side c, s, half;
	uint8_t bytes[16];
	struct abi_udp u;
	union kern_addr asked = kern_addr("10.99.0.1", 5300);

	(void)state;
	if (!veth() || system("command -v nft >/dev/null") != 0) /* NOLINT */
		skip();
	load(1000, 1 << 16, 0);
	run("ip route add 10.99.0.0/16 via 10.77.0.2");
	if (system("nft add table ip t && nft 'add chain ip t o { type nat hook output priority "
		   "-100; }' && nft add rule ip t o ip daddr 10.99.0.1 udp dport 5300 dnat to "
		   "10.77.0.2:7000 && nft 'add chain ip t p { type nat hook postrouting priority "
		   "100; }' && nft add rule ip t p ip daddr 10.77.0.2 masquerade fully-random") !=
	    0)
		skip();
	near_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	c = side(&client, "10.77.0.1", 0);
	assert_int_equal(setns(far_ns, CLONE_NEWNET), 0);
	s = side(&server, "10.77.0.2", 7000);
	assert_int_equal(connect(c.fd, &asked.sa, kern_addr_len(&asked)), 0);
	for (int i = 0; i < 5; i++) {
		union kern_addr from;
		socklen_t n = sizeof(from);
		char got[200];

		give(&c, NULL, 100);
		assert_int_equal(recvfrom(s.fd, got, 200, 0, &from.sa, &n), 100);
		assert_int_equal(sendto(s.fd, got, 200, 0, &from.sa, n), 200);
		take(&c);
	}
	half = c;
	half.sent = half.sent_packets = 0;
	assert_side(&client, &half, &c.at, &asked, ABI_DIR_OUT);
	half = c;
	half.received = half.received_packets = 0;
	assert_side(&client, &half, &c.at, &s.at, ABI_DIR_OUT);
	assert_true(entry(client.id, &c.at, &s.at, &u));
	assert_int_equal(u.asked_port, 5300);
	kern_bytes(&asked, bytes);
	assert_memory_equal(u.asked_addr, bytes, sizeof(bytes));
	assert_int_equal(entries(), 3);
	assert_int_equal(setns(near_ns, CLONE_NEWNET), 0);
	(void)close(near_ns);
	(void)close(far_ns);
	(void)close(c.fd);
	(void)close(s.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(v4_connected),
		CASE(v4_to_a_socket_bound_to_any),
		CASE(v6_connected),
		CASE(v6_to_a_socket_bound_to_any),
		CASE(v4_on_v6_sockets_is_v4),
		CASE(each_remote_of_one_socket_is_a_conversation),
		CASE(connected_and_sent_elsewhere),
		CASE(connected_and_sent_elsewhere_v6),
		CASE(segments_v4),
		CASE(segments_v6),
		CASE(segments_taken_as_one),
		CASE(fragments_are_one_datagram),
		CASE(translated_and_connected),
	};

	if (!kern_may_load() || !kern_mount(NULL, v2))
		return 77;
	return cmocka_run_group_tests(tests, make_cgroups, remove_cgroups);
}
