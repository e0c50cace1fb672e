/*
 * Agents that are started in one moment: each asks nothing of the API server before its
 * own drawn time, and then all at once.
 */
#include "tests/lib/rig.h"

#include "base/mem.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MS     NSEC_PER_MSEC
#define CROWD  8
#define JITTER 2000 /* ms, as in the arguments below */

/* Milliseconds of the day that the first line with this text was written at; -1: there is none. */
static long said_at(const struct proc *p, const char *text)
{
	_free_ char *log = proc_text(p->err);
	char *at = strstr(log, text);
	unsigned h, m, s, ms;

	while (at && at > log && at[-1] != '\n')
		at--;
	if (!at || sscanf(at, "%*[^T]T%2u:%2u:%2u.%3uZ", &h, &m, &s, &ms) != 4)
		return -1;
	return (long)(((h * 60 + m) * 60 + s) * 1000 + ms);
}

static long wait_said(struct rig *rig, const struct proc *p, const char *text)
{
	const nsec_t until = clock_mono() + RIG_PATIENCE * RIG_SLOWNESS;
	long at;

	while ((at = said_at(p, text)) < 0) {
		rig_assert(rig, clock_mono() < until, "the log does not say \"%s\"", text);
		proc_sleep(20 * MS);
	}
	return at;
}

/* Between two times of a day, over midnight, too. */
static long since(long from, long to)
{
	return (to - from + 86400000) % 86400000;
}

static void starts_are_spread(void **state)
{
	static const char *const args[] = {
		"--start-jitter", "2s", "--probe-listen", "off", "--listen", "off", NULL};
	struct rig *rig = *state;
	struct proc v[CROWD] = {{0}};
	long least = JITTER * 100, most = 0;

	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	for (unsigned i = 0; i < CROWD; i++) {
		char tag[16];

		(void)snprintf(tag, sizeof(tag), "crowd%u", i);
		rig_agent_as(rig, &v[i], tag, args, NULL);
	}
	for (unsigned i = 0; i < CROWD; i++) {
		const long began = wait_said(rig, &v[i], "kindred ");
		const long pods = since(began, wait_said(rig, &v[i], "/api/v1/pods: synced"));
		const long jobs =
			since(began, wait_said(rig, &v[i], "/apis/batch/v1/jobs: synced"));

		least = MIN(least, MIN(pods, jobs));
		most = MAX(most, MAX(pods, jobs));
		/* One draw an agent, not one a watch. */
		rig_assert(rig, labs(pods - jobs) < 500 * RIG_SLOWNESS, "%ld and %ld ms", pods,
			   jobs);
	}
	rig_assert(rig, most < JITTER + 1000 * RIG_SLOWNESS, "one waited for %ld ms", most);
	/* Of eight draws, once in 70,000 this is not so. */
	rig_assert(rig, most - least > JITTER * 15 / 100, "all waited for %ld to %ld ms", least,
		   most);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(starts_are_spread, rig_setup, rig_teardown),
	};

	return rig_run("starts", tests, ARRAY_SIZE(tests), argc, argv);
}
