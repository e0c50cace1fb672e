/*
 * The recorded cluster through the whole agent into the reducer, by every way the
 * agent can read it: the reducer's last state is the ground truth.
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

#define MAX_ARGS 10
#define NODE	 "node-12.fixture.internal"

/* One way to read. */
struct way {
	const char *name;
	const char *set; /* of recordings, below tests/fixtures/recorded; NULL: the newest server */
	const char *replay[MAX_ARGS], *agent[MAX_ARGS], *env[MAX_ARGS];
	struct truth_select select;
	/* A Deployment whose ReplicaSet another one of that name adopts while nothing happens to
	 * its pods: in node scope nobody tells the agent. */
	const char *readopted;
	const char *asked;  /* what kube-replay must have been asked, and */
	const char *spared; /* must not: keys of "requests" in its state */
};

static const char *const two_namespaces[] = {"payments", "shop", NULL};

static const struct way ways[] = {
	{.name = "protobuf, streaming list", .spared = "list pods"},
	{.name = "JSON, streaming list", .agent = {"--encoding", "json"}, .spared = "list pods"},
	{.name = "protobuf, pages, then a watch",
	 .agent = {"--streaming-list", "off"},
	 .asked = "list pods"},
	{.name = "JSON, pages, then a watch",
	 .agent = {"--streaming-list", "off", "--encoding", "json"},
	 .asked = "list pods"},
	{.name = "protobuf, pages of 10",
	 .agent = {"--streaming-list", "off", "--page-size", "10"},
	 .asked = "list pods"},
	{.name = "JSON, pages of 10",
	 .agent = {"--streaming-list", "off", "--page-size", "10", "--encoding", "json"},
	 .asked = "list pods"},
	{.name = "protobuf, whole lists",
	 .agent = {"--streaming-list", "off", "--page-size", "0"},
	 .asked = "list pods"},
	{.name = "JSON, whole lists",
	 .agent = {"--streaming-list", "off", "--page-size", "0", "--encoding", "json"},
	 .asked = "list pods"},
	{.name = "a server without streaming lists",
	 .replay = {"--fault", "no-streaming-list"},
	 .asked = "list pods"},
	{.name = "one node, protobuf",
	 .env = {"NODE_NAME=" NODE},
	 .select = {.node = NODE},
	 .asked = "get replicasets",
	 .spared = "watch replicasets"},
	{.name = "one node, JSON, pages",
	 .agent = {"--encoding", "json", "--streaming-list", "off", "--node-name", NODE},
	 .select = {.node = NODE},
	 .asked = "get jobs",
	 .spared = "list jobs"},
	{.name = "two namespaces, protobuf",
	 .agent = {"--namespaces", "payments,shop"},
	 .select = {.namespaces = two_namespaces}},
	{.name = "two namespaces, JSON, pages",
	 .agent = {"--encoding", "json", "--streaming-list", "off"},
	 .env = {"KINDRED_NAMESPACES=payments,shop"},
	 .select = {.namespaces = two_namespaces}},
	{.name = "server 1.31, protobuf", .set = "v1.31.14", .asked = "list pods"},
	{.name = "server 1.31, JSON",
	 .set = "v1.31.14",
	 .agent = {"--encoding", "json"},
	 .asked = "list pods"},
	{.name = "time passes 60 times as fast, protobuf", .replay = {"--speed", "60"}},
	{.name = "time passes 60 times as fast, JSON",
	 .replay = {"--speed", "60"},
	 .agent = {"--encoding", "json"}},
	{.name = "time passes 30 times as fast, one node, pages",
	 .replay = {"--speed", "30"},
	 .agent = {"--streaming-list", "off"},
	 .env = {"NODE_NAME=" NODE},
	 .select = {.node = NODE},
	 .readopted = "swap"},
};

static void assert_asked(struct rig *rig, const struct way *w)
{
	json_t *state = rig_ask(rig, "GET", "/replay/state");
	const json_t *requests = json_object_get(state, "requests");
	const bool asked = !w->asked || json_object_get(requests, w->asked),
		   spared = !w->spared || !json_object_get(requests, w->spared);

	json_decref(state);
	rig_assert(rig, asked, "the API server was not asked to %s", w->asked);
	rig_assert(rig, spared, "the API server was asked to %s", w->spared);
}

/* Either of the two Deployments will do. */
static void forget_owner_uid(struct rig *rig, const char *owner_name)
{
	const char *uid;
	json_t *pod;

	json_object_foreach(rig->truth.pods, uid, pod)
	{
		if (strcmp(json_string_value(json_object_get(pod, "owner_name")), owner_name) == 0)
			(void)json_object_del(pod, "owner_uid");
	}
}

static void start_all(struct rig *rig, const struct way *w)
{
	const char *replay[MAX_ARGS + 2] = {w->set};
	size_t n = w->set ? 1 : 0;

	for (size_t i = 0; w->replay[i]; i++)
		replay[n++] = w->replay[i];
	rig_truth(rig, w->set ? w->set : "", &w->select);
	if (w->readopted)
		forget_owner_uid(rig, w->readopted);
	rig_replay(rig, replay);
	rig_reducer(rig, NULL);
	rig_agent(rig, w->agent, w->env);
}

static void test_way(void **state)
{
	struct rig *rig = *state;
	const struct way *w = rig->arg;

	start_all(rig, w);
	rig_converge(rig);
	assert_asked(rig, w);
	rig_stop(rig, SIGTERM);
}

/* Every way is a test of its own. */
int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_SIZE(ways)];

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++)
		tests[i] = (struct CMUnitTest){.name = ways[i].name,
					       .test_func = test_way,
					       .setup_func = rig_setup,
					       .teardown_func = rig_teardown,
					       .initial_state = (void *)(uintptr_t)&ways[i]};
	return rig_run("the recorded cluster", tests, ARRAY_SIZE(tests), argc, argv);
}
