/* Batches and single keys; see map_walk.h. */
#include "flow/map_walk.h"

#include "base/mem.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include <bpf/bpf.h>

#define BATCH	  256	/* entries a step; about 50 KiB of sockets */
#define BATCH_MAX 65536 /* a bucket of more entries than this ends the walk, -ENOSPC */
#define KEY_MAX	  64
/* Single keys begin anew when the one before was deleted by a program: after so many it is enough.
 */
#define ONES_MAX (1U << 20)

struct map_walk {
	struct map_walk_opts opts;
	uint32_t cap; /* entries that `keys` and `values` hold */
	char *keys, *values;
	uint64_t cursor[KEY_MAX / 8]; /* the kernel's place in the map, or the last key */
	bool begun;
	uint32_t ones; /* keys met one by one */
	uint32_t held; /* entries that were read and not taken yet */
	bool emptied;  /* those are not in the map any more */
};

static int resize(struct map_walk *w, uint32_t cap)
{
	char *keys = malloc((size_t)cap * w->opts.key_size);
	char *values = malloc((size_t)cap * w->opts.value_size);

	if (!keys || !values) {
		free(keys);
		free(values);
		return -ENOMEM;
	}
	free(w->keys);
	free(w->values);
	w->keys = keys;
	w->values = values;
	w->cap = cap;
	return 0;
}

int map_walk_new(const struct map_walk_opts *o, struct map_walk **ret)
{
	_cleanup_(map_walk_free) struct map_walk *w = calloc(1, sizeof(*w));

	assert(o->key_size <= KEY_MAX);
	if (!w)
		return -ENOMEM;
	w->opts = *o;
	if (resize(w, BATCH) < 0)
		return -ENOMEM;
	*ret = TAKE_PTR(w);
	return 0;
}

void map_walk_free(struct map_walk **w)
{
	if (!*w)
		return;
	free((*w)->keys);
	free((*w)->values);
	free(*w);
	*w = NULL;
}

void map_walk_begin(struct map_walk *w)
{
	w->begun = false;
	w->ones = 0;
}

void map_walk_take(struct map_walk *w, nsec_t now)
{
	if (w->opts.before && w->held)
		w->opts.before(w->opts.ctx, w->keys, w->values, w->held);
	for (uint32_t i = 0; i < w->held; i++) {
		const char *key = w->keys + (size_t)i * w->opts.key_size;
		const char *value = w->values + (size_t)i * w->opts.value_size;
		const bool over = w->opts.fn(w->opts.ctx, now, key, value);

		if (over && !w->emptied)
			(void)bpf_map_delete_elem(w->opts.map, key);
		else if (!over && w->emptied)
			(void)bpf_map_update_elem(w->opts.map, key, value, BPF_NOEXIST);
	}
	w->held = 0;
}

/* A bucket's lock was not to be had: what was read before it counts, and the place is kept. */
static bool is_locked(int r)
{
	return r == -EBUSY || r == -EDEADLK || r == -ETIMEDOUT;
}

static int batch(struct map_walk *w)
{
	uint64_t out[KEY_MAX / 8] = {0};
	uint32_t n = w->cap;
	void *from = w->begun ? w->cursor : NULL;
	const int r = w->opts.empties
			      ? bpf_map_lookup_and_delete_batch(w->opts.map, from, out, w->keys,
								w->values, &n, NULL)
			      : bpf_map_lookup_batch(w->opts.map, from, out, w->keys, w->values, &n,
						     NULL);

	if (r == -ENOSPC) /* one bucket holds more; nothing was read, the place is the same */
		return w->cap < BATCH_MAX && resize(w, w->cap * 4) == 0 ? 1 : -ENOSPC;
	if (r < 0 && r != -ENOENT && !is_locked(r))
		return r;
	memcpy(w->cursor, out, sizeof(out));
	w->begun = true;
	w->held = n;
	w->emptied = w->opts.empties;
	return r != -ENOENT;
}

/* The next key is asked for before this one may be deleted, else the walk would begin anew. */
static int one_by_one(struct map_walk *w)
{
	char next[KEY_MAX];
	int r = 0;

	if (!w->begun) {
		r = bpf_map_get_next_key(w->opts.map, NULL, w->cursor);
		w->begun = true;
	}
	w->emptied = false;
	for (uint32_t i = 0; r == 0 && i < BATCH && w->ones < ONES_MAX; i++, w->ones++) {
		char *value = w->values + (size_t)w->held * w->opts.value_size;

		r = bpf_map_get_next_key(w->opts.map, w->cursor, next);
		if (bpf_map_lookup_elem(w->opts.map, w->cursor, value) == 0) {
			memcpy(w->keys + (size_t)w->held * w->opts.key_size, w->cursor,
			       w->opts.key_size);
			w->held++;
		}
		if (r == 0)
			memcpy(w->cursor, next, w->opts.key_size);
	}
	return r == -ENOENT || w->ones == ONES_MAX ? 0 : r < 0 ? r : 1;
}

int map_walk_read(struct map_walk *w)
{
	int r = w->opts.one_by_one ? -EINVAL : batch(w);

	/* What a kernel says that has no batches, or none for this kind of map. */
	if (!w->begun && (r == -EINVAL || r == -EOPNOTSUPP || r == -524 /* ENOTSUPP */))
		w->opts.one_by_one = true;
	return w->opts.one_by_one ? one_by_one(w) : r;
}

int map_walk_step(struct map_walk *w, nsec_t now)
{
	const int r = map_walk_read(w);

	map_walk_take(w, now);
	return r;
}
