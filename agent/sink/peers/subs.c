/* Subscribers; see publish_parts.h. */
#include "sink/peers/publish_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum sub_stage {
	SUB_HELLO,   /* nothing was taken yet */
	SUB_QUEUED,  /* in line for the whole */
	SUB_WHOLE,   /* some of its frames were taken */
	SUB_CHANGES, /* behind the position */
	SUB_ENDED,
};

struct publish_sub {
	LIST_ENTRY(publish_sub) all;
	TAILQ_ENTRY(publish_sub) queue;
	struct publish *p;
	void *ctx;
	enum sub_stage stage;
	bool resumed;
	uint64_t position; /* of the last change taken */
	uint64_t beats;	   /* the beat that was taken last */
	struct whole *whole;
	uint32_t next; /* frame of it */
	struct buf hello;
};

static void wake(const struct publish *p, const struct publish_sub *s)
{
	if (p->o.wake)
		p->o.wake(s->ctx);
}

void subs_wake_all(const struct publish *p)
{
	const struct publish_sub *s;

	LIST_FOREACH(s, &p->subs, all)
	wake(p, s);
}

void subs_wake_queue(const struct publish *p)
{
	uint32_t room = p->o.sending - MIN(p->stats.sending, p->o.sending);
	const struct publish_sub *s;

	TAILQ_FOREACH(s, &p->queue, queue)
	{
		if (!room--)
			return;
		wake(p, s);
	}
}

static void set_stage(struct publish_sub *s, enum sub_stage stage)
{
	struct publish *p = s->p;
	const enum sub_stage was = s->stage;

	s->stage = stage;
	if (was == SUB_QUEUED) {
		TAILQ_REMOVE(&p->queue, s, queue);
		p->stats.queued--;
	} else if (was == SUB_WHOLE) {
		whole_unref(&s->whole);
		p->stats.sending--;
		subs_wake_queue(p);
	}
	if (stage == SUB_QUEUED) {
		TAILQ_INSERT_TAIL(&p->queue, s, queue);
		p->stats.queued++;
		if (p->o.due)
			p->o.due(p->o.ctx);
	} else if (stage == SUB_WHOLE) {
		p->stats.sending++;
	}
}

bool subs_wanting(const struct publish *p)
{
	return p->stats.queued > 0;
}

void subs_end(struct publish *p)
{
	struct publish_sub *s;

	LIST_FOREACH(s, &p->subs, all)
	set_stage(s, SUB_ENDED);
}

size_t subs_bytes(const struct publish *p)
{
	return p->stats.subscribers * sizeof(struct publish_sub);
}

static bool can_resume(const struct publish *p, const uint8_t *feed, uint64_t from)
{
	return feed && p->caught_up && memcmp(feed, p->o.feed, PEERFEED_ID) == 0 &&
	       from <= p->position && from >= publish_oldest(p);
}

int publish_sub_new(struct publish *p, const uint8_t *feed, uint64_t from, void *sub_ctx,
		    struct publish_sub **ret)
{
	struct publish_sub *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->p = p;
	s->ctx = sub_ctx;
	s->resumed = can_resume(p, feed, from);
	s->position = s->resumed ? from : 0;
	buf_init(&s->hello, FRAME_HEAD + PEERFEED_TEXT_MAX + 128);
	LIST_INSERT_HEAD(&p->subs, s, all);
	p->stats.subscribers++;
	p->stats.resumed += s->resumed;
	p->stats.whole += !s->resumed;
	*ret = s;
	return 0;
}

void publish_sub_free(struct publish_sub **sp)
{
	struct publish_sub *s = *sp;

	if (!s)
		return;
	set_stage(s, SUB_ENDED);
	LIST_REMOVE(s, all);
	s->p->stats.subscribers--;
	buf_done(&s->hello);
	free(s);
	*sp = NULL;
}

/* ---- taking ---------------------------------------------------------------------------------- */

static int take_hello(struct publish_sub *s, nsec_t now, struct str *ret)
{
	const struct publish *p = s->p;
	struct peerfeed_hello h = {.now = now,
				   .resumed = s->resumed,
				   .position = s->position,
				   .beat = PUBLISH_BEAT,
				   .name = p->o.name};
	_buf_ struct buf payload = {.max = PEERFEED_TEXT_MAX + 128UL};

	memcpy(h.feed, p->o.feed, sizeof(h.feed));
	if (peerfeed_put_hello(&payload, &h) < 0 ||
	    frame_put(&s->hello, FRAME_HELLO, buf_str(&payload)) < 0)
		return -ENOMEM;
	set_stage(s, s->resumed ? SUB_CHANGES : SUB_QUEUED);
	*ret = buf_str(&s->hello);
	return 1;
}

/* A sign of life, each once. */
static int take_beat(struct publish_sub *s, const struct buf *b, struct str *ret)
{
	if (s->beats == s->p->beats || !b->n)
		return 0;
	s->beats = s->p->beats;
	*ret = buf_str(b);
	return 1;
}

static int take_changes(struct publish_sub *s, struct str *ret)
{
	struct publish *p = s->p;
	const struct piece *t;

	if (s->position < publish_oldest(p)) {
		p->stats.overtaken++;
		set_stage(s, SUB_ENDED);
		return -ESTALE;
	}
	if (s->position == p->position)
		return p->beat_position == p->position ? take_beat(s, &p->beat, ret) : 0;
	t = publish_at(p, ++s->position);
	*ret = str_make(t->bytes, t->n);
	return 1;
}

static int take_whole(struct publish_sub *s, struct str *ret)
{
	const struct piece *t;

	if (s->next == s->whole->n) { /* its last piece was borrowed until now */
		s->position = s->whole->position;
		set_stage(s, SUB_CHANGES);
		return take_changes(s, ret);
	}
	t = s->whole->v[s->next++];
	*ret = str_make(t->bytes, t->n);
	return 1;
}

static int take_queued(struct publish_sub *s, struct str *ret)
{
	struct publish *p = s->p;

	if (p->stats.sending >= p->o.sending || !whole_usable(p))
		return take_beat(s, &p->wait, ret);
	set_stage(s, SUB_WHOLE);
	s->whole = p->current;
	s->whole->refs++;
	s->next = 0;
	return take_whole(s, ret);
}

int publish_farewell(struct buf *out, struct str words)
{
	return frame_put(out, FRAME_END, words);
}

int publish_sub_take(struct publish_sub *s, nsec_t now, struct str *ret)
{
	switch (s->stage) {
	case SUB_HELLO:
		return take_hello(s, now, ret);
	case SUB_QUEUED:
		return take_queued(s, ret);
	case SUB_WHOLE:
		return take_whole(s, ret);
	case SUB_CHANGES:
		return take_changes(s, ret);
	case SUB_ENDED:
		break;
	}
	return -ESTALE;
}
