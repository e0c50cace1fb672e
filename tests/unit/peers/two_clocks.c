/*
 * Two clocks that begin anywhere, drift and stand still: the truth lies between the
 * bounds, or it is known not to be.
 */
#include "peers/two_clocks.h"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define MS  NSEC_PER_MSEC
#define SEC NSEC_PER_SEC

static void at_once(void **state)
{
	struct two_clocks c = {0};

	(void)state;
	/* Theirs is 500 s ahead; 20 ms there and back. */
	two_clocks_begin(&c, false, 100 * SEC, 100 * SEC + 20 * MS, 600 * SEC + 10 * MS);
	assert_true(two_clocks_doubt(&c, 100 * SEC + 20 * MS) == 20 * MS + 2 * TWO_CLOCKS_SLACK);
	assert_true(two_clocks_latest(&c, 101 * SEC, 600 * SEC) >= 100 * SEC + TWO_CLOCKS_SLACK);
	assert_true(two_clocks_earliest(&c, 101 * SEC, 600 * SEC) <= 100 * SEC - TWO_CLOCKS_SLACK);
	assert_true(two_clocks_earliest(&c, 101 * SEC, SEC) == 0); /* before we began */
	assert_true(two_clocks_latest(&c, 101 * SEC, NSEC_NEVER) == NSEC_NEVER);
	assert_true(c.since == 100 * SEC + 20 * MS);
}

static void they_wait_for_each_other(void **state)
{
	struct two_clocks c = {0};
	nsec_t doubt;

	(void)state;
	two_clocks_begin(&c, false, 10 * SEC, 11 * SEC, 10 * SEC); /* half a second each way */
	doubt = two_clocks_doubt(&c, 11 * SEC);
	assert_true(two_clocks_heard(&c, 12 * SEC + 10 * MS, 12 * SEC));
	assert_true(two_clocks_doubt(&c, 12 * SEC + 10 * MS) < doubt - 900 * MS);
	doubt = two_clocks_doubt(&c, 12 * SEC + 10 * MS);
	assert_true(two_clocks_heard(&c, 13 * SEC + 100 * MS, 13 * SEC)); /* slow: no news */
	assert_true(two_clocks_doubt(&c, 13 * SEC + 100 * MS) < doubt + 5 * MS);
	assert_true(two_clocks_doubt(&c, 1013 * SEC) > doubt + 900 * MS); /* they drift */
}

static void theirs_stood_still(void **state)
{
	struct two_clocks c = {0};

	(void)state;
	two_clocks_begin(&c, false, 10 * SEC, 10 * SEC + MS, 10 * SEC);
	assert_true(two_clocks_heard(&c, 20 * SEC, 15 * SEC)); /* for five seconds */
	assert_true(c.since == 20 * SEC);
	assert_true(two_clocks_doubt(&c, 20 * SEC) > 5 * SEC);
	assert_true(two_clocks_latest(&c, 20 * SEC, 15 * SEC) >= 20 * SEC);
	two_clocks_begin(&c, true, 21 * SEC, 21 * SEC + MS, 16 * SEC);
	assert_true(c.since == 21 * SEC + MS); /* it cannot be told when */
	two_clocks_begin(&c, true, 22 * SEC, 22 * SEC + MS, 17 * SEC);
	assert_true(c.since == 21 * SEC + MS); /* nothing since */
	two_clocks_begin(&c, false, 23 * SEC, 23 * SEC + MS, 18 * SEC);
	assert_true(c.since == 23 * SEC + MS); /* another's */
}

static void ours_stood_still(void **state)
{
	struct two_clocks c = {0};

	(void)state;
	two_clocks_begin(&c, false, 10 * SEC, 10 * SEC + MS, 10 * SEC);
	assert_true(two_clocks_heard(&c, 11 * SEC, 11 * SEC));
	assert_false(two_clocks_heard(&c, 12 * SEC, 13 * SEC));
}

/* Whatever is told within what counts as since, the truth lies between. */
static void the_truth_lies_between(void **state)
{
	struct rng g = {.state = rng_entropy()};

	(void)state;
	print_message("seed %llu\n", (unsigned long long)g.state);
	for (int round = 0; round < 2000; round++) {
		const int64_t offset = (int64_t)rng_below(&g, 2000 * SEC) - (int64_t)(500 * SEC);
		const int64_t ppm = (int64_t)rng_below(&g, 900) - 450;
		nsec_t t = 1000 * SEC; /* theirs */
		struct two_clocks c = {0};

		for (int i = 0; i < 50; i++) {
			const nsec_t late = rng_below(&g, 150 * MS), back = rng_below(&g, 150 * MS);
			const nsec_t ours =
				t + (nsec_t)offset + (nsec_t)((int64_t)(t / 1000000) * ppm);
			const nsec_t at = t - rng_below(&g, MIN(t - 1000 * SEC + 1, 60 * SEC));
			const nsec_t was =
				at + (nsec_t)offset + (nsec_t)((int64_t)(at / 1000000) * ppm);

			if (!i)
				two_clocks_begin(&c, false, ours - back, ours + late, t);
			else
				assert_true(two_clocks_heard(&c, ours + late, t));
			assert_true(two_clocks_earliest(&c, ours + late, at) <= was);
			assert_true(two_clocks_latest(&c, ours + late, at) >= was);
			t += rng_below(&g, 5 * SEC);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(at_once),
		cmocka_unit_test(they_wait_for_each_other),
		cmocka_unit_test(theirs_stood_still),
		cmocka_unit_test(ours_stood_still),
		cmocka_unit_test(the_truth_lies_between),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
