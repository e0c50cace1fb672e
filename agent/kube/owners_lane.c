/*
 * The owner reader's book: entries by uid, lanes by kind and namespace, their
 * queues, and what is told of a lane whose owners cannot be read.
 */
#include "kube/owners_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

/* A refresh that failed may be tried again so much later. */
#define REFRESH_RETRY (30 * NSEC_PER_SEC)

struct entry *entry_at(const struct owners *o, pool_id id)
{
	return pool_at(&o->entries, id);
}

struct lane *lane_at(const struct owners *o, pool_id id)
{
	return pool_at(&o->lanes, id);
}

/* ---- queues ---- */

static struct queue *queue_of(struct owners *o, const struct entry *e)
{
	return e->again ? &o->refresh : &lane_at(o, e->lane)->queue;
}

void queue_put(struct owners *o, pool_id id, bool front)
{
	struct entry *e = entry_at(o, id);
	struct queue *q = queue_of(o, e);

	e->prev = front ? 0 : q->tail;
	e->next = front ? q->head : 0;
	*(e->prev ? &entry_at(o, e->prev)->next : &q->head) = id;
	*(e->next ? &entry_at(o, e->next)->prev : &q->tail) = id;
	e->state = ENTRY_QUEUED;
	o->queued++;
	if (!e->told && !e->read)
		lane_at(o, e->lane)->untold = true;
}

void queue_take(struct owners *o, pool_id id, enum entry_state then)
{
	struct entry *e = entry_at(o, id);
	struct queue *q = queue_of(o, e);

	*(e->prev ? &entry_at(o, e->prev)->next : &q->head) = e->next;
	*(e->next ? &entry_at(o, e->next)->prev : &q->tail) = e->prev;
	e->prev = e->next = 0;
	e->state = (uint8_t)then;
	o->queued--;
}

/* ---- lanes ---- */

static uint32_t hash_str(const struct owners *o, struct str s)
{
	return (uint32_t)hash_bytes(&o->seed, s.p, s.n);
}

static uint32_t lane_hash(const struct owners *o, struct str av, struct str kind, struct str ns)
{
	return hash_str(o, av) * 31 + hash_str(o, kind) * 17 + hash_str(o, ns);
}

static bool lane_is(const struct lane *l, struct str av, struct str kind, struct str ns)
{
	return str_eq(str_of(l->kind), kind) && str_eq(str_of(l->ns), ns) &&
	       str_eq(str_of(l->api_version), av);
}

/* A block of `n` texts, each with a NUL behind it; NULL when memory is short. */
static char *text_block(const struct str *s, char **const *ret, size_t n)
{
	size_t size = 0;

	for (size_t i = 0; i < n; i++)
		size += s[i].n + 1;
	char *p = calloc(1, size);
	for (size_t i = 0, at = 0; p && i < n; i++) {
		*ret[i] = p + at;
		if (s[i].n)
			memcpy(p + at, s[i].p, s[i].n);
		at += s[i].n + 1;
	}
	return p;
}

static void lane_release(struct owners *o, pool_id id)
{
	struct lane *l = lane_at(o, id);

	free(l->api_version);
	l->api_version = NULL;
	pool_release(&o->lanes, id);
}

/* The lane, made when there was none; 0 when it cannot be. */
static pool_id lane_get(struct owners *o, struct str av, struct str kind, struct str ns)
{
	uint32_t h = lane_hash(o, av, kind, ns), at;
	pool_id id = index_first(&o->by_lane, h, &at);

	while (id && !lane_is(lane_at(o, id), av, kind, ns))
		id = index_next(&o->by_lane, h, &at);
	if (id)
		return id;
	id = pool_alloc(&o->lanes);
	if (!id)
		return 0;
	struct lane *l = lane_at(o, id);
	struct str texts[] = {av, kind, ns};
	char **const to[] = {&l->api_version, &l->kind, &l->ns};
	if (!text_block(texts, to, ARRAY_SIZE(texts)) || index_put(&o->by_lane, h, id) < 0) {
		lane_release(o, id);
		return 0;
	}
	backoff_init(&l->backoff);
	l->refused_since = NSEC_NEVER;
	return id;
}

void lane_let_go(struct owners *o, pool_id id)
{
	struct lane *l = lane_at(o, id);

	if (l->entries || l->discovering)
		return;
	index_del(&o->by_lane, lane_hash(o, str_of(l->api_version), str_of(l->kind), str_of(l->ns)),
		  id);
	lane_release(o, id);
}

void lane_tell(struct owners *o, pool_id id)
{
	struct lane *l = lane_at(o, id);

	if (!l->text[0] || !l->untold)
		return;
	l->untold = false;
	for (pool_id e = l->queue.head; e; e = entry_at(o, e)->next)
		entry_tell(o, entry_at(o, e), l->text);
}

void lane_refuse(struct owners *o, pool_id id, nsec_t wait, const char *what, const char *why)
{
	struct lane *l = lane_at(o, id);
	int n = snprintf(l->text, sizeof(l->text), "%s of %s: %s%s%s", l->kind, l->api_version,
			 what, why[0] ? ": " : "", why);

	if (n < 0)
		l->text[0] = '\0';
	l->not_before = o->now + wait;
	lane_tell(o, id);
}

void lane_fine(struct owners *o, pool_id id)
{
	struct lane *l = lane_at(o, id);

	l->refused_since = NSEC_NEVER;
	l->text[0] = '\0';
	backoff_good(&l->backoff, o->now);
	backoff_good(&o->backoff, o->now);
}

/* ---- entries ---- */

pool_id entry_find(const struct owners *o, struct str uid)
{
	uint32_t h = hash_str(o, uid), at;
	pool_id id = index_first(&o->by_uid, h, &at);

	while (id && !str_eq(str_of(entry_at(o, id)->uid), uid))
		id = index_next(&o->by_uid, h, &at);
	return id;
}

static void entry_release(struct owners *o, pool_id id)
{
	struct entry *e = entry_at(o, id);

	free(e->uid);
	e->uid = NULL;
	pool_release(&o->entries, id);
}

static int entry_add(struct owners *o, pool_id lane, const struct owner_ref *ref)
{
	pool_id id = pool_alloc(&o->entries);
	if (!id)
		return -ENOSPC;
	struct entry *e = entry_at(o, id);
	struct str texts[] = {ref->uid, ref->name};
	char **const to[] = {&e->uid, &e->name};

	if (!text_block(texts, to, ARRAY_SIZE(texts)) ||
	    index_put(&o->by_uid, hash_str(o, ref->uid), id) < 0) {
		entry_release(o, id);
		return -ENOMEM;
	}
	e->lane = lane;
	lane_at(o, lane)->entries++;
	queue_put(o, id, false);
	return 0;
}

int entry_make(struct owners *o, const struct owner_ref *ref, struct str ns)
{
	pool_id lane = lane_get(o, ref->api_version, ref->kind, ns);
	int r = lane ? entry_add(o, lane, ref) : -ENOSPC;

	if (lane)
		lane_let_go(o, lane);
	return r;
}

void entry_free(struct owners *o, pool_id id)
{
	struct entry *e = entry_at(o, id);
	pool_id lane = e->lane;

	index_del(&o->by_uid, hash_str(o, str_of(e->uid)), id);
	entry_release(o, id);
	lane_at(o, lane)->entries--;
	lane_let_go(o, lane);
}

void entry_tell(struct owners *o, struct entry *e, const char *text)
{
	if (e->told || e->read)
		return;
	e->told = true;
	o->o.ops->refused(o->o.ctx, str_of(e->uid), text);
}

bool entry_keep(struct owners *o, pool_id id)
{
	struct entry *e = entry_at(o, id);

	if (!e->read)
		return false;
	o->counters.errors++;
	e->state = ENTRY_IDLE;
	e->fresh_until = o->now + REFRESH_RETRY;
	e->again = e->confirm = false;
	return true;
}
