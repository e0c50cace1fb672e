/*
 * The graph in Neo4j, by its HTTP transaction endpoint: POST /db/NAME/tx/commit. Each
 * batch is one transaction. A 200 may hold errors: transient ones are tried again,
 * those of the client's making halve the batch.
 */
#include "base/mem.h"
#include "sink/graph/backends.h"
#include "sink/graph/cypher.h"
#include "sink/vector/service_http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define REQUEST_MAX ((size_t)32 << 20)
#define ANSWER_MAX  ((size_t)1 << 20)
#define PATH_MAX_DB 256

struct neo4j_backend {
	struct graph_backend b;
	struct service *s;
	char path[PATH_MAX_DB];
	bool made;		/* constraints and indexes are there, or cannot be had */
	struct graph_task task; /* goes once they are */
};

static enum vector_outcome outcome_of(const char *code)
{
	struct str c = str_of(code);

	if (str_starts(c, STR("Neo.ClientError.Security.")))
		return VECTOR_REFUSED;
	if (str_starts(c, STR("Neo.ClientError.Database.")))
		return VECTOR_GONE;
	if (str_starts(c, STR("Neo.ClientError.")))
		return VECTOR_SPLIT;
	return VECTOR_RETRY; /* TransientError, DatabaseError */
}

/* What an answer says, with the words of its first error in `words`. */
static struct vector_end end_of(const struct service_answer *a, char *words, size_t n)
{
	const json_t *first = json_array_get(json_object_get(a->json, "errors"), 0);
	const char *code = json_string_value(json_object_get(first, "code"));
	const char *message = json_string_value(json_object_get(first, "message"));
	struct vector_end end = a->end;

	if (end.how != VECTOR_OK)
		return end;
	if (!json_is_array(json_object_get(a->json, "errors"))) {
		end.how = VECTOR_RETRY;
		end.text = STR("graph: the answer is none of Neo4j's");
	} else if (first) {
		(void)snprintf(words, n, "graph: %.100s: %.300s", code ? code : "?",
			       message ? message : "");
		end.how = outcome_of(code ? code : "");
		end.text = str_of(words);
	}
	return end;
}

static int ask(struct neo4j_backend *n, void (*done)(void *ctx, const struct service_answer *a))
{
	return service_ask(n->s, &(struct service_request){.what = "graph",
							   .method = "POST",
							   .path = str_of(n->path),
							   .body = true,
							   .json = true,
							   .done = done,
							   .ctx = n});
}

static void on_done(void *ctx, const struct service_answer *a)
{
	struct neo4j_backend *n = ctx;
	char words[512];
	struct vector_end end = end_of(a, words, sizeof(words));

	n->task.done(n->task.ctx, &end);
}

static int go(struct neo4j_backend *n)
{
	const struct graph_task *t = &n->task;
	struct buf *b = service_body(n->s);
	int r = t->items ? cypher_write(b, n->b.cluster, n->b.epoch, t->items, t->n)
			 : cypher_sweep(b, n->b.cluster, n->b.epoch, str_of(t->group),
					str_of(t->kind));

	return r < 0 ? r : ask(n, on_done);
}

static void tell_errno(struct neo4j_backend *n, int r)
{
	struct vector_end end = {.how = r == -EMSGSIZE ? VECTOR_SPLIT : VECTOR_RETRY,
				 .text = str_of(strerror(-r))};

	n->task.done(n->task.ctx, &end);
}

/* Without constraints all works, but slowly: who may not make them has somebody who may. */
static void on_schema(void *ctx, const struct service_answer *a)
{
	struct neo4j_backend *n = ctx;
	char words[512];
	struct vector_end end = end_of(a, words, sizeof(words));
	int r;

	if (end.how != VECTOR_OK && (a->end.how != VECTOR_OK || end.how == VECTOR_RETRY)) {
		n->task.done(n->task.ctx, &end);
		return;
	}
	n->made = true;
	r = go(n);
	if (r < 0)
		tell_errno(n, r);
}

static int start(struct neo4j_backend *n)
{
	int r;

	if (n->made)
		return go(n);
	r = cypher_schema(service_body(n->s));
	return r < 0 ? r : ask(n, on_schema);
}

static int write_items(struct graph_backend *b, const struct relay_item *items, uint32_t count,
		       graph_done done, void *ctx)
{
	struct neo4j_backend *n = (struct neo4j_backend *)b;

	graph_task_write(&n->task, items, count, done, ctx);
	return start(n);
}

static int sweep(struct graph_backend *b, struct str group, struct str kind, graph_done done,
		 void *ctx)
{
	struct neo4j_backend *n = (struct neo4j_backend *)b;

	graph_task_sweep(&n->task, group, kind, done, ctx);
	return start(n);
}

static void cancel(struct graph_backend *b)
{
	service_cancel(((struct neo4j_backend *)b)->s);
}

static void free_backend(struct graph_backend *b)
{
	struct neo4j_backend *n = (struct neo4j_backend *)b;

	service_free(&n->s);
	free(n);
}

/* Splits "http://host:7474/db/graph" into the server and "/db/graph/tx/commit". */
static int set_path(struct neo4j_backend *n, struct str *url)
{
	const char *db = url->n ? memmem(url->p, url->n, "/db/", 4) : NULL;
	struct str name = db ? str_from(*url, (size_t)(db - url->p) + 4) : STR("neo4j");

	if (db)
		url->n = (size_t)(db - url->p);
	while (name.n && name.p[name.n - 1] == '/')
		name.n--;
	if (!name.n || name.n > 63 || memchr(name.p, '/', name.n) || memchr(name.p, '?', name.n))
		return -EINVAL;
	(void)snprintf(n->path, sizeof(n->path), "/db/%.*s/tx/commit", STR_ARG(name));
	return 0;
}

int graph_neo4j_new(const struct graph_backend_opts *o, struct str url, struct graph_backend **ret,
		    struct buf *ret_error)
{
	static const struct graph_backend_ops ops = {
		.write = write_items, .sweep = sweep, .cancel = cancel, .free = free_backend};
	struct neo4j_backend *n = calloc(1, sizeof(*n));
	struct service_opts s = {.base = o->base,
				 .http = o->http,
				 .max_request = REQUEST_MAX,
				 .max_answer = ANSWER_MAX};
	int r;

	if (!n)
		return -ENOMEM;
	n->b.ops = &ops;
	if (o->access)
		s.access = *o->access;
	r = set_path(n, &url);
	if (r < 0)
		(void)buf_printf(ret_error,
				 "'%.*s': a database is named by http://HOST:7474/db/NAME",
				 STR_ARG(o->spec));
	s.url = url;
	r = r < 0 ? r : service_new(&s, &n->s, ret_error);
	if (r < 0) {
		free(n);
		return r;
	}
	*ret = &n->b;
	return 0;
}
