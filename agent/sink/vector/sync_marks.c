/* The records of documents, and the lists that say what is to be done with them. */
#include "sink/vector/sync_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

struct mark *mark_at(const struct sync *s, uint32_t id)
{
	return pool_at(&s->marks, id);
}

static struct str mark_key(const struct mark *m)
{
	return str_make(m->key, m->key_n);
}

struct str mark_point(const struct mark *m)
{
	return m->point ? str_of(m->point) : mark_key(m);
}

static uint32_t key_hash(const struct sync *s, struct str key)
{
	return (uint32_t)hash_bytes(&s->seed, key.p, key.n);
}

uint32_t mark_find(const struct sync *s, struct str key)
{
	uint32_t hash = key_hash(s, key), at;

	for (uint32_t id = index_first(&s->index, hash, &at); id;
	     id = index_next(&s->index, hash, &at))
		if (str_eq(mark_key(mark_at(s, id)), key))
			return id;
	return 0;
}

int mark_get(struct sync *s, struct str key, uint32_t *ret)
{
	uint32_t id = mark_find(s, key);
	_free_ char *copy = NULL;

	if (id) {
		*ret = id;
		return 0;
	}
	if (s->marks.live >= SYNC_MAX_DOCUMENTS || key.n > UINT16_MAX)
		return -EMSGSIZE;
	copy = str_dup(key);
	id = copy ? pool_alloc(&s->marks) : 0;
	if (!id)
		return -ENOMEM;
	if (index_put(&s->index, key_hash(s, key), id) < 0) {
		pool_release(&s->marks, id);
		return -ENOMEM;
	}
	mark_at(s, id)->key = TAKE_PTR(copy);
	mark_at(s, id)->key_n = (uint16_t)key.n;
	s->key_bytes += key.n + 1;
	*ret = id;
	return 0;
}

void mark_free(struct sync *s, uint32_t id)
{
	struct mark *m = mark_at(s, id);

	mark_move(s, id, LIST_NONE);
	mark_set_stored(s, id, false);
	mark_unset_aside(s, id);
	index_del(&s->index, key_hash(s, mark_key(m)), id);
	s->key_bytes -= m->key_n + 1U;
	free(m->key);
	free(m->point);
	m->key = m->point = NULL;
	pool_release(&s->marks, id);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static void list_take(struct sync *s, uint32_t id)
{
	struct mark *m = mark_at(s, id);
	struct mark_queue *q = &s->lists[m->list];

	if (m->prev)
		mark_at(s, m->prev)->next = m->next;
	else
		q->head = m->next;
	if (m->next)
		mark_at(s, m->next)->prev = m->prev;
	else
		q->tail = m->prev;
	m->prev = m->next = 0;
	q->n--;
}

static void list_put(struct sync *s, uint32_t id, enum mark_list to, bool front)
{
	struct mark *m = mark_at(s, id);
	struct mark_queue *q = &s->lists[to];

	m->list = (uint8_t)to;
	m->prev = front ? 0 : q->tail;
	m->next = front ? q->head : 0;
	if (m->prev)
		mark_at(s, m->prev)->next = id;
	else
		q->head = id;
	if (m->next)
		mark_at(s, m->next)->prev = id;
	else
		q->tail = id;
	q->n++;
}

static void age_take(struct sync *s, uint32_t id)
{
	struct mark *m = mark_at(s, id);

	if (m->age_prev)
		mark_at(s, m->age_prev)->age_next = m->age_next;
	else
		s->ages.head = m->age_next;
	if (m->age_next)
		mark_at(s, m->age_next)->age_prev = m->age_prev;
	else
		s->ages.tail = m->age_prev;
	m->age_prev = m->age_next = 0;
	s->ages.n--;
}

static void age_put(struct sync *s, uint32_t id)
{
	struct mark *m = mark_at(s, id);

	m->age_prev = s->ages.tail;
	if (s->ages.tail)
		mark_at(s, s->ages.tail)->age_next = id;
	else
		s->ages.head = id;
	s->ages.tail = id;
	s->ages.n++;
}

static void move(struct sync *s, uint32_t id, enum mark_list to, bool front)
{
	struct mark *m = mark_at(s, id);

	if (m->list == LIST_WAITING && to != LIST_WAITING)
		age_take(s, id);
	if (m->list != LIST_WAITING && to == LIST_WAITING)
		age_put(s, id);
	if (m->list != LIST_NONE)
		list_take(s, id);
	m->list = LIST_NONE;
	if (to != LIST_NONE)
		list_put(s, id, to, front);
}

void mark_move(struct sync *s, uint32_t id, enum mark_list to)
{
	move(s, id, to, false);
}

void mark_move_front(struct sync *s, uint32_t id, enum mark_list to)
{
	move(s, id, to, true);
}

/* ---- changes --------------------------------------------------------------------------------- */

static void make_ready(struct sync *s, uint32_t id, nsec_t now)
{
	mark_at(s, id)->last = now; /* from here on it counts when it became ready */
	mark_move(s, id, LIST_READY);
}

void mark_changed(struct sync *s, uint32_t id, nsec_t now, bool at_once)
{
	struct mark *m = mark_at(s, id);

	m->flags &= (uint8_t)~MARK_DEAD;
	if (m->list == LIST_FLYING) {
		m->flags |= MARK_AGAIN;
		return;
	}
	if (m->list == LIST_READY)
		return; /* it is made when it goes: the last state */
	if (m->list != LIST_WAITING)
		m->first = now;
	m->last = now;
	if (at_once)
		make_ready(s, id, now);
	else
		mark_move(s, id, LIST_WAITING);
}

void mark_gone(struct sync *s, uint32_t id, nsec_t now)
{
	struct mark *m = mark_at(s, id);

	m->object = 0;
	m->flags |= MARK_DEAD;
	if (m->list == LIST_FLYING)
		return; /* seen to when it has landed */
	if (!(m->flags & MARK_STORED)) {
		mark_free(s, id);
		return;
	}
	if (m->list != LIST_GONE) {
		m->first = m->last = now;
		mark_move(s, id, LIST_GONE);
	}
}

nsec_t marks_ripen(struct sync *s, nsec_t now)
{
	struct mark_queue *quiet = &s->lists[LIST_WAITING];
	nsec_t next = NSEC_NEVER;

	while (quiet->head && (s->flushing || mark_at(s, quiet->head)->last + s->o.debounce <= now))
		make_ready(s, quiet->head, now);
	while (s->ages.head && mark_at(s, s->ages.head)->first + s->o.debounce_max <= now)
		make_ready(s, s->ages.head, now);
	if (quiet->head)
		next = MIN(mark_at(s, quiet->head)->last + s->o.debounce,
			   mark_at(s, s->ages.head)->first + s->o.debounce_max);
	return next;
}

/* ---- what is known of it --------------------------------------------------------------------- */

void mark_set_stored(struct sync *s, uint32_t id, bool stored)
{
	struct mark *m = mark_at(s, id);

	if (stored == !!(m->flags & MARK_STORED))
		return;
	m->flags ^= MARK_STORED;
	s->n_stored += stored ? 1 : -1U;
}

int mark_set_point(struct sync *s, uint32_t id, struct str point)
{
	char *copy;

	if (s->o.doc.id != DOC_ID_CONTENT)
		return 0;
	copy = str_dup(point);
	if (!copy)
		return -ENOMEM;
	free(mark_at(s, id)->point);
	mark_at(s, id)->point = copy;
	return 0;
}

static struct reason *reason_find(struct sync *s, uint32_t id)
{
	for (uint32_t i = 0; i < s->n_reasons; i++)
		if (s->reasons[i].mark == id)
			return &s->reasons[i];
	return NULL;
}

void mark_set_aside(struct sync *s, uint32_t id, struct str reason)
{
	struct mark *m = mark_at(s, id);
	struct reason *kept = reason_find(s, id);

	if (!(m->flags & MARK_ASIDE)) {
		m->flags |= MARK_ASIDE;
		s->n_aside++;
	}
	reason.n = MIN(reason.n, (size_t)SYNC_REASON_MAX);
	if (!kept && s->n_reasons < SYNC_MAX_REASONS) {
		kept = &s->reasons[s->n_reasons++];
		*kept = (struct reason){.mark = id};
	}
	if (kept) {
		free(kept->text);
		kept->text = str_dup(reason); /* NULL: without its reason */
	}
}

void mark_unset_aside(struct sync *s, uint32_t id)
{
	struct mark *m = mark_at(s, id);
	struct reason *kept;

	if (!(m->flags & MARK_ASIDE))
		return;
	m->flags &= (uint8_t)~MARK_ASIDE;
	s->n_aside--;
	kept = reason_find(s, id);
	if (kept) {
		free(kept->text);
		*kept = s->reasons[--s->n_reasons];
	}
}
