/*
 * JSONPath as kubectl writes it, with or without braces: .metadata.labels['app'],
 * spec.containers[*].image, $.status..reason, [0], [-1], [0:2], ['a','b'],
 * .metadata.labels.app\.kubernetes\.io/name, and filters [?(@.type=="Ready")] with
 * == != < > <= >= or mere existence.
 *
 * Other than there: what is missing gives no value and is no error; a quoted name
 * with dots is a member of that name if there is one, else a path of names; a
 * filter holds when one of the values on its left does; values of two types are
 * not equal; a slice is cut at the ends. No range, no text around expressions.
 */
#pragma once

#include "tree/tree.h"

#define PATH_MAX_TEXT 1024 /* bytes of an expression */

struct path;

/* Where an expression within a longer text ends: at the first `stop` that is in no bracket and no
 * quotes. The text's length: there is none; SIZE_MAX: a bracket or quote is open at its end. */
size_t path_until(struct str text, char stop);
/* 0, -ENOMEM, or -EINVAL with a sentence and, in two more lines, the expression and a mark under
 * the fault. */
int path_new(struct str text, struct path **ret, struct buf *ret_error);
void path_free(struct path **p);

/* Calls `found` for each value, in document order (of a union: in its order); a value that is
 * reached by two ways comes twice. A non-zero return ends the walk and is returned. */
int path_eval(const struct path *p, const struct tree *t,
	      int (*found)(void *ctx, const struct tree *value), void *ctx);
/* The first value, or NULL. */
const struct tree *path_first(const struct path *p, const struct tree *t);
/* Takes every value it names out of the tree, but never the object itself; returns how many. */
uint32_t path_remove(const struct path *p, struct tree *t);
