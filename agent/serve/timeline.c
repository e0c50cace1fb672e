#include "serve/timeline.h"

#include "base/hash.h"
#include "base/index.h"
#include "base/mem.h"
#include "base/pool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TEXTS	   6 /* of an edge: namespace, kind and name of both ends */
#define FIRST_ROOM 16

struct cell {
	struct metrics_growth counts;
	uint64_t mark;
	uint32_t edge;
};

struct slot {
	struct cell *cells;
	uint32_t n, room;
};

struct edge {
	uint32_t free_link; /* of the pool, while it is nobody's: what follows stays as it was */
	uint64_t serial;
	uint64_t slot; /* of its newest cell */
	uint32_t cell; /* its index there */
	uint32_t cells, hash;
	uint32_t n[TEXTS];
	char *texts; /* heap, one behind the other */
};

struct timeline {
	uint32_t max_edges, max_cells;
	struct slot slots[TIMELINE_SLOTS]; /* slot number modulo TIMELINE_SLOTS */
	uint64_t first, end;		   /* numbers: the oldest slot, and behind the newest */
	struct pool pool;		   /* of edges */
	struct index index;
	struct hash_seed seed;
	uint64_t mark, serial;
	nsec_t begin;
	uint32_t cells, ids;
	uint64_t lost, other, early;
	size_t text_bytes, cell_bytes;
};

int timeline_new(const struct timeline_opts *o, nsec_t now, struct timeline **ret)
{
	struct timeline *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->max_edges = o->max_edges ? o->max_edges : TIMELINE_MAX_EDGES;
	t->max_cells = o->max_cells ? o->max_cells : TIMELINE_MAX_CELLS;
	pool_init(&t->pool, sizeof(struct edge), t->max_edges + 1); /* and "other" */
	index_init(&t->index);
	hash_seed_init(&t->seed);
	t->begin = now;
	*ret = t;
	return 0;
}

static struct slot *slot_at(struct timeline *t, uint64_t number)
{
	return &t->slots[number % TIMELINE_SLOTS];
}

static struct edge *edge_at(const struct timeline *t, uint32_t id)
{
	return pool_at(&t->pool, id);
}

/* ---- what goes ------------------------------------------------------------------------------- */

static void edge_free(struct timeline *t, uint32_t id)
{
	struct edge *e = edge_at(t, id);

	for (int i = 0; i < TEXTS; i++)
		t->text_bytes -= e->n[i];
	index_del(&t->index, e->hash, id);
	free(e->texts);
	pool_release(&t->pool, id);
}

static void drop_oldest(struct timeline *t)
{
	struct slot *s = slot_at(t, t->first++);

	t->begin = MAX(t->begin, t->first * TIMELINE_SLOT);
	for (uint32_t i = 0; i < s->n; i++)
		if (!--edge_at(t, s->cells[i].edge)->cells)
			edge_free(t, s->cells[i].edge);
	t->cells -= s->n;
	t->cell_bytes -= s->room * sizeof(struct cell);
	free(s->cells);
	*s = (struct slot){0};
}

void timeline_free(struct timeline **pt)
{
	struct timeline *t = *pt;

	*pt = NULL;
	if (!t)
		return;
	while (t->first < t->end)
		drop_oldest(t);
	pool_done(&t->pool);
	index_done(&t->index);
	free(t);
}

void timeline_run(struct timeline *t, nsec_t now)
{
	const uint64_t number = now / TIMELINE_SLOT;

	while (t->first < t->end && t->first + TIMELINE_SLOTS <= number)
		drop_oldest(t);
}

/* The slot of now is the last one. */
static void turn_to(struct timeline *t, uint64_t number)
{
	if (number < t->end)
		return;
	while (t->first < t->end && t->first + TIMELINE_SLOTS <= number)
		drop_oldest(t);
	if (t->first == t->end)
		t->first = number;
	t->end = number + 1;
}

/* ---- edges ----------------------------------------------------------------------------------- */

static void texts_of(const struct flow_end *e, struct str ret[3])
{
	const bool named = e->known_by != KNOWN_NOT && !str_empty(e->workload);

	ret[0] = e->ns;
	ret[1] = named ? e->workload_kind : str_of(unknown_reason_name(e->why));
	ret[2] = named ? e->workload : STR("unknown");
}

static uint32_t hash_of(const struct timeline *t, const struct str texts[TEXTS])
{
	uint64_t h = 0;

	for (int i = 0; i < TEXTS; i++)
		h = hash_numbers(&t->seed, h, hash_bytes(&t->seed, texts[i].p, texts[i].n));
	return (uint32_t)h;
}

static bool has_texts(const struct edge *e, const struct str texts[TEXTS])
{
	const char *at = e->texts;

	for (int i = 0; i < TEXTS; at += e->n[i++])
		if (!str_eq(str_make(at, e->n[i]), texts[i]))
			return false;
	return true;
}

static uint32_t edge_find(const struct timeline *t, uint32_t hash, const struct str texts[TEXTS])
{
	uint32_t walk;

	for (uint32_t id = index_first(&t->index, hash, &walk); id;
	     id = index_next(&t->index, hash, &walk))
		if (has_texts(edge_at(t, id), texts))
			return id;
	return 0;
}

/* 0: no memory. It is to get a cell, or to be freed. */
static uint32_t edge_make(struct timeline *t, uint32_t hash, const struct str texts[TEXTS])
{
	size_t n = 0;
	_free_ char *copy = NULL;
	struct edge *e;
	uint32_t id;

	for (int i = 0; i < TEXTS; i++)
		n += texts[i].n;
	copy = malloc(n + 1);
	id = copy ? pool_alloc(&t->pool) : 0;
	if (!id)
		return 0;
	if (index_put(&t->index, hash, id) < 0) {
		pool_release(&t->pool, id);
		return 0;
	}
	e = edge_at(t, id);
	e->hash = hash;
	e->serial = ++t->serial;
	e->texts = copy;
	for (int i = 0; i < TEXTS; copy += texts[i++].n) {
		if (texts[i].n)
			memcpy(copy, texts[i].p, texts[i].n);
		e->n[i] = (uint32_t)texts[i].n;
	}
	copy = NULL;
	t->text_bytes += n;
	t->ids = MAX(t->ids, id);
	return id;
}

static uint32_t edge_of(struct timeline *t, const struct str texts[TEXTS])
{
	static const struct str other[TEXTS] = {[2] = {"other", 5}, [5] = {"other", 5}};
	uint32_t hash = hash_of(t, texts), id = edge_find(t, hash, texts);

	if (id || t->pool.live < t->max_edges)
		return id ? id : edge_make(t, hash, texts);
	t->other++;
	hash = hash_of(t, other);
	id = edge_find(t, hash, other);
	return id ? id : edge_make(t, hash, other);
}

/* ---- cells ----------------------------------------------------------------------------------- */

static int slot_room(struct timeline *t, struct slot *s)
{
	const uint32_t room = s->room ? s->room * 2 : FIRST_ROOM;
	struct cell *cells;

	if (s->n < s->room)
		return 0;
	cells = realloc(s->cells, room * sizeof(*cells));
	if (!cells)
		return -ENOMEM;
	t->cell_bytes += (room - s->room) * sizeof(*cells);
	s->cells = cells;
	s->room = room;
	return 0;
}

/* The cell of the newest slot; NULL: no memory. */
static struct cell *cell_of(struct timeline *t, uint32_t id)
{
	struct slot *s = slot_at(t, t->end - 1);
	struct edge *e = edge_at(t, id);

	if (e->cells && e->slot == t->end - 1)
		return &s->cells[e->cell];
	if (slot_room(t, s) < 0)
		return NULL;
	e->cells++;
	e->slot = t->end - 1;
	e->cell = s->n++;
	t->cells++;
	s->cells[e->cell] = (struct cell){.edge = id};
	return &s->cells[e->cell];
}

static void make_room(struct timeline *t)
{
	while (t->cells >= t->max_cells && t->first + 1 < t->end) {
		drop_oldest(t);
		t->early++;
	}
}

void timeline_add(struct timeline *t, nsec_t now, const struct flow_view *v,
		  const struct metrics_growth *d)
{
	const bool in = v->dir == FLOW_IN;
	struct str texts[TEXTS];
	struct cell *c;
	uint32_t id;

	texts_of(in ? &v->remote : &v->local, texts);
	texts_of(in ? &v->local : &v->remote, texts + 3);
	turn_to(t, now / TIMELINE_SLOT);
	make_room(t);
	id = edge_of(t, texts);
	c = id ? cell_of(t, id) : NULL;
	if (c) {
		metrics_grow(&c->counts, d);
		c->mark = t->mark;
		return;
	}
	t->lost++;
	if (id && !edge_at(t, id)->cells)
		edge_free(t, id);
}

/* ---- reading --------------------------------------------------------------------------------- */

nsec_t timeline_begin(const struct timeline *t)
{
	return t->begin;
}

uint32_t timeline_ids(const struct timeline *t)
{
	return t->ids;
}

uint64_t timeline_mark(struct timeline *t)
{
	return ++t->mark;
}

static struct timeline_end end_at(const char **at, const uint32_t n[3])
{
	struct str texts[3];

	for (int i = 0; i < 3; *at += n[i++])
		texts[i] = str_make(*at, n[i]);
	return (struct timeline_end){.ns = texts[0], .kind = texts[1], .name = texts[2]};
}

bool timeline_edge_at(const struct timeline *t, uint32_t edge, struct timeline_edge *ret)
{
	const struct edge *e = edge_at(t, edge);
	const char *at = e->texts;

	if (!e->cells)
		return false;
	ret->serial = e->serial;
	ret->from = end_at(&at, e->n);
	ret->to = end_at(&at, e->n + 3);
	return true;
}

bool timeline_cell_at(const struct timeline *t, uint64_t slot, uint32_t index,
		      struct timeline_cell *ret)
{
	if (slot < t->first) {
		slot = t->first;
		index = 0;
	}
	for (; slot < t->end; slot++, index = 0) {
		const struct slot *s = &t->slots[slot % TIMELINE_SLOTS];

		if (index >= s->n)
			continue;
		*ret = (struct timeline_cell){.slot = slot,
					      .index = index,
					      .edge = s->cells[index].edge,
					      .mark = s->cells[index].mark,
					      .counts = s->cells[index].counts};
		return true;
	}
	return false;
}

void timeline_stats(const struct timeline *t, struct timeline_stats *ret)
{
	*ret = (struct timeline_stats){.edges = t->pool.live,
				       .cells = t->cells,
				       .lost = t->lost,
				       .other = t->other,
				       .early = t->early,
				       .bytes = sizeof(*t) + pool_bytes(&t->pool) +
						index_bytes(&t->index) + t->text_bytes +
						t->cell_bytes};
}
