/*
 * The reference reducer on flows: what it refuses or complains about, one message
 * each, how it finds the pod, and which ends belong together.
 */
#include "reducer/ingest.h"
#include "reducer/report_flows.h"
#include "reducer/traffic.h"

#include "base/buf.h"
#include "base/mem.h"
#include "proto/batch.h"
#include "reducer/cgroup_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct agent {
	struct ingest *in;
	struct wire_batch batch;
	struct buf out;
	unsigned errors;
	bool fatal;
	char error[256];
	nsec_t now;
};

static void on_effect(void *arg, const struct ingest_effect *e)
{
	struct agent *a = arg;

	if (e->type != INGEST_ERROR)
		return;
	a->errors++;
	a->fatal |= e->fatal;
	(void)snprintf(a->error, sizeof(a->error), "%s", e->error);
}

static void flush(struct agent *a)
{
	assert_int_equal(wire_batch_flush(&a->batch, &a->out), 0);
	assert_int_equal(ingest_push(a->in, buf_str(&a->out), a->now), 0);
	buf_reset(&a->out);
}

#define SAY(a, name, ...)                                                           \
	assert_int_equal(wire_batch_put_##name(&(a)->batch, &(a)->out, 1,           \
					       &(struct wire_##name){__VA_ARGS__}), \
			 0)

static void agent_init(struct agent *a, struct reducer_table *t, uint32_t number)
{
	*a = (struct agent){.now = NSEC_PER_SEC};
	assert_int_equal(ingest_new(
				 &(struct ingest_opts){
					 .table = t, .number = number, .hook = on_effect, .arg = a},
				 a->now, &a->in),
			 0);
	assert_int_equal(wire_batch_init(&a->batch), 0);
	buf_init(&a->out, 8U << 20);
	assert_int_equal(
		wire_put_version_info(&a->out, 1, &(struct wire_version_info){.minor = 11}), 0);
	SAY(a, connect, 1, STR("node-a"));
	flush(a);
}

static void agent_done(struct agent *a)
{
	ingest_free(&a->in);
	wire_batch_done(&a->batch);
	buf_done(&a->out);
}

static struct reducer_table *table(void)
{
	struct reducer_table *t = NULL;

	assert_int_equal(reducer_table_new(&(struct reducer_table_opts){0}, &t), 0);
	return t;
}

/* The next message alone brings this complaint (NULL: none), and the connection goes on. */
static void expect(struct agent *a, const char *error)
{
	const unsigned before = a->errors;

	flush(a);
	assert_false(a->fatal);
	if (!error && a->errors != before)
		fail_msg("complaint: %s", a->error);
	if (!error)
		return;
	assert_int_equal(a->errors, before + 1);
	assert_non_null(strstr(a->error, error));
}

static uint32_t v4(uint8_t last)
{
	const uint8_t b[4] = {10, 0, 0, last};
	uint32_t v;

	memcpy(&v, b, 4);
	return v;
}

/* A process in a container (or not) with one connected socket. */
static void cgroup(struct agent *a, uint64_t id, uint64_t parent, const char *name)
{
	SAY(a, cgroup_create, .cgroup = id, .cgroup_parent = parent, .name = str_of(name));
}

static void process(struct agent *a, uint32_t pid, uint64_t cgroup_id, const char *comm)
{
	SAY(a, pid_info_create, .pid = pid, .cgroup = cgroup_id, .parent_pid = -1,
	    .comm = str_of(comm));
}

static void sock(struct agent *a, uint64_t sk, uint32_t pid, uint8_t from, uint16_t sport,
		 uint8_t to, uint16_t dport, uint32_t tx_rx)
{
	SAY(a, new_sock_info, .pid = pid, .sk = sk);
	SAY(a, set_state_ipv4, .sk = sk, .src = v4(from), .sport = sport, .dest = v4(to),
	    .dport = dport, .tx_rx = tx_rx);
}

static void pod(struct agent *a, const char *uid, const char *owner, const char *container)
{
	SAY(a, pod_new_with_name, .uid = str_of(uid), .owner_name = str_of(owner),
	    .pod_name = STR("p"), .owner_kind = 1, .ns = STR("shop"));
	if (container)
		SAY(a, pod_container, str_of(uid), str_of(container), STR("main"), STR("i:1"));
}

static struct traffic_row row(struct reducer_table *t, const char *from, const char *to)
{
	_free_ struct traffic_row *rows = NULL;
	struct traffic_row ret = {0};
	size_t n;

	assert_int_equal(traffic_rows(reducer_table_traffic(t), &rows, &n), 0);
	for (size_t i = 0; i < n; i++)
		if (str_eq(rows[i].from.workload, str_of(from)) &&
		    str_eq(rows[i].to.workload, str_of(to)))
			ret = rows[i];
	return ret;
}

/* ---- complaints ------------------------------------------------------------------------------ */

static void complains(void **state)
{
	struct reducer_table *t = table();
	struct agent a;

	(void)state;
	agent_init(&a, t, 1);
	cgroup(&a, 10, 9, "x");
	expect(&a, "before its parent 9");
	cgroup(&a, 11, 0, "y");
	expect(&a, NULL);
	cgroup(&a, 11, 0, "y");
	expect(&a, "there already");
	SAY(&a, k8s_metadata, .cgroup = 12);
	expect(&a, "k8s_metadata of cgroup 12, which is not there");
	SAY(&a, container_metadata, .cgroup = 12);
	expect(&a, "container_metadata of cgroup 12");
	SAY(&a, cgroup_close, .cgroup = 12);
	expect(&a, "cgroup_close of 12");
	process(&a, 5, 12, "prog");
	expect(&a, "process 5 before its cgroup 12");
	process(&a, 6, 11, "prog");
	expect(&a, NULL);
	process(&a, 6, 11, "prog");
	expect(&a, "there already");
	SAY(&a, pid_cgroup_move, .pid = 6, .cgroup = 12);
	expect(&a, "the cgroup is not there");
	SAY(&a, pid_cgroup_move, .pid = 7, .cgroup = 11);
	expect(&a, "the process is not there");
	SAY(&a, pid_set_comm, .pid = 7, .comm = STR("x"));
	expect(&a, "pid_set_comm of process 7");
	SAY(&a, pid_close_info, .pid = 7);
	expect(&a, "pid_close_info of process 7");
	SAY(&a, new_sock_info, .pid = 7, .sk = 1);
	expect(&a, "of process 7, which is not there");
	SAY(&a, new_sock_info, .pid = 6, .sk = 1);
	expect(&a, "there already");
	SAY(&a, socket_stats, .sk = 1, .diff_bytes = 1);
	expect(&a, "socket_stats of socket 1 before its addresses");
	SAY(&a, nat_remapping, .sk = 1);
	expect(&a, "before its addresses");
	SAY(&a, set_state_ipv4, .sk = 1, .src = v4(1), .sport = 2, .dest = v4(3), .dport = 4,
	    .tx_rx = 1);
	expect(&a, NULL);
	SAY(&a, set_state_ipv4, .sk = 1, .src = v4(1), .sport = 2, .dest = v4(3), .dport = 5,
	    .tx_rx = 1);
	expect(&a, "with other addresses");
	SAY(&a, nat_remapping, .sk = 1, .src = v4(1), .sport = 2, .dst = v4(9), .dport = 0x5000);
	expect(&a, "source port 512 is not its 2"); /* not in network order */
	SAY(&a, socket_stats, .sk = 1, .is_rx = 2);
	expect(&a, "is_rx 2");
	SAY(&a, socket_stats, .sk = 1, .diff_delivered = (1U << 28) + 1);
	expect(&a, "over the reducer's bounds");
	SAY(&a, close_sock_info, .sk = 1);
	expect(&a, NULL);
	SAY(&a, socket_stats, .sk = 1);
	expect(&a, "socket_stats of socket 1, which is not there");
	SAY(&a, tcp_reset, .sk = 1);
	expect(&a, "tcp_reset of socket 1");
	SAY(&a, close_sock_info, .sk = 1);
	expect(&a, "close_sock_info of socket 1");
	agent_done(&a);
	reducer_table_free(&t);
}

static void complains_of_udp(void **state)
{
	static const char six[16] = {[10] = (char)0xff, (char)0xff, 10, 0, 0, 1};
	struct reducer_table *t = table();
	struct agent a;

	(void)state;
	agent_init(&a, t, 1);
	process(&a, 6, 0, "prog");
	SAY(&a, udp_new_socket, .pid = 6, .sk_id = 3, .laddr = str_make(six, 16), .lport = 7000);
	expect(&a, NULL);
	SAY(&a, udp_new_socket, .pid = 6, .sk_id = 3, .laddr = str_make(six, 16), .lport = 7000);
	expect(&a, "there already");
	SAY(&a, udp_new_socket, .pid = 6, .sk_id = 4, .laddr = str_make(six, 16));
	expect(&a, "without a port");
	SAY(&a, udp_stats_addr_unchanged, .sk_id = 3, .packets = 1);
	expect(&a, "before its address");
	SAY(&a, udp_stats_addr_changed_v4, .sk_id = 3, .is_rx = 2);
	expect(&a, "is_rx 2");
	SAY(&a, udp_stats_drops_changed, .sk_id = 3, .drops = 1);
	expect(&a, "before its address");
	SAY(&a, udp_stats_addr_changed_v4, .sk_id = 3, .raddr = v4(9), .rport = 53, .packets = 1,
	    .bytes = 30);
	expect(&a, NULL);
	SAY(&a, dns_response, .sk_id = 3, .domain_name = STR("a.b"), .total_dn_len = 3,
	    .ipv4_addrs = STR("12345"));
	expect(&a, "part of an address");
	SAY(&a, dns_response, .sk_id = 3, .domain_name = STR("a.b"), .total_dn_len = 2);
	expect(&a, "length of 2");
	SAY(&a, dns_timeout, .sk_id = 9);
	expect(&a, "dns_timeout of UDP socket 9");
	SAY(&a, udp_destroy_socket, .sk_id = 3);
	expect(&a, NULL);
	SAY(&a, udp_destroy_socket, .sk_id = 3);
	expect(&a, "udp_destroy_socket of UDP socket 3");
	assert_int_equal(row(t, "prog", "DNS").bytes, 30);
	assert_int_equal(row(t, "prog", "DNS").dns_responses, 2);
	agent_done(&a);
	reducer_table_free(&t);
}

static void watches_the_order(void **state)
{
	struct reducer_table *t = table();
	struct agent a;

	(void)state;
	agent_init(&a, t, 1);
	SAY(&a, set_node_info, .instance_id = STR("i"));
	SAY(&a, set_config_label, STR("zone"), STR("z"));
	expect(&a, "after set_node_info");
	SAY(&a, metadata_complete, 0);
	cgroup(&a, 1, 0, "x");
	expect(&a, "before bpf_compiled");
	SAY(&a, socket_steady_state, 0);
	expect(&a, "socket_steady_state too early");
	SAY(&a, process_steady_state, 0);
	expect(&a, NULL);
	SAY(&a, process_steady_state, 0);
	expect(&a, "second process_steady_state");
	agent_done(&a);
	reducer_table_free(&t);
}

/* ---- names ----------------------------------------------------------------------------------- */

static void reads_cgroup_names(void **state)
{
	static const struct {
		const char *name, *uid, *container, *service;
	} v[] = {
		{"kubepods-burstable-pod11111111_2222_3333_4444_555555555555.slice",
		 "11111111_2222_3333_4444_555555555555", "", ""},
		{"kubepods-pod11111111_2222_3333_4444_555555555555.slice:cri-containerd:" ID,
		 "11111111_2222_3333_4444_555555555555", ID, ""},
		{"pod11111111-2222-3333-4444-555555555555", "11111111-2222-3333-4444-555555555555",
		 "", ""},
		{"pod0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef", "", ""},
		{ID, "", ID, ""},
		{"cri-containerd-" ID ".scope", "", ID, ""},
		{"crio-" ID ".scope", "", "", ""},   /* not understood */
		{"docker-" ID ".scope", "", "", ""}, /* the same */
		{"sshd.service", "", "", "sshd"},
		{"kubepods.slice", "", "", ""},
		{"podx", "", "", ""},
		{"", "", "", ""},
	};
	struct cgroup_text got;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		cgroup_text_parse(str_of(v[i].name), &got);
		assert_true(str_eq(got.uid, str_of(v[i].uid)));
		assert_true(str_eq(got.container, str_of(v[i].container)));
		assert_true(str_eq(got.service, str_of(v[i].service)));
	}
}

/* In the order of 5.4: the parent's uid, the container, container_metadata, the service, comm. */
static void finds_the_workload(void **state)
{
	static const char uid[] = "11111111-2222-3333-4444-555555555555";
	struct reducer_table *t = table();
	struct agent a;

	(void)state;
	agent_init(&a, t, 1);
	pod(&a, uid, "by-uid", NULL);
	pod(&a, "other", "by-container", "containerd://" ID);
	cgroup(&a, 1, 0, "pod11111111-2222-3333-4444-555555555555");
	cgroup(&a, 2, 1, ID);
	cgroup(&a, 3, 0, "cri-x-" ID ".scope");
	cgroup(&a, 4, 0,
	       "f" /* a container nobody knows */
	       "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
	SAY(&a, container_metadata, .cgroup = 4, .name = STR("/named"), .ns = STR("shop"));
	cgroup(&a, 5, 0, "sshd.service");
	for (uint32_t i = 2; i <= 6; i++) {
		process(&a, i, i == 6 ? 0 : i, "prog");
		sock(&a, i, i, (uint8_t)i, 1000, 99, 80, 1);
	}
	expect(&a, NULL);
	assert_int_equal(row(t, "by-uid", "(unknown)").from.type, TRAFFIC_K8S);
	assert_int_equal(row(t, "by-container", "(unknown)").from.type, TRAFFIC_K8S);
	assert_int_equal(row(t, "named", "(unknown)").from.type, TRAFFIC_CONTAINER);
	assert_int_equal(row(t, "sshd", "(unknown)").from.type, TRAFFIC_PROCESS);
	assert_int_equal(row(t, "prog", "(unknown)").from.type, TRAFFIC_PROCESS);
	/* The pod comes later: with the next message it is found. */
	cgroup(&a, 7, 0, "podaaaaaaaa-2222-3333-4444-555555555555");
	cgroup(&a, 8, 7, "x");
	process(&a, 8, 8, "late");
	sock(&a, 8, 8, 8, 1000, 99, 80, 1);
	pod(&a, "aaaaaaaa-2222-3333-4444-555555555555", "comes", NULL);
	expect(&a, NULL);
	assert_int_equal(row(t, "late", "(unknown)").connections, 1);
	SAY(&a, socket_stats, .sk = 8, .diff_bytes = 4);
	expect(&a, NULL);
	assert_int_equal(row(t, "comes", "(unknown)").bytes, 4);
	agent_done(&a);
	reducer_table_free(&t);
}

/* ---- two ends -------------------------------------------------------------------------------- */

static void begin(struct agent *a, uint32_t pid, const char *comm)
{
	process(a, pid, 0, comm);
}

/* Two agents, in any order of opening and closing; bytes are the sender's. */
static void matches_two_agents(void **state)
{
	struct reducer_table *t = table();
	struct traffic_row r;
	struct agent a, b;

	(void)state;
	agent_init(&a, t, 1);
	agent_init(&b, t, 2);
	begin(&a, 1, "client");
	begin(&b, 1, "server");
	for (uint16_t i = 0; i < 4; i++) {
		struct agent *first = i & 1 ? &a : &b, *last = i & 1 ? &b : &a;

		for (int k = 0; k < 2; k++) {
			struct agent *x = k ? last : first;

			if (x == &a)
				sock(x, i, 1, 1, (uint16_t)(1000 + i), 2, 80, 1);
			else
				sock(x, i, 1, 2, 80, 1, (uint16_t)(1000 + i), 2);
			SAY(x, socket_stats, .sk = i, .diff_bytes = x == &a ? 10 : 100);
			SAY(x, socket_stats, .sk = i, .is_rx = 1, .diff_bytes = x == &a ? 99 : 9);
			if (i & 2) /* one is over before the other is told of */
				SAY(x, close_sock_info, .sk = i);
			expect(x, NULL);
		}
	}
	r = row(t, "client", "server");
	assert_int_equal(r.connections, 4);
	assert_int_equal(r.open, 2);
	assert_int_equal(r.bytes, 40);
	assert_int_equal(r.bytes_back, 400);
	/* Their agents go and come back within the time: the same connections. */
	agent_done(&b);
	agent_init(&b, t, 3);
	begin(&b, 1, "server");
	sock(&b, 77, 1, 2, 80, 1, 1000, 2);
	expect(&b, NULL);
	r = row(t, "client", "server");
	assert_int_equal(r.connections, 4);
	assert_int_equal(r.bytes_back, 400);
	/* After it, what has ended is in the sums alone. */
	agent_done(&a);
	agent_done(&b);
	traffic_tick(reducer_table_traffic(t), 100 * NSEC_PER_SEC);
	r = row(t, "client", "server");
	assert_int_equal(r.connections, 4);
	assert_int_equal(r.open, 0);
	assert_int_equal(r.bytes, 40);
	reducer_table_free(&t);
}

static void names_addresses(void **state)
{
	struct reducer_table *t = table();
	struct agent a;
	struct buf out;

	(void)state;
	agent_init(&a, t, 1);
	begin(&a, 1, "prog");
	SAY(&a, udp_new_socket, .pid = 1, .sk_id = 1,
	    .laddr = str_make((const char[16]){[10] = (char)0xff, (char)0xff, 10, 0, 0, 1}, 16),
	    .lport = 5000);
	SAY(&a, udp_stats_addr_changed_v4, .sk_id = 1, .raddr = v4(9), .rport = 53);
	SAY(&a, dns_response, .sk_id = 1, .domain_name = STR("api.example.com"), .total_dn_len = 15,
	    .ipv4_addrs = STR("\x5d\xb8\xd8\x22"), .latency_ns = 3000000);
	SAY(&a, new_sock_info, .pid = 1, .sk = 1);
	SAY(&a, set_state_ipv4, .sk = 1, .src = v4(1), .sport = 7, .dest = 0x22d8b85d, .dport = 443,
	    .tx_rx = 1);
	SAY(&a, socket_stats, .sk = 1, .diff_bytes = 2048, .max_srtt = 16000);
	expect(&a, NULL);
	assert_int_equal(row(t, "prog", "api.example.com").to.type, TRAFFIC_DNS);
	buf_init(&out, 65536);
	assert_int_equal(report_traffic(reducer_table_traffic(t), 0, &out), 0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal(buf_str(&out).p,
			    "FROM  TO               PROTO  CONNS  BYTES  BACK  RETRANS    RTT\n"
			    "prog  api.example.com  tcp        1  2.0Ki     0        0  2.0ms\n"
			    "prog  DNS              udp        1      0     0        0      -\n");
	buf_reset(&out);
	assert_int_equal(
		report_flow(&(struct traffic_row){.from = {TRAFFIC_K8S, STR("shop"), STR("web")},
						  .to = {TRAFFIC_IP, {0}, STR("(internet)")},
						  .connections = 2,
						  .bytes = 5,
						  .rtt_sum = 30,
						  .rtt_n = 3},
			    &out),
		0);
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal(
		buf_str(&out).p,
		"{\"event\":\"flow\",\"proto\":\"tcp\",\"source\":{\"type\":\"K8S_CONTAINER\","
		"\"ns\":\"shop\",\"workload\":\"web\"},\"dest\":{\"type\":\"IP\",\"ns\":\"\","
		"\"workload\":\"(internet)\"},\"connections\":2,\"open\":0,\"bytes\":5,"
		"\"packets\":0,\"bytes_back\":0,\"packets_back\":0,\"retrans\":0,\"resets\":0,"
		"\"syn_timeouts\":0,\"rtt_avg_us\":10}\n");
	buf_done(&out);
	agent_done(&a);
	reducer_table_free(&t);
}

/* Spans that are referred to outlive their end; the connection's end takes all. */
static void counts_references(void **state)
{
	struct reducer_table *t = table();
	struct traffic_stats st;
	struct agent a;

	(void)state;
	agent_init(&a, t, 1);
	pod(&a, "other", "web", "containerd://" ID);
	cgroup(&a, 1, 0, "x");
	cgroup(&a, 2, 1, ID);
	process(&a, 9, 2, "prog");
	SAY(&a, new_sock_info, .pid = 9, .sk = 1);
	SAY(&a, cgroup_close, .cgroup = 1);
	SAY(&a, cgroup_close, .cgroup = 2);
	SAY(&a, pid_close_info, .pid = 9);
	cgroup(&a, 2, 0, "another"); /* its id comes again */
	process(&a, 9, 2, "prog2");
	SAY(&a, set_state_ipv4, .sk = 1, .src = v4(1), .sport = 7, .dest = v4(2), .dport = 443,
	    .tx_rx = 1);
	expect(&a, NULL);
	assert_int_equal(row(t, "web", "(unknown)").connections, 1);
	agent_done(&a);
	traffic_tick(reducer_table_traffic(t), 100 * NSEC_PER_SEC);
	traffic_stats(reducer_table_traffic(t), &st);
	assert_int_equal(st.links, 0);
	assert_int_equal(st.lingering, 0);
	assert_int_equal(st.edges, 1);
	reducer_table_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complains),	      cmocka_unit_test(complains_of_udp),
		cmocka_unit_test(watches_the_order),  cmocka_unit_test(reads_cgroup_names),
		cmocka_unit_test(finds_the_workload), cmocka_unit_test(matches_two_agents),
		cmocka_unit_test(names_addresses),    cmocka_unit_test(counts_references),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
