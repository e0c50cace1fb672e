/*
 * String views: the corners (empty, NULL, embedded NUL, ends of a string).
 */
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct str none = {0};

static void equality_and_order(void **state)
{
	(void)state;
	assert_true(str_eq(none, STR("")));
	assert_true(str_eq(STR("a\0b"), str_make("a\0b", 3)));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_false(str_eq(STR("a"), STR("ab")));
	assert_true(str_ieq(STR("Retry-After"), STR("rETRY-aFTER")));
	assert_false(str_ieq(STR("a"), STR("b")));
	assert_true(str_cmp(none, STR("")) == 0);
	assert_true(str_cmp(STR("a"), STR("ab")) < 0);
	assert_true(str_cmp(STR("b"), STR("ab")) > 0);
	assert_true(str_cmp(STR("\xff"), STR("a")) > 0); /* bytes have no sign */
	assert_true(str_empty(str_of(NULL)));
}

static void ends_and_parts(void **state)
{
	(void)state;
	assert_true(str_starts(STR("abc"), none));
	assert_true(str_starts(STR("abc"), STR("abc")));
	assert_false(str_starts(STR("ab"), STR("abc")));
	assert_true(str_ends(STR("abc"), STR("bc")));
	assert_true(str_ends(none, none));
	assert_false(str_ends(STR("c"), STR("bc")));
	assert_true(str_eq(str_from(STR("abc"), 1), STR("bc")));
	assert_true(str_empty(str_from(STR("abc"), 3)));
	assert_true(str_empty(str_from(STR("abc"), SIZE_MAX)));
	assert_true(str_eq(str_trim(STR(" \t\r\na b\n")), STR("a b")));
	assert_true(str_empty(str_trim(STR(" \t"))));
	assert_true(str_empty(str_trim(none)));
}

static void splits_at_the_first(void **state)
{
	struct str rest = STR("a,,b"), head;

	(void)state;
	assert_true(str_split(&rest, ',', &head));
	assert_true(str_eq(head, STR("a")));
	assert_true(str_split(&rest, ',', &head));
	assert_true(str_empty(head));
	assert_false(str_split(&rest, ',', &head));
	assert_true(str_eq(head, STR("b")));
	assert_false(str_split(&rest, ',', &head));
	assert_true(str_empty(head));
	rest = STR("a,");
	assert_true(str_split(&rest, ',', &head));
	assert_true(str_empty(rest));
}

static void copies_end_with_nul(void **state)
{
	char *z = str_dup(str_make("abc", 2));

	(void)state;
	assert_string_equal(z, "ab");
	free(z);
	z = str_dup(none);
	assert_string_equal(z, "");
	free(z);
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		int r;
		unsigned long long value;
	} cases[] = {
		{"0", 0, 0},
		{"007", 0, 7},
		{"18446744073709551615", 0, UINT64_MAX},
		{"18446744073709551616", -ERANGE, 0},
		{"99999999999999999999999", -ERANGE, 0},
		{"", -EBADMSG, 0},
		{"-1", -EBADMSG, 0},
		{"+1", -EBADMSG, 0},
		{" 1", -EBADMSG, 0},
		{"1 ", -EBADMSG, 0},
		{"0x1", -EBADMSG, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned long long v = 42;

		assert_int_equal(str_to_u64(str_of(cases[i].text), &v), cases[i].r);
		assert_true(v == (cases[i].r ? 42 : cases[i].value));
	}
}

static void characters(void **state)
{
	static const struct {
		struct str s;
		size_t n;
	} cases[] = {
		{STR(""), 0},
		{STR("\0"), 1},
		{STR("\x7f"), 1},
		{STR("\x80"), 0},
		{STR("\x90\x90\x90\x90"), 0}, /* no first byte */
		{STR("\xc2\x80"), 2},
		{STR("\xdf\xbf"), 2},
		{STR("\xc1\xbf"), 0}, /* overlong */
		{STR("\xc2"), 0},
		{STR("\xc2\x41"), 0},
		{STR("\xe0\x9f\xbf"), 0},
		{STR("\xe0\xa0\x80"), 3},
		{STR("\xed\x9f\xbf"), 3},
		{STR("\xed\xa0\x80"), 0}, /* surrogates */
		{STR("\xed\xbf\xbf"), 0},
		{STR("\xee\x80\x80"), 3},
		{STR("\xf0\x8f\xbf\xbf"), 0},
		{STR("\xf0\x90\x80\x80"), 4},
		{STR("\xf4\x8f\xbf\xbf"), 4},
		{STR("\xf4\x90\x80\x80"), 0},
		{STR("\xf8\x88\x80\x80\x80"), 0},
		{STR("\xff"), 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(str_utf8(cases[i].s), cases[i].n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equality_and_order),
		cmocka_unit_test(ends_and_parts),
		cmocka_unit_test(splits_at_the_first),
		cmocka_unit_test(copies_end_with_nul),
		cmocka_unit_test(numbers),
		cmocka_unit_test(characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
