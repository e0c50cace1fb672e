#include "base/pool.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_RECORDS (1U << POOL_CHUNK_SHIFT)

void pool_init(struct pool *p, size_t size, uint32_t max)
{
	assert(size >= sizeof(pool_id));
	*p = (struct pool){.size = (uint32_t)size, .max = max};
}

void pool_done(struct pool *p)
{
	for (uint32_t i = 0; i < p->n_chunks; i++)
		free(p->chunks[i]);
	free(p->chunks);
	pool_init(p, p->size, p->max);
}

static int pool_grow(struct pool *p)
{
	if (p->n_chunks == p->cap_chunks) {
		uint32_t cap = p->cap_chunks ? p->cap_chunks * 2 : 8;
		char **chunks = realloc(p->chunks, cap * sizeof(*chunks));

		if (!chunks)
			return -1;
		p->chunks = chunks;
		p->cap_chunks = cap;
	}
	p->chunks[p->n_chunks] = malloc((size_t)CHUNK_RECORDS * p->size);
	if (!p->chunks[p->n_chunks])
		return -1;
	p->n_chunks++;
	return 0;
}

pool_id pool_alloc(struct pool *p)
{
	pool_id id = p->free_;

	if (p->live >= p->max)
		return 0;
	if (id) {
		memcpy(&p->free_, pool_at(p, id), sizeof(p->free_));
	} else {
		if (p->next >> POOL_CHUNK_SHIFT == p->n_chunks && pool_grow(p) < 0)
			return 0;
		id = ++p->next;
	}
	memset(pool_at(p, id), 0, p->size);
	p->live++;
	return id;
}

void pool_release(struct pool *p, pool_id id)
{
	assert(id && id <= p->next && p->live);
	memcpy(pool_at(p, id), &p->free_, sizeof(p->free_));
	p->free_ = id;
	p->live--;
}

size_t pool_bytes(const struct pool *p)
{
	return (size_t)p->n_chunks * CHUNK_RECORDS * p->size + p->cap_chunks * sizeof(*p->chunks);
}
