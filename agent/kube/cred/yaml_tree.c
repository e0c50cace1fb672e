/* A YAML file asked by key; see yaml_tree.h. */
#include "kube/cred/yaml_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int syntax_fail(const yaml_parser_t *p, const char *path, struct buf *e)
{
	if (p->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	(void)buf_printf(e, "%s line %zu: is no valid YAML: %s", path, p->problem_mark.line + 1,
			 p->problem ? p->problem : "cannot be parsed");
	return -EINVAL;
}

static int limit_fail(const yaml_event_t *ev, const char *path, const char *what, unsigned max,
		      struct buf *e)
{
	(void)buf_printf(e, "%s line %zu: has more than %u %s", path, ev->start_mark.line + 1, max,
			 what);
	return -EINVAL;
}

struct tally {
	unsigned depth, aliases;
};

static int tally_event(struct tally *t, const yaml_event_t *ev, const char *path,
		       const struct yaml_limits *l, struct buf *e)
{
	bool anchor = ev->type == YAML_ALIAS_EVENT;

	if (ev->type == YAML_SEQUENCE_START_EVENT || ev->type == YAML_MAPPING_START_EVENT)
		t->depth++;
	if (ev->type == YAML_SEQUENCE_END_EVENT || ev->type == YAML_MAPPING_END_EVENT)
		t->depth--;
	anchor |= ev->type == YAML_SEQUENCE_START_EVENT && ev->data.sequence_start.anchor;
	anchor |= ev->type == YAML_MAPPING_START_EVENT && ev->data.mapping_start.anchor;
	anchor |= ev->type == YAML_SCALAR_EVENT && ev->data.scalar.anchor;
	t->aliases += anchor;
	if (t->depth > l->depth)
		return limit_fail(ev, path, "levels of nesting", l->depth, e);
	if (t->aliases > l->aliases)
		return limit_fail(ev, path, "anchors and aliases", l->aliases, e);
	return 0;
}

/* Reads the first document's events only to see that they stay inside the limits. */
static int check_limits(const char *path, struct str text, const struct yaml_limits *l,
			struct buf *e)
{
	struct tally t = {0};
	yaml_parser_t p;
	bool more = true;
	int r = 0;

	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
	while (r == 0 && more) {
		yaml_event_t ev;

		if (!yaml_parser_parse(&p, &ev)) {
			r = syntax_fail(&p, path, e);
			break;
		}
		r = tally_event(&t, &ev, path, l, e);
		more = ev.type != YAML_DOCUMENT_END_EVENT && ev.type != YAML_STREAM_END_EVENT;
		yaml_event_delete(&ev);
	}
	yaml_parser_delete(&p);
	return r;
}

int yaml_tree_load(struct yaml_tree *t, const char *path, struct str text,
		   const struct yaml_limits *limits, struct buf *ret_error)
{
	yaml_parser_t p;
	int r = check_limits(path, text, limits, ret_error);

	*t = (struct yaml_tree){.path = path};
	if (r < 0)
		return r;
	if (!yaml_parser_initialize(&p))
		return -ENOMEM;
	yaml_parser_set_input_string(&p, (const unsigned char *)text.p, text.n);
	if (yaml_parser_load(&p, &t->doc))
		t->loaded = true;
	else
		r = syntax_fail(&p, path, ret_error);
	yaml_parser_delete(&p);
	return r;
}

void yaml_tree_done(struct yaml_tree *t)
{
	if (t->loaded)
		yaml_document_delete(&t->doc);
	t->loaded = false;
}

int yaml_fail(const struct yaml_map *m, const yaml_node_t *at, const char *key, const char *fmt,
	      ...)
{
	char why[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	(void)buf_printf(m->error, "%s", m->tree->path);
	if (!at)
		at = m->node;
	if (at)
		(void)buf_printf(m->error, " line %zu", at->start_mark.line + 1);
	if (m->kind && m->name)
		(void)buf_printf(m->error, ": %s \"%s\"", m->kind, m->name);
	else if (m->kind)
		(void)buf_printf(m->error, ": %s", m->kind);
	(void)buf_printf(m->error, key ? ": %s: %s" : ": %s%s", key ? key : "", why);
	return -EINVAL;
}

static struct str scalar_str(const yaml_node_t *n)
{
	return str_make(n->data.scalar.value, n->data.scalar.length);
}

/* YAML 1.1's null: plain and one of these. */
static bool is_null(const yaml_node_t *n)
{
	struct str s;

	if (n->type == YAML_NO_NODE)
		return true;
	if (n->type != YAML_SCALAR_NODE || n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
		return false;
	s = scalar_str(n);
	return !s.n || str_eq(s, STR("~")) || str_ieq(s, STR("null"));
}

int yaml_tree_top(struct yaml_tree *t, struct buf *error, struct yaml_map *ret)
{
	struct yaml_map m = {.tree = t, .error = error};
	yaml_node_t *root = t->loaded ? yaml_document_get_root_node(&t->doc) : NULL;

	if (!root || is_null(root)) {
		*ret = m;
		return 0;
	}
	if (root->type != YAML_MAPPING_NODE)
		return yaml_fail(&m, root, NULL,
				 "expected a mapping (apiVersion, kind, clusters, ...)");
	m.node = root;
	*ret = m;
	return 0;
}

int yaml_map_node(const struct yaml_map *m, const char *key, yaml_node_t **ret)
{
	yaml_node_t *found = NULL;

	for (yaml_node_pair_t *p = m->node ? m->node->data.mapping.pairs.start : NULL;
	     p && p < m->node->data.mapping.pairs.top; p++) {
		yaml_node_t *k = yaml_document_get_node(&m->tree->doc, p->key);

		if (!k || k->type != YAML_SCALAR_NODE)
			continue;
		if (str_eq(scalar_str(k), STR("<<")))
			return yaml_fail(m, k, NULL, "merge keys (<<) are not supported");
		if (!str_eq(scalar_str(k), str_of(key)))
			continue;
		if (found)
			return yaml_fail(m, k, key, "is given twice");
		found = yaml_document_get_node(&m->tree->doc, p->value);
	}
	*ret = found && !is_null(found) ? found : NULL;
	return 0;
}

int yaml_node_text(const struct yaml_map *m, const yaml_node_t *node, const char *key, char **ret)
{
	struct str s;
	char *z;

	if (node->type != YAML_SCALAR_NODE)
		return yaml_fail(m, node, key, "expected a text, not a %s",
				 node->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
	s = scalar_str(node);
	if (s.n && memchr(s.p, '\0', s.n))
		return yaml_fail(m, node, key, "holds a NUL byte");
	z = str_dup(s);
	if (!z)
		return -ENOMEM;
	*ret = z;
	return 0;
}

int yaml_map_text(const struct yaml_map *m, const char *key, char **ret)
{
	yaml_node_t *n;
	int r = yaml_map_node(m, key, &n);

	if (r < 0)
		return r;
	if (!n || (n->type == YAML_SCALAR_NODE && !n->data.scalar.length)) {
		*ret = NULL;
		return 0;
	}
	return yaml_node_text(m, n, key, ret);
}

int yaml_map_bool(const struct yaml_map *m, const char *key, bool *ret)
{
	static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no",
									       "off"};
	yaml_node_t *n;
	int r = yaml_map_node(m, key, &n);

	if (r < 0)
		return r;
	if (!n) {
		*ret = false;
		return 0;
	}
	for (size_t i = 0; n->type == YAML_SCALAR_NODE && i < 3; i++) {
		bool is_yes = str_ieq(scalar_str(n), str_of(yes[i]));

		if (is_yes || str_ieq(scalar_str(n), str_of(no[i]))) {
			*ret = is_yes;
			return 0;
		}
	}
	return yaml_fail(m, n, key, "expected true or false");
}

int yaml_node_map(const struct yaml_map *m, yaml_node_t *node, const char *key,
		  struct yaml_map *ret)
{
	if (node->type != YAML_MAPPING_NODE)
		return yaml_fail(m, node, key, "expected a mapping, not a %s",
				 node->type == YAML_SEQUENCE_NODE ? "list" : "text");
	*ret = *m;
	ret->node = node;
	return 0;
}

int yaml_map_map(const struct yaml_map *m, const char *key, struct yaml_map *ret)
{
	yaml_node_t *n;
	int r = yaml_map_node(m, key, &n);

	if (r < 0)
		return r;
	if (n)
		return yaml_node_map(m, n, key, ret);
	*ret = *m;
	ret->node = NULL;
	return 0;
}

int yaml_map_seq(const struct yaml_map *m, const char *key, yaml_node_t **ret)
{
	yaml_node_t *n;
	int r = yaml_map_node(m, key, &n);

	if (r < 0)
		return r;
	if (n && n->type != YAML_SEQUENCE_NODE)
		return yaml_fail(m, n, key, "expected a list, not a %s",
				 n->type == YAML_MAPPING_NODE ? "mapping" : "text");
	*ret = n;
	return 0;
}

size_t yaml_seq_len(const yaml_node_t *seq)
{
	return seq ? (size_t)(seq->data.sequence.items.top - seq->data.sequence.items.start) : 0;
}

yaml_node_t *yaml_seq_at(const struct yaml_map *m, const yaml_node_t *seq, size_t i)
{
	return yaml_document_get_node(&m->tree->doc, seq->data.sequence.items.start[i]);
}
