/*
 * Frames: every length, every cut, and what is none.
 */
#include "peers/frame.h"

#include "base/mem.h"
#include "base/rng.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static char payload[FRAME_RAW_MAX + 1];

/* Half of it repeats, so that LZ4 has something to do; a random one does not. */
static void fill(struct rng *g, bool random)
{
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (char)(random ? rng_next(g) : (i / 7) % 50);
}

static void put(struct buf *out, enum frame_kind kind, size_t n)
{
	assert_int_equal(frame_put(out, kind, str_make(payload, n)), 0);
}

static void expect(struct frame_reader *r, struct str *bytes, enum frame_kind kind, size_t n)
{
	struct frame f;

	assert_int_equal(frame_take(r, bytes, &f), 1);
	assert_int_equal(f.kind, kind);
	assert_int_equal(f.payload.n, n);
	assert_true(n == 0 || memcmp(f.payload.p, payload, n) == 0);
}

static void every_length_comes_back(void **state)
{
	static const size_t sizes[] = {0, 1, 63, 64, 65, 300, 5000, FRAME_RAW_MAX};
	_cleanup_(frame_reader_done) struct frame_reader r;
	_buf_ struct buf out = {.max = 1 << 20};
	struct rng g = {.state = 1};

	(void)state;
	frame_reader_init(&r);
	for (int random = 0; random < 2; random++) {
		struct str bytes;

		fill(&g, random);
		buf_reset(&out);
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			put(&out, FRAME_CHANGES, sizes[i]);
		bytes = buf_str(&out);
		assert_true(random || bytes.n < FRAME_RAW_MAX / 4); /* it was packed */
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			expect(&r, &bytes, FRAME_CHANGES, sizes[i]);
		assert_int_equal(bytes.n, 0);
	}
	assert_int_equal(frame_put(&out, FRAME_BEAT, str_make(payload, sizeof(payload))),
			 -EMSGSIZE);
}

static void in_any_cut(void **state)
{
	_cleanup_(frame_reader_done) struct frame_reader r;
	_buf_ struct buf out = {.max = 1 << 20};
	struct rng g = {.state = 2};
	struct str all, first, rest;

	(void)state;
	frame_reader_init(&r);
	fill(&g, false);
	put(&out, FRAME_HELLO, 40);
	put(&out, FRAME_SNAPSHOT, 700);
	put(&out, FRAME_END, 0);
	all = buf_str(&out);
	for (size_t cut = 0; cut <= all.n; cut++) {
		static const size_t sizes[] = {40, 700, 0};
		static const enum frame_kind kinds[] = {FRAME_HELLO, FRAME_SNAPSHOT, FRAME_END};
		size_t k = 0;
		struct frame f;

		first = str_make(all.p, cut);
		rest = str_from(all, cut);
		frame_reader_reset(&r);
		for (int part = 0; part < 2; part++) {
			struct str *bytes = part ? &rest : &first;

			while (frame_take(&r, bytes, &f) > 0) {
				assert_int_equal(f.kind, kinds[k]);
				assert_int_equal(f.payload.n, sizes[k]);
				assert_true(!sizes[k] ||
					    memcmp(f.payload.p, payload, sizes[k]) == 0);
				k++;
			}
			assert_int_equal(bytes->n, 0);
		}
		assert_int_equal(k, 3);
	}
}

static int take(const char *bytes, size_t n)
{
	_cleanup_(frame_reader_done) struct frame_reader r;
	struct str in = str_make(bytes, n);
	struct frame f;

	frame_reader_init(&r);
	return frame_take(&r, &in, &f);
}

static void what_is_no_frame(void **state)
{
	static const char huge[] = {'C', 1, 0, 1, 1, 0, 0, 0, 0}; /* 65,537 bytes unpacked */
	static const char grows[] = {'C', 4, 0, 0, 5, 0, 0, 0, 1, 2, 3, 4, 5};
	static const char empty[] = {'C', 4, 0, 0, 0, 0, 0, 0};
	static const char kind[] = {'X', 0, 0, 0, 0, 0, 0, 0};
	static const char last[] = {'C', 0, 0, 0, 0, 0, 0, 1};
	static const char garbage[] = {'C', 100, 0, 0, 4, 0, 0, 0, 'a', 'b', 'c', 'd'};
	static const char fine[] = {'B', 0, 0, 0, 0, 0, 0, 0};

	(void)state;
	assert_int_equal(take(huge, sizeof(huge)), -EBADMSG);
	assert_int_equal(take(grows, sizeof(grows)), -EBADMSG);
	assert_int_equal(take(empty, sizeof(empty)), -EBADMSG);
	assert_int_equal(take(kind, sizeof(kind)), -EBADMSG);
	assert_int_equal(take(last, sizeof(last)), -EBADMSG);
	assert_int_equal(take(garbage, sizeof(garbage)), -EBADMSG);
	assert_int_equal(take(fine, sizeof(fine)), 1);
	assert_int_equal(take(fine, 7), 0);
	assert_int_equal(take("HTTP/1.1 200 OK", 15), -EBADMSG);
}

/* A frame that unpacks to less, or more, than it claims. */
static void lengths_that_lie(void **state)
{
	_buf_ struct buf out = {.max = 1 << 20};
	struct rng g = {.state = 3};

	(void)state;
	fill(&g, false);
	put(&out, FRAME_CHANGES, 1000);
	out.p[1] = (char)(out.p[1] + 1);
	assert_int_equal(take(out.p, out.n), -EBADMSG);
	out.p[1] = (char)(out.p[1] - 2);
	assert_int_equal(take(out.p, out.n), -EBADMSG);
}

static int round_trip(void *ctx)
{
	_cleanup_(frame_reader_done) struct frame_reader r;
	_buf_ struct buf out = {.max = 1 << 20};
	struct frame f;
	struct str in;
	int e;

	(void)ctx;
	frame_reader_init(&r);
	e = frame_put(&out, FRAME_CHANGES, str_make(payload, 1000));
	in = buf_str(&out);
	if (e == 0)
		e = frame_take(&r, &in, &f);
	return e > 0 ? 0 : e;
}

static void with_little_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(round_trip, NULL), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_length_comes_back), cmocka_unit_test(in_any_cut),
		cmocka_unit_test(what_is_no_frame),	   cmocka_unit_test(lengths_that_lie),
		cmocka_unit_test(with_little_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
