/* Questions about many namespaces: few when one answer says it all, and rows that stay short. */
#include "cli/access_rows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/lib/torture.h"

#define MANY 1000

static char names[MANY][8];
static const char *list[MANY];

static void make_names(void)
{
	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "n%zu", i);
		list[i] = names[i];
	}
}

/* Allowed everywhere, or in namespaces with an even number. */
struct server {
	bool everywhere;
	unsigned asked;
};

static bool allows(struct server *s, const char *ns)
{
	s->asked++;
	return s->everywhere || (ns && (ns[strlen(ns) - 1] - '0') % 2 == 0);
}

static int ask_all(struct access_rows *rows, struct server *s)
{
	struct access_place p;
	int r = 0;

	while (r == 0 && (r = access_rows_over(rows)) == 0)
		while (r == 0 && access_rows_next(rows, &p)) {
			const struct access_verdict v = {.allowed = allows(s, p.ns)};

			r = access_rows_note(rows, &p, &v);
		}
	return r < 0 ? r : 0;
}

static int make(size_t n, struct access *needed, struct access_rows *rows)
{
	const struct access_rule rule = {.resource = STR("pods"),
					 .namespaces = {.v = list, .n = n},
					 .verbs =
						 ACCESS_BIT(ACCESS_LIST) | ACCESS_BIT(ACCESS_WATCH),
					 .use = "pods"};

	make_names();
	access_init(needed);
	if (!access_add(needed, &rule))
		return -ENOMEM;
	return access_rows_make(rows, needed);
}

static void few_questions(void **state)
{
	struct server s = {.everywhere = true};
	struct access_rows rows = {0};
	_access_ struct access needed;

	(void)state;
	assert_int_equal(make(MANY, &needed, &rows), 0);
	assert_int_equal(ask_all(&rows, &s), 0);
	assert_int_equal(s.asked, 2);
	assert_int_equal(access_denied(rows.v, rows.n), 0);
	access_rows_done(&rows);
}

static void short_rows(void **state)
{
	_buf_ struct buf text = {.max = 1 << 20};
	struct access_rows rows = {0};
	_access_ struct access needed, missing = {0};
	struct server s = {0};

	(void)state;
	assert_int_equal(make(MANY, &needed, &rows), 0);
	assert_int_equal(ask_all(&rows, &s), 0);
	assert_int_equal(s.asked, 2 * (MANY + 1));
	assert_int_equal(access_table(rows.v, rows.n, &text), 0);
	assert_true(
		str_eq(buf_str(&text), STR("PERMISSION                             FOR   ANSWER\n"
					   "list pods in n0, n1, n2 and 997 more   pods  denied in "
					   "n1, n3, n5 and 497 more\n"
					   "watch pods in n0, n1, n2 and 997 more  pods  denied in "
					   "n1, n3, n5 and 497 more\n")));
	assert_int_equal(access_missing(rows.v, rows.n, &missing), 0);
	assert_int_equal(missing.n, 1);
	assert_int_equal(missing.v[0].namespaces.n, MANY / 2);
	assert_int_equal(missing.v[0].verbs, ACCESS_BIT(ACCESS_LIST) | ACCESS_BIT(ACCESS_WATCH));
	access_rows_done(&rows);
}

static int all_once(void *ctx)
{
	_buf_ struct buf text = {.max = 1 << 20};
	struct access_rows rows = {0};
	_access_ struct access needed = {0}, missing = {0};
	struct server s = {0};
	int r = make(5, &needed, &rows);

	(void)ctx;
	if (r == 0)
		r = ask_all(&rows, &s);
	if (r == 0)
		r = access_table(rows.v, rows.n, &text);
	if (r == 0)
		r = access_missing(rows.v, rows.n, &missing);
	access_rows_done(&rows);
	return r;
}

static void torture(void **state)
{
	(void)state;
	assert_int_equal(torture_run(all_once, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(few_questions),
		cmocka_unit_test(short_rows),
		cmocka_unit_test(torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
