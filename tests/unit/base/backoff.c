/* Delays between tries: their range, their growth, and when they start anew. */
#include "base/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S NSEC_PER_SEC

/* The widest of many first..n-th delays, to see the range and not one draw. */
static nsec_t widest(unsigned failures, nsec_t retry_after, nsec_t *ret_least)
{
	nsec_t most = 0;

	*ret_least = NSEC_NEVER;
	for (uint64_t seed = 1; seed <= 2000; seed++) {
		struct backoff b;
		struct rng g;
		nsec_t d = 0;

		backoff_init(&b);
		rng_seed(&g, seed);
		for (unsigned i = 0; i < failures; i++)
			d = backoff_next(&b, &g, 5 * S, retry_after);
		most = d > most ? d : most;
		*ret_least = d < *ret_least ? d : *ret_least;
	}
	return most;
}

static void doubles_up_to_the_cap(void **state)
{
	static const nsec_t width[] = {S / 2, S, 2 * S, 4 * S, 8 * S, 16 * S, 30 * S, 30 * S};
	nsec_t least;

	(void)state;
	for (unsigned n = 0; n < sizeof(width) / sizeof(*width); n++) {
		nsec_t most = widest(n + 1, 0, &least);

		assert_in_range(most, width[n] * 98 / 100, width[n]);
		assert_true(least < width[n] / 50); /* full jitter begins at 0 */
	}
	assert_in_range(widest(1000, 0, &least), 29 * S, 30 * S); /* no overflow */
}

static void retry_after_is_a_floor(void **state)
{
	nsec_t least, most;

	(void)state;
	most = widest(1, 7 * S, &least);
	assert_true(least >= 7 * S && most <= 7 * S + S / 2);
	most = widest(1, NSEC_NEVER, &least);
	assert_true(least >= BACKOFF_MAX_RETRY_AFTER && most <= BACKOFF_MAX_RETRY_AFTER + S / 2);
}

static void only_a_healthy_time_starts_anew(void **state)
{
	struct backoff b;
	struct rng g;
	nsec_t now = 100 * S;

	(void)state;
	backoff_init(&b);
	rng_seed(&g, 1);
	for (int i = 0; i < 10; i++) {
		backoff_good(&b, now);
		now += 59 * S;
		(void)backoff_next(&b, &g, now, 0);
	}
	assert_int_equal(b.tries, 10);
	backoff_good(&b, now);
	backoff_good(&b, now + 50 * S); /* the first time counts */
	assert_true(backoff_next(&b, &g, now + 60 * S, 0) <= S / 2);
	assert_int_equal(b.tries, 1);
	/* Without a good word in between, time alone heals nothing. */
	(void)backoff_next(&b, &g, now + 10000 * S, 0);
	assert_int_equal(b.tries, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_up_to_the_cap),
		cmocka_unit_test(retry_after_is_a_floor),
		cmocka_unit_test(only_a_healthy_time_starts_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
