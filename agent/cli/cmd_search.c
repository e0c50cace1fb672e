/*
 * kindred search: finds documents of the cluster by words, in the database of the running
 * agent or in a store's file.
 */
#include "cli/cmd_search.h"

#include "base/json_in.h"
#include "base/mem.h"
#include "cli/ask.h"
#include "cli/cmd_help.h"
#include "cli/options_read.h"
#include "cli/output.h"
#include "cli/search_table.h"
#include "sink/graph/links.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/docs.h"
#include "sink/vector/embed_hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define BODY_MAX   (8UL << 20)
#define TARGET_MAX 8192
#define WORDS_TEXT 1024 /* bytes of the question */

struct search_config {
	const char *kind, *ns, *store, *collection;
	struct ask_where where;
	uint32_t limit;
	int output;
};

#define FIELD(member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(struct search_config, member)

/* clang-format off */
static const struct option_desc descs[] = {
	{.group = "Search",
	 .flag = "--kind", .type = OPTION_STRING, .arg = "KIND", .def_words = "all", FIELD(kind),
	 .help = "Only this kind: Deployment. Case does not matter."},
	{.flag = "--namespace", .type = OPTION_STRING, .arg = "NAME", .def_words = "all", FIELD(ns),
	 .help = "Only this namespace."},
	{.flag = "--limit", .letter = "-n", .type = OPTION_INT, .arg = "N", .def = "10", .min = 1, .max = DOCS_MAX_RESULTS,
	 FIELD(limit), .help = "At most so many."},
	{.flag = "--output", .letter = "-o", .type = OPTION_ENUM, .choices = output_names, .def = "table",
	 FIELD(output), .help = OUTPUT_HELP "."},
	{.flag = "--store", .type = OPTION_STRING, .arg = "FILE", .def_words = "ask the agent", FIELD(store),
	 .help = "Reads a file of --vector sqlite:FILE, also while an agent writes it."},
	{.flag = "--collection", .type = OPTION_STRING, .arg = "NAME", .def_words = "kindred, or the only one",
	 FIELD(collection), .help = "Of --store: which of its collections."},
	ASK_OPTIONS(struct search_config, where),
};
/* clang-format on */

const struct option_table cmd_search_options = {
	.command = "kindred search",
	.args = "WORDS",
	.about = "Finds the objects of the cluster that the words say most of: by the words "
		 "themselves, "
		 "and by vectors.",
	.after = "Exit code 1: nothing was found; 2: the question is not understood; 3: no agent "
		 "answers; --store FILE asks none.",
	.v = descs,
	.n = ARRAY_SIZE(descs),
	.args_max = 32,
};

/* ---- printing -------------------------------------------------------------------------------- */

static int print_table(const json_t *hits, struct str words, bool wide)
{
	_buf_ struct buf out = {.max = BODY_MAX};
	const struct search_look look = {.question = words,
					 .width = wide ? 0 : term_width(),
					 .wide = wide,
					 .bold = term_colours()};
	int r = search_table(hits, &look, &out);

	if (r == 0)
		(void)fwrite(buf_str(&out).p, 1, out.n, stdout);
	return r;
}

/* The exit code. */
static int print(const struct search_config *c, struct str words, struct str answer)
{
	_json_ json_t *hits = json_in_parse(answer, 0);
	bool any = json_array_size(hits) > 0;
	int r = json_is_array(hits) ? 0 : -EBADMSG;

	if (r == 0 && c->output == OUTPUT_JSON)
		printf("%.*s\n", STR_ARG(answer));
	else if (r == 0 && any)
		r = print_table(hits, words, c->output == OUTPUT_WIDE);
	else if (r == 0)
		fprintf(stderr, "kindred search: nothing was found\n");
	if (r < 0)
		fprintf(stderr, "kindred search: the answer cannot be read: %s\n", strerror(-r));
	return r == 0 && any ? EXIT_OK : EXIT_FAILED;
}

/* ---- a store's file -------------------------------------------------------------------------- */

static int on_hit(void *ctx, const struct docs_hit *h)
{
	struct buf *out = ctx;
	int r = out->n > 1 ? buf_append_str(out, STR(",")) : 0;

	return r < 0 ? r : docs_hit_json(h, out);
}

/* Vectors of other models than the built-in one would need their service. */
static bool embed_words(struct docs *d, struct str words, float v[EMBED_HASH_MAX_DIM],
			struct docs_query *q, struct buf *error)
{
	struct docs_info info;

	if (docs_info(d, &info, error) < 0 || !str_starts(info.model, STR("hash-v1:")) ||
	    info.dim > EMBED_HASH_MAX_DIM)
		return false;
	embed_hash(words, info.dim, v);
	q->vector = v;
	q->dim = info.dim;
	return true;
}

static int search_file(const struct search_config *c, struct str words, struct buf *answer,
		       struct buf *error)
{
	float v[EMBED_HASH_MAX_DIM];
	_docs_ struct docs *d = NULL;
	_db_ struct sqlite3 *db = NULL;
	struct docs_query q = {.words = words,
			       .kind = str_of(c->kind),
			       .ns = str_of(c->ns),
			       .links = graph_links,
			       .n = c->limit};
	int r = db_open_reader(c->store, &db, error);

	r = r < 0 ? r : docs_find(db, str_of(c->collection), 0, &d, error);
	if (r == 0 && !embed_words(d, words, v, &q, error))
		fprintf(stderr, "kindred search: the store's vectors are of another embedder; "
				"found by words alone\n");
	r = r < 0 ? r : buf_append_str(answer, STR("["));
	r = r < 0 ? r : docs_search(d, &q, on_hit, answer, error);
	return r < 0 ? r : buf_append_str(answer, STR("]"));
}

static int search_store(const struct search_config *c, struct str words)
{
	_buf_ struct buf answer = {.max = BODY_MAX}, error = {.max = DB_ERROR_MAX};
	int r = search_file(c, words, &answer, &error);

	if (r == 0)
		return print(c, words, buf_str(&answer));
	fprintf(stderr, "kindred search: %.*s%s\n",
		STR_ARG(error.n ? buf_str(&error) : str_of(strerror(-r))),
		r == -ENOENT ? "; an agent with --vector sqlite:FILE makes it" : "");
	return EXIT_FAILED;
}

/* ---- the agent ------------------------------------------------------------------------------- */

static int search_agent(const struct search_config *c, const char *words)
{
	_buf_ struct buf target = {.max = TARGET_MAX}, body = {.max = BODY_MAX};
	char limit[16];
	int code, r = buf_append_str(&target, STR("/api/v1/search"));

	(void)snprintf(limit, sizeof(limit), "%u", c->limit);
	r = r ?: ask_param(&target, "q", words);
	r = r ?: ask_param(&target, "n", limit);
	r = r ?: ask_param(&target, "kind", c->kind);
	r = r ?: ask_param(&target, "namespace", c->ns);
	if (r < 0)
		return ask_cannot("kindred search", r);
	code = ask_body("kindred search", &c->where, buf_str(&target), &body);
	return code == EXIT_OK ? print(c, str_of(words), buf_str(&body)) : code;
}

/* ---- the command ----------------------------------------------------------------------------- */

/* The words may come as one argument or as many. */
static int join(struct option_list args, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; i < args.n && r == 0; i++) {
		r = i ? buf_append_str(ret, STR(" ")) : 0;
		r = r < 0 ? r : buf_append_str(ret, str_of(args.v[i]));
	}
	return r < 0 ? r : buf_append(ret, "", 1);
}

static int search(const struct search_config *c, struct option_list args)
{
	_buf_ struct buf words = {.max = WORDS_TEXT};
	int r = join(args, &words);

	if (r < 0)
		return ask_cannot("kindred search", r);
	if (!str_trim(str_of(buf_str(&words).p)).n) {
		fprintf(stderr,
			"kindred search: the words to search for are missing; --help tells more\n");
		return EXIT_USAGE;
	}
	if (c->store)
		return search_store(c, str_of(buf_str(&words).p));
	return search_agent(c, buf_str(&words).p);
}

int cmd_search(int argc, char **argv)
{
	_options_ struct options *options = NULL;
	struct search_config c = {0};
	int r = options_read(&cmd_search_options, &c, argc, argv, &options);

	c.where.hint = "--store FILE reads a store without an agent";
	return r == OPTIONS_RUN ? search(&c, options_args(options)) : r;
}
