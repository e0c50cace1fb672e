/*
 * What a running agent says of bad objects: a flood costs a bounded number of
 * lines, and none of them holds foreign control bytes.
 */
#include "cli/agent_words.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char text[65536];

/* Runs `say` with standard error in a file; what it wrote is in `text`, its lines are counted. */
static size_t lines_of(void (*say)(struct agent_words *))
{
	struct agent_words w = {0};
	int saved = dup(STDERR_FILENO), file = fileno(tmpfile());
	size_t n = 0;
	ssize_t got;

	assert_true(saved >= 0 && file >= 0);
	assert_true(dup2(file, STDERR_FILENO) >= 0);
	say(&w);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	got = pread(file, text, sizeof(text) - 1, 0);
	assert_true(got >= 0);
	text[got] = '\0';
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	(void)close(saved);
	return n;
}

static void flood(struct agent_words *w)
{
	const struct core_watch pods = {.path = STR("/api/v1/pods")};

	for (int i = 0; i < 1000; i++)
		words_bad_object(w, &pods, BAD_TOO_LARGE, STR("pod\n\x1b[31m"));
	for (int i = 0; i < 1000; i++)
		words_object_refused(w, &pods, -EINVAL, STR(""));
	assert_int_equal(w->suppressed, 1980);
}

static void a_flood_costs_few_lines(void **state)
{
	(void)state;
	assert_int_equal(lines_of(flood), 20);
	assert_non_null(strstr(text, "left out: too_large"));
	assert_null(strchr(text, '\x1b'));
}

static void each_kind(struct agent_words *w)
{
	const struct core_watch pods = {.path = STR("/api/v1/pods")};

	words_bad_object(w, &pods, BAD_TOO_MANY, STR("a"));
	words_object_refused(w, NULL, -EMSGSIZE, STR(""));
	words_owner_refused(w, "replicasets.apps is forbidden");
	words_owner_refused(w, "replicasets.apps is forbidden");
}

static void each_line_says_what_happened_to_what(void **state)
{
	(void)state;
	assert_int_equal(lines_of(each_kind), 3);
	assert_non_null(strstr(text, "/api/v1/pods: object 'a' cut: "));
	assert_non_null(strstr(text, "owner: object without a name not kept: "));
	assert_non_null(strstr(text, "replicasets.apps is forbidden"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_flood_costs_few_lines),
		cmocka_unit_test(each_line_says_what_happened_to_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
