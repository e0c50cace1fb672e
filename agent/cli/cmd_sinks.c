/*
 * kindred sinks: asks the running agent what its databases have and wait for, and what
 * was set aside with its reason.
 */
#include "cli/cmd_sinks.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "cli/output.h"
#include "cli/text.h"

#include <stdio.h>

#define BODY_MAX (4UL << 20)

struct sinks_config {
	struct ask_where where;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct sinks_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Sinks",
	 .flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = OUTPUT_HELP "."},
	ASK_OPTIONS(struct sinks_config, where),
};
/* clang-format on */

const struct option_table cmd_sinks_options = {
	.command = "kindred sinks",
	.about = "Says of each vector database, graph and event stream of the running agent "
		 "whether it is "
		 "in step with the cluster, what waits, and what was set aside and why.",
	.after = "Exit code 3: no agent answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

static const struct sheet_column columns[] = {
	{.title = "SINK", .min = 10},
	{.title = "HEALTH"},
	{.title = "DOCS", .right = true},
	{.title = "WAITING", .right = true},
	{.title = "ASIDE", .right = true},
	{.title = "UPSERTS", .right = true, .wide = true},
	{.title = "DELETES", .right = true, .wide = true},
	{.title = "RETRIES", .right = true, .wide = true},
	{.title = "OLDEST", .right = true},
	{.title = "REASON", .min = 6},
};

static enum tint health_tint(struct str health)
{
	return str_eq(health, STR("ok"))	? TINT_GOOD
	       : str_eq(health, STR("failing")) ? TINT_BAD
						: TINT_WARN;
}

/* "-" where a sink does not count it. */
static int put_count(struct sheet *t, const json_t *sink, const char *key, enum tint tint)
{
	const json_t *v = json_object_get(sink, key);

	return v ? sheet_printf(t, json_integer_value(v) ? tint : TINT_PLAIN,
				"%" JSON_INTEGER_FORMAT, json_integer_value(v))
		 : sheet_put(t, STR("-"), TINT_DIM);
}

static int put_sink(struct sheet *t, const json_t *sink)
{
	const struct str health = json_in_member(sink, "health");
	const json_t *oldest = json_object_get(sink, "oldest_seconds");
	char span[TEXT_FIGURE_MAX];
	int r = sheet_put(t, json_in_member(sink, "name"), TINT_PLAIN);

	r = r ?: sheet_put(t, health, health_tint(health));
	r = r ?: put_count(t, sink, "documents", TINT_PLAIN);
	r = r ?: put_count(t, sink, "waiting", TINT_PLAIN);
	r = r ?: put_count(t, sink, "quarantined", TINT_WARN);
	r = r ?: put_count(t, sink, "upserts", TINT_PLAIN);
	r = r ?: put_count(t, sink, "deletes", TINT_PLAIN);
	r = r ?: put_count(t, sink, "retries", TINT_PLAIN);
	r = r
		    ?: sheet_put(
			       t,
			       str_of(oldest ? text_span((uint64_t)json_integer_value(oldest), span)
					     : "-"),
			       TINT_PLAIN);
	return r ?: sheet_put(t, json_in_member(sink, "reason"), TINT_PLAIN);
}

static int print_aside(const json_t *sinks)
{
	_buf_ struct buf out = {.max = BODY_MAX};
	const json_t *sink, *aside;
	size_t i, k;
	int r = 0;

	json_array_foreach(sinks, i, sink)
	{
		json_array_foreach(json_object_get(sink, "quarantine"), k, aside)
		{
			r = r ?: text_put(&out, json_in_member(sink, "name"), 0, 0);
			r = r ?: buf_append_str(&out, STR(" set aside "));
			r = r ?: text_put(&out, json_in_member(aside, "id"), 0, 0);
			r = r ?: buf_append_str(&out, STR(": "));
			r = r ?: text_put(&out, json_in_member(aside, "reason"), 0, 0);
			r = r ?: buf_append_str(&out, STR("\n"));
		}
	}
	printf("%.*s", STR_ARG(buf_str(&out)));
	return r;
}

/* The exit code. */
static int print_table(const struct sinks_config *c, const json_t *sinks)
{
	_sheet_ struct sheet *t = NULL;
	int r = sheet_new(columns, ARRAY_SIZE(columns), &t);
	const json_t *sink;
	size_t i;

	if (!json_array_size(sinks)) {
		printf("this agent has no sinks besides the reducer: see --vector, --graph and "
		       "--events\n");
		return EXIT_OK;
	}
	json_array_foreach(sinks, i, sink)
	{
		r = r ?: put_sink(t, sink);
	}
	r = output_table("kindred sinks", t, (enum output)c->output, r);
	return r == EXIT_OK && print_aside(sinks) < 0 ? EXIT_FAILED : r;
}

static int print(const struct sinks_config *c, struct str body)
{
	_json_ json_t *answer = json_in_parse(body, 0);
	const json_t *sinks = json_object_get(answer, "sinks");

	if (!json_is_array(sinks)) {
		fprintf(stderr, "kindred sinks: the answer cannot be read\n");
		return EXIT_FAILED;
	}
	if (c->output != OUTPUT_JSON)
		return print_table(c, sinks);
	printf("%.*s", STR_ARG(body));
	return EXIT_OK;
}

int cmd_sinks(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	_buf_ struct buf body = {.max = BODY_MAX};
	struct sinks_config c = {0};
	int r = options_read(&cmd_sinks_options, &c, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	r = ask_body("kindred sinks", &c.where, STR("/api/v1/sinks"), &body);
	return r == EXIT_OK ? print(&c, buf_str(&body)) : r;
}
