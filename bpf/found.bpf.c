/*
 * Connections that were open before the programs were: found when their process reads
 * (tcp_rcv_space_adjust runs once in a read). From then on they have a record, which the poll
 * refreshes like every other.
 */
#define NO_DIRECT    /* one kind of program for all kernels: it is run to the end once a socket */
#define RECORD_COUNT ABI_COUNT_FOUND
#include "kernel.h"
#include "flow_abi.h"
#include "tcp_record.h"

LICENCE;

static __always_inline void found(struct sock_view *v, const struct sock *sk, u64 key)
{
	u64 now = bpf_ktime_get_ns();
	struct abi_sock *s;
	u8 state;

	view_head(v, sk);
	state = VIEW_HEAD_GET(v, sk, u8, struct sock, __sk_common.skc_state);
	/* What is read after the end has been told of. */
	if (state == TCP_CLOSE || state == TCP_LISTEN)
		return;
	view_tail(v, sk);
	s = record_found(v, sk, key, now, state);
	if (s)
		record_open(key, s, now);
}

SEC("raw_tp/tcp_rcv_space_adjust")
int tcp_read(struct bpf_raw_tracepoint_args *ctx)
{
	u64 key = ctx->args[0];
	struct sock_view *v;

	if (socks_find(key))
		return 0;
	v = view_take();
	if (!v)
		return 0;
	found(v, (const void *)key, key);
	view_give(v);
	return 0;
}
