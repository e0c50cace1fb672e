/*
 * A YAML file as a tree that is asked by key, with errors that name file, line
 * and key. Lookups go to a fixed depth and never walk the whole tree, so that
 * aliases can neither loop nor multiply; sizes are bounded before loading.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

struct yaml_limits {
	unsigned depth;	  /* of nesting */
	unsigned aliases; /* anchors and aliases together */
};

struct yaml_tree {
	const char *path; /* borrowed; for messages */
	yaml_document_t doc;
	bool loaded;
};

/* A mapping and how people find it. */
struct yaml_map {
	struct yaml_tree *tree;
	yaml_node_t *node; /* NULL: empty */
	const char *kind;  /* "cluster", or NULL at the top */
	const char *name;  /* of that cluster; borrowed */
	struct buf *error;
};

/* The first document of `text`. An empty one gives a tree without a root. 0, -EINVAL with a line in
 * ret_error, -ENOMEM. `path` and nothing else of the arguments must stay. */
int yaml_tree_load(struct yaml_tree *t, const char *path, struct str text,
		   const struct yaml_limits *limits, struct buf *ret_error);
void yaml_tree_done(struct yaml_tree *t);
/* The top mapping. 0, or -EINVAL when there is something else. */
int yaml_tree_top(struct yaml_tree *t, struct buf *error, struct yaml_map *ret);

/* Writes "PATH line N: KIND "NAME": KEY: " and the rest into m->error. Returns -EINVAL. */
int yaml_fail(const struct yaml_map *m, const yaml_node_t *at, const char *key, const char *fmt,
	      ...) __attribute__((format(printf, 4, 5)));

/* All below: 0 with the value unset (NULL, false, 0) when the key is absent or null; -EINVAL, with
 * the reason in m->error, when it is twice there or of another type; -ENOMEM. */
int yaml_map_node(const struct yaml_map *m, const char *key, yaml_node_t **ret);
/* A heap copy; empty text counts as absent. */
int yaml_map_text(const struct yaml_map *m, const char *key, char **ret);
int yaml_map_bool(const struct yaml_map *m, const char *key, bool *ret);
int yaml_map_map(const struct yaml_map *m, const char *key, struct yaml_map *ret);
/* A sequence node or NULL; yaml_seq_len, yaml_seq_at. */
int yaml_map_seq(const struct yaml_map *m, const char *key, yaml_node_t **ret);
size_t yaml_seq_len(const yaml_node_t *seq);
yaml_node_t *yaml_seq_at(const struct yaml_map *m, const yaml_node_t *seq, size_t i);
/* The node as a mapping with m's kind; -EINVAL when it is none. */
int yaml_node_map(const struct yaml_map *m, yaml_node_t *node, const char *key,
		  struct yaml_map *ret);
/* The node as a heap copy of its text, "" included; -EINVAL when it is no scalar. */
int yaml_node_text(const struct yaml_map *m, const yaml_node_t *node, const char *key, char **ret);
