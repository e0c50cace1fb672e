/*
 * Resets, sent and received: counted, and remembered by the socket they end. A reset that ends a
 * socket by the will of its own process is sent after the end was told of; tcp.bpf.c sees that by
 * itself. tcp_receive_reset also runs when data comes for a process that is gone.
 */
#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"
#include "map_socks.h"

LICENCE;

static __always_inline void mark(u64 sk, u16 flag)
{
	struct abi_sock *s;

	if (!sk)
		return;
	s = socks_find(sk);
	if (s && s->state != TCP_CLOSE)
		s->flags |= flag;
}

/* The socket is NULL when the reset answers a packet that belongs to none. */
SEC("raw_tp/tcp_send_reset")
int tcp_reset_sent(struct bpf_raw_tracepoint_args *ctx)
{
	count(ABI_COUNT_RST_SENT);
	mark(ctx->args[0], ABI_SOCK_RST_SENT);
	return 0;
}

SEC("raw_tp/tcp_receive_reset")
int tcp_reset_received(struct bpf_raw_tracepoint_args *ctx)
{
	count(ABI_COUNT_RST_RECEIVED);
	mark(ctx->args[0], ABI_SOCK_RST_RECEIVED);
	return 0;
}
