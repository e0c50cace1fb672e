/*
 * Histograms, and what Prometheus reads of them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hist.h"
#include "base/mem.h"
#include "sink/metrics/prom.h"

static void bounds_are_inclusive(void **state)
{
	static const nsec_t bounds[] = {10, 20};
	struct hist h;

	(void)state;
	hist_init(&h, bounds, 2);
	hist_add(&h, 0);
	hist_add(&h, 10);
	hist_add(&h, 11);
	hist_add(&h, 20);
	hist_add(&h, 21);
	assert_int_equal(h.counts[0], 2);
	assert_int_equal(h.counts[1], 2);
	assert_int_equal(h.counts[2], 1);
	assert_int_equal(h.sum, 62);
}

static void wide_bounds_rise(void **state)
{
	(void)state;
	for (int i = 1; i < HIST_WIDE; i++)
		assert_true(hist_wide[i] > hist_wide[i - 1]);
}

static void as_series(void **state)
{
	static const nsec_t bounds[] = {500 * NSEC_PER_USEC, 10 * NSEC_PER_SEC};
	_buf_ struct buf b = {.max = 4096};
	struct prom p = {.out = &b};
	struct hist h;

	(void)state;
	hist_init(&h, bounds, 2);
	hist_add(&h, NSEC_PER_SEC);
	hist_add(&h, 11 * NSEC_PER_SEC);
	prom_hist(&p, "x_seconds", STR("a=\"b\""), &h);
	prom_hist(&p, "y_seconds", STR(""), &h);
	assert_int_equal(p.r, 0);
	assert_true(str_eq(buf_str(&b), STR("x_seconds_bucket{a=\"b\",le=\"0.0005\"} 0\n"
					    "x_seconds_bucket{a=\"b\",le=\"10\"} 1\n"
					    "x_seconds_bucket{a=\"b\",le=\"+Inf\"} 2\n"
					    "x_seconds_sum{a=\"b\"} 12.000000000\n"
					    "x_seconds_count{a=\"b\"} 2\n"
					    "y_seconds_bucket{le=\"0.0005\"} 0\n"
					    "y_seconds_bucket{le=\"10\"} 1\n"
					    "y_seconds_bucket{le=\"+Inf\"} 2\n"
					    "y_seconds_sum 12.000000000\n"
					    "y_seconds_count 2\n")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_are_inclusive),
		cmocka_unit_test(wide_bounds_rise),
		cmocka_unit_test(as_series),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
