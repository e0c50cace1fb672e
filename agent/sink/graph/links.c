#include "sink/graph/links.h"

#include "base/mem.h"
#include "sink/graph/query_parts.h"
#include "sink/sqlite/db.h"

#include <sqlite3.h>
#include <string.h>

/* The node of an object that is there, as the answer's first. 1: found. */
static int find(struct asking *q, const struct docs_object *o)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(q->db,
			   "SELECT " GRAPH_NODE
			   " FROM graph_node n WHERE n.cluster=?1 AND n.kind=?2"
			   " AND n.namespace=?3 AND n.name=?4 AND n.api_group=?5 AND n.present=1",
			   false, &s, q->error);

	if (r < 0)
		return r;
	db_bind_some(s, 1, o->cluster);
	db_bind_some(s, 2, o->kind);
	db_bind_some(s, 3, o->ns);
	db_bind_some(s, 4, o->name);
	db_bind_some(s, 5, o->group);
	r = db_step(s, q->error);
	return r == 1 && asking_node(q, s) == UINT32_MAX ? q->r : r;
}

/* Who selects pods of the first node: some of its pods stand for all, which have one template. */
static int selectors_of_owned(struct asking *q)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(q->db,
			   "SELECT " GRAPH_NODE " FROM graph_edge a"
			   " LEFT JOIN graph_edge b ON b.src=a.dst AND b.type='OWNS'"
			   " JOIN graph_node n ON n.id=coalesce(b.dst, a.dst)"
			   " WHERE a.src=?1 AND a.type='OWNS' AND n.kind='Pod' LIMIT 4",
			   false, &s, q->error);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(s, 1, q->a.nodes[0].id);
	while (q->r == 0 && (r = db_step(s, q->error)) == 1) {
		uint32_t pod = asking_node(q, s);

		if (pod != UINT32_MAX)
			asking_selectors(q, pod);
	}
	return r;
}

static bool is_mounted(struct str via)
{
	static const char volume[] = "volumes[";

	return via.n && memmem(via.p, via.n, volume, sizeof(volume) - 1);
}

/* Whether an edge before it says the same: several of an object's pods are selected alike. */
static bool is_told(const struct answer *a, uint32_t i)
{
	const struct found_edge *e = &a->edges[i];

	for (uint32_t k = 0; k < i; k++) {
		const struct found_edge *o = &a->edges[k];

		if (o->selector.n && o->from == e->from && str_eq(o->type, e->type))
			return true;
	}
	return false;
}

static int tell(const struct asking *q, bool in, int (*link)(void *ctx, const struct docs_link *l),
		void *ctx)
{
	int r = 0;

	for (uint32_t i = 0; i < q->a.n_edges && r == 0; i++) {
		const struct found_edge *e = &q->a.edges[i];
		const struct found_node *n = &q->a.nodes[in ? e->from : e->to];
		const struct docs_link l = {
			.type = e->type,
			.other = {.cluster = n->cluster,
				  .group = n->ref.group,
				  .kind = n->ref.kind,
				  .ns = n->ref.ns,
				  .name = n->ref.name},
			.mounted = is_mounted(e->via),
		};

		r = in && e->selector.n && is_told(&q->a, i) ? 0 : link(ctx, &l);
	}
	return r;
}

int graph_links(struct sqlite3 *db, const struct docs_object *o, bool in,
		int (*link)(void *ctx, const struct docs_link *l), void *ctx, struct buf *error)
{
	struct asking q;
	int r, known;

	asking_begin(&q, db, error);
	r = known = find(&q, o);
	if (r > 0) {
		asking_step(&q, 0, in);
		r = in ? selectors_of_owned(&q) : 0;
		r = q.r < 0 ? q.r : r;
	}
	if (known > 0 && r >= 0)
		r = tell(&q, in, link, ctx);
	asking_done(&q);
	return r ? r : known;
}
