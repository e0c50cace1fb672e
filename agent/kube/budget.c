/* The token bucket and the common pause; see budget.h. */
#include "kube/budget.h"

#include "base/mem.h"

static void set_limits(struct budget *b, double qps, uint32_t burst)
{
	b->qps = qps > 0.01 ? qps : 0.01;
	b->burst = MAX(burst, 1U);
}

void budget_init(struct budget *b, double qps, uint32_t burst, uint64_t seed)
{
	*b = (struct budget){0};
	set_limits(b, qps, burst);
	b->tokens = b->burst;
	backoff_init(&b->backoff);
	rng_seed(&b->rng, seed);
}

static void budget_fill(struct budget *b, nsec_t now)
{
	if (now <= b->filled)
		return;
	b->tokens += (double)(now - b->filled) / (double)NSEC_PER_SEC * b->qps;
	b->tokens = MIN(b->tokens, b->burst);
	b->filled = now;
}

void budget_tune(struct budget *b, nsec_t now, double qps, uint32_t burst)
{
	budget_fill(b, now);
	set_limits(b, qps, burst);
	b->tokens = MIN(b->tokens, b->burst);
}

bool budget_take(struct budget *b, nsec_t now, nsec_t *ret_when)
{
	if (now < b->pause_until) {
		*ret_when = b->pause_until;
		return false;
	}
	budget_fill(b, now);
	if (b->tokens < 1) {
		b->delayed++;
		/* A little late, so that rounding never asks twice. */
		*ret_when = now + (nsec_t)((1 - b->tokens) / b->qps * (double)NSEC_PER_SEC) +
			    NSEC_PER_USEC;
		return false;
	}
	b->tokens -= 1;
	b->taken++;
	return true;
}

void budget_charge(struct budget *b, nsec_t now)
{
	budget_fill(b, now);
	b->tokens = MAX(b->tokens - 1, -b->burst);
	b->taken++;
}

void budget_hold(struct budget *b, nsec_t until)
{
	b->pause_until = MAX(b->pause_until, until);
}

void budget_slow_down(struct budget *b, nsec_t now, nsec_t started, nsec_t retry_after)
{
	if (started < b->pause_until)
		return;
	b->pause_until = now + backoff_next(&b->backoff, &b->rng, now, retry_after);
	b->pauses++;
}

void budget_answered(struct budget *b, nsec_t now)
{
	backoff_good(&b->backoff, now);
}
