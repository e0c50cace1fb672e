/*
 * Watches of a reflector: where the next one resumes, and what their ends say.
 */
#include "kube/reflector_parts.h"

#include "base/mem.h"

/* A watch is started at most this often, however often the server ends it. */
#define WATCH_SPACING NSEC_PER_SEC
/* A watch that ends cleanly sooner than this and brought nothing is backed off from. */
#define WATCH_SHORT (10 * NSEC_PER_SEC)
/* So many tries from one resourceVersion that bring nothing: the resume point is not trusted. */
#define MAX_STUCK 3

/* Only here do objects move the resume point: those of a list come in the order of their names. One
 * without a usable version leaves it where it was. */
void watch_moved(struct reflector *r, struct str version)
{
	(void)rv_set(&r->rv, version);
	r->heard = r->now;
	r->t.progress = true;
	r->stuck = r->protobuf_errors = 0;
	if (r->t.settle_at != NSEC_NEVER) {
		r->t.settle_at = NSEC_NEVER;
		reflector_tell(r, REFLECTOR_SYNCED, "");
	}
}

/* What a slow reader missed comes with the next one. */
void watch_ended(struct reflector *r)
{
	bool useless = !r->t.progress && r->now - r->t.start_at < WATCH_SHORT;

	transfer_close(r);
	/* All watches of a server that stops end together: spread the return a little. */
	nsec_t wait = useless ? backoff_next(&r->backoff, &r->rng, r->now, 0)
			      : rng_below(&r->rng, r->backoff.base);
	r->not_before = MAX(r->now + wait, r->t.start_at + WATCH_SPACING);
	if (r->health != REFLECTOR_SYNCED && !r->list_wanted && !useless)
		reflector_tell(r, REFLECTOR_SYNCED, "");
}

/* Some servers never recover from a bad resume point. */
void watch_stuck(struct reflector *r)
{
	if (r->t.kind != TRANSFER_WATCH || r->t.progress || !r->t.answered)
		return;
	if (++r->stuck >= MAX_STUCK)
		r->list_wanted = true;
}
