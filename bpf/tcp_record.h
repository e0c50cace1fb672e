/* Entries of the map `socks`: making them, telling of them. */
#pragma once

#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"
#include "map_ring.h"
#include "map_socks.h"
#include "map_tape.h"
#include "owner.h"
#include "places.h"
#include "tcp_counters.h"

#define RECORD_EXISTS (-17) /* -EEXIST */

#ifndef RECORD_COUNT /* which new ones are counted by */
#define RECORD_COUNT ABI_COUNT_STARTED
#endif

static __always_inline void record_addr4(u8 *dst, u32 addr)
{
	u32 *w = (u32 *)dst;

	w[0] = w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = addr;
}

static __always_inline void record_addr6(u8 *dst, const u8 *src)
{
	u32 *to = (u32 *)dst;
	const u32 *from = (const u32 *)src;

	to[0] = from[0];
	to[1] = from[1];
	to[2] = from[2];
	to[3] = from[3];
}

static __always_inline bool record_is_tcp(const struct sock_view *v, const struct sock *sk)
{
	return VIEW_HEAD_GET(v, sk, u16, struct sock, sk_protocol) == IPPROTO_TCP;
}

/* The port is the one in inet_sport: skc_num is given back before the socket's end is told. */
static __always_inline u16 record_lport(const struct sock_view *v, const struct sock *sk)
{
	return bpf_ntohs(VIEW_HEAD_GET(v, sk, u16, struct inet_sock, inet_sport));
}

static __always_inline void record_addrs6(struct abi_tuple *t, const struct sock_view *v,
					  const struct sock *sk)
{
	if (v) {
		record_addr6(t->raddr, v->head + bpf_core_field_offset(struct sock,
								       __sk_common.skc_v6_daddr));
		record_addr6(
			t->laddr,
			v->head + bpf_core_field_offset(struct sock, __sk_common.skc_v6_rcv_saddr));
		return;
	}
#pragma unroll
	for (int i = 0; i < 4; i++) {
		((u32 *)t->raddr)[i] = sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i];
		((u32 *)t->laddr)[i] = sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i];
	}
}

static __always_inline u32 record_netns(const struct sock_view *v, const struct sock *sk)
{
	const struct net *net;

	if (!v)
		return sk->__sk_common.skc_net.net->ns.inum;
	net = (const void *)VIEW_HEAD_GET(v, sk, u64, struct sock, __sk_common.skc_net.net);
	return READ(net, ns.inum);
}

static __always_inline bool record_is_ip(const struct sock_view *v, const struct sock *sk)
{
	u16 family = VIEW_HEAD_GET(v, sk, u16, struct sock, __sk_common.skc_family);

	return family == AF_INET || family == AF_INET6;
}

/* From the head of a view, or directly. False: not IP. sock_common is at the start: never outside.
 */
static __always_inline bool record_tuple(struct abi_tuple *t, const struct sock_view *v,
					 const struct sock *sk)
{
	u16 family = VIEW_HEAD_GET(v, sk, u16, struct sock, __sk_common.skc_family);
	if (family == AF_INET) {
		record_addr4(t->raddr,
			     VIEW_HEAD_GET(v, sk, u32, struct sock, __sk_common.skc_daddr));
		record_addr4(t->laddr,
			     VIEW_HEAD_GET(v, sk, u32, struct sock, __sk_common.skc_rcv_saddr));
	} else if (family == AF_INET6) {
		record_addrs6(t, v, sk);
	} else {
		return false;
	}
	t->rport = bpf_ntohs(VIEW_HEAD_GET(v, sk, u16, struct sock, __sk_common.skc_dport));
	t->lport = record_lport(v, sk);
	t->netns = record_netns(v, sk);
	return true;
}

static __always_inline u64 record_owner_pointer(const struct sock_view *v, const struct sock *sk)
{
	u64 field = 0;

	if (!v)
		return (u64)sk->sk_cgrp_data.cgroup;
	if (bpf_core_field_offset(struct sock, sk_cgrp_data) + sizeof(field) <= VIEW_HEAD)
		field = *(u64 *)(v->head + bpf_core_field_offset(struct sock, sk_cgrp_data));
	else
		bpf_core_read(&field, sizeof(field), &sk->sk_cgrp_data);
	return owner_pointer(field);
}

static __always_inline u64 record_owner(const struct sock_view *v, const struct sock *sk)
{
	return v ? owner_id(record_owner_pointer(v, sk)) : owner_direct(sk);
}

static __always_inline void record_begin(struct abi_sock *s, u8 state, u8 dir, u64 now)
{
	__builtin_memset(s, 0, sizeof(*s));
	s->start = s->updated = now;
	s->state = state;
	s->dir = dir;
}

/* An address comes again while its old entry is still there: the end of that one was missed, unless
 * it was told and only its entry could not be deleted. */
static __always_inline long record_replace(u64 key, const struct abi_sock *s)
{
	const struct abi_sock *old = bpf_map_lookup_elem(&socks, &key);
	bool told = old && old->state == TCP_CLOSE;
	long r = bpf_map_update_elem(&socks, &key, s, BPF_ANY);

	if (!r && !told)
		count(ABI_COUNT_DROP_CLOSE);
	return r;
}

/* Counts a new socket, after it was put into the hash with BPF_NOEXIST and result `r`. False: no
 * room. */
static __always_inline bool record_was_put(u64 key, const struct abi_sock *s, long r)
{
	count_alone(RECORD_COUNT);
	if (!r) {
		spilled_add(key, 1);
		return true;
	}
	if (r == RECORD_EXISTS)
		r = record_replace(key, s);
	if (r) {
		u64 *cell = missed_cell(key);

		if (cell)
			__sync_fetch_and_add(cell, 1);
		count(ABI_COUNT_DROP_SOCKS_FULL);
		return false;
	}
	return true;
}

/* Puts a new socket into the hash. False: no room. */
static __always_inline bool record_put(u64 key, const struct abi_sock *s)
{
	return record_was_put(key, s, bpf_map_update_elem(&socks, &key, s, BPF_NOEXIST));
}

/* The same of one that may have taken a place (its mark), and was written there. */
static __always_inline bool record_put_at(u64 key, const struct abi_sock *s, u64 *mark)
{
	if (!mark)
		return record_put(key, s);
	places_filled(mark, key);
	count_alone(RECORD_COUNT);
	return true;
}

/* True: this socket had no room when it started. */
static __always_inline bool record_missed(u64 key)
{
	u64 *cell = missed_cell(key);

	return cell && *cell;
}

/* One record for the agent, by the tape or the ring. False: it is full. The pointer is tested once:
 * verifiers before 6.3 forget that a ring record is not NULL. */
static __always_inline bool record_say(u8 type, u64 key, const struct abi_sock *s, u64 now)
{
	struct abi_tcp *r;

#ifndef NO_DIRECT
	if (tape_slots)
		return tape_say(type, key, s, now);
#endif
	r = ring_reserve(type, sizeof(*r), now);
	if (!r)
		return false;
	r->sk = key;
	__builtin_memcpy(&r->sock, s, sizeof(*s));
	if (type == ABI_TCP_OPEN)
		ring_submit_quietly(r); /* its end will be told */
	else
		ring_submit_often(r, now);
	return true;
}

/* Tells of an open one that is in a map; when the ring is full the poll tells. */
static __always_inline void record_open(u64 key, struct abi_sock *s, u64 now)
{
	if (record_say(ABI_TCP_OPEN, key, s, now))
		return;
	s->flags |= ABI_SOCK_OPEN_UNSENT;
	count(ABI_COUNT_RING_FULL_OPEN);
}

/* The same by its copy. */
static __always_inline void record_tell(u64 key, const struct abi_sock *s, u64 now)
{
	struct abi_sock *kept;

	if (record_say(ABI_TCP_OPEN, key, s, now))
		return;
	count(ABI_COUNT_RING_FULL_OPEN);
	kept = socks_find(key);
	if (kept)
		kept->flags |= ABI_SOCK_OPEN_UNSENT;
}

/* A socket that was open before the programs were, in state `state`; both copies of the view are
 * filled. Its owner in v1 and its process are not known: whoever runs now need not be it.
 * NULL: not followed. */
static __always_inline struct abi_sock *record_found(struct sock_view *v, const struct sock *sk,
						     u64 key, u64 now, u8 state)
{
	struct abi_sock s = {.start = now, .updated = now, .state = state};
	struct tcp_raw raw;
	bool fin = tcp_fin_queued(state);

	if (record_missed(key) || !record_is_tcp(v, sk) || !record_tuple(&s.tuple, v, sk))
		return NULL;
	s.flags = ABI_SOCK_PRE_EXISTING;
	if (state == TCP_SYN_SENT) {
		s.dir = ABI_DIR_OUT;
	} else {
		tcp_raw_view(&raw, v, sk);
		s.dir = tcp_guess_dir(v, sk, &raw, fin);
		tcp_counters(&s.counters, &raw, s.dir == ABI_DIR_OUT, fin);
		s.flags |= ABI_SOCK_WAS_OPEN;
	}
	if (s.dir == ABI_DIR_IN)
		s.flags |= ABI_SOCK_STAND_IN;
	s.cgroup = record_owner(v, sk);
	count(ABI_COUNT_PRE_EXISTING);
	if (!record_put(key, &s))
		return NULL;
	return bpf_map_lookup_elem(&socks, &key);
}
