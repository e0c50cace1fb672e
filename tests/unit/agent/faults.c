/*
 * Every fault kube-replay can make, played to the whole agent: it comes to the same
 * truth in the end, and says what happened where people have to act on it.
 */
#include "tests/lib/rig.h"

#include "base/mem.h"
#include "base/str.h"

// clang-format off: cmocka's header needs these before it
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MAX_ARGS 8
#define PAGES	 "--streaming-list", "off"
#define JSON	 "--encoding", "json"
#define NODE	 "node-12.fixture.internal"
#define ONE_NODE .agent = {"--node-name", NODE}, .truth = {.node = NODE}

struct fault_case {
	const char *fault;
	const char *agent[MAX_ARGS];
	const char *says[3]; /* the agent's log holds these */
	unsigned patience_s; /* 0: as usual */
	struct truth_select truth;
};

static const struct fault_case cases[] = {
	/* the connection */
	{.fault = "reset-connect@times=3", .says = {"Connection reset by peer"}},
	{.fault = "silent-connect@times=2",
	 .agent = {"--first-byte-timeout", "1s"},
	 .says = {"got no answer in time"}},

	/* instead of the answer */
	{.fault = "401@times=4", .says = {"401"}},
	{.fault = "401-watch@nth=2", .agent = {PAGES}},
	{.fault = "403=pods@times=3", .says = {"403", "watch", "pods"}},
	{.fault = "403-list=replicasets@times=3",
	 .agent = {PAGES},
	 .says = {"403", "list", "replicasets"}},
	{.fault = "403@for=1.5", .says = {"403"}},
	/* Refused for good: what can be known without it is told after 10 s. */
	{.fault = "403=replicasets",
	 .agent = {"--waiting-timeout", "1s"},
	 .says = {"403", "list", "replicasets"},
	 .patience_s = 45,
	 .truth = {.unread = "ReplicaSet"}},
	{.fault = "403=jobs",
	 .agent = {"--waiting-timeout", "1s"},
	 .says = {"403", "list", "jobs"},
	 .patience_s = 45,
	 .truth = {.unread = "Job"}},
	{.fault = "404=jobs@times=1",
	 .says = {"jobs.batch: the server does not have this resource (404)"},
	 .patience_s = 45},
	{.fault = "410-list@times=2", .agent = {PAGES, "--page-size", "10"}},
	{.fault = "410-list@nth=3", .agent = {PAGES, "--page-size", "10"}},
	{.fault = "410@verb=watch@times=3", .agent = {PAGES}},
	{.fault = "429=1@times=2", .says = {"429"}},
	{.fault = "429-watch=1@times=2", .agent = {PAGES}},
	{.fault = "500@times=4", .says = {"500"}},
	{.fault = "500-watch@times=4", .agent = {PAGES}, .says = {"500"}},
	{.fault = "504@times=3", .says = {"504"}},
	{.fault = "redirect=http://127.0.0.1:1/elsewhere@times=3",
	 .says = {"redirect (302), which is not followed"}},
	{.fault = "redirect@times=3", .says = {"redirect (302)"}},
	{.fault = "html@times=3", .says = {"text/html"}},
	{.fault = "html=502@times=3", .says = {"502"}},
	{.fault = "empty@times=3", .agent = {PAGES}},
	{.fault = "empty@times=3"},
	{.fault = "silent@times=2",
	 .agent = {"--first-byte-timeout", "1s"},
	 .says = {"got no answer in time"}},
	{.fault = "silent@times=2",
	 .agent = {PAGES, "--first-byte-timeout", "1s"},
	 .says = {"got no answer in time"}},
	{.fault = "garbage@times=4"},
	{.fault = "garbage@times=4", .agent = {PAGES, JSON}},
	{.fault = "garbage-watch@times=4", .agent = {PAGES}},
	{.fault = "long-line=1024@times=1"},
	{.fault = "long-line=1024@times=1", .agent = {PAGES, JSON}},

	/* owners that are read one by one */
	{.fault = "401-get@times=3", ONE_NODE},
	{.fault = "429-get=1@times=2", ONE_NODE},
	{.fault = "500-get@times=5", ONE_NODE},
	{.fault = "504-get@times=5", ONE_NODE},
	{.fault = "html-get=502@times=5", ONE_NODE},
	{.fault = "empty-get@times=5", ONE_NODE},
	{.fault = "garbage-get@times=5", ONE_NODE},
	{.fault = "cut-get=100@times=5", ONE_NODE},
	{.fault = "reset-get=100@times=5", ONE_NODE},
	{.fault = "truncate-get=100@times=5", ONE_NODE},
	{.fault = "delay-get=1@times=5", ONE_NODE},
	{.fault = "no-protobuf", ONE_NODE},
	{.fault = "reset-connect@times=6", ONE_NODE},
	{.fault = "410-watch@times=3", ONE_NODE},

	/* how requests are understood */
	{.fault = "delay=replicasets:2"},
	{.fault = "no-protobuf"},
	{.fault = "no-protobuf", .agent = {PAGES}},
	{.fault = "json-status,500@times=3", .says = {"500"}},
	{.fault = "content-type=text/html@times=3", .says = {"text/html"}},
	{.fault = "content-type=none@times=3"},
	{.fault = "no-streaming-list"},
	{.fault = "ignore-streaming-list", .agent = {"--list-silence", "1s"}},
	{.fault = "no-bookmarks"},
	{.fault = "no-end-marker", .agent = {"--list-silence", "1s"}},

	/* watches */
	{.fault = "410-event@times=3"},
	{.fault = "410-watch@times=3", .agent = {PAGES}},
	{.fault = "error-event=500@times=3", .agent = {PAGES}},
	{.fault = "error-event=504@times=3"},
	{.fault = "end-events=10@times=9", .agent = {PAGES}},
	{.fault = "end-events=10@times=3"},
	{.fault = "end-after=0.2@times=5"},
	{.fault = "duplicate-events"},
	{.fault = "duplicate-events", .agent = {PAGES, JSON}},

	/* the bytes */
	{.fault = "cut=2048@times=5"},
	{.fault = "cut-list=30000@times=3", .agent = {PAGES}},
	{.fault = "cut-watch=20000@times=6", .agent = {PAGES}},
	{.fault = "cut-watch=20001@times=6", .agent = {PAGES, JSON}},
	{.fault = "cut-chunk=5000@times=5"},
	{.fault = "reset=5000@times=5"},
	{.fault = "reset-watch=5000@times=5", .agent = {PAGES, JSON}},
	{.fault = "stall-list=5000@times=2", .agent = {PAGES, "--list-silence", "1s"}},
	{.fault = "stall=5000@times=2", .agent = {"--list-silence", "1s"}},
	{.fault = "slow=400000"},
	{.fault = "truncate=5000@times=5"},
	{.fault = "truncate-list=5000@times=4", .agent = {PAGES, JSON}},
	{.fault = "truncate-watch=5000@times=5", .agent = {PAGES}},

	/* objects */
	/* Fifty megabytes for each watch, of a server that does one thing at a time. */
	{.fault = "oversized=50", .patience_s = 60},
	{.fault = "oversized=50", .agent = {PAGES, JSON}, .patience_s = 60},
	{.fault = "oversized-watch=50", .agent = {PAGES}, .patience_s = 60},
	{.fault = "depth"},
	{.fault = "depth", .agent = {PAGES, JSON}, .says = {"left out: too_deep"}},
	{.fault = "bad-utf8"},
	{.fault = "bad-utf8", .agent = {JSON}},
	{.fault = "nul"},
	{.fault = "nul", .agent = {JSON}},
	{.fault = "many-owners"},
	{.fault = "many-owners", .agent = {PAGES, JSON}},
	{.fault = "owner-cycle"},
	{.fault = "owner-cycle", .agent = {PAGES, JSON}},
	{.fault = "negative-length@times=3"},
	{.fault = "negative-length@times=3", .agent = {PAGES}},
	{.fault = "negative-length@times=3", .agent = {PAGES, JSON}},
	{.fault = "huge-length@times=3",
	 .agent = {"--first-byte-timeout", "1s", "--watch-silence", "5s"}},
	{.fault = "huge-length@times=3", .agent = {PAGES}},
	{.fault = "wrong-magic@times=3"},
	{.fault = "wrong-magic@times=3", .agent = {PAGES}},
};

static void test_fault(void **state)
{
	struct rig *rig = *state;
	const struct fault_case *f = rig->arg;

	rig_truth(rig, "", &f->truth);
	rig_replay(rig, (const char *const[]){"--fault", f->fault, NULL});
	rig_reducer(rig, NULL);
	rig_agent(rig, f->agent, NULL);
	if (f->truth.unread) /* a kind that is never watched would never end */
		json_decref(rig_ask(rig, "POST", "/replay/advance?end=1"));
	rig_converge_but(rig, "replay-hostile",
			 f->patience_s ? f->patience_s * NSEC_PER_SEC : RIG_PATIENCE);
	rig_assert(rig, rig_played(rig) > 0, "the fault was not played");
	for (size_t i = 0; i < ARRAY_SIZE(f->says) && f->says[i]; i++)
		rig_assert(rig, rig_logged(rig, f->says[i]), "the log does not say \"%s\"",
			   f->says[i]);
	rig_stop(rig, SIGTERM);
}

/* Whether one of the faults in `spec` has this name; a verb may stand behind it. */
static bool plays(const char *spec, struct str name)
{
	struct str rest = str_of(spec), part;
	bool more = true, found = false;

	while (more && !found) {
		more = str_split(&rest, ',', &part);
		if (!str_starts(part, name))
			continue;
		part = str_from(part, name.n);
		found = !part.n || strchr("=@", part.p[0]) || str_starts(part, STR("-list")) ||
			str_starts(part, STR("-watch")) || str_starts(part, STR("-get"));
	}
	return found;
}

static bool has_case(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (plays(cases[i].fault, name))
			return true;
	return false;
}

/* The names are the lines of kube-replay's help that are indented by two after "Faults:". */
static void test_all_faults(void **state)
{
	struct rig *rig = *state;
	_free_ char *help = NULL;
	struct str rest, line, name;
	size_t n = 0;

	assert_int_equal(proc_start(&rig->replay, rig->folder, "help",
				    (const char *const[]){rig->kube_replay, "--help", NULL}, NULL),
			 0);
	assert_int_equal(proc_wait(&rig->replay, RIG_PATIENCE), 0);
	help = proc_text(rig->replay.out);
	assert_non_null(strstr(help, "\nFaults:"));
	rest = str_of(strstr(help, "\nFaults:"));
	while (str_split(&rest, '\n', &line)) {
		if (!str_starts(line, STR("  ")) || str_starts(line, STR("   ")))
			continue;
		line = str_from(line, 2);
		(void)str_split(&line, ' ', &name);
		line = name;
		(void)str_split(&line, '=', &name);
		rig_assert(rig, has_case(name), "no case plays %.*s", STR_ARG(name));
		n++;
	}
	assert_true(n > 30);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_SIZE(cases) + 1];
	static char names[ARRAY_SIZE(cases)][128];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fault_case *f = &cases[i];

		(void)snprintf(names[i], sizeof(names[i]), "%s %s %s", f->fault,
			       f->agent[0] ? f->agent[0] : "", f->agent[2] ? f->agent[2] : "");
		tests[i] = (struct CMUnitTest){.name = names[i],
					       .test_func = test_fault,
					       .setup_func = rig_setup,
					       .teardown_func = rig_teardown,
					       .initial_state = (void *)(uintptr_t)f};
	}
	tests[ARRAY_SIZE(cases)] = (struct CMUnitTest)cmocka_unit_test_setup_teardown(
		test_all_faults, rig_setup, rig_teardown);
	return rig_run("faults of the API server", tests, ARRAY_SIZE(tests), argc, argv);
}
