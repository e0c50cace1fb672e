/*
 * The pool against an array: every live record keeps its content and its address,
 * freed ids are used again, the maximum holds.
 */
#include "base/pool.h"

#include "base/rng.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MAX = 3000 };

struct rec {
	uint64_t value[3];
};

static void *where[MAX + 1];
static uint64_t value[MAX + 1]; /* 0: free */

static void check(const struct pool *p, pool_id id)
{
	const struct rec *r = pool_at(p, id);

	assert_ptr_equal(r, where[id]);
	for (int i = 0; i < 3; i++)
		assert_true(r->value[i] == value[id]);
}

static void make(struct pool *p, struct rng *g)
{
	static const struct rec zero;
	pool_id id = pool_alloc(p);

	assert_true(id && id <= MAX && !value[id]);
	assert_memory_equal(pool_at(p, id), &zero, sizeof(zero));
	where[id] = pool_at(p, id);
	value[id] = rng_next(g) | 1;
	for (int i = 0; i < 3; i++)
		((struct rec *)where[id])->value[i] = value[id];
}

static void records_stay_where_they_are(void **state)
{
	struct pool p;
	struct rng g;
	uint32_t live = 0;

	(void)state;
	pool_init(&p, sizeof(struct rec), MAX);
	rng_seed(&g, 11);
	for (int i = 0; i < 60000; i++) {
		pool_id id = (pool_id)(1 + rng_below(&g, MAX));
		uint64_t rise = (uint64_t)(i / 10000 % 2 ? 30 : 70); /* fills, then drains */

		if (rng_below(&g, 100) < rise && live < MAX) {
			make(&p, &g);
			live++;
		} else if (value[id]) {
			check(&p, id);
			pool_release(&p, id);
			value[id] = 0;
			live--;
		}
		assert_int_equal(p.live, live);
	}
	for (pool_id id = 1; id <= MAX; id++)
		if (value[id])
			check(&p, id);
	/* Ids are used again before new ones are made: memory follows the most that lived at once.
	 */
	assert_true(p.next <= MAX);
	assert_true(pool_bytes(&p) >= (size_t)p.next * sizeof(struct rec));
	assert_true(pool_bytes(&p) <= (size_t)(p.next + 256) * sizeof(struct rec) + 4096);
	pool_done(&p);
	assert_true(pool_bytes(&p) == 0);
}

static void the_maximum_holds(void **state)
{
	struct pool p;

	(void)state;
	pool_init(&p, 4, 2);
	assert_int_equal(pool_alloc(&p), 1);
	assert_int_equal(pool_alloc(&p), 2);
	assert_int_equal(pool_alloc(&p), 0);
	pool_release(&p, 1);
	assert_int_equal(pool_alloc(&p), 1);
	assert_int_equal(pool_alloc(&p), 0);
	pool_done(&p);
	pool_init(&p, 4, 0);
	assert_int_equal(pool_alloc(&p), 0);
	pool_done(&p);
}

static int fill(void *ctx)
{
	struct pool p;
	int r = 0;

	(void)ctx;
	pool_init(&p, 64, 100000);
	for (int i = 0; r == 0 && i < 5000; i++) {
		uint32_t live = p.live;

		r = pool_alloc(&p) ? 0 : -ENOMEM;
		assert_int_equal(p.live, live + (r == 0));
	}
	if (r < 0 && p.next) { /* what it had is as good as before */
		pool_release(&p, 1);
		assert_int_equal(pool_alloc(&p), 1);
	}
	pool_done(&p);
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
		cmocka_unit_test(records_stay_where_they_are),
		cmocka_unit_test(the_maximum_holds),
		cmocka_unit_test(survives_failed_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
