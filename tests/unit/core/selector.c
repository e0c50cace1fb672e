/* Label selectors: what they select (the API's own rules), and what they refuse in words. */
#include "core/selector.h"

#include "base/mem.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define LABELS "{\"app\":\"web\",\"tier\":\"front\",\"empty\":\"\",\"a.b/c\":\"d_e\"}"

static bool selects(const char *text, const char *labels)
{
	_cleanup_(arena_done) struct arena a;
	_buf_ struct buf error = {.max = 1000};
	struct selector *s;
	struct tree *t = NULL;
	bool yes;

	arena_init(&a, 1 << 20);
	if (labels)
		assert_int_equal(tree_parse(&a, str_of(labels), &t), 0);
	if (selector_new(str_of(text), &s, &error) < 0)
		fail_msg("%s: %.*s", text, STR_ARG(buf_str(&error)));
	yes = selector_match(s, t);
	selector_free(&s);
	return yes;
}

static void what_is_selected(void **state)
{
	static const struct {
		const char *text;
		bool labels, none; /* of LABELS, of an object without labels */
	} cases[] = {
		{"", true, true},
		{" ", true, true},
		{"app=web", true, false},
		{"app==web", true, false},
		{" app = web ", true, false},
		{"app=we", false, false},
		{"app!=web", false, true},
		{"app!=api", true, true},
		{"app", true, false},
		{"!app", false, true},
		{"! other", true, true},
		{"empty=", true, false},
		{"empty", true, false},
		{"missing=", false, false},
		{"a.b/c=d_e", true, false},
		{"app=web,tier=front", true, false},
		{"app=web,tier=back", false, false},
		{"app in (api,web)", true, false},
		{"app in (api, web ) , !other", true, false},
		{"app in (api)", false, false},
		{"app in ()", false, false},
		{"empty in ()", true, false},
		{"app notin (api)", true, true},
		{"app notin (api,web),tier", false, false},
		{"app notin(web)", false, true},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		if (selects(cases[i].text, LABELS) != cases[i].labels ||
		    selects(cases[i].text, NULL) != cases[i].none)
			fail_msg("\"%s\"", cases[i].text);
	}
	assert_true(selector_match(NULL, NULL));
}

static void what_is_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"=a", "key is missing"},
		{"a b", "after a key comes"},
		{"a>1", "characters that none may have"},
		{"a=b c", "a value has characters"},
		{"!a=b", "nothing may follow"},
		{"a in b", "parentheses"},
		{"a in (b", "parentheses"},
		{"a,", "ends with a comma"},
		{",a", "key is missing"},
		{"a notin (%)", "a value has characters"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buf_ struct buf error = {.max = 1000};
		struct selector *s;

		assert_int_equal(selector_new(str_of(cases[i].text), &s, &error), -EINVAL);
		assert_int_equal(buf_append(&error, "", 1), 0);
		if (!strstr(error.p, cases[i].says) || !strstr(error.p, cases[i].text))
			fail_msg("\"%s\": %s", cases[i].text, error.p);
	}
}

static void too_many(void **state)
{
	_buf_ struct buf terms = {.max = 4000}, error = {.max = 5000};
	struct selector *s;

	(void)state;
	for (int i = 0; i < SELECTOR_MAX_TERMS; i++)
		assert_int_equal(buf_printf(&terms, "%sa%d", i ? "," : "", i), 0);
	assert_int_equal(selector_new(buf_str(&terms), &s, &error), 0);
	selector_free(&s);
	assert_int_equal(buf_printf(&terms, ",more"), 0);
	assert_int_equal(selector_new(buf_str(&terms), &s, &error), -EINVAL);
}

static int once(void *ctx)
{
	_buf_ struct buf error = {.max = 1000};
	struct selector *s;
	int r = selector_new(STR("a in (b,c)"), &s, &error);

	(void)ctx;
	if (r == 0)
		selector_free(&s);
	return r;
}

static void without_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(once, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_selected),
		cmocka_unit_test(what_is_refused),
		cmocka_unit_test(too_many),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests_name("core/selector", tests, NULL, NULL);
}
