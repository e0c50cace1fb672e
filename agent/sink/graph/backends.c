#include "sink/graph/backends.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

static int by_spec(const struct graph_backend_opts *o, struct graph_backend **ret,
		   struct buf *ret_error)
{
	struct str rest = o->spec, kind;

	if (str_eq(o->spec, STR("-")))
		return graph_jsonl_new(o->base, o->spec, ret, ret_error);
	if (str_split(&rest, ':', &kind) && rest.n) {
		if (str_eq(kind, STR("sqlite")) && o->worker)
			return graph_sqlite_new(o->worker, ret);
		if (str_eq(kind, STR("jsonl")))
			return graph_jsonl_new(o->base, rest, ret, ret_error);
		if (str_eq(kind, STR("neo4j")) && o->http)
			return graph_neo4j_new(o, rest, ret, ret_error);
	}
	(void)buf_printf(ret_error, "'%.*s' is none of sqlite:FILE, jsonl:FILE, - and neo4j:URL",
			 STR_ARG(o->spec));
	return -EINVAL;
}

int graph_backend_new(const struct graph_backend_opts *o, struct graph_backend **ret,
		      struct buf *ret_error)
{
	struct graph_backend *b;
	_free_ char *cluster = str_dup(o->cluster);
	int r = cluster ? by_spec(o, &b, ret_error) : -ENOMEM;

	if (r < 0)
		return r;
	b->cluster = str_make(cluster, o->cluster.n);
	cluster = NULL;
	b->epoch = o->epoch;
	*ret = b;
	return 0;
}

void graph_backend_drop(struct graph_backend *b)
{
	if (b->ops->drop)
		b->ops->drop(b);
}

void graph_backend_free(struct graph_backend **b)
{
	char *cluster;

	if (!*b)
		return;
	cluster = (char *)(uintptr_t)(*b)->cluster.p; /* str_dup's */
	(*b)->ops->free(*b);
	free(cluster);
	*b = NULL;
}

/* ---- tasks ---- */

void graph_task_write(struct graph_task *t, const struct relay_item *items, uint32_t n,
		      graph_done done, void *ctx)
{
	*t = (struct graph_task){.items = items, .n = n, .done = done, .ctx = ctx};
}

void graph_task_sweep(struct graph_task *t, struct str group, struct str kind, graph_done done,
		      void *ctx)
{
	*t = (struct graph_task){.done = done, .ctx = ctx};
	(void)snprintf(t->group, sizeof(t->group), "%.*s", STR_ARG(group));
	(void)snprintf(t->kind, sizeof(t->kind), "%.*s", STR_ARG(kind));
}
