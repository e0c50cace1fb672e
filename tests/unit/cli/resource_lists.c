/* Lists that were cut at commas, put together again. */
#include "cli/resource_lists.h"

#include "base/mem.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define LIST(...)                                                 \
	((struct option_list){(const char *const[]){__VA_ARGS__}, \
			      sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)})

static void assert_str(struct str s, const char *expected)
{
	if (!str_eq(s, str_of(expected)))
		fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), expected);
}

static void names(void **state)
{
	const struct option_list o = LIST("pods", "deployments.apps");
	struct lists l = {0};
	struct collect_names n;

	(void)state;
	assert_int_equal(lists_names(&l, &o, &n), 0);
	assert_int_equal(n.n, 2);
	assert_str(n.v[1], "deployments.apps");
	assert_int_equal(lists_names(&l, &(struct option_list){0}, &n), 0);
	assert_int_equal(n.n, 0);
	lists_done(&l);
	lists_done(&l);
}

static void paths(void **state)
{
	const struct option_list o = LIST("spec.a['x", "y']", "spec.b", ".c[?(@.d==\"q", "r)\")]",
					  ".e[0]", "f['\\'", "']");
	struct lists l = {0};
	struct collect_names n;

	(void)state;
	assert_int_equal(lists_paths(&l, &o, &n), 0);
	assert_int_equal(n.n, 5);
	assert_str(n.v[0], "spec.a['x,y']");
	assert_str(n.v[1], "spec.b");
	assert_str(n.v[2], ".c[?(@.d==\"q,r)\")]");
	assert_str(n.v[3], ".e[0]");
	assert_str(n.v[4], "f['\\',']");
	lists_done(&l);
	/* One that is never closed is one expression: the parser says what is wrong. */
	assert_int_equal(lists_paths(&l, &LIST(".a[", "b", "c"), &n), 0);
	assert_int_equal(n.n, 1);
	assert_str(n.v[0], ".a[,b,c");
	lists_done(&l);
}

static void indexes(void **state)
{
	const struct option_list o =
		LIST("ingresses.networking.k8s.io=.spec.rules[0].host", "metadata.labels['a", "b']",
		     "pods=spec.x[?(@.a==1)]", "items[?(@.b==2)]");
	_buf_ struct buf error = {.max = 1000};
	struct lists l = {0};
	const struct collect_index *x;
	uint32_t n;

	(void)state;
	assert_int_equal(lists_indexes(&l, &o, &x, &n, &error), 0);
	assert_int_equal(n, 2);
	assert_str(x[0].resource, "ingresses.networking.k8s.io");
	assert_int_equal(x[0].n, 2);
	assert_str(x[0].paths[0], ".spec.rules[0].host");
	assert_str(x[0].paths[1], "metadata.labels['a,b']");
	assert_str(x[1].resource, "pods");
	assert_int_equal(x[1].n, 2);
	assert_str(x[1].paths[0], "spec.x[?(@.a==1)]");
	assert_str(x[1].paths[1], "items[?(@.b==2)]");
	lists_done(&l);
	assert_int_equal(lists_indexes(&l, &LIST(".spec.a"), &x, &n, &error), -EINVAL);
	assert_non_null(memmem(error.p, error.n, "\".spec.a\" must be RESOURCE=", 27));
	lists_done(&l);
	assert_int_equal(lists_indexes(&l, &LIST("pods="), &x, &n, &error), -EINVAL);
	lists_done(&l);
}

static int all(void *ctx)
{
	_buf_ struct buf error = {.max = 1000};
	struct lists l = {0};
	struct collect_names n;
	const struct collect_index *x;
	uint32_t count;
	int r = lists_names(&l, &LIST("a", "b"), &n);

	(void)ctx;
	if (r == 0)
		r = lists_paths(&l, &LIST(".a['b", "c']", ".d"), &n);
	if (r == 0)
		r = lists_indexes(&l, &LIST("pods=.a", ".b", "jobs=.c"), &x, &count, &error);
	lists_done(&l);
	return r;
}

static void without_memory(void **state)
{
	(void)state;
	assert_int_equal(torture_run(all, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(paths),
		cmocka_unit_test(indexes),
		cmocka_unit_test(without_memory),
	};

	return cmocka_run_group_tests_name("cli/resource_lists", tests, NULL, NULL);
}
