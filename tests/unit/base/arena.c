/*
 * The arena: pieces are aligned, do not overlap, and stay until the reset; the
 * maximum counts what was given out.
 */
#include "base/arena.h"

#include "base/rng.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

enum { PIECES = 400 };

struct piece {
	unsigned char *p, fill;
	size_t n;
};

static void whole(const struct piece *q)
{
	for (size_t i = 0; i < q->n; i++)
		assert_int_equal(q->p[i], q->fill);
}

static void pieces_do_not_overlap(void **state)
{
	static struct piece piece[PIECES];
	struct arena a;
	struct rng g;

	(void)state;
	arena_init(&a, (size_t)64 << 20);
	rng_seed(&g, 7);
	for (int round = 0; round < 20; round++) {
		for (unsigned int i = 0; i < PIECES; i++) {
			struct piece *q = &piece[i];

			q->n = rng_below(&g, rng_below(&g, 20) ? 100 : 30000);
			q->fill = (unsigned char)i;
			q->p = arena_alloc(&a, q->n);
			assert_non_null(q->p);
			assert_true((uintptr_t)q->p % _Alignof(max_align_t) == 0);
			memset(q->p, q->fill, q->n);
		}
		for (unsigned int i = 0; i < PIECES; i++)
			whole(&piece[i]);
		arena_reset(&a);
		assert_true(a.used == 0);
	}
	arena_done(&a);
	assert_non_null(arena_alloc(&a, 1)); /* it can be used again */
	arena_done(&a);
}

static void the_maximum_holds(void **state)
{
	struct arena a;
	struct str copy = STR("before");

	(void)state;
	arena_init(&a, 64);
	assert_null(arena_alloc(&a, 65));
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 14)); /* rounding up must not wrap */
	assert_non_null(arena_alloc(&a, 33));	     /* counts as 48 */
	assert_int_equal(arena_dup(&a, STR("0123456789abcdefg"), &copy), -ENOMEM);
	assert_true(str_eq(copy, STR("before")));
	assert_int_equal(arena_dup(&a, STR("0123456789abcdef"), &copy), 0);
	assert_true(str_eq(copy, STR("0123456789abcdef")));
	assert_null(arena_alloc(&a, 1));
	assert_int_equal(arena_dup(&a, STR(""), &copy), 0); /* nothing is always there */
	assert_true(str_empty(copy));
	arena_reset(&a);
	assert_non_null(arena_alloc(&a, 64));
	arena_done(&a);
}

static int fill(void *ctx)
{
	struct arena a;
	int r = 0;

	(void)ctx;
	arena_init(&a, (size_t)1 << 20);
	for (int i = 0; r == 0 && i < 100; i++)
		r = arena_alloc(&a, (size_t)i * 50) ? 0 : -ENOMEM;
	arena_reset(&a);
	if (r == 0 && !arena_alloc(&a, 100000))
		r = -ENOMEM;
	arena_done(&a);
	return r;
}

static void survives_failed_allocations(void **state)
{
	(void)state;
	assert_int_equal(torture_run(fill, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_do_not_overlap),
		cmocka_unit_test(the_maximum_holds),
		cmocka_unit_test(survives_failed_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
