/*
 * The waiting room: its time begins when the owner kind can be read, its size is
 * bounded, an overflow is over once.
 */
#include "match/waiting.h"

#include "tests/lib/torture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
static const struct str any = {0};

static struct waiting *make(uint32_t max)
{
	const struct waiting_opts o = {.max = max, .timeout = 10 * SEC};
	struct waiting *w;

	assert_int_equal(waiting_new(&o, &w), 0);
	return w;
}

static void first_in_first_out_by_time(void **state)
{
	struct waiting *w = make(100);

	(void)state;
	assert_int_equal(waiting_enter(w, 7, KIND_JOB, any, 1 * SEC), 0);
	assert_int_equal(waiting_enter(w, 8, KIND_JOB, any, 2 * SEC), 0);
	assert_int_equal(waiting_enter(w, 7, KIND_JOB, any, 9 * SEC), 0); /* is in already */
	assert_int_equal(waiting_count(w), 2);
	assert_true(waiting_deadline(w) == 11 * SEC);
	assert_int_equal(waiting_due(w, 11 * SEC - 1), 0);
	assert_int_equal(waiting_due(w, 11 * SEC), 7);
	assert_int_equal(waiting_due(w, 11 * SEC), 0);
	waiting_leave(w, 8);
	waiting_leave(w, 8);
	assert_true(waiting_deadline(w) == NSEC_NEVER);
	waiting_free(&w);
}

static void time_begins_when_the_kind_can_be_read(void **state)
{
	struct waiting *w = make(100);

	(void)state;
	assert_int_equal(waiting_kind(w, KIND_REPLICASET, any, NSEC_NEVER), 0);
	assert_int_equal(waiting_kind(w, KIND_REPLICASET, STR("a"), 5 * SEC), 0);
	assert_int_equal(waiting_enter(w, 1, KIND_REPLICASET, STR("b"), 1 * SEC), 0);
	assert_int_equal(waiting_enter(w, 2, KIND_REPLICASET, STR("a"), 1 * SEC), 0);
	assert_int_equal(waiting_due(w, 15 * SEC), 2);
	assert_int_equal(waiting_due(w, 1000 * SEC), 0);
	assert_int_equal(waiting_kind(w, KIND_REPLICASET, any, 60 * SEC), 0);
	assert_true(waiting_deadline(w) == 70 * SEC);
	assert_int_equal(waiting_due(w, 69 * SEC), 0);
	assert_int_equal(waiting_due(w, 70 * SEC), 1);
	waiting_free(&w);
}

/* A pod that is adopted while it waits: its new owner's kind counts. */
static void changes_lanes(void **state)
{
	struct waiting *w = make(100);

	(void)state;
	assert_int_equal(waiting_kind(w, KIND_JOB, any, NSEC_NEVER), 0);
	assert_int_equal(waiting_kind(w, KIND_REPLICASET, any, 0), 0);
	assert_int_equal(waiting_enter(w, 1, KIND_JOB, any, 1 * SEC), 0);
	assert_int_equal(waiting_enter(w, 2, KIND_REPLICASET, any, 2 * SEC), 0);
	assert_true(waiting_deadline(w) == 12 * SEC);
	assert_int_equal(waiting_enter(w, 1, KIND_REPLICASET, any, 50 * SEC), 0);
	assert_int_equal(waiting_enter(w, 1, KIND_REPLICASET, any, 55 * SEC), 0);
	assert_int_equal(waiting_count(w), 2);
	assert_int_equal(waiting_due(w, 59 * SEC), 2);
	assert_int_equal(waiting_due(w, 59 * SEC), 0);
	assert_int_equal(waiting_due(w, 60 * SEC), 1);
	assert_int_equal(waiting_count(w), 0);
	waiting_free(&w);
}

static void over_the_maximum_the_oldest_is_due(void **state)
{
	struct waiting *w = make(4);

	(void)state;
	assert_int_equal(waiting_kind(w, KIND_JOB, any, NSEC_NEVER), 0);
	for (pod_id id = 1; id <= 4; id++)
		assert_int_equal(waiting_enter(w, id, id % 2 ? KIND_JOB : KIND_OTHER, any, SEC), 0);
	assert_int_equal(waiting_due(w, SEC), 0);
	assert_int_equal(waiting_enter(w, 5, KIND_JOB, any, SEC), 0);
	assert_int_equal(waiting_due(w, SEC), 1);
	assert_int_equal(waiting_due(w, SEC), 0);
	assert_int_equal(waiting_overflows(w), 1);
	assert_false(waiting_overflow_over(w));
	waiting_leave(w, 2);
	waiting_leave(w, 4);
	assert_true(waiting_overflow_over(w));
	assert_false(waiting_overflow_over(w)); /* one resync an overflow */
	assert_int_equal(waiting_count(w), 2);
	waiting_free(&w);
}

/* Other limits hold for those that wait, too. */
static void tuned(void **state)
{
	struct waiting *w = make(100);

	(void)state;
	for (pod_id id = 1; id <= 3; id++)
		assert_int_equal(waiting_enter(w, id, KIND_JOB, any, 1 * SEC), 0);
	waiting_tune(w, &(struct waiting_opts){.max = 100, .timeout = 3 * SEC});
	assert_true(waiting_deadline(w) == 4 * SEC);
	assert_int_equal(waiting_due(w, 4 * SEC), 1);
	waiting_tune(w, &(struct waiting_opts){.max = 1, .timeout = 60 * SEC});
	assert_int_equal(waiting_due(w, 4 * SEC), 2);
	assert_int_equal(waiting_due(w, 4 * SEC), 0);
	assert_false(waiting_overflow_over(w)); /* no epoch for it */
	waiting_free(&w);
}

static int fill(void *ctx)
{
	const struct waiting_opts o = {.max = 2000, .timeout = 10 * SEC};
	struct waiting *w = NULL;
	char ns[16];
	int r = waiting_new(&o, &w);

	(void)ctx;
	for (unsigned int i = 0; r == 0 && i < 40; i++) {
		(void)snprintf(ns, sizeof(ns), "ns-%u", i);
		r = waiting_kind(w, KIND_JOB, str_of(ns), NSEC_NEVER);
	}
	for (pod_id id = 1; r == 0 && id <= 1000; id++) {
		uint32_t n = waiting_count(w);

		(void)snprintf(ns, sizeof(ns), "ns-%u", id % 50);
		r = waiting_enter(w, id, KIND_JOB, str_of(ns), SEC);
		assert_int_equal(waiting_count(w), n + (r == 0));
		assert_int_equal(waiting_holds(w, id), r == 0);
	}
	for (pod_id id = 1; r == 0 && id <= 1000; id += 2)
		waiting_leave(w, id);
	if (w) { /* who got in is due in the end */
		uint32_t n = waiting_count(w), due = 0;

		for (unsigned int i = 0; i < 40; i++) {
			(void)snprintf(ns, sizeof(ns), "ns-%u", i);
			if (waiting_kind(w, KIND_JOB, str_of(ns), 0) < 0)
				break; /* this lane was never made */
		}
		while (waiting_due(w, 1000 * SEC))
			due++;
		assert_true(due == n || r < 0);
	}
	waiting_free(&w);
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
		cmocka_unit_test(tuned),
		cmocka_unit_test(first_in_first_out_by_time),
		cmocka_unit_test(time_begins_when_the_kind_can_be_read),
		cmocka_unit_test(changes_lanes),
		cmocka_unit_test(over_the_maximum_the_oldest_is_due),
		cmocka_unit_test(survives_failed_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
