/*
 * --check-config refuses what the agent would not start with, in words and with the same exit
 * code, and leaves nothing behind; elsewhere (--offline) it looks at the options alone.
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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_ARGS 16

/* Runs `kindred agent WORDS`, each FOLDER/ at a word's beginning ("@") being the rig's folder. */
static int run(struct rig *rig, const char *first, const char *const *words)
{
	char room[MAX_ARGS][PROC_PATH_MAX];
	const char *argv[MAX_ARGS + 8] = {rig->kindred, "agent", "--flows",  "off",
					  "--socket",	"off",	 "--listen", "off"};
	size_t n = 8, at = 0;

	if (first)
		argv[n++] = first;
	for (; *words; words++) {
		const char *hole = strchr(*words, '@');

		if (!hole) {
			argv[n++] = *words;
			continue;
		}
		(void)snprintf(room[at], sizeof(room[0]), "%.*s%s/%s", (int)(hole - *words), *words,
			       rig->folder, hole + 1);
		argv[n++] = room[at++];
	}
	argv[n] = NULL;
	(void)unlink(rig->agent.err);
	assert_int_equal(proc_start(&rig->agent, rig->folder, "agent", argv,
				    (const char *const[]){"HOME=/nonexistent", NULL}),
			 0);
	assert_int_equal(proc_wait(&rig->agent, RIG_PATIENCE), 0);
	return rig->agent.code;
}

static void refused(struct rig *rig, const char *says, const char *const *words)
{
	assert_int_equal(run(rig, "--check-config", words), 2);
	rig_assert(rig, rig_logged(rig, says), "the check does not say: %s", says);
	assert_int_equal(run(rig, NULL, words), 2);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define HERE	   "--api-server=http://127.0.0.1:9"

static void expressions(void **state)
{
	struct rig *rig = *state;

	refused(rig, "--index pods: ", WORDS(HERE, "--resources=on", "--index=pods=.a["));
	refused(rig, "must be RESOURCE=JSONPATH", WORDS(HERE, "--resources=on", "--index=.spec"));
	refused(rig, "the label selector \"a in b\" is not understood",
		WORDS(HERE, "--resources=on", "--resource-selector=a in b"));
	refused(rig, "the label selector \"x y\" is not understood",
		WORDS(HERE, "--resources=on", "--namespace-selector=x y"));
	refused(rig, "--ignore-fields: ", WORDS(HERE, "--resources=on", "--ignore-fields=.a["));
	refused(rig, "--vector-filter: ",
		WORDS(HERE, "--vector=qdrant:http://127.0.0.1:9", "--vector-filter=what"));
	refused(rig, "--graph-filter: ", WORDS(HERE, "--graph=jsonl:@x", "--graph-filter=kinds="));
	refused(rig, "--events-filter: ", WORDS(HERE, "--events=jsonl:@x", "--events-filter=a=b"));
	refused(rig, "--embed triton: ",
		WORDS(HERE, "--vector=qdrant:http://127.0.0.1:9", "--embed=triton:http://x"));
}

static void files(void **state)
{
	struct rig *rig = *state;

	rig_write(rig, "text", "no certificate\n");
	rig_write(rig, "empty", "");
	refused(rig, "token file ", WORDS(HERE, "--token-file=@none"));
	refused(rig, "CA file ", WORDS(HERE, "--ca-file=@text"));
	refused(rig, "kubeconfig", WORDS("--kubeconfig=@none"));
	refused(rig, "no API server", WORDS("--scope=cluster"));
	refused(rig, "--intake-ca-file: ", WORDS(HERE, "--intake-tls", "--intake-ca-file=@text"));
	refused(rig, "token file ",
		WORDS(HERE, "--vector=qdrant:http://127.0.0.1:9", "--vector-token-file=@empty"));
	refused(rig, "token file ",
		WORDS(HERE, "--vector=qdrant:http://127.0.0.1:9",
		      "--embed=openai:http://127.0.0.1:9", "--embed-token-file=@none"));
	refused(rig, "--vector-token-file: ",
		WORDS(HERE, "--events=http:http://127.0.0.1:9", "--vector-token-file=@none"));
	refused(rig, "--tls-cert-file: ",
		WORDS(HERE, "--listen=127.0.0.1:0", "--tls-cert-file=@text",
		      "--tls-key-file=@text"));
	refused(rig, "--listen-token-file: ",
		WORDS(HERE, "--listen=127.0.0.1:0", "--listen-token-file=@empty"));
	refused(rig, "--record: a file cannot be made in ", WORDS(HERE, "--record=@none/x"));
	refused(rig, "--graph: ", WORDS(HERE, "--graph=jsonl:@."));
	refused(rig, "--events: ", WORDS(HERE, "--events=jsonl:@none/x"));
}

static void addresses(void **state)
{
	struct rig *rig = *state;

	refused(rig, "--probe-listen: no.such.host.invalid: ",
		WORDS(HERE, "--probe-listen=no.such.host.invalid:1"));
	refused(rig, "--listen: \"[::1::2]:1\"", WORDS(HERE, "--listen=[::1::2]:1"));
	refused(rig, "--resync-listen: \"a b:1\"", WORDS(HERE, "--resync-listen=a b:1"));
}

/* All in one go. */
static void together(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(run(rig, "--check-config",
			     WORDS("--token-file=@none", HERE, "--resources=on", "--index=.spec",
				   "--graph=jsonl:@.", "--record=@none/x")),
			 2);
	rig_assert(rig, rig_logged(rig, "must be RESOURCE=JSONPATH"), "the index");
	rig_assert(rig, rig_logged(rig, "config error: token file "), "the token");
	rig_assert(rig, rig_logged(rig, "config error: --graph: "), "the graph");
	rig_assert(rig, rig_logged(rig, "config error: --record: "), "the record");
}

static void good_ones(void **state)
{
	struct rig *rig = *state;
	const char *const words[] = {HERE,
				     "--record=@new",
				     "--events=jsonl:@lines",
				     "--graph=sqlite:@graph.db",
				     "--vector=sqlite:@vector.db",
				     "--index=pods=.spec.nodeName",
				     NULL};
	_free_ char *text = NULL;
	char path[PROC_PATH_MAX];

	assert_int_equal(run(rig, "--check-config", words), 0);
	text = proc_text(rig->agent.err);
	assert_string_equal(text, "");
	assert_int_equal(access(rig_path(rig, "new", path), F_OK), -1);
	assert_int_equal(access(rig_path(rig, "lines", path), F_OK), -1);
	assert_int_equal(access(rig_path(rig, "vector.db", path), F_OK), -1);
}

/* A configuration of another machine: its files are not here, its expressions are. */
static void offline(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(run(rig, "--check-config",
			     WORDS("--offline", "--token-file=/no/such/token", HERE,
				   "--tls-cert-file=/no/cert", "--tls-key-file=/no/key",
				   "--vector=qdrant:http://q", "--vector-token-file=/no/token",
				   "--record=/no/such/folder/x")),
			 0);
	assert_int_equal(run(rig, "--check-config", WORDS("--offline")), 0);
	assert_int_equal(
		run(rig, "--check-config", WORDS("--offline", "--resources=on", "--index=.spec")),
		2);
	assert_int_equal(run(rig, NULL, WORDS("--offline")), 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {TEST(expressions), TEST(files),     TEST(addresses),
					   TEST(together),    TEST(good_ones), TEST(offline)};

	return rig_run("agent/check_config", tests, ARRAY_SIZE(tests), argc, argv);
}
