/*
 * The walk over an object: references that are written the same way in every kind
 * (Secrets, ConfigMaps, claims, accounts, classes, images), and its owners. What is
 * special to a kind: edges_kinds.c and edges_pod.c.
 */
#include "sink/graph/edges.h"

#include "base/buf.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "model/object.h"
#include "sink/graph/edges_parts.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>

#define MAX_PROPS 16384 /* bytes of one node's or edge's */

const char *graph_type_name(enum graph_type t)
{
	static const char *const names[_GRAPH_TYPE_MAX] = {
		[GRAPH_OWNS] = "OWNS",
		[GRAPH_HAS_CONTAINER] = "HAS_CONTAINER",
		[GRAPH_USES_VOLUME] = "USES_VOLUME",
		[GRAPH_BACKED_BY] = "BACKED_BY",
		[GRAPH_USES_CONFIGMAP] = "USES_CONFIGMAP",
		[GRAPH_USES_SECRET] = "USES_SECRET",
		[GRAPH_USES_CLAIM] = "USES_CLAIM",
		[GRAPH_USES_CLASS] = "USES_CLASS",
		[GRAPH_RUNS_IMAGE] = "RUNS_IMAGE",
		[GRAPH_RUNS_AS] = "RUNS_AS",
		[GRAPH_RUNS_ON] = "RUNS_ON",
		[GRAPH_SELECTS] = "SELECTS",
		[GRAPH_ROUTES_TO] = "ROUTES_TO",
		[GRAPH_ATTACHED_TO] = "ATTACHED_TO",
		[GRAPH_SCALES] = "SCALES",
		[GRAPH_BOUND_TO] = "BOUND_TO",
		[GRAPH_GRANTS] = "GRANTS",
		[GRAPH_GRANTS_TO] = "GRANTS_TO",
		[GRAPH_GOVERNED_BY] = "GOVERNED_BY",
		[GRAPH_CALLS] = "CALLS",
		[GRAPH_RECONCILED] = "RECONCILED",
		[GRAPH_DEPLOYED] = "DEPLOYED",
		[GRAPH_REFERS_TO] = "REFERS_TO",
	};

	return t < _GRAPH_TYPE_MAX ? names[t] : "?";
}

bool graph_ref_eq(const struct graph_ref *a, const struct graph_ref *b)
{
	return str_eq(a->name, b->name) && str_eq(a->kind, b->kind) && str_eq(a->ns, b->ns) &&
	       str_eq(a->group, b->group);
}

int graph_ref_put(struct buf *b, const struct graph_ref *r)
{
	struct str parts[] = {r->kind,	r->group.n ? STR(".") : (struct str){0},
			      r->group, STR("/"),
			      r->ns,	STR("/"),
			      r->name};
	int e = 0;

	for (size_t i = 0; i < ARRAY_SIZE(parts) && e == 0; i++)
		e = buf_append_str(b, parts[i]);
	return e;
}

bool graph_is_virtual(const struct graph_ref *r)
{
	static const struct str kinds[] = {STR("Container"), STR("Volume"), STR("Image"),
					   STR("OCIArtifact")};

	if (str_eq(r->group, STR("rbac.authorization.k8s.io")))
		return str_eq(r->kind, STR("User")) || str_eq(r->kind, STR("Group"));
	for (size_t i = 0; i < ARRAY_SIZE(kinds) && !r->group.n; i++)
		if (str_eq(r->kind, kinds[i]))
			return true;
	return false;
}

/* ---- the set ---- */

/* Room for one more of `size` bytes; NULL when there is none. */
static void *grow(struct maker *m, void *list, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap ? 2 * *cap : 16;
	void *grown;

	if (n < *cap)
		return list;
	grown = arena_alloc(m->a, more * size);
	if (!grown) {
		m->r = -ENOMEM;
		return NULL;
	}
	if (n)
		memcpy(grown, list, n * size);
	*cap = more;
	return grown;
}

static struct str keep(struct maker *m, struct str s)
{
	struct str kept = {0};

	if (m->r == 0 && s.n)
		m->r = arena_dup(m->a, s, &kept);
	return kept;
}

static void add_node(struct maker *m, struct graph_ref ref, const struct buf *props)
{
	struct graph_node *list;

	if (m->r < 0)
		return;
	list = grow(m, m->set->nodes, m->set->n_nodes, &m->nodes_cap, sizeof(*list));
	if (!list)
		return;
	m->set->nodes = list;
	list[m->set->n_nodes++] = (struct graph_node){
		.ref = ref, .props = keep(m, props ? buf_str(props) : STR("{}"))};
}

void make_part(struct maker *m, struct graph_ref ref, const struct buf *props)
{
	if (!ref.name.n)
		return;
	for (uint32_t i = 0; i < m->set->n_nodes; i++)
		if (graph_ref_eq(&m->set->nodes[i].ref, &ref))
			return;
	if (m->set->n_nodes < GRAPH_MAX_EDGES)
		add_node(m, ref, props);
	else
		m->set->cut = true;
}

static struct graph_edge *find_edge(const struct graph_set *s, const struct graph_edge *e)
{
	for (uint32_t i = s->n_edges; i-- > 0;) {
		struct graph_edge *o = &s->edges[i];

		if (o->type == e->type && graph_edge_selects(o) == graph_edge_selects(e) &&
		    str_eq(o->selector, e->selector) && graph_ref_eq(&o->to, &e->to) &&
		    graph_ref_eq(&o->from, &e->from))
			return o;
	}
	return NULL;
}

/* One more place where the same is said. */
static void add_via(struct maker *m, struct graph_edge *e, struct str via)
{
	size_t n = e->via.n + 2 + via.n;
	char *p = n > GRAPH_MAX_VIA || !via.n ? NULL : arena_alloc(m->a, n);

	if (!p)
		return; /* a place less */
	memcpy(p, e->via.p, e->via.n);
	memcpy(p + e->via.n, ", ", 2);
	memcpy(p + e->via.n + 2, via.p, via.n);
	e->via = str_make(p, n);
}

static void add_edge(struct maker *m, struct graph_edge e)
{
	struct graph_edge *there, *list;

	if (m->r < 0)
		return;
	there = find_edge(m->set, &e);
	if (there) {
		add_via(m, there, e.via);
		return;
	}
	if (m->set->n_edges >= GRAPH_MAX_EDGES) {
		m->set->cut = true;
		return;
	}
	list = grow(m, m->set->edges, m->set->n_edges, &m->edges_cap, sizeof(*list));
	if (!list)
		return;
	m->set->edges = list;
	e.via = keep(m, e.via);
	e.props = keep(m, e.props);
	list[m->set->n_edges++] = e;
}

void make_edge(struct maker *m, enum graph_type type, const struct graph_ref *from,
	       struct graph_ref to, struct str via, struct str props)
{
	if (!to.name.n || !to.kind.n || (from && !from->name.n) ||
	    (!to.ns.n && !graph_is_virtual(&to) && !kind_is_cluster_scoped(to.group, to.kind) &&
	     m->self.ns.n))
		return;
	add_edge(m, (struct graph_edge){.type = type,
					.from = from ? *from : m->self,
					.to = to,
					.via = via,
					.props = props});
}

/* ---- selectors ---- */

static int put_values(struct buf *b, const struct tree *values)
{
	int r = buf_append_str(b, STR("("));

	tree_each(v, values)
	{
		if (r == 0 && v != values->first)
			r = buf_append_str(b, STR(","));
		if (r == 0)
			r = buf_append_str(b, tree_text(v));
	}
	return r < 0 ? r : buf_append_str(b, STR(")"));
}

static int put_expression(struct buf *b, const struct tree *e)
{
	struct str key = tree_text(tree_get(e, "key")), op = tree_text(tree_get(e, "operator"));
	bool in = str_eq(op, STR("In")), not_in = str_eq(op, STR("NotIn"));
	int r;

	if (str_eq(op, STR("DoesNotExist")))
		return buf_printf(b, "!%.*s", STR_ARG(key));
	r = buf_append_str(b, key);
	if (r < 0 || (!in && !not_in))
		return r;
	r = buf_append_str(b, in ? STR(" in ") : STR(" notin "));
	return r < 0 ? r : put_values(b, tree_get(e, "values"));
}

static int put_selector(struct buf *b, const struct tree *labels, const struct tree *expressions)
{
	int r = 0;

	tree_each(l, labels)
	{
		r = b->n ? buf_append_str(b, STR(",")) : 0;
		if (r == 0)
			r = buf_printf(b, "%.*s=%.*s", STR_ARG(l->key), STR_ARG(tree_text(l)));
		if (r < 0)
			return r;
	}
	tree_each(e, expressions)
	{
		r = b->n ? buf_append_str(b, STR(",")) : 0;
		if (r == 0)
			r = put_expression(b, e);
		if (r < 0)
			return r;
	}
	return 0;
}

void make_selector(struct maker *m, struct str kind, struct str group, const struct tree *labels,
		   const struct tree *expressions)
{
	struct graph_edge e = {.type = GRAPH_SELECTS, .from = m->self};
	_buf_ struct buf b;

	buf_init(&b, MAX_PROPS);
	if (m->r < 0)
		return;
	if (put_selector(&b, labels, expressions) < 0) {
		m->set->cut = true;
		return;
	}
	e.selector = b.n ? keep(m, buf_str(&b)) : STR("");
	e.to = (struct graph_ref){.group = group, .kind = kind, .ns = m->self.ns};
	e.via = make_place(m);
	add_edge(m, e);
}

/* ---- names ---- */

/* Elements by their name, else by their number: "[app]", "[0]". Nobody asks at most places, so the
 * words are made here and not on the way. */
struct str make_place(struct maker *m)
{
	size_t n = 0;
	int w;

	if (!m->n_path)
		return str_make(m->place, m->n_place); /* as edges_kinds.c has set it */
	for (uint32_t i = 0; i < m->n_path && n < sizeof(m->place); i++) {
		struct str name = m->path[i].element ? tree_text(tree_get(m->path[i].t, "name"))
						     : m->path[i].t->key;

		if (m->path[i].element && !name.n)
			w = snprintf(m->place + n, sizeof(m->place) - n, "[%u]", m->path[i].number);
		else
			w = snprintf(m->place + n, sizeof(m->place) - n,
				     m->path[i].element ? "[%.*s]"
				     : i		? ".%.*s"
							: "%.*s",
				     STR_ARG(name));
		if (w < 0 || (size_t)w >= sizeof(m->place) - n)
			break;
		n += (size_t)w;
	}
	return str_make(m->place, n);
}

struct graph_ref ref_named(const struct maker *m, const char *group, const char *kind,
			   struct str name)
{
	struct graph_ref r = {.group = str_of(group), .kind = str_of(kind), .name = name};

	if (!kind_is_cluster_scoped(r.group, r.kind))
		r.ns = m->self.ns;
	return r;
}

struct graph_ref ref_of(const struct maker *m, const struct tree *reference, struct str kind)
{
	struct str version = tree_text(tree_get(reference, "apiVersion"));
	struct graph_ref r = {.kind = kind, .name = tree_text(tree_get(reference, "name"))};
	const struct tree *group = tree_get(reference, "group");

	if (!group)
		group = tree_get(reference, "apiGroup");
	r.group = version.n ? api_group(version) : group ? tree_text(group) : group_of_kind(kind);
	if (kind_is_cluster_scoped(r.group, kind))
		return r;
	r.ns = tree_text(tree_get(reference, "namespace"));
	if (!r.ns.n)
		r.ns = m->self.ns;
	return r;
}

/* ---- what is written the same way everywhere ---- */

enum shape { TEXT, NAMED, LIST };

static const struct rule {
	struct str key;
	enum shape shape;
	bool suffix; /* keys that end so, too: "tlsSecretRef" */
	enum graph_type type;
	const char *group, *kind;
} rules[] = {
	{STR("secretName"), TEXT, false, GRAPH_USES_SECRET, "", "Secret"},
	{STR("secretKeyRef"), NAMED, false, GRAPH_USES_SECRET, "", "Secret"},
	{STR("secretRef"), NAMED, false, GRAPH_USES_SECRET, "", "Secret"},
	{STR("SecretRef"), NAMED, true, GRAPH_USES_SECRET, "", "Secret"},
	{STR("SecretKeyRef"), NAMED, true, GRAPH_USES_SECRET, "", "Secret"},
	{STR("secret"), NAMED, false, GRAPH_USES_SECRET, "", "Secret"},
	{STR("imagePullSecrets"), LIST, false, GRAPH_USES_SECRET, "", "Secret"},
	{STR("configMapKeyRef"), NAMED, false, GRAPH_USES_CONFIGMAP, "", "ConfigMap"},
	{STR("configMapRef"), NAMED, false, GRAPH_USES_CONFIGMAP, "", "ConfigMap"},
	{STR("ConfigMapRef"), NAMED, true, GRAPH_USES_CONFIGMAP, "", "ConfigMap"},
	{STR("configMap"), NAMED, false, GRAPH_USES_CONFIGMAP, "", "ConfigMap"},
	{STR("claimName"), TEXT, false, GRAPH_USES_CLAIM, "", "PersistentVolumeClaim"},
	{STR("serviceAccountName"), TEXT, false, GRAPH_RUNS_AS, "", "ServiceAccount"},
	{STR("ingressClassName"), TEXT, false, GRAPH_USES_CLASS, "networking.k8s.io",
	 "IngressClass"},
	{STR("storageClassName"), TEXT, false, GRAPH_USES_CLASS, "storage.k8s.io", "StorageClass"},
	{STR("priorityClassName"), TEXT, false, GRAPH_USES_CLASS, "scheduling.k8s.io",
	 "PriorityClass"},
	{STR("runtimeClassName"), TEXT, false, GRAPH_USES_CLASS, "node.k8s.io", "RuntimeClass"},
	{STR("gatewayClassName"), TEXT, false, GRAPH_USES_CLASS, "gateway.networking.k8s.io",
	 "GatewayClass"},
};

static void refer(struct maker *m, const struct rule *rule, const struct tree *named)
{
	struct graph_ref to = ref_named(
		m, rule->group, rule->kind,
		named->type == TREE_STRING ? named->text : tree_text(tree_get(named, "name")));
	struct str ns = tree_text(tree_get(named, "namespace"));

	if (ns.n && to.ns.n)
		to.ns = ns;
	else if (ns.n && !m->self.ns.n && !kind_is_cluster_scoped(to.group, to.kind))
		to.ns = ns;
	make_edge(m, rule->type, NULL, to, make_place(m), (struct str){0});
}

static bool apply_rule(struct maker *m, const struct rule *rule, const struct tree *t)
{
	if (!str_eq(t->key, rule->key) && !(rule->suffix && str_ends(t->key, rule->key)))
		return false;
	switch (rule->shape) {
	case TEXT:
		if (t->type != TREE_STRING)
			return false;
		refer(m, rule, t);
		return true;
	case NAMED:
		if (t->type != TREE_OBJECT || !tree_get(t, "name"))
			return false;
		refer(m, rule, t);
		return true;
	case LIST:
		tree_each(e, t->type == TREE_ARRAY ? t : NULL) refer(m, rule, e);
		return true;
	}
	return false;
}

/* By the last letter, which turns most keys away. */
static bool may_refer(struct str key)
{
	switch (key.p[key.n - 1]) {
	case 'e':
		return str_ends(key, STR("Name"));
	case 'f':
		return str_ends(key, STR("Ref"));
	case 'p':
	case 't':
		return key.n == 6 || key.n == 9; /* secret, configMap */
	case 's':
		return key.n == 16; /* imagePullSecrets */
	default:
		return false;
	}
}

static bool apply_rules(struct maker *m, const struct tree *t)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules) && may_refer(t->key); i++)
		if (apply_rule(m, &rules[i], t))
			return true;
	return false;
}

/* {kind, name}: a reference in a form that other kinds use, too. */
static void refer_by_kind(struct maker *m, const struct tree *t)
{
	struct str kind = tree_text(tree_get(t, "kind"));
	bool scales = str_eq(t->key, STR("scaleTargetRef"));

	if (!kind.n || !(str_ends(t->key, STR("Ref")) || str_ends(t->key, STR("Reference"))) ||
	    str_eq(t->key, STR("roleRef")) || str_eq(t->key, STR("claimRef")))
		return;
	make_edge(m, scales ? GRAPH_SCALES : GRAPH_REFERS_TO, NULL, ref_of(m, t, kind),
		  make_place(m), (struct str){0});
}

static void image_edge(struct maker *m, struct str text)
{
	if (!str_eq(m->self.kind, STR("Pod"))) /* edges_pod.c knows their digests */
		make_image(m, NULL, text, (struct str){0});
}

static void walk(struct maker *m, const struct tree *t, bool containers);

static void walk_child(struct maker *m, const struct tree *parent, const struct tree *t,
		       uint32_t number, bool containers)
{
	bool element = parent->type == TREE_ARRAY;

	if (m->n_path == ARRAY_SIZE(m->path) || (element && !t->first))
		return;
	m->path[m->n_path].t = t;
	m->path[m->n_path].number = number;
	m->path[m->n_path].element = element;
	m->n_path++;
	walk(m, t, containers);
	m->n_path--;
}

static void walk(struct maker *m, const struct tree *t, bool containers)
{
	bool of_containers = t->type == TREE_ARRAY && str_ends(t->key, STR("ontainers"));
	uint32_t number = 0;

	if (containers && t->type == TREE_STRING && str_eq(t->key, STR("image")))
		image_edge(m, t->text);
	if (t->key.n && !apply_rules(m, t) && t->type == TREE_OBJECT)
		refer_by_kind(m, t);
	tree_each(c, t)
		walk_child(m, t, c, number++,
			   of_containers || (containers && t->type == TREE_OBJECT && !t->key.n));
}

/* ---- the object ---- */

static void owners(struct maker *m)
{
	tree_each(o, tree_at(m->object, "metadata.ownerReferences"))
	{
		struct graph_ref from = ref_of(m, o, tree_text(tree_get(o, "kind")));
		bool controls = tree_is_true(tree_get(o, "controller"));

		if (from.name.n && from.kind.n)
			make_edge(m, GRAPH_OWNS, &from, m->self, STR("metadata.ownerReferences"),
				  controls ? STR("{\"controller\":true}") : (struct str){0});
	}
}

static void self_node(struct maker *m)
{
	const struct tree *meta = tree_get(m->object, "metadata");
	_buf_ struct buf b;
	struct json_out j = {.out = &b};

	buf_init(&b, MAX_PROPS);
	json_open(&j, NULL, '{');
	json_some(&j, "uid", tree_text(tree_get(meta, "uid")));
	json_some(&j, "apiVersion", tree_text(tree_get(m->object, "apiVersion")));
	json_some(&j, "created", tree_text(tree_get(meta, "creationTimestamp")));
	json_close(&j, '{');
	if (j.r < 0)
		m->r = m->r < 0 ? m->r : -ENOMEM;
	add_node(m, m->self, &b);
}

static void labels(struct maker *m)
{
	const struct tree *t = tree_at(m->object, "metadata.labels");
	struct graph_label *list;

	if (!t || t->type != TREE_OBJECT || !t->n || m->r < 0)
		return;
	list = arena_alloc(m->a, t->n * sizeof(*list));
	if (!list) {
		m->r = -ENOMEM;
		return;
	}
	m->set->labels = list;
	tree_each(l, t) list[m->set->n_labels++] =
		(struct graph_label){.key = l->key, .value = tree_text(l)};
}

static void walk_spec(struct maker *m)
{
	static const struct str apart[] = {STR("metadata"), STR("status"), STR("data"),
					   STR("stringData"), STR("binaryData")};

	if (str_eq(m->self.kind, STR("CustomResourceDefinition")))
		return; /* its schemas speak of such fields and refer to nothing */
	tree_each(t, m->object)
	{
		bool skip = t->type != TREE_OBJECT && t->type != TREE_ARRAY;

		for (size_t i = 0; i < ARRAY_SIZE(apart); i++)
			skip = skip || str_eq(t->key, apart[i]);
		if (skip)
			continue;
		walk_child(m, m->object, t, 0, false);
	}
}

int edges_of(const struct tree *object, struct arena *a, struct graph_set *ret)
{
	struct graph_set set = {0};
	struct maker m = {.a = a, .object = object, .set = &set};

	m.self = (struct graph_ref){
		.group = api_group(tree_text(tree_get(object, "apiVersion"))),
		.kind = tree_text(tree_get(object, "kind")),
		.ns = tree_text_at(object, "metadata.namespace"),
		.name = tree_text_at(object, "metadata.name"),
	};
	if (!m.self.kind.n || !m.self.name.n)
		return -EINVAL;
	self_node(&m);
	labels(&m);
	owners(&m);
	walk_spec(&m);
	make_by_kind(&m);
	if (m.r < 0)
		return m.r;
	*ret = set;
	return 0;
}

/* In steps of eight bytes; the length goes in, so that no two lists of texts run together. */
static void mix(uint64_t *h, struct str s)
{
	uint64_t v;

	for (size_t i = 0; i < s.n; i += sizeof(v)) {
		v = 0;
		memcpy(&v, s.p + i, MIN(s.n - i, sizeof(v)));
		*h = (*h ^ le64toh(v)) * 0x9e3779b97f4a7c15ULL;
		*h ^= *h >> 29;
	}
	*h = (*h ^ s.n) * 0x9e3779b97f4a7c15ULL;
	*h ^= *h >> 29;
}

static void mix_ref(uint64_t *h, const struct graph_ref *r)
{
	mix(h, r->group);
	mix(h, r->kind);
	mix(h, r->ns);
	mix(h, r->name);
}

uint64_t edges_hash(const struct graph_set *s, struct str beside)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	mix(&h, beside);
	for (uint32_t i = 0; i < s->n_nodes; i++) {
		mix_ref(&h, &s->nodes[i].ref);
		mix(&h, s->nodes[i].props);
	}
	for (uint32_t i = 0; i < s->n_edges; i++) {
		const struct graph_edge *e = &s->edges[i];

		mix(&h, str_of(graph_type_name(e->type)));
		mix_ref(&h, &e->from);
		mix_ref(&h, &e->to);
		mix(&h, graph_edge_selects(e) ? STR("s") : STR("n"));
		mix(&h, e->selector);
		mix(&h, e->via);
		mix(&h, e->props);
	}
	for (uint32_t i = 0; i < s->n_labels; i++) {
		mix(&h, s->labels[i].key);
		mix(&h, s->labels[i].value);
	}
	return h;
}
