/*
 * kindred graph: asks the running agent, or reads the SQLite file that `kindred agent
 * --graph sqlite:FILE` keeps.
 */
#include "cli/cmd_graph.h"

#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "sink/graph/graph_query.h"
#include "sink/sqlite/db.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX ((size_t)256 << 20)

static const char *const outputs[] = {"tree", "dot", "json", NULL};

struct graph_config {
	bool in, out, dangling;
	uint32_t depth;
	int output;
	const char *store, *cluster;
	struct ask_where where;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct graph_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Graph",
	 .flag = "--in", .type = OPTION_BOOL, FIELD(in),
	 .help = "What needs it: --in of a Secret names who uses it. Without --in and --out: both."},
	{.flag = "--out", .type = OPTION_BOOL, FIELD(out),
	 .help = "What it needs."},
	{.flag = "--depth", .type = OPTION_INT, .arg = "N", .def = "1", .min = 1, .max = GRAPH_MAX_DEPTH, FIELD(depth),
	 .help = "Steps."},
	{.flag = "--dangling", .type = OPTION_BOOL, FIELD(dangling),
	 .help = "All edges that lead to objects which do not exist; nothing else is asked for."},
	{.flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = outputs, .arg = "tree|dot|json", .def = "tree", FIELD(output),
	 .help = "A tree for people, which is never cut, a picture for Graphviz, or one JSON object."},
	{.flag = "--cluster-name", .type = OPTION_STRING, .arg = "NAME", .def_words = "any", FIELD(cluster),
	 .help = "Of a store that holds several clusters, this one."},
	{.flag = "--store", .type = OPTION_STRING, .arg = "FILE", .def_words = "the running agent's", FIELD(store),
	 .help = "The file of kindred agent --graph sqlite:FILE. It may be in use."},
	ASK_OPTIONS(struct graph_config, where),
};
/* clang-format on */

const struct option_table cmd_graph_options = {
	.command = "kindred graph",
	.args = "KIND/NAMESPACE/NAME",
	.about = "Shows what an object needs and what needs it: owners, volumes, Secrets, "
		 "ConfigMaps, "
		 "claims, images, accounts, nodes, Services, routes, grants.",
	.after =
		"KIND/NAME is enough for what has no namespace or a name of its own; a kind may be "
		"written in lower case, in the plural, or with its group (deployments.apps). Exit "
		"code "
		"1: it is not in the graph, or the store cannot be read; 2: "
		"the question is not understood; 3: no agent answers.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
	.args_max = 1,
};

static int ask_store(const struct graph_config *c, const char *what, struct buf *answer,
		     struct buf *error)
{
	_db_ struct sqlite3 *db = NULL;
	struct graph_query q = {.what = str_of(what),
				.cluster = str_of(c->cluster),
				.in = c->in,
				.out = c->out,
				.depth = c->depth,
				.output = (enum graph_output)c->output};
	int r = db_open_reader(c->store, &db, error);

	if (r < 0)
		return r;
	return c->dangling ? graph_dangling(db, q.cluster, q.output, answer, error)
			   : graph_ask(db, &q, answer, error);
}

static int put_params(const struct graph_config *c, const char *what, struct buf *target)
{
	char depth[16];
	int r = buf_append_str(target, STR("/api/v1/graph"));

	(void)snprintf(depth, sizeof(depth), "%u", c->depth);
	r = r ?: ask_param(target, "output", outputs[c->output]);
	r = r ?: ask_param(target, "depth", depth);
	r = r ?: ask_param(target, what ? "q" : "dangling", what ? what : "1");
	r = r ?: ask_param(target, "in", c->in ? "1" : NULL);
	r = r ?: ask_param(target, "out", c->out ? "1" : NULL);
	return r ?: ask_param(target, "cluster", c->cluster);
}

static int show_agents(const struct graph_config *c, const char *what)
{
	_buf_ struct buf target = {.max = 8192}, body = {.max = ANSWER_MAX};
	int code, r = put_params(c, what, &target);

	if (r < 0)
		return ask_cannot("kindred graph", r);
	code = ask_body("kindred graph", &c->where, buf_str(&target), &body);
	if (code == EXIT_OK)
		(void)fwrite(buf_str(&body).p, 1, body.n, stdout);
	return code;
}

static int show(const struct graph_config *c, const char *what)
{
	_buf_ struct buf answer = {.max = ANSWER_MAX}, error = {.max = DB_ERROR_MAX};
	int r = ask_store(c, what, &answer, &error);

	if (r < 0) {
		fprintf(stderr, "kindred graph: %.*s\n",
			STR_ARG(error.n ? buf_str(&error) : str_of(strerror(-r))));
		return r == -EINVAL ? EXIT_USAGE : EXIT_FAILED;
	}
	(void)fwrite(buf_str(&answer).p, 1, answer.n, stdout);
	return EXIT_OK;
}

int cmd_graph(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct graph_config c = {0};
	const char *what;
	int r = options_read(&cmd_graph_options, &c, argc, argv, &options);

	if (r != OPTIONS_RUN)
		return r;
	what = c.dangling || !options_args(options).n ? NULL : options_args(options).v[0];
	if (!what && !c.dangling) {
		fprintf(stderr,
			"kindred graph: KIND/NAMESPACE/NAME is missing; --help tells more\n");
		return EXIT_USAGE;
	}
	return c.store ? show(&c, what) : show_agents(&c, what);
}
