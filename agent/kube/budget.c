/* The token bucket and the common pause; see budget.h. */
#include "kube/budget.h"

#include "base/mem.h"

void budget_init(struct budget *b, uint32_t qps, uint32_t burst, uint64_t seed)
{
	*b = (struct budget){.qps = MAX(qps, 1U), .burst = MAX(burst, 1U)};
	b->tokens = b->burst * NSEC_PER_SEC;
	backoff_init(&b->backoff);
	rng_seed(&b->rng, seed);
}

static void budget_fill(struct budget *b, nsec_t now)
{
	uint64_t full = b->burst * NSEC_PER_SEC;

	if (now <= b->filled)
		return;
	/* Compared before multiplied: after a long idle time the product would overflow. */
	if (now - b->filled >= full / b->qps + 1)
		b->tokens = full;
	else
		b->tokens = MIN(full, b->tokens + (now - b->filled) * b->qps);
	b->filled = now;
}

bool budget_take(struct budget *b, nsec_t now, nsec_t *ret_when)
{
	if (now < b->pause_until) {
		*ret_when = b->pause_until;
		return false;
	}
	budget_fill(b, now);
	if (b->tokens < NSEC_PER_SEC) {
		b->delayed++;
		*ret_when = now + (NSEC_PER_SEC - b->tokens) / b->qps + 1;
		return false;
	}
	b->tokens -= NSEC_PER_SEC;
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
