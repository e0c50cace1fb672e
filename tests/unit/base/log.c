/*
 * Log lines: whatever bytes a message has, a JSON line is JSON (jansson reads it
 * back) and no line holds a control byte.
 */
#include "base/log.h"

#include "base/rng.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include <cmocka.h>

static char line[8192];
static size_t line_n;

/* Runs log_write with standard error in a file; the bytes go to `line`. */
static void log_to_line(enum log_level level, int code, const char *msg)
{
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);

	assert_non_null(f);
	assert_true(saved >= 0 && dup2(fileno(f), STDERR_FILENO) >= 0);
	if (code)
		assert_int_equal(log_code(level, code, "%s", msg), code);
	else
		log_write(level, "%s", msg);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	rewind(f);
	line_n = fread(line, 1, sizeof(line) - 1, f);
	line[line_n] = '\0';
	(void)fclose(f);
}

/* One line, and its message as JSON's reader sees it; the caller frees it. */
static json_t *read_json(void)
{
	json_error_t e;
	json_t *j = json_loadb(line, line_n, JSON_REJECT_DUPLICATES, &e);

	if (!j)
		fail_msg("%s at byte %d of: %s", e.text, e.position, line);
	assert_non_null(json_string_value(json_object_get(j, "msg")));
	assert_non_null(json_string_value(json_object_get(j, "time")));
	assert_int_equal(strlen(json_string_value(json_object_get(j, "time"))), 24);
	return j;
}

static void one_clean_line(void)
{
	assert_true(line_n > 0 && line[line_n - 1] == '\n');
	for (size_t i = 0; i + 1 < line_n; i++)
		assert_true((unsigned char)line[i] >= 0x20 && line[i] != 0x7f);
}

static void json_holds_any_bytes(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"plain", "plain"},
		{"", ""},
		{"a \"quoted\" \\ text/", "a \"quoted\" \\ text/"},
		{"\n\t\r\x1b[31m\x7f\x01", "\n\t\r\x1b[31m\x7f\x01"},
		{"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		 "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"\xff", "\xef\xbf\xbd"},
		{"a\xc3", "a\xef\xbf\xbd"},		    /* ends inside a character */
		{"\xc0\xaf.", "\xef\xbf\xbd\xef\xbf\xbd."}, /* overlong */
		{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
		{"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	};

	(void)state;
	log_setup(LOG_INFO, true);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		json_t *j;

		log_to_line(LOG_WARN, 0, cases[i].in);
		one_clean_line();
		j = read_json();
		assert_string_equal(json_string_value(json_object_get(j, "level")), "warn");
		assert_string_equal(json_string_value(json_object_get(j, "msg")), cases[i].out);
		json_decref(j);
	}
}

static void random_bytes_of_any_length(void **state)
{
	static char msg[5000];
	struct rng g;

	(void)state;
	rng_seed(&g, 5);
	for (int i = 0; i < 400; i++) {
		size_t n = rng_below(&g, i % 2 ? sizeof(msg) : 200);

		for (size_t k = 0; k < n; k++)
			msg[k] = (char)(1 + rng_below(&g, 255));
		if (i % 4 == 1) /* long characters at the place where a message is cut */
			for (size_t k = 0; k + 3 <= n; k += 3)
				memcpy(msg + k, "\xe2\x82\xac", 3);
		msg[n] = '\0';
		log_setup(LOG_INFO, i % 3);
		log_to_line(LOG_ERROR, 0, msg);
		one_clean_line();
		if (i % 3)
			json_decref(read_json());
	}
}

static void text_shows_controls(void **state)
{
	(void)state;
	log_setup(LOG_INFO, false);
	log_to_line(LOG_INFO, 0, "a \"name\"\x1b[2J\\ \xff");
	one_clean_line();
	log_to_line(LOG_INFO, 0, "\xc2\x9b\x32J\xc2\xa0"); /* CSI in one character */
	assert_string_equal(line + 25, "info  \\u009b2J\xc2\xa0\n");
	log_to_line(LOG_INFO, 0, "a \"name\"\x1b[2J\\ \xff");
	assert_string_equal(line + 25, "info  a \"name\"\\u001b[2J\\ \xef\xbf\xbd\n");
}

static void codes_and_levels(void **state)
{
	(void)state;
	log_setup(LOG_WARN, false);
	assert_true(log_enabled(LOG_ERROR) && log_enabled(LOG_WARN));
	assert_false(log_enabled(LOG_INFO));
	log_to_line(LOG_INFO, 0, "not this");
	assert_int_equal(line_n, 0);
	log_to_line(LOG_DEBUG, -EIO, "nor this");
	assert_int_equal(line_n, 0);
	log_to_line(LOG_ERROR, -ENOENT, "open x");
	assert_string_equal(line + 25, "error open x: No such file or directory\n");
	log_setup(LOG_INFO, false);
}

/* Lines of one place alone are counted, those of others and of debug come all. */
static void a_place_that_says_much_is_bounded(void **state)
{
	static char all[65536];
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO), lines = 0;

	(void)state;
	assert_true(f && saved >= 0 && dup2(fileno(f), STDERR_FILENO) >= 0);
	log_setup(LOG_DEBUG, false);
	log_bound(3);
	for (int i = 0; i < 10; i++) {
		log_write(LOG_WARN, "much %d", i);
		log_debug("fine %d", i);
		assert_int_equal(log_code(LOG_WARN, -EIO, "code %d", i), -EIO);
	}
	log_write(LOG_INFO, "another");
	log_bound(0);
	for (int i = 10; i < 20; i++)
		log_write(LOG_WARN, "much %d", i);
	log_setup(LOG_INFO, false);
	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	rewind(f);
	all[fread(all, 1, sizeof(all) - 1, f)] = '\0';
	(void)fclose(f);
	for (const char *p = all; (p = strchr(p, '\n')); p++)
		lines++;
	assert_int_equal(lines, 3 + 10 + 3 + 1 + 2 + 10);
	assert_non_null(strstr(all, "warn  much 2\n"));
	assert_null(strstr(all, "warn  much 3\n"));
	assert_non_null(strstr(all, "warn  7 more lines like this were left out: much 9\n"));
	assert_non_null(strstr(all, "left out: code 9: Input/output error\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_holds_any_bytes),
		cmocka_unit_test(random_bytes_of_any_length),
		cmocka_unit_test(text_shows_controls),
		cmocka_unit_test(codes_and_levels),
		cmocka_unit_test(a_place_that_says_much_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
