/*
 * Counters of open sockets, when the agent asks: it writes up to ABI_FRESH_MAX sockets into the map
 * `fresh` and runs this program by BPF_PROG_TEST_RUN; it is attached nowhere. Only sockets that are
 * keys of `socks` are read, and what is answered is of the socket asked for: address and start
 * agree before and after the read, the socket's own addresses and ports are the record's.
 *
 * Nobody holds the socket's lock meanwhile. What was read in the midst of a change is told apart
 * where it would be wrong, and not answered: the next poll asks again.
 *
 * An end can be missed: a program that would run inside itself on one CPU is skipped. The entry
 * would stay, and the flow be open, until the address comes again; so what is over is marked here,
 * and counted.
 */
#define NO_DIRECT /* one kind of program for all kernels: a poll is rare */
#include "kernel.h"
#include "flow_abi.h"
#include "map_fresh.h"
#include "map_socks.h"
#include "tcp_record.h"

LICENCE;

/* Of this program alone, which one caller runs at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct sock_view);
} fresh_view SEC(".maps");

static __always_inline bool may_be_read(u32 state)
{
	return 1u << state & (1u << TCP_ESTABLISHED | 1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 |
			      1u << TCP_CLOSE_WAIT | 1u << TCP_LAST_ACK | 1u << TCP_CLOSING);
}

#define YOUNG 1000000000 /* ns: a connect is told of before the kernel changes the state */

/* It is closed, or something else by now. */
static __always_inline bool is_over(const struct abi_tuple *was, const struct sock_view *v,
				    const struct sock *sk, u32 state, struct abi_tuple *now)
{
	const u64 *x = (const u64 *)was->raddr, *y = (const u64 *)now->raddr;

	return state == TCP_CLOSE || !record_is_tcp(v, sk) || !record_tuple(now, v, sk) ||
	       x[0] != y[0] || x[1] != y[1] || was->rport != now->rport;
}

static __always_inline void end_missed(struct abi_sock *s, u64 start)
{
	if ((s64)(bpf_ktime_get_ns() - start) < YOUNG || s->start != start || s->state == TCP_CLOSE)
		return;
	s->state = TCP_CLOSE;
	count(ABI_COUNT_DROP_CLOSE);
}

static __always_inline bool same_tuple(const struct abi_tuple *a, const struct abi_tuple *b)
{
	const u64 *x = (const u64 *)a, *y = (const u64 *)b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3] && x[4] == y[4];
}

/* A FIN is queued a moment after the state says so, and is taken away from two fields that change
 * one after the other: they must stand still. */
static __always_inline bool fin_is_settled(const struct sock_view *v, const struct sock *sk,
					   const struct tcp_raw *r)
{
	const struct tcp_sock *tp = (const void *)sk;

	return !VIEW_HEAD_GET(v, sk, u32, struct sock, sk_lock.owned) &&
	       READ(tp, bytes_acked) == r->bytes_acked && READ(tp, snd_una) == r->snd_una &&
	       READ(tp, write_seq) == r->write_seq;
}

static __always_inline bool counters_of(struct abi_counters *c, const struct sock_view *v,
					const struct sock *sk, bool connected, u32 state)
{
	const bool fin = tcp_fin_queued(state);
	struct tcp_raw raw;

	tcp_raw_view(&raw, v, sk);
	if (fin && !fin_is_settled(v, sk, &raw))
		return false;
	if ((s32)(raw.write_seq - raw.snd_una) < 0) /* read one before the other moved on */
		raw.write_seq = raw.snd_una;
	tcp_counters(c, &raw, connected, fin);
	return true;
}

/* Not inline: the verifier looks at it once. */
__noinline int refresh_one(u32 i)
{
	struct abi_fresh *f = bpf_map_lookup_elem(&fresh, &i);
	struct abi_counters c;
	struct abi_tuple t;
	struct sock_view *v;
	const struct sock *sk;
	struct abi_sock *s;
	u64 key, start;
	u32 zero = 0;
	u8 state;

	v = bpf_map_lookup_elem(&fresh_view, &zero);
	if (!f || !v)
		return 0;
	f->updated = 0;
	key = f->sk;
	start = f->start;
	s = socks_find(key);
	if (!s || s->start != start || s->state == TCP_CLOSE)
		return 0;
	sk = (const void *)key;
	view_head(v, sk);
	view_tail(v, sk);
	state = VIEW_HEAD_GET(v, sk, u8, struct sock, __sk_common.skc_state);
	if (is_over(&s->tuple, v, sk, state, &t)) {
		end_missed(s, start);
		return 0;
	}
	if (!(s->flags & ABI_SOCK_WAS_OPEN) || state > TCP_CLOSING || !may_be_read(state) ||
	    !same_tuple(&t, &s->tuple) || !counters_of(&c, v, sk, s->dir == ABI_DIR_OUT, state))
		return 0;
	s = socks_find(key);
	if (!s || s->start != start || s->state == TCP_CLOSE)
		return 0;
	f->counters = c;
	f->state = state;
	f->updated = bpf_ktime_get_ns();
	return 0;
}

/* The first argument: how many of `fresh`, from the first on. */
SEC("raw_tp")
int refresh_run(struct bpf_raw_tracepoint_args *ctx)
{
	u64 n = ctx->args[0];

	for (u32 i = 0; i < ABI_FRESH_MAX && i < n; i++)
		refresh_one(i);
	return 0;
}
