/*
 * Look-up by JSONPath keys. The keys of an object are one text, each with its
 * length before it, so that no character of a value can be taken for the end of
 * one. Objects that share a prefix of them are in a list, whose first one the index
 * has under the prefix' hash: however many share it, one comes or goes in no time.
 * The index is changed by the difference between what an object had and has.
 */
#include "store/inside.h"

#include <errno.h>
#include <stdlib.h>

#define LENGTH 2 /* bytes, little endian */

static int put_key(struct buf *keys, struct str value)
{
	unsigned char n[LENGTH] = {value.n & 0xff, (value.n >> 8) & 0xff};
	int r;

	if (value.n > UINT16_MAX)
		return -EMSGSIZE;
	r = buf_append(keys, n, sizeof(n));
	return r < 0 ? r : buf_append_str(keys, value);
}

/* Bytes of the key at `at`, length and all. */
static size_t key_bytes(struct str keys, size_t at)
{
	const unsigned char *p = (const unsigned char *)keys.p + at;

	return LENGTH + (p[0] | (size_t)p[1] << 8);
}

int keys_of(const struct kind_rec *k, const struct tree *t, struct buf *keys)
{
	for (uint32_t i = 0; i < k->n_paths; i++) {
		struct str value;
		int r = tree_scalar(path_first(k->paths[i], t), &value) ? put_key(keys, value)
									: -ENOENT;

		if (r == 0)
			continue;
		buf_reset(keys);
		return r == -ENOMEM ? r : 0;
	}
	return 0;
}

int keys_reserve(struct kind_rec *k)
{
	return k->n_paths ? index_reserve(&k->by_keys, k->n_paths) : 0;
}

static uint32_t keys_hash(const struct store *s, struct str prefix)
{
	return (uint32_t)hash_bytes(&s->seed, prefix.p, prefix.n);
}

/* The first `n` keys; all bytes that are empty when there are none. */
static struct str keys_prefix(struct str keys, uint32_t n)
{
	size_t at = 0;

	while (n-- && at < keys.n)
		at += key_bytes(keys, at);
	return str_make(keys.p, at);
}

uint32_t keys_common(const struct kind_rec *k, struct str a, struct str b)
{
	uint32_t n = 0;

	if (str_empty(a) || str_empty(b))
		return 0;
	while (n < k->n_paths && str_eq(keys_prefix(a, n + 1), keys_prefix(b, n + 1)))
		n++;
	return n;
}

/* ---- lists of those that share a prefix ------------------------------------------------------ */

/* The first object of the list, 0 when nobody has these first keys. */
static store_id first_of(const struct store *s, const struct kind_rec *k, struct str prefix,
			 uint32_t n)
{
	uint32_t at, h = keys_hash(s, prefix);

	for (store_id id = index_first(&k->by_keys, h, &at); id;
	     id = index_next(&k->by_keys, h, &at)) {
		const struct object_rec *o = rec_at(s, id);

		/* a list of longer or shorter prefixes may have the same hash */
		if (!rec_links(o)[n - 1].prev && str_eq(keys_prefix(rec_keys(o), n), prefix))
			return id;
	}
	return 0;
}

static void link_prefix(struct store *s, store_id id, uint32_t n)
{
	struct object_rec *o = rec_at(s, id);
	struct kind_rec *k = kind_of(s, o);
	struct str prefix = keys_prefix(rec_keys(o), n);
	store_id first = first_of(s, k, prefix, n);
	struct key_link *l = &rec_links(o)[n - 1], *head;

	*l = (struct key_link){.prev = first};
	if (!first) {
		(void)index_put(&k->by_keys, keys_hash(s, prefix), id);
		return;
	}
	head = &rec_links(rec_at(s, first))[n - 1];
	l->next = head->next;
	head->next = id;
	if (l->next)
		rec_links(rec_at(s, l->next))[n - 1].prev = id;
}

static void unlink_prefix(struct store *s, store_id id, uint32_t n)
{
	struct object_rec *o = rec_at(s, id);
	struct kind_rec *k = kind_of(s, o);
	const struct key_link *l = &rec_links(o)[n - 1];
	uint32_t h;

	if (l->next)
		rec_links(rec_at(s, l->next))[n - 1].prev = l->prev;
	if (l->prev) {
		rec_links(rec_at(s, l->prev))[n - 1].next = l->next;
		return;
	}
	h = keys_hash(s, keys_prefix(rec_keys(o), n));
	index_del(&k->by_keys, h, id);
	if (l->next)
		(void)index_put(&k->by_keys, h, l->next); /* into the place that became free */
}

void keys_unlink(struct store *s, store_id id, uint32_t from)
{
	const struct object_rec *o = rec_at(s, id);

	for (uint32_t n = kind_of(s, o)->n_paths; o->keys_len && n > from; n--)
		unlink_prefix(s, id, n);
}

void keys_link(struct store *s, store_id id, uint32_t from)
{
	const struct object_rec *o = rec_at(s, id);

	for (uint32_t n = from + 1; o->keys_len && n <= kind_of(s, o)->n_paths; n++)
		link_prefix(s, id, n);
}

/* ---- look-up --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b, void *ctx)
{
	const struct store *s = ctx;
	const struct object_rec *x = rec_at(s, *(const store_id *)a);
	const struct object_rec *y = rec_at(s, *(const store_id *)b);
	int r = str_cmp(intern_str(&s->strings, x->ns), intern_str(&s->strings, y->ns));

	return r ? r : str_cmp(rec_name(x), rec_name(y));
}

static store_id next_of(const struct store *s, store_id id, uint32_t n)
{
	return rec_links(rec_at(s, id))[n - 1].next;
}

static int lookup(const struct store *s, store_id first, uint32_t n_keys,
		  int (*found)(void *ctx, store_id id), void *ctx)
{
	_free_ store_id *ids = NULL;
	uint32_t n = 0;
	int r = 0;

	for (store_id id = first; id; id = next_of(s, id, n_keys))
		n++;
	if (!n)
		return 0;
	ids = malloc(n * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	n = 0;
	for (store_id id = first; id; id = next_of(s, id, n_keys))
		ids[n++] = id;
	qsort_r(ids, n, sizeof(*ids), by_name, (void *)(uintptr_t)s);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = found(ctx, ids[i]);
	return r;
}

int store_lookup(const struct store *s, store_kind k, const struct str *keys, uint32_t n_keys,
		 int (*found)(void *ctx, store_id id), void *ctx)
{
	const struct kind_rec *kind = kind_live(s, k);
	_buf_ struct buf prefix = {.max = UINT16_MAX};

	if (!kind || !n_keys || n_keys > kind->n_paths)
		return -EINVAL;
	for (uint32_t i = 0; i < n_keys; i++) {
		int r = put_key(&prefix, keys[i]);

		if (r < 0)
			return r == -EMSGSIZE ? 0 : r; /* no object has such a key */
	}
	return lookup(s, first_of(s, kind, buf_str(&prefix), n_keys), n_keys, found, ctx);
}
