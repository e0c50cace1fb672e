/*
 * A batch on its way: documents to the database, rows to the ledger; then the part
 * whose metadata alone has changed.
 */
#include "sink/vector/sync_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- landing --------------------------------------------------------------------------------- */

/* Written or not, it flies no more. */
static void land(struct sync *s, uint32_t id)
{
	struct mark *m = mark_at(s, id);
	bool again = m->flags & MARK_AGAIN;

	m->flags &= (uint8_t)~MARK_AGAIN;
	mark_move(s, id, LIST_NONE);
	if (m->flags & MARK_DEAD)
		mark_gone(s, id, s->now);
	else if (again)
		mark_changed(s, id, s->now, false);
}

void flyers_release(struct sync *s, const struct batch *b, uint32_t from)
{
	for (uint32_t i = b->n; i-- > from;) {
		uint32_t id = b->flyers[i].mark;
		struct mark *m = mark_at(s, id);

		if (m->flags & MARK_DEAD) {
			land(s, id);
			continue;
		}
		m->flags &= (uint8_t)~MARK_AGAIN; /* it is made anew anyway */
		mark_move_front(s, id, LIST_READY);
	}
}

void flyers_drop_dead(struct sync *s, struct batch *b)
{
	const uint32_t n = b->n, n_embed = b->n_embed;

	b->n = b->n_embed = 0;
	for (uint32_t i = 0; i < n; i++) {
		if (mark_at(s, b->flyers[i].mark)->flags & MARK_DEAD) {
			land(s, b->flyers[i].mark);
			continue;
		}
		if (i < n_embed && b->n_vectors)
			memmove(b->vectors + (size_t)b->n_embed * b->dim,
				b->vectors + (size_t)i * b->dim, b->dim * sizeof(*b->vectors));
		b->n_embed += i < n_embed;
		b->flyers[b->n++] = b->flyers[i];
	}
}

void fly_release(struct sync *s)
{
	batch_release(s);
	flyers_release(s, s->out, s->from);
	s->out->n = s->from = s->n_part = 0;
}

static void part_landed(struct sync *s)
{
	for (uint32_t i = s->from; i < s->from + s->n_part; i++)
		land(s, s->out->flyers[i].mark);
	s->from += s->n_part;
	s->n_part = 0;
	fly_next(s);
}

/* ---- the ledger ------------------------------------------------------------------------------ */

static void on_ledger(void *ctx, int r, struct str error)
{
	struct sync *s = ctx;

	s->fly = FLY_NONE;
	if (r < 0)
		sync_ledger_failed(s, r, error);
	part_landed(s);
	sync_wake(s);
}

static void tell_ledger(struct sync *s)
{
	const struct sync_ledger *l = &s->o.ledger;
	struct ledger_row rows[BATCH_MAX];
	int r;

	if (!l->put || l->at_home) {
		on_ledger(s, 0, (struct str){0});
		return;
	}
	for (uint32_t i = 0; i < s->n_part; i++) {
		const struct document *d = &s->out->flyers[s->from + i].doc;

		rows[i] = (struct ledger_row){.backend = str_of(s->o.backend->name),
					      .id = d->id,
					      .uid = d->fields[DOC_UID],
					      .text_hash = d->text_hash,
					      .meta_hash = d->meta_hash,
					      .state = LEDGER_STORED};
	}
	s->fly = FLY_LEDGER;
	r = l->put(l->ctx, rows, s->n_part, on_ledger, s);
	if (r < 0)
		on_ledger(s, r, STR("the ledger takes no rows just now"));
}

/* ---- acknowledged ---------------------------------------------------------------------------- */

/* DOC_ID_CONTENT: the document has another id now, and the former one is to go. Without memory for
 * that the database is listed again, which finds two documents of one object. */
static void move_point(struct sync *s, uint32_t id, struct str point)
{
	struct mark *m = mark_at(s, id);

	if (s->o.doc.id != DOC_ID_CONTENT || (m->point && str_eq(str_of(m->point), point)))
		return;
	if ((m->point && known_drop(s, str_of(m->point)) < 0) || mark_set_point(s, id, point) < 0)
		s->listed = false;
}

static void part_written(struct sync *s)
{
	for (uint32_t i = s->from; i < s->from + s->n_part; i++) {
		const struct document *d = &s->out->flyers[i].doc;
		struct mark *m = mark_at(s, s->out->flyers[i].mark);

		memcpy(m->text_hash, d->text_hash, HASH_KEPT);
		memcpy(m->meta_hash, d->meta_hash, HASH_KEPT);
		m->flags &= (uint8_t)~MARK_FORCE;
		mark_unset_aside(s, s->out->flyers[i].mark);
		mark_set_stored(s, s->out->flyers[i].mark, true);
		move_point(s, s->out->flyers[i].mark, d->id);
	}
	tell_ledger(s);
}

static void on_written(void *ctx, const struct vector_end *end)
{
	struct sync *s = ctx;
	bool payload = s->fly == FLY_PAYLOAD;

	s->fly = FLY_NONE;
	if (end->how != VECTOR_OK) {
		sync_failed(s, end);
		return;
	}
	*(payload ? &s->status.payloads : &s->status.upserts) += s->n_part;
	sync_worked(s);
	part_written(s);
}

static void write_part(struct sync *s)
{
	struct backend *b = s->o.backend;
	struct backend_doc docs[BATCH_MAX];
	bool payload = s->from >= s->out->n_embed;
	int r;

	for (uint32_t i = 0; i < s->n_part; i++) {
		const struct document *d = &s->out->flyers[s->from + i].doc;

		docs[i] = (struct backend_doc){.doc = d, .text = d->text};
		if (!payload && !b->own_vectors)
			docs[i].vector = s->out->vectors + (size_t)(s->from + i) * s->out->dim;
	}
	s->n_asked = s->n_part;
	s->status.requests++;
	s->asked_embedder = false;
	s->fly = payload ? FLY_PAYLOAD : FLY_WRITE;
	r = payload ? b->ops->payload(b, docs, s->n_part, on_written, s)
		    : b->ops->upsert(b, docs, s->n_part, on_written, s);
	if (r < 0)
		sync_not_started(s, r);
}

/* ---- part after part ------------------------------------------------------------------------- */

void fly_next(struct sync *s)
{
	const struct batch *b = s->out;

	if (s->from >= b->n) {
		s->out->n = s->from = 0;
		sync_wake(s);
		return;
	}
	s->n_part =
		MIN((s->from < b->n_embed ? b->n_embed : b->n) - s->from, s->o.backend->max_batch);
	write_part(s);
}
