#include "sink/relay.h"

#include "base/backoff.h"
#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define BATCH	    200
#define BATCH_BYTES ((size_t)32 << 20)
#define LOOKS	    1000       /* objects looked at in one relay_run */
#define MAX_MARKS   (4u << 20) /* objects beyond have none: they are told more often */
#define WORDS	    256
#define REFUSED	    (30 * NSEC_PER_SEC) /* pause when somebody has to mend it */

struct mark { /* what was taken of an object */
	uint64_t hash;
	uint32_t restarts;
	bool told;
};

struct entry { /* beside each item of the batch */
	store_id id;
	struct mark mark;
	bool dead;
};

struct relay {
	struct relay_opts o;
	struct store_cursor *cursor;
	struct mark *marks; /* by store_id */
	uint32_t n_marks;
	struct arena arena; /* the batch */
	struct relay_item *items;
	struct entry *entries;
	uint32_t n, from; /* of the batch: made, taken */
	uint32_t flying;  /* objects that are being written; 0: none */
	bool resting;	  /* ops->rest is at work */
	bool busy;
	uint32_t size;	/* objects a write */
	store_id again; /* did not fit into the batch before */
	nsec_t resume_at;
	struct backoff backoff;
	struct rng rng;
	bool failing;
	nsec_t since, behind;
	char words[WORDS];
	uint64_t told[_RELAY_ACTION_MAX], unchanged, left_out, retries, lost;
};

const char *relay_action_name(enum relay_action a)
{
	static const char *const names[_RELAY_ACTION_MAX] = {
		[RELAY_APPLIED] = "Applied",
		[RELAY_DELETED] = "Deleted",
		[RELAY_RESTARTED] = "Restarted",
	};

	return a < _RELAY_ACTION_MAX ? names[a] : "?";
}

static void on_changed(void *ctx)
{
	struct relay *f = ctx;

	if (f->o.wake)
		f->o.wake(f->o.ctx);
}

/* What was deleted can only be found by telling everything again. */
static void on_lost(void *ctx, store_id id)
{
	struct relay *f = ctx;

	(void)id;
	f->lost++;
}

int relay_new(const struct relay_opts *o, struct relay **ret)
{
	struct relay *f = calloc(1, sizeof(*f));
	struct store_cursor_opts c = {
		.hold_initial = o->hold_initial, .changed = on_changed, .lost = on_lost, .ctx = f};
	int r;

	if (!f)
		return -ENOMEM;
	f->o = *o;
	f->o.batch = o->batch ? o->batch : BATCH;
	f->o.batch_bytes = o->batch_bytes ? o->batch_bytes : BATCH_BYTES;
	f->size = f->o.batch;
	backoff_init(&f->backoff);
	f->backoff.base = o->backoff_base ? o->backoff_base : NSEC_PER_SEC;
	f->backoff.cap = o->backoff_cap ? o->backoff_cap : 30 * NSEC_PER_SEC;
	rng_seed(&f->rng, o->seed);
	arena_init(&f->arena, f->o.batch_bytes);
	f->items = calloc(f->o.batch, sizeof(*f->items));
	f->entries = calloc(f->o.batch, sizeof(*f->entries));
	r = f->items && f->entries ? store_cursor_add(o->store, &c, &f->cursor) : -ENOMEM;
	if (r < 0)
		relay_free(&f);
	else
		*ret = f;
	return r;
}

void relay_free(struct relay **f)
{
	if (!*f)
		return;
	if ((*f)->cursor)
		store_cursor_remove((*f)->o.store, &(*f)->cursor);
	arena_done(&(*f)->arena);
	free((*f)->items);
	free((*f)->entries);
	free((*f)->marks);
	free(*f);
	*f = NULL;
}

/* ---- marks ---- */

static struct mark mark_of(const struct relay *f, store_id id)
{
	return id < f->n_marks ? f->marks[id] : (struct mark){0};
}

static void set_mark(struct relay *f, store_id id, struct mark m)
{
	uint32_t n = f->n_marks ? f->n_marks : 1024;

	if (id >= MAX_MARKS)
		return;
	while (n <= id)
		n *= 2;
	if (mem_reach(&f->marks, &f->n_marks, sizeof(m), n) ==
	    0) /* else told once more than needed */
		f->marks[id] = m;
}

/* ---- the batch ---- */

static uint32_t restarts_of(const struct tree *object)
{
	static const char *const lists[] = {"containerStatuses", "initContainerStatuses",
					    "ephemeralContainerStatuses"};
	const struct tree *status = tree_get(object, "status");
	int64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		tree_each(c, tree_get(status, lists[i])) n +=
			tree_int(tree_get(c, "restartCount"), 0);
	return n < 0 || n > UINT32_MAX ? 0 : (uint32_t)n;
}

static int keep(struct arena *a, struct str *s)
{
	return arena_dup(a, *s, s);
}

/* Names of the object, copied: the view is gone with the next change of the store. */
static int name_item(struct relay *f, const struct store_view *v, const struct store_kind_view *k,
		     struct relay_item *item)
{
	int r = 0;

	*item = (struct relay_item){.group = k->group,
				    .api_version = k->api_version,
				    .kind = k->kind,
				    .ns = v->ns,
				    .name = v->name,
				    .uid = str_of(v->uid)};
	r = r < 0 ? r : keep(&f->arena, &item->group);
	r = r < 0 ? r : keep(&f->arena, &item->api_version);
	r = r < 0 ? r : keep(&f->arena, &item->kind);
	r = r < 0 ? r : keep(&f->arena, &item->ns);
	r = r < 0 ? r : keep(&f->arena, &item->name);
	return r < 0 ? r : keep(&f->arena, &item->uid);
}

static bool wanted(const struct relay *f, const struct store_view *v,
		   const struct store_kind_view *k, const struct tree *object)
{
	const struct sink_filter *filter = f->o.filter;

	return !filter || (sink_filter_kind(filter, k) && sink_filter_namespace(filter, v->ns) &&
			   (!object || sink_filter_labels(filter, object)));
}

enum look { LOOK_NOTHING, LOOK_TAKEN, LOOK_FULL };

static enum look leave_out(struct relay *f, store_id id, bool dead)
{
	if (dead)
		store_cursor_done(f->o.store, f->cursor, id);
	return LOOK_NOTHING;
}

/* Whether the item has anything to say of the object, and what. */
static bool decide(const struct relay *f, const struct store_view *v,
		   const struct store_kind_view *k, const struct mark *before,
		   struct relay_item *item, struct mark *ret)
{
	if (v->dead || !wanted(f, v, k, item->object)) {
		item->action = RELAY_DELETED;
		return v->dead || before->told;
	}
	ret->restarts = restarts_of(item->object);
	ret->told = true;
	item->action =
		before->told && ret->restarts > before->restarts ? RELAY_RESTARTED : RELAY_APPLIED;
	return true;
}

static enum look make_item(struct relay *f, struct relay_item *item, const struct mark *before,
			   struct entry *e)
{
	uint64_t hash = 0;
	int r = f->o.ops->make(f->o.ctx, &f->arena, item, &hash);

	if (r == -ENOMEM)
		return LOOK_FULL;
	if (r < 0) {
		f->left_out++;
		return leave_out(f, e->id, e->dead);
	}
	if (item->action == RELAY_APPLIED && hash && before->told && hash == before->hash) {
		f->unchanged++;
		return LOOK_NOTHING;
	}
	e->mark.hash = item->action == RELAY_DELETED ? 0 : hash;
	f->n++;
	return LOOK_TAKEN;
}

/* What is to be told of this object, if anything, becomes the batch's next item. */
static enum look look_at(struct relay *f, store_id id, nsec_t now, nsec_t wall)
{
	struct relay_item *item = &f->items[f->n];
	struct entry *e = &f->entries[f->n];
	const struct mark before = mark_of(f, id);
	struct store_kind_view k;
	struct tree *object = NULL;
	struct store_view v;
	int r;

	if (!store_get(f->o.store, id, &v) || !store_kind_get(f->o.store, v.kind, &k))
		return LOOK_NOTHING;
	if (!wanted(f, &v, &k, NULL) && !before.told) /* told: the filter was another one */
		return leave_out(f, id, v.dead);
	*e = (struct entry){.id = id, .dead = v.dead};
	r = name_item(f, &v, &k, item);
	if (r == 0)
		r = store_tree(f->o.store, f->cursor, id, now, &f->arena, &object);
	if (r == -EAGAIN && !v.dead)
		return LOOK_NOTHING; /* the cursor comes by again */
	if (r == -ENOMEM)
		return LOOK_FULL;
	if (r < 0 && !v.dead) {
		f->left_out++;
		return LOOK_NOTHING;
	}
	item->object = r == 0 ? object : NULL;
	item->time = wall;
	if (!store_get(f->o.store, id, &v)) /* as views go, after a fetch */
		return LOOK_NOTHING;
	return decide(f, &v, &k, &before, item, &e->mark) ? make_item(f, item, &before, e)
							  : LOOK_NOTHING;
}

/* An object that fills an empty batch over is none that can be told. */
static void too_large(struct relay *f, store_id id)
{
	struct store_view v;

	f->left_out++;
	if (store_get(f->o.store, id, &v))
		(void)leave_out(f, id, v.dead);
}

/* Returns whether there may be more to look at. */
static bool fill(struct relay *f, nsec_t now, nsec_t wall)
{
	store_id id;

	arena_reset(&f->arena);
	f->n = f->from = 0;
	for (uint32_t looks = 0; looks < LOOKS && f->n < f->o.batch; looks++) {
		id = f->again ? f->again : store_cursor_next(f->o.store, f->cursor);
		f->again = 0;
		if (!id)
			return false;
		if (look_at(f, id, now, wall) != LOOK_FULL)
			continue;
		if (f->n) {
			f->again = id;
			return true;
		}
		too_large(f, id);
		arena_reset(&f->arena);
	}
	return true;
}

/* ---- writing ---- */

static void fail(struct relay *f, nsec_t now, struct str words, nsec_t pause)
{
	if (!f->failing)
		f->since = now;
	f->failing = true;
	(void)snprintf(f->words, sizeof(f->words), "%.*s", (int)MIN(words.n, (size_t)WORDS - 1),
		       words.p ? words.p : "");
	f->retries++;
	f->resume_at = now + pause;
}

static void well(struct relay *f, nsec_t now)
{
	if (f->failing)
		f->since = now;
	f->failing = false;
	f->words[0] = '\0';
	f->resume_at = 0;
	f->backoff.tries = 0;
}

static void taken(struct relay *f, uint32_t n)
{
	for (uint32_t i = f->from; i < f->from + n; i++) {
		struct entry *e = &f->entries[i];

		f->told[f->items[i].action]++;
		set_mark(f, e->id, e->mark);
		if (e->dead)
			store_cursor_done(f->o.store, f->cursor, e->id);
	}
	f->from += n;
}

/* The one object that nobody takes is left out, until it changes. */
static void split(struct relay *f, nsec_t now)
{
	if (f->flying > 1) {
		f->size = f->flying / 2;
		return;
	}
	well(f, now);
	f->left_out++;
	f->told[f->items[f->from].action]--; /* taken() counts it */
	taken(f, 1);
}

static void note_behind(struct relay *f, nsec_t now)
{
	const bool waits = f->from < f->n || store_cursor_lag(f->o.store, f->cursor);

	f->behind = !waits ? 0 : f->behind ? f->behind : now;
}

nsec_t relay_run(struct relay *f, nsec_t now, nsec_t wall)
{
	bool more = false;
	int r = 0;

	note_behind(f, now);

	if (f->busy)
		return NSEC_NEVER;
	if (now < f->resume_at)
		return f->resume_at;
	if (f->from == f->n) {
		f->size = f->o.batch;
		more = fill(f, now, wall);
	}
	f->flying = MIN(f->size, f->n - f->from);
	if (!f->flying && more)
		return now;
	f->busy = true;
	if (f->flying)
		r = f->o.ops->write(f->o.ctx, f->items + f->from, f->flying);
	else
		f->busy = f->resting = f->o.ops->rest && f->o.ops->rest(f->o.ctx);
	if (r == 0)
		return NSEC_NEVER;
	f->busy = false;
	if (r == -EMSGSIZE) {
		split(f, now);
		return now;
	}
	fail(f, now, str_of(strerror(-r)), backoff_next(&f->backoff, &f->rng, now, 0));
	return f->resume_at;
}

void relay_done(struct relay *f, nsec_t now, const struct vector_end *end)
{
	assert(f->busy);
	f->busy = false;
	if (end->how == VECTOR_OK) {
		well(f, now);
		if (!f->resting)
			taken(f, f->flying);
	} else if (end->how == VECTOR_SPLIT && !f->resting) {
		split(f, now);
	} else if (end->how == VECTOR_RETRY) {
		fail(f, now, end->text, backoff_next(&f->backoff, &f->rng, now, end->retry_after));
	} else {
		fail(f, now, end->text, REFUSED);
	}
	f->resting = false;
	f->flying = 0;
	note_behind(f, now);
	if (f->o.wake)
		f->o.wake(f->o.ctx);
}

void relay_resync(struct relay *f)
{
	for (uint32_t i = 0; i < f->n_marks; i++)
		f->marks[i].hash = 0;
	store_cursor_rewind(f->o.store, f->cursor);
	on_changed(f); /* which the store says only when something changes */
}

void relay_status(const struct relay *f, struct relay_status *ret)
{
	*ret = (struct relay_status){
		.failing = f->failing,
		.words = str_of(f->words),
		.since = f->since,
		.behind = f->behind,
		.lag = store_cursor_lag(f->o.store, f->cursor),
		.ready = f->n - f->from,
		.unchanged = f->unchanged,
		.left_out = f->left_out,
		.retries = f->retries,
		.lost = f->lost,
		.bytes = f->n_marks * sizeof(*f->marks) + f->arena.used +
			 f->o.batch * (sizeof(*f->items) + sizeof(*f->entries)),
	};
	memcpy(ret->told, f->told, sizeof(f->told));
}
