/* The option engine: every type, every source, every error. */
#include "config/option.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/lib/torture.h"

struct sample {
	bool on;
	uint16_t port;
	double rate;
	nsec_t wait;
	size_t room;
	const char *name, *token, *old, *config;
	int mode;
	struct option_list items;
	struct option_endpoint listen;
	bool once;
};
#define FIELD(member) OPTION_FIELD(struct sample, member)

static bool is_short(struct str s)
{
	return s.n <= 8;
}

static const char *const modes[] = {"fast", "safe", NULL};
static const struct option_desc descs[] = {
	{.group = "First",
	 .flag = "--on",
	 .letter = "-o",
	 .type = OPTION_BOOL,
	 .def = "false",
	 FIELD(on),
	 .help = "h"},
	{.flag = "--peer-port",
	 .env = {"PEER_PORT", "OLD_PORT"},
	 .type = OPTION_INT,
	 .def = "80",
	 .min = 1,
	 .max = 65535,
	 FIELD(port),
	 .help = "h"},
	{.flag = "--rate",
	 .type = OPTION_NUMBER,
	 .def = "2.5",
	 .max = 100,
	 FIELD(rate),
	 .help = "h"},
	{.flag = "--wait",
	 .type = OPTION_DURATION,
	 .def = "10s",
	 .min = NSEC_PER_MSEC,
	 .max = 3600 * NSEC_PER_SEC,
	 FIELD(wait),
	 .help = "h"},
	{.flag = "--room",
	 .type = OPTION_SIZE,
	 .def = "4MiB",
	 .min = 1024,
	 .max = 1 << 30,
	 FIELD(room),
	 .help = "h"},
	{.group = "Second", .flag = "--name", .type = OPTION_STRING, FIELD(name), .help = "h"},
	{.flag = "--token",
	 .type = OPTION_STRING,
	 .flags = OPTION_SECRET,
	 .ok = is_short,
	 .expect = "short",
	 FIELD(token),
	 .help = "h"},
	{.flag = "--old",
	 .type = OPTION_STRING,
	 .flags = OPTION_IGNORED,
	 FIELD(old),
	 .help = "h",
	 .why = "nothing is old here"},
	{.flag = "--mode",
	 .type = OPTION_ENUM,
	 .choices = modes,
	 FIELD(mode),
	 .help = "pipes | too"},
	{.flag = "--items",
	 .type = OPTION_LIST,
	 .max = 3,
	 .ok = is_short,
	 .expect = "short words",
	 FIELD(items),
	 .help = "h"},
	{.flag = "--peer-listen", .type = OPTION_ENDPOINT, FIELD(listen), .help = "h"},
	{.flag = "--config",
	 .type = OPTION_STRING,
	 .flags = OPTION_CONFIG_FILE,
	 FIELD(config),
	 .help = "h"},
	{.flag = "--once",
	 .type = OPTION_BOOL,
	 .flags = OPTION_FLAG_ONLY,
	 .def = "false",
	 FIELD(once),
	 .help = "h"},
};
static const struct option_table table = {
	.command = "sample",
	.args = "[FILE]",
	.about = "About.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
	.args_max = 1,
};

#define WORDS_MAX 16

/* One load; `error` is NUL-terminated, empty on success. */
struct load {
	struct sample s;
	struct options *o;
	char error[1024];
	int r;
};

static int count(const char *const *words)
{
	int n = 0;

	while (words && words[n])
		n++;
	return n;
}

static void load(struct load *l, const char *const *args, const char *const *env)
{
	char *argv[WORDS_MAX] = {(char[]){"sample"}}, *envp[WORDS_MAX] = {0};
	char copy[2 * WORDS_MAX][256];
	int argc = 1 + count(args);

	for (int i = 1; i < argc; i++) {
		(void)snprintf(copy[i], sizeof(copy[i]), "%s", args[i - 1]);
		argv[i] = copy[i];
	}
	for (int i = 0; i < count(env); i++) {
		(void)snprintf(copy[WORDS_MAX + i], sizeof(copy[0]), "%s", env[i]);
		envp[i] = copy[WORDS_MAX + i];
	}
	memset(l, 0, sizeof(*l));
	assert_int_equal(options_new(&table, &l->s, &l->o), 0);
	l->r = options_load(l->o, argc, argv, envp);
	(void)snprintf(l->error, sizeof(l->error), "%.*s", STR_ARG(options_errors(l->o)));
	if (l->r == 0)
		assert_string_equal(l->error, "");
	else
		assert_int_equal(strncmp(l->error, "config error: ", 14), 0);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void expect_error(const char *const *args, const char *const *env, const char *error)
{
	char line[512];
	struct load l;

	load(&l, args, env);
	(void)snprintf(line, sizeof(line), "%s\n", error);
	assert_int_equal(l.r, -EINVAL);
	assert_string_equal(l.error, line);
	options_free(&l.o);
}

static void defaults(void **state)
{
	struct load l;

	(void)state;
	load(&l, NULL, NULL);
	assert_int_equal(l.r, 0);
	assert_false(l.s.on);
	assert_int_equal(l.s.port, 80);
	assert_true(l.s.rate == 2.5);
	assert_int_equal(l.s.wait, 10 * NSEC_PER_SEC);
	assert_int_equal(l.s.room, 4 << 20);
	assert_null(l.s.name);
	assert_int_equal(l.s.mode, -1);
	assert_int_equal(l.s.items.n, 0);
	assert_null(l.s.listen.host);
	options_free(&l.o);
}

static void flags(void **state)
{
	struct load l;

	(void)state;
	load(&l,
	     ARGS("--on", "--peer-port=81", "--rate", "0.25", "--wait", "1m30s", "--room=64KiB",
		  "--name", "a=b", "--mode", "safe", "--items", "a, b", "--items=c", "file"),
	     NULL);
	assert_string_equal(l.error, "");
	assert_true(l.s.on);
	assert_int_equal(l.s.port, 81);
	assert_true(l.s.rate == 0.25);
	assert_int_equal(l.s.wait, 90 * NSEC_PER_SEC);
	assert_int_equal(l.s.room, 65536);
	assert_string_equal(l.s.name, "a=b");
	assert_int_equal(l.s.mode, 1);
	assert_int_equal(l.s.items.n, 3);
	assert_string_equal(l.s.items.v[1], "b");
	assert_string_equal(l.s.items.v[2], "c");
	assert_int_equal(options_args(l.o).n, 1);
	assert_string_equal(options_args(l.o).v[0], "file");
	options_free(&l.o);
}

static void words(void **state)
{
	struct load l;

	(void)state;
	load(&l, ARGS("--on=false", "--name=x", "--name", "y", "--", "--on"), NULL);
	assert_string_equal(l.error, "");
	assert_false(l.s.on);
	assert_string_equal(l.s.name, "y");
	assert_string_equal(options_args(l.o).v[0], "--on");
	options_free(&l.o);
	load(&l, ARGS("-o", "--", "-o"), NULL);
	assert_true(l.s.on);
	assert_string_equal(options_args(l.o).v[0], "-o");
	options_free(&l.o);
	load(&l, ARGS("-o=false"), NULL);
	assert_false(l.s.on);
	options_free(&l.o);
	load(&l, ARGS("-"), NULL);
	assert_string_equal(options_args(l.o).v[0], "-");
	options_free(&l.o);
	load(&l, ARGS("--peer-port=bad", "--nonsense", "-h"), NULL);
	assert_int_equal(l.r, 0);
	assert_true(options_help_wanted(l.o));
	options_free(&l.o);
}

static void usage_errors(void **state)
{
	(void)state;
	expect_error(ARGS("--peer-prot", "1"), NULL,
		     "config error: unknown option \"--peer-prot\" (did you mean --peer-port?)");
	expect_error(ARGS("--zzzzzzzzzzzz"), NULL,
		     "config error: unknown option \"--zzzzzzzzzzzz\"");
	expect_error(ARGS("-x"), NULL, "config error: unknown option \"-x\"");
	expect_error(ARGS("a", "b"), NULL, "config error: unexpected argument \"b\"");
	expect_error(ARGS("--name"), NULL,
		     "config error: --name: needs a value (--name=VALUE when it begins with --)");
	expect_error(ARGS("--name", "--on"), NULL,
		     "config error: --name: needs a value (--name=VALUE when it begins with --)");
}

static void value_errors(void **state)
{
	static const struct {
		const char *word, *error;
	} cases[] = {
		{"--peer-port=0", "--peer-port: \"0\" (from the command line): must be 1 to 65535"},
		{"--peer-port=+1",
		 "--peer-port: \"+1\" (from the command line): must be 1 to 65535"},
		{"--peer-port=", "--peer-port: \"\" (from the command line): must be 1 to 65535"},
		{"--peer-port=99999999999999999999", "--peer-port: \"99999999999999999999\" (from "
						     "the command line): must be 1 to 65535"},
		{"--rate=1e3", "--rate: \"1e3\" (from the command line): must be 0 to 100"},
		{"--rate=101", "--rate: \"101\" (from the command line): must be 0 to 100"},
		{"--on=maybe", "--on: \"maybe\" (from the command line): must be true or false"},
		{"--mode=slow", "--mode: \"slow\" (from the command line): must be fast or safe"},
		{"--wait=10",
		 "--wait: \"10\" (from the command line): must be a time with its unit "
		 "(ms, s, m, h) from 1ms to 1h"},
		{"--wait=2h",
		 "--wait: \"2h\" (from the command line): must be a time with its unit "
		 "(ms, s, m, h) from 1ms to 1h"},
		{"--room=1",
		 "--room: \"1\" (from the command line): must be a size with its unit (B, "
		 "KB, MB, GB, KiB, MiB, GiB) from 1KiB to 1GiB"},
		{"--peer-listen=::1:80", "--peer-listen: \"::1:80\" (from the command line): must "
					 "be HOST:PORT or [IPV6]:PORT"},
		{"--items=a,,b", "--items: \"a,,b\" (from the command line): item \"\": must be "
				 "short words, at most "
				 "3"},
		{"--items=a,b,c,d", "--items: \"a,b,c,d\" (from the command line): must be short "
				    "words, at most 3"},
		{"--name=a\nb\x01",
		 "--name: \"a\\nb\\x01\" (from the command line): must be text of 1 to 4096 bytes "
		 "without control characters"},
		{"--token=far-too-long",
		 "--token: (hidden) (from the command line): must be short"},
	};
	char error[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)snprintf(error, sizeof(error), "config error: %s", cases[i].error);
		expect_error(ARGS(cases[i].word), NULL, error);
	}
}

static void environment(void **state)
{
	struct load l;

	(void)state;
	load(&l, ARGS("--name", "flag"),
	     ARGS("KINDRED_NAME=env", "OLD_PORT=2", "PEER_PORT=1", "KINDRED_ONCE=true",
		  "KINDRED_RATE="));
	assert_string_equal(l.s.name, "flag");
	assert_int_equal(l.s.port, 1);
	assert_false(l.s.once);
	assert_true(l.s.rate == 2.5); /* empty is not set */
	options_free(&l.o);
	load(&l, NULL, ARGS("KINDRED_PEER_PORT=3", "OLD_PORT=2"));
	assert_int_equal(l.s.port, 2); /* names that are given replace the derived one */
	options_free(&l.o);
	expect_error(
		NULL, ARGS("OLD_PORT=99999"),
		"config error: --peer-port: \"99999\" (from environment OLD_PORT): must be 1 to "
		"65535");
	load(&l, ARGS("--peer-port=5"),
	     ARGS("PEER_PORT=bad")); /* only the winner has to be right */
	assert_int_equal(l.s.port, 5);
	options_free(&l.o);
}

static void ignored_and_secret(void **state)
{
	_buf_ struct buf text = {.max = 65536};
	struct load l;
	char *z;

	(void)state;
	load(&l, ARGS("--old=9", "--token=hush"), NULL);
	z = str_dup(options_warnings(l.o));
	assert_string_equal(z,
			    "--old: \"9\" (from the command line): has no effect; nothing is old "
			    "here\n");
	free(z);
	assert_string_equal(l.s.token, "hush");
	assert_int_equal(options_print(l.o, &text), 0);
	z = str_dup(buf_str(&text));
	assert_non_null(strstr(z, "token: (hidden) # the command line\n"));
	assert_null(strstr(z, "hush"));
	assert_null(strstr(z, "once"));
	free(z);
	options_free(&l.o);
}

static void converters(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint64_t ns;
	} durations[] = {
		{"0s", 0, 0},
		{"500ms", 0, 500000000},
		{"0.5s", 0, 500000000},
		{"1m30s", 0, 90000000000},
		{"1h0m1.25s", 0, 3601250000000},
		{"", -EBADMSG, 0},
		{"5", -EBADMSG, 0},
		{"s", -EBADMSG, 0},
		{"5 s", -EBADMSG, 0},
		{"-5s", -EBADMSG, 0},
		{"5d", -EBADMSG, 0},
		{"1.s", -EBADMSG, 0},
		{"1s5", -EBADMSG, 0},
		{"9999999999h", -ERANGE, 0},
		{"99999999999999999999s", -ERANGE, 0},
		{"5124095h5124095h", -ERANGE, 0},
	};
	static const struct {
		const char *text;
		int r;
		uint64_t bytes;
	} sizes[] = {
		{"1B", 0, 1},
		{"64KiB", 0, 65536},
		{"1GB", 0, 1000000000},
		{"4Mi", 0, 4194304},
		{"1.5MiB", 0, 1572864},
		{"1kB", 0, 1000},
		{"4", -EBADMSG, 0},
		{"4mb", -EBADMSG, 0},
		{"4MiB1B", -EBADMSG, 0},
		{"", -EBADMSG, 0},
		{"99999999999GiB", -ERANGE, 0},
	};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(durations); i++) {
		v = 0;
		assert_int_equal(option_parse_duration(str_of(durations[i].text), &v),
				 durations[i].r);
		assert_int_equal(v, durations[i].ns);
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		v = 0;
		assert_int_equal(option_parse_size(str_of(sizes[i].text), &v), sizes[i].r);
		assert_int_equal(v, sizes[i].bytes);
	}
}

static void formats_read_back(void **state)
{
	static const uint64_t ms[] = {0, 1, 999, 1000, 1500, 59999, 60000, 61000, 3600000, 3661001};
	static const uint64_t bytes[] = {0, 1, 1000, 1024, 1536, 1 << 20, 3UL << 30, 5UL << 40};
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(ms); i++) {
		_buf_ struct buf b = {.max = 64};

		assert_int_equal(option_format_duration(&b, ms[i] * NSEC_PER_MSEC), 0);
		assert_int_equal(option_parse_duration(buf_str(&b), &v), 0);
		assert_int_equal(v, ms[i] * NSEC_PER_MSEC);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		_buf_ struct buf b = {.max = 64};

		assert_int_equal(option_format_size(&b, bytes[i]), 0);
		assert_int_equal(option_parse_size(buf_str(&b), &v), 0);
		assert_int_equal(v, bytes[i]);
	}
}

static void endpoints(void **state)
{
	static const struct {
		const char *text, *host;
		int r, port;
	} cases[] = {
		{"a:1", "a", 0, 1},
		{":65535", "", 0, 65535},
		{"[::1]:0", "::1", 0, 0},
		{"a", NULL, -EBADMSG, 0},
		{"a:", NULL, -EBADMSG, 0},
		{"[]:1", NULL, -EBADMSG, 0},
		{"[::1:1", NULL, -EBADMSG, 0},
		{"::1", NULL, -EBADMSG, 0},
		{"[1.2.3.4]:1", NULL, -EBADMSG, 0},
		{"[fe80::1%eth0]:1", "fe80::1%eth0", 0, 1},
		{"[::1::2]:1", NULL, -EBADMSG, 0},
		{"a b:1", NULL, -EBADMSG, 0},
		{"a:65536", NULL, -ERANGE, 0},
		{"", NULL, -EBADMSG, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct str host = {0};
		uint16_t port = 0;

		assert_int_equal(option_parse_endpoint(str_of(cases[i].text), &host, &port),
				 cases[i].r);
		if (cases[i].r == 0)
			assert_true(str_eq(host, str_of(cases[i].host)));
		assert_int_equal(port, cases[i].port);
	}
}

static void help_and_markdown(void **state)
{
	_buf_ struct buf help = {.max = 65536}, markdown = {.max = 65536};
	struct str rest, line;

	(void)state;
	assert_int_equal(option_table_help(&table, &help), 0);
	rest = buf_str(&help);
	while (str_split(&rest, '\n', &line))
		assert_true(line.n <= 100);
	assert_true(str_starts(buf_str(&help),
			       STR("Usage: sample [OPTIONS] [FILE]\n\nAbout.\n\nFirst:\n")));
	assert_int_equal(option_table_markdown(&table, &markdown), 0);
	assert_int_equal(buf_append(&markdown, "", 1), 0);
	assert_non_null(
		strstr(buf_str(&markdown).p,
		       "| `--mode fast\\|safe` | `KINDRED_MODE` |  |  |  | pipes \\| too |\n"));
	assert_non_null(
		strstr(buf_str(&markdown).p,
		       "| `--peer-port` | `PEER_PORT`, `OLD_PORT` | `80` | 1 to 65535 |  | h |\n"));
}

static char config_path[64];

static int load_once(void *ctx)
{
	char *argv[] = {(char[]){"sample"},
			(char[]){"--items=a,b"},
			(char[]){"--peer-listen=h:1"},
			(char[]){"--config"},
			config_path,
			NULL};
	char *env[] = {(char[]){"KINDRED_OLD=1"}, NULL};
	_buf_ struct buf text = {.max = 65536};
	struct sample s = {0};
	struct options *o = NULL;
	int r = options_new(&table, &s, &o);

	(void)ctx;
	if (r == 0)
		r = options_load(o, 5, argv, env);
	if (r == 0)
		r = options_print(o, &text);
	if (r == 0 &&
	    (!s.name || strcmp(s.name, "x") != 0 || s.port != 7 || s.items.n != 2 || !s.old))
		r = -EIO; /* a failed allocation may not lose a value */
	options_free(&o);
	return r;
}

static int refuse_once(void *ctx)
{
	char *argv[] = {(char[]){"sample"}, (char[]){"--peer-port=x"}, NULL};
	struct sample s = {0};
	struct options *o = NULL;
	int r = options_new(&table, &s, &o);

	(void)ctx;
	if (r == 0)
		r = options_load(o, 2, argv, NULL);
	options_free(&o);
	return r == -EINVAL ? 0 : r;
}

static void torture(void **state)
{
	int fd;

	(void)state;
	(void)snprintf(config_path, sizeof(config_path), "/tmp/kindred-option-XXXXXX");
	fd = mkstemp(config_path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "name: x\npeer:\n  port: 7\n", 23), 23);
	(void)close(fd);
	assert_int_equal(torture_run(load_once, NULL), 0);
	(void)unlink(config_path);
	assert_int_equal(torture_run(refuse_once, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(flags),
		cmocka_unit_test(words),
		cmocka_unit_test(usage_errors),
		cmocka_unit_test(value_errors),
		cmocka_unit_test(environment),
		cmocka_unit_test(ignored_and_secret),
		cmocka_unit_test(converters),
		cmocka_unit_test(formats_read_back),
		cmocka_unit_test(endpoints),
		cmocka_unit_test(help_and_markdown),
		cmocka_unit_test(torture),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
