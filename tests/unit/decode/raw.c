/*
 * The bytes of an object as they came: of hand-made bodies in every cut, of
 * recorded ones compared with what jansson finds in them.
 */
#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/decode_log.h"
#include "tests/lib/fixture.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#define A "{ \"metadata\": {\"uid\":\"1\" ,\"name\":\"a\"},\"x\":[\"}\\\"\",{}] }"
#define B "{\"metadata\":{\"name\":\"b\",\"uid\":\"2\"}}"

struct got {
	char *raw[8];
	uint32_t n;
};

static int on_object(void *ctx, enum event_type type, const struct object *o)
{
	struct got *g = ctx;

	(void)type;
	if (g->n < ARRAY_SIZE(g->raw))
		g->raw[g->n++] = str_dup(o->raw);
	return 0;
}

static void forget(struct got *g)
{
	for (uint32_t i = 0; i < g->n; i++)
		free(g->raw[i]);
	g->n = 0;
}

static const struct decode_ops ops = {.on_object = on_object};

/* Fed as two pieces, cut at `at`, or (at 0) byte by byte; each piece is gone after its call. */
static int run(struct str text, enum decode_body body, size_t max, size_t at, struct got *ret)
{
	struct decode_opts o = {.format = DECODE_JSON,
				.body = body,
				.shape = SHAPE_META,
				.raw = true,
				.max_object = max,
				.ops = &ops,
				.ctx = ret};
	struct decode *d = NULL;
	int r = decode_new(&o, &d);

	for (size_t i = 0, n; r == 0 && i < text.n; i += n) {
		n = !at ? 1 : i < at ? at : text.n - i;
		char *piece = malloc(n);

		if (!piece) {
			r = -ENOMEM;
			break;
		}
		memcpy(piece, text.p + i, n);
		r = decode_feed(d, piece, n);
		memset(piece, 0xa5, n);
		free(piece);
	}
	if (r == 0)
		r = decode_finish(d);
	decode_free(&d);
	return r;
}

static void expect(struct str text, enum decode_body body, size_t at, const char *first,
		   const char *second)
{
	struct got g = {0};

	assert_int_equal(run(text, body, 0, at, &g), 0);
	assert_int_equal(g.n, second ? 2 : 1);
	assert_string_equal(g.raw[0], first);
	if (second)
		assert_string_equal(g.raw[1], second);
	forget(&g);
}

static void every_cut(void **state)
{
	static const struct {
		struct str text;
		enum decode_body body;
		const char *first, *second;
	} cases[] = {
		{STR("{\"kind\":\"XList\",\"items\":[ " A " , " B "],\"metadata\":{}}"),
		 DECODE_LIST, A, B},
		{STR("{\"type\":\"ADDED\",\"object\":" A "}\n{\"object\": " B
		     " ,\"type\":\"DELETED\"}\n"),
		 DECODE_WATCH, A, B},
		{STR(" " A " "), DECODE_OBJECT, A, NULL},
		/* The last of two counts, as for everything else. */
		{STR("{\"object\":" A ",\"object\":" B ",\"type\":\"ADDED\"}"), DECODE_WATCH, B,
		 NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t at = 0; at <= cases[i].text.n; at++)
			expect(cases[i].text, cases[i].body, at, cases[i].first, cases[i].second);
}

static void only_when_asked(void **state)
{
	static const char text[] = "{\"type\":\"ADDED\",\"object\":" A "}";
	struct got g = {0};
	struct decode_opts o = {.format = DECODE_JSON,
				.body = DECODE_WATCH,
				.shape = SHAPE_META,
				.ops = &ops,
				.ctx = &g};
	struct decode *d = NULL;

	(void)state;
	assert_int_equal(decode_new(&o, &d), 0);
	assert_int_equal(decode_feed(d, text, sizeof(text) - 1), 0);
	assert_int_equal(g.n, 1);
	assert_string_equal(g.raw[0], "");
	decode_free(&d);
	forget(&g);
}

/* An object of just the maximum comes, one over it does not, and is not held. */
static void maximum(void **state)
{
	static const char text[] = "{\"kind\":\"XList\",\"items\":[" A "," B "]}";
	size_t all = sizeof(text) - 1;

	(void)state;
	for (size_t at = 0; at <= all; at++) {
		struct got g = {0};

		assert_int_equal(run(str_make(text, all), DECODE_LIST, sizeof(A) - 1, at, &g), 0);
		assert_int_equal(g.n, 2);
		forget(&g);
		assert_int_equal(run(str_make(text, all), DECODE_LIST, sizeof(A) - 2, at, &g), 0);
		assert_int_equal(g.n, 1);
		assert_string_equal(g.raw[0], B);
		forget(&g);
	}
}

/* 8 MB of one object in small pieces: what is held stays below the maximum. */
static void large_objects_are_not_held(void **state)
{
	struct decode_log log;
	struct buf body;
	struct rng g;

	(void)state;
	rng_seed(&g, 1);
	buf_init(&body, (size_t)16 << 20);
	assert_int_equal(buf_append_str(&body, STR("{\"kind\":\"XList\",\"items\":[{\"s\":\"")), 0);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(
			buf_append_str(&body, STR("0123456789012345678901234567890123456789"
						  "0123456789012345678901234567890123456789")),
			0);
	assert_int_equal(buf_append_str(&body, STR("\"}," B "]}")), 0);
	decode_log_init(&log, DECODE_JSON, DECODE_LIST, SHAPE_META);
	log.opts.raw = true;
	log.opts.max_object = 100000;
	decode_log_run(&log, buf_str(&body), CUT_RANDOM, 0, &g);
	assert_int_equal(log.result, 0);
	assert_int_equal(log.bads, 1);
	assert_int_equal(log.objects, 1);
	assert_true(log.most_bytes < 300000);
	decode_log_done(&log);
	buf_done(&body);
}

/* ---- recorded -------------------------------------------------------------------------------- */

struct walk {
	struct buf *body;
	json_t *list;
	const char *after; /* where the object before ended */
	size_t n;
};

static int compare(void *ctx, enum event_type type, const struct object *o)
{
	struct walk *w = ctx;
	json_t *raw = json_loadb(o->raw.p, o->raw.n, JSON_REJECT_DUPLICATES, NULL);
	const char *end = w->body->p + w->body->off + w->body->n;

	(void)type;
	assert_non_null(raw);
	assert_true(json_equal(raw, json_array_get(w->list, w->n++)));
	json_decref(raw);
	w->after = memmem(w->after, (size_t)(end - w->after), o->raw.p, o->raw.n);
	assert_non_null(w->after);
	w->after += o->raw.n;
	return 0;
}

static void feed(struct walk *w, enum decode_body body, size_t piece)
{
	static const struct decode_ops compare_ops = {.on_object = compare};
	struct decode_opts o = {.format = DECODE_JSON,
				.body = body,
				.shape = SHAPE_POD,
				.raw = true,
				.ops = &compare_ops,
				.ctx = w};
	struct decode *d = NULL;
	struct str s = buf_str(w->body);

	w->n = 0;
	w->after = s.p;
	assert_int_equal(decode_new(&o, &d), 0);
	for (size_t i = 0; i < s.n; i += piece)
		assert_int_equal(decode_feed(d, s.p + i, MIN(piece, s.n - i)), 0);
	assert_int_equal(decode_finish(d), 0);
	assert_int_equal(w->n, json_array_size(w->list));
	decode_free(&d);
}

static void recorded_lists(void **state)
{
	static const char *const names[] = {"base-pods-json", "base-replicasets-json",
					    "base-jobs-json", "big-pods-json"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_buf_ struct buf body;
		struct walk w = {.body = &body};
		json_t *root;

		assert_int_equal(fixture_read(names[i], &body), 0);
		root = json_loadb(body.p + body.off, body.n, 0, NULL);
		w.list = json_object_get(root, "items");
		feed(&w, DECODE_LIST, 16384);
		feed(&w, DECODE_LIST, 1001);
		json_decref(root);
	}
}

static void recorded_watches(void **state)
{
	static const char *const names[] = {"watch-pods-json", "watch-jobs-json",
					    "watchlist-pods-json", "watch-pods-meta-json"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_buf_ struct buf body;
		struct walk w = {.body = &body, .list = json_array()};
		size_t at = 0;
		json_error_t e;
		json_t *event;

		assert_int_equal(fixture_read(names[i], &body), 0);
		while ((event = json_loadb(body.p + body.off + at, body.n - at,
					   JSON_DISABLE_EOF_CHECK, &e))) {
			at += (size_t)e.position;
			json_array_append(w.list, json_object_get(event, "object"));
			json_decref(event);
		}
		assert_true(json_array_size(w.list) > 10);
		feed(&w, DECODE_WATCH, 16384);
		feed(&w, DECODE_WATCH, 777);
		json_decref(w.list);
	}
}

static int byte_by_byte(void *ctx)
{
	struct got g = {0};
	int r = run(*(const struct str *)ctx, DECODE_LIST, 0, 0, &g);

	for (uint32_t i = 0; i < g.n; i++)
		if (!g.raw[i])
			r = -ENOMEM;
	forget(&g);
	return r;
}

static void short_of_memory(void **state)
{
	struct str text = STR("{\"kind\":\"XList\",\"items\":[" A "," B "]}");

	(void)state;
	assert_int_equal(torture_run(byte_by_byte, &text), 0);
}

/* Between two events a watch holds no more than before the first. */
static void nothing_is_held_at_rest(void **state)
{
	static char big[40000];
	struct got g = {0};
	struct decode_opts o = {.format = DECODE_JSON,
				.body = DECODE_WATCH,
				.shape = SHAPE_META,
				.raw = true,
				.ops = &ops,
				.ctx = &g};
	_buf_ struct buf b = {.max = 100000};
	struct decode *d;
	size_t fresh;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	assert_int_equal(buf_printf(&b,
				    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"uid\":\"1\","
				    "\"name\":\"%s\"}}}\n",
				    big),
			 0);
	assert_int_equal(decode_new(&o, &d), 0);
	fresh = decode_bytes(d);
	for (int twice = 0; twice < 2; twice++) {
		assert_int_equal(decode_feed(d, b.p, 39000), 0);
		assert_true(decode_bytes(d) > fresh + 2 * 38000);
		assert_int_equal(decode_feed(d, b.p + 39000, b.n - 39000), 0);
		assert_int_equal(decode_bytes(d), fresh);
	}
	assert_int_equal(g.n, 2);
	decode_free(&d);
	forget(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_cut),
		cmocka_unit_test(only_when_asked),
		cmocka_unit_test(maximum),
		cmocka_unit_test(large_objects_are_not_held),
		cmocka_unit_test(recorded_lists),
		cmocka_unit_test(recorded_watches),
		cmocka_unit_test(nothing_is_held_at_rest),
		cmocka_unit_test(short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
