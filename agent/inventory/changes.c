/*
 * The change log: all pods in one list, the one that changed last at the end. A
 * cursor remembers the pod it passed last; a pod that changes moves to the end
 * and cursors that stood on it step back to its neighbour. Dead pods are also in
 * a list of their own, oldest first.
 */
#include "inventory/store.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

void changes_remove(struct inventory *v, pod_id id)
{
	struct pod_rec *p = pod_at(v, id);

	for (size_t i = 0; i < ARRAY_SIZE(v->cursors); i++)
		if (v->cursors[i] && v->cursors[i]->pos == id)
			v->cursors[i]->pos = p->log_prev;
	if (p->log_prev)
		pod_at(v, p->log_prev)->log_next = p->log_next;
	else
		v->log.head = p->log_next;
	if (p->log_next)
		pod_at(v, p->log_next)->log_prev = p->log_prev;
	else
		v->log.tail = p->log_prev;
	p->log_prev = p->log_next = 0;
}

void changes_freed(struct inventory *v, pod_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(v->cursors); i++) {
		const struct inv_cursor *c = v->cursors[i];

		if (c && c->ops && c->ops->pod_freed)
			c->ops->pod_freed(c->ctx, id);
	}
}

static bool in_log(const struct inventory *v, pod_id id)
{
	return pod_at(v, id)->log_prev || v->log.head == id;
}

void changes_touch(struct inventory *v, pod_id id)
{
	struct pod_rec *p = pod_at(v, id);

	if (in_log(v, id))
		changes_remove(v, id);
	p->log_prev = v->log.tail;
	if (v->log.tail)
		pod_at(v, v->log.tail)->log_next = id;
	else
		v->log.head = id;
	v->log.tail = id;
}

static struct dead_rec *dead_at(const struct inventory *v, uint32_t id)
{
	return pool_at(&v->graves, id);
}

nsec_t dead_since(const struct inventory *v, const struct pod_rec *p)
{
	return p->flags & POD_DEAD ? dead_at(v, p->dead)->died : NSEC_NEVER;
}

nsec_t dead_heard(const struct inventory *v, const struct pod_rec *p)
{
	return p->flags & POD_DEAD ? dead_at(v, p->dead)->heard : NSEC_NEVER;
}

void dead_remove(struct inventory *v, pod_id id)
{
	uint32_t at = pod_at(v, id)->dead;
	struct dead_rec *d = dead_at(v, at);

	if (d->prev)
		dead_at(v, d->prev)->next = d->next;
	else
		v->dead.head = d->next;
	if (d->next)
		dead_at(v, d->next)->prev = d->prev;
	else
		v->dead.tail = d->prev;
	pool_release(&v->graves, at);
	pod_at(v, id)->flags &= (uint8_t)~POD_DEAD;
}

/* Whoever still needs the pod is told that it goes. */
static void drop(struct inventory *v, pod_id id)
{
	bool needed = false;

	for (size_t i = 0; i < ARRAY_SIZE(v->cursors); i++) {
		struct inv_cursor *c = v->cursors[i];

		if (!c || pod_at(v, id)->done & c->bit)
			continue;
		needed = true;
		if (c->ops && c->ops->dropped)
			c->ops->dropped(c->ctx, id);
	}
	v->stats.dropped_dead += needed;
	pods_free_one(v, id);
}

static void dead_append(struct inventory *v, uint32_t at)
{
	struct dead_rec *d = dead_at(v, at);

	d->prev = v->dead.tail;
	if (v->dead.tail)
		dead_at(v, v->dead.tail)->next = at;
	else
		v->dead.head = at;
	v->dead.tail = at;
}

void dead_add(struct inventory *v, pod_id id, nsec_t now, nsec_t heard)
{
	uint32_t at;

	pod_at(v, id)->done = 0; /* it may have died before */
	if (v->dead.head && v->graves.live >= v->opts.max_dead)
		drop(v, dead_at(v, v->dead.head)->pod);
	at = pool_alloc(&v->graves);
	if (!at) { /* no room for any dead pod */
		drop(v, id);
		return;
	}
	pod_at(v, id)->flags |= POD_DEAD;
	pod_at(v, id)->dead = at;
	*dead_at(v, at) = (struct dead_rec){.pod = id, .died = now, .heard = heard};
	dead_append(v, at);
}

/* A pod that a sink still needs is looked at again after this long. */
#define EXPIRE_RETRY NSEC_PER_SEC

nsec_t inventory_expire(struct inventory *v, nsec_t now)
{
	nsec_t again = places_expire(v, now);
	uint32_t next;

	for (uint32_t at = v->dead.head; at; at = next) {
		const struct dead_rec *d = dead_at(v, at);

		next = d->next;
		if (d->died + v->opts.linger > now)
			return MIN(again, d->died + v->opts.linger);
		if ((pod_at(v, d->pod)->done & v->cursor_mask) == v->cursor_mask)
			pods_free_one(v, d->pod);
		else
			again = now + EXPIRE_RETRY;
	}
	return again;
}

int inventory_cursor_add(struct inventory *v, const struct inv_cursor_ops *ops, void *ctx,
			 struct inv_cursor **ret)
{
	struct inv_cursor *c;
	size_t i = 0;

	while (i < ARRAY_SIZE(v->cursors) && v->cursors[i])
		i++;
	if (i == ARRAY_SIZE(v->cursors))
		return -EMSGSIZE;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct inv_cursor){.ops = ops, .ctx = ctx, .bit = (uint8_t)(1U << i)};
	v->cursors[i] = c;
	v->cursor_mask |= c->bit;
	*ret = c;
	return 0;
}

/* The bit is given to another cursor later: nothing of this one may stay on containers. */
static void clear_marks(struct inventory *v, struct inv_cursor *c)
{
	for (pod_id id = v->log.head; id; id = pod_at(v, id)->log_next) {
		pod_at(v, id)->done &= (uint8_t)~c->bit;
		for (uint32_t i = 0; i < pod_at(v, id)->body->n_containers; i++)
			inventory_container_mark(v, c, id, i, false);
	}
}

void inventory_cursor_remove(struct inventory *v, struct inv_cursor **cp)
{
	struct inv_cursor *c = *cp;

	if (!c)
		return;
	clear_marks(v, c);
	for (size_t i = 0; i < ARRAY_SIZE(v->cursors); i++)
		if (v->cursors[i] == c)
			v->cursors[i] = NULL;
	v->cursor_mask &= (uint8_t)~c->bit;
	free(c);
	*cp = NULL;
}

static pod_id after(const struct inventory *v, const struct inv_cursor *c, pod_id pos)
{
	pod_id id = pos ? pod_at(v, pos)->log_next : v->log.head;

	while (id && (pod_at(v, id)->flags & POD_DEAD) && (pod_at(v, id)->done & c->bit))
		id = pod_at(v, id)->log_next;
	return id;
}

pod_id inventory_cursor_next(struct inventory *v, struct inv_cursor *c)
{
	pod_id id = after(v, c, c->pos);

	c->pos = id ? id : v->log.tail;
	return id;
}

uint32_t inventory_cursor_lag(const struct inventory *v, const struct inv_cursor *c)
{
	uint32_t n = 0;

	for (pod_id id = after(v, c, c->pos); id; id = after(v, c, id))
		n++;
	return n;
}

bool inventory_cursor_at_end(const struct inventory *v, const struct inv_cursor *c)
{
	return after(v, c, c->pos) == 0;
}

void inventory_cursor_done(struct inventory *v, struct inv_cursor *c, pod_id id)
{
	if (pod_at(v, id)->flags & POD_DEAD)
		pod_at(v, id)->done |= c->bit;
}

pod_id inventory_cursor_dead(const struct inventory *v, const struct inv_cursor *c, nsec_t before)
{
	for (uint32_t at = v->dead.head; at; at = dead_at(v, at)->next) {
		const struct dead_rec *d = dead_at(v, at);

		if (d->died >= before)
			break;
		if (!(pod_at(v, d->pod)->done & c->bit))
			return d->pod;
	}
	return 0;
}

void inventory_cursor_rewind(struct inventory *v, struct inv_cursor *c)
{
	(void)v;
	c->pos = 0;
	c->place_pos = 0;
}
