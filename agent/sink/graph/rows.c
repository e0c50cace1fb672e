#include "sink/graph/rows.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "sink/sqlite/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdlib.h>

enum sql {
	FIND,
	ADD,
	BE_OBJECT,
	BE_MISSING,
	SAME_HASH,
	EDGES,
	DROP_EDGES,
	ADD_EDGE,
	DROP_LABELS,
	ADD_LABEL,
	PRUNE,
	STATE,
	ADD_CHANGE,
	_SQL_MAX,
};

static const char *const texts[_SQL_MAX] = {
	[FIND] = "SELECT id, uid FROM graph_node WHERE cluster=?1 AND kind=?2 AND namespace=?3"
		 " AND name=?4 AND api_group=?5",
	[ADD] = "INSERT INTO graph_node(cluster, kind, namespace, name, api_group, present, props)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[BE_OBJECT] = "UPDATE graph_node SET present=1, uid=?2, props=?3, since=?4, state=?5,"
		      " hash=?6, epoch=?7 WHERE id=?1",
	[BE_MISSING] = "UPDATE graph_node SET present=0, uid=NULL, props=NULL, since=NULL,"
		       " state=NULL, hash=NULL, epoch=NULL WHERE id=?1",
	[SAME_HASH] = "UPDATE graph_node SET epoch=?3 WHERE id=?1 AND hash=?2 AND present=1",
	[EDGES] = "SELECT src, dst FROM graph_edge WHERE source=?1",
	[DROP_EDGES] = "DELETE FROM graph_edge WHERE source=?1",
	[ADD_EDGE] = "INSERT INTO graph_edge(source, src, type, dst, selector, via, props)"
		     " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[DROP_LABELS] = "DELETE FROM graph_label WHERE node=?1",
	[ADD_LABEL] = "INSERT INTO graph_label(node, key, value) VALUES(?1, ?2, ?3)",
	[PRUNE] = "DELETE FROM graph_node WHERE id=?1 AND present<>1"
		  " AND NOT EXISTS(SELECT 1 FROM graph_edge WHERE src=?1)"
		  " AND NOT EXISTS(SELECT 1 FROM graph_edge WHERE dst=?1)",
	[STATE] = "SELECT state FROM graph_node WHERE id=?1",
	[ADD_CHANGE] = "INSERT INTO graph_change(cluster, kind, namespace, name, uid, action, seen,"
		       " since, state) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
};

struct rows {
	struct sqlite3 *db;
	struct str cluster;
	int64_t epoch;
	struct buf *error;
	struct sqlite3_stmt *sql[_SQL_MAX];
	struct buf touched; /* ids of nodes that lost an edge */
};

static int rows_open(struct rows *w)
{
	int r = 0;

	buf_init(&w->touched, (size_t)64 << 20);
	for (int i = 0; i < _SQL_MAX && r == 0; i++)
		r = db_prepare(w->db, texts[i], false, &w->sql[i], w->error);
	return r;
}

static void rows_close(struct rows *w)
{
	for (int i = 0; i < _SQL_MAX; i++)
		db_finalize(&w->sql[i]);
	buf_done(&w->touched);
}

static void bind_ref(struct rows *w, struct sqlite3_stmt *s, const struct graph_ref *ref)
{
	db_bind_some(s, 1, w->cluster);
	db_bind_some(s, 2, ref->kind);
	db_bind_some(s, 3, ref->ns);
	db_bind_some(s, 4, ref->name);
	db_bind_some(s, 5, ref->group);
}

/* 1 with its id, or 0, also when it is another object of that name than `uid`. */
static int find_node(struct rows *w, const struct graph_ref *ref, struct str uid, int64_t *ret)
{
	struct sqlite3_stmt *s = w->sql[FIND];
	int r;

	bind_ref(w, s, ref);
	r = db_step(s, w->error);
	if (r == 1 && uid.n && !str_eq(db_text(s, 1), uid))
		r = 0;
	if (r == 1)
		*ret = sqlite3_column_int64(s, 0);
	(void)sqlite3_reset(s);
	return r;
}

/* The node of an edge's end, or of a part. */
static int need_node(struct rows *w, const struct graph_ref *ref, struct str props, int64_t *ret)
{
	struct sqlite3_stmt *s = w->sql[ADD];
	int r = find_node(w, ref, (struct str){0}, ret);

	if (r)
		return r < 0 ? r : 0;
	bind_ref(w, s, ref);
	(void)sqlite3_bind_int(s, 6, graph_is_virtual(ref) || !ref->name.n ? 2 : 0);
	db_bind_text(s, 7, props);
	r = db_run(s, w->error);
	*ret = sqlite3_last_insert_rowid(w->db);
	return r;
}

static int run_with_id(struct rows *w, enum sql which, int64_t id)
{
	(void)sqlite3_bind_int64(w->sql[which], 1, id);
	return db_run(w->sql[which], w->error);
}

/* ---- what there was ---- */

static int touch(struct rows *w, int64_t id)
{
	return buf_append(&w->touched, &id, sizeof(id));
}

static int drop_edges(struct rows *w, int64_t source)
{
	struct sqlite3_stmt *s = w->sql[EDGES];
	int r, e = 0;

	(void)sqlite3_bind_int64(s, 1, source);
	while (e == 0 && (r = db_step(s, w->error)) == 1) {
		e = touch(w, sqlite3_column_int64(s, 0));
		if (e == 0)
			e = touch(w, sqlite3_column_int64(s, 1));
	}
	(void)sqlite3_reset(s);
	if (e < 0 || r < 0)
		return e < 0 ? e : r;
	r = run_with_id(w, DROP_EDGES, source);
	return r < 0 ? r : run_with_id(w, DROP_LABELS, source);
}

/* Nodes that were there for edges alone. */
static int prune(struct rows *w)
{
	int r = 0;

	for (size_t at = 0; at < w->touched.n && r == 0; at += sizeof(int64_t)) {
		int64_t id;

		memcpy(&id, w->touched.p + w->touched.off + at, sizeof(id));
		r = run_with_id(w, PRUNE, id);
	}
	buf_reset(&w->touched);
	return r;
}

/* ---- what comes ---- */

/* Most edges begin or end at the object itself, whose node is known. */
static int end_node(struct rows *w, int64_t source, const struct graph_ref *self,
		    const struct graph_ref *end, int64_t *ret)
{
	if (!graph_ref_eq(self, end))
		return need_node(w, end, (struct str){0}, ret);
	*ret = source;
	return 0;
}

static int add_edge(struct rows *w, int64_t source, const struct graph_ref *self,
		    const struct graph_edge *e)
{
	struct sqlite3_stmt *s = w->sql[ADD_EDGE];
	int64_t from, to;
	int r = end_node(w, source, self, &e->from, &from);

	r = r < 0 ? r : end_node(w, source, self, &e->to, &to);
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(s, 1, source);
	(void)sqlite3_bind_int64(s, 2, from);
	db_bind_text(s, 3, str_of(graph_type_name(e->type)));
	(void)sqlite3_bind_int64(s, 4, to);
	db_bind_some(s, 5, graph_edge_selects(e) && !e->selector.n ? STR("*") : e->selector);
	db_bind_text(s, 6, e->via);
	db_bind_text(s, 7, e->props);
	return db_run(s, w->error);
}

static int add_labels(struct rows *w, int64_t id, const struct graph_set *set)
{
	struct sqlite3_stmt *s = w->sql[ADD_LABEL];
	int r = 0;

	for (uint32_t i = 0; i < set->n_labels && r == 0; i++) {
		(void)sqlite3_bind_int64(s, 1, id);
		db_bind_some(s, 2, set->labels[i].key);
		db_bind_some(s, 3, set->labels[i].value);
		r = db_run(s, w->error);
	}
	return r;
}

static int add_set(struct rows *w, int64_t id, const struct graph_set *set)
{
	int64_t node;
	int r = 0;

	for (uint32_t i = 1; i < set->n_nodes && r == 0; i++)
		r = need_node(w, &set->nodes[i].ref, set->nodes[i].props, &node);
	for (uint32_t i = 0; i < set->n_edges && r == 0; i++)
		r = add_edge(w, id, &set->nodes[0].ref, &set->edges[i]);
	/* Only pods are selected. */
	if (r == 0 && str_eq(set->nodes[0].ref.kind, STR("Pod")) && !set->nodes[0].ref.group.n)
		r = add_labels(w, id, set);
	return r;
}

static int add_change(struct rows *w, const struct relay_item *item,
		      const struct graph_state *state)
{
	struct sqlite3_stmt *s = w->sql[ADD_CHANGE];
	char seen[TIME_TEXT_MAX];

	db_bind_some(s, 1, w->cluster);
	db_bind_some(s, 2, item->kind);
	db_bind_some(s, 3, item->ns);
	db_bind_some(s, 4, item->name);
	db_bind_text(s, 5, item->uid);
	db_bind_text(s, 6, str_of(relay_action_name(item->action)));
	db_bind_text(s, 7, str_of(time_text(item->time, seen)));
	db_bind_text(s, 8, state ? state->since : (struct str){0});
	db_bind_text(s, 9, state ? state->json : (struct str){0});
	return db_run(s, w->error);
}

/* Whether the state that is written is this one. */
static int same_state(struct rows *w, int64_t id, struct str state)
{
	struct sqlite3_stmt *s = w->sql[STATE];
	int r;

	(void)sqlite3_bind_int64(s, 1, id);
	r = db_step(s, w->error);
	if (r == 1)
		r = str_eq(db_text(s, 0), state);
	(void)sqlite3_reset(s);
	return r;
}

static int be_object(struct rows *w, int64_t id, const struct relay_item *item)
{
	const struct graph_made *made = item->made;
	struct sqlite3_stmt *s = w->sql[BE_OBJECT];

	(void)sqlite3_bind_int64(s, 1, id);
	db_bind_text(s, 2, item->uid);
	db_bind_text(s, 3, made->set.nodes[0].props);
	db_bind_text(s, 4, made->state.since);
	db_bind_text(s, 5, made->state.json);
	(void)sqlite3_bind_int64(s, 6, (int64_t)made->hash);
	(void)sqlite3_bind_int64(s, 7, w->epoch);
	return db_run(s, w->error);
}

static int apply(struct rows *w, const struct relay_item *item)
{
	const struct graph_made *made = item->made;
	struct sqlite3_stmt *s = w->sql[SAME_HASH];
	int64_t id;
	int r = need_node(w, &made->set.nodes[0].ref, (struct str){0}, &id), same;

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(s, 1, id);
	(void)sqlite3_bind_int64(s, 2, (int64_t)made->hash);
	(void)sqlite3_bind_int64(s, 3, w->epoch);
	r = db_run(s, w->error);
	if (r < 0 || sqlite3_changes(w->db) == 1)
		return r; /* written by an earlier run */
	same = same_state(w, id, made->state.json);
	r = same < 0 ? same : drop_edges(w, id);
	r = r < 0 ? r : be_object(w, id, item);
	r = r < 0 ? r : add_set(w, id, &made->set);
	if (r == 0 && !same)
		r = add_change(w, item, &made->state);
	return r < 0 ? r : prune(w);
}

/* Edges of others may still lead to it: then it is missing. */
static int delete_node(struct rows *w, int64_t id)
{
	int r = drop_edges(w, id);

	r = r < 0 ? r : run_with_id(w, BE_MISSING, id);
	r = r < 0 ? r : touch(w, id);
	return r < 0 ? r : prune(w);
}

static int delete_item(struct rows *w, const struct relay_item *item)
{
	struct graph_ref ref = {
		.group = item->group, .kind = item->kind, .ns = item->ns, .name = item->name};
	int64_t id;
	int r = find_node(w, &ref, item->uid, &id);

	if (r <= 0)
		return r;
	r = delete_node(w, id);
	return r < 0 ? r : add_change(w, item, NULL);
}

static int bound_changes(struct rows *w)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(w->db,
			   "DELETE FROM graph_change WHERE number <="
			   " (SELECT max(number) FROM graph_change) - ?1",
			   false, &s, w->error);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(s, 1, ROWS_MAX_CHANGES);
	return db_run(s, w->error);
}

int rows_write(struct sqlite3 *db, struct str cluster, uint64_t epoch,
	       const struct relay_item *items, uint32_t n, struct buf *error)
{
	struct rows w = {.db = db, .cluster = cluster, .epoch = (int64_t)epoch, .error = error};
	int r = rows_open(&w);

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = items[i].action == RELAY_DELETED ? delete_item(&w, &items[i])
						     : apply(&w, &items[i]);
	r = r < 0 ? r : bound_changes(&w);
	rows_close(&w);
	return r;
}

/* ---- sweeping ---- */

static int old_nodes(struct rows *w, struct str group, struct str kind, struct buf *ids)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(w->db,
			   "SELECT id FROM graph_node WHERE cluster=?1 AND kind=?2 AND api_group=?3"
			   " AND present=1 AND epoch<>?4",
			   false, &s, w->error);

	if (r < 0)
		return r;
	db_bind_some(s, 1, w->cluster);
	db_bind_some(s, 2, kind);
	db_bind_some(s, 3, group);
	(void)sqlite3_bind_int64(s, 4, w->epoch);
	while ((r = db_step(s, w->error)) == 1) {
		int64_t id = sqlite3_column_int64(s, 0);

		r = buf_append(ids, &id, sizeof(id));
		if (r < 0)
			return r;
	}
	return r;
}

static int be_complete(struct rows *w, struct str group, struct str kind)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(w->db,
			   "INSERT OR IGNORE INTO graph_kind(cluster, api_group, kind)"
			   " VALUES(?1, ?2, ?3)",
			   false, &s, w->error);

	if (r < 0)
		return r;
	db_bind_some(s, 1, w->cluster);
	db_bind_some(s, 2, group);
	db_bind_some(s, 3, kind);
	return db_run(s, w->error);
}

int rows_sweep(struct sqlite3 *db, struct str cluster, uint64_t epoch, struct str group,
	       struct str kind, struct buf *error)
{
	struct rows w = {.db = db, .cluster = cluster, .epoch = (int64_t)epoch, .error = error};
	_buf_ struct buf ids;
	int r = rows_open(&w);

	buf_init(&ids, (size_t)64 << 20);
	r = r < 0 ? r : old_nodes(&w, group, kind, &ids);
	for (size_t at = 0; at < ids.n && r == 0; at += sizeof(int64_t)) {
		int64_t id;

		memcpy(&id, ids.p + ids.off + at, sizeof(id));
		r = delete_node(&w, id);
	}
	r = r < 0 ? r : be_complete(&w, group, kind);
	rows_close(&w);
	return r;
}
