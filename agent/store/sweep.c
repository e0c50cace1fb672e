/*
 * Sources: the watches objects come from. Each full list is a generation; what a
 * list did not name when it ends is gone.
 */
#include "store/inside.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SOURCES 64

struct source *source_at(const struct store *s, uint16_t source)
{
	if (!source || source > s->n_sources || !s->sources[source - 1].kind)
		return NULL;
	return &s->sources[source - 1];
}

/* ---- the list of a source's objects ---------------------------------------------------------- */

void source_link(struct store *s, store_id id, uint16_t source)
{
	struct source *src = &s->sources[source - 1];
	struct object_rec *o = rec_at(s, id);

	o->source = source;
	o->gen = src->gen;
	o->list_prev = src->objects.tail;
	o->list_next = 0;
	if (src->objects.tail)
		rec_at(s, src->objects.tail)->list_next = id;
	else
		src->objects.head = id;
	src->objects.tail = id;
	src->n++;
}

void source_unlink(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);
	struct source *src = &s->sources[o->source - 1];

	if (o->list_prev)
		rec_at(s, o->list_prev)->list_next = o->list_next;
	else
		src->objects.head = o->list_next;
	if (o->list_next)
		rec_at(s, o->list_next)->list_prev = o->list_prev;
	else
		src->objects.tail = o->list_prev;
	src->n--;
	o->source = 0;
}

/* ---- coming and going ------------------------------------------------------------------------ */

static int free_place(struct store *s, uint16_t *ret)
{
	size_t n = s->n_sources ? s->n_sources : FIRST_SOURCES;
	struct source *grown;

	if (s->n_free_sources) {
		for (*ret = 0; s->sources[*ret].kind; (*ret)++)
			;
		s->n_free_sources--;
		return 0;
	}
	if (s->n_sources == UINT16_MAX)
		return -EMSGSIZE;
	/* a power of two, or the next place is free */
	if (!s->n_sources || (n >= FIRST_SOURCES && !(n & (n - 1)))) {
		n = s->n_sources ? n * 2 : n;
		grown = realloc(s->sources, n * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		s->sources = grown;
	}
	*ret = s->n_sources++;
	return 0;
}

int store_source_add(struct store *s, store_kind k, struct str ns, uint16_t *ret_source)
{
	struct kind_rec *kind = kind_live(s, k);
	pool_id ns_id;
	uint16_t i;
	int r;

	if (!kind)
		return -EINVAL;
	r = intern_get(&s->strings, ns, &ns_id);
	if (r < 0)
		return r;
	r = free_place(s, &i);
	if (r < 0) {
		intern_put(&s->strings, ns_id);
		return r;
	}
	s->sources[i] = (struct source){.kind = k, .ns = ns_id};
	kind->n_sources++;
	*ret_source = (uint16_t)(i + 1);
	return 0;
}

void source_end(struct store *s, uint16_t source, nsec_t now)
{
	struct source *src = source_at(s, source);
	struct kind_rec *kind;

	if (!src)
		return;
	while (src->objects.head)
		object_kill(s, src->objects.head, now);
	kind = s->kinds[src->kind];
	kind->n_sources--;
	kind->n_begun -= src->begun;
	kind->n_synced -= src->synced;
	if (!src->synced && kind->n_sources && kind->n_synced == kind->n_sources)
		kind->synced_at = now;
	intern_put(&s->strings, src->ns);
	*src = (struct source){0};
	s->n_free_sources++;
}

void store_source_remove(struct store *s, uint16_t source, nsec_t now)
{
	source_end(s, source, now);
	store_wake(s);
}

/* ---- lists ----------------------------------------------------------------------------------- */

void store_list_begin(struct store *s, uint16_t source)
{
	struct source *src = source_at(s, source);

	if (!src)
		return;
	src->gen++;
	src->listing = true;
	s->kinds[src->kind]->n_begun += !src->begun;
	src->begun = true;
}

void source_release(struct store *s, store_id id)
{
	struct object_rec *o = rec_at(s, id);

	if (!(o->flags & REC_HELD))
		return;
	o->flags &= (uint8_t)~REC_HELD;
	if (s->holding)
		journal_touch(s, id, s->holding);
}

static void first_list(struct store *s, struct source *src, nsec_t now)
{
	struct kind_rec *kind = s->kinds[src->kind];

	src->synced = true;
	src->initial = src->n;
	for (store_id id = src->objects.head; id; id = rec_at(s, id)->list_next)
		source_release(s, id);
	if (++kind->n_synced == kind->n_sources)
		kind->synced_at = now;
	cursors_synced(s, src);
}

void store_list_end(struct store *s, uint16_t source, nsec_t now)
{
	struct source *src = source_at(s, source);
	store_id next;

	if (!src || !src->listing)
		return;
	src->listing = false;
	for (store_id id = src->objects.head; id; id = next) {
		next = rec_at(s, id)->list_next;
		if (rec_at(s, id)->gen != src->gen)
			object_kill(s, id, now);
	}
	if (!src->synced)
		first_list(s, src, now);
	store_wake(s);
}
