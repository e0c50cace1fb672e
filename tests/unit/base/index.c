/*
 * The index against a naive bag of pairs: many equal hashes, hashes that pile up
 * at the end of the table, deletions, growth.
 */
#include "base/index.h"

#include "base/rng.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_PAIRS = 4000, HASHES = 200 };

static struct {
	uint32_t hash, id;
} pairs[MAX_PAIRS];
static uint32_t n_pairs;

/* Few hashes, of three sorts: spread, in a cluster, and at the table's end where probing wraps. */
static uint32_t some_hash(struct rng *g)
{
	uint32_t n = (uint32_t)rng_below(g, HASHES);

	switch (n % 3) {
	case 0:
		return n * 0x01010101U;
	case 1:
		return 0x80000000U + n;
	default:
		return UINT32_MAX - n;
	}
}

static uint32_t times(uint32_t hash, uint32_t id)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < n_pairs; i++)
		n += pairs[i].hash == hash && (!id || pairs[i].id == id);
	return n;
}

/* The walk of a hash gives its ids, each as often as it was put. */
static void check(const struct index *x, uint32_t hash)
{
	uint32_t at = 0, n = 0, id;

	for (id = index_first(x, hash, &at); id; id = index_next(x, hash, &at)) {
		uint32_t again = 0, at2 = 0;

		for (uint32_t j = index_first(x, hash, &at2); j; j = index_next(x, hash, &at2))
			again += j == id;
		assert_int_equal(again, times(hash, id));
		n++;
	}
	assert_int_equal(n, times(hash, 0));
}

static void step(struct index *x, struct rng *g, uint32_t rise)
{
	uint32_t hash = some_hash(g), id = 1 + (uint32_t)rng_below(g, 60);

	if (rng_below(g, 100) < rise && n_pairs < MAX_PAIRS) {
		assert_int_equal(index_put(x, hash, id), 0);
		pairs[n_pairs].hash = hash;
		pairs[n_pairs++].id = id;
		return;
	}
	if (n_pairs && rng_below(g, 4)) { /* one that is there */
		uint32_t i = (uint32_t)rng_below(g, n_pairs);

		hash = pairs[i].hash;
		id = pairs[i].id;
	}
	index_del(x, hash, id);
	for (uint32_t i = 0; i < n_pairs; i++)
		if (pairs[i].hash == hash && pairs[i].id == id) {
			pairs[i] = pairs[--n_pairs];
			return;
		}
}

static void run(uint64_t seed)
{
	struct index x;
	struct rng g;

	index_init(&x);
	rng_seed(&g, seed);
	n_pairs = 0;
	for (uint32_t i = 0; i < 20000; i++) {
		step(&x, &g, i / 4000 % 2 ? 35 : 65);
		if (x.n != n_pairs)
			fail_msg("seed %d, step %u", (int)seed, i);
		if (i % 16 == 0)
			check(&x, some_hash(&g));
	}
	for (uint32_t i = 0; i < n_pairs; i++)
		check(&x, pairs[i].hash);
	while (n_pairs) {
		n_pairs--;
		index_del(&x, pairs[n_pairs].hash, pairs[n_pairs].id);
	}
	for (uint32_t i = 0; i < x.size; i++)
		assert_int_equal(x.slots[i].id, 0);
	index_done(&x);
}

static void agrees_with_a_naive_bag(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 5; seed++)
		run(seed);
}

static void an_empty_index_answers(void **state)
{
	struct index x;
	uint32_t at;

	(void)state;
	index_init(&x);
	assert_int_equal(index_first(&x, 7, &at), 0);
	index_del(&x, 7, 1);
	assert_int_equal(index_reserve(&x, 0), 0);
	assert_int_equal(index_reserve(&x, UINT32_MAX), -ENOMEM);
	index_done(&x);
}

static int reserve_then_put(void *ctx)
{
	struct index x;
	uint32_t at, n = 0;
	int r = 0;

	(void)ctx;
	index_init(&x);
	while (r == 0 && n < 3000) {
		r = index_reserve(&x, 10);
		for (int i = 0; r == 0 && i < 10; i++, n++) {
			struct index_slot *slots = x.slots;

			assert_int_equal(index_put(&x, n * 2654435761U, n + 1), 0);
			assert_ptr_equal(x.slots, slots); /* room was made: it does not move */
		}
	}
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(index_first(&x, i * 2654435761U, &at), i + 1);
	index_done(&x);
	return r;
}

static void what_was_reserved_cannot_fail(void **state)
{
	(void)state;
	assert_int_equal(torture_run(reserve_then_put, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_naive_bag),
		cmocka_unit_test(an_empty_index_answers),
		cmocka_unit_test(what_was_reserved_cannot_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
