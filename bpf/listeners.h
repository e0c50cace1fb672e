/*
 * Who listens where. An accepted socket is found by its own address and port, exact first, then the
 * wildcard of its family, then that of IPv6 unless it takes IPv6 only.
 *
 * Never wrong rather than complete: where several processes listen at one address
 * (SO_REUSEPORT), or the listener's cgroup is not the accepted socket's (which
 * inherits it; a transparent proxy took the connection), there is no process.
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"
#include "map_listeners.h"
#include "map_procs.h"
#include "tcp_record.h"

static __always_inline void listeners_key(struct listener_key *k, const struct abi_tuple *t)
{
	__builtin_memcpy(k->addr, t->laddr, 16);
	k->netns = t->netns;
	k->port = t->lport;
	k->pad = 0;
}

static __always_inline bool listeners_is_v4(const u8 *addr)
{
	const u32 *w = (const u32 *)addr;

	return !w[0] && !w[1] && w[2] == bpf_htonl(0xffff);
}

static __always_inline struct listener *listeners_find(const struct abi_tuple *t)
{
	struct listener_key k;
	struct listener *l;
	bool v4 = listeners_is_v4(t->laddr);

	listeners_key(&k, t);
	l = bpf_map_lookup_elem(&listeners, &k);
	if (!l && v4) {
		record_addr4(k.addr, 0);
		l = bpf_map_lookup_elem(&listeners, &k);
	}
	if (!l) {
		__builtin_memset(k.addr, 0, 16);
		l = bpf_map_lookup_elem(&listeners, &k);
		if (l && v4 && l->v6only)
			l = NULL;
	}
	return l;
}

#ifdef NO_DIRECT
static __always_inline struct listener *listeners_recall(const struct abi_tuple *t)
{
	return listeners_find(t);
}

static __always_inline void listeners_changed(u16 port)
{
}
#else
static __always_inline u64 *listeners_changes(u16 port)
{
	u32 i = port * 2654435761u >> (32 - HEARD_BITS);

	return bpf_map_lookup_elem(&heard_at, &i);
}

/* Where a CPU remembers whom it found, until who listens at such a port changes. */
static __always_inline struct heard *listeners_heard(const struct listener_key *k)
{
	const u64 *w = (const u64 *)k->addr;
	u32 i = ((u32)(w[1] >> 32) ^ k->port) * 2654435761u >> (32 - HEARD_BITS);

	return bpf_map_lookup_elem(&heard, &i);
}

static __always_inline bool listeners_same(const struct listener_key *a,
					   const struct listener_key *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

static __always_inline struct listener *listeners_recall(const struct abi_tuple *t)
{
	u64 *changed = listeners_changes(t->lport);
	u64 changes = changed ? *(volatile u64 *)changed : 0;
	struct listener_key k;
	struct listener *l;
	struct heard *h;

	listeners_key(&k, t);
	h = listeners_heard(&k);
	if (!changed || !h)
		return listeners_find(t);
	if (h->changes == changes + 1 && listeners_same(&h->key, &k))
		return h->listener.n ? &h->listener : NULL;
	l = listeners_find(t);
	h->key = k;
	if (l)
		h->listener = *l;
	else
		h->listener.n = 0;
	h->changes = changes + 1;
	return l;
}

/* After a change. */
static __always_inline void listeners_changed(u16 port)
{
	u64 *changed = listeners_changes(port);

	if (changed)
		__sync_fetch_and_add(changed, 1);
}
#endif

/* Gives an accepted socket its owner and process, from who listens at its address. Its own
 * cgroup is the listener's as long as that listens. */
static __always_inline void listeners_name(struct abi_sock *s, const struct sock_view *v,
					   const struct sock *sk)
{
	struct listener *l = listeners_recall(&s->tuple);

	if (!l || l->owner != record_owner_pointer(v, sk)) {
		s->cgroup = record_owner(v, sk);
		s->flags |= ABI_SOCK_STAND_IN;
		return;
	}
	s->cgroup = l->cgroup;
	s->cgroup_v1 = l->cgroup_v1;
	s->pid = l->pid;
	__builtin_memcpy(s->comm, l->comm, sizeof(s->comm));
	if (!l->pid)
		s->flags |= ABI_SOCK_STAND_IN;
}

/* One more socket listens at an address. What the two do not share is not known from now on. */
static __always_inline void listeners_join(struct listener *l, const struct abi_sock *s)
{
	__sync_fetch_and_add(&l->n, 1);
	if (l->pid != s->pid) {
		l->pid = 0;
		__builtin_memset(l->comm, 0, sizeof(l->comm));
	}
	if (l->cgroup_v1 != s->cgroup_v1)
		l->cgroup_v1 = 0;
	if (l->cgroup != s->cgroup)
		l->owner = ~0ULL; /* no socket's */
}

static __always_inline void listeners_add(const struct sock_view *v, const struct sock *sk, u64 key,
					  const struct abi_sock *s)
{
	struct listener_key k;
	struct listener l = {
		.sk = key,
		.owner = record_owner_pointer(v, sk),
		.cgroup = s->cgroup,
		.cgroup_v1 = s->cgroup_v1,
		.pid = s->pid,
		.n = 1,
		.v6only = BPF_CORE_READ_BITFIELD_PROBED((const struct sock_common *)key,
							skc_ipv6only),
	};
	struct listener *there;

	__builtin_memcpy(l.comm, s->comm, sizeof(l.comm));
	listeners_key(&k, &s->tuple);
	if (!bpf_map_update_elem(&listeners, &k, &l, BPF_NOEXIST))
		return;
	there = bpf_map_lookup_elem(&listeners, &k);
	if (there)
		listeners_join(there, s);
}

/* The last one that listens at an address goes. One that was there before the programs were is
 * not counted in `n` and has nothing to take away, unless others do listen: then one stays that
 * should not, and names nobody else's sockets, because joining it again mixes them. */
static __always_inline void listeners_remove(const struct sock_view *v, const struct sock *sk,
					     u64 key)
{
	struct abi_tuple t;
	struct listener_key k;
	struct listener *l;

	if (!record_tuple(&t, v, sk))
		return;
	listeners_key(&k, &t);
	l = bpf_map_lookup_elem(&listeners, &k);
	if (!l)
		return;
	if (l->n > 1) {
		__sync_fetch_and_add(&l->n, -1);
		if (l->sk == key)
			l->sk = 0; /* whose socket it is that stays is not known */
		return;
	}
	if (l->sk == key || !l->sk)
		bpf_map_delete_elem(&listeners, &k);
}
