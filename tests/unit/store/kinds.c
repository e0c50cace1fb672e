/*
 * Kinds: their names, their coming and going, and that a tombstone's kind can be
 * asked for as long as there is one.
 */
#include "tests/unit/store/rig.h"

static store_kind add(struct rig *w, const char *group, const char *version, const char *kind,
		      const char *plural)
{
	_buf_ struct buf error = {.max = 4096};
	struct store_kind_opts o = {.group = str_of(group),
				    .version = str_of(version),
				    .kind = str_of(kind),
				    .plural = str_of(plural)};
	store_kind k = 0;

	assert_int_equal(store_kind_add(w->s, &o, &k, &error), 0);
	return k;
}

static void names(void **state)
{
	store_kind pods, deployments, ingresses;
	struct store_kind_view v;
	struct rig w;

	(void)state;
	rig_start(&w);
	pods = add(&w, "", "v1", "Pod", "pods");
	deployments = add(&w, "apps", "v1", "Deployment", "deployments");
	ingresses = add(&w, "networking.k8s.io", "v1", "Ingress", "ingresses");
	assert_int_equal(store_kind_find(w.s, STR("pods")), pods);
	assert_int_equal(store_kind_find(w.s, STR("pod")), pods);
	assert_int_equal(store_kind_find(w.s, STR("Pod")), pods);
	assert_int_equal(store_kind_find(w.s, STR("deployments")), deployments);
	assert_int_equal(store_kind_find(w.s, STR("deployments.apps")), deployments);
	assert_int_equal(store_kind_find(w.s, STR("deployments.v1.apps")), deployments);
	assert_int_equal(store_kind_find(w.s, STR("ingresses.networking.k8s.io")), ingresses);
	assert_int_equal(store_kind_find(w.s, STR("ingresses.v1.networking.k8s.io")), ingresses);
	assert_int_equal(store_kind_find(w.s, STR("deployments.v2.apps")), 0);
	assert_int_equal(store_kind_find(w.s, STR("deployments.batch")), 0);
	assert_int_equal(store_kind_find(w.s, STR("deploy")), 0);
	assert_int_equal(store_kind_find(w.s, STR("")), 0);
	assert_true(store_kind_get(w.s, deployments, &v));
	assert_true(str_eq(v.api_version, STR("apps/v1")) && str_eq(v.group, STR("apps")));
	assert_true(str_eq(v.version, STR("v1")) && str_eq(v.kind, STR("Deployment")));
	assert_true(store_kind_get(w.s, pods, &v));
	assert_true(str_eq(v.api_version, STR("v1")) && str_empty(v.group));
	assert_false(store_kind_get(w.s, 0, &v));
	assert_false(store_kind_get(w.s, 77, &v));
	store_free(&w.s);
}

static void twice_or_too_many(void **state)
{
	_buf_ struct buf error = {.max = 4096};
	struct store_kind_opts o = {
		.version = STR("v1"), .kind = STR("Pod"), .plural = STR("pods")};
	char long_name[600] = {0};
	struct rig w;
	store_kind k;

	(void)state;
	rig_start(&w);
	(void)add(&w, "", "v1", "Pod", "pods");
	assert_int_equal(store_kind_add(w.s, &o, &k, &error), -EINVAL);
	assert_int_equal(buf_append(&error, "", 1), 0);
	assert_non_null(strstr(error.p, "pods"));
	(void)add(&w, "", "v2", "Pod", "pods");
	memset(long_name, 'x', sizeof(long_name) - 1);
	o.plural = str_of(long_name);
	assert_int_equal(store_kind_add(w.s, &o, &k, &error), -EMSGSIZE);
	for (int i = 4; i < STORE_MAX_KINDS; i++) {
		char plural[16];

		(void)snprintf(plural, sizeof(plural), "p%d", i);
		(void)add(&w, "g", "v1", "P", plural);
	}
	o.plural = STR("last");
	assert_int_equal(store_kind_add(w.s, &o, &k, &error), 0);
	o.plural = STR("more");
	assert_int_equal(store_kind_add(w.s, &o, &k, &error), -EMSGSIZE);
	store_kind_remove(w.s, 5, w.now);
	assert_int_equal(store_kind_add(w.s, &o, &k, &error), 0);
	assert_int_equal(k, 5);
	store_free(&w.s);
}

/* A CRD goes, and comes again before the slowest cursor has heard of it. */
static void a_removed_kind_stays_with_its_tombstones(void **state)
{
	struct store_kind_view kind;
	struct store_cursor *c;
	struct store_stats stats;
	struct store_view v;
	store_kind old, new;
	store_id dead;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	c = rig_cursor(&w, NULL);
	old = w.kind;
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	rig_next(&w, c, "x", false);
	store_kind_remove(w.s, old, w.now);
	store_kind_remove(w.s, old, w.now);
	assert_int_equal(store_kind_find(w.s, STR("things")), 0);
	assert_int_equal(store_kind_next(w.s, 0), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 11, 1), -EINVAL); /* its source is gone, too */
	new = rig_kind_with(&w, "things", STORE_MEMORY, NULL, 0);
	assert_int_not_equal(new, old);
	assert_int_equal(store_source_add(w.s, new, STR(""), &w.source), 0);
	assert_int_equal(rig_apply(&w, "x", 1, 12, 1), 0);
	dead = rig_next(&w, c, "x", true);
	assert_true(store_get(w.s, dead, &v) && v.kind == old);
	assert_true(store_kind_get(w.s, old, &kind) && str_eq(kind.kind, STR("Thing")));
	assert_true(store_get(w.s, rig_next(&w, c, "x", false), &v) && v.kind == new);
	assert_true(store_get(w.s, store_by_uid(w.s, STR("uid-1")), &v) && !v.dead);
	store_cursor_done(w.s, c, dead);
	assert_false(store_kind_get(w.s, old, &kind));
	store_stats(w.s, &stats);
	assert_true(stats.created == 2 && stats.deleted == 1 && stats.objects == 1);
	store_free(&w.s);
}

static void by_kind_and_namespace(void **state)
{
	struct rig w;
	uint16_t source;
	store_kind k;
	uint32_t n = 0;

	(void)state;
	rig_start(&w);
	k = rig_kind_with(&w, "others", STORE_MEMORY, NULL, 0);
	assert_int_equal(store_source_add(w.s, k, STR(""), &source), 0);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 10, 1), 0);
	assert_int_equal(
		rig_apply_json(&w, source, STR("{\"metadata\":{\"name\":\"x\",\"uid\":\"u\"}}")),
		0);
	for (store_id id = 0; (id = store_next(w.s, 0, STR(""), id));)
		n++;
	assert_int_equal(n, 3);
	n = 0;
	for (store_id id = 0; (id = store_next(w.s, w.kind, STR("a"), id));)
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(store_next(w.s, k, STR("a"), 0), 0);
	assert_int_equal(store_next(w.s, 0, STR("nowhere"), 0), 0);
	store_free(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(twice_or_too_many),
		cmocka_unit_test(a_removed_kind_stays_with_its_tombstones),
		cmocka_unit_test(by_kind_and_namespace),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
