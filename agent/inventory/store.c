/*
 * The whole inventory: making and freeing it, uids as keys, figures.
 */
#include "inventory/store.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct inventory_opts inventory_defaults = {
	.max_pods = 1000000,
	.max_owners = 2000000,
	.max_dead = 10000,
	.linger = 120 * NSEC_PER_SEC,
};

#define MAX_STRINGS                                                                  \
	8000000U /* different names, images, namespaces; over it objects are refused \
		  */

int inventory_new(const struct inventory_opts *o, struct inventory **ret)
{
	struct inventory *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->opts = *o;
	hash_seed_init(&v->seed);
	intern_init(&v->strings, MAX_STRINGS);
	pool_init(&v->pods, sizeof(struct pod_rec), o->max_pods);
	pool_init(&v->graves, sizeof(struct dead_rec), o->max_dead);
	pool_init(&v->owners, sizeof(struct owner_rec), o->max_owners);
	places_init(&v->places);
	*ret = v;
	return 0;
}

void inventory_free(struct inventory **vp)
{
	struct inventory *v = *vp;

	if (!v)
		return;
	for (pod_id id = v->log.head; id; id = pod_at(v, id)->log_next)
		free(pod_at(v, id)->body);
	owners_done(v);
	places_done(&v->places);
	for (size_t i = 0; i < ARRAY_SIZE(v->cursors); i++)
		free(v->cursors[i]);
	index_done(&v->by_uid);
	index_done(&v->by_name);
	index_done(&v->by_container);
	index_done(&v->by_address);
	index_done(&v->by_static);
	index_done(&v->owner_by_uid);
	intern_done(&v->strings);
	pool_done(&v->pods);
	pool_done(&v->owners);
	pool_done(&v->graves);
	free(v->sources);
	free(v);
	*vp = NULL;
}

uint32_t store_hash(const struct inventory *v, const void *p, size_t n)
{
	return (uint32_t)hash_bytes(&v->seed, p, n);
}

static void uid_of_text(pool_id text, struct uid *ret)
{
	*ret = (struct uid){{0}};
	memcpy(ret->b, &text, sizeof(text));
}

pool_id store_text_id(const uint8_t b[4])
{
	pool_id id;

	memcpy(&id, b, sizeof(id));
	return id;
}

bool store_uid_find(const struct inventory *v, struct str text, struct uid_key *ret)
{
	ret->form = uid_parse(text, &ret->uid);
	if (ret->form == UID_OTHER)
		uid_of_text(intern_find(&v->strings, text), &ret->uid);
	return ret->form != UID_NONE && (ret->form != UID_OTHER || store_text_id(ret->uid.b));
}

int store_uid_get(struct inventory *v, struct str text, struct uid_key *ret)
{
	pool_id id;
	int r;

	if (str_empty(text) || text.n > UID_TEXT_MAX)
		return -EINVAL;
	ret->form = uid_parse(text, &ret->uid);
	if (ret->form != UID_OTHER)
		return 0;
	r = intern_get(&v->strings, text, &id);
	if (r < 0)
		return r;
	uid_of_text(id, &ret->uid);
	return 0;
}

void store_uid_put(struct inventory *v, const struct uid_key *k)
{
	if (k->form == UID_OTHER)
		intern_put(&v->strings, store_text_id(k->uid.b));
}

void store_uid_print(const struct inventory *v, enum uid_form form, const struct uid *u,
		     char out[UID_TEXT_MAX + 1])
{
	struct str s;

	if (form != UID_OTHER) {
		(void)uid_print(form, u, out);
		return;
	}
	s = intern_str(&v->strings, store_text_id(u->b));
	memcpy(out, s.p, s.n);
	out[s.n] = '\0';
}

void inventory_stats(const struct inventory *v, struct inventory_stats *ret)
{
	*ret = v->stats;
	ret->pods = v->pods.live;
	ret->dead = v->graves.live;
	ret->owners = v->owners.live;
	for (owner_id id = inventory_owner_next(v, 0); id; id = inventory_owner_next(v, id))
		ret->owners_referenced += owner_at(v, id)->state == OWNER_REFERENCED;
	ret->containers = v->n_containers;
	ret->strings = v->strings.pool.live;
	ret->bytes = inventory_bytes(v);
}

size_t inventory_bytes(const struct inventory *v)
{
	return sizeof(*v) + intern_bytes(&v->strings) + pool_bytes(&v->pods) +
	       pool_bytes(&v->graves) + pool_bytes(&v->owners) + v->body_bytes + v->name_bytes +
	       index_bytes(&v->by_uid) + index_bytes(&v->by_name) + index_bytes(&v->by_container) +
	       index_bytes(&v->by_address) + index_bytes(&v->by_static) +
	       index_bytes(&v->owner_by_uid) + places_bytes(&v->places);
}

static size_t pool_used(const struct pool *p)
{
	return (size_t)p->live * p->size;
}

static size_t index_used(const struct index *x)
{
	return (size_t)x->n * sizeof(*x->slots) * 5 / 4; /* some slots are always free */
}

size_t inventory_used(const struct inventory *v)
{
	return sizeof(*v) + v->strings.bytes + pool_used(&v->strings.pool) +
	       index_used(&v->strings.index) + pool_used(&v->pods) + pool_used(&v->graves) +
	       pool_used(&v->owners) + v->body_bytes + v->name_bytes + index_used(&v->by_uid) +
	       index_used(&v->by_name) + index_used(&v->by_container) + index_used(&v->by_address) +
	       index_used(&v->by_static) + index_used(&v->owner_by_uid) + places_bytes(&v->places);
}
