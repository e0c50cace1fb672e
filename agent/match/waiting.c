/*
 * Waiting pods stand in lanes, one for each owner kind (and namespace) whose
 * readiness is told apart. Within a lane who came first is due first, so only the
 * heads are looked at.
 */
#include "match/waiting.h"

#include "base/index.h"
#include "base/mem.h"
#include "base/pool.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_LANES 4096 /* kinds times namespaces; more share the lane of all */

struct entry {
	pod_id pod;
	uint32_t prev, next;
	uint32_t lane;
	nsec_t entered;
	uint64_t order;
};

struct lane {
	enum kind kind;
	char *ns; /* NULL: all */
	nsec_t ready;
	uint32_t head, tail;
};

struct waiting {
	struct waiting_opts opts;
	struct pool entries;
	struct index by_pod;
	struct lane *lanes; /* lane 0 is for kinds never spoken of */
	uint32_t n_lanes;
	uint64_t order, overflows;
	bool overflow;
};

int waiting_new(const struct waiting_opts *o, struct waiting **ret)
{
	struct waiting *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->lanes = calloc(1, sizeof(*w->lanes));
	if (!w->lanes) {
		free(w);
		return -ENOMEM;
	}
	w->n_lanes = 1;
	w->opts = *o;
	pool_init(&w->entries, sizeof(struct entry), UINT32_MAX);
	*ret = w;
	return 0;
}

void waiting_tune(struct waiting *w, const struct waiting_opts *o)
{
	w->opts = *o;
}

void waiting_free(struct waiting **wp)
{
	struct waiting *w = *wp;

	if (!w)
		return;
	for (uint32_t i = 0; i < w->n_lanes; i++)
		free(w->lanes[i].ns);
	free(w->lanes);
	index_done(&w->by_pod);
	pool_done(&w->entries);
	free(w);
	*wp = NULL;
}

static struct entry *entry_at(const struct waiting *w, uint32_t id)
{
	return pool_at(&w->entries, id);
}

static uint32_t pod_hash(pod_id id)
{
	return id * 0x9e3779b1U; /* ids are ours: nobody chooses them */
}

static uint32_t entry_of(const struct waiting *w, pod_id pod)
{
	uint32_t at, h = pod_hash(pod);

	for (uint32_t e = index_first(&w->by_pod, h, &at); e; e = index_next(&w->by_pod, h, &at))
		if (entry_at(w, e)->pod == pod)
			return e;
	return 0;
}

/* The lane of exactly this kind and namespace; 0 when there is none. */
static uint32_t lane_exact(const struct waiting *w, enum kind kind, struct str ns)
{
	for (uint32_t i = 1; i < w->n_lanes; i++)
		if (w->lanes[i].kind == kind && str_eq(str_of(w->lanes[i].ns), ns))
			return i;
	return 0;
}

static uint32_t lane_for(const struct waiting *w, enum kind kind, struct str ns)
{
	uint32_t lane = lane_exact(w, kind, ns);

	return lane ? lane : lane_exact(w, kind, STR(""));
}

static void lane_append(struct waiting *w, uint32_t id)
{
	struct entry *e = entry_at(w, id);
	struct lane *l = &w->lanes[e->lane];

	e->prev = l->tail;
	e->next = 0;
	if (l->tail)
		entry_at(w, l->tail)->next = id;
	else
		l->head = id;
	l->tail = id;
}

static void lane_remove(struct waiting *w, uint32_t id)
{
	struct entry *e = entry_at(w, id);
	struct lane *l = &w->lanes[e->lane];

	if (e->prev)
		entry_at(w, e->prev)->next = e->next;
	else
		l->head = e->next;
	if (e->next)
		entry_at(w, e->next)->prev = e->prev;
	else
		l->tail = e->prev;
}

static pod_id entry_take(struct waiting *w, uint32_t id)
{
	pod_id pod = entry_at(w, id)->pod;

	lane_remove(w, id);
	index_del(&w->by_pod, pod_hash(pod), id);
	pool_release(&w->entries, id);
	return pod;
}

/* The pod waits for an owner of another kind now: what it waited for before may never be readable.
 * Its time begins anew. */
static void change_lane(struct waiting *w, uint32_t id, uint32_t lane, nsec_t now)
{
	lane_remove(w, id);
	entry_at(w, id)->lane = lane;
	entry_at(w, id)->entered = now;
	entry_at(w, id)->order = ++w->order;
	lane_append(w, id);
}

int waiting_enter(struct waiting *w, pod_id id, enum kind owner_kind, struct str ns, nsec_t now)
{
	const uint32_t lane = lane_for(w, owner_kind, ns);
	struct entry *e;
	uint32_t n = entry_of(w, id);

	if (n && entry_at(w, n)->lane != lane)
		change_lane(w, n, lane, now);
	if (n)
		return 0;
	n = pool_alloc(&w->entries);
	if (!n || index_put(&w->by_pod, pod_hash(id), n) < 0) {
		if (n)
			pool_release(&w->entries, n);
		return -ENOMEM;
	}
	e = entry_at(w, n);
	e->pod = id;
	e->lane = lane;
	e->entered = now;
	e->order = ++w->order;
	lane_append(w, n);
	if (w->entries.live > w->opts.max)
		w->overflow = true;
	return 0;
}

void waiting_leave(struct waiting *w, pod_id id)
{
	uint32_t e = entry_of(w, id);

	if (e)
		(void)entry_take(w, e);
}

bool waiting_holds(const struct waiting *w, pod_id id)
{
	return entry_of(w, id) != 0;
}

uint32_t waiting_count(const struct waiting *w)
{
	return w->entries.live;
}

int waiting_kind(struct waiting *w, enum kind kind, struct str ns, nsec_t since)
{
	uint32_t i = lane_exact(w, kind, ns);
	struct lane *lanes;
	char *copy = NULL;

	if (i) {
		w->lanes[i].ready = since;
		return 0;
	}
	if (w->n_lanes == MAX_LANES)
		return -EMSGSIZE;
	lanes = realloc(w->lanes, (w->n_lanes + 1) * sizeof(*lanes));
	if (!lanes)
		return -ENOMEM;
	w->lanes = lanes;
	if (!str_empty(ns) && !(copy = str_dup(ns)))
		return -ENOMEM;
	w->lanes[w->n_lanes++] = (struct lane){.kind = kind, .ns = copy, .ready = since};
	return 0;
}

static nsec_t lane_due(const struct waiting *w, const struct lane *l)
{
	nsec_t from;

	if (!l->head || l->ready == NSEC_NEVER)
		return NSEC_NEVER;
	from = MAX(entry_at(w, l->head)->entered, l->ready);
	return from > NSEC_NEVER - w->opts.timeout ? NSEC_NEVER : from + w->opts.timeout;
}

static uint32_t oldest(const struct waiting *w)
{
	uint32_t best = 0;

	for (uint32_t i = 0; i < w->n_lanes; i++) {
		uint32_t e = w->lanes[i].head;

		if (e && (!best || entry_at(w, e)->order < entry_at(w, best)->order))
			best = e;
	}
	return best;
}

pod_id waiting_due(struct waiting *w, nsec_t now)
{
	if (w->entries.live > w->opts.max) {
		w->overflows++;
		return entry_take(w, oldest(w));
	}
	for (uint32_t i = 0; i < w->n_lanes; i++)
		if (lane_due(w, &w->lanes[i]) <= now)
			return entry_take(w, w->lanes[i].head);
	return 0;
}

nsec_t waiting_deadline(const struct waiting *w)
{
	nsec_t first = NSEC_NEVER;

	if (w->entries.live > w->opts.max)
		return 0;
	for (uint32_t i = 0; i < w->n_lanes; i++)
		first = MIN(first, lane_due(w, &w->lanes[i]));
	return first;
}

bool waiting_overflow_over(struct waiting *w)
{
	if (!w->overflow || w->entries.live > w->opts.max / 2)
		return false;
	w->overflow = false;
	return true;
}

uint64_t waiting_overflows(const struct waiting *w)
{
	return w->overflows;
}
