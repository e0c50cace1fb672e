#include "sink/graph/lines.h"

#include "base/mem.h"

void lines_ref(struct json_out *j, const char *key, const struct graph_ref *r)
{
	_buf_ struct buf b;
	int e;

	buf_init(&b, 8192);
	e = graph_ref_put(&b, r);
	if (e < 0)
		j->r = j->r < 0 ? j->r : e;
	json_text(j, key, buf_str(&b));
}

static void put_node(struct json_out *j, const struct graph_node *n)
{
	json_open(j, NULL, '{');
	lines_ref(j, "node", &n->ref);
	json_raw(j, "props", n->props);
	json_close(j, '{');
}

static void put_edge(struct json_out *j, const struct graph_edge *e)
{
	json_open(j, NULL, '{');
	json_text(j, "type", str_of(graph_type_name(e->type)));
	lines_ref(j, "from", &e->from);
	lines_ref(j, "to", &e->to);
	if (graph_edge_selects(e))
		json_text(j, "selector", e->selector);
	json_some(j, "via", e->via);
	if (e->props.n)
		json_raw(j, "props", e->props);
	json_close(j, '{');
}

static void put_made(struct json_out *j, const struct graph_made *made)
{
	const struct graph_set *s = &made->set;

	if (made->state.json.n) {
		json_text(j, "since", made->state.since);
		json_raw(j, "state", made->state.json);
	}
	json_open(j, "labels", '{');
	for (uint32_t i = 0; i < s->n_labels; i++) {
		_free_ char *key = str_dup(s->labels[i].key);

		if (key)
			json_text(j, key, s->labels[i].value);
	}
	json_close(j, '{');
	json_open(j, "nodes", '[');
	for (uint32_t i = 0; i < s->n_nodes; i++)
		put_node(j, &s->nodes[i]);
	json_close(j, '[');
	json_open(j, "edges", '[');
	for (uint32_t i = 0; i < s->n_edges; i++)
		put_edge(j, &s->edges[i]);
	json_close(j, '[');
}

int lines_put(struct buf *b, struct str cluster, const struct relay_item *item)
{
	struct graph_ref self = {
		.group = item->group, .kind = item->kind, .ns = item->ns, .name = item->name};
	struct json_out j = {.out = b};

	json_open(&j, NULL, '{');
	json_text(&j, "action", str_of(relay_action_name(item->action)));
	json_some(&j, "cluster", cluster);
	json_time(&j, "time", item->time);
	json_text(&j, "kind", item->kind);
	json_some(&j, "namespace", item->ns);
	json_text(&j, "name", item->name);
	json_some(&j, "uid", item->uid);
	lines_ref(&j, "object", &self);
	if (item->made)
		put_made(&j, item->made);
	json_close(&j, '{');
	return j.r < 0 ? j.r : buf_append_str(b, STR("\n"));
}
