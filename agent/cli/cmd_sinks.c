/*
 * kindred sinks: asks the running agent what its databases have and wait for, and what
 * was set aside with its reason.
 */
#include "cli/cmd_sinks.h"

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "cli/short_flags.h"
#include "serve/serve.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX (4UL << 20)

enum output { OUTPUT_TABLE, OUTPUT_JSON };
static const char *const outputs[] = {"table", "json", NULL};

struct sinks_config {
	const char *socket;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct sinks_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Sinks",
	 .flag = "--output", .type = OPTION_ENUM, .choices = outputs, .arg = "table|json", .def = "table",
	 FIELD(output), .help = "-o: lines for people, or the agent's JSON."},
	{.flag = "--socket", .type = OPTION_STRING, .arg = "PATH", .def = SERVE_SOCKET, FIELD(socket),
	 .help = "The agent's socket."},
};
/* clang-format on */

static const struct option_table options_table = {
	.command = "kindred sinks",
	.about = "Says of each vector database, graph and event stream of the running agent "
		 "whether it is "
		 "in step with the cluster, what waits, and what was set aside and why.",
	.after = "-o is --output. Exit code 1: no agent answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

/* Everything that is no figure of everyday interest is left to -o json. */
static void print_sink(const json_t *sink)
{
	static const char *const shown[] = {"documents", "waiting", "ready",   "quarantined",
					    "upserts",	 "deletes", "retries", "oldest_seconds"};
	const char *reason = json_string_value(json_object_get(sink, "reason"));
	const json_t *aside;
	size_t i;

	printf("%s: %s%s%s\n", json_string_value(json_object_get(sink, "name")) ?: "?",
	       json_string_value(json_object_get(sink, "health")) ?: "?", reason ? ": " : "",
	       reason ?: "");
	for (i = 0; i < ARRAY_SIZE(shown); i++)
		if (json_object_get(sink, shown[i]))
			printf("  %-16s %" JSON_INTEGER_FORMAT "\n", shown[i],
			       json_integer_value(json_object_get(sink, shown[i])));
	json_array_foreach(json_object_get(sink, "quarantine"), i, aside)
		printf("  set aside        %s: %s\n",
		       json_string_value(json_object_get(aside, "id")) ?: "?",
		       json_string_value(json_object_get(aside, "reason")) ?: "?");
}

static int print(const struct sinks_config *c, struct str body)
{
	json_t *answer = json_loadb(body.p ? body.p : "", body.n, 0, NULL);
	const json_t *sinks = json_object_get(answer, "sinks");
	const json_t *sink;
	size_t i;

	if (!json_is_array(sinks)) {
		json_decref(answer);
		return -EBADMSG;
	}
	if (c->output == OUTPUT_JSON)
		printf("%.*s", STR_ARG(body));
	else if (!json_array_size(sinks))
		printf("this agent has no sinks besides the reducer: see --vector, --graph and "
		       "--events\n");
	else
		json_array_foreach(sinks, i, sink) print_sink(sink);
	json_decref(answer);
	return 0;
}

static int answer(const struct sinks_config *c, struct ask *a)
{
	_buf_ struct buf body = {.max = BODY_MAX};
	int r;

	if (a->status != 200) {
		ask_complain("kindred sinks", a);
		return EXIT_FAILED;
	}
	r = ask_all(a, &body);
	if (r == 0)
		r = print(c, buf_str(&body));
	if (r < 0)
		fprintf(stderr, "kindred sinks: the answer cannot be read: %s\n", strerror(-r));
	return r < 0 ? EXIT_FAILED : EXIT_OK;
}

int cmd_sinks(int argc, char **argv)
{
	static const struct short_flag letters[] = {{"-o", "--output"}};
	char *args[SHORT_FLAGS_ARGS + 1];
	int n = short_flags(letters, ARRAY_SIZE(letters), argc, argv, args), r;
	_buf_ struct buf error = {.max = 4096};
	_ask_ struct ask a = {.fd = -1};
	_options_ struct options *options = NULL;
	struct sinks_config c = {0};

	if (n < 0) {
		fprintf(stderr, "kindred sinks: too many arguments\n");
		return EXIT_USAGE;
	}
	r = options_read(&options_table, &c, n, args, &options);
	if (r != OPTIONS_RUN)
		return r;
	r = ask_open(c.socket, "/api/v1/sinks", false, &a, &error);
	if (r == 0)
		return answer(&c, &a);
	fprintf(stderr, "kindred sinks: %.*s\n",
		STR_ARG(error.n ? buf_str(&error) : str_of(strerror(-r))));
	return EXIT_FAILED;
}
