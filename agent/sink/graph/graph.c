#include "sink/graph/graph.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

struct graph {
	struct graph_opts o;
	struct relay *relay;
	uint64_t lost; /* tombstones, when it was looked last */
	store_kind sweeping;
	bool swept[STORE_MAX_KINDS + 1];
};

static int make(void *ctx, struct arena *a, struct relay_item *item, uint64_t *ret_hash)
{
	struct graph_made *made;
	int r;

	(void)ctx;
	if (item->action == RELAY_DELETED)
		return 0;
	made = arena_alloc(a, sizeof(*made));
	if (!made)
		return -ENOMEM;
	*made = (struct graph_made){0};
	r = edges_of(item->object, a, &made->set);
	if (r == 0)
		r = graph_state_of(item->object, a, item->time, &made->state);
	if (r < 0)
		return r;
	made->hash = edges_hash(&made->set, made->state.json);
	item->made = made;
	*ret_hash = made->hash;
	return 0;
}

static void on_done(void *ctx, const struct vector_end *end)
{
	struct graph *g = ctx;

	if (g->sweeping)
		g->swept[g->sweeping] = end->how == VECTOR_OK;
	g->sweeping = 0;
	relay_done(g->relay, g->o.now(g->o.ctx), end);
}

static int write_items(void *ctx, const struct relay_item *items, uint32_t n)
{
	struct graph *g = ctx;

	return g->o.backend->ops->write(g->o.backend, items, n, on_done, g);
}

/* A kind that is complete: what its list did not name is gone. */
static bool sweep(void *ctx)
{
	struct graph *g = ctx;
	struct store_kind_view v;

	if (!g->o.backend->ops->sweep)
		return false;
	for (store_kind k = store_kind_next(g->o.store, 0); k; k = store_kind_next(g->o.store, k)) {
		if (k > STORE_MAX_KINDS || g->swept[k] || !store_kind_get(g->o.store, k, &v) ||
		    v.sync != STORE_SYNCED)
			continue;
		if (g->o.backend->ops->sweep(g->o.backend, v.group, v.kind, on_done, g) < 0)
			return false;
		g->sweeping = k;
		return true;
	}
	return false;
}

static void wake(void *ctx)
{
	struct graph *g = ctx;

	if (g->o.wake)
		g->o.wake(g->o.ctx);
}

int graph_new(const struct graph_opts *o, struct graph **ret)
{
	static const struct relay_ops ops = {.make = make, .write = write_items, .rest = sweep};
	struct graph *g = calloc(1, sizeof(*g));
	struct relay_opts f = {.store = o->store,
			       .filter = o->filter,
			       .batch = o->batch,
			       .hold_initial = o->hold_initial,
			       .seed = o->seed,
			       .ops = &ops,
			       .wake = wake,
			       .ctx = g};
	int r;

	if (!g)
		return -ENOMEM;
	g->o = *o;
	r = relay_new(&f, &g->relay);
	if (r < 0)
		graph_free(&g);
	else
		*ret = g;
	return r;
}

void graph_free(struct graph **g)
{
	if (!*g)
		return;
	(*g)->o.backend->ops->cancel((*g)->o.backend);
	relay_free(&(*g)->relay);
	free(*g);
	*g = NULL;
}

nsec_t graph_run(struct graph *g, nsec_t now, nsec_t wall)
{
	struct relay_status s;

	relay_status(g->relay, &s);
	if (s.lost != g->lost) /* what was deleted is known by comparison alone */
		graph_resync(g);
	g->lost = s.lost;
	return relay_run(g->relay, now, wall);
}

void graph_resync(struct graph *g)
{
	g->o.backend->epoch++;
	memset(g->swept, 0, sizeof(g->swept));
	relay_resync(g->relay);
}

void graph_status(const struct graph *g, struct relay_status *ret)
{
	relay_status(g->relay, ret);
}
