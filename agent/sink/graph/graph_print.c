/*
 * Answers as a tree for people, as DOT, as JSON.
 */
#include "base/json_out.h"
#include "base/mem.h"
#include "sink/graph/lines.h"
#include "sink/graph/query_parts.h"

#define MAX_INDENT 512

/* "Secret/payments/db (does not exist)" */
static int put_node(struct buf *b, const struct found_node *n)
{
	struct graph_ref ref = n->ref;
	int r;

	ref.group = (struct str){0}; /* people know it */
	r = graph_ref_put(b, &ref);
	return r == 0 && n->dangling ? buf_append_str(b, STR(" (does not exist)")) : r;
}

struct printer {
	struct answer *a;
	struct buf *out;
	char indent[MAX_INDENT];
	size_t n;
	int r;
};

static void put(struct printer *p, struct str s)
{
	if (p->r == 0)
		p->r = buf_append_str(p->out, s);
}

static bool leads_from(const struct found_edge *e, uint32_t node, bool inward)
{
	return e->inward == inward && (inward ? e->to : e->from) == node;
}

static void put_children(struct printer *p, uint32_t node, bool inward, bool more);

static void put_child(struct printer *p, const struct found_edge *e, bool inward, bool last)
{
	struct found_node *n = &p->a->nodes[inward ? e->from : e->to];
	size_t before = p->n;
	struct str arm = last ? STR("   ") : STR("\xe2\x94\x82  ");

	put(p, str_make(p->indent, p->n));
	put(p, last ? STR("\xe2\x94\x94\xe2\x94\x80 ") : STR("\xe2\x94\x9c\xe2\x94\x80 "));
	put(p, inward ? STR("<- ") : STR("-> "));
	put(p, e->type);
	put(p, STR(" "));
	if (p->r == 0)
		p->r = put_node(p->out, n);
	if (e->via.n && p->r == 0)
		p->r = buf_printf(p->out, "  %.*s", STR_ARG(e->via));
	if (n->written) {
		put(p, STR("\n"));
		return;
	}
	n->written = true;
	put(p, STR("\n"));
	if (p->n + arm.n <= sizeof(p->indent)) {
		memcpy(p->indent + p->n, arm.p, arm.n);
		p->n += arm.n;
	}
	put_children(p, inward ? e->from : e->to, inward, false);
	p->n = before;
}

/* `more`: something follows on the same level. */
static void put_children(struct printer *p, uint32_t node, bool inward, bool more)
{
	const struct found_edge *last = NULL;

	for (uint32_t i = 0; i < p->a->n_edges && p->r == 0; i++) {
		if (!leads_from(&p->a->edges[i], node, inward))
			continue;
		if (last)
			put_child(p, last, inward, false);
		last = &p->a->edges[i];
	}
	if (last)
		put_child(p, last, inward, !more);
}

static bool has_inward(const struct answer *a)
{
	for (uint32_t i = 0; i < a->n_edges; i++)
		if (a->edges[i].inward)
			return true;
	return false;
}

static int print_tree(struct answer *a, struct buf *ret)
{
	struct printer p = {.a = a, .out = ret};

	a->nodes[0].written = true;
	p.r = put_node(ret, &a->nodes[0]);
	if (a->nodes[0].state.n && p.r == 0)
		p.r = buf_printf(ret, "  since %.*s", STR_ARG(a->nodes[0].since));
	put(&p, STR("\n"));
	put_children(&p, 0, false, has_inward(a));
	for (uint32_t i = 1; i < a->n_nodes; i++)
		a->nodes[i].written = false;
	put_children(&p, 0, true, false);
	if (a->cut)
		put(&p, STR("(there is more: the answer was cut)\n"));
	return p.r;
}

/* A quoted text of DOT: a backslash and a quote are what could end it. */
static int put_quoted(struct buf *b, struct str s)
{
	int r = buf_append_str(b, STR("\""));

	for (size_t i = 0; i < s.n && r == 0; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			r = buf_append_str(b, STR("\\"));
		if (r == 0)
			r = buf_append(b, s.p + i, 1);
	}
	return r < 0 ? r : buf_append_str(b, STR("\""));
}

static int put_dot_node(struct buf *b, const struct found_node *n)
{
	_buf_ struct buf text = {.max = 8192};
	int r = graph_ref_put(&text, &n->ref);

	return r < 0 ? r : put_quoted(b, buf_str(&text));
}

static int print_dot(const struct answer *a, struct buf *ret)
{
	int r = buf_append_str(ret, STR("digraph kindred {\n\trankdir=LR;\n\tnode [shape=box];\n"));

	for (uint32_t i = 0; i < a->n_nodes && r == 0; i++) {
		r = buf_append_str(ret, STR("\t"));
		r = r < 0 ? r : put_dot_node(ret, &a->nodes[i]);
		r = r < 0 ? r
			  : buf_append_str(ret, a->nodes[i].dangling ? STR(" [style=dashed];\n")
								     : STR(";\n"));
	}
	for (uint32_t i = 0; i < a->n_edges && r == 0; i++) {
		const struct found_edge *e = &a->edges[i];

		r = buf_append_str(ret, STR("\t"));
		r = r < 0 ? r : put_dot_node(ret, &a->nodes[e->from]);
		r = r < 0 ? r : buf_append_str(ret, STR(" -> "));
		r = r < 0 ? r : put_dot_node(ret, &a->nodes[e->to]);
		r = r < 0 ? r : buf_append_str(ret, STR(" [label="));
		r = r < 0 ? r : put_quoted(ret, e->type);
		r = r < 0 ? r : buf_append_str(ret, STR("];\n"));
	}
	return r < 0 ? r : buf_append_str(ret, STR("}\n"));
}

static void json_node(struct json_out *j, const struct found_node *n)
{
	json_open(j, NULL, '{');
	lines_ref(j, "node", &n->ref);
	json_text(j, "kind", n->ref.kind);
	json_some(j, "group", n->ref.group);
	json_some(j, "namespace", n->ref.ns);
	json_text(j, "name", n->ref.name);
	json_some(j, "cluster", n->cluster);
	json_bool(j, "exists", n->present != 0);
	json_bool(j, "dangling", n->dangling);
	json_some(j, "uid", n->uid);
	json_some(j, "since", n->since);
	if (n->state.n)
		json_raw(j, "state", n->state);
	if (n->props.n)
		json_raw(j, "props", n->props);
	json_close(j, '{');
}

static void json_edge(struct json_out *j, const struct answer *a, const struct found_edge *e)
{
	json_open(j, NULL, '{');
	json_text(j, "type", e->type);
	lines_ref(j, "from", &a->nodes[e->from].ref);
	lines_ref(j, "to", &a->nodes[e->to].ref);
	json_some(j, "selector", e->selector);
	json_some(j, "via", e->via);
	if (e->props.n)
		json_raw(j, "props", e->props);
	json_close(j, '{');
}

static int print_json(const struct answer *a, struct buf *ret)
{
	struct json_out j = {.out = ret};

	json_open(&j, NULL, '{');
	lines_ref(&j, "root", &a->nodes[0].ref);
	json_open(&j, "nodes", '[');
	for (uint32_t i = 0; i < a->n_nodes; i++)
		json_node(&j, &a->nodes[i]);
	json_close(&j, '[');
	json_open(&j, "edges", '[');
	for (uint32_t i = 0; i < a->n_edges; i++)
		json_edge(&j, a, &a->edges[i]);
	json_close(&j, '[');
	json_bool(&j, "cut", a->cut);
	json_close(&j, '{');
	return j.r < 0 ? j.r : buf_append_str(ret, STR("\n"));
}

int answer_print(struct answer *a, enum graph_output output, struct buf *ret)
{
	if (output == GRAPH_JSON)
		return print_json(a, ret);
	if (output == GRAPH_DOT)
		return print_dot(a, ret);
	return print_tree(a, ret);
}
