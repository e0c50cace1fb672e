/* From the store's change log to marks. */
#include "sink/vector/sync_parts.h"

#include <errno.h>

/* The key of an object. 0, -ENOENT or -ENOMEM; the text lives in `a`. */
static int key_of(const struct sync *s, store_id id, struct arena *a, struct str *ret)
{
	struct store_kind_view k;
	struct store_view v;

	if (!store_get(s->o.store, id, &v) || !store_kind_get(s->o.store, v.kind, &k))
		return -ENOENT;
	if (s->o.doc.id == DOC_ID_CONTENT)
		return arena_dup(a, str_of(v.uid), ret);
	return document_id(&s->o.doc, k.api_version, k.kind, v.ns, v.name, a, ret);
}

static bool wants(const struct sync *s, const struct store_view *v)
{
	struct store_kind_view k;

	return !s->o.filter ||
	       (store_kind_get(s->o.store, v->kind, &k) && sink_filter_kind(s->o.filter, &k) &&
		sink_filter_namespace(s->o.filter, v->ns));
}

/* A name that is used again has one key and two objects: the end of the older one says nothing of
 * the newer one. */
static void take_dead(struct sync *s, store_id id, struct str key, nsec_t now)
{
	uint32_t mark = mark_find(s, key);

	if (mark && (mark_at(s, mark)->object == id || !mark_at(s, mark)->object))
		mark_gone(s, mark, now);
}

static void take_live(struct sync *s, store_id id, const struct store_view *v, struct str key,
		      nsec_t now)
{
	uint32_t mark;
	bool at_once = s->rewound;

	if (mark_get(s, key, &mark) < 0) {
		s->status.refused_full++;
		return;
	}
	if (mark_at(s, mark)->flags & MARK_FETCH)
		at_once = true;
	else if (v->initial && !(mark_at(s, mark)->flags & MARK_STORED))
		at_once = true;
	mark_at(s, mark)->flags &= (uint8_t)~MARK_FETCH;
	mark_at(s, mark)->object = id;
	mark_changed(s, mark, now, at_once);
}

static void take(struct sync *s, store_id id, nsec_t now)
{
	struct store_view v;
	struct str key;
	bool wanted;

	if (!store_get(s->o.store, id, &v))
		return;
	arena_reset(&s->object);
	wanted = wants(s, &v);
	if ((!wanted && !s->refiltered) || key_of(s, id, &s->object, &key) < 0) {
		if (v.dead)
			store_cursor_done(s->o.store, s->cursor, id);
		return;
	}
	if (!wanted || v.dead)
		take_dead(s, id, key, now);
	if (v.dead) {
		store_cursor_done(s->o.store, s->cursor, id);
	} else if (wanted) {
		take_live(s, id, &v, key, now);
	}
}

/* The store could keep the tombstone no longer: its end is taken note of here and now. */
void changes_lost(struct sync *s, store_id id)
{
	struct store_view v;
	struct str key;

	arena_reset(&s->object);
	if (store_get(s->o.store, id, &v) && wants(s, &v) && key_of(s, id, &s->object, &key) == 0)
		take_dead(s, id, key, s->now);
}

bool changes_drain(struct sync *s, nsec_t now)
{
	for (int i = 0; i < DRAIN_SLICE; i++) {
		store_id id = store_cursor_next(s->o.store, s->cursor);

		if (!id) {
			s->rewound = false;
			return false;
		}
		take(s, id, now);
	}
	return true;
}
