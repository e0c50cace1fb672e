/*
 * How requests end, and what follows: a pause, a smaller batch, one document set
 * aside, or everything anew.
 */
#include "sink/vector/sync_parts.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* So many documents in a row are set aside without one success: then it is not the documents. */
#define ASIDES_MAX 16

static const char *const health_names[] = {
	[SYNC_STARTING] = "starting", [SYNC_OK] = "ok",
	[SYNC_FAILING] = "failing",   [SYNC_REFUSED] = "refused",
	[SYNC_MISMATCH] = "mismatch",
};

const char *sync_health_name(enum sync_health h)
{
	return (size_t)h < ARRAY_SIZE(health_names) ? health_names[h] : "unknown";
}

void sync_wake(struct sync *s)
{
	s->o.wake(s->o.ctx);
}

static void tell(struct sync *s, enum sync_health h, struct str words)
{
	bool news = s->status.health != h;

	if (news)
		s->status.since = s->now;
	s->status.health = h;
	(void)snprintf(s->words, sizeof(s->words), "%.*s", STR_ARG(words));
	if (news && s->o.told)
		s->o.told(s->o.ctx, s->words);
}

void sync_ledger_failed(struct sync *s, int r, struct str error)
{
	_buf_ struct buf words = {.max = 1024};

	s->status.ledger_failures++;
	if (!error.n)
		error = str_of(strerror(-r));
	if (s->o.told && buf_printf(&words, "the ledger: %.*s%c", STR_ARG(error), '\0') == 0)
		s->o.told(s->o.ctx, words.p);
}

void sync_worked(struct sync *s)
{
	uint32_t n = s->n_asked;

	s->asides = 0;
	s->blocked_until = 0;
	backoff_good(&s->backoff, s->now);
	if (s->suspects) {
		s->suspects -= MIN(n, s->suspects);
		s->limit = s->suspects ? MIN(s->limit * 2, s->most) : s->most;
	} else {
		s->limit = s->most;
	}
	if (s->ensured)
		tell(s, SYNC_OK, (struct str){0});
}

/* ---- pauses ---------------------------------------------------------------------------------- */

static void pause_for(struct sync *s, nsec_t retry_after)
{
	s->status.retries++;
	s->blocked_until = s->now + backoff_next(&s->backoff, &s->rng, s->now, retry_after);
}

static void pause_long(struct sync *s)
{
	s->status.retries++;
	s->blocked_until = s->now + REFUSED_PAUSE + rng_below(&s->rng, REFUSED_PAUSE / 4);
}

static void release(struct sync *s)
{
	if (s->n_gone)
		remove_release(s);
	fly_release(s);
}

/* ---- halving --------------------------------------------------------------------------------- */

static void on_aside_kept(void *ctx, int r, struct str error)
{
	if (r < 0)
		sync_ledger_failed(ctx, r, error);
}

/* So that a restart does not try it again. */
static void keep_aside(struct sync *s, const struct document *d, struct str why)
{
	const struct ledger_row row = {.backend = str_of(s->o.backend->name),
				       .id = d->id,
				       .uid = d->fields[DOC_UID],
				       .text_hash = d->text_hash,
				       .meta_hash = d->meta_hash,
				       .state = LEDGER_QUARANTINED,
				       .reason = why};

	if (s->o.ledger.put)
		(void)s->o.ledger.put(s->o.ledger.ctx, &row, 1, on_aside_kept, s);
}

/* One document alone is refused: it is the one. */
static void set_aside(struct sync *s, struct str why)
{
	struct flyer f = s->out->flyers[s->from + (s->asked_embedder ? s->out->n_vectors : 0)];
	struct mark *m = mark_at(s, f.mark);
	const bool again = m->flags & MARK_AGAIN; /* it is another one by now */
	_buf_ struct buf words = {.max = 1024};

	memcpy(m->text_hash, f.doc.text_hash, HASH_KEPT);
	memcpy(m->meta_hash, f.doc.meta_hash, HASH_KEPT);
	m->flags &= (uint8_t)~MARK_FORCE;
	mark_set_aside(s, f.mark, why);
	keep_aside(s, &f.doc, why);
	s->status.set_aside++;
	s->asides++;
	if (s->o.told && buf_printf(&words, "%.*s is set aside until it changes: %.*s%c",
				    STR_ARG(f.doc.id), STR_ARG(why), '\0') == 0)
		s->o.told(s->o.ctx, words.p);
	fly_release(s);
	if (m->list == LIST_READY && !again)
		mark_move(s, f.mark, LIST_NONE);
	s->suspects -= MIN(1U, s->suspects);
	s->limit = s->suspects ? 2 : s->most;
}

static void try_again(struct sync *s, const struct vector_end *end)
{
	release(s);
	pause_for(s, end->retry_after);
	tell(s, SYNC_FAILING, end->text);
}

static void split(struct sync *s, const struct vector_end *end)
{
	uint32_t n = s->n_asked;

	s->status.splits++;
	if (!s->n_part) { /* no document of ours was in it; ids are never bad */
		s->limit = MAX(n / 2, 1U);
		try_again(s, end);
	} else if (n > 1) {
		s->suspects = MAX(s->suspects, s->out->n - s->from);
		s->limit = (n + 1) / 2;
		release(s);
	} else {
		set_aside(s, end->text);
		if (s->asides > ASIDES_MAX)
			try_again(s, end);
	}
}

/* ---- everything anew ------------------------------------------------------------------------- */

/* The collection is gone: nothing that was known of it holds any more. */
static void start_over(struct sync *s)
{
	s->ensured = s->listed = s->list_begun = false;
	for (uint32_t id = 1; id <= s->marks.next; id++) {
		struct mark *m = mark_at(s, id);

		if (!m->key)
			continue;
		mark_set_stored(s, id, false);
		m->flags &= (uint8_t)~MARK_SEEN;
		if (!m->object)
			mark_free(s, id);
		else
			mark_changed(s, id, s->now, true);
	}
}

/* Whatever it was filled with, the way out is the same. */
static void tell_mismatch(struct sync *s, struct str why)
{
	static const char out[] = "--reembed";
	_buf_ struct buf words = {.max = 1024};

	if (s->asked_embedder || memmem(why.p, why.n, out, sizeof(out) - 1) ||
	    buf_printf(&words, "%.*s: %s makes a new collection", STR_ARG(why), out) < 0)
		tell(s, SYNC_MISMATCH, why);
	else
		tell(s, SYNC_MISMATCH, buf_str(&words));
}

void sync_failed(struct sync *s, const struct vector_end *end)
{
	bool embedder = s->asked_embedder;

	switch (end->how) {
	case VECTOR_SPLIT:
		split(s, end);
		break;
	case VECTOR_RETRY:
	case VECTOR_OK:
	case _VECTOR_OUTCOME_MAX:
		try_again(s, end);
		break;
	case VECTOR_REFUSED:
		release(s);
		pause_long(s);
		tell(s, SYNC_REFUSED, end->text);
		break;
	case VECTOR_GONE:
		release(s);
		if (embedder || !s->ensured) {
			pause_long(s);
			tell(s, SYNC_REFUSED, end->text);
		} else {
			start_over(s);
			pause_for(s, end->retry_after);
			tell(s, SYNC_FAILING, end->text);
		}
		break;
	case VECTOR_MISMATCH:
		release(s);
		pause_long(s); /* it is looked at again, nothing more */
		tell_mismatch(s, end->text);
		break;
	}
	sync_wake(s);
}

struct vector_end sync_not_started_end(int r)
{
	return (struct vector_end){.how = r == -EMSGSIZE ? VECTOR_SPLIT : VECTOR_RETRY,
				   .text = r == -EMSGSIZE ? STR("too large for one request")
							  : str_of(strerror(-r))};
}

void sync_not_started(struct sync *s, int r)
{
	const struct vector_end end = sync_not_started_end(r);

	s->fly = FLY_NONE;
	sync_failed(s, &end);
}
