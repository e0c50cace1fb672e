/* What cannot be written is said and fails: standard output on a full disk. */
#include "tests/lib/proc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

static char kindred[PROC_PATH_MAX];

static int exit_code(const char *args, const char *to)
{
	char line[PROC_PATH_MAX + 128];
	int status;

	(void)snprintf(line, sizeof(line), "'%s' %s >%s 2>/dev/null", kindred, args, to);
	status = system(line); /* NOLINT(cert-env33-c): the words are this test's own */
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void full_disk(void **state)
{
	static const char *const commands[] = {
		"version",	   "--version",	    "help",	    "--help",
		"help --markdown", "help agent",    "agent --help", "agent --print-config",
		"reducer --help",  "decode --help",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		assert_int_equal(exit_code(commands[i], "/dev/null"), 0);
		if (exit_code(commands[i], "/dev/full") != 1)
			fail_msg("kindred %s: a full disk goes unnoticed", commands[i]);
	}
	assert_int_equal(exit_code("", "/dev/full"), 2); /* the usage error outweighs it */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(full_disk)};

	if (proc_find("kindred", kindred) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
