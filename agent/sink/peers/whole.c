/* Everything there is, as frames; see publish_parts.h. */
#include "sink/peers/publish_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>

#define SLICE	  1024	       /* things a step looks at */
#define SMALL	  (64UL << 10) /* so many bytes of changes are sent behind any whole */
#define FIRST_CAP 16U

void whole_unref(struct whole **wp)
{
	struct whole *w = *wp;

	*wp = NULL;
	if (!w || --w->refs)
		return;
	for (uint32_t i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
	free(w);
}

/* The changes behind it are all there still, and are the lesser part of what is sent. */
bool whole_usable(const struct publish *p)
{
	const struct whole *w = p->current;

	return w && w->position >= publish_oldest(p) &&
	       p->log_total - w->log_total <= MAX(w->bytes / 2, SMALL);
}

static int add_piece(struct whole *w, struct piece *t)
{
	const uint32_t cap = w->cap ? 2 * w->cap : FIRST_CAP;
	struct piece **grown;

	if (w->n == w->cap) {
		grown = realloc(w->v, cap * sizeof(struct piece *));
		if (!grown)
			return -ENOMEM;
		w->v = grown;
		w->cap = cap;
	}
	w->v[w->n++] = t;
	w->bytes += t->n;
	return 0;
}

/* What was gathered becomes a frame. */
static int flush(struct publish *p, bool last)
{
	struct build *b = &p->build;
	const struct peerfeed_snapshot s = {
		.first = b->whole->n == 0,
		.last = last,
		.index = b->whole->n,
		.position = b->whole->position,
		/* What is pending becomes the next frame. */
		.right_from = p->position + (p->pending.buf.n ? 1 : 0),
	};
	_buf_ struct buf payload = {.max = FRAME_RAW_MAX};
	struct piece *t;

	if (!b->records.buf.n &&
	    peerfeed_put_base(&b->records.buf, p->now, p->wall, &b->records.base) < 0)
		return -ENOMEM;
	if (peerfeed_put_snapshot(&payload, &s) < 0 ||
	    buf_append_str(&payload, buf_str(&b->records.buf)) < 0)
		return -ENOMEM;
	t = piece_new(FRAME_SNAPSHOT, buf_str(&payload));
	if (!t || add_piece(b->whole, t) < 0) {
		free(t);
		return -ENOMEM;
	}
	buf_reset(&b->records.buf);
	return 0;
}

static int put(struct publish *p, const struct peerfeed_record *rec)
{
	int r = records_put(&p->build.records, p->now, p->wall, rec);

	if (r != -EAGAIN)
		return r;
	r = flush(p, false);
	return r < 0 ? r : records_put(&p->build.records, p->now, p->wall, rec);
}

static int put_name(struct publish *p, name_ix ix)
{
	const struct nametab_name n = nametab_at(&p->names, ix);
	const struct peerfeed_record rec = {.type = PEERFEED_NAME,
					    .id = n.id,
					    .ns = nametab_id(&p->names, n.ns),
					    .kind = nametab_id(&p->names, n.kind),
					    .text = n.text};

	nametab_set_mark(&p->names, ix, p->build.mark);
	return put(p, &rec);
}

/* A name that came after the names were put. */
static int need_name(struct publish *p, name_ix ix)
{
	struct nametab_name n;
	int r;

	if (!ix)
		return 0;
	n = nametab_at(&p->names, ix);
	if (n.mark == p->build.mark)
		return 0;
	r = need_name(p, n.ns);
	if (r == 0)
		r = need_name(p, n.kind);
	return r < 0 ? r : put_name(p, ix);
}

int whole_begin(struct publish *p)
{
	const struct peerfeed_record listed = {.type = PEERFEED_LISTED, .to = p->listed_at};
	struct build *b = &p->build;

	b->whole = calloc(1, sizeof(*b->whole));
	if (!b->whole)
		return -ENOMEM;
	b->whole->refs = 1;
	b->whole->position = p->position;
	b->whole->log_total = p->log_total;
	b->stage = BUILD_TEXTS;
	b->at = 0;
	b->mark++;
	return put(p, &listed);
}

void whole_abandon(struct publish *p)
{
	whole_unref(&p->build.whole);
	buf_reset(&p->build.records.buf);
	p->build.stage = BUILD_NONE;
}

static int end(struct publish *p)
{
	const int r = flush(p, true);

	if (r < 0)
		return r;
	whole_unref(&p->current);
	p->current = TAKE_PTR(p->build.whole);
	p->build.stage = BUILD_NONE;
	p->stats.built++;
	return 0;
}

static void next_stage(struct publish *p)
{
	p->build.stage++;
	p->build.at = 0;
}

/* Plain texts first: workloads are made of them. */
static int step_names(struct publish *p, bool workloads)
{
	struct build *b = &p->build;
	int r = 0;

	for (int i = 0; r == 0 && i < SLICE; i++) {
		const name_ix ix = nametab_next(&p->names, b->at);
		struct nametab_name n;

		if (!ix) {
			next_stage(p);
			return 0;
		}
		b->at = ix;
		n = nametab_at(&p->names, ix);
		if ((n.kind != 0) == workloads)
			r = need_name(p, ix);
	}
	return r;
}

static int put_entry(struct publish *p, const struct told *t)
{
	int r = need_name(p, t->workload);

	if (r == 0)
		r = need_name(p, t->ns);
	if (r == 0)
		r = need_name(p, t->node);
	return r < 0 ? r : put(p, &p->rec);
}

static int step_entries(struct publish *p, const struct told_list *l,
			void (*fill)(struct publish *, uint32_t, const struct told *))
{
	struct build *b = &p->build;
	int r = 0;

	for (int i = 0; r == 0 && i < SLICE; i++) {
		if (++b->at >= l->n) {
			next_stage(p);
			return 0;
		}
		if (!l->v[b->at].is)
			continue;
		fill(p, b->at, &l->v[b->at]);
		r = put_entry(p, &l->v[b->at]);
	}
	return r;
}

int whole_step(struct publish *p)
{
	switch (p->build.stage) {
	case BUILD_NONE:
		return 0;
	case BUILD_TEXTS:
		return step_names(p, false);
	case BUILD_WORKLOADS:
		return step_names(p, true);
	case BUILD_PODS:
		return step_entries(p, &p->pods, tell_again_pod);
	case BUILD_PLACES:
		return step_entries(p, &p->places, tell_again_place);
	}
	return end(p);
}
