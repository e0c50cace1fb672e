/*
 * The change log: all released flows in one list, the one that changed last at the
 * end. A cursor remembers the flow it passed last; a flow that changes moves to the
 * end, and cursors that stood on it step back to its neighbour.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

static bool in_log(const struct flows *f, flow_id id)
{
	return flow_rec(f, id)->link[LINK_LOG].prev || f->log.head == id;
}

void log_remove(struct flows *f, flow_id id)
{
	if (!in_log(f, id))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(f->cursors); i++)
		if (f->cursors[i] && f->cursors[i]->pos == id)
			f->cursors[i]->pos = flow_rec(f, id)->link[LINK_LOG].prev;
	list_remove(f, &f->log, LINK_LOG, id);
}

void log_touch(struct flows *f, flow_id id)
{
	if (f->log.tail == id) { /* it need not move, only be seen again */
		for (size_t i = 0; i < ARRAY_SIZE(f->cursors); i++)
			if (f->cursors[i] && f->cursors[i]->pos == id)
				f->cursors[i]->pos = flow_rec(f, id)->link[LINK_LOG].prev;
		return;
	}
	log_remove(f, id);
	list_append(f, &f->log, LINK_LOG, id);
}

void log_drop(struct flows *f, flow_id id)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->cursors); i++)
		if (f->cursors[i] && !(flow_rec(f, id)->done & f->cursors[i]->bit))
			f->cursors[i]->dropped++;
	table_free(f, id);
}

static bool all_done(const struct flows *f, flow_id id)
{
	return (flow_rec(f, id)->done & f->cursor_mask) == f->cursor_mask;
}

/* Ended flows are freed as the last cursor is done with them; without any cursor, here. */
void log_tick(struct flows *f)
{
	while (!f->cursor_mask && f->ended.head)
		table_free(f, f->ended.head);
}

void log_done(struct flows *f)
{
	for (size_t i = 0; i < ARRAY_SIZE(f->cursors); i++)
		free(f->cursors[i]);
}

int flows_cursor_add(struct flows *f, struct flow_cursor **ret)
{
	struct flow_cursor *c;
	size_t i = 0;

	while (i < ARRAY_SIZE(f->cursors) && f->cursors[i])
		i++;
	if (i == ARRAY_SIZE(f->cursors))
		return -EMSGSIZE;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->bit = (uint8_t)(1U << i);
	f->cursors[i] = c;
	f->cursor_mask |= c->bit;
	*ret = c;
	return 0;
}

/* The bit is given to another cursor later. What waited for this one alone goes. */
static void forget(struct flows *f, uint8_t bit)
{
	flow_id next;

	for (flow_id id = f->ended.head; id; id = next) {
		next = flow_rec(f, id)->link[LINK_LIFE].next;
		flow_rec(f, id)->done &= (uint8_t)~bit;
		if (f->cursor_mask && all_done(f, id))
			table_free(f, id);
	}
}

void flows_cursor_remove(struct flows *f, struct flow_cursor **cp)
{
	struct flow_cursor *c = *cp;

	if (!c)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(f->cursors); i++)
		if (f->cursors[i] == c)
			f->cursors[i] = NULL;
	f->cursor_mask &= (uint8_t)~c->bit;
	forget(f, c->bit);
	free(c);
	*cp = NULL;
}

/* Ended, and still to be named once more: its end is told with that name. */
static bool held(const struct flow_rec *r)
{
	return r->ended && !(r->flags & FLOW_F_REPORTED);
}

static flow_id after(const struct flows *f, const struct flow_cursor *c)
{
	flow_id id = c->pos ? flow_rec(f, c->pos)->link[LINK_LOG].next : f->log.head;

	while (id && (held(flow_rec(f, id)) || flow_rec(f, id)->done & c->bit))
		id = flow_rec(f, id)->link[LINK_LOG].next;
	return id;
}

flow_id flows_cursor_next(struct flows *f, struct flow_cursor *c)
{
	flow_id id = after(f, c);

	c->pos = id ? id : f->log.tail;
	return id;
}

bool flows_cursor_at_end(const struct flows *f, const struct flow_cursor *c)
{
	return after(f, c) == 0;
}

void flows_cursor_done(struct flows *f, struct flow_cursor *c, flow_id id)
{
	if (!(flow_rec(f, id)->flags & FLOW_F_REPORTED))
		return;
	flow_rec(f, id)->done |= c->bit;
	if (all_done(f, id))
		table_free(f, id);
}

void flows_cursor_rewind(struct flows *f, struct flow_cursor *c)
{
	(void)f;
	c->pos = 0;
}

uint64_t flows_cursor_dropped(const struct flow_cursor *c)
{
	return c->dropped;
}
