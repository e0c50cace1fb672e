/*
 * Flows get their names: records of the kernel and objects of the API server go
 * in, in every order, and the ends of the flows come out.
 */
#include "core/attribute.h"

#include "base/mem.h"
#include "flow_abi.h"
#include "tests/lib/objects.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SEC  NSEC_PER_SEC
#define CID1 "00000000000000000000000000000000000000000000000000000000000000aa"
#define CID2 "00000000000000000000000000000000000000000000000000000000000000bb"
#define HASH "0123456789abcdef0123456789abcdef"

enum { CG_PODS = 2, CG_WEB, CG_WEB_C, CG_DB, CG_DB_C, CG_STATIC, CG_SYSTEM, CG_SSHD };

static struct {
	struct flows *f;
	struct inventory *v;
	struct attribute *a;
	struct match_policy policy;
	struct addr host;
	nsec_t now;
	uint64_t next_sk;
	uint32_t netns; /* of the next connections */
	struct flow_cursor *cursor;
} w;

static int start(void)
{
	struct attribute_opts o = {.scope = {.policy = &w.policy, .hosts = &w.host, .n_hosts = 1}};
	int r;

	w.now = 100 * SEC;
	w.next_sk = 1;
	(void)addr_parse(STR("10.0.0.1"), &w.host);
	r = flows_new(&(struct flows_opts){0}, &w.f);
	if (r == 0)
		r = flows_cursor_add(w.f, &w.cursor);
	if (r == 0)
		r = inventory_new(&inventory_defaults, &w.v);
	o.flows = w.f;
	o.inventory = w.v;
	return r < 0 ? r : attribute_new(&o, &w.a);
}

static void stop(void)
{
	attribute_free(&w.a);
	if (w.f)
		flows_cursor_remove(w.f, &w.cursor);
	flows_free(&w.f);
	inventory_free(&w.v);
}

static int make_tree(void)
{
	static const struct {
		uint64_t id, parent;
		const char *name;
	} tree[] = {
		{1, 0, ""},
		{CG_PODS, 1, "kubepods.slice"},
		{CG_WEB, CG_PODS, "kubepods-pod00000000_0000_4000_8000_000000000001.slice"},
		{CG_WEB_C, CG_WEB, "cri-containerd-" CID1 ".scope"},
		{CG_DB, CG_PODS, "kubepods-pod00000000_0000_4000_8000_000000000002.slice"},
		{CG_DB_C, CG_DB, "cri-containerd-" CID2 ".scope"},
		{CG_STATIC, CG_PODS, "kubepods-pod" HASH ".slice"},
		{CG_SYSTEM, 1, "system.slice"},
		{CG_SSHD, CG_SYSTEM, "sshd.service"},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tree); i++)
		r = flows_cgroup(w.f, w.now, tree[i].id, tree[i].parent, str_of(tree[i].name));
	return r;
}

static int setup(void **state)
{
	(void)state;
	return start() < 0 || make_tree() < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	stop();
	return 0;
}

/* ---- what goes in ---------------------------------------------------------------------------- */

static void put_ip(uint8_t out[16], const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(str_of(text), &a), 0);
	memcpy(out, a.b, 16);
}

struct conn {
	uint64_t cgroup;
	const char *from, *to;
	uint16_t lport, rport;
	enum abi_dir dir;
};

static struct abi_tcp record(const struct conn *c)
{
	struct abi_tcp t = {
		.head = {.type = ABI_TCP_OPEN,
			 .version = ABI_VERSION,
			 .size = sizeof(t),
			 .time = w.now},
		.sk = w.next_sk++,
		.sock = {.start = w.now,
			 .updated = w.now,
			 .cgroup = c->cgroup,
			 .state = 1, /* TCP_ESTABLISHED */
			 .dir = (uint8_t)c->dir,
			 .flags = ABI_SOCK_WAS_OPEN,
			 .pid = 77},
	};

	put_ip(t.sock.tuple.laddr, c->from);
	put_ip(t.sock.tuple.raddr, c->to);
	t.sock.tuple.lport = c->lport;
	t.sock.tuple.rport = c->rport;
	t.sock.tuple.netns = w.netns;
	return t;
}

static int give(const struct abi_tcp *t)
{
	return flows_record(w.f, w.now, str_make(t, sizeof(*t)));
}

static struct abi_tcp open_conn(const struct conn *c)
{
	struct abi_tcp t = record(c);

	assert_int_equal(give(&t), 0);
	return t;
}

static void close_conn(struct abi_tcp t)
{
	t.head.type = ABI_TCP_CLOSE;
	t.head.time = t.sock.updated = w.now;
	t.sock.state = 7; /* TCP_CLOSE */
	assert_int_equal(give(&t), 0);
}

static int pod(unsigned int uid, const char *name, const char *ip, const char *cid)
{
	char id[100];
	struct obj b;

	obj_pod(&b, "shop", name, obj_uid(uid), ip);
	(void)snprintf(id, sizeof(id), "containerd://%s", cid);
	obj_container(&b, id, "c", "image");
	return inventory_apply_pod(w.v, 0, w.now, &b.o);
}

static void run(void)
{
	int r;

	for (int i = 0; i < 1000 && (r = attribute_run(w.a, w.now)); i++)
		;
	assert_int_equal(r, 0);
	(void)flows_tick(w.f, w.now);
}

static void pass(nsec_t span)
{
	for (nsec_t end = w.now + span; w.now < end; run())
		w.now += MIN(end - w.now, SEC / 4);
}

/* ---- what comes out -------------------------------------------------------------------------- */

static void print_end(char out[128], const struct flow_end *e)
{
	if (e->known_by == KNOWN_NOT)
		(void)snprintf(out, 128, "%s", unknown_reason_name(e->why));
	else
		(void)snprintf(out, 128, "%s:%.*s/%.*s", known_by_name(e->known_by),
			       STR_ARG(e->workload_kind), STR_ARG(e->workload));
}

/* The flow with this local port, as the cursors see it; "-" when it is not released. */
static void expect(uint16_t lport, const char *local, const char *remote)
{
	char got[2][128] = {"-", "-"};
	struct flow_view f;

	for (flow_id id = flows_next(w.f, 0); id; id = flows_next(w.f, id)) {
		assert_true(flows_at(w.f, id, &f));
		if (f.lport != lport)
			continue;
		print_end(got[0], &f.local);
		print_end(got[1], &f.remote);
	}
	assert_string_equal(got[0], local);
	assert_string_equal(got[1], remote);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void a_pod_told_of_later(void **state)
{
	(void)state;
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT});
	run();
	expect(1001, "-", "-");
	pass(3 * SEC);
	expect(1001, "-", "-");
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	run();
	expect(1001, "cgroup:Pod/web", "address"); /* nobody has 10.1.0.9 */
}

static void an_end_has_all_its_names(void **state)
{
	struct flow_view f;
	struct obj b;

	(void)state;
	obj_pod(&b, "shop", "web-1", obj_uid(1), "10.1.0.1");
	obj_container(&b, "containerd://" CID1, "app", "image");
	obj_owned(&b, "apps/v1", "StatefulSet", "web", obj_uid(100));
	assert_int_equal(inventory_apply_pod(w.v, 0, w.now, &b.o), 0);
	obj_owner(&b, "apps/v1", "StatefulSet", "shop", "web", obj_uid(100));
	assert_int_equal(inventory_apply_owner(w.v, 0, w.now, &b.o), 0);
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.0.0.1", 1001, 80, ABI_DIR_OUT});
	pass(2 * SEC);
	assert_true(flows_at(w.f, flows_next(w.f, 0), &f));
	assert_true(str_eq(f.local.ns, STR("shop")));
	assert_true(str_eq(f.local.pod, STR("web-1")));
	assert_true(str_eq(f.local.pod_uid, obj_uid(1)));
	assert_true(str_eq(f.local.container, STR("app")));
	assert_true(str_eq(f.local.workload, STR("web")));
	assert_true(str_eq(f.local.workload_kind, STR("StatefulSet")));
}

static void a_pod_never_told_of(void **state)
{
	(void)state;
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.0.0.1", 1001, 80, ABI_DIR_OUT});
	pass(29 * SEC);
	expect(1001, "-", "-");
	pass(3 * SEC);
	expect(1001, "no_pod", "host:Node/host");
}

/* Told of by uid and by hash alone, with no container id yet. */
static void pods_without_containers(void **state)
{
	struct obj b;

	(void)state;
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT});
	(void)open_conn(&(struct conn){CG_STATIC, "10.0.0.1", "10.1.0.9", 1002, 80, ABI_DIR_OUT});
	run();
	obj_pod(&b, "shop", "web", obj_uid(1), NULL);
	assert_int_equal(inventory_apply_pod(w.v, 0, w.now, &b.o), 0);
	obj_pod(&b, "kube-system", "etcd", obj_uid(5), "10.0.0.1");
	b.o.pod.host_network = true;
	b.o.meta.config_hash = b.o.meta.config_mirror = STR(HASH);
	assert_int_equal(inventory_apply_pod(w.v, 0, w.now, &b.o), 0);
	run();
	expect(1001, "-", "-"); /* the container may be told of in a moment */
	expect(1002, "cgroup:Pod/etcd", "pending");
	pass(6 * SEC);
	expect(1001, "cgroup:Pod/web", "address");
}

/* ---- containers that are told of late -------------------------------------------------------- */

static void expect_containers(uint16_t lport, const char *local, const char *remote)
{
	struct flow_view f;

	for (flow_id id = flows_next(w.f, 0); id; id = flows_next(w.f, id)) {
		assert_true(flows_at(w.f, id, &f));
		if (f.lport != lport)
			continue;
		assert_true(str_eq(f.local.container, str_of(local)));
		assert_true(str_eq(f.remote.container, str_of(remote)));
		return;
	}
	fail_msg("no flow with port %u", lport);
}

/* The pod is known, and that container of it is not: it was just restarted. */
static void a_restarted_container_is_waited_for(void **state)
{
	struct abi_tcp t, u;

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", HASH HASH), 0);
	assert_int_equal(pod(2, "db", "10.1.0.2", CID2), 0);
	run();
	t = open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.2", 1001, 5432, ABI_DIR_OUT});
	u = open_conn(&(struct conn){CG_DB_C, "10.1.0.2", "10.1.0.1", 5432, 1001, ABI_DIR_IN});
	pass(SEC / 4);
	close_conn(t);
	close_conn(u);
	pass(SEC);
	expect(1001, "-", "-");
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	run();
	expect(1001, "cgroup:Pod/web", "cgroup:Pod/db");
	expect_containers(1001, "c", "c");
	expect_containers(5432, "c", "c");
}

/* A pod's sandbox is never told of: its first flow waits a while, the others do not. */
static void a_container_never_told_of(void **state)
{
	struct flows_stats st;

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", HASH HASH), 0);
	run();
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT});
	pass(6 * SEC);
	expect(1001, "cgroup:Pod/web", "address");
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1002, 80, ABI_DIR_OUT});
	run();
	expect(1002, "cgroup:Pod/web", "pending");
	flows_stats(w.f, &st);
	assert_true(st.pending == 0 && st.pending_timeouts == 0 && st.pending_full == 0);
}

/* Later than anybody waits: lines from then on have it, on both sides; and it stays when the pod
 * lists another container. */
static void a_container_told_of_too_late(void **state)
{
	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", HASH HASH), 0);
	assert_int_equal(pod(2, "db", "10.1.0.2", CID2), 0);
	run();
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.2", 1001, 5432, ABI_DIR_OUT});
	(void)open_conn(&(struct conn){CG_DB_C, "10.1.0.2", "10.1.0.1", 5432, 1001, ABI_DIR_IN});
	pass(8 * SEC);
	expect_containers(1001, "", "c");
	expect_containers(5432, "c", "");
	while (flows_cursor_next(w.f, w.cursor))
		;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	run();
	assert_false(flows_cursor_at_end(w.f, w.cursor));
	expect_containers(1001, "c", "c");
	expect_containers(5432, "c", "c");
	assert_int_equal(pod(1, "web", "10.1.0.1", HASH HASH), 0);
	flows_wake_pod(w.f, obj_uid(1));
	run();
	expect_containers(1001, "c", "c");
	expect_containers(5432, "c", "c");
}

/* Found open before, with no cgroup: the kernel names it later. */
static void a_cgroup_learned_late(void **state)
{
	struct abi_tcp t;
	const struct conn c = {0, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT};

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", HASH HASH), 0);
	t = open_conn(&c);
	pass(2 * SEC);
	expect(1001, "no_cgroup", "address");
	t.sock.cgroup = CG_WEB_C;
	t.head.time = t.sock.updated = w.now;
	assert_int_equal(give(&t), 0);
	run();
	expect(1001, "cgroup:Pod/web", "address");
	expect_containers(1001, "", "");
	pass(10 * SEC);
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	run();
	expect_containers(1001, "c", "");
}

static void a_pod_told_of_too_late(void **state)
{
	struct abi_tcp t;
	struct flows_stats st;

	(void)state;
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.0.0.1", 1001, 80, ABI_DIR_OUT});
	t = open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.0.0.1", 1002, 80, ABI_DIR_OUT});
	w.now += 1;
	close_conn(t);
	pass(32 * SEC);
	expect(1001, "no_pod", "host:Node/host");
	expect(1002, "no_pod", "host:Node/host");
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	run();
	expect(1001, "cgroup:Pod/web", "host:Node/host");
	expect(1002, "cgroup:Pod/web", "host:Node/host"); /* ended, and nobody took it yet */
	expect_containers(1002, "c", "");
	flows_stats(w.f, &st);
	assert_true(st.known_local[KNOWN_CGROUP] == 2 && st.unknown_local[UNKNOWN_NO_POD] == 0);
}

/* Pods that nobody will tell of do not fill the queue: one flow shows that, until a pod comes. */
static void given_up_once_is_not_waited_for(void **state)
{
	struct flows_stats st;

	(void)state;
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.0.0.1", 1001, 80, ABI_DIR_OUT});
	pass(32 * SEC);
	for (uint16_t i = 0; i < 100; i++)
		(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.0.0.1",
					       (uint16_t)(2000 + i), 80, ABI_DIR_OUT});
	(void)open_conn(&(struct conn){CG_DB_C, "10.1.0.2", "10.0.0.1", 1002, 80, ABI_DIR_OUT});
	run();
	flows_stats(w.f, &st);
	assert_int_equal(st.pending, 1);
	assert_int_equal(st.unknown_local[UNKNOWN_NO_POD], 101);
	assert_int_equal(st.pending_timeouts, 1);
	expect(2099, "no_pod", "pending");
	pass(2 * SEC);
	expect(2099, "no_pod", "host:Node/host");
	expect(1002, "-", "-");
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	assert_int_equal(pod(2, "db", "10.1.0.2", CID2), 0);
	run();
	expect(2099, "cgroup:Pod/web", "host:Node/host");
	expect(1002, "cgroup:Pod/db", "host:Node/host");
}

static void the_twin_names_the_remote_end(void **state)
{
	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	assert_int_equal(pod(2, "db", NULL, CID2), 0); /* its address is not told of */
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.2", 1001, 5432, ABI_DIR_OUT});
	(void)open_conn(&(struct conn){CG_DB_C, "10.1.0.2", "10.1.0.1", 5432, 1001, ABI_DIR_IN});
	run();
	expect(1001, "cgroup:Pod/web", "cgroup:Pod/db");
	expect(5432, "cgroup:Pod/db", "cgroup:Pod/web");
}

/* The owner of the other end's pod is told of when its reference has been believed already. */
static void the_twin_gets_a_better_name(void **state)
{
	struct obj b;

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	obj_pod(&b, "shop", "db-1-x", obj_uid(2), "10.1.0.2");
	obj_container(&b, "containerd://" CID2, "c", "image");
	obj_owned(&b, "apps/v1", "ReplicaSet", "db-1", obj_uid(12));
	assert_int_equal(inventory_apply_pod(w.v, 0, w.now, &b.o), 0);
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.2", 1001, 5432, ABI_DIR_OUT});
	(void)open_conn(&(struct conn){CG_DB_C, "10.1.0.2", "10.1.0.1", 5432, 1001, ABI_DIR_IN});
	pass(3 * SEC);
	expect(1001, "cgroup:Pod/web", "cgroup:ReplicaSet/db-1");
	obj_owner(&b, "apps/v1", "ReplicaSet", "shop", "db-1", obj_uid(12));
	obj_owned(&b, "apps/v1", "Deployment", "db", obj_uid(22));
	assert_int_equal(inventory_apply_owner(w.v, 0, w.now, &b.o), 0);
	run();
	expect(1001, "cgroup:Pod/web", "cgroup:Deployment/db");
	expect(5432, "cgroup:Deployment/db", "cgroup:Pod/web");
}

/* Its socket is on this kernel, and its pod is another node's: its address says who it is. */
static void a_twin_without_a_name(void **state)
{
	struct abi_tcp t;

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	assert_int_equal(pod(9, "far", "10.1.0.9", NULL), 0);
	(void)open_conn(&(struct conn){CG_DB_C, "10.1.0.9", "10.0.0.1", 999, 80, ABI_DIR_OUT});
	pass(32 * SEC); /* nobody will tell of this container */
	t = open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT});
	(void)open_conn(&(struct conn){CG_DB_C, "10.1.0.9", "10.1.0.1", 80, 1001, ABI_DIR_IN});
	run();
	w.now += SEC / 100;
	close_conn(t);
	pass(2 * SEC);
	expect(80, "no_pod", "cgroup:Pod/web");
	expect(1001, "cgroup:Pod/web", "address:Pod/far");
}

/* The remote end is known by its address when a second has passed; a short flow waits for that. */
static void short_flows_get_their_remote_end(void **state)
{
	struct abi_tcp t;

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	assert_int_equal(pod(9, "far", "10.1.0.9", CID2), 0);
	w.now += SEC;
	t = open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT});
	w.now += SEC / 100;
	close_conn(t);
	run();
	pass(2 * SEC);
	expect(1001, "cgroup:Pod/web", "address:Pod/far");
}

/* Who answered was there; when nobody did, it may have been another's. */
static void an_address_told_of_after_the_first_connection(void **state)
{
	struct abi_tcp t;

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	(void)open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT});
	close_conn(
		open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1002, 80, ABI_DIR_OUT}));
	t = open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1003, 80, ABI_DIR_OUT});
	t.sock.flags |= ABI_SOCK_RST_RECEIVED;
	close_conn(t);
	t = record(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1004, 80, ABI_DIR_OUT});
	t.sock.flags = 0;
	t.sock.err = ETIMEDOUT;
	close_conn(t);
	pass(SEC / 2);
	assert_int_equal(pod(9, "far", "10.1.0.9", CID2), 0);
	pass(SEC);
	expect(1001, "cgroup:Pod/web", "address:Pod/far");
	expect(1002, "cgroup:Pod/web", "address:Pod/far");
	expect(1003, "cgroup:Pod/web", "address:Pod/far");
	expect(1004, "cgroup:Pod/web", "address");
}

static void loopback(uint64_t cgroup, uint16_t port, uint32_t netns)
{
	w.netns = netns;
	(void)open_conn(&(struct conn){cgroup, "127.0.0.1", "127.0.0.1", port, 80, ABI_DIR_OUT});
	w.netns = 0;
}

/* It is the pod's in a namespace of its own; who it is in the host's cannot be known. */
static void loopback_without_a_twin(void **state)
{
	struct obj b;

	(void)state;
	attribute_scope(w.a)->host_netns = 7;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	obj_pod(&b, "shop", "proxy", obj_uid(2), "10.0.0.1");
	b.o.pod.host_network = true;
	obj_container(&b, "containerd://" CID2, "c", "image");
	assert_int_equal(inventory_apply_pod(w.v, 0, w.now, &b.o), 0);
	loopback(CG_WEB_C, 1001, 9);
	loopback(CG_WEB_C, 1002, 7);
	loopback(CG_WEB_C, 1003, 0);
	loopback(CG_DB_C, 1004, 7);
	loopback(CG_DB_C, 1005, 11);
	loopback(CG_SSHD, 1006, 7);
	loopback(CG_SSHD, 1007, 12);
	pass(2 * SEC);
	expect(1001, "cgroup:Pod/web", "address:Pod/web");
	expect(1002, "cgroup:Pod/web", "ambiguous");
	expect(1003, "cgroup:Pod/web", "ambiguous");
	expect(1004, "cgroup:Pod/proxy", "ambiguous");
	expect(1005, "cgroup:Pod/proxy", "ambiguous");
	expect(1006, "host:Host/host/sshd.service", "ambiguous");
	expect(1007, "host:Host/host/sshd.service", "ambiguous");
}

/* Two pods that share a namespace: neither is the other end for sure. The number of a namespace
 * that is gone comes again, though. */
static void loopback_where_others_were_seen(void **state)
{
	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	assert_int_equal(pod(2, "db", "10.1.0.2", CID2), 0);
	loopback(CG_WEB_C, 1001, 9);
	loopback(CG_DB_C, 1002, 9);
	loopback(CG_DB_C, 1003, 10);
	pass(2 * SEC);
	expect(1001, "cgroup:Pod/web", "ambiguous");
	expect(1002, "cgroup:Pod/db", "ambiguous");
	expect(1003, "cgroup:Pod/db", "address:Pod/db");
	loopback(CG_WEB_C, 1004, 10);
	pass(2 * SEC);
	expect(1004, "cgroup:Pod/web", "ambiguous");
	w.now += 61 * SEC;
	loopback(CG_WEB_C, 1005, 10);
	pass(2 * SEC);
	expect(1005, "cgroup:Pod/web", "address:Pod/web");
}

/* What was ambiguous when it was asked first stays so, when one of the two is forgotten. */
static void forgetting_makes_nobody_certain(void **state)
{
	struct abi_tcp t;

	(void)state;
	assert_int_equal(pod(1, "web", "10.1.0.1", CID1), 0);
	assert_int_equal(pod(3, "old", "10.1.0.9", CID2), 0);
	pass(5 * SEC);
	t = open_conn(&(struct conn){CG_WEB_C, "10.1.0.1", "10.1.0.9", 1001, 80, ABI_DIR_OUT});
	w.now += SEC / 4;
	inventory_delete_pod(w.v, obj_uid(3), w.now);
	w.now += SEC / 4;
	assert_int_equal(pod(4, "new", "10.1.0.9", CID2), 0);
	pass(2 * SEC);
	expect(1001, "cgroup:Pod/web", "ambiguous");
	w.now += 1000 * SEC;
	(void)inventory_expire(w.v, w.now);
	close_conn(t);
	run();
	expect(1001, "cgroup:Pod/web", "ambiguous");
}

/* Far more flows and pods than one run takes. */
/* More directories than names are remembered of, and ends that would be remembered in one place. */
static void many_directories(void **state)
{
	enum { FIRST = 1000, DIRS = 400, APART = 128 };
	char name[64], local[64], remote[64];

	(void)state;
	for (uint64_t i = 0; i < DIRS; i++) {
		(void)snprintf(name, sizeof(name), "s%llu.service", (unsigned long long)i);
		assert_int_equal(flows_cgroup(w.f, w.now, FIRST + i, CG_SYSTEM, str_of(name)), 0);
	}
	for (uint16_t i = 0; i + APART < DIRS; i++) {
		const uint16_t a = (uint16_t)(2000 + i), b = (uint16_t)(4000 + i);

		(void)open_conn(
			&(struct conn){FIRST + i, "10.0.0.1", "10.0.0.1", a, b, ABI_DIR_OUT});
		(void)open_conn(&(struct conn){FIRST + i + APART, "10.0.0.1", "10.0.0.1", b, a,
					       ABI_DIR_IN});
	}
	run();
	for (uint16_t i = 0; i + APART < DIRS; i++) {
		(void)snprintf(local, sizeof(local), "host:Host/host/s%u.service", i);
		(void)snprintf(remote, sizeof(remote), "host:Host/host/s%u.service", i + APART);
		expect((uint16_t)(2000 + i), local, remote);
	}
}

static void cgroup_gone(uint64_t id)
{
	struct abi_cgroup g = {.head = {.type = ABI_CGROUP_GONE,
					.version = ABI_VERSION,
					.size = sizeof(g),
					.time = w.now},
			       .id = id};

	assert_int_equal(flows_record(w.f, w.now, str_make(&g, sizeof(g))), 0);
}

/* A directory takes the place of one that is gone. */
static void a_directory_after_another(void **state)
{
	enum { OLD = 1000, NEW };
	struct abi_tcp t[2];
	cgroup_ix was;

	(void)state;
	assert_int_equal(flows_cgroup(w.f, w.now, OLD, CG_SYSTEM, STR("old.service")), 0);
	was = flows_cgroup_by_id(w.f, OLD);
	t[0] = record(&(struct conn){OLD, "10.0.0.1", "10.0.0.1", 1001, 80, ABI_DIR_OUT});
	t[1] = record(&(struct conn){CG_SSHD, "10.0.0.1", "10.0.0.1", 80, 1001, ABI_DIR_IN});
	for (int i = 0; i < 2; i++) {
		t[i].sock.pid = 0; /* it would hold the directory */
		assert_int_equal(give(&t[i]), 0);
	}
	run();
	expect(1001, "host:Host/host/old.service", "host:Host/host/sshd.service");
	close_conn(t[0]);
	close_conn(t[1]);
	cgroup_gone(OLD);
	while (flows_cursor_next(w.f, w.cursor))
		;
	flows_cursor_remove(w.f, &w.cursor); /* with it goes the flow */
	pass(200 * SEC);
	assert_int_equal(flows_cgroup_by_id(w.f, OLD), 0);
	assert_int_equal(flows_cgroup(w.f, w.now, NEW, CG_SYSTEM, STR("new.service")), 0);
	assert_int_equal(flows_cgroup_by_id(w.f, NEW), was);
	assert_int_equal(flows_cursor_add(w.f, &w.cursor), 0);
	(void)open_conn(&(struct conn){NEW, "10.0.0.1", "10.1.0.9", 1002, 80, ABI_DIR_OUT});
	run();
	expect(1002, "host:Host/host/new.service", "pending");
}

static void work_comes_in_slices(void **state)
{
	char name[32], cid[80];
	int runs = 0;

	(void)state;
	for (unsigned int i = 0; i < 3000; i++) {
		(void)snprintf(name, sizeof(name), "p-%u", i);
		(void)snprintf(cid, sizeof(cid), "%064x", i + 1000);
		assert_int_equal(pod(100 + i, name, NULL, cid), 0);
		(void)open_conn(&(struct conn){CG_SSHD, "10.0.0.1", "10.9.0.1",
					       (uint16_t)(10000 + i), 80, ABI_DIR_OUT});
	}
	while (attribute_run(w.a, w.now) && runs < 100)
		runs++;
	assert_in_range(runs, 3, 20);
	expect(12999, "host:Host/host/sshd.service", "pending");
	pass(2 * SEC);
	expect(12999, "host:Host/host/sshd.service", "address");
}

static int all_of_it(void *ctx)
{
	struct conn out = {CG_WEB_C, "10.1.0.1", "10.1.0.2", 1001, 5432, ABI_DIR_OUT};
	struct conn in = {CG_DB_C, "10.1.0.2", "10.1.0.1", 5432, 1001, ABI_DIR_IN};
	struct abi_tcp a, b;
	int r;

	(void)ctx;
	r = start();
	if (r == 0)
		r = make_tree();
	if (r == 0) {
		a = record(&out);
		b = record(&in);
		r = give(&a);
	}
	if (r == 0)
		r = give(&b);
	if (r == 0)
		r = attribute_run(w.a, w.now);
	if (r == 0)
		r = pod(1, "web", "10.1.0.1", CID1);
	if (r == 0)
		r = pod(2, "db", "10.1.0.2", CID2);
	for (int i = 0; r == 0 && i < 5; i++)
		r = attribute_run(w.a, w.now += SEC);
	stop();
	return r;
}

static void torture(void **state)
{
	(void)state;
	assert_int_equal(torture_run(all_of_it, NULL), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(a_pod_told_of_later),
		TEST(an_end_has_all_its_names),
		TEST(a_pod_never_told_of),
		TEST(pods_without_containers),
		TEST(a_restarted_container_is_waited_for),
		TEST(a_container_never_told_of),
		TEST(a_container_told_of_too_late),
		TEST(a_cgroup_learned_late),
		TEST(a_pod_told_of_too_late),
		TEST(given_up_once_is_not_waited_for),
		TEST(the_twin_names_the_remote_end),
		TEST(the_twin_gets_a_better_name),
		TEST(a_twin_without_a_name),
		TEST(short_flows_get_their_remote_end),
		TEST(an_address_told_of_after_the_first_connection),
		TEST(loopback_without_a_twin),
		TEST(loopback_where_others_were_seen),
		TEST(forgetting_makes_nobody_certain),
		TEST(many_directories),
		TEST(a_directory_after_another),
		TEST(work_comes_in_slices),
		cmocka_unit_test(torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
