/*
 * Datagrams that reached a socket and were not taken, its queue being full. udp.bpf.c has counted
 * them as received before; here they are counted as dropped, and the agent subtracts.
 *
 * Newer kernels (6.10) give the datagram with the event, so the remote and the bytes are known.
 * Before, a connected socket tells its remote; drops of other sockets are summed up under a key
 * whose remote is zero. The tracepoint covers IPv6 since 6.4 only.
 */
#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"
#include "map_ring.h"
#include "map_udp.h"
#include "map_udp_owners.h"
#include "owner.h"

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct sk_buff {
	u32 len;
	__be16 protocol;
	u16 transport_header, network_header;
	unsigned char *head;
};

/* The event's fields; read by nobody here. */
struct trace_event_raw_udp_fail_queue_rcv_skb {
	int rc;
	u8 saddr[28];
};
#pragma clang attribute pop

const volatile uint8_t use_skb = 1; /* 0: do as on a kernel that does not give it (tests) */

static __always_inline bool have_skb(void)
{
	/* The argument and this field came with the same change. */
	return use_skb &&
	       bpf_core_field_exists(((struct trace_event_raw_udp_fail_queue_rcv_skb *)0)->saddr);
}

static __always_inline void put_v4(u8 to[16], __be32 ip)
{
	u32 w[4] = {0, 0, bpf_htonl(0xffff), ip};

	__builtin_memcpy(to, w, 16);
}

/* The payload's length: the UDP header was pulled before the datagram met the queue. */
static __always_inline u32 from_skb(const struct sk_buff *skb, struct abi_udp_key *k)
{
	const u8 *head = READ(skb, head);
	const u8 *ip = head + READ(skb, network_header);
	__be16 ports[2];
	__be32 v4[2];

	bpf_probe_read_kernel(ports, sizeof(ports), head + READ(skb, transport_header));
	k->rport = bpf_ntohs(ports[0]);
	k->lport = bpf_ntohs(ports[1]);
	if (READ(skb, protocol) == bpf_htons(ETH_P_IPV6)) {
		bpf_probe_read_kernel(k->raddr, 16, ip + 8);
		bpf_probe_read_kernel(k->laddr, 16, ip + 24);
	} else {
		bpf_probe_read_kernel(v4, sizeof(v4), ip + 12);
		put_v4(k->raddr, v4[0]);
		put_v4(k->laddr, v4[1]);
	}
	return READ(skb, len);
}

/* A socket that is not connected has zero as its remote, and as its local address when it is bound
 * to none. */
static __always_inline void from_sock(const struct sock *sk, struct abi_udp_key *k)
{
	__be32 remote = READ(sk, __sk_common.skc_daddr);

	k->lport = READ(sk, __sk_common.skc_num);
	k->rport = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	if (READ(sk, __sk_common.skc_family) == AF_INET6) {
		BPF_CORE_READ_INTO(&k->laddr, sk, __sk_common.skc_v6_rcv_saddr);
		if (k->rport)
			BPF_CORE_READ_INTO(&k->raddr, sk, __sk_common.skc_v6_daddr);
		return;
	}
	put_v4(k->laddr, READ(sk, __sk_common.skc_rcv_saddr));
	if (k->rport)
		put_v4(k->raddr, remote);
}

static __always_inline u64 owner(const struct sock *sk)
{
	u64 cookie, *v1;

	if (v1_controller) {
		cookie = READ(sk, __sk_common.skc_cookie.counter);
		v1 = bpf_map_lookup_elem(&udp_owners, &cookie);
		if (v1)
			return *v1;
	}
	return owner_v2(sk);
}

static __always_inline void tell(const struct abi_udp_key *k)
{
	struct abi_udp_drop *d = ring_reserve(ABI_UDP_DROP, sizeof(*d), bpf_ktime_get_ns());

	if (!d)
		return;
	d->key = *k;
	d->drops = 1;
	d->pad = 0;
	ring_submit(d);
}

SEC("raw_tp/udp_fail_queue_rcv_skb")
int udp_dropped(struct bpf_raw_tracepoint_args *ctx)
{
	const struct sock *sk = (const void *)ctx->args[1];
	struct abi_udp_key k = {};
	struct abi_udp *u;
	u32 bytes = 0;

	if (have_skb())
		bytes = from_skb((const void *)ctx->args[2], &k);
	else
		from_sock(sk, &k);
	k.cgroup = owner(sk);
	u = udp_entry(&k);
	if (!u)
		u = udp_make(&k, ABI_DIR_IN, READ(sk, __sk_common.skc_net.net, ns.inum));
	if (!u) {
		/* With its remote known it was not counted as received either: nothing to subtract.
		 */
		if (!k.rport)
			tell(&k);
		return 0;
	}
	udp_touch(u); /* for the entry without a remote, which nothing else keeps from being idle */
	__sync_fetch_and_add(&u->dropped, 1);
	__sync_fetch_and_add(&u->dropped_bytes, bytes);
	return 0;
}

LICENCE;
