/*
 * Records: how an object is read into one, found again, changed and deleted.
 *
 * A name has at most one live record; tombstones of its former holders stand
 * beside it. The same uid under the same name is the same object, also when it
 * was dead: it may have left a selector and come back.
 */
#include "store/inside.h"

#include "base/rfc3339.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_NAME	1024 /* bytes of a name or namespace; over it an object is refused */
#define KEPT_BUFFER	((size_t)256 << 10) /* a larger one is given back after use */
#define HASH_OF_META(h) ((h)*0x9e3779b97f4a7c15ULL)

/* ---- reading a tree -------------------------------------------------------------------------- */

/*
 * The content hash is the sum of the members' hashes, those of metadata by themselves: lists leave
 * apiVersion and kind to whoever reads them, so the order of members differs between a list and an
 * event. What every write changes (resourceVersion, managedFields) and what changes with fields
 * that filters took out (generation) does not count.
 */
static bool counts(struct str key, bool meta)
{
	return !meta || !(str_eq(key, STR("resourceVersion")) || str_eq(key, STR("generation")) ||
			  str_eq(key, STR("managedFields")));
}

static int write_members(struct store *s, const struct tree *t, bool meta, uint64_t *hash);

static int write_member(struct store *s, const struct tree *m, bool meta, uint64_t *hash)
{
	struct tree key = {.type = TREE_STRING, .text = m->key};
	bool is_meta = !meta && m->type == TREE_OBJECT && str_eq(m->key, STR("metadata"));
	size_t from = buf_str(&s->json).n;
	uint64_t h;
	int r;

	r = tree_write(&s->json, &key);
	if (r == 0)
		r = buf_append(&s->json, ":", 1);
	if (r == 0)
		r = is_meta ? write_members(s, m, true, hash) : tree_write(&s->json, m);
	if (r < 0 || is_meta || !counts(m->key, meta))
		return r;
	h = hash_bytes(&s->seed, buf_str(&s->json).p + from, buf_str(&s->json).n - from);
	*hash += meta ? HASH_OF_META(h) : h;
	return 0;
}

static int write_members(struct store *s, const struct tree *t, bool meta, uint64_t *hash)
{
	int r = buf_append(&s->json, "{", 1);

	tree_each(m, t)
	{
		if (r == 0 && m != t->first)
			r = buf_append(&s->json, ",", 1);
		if (r == 0)
			r = write_member(s, m, meta, hash);
	}
	return r < 0 ? r : buf_append(&s->json, "}", 1);
}

static void reset_buffer(struct buf *b)
{
	if (b->cap > KEPT_BUFFER)
		buf_done(b);
	buf_reset(b);
}

int object_incoming(struct store *s, struct kind_rec *k, const struct tree *t, struct incoming *ret)
{
	const struct tree *meta = tree_get(t, "metadata");
	int64_t created;
	int r;

	*ret = (struct incoming){
		.ns = tree_text(tree_get(meta, "namespace")),
		.name = tree_text(tree_get(meta, "name")),
		.uid = tree_text(tree_get(meta, "uid")),
		.rv = tree_text(tree_get(meta, "resourceVersion")),
	};
	owner_incoming(meta, ret);
	if (str_empty(ret->name) || str_empty(ret->uid))
		return -EINVAL;
	if (ret->name.n > MAX_NAME || ret->ns.n > MAX_NAME || ret->rv.n > MAX_NAME ||
	    ret->uid.n > UID_TEXT_MAX)
		return -EMSGSIZE;
	if (rfc3339_parse(tree_text(tree_get(meta, "creationTimestamp")), &created) == 0 &&
	    created > 0 && created <= UINT32_MAX)
		ret->created = (uint32_t)created;
	reset_buffer(&s->json);
	reset_buffer(&s->keys);
	r = write_members(s, t, false, &ret->hash);
	if (r == 0)
		r = keys_of(k, t, &s->keys);
	ret->json = buf_str(&s->json);
	ret->keys = buf_str(&s->keys);
	return r;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint32_t name_hash(const struct store *s, store_kind k, pool_id ns, struct str name)
{
	uint32_t h = (uint32_t)hash_bytes(&s->seed, name.p, name.n);

	/* The same name comes in many namespaces; the sum of two products spreads those. */
	return h ^ (uint32_t)((ns * 0x9e3779b97f4a7c15ULL + k * 0xc2b2ae3d27d4eb4fULL) >> 32);
}

uint32_t object_uid_hash(const struct store *s, const struct uid *u)
{
	return (uint32_t)hash_bytes(&s->seed, u->b, sizeof(u->b));
}

/* The key of a uid that some record may have; false when none can. */
static bool find_uid(const struct store *s, struct str text, struct uid *ret, enum uid_form *form)
{
	pool_id id;

	*ret = (struct uid){{0}};
	*form = uid_parse(text, ret);
	if (*form != UID_OTHER)
		return *form != UID_NONE;
	id = intern_find(&s->strings, text);
	memcpy(ret->b, &id, sizeof(id));
	return id != 0;
}

static bool uid_is(const struct object_rec *o, const struct uid *u, enum uid_form form)
{
	return o->uid_form == form && memcmp(o->uid.b, u->b, sizeof(u->b)) == 0;
}

bool object_has_uid(const struct store *s, const struct object_rec *o, struct str uid)
{
	enum uid_form form;
	struct uid u;

	return find_uid(s, uid, &u, &form) && uid_is(o, &u, form);
}

/* A canonical number, as all of the API server's are; kept as such, others as text. */
static bool rv_number(struct str rv, uint64_t *ret)
{
	unsigned long long v;

	if ((rv.n > 1 && rv.p[0] == '0') || str_to_u64(rv, &v) < 0)
		return false;
	*ret = v;
	return true;
}

bool object_is_stale(const struct object_rec *o, struct str rv)
{
	uint64_t v;

	return !(o->flags & REC_RV_TEXT) && rv_number(rv, &v) && v < o->rv;
}

static bool rv_same(const struct store *s, const struct object_rec *o, struct str rv)
{
	uint64_t v;

	if (o->flags & REC_RV_TEXT)
		return str_eq(intern_str(&s->strings, (pool_id)o->rv), rv);
	return rv_number(rv, &v) && v == o->rv;
}

static bool better(const struct object_rec *o, const struct object_rec *than)
{
	bool live = !(o->flags & REC_DEAD), other = !(than->flags & REC_DEAD);

	return live != other ? live : o->change > than->change;
}

/* The live record of a name, else the tombstone of that uid, or (none given) the newest one. */
static store_id find_name(const struct store *s, store_kind k, struct str ns, struct str name,
			  struct str uid)
{
	pool_id ns_id = intern_find(&s->strings, ns);
	uint32_t at, h = name_hash(s, k, ns_id, name);
	store_id best = 0;

	if (!ns_id && !str_empty(ns))
		return 0;
	for (store_id id = index_first(&s->by_name, h, &at); id;
	     id = index_next(&s->by_name, h, &at)) {
		const struct object_rec *o = rec_at(s, id);

		if (o->kind != k || o->ns != ns_id || !str_eq(rec_name(o), name))
			continue;
		if (!(o->flags & REC_DEAD))
			return id;
		if (!str_empty(uid) && !object_has_uid(s, o, uid))
			continue;
		if (!best || better(o, rec_at(s, best)))
			best = id;
	}
	return best;
}

store_id store_find(const struct store *s, store_kind k, struct str ns, struct str name)
{
	return find_name(s, k, ns, name, STR(""));
}

store_id object_by_uid(const struct store *s, const struct uid *u, enum uid_form form)
{
	uint32_t at, h = object_uid_hash(s, u);
	store_id best = 0;

	for (store_id id = index_first(&s->by_uid, h, &at); id; id = index_next(&s->by_uid, h, &at))
		if (uid_is(rec_at(s, id), u, form) &&
		    (!best || better(rec_at(s, id), rec_at(s, best))))
			best = id;
	return best;
}

store_id store_by_uid(const struct store *s, struct str uid)
{
	enum uid_form form;
	struct uid u;

	return find_uid(s, uid, &u, &form) ? object_by_uid(s, &u, form) : 0;
}

/* ---- parts of a record: what has to be had before anything is changed ------------------------ */

struct parts {
	struct store *s;
	struct body *body;
	char *text;
	pool_id ns, uid, rv; /* references */
	struct owner_rec owner;
};

static void parts_done(struct parts *p)
{
	free(p->body);
	free(p->text);
	intern_put(&p->s->strings, p->ns);
	intern_put(&p->s->strings, p->uid);
	intern_put(&p->s->strings, p->rv);
	owner_drop(p->s, &p->owner);
}
#define _parts_ _cleanup_(parts_done)

static int make_text(struct parts *p, const struct kind_rec *k, struct str name, struct str keys)
{
	p->text = malloc(text_size(k, name.n, keys.n));
	if (!p->text)
		return -ENOMEM;
	memcpy(p->text, name.p, name.n);
	if (keys.n)
		memcpy(p->text + name.n, keys.p, keys.n);
	/* not the first of any list until it is linked */
	memset(p->text + links_at(name.n, keys.n), 0xff, k->n_paths * sizeof(struct key_link));
	return 0;
}

static int make_rv(struct parts *p, struct str rv)
{
	uint64_t v;

	return rv_number(rv, &v) ? 0 : intern_get(&p->s->strings, rv, &p->rv);
}

static void set_rv(struct store *s, struct object_rec *o, struct str rv, struct parts *p)
{
	if (o->flags & REC_RV_TEXT)
		intern_put(&s->strings, (pool_id)o->rv);
	o->flags &= (uint8_t)~REC_RV_TEXT;
	if (rv_number(rv, &o->rv))
		return;
	o->flags |= REC_RV_TEXT;
	o->rv = p->rv;
	p->rv = 0;
}

static void drop_text(struct store *s, struct object_rec *o)
{
	if (o->text)
		s->text_bytes -= heap_bytes(text_size(kind_of(s, o), o->name_len, o->keys_len));
	free(o->text);
	o->text = NULL;
}

/* A new text, with the links of so many leading keys taken along. */
static void set_text(struct store *s, struct object_rec *o, const struct incoming *in,
		     uint32_t common, struct parts *p)
{
	size_t n = text_size(kind_of(s, o), in->name.n, in->keys.n);

	if (common)
		memcpy(p->text + links_at(in->name.n, in->keys.n), rec_links(o),
		       common * sizeof(struct key_link));
	drop_text(s, o);
	o->text = TAKE_PTR(p->text);
	o->name_len = (uint16_t)in->name.n;
	o->keys_len = (uint16_t)in->keys.n;
	s->text_bytes += heap_bytes(n);
}

static void change_keys(struct store *s, store_id id, const struct incoming *in, struct parts *p)
{
	struct object_rec *o = rec_at(s, id);
	uint32_t common = keys_common(kind_of(s, o), rec_keys(o), in->keys);

	keys_unlink(s, id, common);
	set_text(s, o, in, common, p);
	keys_link(s, id, common);
}

/* ---- coming and changing --------------------------------------------------------------------- */

static int create_parts(struct store *s, struct kind_rec *k, const struct incoming *in,
			struct parts *p)
{
	struct uid u;
	int r;

	r = body_pack(s, k, in->json, &p->body);
	if (r == 0)
		r = make_text(p, k, in->name, in->keys);
	if (r == 0)
		r = intern_get(&s->strings, in->ns, &p->ns);
	if (r == 0 && uid_parse(in->uid, &u) == UID_OTHER)
		r = intern_get(&s->strings, in->uid, &p->uid);
	if (r == 0)
		r = make_rv(p, in->rv);
	if (r == 0)
		r = index_reserve(&s->by_name, 1);
	if (r == 0)
		r = index_reserve(&s->by_uid, 1);
	if (r == 0)
		r = owner_make(s, in, &p->owner);
	return r < 0 ? r : keys_reserve(k);
}

static int alloc_rec(struct store *s, store_id *ret)
{
	while (s->objects.live >= s->objects.max)
		if (!tomb_evict(s))
			return -EMSGSIZE;
	*ret = pool_alloc(&s->objects);
	return *ret ? 0 : -ENOMEM;
}

static void fill_rec(struct store *s, store_id id, store_kind k, const struct incoming *in,
		     struct parts *p)
{
	struct object_rec *o = rec_at(s, id);

	o->kind = k;
	o->uid_form = (uint8_t)uid_parse(in->uid, &o->uid);
	if (o->uid_form == UID_OTHER)
		memcpy(o->uid.b, &p->uid, sizeof(p->uid));
	p->uid = 0;
	o->ns = p->ns;
	p->ns = 0;
	o->hash = in->hash;
	o->created = in->created;
	set_rv(s, o, in->rv, p);
	set_text(s, o, in, 0, p);
	(void)index_put(&s->by_name, name_hash(s, k, o->ns, in->name), id);
	(void)index_put(&s->by_uid, object_uid_hash(s, &o->uid), id);
	keys_link(s, id, 0);
}

static void count_in(struct kind_rec *k, const struct incoming *in, bool initial)
{
	k->stats.objects++;
	k->stats.created++;
	k->stats.initial_created += initial;
	k->stats.unindexed += k->n_paths && str_empty(in->keys);
}

static int create(struct store *s, uint16_t source, const struct incoming *in, nsec_t now)
{
	_parts_ struct parts p = {.s = s};
	const struct source *src = &s->sources[source - 1];
	struct kind_rec *k = s->kinds[src->kind];
	struct object_rec *o;
	store_id id = 0;
	int r;

	r = create_parts(s, k, in, &p);
	if (r == 0)
		r = alloc_rec(s, &id);
	if (r < 0)
		return r;
	k->recs++;
	fill_rec(s, id, src->kind, in, &p);
	o = rec_at(s, id);
	o->changed = now;
	if (!src->synced)
		o->flags |= REC_INITIAL | REC_HELD;
	source_link(s, id, source);
	count_in(k, in, !src->synced);
	owner_swap(s, id, &p.owner);
	journal_touch(s, id, ALL_CURSORS);
	owner_changed(s, id);
	body_keep(s, id, TAKE_PTR(p.body), now, false);
	body_learn(k, in->json);
	return 0;
}

static int update_parts(struct store *s, struct object_rec *o, const struct incoming *in,
			struct parts *p)
{
	struct kind_rec *k = kind_of(s, o);
	int r;

	r = body_pack(s, k, in->json, &p->body);
	if (r == 0)
		r = make_rv(p, in->rv);
	if (r == 0 && !str_eq(rec_keys(o), in->keys))
		r = make_text(p, k, in->name, in->keys);
	if (r == 0)
		r = owner_make(s, in, &p->owner);
	return r < 0 ? r : keys_reserve(k);
}

int object_update(struct store *s, store_id id, const struct incoming *in, nsec_t now, bool initial)
{
	_parts_ struct parts p = {.s = s};
	struct object_rec *o = rec_at(s, id);
	struct kind_rec *k = kind_of(s, o);
	bool changed = o->hash != in->hash;
	int r;

	if (!changed && o->body && rv_same(s, o, in->rv)) {
		k->stats.unchanged++;
		return 0;
	}
	r = update_parts(s, o, in, &p);
	if (r < 0)
		return r;
	o->hash = in->hash;
	o->created = in->created;
	set_rv(s, o, in->rv, &p);
	if (p.text)
		change_keys(s, id, in, &p);
	k->stats.unindexed += changed && k->n_paths && str_empty(in->keys);
	body_keep(s, id, TAKE_PTR(p.body), now, o->flags & REC_FETCHING && o->waiting);
	if (!changed) {
		k->stats.unchanged++;
		return 0;
	}
	if (!initial)
		o->flags &= (uint8_t)~REC_INITIAL;
	o->changed = now;
	k->stats.modified++;
	k->stats.initial_modified += initial;
	journal_touch(s, id, ALL_CURSORS);
	if (!owner_same(s, o, in)) {
		owner_swap(s, id, &p.owner);
		owner_changed(s, id);
	}
	return 0;
}

/* It was dead and is there again under the same uid. */
static int revive(struct store *s, store_id id, uint16_t source, const struct incoming *in,
		  nsec_t now)
{
	_parts_ struct parts p = {.s = s};
	const struct source *src = &s->sources[source - 1];
	struct object_rec *o = rec_at(s, id);
	struct kind_rec *k = kind_of(s, o);
	int r;

	r = update_parts(s, o, in, &p);
	if (r == 0 && !p.text)
		r = make_text(&p, k, in->name, in->keys);
	if (r < 0)
		return r;
	tomb_remove(s, id);
	o->flags &= (uint8_t) ~(REC_DEAD | REC_INITIAL);
	if (src->synced)
		o->flags &= (uint8_t)~REC_HELD;
	else
		o->flags |= REC_INITIAL;
	o->done = 0;
	o->hash = in->hash;
	o->created = in->created;
	o->changed = now;
	set_rv(s, o, in->rv, &p);
	set_text(s, o, in, 0, &p);
	keys_link(s, id, 0);
	source_link(s, id, source);
	k->stats.dead--;
	count_in(k, in, !src->synced);
	body_unbury(s, id);
	body_keep(s, id, TAKE_PTR(p.body), now, false);
	owner_swap(s, id, &p.owner);
	journal_touch(s, id, ALL_CURSORS);
	owner_changed(s, id);
	return 0;
}

static int apply(struct store *s, uint16_t source, const struct incoming *in, nsec_t now)
{
	const struct source *src = &s->sources[source - 1];
	store_id id = find_name(s, src->kind, in->ns, in->name, in->uid);
	struct object_rec *o = id ? rec_at(s, id) : NULL;
	int r;

	if (o && !src->listing && object_is_stale(o, in->rv)) {
		kind_of(s, o)->stats.stale++;
		return 0;
	}
	if (o && !object_has_uid(s, o, in->uid)) {
		object_kill(s, id, now); /* nobody will tell: its name has another owner */
		id = find_name(s, src->kind, in->ns, in->name, in->uid);
		o = id ? rec_at(s, id) : NULL;
	}
	if (!o)
		return create(s, source, in, now);
	if (o->flags & REC_DEAD)
		return revive(s, id, source, in, now);
	r = object_update(s, id, in, now, !src->synced);
	if (r < 0)
		return r;
	if (o->source != source) {
		source_unlink(s, id);
		source_link(s, id, source);
	}
	o->gen = src->gen;
	if (src->synced)
		source_release(s, id);
	return 0;
}

int store_apply(struct store *s, uint16_t source, nsec_t now, const struct tree *object)
{
	const struct source *src = source_at(s, source);
	struct incoming in;
	struct kind_rec *k;
	int r;

	if (!src)
		return -EINVAL;
	k = s->kinds[src->kind];
	r = object_incoming(s, k, object, &in);
	if (r == 0)
		r = apply(s, source, &in, now);
	k->stats.refused += r == -EMSGSIZE;
	store_wake(s);
	return r;
}

/* ---- going ----------------------------------------------------------------------------------- */

void object_kill(struct store *s, store_id id, nsec_t now)
{
	struct object_rec *o = rec_at(s, id);
	struct kind_rec *k = kind_of(s, o);
	bool initial = !s->sources[o->source - 1].synced;
	struct owner_rec nobody = {0};

	k->stats.objects--;
	k->stats.dead++;
	k->stats.deleted++;
	k->stats.initial_deleted += initial;
	source_unlink(s, id);
	keys_unlink(s, id, 0);
	o->done = o->flags & REC_HELD ? s->holding : 0; /* those never knew of it */
	o->flags |= REC_DEAD;
	o->changed = now;
	body_bury(s, id);
	owner_swap(s, id, &nobody);
	owner_drop(s, &nobody);
	tomb_add(s, id);
	journal_touch(s, id, ALL_CURSORS);
	owner_changed(s, id);
	(void)tomb_release(s, id);
}

void store_delete(struct store *s, uint16_t source, struct str ns, struct str name, struct str uid,
		  nsec_t now)
{
	const struct source *src = source_at(s, source);
	store_id id = src ? find_name(s, src->kind, ns, name, uid) : 0;

	if (!id || (rec_at(s, id)->flags & REC_DEAD) ||
	    (!str_empty(uid) && !object_has_uid(s, rec_at(s, id), uid)))
		return;
	object_kill(s, id, now);
	store_wake(s);
}

/* A dead record that is no tombstone any more. */
void object_free(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);
	store_kind k = o->kind;
	pool_id uid;

	body_drop(s, id);
	journal_remove(s, id);
	index_del(&s->by_name, name_hash(s, k, o->ns, rec_name(o)), id);
	index_del(&s->by_uid, object_uid_hash(s, &o->uid), id);
	drop_text(s, o);
	memcpy(&uid, o->uid.b, sizeof(uid));
	if (o->uid_form == UID_OTHER)
		intern_put(&s->strings, uid);
	if (o->flags & REC_RV_TEXT)
		intern_put(&s->strings, (pool_id)o->rv);
	intern_put(&s->strings, o->ns);
	s->kinds[k]->stats.dead--;
	s->kinds[k]->recs--;
	o->kind = 0;
	pool_release(&s->objects, id);
	kind_release(s, k);
}
