#include "sink/graph/graph_query.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "sink/graph/query_parts.h"
#include "sink/sqlite/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

/* One direction, breadth first: of each node the steps are taken once. */
static void walk(struct asking *q, uint32_t depth, bool inward)
{
	_free_ uint32_t *queue = calloc(GRAPH_MAX_ANSWER + 1, sizeof(*queue));
	_free_ bool *seen = calloc(GRAPH_MAX_ANSWER + 1, sizeof(*seen));
	uint32_t n = 1, at = 0, end;

	if (!queue || !seen) {
		q->r = -ENOMEM;
		return;
	}
	seen[0] = true;
	for (; depth && at < n && q->r == 0; depth--) {
		for (end = n; at < end && q->r == 0; at++) {
			uint32_t here = queue[at], before = q->a.n_edges;

			asking_step(q, here, inward);
			for (uint32_t i = before; i < q->a.n_edges; i++) {
				uint32_t next = inward ? q->a.edges[i].from : q->a.edges[i].to;

				if (!seen[next])
					queue[n++] = next;
				seen[next] = true;
			}
		}
	}
}

/* ---- where to begin ---- */

struct wanted {
	struct str kind, group, ns, name;
	bool any_ns;
};

static int parse(struct str what, struct wanted *ret)
{
	struct str rest = what, part;

	*ret = (struct wanted){.any_ns = true};
	if (!str_split(&rest, '/', &ret->kind) || !ret->kind.n || !rest.n)
		return -EINVAL;
	part = ret->kind;
	if (str_split(&part, '.', &ret->kind))
		ret->group = part;
	ret->name = rest;
	if (str_ieq(ret->kind, STR("Image")) || str_ieq(ret->kind, STR("OCIArtifact"))) {
		ret->name = str_starts(rest, STR("/")) ? str_from(rest, 1) : rest;
		return 0;
	}
	if (!str_split(&rest, '/', &part))
		return 0;
	ret->any_ns = false;
	ret->ns = part;
	ret->name = rest;
	return ret->name.n ? 0 : -EINVAL;
}

static int begin(struct asking *q, const struct graph_query *query)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	struct wanted w;
	int r = parse(query->what, &w);

	if (r < 0)
		return db_say(q->db, q->error, r, "'%.*s' is not KIND/NAMESPACE/NAME or KIND/NAME",
			      STR_ARG(query->what));
	r = db_prepare(q->db,
		       "SELECT " GRAPH_NODE " FROM graph_node n WHERE n.name=?1"
		       " AND (?2='' OR n.cluster=?2) AND (?3 OR n.namespace=?4)"
		       " AND (?5='' OR n.api_group=?5)"
		       " AND ?6 COLLATE NOCASE IN (n.kind, n.kind||'s', n.kind||'es',"
		       "  substr(n.kind, 1, length(n.kind)-1)||'ies')"
		       " ORDER BY n.present<>1, n.present, n.api_group LIMIT 3",
		       false, &s, q->error);
	if (r < 0)
		return r;
	db_bind_some(s, 1, w.name);
	db_bind_some(s, 2, query->cluster);
	(void)sqlite3_bind_int(s, 3, w.any_ns);
	db_bind_some(s, 4, w.ns);
	db_bind_some(s, 5, w.group);
	db_bind_some(s, 6, w.kind);
	while ((r = db_step(s, q->error)) == 1)
		(void)asking_node(q, s);
	if (r < 0 || q->r < 0)
		return r < 0 ? r : q->r;
	if (!q->a.n_nodes)
		return db_say(q->db, q->error, -ENOENT, "the graph has no %.*s",
			      STR_ARG(query->what));
	if (q->a.n_nodes > 1 && w.any_ns && q->a.nodes[1].present == q->a.nodes[0].present)
		return db_say(q->db, q->error, -EINVAL,
			      "'%.*s' is in %.*s and in %.*s: name the namespace",
			      STR_ARG(query->what), STR_ARG(q->a.nodes[0].ref.ns),
			      STR_ARG(q->a.nodes[1].ref.ns));
	q->a.n_nodes = 1;
	return 0;
}

int graph_ask(struct sqlite3 *db, const struct graph_query *query, struct buf *ret,
	      struct buf *error)
{
	struct asking q;
	bool both = query->in == query->out;
	uint32_t depth = query->depth ? MIN(query->depth, (uint32_t)GRAPH_MAX_DEPTH) : 1;
	int r;

	asking_begin(&q, db, error);
	r = begin(&q, query);
	if (r == 0 && (both || query->out))
		walk(&q, depth, false);
	if (r == 0 && (both || query->in))
		walk(&q, depth, true);
	r = r < 0 ? r : q.r;
	if (r == 0)
		r = answer_print(&q.a, query->output, ret);
	asking_done(&q);
	return r;
}

/* ---- what leads nowhere ---- */

static int put_dangling(struct sqlite3_stmt *s, enum graph_output output, struct buf *ret)
{
	struct graph_ref from = {.kind = db_text(s, 1),
				 .ns = db_text(s, 2),
				 .name = db_text(s, 3),
				 .group = db_text(s, 4)};
	struct graph_ref to = {.kind = db_text(s, 5),
			       .ns = db_text(s, 6),
			       .name = db_text(s, 7),
			       .group = db_text(s, 8)};
	_buf_ struct buf a = {.max = 8192}, b = {.max = 8192};
	struct json_out j = {.out = ret};
	int r = graph_ref_put(&a, &from);

	r = r < 0 ? r : graph_ref_put(&b, &to);
	if (r < 0)
		return r;
	if (output != GRAPH_JSON)
		return buf_printf(ret, "%.*s %.*s -> %.*s (%.*s)\n", STR_ARG(db_text(s, 0)),
				  STR_ARG(buf_str(&a)), STR_ARG(buf_str(&b)),
				  STR_ARG(db_text(s, 9)));
	json_open(&j, NULL, '{');
	json_text(&j, "type", db_text(s, 0));
	json_text(&j, "from", buf_str(&a));
	json_text(&j, "to", buf_str(&b));
	json_some(&j, "via", db_text(s, 9));
	json_close(&j, '{');
	return j.r < 0 ? j.r : buf_append_str(ret, STR("\n"));
}

int graph_dangling(struct sqlite3 *db, struct str cluster, enum graph_output output,
		   struct buf *ret, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db,
			   "SELECT e.type, a.kind, a.namespace, a.name, a.api_group,"
			   "  b.kind, b.namespace, b.name, b.api_group, e.via"
			   " FROM graph_node b JOIN graph_kind k ON k.cluster=b.cluster"
			   "  AND k.api_group=b.api_group AND k.kind=b.kind"
			   " JOIN graph_edge e ON e.dst=b.id JOIN graph_node a ON a.id=e.src"
			   " WHERE b.present=0 AND (?1='' OR b.cluster=?1)"
			   " ORDER BY b.kind, b.namespace, b.name, a.kind, a.namespace, a.name"
			   " LIMIT ?2",
			   false, &s, error);

	if (r < 0)
		return r;
	db_bind_some(s, 1, cluster);
	(void)sqlite3_bind_int(s, 2, GRAPH_MAX_DANGLING);
	while ((r = db_step(s, error)) == 1) {
		r = put_dangling(s, output, ret);
		if (r < 0)
			return r;
	}
	return r;
}
