/* Answers from the graph; see graph_api.h. */
#include "serve/graph_api.h"

#include "base/mem.h"
#include "serve/parts.h"
#include "sink/graph/graph_query.h"
#include "sink/sqlite/worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define GRAPH_ANSWER_MAX (64UL << 20)

struct graph_job { /* one question */
	struct serve *serve;
	struct web_client *client; /* NULL: it has hung up */
	struct graph_job *next, **at;
	char what[FILTER_TEXT_MAX], cluster[FILTER_TEXT_MAX];
	bool in, out, dangling;
	uint32_t depth;
	enum graph_output output;
	struct buf answer;
};

static void job_free(struct graph_job *j)
{
	if (j->at) {
		*j->at = j->next;
		if (j->next)
			j->next->at = j->at;
	}
	buf_done(&j->answer);
	free(j);
}

/* ---- on the worker's thread ------------------------------------------------------------------ */

static int job_run(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct graph_job *j = ctx;
	const struct graph_query q = {.what = str_of(j->what),
				      .cluster = str_of(j->cluster),
				      .in = j->in,
				      .out = j->out,
				      .depth = j->depth,
				      .output = j->output};

	return j->dangling ? graph_dangling(db, q.cluster, q.output, &j->answer, error)
			   : graph_ask(db, &q, &j->answer, error);
}

/* ---- on the loop ----------------------------------------------------------------------------- */

static void job_done(void *ctx, int r, struct str error)
{
	struct graph_job *j = ctx;
	struct web_client *c = j->client;

	if (c && r == 0)
		web_reply(c, 200,
			  j->output != GRAPH_JSON ? TYPE_TEXT
			  : j->dangling		  ? TYPE_JSON_LINES
						  : TYPE_JSON,
			  buf_str(&j->answer));
	else if (c)
		serve_error(c,
			    r == -ENOENT   ? 404
			    : r == -EINVAL ? 400
					   : 500,
			    error.n ? error : str_of(strerror(-r)));
	job_free(j);
}

static void on_gone(void *ctx)
{
	((struct graph_job *)ctx)->client = NULL;
}

void serve_graph_done(struct serve *s, struct str words)
{
	while (s->graph_jobs) {
		struct graph_job *j = s->graph_jobs;

		worker_cancel(s->o.graph, j);
		if (j->client && words.n)
			serve_error(j->client, 503, words);
		job_free(j);
	}
}

/* ---- the question ---------------------------------------------------------------------------- */

static bool take_output(struct graph_job *j, const char *value)
{
	static const char *const names[] = {
		[GRAPH_TREE] = "tree", [GRAPH_DOT] = "dot", [GRAPH_JSON] = "json"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(value, names[i]) == 0) {
			j->output = (enum graph_output)i;
			return true;
		}
	return false;
}

static bool take(struct graph_job *j, const char *name, const char *value)
{
	unsigned long long n = 0;
	bool is_number = str_to_u64(str_of(value), &n) == 0;

	if (strcmp(name, "q") == 0)
		memcpy(j->what, value, strlen(value) + 1);
	else if (strcmp(name, "cluster") == 0)
		memcpy(j->cluster, value, strlen(value) + 1);
	else if (strcmp(name, "output") == 0)
		return take_output(j, value);
	else if (!is_number)
		return false;
	else if (strcmp(name, "in") == 0)
		j->in = n;
	else if (strcmp(name, "out") == 0)
		j->out = n;
	else if (strcmp(name, "dangling") == 0)
		j->dangling = n;
	else if (strcmp(name, "depth") == 0 && n >= 1 && n <= GRAPH_MAX_DEPTH)
		j->depth = (uint32_t)n;
	else
		return false;
	return true;
}

static int take_query(struct graph_job *j, struct str query, struct buf *words)
{
	char name[FILTER_TEXT_MAX], value[FILTER_TEXT_MAX];
	int r;

	while ((r = query_next(&query, name, value)) > 0)
		if (!take(j, name, value)) {
			(void)buf_printf(words,
					 "\"%s=%s\" is not understood; there are q, in, out, "
					 "depth, dangling, cluster and output",
					 name, value);
			return -EINVAL;
		}
	if (r == 0 && !j->what[0] && !j->dangling) {
		(void)buf_append_str(words, STR("q=KIND/NAMESPACE/NAME is missing"));
		return -EINVAL;
	}
	return r;
}

static void job_begin(struct serve *s, struct web_client *c, struct graph_job *j)
{
	const struct worker_job job = {.run = job_run, .done = job_done, .ctx = j, .reads = true};

	if (worker_put(s->o.graph, &job) < 0) {
		serve_error(c, 503, STR("the graph's file has too much to do just now"));
		job_free(j);
		return;
	}
	j->serve = s;
	j->client = c;
	j->next = s->graph_jobs;
	j->at = &s->graph_jobs;
	if (j->next)
		j->next->at = &j->next;
	s->graph_jobs = j;
	web_defer(c, on_gone, j);
}

void serve_graph(struct serve *s, struct web_client *c, const struct web_request *r)
{
	_buf_ struct buf words = {.max = 4096};
	struct graph_job *j;

	if (!s->o.graph) {
		serve_error(c, 503, STR("no graph is kept in a file: see --graph sqlite:FILE"));
		return;
	}
	j = calloc(1, sizeof(*j));
	if (!j) {
		serve_error(c, 503, STR("out of memory"));
		return;
	}
	j->depth = 1;
	buf_init(&j->answer, GRAPH_ANSWER_MAX);
	if (take_query(j, r->query, &words) < 0) {
		serve_error(c, 400, words.n ? buf_str(&words) : STR("this is no query"));
		job_free(j);
	} else {
		job_begin(s, c, j);
	}
}
