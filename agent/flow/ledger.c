/*
 * Figures, and the ledger: started = reported + open + dropped + unaccounted.
 *
 * Each of the first four is counted where it happens, none is what the others
 * leave: so the last one tells whether they agree. `started` is the kernel's count
 * and those known here alone (found by sock_diag, without a record yet); `open` what
 * the table holds and what the polls saw in the map that cannot be told of yet.
 */
#include "flow/state.h"

#include "base/mem.h"

#include <string.h>

const char *flow_drop_name(enum flow_drop d)
{
	static const char *const words[_FLOW_DROP_MAX] = {
		[FLOW_DROP_SOCKS_FULL] = "socks_full",
		[FLOW_DROP_CLOSE] = "close_lost",
		[FLOW_DROP_MEMORY] = "memory",
		[FLOW_DROP_BAD_RECORD] = "bad_record",
	};

	return (size_t)d < ARRAY_SIZE(words) ? words[d] : "?";
}

void flows_kernel_counts(struct flows *f, const uint64_t *counts, uint32_t n)
{
	n = MIN(n, (uint32_t)ARRAY_SIZE(f->stats.kernel));
	memcpy(f->stats.kernel, counts, n * sizeof(*counts));
}

/* Ends that the kernel lost, without those that were noticed here: these are reported, or were
 * when they were evicted. */
static uint64_t closes_dropped(const struct flows *f, const struct flows_stats *s)
{
	const uint64_t lost = s->kernel[ABI_COUNT_DROP_CLOSE];

	return lost - MIN(lost, f->ends_lost + f->evicted_lost);
}

static void ledger(const struct flows *f, struct flows_stats *s)
{
	uint64_t told;

	s->dropped[FLOW_DROP_SOCKS_FULL] = s->kernel[ABI_COUNT_DROP_SOCKS_FULL];
	s->dropped[FLOW_DROP_CLOSE] = closes_dropped(f, s);
	s->started = s->kernel[ABI_COUNT_STARTED] + f->found_alone;
	s->reported = f->tcp_reported;
	s->open = f->tcp_made - f->tcp_reported + f->openings.n;
	told = s->reported + s->open;
	for (int i = 0; i < _FLOW_DROP_MAX; i++)
		told += s->dropped[i];
	s->unaccounted = (int64_t)(s->started - told);
}

static size_t bytes(const struct flows *f)
{
	const struct pool *pools[] = {&f->flows, &f->askeds, &f->tombs, &f->ends, &f->nodes,
				      &f->procs, &f->nats,   &f->drops, &f->joins};
	const struct index *indexes[] = {&f->by_sk,  &f->by_tuple,  &f->by_local,     &f->by_tomb,
					 &f->by_end, &f->by_cgroup, &f->by_container, &f->by_pod,
					 &f->by_pid, &f->by_nat,    &f->by_drop};
	size_t n = sizeof(*f) + intern_bytes(&f->strings) + names_bytes(f) + spaces_bytes();

	for (size_t i = 0; i < ARRAY_SIZE(pools); i++)
		n += pool_bytes(pools[i]);
	for (size_t i = 0; i < ARRAY_SIZE(indexes); i++)
		n += index_bytes(indexes[i]);
	return n;
}

void flows_stats(const struct flows *f, struct flows_stats *ret)
{
	*ret = f->stats;
	ledger(f, ret);
	ret->udp_open = ret->udp_started - ret->udp_ended;
	ret->pending = f->queue[QUEUE_PENDING].n + f->queue[QUEUE_PARTLY].n;
	ret->flows = f->flows.live;
	ret->ended = f->ended.n;
	ret->cgroups = f->nodes.live;
	ret->procs = f->procs.live;
	ret->nats = f->nats.live;
	names_figures(f, ret);
	ret->bytes = bytes(f);
}
