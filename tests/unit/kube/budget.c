/* The token bucket and the common pause, in virtual time. */
#include "kube/budget.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S NSEC_PER_SEC

/* Takes whatever can be had until `until`; returns how many. */
static unsigned drain(struct budget *b, nsec_t *now, nsec_t until)
{
	unsigned n = 0;
	nsec_t when;

	while (*now <= until) {
		if (budget_take(b, *now, &when)) {
			n++;
			continue;
		}
		assert_true(when > *now);
		*now = when;
	}
	return n;
}

static void burst_then_rate(void **state)
{
	struct budget b;
	nsec_t now = 50 * S, when;

	(void)state;
	budget_init(&b, 10, 20, 1);
	for (int i = 0; i < 20; i++)
		assert_true(budget_take(&b, now, &when));
	assert_false(budget_take(&b, now, &when));
	assert_in_range(when, now + S / 10, now + S / 10 + NSEC_PER_MSEC);
	assert_in_range(drain(&b, &now, now + 100 * S), 995, 1001);
	/* An idle day fills the bucket and no more. */
	now += 86400 * S;
	assert_in_range(drain(&b, &now, now), 20, 20);
}

/* Other limits while it runs: what is saved up beyond them is gone, and no more comes at once. */
static void tuned(void **state)
{
	struct budget b;
	nsec_t now = 50 * S;

	(void)state;
	budget_init(&b, 10, 20, 1);
	budget_tune(&b, now, 100, 5);
	assert_int_equal(drain(&b, &now, now), 5);
	budget_tune(&b, now, 2, 50);
	assert_in_range(drain(&b, &now, now + 10 * S), 20, 22);
}

static void odd_settings(void **state)
{
	struct budget b;
	nsec_t now = S, when;

	(void)state;
	budget_init(&b, 0, 0, 1);
	assert_true(budget_take(&b, now, &when));
	assert_false(budget_take(&b, now, &when));
	assert_true(when > now + 90 * S && when < now + 110 * S);
	budget_init(&b, 0.5, 1, 1);
	assert_in_range(drain(&b, &now, now + 100 * S), 49, 51);
}

/* A lease does not wait, and the others pay for it, up to another burst. */
static void what_cannot_wait_is_on_credit(void **state)
{
	struct budget b;
	nsec_t now = 100 * S, when;

	(void)state;
	budget_init(&b, 10, 20, 1);
	budget_slow_down(&b, now, now, 5 * S);
	for (int i = 0; i < 30; i++)
		budget_charge(&b, now);
	assert_int_equal(b.taken, 30);
	now += 5500 * NSEC_PER_MSEC; /* the pause is over, and the bucket is at 20 */
	assert_in_range(drain(&b, &now, now), 20, 20);
	for (int i = 0; i < 1000; i++)
		budget_charge(&b, now);
	assert_false(budget_take(&b, now, &when));
	assert_in_range(when, now + 2 * S, now + 2200 * NSEC_PER_MSEC);
}

static void nothing_goes_out_before_the_common_start(void **state)
{
	struct budget b;
	nsec_t now = 100 * S, when;

	(void)state;
	budget_init(&b, 10, 20, 1);
	budget_hold(&b, now + 3 * S);
	assert_false(budget_take(&b, now, &when));
	assert_int_equal(when, now + 3 * S);
	assert_true(budget_take(&b, when, &when));
	assert_int_equal(b.pauses, 0);
	budget_hold(&b, now);
	assert_true(budget_take(&b, now + 4 * S, &when));
}

static void a_pause_holds_for_all_and_counts_once(void **state)
{
	struct budget b;
	nsec_t now = 100 * S, when;

	(void)state;
	budget_init(&b, 10, 20, 1);
	budget_slow_down(&b, now, now, 5 * S);
	for (int i = 0; i < 5; i++) /* the others' answers, to requests from before it */
		budget_slow_down(&b, now + i, now - S, 60 * S);
	assert_int_equal(b.pauses, 1);
	assert_false(budget_take(&b, now + 4 * S, &when));
	assert_in_range(when, now + 5 * S, now + 5 * S + S / 2);
	assert_true(budget_take(&b, when, &when));
	/* It goes on: the next pause may be longer. */
	budget_slow_down(&b, when + S, when, 0);
	assert_int_equal(b.pauses, 2);
	assert_int_equal(b.backoff.tries, 2);
	now = b.pause_until + S;
	budget_answered(&b, now);
	budget_slow_down(&b, now + 61 * S, now + 60 * S, 0);
	assert_int_equal(b.backoff.tries, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tuned),
		cmocka_unit_test(burst_then_rate),
		cmocka_unit_test(odd_settings),
		cmocka_unit_test(what_cannot_wait_is_on_credit),
		cmocka_unit_test(nothing_goes_out_before_the_common_start),
		cmocka_unit_test(a_pause_holds_for_all_and_counts_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
