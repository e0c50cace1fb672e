#include "peers/replica.h"

#include "base/hash.h"
#include "base/index.h"
#include "base/mem.h"
#include "base/pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_RECORDS 16000000U /* of each sort; max_bytes is met long before */

/* A plain text, or a workload: then ns and kind are names, too. */
struct name {
	uint32_t id; /* the feed's */
	uint32_t refs;
	pool_id ns, kind;
	char *text; /* NULL: the record is free */
	uint16_t len;
};

struct has { /* an address and since when */
	struct addr ip;
	nsec_t from;
};
struct over { /* when that ended */
	nsec_t to, heard;
};
/* Its variable part is one allocation: has[n], over[n_over] for the last of them, text[len]. */
struct entry {
	uint32_t id; /* the feed's */
	pool_id workload, ns, node;
	uint32_t running;
	uint16_t len;
	uint8_t n, n_over;
	uint8_t kind, shared;
	bool listed;
	char *body; /* NULL: the record is free */
};

struct replica {
	struct hash_seed seed;
	struct pool names, entries;
	struct index name_by_id, by_id, by_address;
	size_t max_bytes, heap;
	nsec_t listed_at;
	uint32_t count[_KIND_MAX];
};

static struct name *name_at(const struct replica *r, pool_id at)
{
	return pool_at(&r->names, at);
}
static struct entry *entry_at(const struct replica *r, pool_id at)
{
	return pool_at(&r->entries, at);
}
static struct has *has_of(const struct entry *e)
{
	return (struct has *)(void *)e->body;
}
static struct over *over_of(const struct entry *e)
{
	return (struct over *)(has_of(e) + e->n);
}
static char *text_of(const struct entry *e)
{
	return (char *)(over_of(e) + e->n_over);
}
static size_t body_bytes(uint32_t n, uint32_t n_over, size_t len)
{
	return n * sizeof(struct has) + n_over * sizeof(struct over) + len;
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* What malloc takes of `n` bytes. */
static size_t heap_bytes(size_t n)
{
	return MAX((n + 8 + 15) & ~(size_t)15, (size_t)32);
}

static void *take_heap(struct replica *r, size_t n)
{
	void *p = malloc(n ? n : 1);

	if (p)
		r->heap += heap_bytes(n);
	return p;
}

static void give_heap(struct replica *r, void *p, size_t n)
{
	if (p)
		r->heap -= heap_bytes(n);
	free(p);
}

static size_t pool_used(const struct pool *p)
{
	return (size_t)p->live * p->size;
}

static size_t used(const struct replica *r)
{
	const uint64_t slots = (uint64_t)r->name_by_id.n + r->by_id.n + r->by_address.n;

	return sizeof(*r) + pool_used(&r->names) + pool_used(&r->entries) + r->heap +
	       slots * sizeof(struct index_slot) * 5 / 4;
}

static uint32_t hash_id(const struct replica *r, uint32_t id)
{
	return (uint32_t)hash_bytes(&r->seed, &id, sizeof(id));
}

static uint32_t hash_addr(const struct replica *r, const struct addr *ip)
{
	return (uint32_t)hash_bytes(&r->seed, ip->b, sizeof(ip->b));
}

/* ---- names ----------------------------------------------------------------------------------- */

static pool_id find_name(const struct replica *r, uint32_t id)
{
	uint32_t at, h = hash_id(r, id);
	pool_id found = id ? index_first(&r->name_by_id, h, &at) : 0;

	while (found && name_at(r, found)->id != id)
		found = index_next(&r->name_by_id, h, &at);
	return found;
}

static struct str name_text(const struct replica *r, pool_id at)
{
	return at ? str_make(name_at(r, at)->text, name_at(r, at)->len) : (struct str){0};
}

static void ref(const struct replica *r, pool_id at)
{
	if (at)
		name_at(r, at)->refs++;
}

static void unref(const struct replica *r, pool_id at)
{
	if (at)
		name_at(r, at)->refs--;
}

static void free_name(struct replica *r, pool_id at)
{
	struct name *n = name_at(r, at);

	index_del(&r->name_by_id, hash_id(r, n->id), at);
	unref(r, n->ns);
	unref(r, n->kind);
	give_heap(r, n->text, n->len);
	n->text = NULL;
	pool_release(&r->names, at);
}

/* A name that is told again must be what it was. */
static int same_name(const struct replica *r, pool_id at, const struct peerfeed_record *rec)
{
	const struct name *n = name_at(r, at);

	return n->ns == find_name(r, rec->ns) && n->kind == find_name(r, rec->kind) &&
			       str_eq(name_text(r, at), rec->text)
		       ? 0
		       : -EBADMSG;
}

static int add_name(struct replica *r, const struct peerfeed_record *rec)
{
	const pool_id ns = find_name(r, rec->ns), kind = find_name(r, rec->kind);
	pool_id at = find_name(r, rec->id);
	char *text;

	if ((rec->ns && !ns) || (rec->kind && !kind))
		return -EBADMSG;
	if (at)
		return same_name(r, at, rec);
	if (index_reserve(&r->name_by_id, 1) < 0)
		return -ENOMEM;
	text = take_heap(r, rec->text.n);
	at = text ? pool_alloc(&r->names) : 0;
	if (!at) {
		give_heap(r, text, rec->text.n);
		return -ENOMEM;
	}
	if (rec->text.n)
		memcpy(text, rec->text.p, rec->text.n);
	*name_at(r, at) = (struct name){
		.id = rec->id, .ns = ns, .kind = kind, .text = text, .len = (uint16_t)rec->text.n};
	ref(r, ns);
	ref(r, kind);
	(void)index_put(&r->name_by_id, hash_id(r, rec->id), at);
	return 0;
}

static int drop_name(struct replica *r, const struct peerfeed_record *rec)
{
	const pool_id at = find_name(r, rec->id);

	if (at && name_at(r, at)->refs)
		return -EBADMSG;
	if (at)
		free_name(r, at);
	return 0;
}

/* ---- entries --------------------------------------------------------------------------------- */

static pool_id find_entry(const struct replica *r, uint32_t id)
{
	uint32_t at, h = hash_id(r, id);
	pool_id found = index_first(&r->by_id, h, &at);

	while (found && entry_at(r, found)->id != id)
		found = index_next(&r->by_id, h, &at);
	return found;
}

/* Each address once, however often it had it. */
static void index_entry(struct replica *r, pool_id at, bool add)
{
	const struct entry *e = entry_at(r, at);

	for (uint32_t i = 0; i < e->n; i++) {
		const struct addr *ip = &has_of(e)[i].ip;
		bool again = false;

		for (uint32_t k = 0; k < i && !again; k++)
			again = addr_eq(&has_of(e)[k].ip, ip);
		if (!again && add)
			(void)index_put(&r->by_address, hash_addr(r, ip), at); /* reserved */
		else if (!again)
			index_del(&r->by_address, hash_addr(r, ip), at);
	}
}

static void empty_entry(struct replica *r, pool_id at)
{
	struct entry *e = entry_at(r, at);

	index_entry(r, at, false);
	unref(r, e->workload);
	unref(r, e->ns);
	unref(r, e->node);
	give_heap(r, e->body, body_bytes(e->n, e->n_over, e->len));
	e->body = NULL;
	r->count[e->kind]--;
}

static void free_entry(struct replica *r, pool_id at)
{
	empty_entry(r, at);
	index_del(&r->by_id, hash_id(r, entry_at(r, at)->id), at);
	pool_release(&r->entries, at);
}

/* From the record, whose names are known; the body is filled by the caller. */
static struct entry entry_of(const struct replica *r, const struct peerfeed_record *rec)
{
	struct entry e = {
		.id = rec->id,
		.workload = find_name(r, rec->workload),
		.ns = find_name(r, rec->ns),
		.node = find_name(r, rec->node),
		.running = rec->running,
		.len = (uint16_t)rec->text.n,
		.n = (uint8_t)rec->n_claims,
		.kind = rec->type == PEERFEED_POD ? KIND_POD
			: rec->is_node		  ? KIND_NODE
						  : KIND_SERVICE,
		.shared = rec->shared,
		.listed = rec->listed,
	};

	for (uint32_t i = 0; i < rec->n_claims; i++)
		e.n_over += rec->claims[i].to != NSEC_NEVER;
	return e;
}

static bool is_sound(const struct replica *r, const struct peerfeed_record *rec,
		     const struct entry *e)
{
	if ((rec->workload && !e->workload) || (rec->ns && !e->ns) || (rec->node && !e->node))
		return false;
	if (rec->workload && !name_at(r, e->workload)->kind)
		return false; /* a plain text is no workload */
	return e->shared <= name_text(r, e->workload).n && e->shared + e->len < REPLICA_NAME_MAX;
}

static void fill_body(struct entry *e, const struct peerfeed_record *rec)
{
	const uint32_t open = (uint32_t)e->n - e->n_over;

	for (uint32_t i = 0; i < e->n; i++) {
		const struct peerfeed_claim *c = &rec->claims[i];

		has_of(e)[i] = (struct has){.ip = c->ip, .from = c->from};
		if (i >= open)
			over_of(e)[i - open] = (struct over){.to = c->to, .heard = c->heard};
	}
	if (e->len)
		memcpy(text_of(e), rec->text.p, e->len);
}

static int put_entry(struct replica *r, const struct peerfeed_record *rec)
{
	struct entry e = entry_of(r, rec);
	pool_id at = find_entry(r, rec->id);

	if (!is_sound(r, rec, &e))
		return -EBADMSG;
	if (index_reserve(&r->by_id, 1) < 0 || index_reserve(&r->by_address, e.n) < 0)
		return -ENOMEM;
	e.body = take_heap(r, body_bytes(e.n, e.n_over, e.len));
	if (!e.body)
		return -ENOMEM;
	fill_body(&e, rec);
	if (at) {
		empty_entry(r, at);
	} else {
		at = pool_alloc(&r->entries);
		if (!at) {
			give_heap(r, e.body, body_bytes(e.n, e.n_over, e.len));
			return -ENOMEM;
		}
		(void)index_put(&r->by_id, hash_id(r, e.id), at);
	}
	*entry_at(r, at) = e;
	ref(r, e.workload);
	ref(r, e.ns);
	ref(r, e.node);
	index_entry(r, at, true);
	r->count[e.kind]++;
	return 0;
}

/* What lasted is over. */
static int end_entry(struct replica *r, const struct peerfeed_record *rec)
{
	const pool_id at = find_entry(r, rec->id);
	struct entry *e = at ? entry_at(r, at) : NULL;
	struct entry ended;

	if (!e || e->n_over == e->n)
		return 0;
	ended = *e;
	ended.n_over = e->n;
	ended.body = take_heap(r, body_bytes(e->n, e->n, e->len));
	if (!ended.body)
		return -ENOMEM;
	memcpy(has_of(&ended), has_of(e), e->n * sizeof(struct has));
	for (uint32_t i = 0; i < (uint32_t)e->n - e->n_over; i++)
		over_of(&ended)[i] =
			(struct over){.to = MAX(rec->to, has_of(e)[i].from), .heard = rec->heard};
	memcpy(over_of(&ended) + e->n - e->n_over, over_of(e), e->n_over * sizeof(struct over));
	memcpy(text_of(&ended), text_of(e), e->len);
	give_heap(r, e->body, body_bytes(e->n, e->n_over, e->len));
	*e = ended;
	return 0;
}

static int forget_entry(struct replica *r, const struct peerfeed_record *rec)
{
	const pool_id at = find_entry(r, rec->id);

	if (at)
		free_entry(r, at);
	return 0;
}

static int apply(struct replica *r, const struct peerfeed_record *rec)
{
	switch (rec->type) {
	case PEERFEED_NAME:
		return add_name(r, rec);
	case PEERFEED_DROP:
		return drop_name(r, rec);
	case PEERFEED_POD:
	case PEERFEED_PLACE:
		return put_entry(r, rec);
	case PEERFEED_ENDED:
		return end_entry(r, rec);
	case PEERFEED_FORGET:
		return forget_entry(r, rec);
	case PEERFEED_LISTED:
		r->listed_at = rec->to;
		return 0;
	case _PEERFEED_TYPE_MAX:
		break;
	}
	return -EBADMSG;
}

int replica_apply(struct replica *r, const struct peerfeed_record *rec)
{
	const int e = apply(r, rec);

	return e == 0 && used(r) > r->max_bytes ? -EMSGSIZE : e;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void begin(struct replica *r)
{
	pool_init(&r->names, sizeof(struct name), MAX_RECORDS);
	pool_init(&r->entries, sizeof(struct entry), MAX_RECORDS);
}

static void finish(struct replica *r)
{
	for (pool_id at = 1; at <= r->entries.next; at++)
		free(entry_at(r, at)->body);
	for (pool_id at = 1; at <= r->names.next; at++)
		free(name_at(r, at)->text);
	pool_done(&r->names);
	pool_done(&r->entries);
	index_done(&r->name_by_id);
	index_done(&r->by_id);
	index_done(&r->by_address);
}

int replica_new(size_t max_bytes, struct replica **ret)
{
	struct replica *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->max_bytes = max_bytes;
	hash_seed_init(&r->seed);
	begin(r);
	*ret = r;
	return 0;
}

void replica_free(struct replica **rp)
{
	if (!*rp)
		return;
	finish(*rp);
	free(*rp);
	*rp = NULL;
}

void replica_clear(struct replica *r)
{
	finish(r);
	*r = (struct replica){.max_bytes = r->max_bytes, .seed = r->seed};
	begin(r);
}

/* ---- look-ups -------------------------------------------------------------------------------- */

static struct inv_claim claim_of(const struct entry *e, pool_id at, uint32_t i)
{
	const uint32_t open = (uint32_t)e->n - e->n_over;
	const struct over *o = i < open ? NULL : &over_of(e)[i - open];

	return (struct inv_claim){.id = at,
				  .from = has_of(e)[i].from,
				  .to = o ? o->to : NSEC_NEVER,
				  .heard = o ? o->heard : NSEC_NEVER,
				  .running = e->running,
				  .listed = e->listed};
}

static void claims_of(const struct entry *e, pool_id at, const struct addr *ip,
		      struct inv_claim *ret, uint32_t max, uint32_t *n)
{
	for (uint32_t i = 0; i < e->n; i++) {
		if (!addr_eq(&has_of(e)[i].ip, ip))
			continue;
		if (*n < max)
			ret[*n] = claim_of(e, at, i);
		(*n)++;
	}
}

uint32_t replica_claims(const struct replica *r, const struct addr *ip, enum kind kind,
			struct inv_claim *ret, uint32_t max)
{
	uint32_t walk, n = 0, h = hash_addr(r, ip);

	for (pool_id at = index_first(&r->by_address, h, &walk); at;
	     at = index_next(&r->by_address, h, &walk))
		if (entry_at(r, at)->kind == kind)
			claims_of(entry_at(r, at), at, ip, ret, max, &n);
	return n;
}

nsec_t replica_listed_at(const struct replica *r)
{
	return r->listed_at;
}

static bool is_entry(const struct replica *r, uint32_t id)
{
	return id && id <= r->entries.next && entry_at(r, id)->body;
}

bool replica_claim(const struct replica *r, uint32_t id, uint32_t i, struct addr *ret_ip,
		   struct inv_claim *ret)
{
	if (!is_entry(r, id) || i >= entry_at(r, id)->n)
		return false;
	*ret_ip = has_of(entry_at(r, id))[i].ip;
	*ret = claim_of(entry_at(r, id), id, i);
	return true;
}

bool replica_thing(const struct replica *r, uint32_t id, struct replica_thing *ret)
{
	const struct entry *e;
	struct str workload;

	if (!is_entry(r, id))
		return false;
	e = entry_at(r, id);
	workload = name_text(r, e->workload);
	ret->kind = e->kind;
	ret->ns = name_text(r, e->workload ? name_at(r, e->workload)->ns : e->ns);
	ret->node = name_text(r, e->node);
	ret->workload = workload;
	ret->workload_kind = name_text(r, e->workload ? name_at(r, e->workload)->kind : (pool_id)0);
	(void)snprintf(ret->name, sizeof(ret->name), "%.*s%.*s", e->shared,
		       workload.p ? workload.p : "", e->len, text_of(e));
	return true;
}

uint32_t replica_next(const struct replica *r, uint32_t id)
{
	while (++id <= r->entries.next)
		if (is_entry(r, id))
			return id;
	return 0;
}

void replica_stats(const struct replica *r, struct replica_stats *ret)
{
	*ret = (struct replica_stats){.pods = r->count[KIND_POD],
				      .services = r->count[KIND_SERVICE],
				      .nodes = r->count[KIND_NODE],
				      .names = r->names.live,
				      .bytes = used(r)};
}
