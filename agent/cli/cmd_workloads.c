/*
 * kindred workloads: asks the running agent for the workloads behind its pods.
 */
#include "cli/cmd_workloads.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/listing.h"
#include "cli/options_read.h"

#define TARGET_MAX 8192

struct workloads_config {
	const char *ns, *workload, *kind, *node;
	struct ask_where where;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct workloads_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Which workloads",
	 .flag = "--namespace", .letter = "-n", .type = OPTION_STRING, .arg = "NAME", .def_words = "all",
	 FIELD(ns), .help = "Of this namespace; * stands for anything."},
	{.flag = "--workload", .type = OPTION_STRING, .arg = "NAME", .def_words = "all", FIELD(workload),
	 .help = "With this name; * stands for anything."},
	{.flag = "--kind", .type = OPTION_STRING, .arg = "KIND", .def_words = "all", FIELD(kind),
	 .help = "Of this kind, Deployment; * stands for anything. Pod: pods without an owner."},
	{.flag = "--node", .type = OPTION_STRING, .arg = "NAME", .def_words = "all", FIELD(node),
	 .help = "With pods on this node, of which alone is told; * stands for anything."},
	{.group = "How",
	 .flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = OUTPUT_HELP ", an object a line."},
	ASK_OPTIONS(struct workloads_config, where),
};
/* clang-format on */

const struct option_table cmd_workloads_options = {
	.command = "kindred workloads",
	.about = "Shows the workloads that stand behind the pods that the agent knows, and how "
		 "many of these run.",
	.after = "Exit code 1: there are none; 2: the question is not understood; 3: no agent "
		 "answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

static const struct sheet_column columns[] = {
	{.title = "NAMESPACE", .min = 6},    {.title = "KIND", .min = 8},
	{.title = "WORKLOAD", .min = 10},    {.title = "PODS", .right = true},
	{.title = "RUNNING", .right = true}, {.title = "CONTAINERS", .right = true},
	{.title = "UID", .wide = true},
};

/* Pods of jobs end, and that is well. */
static enum tint running_tint(struct str kind, json_int_t pods, json_int_t running)
{
	if (running >= pods || str_eq(kind, STR("Job")) || str_eq(kind, STR("CronJob")))
		return TINT_PLAIN;
	return running ? TINT_WARN : TINT_BAD;
}

static int put_workload(struct sheet *t, const json_t *w)
{
	const struct str kind = json_in_member(w, "kind");
	const json_int_t pods = json_integer_value(json_object_get(w, "pods"));
	const json_int_t running = json_integer_value(json_object_get(w, "running"));
	int r = sheet_put(t, json_in_member(w, "namespace"), TINT_PLAIN);

	r = r ?: sheet_put(t, kind, TINT_PLAIN);
	r = r ?: sheet_put(t, json_in_member(w, "name"), TINT_PLAIN);
	r = r ?: sheet_printf(t, TINT_PLAIN, "%" JSON_INTEGER_FORMAT, pods);
	r = r
		    ?: sheet_printf(t, running_tint(kind, pods, running), "%" JSON_INTEGER_FORMAT,
				    running);
	r = r
		    ?: sheet_printf(t, TINT_PLAIN, "%" JSON_INTEGER_FORMAT,
				    json_integer_value(json_object_get(w, "containers")));
	return r ?: sheet_put(t, json_in_member(w, "uid"), TINT_DIM);
}

static int make_target(const struct workloads_config *c, struct buf *target)
{
	int r = buf_append_str(target, STR("/api/v1/workloads"));

	r = r ?: ask_param(target, "namespace", c->ns);
	r = r ?: ask_param(target, "workload", c->workload);
	r = r ?: ask_param(target, "kind", c->kind);
	return r ?: ask_param(target, "node", c->node);
}

static int show(const struct workloads_config *c)
{
	_buf_ struct buf target = {.max = TARGET_MAX};
	int r = make_target(c, &target);
	const struct listing l = {.command = "kindred workloads",
				  .where = &c->where,
				  .target = buf_str(&target),
				  .member = "workloads",
				  .one = "workload",
				  .columns = columns,
				  .n_columns = ARRAY_SIZE(columns),
				  .put = put_workload};

	return r < 0 ? ask_cannot(l.command, r) : listing_show(&l, (enum output)c->output);
}

int cmd_workloads(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct workloads_config c = {0};
	int r = options_read(&cmd_workloads_options, &c, argc, argv, &options);

	return r == OPTIONS_RUN ? show(&c) : r;
}
