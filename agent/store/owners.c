/*
 * Objects by their controller: what stands above an object changes with other objects
 * than itself.
 */
#include "store/inside.h"

#define MAX_STEPS 8    /* down from an owner; what is further below is not shown again */
#define MAX_TEXT  1024 /* bytes of a kind or name; a controller with more counts as none */

/* ---- who it is ------------------------------------------------------------------------------- */

void owner_incoming(const struct tree *meta, struct incoming *ret)
{
	tree_each(ref, tree_get(meta, "ownerReferences"))
	{
		struct str uid = tree_text(tree_get(ref, "uid"));
		struct str kind = tree_text(tree_get(ref, "kind"));
		struct str name = tree_text(tree_get(ref, "name"));

		if (!tree_is_true(tree_get(ref, "controller")) || !uid.n || uid.n > UID_TEXT_MAX ||
		    kind.n > MAX_TEXT || name.n > MAX_TEXT)
			continue;
		ret->owner_uid = uid;
		ret->owner_kind = kind;
		ret->owner_name = name;
		return;
	}
}

/* An odd uid is the same as an object's, too: both are one interned text. */
static bool has_uid(const struct store *s, const struct owner_rec *w, struct str uid)
{
	struct uid u;
	enum uid_form form = uid_parse(uid, &u);
	pool_id id;

	if (form != w->uid_form)
		return false;
	if (form != UID_OTHER)
		return form == UID_NONE || memcmp(u.b, w->uid.b, sizeof(u.b)) == 0;
	memcpy(&id, w->uid.b, sizeof(id));
	return str_eq(intern_str(&s->strings, id), uid);
}

bool owner_same(const struct store *s, const struct object_rec *o, const struct incoming *in)
{
	return has_uid(s, &o->owner, in->owner_uid) &&
	       str_eq(intern_str(&s->strings, o->owner.kind), in->owner_kind) &&
	       str_eq(intern_str(&s->strings, o->owner.name), in->owner_name);
}

int owner_make(struct store *s, const struct incoming *in, struct owner_rec *ret)
{
	pool_id odd = 0;
	int r;

	if (!in->owner_uid.n)
		return 0;
	r = intern_get(&s->strings, in->owner_kind, &ret->kind);
	if (r == 0)
		r = intern_get(&s->strings, in->owner_name, &ret->name);
	if (r == 0 && uid_parse(in->owner_uid, &ret->uid) == UID_OTHER)
		r = intern_get(&s->strings, in->owner_uid, &odd);
	if (r < 0)
		return r;
	ret->uid_form = (uint8_t)uid_parse(in->owner_uid, &ret->uid);
	if (odd)
		memcpy(ret->uid.b, &odd, sizeof(odd));
	return index_reserve(&s->by_owner, 1);
}

void owner_drop(struct store *s, struct owner_rec *w)
{
	pool_id odd;

	memcpy(&odd, w->uid.b, sizeof(odd));
	if (w->uid_form == UID_OTHER)
		intern_put(&s->strings, odd);
	intern_put(&s->strings, w->kind);
	intern_put(&s->strings, w->name);
	*w = (struct owner_rec){0};
}

/* ---- the lists ------------------------------------------------------------------------------- */

/* The first of those that are controlled by this uid. */
static store_id first_of(const struct store *s, const struct uid *u, uint8_t form)
{
	uint32_t at, h = object_uid_hash(s, u);

	for (store_id id = index_first(&s->by_owner, h, &at); id;
	     id = index_next(&s->by_owner, h, &at)) {
		const struct owner_rec *w = &rec_at(s, id)->owner;

		if (w->uid_form == form && memcmp(w->uid.b, u->b, sizeof(u->b)) == 0)
			return id;
	}
	return 0;
}

static void unlink_kin(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);
	uint32_t h = object_uid_hash(s, &o->owner.uid);

	if (o->kin_next)
		rec_at(s, o->kin_next)->kin_prev = o->kin_prev;
	if (o->kin_prev) {
		rec_at(s, o->kin_prev)->kin_next = o->kin_next;
	} else {
		index_del(&s->by_owner, h, id);
		if (o->kin_next)
			(void)index_put(&s->by_owner, h, o->kin_next); /* in the place it had */
	}
	o->kin_prev = o->kin_next = 0;
}

/* The first of a list stays it: the index names that one alone. */
static void link_kin(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);
	store_id first = first_of(s, &o->owner.uid, o->owner.uid_form);

	if (!first || first == id) {
		(void)index_put(&s->by_owner, object_uid_hash(s, &o->owner.uid), id);
		return;
	}
	o->kin_prev = first;
	o->kin_next = rec_at(s, first)->kin_next;
	if (o->kin_next)
		rec_at(s, o->kin_next)->kin_prev = id;
	rec_at(s, first)->kin_next = id;
}

void owner_swap(struct store *s, store_id id, struct owner_rec *w)
{
	struct object_rec *o = rec_at(s, id);
	const struct owner_rec before = o->owner;

	if (before.uid_form != UID_NONE)
		unlink_kin(s, id);
	o->owner = *w;
	*w = before;
	if (o->owner.uid_form != UID_NONE)
		link_kin(s, id);
}

/* ---- above and below ------------------------------------------------------------------------- */

bool store_controller(const struct store *s, store_id id, struct store_owner *ret)
{
	const struct object_rec *o = store_rec(s, id);

	if (!o || o->owner.uid_form == UID_NONE)
		return false;
	*ret = (struct store_owner){
		.kind = intern_str(&s->strings, o->owner.kind),
		.name = intern_str(&s->strings, o->owner.name),
		.id = object_by_uid(s, &o->owner.uid, (enum uid_form)o->owner.uid_form)};
	return true;
}

static void show_below(struct store *s, store_id id, int steps)
{
	const struct object_rec *o = rec_at(s, id);

	for (store_id i = first_of(s, &o->uid, o->uid_form); i; i = rec_at(s, i)->kin_next) {
		journal_touch(s, i, s->owning);
		if (steps > 1)
			show_below(s, i, steps - 1);
	}
}

void owner_changed(struct store *s, store_id id)
{
	if (s->owning)
		show_below(s, id, MAX_STEPS);
}
