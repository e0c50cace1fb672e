/*
 * The two ends of a flow: each kind of name, and each reason for none.
 */
#include "match/end.h"

#include "base/mem.h"
#include "match/memo.h"
#include "tests/lib/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SEC  NSEC_PER_SEC
#define CID  "00000000000000000000000000000000000000000000000000000000000000aa"
#define HASH "0123456789abcdef0123456789abcdef"

static struct inventory *v;
static struct match_policy plain;
static struct end_scope scope;
static struct end_memo *memo;
static struct end_text text;
static struct flow_end end;
static uint16_t source;
static struct addr hosts[1];

static int setup(void **state)
{
	struct inventory_opts o = inventory_defaults;

	(void)state;
	o.keep_idle_owners = true;
	scope = (struct end_scope){
		.policy = &plain, .node = STR("n-1"), .hosts = hosts, .n_hosts = 1};
	if (addr_parse(STR("10.0.0.1"), &hosts[0]) < 0 || inventory_new(&o, &v) < 0 ||
	    end_memo_new(&memo) < 0)
		return -1;
	scope.inventory = v;
	return inventory_source_add(v, &source);
}

static int teardown(void **state)
{
	(void)state;
	end_memo_free(&memo);
	inventory_free(&v);
	return 0;
}

/* "cgroup shop/web-1 c Deployment/web", "unknown ambiguous" */
static void expect(const char *want)
{
	char got[256];

	if (end.known_by == KNOWN_NOT)
		(void)snprintf(got, sizeof(got), "unknown %s", unknown_reason_name(end.why));
	else
		(void)snprintf(got, sizeof(got), "%s %.*s/%.*s %.*s %.*s/%.*s",
			       known_by_name(end.known_by), STR_ARG(end.ns), STR_ARG(end.pod),
			       STR_ARG(end.container), STR_ARG(end.workload_kind),
			       STR_ARG(end.workload));
	assert_string_equal(got, want);
}

static void local(const struct cgroup_ref *ref, bool overdue, const char *want)
{
	end_local(&scope, ref, overdue, &text, &end);
	expect(want);
}

static void remote(const char *address, nsec_t start, unsigned int flags, const char *want)
{
	struct addr a;

	assert_int_equal(addr_parse(str_of(address), &a), 0);
	for (int i = 0; i < 3; i++) { /* without the memo; kept by it or not; from there */
		scope.memo = i ? memo : NULL;
		text = (struct end_text){0};
		end_remote(&scope, &a, start, flags, &text, &end);
		expect(want);
		if (end.known_by == KNOWN_ADDRESS && !str_empty(end.pod))
			assert_ptr_equal(end.pod_uid.p, text.pod_uid);
	}
}

static void pod(unsigned int uid, const char *name, const char *address, nsec_t now)
{
	struct obj b;

	obj_pod(&b, "shop", name, obj_uid(uid), address);
	obj_container(&b, "containerd://" CID, "c", "image");
	obj_owned(&b, "apps/v1", "ReplicaSet", "web-rs", obj_uid(100));
	assert_int_equal(inventory_apply_pod(v, source, now, &b.o), 0);
}

static void replicaset(void)
{
	struct obj b;

	obj_owner(&b, "apps/v1", "ReplicaSet", "shop", "web-rs", obj_uid(100));
	obj_owned(&b, "apps/v1", "Deployment", "web", obj_uid(200));
	assert_int_equal(inventory_apply_owner(v, 0, SEC, &b.o), 0);
}

static void place(unsigned int uid, enum kind kind, const char *name, const char *address)
{
	struct obj b;

	obj_init(&b, kind == KIND_NODE ? "" : "shop", name, obj_uid(uid));
	b.o.place.cluster_ip = str_of(address);
	assert_int_equal(inventory_apply_place(v, source, SEC, kind, &b.o), 0);
}

static void local_pods(void **state)
{
	struct cgroup_ref by_id = {.what = CGROUP_CONTAINER, .container_id = STR(CID)};
	struct cgroup_ref by_uid = {.what = CGROUP_POD, .pod_uid = obj_uid(1)};

	(void)state;
	local(&by_id, false, "unknown pending");
	local(&by_id, true, "unknown no_pod");
	pod(1, "web-1", "10.1.0.1", SEC);
	local(&by_id, false, "unknown pending"); /* its ReplicaSet is not known yet */
	local(&by_id, true, "cgroup shop/web-1 c ReplicaSet/web-rs");
	replicaset();
	local(&by_id, false, "cgroup shop/web-1 c Deployment/web");
	assert_true(str_eq(end.pod_uid, obj_uid(1)));
	local(&by_uid, false, "cgroup shop/web-1  Deployment/web");
	inventory_delete_pod(v, obj_uid(1), 2 * SEC);
	local(&by_id, false, "cgroup shop/web-1 c Deployment/web"); /* dead, and still found */
	(void)inventory_expire(v, 1000 * SEC);
	local(&by_id, false, "unknown pending");
}

/* A container that the pod's status does not name yet: its cgroup names the pod. */
static void local_container_of_a_known_pod(void **state)
{
	struct cgroup_ref ref = {
		.what = CGROUP_CONTAINER,
		.container_id =
			STR("11111111111111111111111111111111111111111111111111111111111111bb"),
		.pod_uid = obj_uid(1)};

	(void)state;
	replicaset();
	pod(1, "web-1", "10.1.0.1", SEC);
	local(&ref, false, "cgroup shop/web-1  Deployment/web");
}

static void local_static_pod(void **state)
{
	struct cgroup_ref ref = {.what = CGROUP_POD, .pod_uid = STR(HASH)};
	struct obj b;

	(void)state;
	local(&ref, false, "unknown pending");
	obj_pod(&b, "kube-system", "etcd-n-1", obj_uid(1), "10.0.0.1");
	b.o.pod.host_network = true;
	b.o.meta.config_hash = b.o.meta.config_mirror = STR(HASH);
	obj_owned(&b, "v1", "Node", "n-1", obj_uid(3));
	assert_int_equal(inventory_apply_pod(v, source, SEC, &b.o), 0);
	local(&ref, false, "cgroup kube-system/etcd-n-1  Node/n-1");
}

static void local_pod_of_nobody(void **state)
{
	struct cgroup_ref ref = {.what = CGROUP_POD, .pod_uid = obj_uid(1)};
	struct obj b;

	(void)state;
	obj_pod(&b, "shop", "alone", obj_uid(1), "10.1.0.1");
	assert_int_equal(inventory_apply_pod(v, source, SEC, &b.o), 0);
	local(&ref, false, "cgroup shop/alone  Pod/alone");
}

static void local_host(void **state)
{
	(void)state;
	local(&(struct cgroup_ref){.what = CGROUP_SERVICE, .unit = STR("sshd.service")}, false,
	      "host /  Host/host/sshd.service");
	local(&(struct cgroup_ref){.what = CGROUP_SERVICE, .unit = STR("init.scope")}, false,
	      "host /  Host/host/init.scope");
	local(&(struct cgroup_ref){.what = CGROUP_OTHER}, false, "host /  Host/host");
	local(NULL, false, "unknown no_cgroup");
}

static void remote_pods(void **state)
{
	(void)state;
	replicaset();
	pod(1, "web-1", "10.1.0.1", 10 * SEC);
	remote("10.1.0.1", 12 * SEC, 0, "unknown pending");
	remote("10.1.0.1", 12 * SEC, END_OVERDUE, "address shop/web-1  Deployment/web");
	remote("10.1.0.1", 12 * SEC, true, "address shop/web-1  Deployment/web");
	remote("10.1.0.1", 8 * SEC, END_OVERDUE | END_ANSWERED, "unknown address");
	/* Told of within a second: it was there when it was answered. */
	remote("10.1.0.1", 10 * SEC - 1, END_OVERDUE, "unknown address");
	remote("10.1.0.1", 9 * SEC, END_OVERDUE | END_ANSWERED,
	       "address shop/web-1  Deployment/web");
	inventory_delete_pod(v, obj_uid(1), 20 * SEC);
	remote("10.1.0.1", 15 * SEC, END_OVERDUE, "address shop/web-1  Deployment/web");
	remote("10.1.0.1", 20 * SEC, END_OVERDUE, "unknown address");
	pod(2, "web-2", "10.1.0.1", 25 * SEC);
	remote("10.1.0.1", 15 * SEC, END_OVERDUE, "address shop/web-1  Deployment/web");
	remote("10.1.0.1", 25 * SEC, END_OVERDUE, "address shop/web-2  Deployment/web");
	/* Somebody had it before, and that may have been longer than was told. */
	remote("10.1.0.1", 25 * SEC - 1, END_OVERDUE | END_ANSWERED, "unknown address");
}

static void remote_could_be_two(void **state)
{
	(void)state;
	replicaset();
	pod(1, "web-1", "10.1.0.1", 10 * SEC);
	pod(2, "web-2", "10.1.0.1", 20 * SEC); /* nobody told yet that web-1 is over */
	remote("10.1.0.1", 15 * SEC, END_OVERDUE, "address shop/web-1  Deployment/web");
	remote("10.1.0.1", 19 * SEC + 1, END_OVERDUE, "unknown ambiguous");
	remote("10.1.0.1", 20 * SEC, END_OVERDUE, "address shop/web-2  Deployment/web");
	inventory_delete_pod(v, obj_uid(1), 20 * SEC + SEC / 2);
	remote("10.1.0.1", 19 * SEC + 1, END_OVERDUE, "unknown ambiguous");
	remote("10.1.0.1", 21 * SEC, END_OVERDUE, "address shop/web-2  Deployment/web");
}

/* The first list comes after the flow: a container that ran by then is evidence. */
static void remote_of_a_list(void **state)
{
	struct obj b;

	(void)state;
	scope.wall_offset = 1700000000 * SEC;
	inventory_list_begin(v, source);
	obj_pod(&b, "shop", "old", obj_uid(1), "10.1.0.1");
	obj_container(&b, "", "c", "image");
	b.containers[0].started = 1700000050;
	assert_int_equal(inventory_apply_pod(v, source, 100 * SEC, &b.o), 0);
	obj_pod(&b, "shop", "new", obj_uid(2), "10.1.0.2");
	assert_int_equal(inventory_apply_pod(v, source, 100 * SEC, &b.o), 0);
	inventory_list_end(v, source, 100 * SEC);
	remote("10.1.0.1", 99 * SEC, END_OVERDUE, "address shop/old  Pod/old");
	remote("10.1.0.1", 52 * SEC, END_OVERDUE, "address shop/old  Pod/old");
	remote("10.1.0.1", 52 * SEC - 1, END_OVERDUE | END_ANSWERED, "unknown address");
	remote("10.1.0.2", 99 * SEC, END_OVERDUE | END_ANSWERED, "unknown address");
	remote("10.1.0.2", 100 * SEC, END_OVERDUE, "address shop/new  Pod/new");
	scope.wall_offset = 0;
	remote("10.1.0.1", 99 * SEC, END_OVERDUE, "unknown address");
}

/* What was kept goes with what it was made of. */
static void remote_after_news(void **state)
{
	struct obj b;

	(void)state;
	pod(1, "web-1", "10.1.0.1", 10 * SEC);
	remote("10.1.0.1", 12 * SEC, END_OVERDUE, "address shop/web-1  ReplicaSet/web-rs");
	replicaset();
	remote("10.1.0.1", 12 * SEC, END_OVERDUE, "address shop/web-1  Deployment/web");
	remote("10.1.0.1", 10 * SEC - 1, END_OVERDUE, "unknown address");
	remote("10.1.0.1", 10 * SEC, END_OVERDUE, "address shop/web-1  Deployment/web");
	obj_pod(&b, "shop", "web-1", obj_uid(1), "10.1.0.2");
	assert_int_equal(inventory_apply_pod(v, source, 30 * SEC, &b.o), 0);
	remote("10.1.0.1", 12 * SEC, END_OVERDUE, "address shop/web-1  Pod/web-1");
	remote("10.1.0.1", 30 * SEC, END_OVERDUE, "unknown address");
	remote("10.1.0.2", 30 * SEC, END_OVERDUE, "address shop/web-1  Pod/web-1");
	assert_int_equal(addr_parse(STR("10.1.0.2"), &hosts[0]), 0);
	remote("10.1.0.2", 31 * SEC, END_OVERDUE, "host /  Node/n-1");
	remote("10.1.0.2", 31 * SEC, END_OVERDUE | END_INBOUND, "unknown translated");
}

static void remote_finished_and_host_network(void **state)
{
	struct obj b;

	(void)state;
	obj_pod(&b, "shop", "job", obj_uid(1), "10.1.0.1");
	b.o.pod.phase = POD_PHASE_SUCCEEDED;
	assert_int_equal(inventory_apply_pod(v, source, SEC, &b.o), 0);
	obj_pod(&b, "shop", "proxy", obj_uid(2), "10.0.0.2");
	b.o.pod.host_network = true;
	assert_int_equal(inventory_apply_pod(v, source, SEC, &b.o), 0);
	remote("10.1.0.1", 5 * SEC, END_OVERDUE, "unknown address");
	remote("10.0.0.2", 5 * SEC, END_OVERDUE, "unknown address");
	place(3, KIND_NODE, "n-2", "10.0.0.2");
	remote("10.0.0.2", 5 * SEC, END_OVERDUE, "address /  Node/n-2");
	remote("10.0.0.2", 5 * SEC, END_OVERDUE | END_INBOUND, "unknown translated");
	place(6, KIND_NODE, "n-1", "10.0.0.3"); /* this node, by an address of no interface */
	remote("10.0.0.3", 5 * SEC, END_OVERDUE, "host /  Node/n-1");
}

static void remote_places(void **state)
{
	(void)state;
	place(1, KIND_SERVICE, "dns", "10.96.0.10");
	place(2, KIND_SERVICE, "lb-1", "192.0.2.7");
	place(3, KIND_SERVICE, "lb-2", "192.0.2.7"); /* two that share a load balancer's address */
	place(4, KIND_SERVICE, "lb-3", "10.0.0.9");  /* one that has a node's */
	place(5, KIND_NODE, "n-9", "10.0.0.9");
	remote("10.96.0.10", 5 * SEC, 0, "unknown pending");
	remote("10.96.0.10", 5 * SEC, END_OVERDUE, "address shop/  Service/dns");
	remote("192.0.2.7", 5 * SEC, END_OVERDUE, "unknown ambiguous");
	remote("10.0.0.9", 5 * SEC, END_OVERDUE, "address /  Node/n-9");
	inventory_delete_place(v, obj_uid(1), 20 * SEC);
	place(6, KIND_SERVICE, "web", "10.96.0.10");
	remote("10.96.0.10", 10 * SEC, END_OVERDUE, "unknown ambiguous");
}

static void remote_host_loopback_and_elsewhere(void **state)
{
	(void)state;
	remote("10.0.0.1", 5 * SEC, 0, "host /  Node/n-1");
	scope.node = (struct str){0};
	remote("10.0.0.1", 5 * SEC, 0, "host /  Node/host");
	remote("127.8.0.1", 5 * SEC, 0, "unknown pending");
	remote("127.8.0.1", 5 * SEC, END_OVERDUE, "unknown address");
	remote("::1", 5 * SEC, END_OVERDUE, "unknown address");
	remote("203.0.113.9", 5 * SEC, END_OVERDUE, "unknown address");
	scope.unsynced = true;
	remote("203.0.113.9", 5 * SEC, END_OVERDUE, "unknown pending");
	scope.node_scope = true;
	remote("203.0.113.9", 5 * SEC, END_OVERDUE, "unknown not_on_node");
}

/* More claims on one address than are looked at. */
static void remote_of_too_many(void **state)
{
	struct obj b;

	(void)state;
	for (unsigned int i = 1; i <= 70; i++) {
		obj_pod(&b, "shop", "short", obj_uid(i), "10.1.0.1");
		assert_int_equal(inventory_apply_pod(v, source, i * 5 * SEC, &b.o), 0);
		remote("10.1.0.1", (i * 5 + 2) * SEC, END_OVERDUE,
		       i <= 64 ? "address shop/short  Pod/short" : "unknown ambiguous");
		inventory_delete_pod(v, obj_uid(i), (i * 5 + 3) * SEC);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	static const struct CMUnitTest tests[] = {
		TEST(local_pods),	   TEST(local_container_of_a_known_pod),
		TEST(local_static_pod),	   TEST(local_pod_of_nobody),
		TEST(local_host),	   TEST(remote_pods),
		TEST(remote_could_be_two), TEST(remote_of_a_list),
		TEST(remote_after_news),   TEST(remote_finished_and_host_network),
		TEST(remote_places),	   TEST(remote_host_loopback_and_elsewhere),
		TEST(remote_of_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
