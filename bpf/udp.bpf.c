/*
 * Every UDP datagram that leaves or reaches a socket, counted by conversation and cgroup; DNS
 * messages are copied for the agent, too. Attached at the root of the v2 hierarchy, both ways.
 *
 * The hooks lie between socket and network: egress comes before the datagram is cut into fragments
 * (and before a GSO batch is cut into segments, which are counted), ingress after they were put
 * together, so that one datagram is one run. What passes through
 * without a socket, a tunnel's packets (VXLAN, WireGuard) on their way in, and UDP-Lite are not
 * seen. Whatever is not UDP leaves at the first test; the verdict is always to go on.
 *
 * Runs in softirq or in the sender's context, concurrently with itself.
 */
#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"
#include "map_ring.h"
#include "map_udp.h"
#include "map_udp_owners.h"
#include "owner.h"

#define GO_ON	 1
#define DNS_PORT 53

const volatile uint8_t dns = 1; /* copy what goes to or comes from port 53 */

struct iphdr {
	u8 version_ihl, tos;
	__be16 tot_len, id, frag_off;
	u8 ttl, protocol;
	__sum16 check;
	__be32 saddr, daddr;
};

struct ipv6hdr {
	__be32 version_class_flow;
	__be16 payload_len;
	u8 nexthdr, hop_limit;
	u32 saddr[4], daddr[4];
};

struct ports {
	__be16 source, dest;
};

#define UDP_HEADER   8
#define IP6_MAX_EXTS 4 /* more extension headers than this: not counted */
enum { EXT_HOP = 0, EXT_ROUTING = 43, EXT_DEST = 60 };

/* Fields of the context are read once each: told to read one twice, clang may keep its offset in a
 * register, and the verifier forbids sums with the context. */
struct packet {
	struct abi_udp_key key;
	void *data, *end; /* what can be read directly */
	u32 payload;	  /* offset of the UDP payload */
	u32 len, segs;
	bool v6;
};

static __always_inline void put_v4(u8 to[16], __be32 ip)
{
	u32 *w = (u32 *)to;

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = ip;
}

static __always_inline void put_v6(u8 to[16], const u32 ip[4])
{
	u32 *w = (u32 *)to;

	for (int i = 0; i < 4; i++)
		w[i] = ip[i];
}

/* Source and destination → local and remote. */
static __always_inline bool put_ports(struct packet *p, u32 at, bool egress)
{
	struct ports *h = p->data + at;

	if ((void *)(h + 1) > p->end)
		return false;
	p->key.lport = bpf_ntohs(egress ? h->source : h->dest);
	p->key.rport = bpf_ntohs(egress ? h->dest : h->source);
	p->payload = at + UDP_HEADER;
	return true;
}

static __always_inline bool read_v4(struct packet *p, const struct iphdr *ip, bool egress)
{
	put_v4(p->key.laddr, egress ? ip->saddr : ip->daddr);
	put_v4(p->key.raddr, egress ? ip->daddr : ip->saddr);
	return put_ports(p, (ip->version_ihl & 15) * 4U, egress);
}

/* Offset of the UDP header behind extension headers; 0: it is not UDP. Fragment headers do not
 * occur: egress runs before they are made, and reassembly takes them away. */
static __noinline u32 behind_exts(struct __sk_buff *skb)
{
	u32 at = sizeof(struct ipv6hdr);
	u8 ext[2], next = 0;

	if (bpf_skb_load_bytes(skb, __builtin_offsetof(struct ipv6hdr, nexthdr), &next, 1))
		return 0;
#pragma unroll
	for (int i = 0; i < IP6_MAX_EXTS; i++) {
		if (next == IPPROTO_UDP)
			return at;
		if (next != EXT_HOP && next != EXT_ROUTING && next != EXT_DEST)
			return 0;
		if (bpf_skb_load_bytes(skb, at, ext, sizeof(ext)))
			return 0;
		next = ext[0];
		at += (ext[1] + 1U) * 8;
	}
	return next == IPPROTO_UDP ? at : 0;
}

static __always_inline bool read_v6(struct __sk_buff *skb, const struct ipv6hdr *ip,
				    struct packet *p, bool egress)
{
	u32 at = sizeof(*ip);

	p->v6 = true;
	put_v6(p->key.laddr, egress ? ip->saddr : ip->daddr);
	put_v6(p->key.raddr, egress ? ip->daddr : ip->saddr);
	if (ip->nexthdr != IPPROTO_UDP)
		at = behind_exts(skb);
	/* The verifier wants a bound before the packet is read there. */
	return at && at < 4096 && put_ports(p, at, egress);
}

/*
 * On egress, translation in this network namespace has rewritten the packet. Its source may be a
 * masquerade's, so the socket's own is taken where it has one. Its destination is where it goes,
 * which the remote of a connected socket need not be: sendto() may name another.
 */
static __always_inline void local_of_socket(struct __sk_buff *skb, struct packet *p)
{
	u32 port = skb->local_port;
	__be32 ip;

	if (port)
		p->key.lport = (u16)port;
	if (p->v6) {
		u32 local[4] = {skb->local_ip6[0], skb->local_ip6[1], skb->local_ip6[2],
				skb->local_ip6[3]};

		if (local[0] | local[1] | local[2] | local[3])
			put_v6(p->key.laddr, local);
		return;
	}
	ip = skb->local_ip4;
	if (ip)
		put_v4(p->key.laddr, ip);
}

/* True: the socket is connected, and not to where this packet goes. */
static __always_inline bool is_elsewhere(struct __sk_buff *skb, const struct packet *p,
					 struct abi_udp_key *asked)
{
	u32 port = bpf_ntohl(skb->remote_port);
	const u64 *a = (const u64 *)asked->raddr, *b = (const u64 *)p->key.raddr;

	*asked = p->key;
	if (!port)
		return false;
	if (p->v6) {
		u32 remote[4] = {skb->remote_ip6[0], skb->remote_ip6[1], skb->remote_ip6[2],
				 skb->remote_ip6[3]};

		if (!(remote[0] | remote[1] | remote[2] | remote[3]))
			return false;
		put_v6(asked->raddr, remote);
	} else {
		__be32 remote = skb->remote_ip4;

		if (!remote)
			return false;
		put_v4(asked->raddr, remote);
	}
	asked->rport = (u16)port;
	return asked->rport != p->key.rport || a[0] != b[0] || a[1] != b[1];
}

/* False: not UDP (or not to be read). */
static __always_inline bool read_packet(struct __sk_buff *skb, struct packet *p, bool egress)
{
	struct ipv6hdr *ip6 = p->data;
	struct iphdr *ip = p->data;

	if ((void *)(ip + 1) > p->end)
		return false;
	if (ip->version_ihl >> 4 == 4)
		return ip->protocol == IPPROTO_UDP && read_v4(p, ip, egress);
	if ((void *)(ip6 + 1) > p->end)
		return false;
	if (ip6->nexthdr != IPPROTO_UDP && ip6->nexthdr != EXT_HOP && ip6->nexthdr != EXT_ROUTING &&
	    ip6->nexthdr != EXT_DEST)
		return false;
	return read_v6(skb, ip6, p, egress);
}

/* Where pods are in v1: the cgroup of who made the socket, else of who sends with it (egress runs
 * in the sender's context). */
static __always_inline u64 owner_v1(struct __sk_buff *skb, bool egress)
{
	u64 cookie = bpf_get_socket_cookie(skb), id;
	u64 *known = bpf_map_lookup_elem(&udp_owners, &cookie);

	if (known)
		return *known;
	id = egress ? owner_task_v1((void *)bpf_get_current_task()) : 0;
	if (id)
		bpf_map_update_elem(&udp_owners, &cookie, &id, BPF_ANY);
	return id;
}

static __always_inline u64 owner(struct __sk_buff *skb, bool egress)
{
	u64 v1 = v1_controller ? owner_v1(skb, egress) : 0;

	return v1 ? v1 : bpf_skb_cgroup_id(skb);
}

#define SK_HEAD                                                                           \
	64 /* bytes from the start of a socket; 48 lie before skc_net on x86_64 and arm64 \
	    */

/* The socket's network namespace; 0: not known. The pointer may not be followed by this kind of
 * program, nor may anything be added to it, but with CAP_PERFMON (5.8) it may be given as it is to
 * the helper that reads kernel memory. */
static __always_inline u32 netns_of(struct __sk_buff *skb)
{
	u32 at = bpf_core_field_offset(struct sock, __sk_common.skc_net);
	struct bpf_sock *sk = skb->sk;
	u64 head[SK_HEAD / 8];
	const struct net *net;

	if (!sk || at % 8 || at + 8 > SK_HEAD || bpf_probe_read_kernel(head, sizeof(head), sk))
		return 0;
	net = (const void *)head[at / 8];
	return READ(net, ns.inum);
}

static __always_inline void copy_dns(struct __sk_buff *skb, const struct packet *p, bool egress)
{
	u32 len = p->len - p->payload, n = len;
	struct abi_dns *d;

	if (len == 0)
		return;
	if (n > ABI_DNS_MAX)
		n = ABI_DNS_MAX;
	/* The bounds again, in a form that every verifier follows and clang does not see through.
	 */
	n--;
	asm volatile("" : "+r"(n));
	n = (n & (ABI_DNS_MAX - 1)) + 1;
	d = ring_reserve(ABI_DNS, sizeof(*d), bpf_ktime_get_ns());
	if (!d) {
		count(ABI_COUNT_DROP_DNS);
		return;
	}
	d->key = p->key;
	d->egress = egress;
	d->pad = 0;
	d->len = len > 0xffff ? 0xffff : (u16)len;
	d->captured = bpf_skb_load_bytes(skb, p->payload, d->data, n) ? 0 : (u16)n;
	d->pad2 = 0;
	ring_submit(d);
}

/* The first datagram of a conversation. */
static __always_inline struct abi_udp *make(struct __sk_buff *skb, const struct packet *p,
					    bool egress)
{
	u32 netns = netns_of(skb);
	struct abi_udp_key asked;

	if (!egress)
		return udp_make(&p->key, ABI_DIR_IN, netns);
	if (!is_elsewhere(skb, p, &asked))
		return udp_make(&p->key, ABI_DIR_OUT, netns);
	if (!udp_entry(&asked))
		udp_make_asked(&asked, ABI_DIR_OUT, netns, ABI_UDP_ASKED, NULL);
	return udp_make_asked(&p->key, ABI_DIR_OUT, netns, 0, &asked);
}

static __always_inline int datagram(struct __sk_buff *skb, bool egress)
{
	struct packet p = {.data = (void *)(long)skb->data, .end = (void *)(long)skb->data_end};
	struct abi_udp *u;
	u32 bytes;

	if (!read_packet(skb, &p, egress))
		return GO_ON;
	p.len = skb->len;
	p.segs = skb->gso_segs;
	if (p.len < p.payload)
		return GO_ON;
	if (egress)
		local_of_socket(skb, &p);
	p.key.cgroup = owner(skb, egress);
	u = udp_entry(&p.key);
	if (!u)
		u = make(skb, &p, egress);
	bytes = p.len - p.payload;
	if (!u) {
		count(ABI_COUNT_DROP_UDP_FULL);
	} else {
		udp_touch(u);
		__sync_fetch_and_add(egress ? &u->sent : &u->received, bytes);
		__sync_fetch_and_add(egress ? &u->sent_packets : &u->received_packets,
				     p.segs > 1 ? p.segs : 1);
	}
	if (dns && (p.key.lport == DNS_PORT || p.key.rport == DNS_PORT))
		copy_dns(skb, &p, egress);
	return GO_ON;
}

SEC("cgroup_skb/egress")
int udp_egress(struct __sk_buff *skb)
{
	return datagram(skb, true);
}

SEC("cgroup_skb/ingress")
int udp_ingress(struct __sk_buff *skb)
{
	return datagram(skb, false);
}

/* The two below are loaded only where pods are in v1. */
SEC("cgroup/sock_create")
int udp_sock_create(struct bpf_sock *sk)
{
	u64 cookie, id;

	if (sk->protocol != IPPROTO_UDP)
		return GO_ON;
	cookie = bpf_get_socket_cookie(sk);
	id = owner_task_v1((void *)bpf_get_current_task());
	if (id)
		bpf_map_update_elem(&udp_owners, &cookie, &id, BPF_ANY);
	return GO_ON;
}

SEC("cgroup/sock_release")
int udp_sock_release(struct bpf_sock *sk)
{
	u64 cookie;

	if (sk->protocol != IPPROTO_UDP)
		return GO_ON;
	cookie = bpf_get_socket_cookie(sk);
	bpf_map_delete_elem(&udp_owners, &cookie);
	return GO_ON;
}

LICENCE;
