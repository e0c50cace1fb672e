/*
 * The whole agent in node scope: its own Node object, and owners that may not be
 * read.
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
#include <string.h>
#include <unistd.h>

#define NODE "node-12.fixture.internal"

static const char *const node_args[] = {"--node-name", NODE, "--scope", "node", NULL};

static void start(struct rig *rig, const char *fault)
{
	const struct truth_select node = {.node = NODE};

	rig_truth(rig, "", &node);
	rig_replay(rig, (const char *const[]){"--fault", fault, NULL});
	rig_reducer(rig, NULL);
	rig_agent(rig, node_args, NULL);
}

static bool reducer_said(const struct rig *rig, const char *text)
{
	_free_ char *out = proc_text(rig->reducer.out);

	return out && strstr(out, text);
}

static void wait_reducer(struct rig *rig, const char *text)
{
	nsec_t until = clock_mono() + RIG_PATIENCE;

	while (!reducer_said(rig, text) && clock_mono() < until)
		(void)usleep(50000);
	rig_assert(rig, reducer_said(rig, text), "the reducer was not told %s", text);
}

/* Right after an API server's start a valid token is refused for a second or two. */
static void a_node_that_is_refused_at_first_is_read_later(void **state)
{
	struct rig *rig = *state;

	start(rig, "403=nodes@times=1");
	wait_reducer(rig, "\"instance_type\":\"\"");
	wait_reducer(rig, "\"az\":\"zone-a\"");
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

static void an_owner_that_may_not_be_read_is_said(void **state)
{
	struct rig *rig = *state;

	start(rig, "403-get=replicasets");
	rig_wait_log(rig, "cannot get resource \"replicasets\" in API group \"apps\"",
		     RIG_PATIENCE);
	rig_stop(rig, SIGTERM);
	rig_assert(rig, rig_logged(rig, "told: "), "no figures at the end");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_node_that_is_refused_at_first_is_read_later,
						rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(an_owner_that_may_not_be_read_is_said, rig_setup,
						rig_teardown),
	};

	return rig_run("node scope", tests, ARRAY_SIZE(tests), argc, argv);
}
