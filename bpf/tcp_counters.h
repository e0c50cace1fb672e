/*
 * A socket's counters from its struct tcp_sock, in payload bytes. The kernel's sequence space
 * counts SYN and FIN as a byte each, and so do
 *
 *	bytes_acked	SYN of the side that connected; FIN once acknowledged
 *	bytes_received	FIN of the other side (SOCK_DONE says it came); never its SYN
 *	write_seq	both, once queued
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"
#include "sock_view.h"

/* What is read, whichever way the program may read it. */
struct tcp_raw {
	u64 bytes_acked, bytes_received;
	u32 write_seq, snd_una;
	u32 segs_out, segs_in, retrans, lost, dsack;
	u32 srtt, rtt_min, rcv_rtt;
	u64 sock_flags;
};

/* From both copies of a view. */
static __always_inline void tcp_raw_view(struct tcp_raw *r, const struct sock_view *v,
					 const struct sock *sk)
{
	r->bytes_acked = VIEW_TAIL_GET(v, sk, u64, bytes_acked);
	r->bytes_received = VIEW_TAIL_GET(v, sk, u64, bytes_received);
	r->write_seq = VIEW_TAIL_GET(v, sk, u32, write_seq);
	r->snd_una = VIEW_TAIL_GET(v, sk, u32, snd_una);
	r->segs_out = VIEW_TAIL_GET(v, sk, u32, segs_out);
	r->segs_in = VIEW_TAIL_GET(v, sk, u32, segs_in);
	r->retrans = VIEW_TAIL_GET(v, sk, u32, total_retrans);
	r->lost = VIEW_TAIL_GET(v, sk, u32, lost_out);
	r->dsack = VIEW_TAIL_GET(v, sk, u32, dsack_dups);
	r->srtt = VIEW_TAIL_GET(v, sk, u32, srtt_us);
	r->rtt_min = VIEW_TAIL_GET(v, sk, u32, rtt_min.s[0].v);
	r->rcv_rtt = VIEW_TAIL_GET(v, sk, u32, rcv_rtt_est.rtt_us);
	r->sock_flags = VIEW_HEAD_GET(v, sk, u64, struct sock, __sk_common.skc_flags);
}

/* A FIN of ours is in the sequence space once one of these states was entered. */
static __always_inline bool tcp_fin_queued(u32 state)
{
	return 1u << state & (1u << TCP_FIN_WAIT1 | 1u << TCP_FIN_WAIT2 | 1u << TCP_CLOSING |
			      1u << TCP_LAST_ACK | 1u << TCP_TIME_WAIT);
}

static __always_inline bool tcp_flag(u64 sock_flags, u32 bit)
{
	return sock_flags >> bit & 1;
}

/* `connected`: our SYN is in bytes_acked. `fin`: tcp_fin_queued of the state (at the end: of the
 * one before it). For sockets that were established. */
static __always_inline void tcp_counters(struct abi_counters *c, const struct tcp_raw *r,
					 bool connected, bool fin)
{
	u64 sent = r->bytes_acked;
	u32 unacked = r->write_seq - r->snd_una;

	if (connected && sent)
		sent--;
	if (fin && unacked)
		unacked--;
	else if (fin && sent)
		sent--;
	c->sent = sent;
	c->unacked = unacked;
	c->received = r->bytes_received;
	if (c->received && tcp_flag(r->sock_flags, bpf_core_enum_value(enum sock_flags, SOCK_DONE)))
		c->received--;
	c->segs_out = r->segs_out;
	c->segs_in = r->segs_in;
	c->retrans = r->retrans;
	c->lost = r->lost;
	c->dsack = r->dsack;
	c->srtt_us = r->srtt >> 3;
	c->rtt_min_us = r->rtt_min == ~0u ? 0 : r->rtt_min; /* ~0: no sample yet */
	c->rcv_rtt_us = r->rcv_rtt >> 3;
}

/*
 * Which side connected, when nobody saw it: all that was ever put on the wire is payload
 * (bytes_sent, without what was sent again), and our SYN if it was acknowledged here, and our FIN.
 * Local drops of a retransmission blur it; then it is not known.
 */
static __always_inline u8 tcp_guess_dir(const struct sock_view *v, const struct sock *sk,
					const struct tcp_raw *r, bool fin)
{
	u32 snd_nxt = VIEW_TAIL_GET(v, sk, u32, snd_nxt);
	u64 payload =
		VIEW_TAIL_GET(v, sk, u64, bytes_sent) - VIEW_TAIL_GET(v, sk, u64, bytes_retrans);
	u64 wire = r->bytes_acked + (u32)(snd_nxt - r->snd_una);

	if (fin && snd_nxt == r->write_seq)
		payload++;
	if (wire == payload)
		return ABI_DIR_IN;
	return wire == payload + 1 ? ABI_DIR_OUT : ABI_DIR_UNKNOWN;
}
