/*
 * Owners: a forest by uid. A reference makes a record even before its object is
 * seen, so a pod always has somewhere to hang and a late object finds its pods at
 * once. When something about an owner changes, every pod below it is touched.
 *
 * References may run in a circle (nothing in the API forbids it). Each record
 * has one parent, so walking down from a record can meet only itself again.
 */
#include "inventory/store.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static owner_id find(const struct inventory *v, const struct uid_key *k)
{
	uint32_t at, h = store_hash(v, k->uid.b, sizeof(k->uid));

	for (owner_id id = index_first(&v->owner_by_uid, h, &at); id;
	     id = index_next(&v->owner_by_uid, h, &at))
		if (owner_at(v, id)->uid_form == k->form &&
		    memcmp(&owner_at(v, id)->uid, &k->uid, sizeof(k->uid)) == 0)
			return id;
	return 0;
}

/* What an owner is called; owns its references until it is put into the record. */
struct naming {
	pool_id api_version, kind_text, ns;
	char *name;
	uint16_t name_len;
	enum kind kind;
};

static int naming_get(struct inventory *v, struct str api_version, struct str kind, struct str ns,
		      struct str name, struct naming *ret)
{
	int r;

	if (name.n > UINT16_MAX)
		return -EMSGSIZE;
	r = intern_get(&v->strings, api_version, &ret->api_version);
	if (r == 0)
		r = intern_get(&v->strings, kind, &ret->kind_text);
	if (r == 0)
		r = intern_get(&v->strings, ns, &ret->ns);
	if (r < 0)
		return r;
	ret->name = malloc(name.n + 1);
	if (!ret->name)
		return -ENOMEM;
	if (name.n)
		memcpy(ret->name, name.p, name.n);
	ret->name_len = (uint16_t)name.n;
	v->name_bytes += name.n + 1U;
	ret->kind = kind_of(api_group(api_version), kind);
	return 0;
}

static void naming_put(struct inventory *v, struct naming *n)
{
	intern_put(&v->strings, n->api_version);
	intern_put(&v->strings, n->kind_text);
	intern_put(&v->strings, n->ns);
	if (n->name)
		v->name_bytes -= n->name_len + 1U;
	free(n->name);
	*n = (struct naming){0};
}

static struct naming naming_of(const struct owner_rec *o)
{
	return (struct naming){.api_version = o->api_version,
			       .kind_text = o->kind_text,
			       .ns = o->ns,
			       .name = o->name,
			       .name_len = o->name_len,
			       .kind = o->kind};
}

static bool naming_same(const struct naming *a, const struct naming *b)
{
	return a->api_version == b->api_version && a->kind_text == b->kind_text && a->ns == b->ns &&
	       a->name_len == b->name_len && memcmp(a->name, b->name, a->name_len) == 0;
}

/* Puts `n` into the record and what was there into `n`. */
static void naming_swap(struct owner_rec *o, struct naming *n)
{
	struct naming was = naming_of(o);

	o->api_version = n->api_version;
	o->kind_text = n->kind_text;
	o->ns = n->ns;
	o->name = n->name;
	o->name_len = n->name_len;
	o->kind = (uint8_t)n->kind;
	*n = was;
}

/* ---- the tree -------------------------------------------------------------------------------- */

void owners_link_pod(struct inventory *v, owner_id owner, pod_id pod)
{
	struct owner_rec *o = owner_at(v, owner);
	struct pod_rec *p = pod_at(v, pod);

	p->sib_prev = 0;
	p->sib_next = o->first_pod;
	if (o->first_pod)
		pod_at(v, o->first_pod)->sib_prev = pod;
	o->first_pod = pod;
}

void owners_unlink_pod(struct inventory *v, pod_id pod)
{
	struct pod_rec *p = pod_at(v, pod);

	if (p->sib_prev)
		pod_at(v, p->sib_prev)->sib_next = p->sib_next;
	else
		owner_at(v, p->owner)->first_pod = p->sib_next;
	if (p->sib_next)
		pod_at(v, p->sib_next)->sib_prev = p->sib_prev;
	p->sib_prev = p->sib_next = 0;
}

static void link_owner(struct inventory *v, owner_id parent, owner_id id)
{
	struct owner_rec *o = owner_at(v, id), *up = owner_at(v, parent);

	o->parent = parent;
	o->sib_prev = 0;
	o->sib_next = up->first_owner;
	if (up->first_owner)
		owner_at(v, up->first_owner)->sib_prev = id;
	up->first_owner = id;
}

static void unlink_owner(struct inventory *v, owner_id id)
{
	struct owner_rec *o = owner_at(v, id);

	if (o->sib_prev)
		owner_at(v, o->sib_prev)->sib_next = o->sib_next;
	else
		owner_at(v, o->parent)->first_owner = o->sib_next;
	if (o->sib_next)
		owner_at(v, o->sib_next)->sib_prev = o->sib_prev;
	o->parent = o->sib_prev = o->sib_next = 0;
}

static void set_parent(struct inventory *v, owner_id id, owner_id parent)
{
	owner_id was = owner_at(v, id)->parent;

	if (was == parent)
		return;
	if (was)
		unlink_owner(v, id);
	if (parent)
		link_owner(v, parent, id);
	if (was)
		owners_release(v, was);
}

/* The next record in a walk down from `root`, children first; 0 at the end. */
static owner_id next_below(const struct inventory *v, owner_id root, owner_id at)
{
	owner_id next = owner_at(v, at)->first_owner;

	if (next == root) /* a circle closes here */
		next = owner_at(v, next)->sib_next;
	while (!next && at != root) {
		next = owner_at(v, at)->sib_next;
		if (next == root)
			next = owner_at(v, next)->sib_next;
		if (!next)
			at = owner_at(v, at)->parent;
	}
	return next;
}

static void touch_below(struct inventory *v, owner_id root)
{
	for (owner_id at = root; at; at = next_below(v, root, at))
		for (pod_id p = owner_at(v, at)->first_pod; p; p = pod_at(v, p)->sib_next)
			changes_touch(v, p);
}

static bool in_circle(const struct inventory *v, owner_id id)
{
	owner_id at = owner_at(v, id)->parent;

	/* A circle elsewhere above would hold the walk for ever: as many steps as records end it.
	 */
	for (uint32_t steps = 0; at && steps < v->owners.live; steps++) {
		if (at == id)
			return true;
		at = owner_at(v, at)->parent;
	}
	return false;
}

/* ---- making and freeing ---------------------------------------------------------------------- */

static int add(struct inventory *v, const struct uid_key *key, owner_id *ret)
{
	owner_id id;
	struct owner_rec *o;

	if (index_reserve(&v->owner_by_uid, 1) < 0)
		return -ENOMEM;
	id = pool_alloc(&v->owners);
	if (!id) {
		v->stats.refused_full += v->owners.live >= v->opts.max_owners;
		return v->owners.live >= v->opts.max_owners ? -EMSGSIZE : -ENOMEM;
	}
	o = owner_at(v, id);
	o->uid = key->uid;
	o->uid_form = (uint8_t)key->form;
	(void)index_put(&v->owner_by_uid, store_hash(v, key->uid.b, sizeof(key->uid)), id);
	*ret = id;
	return 0;
}

static void free_one(struct inventory *v, owner_id id)
{
	struct owner_rec *o = owner_at(v, id);
	struct uid_key key = {.uid = o->uid, .form = o->uid_form};
	struct naming was = naming_of(o);
	char text[UID_TEXT_MAX + 1];

	v->edition++;
	store_uid_print(v, o->uid_form, &o->uid, text);
	if (v->opts.owner_freed)
		v->opts.owner_freed(v->opts.ctx, str_of(text));
	index_del(&v->owner_by_uid, store_hash(v, o->uid.b, sizeof(o->uid)), id);
	naming_put(v, &was);
	store_uid_put(v, &key);
	o->uid_form = UID_NONE;
	pool_release(&v->owners, id);
}

static bool needed(const struct inventory *v, const struct owner_rec *o)
{
	return o->first_pod || o->first_owner ||
	       (o->state == OWNER_KNOWN && v->opts.keep_idle_owners);
}

/* Nothing keeps the record but a circle that it is part of. Where watches tell what exists, they
 * end the circle; where owners are read one by one nobody would. */
static bool only_a_circle(const struct inventory *v, owner_id id)
{
	if (v->opts.keep_idle_owners || !in_circle(v, id))
		return false;
	for (owner_id at = id; at; at = next_below(v, id, at))
		if (owner_at(v, at)->first_pod)
			return false;
	return true;
}

void owners_release(struct inventory *v, owner_id id)
{
	while (id) {
		owner_id up = owner_at(v, id)->parent;
		bool keep = needed(v, owner_at(v, id));

		if (keep && !only_a_circle(v, id))
			return;
		if (up)
			unlink_owner(v, id);
		if (!keep)
			free_one(v, id);
		id = up; /* of a circle that was opened: the walk comes back here */
	}
}

void owners_done(struct inventory *v)
{
	for (owner_id id = 1; id <= v->owners.next; id++)
		if (owner_at(v, id)->uid_form != UID_NONE)
			free(owner_at(v, id)->name);
}

/* The record for a uid, made when there is none. `*ret_made` says so. */
static int find_or_add(struct inventory *v, struct str uid, owner_id *ret, bool *ret_made)
{
	struct uid_key key;
	int r = store_uid_get(v, uid, &key);

	if (r < 0)
		return r;
	*ret = find(v, &key);
	*ret_made = *ret == 0;
	if (*ret_made)
		r = add(v, &key, ret);
	if (r < 0 || !*ret_made)
		store_uid_put(v, &key);
	return r;
}

int owners_refer(struct inventory *v, const struct owner_ref *ref, pool_id ns, owner_id *ret)
{
	struct naming n = {0};
	owner_id id = 0;
	bool made;
	int r = find_or_add(v, ref->uid, &id, &made);

	if (r < 0)
		return r;
	if (made) {
		r = naming_get(v, ref->api_version, ref->kind, intern_str(&v->strings, ns),
			       ref->name, &n);
		if (r == 0)
			naming_swap(owner_at(v, id), &n);
		naming_put(v, &n);
		if (r < 0) {
			free_one(v, id);
			return r;
		}
	}
	*ret = id;
	return 0;
}

/* ---- what reflectors say --------------------------------------------------------------------- */

static bool wanted(const struct inventory *v, struct str uid)
{
	return v->opts.keep_idle_owners || inventory_owner_by_uid(v, uid);
}

/* Name and parent from the object; touches the pods below when either differs. */
static int owner_fill(struct inventory *v, owner_id id, uint16_t source, const struct object *o)
{
	const struct owner_ref *ref = meta_controller(&o->meta);
	struct owner_rec *rec = owner_at(v, id);
	struct naming n = {0}, was;
	owner_id parent = 0;
	bool same;
	int r = naming_get(v, o->api_version, o->kind, o->meta.ns, o->meta.name, &n);

	if (r == 0 && ref && !str_empty(ref->uid))
		r = owners_refer(v, ref, n.ns, &parent);
	if (r < 0) {
		naming_put(v, &n);
		return r;
	}
	was = naming_of(rec);
	same = rec->state == OWNER_KNOWN && rec->parent == parent && naming_same(&was, &n);
	naming_swap(rec, &n);
	naming_put(v, &n);
	rec->state = OWNER_KNOWN;
	rec->source = source;
	rec->gen = source ? v->sources[source - 1].gen : 0;
	if (same) {
		v->stats.unchanged++;
		return 0;
	}
	v->stats.changed++;
	touch_below(v, id);
	set_parent(v, id, parent); /* last: leaving a circle may free this very record */
	return 0;
}

int inventory_apply_owner(struct inventory *v, uint16_t source, nsec_t now, const struct object *o)
{
	owner_id id = 0;
	bool made;
	int r;

	(void)now;
	if (!wanted(v, o->meta.uid))
		return 0; /* its last pod went while it was read */
	v->edition++;
	r = find_or_add(v, o->meta.uid, &id, &made);
	if (r < 0)
		return r;
	r = owner_fill(v, id, source, o);
	if (r < 0 && made)
		free_one(v, id);
	if (r < 0)
		return r;
	v->stats.applied++;
	return 0;
}

void owners_delete(struct inventory *v, owner_id id)
{
	struct owner_rec *o = owner_at(v, id);

	if (o->state != OWNER_KNOWN)
		return;
	v->edition++;
	o->state = OWNER_GONE; /* what was learned of it stays true of its pods */
	v->stats.deleted++;
	if (in_circle(v, id)) { /* members of a circle keep each other alive for ever */
		touch_below(v, id);
		set_parent(v, id, 0);
	}
	if (o->uid_form != UID_NONE) /* breaking the circle may have freed it */
		owners_release(v, id);
}

void inventory_delete_owner(struct inventory *v, struct str uid, nsec_t now)
{
	owner_id id = inventory_owner_by_uid(v, uid);

	(void)now;
	if (id)
		owners_delete(v, id);
}

void inventory_refuse_owner(struct inventory *v, struct str uid)
{
	owner_id id = inventory_owner_by_uid(v, uid);

	if (!id || owner_at(v, id)->state != OWNER_REFERENCED)
		return;
	v->edition++;
	owner_at(v, id)->state = OWNER_REFUSED;
	touch_below(v, id);
}

/* ---- looking --------------------------------------------------------------------------------- */

bool inventory_owner(const struct inventory *v, owner_id id, struct inv_owner_view *ret)
{
	const struct owner_rec *o;

	if (!id || id > v->owners.next || owner_at(v, id)->uid_form == UID_NONE)
		return false;
	o = owner_at(v, id);
	*ret = (struct inv_owner_view){
		.state = o->state,
		.kind = o->kind,
		.api_version = intern_str(&v->strings, o->api_version),
		.kind_text = intern_str(&v->strings, o->kind_text),
		.ns = intern_str(&v->strings, o->ns),
		.name = str_make(o->name, o->name_len),
		.parent = o->parent,
	};
	store_uid_print(v, o->uid_form, &o->uid, ret->uid);
	return true;
}

struct inv_owner_step inventory_owner_step(const struct inventory *v, owner_id id)
{
	const struct owner_rec *o = owner_at(v, id);

	return (struct inv_owner_step){.state = o->state, .kind = o->kind, .parent = o->parent};
}

void inventory_owner_names(const struct inventory *v, owner_id id, struct str *ret_kind,
			   struct str *ret_name)
{
	const struct owner_rec *o = owner_at(v, id);

	*ret_kind = intern_str(&v->strings, o->kind_text);
	*ret_name = str_make(o->name, o->name_len);
}

owner_id inventory_owner_by_uid(const struct inventory *v, struct str uid)
{
	struct uid_key key;

	return store_uid_find(v, uid, &key) ? find(v, &key) : 0;
}

owner_id inventory_owner_parent(const struct inventory *v, owner_id id)
{
	return owner_at(v, id)->parent;
}

owner_id inventory_owner_next(const struct inventory *v, owner_id id)
{
	while (++id <= v->owners.next)
		if (owner_at(v, id)->uid_form != UID_NONE)
			return id;
	return 0;
}
