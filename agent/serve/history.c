#include "serve/history.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS 12 /* of one view: six at each end */

struct entry {
	struct flow_view view; /* its texts point behind it */
	size_t bytes;
};

struct history {
	struct entry **ring; /* `max` places */
	uint32_t max;
	size_t max_bytes, bytes;
	uint64_t first, next; /* numbers: the oldest one kept, and the next one to come */
	nsec_t lost_until;    /* the end of the last one that had to go; 0: none had to */
	uint64_t no_memory;
};

int history_new(uint32_t max, size_t max_bytes, struct history **ret)
{
	struct history *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->max = max ? max : HISTORY_MAX;
	h->max_bytes = max_bytes ? max_bytes : HISTORY_BYTES;
	h->first = h->next = 1;
	h->ring = calloc(h->max, sizeof(struct entry *));
	if (!h->ring) {
		free(h);
		return -ENOMEM;
	}
	*ret = h;
	return 0;
}

static struct entry **place(const struct history *h, uint64_t number)
{
	return &h->ring[number % h->max];
}

static void drop_oldest(struct history *h)
{
	struct entry **e = place(h, h->first++);

	h->lost_until = (*e)->view.ended;
	h->bytes -= (*e)->bytes;
	free(*e);
	*e = NULL;
}

void history_free(struct history **ph)
{
	struct history *h = *ph;

	*ph = NULL;
	if (!h)
		return;
	while (h->first < h->next)
		drop_oldest(h);
	free(h->ring);
	free(h);
}

static void texts_of(struct flow_view *v, struct str *ret[TEXTS])
{
	struct flow_end *ends[] = {&v->local, &v->remote};
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		ret[n++] = &ends[i]->ns;
		ret[n++] = &ends[i]->pod;
		ret[n++] = &ends[i]->container;
		ret[n++] = &ends[i]->workload;
		ret[n++] = &ends[i]->workload_kind;
		ret[n++] = &ends[i]->pod_uid;
	}
}

static size_t end_bytes(const struct flow_end *e)
{
	return e->ns.n + e->pod.n + e->container.n + e->workload.n + e->workload_kind.n +
	       e->pod_uid.n;
}

static struct entry *copy_view(const struct flow_view *v)
{
	const size_t n = sizeof(struct entry) + end_bytes(&v->local) + end_bytes(&v->remote);
	struct entry *e = malloc(n);
	struct str *texts[TEXTS];
	char *at;

	if (!e)
		return NULL;
	e->view = *v;
	e->bytes = n;
	at = (char *)(e + 1);
	texts_of(&e->view, texts);
	for (int i = 0; i < TEXTS; i++) {
		if (texts[i]->n)
			memcpy(at, texts[i]->p, texts[i]->n);
		texts[i]->p = at;
		at += texts[i]->n;
	}
	return e;
}

void history_put(struct history *h, const struct flow_view *v)
{
	struct entry *e = copy_view(v);

	if (!e || e->bytes > h->max_bytes) {
		free(e);
		h->no_memory++;
		h->lost_until = MAX(h->lost_until, v->ended);
		return;
	}
	while (h->first < h->next &&
	       (h->next - h->first == h->max || h->bytes + e->bytes > h->max_bytes))
		drop_oldest(h);
	*place(h, h->next++) = e;
	h->bytes += e->bytes;
}

bool history_next(const struct history *h, uint64_t after, uint64_t *ret_number,
		  struct flow_view *ret)
{
	uint64_t number = MAX(after + 1, h->first);

	if (number >= h->next)
		return false;
	*ret_number = number;
	*ret = (*place(h, number))->view;
	return true;
}

nsec_t history_reaches(const struct history *h)
{
	return h->lost_until;
}

void history_stats(const struct history *h, struct history_stats *ret)
{
	*ret = (struct history_stats){.entries = (uint32_t)(h->next - h->first),
				      .no_memory = h->no_memory,
				      .bytes = h->bytes + h->max * sizeof(struct entry *)};
}
