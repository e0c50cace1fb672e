#include "sink/metrics/pairs.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)PAIR_MAX <= 32, "a bit for every series");

#define BIRTH_BITS ((1U << PAIR_BIRTH) - 1)
#define RTT_BITS   (1U << PAIR_RTT_COUNT | 1U << PAIR_RTT_SUM)

void pairs_init(struct pairs *p, uint32_t max_series, nsec_t idle)
{
	*p = (struct pairs){.idle = idle};
	pool_init(&p->pool, sizeof(struct pair), 0);
	pairs_tune(p, max_series);
	index_init(&p->index);
	hash_seed_init(&p->seed);
}

void pairs_tune(struct pairs *p, uint32_t max_series)
{
	p->max_series = max_series;
	p->pool.max = MAX(p->pool.max, max_series / PAIR_BIRTH + 1);
}

static struct pair *at(const struct pairs *p, pool_id id)
{
	return pool_at(&p->pool, id);
}

const struct pair *pairs_at(const struct pairs *p, pool_id id)
{
	return at(p, id);
}

void pairs_done(struct pairs *p)
{
	for (pool_id id = p->newest; id; id = at(p, id)->older)
		free(at(p, id)->labels);
	pool_done(&p->pool);
	index_done(&p->index);
}

pool_id pairs_next(const struct pairs *p, pool_id id)
{
	return id ? at(p, id)->older : p->newest;
}

pool_id pairs_after(const struct pairs *p, pool_id id)
{
	for (id++; id <= p->pool.next; id++)
		if (at(p, id)->labels)
			return id;
	return 0;
}

uint32_t pairs_count(const struct pairs *p)
{
	return p->pool.live;
}

size_t pairs_bytes(const struct pairs *p)
{
	return pool_bytes(&p->pool) + index_bytes(&p->index) + p->label_bytes;
}

/* ---- order of use ---------------------------------------------------------------------------- */

static void unlink_pair(struct pairs *p, pool_id id)
{
	struct pair *x = at(p, id);

	*(x->newer ? &at(p, x->newer)->older : &p->newest) = x->older;
	*(x->older ? &at(p, x->older)->newer : &p->oldest) = x->newer;
}

static void link_newest(struct pairs *p, pool_id id)
{
	struct pair *x = at(p, id);

	x->newer = 0;
	x->older = p->newest;
	*(p->newest ? &at(p, p->newest)->newer : &p->oldest) = id;
	p->newest = id;
}

/* ---- room ------------------------------------------------------------------------------------ */

/* The counts move in one step: no sum over pairs ever goes back. */
static void fold(struct pairs *p, pool_id id)
{
	struct pair *x = at(p, id), *to = &p->other[x->proto];

	for (int i = 0; i < PAIR_MAX; i++)
		to->v[i] += x->v[i];
	to->has |= x->has;
	p->series -= (uint32_t)__builtin_popcount(x->has);
	p->folded++;
	p->label_bytes -= x->n_labels;
	index_del(&p->index, x->hash, id);
	unlink_pair(p, id);
	free(x->labels);
	x->labels = NULL;
	pool_release(&p->pool, id);
}

/* Room for `n` more series. `keep` is not folded for it. */
static bool make_room(struct pairs *p, nsec_t now, uint32_t n, pool_id keep)
{
	while (p->series + n > p->max_series) {
		pool_id last = p->oldest;

		if (!last || last == keep || now - at(p, last)->used < p->idle)
			return false;
		fold(p, last);
	}
	return true;
}

/* ---- pairs ----------------------------------------------------------------------------------- */

static pool_id find(const struct pairs *p, uint32_t hash, struct str labels)
{
	uint32_t walk;

	for (pool_id id = index_first(&p->index, hash, &walk); id;
	     id = index_next(&p->index, hash, &walk))
		if (str_eq(str_make(at(p, id)->labels, at(p, id)->n_labels), labels))
			return id;
	return 0;
}

/* 0: no room, or no memory. */
static pool_id make(struct pairs *p, nsec_t now, enum flow_proto proto, uint32_t hash,
		    struct str labels)
{
	_free_ char *copy = NULL;
	struct pair *x;
	pool_id id;

	if (!make_room(p, now, PAIR_BIRTH, 0))
		return 0;
	copy = malloc(labels.n + 1);
	id = copy ? pool_alloc(&p->pool) : 0;
	if (!id)
		return 0;
	if (index_put(&p->index, hash, id) < 0) {
		pool_release(&p->pool, id);
		return 0;
	}
	memcpy(copy, labels.p, labels.n);
	x = at(p, id);
	x->labels = TAKE_PTR(copy);
	x->n_labels = (uint32_t)labels.n;
	x->born = p->wall ? p->wall() : 0;
	x->proto = (uint8_t)proto;
	x->hash = hash;
	x->has = BIRTH_BITS;
	p->series += PAIR_BIRTH;
	p->label_bytes += labels.n;
	link_newest(p, id);
	return id;
}

static void touch(struct pairs *p, pool_id id, nsec_t now)
{
	at(p, id)->used = now;
	if (p->newest == id)
		return;
	unlink_pair(p, id);
	link_newest(p, id);
}

/* The pair itself where the series is there or finds room, else `other`. */
static struct pair *home(struct pairs *p, nsec_t now, pool_id id, enum flow_proto proto, int series)
{
	uint32_t bits = 1U << series & RTT_BITS ? RTT_BITS : 1U << series;
	uint32_t missing;

	if (id) {
		missing = bits & ~at(p, id)->has;
		if (!missing)
			return at(p, id);
		if (make_room(p, now, (uint32_t)__builtin_popcount(missing), id)) {
			p->series += (uint32_t)__builtin_popcount(missing);
			at(p, id)->has |= bits;
			return at(p, id);
		}
	}
	p->overflows++;
	p->other[proto].has |= bits | BIRTH_BITS;
	return &p->other[proto];
}

pool_id pairs_get(struct pairs *p, nsec_t now, enum flow_proto proto, struct str labels)
{
	uint32_t hash = (uint32_t)hash_bytes(&p->seed, labels.p, labels.n);
	pool_id id = str_empty(labels) ? 0 : find(p, hash, labels);

	return id || str_empty(labels) ? id : make(p, now, proto, hash, labels);
}

void pairs_add(struct pairs *p, nsec_t now, enum flow_proto proto, pool_id id,
	       const uint64_t d[PAIR_MAX])
{
	if (id)
		touch(p, id, now);
	for (int i = 0; i < PAIR_MAX; i++)
		if (d[i])
			home(p, now, id, proto, i)->v[i] += d[i];
}
