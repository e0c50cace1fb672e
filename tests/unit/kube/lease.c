/*
 * The rules of a Lease one by one (all of them together: lease_model.c), and the
 * object as JSON.
 */
#include "kube/lease.h"

#include "base/mem.h"
#include "kube/lease_object.h"
#include "tests/lib/torture.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define S    NSEC_PER_SEC
#define MS   NSEC_PER_MSEC
#define WALL (1795197283ULL * S)

/* A candidate, and the Lease as the server has it. */
struct stage {
	struct lease *lease;
	nsec_t now;
	struct lease_record there;
	bool exists;
	unsigned version;
	struct lease_request req; /* under way */
	nsec_t deadline;
	unsigned started, stopped;
	char leader[64];
};

static void on_started(void *ctx)
{
	((struct stage *)ctx)->started++;
}

static void on_stopped(void *ctx)
{
	((struct stage *)ctx)->stopped++;
}

static void on_leader(void *ctx, const char *holder)
{
	struct stage *s = ctx;

	(void)snprintf(s->leader, sizeof(s->leader), "%s", holder);
}

static const struct lease_ops ops = {
	.started = on_started, .stopped = on_stopped, .new_leader = on_leader};

static int setup(void **state)
{
	struct stage *s = calloc(1, sizeof(*s));
	const struct lease_opts o = {.identity = "pod-a", .seed = 1, .ops = &ops, .ctx = s};

	assert_non_null(s);
	s->now = 1000 * S;
	assert_int_equal(lease_new(&o, &s->lease), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;

	lease_free(&s->lease);
	free(s);
	return 0;
}

static enum lease_action poll(struct stage *s)
{
	return lease_poll(s->lease, s->now, WALL + s->now, &s->req, &s->deadline);
}

static void answer(struct stage *s, int status)
{
	const struct lease_answer a = {.id = s->req.id,
				       .status = status,
				       .record = status == 200 || status == 201 ? &s->there : NULL};

	lease_answer(s->lease, s->now, &a);
}

static void new_version(struct stage *s)
{
	(void)snprintf(s->there.version, sizeof(s->there.version), "%u", ++s->version);
	s->exists = true;
}

/* The server does what it is asked, at once. */
static void serve(struct stage *s, enum lease_action expected)
{
	assert_int_equal(poll(s), expected);
	if (expected == LEASE_READ)
		return answer(s, s->exists ? 200 : 404);
	if (expected == LEASE_CREATE ? s->exists
				     : strcmp(s->req.record->version, s->there.version) != 0)
		return answer(s, 409);
	s->there = *s->req.record;
	new_version(s);
	answer(s, expected == LEASE_CREATE ? 201 : 200);
}

/* Waits as long as is asked for. */
static void wait(struct stage *s)
{
	assert_int_equal(poll(s), LEASE_NONE);
	assert_true(s->deadline > s->now && s->deadline != NSEC_NEVER);
	s->now = s->deadline;
}

/* Somebody else holds it, and renews. */
static void held_by(struct stage *s, const char *holder)
{
	static unsigned n;

	(void)snprintf(s->there.holder, sizeof(s->there.holder), "%s", holder);
	(void)snprintf(s->there.acquired, sizeof(s->there.acquired), "2001-01-01T00:00:00.000000Z");
	(void)snprintf(s->there.renewed, sizeof(s->there.renewed), "2001-01-01T00:00:00.%06uZ",
		       ++n % 1000000);
	s->there.duration_s = 15;
	s->there.transitions = 7;
	new_version(s);
}

static void become_leader(struct stage *s)
{
	serve(s, LEASE_READ);
	serve(s, LEASE_CREATE);
	assert_true(lease_leads(s->lease, s->now));
}

/* ---- taking it ------------------------------------------------------------------------------- */

static void the_first_creates_it(void **state)
{
	struct stage *s = *state;

	become_leader(s);
	assert_int_equal(s->started, 1);
	assert_string_equal(s->leader, "pod-a");
	assert_string_equal(s->there.holder, "pod-a");
	assert_string_equal(s->there.renewed, "2026-11-20T18:11:23.000000Z");
	assert_string_equal(s->there.acquired, s->there.renewed);
	assert_int_equal(s->there.duration_s, 15);
	assert_int_equal(s->there.transitions, 0);
}

static void a_free_one_is_taken_at_once(void **state)
{
	struct stage *s = *state;

	held_by(s, "");
	serve(s, LEASE_READ);
	serve(s, LEASE_UPDATE);
	assert_int_equal(s->started, 1);
	assert_int_equal(s->there.transitions, 8);
}

/* The times in it are of 2001, and say nothing: it was first seen now. */
static void a_held_one_is_waited_for(void **state)
{
	struct stage *s = *state;
	const nsec_t begun = s->now;

	held_by(s, "pod-b");
	serve(s, LEASE_READ);
	assert_string_equal(s->leader, "pod-b");
	for (;;) {
		wait(s);
		serve(s, LEASE_READ);
		if (poll(s) == LEASE_UPDATE)
			break;
		assert_true(s->now < begun + 15 * S);
		assert_in_range(s->deadline - s->now, MIN(2 * S, begun + 15 * S - s->now),
				2400 * MS);
	}
	assert_int_equal(s->now, begun + 15 * S); /* at once, not at the next look */
	assert_string_equal(s->req.record->holder, "pod-a");
	assert_int_equal(s->started, 0);
}

static void each_renewal_begins_the_wait_anew(void **state)
{
	struct stage *s = *state;

	held_by(s, "pod-b");
	serve(s, LEASE_READ);
	for (int i = 0; i < 100; i++) {
		if (i % 5 == 0)
			held_by(s, "pod-b");
		wait(s);
		serve(s, LEASE_READ);
	}
	assert_int_equal(lease_status(s->lease, s->now).requests, 101);
}

/* It may lead for as long as it says; not for ever. */
static void a_longer_duration_of_the_holder_counts(void **state)
{
	static const struct {
		uint32_t said;
		nsec_t waited;
	} cases[] = {{0, 15 * S}, {1, 15 * S}, {60, 60 * S}, {2000000000, LEASE_DURATION_MAX}};
	struct stage *s = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const nsec_t begun = s->now;

		held_by(s, i % 2 ? "pod-b" : "pod-c");
		s->there.duration_s = cases[i].said;
		do {
			serve(s, LEASE_READ);
			if (poll(s) == LEASE_UPDATE)
				break;
			wait(s);
		} while (s->now < begun + 1000 * S);
		assert_in_range(s->now, begun + cases[i].waited, begun + cases[i].waited + 3 * S);
		answer(s, 409); /* and somebody else has it again */
	}
}

/* Another process of this name, or this one before it was killed. */
static void its_own_name_is_no_claim(void **state)
{
	struct stage *s = *state;

	held_by(s, "pod-a");
	serve(s, LEASE_READ);
	wait(s);
	serve(s, LEASE_READ);
	wait(s);
	assert_int_equal(s->started, 0);
}

static void a_lost_race_is_read_again(void **state)
{
	struct stage *s = *state;

	held_by(s, "");
	serve(s, LEASE_READ);
	held_by(s, "pod-b");
	serve(s, LEASE_UPDATE);
	serve(s, LEASE_READ);
	assert_string_equal(s->leader, "pod-b");
	assert_int_equal(lease_status(s->lease, s->now).conflicts, 1);
	wait(s);
	assert_int_equal(s->started, 0);
}

/* The claim was stored though its answer was lost: it is known again by its mark. */
static void a_claim_without_an_answer_is_known_again(void **state)
{
	struct stage *s = *state;

	held_by(s, "");
	serve(s, LEASE_READ);
	assert_int_equal(poll(s), LEASE_UPDATE);
	s->there = *s->req.record;
	new_version(s);
	answer(s, 0);
	wait(s);
	serve(s, LEASE_READ);
	serve(s, LEASE_UPDATE);
	assert_int_equal(s->started, 1);
	assert_int_equal(s->there.transitions, 8);
}

/* ... also when it is stored later than the answer to the next look. */
static void a_late_claim_is_known_again(void **state)
{
	struct stage *s = *state;
	struct lease_record late;

	held_by(s, "");
	serve(s, LEASE_READ);
	assert_int_equal(poll(s), LEASE_UPDATE);
	late = *s->req.record;
	answer(s, 0);
	wait(s);
	serve(s, LEASE_READ);
	s->there = late;
	new_version(s);
	serve(s, LEASE_UPDATE);
	serve(s, LEASE_READ);
	serve(s, LEASE_UPDATE);
	assert_int_equal(s->started, 1);
}

/* ---- keeping it ------------------------------------------------------------------------------ */

static void it_is_renewed(void **state)
{
	struct stage *s = *state;
	char acquired[LEASE_MAX_TIME], renewed[LEASE_MAX_TIME];

	become_leader(s);
	memcpy(acquired, s->there.acquired, sizeof(acquired));
	for (int i = 0; i < 1000; i++) {
		const nsec_t before = s->now;

		memcpy(renewed, s->there.renewed, sizeof(renewed));
		wait(s);
		assert_int_equal(s->now - before, 2 * S);
		serve(s, LEASE_UPDATE);
		assert_true(strcmp(s->there.renewed, renewed) > 0);
	}
	assert_string_equal(s->there.acquired, acquired);
	assert_int_equal(s->there.transitions, 0);
	assert_int_equal(s->started, 1);
	assert_int_equal(s->stopped, 0);
}

static void a_wall_clock_that_goes_back_renews_all_the_same(void **state)
{
	struct stage *s = *state;
	char before[LEASE_MAX_TIME];

	become_leader(s);
	memcpy(before, s->there.renewed, sizeof(before));
	wait(s);
	assert_int_equal(lease_poll(s->lease, s->now, 5 * S, &s->req, &s->deadline), LEASE_UPDATE);
	assert_true(strcmp(s->req.record->renewed, before) > 0);
}

/* From when the last good write was sent, not from when it was answered. */
static void it_stops_by_itself(void **state)
{
	struct stage *s = *state;
	nsec_t sent;

	become_leader(s);
	wait(s);
	assert_int_equal(poll(s), LEASE_UPDATE);
	sent = s->now;
	s->there = *s->req.record;
	new_version(s);
	s->now += 3 * S;
	answer(s, 200);
	while (lease_leads(s->lease, s->now)) {
		enum lease_action a = poll(s);

		if (a != LEASE_NONE && a != LEASE_ABORT)
			answer(s, 500);
		else
			s->now = s->deadline;
		assert_true(s->now <= sent + 10 * S);
	}
	assert_int_equal(s->now, sent + 10 * S);
	(void)poll(s);
	assert_int_equal(s->stopped, 1);
	/* Nobody took it meanwhile: it goes on. */
	s->now += S;
	for (int i = 0; i < 20 && s->started == 1; i++) {
		enum lease_action a = poll(s);

		if (a == LEASE_NONE || a == LEASE_ABORT)
			s->now = s->deadline;
		else if (a == LEASE_READ)
			answer(s, 200);
		else {
			s->there = *s->req.record;
			new_version(s);
			answer(s, 200);
		}
	}
	assert_int_equal(s->started, 2);
	assert_int_equal(s->there.transitions, 0);
}

/* An answer later than the time it would give is worth nothing. */
static void a_late_answer_does_not_lead(void **state)
{
	struct stage *s = *state;
	struct lease_request old;

	serve(s, LEASE_READ);
	assert_int_equal(poll(s), LEASE_CREATE);
	old = s->req;
	s->there = *s->req.record;
	new_version(s);
	s->now += 10 * S;
	answer(s, 201);
	assert_int_equal(s->started, 0);
	assert_false(lease_leads(s->lease, s->now));
	/* Nor do answers to requests that are over. */
	serve(s, LEASE_UPDATE);
	assert_int_equal(s->started, 1);
	s->req = old;
	answer(s, 409);
	assert_int_equal(lease_status(s->lease, s->now).conflicts, 0);
}

static void a_process_that_was_stopped_knows(void **state)
{
	struct stage *s = *state;

	become_leader(s);
	s->now += 3600 * S;
	assert_false(lease_leads(s->lease, s->now));
	assert_int_equal(poll(s), LEASE_UPDATE);
	assert_int_equal(s->stopped, 1);
}

static void another_holder_ends_it_at_once(void **state)
{
	struct stage *s = *state;

	become_leader(s);
	held_by(s, "pod-b");
	wait(s);
	serve(s, LEASE_UPDATE);
	assert_true(lease_leads(s->lease, s->now)); /* who it was is not known yet */
	serve(s, LEASE_READ);
	assert_false(lease_leads(s->lease, s->now));
	assert_int_equal(s->stopped, 1);
	assert_string_equal(s->leader, "pod-b");
}

/* Labels were changed: the version is another, the holder is the same. */
static void an_edit_does_not_end_it(void **state)
{
	struct stage *s = *state;

	become_leader(s);
	for (int i = 0; i < 10; i++) {
		new_version(s);
		wait(s);
		serve(s, LEASE_UPDATE);
		serve(s, LEASE_READ);
		serve(s, LEASE_UPDATE);
	}
	assert_int_equal(s->started, 1);
	assert_int_equal(s->stopped, 0);
}

/* Somebody who edits all the time does not make it ask all the time. */
static void conflicts_for_ever_are_spaced(void **state)
{
	struct stage *s = *state;
	const nsec_t begun = s->now;

	become_leader(s);
	while (s->now < begun + 60 * S) {
		const enum lease_action a = poll(s);

		new_version(s);
		if (a == LEASE_READ)
			answer(s, 200);
		else if (a == LEASE_UPDATE)
			answer(s, 409);
		else
			s->now = s->deadline;
	}
	assert_in_range(lease_status(s->lease, s->now).requests, 20, 100);
}

static void an_answer_that_never_comes_is_given_up(void **state)
{
	struct stage *s = *state;
	nsec_t begun;

	become_leader(s);
	wait(s);
	assert_int_equal(poll(s), LEASE_UPDATE);
	begun = s->now;
	wait(s);
	assert_in_range(s->now - begun, 3 * S, 4 * S);
	assert_int_equal(poll(s), LEASE_ABORT);
	serve(s, LEASE_READ); /* at once: time is short */
	serve(s, LEASE_UPDATE);
	assert_int_equal(s->stopped, 0);
}

static void retry_after_is_kept(void **state)
{
	struct stage *s = *state;
	struct lease_answer a = {.status = 429, .retry_after = 30 * S};
	nsec_t begun = s->now;

	assert_int_equal(poll(s), LEASE_READ);
	a.id = s->req.id;
	lease_answer(s->lease, s->now, &a);
	wait(s);
	assert_int_equal(s->now, begun + 30 * S);
	assert_int_equal(lease_status(s->lease, s->now).tries, 1);
	serve(s, LEASE_READ);
	assert_int_equal(lease_status(s->lease, s->now).tries, 0);
	assert_int_equal(lease_status(s->lease, s->now).failures, 1);
}

/* ---- a Lease that was deleted ---------------------------------------------------------------- */

static void a_deleted_one_is_made_again_by_its_leader(void **state)
{
	struct stage *s = *state;

	become_leader(s);
	s->exists = false;
	wait(s);
	assert_int_equal(poll(s), LEASE_UPDATE);
	answer(s, 404);
	serve(s, LEASE_READ);
	serve(s, LEASE_CREATE);
	assert_int_equal(s->stopped, 0);
}

/* Its holder may not know yet. */
static void a_deleted_one_of_another_is_waited_for(void **state)
{
	struct stage *s = *state;
	nsec_t begun;

	held_by(s, "pod-b");
	serve(s, LEASE_READ);
	s->exists = false;
	wait(s);
	serve(s, LEASE_READ);
	begun = s->now;
	while (poll(s) != LEASE_CREATE) {
		if (s->deadline > s->now)
			s->now = s->deadline;
		else
			answer(s, 404);
	}
	assert_in_range(s->now, begun + 15 * S, begun + 17500 * MS);
}

/* ---- giving it back -------------------------------------------------------------------------- */

static void it_is_given_back(void **state)
{
	struct stage *s = *state;

	become_leader(s);
	s->now += S;
	lease_release(s->lease, s->now);
	assert_false(lease_leads(s->lease, s->now));
	assert_int_equal(s->stopped, 1);
	assert_false(lease_over(s->lease));
	serve(s, LEASE_UPDATE);
	assert_true(lease_over(s->lease));
	assert_string_equal(s->there.holder, "");
	assert_int_equal(s->there.duration_s, 1);
	assert_int_equal(s->there.transitions, 0);
	assert_int_equal(poll(s), LEASE_NONE);
	assert_true(s->deadline == NSEC_NEVER);
	assert_int_equal(lease_status(s->lease, s->now).lost, 0);
}

static void what_is_not_held_is_not_given_back(void **state)
{
	struct stage *s = *state;

	held_by(s, "pod-b");
	serve(s, LEASE_READ);
	lease_release(s->lease, s->now);
	assert_true(lease_over(s->lease));
	assert_int_equal(poll(s), LEASE_NONE);
}

/* A renewal is under way: its answer says what is there. */
static void a_write_under_way_is_waited_for(void **state)
{
	struct stage *s = *state;

	become_leader(s);
	wait(s);
	assert_int_equal(poll(s), LEASE_UPDATE);
	lease_release(s->lease, s->now);
	assert_int_equal(poll(s), LEASE_NONE);
	assert_false(lease_over(s->lease));
	s->there = *s->req.record;
	new_version(s);
	answer(s, 200);
	assert_int_equal(s->started, 1);
	serve(s, LEASE_UPDATE);
	assert_true(lease_over(s->lease));
	assert_string_equal(s->there.holder, "");
}

static void a_claim_under_way_is_given_back(void **state)
{
	struct stage *s = *state;

	serve(s, LEASE_READ);
	assert_int_equal(poll(s), LEASE_CREATE);
	lease_release(s->lease, s->now);
	s->there = *s->req.record;
	new_version(s);
	answer(s, 0);
	assert_false(lease_over(s->lease));
	wait(s);
	serve(s, LEASE_READ);
	serve(s, LEASE_UPDATE);
	assert_true(lease_over(s->lease));
	assert_int_equal(s->started, 0);
	assert_string_equal(s->there.holder, "");
}

/* acquireTime is when it was acquired, each time. */
static void a_second_reign_has_its_own_time(void **state)
{
	struct stage *s = *state;
	char first[LEASE_MAX_TIME];

	become_leader(s);
	memcpy(first, s->there.acquired, sizeof(first));
	held_by(s, "pod-b");
	wait(s);
	serve(s, LEASE_UPDATE);
	serve(s, LEASE_READ);
	held_by(s, "");
	wait(s);
	serve(s, LEASE_READ);
	serve(s, LEASE_UPDATE);
	assert_int_equal(s->started, 2);
	assert_true(strcmp(s->there.acquired, first) > 0);
}

static void bad_options(void **state)
{
	const struct lease_opts bad[] = {
		{.identity = NULL, .ops = &ops},
		{.identity = "", .ops = &ops},
		{.identity = "a", .duration = 10 * S, .renew = 10 * S, .ops = &ops},
		{.identity = "a", .renew = 2 * S, .retry = 2 * S, .ops = &ops},
	};
	struct lease *l = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(lease_new(&bad[i], &l), -EINVAL);
	assert_null(l);
}

/* ---- the object ------------------------------------------------------------------------------ */

static const char object[] =
	"{\"kind\":\"Lease\",\"apiVersion\":\"coordination.k8s.io/v1\",\"metadata\":{\"name\":"
	"\"kindred\",\"namespace\":\"obs\",\"uid\":\"u\",\"resourceVersion\":\"41\",\"labels\":{"
	"\"a\":\"b\"}},\"spec\":{\"holderIdentity\":\"pod-b\",\"leaseDurationSeconds\":15,"
	"\"acquireTime\":\"2026-11-20T18:11:23.000001Z\",\"renewTime\":\"2026-11-20T18:11:24."
	"000002Z\",\"leaseTransitions\":3,\"strategy\":\"OldestEmulationVersion\"}}";

static void an_object_is_read(void **state)
{
	struct lease_record r = {0};
	json_t *o = NULL;

	(void)state;
	assert_int_equal(lease_object_read(str_of(object), &r, &o), 0);
	assert_string_equal(r.holder, "pod-b");
	assert_string_equal(r.version, "41");
	assert_string_equal(r.acquired, "2026-11-20T18:11:23.000001Z");
	assert_string_equal(r.renewed, "2026-11-20T18:11:24.000002Z");
	assert_int_equal(r.duration_s, 15);
	assert_int_equal(r.transitions, 3);
	json_decref(o);
	assert_int_equal(lease_object_read(STR("{\"kind\":\"Lease\",\"metadata\":{"
					       "\"resourceVersion\":\"1\"}}"),
					   &r, &o),
			 0);
	assert_string_equal(r.holder, "");
	assert_int_equal(r.duration_s, 0);
	json_decref(o);
}

static void what_is_no_lease_is_refused(void **state)
{
	static const struct {
		const char *json;
		int r;
	} bad[] = {
		{"", -EBADMSG},
		{"{", -EBADMSG},
		{"[]", -EBADMSG},
		{"{}", -EBADMSG},
		{"{\"kind\":\"Status\"}", -EBADMSG},
		{"{\"kind\":\"Lease\"}", -EBADMSG}, /* no version: it could not be replaced */
		{"{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":1}}", -EBADMSG},
		{"{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{"
		 "\"holderIdentity\":7}}",
		 -EBADMSG},
		{"{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{"
		 "\"leaseDurationSeconds\":-1}}",
		 -EBADMSG},
		{"{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{"
		 "\"leaseTransitions\":99999999999}}",
		 -EBADMSG},
		{"{\"kind\":\"Lease\",\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{"
		 "\"renewTime\":\"0123456789012345678901234567890123456789012345678\"}}",
		 -EMSGSIZE},
	};
	struct lease_record r = {.holder = "untouched"};
	json_t *o = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(lease_object_read(str_of(bad[i].json), &r, &o), bad[i].r);
	assert_string_equal(r.holder, "untouched");
	assert_null(o);
}

/* What others put there stays. */
static void an_object_is_written_again(void **state)
{
	struct lease_record r, again;
	json_t *o = NULL, *p = NULL;
	char *text = NULL;

	(void)state;
	assert_int_equal(lease_object_read(str_of(object), &r, &o), 0);
	(void)snprintf(r.holder, sizeof(r.holder), "pod-a");
	r.transitions++;
	assert_int_equal(lease_object_write(o, "obs", "kindred", &r, &text), 0);
	assert_int_equal(lease_object_read(str_of(text), &again, &p), 0);
	assert_memory_equal(&again, &r, sizeof(r));
	assert_non_null(strstr(text, "\"labels\":{\"a\":\"b\"}"));
	assert_non_null(strstr(text, "\"strategy\":\"OldestEmulationVersion\""));
	assert_non_null(strstr(text, "\"uid\":\"u\""));
	free(text);
	json_decref(o);
	json_decref(p);
}

static void a_new_object_is_written(void **state)
{
	const struct lease_record r = {
		.holder = "pod-a", .acquired = "A", .renewed = "R", .duration_s = 15};
	char *text = NULL;

	(void)state;
	assert_int_equal(lease_object_write(NULL, "obs", "kindred", &r, &text), 0);
	assert_string_equal(
		text,
		"{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{"
		"\"namespace\":\"obs\",\"name\":\"kindred\"},\"spec\":{\"holderIdentity\":"
		"\"pod-a\",\"acquireTime\":\"A\",\"renewTime\":\"R\",\"leaseDurationSeconds\":15,"
		"\"leaseTransitions\":0}}");
	free(text);
}

static int make_one(void *ctx)
{
	const struct lease_opts o = {.identity = "pod-a", .ops = &ops};
	struct lease *l = NULL;
	int r = lease_new(&o, &l);

	(void)ctx;
	lease_free(&l);
	return r;
}

static void memory_is_short(void **state)
{
	(void)state;
	assert_int_equal(torture_run(make_one, NULL), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(the_first_creates_it),
		CASE(a_free_one_is_taken_at_once),
		CASE(a_held_one_is_waited_for),
		CASE(each_renewal_begins_the_wait_anew),
		CASE(a_longer_duration_of_the_holder_counts),
		CASE(its_own_name_is_no_claim),
		CASE(a_lost_race_is_read_again),
		CASE(a_claim_without_an_answer_is_known_again),
		CASE(a_late_claim_is_known_again),
		CASE(it_is_renewed),
		CASE(a_wall_clock_that_goes_back_renews_all_the_same),
		CASE(it_stops_by_itself),
		CASE(a_late_answer_does_not_lead),
		CASE(a_process_that_was_stopped_knows),
		CASE(another_holder_ends_it_at_once),
		CASE(an_edit_does_not_end_it),
		CASE(conflicts_for_ever_are_spaced),
		CASE(an_answer_that_never_comes_is_given_up),
		CASE(retry_after_is_kept),
		CASE(a_deleted_one_is_made_again_by_its_leader),
		CASE(a_deleted_one_of_another_is_waited_for),
		CASE(it_is_given_back),
		CASE(what_is_not_held_is_not_given_back),
		CASE(a_write_under_way_is_waited_for),
		CASE(a_claim_under_way_is_given_back),
		CASE(a_second_reign_has_its_own_time),
		CASE(bad_options),
		CASE(an_object_is_read),
		CASE(what_is_no_lease_is_refused),
		CASE(an_object_is_written_again),
		CASE(a_new_object_is_written),
		CASE(memory_is_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
