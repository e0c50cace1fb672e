/*
 * Sources: lists that sweep, lists that break, several sources of one kind.
 */
#include "tests/unit/store/rig.h"

static enum store_sync sync_of(const struct rig *w)
{
	struct store_kind_view v;

	assert_true(store_kind_get(w->s, w->kind, &v));
	return v.sync;
}

static void what_a_list_does_not_name_is_gone(void **state)
{
	struct store_stats stats;
	struct store_cursor *c;
	struct rig w;

	(void)state;
	rig_start(&w);
	c = rig_cursor(&w, NULL);
	assert_int_equal(sync_of(&w), STORE_NEVER);
	store_list_begin(w.s, w.source);
	assert_int_equal(sync_of(&w), STORE_LISTING);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 10, 1), 0);
	store_list_end(w.s, w.source, w.now);
	assert_int_equal(sync_of(&w), STORE_SYNCED);
	rig_next(&w, c, "x", false);
	rig_next(&w, c, "y", false);
	/* a relist of the same: nobody hears of it */
	store_list_begin(w.s, w.source);
	assert_int_equal(rig_apply(&w, "y", 2, 10, 1), 0);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	store_list_end(w.s, w.source, w.now);
	rig_next(&w, c, NULL, false);
	/* one that breaks deletes nothing */
	store_list_begin(w.s, w.source);
	assert_int_equal(rig_apply(&w, "y", 2, 10, 1), 0);
	store_list_begin(w.s, w.source);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	rig_next(&w, c, NULL, false);
	store_list_end(w.s, w.source, w.now);
	store_list_end(w.s, w.source, w.now);
	rig_next(&w, c, "y", true);
	rig_next(&w, c, NULL, false);
	store_stats(w.s, &stats);
	assert_true(stats.created == 2 && stats.initial_created == 2 && stats.deleted == 1 &&
		    stats.initial_deleted == 0 && stats.modified == 0);
	store_free(&w.s);
}

static void each_source_sweeps_its_own(void **state)
{
	struct store_kind_view v;
	uint16_t b;
	struct rig w;
	char json[512];

	(void)state;
	rig_start(&w);
	assert_int_equal(store_source_add(w.s, w.kind, STR("b"), &b), 0);
	rig_sync(&w);
	assert_int_equal(sync_of(&w), STORE_LISTING);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 10, 1), 0);
	assert_int_equal(rig_apply(&w, "z", 3, 10, 1), 0);
	assert_int_equal(rig_apply_json(&w, b, rig_json(json, sizeof(json), "y", 2, 10, 1)), 0);
	w.now += SEC;
	store_list_begin(w.s, b);
	store_list_end(w.s, b, w.now); /* "y" was the other's */
	assert_int_equal(rig_find(&w, "y"), 0);
	assert_true(store_kind_get(w.s, w.kind, &v));
	assert_true(v.sync == STORE_SYNCED && v.synced_at == w.now && v.objects == 2);
	store_source_remove(w.s, w.source, w.now);
	store_source_remove(w.s, w.source, w.now);
	assert_int_equal(rig_find(&w, "x"), 0);
	assert_int_equal(sync_of(&w), STORE_SYNCED);
	store_source_remove(w.s, b, w.now);
	assert_int_equal(sync_of(&w), STORE_NEVER);
	store_free(&w.s);
}

static void removed_in_mid_list(void **state)
{
	struct store_cursor *c;
	uint16_t again;
	struct rig w;

	(void)state;
	rig_start(&w);
	c = rig_cursor(&w, NULL);
	store_list_begin(w.s, w.source);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	store_source_remove(w.s, w.source, w.now);
	assert_int_equal(rig_apply(&w, "y", 2, 10, 1), -EINVAL);
	store_list_end(w.s, w.source, w.now);
	store_list_begin(w.s, w.source);
	rig_delete(&w, "x");
	rig_next(&w, c, "x", true);
	rig_next(&w, c, NULL, false);
	assert_int_equal(store_source_add(w.s, w.kind, STR(""), &again), 0);
	assert_int_equal(again, w.source);
	assert_int_equal(sync_of(&w), STORE_NEVER);
	store_free(&w.s);
}

/* Namespaces come and go: places are used again, and no removal touches another's objects. */
static void many_sources(void **state)
{
	static uint16_t source[5000];
	char json[512], name[16];
	struct rig w;

	(void)state;
	rig_start(&w);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "o-%d", i);
		assert_int_equal(store_source_add(w.s, w.kind, str_of(name), &source[i]), 0);
		(void)rig_json(json, sizeof(json), name, i, 10, 1);
		assert_int_equal(rig_apply_json(&w, source[i], str_of(json)), 0);
	}
	for (int i = 0; i < 5000; i += 2)
		store_source_remove(w.s, source[i], w.now);
	for (int i = 0; i < 5000; i++) {
		(void)snprintf(name, sizeof(name), "o-%d", i);
		assert_int_equal(rig_find(&w, name) != 0, i % 2);
	}
	for (int i = 0; i < 5000; i += 2) {
		assert_int_equal(store_source_add(w.s, w.kind, STR(""), &source[i]), 0);
		assert_in_range(source[i], 1, 5001);
	}
	assert_int_equal(store_source_add(w.s, 0, STR(""), &source[0]), -EINVAL);
	store_free(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_list_does_not_name_is_gone),
		cmocka_unit_test(each_source_sweeps_its_own),
		cmocka_unit_test(removed_in_mid_list),
		cmocka_unit_test(many_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
