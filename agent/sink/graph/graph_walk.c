/*
 * Steps over the graph's rows: which edges lead from a node and to it. Selectors are resolved
 * against the pods that there are now.
 */
#include "base/mem.h"
#include "sink/graph/query_parts.h"
#include "sink/graph/selector.h"
#include "sink/sqlite/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <string.h>

#define ARENA_MAX  ((size_t)256 << 20)
#define MAX_EDGES  (8u * GRAPH_MAX_ANSWER)
#define MAX_LABELS 128 /* of one pod */

enum sql { OUT, IN, PODS, POD_LABELS, SELECTORS, _SQL_MAX };
_Static_assert(_SQL_MAX == ARRAY_SIZE(((struct asking *)NULL)->sql), "a statement each");

static const char *const texts[_SQL_MAX] = {
	[OUT] = "SELECT " GRAPH_NODE ", e.type, e.selector, e.via, e.props FROM graph_edge e"
		" JOIN graph_node n ON n.id=e.dst WHERE e.src=?1"
		" ORDER BY e.type, n.kind, n.namespace, n.name, n.id, e.source",
	[IN] = "SELECT " GRAPH_NODE ", e.type, e.selector, e.via, e.props FROM graph_edge e"
	       " JOIN graph_node n ON n.id=e.src WHERE e.dst=?1"
	       " ORDER BY e.type, n.kind, n.namespace, n.name, n.id, e.source",
	[PODS] = "SELECT " GRAPH_NODE " FROM graph_node n WHERE n.cluster=?1 AND n.kind='Pod'"
		 " AND n.namespace=?2 AND n.api_group='' AND n.present=1 ORDER BY n.name",
	[POD_LABELS] = "SELECT key, value FROM graph_label WHERE node=?1",
	[SELECTORS] = "SELECT " GRAPH_NODE ", e.type, e.selector, e.via, e.props FROM graph_node p"
		      " JOIN graph_edge e ON e.dst=p.id JOIN graph_node n ON n.id=e.src"
		      " WHERE p.cluster=?1 AND p.kind='Pod' AND p.namespace=?2 AND p.name=''"
		      " AND p.api_group='' AND e.selector<>'' ORDER BY n.kind, n.name",
};

/* ---- the answer grows ---- */

static struct str keep(struct asking *q, struct str s)
{
	struct str kept = {0};

	if (q->r == 0 && s.n)
		q->r = arena_dup(&q->a.arena, s, &kept);
	return kept;
}

/* Room for one more; NULL when memory is short. */
static void *grow(struct asking *q, void *list, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap ? 2 * *cap : 64;
	void *grown;

	if (n < *cap)
		return list;
	grown = arena_alloc(&q->a.arena, more * size);
	if (!grown) {
		q->r = -ENOMEM;
		return NULL;
	}
	if (n)
		memcpy(grown, list, n * size);
	*cap = more;
	return grown;
}

uint32_t asking_node(struct asking *q, struct sqlite3_stmt *s)
{
	struct answer *a = &q->a;
	int64_t id = sqlite3_column_int64(s, 0);
	struct found_node *list;

	for (uint32_t i = 0; i < a->n_nodes; i++)
		if (a->nodes[i].id == id)
			return i;
	if (a->n_nodes == GRAPH_MAX_ANSWER) {
		a->cut = true;
		return UINT32_MAX;
	}
	list = grow(q, a->nodes, a->n_nodes, &a->nodes_cap, sizeof(*list));
	if (!list)
		return UINT32_MAX;
	a->nodes = list;
	list[a->n_nodes] = (struct found_node){
		.id = id,
		.ref = {.kind = keep(q, db_text(s, 1)),
			.ns = keep(q, db_text(s, 2)),
			.name = keep(q, db_text(s, 3)),
			.group = keep(q, db_text(s, 4))},
		.present = sqlite3_column_int(s, 5),
		.uid = keep(q, db_text(s, 6)),
		.props = keep(q, db_text(s, 7)),
		.since = keep(q, db_text(s, 8)),
		.state = keep(q, db_text(s, 9)),
		.cluster = keep(q, db_text(s, 10)),
		.dangling = sqlite3_column_int(s, 11),
	};
	return a->n_nodes++;
}

static void take_edge(struct asking *q, struct found_edge e)
{
	struct answer *a = &q->a;
	struct found_edge *list;

	for (uint32_t i = 0; i < a->n_edges; i++) /* found from both ends */
		if (a->edges[i].from == e.from && a->edges[i].to == e.to &&
		    str_eq(a->edges[i].type, e.type) && str_eq(a->edges[i].selector, e.selector))
			return;
	if (a->n_edges == MAX_EDGES) {
		a->cut = true;
		return;
	}
	list = grow(q, a->edges, a->n_edges, &a->edges_cap, sizeof(*list));
	if (!list)
		return;
	a->edges = list;
	list[a->n_edges++] = e;
}

static struct found_edge edge_of(struct asking *q, struct sqlite3_stmt *s, bool inward)
{
	return (struct found_edge){
		.inward = inward,
		.type = keep(q, db_text(s, GRAPH_NODE_COLUMNS)),
		.selector = keep(q, db_text(s, GRAPH_NODE_COLUMNS + 1)),
		.via = keep(q, db_text(s, GRAPH_NODE_COLUMNS + 2)),
		.props = keep(q, db_text(s, GRAPH_NODE_COLUMNS + 3)),
	};
}

/* The statement, made when it is the first time; NULL: q->r says why not. */
static struct sqlite3_stmt *statement(struct asking *q, enum sql which)
{
	if (!q->sql[which] && q->r == 0)
		q->r = db_prepare(q->db, texts[which], false, &q->sql[which], q->error);
	return q->r < 0 ? NULL : q->sql[which];
}

/* The edge to or from the node of the row. */
static void take(struct asking *q, struct sqlite3_stmt *s, uint32_t here, struct found_edge e)
{
	uint32_t other = asking_node(q, s);

	if (other == UINT32_MAX)
		return;
	e.from = e.inward ? other : here;
	e.to = e.inward ? here : other;
	take_edge(q, e);
}

static void done_with(struct asking *q, struct sqlite3_stmt *s, int r)
{
	(void)sqlite3_reset(s);
	q->r = q->r < 0 ? q->r : MIN(r, 0);
}

/* ---- selectors ---- */

static uint32_t labels_of(struct asking *q, int64_t id, struct graph_label *ret)
{
	struct sqlite3_stmt *s = statement(q, POD_LABELS);
	uint32_t n = 0;
	int r = 0;

	if (!s)
		return 0;
	(void)sqlite3_bind_int64(s, 1, id);
	while ((r = db_step(s, q->error)) == 1 && n < MAX_LABELS && q->r == 0)
		ret[n++] = (struct graph_label){.key = keep(q, db_text(s, 0)),
						.value = keep(q, db_text(s, 1))};
	done_with(q, s, r);
	return n;
}

/* Of a selector's edge: the pods in this namespace that it selects now. */
static void selected(struct asking *q, uint32_t from, struct str ns, struct found_edge e)
{
	struct sqlite3_stmt *s = statement(q, PODS);
	struct graph_label labels[MAX_LABELS];
	int r = 0;

	if (!s)
		return;
	db_bind_some(s, 1, q->a.nodes[from].cluster);
	db_bind_some(s, 2, ns);
	while (q->r == 0 && (r = db_step(s, q->error)) == 1) {
		uint32_t n = labels_of(q, sqlite3_column_int64(s, 0), labels);

		if (selector_matches(e.selector, labels, n))
			take(q, s, from, e);
	}
	done_with(q, s, r);
}

void asking_selectors(struct asking *q, uint32_t pod)
{
	struct sqlite3_stmt *s = statement(q, SELECTORS);
	struct found_node n = q->a.nodes[pod];
	struct graph_label labels[MAX_LABELS];
	uint32_t n_labels = labels_of(q, n.id, labels);
	int r = 0;

	if (!s)
		return;
	db_bind_some(s, 1, n.cluster);
	db_bind_some(s, 2, n.ref.ns);
	while (q->r == 0 && (r = db_step(s, q->error)) == 1) {
		struct found_edge e = edge_of(q, s, true);

		if (selector_matches(e.selector, labels, n_labels))
			take(q, s, pod, e);
	}
	done_with(q, s, r);
}

/* ---- steps ---- */

void asking_step(struct asking *q, uint32_t here, bool inward)
{
	struct sqlite3_stmt *s = statement(q, inward ? IN : OUT);
	int r = 0;

	if (!s)
		return;
	(void)sqlite3_bind_int64(s, 1, q->a.nodes[here].id);
	while (q->r == 0 && (r = db_step(s, q->error)) == 1) {
		struct found_edge e = edge_of(q, s, inward);

		if (e.selector.n && !inward)
			selected(q, here, keep(q, db_text(s, 2)), e);
		else
			take(q, s, here, e);
	}
	done_with(q, s, r);
	if (inward && str_eq(q->a.nodes[here].ref.kind, STR("Pod")) &&
	    !q->a.nodes[here].ref.group.n)
		asking_selectors(q, here);
}

/* ---- birth and end ---- */

void asking_begin(struct asking *q, struct sqlite3 *db, struct buf *error)
{
	*q = (struct asking){.db = db, .error = error};
	arena_init(&q->a.arena, ARENA_MAX);
}

void asking_done(struct asking *q)
{
	for (int i = 0; i < _SQL_MAX; i++)
		db_finalize(&q->sql[i]);
	arena_done(&q->a.arena);
}
