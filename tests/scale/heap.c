#include "tests/scale/heap.h"

#include "base/mem.h"

#include <assert.h>
#include <stdlib.h>

static bool before(const struct sim_event *a, const struct sim_event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(struct sim_event *a, struct sim_event *b)
{
	const struct sim_event t = *a;

	*a = *b;
	*b = t;
}

void heap_put(struct heap *h, nsec_t at, enum event_kind kind, uint32_t id)
{
	uint32_t i = h->n++;

	if (h->n > h->cap) {
		h->cap = MAX(2 * h->cap, 1024U);
		h->v = realloc(h->v, h->cap * sizeof(*h->v));
		assert(h->v);
	}
	h->v[i] = (struct sim_event){.at = at, .order = h->order++, .kind = kind, .id = id};
	for (; i && before(&h->v[i], &h->v[(i - 1) / 2]); i = (i - 1) / 2)
		swap(&h->v[i], &h->v[(i - 1) / 2]);
}

const struct sim_event *heap_first(const struct heap *h)
{
	return h->n ? h->v : NULL;
}

struct sim_event heap_take(struct heap *h)
{
	const struct sim_event first = h->v[0];

	h->v[0] = h->v[--h->n];
	for (uint32_t i = 0;;) {
		uint32_t least = i;

		for (uint32_t c = 2 * i + 1; c <= 2 * i + 2 && c < h->n; c++)
			if (before(&h->v[c], &h->v[least]))
				least = c;
		if (least == i)
			return first;
		swap(&h->v[i], &h->v[least]);
		i = least;
	}
}

void heap_done(struct heap *h)
{
	free(h->v);
	*h = (struct heap){0};
}
