/*
 * A reducer that is down, slow, hung, cut, restarted or talkative, and what the agent
 * sends it: the truth arrives as soon as it can, and the API server's watches go on.
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

/* Half of the recording is still to come some seconds after the start. */
static const char *const real_time[] = {"--speed", "60", NULL};

static void start_all(struct rig *rig, const char *const *replay, const char *const *reducer,
		      const char *const *agent)
{
	rig_truth(rig, "", NULL);
	rig_replay(rig, replay);
	rig_reducer(rig, reducer);
	rig_agent(rig, agent, NULL);
}

/* The reducer is stopped at once: what it has not read yet is reset. */
static void kill_reducer(struct rig *rig)
{
	(void)proc_stop(&rig->reducer, SIGKILL, RIG_PATIENCE, NULL);
}

static void test_down_at_start(void **state)
{
	struct rig *rig = *state;

	start_all(rig, NULL, NULL, NULL);
	kill_reducer(rig); /* its port stays known */
	(void)proc_stop(&rig->agent, SIGKILL, RIG_PATIENCE, NULL);
	(void)unlink(rig->agent.err);
	rig_agent(rig, NULL, NULL);
	rig_wait_log(rig, "Connection refused", RIG_PATIENCE);
	rig_wait_log(rig, "/api/v1/pods: synced", RIG_PATIENCE);
	rig_reducer(rig, NULL);
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

static void test_restarted(void **state)
{
	struct rig *rig = *state;
	uint64_t epoch;

	start_all(rig, real_time, NULL, NULL);
	for (int i = 0; i < 3; i++) {
		rig_wait_told(rig, "metadata_complete");
		proc_sleep(300 * NSEC_PER_MSEC);
		assert_int_equal(told_read(&rig->told), 0);
		epoch = rig->told.epoch;
		rig_assert(rig, epoch > 1700000000, "epochs begin at Unix seconds");
		if (i % 2)
			kill_reducer(rig);
		else
			assert_int_equal(proc_stop(&rig->reducer, SIGTERM, RIG_PATIENCE, NULL), 0);
		rig_reducer(rig, NULL);
		rig_wait_told(rig, "metadata_complete");
		rig_assert(rig, rig->told.epoch > epoch, "the epoch did not rise");
	}
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

/* Every connection ends after some messages, in the snapshot and after it. */
static void test_cut(void **state)
{
	struct rig *rig = *state;

	start_all(rig, real_time, (const char *const[]){"--close-after", "60", NULL}, NULL);
	while (rig->told.connects < 5) {
		assert_int_equal(told_read(&rig->told), 0);
		rig_assert(rig, proc_running(&rig->agent), "the agent is gone");
		proc_sleep(20 * NSEC_PER_MSEC);
	}
	rig_assert(rig, rig->told.errors == 0, "the reducer complains: %s", rig->told.error);
	rig_assert(rig, rig->told.epochs_rise, "an epoch did not rise");
	assert_int_equal(proc_stop(&rig->reducer, SIGTERM, RIG_PATIENCE, NULL), 0);
	rig_reducer(rig, NULL);
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

static void test_slow(void **state)
{
	struct rig *rig = *state;

	start_all(rig, NULL, (const char *const[]){"--slow", "8000", NULL}, NULL);
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

/* Whether three watches have been told all there is. */
static bool delivered(const struct rig *rig)
{
	json_t *state = rig_ask(rig, "GET", "/replay/state");
	const bool yes = json_is_true(json_object_get(state, "delivered")) &&
			 json_array_size(json_object_get(state, "watches")) == 3;

	json_decref(state);
	return yes;
}

static void wait_delivered(struct rig *rig, unsigned played)
{
	const nsec_t until = clock_mono() + RIG_PATIENCE * RIG_SLOWNESS;

	while (rig_played(rig) < played || !delivered(rig)) {
		rig_assert(rig, clock_mono() < until, "the watches stand still");
		proc_sleep(50 * NSEC_PER_MSEC);
	}
}

/* The watches run to their end though the reducer takes nothing; a new one gets all. */
static void test_hung(void **state)
{
	struct rig *rig = *state;

	start_all(rig, (const char *const[]){"--speed", "100", NULL},
		  (const char *const[]){"--hang", NULL}, NULL);
	wait_delivered(rig, 0);
	kill_reducer(rig);
	rig_reducer(rig, NULL);
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

static void test_sends_bytes(void **state)
{
	struct rig *rig = *state;

	start_all(rig, NULL, (const char *const[]){"--send-bytes", NULL}, NULL);
	rig_converge(rig);
	rig_assert(rig, rig->told.connects == 1, "%llu connections",
		   (unsigned long long)rig->told.connects);
	rig_stop(rig, SIGTERM);
}

/* A stop is told by FIN, after all that is known: nothing is lost on the way out. */
static void test_says_goodbye(void **state)
{
	struct rig *rig = *state;
	nsec_t until;

	start_all(rig, NULL, NULL, NULL);
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
	until = clock_mono() + RIG_PATIENCE;
	while (!rig->told.disconnects) {
		assert_int_equal(told_read(&rig->told), 0);
		rig_assert(rig, clock_mono() < until, "the reducer saw no end");
		proc_sleep(20 * NSEC_PER_MSEC);
	}
	rig_assert(rig, rig->told.errors == 0, "the reducer complains: %s", rig->told.error);
}

/* What is said besides pods. */
static void test_handshake(void **state)
{
	static const char *const names[] = {"version_info",	"report_cpu_cores",
					    "set_config_label", "set_node_info",
					    "cloud_platform",	"metadata_complete"};
	struct rig *rig = *state;

	rig_truth(rig, "", &(struct truth_select){.node = "node-12.fixture.internal"});
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	rig_agent(rig, (const char *const[]){"--heartbeat", "1s", NULL},
		  (const char *const[]){"NODE_NAME=node-12.fixture.internal",
					"EBPF_NET_AGENT_CLUSTER=blue", NULL});
	rig_converge(rig);
	rig_wait_told(rig, "heartbeat");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		rig_assert(rig, json_object_get(rig->told.messages, names[i]), "no %s", names[i]);
	rig_stop(rig, SIGTERM);
}

/* --- copies of the stream --- */

static void decode(struct rig *rig, const char *record, struct told *ret)
{
	struct proc p;

	rig_assert(rig,
		   proc_start(&p, rig->folder, "decode",
			      (const char *const[]){rig->kindred, "decode", record, NULL},
			      NULL) == 0,
		   "cannot start decode");
	rig_assert(rig, proc_wait(&p, RIG_PATIENCE) == 0 && p.code == 0, "decode: code %d", p.code);
	assert_int_equal(told_init(ret, p.out), 0);
	assert_int_equal(told_read_decoded(ret), 0);
	(void)unlink(p.out);
}

/* Both copies hold what the reducer was told. */
static void test_record(void **state)
{
	static const char *const names[] = {"wire", "plain"};
	struct rig *rig = *state;
	char wire[PROC_PATH_MAX], plain[PROC_PATH_MAX], env[PROC_PATH_MAX + 64];

	(void)snprintf(env, sizeof(env), "EBPF_NET_RECORD_INTAKE_OUTPUT_PATH=%s",
		       rig_path(rig, "plain", plain));
	rig_truth(rig, "", NULL);
	rig_replay(rig, NULL);
	rig_reducer(rig, NULL);
	rig_agent(rig, (const char *const[]){"--record", rig_path(rig, "wire", wire), NULL},
		  (const char *const[]){env, NULL});
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[PROC_PATH_MAX];
		struct told copy;
		json_t *table;
		size_t n;

		decode(rig, rig_path(rig, names[i], path), &copy);
		rig_assert(rig, copy.malformed == 0 && copy.pods > 0, "%s: not decoded", names[i]);
		table = told_table(&copy);
		n = told_differences(table, &rig->truth, NULL, stderr);
		json_decref(table);
		told_done(&copy);
		rig_assert(rig, n == 0, "%s: %zu pods differ", names[i], n);
	}
}

/* --- waiting for owners --- */

/* Nobody is told ReplicaSets that soon become Deployments, though the list takes three times as
 * long as a pod waits: the time begins when the ReplicaSets are known. */
static void test_late_owners(void **state)
{
	struct rig *rig = *state;
	const char *uid;

	start_all(rig, (const char *const[]){"--fault", "delay=replicasets:6", NULL}, NULL,
		  (const char *const[]){"--waiting-timeout", "2s", NULL});
	rig_converge(rig);
	uid = told_as(&rig->told, &rig->truth, "Deployment", "ReplicaSet");
	rig_assert(rig, !uid, "pod %s was told as of a ReplicaSet", uid ? uid : "");
	rig_assert(rig, rig->told.resyncs == 1, "%llu epochs",
		   (unsigned long long)rig->told.resyncs);
	rig_stop(rig, SIGTERM);
}

/* More wait than may: they are told as they are, and again, in one new epoch, when it is over. */
static void test_too_many_wait(void **state)
{
	struct rig *rig = *state;

	start_all(rig, (const char *const[]){"--fault", "delay=replicasets:2", NULL}, NULL,
		  (const char *const[]){"--waiting-max", "5", NULL});
	rig_converge(rig);
	rig_assert(rig, told_as(&rig->told, &rig->truth, "Deployment", "ReplicaSet"),
		   "nobody was told early");
	/* One for each overflow; on a slow machine five new pods may overtake their owners again.
	 * That there is exactly one is held in unit/core, where time stands still. */
	rig_assert(rig, rig->told.resyncs >= 2, "%llu epochs",
		   (unsigned long long)rig->told.resyncs);
	rig_stop(rig, SIGTERM);
}

static void test_resync_on_relist(void **state)
{
	struct rig *rig = *state;
	json_t *answer;

	start_all(rig, NULL, NULL, (const char *const[]){"--resync-on-relist", NULL});
	rig_converge(rig);
	rig_assert(rig, rig->told.resyncs == 1, "%llu epochs before the relist",
		   (unsigned long long)rig->told.resyncs);
	json_decref(rig_ask(rig, "POST", "/replay/fault?set=410-watch%3Dpods%40times%3D1"));
	answer = rig_ask(rig, "POST", "/replay/drop?how=close");
	json_decref(answer);
	while (rig->told.resyncs < 2) {
		assert_int_equal(told_read(&rig->told), 0);
		proc_sleep(20 * NSEC_PER_MSEC);
	}
	rig_converge(rig);
	rig_stop(rig, SIGTERM);
}

/* Without the option a relist of an unchanged cluster tells nothing. */
static void test_quiet_relist(void **state)
{
	struct rig *rig = *state;
	uint64_t pods;

	start_all(rig, NULL, NULL, NULL);
	rig_converge(rig);
	pods = rig->told.pods;
	json_decref(rig_ask(rig, "POST", "/replay/fault?set=410-watch%40times%3D3"));
	json_decref(rig_ask(rig, "POST", "/replay/drop?how=close"));
	wait_delivered(rig, 3);
	rig_converge(rig);
	rig_assert(rig, rig->told.pods == pods && rig->told.resyncs == 1, "something was told");
	rig_stop(rig, SIGTERM);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_down_at_start), CASE(test_restarted),	    CASE(test_cut),
		CASE(test_slow),	  CASE(test_hung),	    CASE(test_sends_bytes),
		CASE(test_says_goodbye),  CASE(test_handshake),	    CASE(test_record),
		CASE(test_late_owners),	  CASE(test_too_many_wait), CASE(test_resync_on_relist),
		CASE(test_quiet_relist),
	};

	return rig_run("the reducer", tests, ARRAY_SIZE(tests), argc, argv);
}
