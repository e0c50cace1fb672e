/* A pool of records and an index; see sock_owners.h. */
#include "flow/sock_owners.h"

#include "base/hash.h"
#include "base/index.h"
#include "base/mem.h"
#include "base/pool.h"

#include <errno.h>
#include <stdlib.h>

struct sock_owners {
	struct pool pool;
	struct index by_inode;
	struct hash_seed seed;
};

int sock_owners_new(struct sock_owners **ret)
{
	struct sock_owners *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	pool_init(&s->pool, sizeof(struct sock_owner), SOCK_OWNERS_MAX);
	index_init(&s->by_inode);
	hash_seed_init(&s->seed);
	*ret = s;
	return 0;
}

void sock_owners_free(struct sock_owners **s)
{
	if (!*s)
		return;
	index_done(&(*s)->by_inode);
	pool_done(&(*s)->pool);
	free(*s);
	*s = NULL;
}

static struct sock_owner *find(const struct sock_owners *s, uint32_t inode, uint32_t *ret_hash)
{
	const uint32_t hash = (uint32_t)hash_bytes(&s->seed, &inode, sizeof(inode));
	uint32_t at;

	*ret_hash = hash;
	for (uint32_t id = index_first(&s->by_inode, hash, &at); id;
	     id = index_next(&s->by_inode, hash, &at)) {
		struct sock_owner *o = pool_at(&s->pool, id);

		if (o->inode == inode)
			return o;
	}
	return NULL;
}

const struct sock_owner *sock_owners_get(const struct sock_owners *s, uint32_t inode)
{
	uint32_t hash;

	return inode ? find(s, inode, &hash) : NULL;
}

struct sock_owner *sock_owners_put(struct sock_owners *s, uint32_t inode)
{
	uint32_t hash;
	struct sock_owner *o = inode ? find(s, inode, &hash) : NULL;

	if (o || !inode)
		return o;
	const pool_id id = pool_alloc(&s->pool);

	if (!id)
		return NULL;
	if (index_put(&s->by_inode, hash, id) < 0) {
		pool_release(&s->pool, id);
		return NULL;
	}
	o = pool_at(&s->pool, id);
	o->inode = inode;
	return o;
}
