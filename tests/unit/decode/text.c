/*
 * Text: UTF-8, escapes and integers, held against the C library and
 * against the plain definitions.
 */
#include "decode/text.h"

#include "base/mem.h"
#include "base/rng.h"

#include <errno.h>
#include <iconv.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

/* The C library's word on UTF-8. */
static bool iconv_accepts(iconv_t cd, struct str s)
{
	char in[64], out[256], *from = in, *to = out;
	size_t n = s.n, left = sizeof(out);

	memcpy(in, s.p, s.n);
	(void)iconv(cd, NULL, NULL, NULL, NULL);
	return iconv(cd, &from, &n, &to, &left) != (size_t)-1 && n == 0;
}

static void test_utf8(void **state)
{
	static const unsigned char bytes[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
					      0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed,
					      0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff};
	iconv_t cd = iconv_open("UTF-32LE", "UTF-8");
	uint64_t seed = rng_entropy();
	uint32_t valid = 0;
	char s[24], fixed[72];
	struct rng g;

	(void)state;
	assert_true(cd != (iconv_t)-1);
	rng_seed(&g, seed);
	print_message("seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 300000; i++) {
		size_t n = 1 + rng_below(&g, sizeof(s));
		struct str v = str_make(s, n);
		bool ascii = rng_below(&g, 2);

		for (size_t k = 0; k < n; k++)
			s[k] = (char)(ascii && k + 4 < n ? 'a'
							 : bytes[rng_below(&g, sizeof(bytes))]);
		assert_int_equal(text_is_utf8(v), iconv_accepts(cd, v));
		valid += text_is_utf8(v);
		assert_true(text_is_utf8(str_make(fixed, text_fix_utf8(v, fixed))));
	}
	assert_true(valid > 1000);
	(void)iconv_close(cd);
}

static void test_fix(void **state)
{
	char fixed[64];
	size_t n = text_fix_utf8(STR("a\xf0\x9f\x98\x80\xf0\x9f\x98z\xe2\x82"), fixed);

	(void)state;
	/* one mark a byte, as Go's json does */
	assert_true(
		str_eq(str_make(fixed, n), STR("a\xf0\x9f\x98\x80\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
					       "\xbdz\xef\xbf\xbd\xef\xbf\xbd")));
}

static void test_unescape(void **state)
{
	static const struct {
		struct str in, out;
	} good[] = {
		{STR(""), STR("")},
		{STR("\\\\\\\"\\/\\b\\f\\n\\r\\t"), STR("\\\"/\b\f\n\r\t")},
		{STR("\\u0000"), STR("\0")},
		{STR("\\u007F\\u0080\\u07ff\\u0800\\uFFFF"),
		 STR("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf")},
		{STR("\\ud800\\udc00\\udbff\\udfff"), STR("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf")},
		{STR("\\udc00\\ud800"), STR("\xef\xbf\xbd\xef\xbf\xbd")},
		{STR("\\ud800\\ud800\\udc00"), STR("\xef\xbf\xbd\xf0\x90\x80\x80")},
		{STR("\\ud800\\n"), STR("\xef\xbf\xbd\n")},
	};
	static const char *const bad[] = {"\\",	     "\\x",	     "\\u", "\\u123",
					  "\\u12g4", "\\ud800\\u12", "a\\"};
	char out[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(text_unescape(good[i].in, out, &n), 0);
		assert_true(str_eq(str_make(out, n), good[i].out));
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(text_unescape(str_of(bad[i]), out, &n), -EBADMSG);
}

static void test_int(void **state)
{
	static const struct {
		const char *s;
		int64_t min, max;
		int result;
		int64_t value;
	} all[] = {
		{"0", INT64_MIN, INT64_MAX, 0, 0},
		{"-0", INT64_MIN, INT64_MAX, 0, 0},
		{"9223372036854775807", INT64_MIN, INT64_MAX, 0, INT64_MAX},
		{"-9223372036854775808", INT64_MIN, INT64_MAX, 0, INT64_MIN},
		{"9223372036854775808", INT64_MIN, INT64_MAX, -ERANGE, 0},
		{"-9223372036854775809", INT64_MIN, INT64_MAX, -ERANGE, 0},
		{"99999999999999999999999", INT64_MIN, INT64_MAX, -ERANGE, 0},
		{"2147483647", INT32_MIN, INT32_MAX, 0, INT32_MAX},
		{"2147483648", INT32_MIN, INT32_MAX, -ERANGE, 0},
		{"-2147483649", INT32_MIN, INT32_MAX, -ERANGE, 0},
		{"1.0", INT32_MIN, INT32_MAX, -EBADMSG, 0},
		{"1e3", INT32_MIN, INT32_MAX, -EBADMSG, 0},
		{"01", INT32_MIN, INT32_MAX, -EBADMSG, 0},
		{"+1", INT32_MIN, INT32_MAX, -EBADMSG, 0},
		{"-", INT32_MIN, INT32_MAX, -EBADMSG, 0},
		{"", INT32_MIN, INT32_MAX, -EBADMSG, 0},
		{" 1", INT32_MIN, INT32_MAX, -EBADMSG, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		int64_t v = 42;
		int r = text_int(str_of(all[i].s), all[i].min, all[i].max, &v);

		if (r != all[i].result || v != (r == 0 ? all[i].value : 42))
			fail_msg("%s: %d %lld", all[i].s, r, (long long)v);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_fix),
		cmocka_unit_test(test_unescape),
		cmocka_unit_test(test_int),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
