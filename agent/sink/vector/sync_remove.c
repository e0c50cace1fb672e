/* Deletions. */
#include "sink/vector/sync_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <string.h>

static void finish(struct sync *s)
{
	for (uint32_t i = 0; i < s->n_gone; i++) {
		uint32_t id = s->gone[i];
		struct mark *m = mark_at(s, id);
		bool back = !(m->flags & MARK_DEAD); /* the object came again meanwhile */

		mark_move(s, id, LIST_NONE);
		mark_set_stored(s, id, false);
		if (back) {
			m->flags &= (uint8_t)~MARK_AGAIN;
			mark_changed(s, id, s->now, false);
		} else {
			mark_free(s, id);
		}
	}
	s->n_gone = 0;
	sync_wake(s);
}

static void on_unledgered(void *ctx, int r, struct str error)
{
	struct sync *s = ctx;

	s->fly = FLY_NONE;
	if (r < 0)
		sync_ledger_failed(s, r, error);
	finish(s);
}

static void on_removed(void *ctx, const struct vector_end *end)
{
	struct sync *s = ctx;
	const struct sync_ledger *l = &s->o.ledger;
	int r = 0;

	s->fly = FLY_NONE;
	if (end->how != VECTOR_OK) {
		sync_failed(s, end);
		return;
	}
	s->status.deletes += s->n_gone;
	sync_worked(s);
	s->fly = FLY_UNLEDGER;
	if (l->remove && !l->at_home)
		r = l->remove(l->ctx, s->ids, s->n_gone, on_unledgered, s);
	if (!l->remove || l->at_home || r < 0)
		on_unledgered(s, r, STR("the ledger takes no rows just now"));
}

void remove_start(struct sync *s)
{
	struct backend *b = s->o.backend;
	uint32_t max = MIN(MIN(s->most, b->max_batch), s->limit);
	int r;

	s->n_gone = s->n_part = 0;
	s->asked_embedder = false;
	while (s->n_gone < MIN(max, (uint32_t)BATCH_MAX) && s->lists[LIST_GONE].n) {
		uint32_t id = s->lists[LIST_GONE].head;

		s->ids[s->n_gone] = mark_point(mark_at(s, id)); /* stays while it flies */
		s->gone[s->n_gone++] = id;
		mark_move(s, id, LIST_FLYING);
	}
	s->n_asked = s->n_gone;
	s->status.requests++;
	s->fly = FLY_REMOVE;
	r = b->ops->remove(b, s->ids, s->n_gone, on_removed, s);
	if (r < 0)
		sync_not_started(s, r);
}

void remove_release(struct sync *s)
{
	for (uint32_t i = s->n_gone; i-- > 0;) {
		uint32_t id = s->gone[i];
		struct mark *m = mark_at(s, id);

		m->flags &= (uint8_t)~MARK_AGAIN;
		mark_move_front(s, id, m->flags & MARK_DEAD ? LIST_GONE : LIST_READY);
	}
	s->n_gone = 0;
}
