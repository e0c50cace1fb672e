/*
 * The store as a whole: making and freeing, what is seen of an object, figures.
 */
#include "store/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int store_new(const struct store_opts *o, struct store **ret)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->opts = *o;
	if (!s->opts.max_objects)
		s->opts.max_objects = DEFAULT_MAX_OBJECTS;
	store_tune(s, o->max_bodies, o->ttl);
	hash_seed_init(&s->seed);
	intern_init(&s->strings, UINT32_MAX); /* bounded by what objects and sources hold */
	pool_init(&s->objects, sizeof(struct object_rec), s->opts.max_objects);
	index_init(&s->by_name);
	index_init(&s->by_uid);
	index_init(&s->by_owner);
	buf_init(&s->json, STORE_MAX_OBJECT);
	buf_init(&s->keys, UINT16_MAX);
	buf_init(&s->out, STORE_MAX_OBJECT);
	if (bodies_init(s) < 0) {
		store_free(&s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void store_free(struct store **sp)
{
	struct store *s = *sp;

	if (!s)
		return;
	for (store_id id = 1; id <= s->objects.next; id++) {
		struct object_rec *o = rec_at(s, id);

		if (!o->kind)
			continue;
		free(o->text);
		free(o->body);
	}
	for (store_kind k = 1; k <= s->n_kinds; k++)
		if (s->kinds[k])
			kind_free(s, k);
	cursors_done(s);
	bodies_done(s);
	free(s->sources);
	buf_done(&s->json);
	buf_done(&s->keys);
	buf_done(&s->out);
	index_done(&s->by_name);
	index_done(&s->by_uid);
	index_done(&s->by_owner);
	pool_done(&s->objects);
	intern_done(&s->strings);
	free(s);
	*sp = NULL;
}

struct object_rec *store_rec(const struct store *s, store_id id)
{
	struct object_rec *o;

	if (!id || id > s->objects.next)
		return NULL;
	o = rec_at(s, id);
	return o->kind ? o : NULL;
}

/* ---- views ----------------------------------------------------------------------------------- */

static void copy_text(char *to, size_t size, struct str from)
{
	(void)snprintf(to, size, "%.*s", STR_ARG(from));
}

static void view_uid(const struct store *s, const struct object_rec *o, struct store_view *ret)
{
	char text[UID_TEXT_MAX + 1];
	pool_id id;

	if (o->uid_form == UID_OTHER) {
		memcpy(&id, o->uid.b, sizeof(id));
		copy_text(ret->uid, sizeof(ret->uid), intern_str(&s->strings, id));
		return;
	}
	copy_text(ret->uid, sizeof(ret->uid),
		  str_make(text, uid_print((enum uid_form)o->uid_form, &o->uid, text)));
}

bool store_get(const struct store *s, store_id id, struct store_view *ret)
{
	const struct object_rec *o = store_rec(s, id);

	if (!o)
		return false;
	*ret = (struct store_view){
		.kind = o->kind,
		.ns = intern_str(&s->strings, o->ns),
		.name = rec_name(o),
		.created = o->created,
		.dead = o->flags & REC_DEAD,
		.initial = o->flags & REC_INITIAL,
		.changed = o->changed,
		.change = o->change,
	};
	view_uid(s, o, ret);
	if (o->flags & REC_RV_TEXT)
		copy_text(ret->resource_version, sizeof(ret->resource_version),
			  intern_str(&s->strings, (pool_id)o->rv));
	else
		(void)snprintf(ret->resource_version, sizeof(ret->resource_version), "%llu",
			       (unsigned long long)o->rv);
	return true;
}

/* In the order of ids, so that a walk goes on where it was, whatever has changed meanwhile. */
store_id store_next(const struct store *s, store_kind k, struct str ns, store_id id)
{
	pool_id want = intern_find(&s->strings, ns);

	if (!want && !str_empty(ns))
		return 0;
	while (id < s->objects.next) {
		const struct object_rec *o = rec_at(s, ++id);

		if (o->kind && !(o->flags & REC_DEAD) && (!k || o->kind == k) &&
		    (!want || o->ns == want))
			return id;
	}
	return 0;
}

/* ---- figures --------------------------------------------------------------------------------- */

void stats_add(struct store_stats *to, const struct store_stats *of)
{
	to->objects += of->objects;
	to->dead += of->dead;
	to->created += of->created;
	to->modified += of->modified;
	to->deleted += of->deleted;
	to->initial_created += of->initial_created;
	to->initial_modified += of->initial_modified;
	to->initial_deleted += of->initial_deleted;
	to->unchanged += of->unchanged;
	to->stale += of->stale;
	to->refused += of->refused;
	to->unindexed += of->unindexed;
	to->lost += of->lost;
	to->fetches += of->fetches;
	to->fetches_failed += of->fetches_failed;
	to->evicted += of->evicted;
	to->expired += of->expired;
	to->body_bytes += of->body_bytes;
}

void store_stats(const struct store *s, struct store_stats *ret)
{
	*ret = s->gone;
	ret->record_bytes = pool_bytes(&s->objects) + index_bytes(&s->by_name) +
			    index_bytes(&s->by_uid) + index_bytes(&s->by_owner) +
			    intern_bytes(&s->strings) + s->text_bytes +
			    s->n_sources * sizeof(*s->sources);
	for (store_kind k = 1; k <= s->n_kinds; k++) {
		const struct kind_rec *kind = s->kinds[k];

		if (!kind)
			continue;
		stats_add(ret, &kind->stats);
		ret->record_bytes += sizeof(*kind) + index_bytes(&kind->by_keys) + kind->n_dict;
	}
}

bool store_kind_stats(const struct store *s, store_kind k, struct store_stats *ret)
{
	if (!k || k > s->n_kinds || !s->kinds[k])
		return false;
	*ret = s->kinds[k]->stats;
	return true;
}
