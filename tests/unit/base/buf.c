/*
 * The buffer against a plain array: whatever is appended and consumed, in whatever
 * order, comes out again; its maximum holds.
 */
#include "base/buf.h"

#include "base/rng.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

enum { MODEL_MAX = 5000 };

struct model {
	char p[MODEL_MAX];
	size_t n;
};

static void step(struct buf *b, struct model *m, struct rng *g)
{
	char bytes[700];
	size_t n = rng_below(g, rng_below(g, 10) ? 40 : sizeof(bytes));

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)rng_next(g);
	switch (rng_below(g, 8)) {
	case 0:
	case 1:
	case 2:
		n = m->n ? rng_below(g, m->n + 1) : 0;
		buf_consume(b, n);
		m->n -= n;
		memmove(m->p, m->p + n, m->n);
		return;
	case 3:
		if (buf_reserve(b, n) < 0)
			break;
		memcpy(buf_tail(b), bytes, n);
		buf_commit(b, n);
		break;
	case 4:
		if (rng_below(g, 40) == 0) {
			buf_reset(b);
			m->n = 0;
			return;
		}
		/* fall through */
	default:
		if (buf_append(b, bytes, n) < 0)
			n = MODEL_MAX + 1;
		break;
	}
	if (m->n + n > MODEL_MAX) /* refused: nothing has changed */
		return;
	memcpy(m->p + m->n, bytes, n);
	m->n += n;
}

static void holds_what_was_put_in(void **state)
{
	static struct model m;

	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		_buf_ struct buf b;
		struct rng g;

		buf_init(&b, MODEL_MAX);
		rng_seed(&g, seed);
		m.n = 0;
		for (int i = 0; i < 3000; i++) {
			step(&b, &m, &g);
			if (buf_str(&b).n != m.n || (m.n && memcmp(buf_str(&b).p, m.p, m.n) != 0))
				fail_msg("seed %d, step %d", (int)seed, i);
			assert_true(b.cap <= MODEL_MAX);
		}
	}
}

static void full_is_an_error(void **state)
{
	_buf_ struct buf b;

	(void)state;
	buf_init(&b, 4);
	assert_int_equal(buf_append(&b, "abcde", 5), -EMSGSIZE);
	assert_int_equal(buf_append(&b, "abcd", 4), 0);
	assert_int_equal(buf_append(&b, "e", 1), -EMSGSIZE);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -EMSGSIZE);
	assert_true(str_eq(buf_str(&b), STR("abcd")));
	buf_consume(&b, 1);
	assert_int_equal(buf_append(&b, "e", 1), 0); /* what was consumed is room again */
	assert_true(str_eq(buf_str(&b), STR("bcde")));
	buf_done(&b);
	assert_int_equal(buf_append(&b, "abcd", 4), 0);
}

static void prints_all_or_nothing(void **state)
{
	_buf_ struct buf b;

	(void)state;
	buf_init(&b, 6); /* vsnprintf's NUL needs a byte too */
	assert_int_equal(buf_printf(&b, "%s", "123456"), -EMSGSIZE);
	assert_true(str_empty(buf_str(&b)));
	assert_int_equal(buf_printf(&b, "%d%s", 12, "345"), 0);
	assert_true(str_eq(buf_str(&b), STR("12345")));
}

static int fill(void *ctx)
{
	_buf_ struct buf b;
	int r = 0;

	(void)ctx;
	buf_init(&b, 100000);
	for (int i = 0; r == 0 && i < 500; i++) {
		size_t before = buf_str(&b).n;

		r = i % 2 ? buf_printf(&b, "line %d\n", i) : buf_append_str(&b, STR("some text"));
		assert_true(r == 0 || buf_str(&b).n == before);
	}
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
		cmocka_unit_test(holds_what_was_put_in),
		cmocka_unit_test(full_is_an_error),
		cmocka_unit_test(prints_all_or_nothing),
		cmocka_unit_test(survives_failed_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
