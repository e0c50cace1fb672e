/*
 * From the store to a place that takes changes in order, with a place that fails in
 * every way: nothing is lost, the last state is told, tombstones are let go.
 */
#include "sink/relay.h"

#include "base/mem.h"
#include "base/rng.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SEC  NSEC_PER_SEC
#define WALL (1700000000 * SEC)
enum { NAMES = 8 };

struct rig {
	struct store *s;
	store_kind kind;
	uint16_t source;
	struct relay *f;
	nsec_t now;
	/* the place */
	const struct relay_item *items;
	uint32_t n;
	enum vector_outcome next; /* how the next write ends */
	int write_result;
	char bad; /* an object of this name is never taken */
	uint32_t writes, woken;
	struct buf log;
	char held[NAMES][16]; /* what the place has: value by name */
};

static int make(void *ctx, struct arena *a, struct relay_item *item, uint64_t *ret_hash)
{
	struct str value = tree_text_at(item->object, "spec.v");

	(void)ctx;
	(void)a;
	*ret_hash = value.n ? (uint64_t)(unsigned char)value.p[0] + 1 : 1;
	return 0;
}

static int write_items(void *ctx, const struct relay_item *items, uint32_t n)
{
	struct rig *w = ctx;
	int r = w->write_result;

	w->writes++;
	w->write_result = 0;
	if (r == 0) {
		w->items = items;
		w->n = n;
	}
	return r;
}

static void on_wake(void *ctx)
{
	((struct rig *)ctx)->woken++;
}

static const struct relay_ops ops = {.make = make, .write = write_items};

static void start(struct rig *w, uint32_t batch)
{
	struct store_kind_opts k = {.version = STR("v1"),
				    .kind = STR("Pod"),
				    .plural = STR("pods"),
				    .namespaced = true};
	struct relay_opts o = {.batch = batch, .ops = &ops, .wake = on_wake, .ctx = w};
	_buf_ struct buf error = {.max = 1024};

	*w = (struct rig){.now = 1000 * SEC};
	buf_init(&w->log, 1 << 20);
	assert_int_equal(store_new(&(struct store_opts){0}, &w->s), 0);
	assert_int_equal(store_kind_add(w->s, &k, &w->kind, &error), 0);
	assert_int_equal(store_source_add(w->s, w->kind, STR(""), &w->source), 0);
	store_list_begin(w->s, w->source);
	store_list_end(w->s, w->source, w->now);
	o.store = w->s;
	assert_int_equal(relay_new(&o, &w->f), 0);
}

static void stop(struct rig *w)
{
	struct store_stats stats;

	relay_free(&w->f);
	store_stats(w->s, &stats);
	assert_int_equal(stats.dead, 0);
	store_free(&w->s);
	buf_done(&w->log);
}

static void apply(struct rig *w, char name, char value, int restarts)
{
	static int version;
	char json[512];
	struct tree *t;
	struct arena a;

	(void)snprintf(json, sizeof(json),
		       "{\"metadata\":{\"name\":\"%c\",\"namespace\":\"n\",\"uid\":\"u%c\","
		       "\"resourceVersion\":\"%d\"},\"spec\":{\"v\":\"%c\"},\"status\":{"
		       "\"containerStatuses\":[{\"restartCount\":%d}]}}",
		       name, name, ++version, value, restarts);
	arena_init(&a, 1 << 20);
	assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
	assert_int_equal(store_apply(w->s, w->source, w->now, t), 0);
	arena_done(&a);
}

static void drop(struct rig *w, char name)
{
	store_delete(w->s, w->source, STR("n"), str_make(&name, 1), (struct str){0}, w->now);
}

static void take(struct rig *w)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const struct relay_item *item = &w->items[i];
		char *held = w->held[(unsigned char)item->name.p[0] % NAMES];

		(void)snprintf(held, sizeof(w->held[0]), "%.*s",
			       item->action == RELAY_DELETED
				       ? 0
				       : (int)tree_text_at(item->object, "spec.v").n,
			       tree_text_at(item->object, "spec.v").p);
		assert_int_equal(buf_printf(&w->log, "%c%.*s%s ",
					    relay_action_name(item->action)[0], STR_ARG(item->name),
					    held),
				 0);
	}
}

static bool has_bad(const struct rig *w)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (w->items[i].name.p[0] == w->bad)
			return true;
	return false;
}

/* Ends what is being written. */
static void finish(struct rig *w, enum vector_outcome how)
{
	struct vector_end end = {.how = how, .text = STR("words")};

	if (how == VECTOR_OK && has_bad(w))
		end.how = VECTOR_SPLIT;
	if (end.how == VECTOR_OK)
		take(w);
	w->items = NULL;
	relay_done(w->f, w->now, &end);
}

/* Until nothing is left to do. */
static void run(struct rig *w)
{
	for (int i = 0; i < 1000; i++) {
		nsec_t next = relay_run(w->f, w->now, WALL);

		if (w->items)
			finish(w, VECTOR_OK);
		else if (next == NSEC_NEVER)
			return;
		else
			w->now = MAX(w->now, next);
	}
	fail_msg("it never rests");
}

static void told(struct rig *w, const char *want)
{
	run(w);
	assert_int_equal(buf_append(&w->log, "", 1), 0);
	assert_string_equal(buf_str(&w->log).p, want);
	buf_reset(&w->log);
}

static void actions(void **state)
{
	struct relay_status s;
	struct rig w;

	(void)state;
	start(&w, 0);
	apply(&w, 'a', 'x', 0);
	apply(&w, 'b', 'x', 3);
	told(&w, "Aax Abx ");
	apply(&w, 'a', 'y', 0);
	apply(&w, 'b', 'z', 4); /* a container was started again */
	told(&w, "Aay Rbz ");
	apply(&w, 'b', 'z', 4); /* nothing new */
	told(&w, "");
	drop(&w, 'a');
	told(&w, "Da ");
	apply(&w, 'c', 'x', 0);
	drop(&w, 'c'); /* it came and went */
	told(&w, "Dc ");
	relay_resync(w.f);
	told(&w, "Abz ");
	relay_status(w.f, &s);
	assert_int_equal(s.told[RELAY_APPLIED], 4);
	assert_int_equal(s.told[RELAY_RESTARTED], 1);
	assert_int_equal(s.told[RELAY_DELETED], 2);
	assert_int_equal(s.lag, 0);
	stop(&w);
}

/* Nothing has to change for it. */
static void a_resync_begins_at_once(void **state)
{
	struct rig w;

	(void)state;
	start(&w, 0);
	apply(&w, 'a', 'x', 0);
	told(&w, "Aax ");
	w.woken = 0;
	relay_resync(w.f);
	assert_true(w.woken > 0);
	told(&w, "Aax ");
	stop(&w);
}

static void failures_wait_and_repeat_the_same(void **state)
{
	struct relay_status s;
	nsec_t behind;
	struct rig w;

	(void)state;
	start(&w, 0);
	relay_status(w.f, &s);
	assert_int_equal(s.behind, 0);
	apply(&w, 'a', 'x', 0);
	behind = w.now;
	(void)relay_run(w.f, w.now, WALL);
	w.now += SEC;
	finish(&w, VECTOR_RETRY);
	relay_status(w.f, &s);
	assert_true(s.failing);
	assert_int_equal(s.behind, behind);
	assert_true(str_eq(s.words, STR("words")));
	apply(&w, 'a', 'y', 0); /* meanwhile */
	assert_true(relay_run(w.f, w.now, WALL) >= w.now);
	told(&w, "Aax Aay ");
	relay_status(w.f, &s);
	assert_false(s.failing);
	assert_int_equal(s.behind, 0);
	/* Cannot even be asked. */
	apply(&w, 'a', 'z', 0);
	w.write_result = -ENOMEM;
	told(&w, "Aaz ");
	/* Somebody has to mend it: a long pause. */
	apply(&w, 'a', 'w', 0);
	(void)relay_run(w.f, w.now, WALL);
	finish(&w, VECTOR_REFUSED);
	assert_true(relay_run(w.f, w.now, WALL) >= w.now + 10 * SEC);
	told(&w, "Aaw ");
	stop(&w);
}

static void one_bad_object_is_left_out(void **state)
{
	struct relay_status s;
	struct rig w;

	(void)state;
	start(&w, 0);
	w.bad = 'c';
	for (char c = 'a'; c < 'h'; c++)
		apply(&w, c, 'x', 0);
	told(&w, "Aax Abx Adx Aex Afx Agx ");
	relay_status(w.f, &s);
	assert_int_equal(s.left_out, 1);
	assert_int_equal(s.told[RELAY_APPLIED], 6);
	w.bad = 0;
	apply(&w, 'c', 'y', 0); /* it changed: tried again */
	told(&w, "Acy ");
	/* Too much at once, says the writer. */
	apply(&w, 'a', '1', 0);
	apply(&w, 'b', '1', 0);
	w.write_result = -EMSGSIZE;
	told(&w, "Aa1 Ab1 ");
	stop(&w);
}

static void filters(void **state)
{
	struct sink_filter filter;
	_buf_ struct buf error = {.max = 1024};
	struct rig w;

	(void)state;
	start(&w, 0);
	relay_free(&w.f);
	assert_int_equal(sink_filter_init(&filter, STR("namespaces=other"), &error), 0);
	assert_int_equal(relay_new(
				 &(struct relay_opts){
					 .store = w.s, .filter = &filter, .ops = &ops, .ctx = &w},
				 &w.f),
			 0);
	apply(&w, 'a', 'x', 0);
	drop(&w, 'a'); /* its tombstone is let go */
	apply(&w, 'b', 'x', 0);
	told(&w, "");
	stop(&w);
	sink_filter_done(&filter);
}

/* Another filter while it runs: what does not pass it any more is told as deleted, whole kinds and
 * namespaces, too. */
static void another_filter(void **state)
{
	struct sink_filter filter;
	_buf_ struct buf error = {.max = 1024};
	struct rig w;

	(void)state;
	start(&w, 0);
	relay_free(&w.f);
	assert_int_equal(sink_filter_init(&filter, STR(""), &error), 0);
	assert_int_equal(relay_new(
				 &(struct relay_opts){
					 .store = w.s, .filter = &filter, .ops = &ops, .ctx = &w},
				 &w.f),
			 0);
	apply(&w, 'a', 'x', 0);
	told(&w, "Aax ");
	assert_int_equal(sink_filter_change(&filter, STR(""), &error), 0);
	assert_int_equal(sink_filter_change(&filter, STR("what"), &error), -EINVAL);
	assert_int_equal(sink_filter_change(&filter, STR("kinds=jobs"), &error), 1);
	relay_resync(w.f);
	told(&w, "Da ");
	apply(&w, 'a', 'y', 0);
	told(&w, "");
	assert_int_equal(sink_filter_change(&filter, STR("namespaces=n"), &error), 1);
	relay_resync(w.f);
	told(&w, "Aay ");
	drop(&w, 'a');
	told(&w, "Da ");
	stop(&w);
	sink_filter_done(&filter);
}

static void random_lives(void **state)
{
	uint64_t seed = rng_entropy();
	char live[NAMES] = {0};
	struct rng g;
	struct rig w;

	(void)state;
	(void)printf("seed %llu\n", (unsigned long long)seed);
	rng_seed(&g, seed);
	start(&w, 3);
	for (int i = 0; i < 5000; i++) {
		char name = (char)('a' + rng_below(&g, NAMES));

		switch (rng_below(&g, 4)) {
		case 0:
			drop(&w, name);
			live[(unsigned char)name % NAMES] = 0;
			break;
		case 1:
			(void)relay_run(w.f, w.now, WALL);
			w.now += rng_below(&g, 3 * SEC);
			break;
		case 2:
			if (w.items)
				finish(&w, rng_below(&g, 3) ? VECTOR_OK : VECTOR_RETRY);
			break;
		default:
			live[(unsigned char)name % NAMES] = (char)('0' + rng_below(&g, 10));
			apply(&w, name, live[(unsigned char)name % NAMES], 0);
		}
	}
	if (w.items)
		finish(&w, VECTOR_OK);
	run(&w);
	for (int i = 0; i < NAMES; i++)
		assert_int_equal(w.held[i][0], live[i]);
	stop(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_filter),
		cmocka_unit_test(actions),
		cmocka_unit_test(a_resync_begins_at_once),
		cmocka_unit_test(failures_wait_and_repeat_the_same),
		cmocka_unit_test(one_bad_object_is_left_out),
		cmocka_unit_test(filters),
		cmocka_unit_test(random_lives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
