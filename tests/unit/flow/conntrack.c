/*
 * Translations that nftables makes between network namespaces, as conntrack tells of
 * them, compared with the addresses that the two ends themselves saw; and messages
 * made by hand.
 *
 *     client 10.77.1.2 ── veth ── 10.77.1.1 router 10.77.2.1 ── veth ── 10.77.2.2 server
 *                                 10.96.0.10:80 -> 10.77.2.2:8080
 */
#include "flow/conntrack.h"

#include "shell_rig.h"

#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <signal.h>
#include <sys/prctl.h>

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

struct seen {
	struct flows_translation e[256];
	unsigned int n;
};

static void on_event(void *ctx, const struct flows_translation *e)
{
	struct seen *x = ctx;

	if (x->n < ARRAY_SIZE(x->e))
		x->e[x->n++] = *e;
}

/* ---- messages made by hand ------------------------------------------------------------------- */

static void put_tuple(struct nlmsghdr *h, uint16_t type, bool v6, uint8_t proto, const char *src,
		      uint16_t sport, const char *dst, uint16_t dport)
{
	struct nlattr *tuple = mnl_attr_nest_start(h, type);
	struct nlattr *ip = mnl_attr_nest_start(h, CTA_TUPLE_IP);
	uint8_t a[16];

	(void)inet_pton(v6 ? AF_INET6 : AF_INET, src, a);
	mnl_attr_put(h, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, v6 ? 16 : 4, a);
	(void)inet_pton(v6 ? AF_INET6 : AF_INET, dst, a);
	mnl_attr_put(h, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, v6 ? 16 : 4, a);
	mnl_attr_nest_end(h, ip);
	struct nlattr *p = mnl_attr_nest_start(h, CTA_TUPLE_PROTO);

	mnl_attr_put_u8(h, CTA_PROTO_NUM, proto);
	mnl_attr_put_u16(h, CTA_PROTO_SRC_PORT, htons(sport));
	mnl_attr_put_u16(h, CTA_PROTO_DST_PORT, htons(dport));
	mnl_attr_nest_end(h, p);
	mnl_attr_nest_end(h, tuple);
}

static struct nlmsghdr *message(char *buf, uint16_t type)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);

	h->nlmsg_type = (NFNL_SUBSYS_CTNETLINK << 8) | type;
	(void)mnl_nlmsg_put_extra_header(h, sizeof(struct nfgenmsg));
	return h;
}

static void test_parse(void **state)
{
	char buf[1024] __attribute__((aligned(8))) = {0}, text[ADDR_TEXT_MAX];
	struct nlmsghdr *h = message(buf, IPCTNL_MSG_CT_NEW);
	struct flows_translation e;

	(void)state;
	put_tuple(h, CTA_TUPLE_ORIG, false, 6, "10.1.0.1", 4000, "10.96.0.1", 443);
	put_tuple(h, CTA_TUPLE_REPLY, false, 6, "10.1.0.9", 6443, "10.1.0.1", 4000);
	assert_true(conntrack_parse(h, &e));
	assert_int_equal(e.proto, FLOW_TCP);
	assert_false(e.gone);
	assert_string_equal(addr_print(&e.from.ip, text), "10.1.0.1");
	assert_int_equal(e.from.port, 4000);
	assert_string_equal(addr_print(&e.asked.ip, text), "10.96.0.1");
	assert_int_equal(e.asked.port, 443);
	assert_string_equal(addr_print(&e.backend.ip, text), "10.1.0.9");
	assert_int_equal(e.backend.port, 6443);

	/* The same cut short anywhere: never read past its end. */
	const uint32_t len = h->nlmsg_len;

	for (uint32_t n = NLMSG_HDRLEN; n < len; n += 4) {
		char *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, buf, n);
		((struct nlmsghdr *)copy)->nlmsg_len = n;
		assert_false(conntrack_parse((struct nlmsghdr *)copy, &e));
		free(copy);
	}

	/* IPv6, UDP, gone. */
	h = message(buf, IPCTNL_MSG_CT_DELETE);
	put_tuple(h, CTA_TUPLE_ORIG, true, 17, "fd00::1", 5353, "fd00:96::a", 53);
	put_tuple(h, CTA_TUPLE_REPLY, true, 17, "fd00::7", 53, "fd00::1", 5353);
	assert_true(conntrack_parse(h, &e));
	assert_true(e.gone && e.proto == FLOW_UDP);
	assert_string_equal(addr_print(&e.backend.ip, text), "fd00::7");
	assert_string_equal(addr_print(&e.seen_as.ip, text), "fd00::1");

	/* Only the source is masqueraded. */
	h = message(buf, IPCTNL_MSG_CT_NEW);
	put_tuple(h, CTA_TUPLE_ORIG, false, 6, "10.1.0.1", 4000, "1.1.1.1", 443);
	put_tuple(h, CTA_TUPLE_REPLY, false, 6, "1.1.1.1", 443, "192.168.0.1", 50000);
	assert_true(conntrack_parse(h, &e));
	assert_string_equal(addr_print(&e.backend.ip, text), "1.1.1.1");
	assert_string_equal(addr_print(&e.seen_as.ip, text), "192.168.0.1");
	assert_int_equal(e.seen_as.port, 50000);
	/* Nothing is translated. */
	h = message(buf, IPCTNL_MSG_CT_NEW);
	put_tuple(h, CTA_TUPLE_ORIG, false, 6, "10.1.0.1", 4000, "1.1.1.1", 443);
	put_tuple(h, CTA_TUPLE_REPLY, false, 6, "1.1.1.1", 443, "10.1.0.1", 4000);
	assert_false(conntrack_parse(h, &e));
	/* SCTP; another subsystem; no reply. */
	h = message(buf, IPCTNL_MSG_CT_NEW);
	put_tuple(h, CTA_TUPLE_ORIG, false, 132, "10.1.0.1", 1, "10.96.0.1", 2);
	put_tuple(h, CTA_TUPLE_REPLY, false, 132, "10.1.0.9", 2, "10.1.0.1", 1);
	assert_false(conntrack_parse(h, &e));
	h->nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | IPCTNL_MSG_CT_NEW;
	assert_false(conntrack_parse(h, &e));
	h = message(buf, IPCTNL_MSG_CT_NEW);
	put_tuple(h, CTA_TUPLE_ORIG, false, 6, "10.1.0.1", 4000, "10.96.0.1", 443);
	assert_false(conntrack_parse(h, &e));
}

/* ---- real ones ------------------------------------------------------------------------------- */

#define COUNT 50 /* connections */

static void run(const char *command)
{
	CHECK(system(command) == 0, "%s", command);
}

static int tcp4(const char *ip, uint16_t port, struct sockaddr_in *ret)
{
	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
	(void)inet_pton(AF_INET, ip, &ret->sin_addr);
	return socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* A process in a namespace of its own: says that it is there, then waits until `go` is closed. */
static pid_t in_netns(void (*fn)(int out), int out, int go)
{
	const pid_t pid = fork();
	char c = 'n';

	if (pid)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	c = rig_netns() ? 'y' : 'n';
	CHECK(write(out, &c, 1) == 1 && read(go, &c, 1) == 1, "handshake");
	fn(out);
	_exit(0);
}

static void server(int out)
{
	struct sockaddr_in a;
	const int fd = tcp4("10.77.2.2", 8080, &a), one = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	CHECK(bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(fd, 128) == 0, "listen");
	CHECK(write(out, "l", 1) == 1, "ready");
	for (;;)
		(void)close(accept(fd, NULL, NULL));
}

/* Tells the ports it used. */
static void client(int out)
{
	for (int i = 0; i < COUNT; i++) {
		struct sockaddr_in a;
		const int fd = tcp4("10.96.0.10", 80, &a);
		uint16_t port;
		char c;

		CHECK(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect: %s",
		      strerror(errno));
		port = rig_port(fd);
		CHECK(recv(fd, &c, 1, 0) == 0, "the server closes");
		(void)close(fd);
		CHECK(write(out, &port, sizeof(port)) == sizeof(port), "port");
	}
}

static void wire(pid_t c, pid_t s)
{
	char command[1024];

	(void)snprintf(command, sizeof(command),
		       "set -e; ip link add c0 type veth peer name e0 netns %d;"
		       "ip link add s0 type veth peer name e0 netns %d;"
		       "ip addr add 10.77.1.1/24 dev c0; ip link set c0 up;"
		       "ip addr add 10.77.2.1/24 dev s0; ip link set s0 up;"
		       "echo 1 >/proc/sys/net/ipv4/ip_forward;"
		       "for x in '%d 1' '%d 2'; do set -- $x; n=\"nsenter -t $1 -n ip\";"
		       "$n addr add 10.77.$2.2/24 dev e0; $n link set e0 up;"
		       "$n route add default via 10.77.$2.1; done",
		       c, s, c, s);
	run(command);
	run("nft 'add table ip t; add chain ip t p { type nat hook prerouting priority -100; };"
	    "add rule ip t p ip daddr 10.96.0.10 tcp dport 80 dnat to 10.77.2.2:8080'");
}

static void check_event(const struct flows_translation *e, uint16_t port)
{
	char text[ADDR_TEXT_MAX];

	CHECK(e->proto == FLOW_TCP && e->from.port == port && e->asked.port == 80 &&
		      e->backend.port == 8080,
	      "ports %u %u %u", e->from.port, e->asked.port, e->backend.port);
	CHECK(strcmp(addr_print(&e->from.ip, text), "10.77.1.2") == 0, "from %s", text);
	CHECK(strcmp(addr_print(&e->asked.ip, text), "10.96.0.10") == 0, "asked %s", text);
	CHECK(strcmp(addr_print(&e->backend.ip, text), "10.77.2.2") == 0, "backend %s", text);
}

static void each_is_told(const struct seen *x, const uint16_t *ports)
{
	for (int i = 0; i < COUNT; i++) {
		unsigned int met = 0;

		for (unsigned int k = 0; k < x->n; k++) {
			if (x->e[k].gone || x->e[k].from.port != ports[i])
				continue;
			check_event(&x->e[k], ports[i]);
			met++;
		}
		CHECK(met == 1, "port %u is told %u times", ports[i], met);
	}
}

static void dump_all(struct conntrack *c)
{
	while (conntrack_dump_fd(c) >= 0)
		CHECK(conntrack_read_dump(c, 8) >= 0, "dump");
}

static void translated(void *ctx)
{
	struct seen *x = calloc(1, sizeof(*x)), *before = calloc(1, sizeof(*before));
	struct conntrack *c = NULL, *late = NULL;
	int from_c[2], from_s[2], to_c[2], to_s[2];
	uint16_t ports[COUNT];
	char r[2];

	(void)ctx;
	if (!rig_netns())
		exit(RIG_SKIP);
	CHECK(x && before && !pipe(from_c) && !pipe(from_s) && !pipe(to_c) && !pipe(to_s), "pipes");
	const pid_t s = in_netns(server, from_s[1], to_s[0]);
	const pid_t k = in_netns(client, from_c[1], to_c[0]);

	CHECK(read(from_s[0], r, 1) == 1 && read(from_c[0], r + 1, 1) == 1, "children");
	if (r[0] != 'y' || r[1] != 'y')
		exit(RIG_SKIP);
	wire(k, s);
	CHECK(conntrack_new(on_event, x, &c) == 0, "conntrack_new");
	CHECK(write(to_s[1], "g", 1) == 1 && read(from_s[0], r, 1) == 1, "the server listens");
	(void)close(from_c[1]); /* a client that fails ends the reading */
	CHECK(write(to_c[1], "g", 1) == 1, "go");
	for (int i = 0; i < COUNT; i++)
		CHECK(read(from_c[0], &ports[i], 2) == 2, "port");
	while (conntrack_read(c, 8) > 0)
		;
	each_is_told(x, ports);
	CHECK(conntrack_figures(c).lost == 0, "lost");
	/* Who comes later learns of them as well. */
	CHECK(conntrack_new(on_event, before, &late) == 0, "a second one");
	dump_all(late);
	dump_all(c);
	each_is_told(before, ports);
	/* And of their end. */
	run("conntrack -F >/dev/null 2>&1");
	x->n = 0;
	while (conntrack_read(c, 8) > 0)
		;
	CHECK(x->n == COUNT && x->e[0].gone, "%u are gone", x->n);
	conntrack_free(&c);
	conntrack_free(&late);
	(void)kill(s, SIGKILL);
	(void)waitpid(s, NULL, 0);
	(void)waitpid(k, NULL, 0);
	free(x);
	free(before);
}

static void test_translated(void **state)
{
	(void)state;
	if (system("command -v nft >/dev/null && command -v conntrack >/dev/null && "
		   "command -v nsenter >/dev/null") != 0) {
		print_message("skipped: no nft, conntrack or nsenter (cannot run here)\n");
		skip();
	}
	RIG_NEED(rig_child(translated, NULL));
}

/* More than the kernel keeps for us: counted, and what comes next is told. */
static void overrun(void *ctx)
{
	struct seen *x = calloc(1, sizeof(*x));
	struct conntrack *c = NULL;
	const int size = 4096;
	struct sockaddr_in a;

	(void)ctx;
	if (!rig_netns())
		exit(RIG_SKIP);
	run("nft 'add table ip t; add chain ip t o { type nat hook output priority -100; };"
	    "add rule ip t o udp dport 53 dnat to 127.0.0.1:5300'");
	CHECK(x && conntrack_new(on_event, x, &c) == 0, "conntrack_new");
	CHECK(setsockopt(conntrack_fd(c), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0,
	      "rcvbuf");
	(void)close(tcp4("127.0.0.1", 53, &a));
	for (int i = 0; i < 300; i++) {
		const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		(void)sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
		(void)close(fd);
	}
	while (conntrack_read(c, 8) > 0)
		;
	CHECK(conntrack_figures(c).lost > 0 && x->n < 300, "nothing was lost of %u", x->n);
	x->n = 0;
	const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* None that the kernel chose before: its conversation would not be new. */
	const struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(1053)};

	CHECK(bind(fd, (const struct sockaddr *)&own, sizeof(own)) == 0, "bind");
	(void)sendto(fd, "x", 1, 0, (struct sockaddr *)&a, sizeof(a));
	while (conntrack_read(c, 8) > 0)
		;
	CHECK(x->n == 1 && x->e[0].proto == FLOW_UDP && x->e[0].from.port == rig_port(fd) &&
		      x->e[0].backend.port == 5300,
	      "%u", x->n);
	(void)close(fd);
	conntrack_free(&c);
	free(x);
}

static void test_overrun(void **state)
{
	(void)state;
	if (system("command -v nft >/dev/null") != 0) {
		print_message("skipped: no nft (cannot run here)\n");
		skip();
	}
	RIG_NEED(rig_child(overrun, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_translated),
		cmocka_unit_test(test_overrun),
	};

	return cmocka_run_group_tests_name("flow/conntrack", tests, NULL, NULL);
}
