/*
 * What stands around the parsers: which format a body has, callbacks that say
 * stop, and memory that runs out.
 *
 * The rooms' own sources are included with another malloc, so that the n-th
 * allocation can be made to fail under every sanitizer.
 */
#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static long allocations_left = -1; /* negative: no limit */

static bool out_of_memory(void)
{
	if (allocations_left < 0)
		return false;
	return allocations_left-- == 0;
}

static void *scarce_malloc(size_t n)
{
	return out_of_memory() ? NULL : malloc(n);
}

static void *scarce_calloc(size_t n, size_t size)
{
	return out_of_memory() ? NULL : calloc(n, size);
}

static void *scarce_realloc(void *p, size_t n)
{
	return out_of_memory() ? NULL : realloc(p, n);
}

#define malloc	scarce_malloc
#define calloc	scarce_calloc
#define realloc scarce_realloc
#include "agent/base/arena.c"
#include "agent/base/buf.c"
#include "agent/decode/decode.c"
#undef malloc
#undef calloc
#undef realloc

#include "tests/lib/fixture.h"

static void test_sniff(void **state)
{
	static const struct {
		const char *type;
		struct str head;
		int result;
		enum decode_format format;
	} all[] = {
		{"application/json", STR(""), 0, DECODE_JSON},
		{"application/json;stream=watch", STR("\0\0"), 0, DECODE_JSON},
		{" Application/JSON ; charset=utf-8", STR(""), 0, DECODE_JSON},
		{"application/vnd.kubernetes.protobuf;stream=watch", STR(""), 0, DECODE_PROTOBUF},
		{"application/vnd.kubernetes.protobuf", STR("{"), 0, DECODE_PROTOBUF},
		{"", STR("k8s\0\x0a"), 0, DECODE_PROTOBUF},
		{"", STR("\0\0\x02\x10\x0a"), 0, DECODE_PROTOBUF},
		{"", STR(" \n{\"kind\""), 0, DECODE_JSON},
		{"text/plain; charset=utf-8", STR("{\"metadata\":{}"), 0, DECODE_JSON},
		{"text/plain", STR("Too many requests"), -EPROTONOSUPPORT, 0},
		{"text/html", STR("{"), -EPROTONOSUPPORT, 0},
		{"", STR("<html>"), -EPROTONOSUPPORT, 0},
		{"", STR(""), -EPROTONOSUPPORT, 0},
		{"application/yaml", STR("kind: x"), -EPROTONOSUPPORT, 0},
		{"application/cbor", STR("\xd9"), -EPROTONOSUPPORT, 0},
		{"application/jsonx", STR("{"), -EPROTONOSUPPORT, 0},
	};
	enum decode_format f;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int r = decode_sniff(str_of(all[i].type), all[i].head, &f);

		if (r != all[i].result || (r == 0 && f != all[i].format))
			fail_msg("%s: %d", all[i].type, r);
	}
}

static int stop_at(void *ctx, enum event_type type, const struct object *o)
{
	uint32_t *left = ctx;

	(void)type;
	(void)o;
	return (*left)-- == 1 ? -ECANCELED : 0;
}

static int take(void *ctx, enum event_type type, const struct object *o)
{
	uint32_t *n = ctx;

	(void)type;
	*n += o->meta.uid.n;
	return 0;
}

/* A recording through a new decoder: what it answered. */
static int decode_all(const struct buf *b, const struct decode_opts *o, size_t piece)
{
	struct decode *d = NULL;
	int r = decode_new(o, &d);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < b->n; i += piece)
		r = decode_feed(d, b->p + b->off + i, MIN(piece, b->n - i));
	if (r == 0)
		r = decode_finish(d);
	else
		assert_int_equal(decode_feed(d, "x", 1), r); /* and stays so */
	decode_free(&d);
	assert_null(d);
	return r;
}

static const char *const recordings[] = {
	[DECODE_PROTOBUF] = "list-pods-pb",
	[DECODE_JSON] = "list-pods-json",
};

static void test_stop(void **state)
{
	static const struct decode_ops ops = {.on_object = stop_at};

	(void)state;
	for (enum decode_format f = 0; f < _DECODE_FORMAT_MAX; f++) {
		uint32_t left = 5;
		struct decode_opts o = {.format = f, .shape = SHAPE_POD, .ops = &ops, .ctx = &left};
		_buf_ struct buf b;

		assert_int_equal(fixture_read(recordings[f], &b), 0);
		assert_int_equal(decode_all(&b, &o, 1000), -ECANCELED);
		assert_int_equal(left, 0);
	}
}

static void test_out_of_memory(void **state)
{
	static const struct decode_ops ops = {.on_object = take};
	static const struct str labels[] = {STR("app")};

	(void)state;
	for (enum decode_format f = 0; f < _DECODE_FORMAT_MAX; f++) {
		uint32_t n = 0;
		struct decode_opts o = {.format = f,
					.shape = SHAPE_POD,
					.ops = &ops,
					.ctx = &n,
					.labels = labels,
					.n_labels = 1};
		_buf_ struct buf b;
		long failed = 0;
		int r = -ENOMEM;

		assert_int_equal(fixture_read(recordings[f], &b), 0);
		b.n = MIN(b.n, (size_t)60000); /* the first objects: all that is ever allocated */
		while (r == -ENOMEM) {
			allocations_left = failed;
			r = decode_all(&b, &o, 700);
			allocations_left = -1;
			failed += r == -ENOMEM;
		}
		assert_int_equal(r, -EBADMSG); /* cut short */
		assert_true(failed >= 3);      /* the decoder and its two arenas */
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sniff),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
