/*
 * When a batch is made, and what is in it: documents made from the objects as they are
 * now, and their vectors. What is as the database has it is passed over. All this goes
 * on while the batch before is written.
 */
#include "sink/vector/sync_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OWNERS_MAX 8 /* steps up; what is above is not named */

static uint32_t batch_size(const struct sync *s)
{
	uint32_t n = s->suspects ? MIN(s->limit, s->suspects) : s->limit;

	return MIN(MAX(n, 1U), s->most);
}

/* ---- one document ---------------------------------------------------------------------------- */

static bool is_stored(const struct sync *s, const struct mark *m, const struct document *d)
{
	return memcmp(m->text_hash, d->text_hash, HASH_KEPT) == 0 &&
	       memcmp(m->meta_hash, d->meta_hash, HASH_KEPT) == 0 &&
	       (s->o.doc.id != DOC_ID_CONTENT || str_eq(mark_point(m), d->id));
}

static bool only_fields(const struct sync *s, const struct mark *m, const struct document *d)
{
	return (m->flags & (MARK_STORED | MARK_FORCE | MARK_ASIDE)) == MARK_STORED &&
	       s->o.backend->ops->payload && s->o.doc.id != DOC_ID_CONTENT &&
	       memcmp(m->text_hash, d->text_hash, HASH_KEPT) == 0;
}

static size_t doc_bytes(const struct document *d)
{
	size_t n = d->text.n + d->id.n;

	for (size_t i = 0; i < _DOC_FIELD_MAX; i++)
		n += d->fields[i].n;
	return n;
}

/* The owners above an object, nearest first; the cursor shows it again when they change. */
static uint32_t owners_of(const struct sync *s, store_id id, struct doc_owner ret[OWNERS_MAX])
{
	struct store_owner w;
	uint32_t n = 0;

	for (; n < OWNERS_MAX && id && store_controller(s->o.store, id, &w); id = w.id)
		ret[n++] = (struct doc_owner){.kind = w.kind, .name = w.name};
	return n;
}

static int doc_read(struct sync *s, uint32_t id, struct document *ret)
{
	store_id object = mark_at(s, id)->object;
	struct doc_owner owners[OWNERS_MAX];
	struct tree *t;
	int r;

	arena_reset(&s->object);
	r = store_tree(s->o.store, s->cursor, object, s->now, &s->object, &t);
	if (r < 0)
		return r;
	if (s->o.filter && !sink_filter_labels(s->o.filter, t))
		return -ENOENT;
	return document_make(&s->o.doc, t, owners, owners_of(s, object, owners), &s->made->arena,
			     ret);
}

static void doc_take(struct sync *s, uint32_t id, const struct document *d)
{
	struct mark *m = mark_at(s, id);
	struct batch *b = s->made;

	if ((m->flags & (MARK_STORED | MARK_ASIDE)) && !(m->flags & MARK_FORCE) &&
	    is_stored(s, m, d)) {
		s->status.unchanged++;
		mark_move(s, id, LIST_NONE);
		return;
	}
	b->flyers[b->n++] = (struct flyer){.mark = id, .doc = *d, .payload = only_fields(s, m, d)};
	b->bytes += doc_bytes(d);
	mark_move(s, id, LIST_FLYING);
}

/* Not now: its body is being read again, which the cursor will tell, or memory is short. */
static void doc_later(struct sync *s, uint32_t id)
{
	mark_move(s, id, LIST_NONE);
	mark_changed(s, id, s->now, false);
	mark_at(s, id)->flags |= MARK_FETCH;
}

static void doc_bad(struct sync *s, uint32_t id)
{
	mark_set_aside(s, id, STR("the object is too large, or has no name"));
	mark_move(s, id, LIST_NONE);
	s->status.set_aside++;
}

/* The first of the ready ones. False: the batch is as large as memory lets it be. */
static bool doc_make(struct sync *s)
{
	uint32_t id = s->lists[LIST_READY].head;
	struct document d = {0};
	int r = doc_read(s, id, &d);

	if (r == -ENOMEM && s->made->n)
		return false;
	if (r == 0)
		doc_take(s, id, &d);
	else if (r == -ENOENT) /* not there, or filtered out: not to be in the database */
		mark_gone(s, id, s->now);
	else if (r == -EMSGSIZE || r == -EINVAL || r == -EBADMSG)
		doc_bad(s, id);
	else
		doc_later(s, id);
	return true;
}

/* ---- vectors --------------------------------------------------------------------------------- */

static int keep_vectors(struct batch *b, const float *vectors, uint32_t n, uint32_t dim)
{
	size_t want = (size_t)b->n_embed * dim;

	if (want > b->cap) {
		float *more = realloc(b->vectors, want * sizeof(*more));

		if (!more)
			return -ENOMEM;
		b->vectors = more;
		b->cap = want;
	}
	memcpy(b->vectors + (size_t)b->n_vectors * dim, vectors,
	       (size_t)n * dim * sizeof(*vectors));
	b->n_vectors += n;
	b->dim = dim;
	return 0;
}

/* The batch that flies may fail, too: one failure after the other. */
static void embed_failed(struct sync *s, const struct vector_end *end)
{
	(void)snprintf(s->embed_text, sizeof(s->embed_text), "%.*s", STR_ARG(end->text));
	s->embed_end = *end;
	s->embed_end.text = str_of(s->embed_text);
	s->making = MAKE_FAILED;
	sync_wake(s);
}

static void embed_not_started(struct sync *s, int r)
{
	const struct vector_end end = sync_not_started_end(r);

	embed_failed(s, &end);
}

static void embed_chunk(struct sync *s);

static void on_embedded(void *ctx, const struct vector_end *end, const float *vectors, uint32_t dim)
{
	struct sync *s = ctx;
	struct batch *b = s->made;

	if (end->how != VECTOR_OK) {
		embed_failed(s, end);
		return;
	}
	s->status.embedded += b->n_asked;
	if (keep_vectors(b, vectors, b->n_asked, dim) < 0) {
		embed_not_started(s, -ENOMEM);
	} else if (b->n_vectors < b->n_embed) {
		embed_chunk(s);
	} else {
		s->making = MAKE_DONE;
		sync_wake(s);
	}
}

/* The embedder's batches may be smaller than the database's. */
static void embed_chunk(struct sync *s)
{
	struct embedder *e = s->o.embedder;
	struct batch *b = s->made;
	struct str texts[BATCH_MAX];
	int r;

	b->n_asked = MIN(b->n_embed - b->n_vectors, e->max_batch);
	for (uint32_t i = 0; i < b->n_asked; i++)
		texts[i] = b->flyers[b->n_vectors + i].doc.text;
	s->making = MAKE_VECTORS;
	r = e->ops->embed(e, texts, b->n_asked, on_embedded, s);
	if (r < 0)
		embed_not_started(s, r);
}

/* ---- the batch ------------------------------------------------------------------------------- */

/* Embedded ones first. The order within each does not matter: a batch is written whole. */
static void partition(struct batch *b)
{
	b->n_embed = 0;
	for (uint32_t i = 0; i < b->n; i++)
		if (!b->flyers[i].payload) {
			struct flyer f = b->flyers[i];

			b->flyers[i] = b->flyers[b->n_embed];
			b->flyers[b->n_embed++] = f;
		}
}

static void made_all(struct sync *s)
{
	struct batch *b = s->made;

	partition(b);
	if (!b->n)
		s->making = MAKE_NONE;
	else if (!b->n_embed || s->o.backend->own_vectors)
		s->making = MAKE_DONE;
	else
		embed_chunk(s);
}

static void make_slice(struct sync *s)
{
	const struct batch *b = s->made;
	bool room = true;

	for (int i = 0; i < MAKE_SLICE && room; i++)
		room = s->lists[LIST_READY].n && b->n < batch_size(s) &&
		       b->bytes < s->o.batch_bytes && doc_make(s);
	if (!room)
		made_all(s);
}

/* Owners are named in documents: at the start all kinds are waited for, but not for ever. */
static nsec_t initial_until(const struct sync *s)
{
	return s->begun + s->o.initial_wait;
}

static nsec_t batch_due(const struct sync *s)
{
	const struct mark_queue *ready = &s->lists[LIST_READY];
	nsec_t due;

	if (!ready->n)
		return NSEC_NEVER;
	if (s->flushing)
		return s->now;
	due = ready->n >= MIN(batch_size(s), s->o.batch)
		      ? s->now
		      : mark_at(s, ready->head)->last + s->o.interval;
	return known_all_synced(s) ? due : MAX(due, initial_until(s));
}

static void begin_batch(struct sync *s)
{
	struct batch *b = s->made;

	arena_reset(&b->arena);
	b->n = b->n_embed = b->n_vectors = 0;
	b->bytes = 0;
	s->making = MAKE_DOCUMENTS;
}

bool batch_make(struct sync *s, nsec_t *next)
{
	if (s->making == MAKE_NONE) {
		const nsec_t due = MAX(batch_due(s), s->blocked_until);

		if (s->fly != FLY_NONE && s->suspects)
			return false; /* a bad document is looked for: one batch after the other */
		if (due > s->now) {
			*next = MIN(*next, due);
			return false;
		}
		begin_batch(s);
	}
	if (s->making == MAKE_DOCUMENTS)
		make_slice(s);
	if (s->making == MAKE_NONE) /* nothing of it was new, or all of it is gone */
		return s->lists[LIST_READY].n || (s->fly == FLY_NONE && s->lists[LIST_GONE].n);
	return s->making == MAKE_DOCUMENTS || (s->making != MAKE_VECTORS && s->fly == FLY_NONE);
}

static void take_made(struct sync *s)
{
	struct batch *made = s->made;

	s->made = s->out;
	s->out = made;
	s->making = MAKE_NONE;
}

void batch_failed(struct sync *s)
{
	take_made(s);
	s->n_part = s->out->n_embed;
	s->n_asked = s->out->n_asked;
	s->asked_embedder = true;
	sync_failed(s, &s->embed_end);
}

bool batch_go(struct sync *s)
{
	if (s->making == MAKE_DONE) {
		flyers_drop_dead(s, s->made);
		s->making = s->made->n ? MAKE_DONE : MAKE_NONE;
	}
	if (s->lists[LIST_GONE].n) {
		remove_start(s);
	} else if (s->making == MAKE_DONE) {
		take_made(s);
		fly_next(s);
	} else {
		return false;
	}
	return s->fly == FLY_NONE && s->now >= s->blocked_until;
}

void batch_release(struct sync *s)
{
	if (s->making == MAKE_VECTORS)
		s->o.embedder->ops->cancel(s->o.embedder);
	if (s->making != MAKE_NONE)
		flyers_release(s, s->made, 0);
	s->making = MAKE_NONE;
}
