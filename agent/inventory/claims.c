/*
 * Look-ups of flow ends: who may have had an address, and static pods by the hash
 * that their cgroup carries.
 */
#include "inventory/store.h"

static inline bool same_addr(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* The next one to be filled in; a spare one when there is no room. */
static inline struct inv_claim *next(struct inv_claim *ret, uint32_t max, uint32_t *n,
				     struct inv_claim *spare)
{
	return (*n)++ < max ? &ret[*n - 1] : spare;
}

static void former_claims(const struct pod_rec *p, pod_id id, const struct addr *ip,
			  struct inv_claim *ret, uint32_t max, uint32_t *n)
{
	const struct former_rec *had = body_former(p->body);
	struct inv_claim spare;

	for (uint32_t i = 0; i < p->body->n_former; i++)
		if (same_addr(&had[i].ip, ip))
			*next(ret, max, n, &spare) =
				(struct inv_claim){.id = id,
						   .from = had[i].from,
						   .to = had[i].to,
						   .heard = had[i].heard,
						   .running = p->running,
						   .listed = p->flags & POD_LISTED};
}

static inline void claims_of_pod(const struct inventory *v, pod_id id, const struct addr *ip,
				 struct inv_claim *ret, uint32_t max, uint32_t *n)
{
	const struct pod_rec *p = pod_at(v, id);
	const struct pod_body *b = p->body;
	const struct addr_rec *has = (const struct addr_rec *)(const void *)b->data;
	bool dead = p->flags & POD_DEAD;
	struct inv_claim spare, *c;

	for (uint32_t i = 0; i < b->n_addrs; i++) {
		if (!same_addr(&has[i].ip, ip))
			continue;
		c = next(ret, max, n, &spare);
		c->id = id;
		c->from = has[i].from;
		c->to = dead ? dead_since(v, p) : NSEC_NEVER;
		c->heard = dead ? dead_heard(v, p) : NSEC_NEVER;
		c->running = p->running;
		c->listed = p->flags & POD_LISTED;
	}
	if (b->n_former)
		former_claims(p, id, ip, ret, max, n);
}

/* A pod that had the address twice is in the index twice. */
static bool seen(const struct inv_claim *c, uint32_t n, pod_id id)
{
	for (uint32_t i = 0; i < n; i++)
		if (c[i].id == id)
			return true;
	return false;
}

uint32_t inventory_pod_claims(const struct inventory *v, const struct addr *ip,
			      struct inv_claim *ret, uint32_t max)
{
	uint32_t at, n = 0, h = store_addr_hash(v, ip);

	for (pod_id id = index_first(&v->by_address, h, &at); id;
	     id = index_next(&v->by_address, h, &at))
		if (!seen(ret, n < max ? n : max, id))
			claims_of_pod(v, id, ip, ret, max, &n);
	return n;
}

bool inventory_pod_claim(const struct inventory *v, pod_id id, uint32_t i, struct addr *ret_ip,
			 struct inv_claim *ret)
{
	const struct pod_rec *p = pod_at(v, id);
	struct inv_addr a;

	if (i >= (uint32_t)p->body->n_addrs + p->body->n_former)
		return false;
	a = pods_addr(v, p, i);
	*ret_ip = a.ip;
	*ret = (struct inv_claim){.id = id,
				  .from = a.from,
				  .to = a.to,
				  .heard = a.heard,
				  .running = p->running,
				  .listed = p->flags & POD_LISTED};
	return true;
}

pod_id inventory_by_static_hash(const struct inventory *v, struct str hash)
{
	uint32_t at, h;
	pod_id best = 0;

	if (str_empty(hash))
		return 0;
	h = store_hash(v, hash.p, hash.n);
	for (pod_id id = index_first(&v->by_static, h, &at); id;
	     id = index_next(&v->by_static, h, &at)) {
		if (!str_eq(body_hash(pod_at(v, id)->body), hash))
			continue;
		if (best && !((pod_at(v, best)->flags | pod_at(v, id)->flags) & POD_DEAD))
			return 0;
		best = pods_better(v, best, id);
	}
	return best;
}
