#include "peers/two_clocks.h"

#include "base/mem.h"

static int64_t drift(nsec_t now, nsec_t since)
{
	return (int64_t)((now - MIN(since, now)) / TWO_CLOCKS_DRIFT);
}

static int64_t low(const struct two_clocks *c, nsec_t now)
{
	return c->low - drift(now, c->low_at);
}

static int64_t high(const struct two_clocks *c, nsec_t now)
{
	return c->high + drift(now, c->high_at);
}

/* Since what was known before, neither can have stood still for longer than counts as doubt. */
static bool goes_on(const struct two_clocks *c, nsec_t now, int64_t seen_low, int64_t seen_high)
{
	const int64_t slack = (int64_t)TWO_CLOCKS_SLACK;

	return c->set && high(c, now) - seen_low <= slack && seen_high - low(c, now) <= slack;
}

void two_clocks_begin(struct two_clocks *c, bool same, nsec_t asked, nsec_t now, nsec_t theirs)
{
	const int64_t seen_low = (int64_t)(asked - theirs), seen_high = (int64_t)(now - theirs);
	const bool on = same && goes_on(c, now, seen_low, seen_high);

	*c = (struct two_clocks){.set = true,
				 .low = seen_low,
				 .low_at = now,
				 .high = seen_high,
				 .high_at = now,
				 .since = on ? c->since : now};
}

bool two_clocks_heard(struct two_clocks *c, nsec_t now, nsec_t theirs)
{
	const int64_t seen = (int64_t)(now - theirs), was = high(c, now);

	if (seen < low(c, now))
		return false;
	/* A word that was long under way says less than the one before; but if theirs stood still,
	 * they all look so from now on. */
	if (seen - was > (int64_t)TWO_CLOCKS_SLACK || was - seen > (int64_t)TWO_CLOCKS_SLACK)
		c->since = now;
	if (seen <= was || c->since == now) {
		c->high = seen;
		c->high_at = now;
	}
	return true;
}

nsec_t two_clocks_doubt(const struct two_clocks *c, nsec_t now)
{
	return (nsec_t)(high(c, now) - low(c, now)) + 2 * TWO_CLOCKS_SLACK;
}

/* Monotonic clocks begin at the machine's start: ours may be younger than theirs. */
static nsec_t moved(nsec_t theirs, int64_t by)
{
	const int64_t t = (int64_t)theirs + by;

	return theirs == NSEC_NEVER ? NSEC_NEVER : t > 0 ? (nsec_t)t : 0;
}

nsec_t two_clocks_earliest(const struct two_clocks *c, nsec_t now, nsec_t theirs)
{
	return moved(theirs, low(c, now) - (int64_t)TWO_CLOCKS_SLACK);
}

nsec_t two_clocks_latest(const struct two_clocks *c, nsec_t now, nsec_t theirs)
{
	return moved(theirs, high(c, now) + (int64_t)TWO_CLOCKS_SLACK);
}
