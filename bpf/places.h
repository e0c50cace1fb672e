/*
 * Taking a place of the map `places`, and giving it back. A taken one is odd until it is filled, so
 * that who reads it from elsewhere does not see half a socket; that of one's own socket is seen by
 * nobody else, because its lock is held.
 */
#pragma once

#include "kernel.h"
#include "map_counts.h"
#include "map_socks.h"

#ifdef NO_DIRECT /* kernels that may have no such atomic operations */
static __always_inline struct abi_sock *places_take(u64 sk, u64 **ret_mark)
{
	*ret_mark = NULL;
	return NULL;
}

static __always_inline void places_filled(u64 *mark, u64 sk)
{
}
#else
/* The same address is in the hash: the end of that socket was missed while there was no room here,
 * or it was told and only its entry could not be deleted. */
static __always_inline void places_forget_spilled(const struct abi_places *p, u64 sk)
{
	const struct abi_sock *old = spilled_find(p, sk);
	bool told = old && old->state == TCP_CLOSE;

	if (!old || bpf_map_delete_elem(&socks, &sk))
		return;
	spilled_add(sk, -1);
	if (!told)
		count(ABI_COUNT_DROP_CLOSE);
}

/* A place for this socket, to be filled; NULL: there is none. If it has one the end of the socket
 * before was missed, and is counted unless a poll found that (refresh.bpf.c). */
static __always_inline struct abi_sock *places_take(u64 sk, u64 **ret_mark)
{
	struct abi_places *p = places_of(sk);

	*ret_mark = NULL;
	if (!p)
		return NULL;
#pragma unroll
	for (int i = 0; i < ABI_PLACES; i++) {
		if (p->sk[i] != sk || __sync_val_compare_and_swap(&p->sk[i], sk, sk | 1) != sk)
			continue;
		if (p->sock[i].state != TCP_CLOSE)
			count(ABI_COUNT_DROP_CLOSE);
		*ret_mark = &p->sk[i];
		return &p->sock[i];
	}
#pragma unroll
	for (int i = 0; i < ABI_PLACES; i++) {
		if (p->sk[i] || __sync_val_compare_and_swap(&p->sk[i], 0, sk | 1))
			continue;
		places_forget_spilled(p, sk);
		*ret_mark = &p->sk[i];
		return &p->sock[i];
	}
	return NULL;
}

/* After all of it is written. */
static __always_inline void places_filled(u64 *mark, u64 sk)
{
#ifdef __TARGET_ARCH_arm64
	__sync_lock_test_and_set(mark, sk);
#else
	*(volatile u64 *)mark = sk;
#endif
}
#endif

static __always_inline void places_give(u64 *mark)
{
#ifdef __TARGET_ARCH_arm64 /* what was read of it must not be read after this */
	__sync_fetch_and_and(mark, 0);
#else
	*(volatile u64 *)mark = 0;
#endif
}
