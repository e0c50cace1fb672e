#include "inventory/places.h"

#include "base/mem.h"
#include "inventory/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_PLACES	200000U		    /* live and dead; one over it is refused: -EMSGSIZE */
#define MAX_DEAD_PLACES 10000U		    /* over it the oldest is forgotten */
#define MAX_ADDRS	MODEL_MAX_PLACE_IPS /* of one place; more are passed over */
#define MAX_FORMER	8 /* former addresses of one place; over it the oldest is forgotten */

struct place_addr {
	struct addr ip;
	nsec_t from, to; /* to: NSEC_NEVER while it has it */
	nsec_t heard;	 /* as in inv_claim */
};

struct place_rec {
	struct uid_key uid;
	pool_id ns, name;
	struct {
		uint32_t prev, next;
	} links[_PLACE_LIST_MAX];
	uint16_t source, gen;
	uint16_t n_addrs; /* those it has, then those it had, newest first */
	uint8_t kind;
	bool used, dead, listed;
	nsec_t died, heard; /* as in dead_rec */
	struct place_addr *addrs;
};

/* What an update is made of. */
struct staged {
	pool_id ns, name;
	struct place_addr *addrs;
	uint16_t n_addrs;
	bool new_addr;
};

static struct place_rec *at(const struct inventory *v, place_id id)
{
	return pool_at(&v->places.recs, id);
}

void places_init(struct places *t)
{
	*t = (struct places){0};
	pool_init(&t->recs, sizeof(struct place_rec), MAX_PLACES);
}

void places_done(struct places *t)
{
	for (place_id id = 1; id <= t->recs.next; id++)
		free(((struct place_rec *)pool_at(&t->recs, id))->addrs);
	pool_done(&t->recs);
	index_done(&t->by_uid);
	index_done(&t->by_address);
}

size_t places_bytes(const struct places *t)
{
	return pool_bytes(&t->recs) + index_bytes(&t->by_uid) + index_bytes(&t->by_address) +
	       t->addr_bytes;
}

static uint32_t uid_hash(const struct inventory *v, const struct uid_key *k)
{
	return store_hash(v, k->uid.b, sizeof(k->uid));
}

static place_id find(const struct inventory *v, const struct uid_key *k)
{
	uint32_t walk, h = uid_hash(v, k);

	for (place_id id = index_first(&v->places.by_uid, h, &walk); id;
	     id = index_next(&v->places.by_uid, h, &walk))
		if (at(v, id)->uid.form == k->form &&
		    memcmp(&at(v, id)->uid.uid, &k->uid, sizeof(k->uid)) == 0)
			return id;
	return 0;
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_remove(struct inventory *v, enum place_list which, place_id id)
{
	struct id_list *l = &v->places.lists[which];
	uint32_t prev = at(v, id)->links[which].prev, next = at(v, id)->links[which].next;

	if (prev)
		at(v, prev)->links[which].next = next;
	else
		l->head = next;
	if (next)
		at(v, next)->links[which].prev = prev;
	else
		l->tail = prev;
	at(v, id)->links[which].prev = at(v, id)->links[which].next = 0;
}

static void list_append(struct inventory *v, enum place_list which, place_id id)
{
	struct id_list *l = &v->places.lists[which];

	at(v, id)->links[which].prev = l->tail;
	if (l->tail)
		at(v, l->tail)->links[which].next = id;
	else
		l->head = id;
	l->tail = id;
}

/* Cursors that stand on it step back to its neighbour. */
static void log_remove(struct inventory *v, place_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(v->cursors); i++)
		if (v->cursors[i] && v->cursors[i]->place_pos == id)
			v->cursors[i]->place_pos = at(v, id)->links[PLACES_LOG].prev;
	list_remove(v, PLACES_LOG, id);
}

static void log_touch(struct inventory *v, place_id id)
{
	log_remove(v, id);
	list_append(v, PLACES_LOG, id);
}

place_id inventory_cursor_next_place(struct inventory *v, struct inv_cursor *c)
{
	place_id id = c->place_pos ? at(v, c->place_pos)->links[PLACES_LOG].next
				   : v->places.lists[PLACES_LOG].head;

	if (id)
		c->place_pos = id;
	return id;
}

static void tell_freed(const struct inventory *v, place_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(v->cursors); i++) {
		const struct inv_cursor *c = v->cursors[i];

		if (c && c->ops && c->ops->place_freed)
			c->ops->place_freed(c->ctx, id);
	}
}

static void dead_unlink(struct inventory *v, place_id id)
{
	list_remove(v, PLACES_DEAD, id);
	at(v, id)->dead = false;
	v->places.n_dead--;
}

/* Each address once, however often it had it: a growing index takes what is equal apart. */
static void index_addrs(struct inventory *v, place_id id, bool add)
{
	const struct place_rec *p = at(v, id);

	for (uint32_t i = 0; i < p->n_addrs; i++) {
		uint32_t h = store_addr_hash(v, &p->addrs[i].ip);
		bool again = false;

		for (uint32_t k = 0; k < i && !again; k++)
			again = addr_eq(&p->addrs[k].ip, &p->addrs[i].ip);
		if (!again && add)
			(void)index_put(&v->places.by_address, h, id); /* room was reserved */
		else if (!again)
			index_del(&v->places.by_address, h, id);
	}
}

static void drop_addrs(struct inventory *v, struct place_rec *p)
{
	v->places.addr_bytes -= p->n_addrs * sizeof(*p->addrs);
	free(p->addrs);
	p->addrs = NULL;
	p->n_addrs = 0;
}

static void forget(struct inventory *v, place_id id)
{
	struct place_rec *p = at(v, id);

	v->edition++;
	tell_freed(v, id);
	if (p->dead)
		dead_unlink(v, id);
	log_remove(v, id);
	index_addrs(v, id, false);
	index_del(&v->places.by_uid, uid_hash(v, &p->uid), id);
	drop_addrs(v, p);
	intern_put(&v->strings, p->ns);
	intern_put(&v->strings, p->name);
	store_uid_put(v, &p->uid);
	p->used = false;
	pool_release(&v->places.recs, id);
}

static void kill_place(struct inventory *v, place_id id, nsec_t now, nsec_t heard)
{
	struct places *t = &v->places;
	struct place_rec *p = at(v, id);

	if (p->dead)
		return;
	v->edition++;
	if (t->n_dead >= MAX_DEAD_PLACES)
		forget(v, t->lists[PLACES_DEAD].head);
	p->dead = true;
	p->died = now;
	p->heard = heard;
	list_append(v, PLACES_DEAD, id);
	t->n_dead++;
	log_touch(v, id);
}

void inventory_delete_place(struct inventory *v, struct str uid, nsec_t now)
{
	struct uid_key key;
	place_id id = store_uid_find(v, uid, &key) ? find(v, &key) : 0;

	if (id)
		kill_place(v, id, now, now);
}

nsec_t places_expire(struct inventory *v, nsec_t now)
{
	place_id oldest;

	while ((oldest = v->places.lists[PLACES_DEAD].head)) {
		nsec_t over = at(v, oldest)->died + v->opts.linger;

		if (over > now)
			return over;
		forget(v, oldest);
	}
	return NSEC_NEVER;
}

void places_list_end(struct inventory *v, uint16_t source, nsec_t now)
{
	for (place_id id = 1; id <= v->places.recs.next; id++) {
		const struct place_rec *p = at(v, id);

		if (p->used && !p->dead && p->source == source &&
		    p->gen != v->sources[source - 1].gen)
			kill_place(v, id, now, v->sources[source - 1].heard);
	}
}

/* ---- applying -------------------------------------------------------------------------------- */

static const struct place_addr *has(const struct place_addr *a, uint32_t n, const struct addr *ip)
{
	for (uint32_t i = 0; i < n; i++)
		if (a[i].to == NSEC_NEVER && addr_eq(&a[i].ip, ip))
			return &a[i];
	return NULL;
}

/* "None", host names and what else is no address is passed over. */
static void add_addr(struct staged *s, struct str text, const struct place_rec *old, nsec_t now)
{
	const struct place_addr *was;
	struct addr ip;

	if (s->n_addrs == MAX_ADDRS || addr_parse(text, &ip) < 0 || has(s->addrs, s->n_addrs, &ip))
		return;
	was = old ? has(old->addrs, old->n_addrs, &ip) : NULL;
	s->new_addr |= !was;
	s->addrs[s->n_addrs++] = (struct place_addr){
		.ip = ip, .from = was ? was->from : now, .to = NSEC_NEVER, .heard = NSEC_NEVER};
}

static void add_addrs(struct staged *s, const struct place *p, const struct place_rec *old,
		      nsec_t now)
{
	add_addr(s, p->cluster_ip, old, now);
	for (uint32_t i = 0; i < p->n_ips; i++)
		add_addr(s, p->ips[i], old, now);
	for (uint32_t i = 0; i < p->n_external_ips; i++)
		add_addr(s, p->external_ips[i], old, now);
	for (uint32_t i = 0; i < p->n_ingress_ips; i++)
		add_addr(s, p->ingress_ips[i], old, now);
}

static void add_former(struct staged *s, const struct place_rec *old, nsec_t now, nsec_t heard)
{
	uint16_t n = s->n_addrs;

	for (uint32_t i = 0; old && i < old->n_addrs && s->n_addrs - n < MAX_FORMER; i++) {
		struct place_addr a = old->addrs[i];

		if (a.to == NSEC_NEVER && has(s->addrs, n, &a.ip))
			continue;
		a.to = MIN(a.to, now);
		a.heard = MIN(a.heard, heard);
		s->addrs[s->n_addrs++] = a;
	}
}

static void staged_drop(struct inventory *v, struct staged *s)
{
	intern_put(&v->strings, s->ns);
	intern_put(&v->strings, s->name);
	free(s->addrs);
}

static int stage(struct inventory *v, const struct object *o, const struct place_rec *old,
		 nsec_t now, nsec_t heard, struct staged *s)
{
	int r;

	s->addrs = calloc(MAX_ADDRS + MAX_FORMER, sizeof(*s->addrs));
	if (!s->addrs)
		return -ENOMEM;
	add_addrs(s, &o->place, old, now);
	add_former(s, old, now, heard);
	r = intern_get(&v->strings, o->meta.ns, &s->ns);
	if (r == 0)
		r = intern_get(&v->strings, o->meta.name, &s->name);
	if (r == 0 && (index_reserve(&v->places.by_uid, 1) < 0 ||
		       index_reserve(&v->places.by_address, s->n_addrs) < 0))
		r = -ENOMEM;
	return r;
}

/* Nothing that is kept has changed; pool ids of one table are equal when their texts are. */
static bool same(const struct place_rec *p, const struct staged *s, enum kind kind)
{
	if (p->dead || p->kind != kind || p->ns != s->ns || p->name != s->name ||
	    p->n_addrs != s->n_addrs)
		return false;
	for (uint32_t i = 0; i < s->n_addrs; i++)
		if (!addr_eq(&p->addrs[i].ip, &s->addrs[i].ip) ||
		    p->addrs[i].from != s->addrs[i].from || p->addrs[i].to != s->addrs[i].to)
			return false;
	return true;
}

/* Shrunk in place where that works; the rest is of no account. */
static void commit(struct inventory *v, place_id id, struct staged *s)
{
	struct place_rec *p = at(v, id);
	struct place_addr *fit = realloc(s->addrs, MAX(s->n_addrs, 1) * sizeof(*s->addrs));

	index_addrs(v, id, false);
	drop_addrs(v, p);
	intern_put(&v->strings, p->ns);
	intern_put(&v->strings, p->name);
	p->ns = s->ns;
	p->name = s->name;
	p->addrs = fit ? fit : s->addrs;
	p->n_addrs = s->n_addrs;
	v->places.addr_bytes += p->n_addrs * sizeof(*p->addrs);
	index_addrs(v, id, true);
}

static int add(struct inventory *v, const struct uid_key *key, place_id *ret)
{
	place_id id = pool_alloc(&v->places.recs);

	if (!id) {
		bool full = v->places.recs.live >= MAX_PLACES;

		v->stats.refused_full += full;
		return full ? -EMSGSIZE : -ENOMEM;
	}
	at(v, id)->uid = *key;
	at(v, id)->used = true;
	list_append(v, PLACES_LOG, id);
	(void)index_put(&v->places.by_uid, uid_hash(v, key), id);
	*ret = id;
	return 0;
}

int inventory_apply_place(struct inventory *v, uint16_t source, nsec_t now, enum kind kind,
			  const struct object *o)
{
	struct source *src = source ? &v->sources[source - 1] : NULL;
	bool listing = src && src->listing;
	struct staged s = {0};
	struct uid_key key;
	place_id id, known;
	int r = store_uid_get(v, o->meta.uid, &key);

	v->edition++;
	if (r < 0)
		return r;
	id = known = find(v, &key);
	r = stage(v, o, known ? at(v, known) : NULL, now, listing ? src->heard : now, &s);
	if (r == 0 && !known)
		r = add(v, &key, &id);
	if (r < 0 || known)
		store_uid_put(v, &key); /* a new record keeps the reference */
	if (r < 0) {
		staged_drop(v, &s);
		return r;
	}
	at(v, id)->source = source;
	at(v, id)->gen = src ? src->gen : 0;
	if (src && !listing)
		src->heard = now;
	if (known && same(at(v, id), &s, kind)) {
		staged_drop(v, &s);
		return 0;
	}
	if (at(v, id)->dead)
		dead_unlink(v, id); /* a list missed it for a moment */
	at(v, id)->listed |= listing && s.new_addr;
	commit(v, id, &s);
	at(v, id)->kind = (uint8_t)kind;
	log_touch(v, id);
	return 0;
}

/* ---- look-ups -------------------------------------------------------------------------------- */

bool inventory_place(const struct inventory *v, place_id id, struct inv_place_view *ret)
{
	const struct place_rec *p;

	if (!id || id > v->places.recs.next || !at(v, id)->used)
		return false;
	p = at(v, id);
	*ret = (struct inv_place_view){.kind = p->kind,
				       .ns = intern_str(&v->strings, p->ns),
				       .name = intern_str(&v->strings, p->name),
				       .dead = p->dead};
	return true;
}

static struct inv_claim claim_of(const struct place_rec *p, place_id id, uint32_t i)
{
	const struct place_addr *a = &p->addrs[i];

	return (struct inv_claim){.id = id,
				  .from = a->from,
				  .to = MIN(a->to, p->dead ? p->died : NSEC_NEVER),
				  .heard = MIN(a->heard, p->dead ? p->heard : NSEC_NEVER),
				  .listed = p->listed};
}

bool inventory_place_claim(const struct inventory *v, place_id id, uint32_t i, struct addr *ret_ip,
			   struct inv_claim *ret)
{
	const struct place_rec *p = at(v, id);

	if (i >= p->n_addrs)
		return false;
	*ret_ip = p->addrs[i].ip;
	*ret = claim_of(p, id, i);
	return true;
}

uint32_t inventory_place_claims(const struct inventory *v, const struct addr *ip,
				struct inv_claim *ret, uint32_t max)
{
	uint32_t walk, n = 0, h = store_addr_hash(v, ip);

	for (place_id id = index_first(&v->places.by_address, h, &walk); id;
	     id = index_next(&v->places.by_address, h, &walk)) {
		const struct place_rec *p = at(v, id);

		for (uint32_t i = 0; i < p->n_addrs; i++) {
			if (!addr_eq(&p->addrs[i].ip, ip))
				continue;
			if (n < max)
				ret[n] = claim_of(p, id, i);
			n++;
		}
	}
	return n;
}
