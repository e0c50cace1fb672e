/*
 * The change log: all objects in one list in the order of their change numbers. A
 * cursor remembers the object it passed last; an object that changes moves to the
 * end, and cursors that stood on it step back to its neighbour. Tombstones are also
 * in a list of their own, oldest first.
 *
 * An object may have to be seen again by some cursors alone (a body they waited for
 * has come, a first list is complete): it moves, and those that had seen it skip it.
 */
#include "store/inside.h"

#include <errno.h>
#include <stdlib.h>

/* The cursor in place `*i` or behind it, NULL at the end; `*i` is then behind it. */
static struct store_cursor *cursor_from(const struct store *s, uint32_t *i)
{
	while (*i < STORE_MAX_CURSORS)
		if (s->cursors[(*i)++])
			return s->cursors[*i - 1];
	return NULL;
}

static bool in_log(const struct store *s, store_id id)
{
	return rec_at(s, id)->log_prev || s->log.head == id;
}

void journal_remove(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);
	struct store_cursor *c;

	for (uint32_t i = 0; (c = cursor_from(s, &i));)
		if (c->pos == id)
			c->pos = o->log_prev;
	if (o->log_prev)
		rec_at(s, o->log_prev)->log_next = o->log_next;
	else
		s->log.head = o->log_next;
	if (o->log_next)
		rec_at(s, o->log_next)->log_prev = o->log_prev;
	else
		s->log.tail = o->log_prev;
	o->log_prev = o->log_next = 0;
}

static void journal_append(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);

	o->log_prev = s->log.tail;
	if (s->log.tail)
		rec_at(s, s->log.tail)->log_next = id;
	else
		s->log.head = id;
	s->log.tail = id;
	o->change = ++s->change;
}

static bool visible(const struct object_rec *o, const struct store_cursor *c)
{
	if (o->seen & c->bit)
		return false;
	if (o->flags & REC_DEAD)
		return !(o->done & c->bit);
	return !(o->flags & REC_HELD && c->opts.hold_initial);
}

/* Cursors that have seen the object as it is. */
static uint16_t seen_by(const struct store *s, store_id id)
{
	const struct object_rec *o = rec_at(s, id);
	uint16_t seen = o->seen;
	struct store_cursor *c;

	for (uint32_t i = 0; in_log(s, id) && (c = cursor_from(s, &i));)
		if (o->change <= c->passed)
			seen |= c->bit;
	return seen;
}

void journal_touch(struct store *s, store_id id, uint16_t cursors)
{
	struct object_rec *o = rec_at(s, id);
	uint16_t seen = seen_by(s, id) & (uint16_t)~cursors;
	struct store_cursor *c;

	if (in_log(s, id))
		journal_remove(s, id);
	journal_append(s, id);
	o->seen = seen;
	for (uint32_t i = 0; (c = cursor_from(s, &i));)
		if (cursors & c->bit && visible(o, c))
			s->waking |= c->bit;
}

/* ---- tombstones ------------------------------------------------------------------------------ */

void tomb_add(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);

	o->list_prev = s->tombs.tail;
	o->list_next = 0;
	if (s->tombs.tail)
		rec_at(s, s->tombs.tail)->list_next = id;
	else
		s->tombs.head = id;
	s->tombs.tail = id;
}

void tomb_remove(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);

	if (o->list_prev)
		rec_at(s, o->list_prev)->list_next = o->list_next;
	else
		s->tombs.head = o->list_next;
	if (o->list_next)
		rec_at(s, o->list_next)->list_prev = o->list_prev;
	else
		s->tombs.tail = o->list_prev;
}

static void tomb_free(struct store *s, store_id id)
{
	tomb_remove(s, id);
	object_free(s, id);
}

bool tomb_release(struct store *s, store_id id)
{
	const struct object_rec *o = rec_at(s, id);

	if ((o->done & s->cursor_mask) != s->cursor_mask || o->flags & (REC_FETCHING | REC_PINNED))
		return false;
	tomb_free(s, id);
	return true;
}

/* Cursors that still need it are told, and may look at it once more. */
static void tell_lost(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);
	struct store_cursor *c;

	o->flags |= REC_PINNED;
	for (uint32_t i = 0; (c = cursor_from(s, &i));) {
		if (o->done & c->bit)
			continue;
		kind_of(s, o)->stats.lost++;
		if (c->opts.lost)
			c->opts.lost(c->opts.ctx, id);
	}
	o->flags &= (uint8_t)~REC_PINNED;
}

bool tomb_evict(struct store *s)
{
	store_id id = s->tombs.head;

	while (id && rec_at(s, id)->flags & (REC_FETCHING | REC_PINNED))
		id = rec_at(s, id)->list_next;
	if (!id)
		return false;
	tell_lost(s, id);
	tomb_free(s, id);
	return true;
}

/* ---- cursors --------------------------------------------------------------------------------- */

static bool any_synced(const struct store *s)
{
	for (uint16_t i = 0; i < s->n_sources; i++)
		if (s->sources[i].synced)
			return true;
	return false;
}

int store_cursor_add(struct store *s, const struct store_cursor_opts *o, struct store_cursor **ret)
{
	struct store_cursor *c;
	size_t i = 0;

	while (i < STORE_MAX_CURSORS && s->cursors[i])
		i++;
	if (i == STORE_MAX_CURSORS)
		return -EMSGSIZE;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct store_cursor){
		.opts = *o, .bit = (uint16_t)(1U << i), .armed = true, .fresh = any_synced(s)};
	s->cursors[i] = c;
	s->cursor_mask |= c->bit;
	s->holding |= o->hold_initial ? c->bit : 0;
	s->owning |= o->owners ? c->bit : 0;
	*ret = c;
	return 0;
}

/* The bit is given to another cursor later: nothing of this one may stay. */
static void clear_bits(struct store *s, uint16_t bit)
{
	store_id next;

	for (store_id id = s->log.head; id; id = next) {
		struct object_rec *o = rec_at(s, id);

		next = o->log_next;
		o->done &= (uint16_t)~bit;
		o->seen &= (uint16_t)~bit;
		o->waiting &= (uint16_t)~bit;
		if (o->flags & REC_DEAD)
			(void)tomb_release(s, id);
	}
}

void store_cursor_remove(struct store *s, struct store_cursor **cp)
{
	struct store_cursor *c = *cp;
	uint16_t bit;

	if (!c)
		return;
	*cp = NULL;
	bit = c->bit;
	for (size_t i = 0; i < STORE_MAX_CURSORS; i++)
		if (s->cursors[i] == c)
			s->cursors[i] = NULL;
	free(c);
	s->cursor_mask &= (uint16_t)~bit;
	s->holding &= (uint16_t)~bit;
	s->owning &= (uint16_t)~bit;
	s->waking &= (uint16_t)~bit;
	clear_bits(s, bit);
}

void cursors_done(struct store *s)
{
	for (size_t i = 0; i < STORE_MAX_CURSORS; i++)
		free(s->cursors[i]);
}

static void pass(struct object_rec *o, store_id id, struct store_cursor *c)
{
	c->pos = id;
	c->passed = o->change;
	o->seen &= (uint16_t)~c->bit;
}

/* The next one that it is to see; the cursor moves over those that it is not. */
static store_id peek(struct store *s, struct store_cursor *c)
{
	for (;;) {
		store_id id = c->pos ? rec_at(s, c->pos)->log_next : s->log.head;

		if (!id || visible(rec_at(s, id), c))
			return id;
		pass(rec_at(s, id), id, c);
	}
}

static void tell_synced(struct store *s, struct store_cursor *c)
{
	c->fresh = false;
	for (uint16_t i = 0; c->opts.synced && i < s->n_sources; i++)
		if (s->sources[i].synced)
			c->opts.synced(c->opts.ctx, s->sources[i].kind, s->sources[i].initial);
}

store_id store_cursor_next(struct store *s, struct store_cursor *c)
{
	store_id id;

	if (c->fresh)
		tell_synced(s, c);
	id = peek(s, c);
	if (id)
		pass(rec_at(s, id), id, c);
	c->armed = !id;
	return id;
}

void store_cursor_done(struct store *s, struct store_cursor *c, store_id id)
{
	struct object_rec *o = store_rec(s, id);

	if (!o || !(o->flags & REC_DEAD))
		return;
	o->done |= c->bit;
	o->waiting &= (uint16_t)~c->bit;
	(void)tomb_release(s, id);
}

void store_cursor_rewind(struct store *s, struct store_cursor *c)
{
	for (store_id id = s->log.head; id; id = rec_at(s, id)->log_next)
		rec_at(s, id)->seen &= (uint16_t)~c->bit;
	c->pos = 0;
	c->passed = 0;
}

bool store_cursor_at_end(struct store *s, struct store_cursor *c)
{
	return peek(s, c) == 0;
}

uint64_t store_cursor_lag(const struct store *s, const struct store_cursor *c)
{
	return c->pos == s->log.tail ? 0 : s->change - c->passed;
}

void cursors_synced(struct store *s, const struct source *src)
{
	struct store_cursor *c;

	for (uint32_t i = 0; (c = cursor_from(s, &i));)
		if (!c->fresh && c->opts.synced)
			c->opts.synced(c->opts.ctx, src->kind, src->initial);
}

void store_wake(struct store *s)
{
	uint16_t waking = s->waking;
	struct store_cursor *c;

	s->waking = 0;
	for (uint32_t i = 0; (c = cursor_from(s, &i));) {
		if (!(waking & c->bit) || !c->armed)
			continue;
		c->armed = false;
		if (c->opts.changed)
			c->opts.changed(c->opts.ctx);
	}
}
