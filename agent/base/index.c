#include "base/index.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_SLOTS 64U

void index_init(struct index *x)
{
	*x = (struct index){0};
}

void index_done(struct index *x)
{
	free(x->slots);
	index_init(x);
}

static void index_place(struct index_slot *slots, uint32_t mask, struct index_slot s)
{
	uint32_t i = s.hash & mask;

	while (slots[i].id)
		i = (i + 1) & mask;
	slots[i] = s;
}

static int index_grow(struct index *x)
{
	uint32_t size = x->slots ? (x->mask + 1) * 2 : FIRST_SLOTS;
	struct index_slot *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (uint32_t i = 0; x->slots && i <= x->mask; i++)
		if (x->slots[i].id)
			index_place(slots, size - 1, x->slots[i]);
	free(x->slots);
	x->slots = slots;
	x->mask = size - 1;
	return 0;
}

int index_put(struct index *x, uint32_t hash, uint32_t id)
{
	/* At most 13/16 full: probes stay short, memory stays small. */
	if ((!x->slots || (uint64_t)(x->n + 1) * 16 > (uint64_t)(x->mask + 1) * 13) &&
	    index_grow(x) < 0)
		return -ENOMEM;
	index_place(x->slots, x->mask, (struct index_slot){.hash = hash, .id = id});
	x->n++;
	return 0;
}

/* Fills the hole at `i` with the next entry that may stand there, and so on. */
static void index_shift_back(struct index *x, uint32_t i)
{
	uint32_t j = i;

	for (;;) {
		x->slots[i].id = 0;
		do {
			j = (j + 1) & x->mask;
			if (!x->slots[j].id)
				return;
			/* an entry may move to i unless its home lies in (i, j] */
		} while (((j - x->slots[j].hash) & x->mask) < ((j - i) & x->mask));
		x->slots[i] = x->slots[j];
		i = j;
	}
}

void index_del(struct index *x, uint32_t hash, uint32_t id)
{
	if (!x->slots)
		return;
	for (uint32_t i = hash & x->mask; x->slots[i].id; i = (i + 1) & x->mask) {
		if (x->slots[i].id != id || x->slots[i].hash != hash)
			continue;
		x->n--;
		index_shift_back(x, i);
		return;
	}
}

static uint32_t index_scan(const struct index *x, uint32_t hash, uint32_t i, uint32_t *at)
{
	for (; x->slots[i].id; i = (i + 1) & x->mask) {
		if (x->slots[i].hash != hash)
			continue;
		*at = i;
		return x->slots[i].id;
	}
	return 0;
}

uint32_t index_first(const struct index *x, uint32_t hash, uint32_t *at)
{
	return x->slots ? index_scan(x, hash, hash & x->mask, at) : 0;
}

uint32_t index_next(const struct index *x, uint32_t hash, uint32_t *at)
{
	return index_scan(x, hash, (*at + 1) & x->mask, at);
}

size_t index_bytes(const struct index *x)
{
	return x->slots ? ((size_t)x->mask + 1) * sizeof(*x->slots) : 0;
}
