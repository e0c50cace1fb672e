/* The log of frames, and when what is done; see publish.h. */
#include "sink/peers/publish_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SLICE	    512			   /* changes of one run: about a millisecond */
#define AHEAD	    (2 * NSEC_PER_SEC)	   /* records of one frame are made within it */
#define RECORDS_MAX (FRAME_RAW_MAX - 64UL) /* room for the head */
#define RECORD_MAX  8192UL		   /* bytes of the longest record */
#define LOG_FIRST   64U			   /* frames; a power of two, doubled */

/* ---- frames ---------------------------------------------------------------------------------- */

struct piece *piece_new(enum frame_kind kind, struct str payload)
{
	struct piece *t = malloc(sizeof(*t) + FRAME_HEAD + payload.n);
	struct buf out = {.p = t ? t->bytes : NULL,
			  .cap = FRAME_HEAD + payload.n,
			  .max = FRAME_HEAD + payload.n};
	struct piece *fit;

	if (!t)
		return NULL;
	if (frame_put(&out, kind, payload) < 0) {
		free(t);
		return NULL;
	}
	t->n = (uint32_t)out.n;
	fit = realloc(t, sizeof(*t) + t->n);
	return fit ? fit : t;
}

int records_put(struct records *r, nsec_t now, nsec_t wall, const struct peerfeed_record *rec)
{
	int e;

	if (!r->buf.n) {
		e = peerfeed_put_base(&r->buf, now + AHEAD, wall + AHEAD, &r->base);
		if (e < 0)
			return e;
	} else if (r->buf.n > RECORDS_MAX - RECORD_MAX || now / NSEC_PER_MSEC >= r->base.ms) {
		return -EAGAIN;
	}
	return peerfeed_put(&r->buf, &r->base, rec);
}

/* ---- the log --------------------------------------------------------------------------------- */

static struct piece **log_slot(const struct publish *p, uint32_t i)
{
	return &p->log[(p->log_at + i) & (p->log_cap - 1)];
}

static void log_drop_oldest(struct publish *p)
{
	struct piece **slot = log_slot(p, 0);

	p->log_bytes -= (*slot)->n;
	free(*slot);
	*slot = NULL;
	p->log_at = (p->log_at + 1) & (p->log_cap - 1);
	p->n_log--;
}

static int log_grow(struct publish *p)
{
	const uint32_t cap = p->log_cap ? 2 * p->log_cap : LOG_FIRST;
	struct piece **grown;

	if (p->n_log < p->log_cap)
		return 0;
	grown = calloc(cap, sizeof(struct piece *));
	if (!grown)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_log; i++)
		grown[i] = *log_slot(p, i);
	free(p->log);
	p->log = grown;
	p->log_cap = cap;
	p->log_at = 0;
	return 0;
}

static int log_append(struct publish *p, struct piece *t)
{
	int r = log_grow(p);

	if (r < 0)
		return r;
	p->n_log++;
	*log_slot(p, p->n_log - 1) = t;
	p->log_bytes += t->n;
	p->log_total += t->n;
	p->position++;
	while (p->log_bytes > p->o.log_bytes && p->n_log > 1)
		log_drop_oldest(p);
	return 0;
}

const struct piece *publish_at(const struct publish *p, uint64_t position)
{
	return *log_slot(p, (uint32_t)(position - publish_oldest(p) - 1));
}

/* Head and records to one frame. */
static struct piece *make_changes(struct publish *p)
{
	const struct peerfeed_mark m = {
		.position = p->position + 1, .now = p->now, .known = p->known};
	_buf_ struct buf payload = {.max = FRAME_RAW_MAX};

	if (peerfeed_put_mark(&payload, &m) < 0 ||
	    buf_append_str(&payload, buf_str(&p->pending.buf)) < 0)
		return NULL;
	return piece_new(FRAME_CHANGES, buf_str(&payload));
}

static int flush(struct publish *p)
{
	struct piece *t;

	if (!p->pending.buf.n)
		return 0;
	t = make_changes(p);
	if (!t || log_append(p, t) < 0) {
		free(t);
		return -ENOMEM;
	}
	buf_reset(&p->pending.buf);
	p->framed = p->now;
	p->stats.frames++;
	p->stats.frame_bytes += t->n;
	return 0;
}

int publish_put(struct publish *p, const struct peerfeed_record *rec)
{
	int r;

	if (!p->caught_up) /* nobody has heard anything of this feed */
		return 0;
	if (!p->pending.buf.n)
		p->since = p->now;
	r = records_put(&p->pending, p->now, p->wall, rec);
	if (r == -EAGAIN) {
		r = flush(p);
		p->since = p->now;
		if (r == 0)
			r = records_put(&p->pending, p->now, p->wall, rec);
	}
	p->stats.records += r == 0;
	return r;
}

/* ---- what is done, and when ------------------------------------------------------------------ */

static void on_pod_freed(void *ctx, pod_id id)
{
	struct publish *p = ctx;

	if (tell_forget(p, &p->pods, id, ENTRY_OF_POD(id)) < 0)
		p->broken = true;
}

static void on_place_freed(void *ctx, place_id id)
{
	struct publish *p = ctx;

	if (tell_forget(p, &p->places, id, ENTRY_OF_PLACE(id)) < 0)
		p->broken = true;
}

static const struct inv_cursor_ops cursor_ops = {.pod_freed = on_pod_freed,
						 .place_freed = on_place_freed};

static int tell_listed(struct publish *p)
{
	const nsec_t at = inventory_listed_at(p->o.inventory);
	const struct peerfeed_record rec = {.type = PEERFEED_LISTED, .to = at};

	if (at == p->listed_at)
		return 0;
	p->listed_at = at;
	return publish_put(p, &rec);
}

/* The owner of a pod that came and went may be told of after it: then it is told of again. */
static void let_go(struct publish *p, pod_id id)
{
	enum match_end end;

	(void)match_owner(p->o.inventory, p->o.policy, id, &end);
	if (end != MATCH_END_UNKNOWN)
		inventory_cursor_done(p->o.inventory, p->cursor, id);
}

/* 1: there is more; 0: the cursor is at its end; negative. */
static int tell_some(struct publish *p)
{
	struct inventory *v = p->o.inventory;
	int r = tell_listed(p);
	uint32_t id;

	for (int i = 0; r == 0 && i < SLICE; i++) {
		id = inventory_cursor_next(v, p->cursor);
		if (id) {
			r = tell_pod(p, id);
			let_go(p, id);
			continue;
		}
		id = inventory_cursor_next_place(v, p->cursor);
		if (!id)
			return 0;
		r = tell_place(p, id);
	}
	return r < 0 ? r : 1;
}

/* Not while the whole is made: it may have named what is idle. */
static int drop_idle(struct publish *p)
{
	struct peerfeed_record rec = {.type = PEERFEED_DROP};
	int r = 0;

	while (r == 0 && p->build.stage == BUILD_NONE && (rec.id = nametab_drop(&p->names)))
		r = publish_put(p, &rec);
	return r;
}

static int make_beat(struct publish *p)
{
	const struct peerfeed_mark m = {.position = p->position, .now = p->now, .known = p->known};
	_buf_ struct buf payload = {.max = 64};
	int r;

	buf_reset(&p->beat);
	buf_reset(&p->wait);
	r = peerfeed_put_mark(&payload, &m);
	if (r == 0)
		r = frame_put(&p->beat, FRAME_BEAT, buf_str(&payload));
	buf_reset(&payload);
	if (r == 0)
		r = peerfeed_put_wait(&payload, p->now);
	if (r == 0)
		r = frame_put(&p->wait, FRAME_WAIT, buf_str(&payload));
	p->beats++;
	p->beat_position = p->position;
	p->framed = p->now;
	return r;
}

/* Frames that are due by time; *ret_made: subscribers have something to take. */
static int make_frames(struct publish *p, bool *ret_made)
{
	int r;

	*ret_made = false;
	if (p->pending.buf.n ? p->now < p->since + PUBLISH_BATCH
			     : p->now < p->framed + PUBLISH_BEAT)
		return 0;
	*ret_made = true;
	if (!p->pending.buf.n) /* else a beat would speak for what it does not bring */
		return make_beat(p);
	r = drop_idle(p);
	return r < 0 ? r : flush(p);
}

static int build(struct publish *p)
{
	if (p->build.stage != BUILD_NONE)
		return whole_step(p);
	if (!subs_wanting(p) || whole_usable(p))
		return 0;
	return whole_begin(p);
}

/* 1: there is more to do at once. */
static int run(struct publish *p, nsec_t fresh, bool *ret_news)
{
	const uint64_t position = p->position;
	int more = tell_some(p), r = 0;

	*ret_news = false;
	if (more < 0)
		return more;
	if (!more) { /* all that is in the inventory was told */
		p->known = MAX(p->known, MIN(fresh, p->now));
		if (!p->caught_up)
			while (nametab_drop(&p->names)) /* names of what went before it was told */
				;
		p->caught_up = true;
		r = build(p);
	}
	if (r == 0 && p->caught_up)
		r = make_frames(p, ret_news);
	*ret_news |= p->position != position;
	if (r < 0)
		return r;
	if (subs_wanting(p) && whole_usable(p))
		subs_wake_queue(p);
	return more || p->build.stage != BUILD_NONE;
}

/* Something could not be told, and nobody can know what the feed is worth. */
static int restart(struct publish *p)
{
	subs_end(p);
	whole_abandon(p);
	whole_unref(&p->current);
	while (p->n_log)
		log_drop_oldest(p);
	buf_reset(&p->pending.buf);
	inventory_cursor_remove(p->o.inventory, &p->cursor);
	nametab_done(&p->names);
	nametab_init(&p->names);
	told_list_done(&p->pods);
	told_list_done(&p->places);
	p->listed_at = 0;
	p->caught_up = false;
	p->stats.restarts++;
	for (size_t i = 0; i < PEERFEED_ID && !++p->o.feed[i]; i++)
		;
	return inventory_cursor_add(p->o.inventory, &cursor_ops, p, &p->cursor);
}

nsec_t publish_run(struct publish *p, nsec_t now, nsec_t fresh, nsec_t wall)
{
	bool news = false;
	int r = 0;

	p->now = now;
	p->wall = wall;
	if (p->broken || !p->cursor) {
		r = restart(p);
		p->broken = r < 0;
	}
	if (r == 0)
		r = run(p, fresh, &news);
	if (r < 0)
		p->broken = true;
	if (news || p->broken)
		subs_wake_all(p);
	if (r)
		return r > 0 ? 0 : now + PUBLISH_BATCH;
	return MIN(p->framed + PUBLISH_BEAT,
		   p->pending.buf.n ? p->since + PUBLISH_BATCH : NSEC_NEVER);
}

/* ---- the whole ------------------------------------------------------------------------------- */

int publish_new(const struct publish_opts *o, struct publish **ret)
{
	struct publish *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->o = *o;
	p->o.name.n = MIN(o->name.n, sizeof(p->name));
	if (p->o.name.n)
		memcpy(p->name, o->name.p, p->o.name.n);
	p->o.name.p = p->name;
	p->o.log_bytes = o->log_bytes ? o->log_bytes : PUBLISH_LOG;
	p->o.sending = o->sending ? o->sending : PUBLISH_SENDING;
	hash_seed_init(&p->seed);
	nametab_init(&p->names);
	buf_init(&p->scratch, RECORD_MAX);
	buf_init(&p->pending.buf, RECORDS_MAX);
	buf_init(&p->build.records.buf, RECORDS_MAX);
	buf_init(&p->beat, 128);
	buf_init(&p->wait, 128);
	LIST_INIT(&p->subs);
	TAILQ_INIT(&p->queue);
	r = inventory_cursor_add(o->inventory, &cursor_ops, p, &p->cursor);
	if (r < 0) {
		publish_free(&p);
		return r;
	}
	*ret = p;
	return 0;
}

void publish_free(struct publish **pp)
{
	struct publish *p = *pp;

	if (!p)
		return;
	whole_abandon(p);
	whole_unref(&p->current);
	while (p->n_log)
		log_drop_oldest(p);
	free(p->log);
	if (p->cursor)
		inventory_cursor_remove(p->o.inventory, &p->cursor);
	nametab_done(&p->names);
	told_list_done(&p->pods);
	told_list_done(&p->places);
	buf_done(&p->scratch);
	buf_done(&p->pending.buf);
	buf_done(&p->build.records.buf);
	buf_done(&p->beat);
	buf_done(&p->wait);
	free(p);
	*pp = NULL;
}

void publish_stats(const struct publish *p, struct publish_stats *ret)
{
	const uint64_t told = (uint64_t)p->pods.n + p->places.n;

	*ret = p->stats;
	ret->position = p->position;
	ret->whole_bytes = p->current ? p->current->bytes : 0;
	ret->bytes = sizeof(*p) + p->log_bytes + p->log_cap * sizeof(*p->log) + ret->whole_bytes +
		     nametab_bytes(&p->names) + told * sizeof(struct told) + subs_bytes(p);
}
