/*
 * Questions taken apart: whether a connection is asked for, which way, of what kind, and
 * what is left to name the thing.
 */
#include "sink/sqlite/asked.h"

#include "base/mem.h"
#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *question, *edge; /* NULL: none is asked for */
	const char *kind;	     /* of what is asked for; "": any */
	const char *names;
	bool out;
} questions[] = {
	{"who mounts redis-auth?", "USES_SECRET", "", "redis-auth", false},
	{"What USES the Redis secret", "USES_SECRET", "", "Redis", false},
	{"which cron jobs are reading the nightly config map", "USES_CONFIGMAP", "CronJob",
	 "nightly", false},
	{"pods that mount pvc data", "USES_CLAIM", "Pod", "data", false},
	{"pods that mount pvc data", "USES_CLAIM", "Deployment", "data", false},
	{"which service account does web run with", "RUNS_AS", "ServiceAccount", "web", true},
	{"what does web need", "USES_SECRET", "", "web", true},
	{"secrets used by web", "USES_SECRET", "Secret", "web", true},
	{"the tls secret is used by what", "USES_SECRET", "", "tls", false},
	{"where do we run nginx:1.25", "RUNS_IMAGE", "", "nginx:1.25", false},
	{"does anything use old-config", "USES_CONFIGMAP", "", "old-config", false},
	{"is anybody using old-config", "USES_CONFIGMAP", "", "old-config", false},
	{"what selects the pods of web", "SELECTS", "", "web", false},
	{"which ingresses lead to web", "ROUTES_TO", "Ingress", "web", false},
	{"which claims use fast-ssd", "USES_CLASS", "PersistentVolumeClaim", "fast-ssd", false},
	{"what claims pv-1", "BOUND_TO", "", "pv-1", false},
	{"claims on fast-ssd", "USES_CLASS", "PersistentVolumeClaim", "fast-ssd", false},
	{"is there an autoscaler for web", "SCALES", "HorizontalPodAutoscaler", "web", false},
	{"list all the network policies protecting web", "SELECTS", "NetworkPolicy", "web", false},
	{"who may read secrets", NULL, "", "", false},
	{"payments database secret", NULL, "", "", false},
	{"which pods are there", NULL, "", "", false},
	{"stripe api key", NULL, "", "", false},
	{"", NULL, "", "", false},
	{"?! ,,", NULL, "", "", false},
	{"who mounts", NULL, "", "", false},
};

static void questions_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(questions); i++) {
		struct asked q;
		bool is = asked_read(str_of(questions[i].question), &q);

		print_message("%s: %s\n", questions[i].question, q.names);
		assert_int_equal(is, questions[i].edge != NULL);
		if (!is)
			continue;
		assert_true(asked_edge(&q, str_of(questions[i].edge)));
		assert_string_equal(q.names, questions[i].names);
		assert_int_equal(q.out, questions[i].out);
		if (questions[i].kind[0])
			assert_true(asked_kind(q.kinds, str_of(questions[i].kind)));
		else
			assert_true(q.kinds == 0 && !q.kind[0]);
	}
}

static void kinds_that_nobody_knows_have_names(void **state)
{
	struct asked q;

	(void)state;
	assert_true(asked_read(STR("which kafka topics refer to events"), &q));
	assert_true(q.kinds == 0);
	assert_true(asked_is_called(q.kind, STR("KafkaTopic")));
	assert_true(asked_is_called(q.kind, STR("Topic")));
	assert_false(asked_is_called(q.kind, STR("Kafka")));
	assert_false(asked_is_called("", STR("Kafka")));
	assert_true(asked_is_called("policies", STR("Policy")));
}

static void words_have_forms(void **state)
{
	static const char *const forms[][2] = {
		{"use", "using"},	{"mount", "Mounted"},	     {"policy", "policies"},
		{"class", "classes"},	{"run", "running"},	     {"route", "routes"},
		{"access", "accesses"}, {"reference", "REFERENCED"}, {"need", "needs"},
		{"go", "goes"},		{"ingress", "ingresses"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (!asked_says(str_of(forms[i][0]), str_of(forms[i][1])))
			fail_msg("%s, %s", forms[i][0], forms[i][1]);
	assert_false(asked_says(STR("pod"), STR("pot")));
	assert_false(asked_says(STR(""), STR("pot")));
}

/* Whatever somebody types: bounded, and nothing is read or written beside it. */
static void noise_does_no_harm(void **state)
{
	static const char *const words[] = {"who",   "which", "use",	"mounts", "by",	  "does",
					    "pods",  "the",   "a-b",	"\xff",	  "?",	  "\x01",
					    "class", "on",    "secret", "x",	  "\"'(", "......"};
	struct rng rng;

	(void)state;
	rng_seed(&rng, 7);
	for (int round = 0; round < 2000; round++) {
		char text[4096] = "";
		struct asked q;

		for (uint64_t n = rng_below(&rng, 300); n; n--) {
			size_t at = strlen(text);
			const char *w = words[rng_below(&rng, ARRAY_SIZE(words))];

			if (at + strlen(w) + 2 > sizeof(text))
				break;
			memcpy(text + at, w, strlen(w) + 1);
			if (rng_below(&rng, 9))
				memcpy(text + strlen(text), " ", 2);
		}
		(void)asked_read(str_of(text), &q);
		assert_true(memchr(q.rest, 0, sizeof(q.rest)) &&
			    memchr(q.names, 0, sizeof(q.names)) &&
			    memchr(q.kind, 0, sizeof(q.kind)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(questions_are_taken_apart),
		cmocka_unit_test(kinds_that_nobody_knows_have_names),
		cmocka_unit_test(words_have_forms),
		cmocka_unit_test(noise_does_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
