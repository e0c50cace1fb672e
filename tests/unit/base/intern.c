/*
 * Interned strings: one id a text while it is held, counted references, nothing
 * left after the last.
 */
#include "base/intern.h"

#include "base/rng.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { TEXTS = 500 };

static struct {
	char p[24];
	size_t n;
	pool_id id;
	uint32_t refs;
} text[TEXTS];

static struct str text_of(uint32_t i)
{
	return str_make(text[i].p, text[i].n);
}

static void step(struct intern *t, struct rng *g)
{
	uint32_t i = (uint32_t)rng_below(g, TEXTS);
	pool_id id = 0;

	if (rng_below(g, 2)) {
		if (rng_below(g, 3) && text[i].refs)
			id = intern_ref(t, text[i].id);
		else
			assert_int_equal(intern_get(t, text_of(i), &id), 0);
		assert_int_not_equal(id, 0);
		assert_true(!text[i].refs || id == text[i].id);
		text[i].id = id;
		text[i].refs++;
	} else if (text[i].refs) {
		intern_put(t, text[i].id);
		text[i].refs--;
	}
	assert_int_equal(intern_find(t, text_of(i)), text[i].refs ? text[i].id : 0);
	if (text[i].refs)
		assert_true(str_eq(intern_str(t, text[i].id), text_of(i)));
}

static void counts_references(void **state)
{
	struct intern t;
	struct rng g;
	uint32_t held = 0;

	(void)state;
	intern_init(&t, TEXTS);
	rng_seed(&g, 3);
	for (uint32_t i = 0; i < TEXTS; i++) /* with NULs and bytes that are no text */
		text[i].n = (size_t)snprintf(text[i].p, 24, "%c%c%u", (char)(i % 7 ? 200 : 'a'),
					     i % 5 ? 'b' : 0, i);
	for (int i = 0; i < 50000; i++)
		step(&t, &g);
	for (uint32_t i = 0; i < TEXTS; i++) {
		held += text[i].refs > 0;
		assert_int_equal(intern_find(&t, text_of(i)), text[i].refs ? text[i].id : 0);
	}
	assert_int_equal(t.pool.live, held);
	for (uint32_t i = 0; i < TEXTS; i++)
		while (text[i].refs) {
			intern_put(&t, text[i].id);
			text[i].refs--;
		}
	assert_int_equal(t.pool.live, 0);
	assert_int_equal(t.bytes, 0);
	intern_done(&t);
}

static void the_empty_string_costs_nothing(void **state)
{
	struct intern t;
	pool_id id = 9;

	(void)state;
	intern_init(&t, 1);
	assert_int_equal(intern_get(&t, STR(""), &id), 0);
	assert_int_equal(id, 0);
	assert_true(str_empty(intern_str(&t, 0)));
	intern_put(&t, 0);
	assert_int_equal(intern_ref(&t, 0), 0);
	assert_int_equal(intern_find(&t, STR("")), 0);
	assert_int_equal(intern_get(&t, STR("a"), &id), 0);
	assert_int_equal(intern_get(&t, STR("b"), &id), -EMSGSIZE);
	intern_done(&t); /* frees what is held */
}

static int fill(void *ctx)
{
	struct intern t;
	pool_id id;
	int r = 0;

	(void)ctx;
	intern_init(&t, 10000);
	for (int i = 0; r == 0 && i < 600; i++) {
		char z[24];
		uint32_t live = t.pool.live;

		(void)snprintf(z, sizeof(z), "text %d", i);
		r = intern_get(&t, str_of(z), &id);
		assert_int_equal(t.pool.live, live + (r == 0));
		assert_int_equal(intern_find(&t, str_of(z)) != 0, r == 0);
	}
	intern_done(&t);
	return r;
}

static void survives_failed_allocations(void **state)
{
	(void)state;
	assert_int_equal(torture_run(fill, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_references),
		cmocka_unit_test(the_empty_string_costs_nothing),
		cmocka_unit_test(survives_failed_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
