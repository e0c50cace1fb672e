/*
 * What the agent does with a connection, without the kernel: records in, ends named,
 * series counted, the ended flow kept for questions. Single thread, both ends on this node,
 * nanoseconds of the best round.
 *
 *   pods    between the containers of some pods: each end by its cgroup
 *   host    between services of the host, on loopback
 *   batch   connections that are drained at once
 */
#include "tests/bench/bench.h"

#include "base/mem.h"
#include "core/attribute.h"
#include "flow_abi.h"
#include "serve/history.h"
#include "sink/metrics/metrics.h"
#include "tests/lib/objects.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PODS	   110U /* what a node has at most */
#define WORKLOADS  12U
#define CONNECTS   40000U
#define ROUNDS	   5
#define CGROUP_POD 1000ULL /* ids of directories */

struct drain {
	struct inventory *v;
	struct match_policy policy;
	struct flows *flows;
	struct attribute *attribute;
	struct metrics *metrics;
	struct history *history;
	nsec_t now;
	uint32_t made;
	bool pods;
};

static void add_pod(struct drain *d, uint32_t i)
{
	char name[64], rs[64], up[64], ip[16], cid[80], dir[128];
	struct obj o;

	(void)snprintf(name, sizeof(name), "web-%u-5d4f-%u", i % WORKLOADS, i);
	(void)snprintf(rs, sizeof(rs), "web-%u-5d4f", i % WORKLOADS);
	(void)snprintf(up, sizeof(up), "web-%u", i % WORKLOADS);
	(void)snprintf(ip, sizeof(ip), "10.1.0.%u", i + 1);
	(void)snprintf(cid, sizeof(cid), "containerd://%064x", i + 1);
	obj_owner(&o, "apps/v1", "ReplicaSet", "shop", rs, obj_uid(1000 + i % WORKLOADS));
	obj_owned(&o, "apps/v1", "Deployment", up, obj_uid(2000 + i % WORKLOADS));
	assert(inventory_apply_owner(d->v, 0, 1, &o.o) == 0);
	obj_pod(&o, "shop", name, obj_uid(i + 1), ip);
	obj_container(&o, cid, "main", "registry.example/web:1");
	obj_owned(&o, "apps/v1", "ReplicaSet", rs, obj_uid(1000 + i % WORKLOADS));
	assert(inventory_apply_pod(d->v, 0, 1, &o.o) == 0);
	(void)snprintf(dir, sizeof(dir), "cri-containerd-%064x.scope", i + 1);
	assert(flows_cgroup(d->flows, 1, CGROUP_POD + i, 1, str_of(dir)) == 0);
}

static void on_ended(void *ctx, const struct flow_view *v)
{
	history_put(ctx, v);
}

static void make(struct drain *d, bool pods)
{
	const struct flows_opts none = {0};
	struct attribute_opts a = {.scope.policy = &d->policy};
	struct metrics_opts m = {.ended = on_ended};

	*d = (struct drain){.pods = pods, .now = NSEC_PER_SEC};
	assert(inventory_new(&inventory_defaults, &d->v) == 0);
	assert(flows_new(&none, &d->flows) == 0);
	assert(flows_cgroup(d->flows, 1, 1, 0, STR("")) == 0);
	assert(flows_cgroup(d->flows, 1, 2, 1, STR("client.service")) == 0);
	assert(flows_cgroup(d->flows, 1, 3, 1, STR("server.service")) == 0);
	for (uint32_t i = 0; i < PODS; i++)
		add_pod(d, i);
	a.flows = m.flows = d->flows;
	a.inventory = d->v;
	assert(attribute_new(&a, &d->attribute) == 0);
	assert(history_new(0, 0, &d->history) == 0);
	m.ctx = d->history;
	assert(metrics_new(&m, &d->metrics) == 0);
}

static void put_address(uint8_t to[16], bool pods, uint32_t pod)
{
	const uint8_t mapped[16] = {[10] = 0xff, [11] = 0xff};

	memcpy(to, mapped, sizeof(mapped));
	to[12] = pods ? 10 : 127;
	to[13] = pods;
	to[15] = pods ? (uint8_t)(pod + 1) : 1;
}

/* One end of connection `i`. */
static void end_of(const struct drain *d, uint32_t i, bool in, struct abi_tcp *t)
{
	const uint32_t pod[2] = {i % PODS, (i * 7 + 1) % PODS};
	const uint16_t port[2] = {(uint16_t)(32768 + i % 28000), 8080};

	*t = (struct abi_tcp){.head = {.version = ABI_VERSION, .size = sizeof(*t)}};
	t->sk = 0xffff888000000000ULL + (i * 2 + in) % 512 * 2560;
	t->sock.start = d->now + in * 10000;
	t->sock.updated = t->sock.start;
	t->sock.cgroup = d->pods ? CGROUP_POD + pod[in] : 2ULL + in;
	put_address(t->sock.tuple.laddr, d->pods, pod[in]);
	put_address(t->sock.tuple.raddr, d->pods, pod[!in]);
	t->sock.tuple.lport = port[in];
	t->sock.tuple.rport = port[!in];
	t->sock.tuple.netns = d->pods ? 4026532000U + pod[in] : 4026531840U;
	t->sock.dir = in ? ABI_DIR_IN : ABI_DIR_OUT;
	t->sock.pid = 1000 + (d->pods ? pod[in] : in);
	(void)snprintf((char *)t->sock.comm, sizeof(t->sock.comm), "%s", in ? "server" : "client");
	t->sock.flags = ABI_SOCK_WAS_OPEN;
}

static void tell(struct drain *d, struct abi_tcp *t, uint8_t type, nsec_t at)
{
	t->head.type = type;
	t->head.time = at;
	t->sock.state = type == ABI_TCP_OPEN ? 1 : 7; /* include/net/tcp_states.h */
	if (type == ABI_TCP_CLOSE) {
		t->sock.counters = (struct abi_counters){.sent = 64,
							 .received = 64,
							 .segs_out = 5,
							 .segs_in = 5,
							 .srtt_us = 40,
							 .rtt_min_us = 20,
							 .rcv_rtt_us = 30};
		t->sock.updated = at;
	}
	assert(flows_record(d->flows, d->now, str_make((const char *)t, sizeof(*t))) == 0);
}

static void connect_once(struct drain *d)
{
	struct abi_tcp end[2];

	end_of(d, d->made, false, &end[0]);
	end_of(d, d->made, true, &end[1]);
	tell(d, &end[0], ABI_TCP_OPEN, d->now + 20000);
	tell(d, &end[1], ABI_TCP_OPEN, d->now + 20000);
	tell(d, &end[1], ABI_TCP_CLOSE, d->now + 60000);
	tell(d, &end[0], ABI_TCP_CLOSE, d->now + 61000);
	d->now += 70000;
	d->made++;
}

static void drain(struct drain *d)
{
	while (attribute_run(d->attribute, d->now) > 0)
		;
	while (metrics_run(d->metrics, d->now) > 0)
		;
	(void)flows_tick(d->flows, d->now);
}

static double one_round(struct drain *d, uint32_t batch)
{
	const nsec_t from = clock_mono();

	for (uint32_t i = 0; i < CONNECTS; i += batch) {
		for (uint32_t k = 0; k < batch; k++)
			connect_once(d);
		drain(d);
	}
	return (double)(clock_mono() - from) / CONNECTS;
}

static void check(const struct drain *d)
{
	struct flows_stats s;

	flows_stats(d->flows, &s);
	if (s.reported != 2ULL * d->made || s.known_local[KNOWN_NOT] || s.known_remote[KNOWN_NOT])
		printf("drain: WRONG: %llu of %u flows reported, %llu and %llu ends not known\n",
		       (unsigned long long)s.reported, 2 * d->made,
		       (unsigned long long)s.known_local[KNOWN_NOT],
		       (unsigned long long)s.known_remote[KNOWN_NOT]);
}

static void run(bool pods, uint32_t batch)
{
	struct drain d;
	double best = 1e18;

	make(&d, pods);
	for (int i = 0; i < ROUNDS; i++)
		best = MIN(best, one_round(&d, batch));
	check(&d);
	printf("drain.%s.batch_%u %.0f ns a connection, both ends\n", pods ? "pods" : "host", batch,
	       best);
	metrics_free(&d.metrics);
	history_free(&d.history);
	attribute_free(&d.attribute);
	flows_free(&d.flows);
	inventory_free(&d.v);
}

void bench_drain(void)
{
	run(true, 500);
	run(true, 10);
	run(false, 500);
}
