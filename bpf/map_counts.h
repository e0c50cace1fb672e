/* Map `counts`: what was counted per cause, one u64 each, per CPU. */
#pragma once

#include "kernel.h"
#include "flow_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, _ABI_COUNT_MAX);
	__type(key, u32);
	__type(value, u64);
} counts SEC(".maps");

/* The add is atomic because an interrupt may count on the same CPU. */
static __always_inline void count_add(u32 what, s64 by)
{
	u64 *n = bpf_map_lookup_elem(&counts, &what);

	if (n)
		__sync_fetch_and_add(n, by);
}

static __always_inline void count(u32 what)
{
	count_add(what, 1);
}

/* What only one program counts, which no kernel runs within itself on a CPU that has
 * bpf_rdonly_cast. */
static __always_inline void count_alone(u32 what)
{
#ifdef NO_DIRECT
	count(what);
#else
	u64 *n = bpf_map_lookup_elem(&counts, &what);

	if (n)
		*(volatile u64 *)n = *n + 1;
#endif
}
