#include "sink/graph/cypher.h"

#include "base/json_out.h"
#include "base/mem.h"

#include <errno.h>
#include <inttypes.h>

#define KEY_MAX 8192

/* What was said of these objects before. */
static const char drop_edges[] = "UNWIND $keys AS k MATCH (:Resource {key: k})-[e]-() "
				 "WHERE e.source = k DELETE e";
static const char drop_parts[] = "UNWIND $keys AS k MATCH (p:Resource {owner: k}) DETACH DELETE p";
static const char drop_states[] = "UNWIND $keys AS k MATCH (:Resource {key: k})"
				  "-[:TRANSITIONED_TO]->(s:State) DETACH DELETE s";
/* Edges of others may still lead to them. */
static const char be_missing[] = "UNWIND $keys AS k MATCH (n:Resource {key: k}) "
				 "SET n.present = false REMOVE n.epoch, n.uid, n.state, n.since, "
				 "n.labels";
static const char set_nodes[] = "UNWIND $rows AS r MERGE (n:Resource {key: r.key}) SET n = r.props";
static const char set_states[] = "UNWIND $rows AS r MATCH (n:Resource {key: r.key}) "
				 "MERGE (s:State {id: r.id}) ON CREATE SET s += r.props "
				 "MERGE (n)-[:TRANSITIONED_TO]->(s)";
/* Between the two halves stands the name of one of our types: a type cannot be a parameter. */
static const char set_edges[] =
	"UNWIND $rows AS r MERGE (a:Resource {key: r.from}) ON CREATE SET a += r.from_new "
	"MERGE (b:Resource {key: r.to}) ON CREATE SET b += r.to_new CREATE (a)-[e:";
static const char set_edges_end[] = "]->(b) SET e = r.props";
static const char prune_missing[] =
	"MATCH (n:Resource {cluster: $cluster, present: false}) WHERE NOT (n)--() DELETE n";
static const char prune_virtual[] =
	"MATCH (n:Resource {cluster: $cluster, virtual: true}) WHERE NOT (n)--() DELETE n";

#define OLD                                                                                  \
	"MATCH (n:Resource {cluster: $cluster, group: $group, kind: $kind, present: true}) " \
	"WHERE n.epoch < $epoch "
static const char *const sweeps[] = {
	OLD "MATCH (n)-[e]-() WHERE e.source = n.key DELETE e",
	OLD "MATCH (p:Resource {owner: n.key}) DETACH DELETE p",
	OLD "MATCH (n)-[:TRANSITIONED_TO]->(s:State) DETACH DELETE s",
	OLD "SET n.present = false REMOVE n.epoch, n.uid, n.state, n.since, n.labels",
	prune_missing,
	prune_virtual,
};

struct writer {
	struct json_out j;
	struct str cluster;
	uint64_t epoch;
	const struct relay_item *items;
	uint32_t n;
};

/* ---- values ---- */

/* "prod/Deployment.apps/pay/gw" */
static void put_key(struct writer *w, const char *name, const struct graph_ref *ref)
{
	_buf_ struct buf b;
	int r;

	buf_init(&b, KEY_MAX);
	r = buf_append_str(&b, w->cluster);
	r = r < 0 ? r : buf_append_str(&b, STR("/"));
	r = r < 0 ? r : graph_ref_put(&b, ref);
	if (r < 0 && w->j.r == 0)
		w->j.r = r;
	json_text(&w->j, name, buf_str(&b));
}

static void put_ref(struct writer *w, const struct graph_ref *ref)
{
	put_key(w, "key", ref);
	json_text(&w->j, "cluster", w->cluster);
	json_text(&w->j, "group", ref->group);
	json_text(&w->j, "kind", ref->kind);
	json_text(&w->j, "namespace", ref->ns);
	json_text(&w->j, "name", ref->name);
}

/* The members of a JSON object among those that are being written. */
static void splice(struct writer *w, struct str object)
{
	if (object.n <= 2 || w->j.r < 0)
		return;
	w->j.r = buf_append_str(w->j.out, STR(","));
	if (w->j.r == 0)
		w->j.r = buf_append(w->j.out, object.p + 1, object.n - 2);
}

static struct graph_ref self_of(const struct relay_item *item)
{
	return (struct graph_ref){
		.group = item->group, .kind = item->kind, .ns = item->ns, .name = item->name};
}

static const struct graph_made *made_of(const struct relay_item *item)
{
	return item->action == RELAY_DELETED ? NULL : item->made;
}

/* ---- statements ---- */

static void begin(struct writer *w, const char *text, const char *more, const char *end)
{
	_buf_ struct buf b;
	int r;

	buf_init(&b, KEY_MAX);
	r = buf_printf(&b, "%s%s%s", text, more, end);
	if (r < 0 && w->j.r == 0)
		w->j.r = r;
	json_open(&w->j, NULL, '{');
	json_text(&w->j, "statement", buf_str(&b));
	json_open(&w->j, "parameters", '{');
}

static void end(struct writer *w)
{
	json_close(&w->j, '{');
	json_close(&w->j, '{');
}

/* `deleted`: of those that are gone alone. */
static void with_keys(struct writer *w, const char *text, bool deleted)
{
	bool any = !deleted;

	for (uint32_t i = 0; i < w->n; i++)
		any = any || !made_of(&w->items[i]);
	if (!any)
		return;
	begin(w, text, "", "");
	json_open(&w->j, "keys", '[');
	for (uint32_t i = 0; i < w->n; i++) {
		struct graph_ref self = self_of(&w->items[i]);

		if (!deleted || !made_of(&w->items[i]))
			put_key(w, NULL, &self);
	}
	json_close(&w->j, '[');
	end(w);
}

static void put_labels(struct writer *w, const struct graph_set *s)
{
	json_open(&w->j, "labels", '[');
	for (uint32_t i = 0; i < s->n_labels; i++) {
		_buf_ struct buf b;

		buf_init(&b, KEY_MAX);
		if (buf_printf(&b, "%.*s=%.*s", STR_ARG(s->labels[i].key),
			       STR_ARG(s->labels[i].value)) == 0)
			json_text(&w->j, NULL, buf_str(&b));
	}
	json_close(&w->j, '[');
}

static void put_object(struct writer *w, const struct relay_item *item)
{
	const struct graph_made *made = made_of(item);
	const struct graph_node *self = &made->set.nodes[0];

	json_open(&w->j, NULL, '{');
	put_key(w, "key", &self->ref);
	json_open(&w->j, "props", '{');
	put_ref(w, &self->ref);
	json_bool(&w->j, "present", true);
	json_u64(&w->j, "epoch", w->epoch);
	put_labels(w, &made->set);
	json_some(&w->j, "since", made->state.since);
	json_some(&w->j, "state", made->state.json);
	splice(w, self->props);
	json_close(&w->j, '{');
	json_close(&w->j, '{');
}

/* Containers and volumes are of one object, and go with it; images are everybody's. */
static bool has_owner(const struct graph_ref *ref)
{
	return str_eq(ref->kind, STR("Container")) || str_eq(ref->kind, STR("Volume"));
}

static void put_part(struct writer *w, const struct relay_item *item, const struct graph_node *node)
{
	struct graph_ref self = self_of(item);

	json_open(&w->j, NULL, '{');
	put_key(w, "key", &node->ref);
	json_open(&w->j, "props", '{');
	put_ref(w, &node->ref);
	json_bool(&w->j, "present", true);
	if (has_owner(&node->ref))
		put_key(w, "owner", &self);
	else
		json_bool(&w->j, "virtual", true);
	splice(w, node->props);
	json_close(&w->j, '{');
	json_close(&w->j, '{');
}

static void nodes(struct writer *w)
{
	begin(w, set_nodes, "", "");
	json_open(&w->j, "rows", '[');
	for (uint32_t i = 0; i < w->n; i++) {
		const struct graph_made *made = made_of(&w->items[i]);

		if (!made)
			continue;
		put_object(w, &w->items[i]);
		for (uint32_t k = 1; k < made->set.n_nodes; k++)
			put_part(w, &w->items[i], &made->set.nodes[k]);
	}
	json_close(&w->j, '[');
	end(w);
}

static void states(struct writer *w)
{
	begin(w, set_states, "", "");
	json_open(&w->j, "rows", '[');
	for (uint32_t i = 0; i < w->n; i++) {
		const struct graph_made *made = made_of(&w->items[i]);
		struct graph_ref self = self_of(&w->items[i]);
		_buf_ struct buf id = {.max = KEY_MAX};

		if (!made || !made->state.json.n)
			continue;
		(void)buf_printf(&id, "%.*s@%.*s@%016" PRIx64, STR_ARG(w->items[i].uid),
				 STR_ARG(made->state.since), graph_state_hash(made->state.json));
		json_open(&w->j, NULL, '{');
		put_key(w, "key", &self);
		json_text(&w->j, "id", buf_str(&id));
		json_open(&w->j, "props", '{');
		json_text(&w->j, "since", made->state.since);
		json_time(&w->j, "seen", w->items[i].time);
		json_text(&w->j, "action", str_of(relay_action_name(w->items[i].action)));
		json_text(&w->j, "state", made->state.json);
		json_close(&w->j, '{');
		json_close(&w->j, '{');
	}
	json_close(&w->j, '[');
	end(w);
}

/* A node that only an edge names, so far. */
static void put_new(struct writer *w, const char *name, const struct graph_ref *ref)
{
	json_open(&w->j, name, '{');
	put_ref(w, ref);
	json_bool(&w->j, "present", graph_is_virtual(ref));
	if (graph_is_virtual(ref))
		json_bool(&w->j, "virtual", true);
	json_close(&w->j, '{');
}

/* What a selector selects is a node of its own: "Selector/NAMESPACE/app=web,tier=x". */
static struct graph_ref target_of(const struct graph_edge *e)
{
	struct graph_ref to = e->to;

	if (graph_edge_selects(e)) {
		to.kind = STR("Selector");
		to.group = (struct str){0};
		to.name = e->selector.n ? e->selector : STR("*");
	}
	return to;
}

/* The terms of equality, which Cypher can compare with a pod's labels. */
static void put_terms(struct writer *w, struct str selector)
{
	struct str term;
	bool more = selector.n > 0;

	json_open(&w->j, "terms", '[');
	while (more) {
		more = str_split(&selector, ',', &term);
		json_text(&w->j, NULL, term);
	}
	json_close(&w->j, '[');
}

static void put_edge(struct writer *w, const struct relay_item *item, const struct graph_edge *e)
{
	struct graph_ref self = self_of(item), to = target_of(e);

	json_open(&w->j, NULL, '{');
	put_key(w, "from", &e->from);
	put_key(w, "to", &to);
	put_new(w, "from_new", &e->from);
	json_open(&w->j, "to_new", '{');
	put_ref(w, &to);
	json_bool(&w->j, "present", graph_edge_selects(e) || graph_is_virtual(&to));
	if (graph_edge_selects(e) || graph_is_virtual(&to))
		json_bool(&w->j, "virtual", true);
	if (graph_edge_selects(e))
		put_terms(w, e->selector);
	json_close(&w->j, '{');
	json_open(&w->j, "props", '{');
	put_key(w, "source", &self);
	json_some(&w->j, "via", e->via);
	splice(w, e->props);
	json_close(&w->j, '{');
	json_close(&w->j, '{');
}

static bool has_type(const struct writer *w, enum graph_type type)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const struct graph_made *made = made_of(&w->items[i]);

		for (uint32_t k = 0; made && k < made->set.n_edges; k++)
			if (made->set.edges[k].type == type)
				return true;
	}
	return false;
}

static void edges(struct writer *w, enum graph_type type)
{
	if (!has_type(w, type))
		return;
	begin(w, set_edges, graph_type_name(type), set_edges_end);
	json_open(&w->j, "rows", '[');
	for (uint32_t i = 0; i < w->n; i++) {
		const struct graph_made *made = made_of(&w->items[i]);

		for (uint32_t k = 0; made && k < made->set.n_edges; k++)
			if (made->set.edges[k].type == type)
				put_edge(w, &w->items[i], &made->set.edges[k]);
	}
	json_close(&w->j, '[');
	end(w);
}

static void prune(struct writer *w, const char *text)
{
	begin(w, text, "", "");
	json_text(&w->j, "cluster", w->cluster);
	end(w);
}

static void open_all(struct writer *w)
{
	json_open(&w->j, NULL, '{');
	json_open(&w->j, "statements", '[');
}

static int close_all(struct writer *w)
{
	json_close(&w->j, '[');
	json_close(&w->j, '{');
	return w->j.r;
}

int cypher_schema(struct buf *b)
{
	static const char *const texts[] = {
		"CREATE CONSTRAINT kindred_resource IF NOT EXISTS FOR (n:Resource) "
		"REQUIRE n.key IS UNIQUE",
		"CREATE CONSTRAINT kindred_state IF NOT EXISTS FOR (s:State) "
		"REQUIRE s.id IS UNIQUE",
		"CREATE INDEX kindred_owner IF NOT EXISTS FOR (n:Resource) ON (n.owner)",
		"CREATE INDEX kindred_present IF NOT EXISTS FOR (n:Resource) ON (n.present)",
		"CREATE INDEX kindred_virtual IF NOT EXISTS FOR (n:Resource) ON (n.virtual)",
	};
	struct writer w = {.j = {.out = b}};

	open_all(&w);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		begin(&w, texts[i], "", "");
		end(&w);
	}
	return close_all(&w);
}

int cypher_write(struct buf *b, struct str cluster, uint64_t epoch, const struct relay_item *items,
		 uint32_t n)
{
	struct writer w = {
		.j = {.out = b}, .cluster = cluster, .epoch = epoch, .items = items, .n = n};

	open_all(&w);
	with_keys(&w, drop_edges, false);
	with_keys(&w, drop_parts, false);
	with_keys(&w, drop_states, true);
	with_keys(&w, be_missing, true);
	nodes(&w);
	for (enum graph_type t = 0; t < _GRAPH_TYPE_MAX; t++)
		edges(&w, t);
	states(&w);
	prune(&w, prune_missing);
	prune(&w, prune_virtual);
	return close_all(&w);
}

int cypher_sweep(struct buf *b, struct str cluster, uint64_t epoch, struct str group,
		 struct str kind)
{
	struct writer w = {.j = {.out = b}};

	open_all(&w);
	for (size_t i = 0; i < ARRAY_SIZE(sweeps); i++) {
		begin(&w, sweeps[i], "", "");
		json_text(&w.j, "cluster", cluster);
		json_text(&w.j, "group", group);
		json_text(&w.j, "kind", kind);
		json_u64(&w.j, "epoch", epoch);
		end(&w);
	}
	return close_all(&w);
}
