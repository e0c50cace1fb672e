/*
 * Pods: records, indexes, look-ups.
 *
 * An update builds the new variable part beside the old one and compares: what
 * has not changed leaves no trace. All memory an update needs is had before the
 * first index is touched, so a failure changes nothing.
 */
#include "inventory/store.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What an update is made of; owns its references until it is put into the record. */
struct staged {
	struct pod_body *body;
	pool_id ns, node;
	owner_id owner;
	uint8_t phase, flags;
	uint32_t running;
};

static uint32_t name_hash(const struct inventory *v, pool_id ns, struct str name)
{
	return store_hash(v, name.p, name.n) ^ ns * 0x9e3779b1U;
}

static uint32_t n_addrs(const struct pod_rec *p)
{
	return (uint32_t)p->body->n_addrs + p->body->n_former;
}

struct inv_addr pods_addr(const struct inventory *v, const struct pod_rec *p, uint32_t i)
{
	const struct addr_rec *a = &body_addrs(p->body)[i];
	const struct former_rec *f = body_former(p->body) + i - p->body->n_addrs;

	if (i < p->body->n_addrs)
		return (struct inv_addr){.ip = a->ip,
					 .from = a->from,
					 .to = dead_since(v, p),
					 .heard = dead_heard(v, p)};
	return (struct inv_addr){.ip = f->ip, .from = f->from, .to = f->to, .heard = f->heard};
}

static bool indexes_addrs(const struct pod_rec *p)
{
	return !(p->flags & POD_HOST_NETWORK);
}

/* Room was reserved: putting cannot fail. */
static void index_body(struct inventory *v, pod_id id, const struct pod_rec *p, bool add)
{
	for (uint32_t i = 0; i < p->body->n_containers; i++) {
		const struct container_rec *c = &body_containers(p->body)[i];

		if (c->id_form == ID_NONE)
			continue;
		if (add)
			(void)index_put(&v->by_container, body_id_hash(v, c), id);
		else
			index_del(&v->by_container, body_id_hash(v, c), id);
	}
	if (p->body->hash_len) {
		struct str hash = body_hash(p->body);
		uint32_t h = store_hash(v, hash.p, hash.n);

		if (add)
			(void)index_put(&v->by_static, h, id);
		else
			index_del(&v->by_static, h, id);
	}
	for (uint32_t i = 0; indexes_addrs(p) && i < n_addrs(p); i++) {
		struct inv_addr a = pods_addr(v, p, i);
		uint32_t h = store_addr_hash(v, &a.ip);

		if (add)
			(void)index_put(&v->by_address, h, id);
		else
			index_del(&v->by_address, h, id);
	}
}

static int reserve_indexes(struct inventory *v, const struct pod_body *b)
{
	if (index_reserve(&v->by_uid, 1) < 0 || index_reserve(&v->by_name, 1) < 0 ||
	    index_reserve(&v->by_container, b->n_containers) < 0 ||
	    (b->hash_len && index_reserve(&v->by_static, 1) < 0) ||
	    index_reserve(&v->by_address, (uint32_t)b->n_addrs + b->n_former) < 0)
		return -ENOMEM;
	return 0;
}

static void staged_drop(struct inventory *v, struct staged *s)
{
	body_free(v, &s->body);
	intern_put(&v->strings, s->ns);
	intern_put(&v->strings, s->node);
	if (s->owner)
		owners_release(v, s->owner);
}

/* Since when a container runs that runs now, in Unix seconds; the oldest. Its pod had its address
 * by then: the network is made before the first container. 0: not known. */
static uint32_t running_since(const struct object *o)
{
	int64_t since = 0;

	for (uint32_t i = 0; i < o->pod.n_containers; i++) {
		const struct container *c = &o->pod.containers[i];

		if (c->state == CONTAINER_RUNNING && c->started > 0 &&
		    (!since || c->started < since))
			since = c->started;
	}
	return since <= UINT32_MAX ? (uint32_t)since : 0;
}

/* An address that the pod did not have before. */
static bool has_new_address(const struct pod_body *b, const struct pod_rec *old)
{
	for (uint32_t i = 0; i < b->n_addrs; i++) {
		bool had = false;

		for (uint32_t j = 0; old && j < old->body->n_addrs && !had; j++)
			had = addr_eq(&body_addrs(b)[i].ip, &body_addrs(old->body)[j].ip);
		if (!had)
			return true;
	}
	return false;
}

static int stage(struct inventory *v, const struct object *o, const struct pod_rec *old,
		 const struct source *src, nsec_t now, struct staged *s)
{
	const struct owner_ref *ref = meta_controller(&o->meta);
	int r = body_new(v, o, old ? old->body : NULL, now, src && src->listing ? src->heard : now,
			 &s->body);

	if (r == 0)
		r = intern_get(&v->strings, o->meta.ns, &s->ns);
	if (r == 0)
		r = intern_get(&v->strings, o->pod.node_name, &s->node);
	if (r == 0)
		r = reserve_indexes(v, s->body);
	if (r == 0 && ref && !str_empty(ref->uid))
		r = owners_refer(v, ref, s->ns, &s->owner);
	s->phase = (uint8_t)o->pod.phase;
	s->flags = o->pod.host_network ? POD_HOST_NETWORK : 0;
	if (s->body && s->body->n_addrs)
		s->flags |= POD_WAS_ANNOUNCEABLE; /* a finished pod has no address */
	if (src && src->listing && s->body && has_new_address(s->body, old))
		s->flags |= POD_LISTED;
	if (old)
		s->flags |= old->flags & (POD_WAS_ANNOUNCEABLE | POD_LISTED);
	s->running = running_since(o);
	return r;
}

static bool same(const struct pod_rec *p, const struct staged *s)
{
	return p->flags == s->flags && p->phase == s->phase && p->ns == s->ns &&
	       p->node == s->node && p->owner == s->owner && body_same(p->body, s->body);
}

static void set_owner(struct inventory *v, pod_id id, owner_id owner)
{
	struct pod_rec *p = pod_at(v, id);
	owner_id was = p->owner;

	if (was == owner)
		return;
	if (was)
		owners_unlink_pod(v, id);
	p->owner = owner;
	if (owner)
		owners_link_pod(v, owner, id);
	if (was)
		owners_release(v, was);
}

/* Puts the staged parts in; frees what they replace. Cannot fail. */
static void commit(struct inventory *v, pod_id id, struct staged *s)
{
	struct pod_rec *p = pod_at(v, id);
	uint32_t old_name = p->body ? name_hash(v, p->ns, body_name(p->body)) : 0;

	if (p->body) {
		index_body(v, id, p, false);
		index_del(&v->by_name, old_name, id);
	}
	body_free(v, &p->body);
	intern_put(&v->strings, p->ns);
	intern_put(&v->strings, p->node);
	p->body = TAKE_PTR(s->body);
	p->ns = s->ns;
	p->node = s->node;
	p->phase = s->phase;
	p->flags = s->flags;
	p->running = s->running;
	index_body(v, id, p, true);
	(void)index_put(&v->by_name, name_hash(v, p->ns, body_name(p->body)), id);
	set_owner(v, id, s->owner);
	changes_touch(v, id);
	v->stats.changed++;
}

static pod_id find(const struct inventory *v, const struct uid_key *k)
{
	uint32_t at, h = store_hash(v, k->uid.b, sizeof(k->uid));

	for (pod_id id = index_first(&v->by_uid, h, &at); id; id = index_next(&v->by_uid, h, &at))
		if (pod_at(v, id)->uid_form == k->form &&
		    memcmp(&pod_at(v, id)->uid, &k->uid, sizeof(k->uid)) == 0)
			return id;
	return 0;
}

static int add(struct inventory *v, const struct uid_key *k, struct staged *s, pod_id *ret)
{
	pod_id id = pool_alloc(&v->pods);
	struct pod_rec *p;

	if (!id) {
		v->stats.refused_full += v->pods.live >= v->opts.max_pods;
		return v->pods.live >= v->opts.max_pods ? -EMSGSIZE : -ENOMEM;
	}
	p = pod_at(v, id);
	p->uid = k->uid;
	p->uid_form = (uint8_t)k->form;
	(void)index_put(&v->by_uid, store_hash(v, k->uid.b, sizeof(k->uid)), id);
	commit(v, id, s);
	*ret = id;
	return 0;
}

static int update(struct inventory *v, pod_id id, struct staged *s)
{
	struct pod_rec *p = pod_at(v, id);

	if (p->flags & POD_DEAD)
		dead_remove(v, id); /* a list missed it for a moment: it lives again */
	else if (same(p, s)) {
		v->stats.unchanged++;
		p->running = s->running;
		staged_drop(v, s);
		return 0;
	}
	commit(v, id, s);
	return 0;
}

int inventory_apply_pod(struct inventory *v, uint16_t source, nsec_t now, const struct object *o)
{
	struct source *src = source ? &v->sources[source - 1] : NULL;
	struct staged s = {0};
	struct uid_key key;
	pod_id id, known;
	int r = store_uid_get(v, o->meta.uid, &key);

	v->edition++;
	if (r < 0)
		return r;
	id = known = find(v, &key);
	r = stage(v, o, known ? pod_at(v, known) : NULL, src, now, &s);
	if (r == 0)
		r = known ? update(v, known, &s) : add(v, &key, &s, &id);
	if (r < 0 || known)
		store_uid_put(v, &key); /* a new record keeps the reference */
	if (r < 0) {
		staged_drop(v, &s);
		return r;
	}
	v->stats.applied++;
	pod_at(v, id)->source = source;
	pod_at(v, id)->gen = src ? src->gen : 0;
	if (src && !src->listing)
		src->heard = now;
	return 0;
}

/* The addresses go back at once; the record stays for sinks and late flows. */
void pods_kill(struct inventory *v, pod_id id, nsec_t now, nsec_t heard)
{
	struct pod_rec *p = pod_at(v, id);

	if (p->flags & POD_DEAD)
		return;
	v->edition++;
	v->stats.deleted++;
	changes_touch(v, id);
	dead_add(v, id, now, heard);
}

void inventory_delete_pod(struct inventory *v, struct str uid, nsec_t now)
{
	struct uid_key key;
	pod_id id = store_uid_find(v, uid, &key) ? find(v, &key) : 0;

	if (id)
		pods_kill(v, id, now, now);
}

void pods_free_one(struct inventory *v, pod_id id)
{
	struct pod_rec *p = pod_at(v, id);
	struct uid_key key = {.uid = p->uid, .form = p->uid_form};

	v->edition++;
	changes_freed(v, id);
	if (p->flags & POD_DEAD)
		dead_remove(v, id);
	changes_remove(v, id);
	index_body(v, id, p, false);
	index_del(&v->by_name, name_hash(v, p->ns, body_name(p->body)), id);
	index_del(&v->by_uid, store_hash(v, p->uid.b, sizeof(p->uid)), id);
	set_owner(v, id, 0);
	body_free(v, &p->body);
	intern_put(&v->strings, p->ns);
	intern_put(&v->strings, p->node);
	store_uid_put(v, &key);
	p->uid_form = UID_NONE;
	pool_release(&v->pods, id);
}

bool inventory_pod(const struct inventory *v, pod_id id, struct inv_pod_view *ret)
{
	const struct pod_rec *p;

	if (!id || id > v->pods.next || pod_at(v, id)->uid_form == UID_NONE)
		return false;
	p = pod_at(v, id);
	*ret = (struct inv_pod_view){
		.ns = intern_str(&v->strings, p->ns),
		.name = body_name(p->body),
		.node = intern_str(&v->strings, p->node),
		.static_hash = body_hash(p->body),
		.phase = p->phase,
		.host_network = p->flags & POD_HOST_NETWORK,
		.dead = p->flags & POD_DEAD,
		.announceable = !(p->flags & POD_DEAD) && p->body->n_addrs,
		.was_announceable = p->flags & POD_WAS_ANNOUNCEABLE,
		.owner = p->owner,
		.n_addrs = n_addrs(p),
		.n_containers = p->body->n_containers,
		.n_former = p->body->n_former,
	};
	store_uid_print(v, p->uid_form, &p->uid, ret->uid);
	return true;
}

struct inv_addr inventory_pod_addr(const struct inventory *v, pod_id id, uint32_t i)
{
	return pods_addr(v, pod_at(v, id), i);
}

static void print_container_id(const struct inventory *v, const struct container_rec *c,
			       char out[CONTAINER_ID_MAX + 1])
{
	struct str s;
	int n;

	out[0] = '\0';
	if (c->id_form == ID_TEXT) {
		s = intern_str(&v->strings, store_text_id(c->id));
		(void)snprintf(out, CONTAINER_ID_MAX + 1, "%.*s", STR_ARG(s));
	}
	if (c->id_form != ID_HEX64)
		return;
	s = intern_str(&v->strings, v->schemes[c->scheme - 1]);
	n = snprintf(out, CONTAINER_ID_MAX + 1 - 64, "%.*s://", STR_ARG(s));
	n = MIN(n, CONTAINER_ID_MAX - 64);
	*uid_print_hex(c->id, sizeof(c->id), out + n) = '\0';
}

void inventory_pod_container(const struct inventory *v, pod_id id, uint32_t i,
			     struct inv_container_view *ret)
{
	const struct container_rec *c = &body_containers(pod_at(v, id)->body)[i];

	print_container_id(v, c, ret->id);
	ret->name = intern_str(&v->strings, c->name);
	ret->image = intern_str(&v->strings, c->image);
	ret->type = c->type;
	ret->state = c->state;
	ret->marks = c->marks;
}

owner_id inventory_pod_owner(const struct inventory *v, pod_id id)
{
	return pod_at(v, id)->owner;
}

pod_id inventory_by_uid(const struct inventory *v, struct str uid)
{
	struct uid_key key;

	return store_uid_find(v, uid, &key) ? find(v, &key) : 0;
}

pod_id pods_better(const struct inventory *v, pod_id a, pod_id b)
{
	const struct pod_rec *pa, *pb;

	if (!a || !b)
		return a ? a : b;
	pa = pod_at(v, a);
	pb = pod_at(v, b);
	if ((pa->flags & POD_DEAD) != (pb->flags & POD_DEAD))
		return pa->flags & POD_DEAD ? b : a;
	return dead_since(v, pa) >= dead_since(v, pb) ? a : b;
}

pod_id inventory_by_name(const struct inventory *v, struct str ns, struct str name)
{
	pool_id ns_id = intern_find(&v->strings, ns);
	uint32_t at, h = name_hash(v, ns_id, name);
	pod_id best = 0;

	for (pod_id id = index_first(&v->by_name, h, &at); id; id = index_next(&v->by_name, h, &at))
		if (pod_at(v, id)->ns == ns_id && str_eq(body_name(pod_at(v, id)->body), name))
			best = pods_better(v, best, id);
	return best;
}

static const struct container_rec *container_of(const struct inventory *v, pod_id id,
						const struct container_rec *key)
{
	const struct pod_body *b = pod_at(v, id)->body;

	for (uint32_t i = 0; i < b->n_containers; i++)
		if (body_containers(b)[i].id_form == key->id_form &&
		    memcmp(body_containers(b)[i].id, key->id, sizeof(key->id)) == 0)
			return &body_containers(b)[i];
	return NULL;
}

static pod_id by_container_key(const struct inventory *v, const struct container_rec *key,
			       struct str *ret_name)
{
	uint32_t at, h = body_id_hash(v, key);

	for (pod_id id = index_first(&v->by_container, h, &at); id;
	     id = index_next(&v->by_container, h, &at)) {
		const struct container_rec *c = container_of(v, id, key);

		if (!c)
			continue;
		if (ret_name)
			*ret_name = intern_str(&v->strings, c->name);
		return id;
	}
	return 0;
}

pod_id inventory_by_container(const struct inventory *v, struct str container_id)
{
	return inventory_container_name(v, container_id, NULL);
}

pod_id inventory_container_name(const struct inventory *v, struct str container_id,
				struct str *ret_name)
{
	const char *at = container_id.n ? memmem(container_id.p, container_id.n, "://", 3) : NULL;
	struct str bare =
		at ? str_from(container_id, (size_t)(at - container_id.p) + 3) : container_id;
	struct container_rec key = {.id_form = ID_HEX64};
	pool_id held, id = 0;

	if (bare.n == 64 && uid_hex(bare.p, 64, key.id))
		id = by_container_key(v, &key, ret_name);
	if (id)
		return id;
	held = intern_find(&v->strings, container_id);
	if (!held)
		return 0;
	key = (struct container_rec){.id_form = ID_TEXT};
	memcpy(key.id, &held, sizeof(held));
	return by_container_key(v, &key, ret_name);
}

/* Whether the pod had the address at that time, and since when. */
static bool had_address(const struct inventory *v, pod_id id, const struct addr *ip, nsec_t at,
			nsec_t *ret_from)
{
	const struct pod_rec *p = pod_at(v, id);

	for (uint32_t i = 0; i < n_addrs(p); i++) {
		struct inv_addr a = pods_addr(v, p, i);

		if (!addr_eq(&a.ip, ip) || at < a.from || at >= a.to)
			continue;
		*ret_from = a.from;
		return true;
	}
	return false;
}

pod_id inventory_by_address(const struct inventory *v, const struct addr *ip, nsec_t when)
{
	uint32_t at, h = store_addr_hash(v, ip);
	nsec_t from = 0, best_from = 0;
	pod_id best = 0;

	for (pod_id id = index_first(&v->by_address, h, &at); id;
	     id = index_next(&v->by_address, h, &at)) {
		/* Two may claim it for a moment while a DELETED is on its way: the newer is right.
		 */
		if (!had_address(v, id, ip, when, &from) || (best && from < best_from))
			continue;
		best = id;
		best_from = from;
	}
	return best;
}

uint32_t inventory_pod_ids(const struct inventory *v)
{
	return v->pods.next;
}

void inventory_container_mark(struct inventory *v, struct inv_cursor *c, pod_id id, uint32_t i,
			      bool set)
{
	struct container_rec *rec = &body_containers(pod_at(v, id)->body)[i];

	rec->marks = (uint8_t)(set ? rec->marks | c->bit : rec->marks & ~c->bit);
}

bool inventory_container_marked(const struct inventory *v, const struct inv_cursor *c, pod_id id,
				uint32_t i)
{
	return body_containers(pod_at(v, id)->body)[i].marks & c->bit;
}
