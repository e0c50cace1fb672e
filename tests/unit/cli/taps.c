/* The copies of the stream: one file is one stream, and the one before is kept. */
#include "cli/agent_taps.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], wire[80], wire_before[96], plain[80], plain_before[96];

static void expect_file(const char *path, const char *text)
{
	char room[64] = {0};
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_true(fread(room, 1, sizeof(room) - 1, f) < sizeof(room) - 1);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(room, text);
}

/* One connection's worth. */
static void stream(struct taps *t, const char *text)
{
	taps_ops.begin(t);
	taps_ops.wire(t, str_of(text));
	taps_ops.plain(t, str_of(text));
}

static void one_generation(void **state)
{
	struct taps t = {0};

	(void)state;
	assert_int_equal(taps_open(&t, wire, plain), 0);
	stream(&t, "first");
	expect_file(wire, "first");
	assert_int_not_equal(access(wire_before, F_OK), 0);
	stream(&t, "2");
	expect_file(wire, "2");
	expect_file(wire_before, "first");
	expect_file(plain, "2");
	expect_file(plain_before, "first");
	stream(&t, ""); /* a connection that carried nothing replaces nothing later */
	stream(&t, "third");
	expect_file(wire, "third");
	expect_file(wire_before, "2");
	taps_close(&t);
}

/* An agent that starts anew does not destroy what the one before recorded. */
static void after_a_restart(void **state)
{
	struct taps t = {0};

	(void)state;
	assert_int_equal(taps_open(&t, wire, NULL), 0);
	expect_file(wire, "third");
	stream(&t, "fourth");
	expect_file(wire, "fourth");
	expect_file(wire_before, "third");
	taps_close(&t);
}

static void unnameable(void **state)
{
	struct taps t = {0};

	(void)state;
	(void)unlink(wire_before);
	assert_int_equal(mkdir(wire_before, 0700), 0);
	assert_int_equal(taps_open(&t, wire, NULL), 0);
	stream(&t, "fifth"); /* cannot be kept: the file holds one stream all the same */
	expect_file(wire, "fifth");
	taps_close(&t);
	assert_int_equal(rmdir(wire_before), 0);
}

static void not_a_file(void **state)
{
	struct taps t = {0};

	(void)state;
	assert_int_equal(taps_open(&t, "/dev/null", NULL), 0);
	stream(&t, "a");
	stream(&t, "b");
	taps_close(&t);
	assert_int_not_equal(access("/dev/null.1", F_OK), 0);
	assert_true(taps_open(&t, folder, NULL) < 0);
}

/* Other paths while it runs: a stream that is half over is nothing to read. */
static void elsewhere(void **state)
{
	struct taps t = {0};

	(void)state;
	(void)unlink(wire);
	(void)unlink(plain);
	assert_int_equal(taps_open(&t, wire, NULL), 0);
	stream(&t, "sixth");
	assert_int_equal(taps_change(&t, wire, plain), 0);
	taps_ops.wire(&t, STR("+"));
	taps_ops.plain(&t, STR("+"));
	expect_file(wire, "sixth+");
	expect_file(plain, "");
	stream(&t, "seventh");
	expect_file(plain, "seventh");
	assert_int_equal(taps_change(&t, NULL, plain), 0);
	taps_ops.wire(&t, STR("+"));
	taps_ops.plain(&t, STR("+"));
	expect_file(wire, "seventh");
	expect_file(plain, "seventh+");
	assert_true(taps_change(&t, folder, plain) < 0);
	taps_close(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_generation), cmocka_unit_test(after_a_restart),
		cmocka_unit_test(unnameable),	  cmocka_unit_test(not_a_file),
		cmocka_unit_test(elsewhere),
	};
	int r;

	(void)snprintf(folder, sizeof(folder), "/tmp/kindred-taps-XXXXXX");
	if (!mkdtemp(folder))
		return 1;
	(void)snprintf(wire, sizeof(wire), "%s/wire", folder);
	(void)snprintf(wire_before, sizeof(wire_before), "%s.1", wire);
	(void)snprintf(plain, sizeof(plain), "%s/plain", folder);
	(void)snprintf(plain_before, sizeof(plain_before), "%s.1", plain);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(wire);
	(void)unlink(wire_before);
	(void)unlink(plain);
	(void)unlink(plain_before);
	(void)rmdir(folder);
	return r;
}
