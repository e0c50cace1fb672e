/*
 * The change log: what cursors see, when, and how often.
 */
#include "tests/unit/store/rig.h"

struct heard {
	int changed, synced;
	uint32_t objects;
};

static void on_changed(void *ctx)
{
	((struct heard *)ctx)->changed++;
}

static void on_synced(void *ctx, store_kind k, uint32_t objects)
{
	(void)k;
	((struct heard *)ctx)->synced++;
	((struct heard *)ctx)->objects += objects;
}

static struct store_cursor *listener(struct rig *w, struct heard *h, bool hold)
{
	*h = (struct heard){0};
	return rig_cursor(w, &(struct store_cursor_opts){.hold_initial = hold,
							 .changed = on_changed,
							 .synced = on_synced,
							 .ctx = h});
}

static void once_each_then_changes(void **state)
{
	struct store_cursor *c;
	struct heard h;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	c = listener(&w, &h, false);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 2, 1), 0);
	assert_int_equal(rig_apply(&w, "x", 1, 3, 2), 0);
	assert_int_equal(h.changed, 1); /* once, until next has returned 0 */
	assert_int_equal(store_cursor_lag(w.s, c), 3);
	rig_next(&w, c, "y", false);
	assert_int_equal(store_cursor_lag(w.s, c), 1);
	rig_next(&w, c, "x", false);
	assert_true(store_cursor_at_end(w.s, c));
	assert_int_equal(rig_apply(&w, "y", 2, 4, 2), 0);
	assert_int_equal(h.changed, 1);
	rig_next(&w, c, "y", false);
	rig_next(&w, c, NULL, false);
	assert_int_equal(store_cursor_lag(w.s, c), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 5, 3), 0);
	assert_int_equal(h.changed, 2);
	store_cursor_rewind(w.s, c);
	assert_int_equal(store_cursor_lag(w.s, c), 5);
	rig_next(&w, c, "x", false);
	rig_next(&w, c, "y", false);
	rig_next(&w, c, NULL, false);
	store_free(&w.s);
}

static void rewind_in_mid_walk(void **state)
{
	struct store_cursor *c;
	store_id id;
	struct rig w;

	(void)state;
	rig_start(&w);
	c = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 2, 1), 0);
	assert_int_equal(rig_apply(&w, "z", 3, 3, 1), 0);
	rig_next(&w, c, "x", false);
	rig_delete(&w, "y");
	rig_next(&w, c, "z", false);
	store_cursor_rewind(w.s, c);
	rig_next(&w, c, "x", false);
	rig_next(&w, c, "z", false);
	id = rig_next(&w, c, "y", true);
	store_cursor_rewind(w.s, c); /* it was seen, but not done */
	rig_next(&w, c, "x", false);
	rig_next(&w, c, "z", false);
	assert_int_equal(rig_next(&w, c, "y", true), id);
	store_cursor_done(w.s, c, id);
	assert_int_equal(rig_find(&w, "y"), 0);
	store_cursor_rewind(w.s, c);
	rig_next(&w, c, "x", false);
	rig_next(&w, c, "z", false);
	rig_next(&w, c, NULL, false);
	store_free(&w.s);
}

/* A tombstone goes when the slowest is done with it, or is removed. */
static void the_slowest_decides(void **state)
{
	struct store_cursor *fast, *slow, *gone;
	store_id id;
	struct rig w;

	(void)state;
	rig_start(&w);
	fast = rig_cursor(&w, NULL);
	slow = rig_cursor(&w, NULL);
	gone = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	rig_delete(&w, "x");
	id = rig_next(&w, fast, "x", true);
	store_cursor_done(w.s, fast, id);
	assert_int_equal(rig_next(&w, slow, "x", true), id);
	store_cursor_done(w.s, slow, id);
	assert_int_equal(rig_find(&w, "x"), id);
	store_cursor_remove(w.s, &gone);
	assert_int_equal(rig_find(&w, "x"), 0);
	/* without anybody who needs it there is no tombstone */
	store_cursor_remove(w.s, &fast);
	store_cursor_remove(w.s, &slow);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	rig_delete(&w, "x");
	assert_int_equal(rig_find(&w, "x"), 0);
	store_free(&w.s);
}

static void held_back_until_complete(void **state)
{
	struct store_cursor *holds, *eager;
	struct heard h, e;
	struct store_view v;
	struct rig w;
	store_id id;

	(void)state;
	rig_start(&w);
	holds = listener(&w, &h, true);
	eager = listener(&w, &e, false);
	store_list_begin(w.s, w.source);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 2, 1), 0);
	assert_int_equal(rig_apply(&w, "w", 3, 2, 1), 0);
	assert_int_equal(h.changed, 0);
	assert_int_equal(e.changed, 1);
	rig_next(&w, holds, NULL, false);
	assert_true(store_cursor_at_end(w.s, holds));
	rig_next(&w, eager, "x", false);
	store_list_begin(w.s, w.source); /* the list began again, and "w" is gone */
	assert_int_equal(rig_apply(&w, "x", 1, 3, 7), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 2, 1), 0);
	store_list_end(w.s, w.source, w.now);
	assert_int_equal(h.changed, 1);
	assert_true(h.synced == 1 && e.synced == 1);
	assert_true(h.objects == 2 && e.objects == 2);
	id = rig_next(&w, holds, "x", false); /* "w" was never heard of */
	assert_true(store_get(w.s, id, &v) && v.initial);
	rig_next(&w, holds, "y", false);
	rig_next(&w, holds, NULL, false);
	rig_next(&w, eager, "w", true);
	rig_next(&w, eager, "x", false);
	rig_next(&w, eager, "y", false);
	rig_next(&w, eager, NULL, false);
	assert_int_equal(rig_apply(&w, "x", 1, 4, 8), 0);
	rig_next(&w, holds, "x", false);
	assert_true(store_get(w.s, id, &v) && !v.initial);
	store_list_begin(w.s, w.source);
	store_list_end(w.s, w.source, w.now);
	assert_true(h.synced == 1 && e.synced == 1); /* once */
	store_free(&w.s);
}

/* An object that a complete source brings is held back no more. */
static void another_source_is_complete(void **state)
{
	struct store_cursor *c;
	uint16_t other;
	struct heard h;
	struct rig w;
	char json[512];

	(void)state;
	rig_start(&w);
	assert_int_equal(store_source_add(w.s, w.kind, STR("a"), &other), 0);
	store_list_begin(w.s, other);
	store_list_end(w.s, other, w.now);
	c = listener(&w, &h, true);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	rig_next(&w, c, NULL, false);
	assert_int_equal(h.synced, 1); /* of the one that was complete before */
	assert_int_equal(rig_apply_json(&w, other, rig_json(json, sizeof(json), "x", 1, 1, 1)), 0);
	assert_int_equal(h.changed, 1);
	rig_next(&w, c, "x", false);
	rig_next(&w, c, NULL, false);
	store_free(&w.s);
}

static void a_late_cursor(void **state)
{
	struct store_cursor *c, *first;
	struct heard h;
	struct rig w;

	(void)state;
	rig_start(&w);
	first = rig_cursor(&w, NULL);
	store_list_begin(w.s, w.source);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 1, 1), 0);
	store_list_end(w.s, w.source, w.now);
	rig_delete(&w, "x");
	c = listener(&w, &h, true);
	assert_int_equal(h.synced, 0);
	rig_next(&w, c, "y", false);
	assert_true(h.synced == 1 && h.objects == 2);
	rig_next(&w, c, "x", true); /* what a former cursor wrote of it is for this one to delete */
	rig_next(&w, c, NULL, false);
	assert_int_equal(h.synced, 1);
	(void)first;
	store_free(&w.s);
}

static void as_many_as_allowed(void **state)
{
	struct store_cursor *c[STORE_MAX_CURSORS], *more = NULL;
	struct rig w;

	(void)state;
	rig_start(&w);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		c[i] = rig_cursor(&w, NULL);
	assert_int_equal(store_cursor_add(w.s, &(struct store_cursor_opts){0}, &more), -EMSGSIZE);
	store_cursor_remove(w.s, &c[3]);
	store_cursor_remove(w.s, &c[3]);
	assert_int_equal(rig_apply(&w, "x", 1, 1, 1), 0);
	c[3] = rig_cursor(&w, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(c); i++)
		rig_next(&w, c[i], "x", false);
	store_free(&w.s);
}

/* A day with a dead database: one mark an object, however often it changes. */
static void a_dead_sink_costs_marks_only(void **state)
{
	struct store_cursor *dead, *live;
	struct store_stats before, after;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	dead = rig_cursor(&w, NULL);
	live = rig_cursor(&w, NULL);
	for (int i = 0; i < 100; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "o-%d", i);
		assert_int_equal(rig_apply(&w, name, i, 1000 + i, 99999), 0);
	}
	while (store_cursor_next(w.s, live))
		;
	store_stats(w.s, &before);
	for (int i = 0; i < 100000; i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "o-%d", i % 100);
		assert_int_equal(rig_apply(&w, name, i % 100, 2000 + i, 100000 + i), 0);
		rig_next(&w, live, name, false);
		rig_next(&w, live, NULL, false);
	}
	store_stats(w.s, &after);
	assert_int_equal(after.modified, 100000);
	assert_int_equal(after.record_bytes, before.record_bytes);
	assert_in_range(after.body_bytes, 1, 2 * before.body_bytes);
	for (int i = 0; i < 100; i++)
		assert_int_not_equal(store_cursor_next(w.s, dead), 0);
	rig_next(&w, dead, NULL, false);
	store_free(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_each_then_changes),
		cmocka_unit_test(rewind_in_mid_walk),
		cmocka_unit_test(the_slowest_decides),
		cmocka_unit_test(held_back_until_complete),
		cmocka_unit_test(another_source_is_complete),
		cmocka_unit_test(a_late_cursor),
		cmocka_unit_test(as_many_as_allowed),
		cmocka_unit_test(a_dead_sink_costs_marks_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
