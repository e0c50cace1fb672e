#include "sink/peers/nametab.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES  4000000U
#define FIRST_IDLE 64U

struct name_rec {
	uint32_t id, refs;
	name_ix ns, kind;
	uint32_t hash, mark;
	uint16_t len;
	bool idle;  /* in the list of those that may be dropped */
	char *text; /* NULL: the record is free */
};

static struct name_rec *rec_at(const struct nametab *t, name_ix ix)
{
	return pool_at(&t->pool, ix);
}

void nametab_init(struct nametab *t)
{
	*t = (struct nametab){0};
	pool_init(&t->pool, sizeof(struct name_rec), MAX_NAMES);
	hash_seed_init(&t->seed);
}

void nametab_done(struct nametab *t)
{
	for (name_ix ix = 1; ix <= t->pool.next; ix++)
		free(rec_at(t, ix)->text);
	pool_done(&t->pool);
	index_done(&t->index);
	free(t->idle);
	t->idle = NULL;
}

static uint32_t hash_of(const struct nametab *t, name_ix ns, name_ix kind, struct str text)
{
	return (uint32_t)hash_bytes(&t->seed, text.p, text.n) ^ ns * 0x9e3779b1U ^
	       kind * 0x85ebca77U;
}

static name_ix find(const struct nametab *t, name_ix ns, name_ix kind, struct str text,
		    uint32_t hash)
{
	uint32_t at;

	for (name_ix ix = index_first(&t->index, hash, &at); ix;
	     ix = index_next(&t->index, hash, &at)) {
		const struct name_rec *n = rec_at(t, ix);

		if (n->ns == ns && n->kind == kind && str_eq(str_make(n->text, n->len), text))
			return ix;
	}
	return 0;
}

/* Room for every name to be idle, so that giving one back cannot fail. */
static int reserve_idle(struct nametab *t)
{
	const uint32_t want = t->pool.live + 1;
	name_ix *grown;
	uint32_t cap;

	if (want <= t->cap_idle)
		return 0;
	cap = MAX(2 * t->cap_idle, FIRST_IDLE);
	grown = realloc(t->idle, cap * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	t->idle = grown;
	t->cap_idle = cap;
	return 0;
}

static int add(struct nametab *t, const struct name_rec *from, struct str text, name_ix *ret)
{
	char *copy;
	name_ix ix;

	if (reserve_idle(t) < 0 || index_reserve(&t->index, 1) < 0)
		return -ENOMEM;
	copy = malloc(text.n ? text.n : 1);
	ix = copy ? pool_alloc(&t->pool) : 0;
	if (!ix) {
		free(copy);
		return -ENOMEM;
	}
	if (text.n)
		memcpy(copy, text.p, text.n);
	*rec_at(t, ix) = *from;
	rec_at(t, ix)->text = copy;
	rec_at(t, ix)->len = (uint16_t)text.n;
	rec_at(t, ix)->id = ++t->last_id;
	t->text_bytes += text.n;
	(void)index_put(&t->index, from->hash, ix);
	if (from->ns)
		rec_at(t, from->ns)->refs++;
	if (from->kind)
		rec_at(t, from->kind)->refs++;
	*ret = ix;
	return 0;
}

int nametab_get(struct nametab *t, name_ix ns, name_ix kind, struct str text, name_ix *ret,
		bool *ret_new)
{
	const struct name_rec want = {
		.ns = ns, .kind = kind, .refs = 1, .hash = hash_of(t, ns, kind, text)};
	const name_ix ix = find(t, ns, kind, text, want.hash);

	if (ix) {
		rec_at(t, ix)->refs++;
		*ret = ix;
		*ret_new = false;
		return 0;
	}
	if (text.n > PEERFEED_TEXT_MAX || t->last_id == UINT32_MAX)
		return -EMSGSIZE;
	*ret_new = true;
	return add(t, &want, text, ret);
}

void nametab_put(struct nametab *t, name_ix ix)
{
	struct name_rec *n;

	if (!ix)
		return;
	n = rec_at(t, ix);
	if (--n->refs || n->idle)
		return;
	n->idle = true;
	t->idle[t->n_idle++] = ix;
}

static void free_name(struct nametab *t, name_ix ix)
{
	struct name_rec *n = rec_at(t, ix);

	index_del(&t->index, n->hash, ix);
	t->text_bytes -= n->len;
	free(n->text);
	n->text = NULL;
	nametab_put(t, n->ns);
	nametab_put(t, n->kind);
	pool_release(&t->pool, ix);
}

uint32_t nametab_drop(struct nametab *t)
{
	while (t->n_idle) {
		const name_ix ix = t->idle[--t->n_idle];
		const uint32_t id = rec_at(t, ix)->id;

		rec_at(t, ix)->idle = false;
		if (rec_at(t, ix)->refs) /* wanted again meanwhile */
			continue;
		free_name(t, ix);
		return id;
	}
	return 0;
}

struct nametab_name nametab_at(const struct nametab *t, name_ix ix)
{
	const struct name_rec *n = rec_at(t, ix);

	return (struct nametab_name){.id = n->id,
				     .ns = n->ns,
				     .kind = n->kind,
				     .text = str_make(n->text, n->len),
				     .mark = n->mark};
}

void nametab_set_mark(struct nametab *t, name_ix ix, uint32_t mark)
{
	rec_at(t, ix)->mark = mark;
}

uint32_t nametab_id(const struct nametab *t, name_ix ix)
{
	return ix ? rec_at(t, ix)->id : 0;
}

name_ix nametab_next(const struct nametab *t, name_ix ix)
{
	while (++ix <= t->pool.next)
		if (rec_at(t, ix)->text)
			return ix;
	return 0;
}

size_t nametab_bytes(const struct nametab *t)
{
	return pool_bytes(&t->pool) + index_bytes(&t->index) + t->cap_idle * sizeof(*t->idle) +
	       t->text_bytes;
}
