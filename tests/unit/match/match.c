/*
 * Owner chains: every shape that section 7 of the protocol's notes lists.
 */
#include "match/match.h"

#include "base/mem.h"
#include "tests/lib/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC

static struct inventory *v;
static struct match_policy plain;

static int setup(void **state)
{
	struct inventory_opts o = inventory_defaults;

	(void)state;
	o.keep_idle_owners = true;
	return inventory_new(&o, &v);
}

static int teardown(void **state)
{
	(void)state;
	inventory_free(&v);
	return 0;
}

static void owner(const char *api, const char *kind, const char *name, unsigned int uid,
		  const char *up_api, const char *up_kind, const char *up_name, unsigned int up)
{
	struct obj b;

	obj_owner(&b, api, kind, "ns", name, obj_uid(uid));
	if (up_kind)
		obj_owned(&b, up_api, up_kind, up_name, obj_uid(up));
	assert_int_equal(inventory_apply_owner(v, 0, SEC, &b.o), 0);
}

/* A pod "p" with that controller; its id. */
static pod_id pod(const char *api, const char *kind, const char *name, unsigned int uid)
{
	struct obj b;

	obj_pod(&b, "ns", "p", obj_uid(1), "10.0.0.1");
	if (kind)
		obj_owned(&b, api, kind, name, obj_uid(uid));
	assert_int_equal(inventory_apply_pod(v, 0, SEC, &b.o), 0);
	return inventory_by_uid(v, obj_uid(1));
}

static void expect(pod_id id, enum match_result result, enum match_end end, enum kind kind,
		   const char *name)
{
	struct workload w;

	assert_int_equal(match_pod(v, &plain, id, &w), result);
	assert_int_equal(w.end, end);
	assert_int_equal(w.kind, kind);
	assert_true(str_eq(w.name, str_of(name)));
}

static void deployment_behind_replicaset(void **state)
{
	pod_id id = pod("apps/v1", "ReplicaSet", "web-1", 10);

	(void)state;
	expect(id, MATCH_WAIT, MATCH_END_UNKNOWN, KIND_REPLICASET, "web-1");
	owner("apps/v1", "ReplicaSet", "web-1", 10, "apps/v1", "Deployment", "web", 20);
	expect(id, MATCH_FOUND, MATCH_END_TOP, KIND_DEPLOYMENT, "web");
	inventory_delete_owner(v, obj_uid(10), SEC); /* deleted before its pod: remembered */
	expect(id, MATCH_FOUND, MATCH_END_TOP, KIND_DEPLOYMENT, "web");
}

static void cronjob_behind_job(void **state)
{
	(void)state;
	owner("batch/v1", "Job", "backup-1", 10, "batch/v1", "CronJob", "backup", 20);
	expect(pod("batch/v1", "Job", "backup-1", 10), MATCH_FOUND, MATCH_END_TOP, KIND_CRONJOB,
	       "backup");
}

static void bare_replicaset_and_bare_job(void **state)
{
	(void)state;
	owner("apps/v1", "ReplicaSet", "bare", 10, NULL, NULL, NULL, 0);
	expect(pod("apps/v1", "ReplicaSet", "bare", 10), MATCH_FOUND, MATCH_END_TOP,
	       KIND_REPLICASET, "bare");
	owner("batch/v1", "Job", "once", 11, NULL, NULL, NULL, 0);
	expect(pod("batch/v1", "Job", "once", 11), MATCH_FOUND, MATCH_END_TOP, KIND_JOB, "once");
}

static void replicaset_of_a_custom_resource(void **state)
{
	(void)state;
	owner("apps/v1", "ReplicaSet", "r-1", 10, "argoproj.io/v1alpha1", "Rollout", "r", 20);
	expect(pod("apps/v1", "ReplicaSet", "r-1", 10), MATCH_FOUND, MATCH_END_TOP, KIND_OTHER,
	       "r");
}

static void a_job_of_another_group_is_not_a_job(void **state)
{
	(void)state;
	owner("batch.example.com/v1", "Job", "x", 10, "apps/v1", "Deployment", "web", 20);
	expect(pod("batch.example.com/v1", "Job", "x", 10), MATCH_FOUND, MATCH_END_TOP, KIND_OTHER,
	       "x");
}

static void statefulset_daemonset_node_and_nobody(void **state)
{
	(void)state;
	expect(pod("apps/v1", "StatefulSet", "db", 10), MATCH_FOUND, MATCH_END_TOP,
	       KIND_STATEFULSET, "db");
	expect(pod("apps/v1", "DaemonSet", "log", 11), MATCH_FOUND, MATCH_END_TOP, KIND_DAEMONSET,
	       "log");
	expect(pod("v1", "Node", "node-1", 12), MATCH_FOUND, MATCH_END_TOP, KIND_NODE, "node-1");
	expect(pod(NULL, NULL, NULL, 0), MATCH_FOUND, MATCH_END_NO_OWNER, KIND_OTHER, "p");
}

static void controllers_that_are_not_first_or_not_controllers(void **state)
{
	struct owner_ref refs[2] = {{.api_version = STR("x/v1"),
				     .kind = STR("Group"),
				     .name = STR("g"),
				     .uid = STR("g-1")},
				    {.api_version = STR("apps/v1"),
				     .kind = STR("StatefulSet"),
				     .name = STR("db"),
				     .uid = STR("s-1"),
				     .controller = true}};
	struct obj b;

	(void)state;
	obj_pod(&b, "ns", "p", obj_uid(1), "10.0.0.1");
	b.o.meta.owners = refs;
	b.o.meta.n_owners = 2;
	assert_int_equal(inventory_apply_pod(v, 0, SEC, &b.o), 0);
	expect(inventory_by_uid(v, obj_uid(1)), MATCH_FOUND, MATCH_END_TOP, KIND_STATEFULSET, "db");
	refs[1].controller = false;
	assert_int_equal(inventory_apply_pod(v, 0, SEC, &b.o), 0);
	expect(inventory_by_uid(v, obj_uid(1)), MATCH_FOUND, MATCH_END_NO_OWNER, KIND_OTHER, "p");
}

static void an_owner_that_cannot_be_read_ends_the_chain(void **state)
{
	pod_id id = pod("batch/v1", "Job", "j", 10);

	(void)state;
	inventory_refuse_owner(v, obj_uid(10));
	expect(id, MATCH_FOUND, MATCH_END_REFUSED, KIND_JOB, "j");
	owner("batch/v1", "Job", "j", 10, "batch/v1", "CronJob", "c", 20); /* granted later */
	expect(id, MATCH_FOUND, MATCH_END_TOP, KIND_CRONJOB, "c");
}

static void adoption_and_orphaning(void **state)
{
	pod_id id;

	(void)state;
	owner("apps/v1", "ReplicaSet", "rs", 10, NULL, NULL, NULL, 0);
	id = pod("apps/v1", "ReplicaSet", "rs", 10);
	expect(id, MATCH_FOUND, MATCH_END_TOP, KIND_REPLICASET, "rs");
	owner("apps/v1", "ReplicaSet", "rs", 10, "apps/v1", "Deployment", "d", 20);
	expect(id, MATCH_FOUND, MATCH_END_TOP, KIND_DEPLOYMENT, "d");
	owner("apps/v1", "ReplicaSet", "rs", 10, NULL, NULL, NULL, 0);
	expect(id, MATCH_FOUND, MATCH_END_TOP, KIND_REPLICASET, "rs");
}

static void listed_kinds_are_climbed(void **state)
{
	const struct str follow[] = {STR("db.example.com/Cluster")};
	const struct match_policy p = {.follow = follow, .n_follow = 1};
	const struct match_policy all = {.follow_all = true};
	struct workload w;
	pod_id id;

	(void)state;
	id = pod("db.example.com/v1", "Cluster", "c", 10);
	owner("db.example.com/v1", "Cluster", "c", 10, "db.example.com/v1", "Fleet", "f", 20);
	expect(id, MATCH_FOUND, MATCH_END_TOP, KIND_OTHER, "c");
	assert_int_equal(match_pod(v, &p, id, &w), MATCH_FOUND);
	assert_true(str_eq(w.name, STR("f")));
	assert_int_equal(match_pod(v, &all, id, &w), MATCH_WAIT);
	assert_true(str_eq(w.name, STR("f")));
	assert_false(match_climbs(&all, KIND_DEPLOYMENT, STR("apps/v1"), STR("Deployment")));
}

static void chains_of_any_length_and_circles_of_any_length(void **state)
{
	enum { DEPTH = 1000 };
	const struct match_policy all = {.follow_all = true};
	struct workload w;
	pod_id id;

	(void)state;
	id = pod("x/v1", "X", "o", 100);
	for (unsigned int i = 0; i < DEPTH; i++)
		owner("x/v1", "X", "o", 100 + i, "x/v1", "X", "o", 101 + i);
	owner("x/v1", "X", "top", 100 + DEPTH, NULL, NULL, NULL, 0);
	assert_int_equal(match_pod(v, &all, id, &w), MATCH_FOUND);
	assert_true(str_eq(w.name, STR("top")));
	assert_int_equal(w.hops, DEPTH + 1);
	for (unsigned int to = 100; to < 104;
	     to++) { /* the end bites the chain at several places */
		owner("x/v1", "X", "top", 100 + DEPTH, "x/v1", "X", "o", to);
		assert_int_equal(match_pod(v, &all, id, &w), MATCH_FOUND);
		assert_int_equal(w.end, MATCH_END_CYCLE);
		assert_true(str_eq(w.name, STR("o")));
		assert_int_equal(w.hops, 1);
	}
	owner("x/v1", "X", "o", 100, "x/v1", "X", "o", 100); /* owns itself */
	assert_int_equal(match_pod(v, &all, id, &w), MATCH_FOUND);
	assert_int_equal(w.end, MATCH_END_CYCLE);
}

static void hops_are_owners_on_the_way(void **state)
{
	struct workload w;
	pod_id web = pod("apps/v1", "ReplicaSet", "web-1", 10);

	(void)state;
	(void)match_pod(v, &plain, web, &w);
	assert_int_equal(w.hops, 1); /* as far as is known */
	match_direct(v, web, &w);
	assert_int_equal(w.hops, 1);
	owner("apps/v1", "ReplicaSet", "web-1", 10, "apps/v1", "Deployment", "web", 20);
	(void)match_pod(v, &plain, web, &w);
	assert_int_equal(w.hops, 2);
	match_direct(v, web, &w);
	assert_int_equal(w.hops, 1);
	(void)match_pod(v, &plain, pod("apps/v1", "StatefulSet", "db", 30), &w);
	assert_int_equal(w.hops, 1);
	(void)match_pod(v, &plain, pod(NULL, NULL, NULL, 0), &w);
	assert_int_equal(w.hops, 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(deployment_behind_replicaset),
		CASE(cronjob_behind_job),
		CASE(bare_replicaset_and_bare_job),
		CASE(replicaset_of_a_custom_resource),
		CASE(a_job_of_another_group_is_not_a_job),
		CASE(statefulset_daemonset_node_and_nobody),
		CASE(controllers_that_are_not_first_or_not_controllers),
		CASE(an_owner_that_cannot_be_read_ends_the_chain),
		CASE(adoption_and_orphaning),
		CASE(listed_kinds_are_climbed),
		CASE(hops_are_owners_on_the_way),
		CASE(chains_of_any_length_and_circles_of_any_length),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
