/*
 * Maps `tape` and `tape_at`: records of TCP for the agent, as those of the ring, but in memory that
 * both sides share: a record written there is no call of the kernel, which saves 100 to 150 ns.
 * Many CPUs write, one reader reads; the order is that of the places taken. Taking one needs atomic
 * operations with a result (Linux 5.12), so only the programs for newer kernels do (see
 * sock_view.h); for the others `tape_slots` is 0, and the ring has all.
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"
#include "map_ring.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct abi_tape_at);
} tape_at SEC(".maps");

static __always_inline struct abi_tape_at *tape_now(void)
{
	u32 zero = 0;

	return bpf_map_lookup_elem(&tape_at, &zero);
}

#ifndef NO_DIRECT

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the loader sets its own, a power of two */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct abi_tcp);
} tape SEC(".maps");

const volatile uint32_t tape_slots = 0; /* of `tape`; 0: it is not used */

#define TAPE_TRIES 4 /* others were quicker: then it is as if it were full */

/* The next place, and its number; NULL: it is full. */
static __always_inline struct abi_tcp *tape_take(struct abi_tape_at *at, u64 *ret_pos)
{
#pragma unroll
	for (int i = 0; i < TAPE_TRIES; i++) {
		u64 pos = *(volatile u64 *)&at->tail;
		u32 slot = pos & (tape_slots - 1);

		if (pos - *(volatile u64 *)&at->head >= tape_slots)
			return NULL;
		if (__sync_val_compare_and_swap(&at->tail, pos, pos + 1) != pos)
			continue;
		*ret_pos = pos;
		return bpf_map_lookup_elem(&tape, &slot);
	}
	return NULL;
}

/* Wakes the reader, who waits at the ring, at each quarter that is filled. */
static __always_inline void tape_wake(const struct abi_tape_at *at, u64 pos)
{
	u64 waiting = pos + 1 - *(volatile u64 *)&at->head;
	void *r;

	if (waiting & (tape_slots / 4 - 1))
		return;
	r = bpf_ringbuf_reserve(&ring, sizeof(struct abi_head), 0);
	if (r)
		bpf_ringbuf_discard(r, BPF_RB_FORCE_WAKEUP);
}

/* False: it is full. */
static __always_inline bool tape_say(u8 type, u64 sk, const struct abi_sock *s, u64 now)
{
	struct abi_tape_at *at = tape_now();
	struct abi_tcp *r;
	u64 pos;

	if (!at)
		return false;
	r = tape_take(at, &pos);
	if (!r)
		return false;
	/* No atomic operation while this is on its way to memory, it would wait for that. */
	r->head.type = type;
	r->head.version = ABI_VERSION;
	r->head.size = sizeof(*r);
	r->head.time = now;
	r->sk = sk;
	__builtin_memcpy(&r->sock, s, sizeof(*s));
#ifdef __TARGET_ARCH_arm64 /* such an exchange is a barrier: all of it is there first */
	__sync_lock_test_and_set(&r->sk, sk);
#endif
	*(volatile u32 *)&r->head.lap = (u32)pos + 1;
	tape_wake(at, pos);
	return true;
}
#endif
