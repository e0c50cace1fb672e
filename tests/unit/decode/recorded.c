/*
 * Every recorded body: both formats say the same, in every cut.
 */
#include "base/mem.h"
#include "tests/lib/decode_log.h"
#include "tests/lib/fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define JSON DECODE_JSON
#define PB   DECODE_PROTOBUF

struct recording {
	const char *name;
	enum decode_format format;
	enum decode_body body;
	enum decode_shape shape;
	uint32_t objects, statuses; /* objects 0: any number */
};

static const struct str wanted[] = {STR("app"), STR("pod-template-hash")};

static struct buf body_of(const char *name)
{
	struct buf b;
	int r = fixture_read(name, &b);

	if (r < 0)
		fail_msg("%s: %s", name, strerror(-r));
	return b;
}

static void start(struct decode_log *l, const struct recording *c)
{
	decode_log_init(l, c->format, c->body, c->shape);
	l->opts.labels = wanted;
	l->opts.n_labels = ARRAY_SIZE(wanted);
}

static void same(const struct decode_log *a, const struct decode_log *b, const char *name,
		 const char *how)
{
	if (a->result != b->result || !str_eq(buf_str(&a->text), buf_str(&b->text)))
		fail_msg("%s: %s differs (%d %s, %d %s)", name, how, a->result, a->error, b->result,
			 b->error);
}

static void check_cuts(const struct recording *c)
{
	uint64_t seed = rng_entropy();
	_buf_ struct buf body = body_of(c->name);
	struct decode_log whole, cut;
	struct rng g;

	start(&whole, c);
	start(&cut, c);
	decode_log_run(&whole, buf_str(&body), CUT_NONE, 0, NULL);
	if (whole.result < 0 || whole.bads)
		fail_msg("%s: %d %s, %u bad", c->name, whole.result, whole.error, whole.bads);
	if (c->objects)
		assert_int_equal(whole.objects, c->objects);
	assert_int_equal(whole.statuses, c->statuses);
	assert_int_equal(whole.lists, c->body == DECODE_LIST);
	if (body.n < 1 << 20) {
		decode_log_run(&cut, buf_str(&body), CUT_BYTES, 0, NULL);
		same(&whole, &cut, c->name, "byte by byte");
	}
	rng_seed(&g, seed);
	decode_log_run(&cut, buf_str(&body), CUT_RANDOM, 0, &g);
	if (!str_eq(buf_str(&whole.text), buf_str(&cut.text)))
		fail_msg("%s: random cuts of seed %llu differ", c->name, (unsigned long long)seed);
	assert_true(cut.most_bytes < 256 * 1024);
	decode_log_done(&whole);
	decode_log_done(&cut);
}

static void test_cuts(void **state)
{
	static const struct recording all[] = {
		{"list-pods-json", JSON, DECODE_LIST, SHAPE_POD, 101, 0},
		{"list-pods-pb", PB, DECODE_LIST, SHAPE_POD, 101, 0},
		{"list-pods-meta-json", JSON, DECODE_LIST, SHAPE_META, 101, 0},
		{"list-pods-meta-pb", PB, DECODE_LIST, SHAPE_META, 101, 0},
		{"list-pods-json-page1", JSON, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-pods-pb-page1", PB, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-pods-node-json", JSON, DECODE_LIST, SHAPE_POD, 0, 0},
		{"list-replicasets-json", JSON, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-replicasets-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-replicasets-meta-json", JSON, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-replicasets-meta-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-jobs-meta-json", JSON, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-jobs-meta-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"list-jobs-pb", PB, DECODE_LIST, SHAPE_META, 0, 0},
		{"watch-pods-json", JSON, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watch-pods-pb", PB, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watch-pods-meta-json", JSON, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-pods-meta-pb", PB, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-pods-rv0-json", JSON, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watch-jobs-json", JSON, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-jobs-pb", PB, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-replicasets-json", JSON, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watch-replicasets-meta-pb", PB, DECODE_WATCH, SHAPE_META, 0, 0},
		{"watchlist-pods-json", JSON, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"watchlist-pods-pb", PB, DECODE_WATCH, SHAPE_POD, 0, 0},
		{"big-pods-json", JSON, DECODE_LIST, SHAPE_POD, 2307, 0},
		{"big-pods-pb", PB, DECODE_LIST, SHAPE_POD, 2307, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		check_cuts(&all[i]);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
