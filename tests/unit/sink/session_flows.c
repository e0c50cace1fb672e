/*
 * What the reducer is told of flows: the kernel's records in, the reference reducer's
 * table out, compared with what the programs of the test did.
 */
#include "tests/lib/torture.h"
#include "tests/unit/sink/flow_rig.h"

#include <string.h>

static struct session_flow_counters count(const struct rig *g)
{
	struct session_counters c;

	session_counters(g->s, &c);
	return c.flows;
}

/* Two pods, told of; nothing connected. */
static void two_pods(struct rig *g)
{
	rig_init(g, (struct rig_opts){0});
	assert_int_equal(rig_tree_try(g), 0);
	rig_pod(g, 1, "web");
	rig_pod(g, 2, "db");
}

/* ---- the beginning --------------------------------------------------------------------------- */

static void begins_in_order(void **state)
{
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	assert_int_equal(rig_open(&g, &x), 0);
	assert_int_equal(rig_name_all(&g), 0);
	g.listen = true;
	rig_connect(&g);
	rig_rest(&g);
	assert_true(str_starts(
		buf_str(&g.names),
		STR("version_info\nconnect\nos_info\nreport_cpu_cores\nkernel_headers_source\n"
		    "set_config_label\ncloud_platform\nset_node_info\nprivate_ipv4_addr\n"
		    "metadata_complete\npod_resync\n"
		    "pod_new_with_name\npod_container\npod_new_with_name\npod_container\n"
		    "bpf_compiled\nsystem_wide_process_settings\n"
		    /* sshd with what is above it */
		    "cgroup_create\ncgroup_create\ncgroup_create\n"
		    /* kubepods, pod, container; pod, container */
		    "cgroup_create\ncgroup_create\ncgroup_create\n"
		    "k8s_metadata\ncontainer_metadata\n"
		    "cgroup_create\ncgroup_create\nk8s_metadata\ncontainer_metadata\n"
		    "pid_info_create\nprocess_steady_state\n"
		    "new_sock_info\nset_state_ipv4\nsocket_steady_state\nbegin_telemetry\n"
		    "collector_health\n")));
	rig_done(&g);
}

/* ---- TCP ------------------------------------------------------------------------------------- */

static void joins_both_ends(void **state)
{
	struct traffic_row row;
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_rest(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	assert_int_equal(rig_open(&g, &x), 0);
	assert_int_equal(rig_open(&g, &y), 0);
	rig_rest(&g);
	row = rig_row(&g, "shop/web", "shop/db", false);
	assert_int_equal(row.connections, 1);
	assert_int_equal(row.open, 1);
	rig_wait(&g, SEC);
	x.sent = y.received = 1000;
	x.received = y.sent = 70000;
	x.segs_out = y.segs_in = 10;
	y.retrans = 3;
	x.srtt_us = 400;
	rig_refresh(&g, &x);
	rig_refresh(&g, &y);
	rig_rest(&g);
	row = rig_row(&g, "shop/web", "shop/db", false);
	assert_int_equal(row.bytes, 1000);
	assert_int_equal(row.bytes_back, 70000);
	assert_int_equal(row.retrans, 3);
	assert_int_equal(row.rtt_sum / row.rtt_n, 400);
	rig_wait(&g, SEC);
	x.sent = y.received = 1500;
	assert_int_equal(rig_close(&g, &x), 0);
	y.err = 104; /* ECONNRESET */
	y.flags |= ABI_SOCK_RST_RECEIVED;
	assert_int_equal(rig_close(&g, &y), 0);
	rig_rest(&g);
	row = rig_row(&g, "shop/web", "shop/db", false);
	assert_int_equal(row.bytes, 1500);
	assert_int_equal(row.connections, 1);
	assert_int_equal(row.open, 0);
	assert_int_equal(row.resets, 1);
	assert_int_equal(count(&g).socks, 2);
	assert_int_equal(count(&g).sock_closes, 2);
	rig_done(&g);
}

/* A connection that never came up counts all the same. */
static void counts_failures(void **state)
{
	struct rig_conn x, y;
	struct traffic_row row;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_rest(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	x.start = g.now;
	x.retrans = 6;
	x.err = ETIMEDOUT;
	assert_int_equal(rig_close(&g, &x), 0);
	rig_pair(&g, 1, 2, 40001, &x, &y);
	x.start = g.now;
	x.err = ECONNREFUSED;
	assert_int_equal(rig_close(&g, &x), 0);
	rig_wait(&g, 40 * SEC);
	rig_rest(&g);
	row = rig_row(&g, "shop/web", "(unknown)", false); /* nobody took it */
	assert_int_equal(row.connections, 2);
	assert_int_equal(row.syn_timeouts, 1);
	assert_int_equal(row.resets, 1);
	assert_int_equal(row.retrans, 6);
	assert_int_equal(count(&g).syn_timeouts, 1);
	assert_int_equal(count(&g).resets, 1);
	rig_done(&g);
}

/* Deltas over a field's size take several messages, and none is over the reducer's bounds. */
static void splits_large_counts(void **state)
{
	struct rig_conn x, y;
	struct traffic_row row;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	x.sent = 1ULL << 57;
	x.segs_out = 4000000000U;
	x.retrans = 1U << 29;
	assert_int_equal(rig_open(&g, &x), 0);
	rig_rest(&g);
	row = rig_row(&g, "shop/web", "(unknown)", false);
	assert_int_equal(row.bytes, 1ULL << 57);
	assert_int_equal(row.packets, 4000000000U);
	assert_int_equal(row.retrans, 1U << 29);
	rig_done(&g);
}

static void leaves_out_what_stays_here(void **state)
{
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	assert_int_equal(addr_parse(STR("127.0.0.1"), &x.laddr), 0);
	assert_int_equal(addr_parse(STR("127.0.0.2"), &x.raddr), 0);
	assert_int_equal(rig_open(&g, &x), 0);
	assert_int_equal(rig_close(&g, &x), 0);
	rig_pair(&g, 1, 1, 40001, &x, &y); /* itself */
	assert_int_equal(rig_open(&g, &x), 0);
	/* The host's own address is told: it is known to the reducer. */
	rig_pair(&g, 1, 1, 40002, &x, &y);
	assert_int_equal(addr_parse(STR("10.9.9.9"), &x.laddr), 0);
	x.raddr = x.laddr;
	x.cgroup = RIG_SSHD;
	assert_int_equal(rig_open(&g, &x), 0);
	rig_rest(&g);
	rig_wait(&g, 5 * SEC);
	rig_rest(&g);
	assert_int_equal(count(&g).local, 2);
	assert_int_equal(count(&g).socks, 1);
	rig_done(&g);
}

static void tells_translations(void **state)
{
	struct addr asked = rig_ip(0x7701);
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	x.asked = asked;
	x.asked_port = 8080;
	x.sent = y.received = 11;
	assert_int_equal(rig_open(&g, &x), 0);
	assert_int_equal(rig_open(&g, &y), 0);
	rig_rest(&g);
	assert_int_equal(count(&g).nats, 1);
	assert_int_equal(rig_row(&g, "shop/web", "shop/db", false).bytes, 11);
	/* Learnt late, by conntrack. */
	rig_pair(&g, 1, 2, 40001, &x, &y);
	x.raddr = asked;
	x.rport = 8080;
	x.sent = y.received = 22;
	assert_int_equal(rig_open(&g, &x), 0);
	assert_int_equal(rig_open(&g, &y), 0);
	rig_wait(&g, 5 * SEC); /* not before the address was given up */
	rig_rest(&g);
	assert_int_equal(count(&g).nats, 1);
	flows_nat(g.flows, g.now, FLOW_TCP, &(struct flows_endpoint){.ip = x.laddr, .port = 40001},
		  &(struct flows_endpoint){.ip = asked, .port = 8080},
		  &(struct flows_endpoint){.ip = rig_ip(2), .port = 80}, false);
	rig_rest(&g);
	assert_int_equal(count(&g).nats, 2);
	assert_int_equal(rig_row(&g, "shop/web", "shop/db", false).bytes, 33);
	/* The reducer has no word for those of IPv6: what was told already stays. */
	rig_pair(&g, 1, 2, 40002, &x, &y);
	assert_int_equal(addr_parse(STR("2001:db8::1"), &x.laddr), 0);
	assert_int_equal(addr_parse(STR("2001:db8::2"), &x.raddr), 0);
	assert_int_equal(addr_parse(STR("2001:db8::3"), &asked), 0);
	y = x;
	y.raddr = asked;
	assert_int_equal(rig_open(&g, &y), 0);
	rig_wait(&g, 5 * SEC);
	rig_rest(&g);
	flows_nat(g.flows, g.now, FLOW_TCP,
		  &(struct flows_endpoint){.ip = y.laddr, .port = y.lport},
		  &(struct flows_endpoint){.ip = asked, .port = y.rport},
		  &(struct flows_endpoint){.ip = x.raddr, .port = x.rport}, false);
	rig_rest(&g);
	assert_int_equal(rig_close(&g, &y), 0);
	rig_rest(&g);
	assert_int_equal(count(&g).nats, 2);
	assert_int_equal(count(&g).nat_v6, 1);
	rig_done(&g);
}

/* ---- processes and cgroups ------------------------------------------------------------------- */

/* Accepted sockets of which the listener is not known share one stand-in a cgroup; a service of the
 * host goes by its unit. */
static void stands_in_for_listeners(void **state)
{
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	for (uint16_t i = 0; i < 5; i++) {
		rig_pair(&g, 1, 2, (uint16_t)(40000 + i), &x, &y);
		x.cgroup = RIG_SSHD;
		x.laddr = rig_ip(0x9909);
		x.pid = 0;
		y.raddr = x.laddr;
		y.pid = 0;
		y.flags = ABI_SOCK_STAND_IN;
		x.sent = y.received = 10;
		assert_int_equal(rig_open(&g, &x), 0);
		assert_int_equal(rig_open(&g, &y), 0);
	}
	rig_rest(&g);
	assert_int_equal(count(&g).stand_ins, 2);
	assert_int_equal(count(&g).procs, 2);
	assert_int_equal(rig_row(&g, "sshd", "shop/db", false).bytes, 50);
	rig_done(&g);
}

/* A socket belongs to its own cgroup, whoever holds it now. */
static void goes_by_the_sockets_cgroup(void **state)
{
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	assert_int_equal(rig_open(&g, &x), 0);
	rig_pair(&g, 2, 1, 40001, &x, &y);
	x.pid = 10001; /* of pod 1 */
	x.raddr = rig_ip(0x8888);
	x.sent = 6;
	assert_int_equal(rig_open(&g, &x), 0);
	rig_rest(&g);
	assert_int_equal(rig_row(&g, "shop/db", "(unknown)", false).bytes, 6);
	rig_done(&g);
}

/* A process that moves is told once; what it opens then belongs to where it is. */
static void follows_moves(void **state)
{
	struct abi_proc p = {
		.head = {.type = ABI_PROC_MOVE, .version = ABI_VERSION, .size = sizeof(p)},
		.cgroup = RIG_CONTAINER + 2,
		.pid = 10001,
		.comm = "prog"};
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	assert_int_equal(rig_open(&g, &x), 0);
	rig_rest(&g);
	rig_wait(&g, SEC);
	p.head.time = g.now;
	assert_int_equal(flows_record(g.flows, g.now, str_make(&p, sizeof(p))), 0);
	rig_rest(&g);
	assert_int_equal(count(&g).proc_changes, 1);
	rig_pair(&g, 2, 1, 40001, &x, &y);
	x.pid = 10001;
	x.sent = 5;
	x.raddr = rig_ip(0x8888);
	assert_int_equal(rig_open(&g, &x), 0);
	rig_rest(&g);
	assert_int_equal(rig_row(&g, "shop/db", "(unknown)", false).bytes, 5);
	assert_int_equal(count(&g).procs, 1);
	p.head.type = ABI_PROC_EXIT;
	p.head.time = g.now;
	assert_int_equal(flows_record(g.flows, g.now, str_make(&p, sizeof(p))), 0);
	rig_wait(&g, 60 * SEC);
	rig_rest(&g);
	assert_int_equal(count(&g).proc_closes, 1);
	rig_done(&g);
}

static void exits(struct rig *g, uint32_t pid, uint64_t cgroup)
{
	const struct abi_proc p = {.head = {.type = ABI_PROC_EXIT,
					    .version = ABI_VERSION,
					    .size = sizeof(p),
					    .time = g->now},
				   .cgroup = cgroup,
				   .pid = pid,
				   .comm = "prog"};

	assert_int_equal(flows_record(g->flows, g->now, str_make(&p, sizeof(p))), 0);
}

/* The cgroup below a container's is the container's; a removed one is closed when the tree forgets
 * it, and its id may come again. */
static void knows_containers(void **state)
{
	struct abi_cgroup gone = {
		.head = {.type = ABI_CGROUP_GONE, .version = ABI_VERSION, .size = sizeof(gone)},
		.id = RIG_CONTAINER + 1};
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	assert_int_equal(flows_cgroup(g.flows, g.now, 77, RIG_CONTAINER + 1, STR("init.scope")), 0);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	x.cgroup = 77;
	x.sent = 9;
	assert_int_equal(rig_open(&g, &x), 0);
	assert_int_equal(rig_close(&g, &x), 0);
	rig_wait(&g, 5 * SEC);
	rig_rest(&g);
	assert_int_equal(rig_row(&g, "shop/web", "(unknown)", false).bytes, 9);
	/* root, system, sshd, kubepods, two pods with one container each */
	assert_int_equal(count(&g).cgroups, 8);
	assert_int_equal(count(&g).metadata, 4);
	exits(&g, 10001, 77);
	gone.head.time = g.now;
	gone.id = 77;
	assert_int_equal(flows_record(g.flows, g.now, str_make(&gone, sizeof(gone))), 0);
	gone.id = RIG_CONTAINER + 1;
	assert_int_equal(flows_record(g.flows, g.now, str_make(&gone, sizeof(gone))), 0);
	rig_rest(&g);
	assert_int_equal(count(&g).proc_closes, 1);
	assert_int_equal(count(&g).cgroup_closes, 0);
	for (int i = 0; i < 4; i++) { /* the process lingers, then its cgroup */
		rig_wait(&g, 100 * SEC);
		rig_rest(&g);
	}
	assert_int_equal(count(&g).cgroup_closes, 1);
	rig_pod(&g, 1, "web");
	rig_rest(&g);
	assert_int_equal(count(&g).cgroups, 9);
	rig_done(&g);
}

/* A container that the API server tells of late: its metadata follow, and so does its flow's name.
 */
static void takes_late_pods(void **state)
{
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	rig_init(&g, (struct rig_opts){.flows.pending_timeout = 2 * SEC});
	assert_int_equal(rig_tree_try(&g), 0);
	assert_int_equal(rig_cgroups_try(&g, 1), 0);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	x.sent = 3;
	assert_int_equal(rig_open(&g, &x), 0);
	rig_rest(&g);
	assert_int_equal(count(&g).socks, 0); /* it waits for its pod */
	rig_wait(&g, 3 * SEC);
	rig_rest(&g);
	assert_int_equal(count(&g).socks, 1); /* and was given up */
	assert_int_equal(rig_row(&g, "prog", "(unknown)", false).bytes, 3);
	assert_int_equal(count(&g).metadata, 0);
	assert_int_equal(rig_pod_try(&g, 1, "web"), 0);
	rig_rest(&g);
	assert_int_equal(count(&g).metadata, 2);
	x.sent = 4; /* the reducer looks again with the next message */
	rig_wait(&g, SEC);
	rig_refresh(&g, &x);
	rig_rest(&g);
	assert_int_equal(rig_row(&g, "shop/web", "(unknown)", false).bytes, 4);
	rig_done(&g);
}

/* ---- UDP and DNS ----------------------------------------------------------------------------- */

static void udp(struct rig *g, unsigned pod, const struct addr *from, uint16_t lport,
		const struct addr *to, uint16_t rport, struct abi_udp u)
{
	struct abi_udp_key k = {.cgroup = RIG_CONTAINER + pod, .lport = lport, .rport = rport};

	memcpy(k.laddr, from->b, 16);
	memcpy(k.raddr, to->b, 16);
	u.last = g->now;
	u.dir = ABI_DIR_OUT;
	(void)flows_udp(g->flows, g->now, &k, &u);
}

/* One socket for a server's many clients; every byte with its own remote. */
static void shares_udp_sockets(void **state)
{
	struct addr server = rig_ip(2), one = rig_ip(1), other;
	struct traffic_row row;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	assert_int_equal(addr_parse(STR("2001:db8::1"), &other), 0);
	for (uint64_t i = 1; i <= 4; i++) {
		udp(&g, 2, &server, 5353, &one, 6000,
		    (struct abi_udp){.first = g.now, .received = 100 * i, .received_packets = i});
		udp(&g, 2, &server, 5353, &other, 6001,
		    (struct abi_udp){.first = g.now,
				     .sent = 5000000000ULL * i,
				     .sent_packets = i,
				     .received = 7 * i,
				     .received_packets = i,
				     .dropped = i - 1});
		udp(&g, 1, &one, 6000, &server, 5353,
		    (struct abi_udp){.first = g.now, .sent = 100 * i, .sent_packets = i});
		rig_rest(&g);
		rig_wait(&g, 5 * SEC);
	}
	assert_int_equal(count(&g).udp_socks, 2);
	row = rig_row(&g, "shop/web", "shop/db", true);
	assert_int_equal(row.connections, 1);
	assert_int_equal(row.bytes, 400);
	assert_int_equal(row.packets, 4);
	row = rig_row(&g, "(internet)", "shop/db", true);
	assert_int_equal(row.bytes_back, 20000000000ULL);
	assert_int_equal(row.bytes, 28);
	assert_int_equal(row.drops, 3);
	rig_wait(&g, 100 * SEC);
	udp(&g, 2, &server, 5353, &one, 6000, (struct abi_udp){.received = 400});
	rig_rest(&g);
	rig_done(&g);
}

/* A question for api.example.com, or (`answer`) 93.184.216.34 for it. */
static void dns(struct rig *g, unsigned pod, uint16_t lport, uint16_t id, bool answer)
{
	static const uint8_t name[] = "\3api\7example\3com";
	static const uint8_t a[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 93, 184, 216, 34};
	struct abi_dns d = {.head = {.type = ABI_DNS,
				     .version = ABI_VERSION,
				     .size = sizeof(d),
				     .time = g->now},
			    .key = {.cgroup = RIG_CONTAINER + pod, .lport = lport, .rport = 53},
			    .egress = !answer};
	const struct addr local = rig_ip(pod), remote = rig_ip(0x5353);
	size_t n = 12;

	memcpy(d.key.laddr, local.b, 16);
	memcpy(d.key.raddr, remote.b, 16);
	d.data[0] = (uint8_t)(id >> 8);
	d.data[1] = (uint8_t)id;
	d.data[2] = answer ? 0x81 : 0x01;
	d.data[3] = answer ? 0x80 : 0;
	d.data[5] = 1;
	d.data[7] = answer;
	memcpy(d.data + n, name, sizeof(name)); /* with its final NUL */
	n += sizeof(name);
	d.data[n + 1] = 1; /* A */
	d.data[n + 3] = 1; /* IN */
	n += 4;
	if (answer) {
		memcpy(d.data + n, a, sizeof(a));
		n += sizeof(a);
	}
	d.len = d.captured = (uint16_t)n;
	assert_int_equal(flows_record(g->flows, g->now, str_make(&d, sizeof(d))), 0);
}

static void tells_dns(void **state)
{
	const struct addr local = rig_ip(1), remote = rig_ip(0x5353);
	struct traffic_row row;
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_rest(&g);
	dns(&g, 1, 6000, 1, false);
	rig_wait(&g, 3 * NSEC_PER_MSEC);
	dns(&g, 1, 6000, 1, true);
	udp(&g, 1, &local, 6000, &remote, 53,
	    (struct abi_udp){.first = g.now, .sent = 33, .sent_packets = 1});
	dns(&g, 1, 6000, 2, false); /* no answer */
	rig_rest(&g);
	rig_wait(&g, 6 * SEC);
	rig_rest(&g);
	assert_int_equal(count(&g).dns, 1);
	assert_int_equal(count(&g).dns_timeouts, 1);
	assert_int_equal(count(&g).dns_lost + count(&g).dns_untold, 0);
	row = rig_row(&g, "shop/web", "DNS", true);
	assert_int_equal(row.bytes, 33);
	assert_int_equal(row.dns_responses, 1);
	assert_int_equal(row.dns_timeouts, 1);
	assert_int_equal(row.dns_ns, 3 * NSEC_PER_MSEC);
	/* A connection to an address that was an answer goes by that name. */
	rig_pair(&g, 1, 2, 40000, &x, &y);
	assert_int_equal(addr_parse(STR("93.184.216.34"), &x.raddr), 0);
	assert_int_equal(rig_open(&g, &x), 0);
	rig_rest(&g);
	assert_int_equal(rig_row(&g, "shop/web", "api.example.com", false).connections, 1);
	/* Each once, over connections. */
	rig_connect(&g);
	rig_rest(&g);
	assert_int_equal(count(&g).dns, 1);
	rig_done(&g);
}

/* Its flow waits for its pod: so does the answer. */
static void holds_dns_back(void **state)
{
	const struct addr local = rig_ip(1), remote = rig_ip(0x5353);
	struct rig g;

	(void)state;
	rig_init(&g, (struct rig_opts){0});
	assert_int_equal(rig_tree_try(&g), 0);
	assert_int_equal(rig_cgroups_try(&g, 1), 0);
	rig_connect(&g);
	udp(&g, 1, &local, 6000, &remote, 53,
	    (struct abi_udp){.first = g.now, .sent = 33, .sent_packets = 1});
	dns(&g, 1, 6000, 1, false);
	dns(&g, 1, 6000, 1, true);
	rig_rest(&g);
	assert_int_equal(count(&g).dns, 0);
	assert_int_equal(rig_pod_try(&g, 1, "web"), 0);
	rig_rest(&g);
	assert_int_equal(count(&g).dns, 1);
	assert_int_equal(rig_row(&g, "shop/web", "DNS", true).dns_responses, 1);
	rig_done(&g);
}

/* A static pod's cgroup has the hash of its configuration where the API server has a uid. */
static void knows_static_pods(void **state)
{
	static const char dir[] = "kubepods-pod0123456789abcdef0123456789abcdef.slice";
	char scope[128], cid[65];
	struct rig_conn x, y;
	struct rig g;

	(void)state;
	rig_init(&g, (struct rig_opts){0});
	assert_int_equal(rig_tree_try(&g), 0);
	rig_cid(1, cid);
	(void)snprintf(scope, sizeof(scope), "crio-%s.scope", cid);
	assert_int_equal(flows_cgroup(g.flows, g.now, RIG_POD + 1, RIG_KUBEPODS, str_of(dir)), 0);
	assert_int_equal(
		flows_cgroup(g.flows, g.now, RIG_CONTAINER + 1, RIG_POD + 1, str_of(scope)), 0);
	assert_int_equal(rig_pod_try(&g, 1, "etcd"), 0);
	rig_connect(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	x.sent = 8;
	assert_int_equal(rig_open(&g, &x), 0);
	rig_wait(&g, 2 * SEC);
	rig_rest(&g);
	assert_int_equal(rig_row(&g, "shop/etcd", "(unknown)", false).bytes, 8);
	rig_done(&g);
}

/* ---- connections that come and go ------------------------------------------------------------ */

/* Opens 1,000 connections between ten pods; each has sent its number of bytes. */
static void thousand(struct rig *g, struct rig_conn *v)
{
	for (unsigned i = 0; i < 1000; i += 2) {
		rig_pair(g, 1 + i % 10, 1 + (i + 3) % 10, (uint16_t)(20000 + i), &v[i], &v[i + 1]);
		v[i].sent = v[i + 1].received = i + 1;
		v[i].srtt_us = 80;
		v[i].pid = 20000 + i; /* processes of their own */
		assert_int_equal(rig_open(g, &v[i]), 0);
		assert_int_equal(rig_open(g, &v[i + 1]), 0);
	}
}

static void ten_pods(struct rig *g, struct rig_opts o)
{
	char name[16];

	rig_init(g, o);
	assert_int_equal(rig_tree_try(g), 0);
	for (unsigned i = 1; i <= 10; i++) {
		(void)snprintf(name, sizeof(name), "w%u", i);
		rig_pod(g, i, name);
	}
}

/* What the reducer has of the session's things, without counters. */
static void same_things(const struct rig *g, uint64_t socks)
{
	struct traffic_stats st;

	traffic_stats(reducer_table_traffic(g->table), &st);
	assert_int_equal(st.links, socks / 2);
}

static void reconnects_amid_a_thousand(void **state)
{
	struct rig_conn *v = calloc(1000, sizeof(*v));
	_free_ char *fresh = NULL, *again = NULL, *restarted = NULL;
	struct session_flow_counters c;
	struct rig g;

	(void)state;
	ten_pods(&g, (struct rig_opts){0});
	thousand(&g, v);
	rig_connect(&g);
	rig_rest(&g);
	fresh = rig_table(&g);
	c = count(&g);
	assert_int_equal(c.socks, 1000);
	/* The connection breaks; the reducer does not. */
	rig_connect(&g);
	rig_rest(&g);
	again = rig_table(&g);
	assert_string_equal(fresh, again);
	assert_int_equal(count(&g).socks, 2000);
	assert_int_equal(count(&g).procs, 2 * c.procs);
	assert_int_equal(count(&g).cgroups, 2 * c.cgroups);
	assert_int_equal(count(&g).metadata, 2 * c.metadata);
	assert_int_equal(count(&g).stats, c.stats); /* no byte counts twice */
	/* The reducer is new: it has every socket, and of the counters what comes from now on. */
	rig_cut(&g);
	reducer_table_free(&g.table);
	assert_int_equal(reducer_table_new(&(struct reducer_table_opts){0}, &g.table), 0);
	for (unsigned i = 0; i < 1000; i++)
		v[i].sent += v[i].sent ? i + 1 : 0, v[i].received += v[i].received ? i : 0;
	rig_wait(&g, SEC);
	for (unsigned i = 0; i < 1000; i++)
		rig_refresh(&g, &v[i]);
	rig_connect(&g);
	rig_rest(&g);
	restarted = rig_table(&g);
	same_things(&g, 1000);
	/* Each has sent as much again while nobody listened, so that is the first table once more;
	 * the measurements, too. */
	assert_string_equal(fresh, restarted);
	rig_done(&g);
	free(v);
}

static unsigned states(const char *from, const char *to)
{
	unsigned n = 0;

	for (const char *at = from; (at = strstr(at, "set_state_ipv4\n")) && at < to; at++)
		n++;
	return n;
}

/* The reducer counts as new what it is told of after socket_steady_state: what began while there
 * was no connection is, ended or not; what it was told of before is not. */
static void counts_new_ones_after_an_outage(void **state)
{
	struct rig_conn x, y, ended, peer, fresh;
	const char *steady, *end;
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_pair(&g, 1, 2, 40000, &x, &y);
	assert_int_equal(rig_open(&g, &x), 0);
	assert_int_equal(rig_open(&g, &y), 0);
	rig_connect(&g);
	rig_rest(&g);
	assert_int_equal(count(&g).socks, 2);
	rig_cut(&g);
	rig_wait(&g, SEC);
	rig_pair(&g, 1, 2, 40001, &ended, &peer);
	assert_int_equal(rig_open(&g, &ended), 0);
	assert_int_equal(rig_close(&g, &ended), 0);
	rig_pair(&g, 1, 2, 40002, &fresh, &peer);
	assert_int_equal(rig_open(&g, &fresh), 0);
	assert_int_equal(rig_close(&g, &y), 0);
	assert_int_equal(rig_name_all(&g), 0);
	g.listen = true;
	rig_connect(&g);
	rig_wait(&g, 5 * SEC);
	rig_rest(&g);
	assert_int_equal(buf_append(&g.names, "", 1), 0);
	steady = strstr(g.names.p, "socket_steady_state\n");
	end = g.names.p + g.names.n;
	assert_non_null(steady);
	assert_int_equal(states(g.names.p, steady), 2);
	assert_int_equal(states(steady, end), 2);
	assert_true(strstr(steady, "begin_telemetry\n") < strstr(steady, "set_state_ipv4\n"));
	rig_done(&g);
}

/* Told to: all counters again, as a fresh start of the agent would. */
static void retells_all(void **state)
{
	struct rig_conn *v = calloc(1000, sizeof(*v));
	_free_ char *fresh = NULL, *again = NULL;
	struct rig g;

	(void)state;
	ten_pods(&g, (struct rig_opts){.session.retell_counters = true});
	thousand(&g, v);
	rig_connect(&g);
	rig_rest(&g);
	fresh = rig_table(&g);
	rig_cut(&g);
	reducer_table_free(&g.table);
	assert_int_equal(reducer_table_new(&(struct reducer_table_opts){0}, &g.table), 0);
	rig_connect(&g);
	rig_rest(&g);
	again = rig_table(&g);
	assert_string_equal(fresh, again);
	rig_done(&g);
	free(v);
}

/* A reducer that takes a few bytes at a time, and one that takes none for a while. */
static void waits_for_a_slow_reducer(void **state)
{
	struct rig_conn *v = calloc(1000, sizeof(*v));
	_free_ char *fresh = NULL, *slow = NULL;
	unsigned full = 0;
	struct rig g;
	int r;

	(void)state;
	ten_pods(&g, (struct rig_opts){0});
	thousand(&g, v);
	rig_connect(&g);
	rig_rest(&g);
	fresh = rig_table(&g);
	rig_done(&g);
	ten_pods(&g, (struct rig_opts){.session.out_max = 1});
	thousand(&g, v);
	assert_int_equal(rig_name_all(&g), 0);
	rig_connect(&g);
	do {
		r = session_run(g.s, g.now, g.wall);
		full += r == -EAGAIN;
		assert_int_equal(rig_carry(&g, r == -EAGAIN ? 3000 : 0), 0);
	} while (r);
	assert_true(full > 0);
	rig_rest(&g);
	slow = rig_table(&g);
	assert_string_equal(fresh, slow);
	assert_int_equal(count(&g).socks, 1000);
	rig_done(&g);
	free(v);
}

/* A dead reducer costs nothing but marks; what the table's bound took away is counted, and nothing
 * stays open at the reducer. */
static void counts_what_a_bound_takes(void **state)
{
	struct rig_conn v[200];
	struct traffic_stats st;
	struct rig g;
	size_t bytes = 0;

	(void)state;
	ten_pods(&g, (struct rig_opts){.flows = {.max_flows = 128, .max_ended = 32}});
	for (unsigned i = 0; i < 200; i += 2) {
		rig_pair(&g, 1 + i % 10, 1 + (i + 3) % 10, (uint16_t)(20000 + i), &v[i], &v[i + 1]);
		assert_int_equal(rig_open(&g, &v[i]), 0);
		if (i == 98) { /* those so far are told */
			rig_connect(&g);
			rig_rest(&g);
			bytes = session_bytes(g.s);
		}
	}
	assert_int_equal(rig_name_all(&g), 0);
	for (unsigned i = 0; i < 200; i += 2)
		assert_int_equal(rig_close(&g, &v[i]), 0);
	assert_int_equal(rig_name_all(&g), 0);
	rig_wait(&g, 5 * SEC); /* addresses that nobody has are given up */
	assert_int_equal(rig_name_all(&g), 0);
	rig_rest(&g);
	assert_true(count(&g).dropped > 0);
	assert_int_equal(count(&g).socks, count(&g).sock_closes);
	rig_wait(&g, 60 * SEC);
	rig_rest(&g);
	assert_int_equal(count(&g).lost_samples, count(&g).dropped);
	traffic_stats(reducer_table_traffic(g.table), &st);
	assert_true(session_bytes(g.s) < bytes + 300 * 200);
	rig_done(&g);
}

/* Sockets that were open before the agent: what they did then is no traffic of now. */
static void begins_where_it_begins(void **state)
{
	struct flows_found found = {.lport = 1234, .rport = 80, .netns = 1, .pid = 5};
	struct rig g;

	(void)state;
	two_pods(&g);
	found.laddr = rig_ip(1);
	found.raddr = rig_ip(0x8888);
	found.cgroup = RIG_CONTAINER + 1;
	found.dir = FLOW_OUT;
	found.counters.sent = 1000000;
	assert_int_equal(flows_pre_existing(g.flows, g.now, &found), 0);
	rig_connect(&g);
	rig_wait(&g, 5 * SEC);
	rig_rest(&g);
	assert_int_equal(rig_row(&g, "shop/web", "(unknown)", false).connections, 1);
	assert_int_equal(rig_row(&g, "shop/web", "(unknown)", false).bytes, 0);
	assert_int_equal(count(&g).began_before, 1);
	rig_done(&g);
}

static void tells_of_losses(void **state)
{
	uint64_t counts[_ABI_COUNT_MAX] = {[ABI_COUNT_DROP_DNS] = 5};
	struct rig g;

	(void)state;
	two_pods(&g);
	rig_connect(&g);
	rig_rest(&g);
	flows_kernel_counts(g.flows, counts, _ABI_COUNT_MAX);
	rig_wait(&g, 2 * SEC);
	rig_rest(&g);
	assert_int_equal(count(&g).lost_samples, 5);
	counts[ABI_COUNT_DROP_DNS] = 7;
	flows_kernel_counts(g.flows, counts, _ABI_COUNT_MAX);
	rig_wait(&g, 2 * SEC);
	rig_rest(&g);
	assert_int_equal(count(&g).lost_samples, 7);
	rig_done(&g);
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Everything of the session once; 0 or -ENOMEM. Nothing is lost when it is tried again. */
static int all_of_it(void *ctx)
{
	struct rig_conn x, y;
	struct rig g;
	int r, left = 100;

	(void)ctx;
	r = rig_try(&g, &(struct rig_opts){0});
	if (r == 0)
		r = rig_tree_try(&g);
	for (unsigned i = 1; r == 0 && i <= 2; i++) {
		r = rig_cgroups_try(&g, i);
		if (r == 0)
			r = rig_pod_try(&g, i, i == 1 ? "web" : "db");
	}
	if (r == 0) {
		rig_pair(&g, 1, 2, 40000, &x, &y);
		x.sent = y.received = 7;
		r = rig_open(&g, &x);
	}
	if (r == 0)
		r = rig_open(&g, &y);
	if (r == 0)
		r = rig_name_all(&g);
	if (r == 0)
		r = rig_connect_try(&g);
	while (r == 0 && left--) {
		r = session_run(g.s, g.now, g.wall);
		if (r < 0)
			break;
		if (r == 0)
			left = 0;
		r = rig_carry(&g, SIZE_MAX);
	}
	if (r == 0)
		assert_int_equal(g.complaints, 0);
	rig_done(&g);
	return r;
}

static void survives_no_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(all_of_it, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(begins_in_order),
		cmocka_unit_test(joins_both_ends),
		cmocka_unit_test(counts_failures),
		cmocka_unit_test(splits_large_counts),
		cmocka_unit_test(leaves_out_what_stays_here),
		cmocka_unit_test(tells_translations),
		cmocka_unit_test(stands_in_for_listeners),
		cmocka_unit_test(goes_by_the_sockets_cgroup),
		cmocka_unit_test(follows_moves),
		cmocka_unit_test(knows_containers),
		cmocka_unit_test(takes_late_pods),
		cmocka_unit_test(shares_udp_sockets),
		cmocka_unit_test(tells_dns),
		cmocka_unit_test(holds_dns_back),
		cmocka_unit_test(knows_static_pods),
		cmocka_unit_test(reconnects_amid_a_thousand),
		cmocka_unit_test(counts_new_ones_after_an_outage),
		cmocka_unit_test(retells_all),
		cmocka_unit_test(waits_for_a_slow_reducer),
		cmocka_unit_test(counts_what_a_bound_takes),
		cmocka_unit_test(begins_where_it_begins),
		cmocka_unit_test(tells_of_losses),
		cmocka_unit_test(survives_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
