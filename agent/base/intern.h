/*
 * Strings that come often (namespaces, nodes, kinds, images), kept once and
 * counted. Id 0 is the empty string and costs nothing.
 */
#pragma once

#include "base/hash.h"
#include "base/index.h"
#include "base/pool.h"
#include "base/str.h"

struct interned {
	char *p;
	uint32_t n, refs;
};

struct intern {
	struct pool pool;
	struct index index;
	struct hash_seed seed;
	size_t bytes; /* of the strings themselves */
};

/* At most `max` different strings. */
void intern_init(struct intern *t, uint32_t max);
void intern_done(struct intern *t);
/* Finds or adds the string and takes one reference: 0, -ENOMEM or -EMSGSIZE (full). */
int intern_get(struct intern *t, struct str s, pool_id *ret_id);
/* One more reference to a string that is held. Returns the id. */
pool_id intern_ref(struct intern *t, pool_id id);
/* Gives one reference back; the last one frees the string. */
void intern_put(struct intern *t, pool_id id);
/* Borrowed while a reference is held. */
static inline struct str intern_str(const struct intern *t, pool_id id)
{
	const struct interned *e = id ? pool_at(&t->pool, id) : NULL;

	return e ? (struct str){.p = e->p, .n = e->n} : (struct str){0};
}
/* The id of a string that is held by somebody, else 0. Takes no reference. */
pool_id intern_find(const struct intern *t, struct str s);
size_t intern_bytes(const struct intern *t);
