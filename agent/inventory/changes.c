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
	v->log.n--;
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
	v->log.n++;
}

void dead_remove(struct inventory *v, pod_id id)
{
	struct pod_rec *p = pod_at(v, id);

	if (p->dead_prev)
		pod_at(v, p->dead_prev)->dead_next = p->dead_next;
	else
		v->dead.head = p->dead_next;
	if (p->dead_next)
		pod_at(v, p->dead_next)->dead_prev = p->dead_prev;
	else
		v->dead.tail = p->dead_prev;
	p->dead_prev = p->dead_next = 0;
	v->dead.n--;
}

static void dead_free(struct inventory *v, pod_id id)
{
	dead_remove(v, id);
	pods_free_one(v, id);
}

/* The oldest dead pod gives way; whoever still needed it is told. */
static void dead_drop_oldest(struct inventory *v)
{
	pod_id id = v->dead.head;
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
	dead_free(v, id);
}

void dead_add(struct inventory *v, pod_id id, nsec_t now)
{
	struct pod_rec *p = pod_at(v, id);

	p->died = now;
	p->dead_prev = v->dead.tail;
	if (v->dead.tail)
		pod_at(v, v->dead.tail)->dead_next = id;
	else
		v->dead.head = id;
	v->dead.tail = id;
	v->dead.n++;
	if (v->dead.n > v->opts.max_dead)
		dead_drop_oldest(v);
}

/* A pod that a sink still needs is looked at again after this long. */
#define EXPIRE_RETRY NSEC_PER_SEC

nsec_t inventory_expire(struct inventory *v, nsec_t now)
{
	nsec_t again = NSEC_NEVER;
	pod_id next;

	for (pod_id id = v->dead.head; id; id = next) {
		const struct pod_rec *p = pod_at(v, id);

		next = p->dead_next;
		if (p->died + v->opts.linger > now)
			return MIN(again, p->died + v->opts.linger);
		if ((p->done & v->cursor_mask) == v->cursor_mask)
			dead_free(v, id);
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

bool inventory_cursor_at_end(const struct inventory *v, const struct inv_cursor *c)
{
	return after(v, c, c->pos) == 0;
}

void inventory_cursor_done(struct inventory *v, struct inv_cursor *c, pod_id id)
{
	if (pod_at(v, id)->flags & POD_DEAD)
		pod_at(v, id)->done |= c->bit;
}

void inventory_cursor_rewind(struct inventory *v, struct inv_cursor *c)
{
	(void)v;
	c->pos = 0;
}
