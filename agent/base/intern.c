#include "base/intern.h"

#include <errno.h>
#include <stdlib.h>

void intern_init(struct intern *t, uint32_t max)
{
	*t = (struct intern){0};
	pool_init(&t->pool, sizeof(struct interned), max);
	index_init(&t->index);
	hash_seed_init(&t->seed);
}

void intern_done(struct intern *t)
{
	for (uint32_t i = 0; i < t->index.size; i++)
		if (t->index.slots[i].id)
			free(((struct interned *)pool_at(&t->pool, t->index.slots[i].id))->p);
	index_done(&t->index);
	pool_done(&t->pool);
	t->bytes = 0;
}

static uint32_t intern_hash(const struct intern *t, struct str s)
{
	return (uint32_t)hash_bytes(&t->seed, s.p, s.n);
}

pool_id intern_find(const struct intern *t, struct str s)
{
	uint32_t at, h, id;

	if (str_empty(s))
		return 0;
	h = intern_hash(t, s);
	for (id = index_first(&t->index, h, &at); id; id = index_next(&t->index, h, &at))
		if (str_eq(intern_str(t, id), s))
			return id;
	return 0;
}

static int intern_add(struct intern *t, struct str s, pool_id *ret_id)
{
	pool_id id = pool_alloc(&t->pool);
	struct interned *e;

	if (!id)
		return t->pool.live >= t->pool.max ? -EMSGSIZE : -ENOMEM;
	e = pool_at(&t->pool, id);
	e->p = malloc(s.n);
	if (!e->p || index_put(&t->index, intern_hash(t, s), id) < 0) {
		free(e->p);
		pool_release(&t->pool, id);
		return -ENOMEM;
	}
	memcpy(e->p, s.p, s.n);
	e->n = (uint32_t)s.n;
	e->refs = 1;
	t->bytes += s.n;
	*ret_id = id;
	return 0;
}

int intern_get(struct intern *t, struct str s, pool_id *ret_id)
{
	pool_id id = intern_find(t, s);

	if (!id && !str_empty(s))
		return intern_add(t, s, ret_id);
	*ret_id = intern_ref(t, id);
	return 0;
}

pool_id intern_ref(struct intern *t, pool_id id)
{
	if (id)
		((struct interned *)pool_at(&t->pool, id))->refs++;
	return id;
}

void intern_put(struct intern *t, pool_id id)
{
	struct interned *e;

	if (!id)
		return;
	e = pool_at(&t->pool, id);
	if (--e->refs)
		return;
	index_del(&t->index, intern_hash(t, str_make(e->p, e->n)), id);
	t->bytes -= e->n;
	free(e->p);
	pool_release(&t->pool, id);
}

size_t intern_bytes(const struct intern *t)
{
	return pool_bytes(&t->pool) + index_bytes(&t->index) + t->bytes;
}
