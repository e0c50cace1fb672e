/* The rules by which a Lease is taken, kept and given back; see lease.h. */
#include "kube/lease.h"

#include "base/json_out.h"
#include "base/mem.h"
#include "base/rng.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of `renew`: an answer that takes longer is not waited for, so that a leader has time for two
 * more tries. */
#define PATIENCE_PART	 3
#define JITTER_PART	 5 /* of `retry`: those who wait do not all ask in the same moment */
#define RELEASED_SECONDS 1 /* duration of a Lease that was given back */
#define MAX_CONFLICTS	 2 /* in a row that are followed at once */

struct lease {
	struct lease_opts o;
	char identity[LEASE_MAX_HOLDER];
	struct rng rng;
	nsec_t now, wall; /* of the running call */

	/* The Lease as it was seen last. */
	struct lease_record seen;
	bool exists;
	bool sure;	/* nothing was written since that may have changed it */
	nsec_t seen_at; /* when it was seen to change; 0: never seen */

	/* What this process wrote. */
	char acquired[LEASE_MAX_TIME]; /* the time in its claim: its mark; "": none */
	nsec_t renewed;		       /* the last time written, wall clock: each is a later one */
	struct lease_record draft;

	bool leading; /* as told */
	nsec_t until;
	bool stopping, released;

	enum lease_action asked; /* under way */
	uint64_t id;
	nsec_t asked_at, next_at;
	unsigned conflicts; /* in a row */
	struct lease_status count;
};

/* ---- who leads ------------------------------------------------------------------------------- */

bool lease_leads(const struct lease *l, nsec_t now)
{
	return l->leading && now < l->until;
}

static void stop_leading(struct lease *l)
{
	if (!l->leading)
		return;
	l->leading = false;
	l->count.lost += !l->stopping;
	if (l->o.ops->stopped)
		l->o.ops->stopped(l->o.ctx);
}

static void check_expired(struct lease *l, nsec_t now)
{
	l->now = now;
	if (now >= l->until)
		stop_leading(l);
}

/* Written by this process: a name alone does not tell, another process may have the same. */
static bool is_mine(const struct lease *l, const struct lease_record *r)
{
	return l->acquired[0] && strcmp(r->holder, l->identity) == 0 &&
	       strcmp(r->acquired, l->acquired) == 0;
}

static bool holds(const struct lease *l)
{
	return l->exists && is_mine(l, &l->seen);
}

/* The longer of what its holder says and what agents like this one would. */
static nsec_t duration_of(const struct lease *l)
{
	nsec_t said = MIN((nsec_t)l->seen.duration_s * NSEC_PER_SEC, (nsec_t)LEASE_DURATION_MAX);

	return MAX(said, l->o.duration);
}

static bool may_take(const struct lease *l)
{
	return !l->seen.holder[0] || l->now >= l->seen_at + duration_of(l);
}

/* ---- what is seen ---------------------------------------------------------------------------- */

static bool same(const struct lease_record *a, const struct lease_record *b)
{
	return strcmp(a->holder, b->holder) == 0 && strcmp(a->acquired, b->acquired) == 0 &&
	       strcmp(a->renewed, b->renewed) == 0 && a->duration_s == b->duration_s &&
	       a->transitions == b->transitions;
}

static void see(struct lease *l, const struct lease_record *r)
{
	const bool other = strcmp(l->seen.holder, r->holder) != 0;

	if (!l->exists || !same(&l->seen, r))
		l->seen_at = l->now;
	l->exists = l->sure = true;
	l->count.tries = 0;
	l->seen = *r;
	if (!is_mine(l, r)) {
		if (strcmp(r->version, l->draft.version) != 0)
			l->acquired[0] = '\0'; /* no claim of before can be stored any more */
		stop_leading(l);
	}
	if (other && r->holder[0] && l->o.ops->new_leader)
		l->o.ops->new_leader(l->o.ctx, l->seen.holder);
}

/* Somebody deleted it. Whoever held it does not know yet, and may lead on for as long as if this
 * were a renewal. */
static void see_none(struct lease *l)
{
	if (l->exists)
		l->seen_at = l->now;
	if (holds(l))
		l->seen.holder[0] = '\0';
	l->exists = false;
	l->sure = true;
	l->count.tries = 0;
}

/* ---- answers --------------------------------------------------------------------------------- */

static nsec_t wait_of(struct lease *l)
{
	return l->leading ? l->o.retry
			  : l->o.retry + rng_below(&l->rng, l->o.retry / JITTER_PART + 1);
}

static void decide(struct lease *l)
{
	if (holds(l) || may_take(l)) {
		l->next_at = l->now;
		return;
	}
	l->conflicts = 0;
	l->sure = false;
	l->next_at = MIN(l->now + wait_of(l), l->seen_at + duration_of(l));
}

static void lead(struct lease *l)
{
	const nsec_t until = l->asked_at + l->o.renew;

	if (until <= l->now) /* the answer came too late to be worth anything */
		return;
	l->until = until;
	if (l->leading)
		return;
	l->leading = true;
	l->count.acquired++;
	if (l->o.ops->started)
		l->o.ops->started(l->o.ctx);
}

static void written(struct lease *l, const struct lease_record *r)
{
	see(l, r);
	l->conflicts = 0;
	if (!holds(l)) {
		l->released = l->stopping;
		l->next_at = l->now + wait_of(l);
		return;
	}
	l->count.renewals++;
	l->next_at = l->stopping ? l->now : l->asked_at + l->o.retry;
	if (!l->stopping)
		lead(l);
}

static void failed(struct lease *l, nsec_t retry_after)
{
	l->count.failures++;
	l->count.tries++;
	l->next_at = l->now + MAX(wait_of(l), retry_after);
}

/* Somebody else was faster, or a write of our own was stored though its answer was lost. */
static void lost_race(struct lease *l)
{
	l->count.conflicts++;
	l->count.tries = 0;
	l->next_at = ++l->conflicts <= MAX_CONFLICTS ? l->now : l->now + wait_of(l);
}

void lease_answer(struct lease *l, nsec_t now, const struct lease_answer *a)
{
	const enum lease_action asked = l->asked;
	const bool good = (a->status == 200 || a->status == 201) && a->record;

	if (!asked || a->id != l->id)
		return;
	l->asked = LEASE_NONE;
	check_expired(l, now);
	if (good && asked == LEASE_READ) {
		see(l, a->record);
		decide(l);
	} else if (good) {
		written(l, a->record);
	} else if (a->status == 404 && asked == LEASE_READ) {
		see_none(l);
		decide(l);
	} else if ((a->status == 404 && asked == LEASE_UPDATE) || a->status == 409) {
		lost_race(l);
	} else {
		failed(l, a->retry_after);
	}
}

/* ---- requests -------------------------------------------------------------------------------- */

/* Times in the Lease grow, whatever the wall clock does: that is how others see a renewal. */
static void put_time(struct lease *l, char ret[LEASE_MAX_TIME])
{
	char text[TIME_TEXT_MAX];

	l->renewed = MAX(l->wall, l->renewed + NSEC_PER_USEC);
	(void)snprintf(ret, LEASE_MAX_TIME, "%s", time_text(l->renewed, text));
}

/* A claim keeps its mark over tries, so that the one that is stored is known again. */
static void draft_claim(struct lease *l, struct lease_record *r)
{
	const uint32_t before = MIN(l->seen.transitions, (uint32_t)INT32_MAX - 1);

	if (!l->acquired[0])
		memcpy(l->acquired, r->renewed, sizeof(l->acquired));
	memcpy(r->acquired, l->acquired, sizeof(r->acquired));
	r->transitions = l->exists ? before + 1 : 0;
}

static void draft(struct lease *l)
{
	struct lease_record *r = &l->draft;

	*r = l->seen;
	if (!l->exists)
		*r = (struct lease_record){0};
	put_time(l, r->renewed);
	if (!holds(l))
		draft_claim(l, r);
	r->duration_s = (uint32_t)((l->o.duration + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
	memcpy(r->holder, l->identity, sizeof(r->holder));
	if (!l->stopping)
		return;
	r->holder[0] = '\0';
	r->duration_s = RELEASED_SECONDS;
	memcpy(r->acquired, r->renewed, sizeof(r->acquired));
}

static enum lease_action next_action(const struct lease *l)
{
	if (!l->sure)
		return LEASE_READ;
	if (!holds(l) && !may_take(l))
		return LEASE_READ;
	return l->exists ? LEASE_UPDATE : LEASE_CREATE;
}

/* Nothing in the server can be ours: neither what was seen there, nor a write whose fate is not
 * known. */
bool lease_over(const struct lease *l)
{
	if (!l->stopping || l->asked)
		return false;
	return l->released || !l->acquired[0] || (l->sure && !holds(l));
}

static enum lease_action poll_asked(struct lease *l, nsec_t *ret_deadline)
{
	const nsec_t patience = l->asked_at + l->o.renew / PATIENCE_PART;

	*ret_deadline = l->leading ? MIN(patience, l->until) : patience;
	if (l->now < patience)
		return LEASE_NONE;
	l->asked = LEASE_NONE;
	l->sure = false;
	l->count.failures++;
	l->count.tries++;
	l->next_at = l->leading ? l->now : l->now + wait_of(l);
	*ret_deadline = l->now;
	return LEASE_ABORT;
}

enum lease_action lease_poll(struct lease *l, nsec_t now, nsec_t wall, struct lease_request *ret,
			     nsec_t *ret_deadline)
{
	check_expired(l, now);
	l->wall = wall;
	if (l->asked)
		return poll_asked(l, ret_deadline);
	*ret_deadline = NSEC_NEVER;
	if (lease_over(l))
		return LEASE_NONE;
	*ret_deadline = l->leading ? MIN(l->next_at, l->until) : l->next_at;
	if (now < l->next_at)
		return LEASE_NONE;
	l->asked = next_action(l);
	if (l->asked != LEASE_READ) {
		draft(l);
		l->sure = false; /* until the answer says what is there now */
	}
	l->asked_at = now;
	l->count.requests++;
	*ret = (struct lease_request){.id = ++l->id, .record = &l->draft};
	*ret_deadline = now;
	return l->asked;
}

void lease_release(struct lease *l, nsec_t now)
{
	check_expired(l, now);
	l->stopping = true;
	stop_leading(l);
	l->next_at = now;
}

/* ---- the rest -------------------------------------------------------------------------------- */

int lease_new(const struct lease_opts *o, struct lease **ret)
{
	struct lease *l;

	assert(o->ops);
	if (!o->identity || !o->identity[0] || strlen(o->identity) >= LEASE_MAX_HOLDER)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	l->o = *o;
	l->o.duration = o->duration ? o->duration : LEASE_DURATION;
	l->o.renew = o->renew ? o->renew : LEASE_RENEW;
	l->o.retry = o->retry ? o->retry : LEASE_RETRY;
	(void)snprintf(l->identity, sizeof(l->identity), "%s", o->identity);
	l->o.identity = l->identity;
	rng_seed(&l->rng, o->seed);
	if (l->o.retry >= l->o.renew || l->o.renew >= l->o.duration) {
		lease_free(&l);
		return -EINVAL;
	}
	*ret = l;
	return 0;
}

void lease_free(struct lease **l)
{
	free(*l);
	*l = NULL;
}

struct lease_status lease_status(const struct lease *l, nsec_t now)
{
	struct lease_status s = l->count;

	s.leads = lease_leads(l, now);
	s.until = l->until;
	s.holder = l->seen.holder;
	s.changed = l->seen_at;
	s.transitions = l->seen.transitions;
	return s;
}
