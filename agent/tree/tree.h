/*
 * A whole Kubernetes object as a tree: for what the fixed model does not keep
 * (documents, edges, queries). One object at a time, in an arena.
 *
 * Watch bodies never become one tree: the push decoder hands out the bytes of
 * one object (struct object, `raw`), those are parsed here. Objects keep the
 * order of their members; texts are unescaped UTF-8, numbers stay as written.
 */
#pragma once

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define TREE_MAX_DEPTH 64 /* nesting; a deeper object is refused with -EMSGSIZE */

enum tree_type {
	TREE_NULL,
	TREE_FALSE,
	TREE_TRUE,
	TREE_NUMBER,
	TREE_STRING,
	TREE_ARRAY,
	TREE_OBJECT,
	_TREE_TYPE_MAX,
};

struct tree {			   /* lives in the arena, as do its texts */
	struct tree *next;	   /* the next member or element */
	struct tree *first, *last; /* of an object or array */
	struct str key;		   /* within an object */
	struct str text;	   /* of strings (unescaped) and numbers (as written) */
	uint32_t n;		   /* members or elements */
	uint8_t type;		   /* enum tree_type */
	bool marked;		   /* path_remove is at work; else false */
};

/* One JSON value (RFC 8259), strict, nothing but blanks around it. A member that comes twice: the
 * last one counts, as in the API server, at the place of the first. Bytes that are not UTF-8 and
 * lone surrogates become U+FFFD. `json` is not needed afterwards. 0, -EBADMSG, -EMSGSIZE (too deep)
 * or -ENOMEM (also: over the arena's maximum; a hostile text takes 34 times its size). */
int tree_parse(struct arena *a, struct str json, struct tree **ret);

/* All look-ups take NULL and give NULL (or an empty text), so that they can be chained. */
const struct tree *tree_get(const struct tree *t, const char *key);
const struct tree *tree_get_str(const struct tree *t, struct str key);
/* "spec.template.spec": plain member names joined by dots. */
const struct tree *tree_at(const struct tree *t, const char *path);
/* Text of a string or number, else empty. */
struct str tree_text(const struct tree *t);
struct str tree_text_at(const struct tree *t, const char *path);
/* False: it is no text, number or boolean. */
bool tree_scalar(const struct tree *t, struct str *ret);
bool tree_is_true(const struct tree *t);
/* An integer, `otherwise` when there is none. */
int64_t tree_int(const struct tree *t, int64_t otherwise);

#define tree_each(child, parent)                                                  \
	for (const struct tree *child = (parent) ? (parent)->first : NULL; child; \
	     child = child->next)

/* Changes. `child` is one of the parent's. */
void tree_remove(struct tree *parent, struct tree *child);
/* Replaces or appends the member; key and value are copied into the arena. 0 or -ENOMEM. */
int tree_set_text(struct arena *a, struct tree *object, struct str key, struct str value);
/* Turns the value into this string, which is borrowed. */
void tree_become_text(struct tree *t, struct str text);

/* Compact JSON in the tree's order, all or nothing. 0, -EMSGSIZE or -ENOMEM. */
int tree_write(struct buf *b, const struct tree *t);
/* Compact JSON with the members of every object sorted by bytes (S1's canonical form). Equal to
 * jansson's JSON_COMPACT | JSON_SORT_KEYS, except that numbers stay as written. */
int tree_write_canonical(struct buf *b, const struct tree *t);
