#include "base/index.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SLOTS 64U
#define MAX_SLOTS   (1U << 31)

void index_init(struct index *x)
{
	*x = (struct index){0};
}

void index_done(struct index *x)
{
	free(x->slots);
	index_init(x);
}

/* Maps a hash to its slot without a division (Lemire 2016); keeps the hashes' order. */
static uint32_t home(uint32_t hash, uint32_t size)
{
	return (uint32_t)(((uint64_t)hash * size) >> 32);
}

static uint32_t after(uint32_t i, uint32_t size)
{
	return i + 1 == size ? 0 : i + 1;
}

static void index_place(struct index_slot *slots, uint32_t size, struct index_slot s)
{
	uint32_t i = home(s.hash, size);

	while (slots[i].id)
		i = after(i, size);
	slots[i] = s;
}

static int index_resize(struct index *x, uint32_t size)
{
	struct index_slot *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; i < x->size; i++)
		if (x->slots[i].id)
			index_place(slots, size, x->slots[i]);
	free(x->slots);
	x->slots = slots;
	x->size = size;
	return 0;
}

int index_grow(struct index *x, uint32_t n)
{
	uint64_t size = x->size ? x->size : FIRST_SLOTS;

	while (((uint64_t)x->n + n) * 16 > size * 13)
		size += size / 4;
	if (size > MAX_SLOTS)
		return -ENOMEM;
	return size == x->size ? 0 : index_resize(x, (uint32_t)size);
}

int index_put(struct index *x, uint32_t hash, uint32_t id)
{
	int r = index_reserve(x, 1);

	if (r < 0)
		return r;
	index_place(x->slots, x->size, (struct index_slot){.hash = hash, .id = id});
	x->n++;
	return 0;
}

/* How far slot `i` lies behind slot `from`, around the end. */
static uint32_t distance(uint32_t from, uint32_t i, uint32_t size)
{
	return i >= from ? i - from : i + size - from;
}

/* Fills the hole at `i` with the next entry that may stand there, and so on. */
static void index_shift_back(struct index *x, uint32_t i)
{
	uint32_t j = i;

	for (;;) {
		x->slots[i].id = 0;
		do {
			j = after(j, x->size);
			if (!x->slots[j].id)
				return;
			/* an entry may move to i unless its home lies in (i, j] */
		} while (distance(home(x->slots[j].hash, x->size), j, x->size) <
			 distance(i, j, x->size));
		x->slots[i] = x->slots[j];
		i = j;
	}
}

void index_del(struct index *x, uint32_t hash, uint32_t id)
{
	if (!x->size)
		return;
	for (uint32_t i = home(hash, x->size); x->slots[i].id; i = after(i, x->size)) {
		if (x->slots[i].id != id || x->slots[i].hash != hash)
			continue;
		x->n--;
		index_shift_back(x, i);
		return;
	}
}

static uint32_t index_scan(const struct index *x, uint32_t hash, uint32_t i, uint32_t *at)
{
	for (; x->slots[i].id; i = after(i, x->size)) {
		if (x->slots[i].hash != hash)
			continue;
		*at = i;
		return x->slots[i].id;
	}
	return 0;
}

uint32_t index_first(const struct index *x, uint32_t hash, uint32_t *at)
{
	return x->size ? index_scan(x, hash, home(hash, x->size), at) : 0;
}

uint32_t index_next(const struct index *x, uint32_t hash, uint32_t *at)
{
	return index_scan(x, hash, after(*at, x->size), at);
}

size_t index_bytes(const struct index *x)
{
	return (size_t)x->size * sizeof(*x->slots);
}
