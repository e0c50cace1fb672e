/* Retransmissions, counted for the node; a socket's own are among its counters. */
#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"

LICENCE;

SEC("raw_tp/tcp_retransmit_skb")
int tcp_retransmit(struct bpf_raw_tracepoint_args *ctx)
{
	count(ABI_COUNT_RETRANSMITS);
	return 0;
}
