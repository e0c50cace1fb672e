/*
 * kindred pods: asks the running agent for its pods, and prints them by namespace and
 * workload.
 */
#include "cli/cmd_pods.h"

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "cli/output.h"
#include "cli/pages.h"
#include "cli/text.h"

#include <stdio.h>

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

struct listing {
	struct sheet *table;
	unsigned long n;
	bool json;
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
		r = r ?: buf_append_str(&cell, text_of(a, "address"));
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
					  STR_ARG(text_of(o, key)), STR_ARG(text_of(o, "name")));
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
					  STR_ARG(text_of(o, "name")),
					  STR_ARG(text_of(o, "image")));
	}
	return r ?: sheet_put(t, buf_str(&cell), TINT_PLAIN);
}

static int put_pod(struct sheet *t, const json_t *pod)
{
	const json_t *w = json_object_get(pod, "workload");
	const struct str phase = text_of(pod, "phase");
	int r = sheet_put(t, text_of(pod, "namespace"), TINT_PLAIN);

	r = r
		    ?: sheet_printf(t, TINT_PLAIN, "%.*s/%.*s", STR_ARG(text_of(w, "kind")),
				    STR_ARG(text_of(w, "name")));
	r = r ?: sheet_put(t, text_of(pod, "name"), TINT_PLAIN);
	r = r ?: sheet_put(t, phase, phase_tint(phase));
	r = r ?: put_addresses(t, pod);
	r = r ?: sheet_put(t, text_of(pod, "node"), TINT_PLAIN);
	r = r ?: sheet_put(t, text_of(pod, "uid"), TINT_DIM);
	r = r ?: put_list(t, json_object_get(pod, "owners"), "kind", "<");
	return r ?: put_containers(t, json_object_get(pod, "containers"));
}

static int on_pod(void *ctx, const json_t *pod)
{
	struct listing *l = ctx;

	l->n++;
	return l->json ? pages_print_line(NULL, pod) : put_pod(l->table, pod);
}

static int make_target(const struct pods_config *c, struct buf *target)
{
	int r = buf_append_str(target, STR("/api/v1/pods"));

	r = r ?: c->ns ? ask_param(target, "namespace", c->ns) : 0;
	r = r ?: c->workload ? ask_param(target, "workload", c->workload) : 0;
	return r ?: c->node ? ask_param(target, "node", c->node) : 0;
}

static int show(const struct pods_config *c)
{
	_buf_ struct buf target = {.max = TARGET_MAX};
	_sheet_ struct sheet *t = NULL;
	struct listing l = {.json = c->output == OUTPUT_JSON};
	struct pages p = {.command = "kindred pods",
			  .where = &c->where,
			  .member = "pods",
			  .each = on_pod,
			  .ctx = &l};
	int code;

	if (make_target(c, &target) < 0 || sheet_new(columns, ARRAY_SIZE(columns), &t) < 0) {
		fprintf(stderr, "kindred pods: the question is too long\n");
		return EXIT_USAGE;
	}
	l.table = t;
	p.target = buf_str(&target);
	code = pages_read(&p);
	if (code != EXIT_OK || l.n == 0) {
		if (code == EXIT_OK)
			fprintf(stderr, "kindred pods: the agent knows no such pod\n");
		return code == EXIT_OK ? EXIT_FAILED : code;
	}
	sheet_sort(t);
	return l.json ? EXIT_OK : output_table("kindred pods", t, (enum output)c->output, 0);
}

int cmd_pods(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct pods_config c = {0};
	int r = options_read(&cmd_pods_options, &c, argc, argv, &options);

	return r == OPTIONS_RUN ? show(&c) : r;
}
