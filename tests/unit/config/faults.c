/* What a wrong configuration is told: all of it, in one go, and never a secret. */
#include "config/agent_options.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WORDS_MAX 24
#define ARGS(...) ((char *[]){(char[]){"agent"}, __VA_ARGS__, NULL})
#define W(text)	  ((char[]){text}) /* a word of argv */
#define CANARY	  "hunter2-canary-0123456789"

/* The faults of these words, with `text` as the file's. */
static void expect_faults(char **argv, char **env, const char *text, const char *faults)
{
	struct agent_config first = {0}, c = {0};
	struct options *start = NULL, *o = NULL;
	const struct options *told;
	int argc = 0;
	int r;

	while (argv && argv[argc])
		argc++;
	assert_int_equal(options_new(&agent_option_table, &first, &start), 0);
	assert_int_equal(options_new(&agent_option_table, &c, &o), 0);
	r = agent_config_load(start, argc, argv, env, &first);
	told = start;
	if (r == 0) {
		r = agent_config_load_again(start, "kindred.yaml", str_of(text), o, &c);
		told = o;
	}
	_buf_ struct buf got = {.max = 65536};
	assert_int_equal(buf_append_str(&got, options_errors(told)), 0);
	assert_int_equal(buf_append(&got, "", 1), 0);
	assert_string_equal(buf_str(&got).p, faults);
	assert_int_equal(r, *faults ? -EINVAL : 0);
	options_free(&start);
	options_free(&o);
}

static void expect_file(const char *text, const char *faults)
{
	expect_faults(NULL, NULL, text, faults);
}

/* A file as people get it wrong: every fault is told, with its line and what would be right. */
static void a_whole_file(void **state)
{
	(void)state;
	expect_file(
		"scope: clutser\n"
		"intake:\n"
		"  host: reducer.telemetry\n"
		"  prot: 8000\n"
		"  connect-timeout: 10\n"
		"  backoff: {min: 500ms, mx: 30s}\n"
		"namespaces:\n"
		"  - shop\n"
		"  - Shop\n"
		"  - {name: pay}\n"
		"page-size: [500]\n"
		"flow-ring: 4 MiB\n"
		"api-qps: -1\n"
		"resync-on-relist: maybe\n"
		"probe-listen: 9902\n"
		"vector: qdrant:http://q:6333,milvus:http://m\n"
		"log_level: debug\n"
		"scope: node\n"
		"nodeSelector:\n"
		"  kubernetes.io/os: [linux, {a: b}]\n"
		"heartbeat: 20s\n",
		"config error: kindred.yaml:4: \"intake-prot\": unknown key (did you mean "
		"intake-port?)\n"
		"config error: kindred.yaml:6: \"intake-backoff-mx\": unknown key (did you mean "
		"intake-backoff-max?)\n"
		"config error: kindred.yaml:9: \"namespaces\": item \"Shop\"; must be namespace "
		"names "
		"(lower-case letters, digits and '-'), at most 1000\n"
		"config error: kindred.yaml:10: \"namespaces\": an item is a mapping; must be "
		"namespace names (lower-case letters, digits and '-'), at most 1000\n"
		"config error: kindred.yaml:11: \"page-size\": is a list; must be 0 to 100000\n"
		"config error: kindred.yaml:17: \"log_level\": unknown key (did you mean "
		"log-level?)\n"
		"config error: kindred.yaml:18: \"scope\": given twice, first in line 1\n"
		"config error: kindred.yaml:19: \"nodeSelector\": unknown key\n"
		"config error: kindred.yaml:13: \"api-qps\": \"-1\": must be 1 to 10000\n"
		"config error: kindred.yaml:1: \"scope\": \"clutser\": must be node or cluster "
		"(did "
		"you mean cluster?)\n"
		"config error: kindred.yaml:5: \"intake-connect-timeout\": \"10\": must be a time "
		"with "
		"its unit (ms, s, m, h) from 100ms to 5m\n"
		"config error: kindred.yaml:21: \"heartbeat\": \"20s\": must be a time with its "
		"unit "
		"(ms, s, m, h) from 100ms to 15s\n"
		"config error: kindred.yaml:14: \"resync-on-relist\": \"maybe\": must be true or "
		"false\n"
		"config error: kindred.yaml:12: \"flow-ring\": \"4 MiB\": must be a size with its "
		"unit "
		"(B, KB, MB, GB, KiB, MiB, GiB) from 64KiB to 1GiB\n"
		"config error: kindred.yaml:16: \"vector\": (hidden): must be sqlite:FILE, "
		"qdrant:URL, "
		"chroma:URL or http:URL, at most 8\n"
		"config error: kindred.yaml:15: \"probe-listen\": \"9902\": must be HOST:PORT or "
		"[IPV6]:PORT, or off\n");
}

static void flags_and_environment(void **state)
{
	char *env[] = {W("KINDRED_PAGE_SIZE=lots"), W("EBPF_NET_INTAKE_PORT=0"),
		       W("LOG_LEVEL=inof"), NULL};

	(void)state;
	expect_faults(
		ARGS(W("--scop"), W("node"), W("--flow-max=1"), W("stray"), W("--heartbeat")), env,
		"",
		"config error: unknown option \"--scop\" (did you mean --scope?)\n"
		"config error: unexpected argument \"stray\"\n"
		"config error: --heartbeat: needs a value (--heartbeat=VALUE when it begins "
		"with --)\n"
		"config error: --page-size: \"lots\" (from environment KINDRED_PAGE_SIZE): must "
		"be 0 to 100000\n"
		"config error: --intake-port: \"0\" (from environment EBPF_NET_INTAKE_PORT): "
		"must be 1 to 65535\n"
		"config error: --flow-max: \"1\" (from the command line): must be 16 to "
		"4194304\n"
		"config error: --log-level: \"inof\" (from environment LOG_LEVEL): must be "
		"error, warn, info or debug (did you mean info?)\n");
}

static void combinations(void **state)
{
	(void)state;
	expect_file("client-cert: a\nbackoff-min: 1m\nflow-ring: 3MiB\nflows: off\nflows-out: '-'\n"
		    "debounce: 2m\n",
		    "config error: --client-cert needs --client-key\n"
		    "config error: --backoff-min is above --backoff-max\n"
		    "config error: --debounce is above --debounce-max\n"
		    "config error: --flow-ring must be a power of two, such as 4MiB\n"
		    "config error: --flows-out needs flows: --flows is off\n");
	expect_file("flows: off\notlp: http://otel:4318\n",
		    "config error: --otlp needs flows: --flows is off\n");
	expect_file("otlp-headers-file: /etc/headers\n",
		    "config error: --otlp-headers-file goes with --otlp, which is not given\n");
	expect_file(
		"otlp: http://otel:4318\notlp-events: [open, closed]\n",
		"config error: kindred.yaml:2: \"otlp-events\": item \"closed\"; must be events: "
		"open, refresh, close, fail, drop, at most 5\n");
}

/* Twenty lines, and how many more there are. */
static void bounded(void **state)
{
	_buf_ struct buf text = {.max = 1 << 20}, faults = {.max = 65536};

	(void)state;
	for (int i = 0; i < 50; i++)
		assert_int_equal(buf_printf(&text, "zzzzzz%d: {a: [b]}\n", i), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(buf_printf(&faults,
					    "config error: kindred.yaml:%d: \"zzzzzz%d\": unknown "
					    "key\n",
					    i + 1, i),
				 0);
	assert_int_equal(buf_printf(&faults, "config error: 30 more are not shown\n"), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	assert_int_equal(buf_append(&faults, "", 1), 0);
	expect_file(text.p, faults.p);
	text.n--;
	for (int i = 50; i < 50000; i++)
		assert_int_equal(buf_printf(&text, "zzzzzz%d: x\n", i), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	buf_reset(&faults);
	for (int i = 0; i < 20; i++)
		assert_int_equal(buf_printf(&faults,
					    "config error: kindred.yaml:%d: \"zzzzzz%d\": unknown "
					    "key\n",
					    i + 1, i),
				 0);
	assert_int_equal(buf_printf(&faults, "config error: 81 more are not shown\n"), 0);
	assert_int_equal(buf_append(&faults, "", 1), 0);
	expect_file(text.p, faults.p);
}

/* What is no YAML ends the reading; what was wrong before it is told, too. */
static void broken(void **state)
{
	(void)state;
	expect_file("page-size: x\nwaht: 1\nnamespaces: [\n",
		    "config error: kindred.yaml:2: \"waht\": unknown key\n"
		    "config error: kindred.yaml:4: did not find expected node content\n"
		    "config error: kindred.yaml:1: \"page-size\": \"x\": must be 0 to 100000\n");
	expect_file(
		"\"a\\nb\\x1b[31m\": \"c\"\nagent-host: \"x\\ty\"\n",
		"config error: kindred.yaml:1: \"a\\nb\\x1b[31m\": unknown key\n"
		"config error: kindred.yaml:2: \"agent-host\": \"x\\x09y\": must be text of 1 to "
		"4096 bytes without control characters\n");
}

/* `on` and `off` become true and false where YAML 1.1 is spoken. */
static void helm(void **state)
{
	(void)state;
	expect_file("flows: false\nudp: true\nstreaming-list: false\n", "");
	expect_file("log-level: true\n", "config error: kindred.yaml:1: \"log-level\": \"true\": "
					 "must be error, warn, info or debug\n");
}

static void no_secret(void **state)
{
	static const char *const texts[] = {
		"api-server: https://user:" CANARY "@h\n",
		"api-server: https://h/?token=" CANARY "\n",
		"token-file: eyJ" CANARY "\n",
		"token-file: " CANARY CANARY "\n",
		"vector: ['qdrant:https://:" CANARY "@h']\n",
		"vector: 'http:https://h?k=" CANARY "'\n",
		"rest-endpoint: http://" CANARY "@h\n",
		"capabilities: http://a:" CANARY "@h\n",
		"embed: openai:https://" CANARY "@h\n",
		"embed-extra: [\"" CANARY "\"]\n",
		"embed-token-file: " CANARY CANARY "\n",
		"vector-token-file: " CANARY CANARY "\n",
		"embed-header: 'Authorization: " CANARY "'\n",
		"vector-header: 'api-key: " CANARY "'\n",
		"graph: 'neo4j:http://neo4j:" CANARY "@h'\n",
		"events: [\"http:https://h/#" CANARY "\"]\n",
		"listen-token-file: " CANARY CANARY "\n",
		"tls-key-file: \"-----BEGIN\\n" CANARY "\"\n",
		"client-key: \"-----BEGIN\\n" CANARY "\"\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct agent_config first = {0}, c = {0};
		struct options *start, *o;
		struct str errors;

		assert_int_equal(options_new(&agent_option_table, &first, &start), 0);
		assert_int_equal(options_new(&agent_option_table, &c, &o), 0);
		assert_int_equal(agent_config_load(start, 0, NULL, NULL, &first), 0);
		assert_int_equal(agent_config_load_again(start, "f", str_of(texts[i]), o, &c),
				 -EINVAL);
		errors = options_errors(o);
		if (memmem(errors.p, errors.n, "canary", 6) ||
		    !memmem(errors.p, errors.n, "hidden", 6))
			fail_msg("%s: %.*s", texts[i], STR_ARG(errors));
		options_free(&start);
		options_free(&o);
	}
}

/* A variable that nearly is one of ours is worth a word; a Service's are not. */
static void variables(void **state)
{
	char *env[] = {W("KINDRED_LOG_LEVL=debug"),	   W("KINDRED_SERVICE_HOST=10.0.0.1"),
		       W("KINDRED_PORT=tcp://10.0.0.1:1"), W("KINDRED_PORT_9902_TCP_ADDR=10.0.0.1"),
		       W("KINDRED_PAGE_SIZE=5"),	   NULL};
	struct agent_config c = {0};
	struct options *o;

	(void)state;
	assert_int_equal(options_new(&agent_option_table, &c, &o), 0);
	assert_int_equal(agent_config_load(o, 0, NULL, env, &c), 0);
	assert_true(str_eq(options_warnings(o),
			   STR("environment KINDRED_LOG_LEVL: no option has it, it is ignored (did "
			       "you mean KINDRED_LOG_LEVEL?)\n")));
	assert_int_equal(c.page_size, 5);
	options_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_whole_file), cmocka_unit_test(flags_and_environment),
		cmocka_unit_test(combinations), cmocka_unit_test(bounded),
		cmocka_unit_test(broken),	cmocka_unit_test(helm),
		cmocka_unit_test(no_secret),	cmocka_unit_test(variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
