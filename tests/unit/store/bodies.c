/*
 * Bodies: what comes out is what went in, within the maximum, and what is not there
 * is fetched, once, for those who wait.
 */
#include "tests/unit/store/rig.h"

#include "tests/lib/fixture.h"

/* The other side: answers later, with what `json` has, or at once, or not at all. */
struct server {
	struct store *s;
	int asked, refuse;
	bool at_once;
	store_id id;
	char json[512];
};

static void answer_json(struct rig *w, store_id id, const char *json)
{
	struct arena a;
	struct tree *t;

	arena_init(&a, 1 << 20);
	assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
	store_fetched(w->s, id, w->now, t, 0);
	arena_done(&a);
}

static int on_fetch(void *ctx, store_id id)
{
	struct server *v = ctx;
	struct rig w = {.s = v->s, .now = SEC};

	v->asked++;
	v->id = id;
	if (v->refuse)
		return -v->refuse;
	if (v->at_once)
		answer_json(&w, id, v->json);
	return 0;
}

static void start(struct rig *w, struct server *v, enum store_keep keep, size_t max_bodies)
{
	struct store_opts o = {.fetch = on_fetch, .ctx = v, .ttl = 10 * SEC};

	o.max_bodies = max_bodies;
	*v = (struct server){0};
	rig_start_with(w, &o, keep);
	v->s = w->s;
	rig_sync(w);
}

static int body(struct rig *w, struct store_cursor *c, store_id id, const char *want)
{
	_buf_ struct buf b = {.max = 1 << 20};
	int r = store_body(w->s, c, id, w->now, &b);

	if (r == 0)
		assert_true(str_eq(buf_str(&b), str_of(want)));
	return r;
}

/* Recorded pods, which are large enough to need the dictionary and more. */
static void recorded_objects_come_out_as_they_were(void **state)
{
	_buf_ struct buf list = {0}, want = {.max = 1 << 20}, got = {.max = 1 << 20};
	struct store_stats stats;
	struct arena a, again;
	struct tree *t, *tree;
	size_t raw = 0;
	struct rig w;

	(void)state;
	arena_init(&a, 64 << 20);
	arena_init(&again, 64 << 20);
	rig_start(&w);
	assert_int_equal(fixture_read("list-pods-json", &list), 0);
	assert_int_equal(tree_parse(&a, buf_str(&list), &t), 0);
	tree_each(pod, tree_get(t, "items"))
		assert_int_equal(store_apply(w.s, w.source, w.now, pod), 0);
	tree_each(pod, tree_get(t, "items"))
	{
		store_id id = store_by_uid(w.s, tree_text_at(pod, "metadata.uid"));

		buf_reset(&want);
		buf_reset(&got);
		assert_int_equal(tree_write(&want, pod), 0);
		assert_int_equal(store_body(w.s, NULL, id, w.now, &got), 0);
		assert_true(str_eq(buf_str(&want), buf_str(&got)));
		raw += buf_str(&got).n;
		assert_int_equal(store_tree(w.s, NULL, id, w.now, &again, &tree), 0);
		assert_true(str_eq(tree_text_at(tree, "metadata.name"),
				   tree_text_at(pod, "metadata.name")));
	}
	store_stats(w.s, &stats);
	print_message("%u pods, %zu bytes of JSON, %zu bytes held\n", stats.objects, raw,
		      stats.body_bytes);
	assert_true(stats.objects > 50 && stats.body_bytes < raw / 3);
	store_free(&w.s);
	arena_done(&a);
	arena_done(&again);
}

static void bytes_that_no_one_can_compress(void **state)
{
	static char json[70000];
	struct store_view v;
	struct rig w;
	int n;

	(void)state;
	rig_start(&w);
	n = snprintf(json, sizeof(json),
		     "{\"metadata\":{\"name\":\"x\",\"namespace\":\"a\",\"uid\":\"u\"},\"z\":\"");
	for (int i = 0; i < 60000; i++)
		json[n++] = (char)('0' + (i * 7919U ^ i >> 3) * 2654435761U % 75 % 10);
	(void)snprintf(json + n, sizeof(json) - (size_t)n, "\"}");
	assert_int_equal(rig_apply_json(&w, w.source, str_of(json)), 0);
	assert_int_equal(body(&w, NULL, rig_find(&w, "x"), json), 0);
	assert_true(store_get(w.s, rig_find(&w, "x"), &v));
	assert_int_equal(rig_apply_json(&w, w.source,
					STR("{\"metadata\":{\"name\":\"s\",\"namespace\":\"a\","
					    "\"uid\":\"v\"}}")),
			 0);
	assert_int_equal(body(&w, NULL, rig_find(&w, "s"),
			      "{\"metadata\":{\"name\":\"s\",\"namespace\":\"a\",\"uid\":\"v\"}}"),
			 0);
	store_free(&w.s);
}

static void a_cached_body_expires_and_is_fetched(void **state)
{
	struct store_cursor *waits, *other;
	struct store_stats stats;
	struct server v;
	struct rig w;
	store_id id;
	char json[512];

	(void)state;
	start(&w, &v, STORE_CACHE, 0);
	waits = rig_cursor(&w, NULL);
	other = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 5, 1), 0);
	(void)rig_json(json, sizeof(json), "x", 1, 5, 1);
	id = rig_next(&w, waits, "x", false);
	rig_next(&w, other, "x", false);
	w.now += 6 * SEC;
	assert_true(store_tick(w.s, w.now) == w.now + 4 * SEC);
	assert_int_equal(body(&w, waits, id, json), 0); /* it is used: a new term */
	assert_true(store_tick(w.s, w.now + 5 * SEC) == w.now + 10 * SEC);
	w.now += 10 * SEC;
	assert_true(store_tick(w.s, w.now) == NSEC_NEVER);
	assert_int_equal(body(&w, waits, id, json), -EAGAIN);
	assert_int_equal(body(&w, NULL, id, json), -EAGAIN);
	assert_int_equal(v.asked, 1);
	rig_next(&w, waits, NULL, false);
	answer_json(&w, id, json);
	assert_int_equal(rig_next(&w, waits, "x", false), id);
	rig_next(&w, other, NULL, false); /* it did not wait */
	assert_int_equal(body(&w, waits, id, json), 0);
	rig_next(&w, waits, NULL, false);
	store_stats(w.s, &stats);
	assert_true(stats.fetches == 1 && stats.expired == 1 && stats.fetches_failed == 0);
	store_free(&w.s);
}

static void a_fetch_that_fails_is_told_once(void **state)
{
	struct store_cursor *c;
	struct store_stats stats;
	struct server v;
	struct rig w;
	store_id id;
	char json[512];

	(void)state;
	start(&w, &v, STORE_CACHE, 0);
	c = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 5, 1), 0);
	(void)rig_json(json, sizeof(json), "x", 1, 5, 1);
	id = rig_next(&w, c, "x", false);
	w.now += 20 * SEC;
	(void)store_tick(w.s, w.now);
	v.refuse = EBUSY;
	assert_int_equal(body(&w, c, id, json), -EBUSY);
	rig_next(&w, c, NULL, false);
	v.refuse = 0;
	assert_int_equal(body(&w, c, id, json), -EAGAIN);
	store_fetched(w.s, id, w.now, NULL, -EACCES);
	store_fetched(w.s, id, w.now, NULL, -EIO); /* nobody asked */
	assert_int_equal(rig_next(&w, c, "x", false), id);
	assert_int_equal(body(&w, c, id, json), -EACCES);
	v.at_once = true;
	memcpy(v.json, json, sizeof(json));
	assert_int_equal(body(&w, c, id, json), 0);
	assert_int_equal(v.asked, 3);
	rig_next(&w, c, NULL, false);
	store_stats(w.s, &stats);
	assert_true(stats.fetches == 3 && stats.fetches_failed == 2);
	store_free(&w.s);
}

/* The answer may be newer or older than what the watch told, or another object's. */
static void answers_and_events_cross(void **state)
{
	struct store_cursor *c, *other;
	struct server v;
	struct rig w;
	store_id id;
	char json[512];

	(void)state;
	start(&w, &v, STORE_CACHE, 0);
	c = rig_cursor(&w, NULL);
	other = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 5, 1), 0);
	id = rig_next(&w, c, "x", false);
	rig_next(&w, other, "x", false);
	w.now += 20 * SEC;
	(void)store_tick(w.s, w.now);
	assert_int_equal(body(&w, c, id, ""), -EAGAIN);
	(void)rig_json(json, sizeof(json), "x", 1, 8, 2);
	answer_json(&w, id, json); /* newer: a change for all */
	assert_int_equal(rig_next(&w, c, "x", false), id);
	assert_int_equal(rig_next(&w, other, "x", false), id);
	assert_int_equal(body(&w, c, id, json), 0);
	assert_int_equal(rig_apply(&w, "x", 1, 8, 2), 0); /* its event: known */
	rig_next(&w, c, NULL, false);

	w.now += 20 * SEC;
	(void)store_tick(w.s, w.now);
	assert_int_equal(body(&w, c, id, ""), -EAGAIN);
	assert_int_equal(rig_apply(&w, "x", 1, 9, 3), 0);
	answer_json(&w, id, json); /* older */
	(void)rig_json(json, sizeof(json), "x", 1, 9, 3);
	assert_int_equal(rig_next(&w, c, "x", false), id);
	assert_int_equal(body(&w, c, id, json), 0);
	rig_next(&w, c, NULL, false);

	w.now += 20 * SEC;
	(void)store_tick(w.s, w.now);
	assert_int_equal(body(&w, c, id, ""), -EAGAIN);
	(void)rig_json(json, sizeof(json), "x", 2, 12, 3);
	answer_json(&w, id, json);
	assert_int_equal(rig_next(&w, c, "x", false), id);
	assert_int_equal(body(&w, c, id, ""), -ENOENT);
	store_free(&w.s);
}

/* The id stays until the answer has come, and the tombstone gets its last body. */
static void it_dies_while_it_is_fetched(void **state)
{
	struct store_cursor *c;
	struct server v;
	struct rig w;
	store_id id;
	char json[512];

	(void)state;
	start(&w, &v, STORE_CACHE, 0);
	c = rig_cursor(&w, NULL);
	assert_int_equal(rig_apply(&w, "x", 1, 5, 1), 0);
	(void)rig_json(json, sizeof(json), "x", 1, 5, 1);
	id = rig_next(&w, c, "x", false);
	w.now += 20 * SEC;
	(void)store_tick(w.s, w.now);
	assert_int_equal(body(&w, c, id, json), -EAGAIN);
	rig_delete(&w, "x");
	assert_int_equal(rig_next(&w, c, "x", true), id);
	assert_int_equal(body(&w, c, id, json), -EAGAIN);
	assert_int_equal(v.asked, 1);
	answer_json(&w, id, json);
	assert_int_equal(rig_next(&w, c, "x", true), id);
	assert_int_equal(body(&w, c, id, json), 0);
	store_cursor_done(w.s, c, id);
	assert_int_equal(rig_find(&w, "x"), 0);

	assert_int_equal(rig_apply(&w, "x", 2, 6, 1), 0);
	id = rig_next(&w, c, "x", false);
	w.now += 20 * SEC;
	(void)store_tick(w.s, w.now);
	assert_int_equal(body(&w, c, id, json), -EAGAIN);
	rig_delete(&w, "x");
	store_cursor_done(w.s, c, rig_next(&w, c, "x", true));
	assert_int_equal(rig_find(&w, "x"), id); /* done, but an answer will come */
	store_fetched(w.s, id, w.now, NULL, -ENOENT);
	assert_int_equal(rig_find(&w, "x"), 0);
	store_free(&w.s);
}

static int has_body(struct rig *w, store_id id, const char *name, int n)
{
	char json[512];

	(void)rig_json(json, sizeof(json), name, n, n, 1);
	return body(w, NULL, id, json) == 0;
}

/* Caches first, then the dead, then the rest; never more than the maximum. */
static void the_order_of_eviction(void **state)
{
	struct store_stats stats;
	store_id cached, dead, kept;
	struct server v;
	uint16_t source;
	store_kind k;
	struct rig w;
	char json[512];

	(void)state;
	start(&w, &v, STORE_MEMORY, 700);
	(void)rig_cursor(&w, NULL);
	k = rig_kind_with(&w, "caches", STORE_CACHE, NULL, 0);
	assert_int_equal(store_source_add(w.s, k, STR(""), &source), 0);
	assert_int_equal(rig_apply(&w, "kept", 1, 1, 1), 0);
	assert_int_equal(rig_apply(&w, "dead", 2, 2, 1), 0);
	rig_delete(&w, "dead");
	assert_int_equal(rig_apply_json(&w, source, rig_json(json, sizeof(json), "c", 3, 3, 1)), 0);
	kept = rig_find(&w, "kept");
	dead = rig_find(&w, "dead");
	cached = store_find(w.s, k, STR("a"), STR("c"));
	for (int i = 0; i < 20; i++) {
		char name[16];
		int now;

		(void)snprintf(name, sizeof(name), "o-%d", i);
		assert_int_equal(rig_apply(&w, name, 10 + i, 10 + i, i), 0);
		store_stats(w.s, &stats);
		assert_in_range(stats.body_bytes, 1, 700);
		v.refuse = ENOLINK; /* asking does not bring it back */
		now = has_body(&w, cached, "c", 3) + 2 * has_body(&w, dead, "dead", 2) +
		      4 * has_body(&w, kept, "kept", 1);
		assert_true(now == 7 || now == 6 || now == 4);
	}
	assert_int_equal(body(&w, NULL, cached, ""), -ENOLINK);
	assert_int_equal(body(&w, NULL, dead, ""), -ENOENT);
	store_stats(w.s, &stats);
	assert_true(stats.evicted >= 15);
	store_free(&w.s);
}

/* Many wait under a maximum that the objects of other kinds fill: what is fetched stays until it
 * is read, so that nothing is fetched again and again. */
static void a_small_maximum_makes_progress(void **state)
{
	enum { N = 40, ROOM = 16 };
	char json[512], name[16];
	struct store_cursor *c;
	struct server v;
	uint16_t source;
	int seen = 0;
	struct rig w;

	(void)state;
	start(&w, &v, STORE_MEMORY, ROOM * 150);
	for (int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "m-%d", i);
		assert_int_equal(rig_apply(&w, name, 100 + i, 10 + i, i), 0);
	}
	assert_int_equal(store_source_add(w.s, rig_kind_with(&w, "caches", STORE_CACHE, NULL, 0),
					  STR(""), &source),
			 0);
	c = rig_cursor(&w, NULL);
	while (store_cursor_next(w.s, c))
		;
	for (int i = 0; i < N; i++) {
		(void)snprintf(name, sizeof(name), "o-%d", i);
		assert_int_equal(rig_apply_json(&w, source,
						rig_json(json, sizeof(json), name, i, 10 + i, i)),
				 0);
	}
	for (int rounds = 0; seen < N && rounds < 1000; rounds++) {
		store_id ids[N], id;
		int n = 0;

		while (n < N && (id = store_cursor_next(w.s, c))) {
			_buf_ struct buf b = {.max = 4096};

			if (store_body(w.s, c, id, w.now, &b) == 0)
				seen++;
			else
				ids[n++] = id;
		}
		for (int i = 0; i < n; i++) {
			struct store_view view;
			int uid;

			assert_true(store_get(w.s, ids[i], &view));
			uid = (int)strtol(view.uid + strlen("uid-"), NULL, 10);
			(void)snprintf(name, sizeof(name), "o-%d", uid);
			(void)rig_json(json, sizeof(json), name, uid, 10 + uid, uid);
			answer_json(&w, ids[i], json);
		}
	}
	assert_int_equal(seen, N);
	print_message("%d objects, %d fetches\n", N, v.asked);
	assert_true(v.asked < 4 * N); /* one at a time it would be N * N / 2 */
	store_free(&w.s);
}

/* A smaller maximum while it runs: bodies go at once, and are read again when they are wanted. */
static void another_maximum(void **state)
{
	struct store_stats before, after;
	char name[16];
	struct server v;
	struct rig w;

	(void)state;
	start(&w, &v, STORE_MEMORY, 1 << 20);
	for (int i = 0; i < 40; i++) {
		(void)snprintf(name, sizeof(name), "m-%d", i);
		assert_int_equal(rig_apply(&w, name, 100 + i, 10 + i, i), 0);
	}
	store_stats(w.s, &before);
	store_tune(w.s, before.body_bytes / 2, SEC);
	store_stats(w.s, &after);
	assert_true(after.body_bytes <= before.body_bytes / 2);
	assert_int_equal(after.objects, before.objects);
	store_free(&w.s);
}

/* Over the maximum by itself: never kept, and a reader is told why, once a fetch. */
static void larger_than_all(void **state)
{
	struct server v;
	struct rig w;
	store_id id;

	(void)state;
	start(&w, &v, STORE_MEMORY, 100);
	assert_int_equal(rig_apply(&w, "x", 1, 5, 1), 0);
	id = rig_find(&w, "x");
	v.at_once = true;
	(void)rig_json(v.json, sizeof(v.json), "x", 1, 5, 1);
	assert_int_equal(body(&w, NULL, id, ""), -EMSGSIZE);
	assert_int_equal(v.asked, 1);
	store_free(&w.s);
}

static void nobody_fetches(void **state)
{
	struct store_opts o = {.ttl = SEC};
	struct rig w;

	(void)state;
	rig_start_with(&w, &o, STORE_CACHE);
	assert_int_equal(rig_apply(&w, "x", 1, 5, 1), 0);
	w.now += 2 * SEC;
	(void)store_tick(w.s, w.now);
	assert_int_equal(body(&w, NULL, rig_find(&w, "x"), ""), -ENOENT);
	assert_int_equal(body(&w, NULL, 0, ""), -ENOENT);
	assert_int_equal(body(&w, NULL, 99, ""), -ENOENT);
	store_free(&w.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_maximum),
		cmocka_unit_test(recorded_objects_come_out_as_they_were),
		cmocka_unit_test(bytes_that_no_one_can_compress),
		cmocka_unit_test(a_cached_body_expires_and_is_fetched),
		cmocka_unit_test(a_fetch_that_fails_is_told_once),
		cmocka_unit_test(answers_and_events_cross),
		cmocka_unit_test(it_dies_while_it_is_fetched),
		cmocka_unit_test(the_order_of_eviction),
		cmocka_unit_test(a_small_maximum_makes_progress),
		cmocka_unit_test(larger_than_all),
		cmocka_unit_test(nobody_fetches),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
