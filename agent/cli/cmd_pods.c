/*
 * kindred pods: asks the running agent for its pods, and prints them by namespace and
 * workload.
 */
#include "cli/cmd_pods.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/listing.h"
#include "cli/options_read.h"

#define TARGET_MAX 8192
#define CELL_MAX   4096

struct pods_config {
	const char *ns, *workload, *node;
	struct ask_where where;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct pods_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Which pods",
	 .flag = "--namespace", .letter = "-n", .type = OPTION_STRING, .arg = "NAME", .def_words = "all",
	 FIELD(ns), .help = "Of this namespace; * stands for anything."},
	{.flag = "--workload", .type = OPTION_STRING, .arg = "NAME", .def_words = "all", FIELD(workload),
	 .help = "Of the workload with this name; * stands for anything."},
	{.flag = "--node", .type = OPTION_STRING, .arg = "NAME", .def_words = "all", FIELD(node),
	 .help = "On this node; * stands for anything."},
	{.group = "How",
	 .flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = OUTPUT_HELP ", an object a line."},
	ASK_OPTIONS(struct pods_config, where),
};
/* clang-format on */

const struct option_table cmd_pods_options = {
	.command = "kindred pods",
	.about = "Shows the pods that the agent knows, those of its node or of the cluster, with "
		 "the workloads that stand behind them.",
	.after = "Exit code 1: there are none; 2: the question is not understood; 3: no agent "
		 "answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
};

static const struct sheet_column columns[] = {
	{.title = "NAMESPACE", .min = 6},      {.title = "WORKLOAD", .min = 10},
	{.title = "POD", .min = 10},	       {.title = "STATUS"},
	{.title = "ADDRESS", .min = 7},	       {.title = "NODE", .min = 4},
	{.title = "UID", .wide = true},	       {.title = "OWNERS", .wide = true},
	{.title = "CONTAINERS", .wide = true},
};

static enum tint phase_tint(struct str phase)
{
	return str_eq(phase, STR("Running"))   ? TINT_GOOD
	       : str_eq(phase, STR("Failed"))  ? TINT_BAD
	       : str_eq(phase, STR("Pending")) ? TINT_WARN
					       : TINT_DIM;
}

/* Those that it has now. */
static int put_addresses(struct sheet *t, const json_t *pod)
{
	_buf_ struct buf cell = {.max = CELL_MAX};
	const json_t *a;
	int r = 0;
	size_t i;

	json_array_foreach(json_object_get(pod, "addresses"), i, a)
	{
		if (json_object_get(a, "to"))
			continue;
		r = r ?: cell.n ? buf_append_str(&cell, STR(",")) : 0;
		r = r ?: buf_append_str(&cell, json_in_member(a, "address"));
	}
	return r ?: sheet_put(t, cell.n ? buf_str(&cell) : STR("-"), TINT_PLAIN);
}

/* KEY/NAME of each, joined by `gap`. */
static int put_list(struct sheet *t, const json_t *list, const char *key, const char *gap)
{
	_buf_ struct buf cell = {.max = CELL_MAX};
	const json_t *o;
	int r = 0;
	size_t i;

	json_array_foreach(list, i, o)
	{
		r = r
			    ?: buf_printf(&cell, "%s%.*s/%.*s", cell.n ? gap : "",
					  STR_ARG(json_in_member(o, key)),
					  STR_ARG(json_in_member(o, "name")));
	}
	return r ?: sheet_put(t, buf_str(&cell), TINT_PLAIN);
}

/* NAME=IMAGE */
static int put_containers(struct sheet *t, const json_t *list)
{
	_buf_ struct buf cell = {.max = CELL_MAX};
	const json_t *o;
	int r = 0;
	size_t i;

	json_array_foreach(list, i, o)
	{
		r = r
			    ?: buf_printf(&cell, "%s%.*s=%.*s", cell.n ? "," : "",
					  STR_ARG(json_in_member(o, "name")),
					  STR_ARG(json_in_member(o, "image")));
	}
	return r ?: sheet_put(t, buf_str(&cell), TINT_PLAIN);
}

static int put_pod(struct sheet *t, const json_t *pod)
{
	const json_t *w = json_object_get(pod, "workload");
	const struct str phase = json_in_member(pod, "phase");
	int r = sheet_put(t, json_in_member(pod, "namespace"), TINT_PLAIN);

	r = r
		    ?: sheet_printf(t, TINT_PLAIN, "%.*s/%.*s", STR_ARG(json_in_member(w, "kind")),
				    STR_ARG(json_in_member(w, "name")));
	r = r ?: sheet_put(t, json_in_member(pod, "name"), TINT_PLAIN);
	r = r ?: sheet_put(t, phase, phase_tint(phase));
	r = r ?: put_addresses(t, pod);
	r = r ?: sheet_put(t, json_in_member(pod, "node"), TINT_PLAIN);
	r = r ?: sheet_put(t, json_in_member(pod, "uid"), TINT_DIM);
	r = r ?: put_list(t, json_object_get(pod, "owners"), "kind", "<");
	return r ?: put_containers(t, json_object_get(pod, "containers"));
}

static int make_target(const struct pods_config *c, struct buf *target)
{
	int r = buf_append_str(target, STR("/api/v1/pods"));

	r = r ?: ask_param(target, "namespace", c->ns);
	r = r ?: ask_param(target, "workload", c->workload);
	return r ?: ask_param(target, "node", c->node);
}

static int show(const struct pods_config *c)
{
	_buf_ struct buf target = {.max = TARGET_MAX};
	int r = make_target(c, &target);
	const struct listing l = {.command = "kindred pods",
				  .where = &c->where,
				  .target = buf_str(&target),
				  .member = "pods",
				  .one = "pod",
				  .columns = columns,
				  .n_columns = ARRAY_SIZE(columns),
				  .put = put_pod,
				  .sort = true};

	return r < 0 ? ask_cannot(l.command, r) : listing_show(&l, (enum output)c->output);
}

int cmd_pods(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct pods_config c = {0};
	int r = options_read(&cmd_pods_options, &c, argc, argv, &options);

	return r == OPTIONS_RUN ? show(&c) : r;
}
