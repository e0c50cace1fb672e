/*
 * States of objects as the API describes them, written by hand, and since when they are:
 * the rules that states.h names.
 */
#include "sink/graph/states.h"

#include "base/mem.h"
#include "tests/lib/torture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define ARENA_MAX ((size_t)1 << 20)
#define SEEN	  (1767225600 * NSEC_PER_SEC) /* 2026-01-01T00:00:00Z */

static void is(const char *object, const char *json, const char *since)
{
	struct graph_state s;
	struct tree *t;
	struct arena a;

	arena_init(&a, ARENA_MAX);
	assert_int_equal(tree_parse(&a, str_of(object), &t), 0);
	assert_int_equal(graph_state_of(t, &a, SEEN, &s), 0);
	if (!str_eq(s.json, str_of(json)))
		fail_msg("\nwanted %s\nis     %.*s", json, STR_ARG(s.json));
	if (since && !str_eq(s.since, str_of(since)))
		fail_msg("\n%s\nsince %s, is %.*s", json, since, STR_ARG(s.since));
	arena_done(&a);
}

#define POD(status)                                                                        \
	"{\"kind\":\"Pod\",\"metadata\":{\"creationTimestamp\":\"2026-01-02T03:00:00Z\"}," \
	"\"status\":{" status "}}"

static void containers(void **state)
{
	(void)state;
	is(POD("\"phase\":\"Pending\",\"containerStatuses\":[{\"name\":\"app\",\"restartCount\":0,"
	       "\"ready\":false,\"state\":{\"waiting\":{\"reason\":\"ImagePullBackOff\","
	       "\"message\":\"Back-off pulling image\"}}}]"),
	   "{\"phase\":\"Pending\",\"containers\":[{\"name\":\"app\",\"state\":\"waiting\","
	   "\"reason\":\"ImagePullBackOff\",\"restarts\":0,\"ready\":false}]}",
	   "2026-01-02T03:00:00Z");
	is(POD("\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"app\","
	       "\"restartCount\":2,"
	       "\"ready\":true,\"started\":true,\"state\":{\"running\":{\"startedAt\":\"2026-01-"
	       "02T03:04:00Z\"}},\"lastState\":{\"terminated\":{\"exitCode\":1,\"finishedAt\":"
	       "\"2026-01-02T03:03:00Z\"}}}]"),
	   "{\"phase\":\"Running\",\"containers\":[{\"name\":\"app\",\"state\":\"running\","
	   "\"restarts\":2,\"ready\":true,\"started\":true}]}",
	   "2026-01-02T03:04:00Z");
	is(POD("\"phase\":\"Failed\",\"reason\":\"Evicted\",\"containerStatuses\":[{\"name\":"
	       "\"app\",\"restartCount\":1,\"ready\":false,\"state\":{\"terminated\":{\"exitCode\":"
	       "137,\"reason\":\"OOMKilled\",\"startedAt\":\"2026-01-02T03:01:00Z\",\"finishedAt\":"
	       "\"2026-01-02T03:05:00Z\"}}}]"),
	   "{\"phase\":\"Failed\",\"reason\":\"Evicted\",\"containers\":[{\"name\":\"app\","
	   "\"state\":\"terminated\",\"reason\":\"OOMKilled\",\"exit_code\":\"137\",\"restarts\":1,"
	   "\"ready\":false}]}",
	   "2026-01-02T03:05:00Z");
	/* All three lists; one of which nothing is known yet. */
	is(POD("\"containerStatuses\":[{\"name\":\"app\"}],\"initContainerStatuses\":[{\"name\":"
	       "\"setup\",\"state\":{\"terminated\":{\"exitCode\":0,\"reason\":\"Completed\","
	       "\"finishedAt\":\"2026-01-02T03:02:00Z\"}}}],\"ephemeralContainerStatuses\":[{"
	       "\"name\":"
	       "\"debug\",\"state\":{\"running\":{}}}]"),
	   "{\"containers\":[{\"name\":\"setup\",\"state\":\"terminated\",\"reason\":\"Completed\","
	   "\"exit_code\":\"0\",\"restarts\":0,\"ready\":false},{\"name\":\"app\",\"state\":"
	   "\"unknown\",\"restarts\":0,\"ready\":false},{\"name\":\"debug\",\"state\":\"running\","
	   "\"restarts\":0,\"ready\":false}]}",
	   "2026-01-02T03:02:00Z");
}

static void job_phases(void **state)
{
	static const struct {
		const char *status, *phase;
	} cases[] = {
		{"", "Pending"},
		{"\"active\":1", "Active"},
		{"\"active\":1,\"failed\":2", "Active"}, /* it tries again */
		{"\"failed\":2", "Failed"},
		{"\"active\":0,\"failed\":1", "Failed"},
		{"\"succeeded\":1", "Succeeded"},
		{"\"active\":2,\"succeeded\":1,\"failed\":1", "Succeeded"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buf_ struct buf object = {.max = 1024}, want = {.max = 1024};

		assert_int_equal(buf_printf(&object, "{\"kind\":\"Job\",\"status\":{%s}}%c",
					    cases[i].status, 0),
				 0);
		assert_int_equal(buf_printf(&want, "{\"phase\":\"%s\"}%c", cases[i].phase, 0), 0);
		is(buf_str(&object).p, buf_str(&want).p, NULL);
	}
}

static void replica_numbers(void **state)
{
	(void)state;
	is("{\"kind\":\"Deployment\",\"metadata\":{\"creationTimestamp\":\"2026-01-02T03:00:00Z\"},"
	   "\"status\":{\"observedGeneration\":7,\"replicas\":3,\"updatedReplicas\":"
	   "1,"
	   "\"readyReplicas\":2,\"availableReplicas\":2,\"unavailableReplicas\":1,"
	   "\"conditions\":[{\"type\":\"Available\",\"status\":\"True\",\"reason\":"
	   "\"MinimumReplicasAvailable\",\"message\":\"m\",\"lastUpdateTime\":\"2026-01-02T03:09:"
	   "00Z\",\"lastTransitionTime\":\"2026-01-02T03:06:00Z\"},{\"type\":"
	   "\"Progressing\","
	   "\"status\":\"False\","
	   "\"lastTransitionTime\":\"2026-01-02T03:08:00Z\"}]}}",
	   "{\"replicas\":3,\"readyReplicas\":2,\"availableReplicas\":2,\"updatedReplicas\":1,"
	   "\"unavailableReplicas\":1,\"conditions\":[{\"type\":\"Available\",\"status\":\"True\","
	   "\"reason\":\"MinimumReplicasAvailable\"},{\"type\":\"Progressing\",\"status\":"
	   "\"False\"}]}",
	   "2026-01-02T03:08:00Z");
	is("{\"kind\":\"DaemonSet\",\"status\":{\"currentNumberScheduled\":4,"
	   "\"desiredNumberScheduled\":4,\"numberReady\":3,\"numberAvailable\":0,"
	   "\"numberMisscheduled\":-1}}",
	   "{\"desiredNumberScheduled\":4,\"numberReady\":3,\"numberAvailable\":0}", NULL);
	is("{\"kind\":\"StatefulSet\",\"status\":{\"replicas\":0,\"currentReplicas\":2}}",
	   "{\"replicas\":0,\"currentReplicas\":2}", NULL);
}

static void since(void **state)
{
#define META(times) "{\"kind\":\"Widget\",\"metadata\":{" times "},\"status\":{\"phase\":\"Up\"}}"
#define CREATED	    "\"creationTimestamp\":\"2026-01-02T03:01:00Z\""
#define DELETED	    "\"deletionTimestamp\":\"2026-01-02T03:02:00Z\""
	(void)state;
	is(META(""), "{\"phase\":\"Up\"}", "2026-01-01T00:00:00.000000Z");
	is(META(CREATED), "{\"phase\":\"Up\"}", "2026-01-02T03:01:00Z");
	is(META(CREATED "," DELETED), "{\"terminating\":true,\"phase\":\"Up\"}",
	   "2026-01-02T03:02:00Z");
	/* A transition is told by nobody else; whichever was the last. */
	is("{\"kind\":\"Widget\",\"metadata\":{" CREATED "," DELETED
	   "},\"status\":{\"conditions\":[{\"type\":\"B\",\"status\":\"True\","
	   "\"lastTransitionTime\":\"2026-01-02T03:07:00Z\"},{\"type\":\"A\",\"status\":\"True\","
	   "\"lastTransitionTime\":\"2026-01-02T03:03:00Z\"},{\"status\":\"True\","
	   "\"lastTransitionTime\":\"2026-01-02T03:09:00Z\"}]}}",
	   "{\"terminating\":true,\"conditions\":[{\"type\":\"B\",\"status\":\"True\"},"
	   "{\"type\":\"A\",\"status\":\"True\"}]}",
	   "2026-01-02T03:07:00Z");
	is(POD("\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":"
	       "\"2026-01-02T03:04:00Z\"}],\"containerStatuses\":[{\"name\":\"a\",\"state\":{"
	       "\"running\":{"
	       "\"startedAt\":\"2026-01-02T03:06:00Z\"}}}]"),
	   "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"containers\":[{\"name\":"
	   "\"a\",\"state\":\"running\",\"restarts\":0,\"ready\":false}]}",
	   "2026-01-02T03:06:00Z");
}

/* What tells nothing of how an object is makes no new state; objects of some kinds have none. */
static void what_is_no_state(void **state)
{
	(void)state;
	is("{\"kind\":\"Node\",\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{\"a\":"
	   "\"b\"}},\"spec\":{\"replicas\":3},\"status\":{\"capacity\":{\"cpu\":\"4\"},"
	   "\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastHeartbeatTime\":\"2026-"
	   "01-02T03:09:00Z\",\"message\":\"kubelet is "
	   "posting\",\"lastTransitionTime\":\"2026-01-02T03:01:00Z\"}]}"
	   "}",
	   "{\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}]}", "2026-01-02T03:01:00Z");
	is("{\"kind\":\"ConfigMap\",\"metadata\":{" CREATED "},\"data\":{\"phase\":\"x\"}}", "",
	   "");
	is("{\"kind\":\"Pod\",\"metadata\":{" CREATED "},\"status\":{}}", "", "");
	/* Members of other types than the API's. */
	is("{\"kind\":\"Pod\",\"status\":{\"phase\":{},\"conditions\":{\"a\":1},"
	   "\"containerStatuses\":[1,null]}}",
	   "{\"containers\":[{\"name\":\"\",\"state\":\"unknown\",\"restarts\":0,\"ready\":false},"
	   "{\"name\":\"\",\"state\":\"unknown\",\"restarts\":0,\"ready\":false}]}",
	   NULL);
}

static int make(void *ctx)
{
	struct graph_state s;
	struct tree *t;
	struct arena a;
	int r;

	arena_init(&a, ARENA_MAX);
	r = tree_parse(&a, str_of(ctx), &t);
	if (r == 0)
		r = graph_state_of(t, &a, SEEN, &s);
	arena_done(&a);
	return r;
}

static void short_of_memory(void **state)
{
	char json[] = POD("\"phase\":\"Running\",\"containerStatuses\":[{\"name\":\"a\"}]");

	(void)state;
	assert_int_equal(torture_run(make, json), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(containers),	    cmocka_unit_test(job_phases),
		cmocka_unit_test(replica_numbers),  cmocka_unit_test(since),
		cmocka_unit_test(what_is_no_state), cmocka_unit_test(short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
