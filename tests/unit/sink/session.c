/*
 * One session against a scripted inventory, read back by the decoder of proto/:
 * what is announced, when, in which order, over connections that come and go.
 */
#include "sink/reducer/session.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/objects.h"
#include "tests/unit/sink/peer.h"

#define SEC  NSEC_PER_SEC
#define WALL (1000 * SEC) /* epochs begin at 1000 */

struct world {
	struct inventory *v;
	struct session *s;
	struct peer peer;
	uint16_t pods, owners;
	nsec_t now, wall;
	struct buf plain, wire; /* what the taps saw */
};

static void on_wire(void *ctx, struct str bytes)
{
	assert_int_equal(buf_append_str(&((struct world *)ctx)->wire, bytes), 0);
}

static void on_plain(void *ctx, struct str message)
{
	assert_int_equal(buf_append_str(&((struct world *)ctx)->plain, message), 0);
}

static const struct session_taps taps = {.wire = on_wire, .plain = on_plain};

static void world_init_with(struct world *w, struct session_opts o, uint32_t max_dead)
{
	struct inventory_opts io = inventory_defaults;

	io.max_dead = max_dead;
	io.keep_idle_owners = true;
	*w = (struct world){.now = 50 * SEC, .wall = WALL};
	assert_int_equal(inventory_new(&io, &w->v), 0);
	assert_int_equal(inventory_source_add(w->v, &w->pods), 0);
	assert_int_equal(inventory_source_add(w->v, &w->owners), 0);
	o.inventory = w->v;
	if (!o.waiting.max)
		o.waiting = (struct waiting_opts){.max = 10000, .timeout = 10 * SEC};
	o.hostname = STR("node-a");
	o.cpu_cores = 4;
	o.taps = &taps;
	o.taps_ctx = w;
	buf_init(&w->plain, 64 << 20);
	buf_init(&w->wire, 64 << 20);
	assert_int_equal(session_new(&o, &w->s), 0);
	peer_init(&w->peer);
}

static void world_init(struct world *w)
{
	world_init_with(w, (struct session_opts){0}, 10000);
}

static void world_done(struct world *w)
{
	peer_done(&w->peer);
	session_free(&w->s);
	assert_null(w->s);
	session_free(&w->s);
	inventory_free(&w->v);
	buf_done(&w->plain);
	buf_done(&w->wire);
}

/* At most `n` bytes reach the peer. */
static void carry(struct world *w, size_t n)
{
	struct str out = session_output(w->s);

	out.n = MIN(out.n, n);
	if (!out.n)
		return;
	peer_feed(&w->peer, out);
	session_sent(w->s, out.n);
}

/* Runs until there is nothing more to do. */
static void settle(struct world *w)
{
	int r;

	do {
		r = session_run(w->s, w->now, w->wall);
		assert_true(r == 0 || r == 1 || r == -EAGAIN);
		carry(w, SIZE_MAX);
	} while (r);
	assert_int_equal(session_output(w->s).n, 0);
}

static void connect_peer(struct world *w)
{
	peer_reset(&w->peer);
	session_connected(w->s, w->now, w->wall);
	settle(w);
}

/* What was said since the last look. */
static void expect(struct world *w, const char *lines)
{
	settle(w);
	assert_string_equal(peer_lines(&w->peer), lines);
	peer_forget(&w->peer);
}

/* Connects and passes over the handshake. */
static void begin(struct world *w)
{
	connect_peer(w);
	peer_forget(&w->peer);
}

static void put_pod(struct world *w, struct obj *b)
{
	assert_int_equal(inventory_apply_pod(w->v, w->pods, w->now, &b->o), 0);
}

static void put_owner(struct world *w, struct obj *b)
{
	assert_int_equal(inventory_apply_owner(w->v, w->owners, w->now, &b->o), 0);
}

static void put_replicaset(struct world *w)
{
	struct obj b;

	obj_owner(&b, "apps/v1", "ReplicaSet", "ns", "web-1", STR("rs-1"));
	obj_owned(&b, "apps/v1", "Deployment", "web", STR("dep-1"));
	put_owner(w, &b);
}

/* A pod of the ReplicaSet rs-1. */
static void web_pod(struct obj *b, const char *name, struct str uid, const char *ip)
{
	obj_pod(b, "ns", name, uid, ip);
	obj_owned(b, "apps/v1", "ReplicaSet", "web-1", STR("rs-1"));
	obj_container(b, "containerd://c1", "main", "nginx:1");
}

static void drop_pod(struct world *w, const char *uid)
{
	inventory_delete_pod(w->v, str_of(uid), w->now);
}

static struct session_counters counters(struct world *w)
{
	struct session_counters c;

	session_counters(w->s, &c);
	return c;
}

/* ---- handshake ------------------------------------------------------------------------------- */

static void says_who_it_is(void **state)
{
	struct session_label labels[] = {
		{STR("cluster"), STR("c1")},
		{STR("service"), STR("")},
		{STR("namespace"), STR("obs")},
	};
	struct addr addrs[2];
	struct world w;

	(void)state;
	assert_int_equal(addr_parse(STR("10.0.0.7"), &addrs[0]), 0);
	assert_int_equal(addr_parse(STR("fd00::7"), &addrs[1]), 0);
	world_init_with(&w,
			(struct session_opts){
				.labels = labels,
				.n_labels = 3,
				.addrs = addrs,
				.n_addrs = 2,
			},
			100);
	assert_int_equal(session_run(w.s, w.now, w.wall), 0); /* not connected: nothing */
	assert_int_equal(session_deadline(w.s), NSEC_NEVER);
	connect_peer(&w);
	expect(&w, "version_info 0 11 0\n"
		   "connect 3 node-a\n"
		   "report_cpu_cores 4\n"
		   "set_config_label cluster c1\n"
		   "set_config_label namespace obs\n"
		   "cloud_platform 0\n"
		   "set_node_info   node-a \n"
		   "private_ipv4_addr 117440522\n" /* 0a 00 00 07 as it is */
		   "ipv6_addr fd00\n"
		   "metadata_complete 0\n"
		   "collector_health 0 0\n"
		   "resync 1000\n");
	assert_int_equal(w.peer.frames, 1);
	assert_true(session_at_rest(w.s));
	assert_int_equal(w.wire.n, counters(&w).wire_bytes);
	assert_int_equal(w.plain.n, counters(&w).plain_bytes);
	world_done(&w);
}

static void tells_of_its_node(void **state)
{
	struct session_label zone = {STR("zone"), STR("my-zone")};
	struct node aws = {
		.provider_id = STR("aws:///us-east-1a/i-0abc"),
		.zone = STR("us-east-1a"),
		.instance_type = STR("m5.large"),
	};
	struct node gcp = {
		.provider_id = STR("gce://project/zone/vm-1"),
		.zone = STR("zone"),
		.instance_type = STR("e2"),
	};
	struct world w;

	(void)state;
	world_init(&w);
	begin(&w);
	assert_int_equal(session_set_node(w.s, &aws), 0);
	assert_false(session_at_rest(w.s));
	expect(&w, "cloud_platform 1\nset_node_info us-east-1a  i-0abc m5.large\n");
	assert_int_equal(session_set_node(w.s, &gcp), 0);
	expect(&w, "cloud_platform 2\nset_node_info zone  vm-1 e2\n");
	connect_peer(&w); /* known from the start now */
	assert_non_null(strstr(peer_lines(&w.peer), "cloud_platform 2\nset_node_info zone  vm-1 "
						    "e2\nmetadata_complete 0\n"));
	world_done(&w);

	world_init_with(&w, (struct session_opts){.labels = &zone, .n_labels = 1}, 100);
	begin(&w);
	assert_int_equal(session_set_node(w.s, &aws), 0);
	expect(&w, "cloud_platform 1\nset_node_info my-zone  i-0abc m5.large\n");
	world_done(&w);
}

static void beats_when_idle(void **state)
{
	struct world w;
	struct session_usage u = {.user_us = 7, .max_rss = 4096, .cpu_idle = 9900};

	(void)state;
	world_init(&w);
	begin(&w);
	assert_int_equal(session_deadline(w.s), w.now + 5 * SEC);
	w.now += 5 * SEC - 1;
	expect(&w, "");
	w.now += 1;
	expect(&w, "heartbeat\n");
	w.now += 2 * SEC;
	session_usage(w.s, &u);
	expect(&w, "agent_resource_usage 7 0 4096 0 0 0 0 0 0 0 9900\n");
	w.now += 3 * SEC;
	expect(&w, ""); /* something was sent 3 s ago */
	w.now += 2 * SEC;
	expect(&w, "heartbeat\n");
	w.now += 5 * SEC;
	assert_int_equal(session_run(w.s, w.now, w.wall), 0);
	w.now += 5 * SEC; /* not taken yet: another one says nothing more */
	assert_int_equal(session_run(w.s, w.now, w.wall), 0);
	expect(&w, "heartbeat\n");
	session_received(w.s, 17);
	assert_int_equal(counters(&w).received, 17);
	world_done(&w);
}

/* Another heartbeat while it runs. */
static void beats_as_it_is_told(void **state)
{
	const struct waiting_opts waiting = {.max = 10, .timeout = 10 * SEC};
	struct world w;
	uint64_t epochs;

	(void)state;
	world_init(&w);
	begin(&w);
	epochs = counters(&w).epochs;
	session_tune(w.s, &waiting, 2 * SEC);
	assert_int_equal(session_deadline(w.s), w.now + 2 * SEC);
	w.now += 2 * SEC;
	expect(&w, "heartbeat\n");
	assert_int_equal(counters(&w).epochs, epochs);
	world_done(&w);
}

/* ---- pods ------------------------------------------------------------------------------------ */

#define WEB_NEW(uid, name, ip, version) \
	"new " uid " ns/" name " owner=1:web:dep-1 ip=" ip " host=0 version=" version "\n"
#define C1(uid) "container " uid " containerd://c1 main nginx:1\n"

static void announces_once(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	put_replicaset(&w);
	web_pod(&b, "web-1-a", STR("u1"), "10.1.2.3");
	put_pod(&w, &b);
	connect_peer(&w);
	assert_non_null(strstr(peer_lines(&w.peer),
			       "resync 1000\n" WEB_NEW("u1", "web-1-a", "0a010203", "'nginx:1'")
				       C1("u1")));
	peer_forget(&w.peer);

	b.o.meta.resource_version = STR("2");
	put_pod(&w, &b);
	expect(&w, "");
	b.containers[0].state = CONTAINER_TERMINATED;
	put_pod(&w, &b);
	expect(&w, ""); /* kept, but nothing that is announced */
	b.ips[0] = STR("10.1.2.4");
	put_pod(&w, &b);
	expect(&w, WEB_NEW("u1", "web-1-a", "0a010204", "'nginx:1'"));
	b.containers[0].id = STR("containerd://c2"); /* restarted */
	put_pod(&w, &b);
	expect(&w, "container u1 containerd://c2 main nginx:1\n");
	b.containers[0].image = STR("nginx:2");
	put_pod(&w, &b);
	expect(&w, WEB_NEW("u1", "web-1-a", "0a010204", "'nginx:2'"));
	drop_pod(&w, "u1");
	expect(&w, "delete u1\n");
	assert_int_equal(w.peer.n_pods, 0);
	assert_int_equal(counters(&w).pods_new, 3);
	world_done(&w);
}

static void waits_for_a_container_id(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	begin(&w);
	obj_pod(&b, "ns", "bare", STR("u1"), "10.1.2.3");
	obj_container(&b, "", "main", "b:1");
	obj_container(&b, "", "side", "a:1");
	obj_container(&b, "x://i", "init", "z:1");
	obj_container(&b, "", "other", "");
	b.containers[2].type = CONTAINER_INIT;
	put_pod(&w, &b);
	expect(&w, "new u1 ns/bare owner=254:bare: ip=0a010203 host=0 version='a:1','b:1'\n"
		   "container u1 x://i init z:1\n");
	b.containers[0].id = STR("x://1");
	put_pod(&w, &b);
	expect(&w, "container u1 x://1 main b:1\n");
	b.containers[1].id = STR("x://2");
	put_pod(&w, &b);
	expect(&w, "container u1 x://2 side a:1\n");
	world_done(&w);
}

static void names_owners(void **state)
{
	static const struct {
		const char *api, *kind, *line;
	} cases[] = {
		{"apps/v1", "StatefulSet",
		 "new u1 ns/p owner=255:o:ou ip=00000000 host=1 version=\n"},
		{"apps/v1", "DaemonSet", NULL},
		{"v1", "Node", NULL},
		{"argoproj.io/v1", "Rollout", NULL},
		{"batch.example.com/v1", "Job", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world w;
		struct obj b;

		world_init(&w);
		begin(&w);
		obj_pod(&b, "ns", "p", STR("u1"), "fd00::1"); /* IPv6 only: no number */
		obj_owned(&b, cases[i].api, cases[i].kind, "o", STR("ou"));
		b.o.pod.host_network = true;
		put_pod(&w, &b);
		expect(&w, cases[0].line);
		world_done(&w);
	}
}

static void takes_the_first_ipv4(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	begin(&w);
	obj_pod(&b, "ns", "p", STR("u1"), "fd00::1");
	b.ips[1] = STR("10.0.0.2");
	b.ips[2] = STR("10.0.0.3");
	b.o.pod.n_ips = 3;
	put_pod(&w, &b);
	expect(&w, "new u1 ns/p owner=254:p: ip=0a000002 host=0 version=\n");
	world_done(&w);
}

static void job_pods_belong_to_their_cronjob(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	begin(&w);
	obj_pod(&b, "ns", "tick-1-x", STR("u1"), "10.0.0.2");
	obj_owned(&b, "batch/v1", "Job", "tick-1", STR("job-1"));
	put_pod(&w, &b);
	expect(&w, "");
	assert_int_equal(counters(&w).waiting, 1);
	obj_owner(&b, "batch/v1", "Job", "ns", "tick-1", STR("job-1"));
	obj_owned(&b, "batch/v1", "CronJob", "tick", STR("cron-1"));
	put_owner(&w, &b);
	expect(&w, "new u1 ns/tick-1-x owner=3:tick:cron-1 ip=0a000002 host=0 version=\n");
	obj_owner(&b, "batch/v1", "Job", "ns", "tick-1", STR("job-1")); /* orphaned */
	put_owner(&w, &b);
	expect(&w, "new u1 ns/tick-1-x owner=2:tick-1:job-1 ip=0a000002 host=0 version=\n");
	assert_int_equal(counters(&w).waiting, 0);
	world_done(&w);
}

static void withdraws_what_has_no_address(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	put_replicaset(&w);
	begin(&w);
	web_pod(&b, "a", STR("u1"), "");
	put_pod(&w, &b);
	expect(&w, "");
	b.ips[0] = STR("10.0.0.1");
	b.o.pod.n_ips = 1;
	put_pod(&w, &b);
	expect(&w, WEB_NEW("u1", "a", "0a000001", "'nginx:1'") C1("u1"));
	b.o.pod.n_ips = 0;
	put_pod(&w, &b);
	expect(&w, "delete u1\n");
	put_pod(&w, &b);
	expect(&w, "");
	b.o.pod.n_ips = 1;
	put_pod(&w, &b);
	expect(&w, WEB_NEW("u1", "a", "0a000001", "'nginx:1'") C1("u1"));
	b.o.pod.phase = POD_PHASE_SUCCEEDED;
	put_pod(&w, &b);
	expect(&w, "delete u1\n");
	drop_pod(&w, "u1");
	expect(&w, "");
	assert_int_equal(counters(&w).came_and_went, 0);
	world_done(&w);
}

static void tells_of_those_that_came_and_went(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	put_replicaset(&w);
	begin(&w);
	web_pod(&b, "a", STR("u1"), "10.0.0.1"); /* deleted between two looks */
	put_pod(&w, &b);
	drop_pod(&w, "u1");
	web_pod(&b, "b", STR("u2"), "10.0.0.2"); /* finished between two looks */
	put_pod(&w, &b);
	b.o.pod.phase = POD_PHASE_FAILED;
	put_pod(&w, &b);
	web_pod(&b, "c", STR("u3"), "10.0.0.3"); /* finished before anybody looked */
	b.o.pod.phase = POD_PHASE_SUCCEEDED;
	put_pod(&w, &b);
	web_pod(&b, "d", STR("u4"), ""); /* never had an address */
	put_pod(&w, &b);
	drop_pod(&w, "u4");
	expect(&w, WEB_NEW("u1", "a", "0a000001", "'nginx:1'") C1("u1") "delete u1\n" WEB_NEW(
			   "u2", "b", "0a000002", "'nginx:1'") C1("u2") "delete u2\n");
	assert_int_equal(counters(&w).came_and_went, 2);
	drop_pod(&w, "u2");
	drop_pod(&w, "u3");
	expect(&w, "");
	connect_peer(&w);
	assert_null(strstr(peer_lines(&w.peer), "new "));
	world_done(&w);
}

static void dead_pods_wait_too(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	begin(&w);
	web_pod(&b, "a", STR("u1"), "10.0.0.1");
	put_pod(&w, &b);
	drop_pod(&w, "u1");
	expect(&w, "");
	put_replicaset(&w); /* the owner shows up after the end */
	expect(&w, WEB_NEW("u1", "a", "0a000001", "'nginx:1'") C1("u1") "delete u1\n");

	obj_pod(&b, "ns", "b", STR("u2"), "10.0.0.2");
	obj_owned(&b, "apps/v1", "ReplicaSet", "lost", STR("rs-lost"));
	put_pod(&w, &b);
	drop_pod(&w, "u2");
	expect(&w, "");
	assert_int_equal(session_deadline(w.s), MIN(w.now + 10 * SEC, w.now + 5 * SEC));
	w.now += 10 * SEC;
	expect(&w, "new u2 ns/b owner=0:lost:rs-lost ip=0a000002 host=0 version=\ndelete u2\n");
	assert_int_equal(counters(&w).timeouts, 1);
	world_done(&w);
}

static void announces_at_the_timeout_and_mends(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	begin(&w);
	web_pod(&b, "a", STR("u1"), "10.0.0.1");
	put_pod(&w, &b);
	expect(&w, "");
	w.now += 10 * SEC - 1;
	expect(&w, "heartbeat\n");
	w.now += 1;
	expect(&w,
	       "new u1 ns/a owner=0:web-1:rs-1 ip=0a000001 host=0 version='nginx:1'\n" C1("u1"));
	b.ips[0] = STR("10.0.0.9"); /* a change does not make it wait again */
	put_pod(&w, &b);
	expect(&w, "new u1 ns/a owner=0:web-1:rs-1 ip=0a000009 host=0 version='nginx:1'\n");
	put_replicaset(&w);
	expect(&w, WEB_NEW("u1", "a", "0a000009", "'nginx:1'"));
	/* A new owner that is not known: what was told stays, containers go on. */
	obj_owned(&b, "apps/v1", "ReplicaSet", "other", STR("rs-2"));
	b.containers[0].id = STR("containerd://c2");
	put_pod(&w, &b);
	expect(&w, "container u1 containerd://c2 main nginx:1\n");
	assert_int_equal(counters(&w).waiting, 1);
	obj_owned(&b, "apps/v1", "ReplicaSet", "web-1", STR("rs-1"));
	put_pod(&w, &b);
	expect(&w, "");
	assert_int_equal(counters(&w).waiting, 0);
	/* Orphaned, the owner forgotten, adopted by it again: that is a new wait. */
	b.o.meta.n_owners = 0;
	put_pod(&w, &b);
	expect(&w, "new u1 ns/a owner=254:a: ip=0a000009 host=0 version='nginx:1'\n");
	assert_int_equal(counters(&w).unresolved[MATCH_END_UNKNOWN], 2);
	assert_int_equal(counters(&w).hops[2], 1); /* the Deployment */
	assert_int_equal(counters(&w).hops[0], 1); /* orphaned */
	inventory_delete_owner(w.v, STR("rs-1"), w.now);
	assert_int_equal(inventory_owner_by_uid(w.v, STR("rs-1")), 0);
	b.o.meta.n_owners = 1;
	put_pod(&w, &b);
	expect(&w, "");
	assert_int_equal(counters(&w).waiting, 1);
	drop_pod(&w, "u1");
	expect(&w, "delete u1\n");
	assert_int_equal(counters(&w).waiting, 0);
	world_done(&w);
}

/* Told on one connection, waiting for a new owner on the next, gone before it is told there. */
static void stops_waiting_at_the_end(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	put_replicaset(&w);
	begin(&w);
	web_pod(&b, "a", STR("u1"), "10.0.0.1");
	put_pod(&w, &b);
	settle(&w);
	obj_owned(&b, "apps/v1", "ReplicaSet", "other", STR("rs-2"));
	put_pod(&w, &b);
	begin(&w);
	assert_int_equal(counters(&w).waiting, 1);
	drop_pod(&w, "u1");
	expect(&w, "");
	assert_int_equal(counters(&w).waiting, 0);
	world_done(&w);
}

static void waits_from_when_the_kind_can_be_read(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	assert_int_equal(session_kind_state(w.s, KIND_REPLICASET, STR(""), NSEC_NEVER), 0);
	begin(&w);
	web_pod(&b, "a", STR("u1"), "10.0.0.1");
	put_pod(&w, &b);
	expect(&w, "");
	for (int i = 0; i < 12; i++) {
		w.now += 5 * SEC;
		expect(&w, "heartbeat\n");
	}
	assert_int_equal(session_kind_state(w.s, KIND_REPLICASET, STR(""), w.now), 0);
	put_replicaset(&w);
	expect(&w, WEB_NEW("u1", "a", "0a000001", "'nginx:1'") C1("u1"));
	assert_int_equal(counters(&w).timeouts, 0);
	world_done(&w);
}

static void overflows_into_one_resync(void **state)
{
	struct world w;
	struct obj b;
	char name[16], ip[24];
	uint64_t epochs;

	(void)state;
	world_init(&w);
	w.peer.quiet = true;
	connect_peer(&w);
	for (unsigned int i = 0; i < 10001; i++) {
		(void)snprintf(name, sizeof(name), "p%u", i);
		(void)snprintf(ip, sizeof(ip), "10.0.%u.%u", i >> 8, i & 255);
		obj_pod(&b, "ns", name, obj_uid(i), ip);
		obj_owned(&b, "apps/v1", "ReplicaSet", "web-1", STR("rs-1"));
		put_pod(&w, &b);
	}
	settle(&w);
	assert_int_equal(counters(&w).waiting, 10000);
	assert_int_equal(counters(&w).overflows, 1);
	assert_int_equal(w.peer.n_pods, 1);
	assert_string_equal(w.peer.pods[0].uid, obj_uid(0).p);
	assert_string_equal(w.peer.pods[0].owner, "web-1");
	epochs = counters(&w).epochs;
	put_replicaset(&w);
	settle(&w);
	assert_int_equal(counters(&w).epochs, epochs + 1);
	assert_int_equal(counters(&w).resyncs, 1);
	assert_int_equal(counters(&w).waiting, 0);
	assert_int_equal(w.peer.n_pods, 10001);
	for (unsigned int i = 0; i < w.peer.n_pods; i++)
		assert_string_equal(w.peer.pods[i].owner, "web");
	settle(&w);
	assert_int_equal(counters(&w).epochs, epochs + 1);
	world_done(&w);
}

static void cuts_what_is_too_long(void **state)
{
	static char image[3][9000];
	struct world w;
	struct obj b;
	char line[32];

	(void)state;
	for (int i = 0; i < 3; i++) {
		memset(image[i], 'a' + i, sizeof(image[i]) - 1);
		image[i][4000] = '\0';
	}
	image[2][4000] = 'c'; /* 8999 bytes */
	world_init(&w);
	begin(&w);
	obj_pod(&b, "ns", "p", STR("u1"), "10.0.0.1");
	for (int i = 0; i < 3; i++)
		obj_container(&b, "", "x", image[i]);
	obj_container(&b, "x://1", "x", image[2]);
	put_pod(&w, &b);
	settle(&w);
	assert_int_equal(counters(&w).cut, 2);
	(void)snprintf(line, sizeof(line), "',%s",
		       "'bbbb"); /* both whole, the long ones left out */
	assert_non_null(strstr(peer_lines(&w.peer), line));
	assert_null(strstr(peer_lines(&w.peer), "'cccc"));
	assert_non_null(strstr(peer_lines(&w.peer), "container u1 x://1 x cccc"));
	world_done(&w);
}

/* ---- epochs and connections ------------------------------------------------------------------ */

static void fill(struct world *w, unsigned int from, unsigned int n)
{
	struct obj b;
	char name[16], cid[32], ip[24];

	for (unsigned int i = from; i < from + n; i++) {
		(void)snprintf(name, sizeof(name), "p%u", i);
		(void)snprintf(cid, sizeof(cid), "containerd://c%u", i);
		(void)snprintf(ip, sizeof(ip), "10.0.%u.%u", i >> 8, i & 255);
		web_pod(&b, name, obj_uid(i), ip);
		b.containers[0].id = str_of(cid);
		put_pod(w, &b);
	}
}

static void epochs_rise(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	put_replicaset(&w);
	fill(&w, 0, 3);
	connect_peer(&w);
	assert_int_equal(w.peer.epoch, 1000);
	assert_int_equal(w.peer.n_pods, 3);
	peer_forget(&w.peer);
	session_resync(w.s);
	session_resync(w.s);
	settle(&w);
	assert_int_equal(w.peer.epoch, 1001);
	assert_int_equal(w.peer.n_pods, 3);
	assert_int_equal(w.peer.containers, 6);
	assert_memory_equal(peer_lines(&w.peer), "resync 1001\nnew ", 16);
	assert_int_equal(counters(&w).resyncs, 1);
	session_disconnected(w.s);
	assert_int_equal(session_run(w.s, w.now, w.wall), 0);
	connect_peer(&w);
	assert_int_equal(w.peer.epoch, 1002);
	assert_int_equal(w.peer.n_pods, 3);
	w.wall = 2000 * SEC;
	connect_peer(&w);
	assert_int_equal(w.peer.epoch, 2000);
	w.wall = 1500 * SEC; /* the clock was set back */
	connect_peer(&w);
	assert_int_equal(w.peer.epoch, 2001);
	assert_int_equal(counters(&w).connections, 4);
	assert_int_equal(counters(&w).resyncs, 1);
	world_done(&w);
}

/* The peer reads `step` bytes at a time; a run happens when the session says there is room. */
static void drip(struct world *w, size_t step, size_t total)
{
	while (total) {
		(void)session_run(w->s, w->now, w->wall);
		if (!session_output(w->s).n)
			return;
		carry(w, MIN(step, total));
		total -= MIN(step, total);
	}
}

static void holds_back_for_a_slow_peer(void **state)
{
	struct world w;
	struct obj b;
	int r;

	(void)state;
	world_init_with(&w, (struct session_opts){.out_max = 1}, 10000);
	web_pod(&b, "waits", STR("u1"), "10.1.1.1"); /* its time must not call for runs in vain */
	obj_owned(&b, "apps/v1", "ReplicaSet", "lost", STR("rs-lost"));
	put_pod(&w, &b);
	put_replicaset(&w);
	fill(&w, 0, 5000);
	session_connected(w.s, w.now, w.wall);
	while ((r = session_run(w.s, w.now, w.wall)) == 1)
		;
	assert_int_equal(r, -EAGAIN);
	assert_true(session_output(w.s).n <= SESSION_OUT_MIN);
	assert_true(session_bytes(w.s) < 1 << 20);
	assert_int_equal(session_run(w.s, w.now, w.wall), -EAGAIN);
	assert_int_equal(session_deadline(w.s), NSEC_NEVER);
	carry(&w, SIZE_MAX);
	assert_int_not_equal(session_deadline(w.s), NSEC_NEVER);
	drip(&w, 777, SIZE_MAX);
	settle(&w);
	assert_true(session_at_rest(w.s));
	assert_int_equal(w.peer.n_pods, 5000);
	assert_int_equal(w.peer.news, 5000);
	assert_int_equal(w.peer.containers, 5000);
	world_done(&w);
}

static void survives_a_cut_in_the_snapshot(void **state)
{
	struct rng g;

	(void)state;
	rng_seed(&g, 7);
	for (int round = 0; round < 30; round++) {
		struct world w;

		world_init_with(&w, (struct session_opts){.out_max = SESSION_OUT_MIN}, 10000);
		put_replicaset(&w);
		fill(&w, 0, 1500);
		for (int i = 0; i < 4; i++) {
			peer_reset(&w.peer);
			session_connected(w.s, w.now, w.wall);
			drip(&w, 1 + rng_below(&g, 5000), rng_below(&g, 60000));
			if (rng_below(&g, 2))
				session_resync(w.s);
			drip(&w, 1 + rng_below(&g, 5000), rng_below(&g, 60000));
			drop_pod(&w, obj_uid((unsigned int)rng_below(&g, 1500)).p);
			fill(&w, 1500 + (unsigned int)i, 1);
			session_disconnected(w.s);
			w.wall += rng_below(&g, 3 * SEC);
		}
		connect_peer(&w);
		assert_true(session_at_rest(w.s));
		for (unsigned int i = 0; i < w.peer.n_pods; i++)
			assert_int_equal(w.peer.pods[i].containers, 1);
		assert_in_range(w.peer.n_pods, 1500, 1503);
		world_done(&w);
	}
}

/* Many containers do not fit into the buffer at once: the pod is told in pieces. */
static void goes_on_within_a_pod(void **state)
{
	static struct container many[MODEL_MAX_CONTAINERS];
	static char ids[MODEL_MAX_CONTAINERS][24];
	static char image[2001];
	struct world w;
	struct obj b;
	uint64_t before;

	(void)state;
	for (unsigned int i = 0; i < MODEL_MAX_CONTAINERS; i++) {
		(void)snprintf(ids[i], sizeof(ids[i]), "x://%u", i);
		for (size_t k = 0; k + 1 < sizeof(image); k++)
			image[k] = (char)('a' + (k * 7 + k / 26) % 26);
		many[i] = (struct container){
			.id = str_of(ids[i]), .name = STR("n"), .image = str_of(image)};
	}
	world_init_with(&w, (struct session_opts){.out_max = 1}, 10000);
	put_replicaset(&w);
	begin(&w);
	for (int mode = 0; mode < 4; mode++) {
		obj_pod(&b, "ns", "p", obj_uid((unsigned int)mode), "10.0.0.1");
		b.o.pod.containers = many;
		b.o.pod.n_containers = MODEL_MAX_CONTAINERS;
		put_pod(&w, &b);
		before = w.peer.containers;
		if (mode == 1) /* it came and went */
			drop_pod(&w, obj_uid(1).p);
		if (mode == 2) /* cut off in the middle */
			(void)session_run(w.s, w.now, w.wall);
		if (mode == 2)
			drop_pod(&w, obj_uid(2).p);
		if (mode == 3) { /* finished, and running again in the middle of telling it */
			b.o.pod.phase = POD_PHASE_FAILED;
			put_pod(&w, &b);
			assert_int_equal(session_run(w.s, w.now, w.wall), -EAGAIN);
			b.o.pod.phase = POD_PHASE_RUNNING;
			put_pod(&w, &b);
		}
		settle(&w);
		if (mode != 2)
			assert_int_equal(w.peer.containers - before, MODEL_MAX_CONTAINERS);
		assert_int_equal(w.peer.deletes, (uint64_t)MIN(mode, 2));
	}
	assert_int_equal(counters(&w).came_and_went, 1);
	assert_int_equal(w.peer.n_pods, 2);
	drop_pod(&w, obj_uid(3).p);
	settle(&w);
	assert_int_equal(w.peer.n_pods, 1);
	world_done(&w);
}

static void dropped_dead_pods_make_a_resync(void **state)
{
	struct world w;

	(void)state;
	world_init_with(&w, (struct session_opts){0}, 2);
	put_replicaset(&w);
	fill(&w, 0, 5);
	begin(&w);
	for (unsigned int i = 0; i < 4; i++) /* two more than the bound, with no run between */
		drop_pod(&w, obj_uid(i).p);
	assert_int_equal(counters(&w).dropped_told, 2);
	settle(&w);
	assert_int_equal(w.peer.n_pods, 1);
	assert_int_equal(w.peer.epoch, 1001);
	assert_int_equal(counters(&w).resyncs, 1);

	session_disconnected(w.s);
	drop_pod(&w, obj_uid(4).p);
	fill(&w, 10, 4); /* nobody heard of these */
	for (unsigned int i = 10; i < 14; i++)
		drop_pod(&w, obj_uid(i).p);
	assert_int_equal(counters(&w).dropped_told, 2);
	assert_int_equal(counters(&w).dropped, 5);
	connect_peer(&w);
	assert_int_equal(w.peer.n_pods, 0);
	assert_int_equal(counters(&w).resyncs, 1);
	assert_int_equal(counters(&w).came_and_went, 2);
	world_done(&w);
}

static void told_pods_that_died_meanwhile_are_not_told_again(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	put_replicaset(&w);
	fill(&w, 0, 2);
	begin(&w);
	session_disconnected(w.s);
	drop_pod(&w, obj_uid(0).p);
	connect_peer(&w);
	assert_int_equal(w.peer.n_pods, 1);
	assert_int_equal(w.peer.news, 3);
	assert_int_equal(w.peer.deletes, 0);
	w.now += 1000 * SEC;
	assert_int_equal(inventory_expire(w.v, w.now), NSEC_NEVER); /* nobody needs it any more */
	fill(&w, 7, 1); /* takes the freed id: nothing of the old pod may stay with it */
	drop_pod(&w, obj_uid(7).p);
	settle(&w);
	assert_int_equal(counters(&w).came_and_went, 1);
	assert_int_equal(w.peer.n_pods, 1);
	world_done(&w);
}

/* Another agent told of them: long dead ones are passed over, those of the last time are told. */
static void the_long_dead_are_passed_over(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	put_replicaset(&w);
	fill(&w, 0, 3);
	drop_pod(&w, obj_uid(0).p);
	w.now += 100 * SEC;
	drop_pod(&w, obj_uid(1).p);
	session_pass_dead(w.s, w.now);
	w.now += SEC;
	session_pass_dead(w.s, w.now - 60 * SEC);
	w.now += 1000 * SEC;
	(void)inventory_expire(w.v, w.now); /* the first one is gone, its id is free */
	connect_peer(&w);
	assert_int_equal(counters(&w).came_and_went, 1);
	assert_int_equal(w.peer.news, 2);
	assert_int_equal(w.peer.n_pods, 1);
	drop_pod(&w, obj_uid(2).p);
	session_pass_dead(w.s, NSEC_NEVER); /* connected: nothing is passed over */
	settle(&w);
	assert_int_equal(w.peer.deletes, 2);
	world_done(&w);
}

/* One that was told before, and one that waited for its owner when the connection ended: nothing of
 * either stays with the id. */
static void what_was_passed_over_leaves_nothing(void **state)
{
	struct world w;

	(void)state;
	world_init(&w);
	begin(&w);
	fill(&w, 0, 1); /* waits for its ReplicaSet */
	settle(&w);
	assert_int_equal(counters(&w).waiting, 1);
	session_disconnected(w.s);
	drop_pod(&w, obj_uid(0).p);
	w.now += 100 * SEC;
	session_pass_dead(w.s, w.now);
	assert_int_equal(counters(&w).waiting, 0);
	w.now += 1000 * SEC;
	assert_int_equal(inventory_expire(w.v, w.now), NSEC_NEVER);
	put_replicaset(&w);
	fill(&w, 7, 1); /* takes the freed id */
	connect_peer(&w);
	assert_int_equal(w.peer.n_pods, 1);
	assert_int_equal(w.peer.news, 1);
	world_done(&w);
}

/* Dead pods that wait for their owner, more than the bound. */
static void dropped_pods_wait_no_more(void **state)
{
	struct world w;

	(void)state;
	world_init_with(&w, (struct session_opts){0}, 2);
	begin(&w);
	for (unsigned int i = 0; i < 5; i++) {
		fill(&w, i, 1);
		settle(&w);
		drop_pod(&w, obj_uid(i).p);
		settle(&w);
	}
	assert_int_equal(counters(&w).waiting, 2);
	w.now += 20 * SEC;
	settle(&w);
	assert_int_equal(w.peer.news, 2);
	assert_int_equal(counters(&w).dropped, 3);
	world_done(&w);
}

/* The same pod name with a new uid, told in order. */
static void a_name_comes_back(void **state)
{
	struct world w;
	struct obj b;

	(void)state;
	world_init(&w);
	begin(&w);
	obj_pod(&b, "ns", "db-0", STR("u1"), "10.0.0.1");
	obj_owned(&b, "apps/v1", "StatefulSet", "db", STR("ss-1"));
	put_pod(&w, &b);
	settle(&w);
	peer_forget(&w.peer);
	drop_pod(&w, "u1");
	b.o.meta.uid = STR("u2");
	put_pod(&w, &b);
	expect(&w, "delete u1\nnew u2 ns/db-0 owner=255:db:ss-1 ip=0a000001 host=0 version=\n");
	world_done(&w);
}

/* Random histories, random cuts and rests: at rest the peer has what the inventory has. */
static void converges(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 60; seed++) {
		struct world w;
		struct rng g;
		struct obj b;
		char name[8];
		unsigned int live = 0;

		rng_seed(&g, seed);
		world_init_with(&w,
				(struct session_opts){.out_max = 1,
						      .waiting = {.max = 8, .timeout = 3 * SEC}},
				1 + (uint32_t)rng_below(&g, 20));
		for (int step = 0; step < 600; step++) {
			const unsigned int n = (unsigned int)rng_below(&g, 40);
			const uint64_t what = rng_below(&g, 12);

			(void)snprintf(name, sizeof(name), "p%u", n);
			web_pod(&b, name, obj_uid(n), what == 1 ? "" : "10.0.0.1");
			if (what == 2)
				b.o.pod.phase = POD_PHASE_FAILED;
			if (what == 3)
				b.containers[0].image = STR("nginx:2");
			if (what == 4)
				obj_owned(&b, "apps/v1", "ReplicaSet", "never", STR("rs-never"));
			if (what < 6)
				put_pod(&w, &b);
			else if (what == 6)
				drop_pod(&w, obj_uid(n).p);
			else if (what == 7)
				session_disconnected(w.s);
			else if (what == 8 && !session_is_connected(w.s)) {
				peer_reset(&w.peer);
				session_connected(w.s, w.now, w.wall);
			} else if (what == 9)
				put_replicaset(&w);
			else if (what == 10 && rng_below(&g, 4) == 0)
				inventory_delete_owner(w.v, STR("rs-1"), w.now);
			else if (what == 11)
				w.now += rng_below(&g, 2 * SEC);
			if (rng_below(&g, 3) == 0)
				drip(&w, 1 + rng_below(&g, 300), rng_below(&g, 3000));
			(void)inventory_expire(w.v, w.now);
		}
		if (!session_is_connected(w.s)) {
			peer_reset(&w.peer);
			session_connected(w.s, w.now, w.wall);
		}
		settle(&w);
		w.now += 4 * SEC;
		settle(&w);
		assert_true(session_at_rest(w.s));
		assert_int_equal(counters(&w).waiting, 0);
		for (pod_id id = 1; id <= inventory_pod_ids(w.v); id++) {
			struct inv_pod_view p;

			if (!inventory_pod(w.v, id, &p) || !p.announceable)
				continue;
			assert_non_null(peer_pod(&w.peer, str_of(p.uid)));
			live++;
		}
		assert_int_equal(w.peer.n_pods, live);
		world_done(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(beats_as_it_is_told),
		cmocka_unit_test(says_who_it_is),
		cmocka_unit_test(tells_of_its_node),
		cmocka_unit_test(beats_when_idle),
		cmocka_unit_test(announces_once),
		cmocka_unit_test(waits_for_a_container_id),
		cmocka_unit_test(names_owners),
		cmocka_unit_test(takes_the_first_ipv4),
		cmocka_unit_test(job_pods_belong_to_their_cronjob),
		cmocka_unit_test(withdraws_what_has_no_address),
		cmocka_unit_test(tells_of_those_that_came_and_went),
		cmocka_unit_test(the_long_dead_are_passed_over),
		cmocka_unit_test(what_was_passed_over_leaves_nothing),
		cmocka_unit_test(dead_pods_wait_too),
		cmocka_unit_test(announces_at_the_timeout_and_mends),
		cmocka_unit_test(stops_waiting_at_the_end),
		cmocka_unit_test(waits_from_when_the_kind_can_be_read),
		cmocka_unit_test(overflows_into_one_resync),
		cmocka_unit_test(cuts_what_is_too_long),
		cmocka_unit_test(epochs_rise),
		cmocka_unit_test(holds_back_for_a_slow_peer),
		cmocka_unit_test(survives_a_cut_in_the_snapshot),
		cmocka_unit_test(goes_on_within_a_pod),
		cmocka_unit_test(dropped_dead_pods_make_a_resync),
		cmocka_unit_test(told_pods_that_died_meanwhile_are_not_told_again),
		cmocka_unit_test(dropped_pods_wait_no_more),
		cmocka_unit_test(a_name_comes_back),
		cmocka_unit_test(converges),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
