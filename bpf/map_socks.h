/*
 * Every TCP connection that is open, by the address of its struct sock: in the map `places`, or
 * where that has no room, in the hash `socks`; and map `missed`, which remembers by a few bits of
 * that address how many had no room in either, so that their ends are not taken for those of
 * sockets that were open before the programs.
 *
 * `places` is there for its price: looking into an array is no call, while a hash of the kernel's
 * costs 150 to 250 ns a socket more. Putting one in needs atomic operations with a result (Linux
 * 5.12), so only the programs for newer kernels do (see sock_view.h); all look.
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, u64);
	__type(value, struct abi_sock);
} socks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the loader sets its own, a power of two */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct abi_places);
} places SEC(".maps");

/* 32 - the bits of a bucket's number; 0: `places` is not used. */
const volatile uint32_t places_shift = 0;

static __always_inline u32 socks_hash(u64 sk)
{
	return (u32)(sk >> 6) * 2654435761u; /* Fibonacci hashing: the upper bits are good */
}

static __always_inline struct abi_places *places_of(u64 sk)
{
	u32 i = socks_hash(sk) >> (places_shift & 31);

	return places_shift ? bpf_map_lookup_elem(&places, &i) : NULL;
}

/* How many of a bucket's sockets are in the hash. */
static __always_inline void spilled_add(u64 sk, s64 by)
{
	struct abi_places *p = places_of(sk);

	if (p)
		__sync_fetch_and_add(&p->spilled, by);
}

/* The entry in the hash, where there may be one. One's own socket's is counted: its lock is held.
 * `p`: its bucket. */
static __always_inline struct abi_sock *spilled_find(const struct abi_places *p, u64 sk)
{
	return !p || p->spilled ? bpf_map_lookup_elem(&socks, &sk) : NULL;
}

/* *ret_mark: that of its place; NULL: it is in the hash. */
static __always_inline struct abi_sock *socks_find_at(u64 sk, u64 **ret_mark)
{
	struct abi_places *p = places_of(sk);

	*ret_mark = NULL;
	if (p) {
#pragma unroll
		for (int i = 0; i < ABI_PLACES; i++) {
			if (p->sk[i] != sk)
				continue;
			*ret_mark = &p->sk[i];
			return &p->sock[i];
		}
	}
	return spilled_find(p, sk);
}

static __always_inline struct abi_sock *socks_find(u64 sk)
{
	u64 *mark;

	return socks_find_at(sk, &mark);
}

#define MISSED_CELLS 4096

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MISSED_CELLS);
	__type(key, u32);
	__type(value, u64);
} missed SEC(".maps");

/* Two sockets in one cell may be taken for each other: one is then told as found open, the sums
 * stay right. */
static __always_inline u64 *missed_cell(u64 sk)
{
	u32 cell = socks_hash(sk) >> 20; /* 12 bits */

	return bpf_map_lookup_elem(&missed, &cell);
}
