/* The token bucket and the common pause; see budget.h. */
#include "kube/budget.h"

#include "base/mem.h"

void budget_init(struct budget *b, double qps, uint32_t burst, uint64_t seed)
{
	*b = (struct budget){.qps = qps > 0.01 ? qps : 0.01, .burst = MAX(burst, 1U)};
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
