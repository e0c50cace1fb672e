/*
 * Times of the API, held against the C library over all years that the form has.
 */
#include "base/rfc3339.h"

#include "base/mem.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

static void times(void **state)
{
	static const char *const bad[] = {
		"",
		"2026",
		"2026-11-20T17:54:00",
		"2026-11-20 17:54:00Z",
		"2026-13-20T17:54:00Z",
		"2026-00-20T17:54:00Z",
		"2026-11-32T17:54:00Z",
		"2026-11-20T24:54:00Z",
		"2026-11-20T17:60:00Z",
		"2026-11-20T17:54:61Z",
		"2026-11-20T17:54:00+1:00",
		"2026-11-20T17:54:00+01:60",
		"2026-11-20T17:54:0xZ",
		"2026-11-20T17:54:00Zx",
	};
	int64_t got = 0, same;
	char z[64];

	(void)state;
	for (int64_t t = -62135596800; t < 253402300800;
	     t += 86400 * 13 + 3607) { /* years 1-9999 */
		time_t when = (time_t)t;
		struct tm tm;

		assert_non_null(gmtime_r(&when, &tm));
		(void)snprintf(z, sizeof(z), "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900,
			       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_int_equal(rfc3339_parse(str_of(z), &got), 0);
		assert_int_equal(got, t);
	}
	assert_int_equal(rfc3339_parse(STR("2026-11-20T17:54:00Z"), &got), 0);
	assert_int_equal(rfc3339_parse(STR("2026-11-20T19:24:00.123456+01:30"), &same), 0);
	assert_int_equal(got, same);
	assert_int_equal(rfc3339_parse(STR("2026-11-20T09:54:00-08:00"), &same), 0);
	assert_int_equal(got, same);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(rfc3339_parse(str_of(bad[i]), &got), -EBADMSG);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
