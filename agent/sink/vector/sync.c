/* The sync: its making and the turn of its wheel. */
#include "sink/vector/sync_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

/* ---- what the store says --------------------------------------------------------------------- */

static void on_changed(void *ctx)
{
	sync_wake(ctx);
}

static void on_synced(void *ctx, store_kind k, uint32_t objects)
{
	struct sync *s = ctx;

	(void)k;
	(void)objects;
	s->sweep_due = true;
	sync_wake(s);
}

static void on_lost(void *ctx, store_id id)
{
	changes_lost(ctx, id);
	sync_wake(ctx);
}

/* ---- making ---------------------------------------------------------------------------------- */

static void fill_defaults(struct sync_opts *o)
{
	o->debounce = o->debounce ?: 10 * NSEC_PER_SEC;
	o->debounce_max = MAX((o->debounce_max ?: 60 * NSEC_PER_SEC), o->debounce);
	o->interval = o->interval ?: 5 * NSEC_PER_SEC;
	o->initial_wait = o->initial_wait ?: 30 * NSEC_PER_SEC;
	o->batch = MIN((o->batch ?: 100U), (uint32_t)BATCH_MAX);
	o->batch_bytes = o->batch_bytes ?: 1UL << 20;
	o->backoff_base = o->backoff_base ?: NSEC_PER_SEC;
	o->backoff_cap = o->backoff_cap ?: 30 * NSEC_PER_SEC;
}

static int sync_init(struct sync *s, struct buf *error)
{
	const struct store_cursor_opts cursor = {.hold_initial = s->o.hold_initial,
						 .owners = true, /* documents name them */
						 .changed = on_changed,
						 .synced = on_synced,
						 .lost = on_lost,
						 .ctx = s};
	int r = known_load(s, error);

	return r < 0 ? r : store_cursor_add(s->o.store, &cursor, &s->cursor);
}

static void set_backoff(struct sync *s)
{
	s->backoff.base = s->o.backoff_base;
	s->backoff.cap = s->o.backoff_cap;
}

static void set_most(struct sync *s)
{
	s->most = s->o.backend->bulk ? (uint32_t)BATCH_MAX : s->o.batch;
}

void sync_tune(struct sync *s, const struct sync_opts *o, nsec_t now)
{
	s->now = now;
	s->o.debounce = o->debounce;
	s->o.debounce_max = o->debounce_max;
	s->o.interval = o->interval;
	s->o.batch = o->batch;
	s->o.batch_bytes = o->batch_bytes;
	s->o.backoff_base = o->backoff_base;
	s->o.backoff_cap = o->backoff_cap;
	fill_defaults(&s->o);
	set_backoff(s);
	set_most(s);
	s->limit = s->suspects ? MIN(s->limit, s->most) : s->most;
	sync_wake(s);
}

int sync_new(const struct sync_opts *o, struct sync **ret, struct buf *ret_error)
{
	struct sync *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->o = *o;
	fill_defaults(&s->o);
	pool_init(&s->marks, sizeof(struct mark), SYNC_MAX_DOCUMENTS);
	index_init(&s->index);
	hash_seed_init(&s->seed);
	s->made = &s->batches[0];
	s->out = &s->batches[1];
	for (size_t i = 0; i < ARRAY_SIZE(s->batches); i++)
		arena_init(&s->batches[i].arena, BATCH_ARENA_MAX);
	arena_init(&s->object, OBJECT_MAX);
	backoff_init(&s->backoff);
	set_backoff(s);
	rng_seed(&s->rng, s->o.seed);
	set_most(s);
	s->limit = s->most;
	r = sync_init(s, ret_error);
	if (r < 0) {
		sync_free(&s);
		return r;
	}
	*ret = s;
	return 0;
}

void sync_free(struct sync **sp)
{
	struct sync *s = *sp;

	if (!s)
		return;
	if (s->o.embedder)
		s->o.embedder->ops->cancel(s->o.embedder);
	s->o.backend->ops->cancel(s->o.backend);
	if (s->cursor)
		store_cursor_remove(s->o.store, &s->cursor);
	for (uint32_t id = 1; id <= s->marks.next; id++)
		if (mark_at(s, id)->key) {
			free(mark_at(s, id)->key);
			free(mark_at(s, id)->point);
		}
	for (uint32_t i = 0; i < s->n_reasons; i++)
		free(s->reasons[i].text);
	pool_done(&s->marks);
	index_done(&s->index);
	for (size_t i = 0; i < ARRAY_SIZE(s->batches); i++) {
		arena_done(&s->batches[i].arena);
		free(s->batches[i].vectors);
	}
	arena_done(&s->object);
	free(s);
	*sp = NULL;
}

/* ---- the database at the start --------------------------------------------------------------- */

static void on_ensured(void *ctx, const struct vector_end *end)
{
	struct sync *s = ctx;

	s->fly = FLY_NONE;
	if (end->how != VECTOR_OK) {
		sync_failed(s, end);
		return;
	}
	s->ensured = true;
	sync_worked(s);
	sync_wake(s);
}

static void ensure(struct sync *s)
{
	int r;

	if (s->o.embedder)
		s->o.backend->dim = s->o.embedder->dim;
	s->n_asked = 0;
	s->asked_embedder = false;
	s->status.requests++;
	s->fly = FLY_ENSURE;
	r = s->o.backend->ops->ensure(s->o.backend, on_ensured, s);
	if (r < 0)
		sync_not_started(s, r);
}

static void on_begun(void *ctx, int r, struct str error)
{
	struct sync *s = ctx;
	const struct vector_end end = {.how = VECTOR_MISMATCH, .text = error};

	s->fly = FLY_NONE;
	if (r == -EEXIST) {
		sync_failed(s, &end);
		return;
	}
	if (r < 0)
		sync_ledger_failed(s, r, error);
	s->begun_ledger = true;
	sync_wake(s);
}

static void begin_ledger(struct sync *s)
{
	const struct sync_ledger *l = &s->o.ledger;
	int r = 0;

	s->fly = FLY_BEGIN;
	if (l->begin)
		r = l->begin(l->ctx, s->o.model, s->o.embedder ? s->o.embedder->dim : 0,
			     s->o.template_, on_begun, s);
	if (!l->begin || r < 0)
		on_begun(s, r, (struct str){0});
}

static void on_probed(void *ctx, const struct vector_end *end, const float *vectors, uint32_t dim)
{
	struct sync *s = ctx;

	(void)vectors;
	(void)dim;
	s->fly = FLY_NONE;
	if (end->how != VECTOR_OK)
		sync_failed(s, end);
	else
		sync_wake(s);
}

/* A collection is made for vectors of one dimension: the first answer tells it. */
static void probe(struct sync *s)
{
	const struct str text = STR("kubernetes");
	int r;

	s->n_asked = 0;
	s->asked_embedder = true;
	s->fly = FLY_PROBE;
	r = s->o.embedder->ops->embed(s->o.embedder, &text, 1, on_probed, s);
	if (r < 0)
		sync_not_started(s, r);
}

/* ---- the wheel ------------------------------------------------------------------------------- */

/* Nothing flies. Whether there is more to do at once; else *next is when. */
static bool act(struct sync *s, nsec_t *next)
{
	if (s->making == MAKE_FAILED)
		batch_failed(s);
	if (s->lent) {
		s->fly = FLY_LENT;
		s->lent(s->lent_ctx);
		return false;
	}
	if (s->now < s->blocked_until) {
		*next = MIN(*next, s->blocked_until);
		return false;
	}
	if (s->ensured && s->listed)
		return batch_go(s);
	if (s->ensured && !s->begun_ledger)
		begin_ledger(s);
	else if (s->ensured)
		known_list(s);
	else if (s->o.embedder && !s->o.embedder->dim)
		probe(s);
	else
		ensure(s);
	return s->fly == FLY_NONE;
}

/* Every object is looked at again; what is unchanged is passed over. */
static void look_again(struct sync *s)
{
	store_cursor_rewind(s->o.store, s->cursor);
	s->rewound = true;
}

nsec_t sync_run(struct sync *s, nsec_t now)
{
	bool more;
	nsec_t next;

	s->now = now;
	if (!s->begun)
		s->begun = s->status.since = MAX(now, (nsec_t)1);
	more = changes_drain(s, now);
	if (known_sweep(s))
		more = true;
	next = marks_ripen(s, now);
	if (s->fly == FLY_NONE && act(s, &next))
		more = true;
	if (s->ensured && s->listed && batch_make(s, &next))
		more = true;
	return more ? now : next;
}

void sync_resync(struct sync *s, nsec_t now)
{
	s->now = now;
	look_again(s);
	if (s->status.health == SYNC_REFUSED || s->status.health == SYNC_MISMATCH)
		s->blocked_until = 0; /* who asks may have mended it */
	s->listed = s->list_begun = false;
	s->sweep_due = true;
	s->status.complete = false;
	sync_wake(s);
}

void sync_refilter(struct sync *s, nsec_t now)
{
	s->refiltered = true;
	sync_resync(s, now);
}

void sync_kinds_complete(struct sync *s, bool complete, nsec_t now)
{
	s->now = now;
	if (complete && !s->kinds_complete)
		s->sweep_due = true;
	s->kinds_complete = complete;
	sync_wake(s);
}

void sync_flush(struct sync *s, nsec_t now)
{
	s->now = now;
	s->flushing = true;
	sync_wake(s);
}

bool sync_idle(struct sync *s)
{
	return s->fly == FLY_NONE && s->making == MAKE_NONE && !s->lists[LIST_WAITING].n &&
	       !s->lists[LIST_READY].n && !s->lists[LIST_GONE].n && s->ensured && s->listed &&
	       !s->sweep_due && !s->sweep_at && store_cursor_at_end(s->o.store, s->cursor);
}

bool sync_spent(struct sync *s, nsec_t now)
{
	if (s->fly == FLY_NONE && s->making == MAKE_NONE && now < s->blocked_until)
		return true;
	return sync_idle(s);
}

/* ---- looking at it --------------------------------------------------------------------------- */

static nsec_t oldest_mark(const struct sync *s, nsec_t now)
{
	nsec_t first = now;

	if (s->ages.head)
		first = MIN(first, mark_at(s, s->ages.head)->first);
	if (s->lists[LIST_READY].head)
		first = MIN(first, mark_at(s, s->lists[LIST_READY].head)->first);
	if (s->lists[LIST_GONE].head)
		first = MIN(first, mark_at(s, s->lists[LIST_GONE].head)->first);
	return now - first;
}

void sync_status(const struct sync *s, nsec_t now, struct sync_status *ret)
{
	*ret = s->status;
	ret->words = s->words;
	ret->documents = s->n_stored;
	ret->waiting = s->lists[LIST_WAITING].n;
	ret->ready = s->lists[LIST_READY].n + s->lists[LIST_GONE].n + s->lists[LIST_FLYING].n;
	ret->quarantined = s->n_aside;
	ret->lag = store_cursor_lag(s->o.store, s->cursor);
	ret->oldest = oldest_mark(s, now);
	ret->bytes = pool_bytes(&s->marks) + index_bytes(&s->index) + s->key_bytes;
}

void sync_quarantine(const struct sync *s, void (*row)(void *ctx, struct str id, struct str reason),
		     void *ctx)
{
	for (uint32_t i = 0; i < s->n_reasons; i++)
		row(ctx, mark_point(mark_at(s, s->reasons[i].mark)), str_of(s->reasons[i].text));
}

struct backend *sync_backend(const struct sync *s)
{
	return s->o.backend;
}

int sync_lend(struct sync *s, void (*lent)(void *ctx), void *ctx)
{
	if (s->lent)
		return -EBUSY;
	s->lent = lent;
	s->lent_ctx = ctx;
	sync_wake(s);
	return 0;
}

void sync_give_back(struct sync *s)
{
	if (s->fly == FLY_LENT)
		s->fly = FLY_NONE;
	s->lent = NULL;
	sync_wake(s);
}
