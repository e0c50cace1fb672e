/*
 * Records: what of an object counts as a change, and what becomes of a name and of
 * a uid that come again.
 */
#include "tests/unit/store/rig.h"

static int apply_json(struct rig *w, const char *json)
{
	return rig_apply_json(w, w->source, str_of(json));
}

static void what_is_kept(void **state)
{
	struct store_view v;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	assert_int_equal(apply_json(&w, "{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\","
					"\"uid\":\"0b0c0d0e-0000-4000-8000-00000000000a\","
					"\"creationTimestamp\":\"2026-01-02T03:04:05Z\","
					"\"resourceVersion\":\"18446744073709551615\"}}"),
			 0);
	assert_true(store_get(w.s, rig_find(&w, "x"), &v));
	assert_string_equal(v.uid, "0b0c0d0e-0000-4000-8000-00000000000a");
	assert_string_equal(v.resource_version, "18446744073709551615");
	assert_int_equal(v.created, 1767323045);
	assert_int_equal(v.kind, w.kind);
	assert_true(v.changed == w.now && !v.dead && !v.initial);
	store_free(&w.s);
}

/* Not every server counts; nobody may turn "007" into "7". */
static void odd_versions(void **state)
{
	static const char *const versions[] = {"", "007", "abc", "18446744073709551616", "0", "5"};
	struct store_view v;
	char json[256];
	struct rig w;

	(void)state;
	rig_start(&w);
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		(void)snprintf(json, sizeof(json),
			       "{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\","
			       "\"resourceVersion\":\"%s\"}}",
			       versions[i]);
		assert_int_equal(apply_json(&w, json), 0);
		assert_true(store_get(w.s, rig_find(&w, "x"), &v));
		assert_string_equal(v.resource_version, versions[i]);
	}
	store_free(&w.s);
}

static void refused(void **state)
{
	static char json[6 << 20];
	struct store_stats stats;
	struct rig w;
	int n;

	(void)state;
	rig_start(&w);
	assert_int_equal(apply_json(&w, "{}"), -EINVAL);
	assert_int_equal(apply_json(&w, "[1]"), -EINVAL);
	assert_int_equal(apply_json(&w, "{\"metadata\":{\"name\":\"x\"}}"), -EINVAL);
	assert_int_equal(apply_json(&w, "{\"metadata\":{\"uid\":\"x\"}}"), -EINVAL);
	n = snprintf(json, sizeof(json), "{\"metadata\":{\"name\":\"x\",\"uid\":\"u\"},\"a\":\"");
	memset(json + n, 'x', 5 << 20);
	memcpy(json + n + (5 << 20), "\"}", 3);
	assert_int_equal(apply_json(&w, json), -EMSGSIZE);
	n = snprintf(json, sizeof(json), "{\"metadata\":{\"uid\":\"u\",\"name\":\"");
	memset(json + n, 'x', 2000);
	memcpy(json + n + 2000, "\"}}", 4);
	assert_int_equal(apply_json(&w, json), -EMSGSIZE);
	store_stats(w.s, &stats);
	assert_int_equal(stats.objects, 0);
	assert_int_equal(stats.refused, 2);
	assert_int_equal(rig_apply_json(&w, 77, STR("{}")), -EINVAL);
	store_free(&w.s);
}

/* Each of these, after the one before it, is a change or none. */
static void what_counts_as_a_change(void **state)
{
	static const struct {
		const char *json;
		bool change;
	} steps[] = {
		{"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\","
		 "\"resourceVersion\":"
		 "\"1\"},\"spec\":{\"a\":1}}",
		 true},
		{"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\","
		 "\"resourceVersion\":"
		 "\"2\"},\"spec\":{\"a\":1}}",
		 false},
		{"{\"metadata\":{\"resourceVersion\":\"3\",\"name\":\"x\",\"namespace\":\"a\","
		 "\"uid\":"
		 "\"u\",\"generation\":7,\"managedFields\":[{}]},\"spec\":{\"a\":1}}",
		 false},
		{"{\"spec\":{\"a\":1},\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":"
		 "\"u\","
		 "\"resourceVersion\":\"4\"}}",
		 false},
		{"{\"spec\":{\"a\":1,\"generation\":1},\"metadata\":{\"name\":\"x\",\"namespace\":"
		 "\"a\","
		 "\"uid\":\"u\",\"resourceVersion\":\"5\"}}",
		 true},
		{"{\"spec\":{\"a\":1,\"generation\":1},\"generation\":1,\"metadata\":{\"name\":"
		 "\"x\","
		 "\"namespace\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"6\"}}",
		 true},
		{"{\"spec\":{\"a\":1,\"generation\":1},\"generation\":1,\"metadata\":{\"name\":"
		 "\"x\","
		 "\"namespace\":\"a\",\"uid\":\"u\",\"resourceVersion\":\"7\",\"labels\":{\"l\":"
		 "\"m\"}}}",
		 true},
		/* the same member beside metadata instead of within */
		{"{\"spec\":{\"a\":1,\"generation\":1},\"generation\":1,\"labels\":{\"l\":\"m\"},"
		 "\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\","
		 "\"resourceVersion\":"
		 "\"8\"}}",
		 true},
		{"{\"spec\":{\"a\":2,\"generation\":1},\"generation\":1,\"labels\":{\"l\":\"m\"},"
		 "\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\","
		 "\"resourceVersion\":"
		 "\"9\"}}",
		 true},
		/* the status alone: kinds of generation 1 for ever, and of none, live by it */
		{"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\",\"generation\":1,"
		 "\"resourceVersion\":\"10\"},\"status\":{\"phase\":\"Pending\"}}",
		 true},
		{"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\",\"generation\":1,"
		 "\"resourceVersion\":\"11\"},\"status\":{\"phase\":\"Running\"}}",
		 true},
		{"{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\",\"generation\":1,"
		 "\"resourceVersion\":\"12\"},\"status\":{\"phase\":\"Running\"}}",
		 false},
	};
	struct store_cursor *c;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	c = rig_cursor(&w, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		_buf_ struct buf b = {.max = 4096};

		assert_int_equal(apply_json(&w, steps[i].json), 0);
		rig_next(&w, c, steps[i].change ? "x" : NULL, false);
		/* what is kept is the newest in any case */
		assert_int_equal(store_body(w.s, NULL, rig_find(&w, "x"), w.now, &b), 0);
		assert_true(str_eq(buf_str(&b), str_of(steps[i].json)));
		rig_next(&w, c, NULL, false);
	}
	store_free(&w.s);
}

/* Both are told of, in their order, and the old one's tombstone can still be read. */
static void a_name_with_another_uid(void **state)
{
	_buf_ struct buf b = {.max = 4096};
	struct store_cursor *c;
	store_id old, new;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	c = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	rig_next(&w, c, "x", false);
	assert_int_equal(rig_apply(&w, "x", 2, 20, 2), 0);
	assert_int_equal(rig_apply(&w, "x", 3, 30, 3), 0);
	old = rig_next(&w, c, "x", true);
	assert_int_equal(store_by_uid(w.s, STR("uid-1")), old);
	assert_int_equal(store_body(w.s, c, old, w.now, &b), 0);
	assert_non_null(strstr(b.p, "\"value\":\"1\""));
	rig_next(&w, c, "x", true); /* nobody saw it live; it is told of all the same */
	new = rig_next(&w, c, "x", false);
	assert_int_equal(store_by_uid(w.s, STR("uid-3")), new);
	assert_int_equal(rig_find(&w, "x"), new);
	rig_next(&w, c, NULL, false);
	store_cursor_done(w.s, c, old);
	assert_int_equal(store_by_uid(w.s, STR("uid-1")), 0);
	store_free(&w.s);
}

static void deletes(void **state)
{
	struct store_cursor *c;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	c = rig_cursor(&w, NULL);
	rig_delete(&w, "x"); /* DELETED before ADDED */
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	assert_int_equal(rig_apply(&w, "y", 2, 11, 1), 0);
	rig_next(&w, c, "x", false);
	rig_next(&w, c, "y", false);
	/* of a former one of that name: not this one's end */
	store_delete(w.s, w.source, STR("a"), STR("x"), STR("uid-0"), w.now);
	rig_next(&w, c, NULL, false);
	store_delete(w.s, w.source, STR("b"), STR("x"), STR("uid-1"), w.now);
	store_delete(w.s, w.source, STR("a"), STR("x"), STR("uid-1"), w.now);
	store_delete(w.s, w.source, STR("a"), STR("x"), STR("uid-1"), w.now);
	rig_next(&w, c, "x", true);
	rig_next(&w, c, NULL, false);
	assert_int_not_equal(rig_find(&w, "y"), 0);
	store_free(&w.s);
}

/* It left the selector and came back: one object, whatever was told of it meanwhile. */
static void the_same_uid_again(void **state)
{
	struct store_cursor *c;
	store_id id;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	c = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 10, 1), 0);
	id = rig_next(&w, c, "x", false);
	rig_delete(&w, "x");
	assert_int_equal(rig_apply(&w, "x", 1, 12, 1), 0);
	assert_int_equal(rig_next(&w, c, "x", false), id);
	rig_next(&w, c, NULL, false);
	rig_delete(&w, "x");
	assert_int_equal(rig_next(&w, c, "x", true), id);
	store_cursor_done(w.s, c, id);
	assert_int_equal(rig_find(&w, "x"), 0);
	store_free(&w.s);
}

/* A list is the truth also when it is older (a restored backup); a late event is not. */
static void older_versions(void **state)
{
	struct store_stats stats;
	struct store_view v;
	struct rig w;

	(void)state;
	rig_start(&w);
	rig_sync(&w);
	assert_int_equal(rig_apply(&w, "x", 1, 50, 1), 0);
	assert_int_equal(rig_apply(&w, "x", 1, 49, 2), 0);
	assert_int_equal(rig_apply(&w, "x", 0, 48, 2),
			 0); /* of another one, that was there before */
	assert_true(store_get(w.s, rig_find(&w, "x"), &v));
	assert_string_equal(v.uid, "uid-1");
	assert_string_equal(v.resource_version, "50");
	store_list_begin(w.s, w.source);
	assert_int_equal(rig_apply(&w, "x", 1, 20, 2), 0);
	store_list_end(w.s, w.source, w.now);
	assert_true(store_get(w.s, rig_find(&w, "x"), &v));
	assert_string_equal(v.resource_version, "20");
	store_stats(w.s, &stats);
	assert_int_equal(stats.stale, 2);
	assert_int_equal(stats.modified, 1);
	store_free(&w.s);
}

static void count_lost(void *ctx, store_id id)
{
	(void)id;
	(*(int *)ctx)++;
}

/* Full of live ones: refused. Then tombstones go first, and who needed them hears of it. */
static void full_and_room_again(void **state)
{
	struct store_opts o = {.max_objects = 3};
	struct store_stats stats;
	struct store_cursor *c;
	int lost = 0;
	struct rig w;

	(void)state;
	rig_start_with(&w, &o, STORE_MEMORY);
	rig_sync(&w);
	c = rig_cursor(&w, &(struct store_cursor_opts){.lost = count_lost, .ctx = &lost});
	for (int i = 0; i < 3; i++)
		assert_int_equal(rig_apply(&w, i == 0 ? "x" : i == 1 ? "y" : "z", i, 10 + i, 1), 0);
	assert_int_equal(rig_apply(&w, "more", 7, 20, 1), -EMSGSIZE);
	assert_int_equal(rig_apply(&w, "y", 1, 21, 2), 0); /* what is there may change */
	rig_delete(&w, "y");
	rig_delete(&w, "x");
	assert_int_equal(rig_apply(&w, "more", 7, 22, 1), 0);
	assert_int_equal(lost, 1);
	assert_int_equal(store_by_uid(w.s, STR("uid-1")), 0);
	assert_int_not_equal(store_by_uid(w.s, STR("uid-0")), 0);
	store_stats(w.s, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.lost, 1);
	assert_int_equal(stats.objects, 2);
	assert_int_equal(stats.dead, 1);
	store_cursor_remove(w.s, &c);
	assert_int_equal(rig_apply(&w, "and more", 8, 23, 1), 0);
	assert_int_equal(lost, 1);
	store_free(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_kept),
		cmocka_unit_test(odd_versions),
		cmocka_unit_test(refused),
		cmocka_unit_test(what_counts_as_a_change),
		cmocka_unit_test(a_name_with_another_uid),
		cmocka_unit_test(deletes),
		cmocka_unit_test(the_same_uid_again),
		cmocka_unit_test(older_versions),
		cmocka_unit_test(full_and_room_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
