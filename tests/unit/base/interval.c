/* What is done again and again: when it is due, and what another interval changes. */
#include "base/interval.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S NSEC_PER_SEC

static void over_once_each_time(void **state)
{
	struct interval i = {0};
	unsigned n = 0;

	(void)state;
	interval_set(&i, 60 * S, 1000 * S);
	assert_false(interval_over(&i, 1000 * S));
	assert_false(interval_over(&i, 1060 * S - 1));
	assert_true(interval_over(&i, 1060 * S));
	assert_false(interval_over(&i, 1060 * S));
	for (nsec_t t = 1060 * S; t < 1660 * S; t += S)
		n += interval_over(&i, t);
	assert_int_equal(n, 9);
	assert_true(interval_over(&i, 1660 * S));
}

static void late_looks_do_not_add_up(void **state)
{
	struct interval i = {0};

	(void)state;
	interval_set(&i, 60 * S, 0);
	assert_true(interval_over(&i, 60 * S + 900 * NSEC_PER_MSEC));
	assert_true(interval_over(&i, 120 * S));
	assert_true(interval_over(&i, 1000 * S)); /* as after a suspend */
	assert_false(interval_over(&i, 1019 * S));
	assert_true(interval_over(&i, 1020 * S));
}

static void another_one_begins_anew(void **state)
{
	struct interval i = {0};

	(void)state;
	interval_set(&i, 3600 * S, 0);
	interval_set(&i, 3600 * S, 3000 * S); /* the same one goes on */
	assert_true(interval_over(&i, 3600 * S));
	interval_set(&i, 60 * S, 4000 * S);
	assert_false(interval_over(&i, 4059 * S));
	assert_true(interval_over(&i, 4060 * S));
	interval_set(&i, 3600 * S, 4070 * S);
	assert_false(interval_over(&i, 7669 * S));
	assert_true(interval_over(&i, 7670 * S));
}

static void none_is_never(void **state)
{
	struct interval i = {0};

	(void)state;
	assert_false(interval_over(&i, NSEC_NEVER));
	interval_set(&i, 60 * S, 0);
	interval_set(&i, 0, 30 * S);
	assert_false(interval_over(&i, 3600 * S));
	interval_set(&i, 60 * S, 3600 * S);
	assert_false(interval_over(&i, 3659 * S));
	assert_true(interval_over(&i, 3660 * S));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(over_once_each_time),
		cmocka_unit_test(late_looks_do_not_add_up),
		cmocka_unit_test(another_one_begins_anew),
		cmocka_unit_test(none_is_never),
	};

	return cmocka_run_group_tests_name("interval", tests, NULL, NULL);
}
