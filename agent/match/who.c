/* Who had an address at a time; see who.h. */
#include "match/who.h"

#include "base/mem.h"
#include "match/end.h"

#define LONG (30 * NSEC_PER_SEC)

/* What can be concluded from a claim; see the picture in end.h. Times are half-open: [from, to). */
struct span {
	uint32_t id;
	nsec_t may;  /* it may have had the address from here on */
	nsec_t near; /* so close before `sure` that an answer was its own, if nobody else is near */
	nsec_t sure; /* it had the address from here on */
	nsec_t over; /* it may have ended at any time from here on, and who followed it may have
		      * been missed: a list came since */
	nsec_t to;   /* surely not from here on; before it, if it was not given back meanwhile */
};

static nsec_t before(nsec_t t, nsec_t by)
{
	return t > by ? t - by : 0;
}

static nsec_t late_by(const struct who *w)
{
	return w->settle + w->doubt;
}

/* The end of the second in which a container ran, as a monotonic time, with room for two clocks
 * that differ by a second. */
static nsec_t ran_at(const struct who *w, uint32_t seconds)
{
	nsec_t wall = (seconds + 2ULL) * NSEC_PER_SEC;

	if (!seconds || !w->wall_offset)
		return NSEC_NEVER;
	return before(wall, w->wall_offset);
}

static struct span span_of(const struct who *w, const struct inv_claim *c)
{
	struct span x = {.id = c->id, .sure = c->from, .over = c->to, .to = c->to};

	if (c->running)
		x.sure = MIN(x.sure, ran_at(w, c->running));
	x.may = c->listed ? 0 : MIN(before(c->from, late_by(w)), x.sure);
	if (c->to <= w->listed_at)
		x.over = before(MIN(c->to, c->heard), late_by(w));
	/* Who came and went before a list is not remembered: then an answer may be another's. */
	x.near = c->listed ? x.sure : MAX(before(x.sure, late_by(w)), w->listed_at + late_by(w));
	return x;
}

/* `b` surely had the address by `start`, and got it after `a` had it: `a` had lost it. */
static bool rules_out(const struct span *b, const struct span *a, nsec_t start)
{
	return b->id != a->id && b->sure <= start && b->may >= a->sure;
}

static bool possible(const struct span *x, uint32_t n, uint32_t i, nsec_t start)
{
	if (start < x[i].may || start >= x[i].to)
		return false;
	for (uint32_t k = 0; k < n; k++)
		if (rules_out(&x[k], &x[i], start))
			return false;
	return true;
}

/* `b` is not possible (any more), but may have come after `a`, whose end was told late; and one
 * that was deleted by force may live on. */
static bool may_have_followed(const struct span *b, const struct span *a, nsec_t start,
			      nsec_t settle)
{
	return b->id != a->id && b->sure <= start && a->may < b->sure && a->to <= b->sure + settle;
}

/* Whether it is told, being the only one possible: nobody else is in the way. */
static bool certain(const struct who *w, const struct span *x, uint32_t n, uint32_t i, nsec_t start,
		    unsigned int flags)
{
	bool answered = flags & END_ANSWERED, early = start < x[i].sure;

	if (start >= before(x[i].to, w->doubt) || (start >= x[i].over && start < w->listed_at) ||
	    (early && (!answered || start < x[i].near)))
		return false;
	for (uint32_t k = 0; k < n; k++) {
		if (early && x[k].id != x[i].id)
			return false;
		if (may_have_followed(&x[k], &x[i], start, late_by(w)))
			return false;
	}
	return true;
}

/* Nobody else is known of, and it had the address long before: whatever the clocks lost. */
static bool had_for_long(const struct inv_claim *c, uint32_t n, nsec_t start)
{
	return n == 1 && c[0].to == NSEC_NEVER && c[0].from + LONG <= start;
}

nsec_t who_settled(const struct who *w, const struct inv_claim *c, uint32_t n)
{
	return n == 1 && c[0].to == NSEC_NEVER ? MAX(c[0].from, w->since) : NSEC_NEVER;
}

uint32_t who_had(const struct who *w, const struct inv_claim *c, uint32_t n, nsec_t start,
		 unsigned int flags, enum unknown_reason *ret_why)
{
	struct span x[WHO_MAX_CLAIMS];
	uint32_t found = 0, at = 0;

	*ret_why = UNKNOWN_NONE;
	if (who_settled(w, c, n) <= start)
		return c[0].id; /* as the rule below says, too; nearly always so */
	if (start < w->since && had_for_long(c, n, start))
		return c[0].id;
	if (n)
		*ret_why = UNKNOWN_AMBIGUOUS;
	if (n > WHO_MAX_CLAIMS || start < w->since)
		return 0;
	for (uint32_t i = 0; i < n; i++)
		x[i] = span_of(w, &c[i]);
	for (uint32_t i = 0; i < n; i++) {
		if (!possible(x, n, i, start))
			continue;
		if (found && x[i].id != found)
			return 0;
		at = found && x[at].sure <= x[i].sure ? at : i;
		found = x[i].id;
	}
	*ret_why = UNKNOWN_NONE;
	return found && certain(w, x, n, at, start, flags) ? found : 0;
}
