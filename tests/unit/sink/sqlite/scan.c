/*
 * Arithmetic of the scan, against plain sums: whatever the processor can do, the answer
 * is the same.
 */
#include "sink/sqlite/scan.h"

#include "base/mem.h"
#include "base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MOST (128U << 10)

static int8_t *cells(void)
{
	int8_t *p = aligned_alloc(SCAN_ALIGN, MOST);

	assert_non_null(p);
	return p;
}

static void check(const int8_t *a, const int8_t *b, uint32_t n)
{
	int64_t want = 0;

	for (uint32_t i = 0; i < n; i++)
		want += (int64_t)a[i] * b[i];
	assert_int_equal(scan_dot(a, b, n), want);
	assert_int_equal(scan_dot_plain(a, b, n), want);
}

static void dots_are_exact(void **state)
{
	static const uint32_t sizes[] = {0, 32, 64, 384, 1024, 8192};
	_free_ int8_t *a = cells(), *b = cells();
	struct rng rng;

	(void)state;
	rng_seed(&rng, 1);
	for (int round = 0; round < 200; round++)
		for (size_t k = 0; k < ARRAY_SIZE(sizes); k++) {
			for (uint32_t i = 0; i < sizes[k]; i++) {
				a[i] = (int8_t)((int)rng_below(&rng, 255) - 127);
				b[i] = (int8_t)((int)rng_below(&rng, 255) - 127);
			}
			check(a, b, sizes[k]);
		}
}

static void the_largest_values_do_not_overflow(void **state)
{
	static const int8_t ends[] = {-127, 127};
	_free_ int8_t *a = cells(), *b = cells();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		for (size_t k = 0; k < ARRAY_SIZE(ends); k++) {
			memset(a, ends[i], MOST);
			memset(b, ends[k], MOST);
			check(a, b, MOST);
		}
}

/* What is left of a vector gives its cosines, nearly. */
static void eight_bits_are_enough(void **state)
{
	enum { DIM = 100, ROOM = (DIM + SCAN_ALIGN - 1) / SCAN_ALIGN * SCAN_ALIGN };
	int8_t qa[ROOM] __attribute__((aligned(SCAN_ALIGN)));
	int8_t qb[ROOM] __attribute__((aligned(SCAN_ALIGN)));
	float a[DIM], b[DIM], fa, fb;
	struct rng rng;
	double want;

	(void)state;
	rng_seed(&rng, 2);
	for (int round = 0; round < 1000; round++) {
		for (int i = 0; i < DIM; i++) {
			a[i] = (float)rng_below(&rng, 2001) - 1000;
			b[i] = a[i] + (float)rng_below(&rng, 2001) - 1000;
		}
		scan_quantise(a, DIM, qa, &fa);
		scan_quantise(b, DIM, qb, &fb);
		assert_true(scan_cosine(a, scan_length(a, DIM), b, DIM, &want));
		assert_true(fabs(scan_dot(qa, qb, ROOM) * (double)fa * (double)fb - want) < 0.01);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dots_are_exact),
		cmocka_unit_test(the_largest_values_do_not_overflow),
		cmocka_unit_test(eight_bits_are_enough),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
