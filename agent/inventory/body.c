/*
 * The variable part of a pod in one allocation: containers, addresses, name.
 *
 * Containers hold 64-hex ids in 32 bytes; addresses carry the time they were the
 * pod's. Former addresses stay behind the current ones, a bounded number, so
 * that late flows still find their pod.
 */
#include "inventory/store.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FORMER 8 /* former addresses of one pod; over it the oldest is forgotten */

struct addr_rec *body_addrs(const struct pod_body *b)
{
	return (struct addr_rec *)(uintptr_t)b->data;
}

struct former_rec *body_former(const struct pod_body *b)
{
	return (struct former_rec *)(body_addrs(b) + b->n_addrs);
}

struct container_rec *body_containers(const struct pod_body *b)
{
	return (struct container_rec *)(body_former(b) + b->n_former);
}

struct str body_name(const struct pod_body *b)
{
	return str_make(body_containers(b) + b->n_containers, b->name_len);
}

struct str body_hash(const struct pod_body *b)
{
	return str_make(body_name(b).p + b->name_len, b->hash_len);
}

/* Only the API server's mirror of a static pod has both annotations. */
static struct str static_hash(const struct object *o)
{
	struct str hash = o->meta.config_hash;

	return str_empty(o->meta.config_mirror) || hash.n > UID_TEXT_MAX ? (struct str){0} : hash;
}

/* "containerd://<64 hex>" → where the digits begin, 0 when it has another form. */
static size_t id_digits(struct str id)
{
	const char *at = id.n > 66 ? memmem(id.p, id.n, "://", 3) : NULL;
	size_t from = at ? (size_t)(at - id.p) + 3 : 0;

	return from && id.n - from == 64 ? from : 0;
}

/* The number of a runtime's scheme, taken up when it is new: 0 or -ENOMEM. 0 as number: there is no
 * place for one more. */
static int scheme_number(struct inventory *v, struct str scheme, uint8_t *ret)
{
	for (uint8_t i = 0; i < INVENTORY_MAX_SCHEMES; i++) {
		if (!v->schemes[i] && intern_get(&v->strings, scheme, &v->schemes[i]) == -ENOMEM)
			return -ENOMEM;
		if (!str_eq(intern_str(&v->strings, v->schemes[i]), scheme))
			continue;
		*ret = (uint8_t)(i + 1);
		return 0;
	}
	*ret = 0;
	return 0;
}

/* Fills the id fields of a new record; takes a reference on interned text. */
static int id_get(struct inventory *v, struct str id, struct container_rec *ret)
{
	size_t from = id_digits(id);
	pool_id text = 0;
	int r;

	ret->id_form = ID_NONE;
	if (str_empty(id))
		return 0;
	if (id.n > CONTAINER_ID_MAX) {
		v->stats.long_ids++;
		return 0;
	}
	if (from && uid_hex(id.p + from, 64, ret->id)) {
		r = scheme_number(v, str_make(id.p, from - 3), &ret->scheme);
		if (r < 0)
			return r;
		if (ret->scheme) {
			ret->id_form = ID_HEX64;
			return 0;
		}
	}
	r = intern_get(&v->strings, id, &text);
	if (r < 0) {
		ret->id_form = ID_NONE;
		return r;
	}
	memset(ret->id, 0, sizeof(ret->id));
	memcpy(ret->id, &text, sizeof(text));
	ret->id_form = ID_TEXT;
	return 0;
}

uint32_t body_id_hash(const struct inventory *v, const struct container_rec *c)
{
	return store_hash(v, c->id, sizeof(c->id));
}

static void container_put(struct inventory *v, const struct container_rec *c)
{
	if (c->id_form == ID_TEXT)
		intern_put(&v->strings, store_text_id(c->id));
	intern_put(&v->strings, c->name);
	intern_put(&v->strings, c->image);
}

static int container_get(struct inventory *v, const struct container *in, struct container_rec *out)
{
	int r = id_get(v, in->id, out);

	if (r == 0)
		r = intern_get(&v->strings, in->name, &out->name);
	if (r == 0)
		r = intern_get(&v->strings, in->image, &out->image);
	out->type = (uint8_t)in->type & 3;
	out->state = (uint8_t)in->state & 3;
	return r;
}

/* Marks belong to a container id: whoever had it keeps them. */
static void carry_marks(struct pod_body *b, const struct pod_body *old)
{
	struct container_rec *to = body_containers(b), *from = old ? body_containers(old) : NULL;

	for (uint32_t i = 0; old && i < b->n_containers; i++)
		for (uint32_t j = 0; j < old->n_containers; j++)
			if (to[i].id_form != ID_NONE && to[i].id_form == from[j].id_form &&
			    memcmp(to[i].id, from[j].id, sizeof(to[i].id)) == 0)
				to[i].marks = from[j].marks;
}

struct addr_set {
	struct addr_rec addrs[MODEL_MAX_IPS];
	struct former_rec former[MAX_FORMER];
	uint16_t n_addrs, n_former;
};

static bool finished(const struct object *o)
{
	return o->pod.phase == POD_PHASE_SUCCEEDED || o->pod.phase == POD_PHASE_FAILED;
}

static const struct addr_rec *addr_find(const struct addr_rec *rec, uint32_t n,
					const struct addr *ip)
{
	for (uint32_t i = 0; i < n; i++)
		if (addr_eq(&rec[i].ip, ip))
			return &rec[i];
	return NULL;
}

static void add_addr(struct addr_set *s, struct str text, const struct pod_body *old, nsec_t now)
{
	const struct addr_rec *was;
	struct addr ip;

	if (s->n_addrs == MODEL_MAX_IPS || addr_parse(text, &ip) < 0 ||
	    addr_find(s->addrs, s->n_addrs, &ip))
		return;
	was = old ? addr_find(body_addrs(old), old->n_addrs, &ip) : NULL;
	s->addrs[s->n_addrs++] = (struct addr_rec){.ip = ip, .from = was ? was->from : now};
}

static void add_former(struct addr_set *s, const struct former_rec *f)
{
	if (s->n_former < MAX_FORMER)
		s->former[s->n_former++] = *f;
}

/* What the pod has now, then what it had before, newest first. A finished pod has none. */
static void collect_addrs(struct addr_set *s, const struct object *o, const struct pod_body *old,
			  nsec_t now, nsec_t heard)
{
	s->n_addrs = s->n_former = 0;
	for (uint32_t i = 0; !finished(o) && i < o->pod.n_ips; i++)
		add_addr(s, o->pod.ips[i], old, now);
	if (!finished(o) && s->n_addrs == 0)
		add_addr(s, o->pod.pod_ip, old, now);
	for (uint32_t i = 0; old && i < old->n_addrs; i++) {
		const struct addr_rec *a = &body_addrs(old)[i];

		if (!addr_find(s->addrs, s->n_addrs, &a->ip))
			add_former(s, &(struct former_rec){.ip = a->ip,
							   .from = a->from,
							   .to = now,
							   .heard = heard});
	}
	for (uint32_t i = 0; old && i < old->n_former; i++)
		add_former(s, &body_former(old)[i]);
}

int body_new(struct inventory *v, const struct object *o, const struct pod_body *old, nsec_t now,
	     nsec_t heard, struct pod_body **ret)
{
	uint32_t n = MIN(o->pod.n_containers, (uint32_t)MODEL_MAX_CONTAINERS);
	struct str hash = static_hash(o);
	struct pod_body *b;
	struct addr_set addrs;
	size_t bytes;
	int r = 0;

	if (o->meta.name.n > UINT16_MAX)
		return -EMSGSIZE;
	collect_addrs(&addrs, o, old, now, heard);
	bytes = sizeof(*b) + n * sizeof(struct container_rec) +
		addrs.n_addrs * sizeof(struct addr_rec) +
		addrs.n_former * sizeof(struct former_rec) + o->meta.name.n + hash.n;
	b = calloc(1, bytes);
	if (!b)
		return -ENOMEM;
	b->bytes = (uint32_t)bytes;
	b->n_containers = (uint16_t)n;
	b->n_addrs = addrs.n_addrs;
	b->n_former = addrs.n_former;
	b->name_len = (uint16_t)o->meta.name.n;
	b->hash_len = (uint16_t)hash.n;
	memcpy(body_addrs(b), addrs.addrs, addrs.n_addrs * sizeof(struct addr_rec));
	memcpy(body_former(b), addrs.former, addrs.n_former * sizeof(struct former_rec));
	if (o->meta.name.n)
		memcpy(body_containers(b) + b->n_containers, o->meta.name.p, o->meta.name.n);
	if (hash.n)
		memcpy((char *)(body_containers(b) + b->n_containers) + b->name_len, hash.p,
		       hash.n);
	v->body_bytes += bytes;
	v->n_containers += n;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = container_get(v, &o->pod.containers[i], &body_containers(b)[i]);
	if (r < 0) {
		body_free(v, &b);
		return r;
	}
	carry_marks(b, old);
	*ret = b;
	return 0;
}

void body_free(struct inventory *v, struct pod_body **bp)
{
	struct pod_body *b = *bp;

	if (!b)
		return;
	for (uint32_t i = 0; i < b->n_containers; i++)
		container_put(v, &body_containers(b)[i]);
	v->body_bytes -= b->bytes;
	v->n_containers -= b->n_containers;
	free(b);
	*bp = NULL;
}

bool body_same(const struct pod_body *a, const struct pod_body *b)
{
	return a->bytes == b->bytes && memcmp(a, b, a->bytes) == 0;
}
