/*
 * TCP connections, from the one tracepoint where every change of a socket's state passes
 * (inet_sock_set_state). Three changes matter on either side, the others leave at once:
 *
 *	CLOSE -> SYN_SENT		process context: who connects. The source port may not be
 *					chosen yet, so nothing is told
 *	SYN_SENT, SYN_RECV -> ESTABLISHED	told. An accepted socket is first seen here, in
 *					softirq: its process is its listener's
 *	any -> CLOSE			told, with final counters
 *	CLOSE -> LISTEN			process context: who listens
 *
 * Events of one socket come one after the other (its lock is held).
 */
#include "kernel.h"
#include "flow_abi.h"
#include "listeners.h"
#include "map_asked.h"
#include "map_ends.h"
#include "map_procs.h"
#include "tcp_record.h"

LICENCE;

const volatile uint8_t want_procs = 1; /* procs.bpf.c runs, and the agent does not note them */
const volatile uint8_t want_asked = 0; /* asked.bpf.c runs */

static __always_inline void note_task(struct abi_sock *s, const struct task_struct *t)
{
	const u64 *from = (const u64 *)t->comm;
	u64 *to = (u64 *)s->comm;

	s->pid = t->tgid;
	to[0] = from[0];
	to[1] = from[1];
	if (v1_controller)
		s->cgroup_v1 = owner_task_v1_direct(t);
}

static __always_inline void note_process(struct abi_sock *s, bool direct)
{
	if (direct) {
		note_task(s, view_task());
	} else {
		s->pid = bpf_get_current_pid_tgid() >> 32;
		bpf_get_current_comm(s->comm, sizeof(s->comm));
		if (v1_controller)
			s->cgroup_v1 = owner_task_v1((void *)bpf_get_current_task());
	}
	if (want_procs)
		procs_note(s->pid);
}

static __always_inline bool same_addr(const u8 *a, const u8 *b)
{
	const u32 *x = (const u32 *)a, *y = (const u32 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

static __always_inline void note_asked(struct abi_sock *s, const struct sock_view *v,
				       const struct sock *sk)
{
	u64 cookie = VIEW_HEAD_GET(v, sk, u64, struct sock, __sk_common.skc_cookie.counter);
	struct asked_value *a;

	if (!cookie)
		return;
	a = bpf_map_lookup_elem(&asked, &cookie);
	if (!a)
		return;
	if (a->port != s->tuple.rport || !same_addr(a->addr, s->tuple.raddr)) {
		__builtin_memcpy(s->asked_addr, a->addr, 16);
		s->asked_port = a->port;
	}
	bpf_map_delete_elem(&asked, &cookie);
}

/* The kernel tells before it looks for a port when none was bound: then it is not known where. A
 * record that finds no room costs the process's name only. */
static __always_inline void listening(struct sock_view *v, const struct sock *sk, u64 key)
{
	struct abi_sock s = {.state = TCP_LISTEN};
	u64 now = bpf_ktime_get_ns();

	if (!record_tuple(&s.tuple, v, sk))
		return;
	s.start = s.updated = now;
	s.tuple.lport = VIEW_HEAD_GET(v, sk, u16, struct sock, __sk_common.skc_num);
	s.cgroup = record_owner(v, sk);
	note_process(&s, !v);
	if (s.tuple.lport) {
		listeners_add(v, sk, key, &s);
		listeners_changed(s.tuple.lport);
	}
	if (!record_say(ABI_TCP_OPEN, key, &s, now))
		count(ABI_COUNT_DROP_PROC);
}

static __always_inline void connecting(struct sock_view *v, const struct sock *sk, u64 key)
{
	struct abi_sock own, *s;
	u64 *mark;

	if (!record_is_ip(v, sk))
		return;
	s = places_take(key, &mark);
	if (!s)
		s = &own;
	record_begin(s, TCP_SYN_SENT, ABI_DIR_OUT, bpf_ktime_get_ns());
	record_tuple(&s->tuple, v, sk);
	s->cgroup = record_owner(v, sk);
	note_process(s, !v);
	if (want_asked)
		note_asked(s, v, sk);
	record_put_at(key, s, mark);
}

static __always_inline void came_up(struct abi_sock *s, u64 key, u16 lport, u64 now)
{
	s->tuple.lport = lport; /* chosen after the SYN was announced */
	s->state = TCP_ESTABLISHED;
	s->flags |= ABI_SOCK_WAS_OPEN;
	s->updated = now;
	record_open(key, s, now);
}

/* It connected to its own address, or was found on its way up. An entry of another connection is
 * one whose end was missed. */
static __always_inline bool coming_up(const struct abi_sock *s, const struct abi_tuple *t)
{
	return (s->state == TCP_SYN_SENT || s->state == TCP_SYN_RECV) &&
	       s->tuple.rport == t->rport && same_addr(s->tuple.raddr, t->raddr);
}

/* First seen when it leaves SYN_RECV: its listener made it a moment ago. */
static __always_inline void accepted(struct sock_view *v, const struct sock *sk, u64 key, u64 now)
{
	struct abi_sock own, *s = socks_find(key);
	u64 *mark;

	if (!record_is_tcp(v, sk) || !record_is_ip(v, sk))
		return;
	if (s && s->state != TCP_ESTABLISHED) {
		struct abi_tuple t;

		if (record_tuple(&t, v, sk) && coming_up(s, &t)) {
			came_up(s, key, t.lport, now);
			return;
		}
	}
	s = places_take(key, &mark);
	if (!s)
		s = &own;
	record_begin(s, TCP_ESTABLISHED, ABI_DIR_IN, now);
	s->flags = ABI_SOCK_WAS_OPEN;
	record_tuple(&s->tuple, v, sk);
	listeners_name(s, v, sk);
	if (record_put_at(key, s, mark))
		record_tell(key, s, now);
}

/* Nobody saw it connect. */
static __always_inline void came_up_unknown(struct sock_view *v, const struct sock *sk, u64 key,
					    u64 now)
{
	struct abi_sock *s;

	if (!record_is_tcp(v, sk))
		return;
	s = record_found(v, sk, key, now, TCP_SYN_SENT);
	if (s)
		came_up(s, key, record_lport(v, sk), now);
}

/* When the packet came that is dealt with: read already, where the kernel keeps it. */
static __always_inline u64 came_at(const struct sock_view *v, const struct sock *sk)
{
	const struct tcp_sock *tp = (const void *)sk;

	if (!v && bpf_core_field_exists(tp->tcp_clock_cache))
		return tp->tcp_clock_cache;
	return bpf_ktime_get_ns();
}

/*
 * When it ended. The orderly ways out, with the other side's FIN, are taken while a packet or a
 * timer is dealt with, which has read the clock.
 */
static __always_inline u64 ended_at(const struct sock_view *v, const struct sock *sk, int old)
{
	if (!v && tcp_fin_queued(old) &&
	    tcp_flag(sk->__sk_common.skc_flags, bpf_core_enum_value(enum sock_flags, SOCK_DONE)))
		return came_at(v, sk);
	return bpf_ktime_get_ns();
}

/* `direct`: `sk` may be followed, no view is needed. */
static __always_inline void established(const struct sock *sk, u64 key, int old, bool direct)
{
	const struct inet_sock *inet = (const void *)sk;
	struct sock_view *v = NULL;
	struct abi_sock *s = NULL;

	if (old != TCP_SYN_RECV)
		s = socks_find(key);
	if (s) {
		came_up(s, key, bpf_ntohs(direct ? inet->inet_sport : READ(inet, inet_sport)),
			direct ? came_at(NULL, sk) : bpf_ktime_get_ns());
		return;
	}
	if (!direct) {
		v = view_take();
		if (!v)
			return;
		view_head(v, sk);
	}
	if (old == TCP_SYN_RECV)
		accepted(v, sk, key, came_at(v, sk));
	else
		came_up_unknown(v, sk, key, came_at(v, sk));
	if (!direct)
		view_give(v);
}

/*
 * Nobody saw it come up. One that had no room is forgotten here. A child that goes from SYN_RECV to
 * CLOSE was never a connection (its listener could not take it), unless data came with its SYN.
 */
static __always_inline struct abi_sock *ending_unknown(struct sock_view *v, const struct sock *sk,
						       u64 key, int old, u64 now)
{
	u64 *cell = missed_cell(key);
	struct abi_sock *s;

	if (cell && *cell) {
		__sync_fetch_and_add(cell, -1);
		return NULL;
	}
	if (old == TCP_SYN_RECV && !VIEW_TAIL_GET(v, sk, u64, fastopen_rsk))
		return NULL;
	s = record_found(v, sk, key, now, old);
	if (!s && cell && *cell)
		__sync_fetch_and_add(cell, -1);
	return s;
}

/* One that never came up has no payload, but for data that went with its SYN (TCP Fast Open).
 * write_seq may be an earlier connection's: only what was sent says that it is this one's. */
static __always_inline void unacked_failed(struct abi_counters *c, const struct sock_view *v,
					   const struct sock *sk, u64 bytes_acked)
{
	if (!VIEW_TAIL_GET(v, sk, u64, bytes_sent))
		c->unacked = 0;
	else if (!bytes_acked && c->unacked)
		c->unacked--; /* our SYN */
}

/*
 * Nothing but a reset of ours ends a connection from these states with no error; the kernel sends
 * it after it told of the new state. Once one side sent its FIN, the orderly ways out have the
 * other's FIN or no process.
 */
static __always_inline bool ended_by_own_reset(int old, u64 sock_flags)
{
	if (old == TCP_ESTABLISHED || old == TCP_CLOSE_WAIT)
		return true;
	return (old == TCP_FIN_WAIT1 || old == TCP_FIN_WAIT2) &&
	       !tcp_flag(sock_flags, bpf_core_enum_value(enum sock_flags, SOCK_DEAD)) &&
	       !tcp_flag(sock_flags, bpf_core_enum_value(enum sock_flags, SOCK_DONE));
}

static __always_inline void finish(struct abi_sock *s, const struct sock_view *v,
				   const struct sock *sk, int old)
{
	bool failed = old == TCP_SYN_SENT || old == TCP_SYN_RECV;
	struct tcp_raw raw;

	tcp_raw_view(&raw, v, sk);
	tcp_counters(&s->counters, &raw, s->dir == ABI_DIR_OUT, tcp_fin_queued(old));
	s->err = VIEW_HEAD_GET(v, sk, u32, struct sock, sk_err);
	if (!s->tuple.lport)
		s->tuple.lport = record_lport(v, sk); /* chosen after the SYN was announced */
	if (failed) {
		unacked_failed(&s->counters, v, sk, raw.bytes_acked);
	} else {
		s->flags |= ABI_SOCK_WAS_OPEN;
		if (!s->err && ended_by_own_reset(old, raw.sock_flags))
			s->flags |= ABI_SOCK_RST_SENT;
	}
	s->state = TCP_CLOSE;
}

/* The ring is full. */
static __always_inline void leave_end(struct abi_sock *s, u64 key)
{
	struct abi_end_key end = {.sk = key, .start = s->start};

	s->flags |= ABI_SOCK_CLOSE_UNSENT;
	if (bpf_map_update_elem(&ends, &end, s, BPF_ANY)) {
		count_add(ABI_COUNT_ENDED, -1);
		count(ABI_COUNT_DROP_CLOSE);
		return;
	}
	count(ABI_COUNT_RING_FULL_CLOSE);
}

static __always_inline void tell_end(struct abi_sock *s, u64 key, u64 *mark, u64 now)
{
	s->updated = now;
	count_alone(ABI_COUNT_ENDED);
	if (!record_say(ABI_TCP_CLOSE, key, s, now))
		leave_end(s, key);
	if (mark)
		places_give(mark);
	else if (!bpf_map_delete_elem(&socks, &key))
		spilled_add(key, -1);
}

static __always_inline void closing(struct sock_view *v, const struct sock *sk, u64 key, int old)
{
	u64 *mark, now = ended_at(v, sk, old);
	struct abi_sock *s = socks_find_at(key, &mark);

	view_tail(v, sk);
	if (s && s->flags & ABI_SOCK_WAS_OPEN) {
		view_head_error(v, sk);
	} else {
		view_head(v, sk);
		if (!s)
			s = ending_unknown(v, sk, key, old, now);
	}
	if (!s)
		return;
	finish(s, v, sk, old);
	tell_end(s, key, mark, now);
}

static __always_inline void listeners_gone(const struct sock_view *v, const struct sock *sk,
					   u64 key)
{
	listeners_remove(v, sk, key);
	listeners_changed(record_lport(v, sk));
}

static __always_inline void with_view(struct sock_view *v, const struct sock *sk, u64 key, int old,
				      int new)
{
	if (new == TCP_CLOSE && old != TCP_LISTEN) {
		closing(v, sk, key, old);
		return;
	}
	view_head(v, sk);
	if (!record_is_tcp(v, sk))
		return;
	if (new == TCP_SYN_SENT)
		connecting(v, sk, key);
	else if (new == TCP_LISTEN)
		listening(v, sk, key);
	else
		listeners_gone(v, sk, key);
}

static __always_inline int changed(struct bpf_raw_tracepoint_args *ctx, bool direct)
{
	int old = ctx->args[1], new = ctx->args[2];
	u64 key = ctx->args[0];
	const struct sock *sk;
	struct sock_view *v = NULL;

	if (new != TCP_ESTABLISHED &&new != TCP_CLOSE &&new != TCP_SYN_SENT &&new != TCP_LISTEN &&
	    (old != TCP_SYN_RECV || new == TCP_SYN_RECV))
		return 0;
	if (old == new)
		return 0;
	sk = direct ? view_direct(key) : (const void *)key;
	if (new != TCP_CLOSE && (new == TCP_ESTABLISHED || old == TCP_SYN_RECV)) {
		established(sk, key, old, direct);
		return 0;
	}
	if (!direct) {
		v = view_take();
		if (!v)
			return 0;
	}
	with_view(v, sk, key, old, new);
	if (!direct)
		view_give(v);
	return 0;
}

#ifndef NO_DIRECT
/* One of the two is loaded: the first where the verifier takes it. */
SEC("?raw_tp/inet_sock_set_state")
int tcp_state_direct(struct bpf_raw_tracepoint_args *ctx)
{
	return changed(ctx, true);
}
#endif

SEC("raw_tp/inet_sock_set_state")
int tcp_state(struct bpf_raw_tracepoint_args *ctx)
{
	return changed(ctx, false);
}
