/*
 * What connect() was given, kept until tcp.bpf.c sees the SYN about to leave: there the socket has
 * the address that is really used. Attached to the pods' cgroups, not to the root: the program of
 * a child runs before that of its parent, so a load balancer at the root has not rewritten the
 * address yet.
 *
 * Runs in the context of connect(), before the socket is locked by anybody else.
 */
#include "kernel.h"
#include "flow_abi.h"
#include "map_asked.h"

#define GO_ON 1

static __always_inline void keep(struct bpf_sock_addr *ctx, struct asked_value *a)
{
	u64 cookie = bpf_get_socket_cookie(ctx);

	a->port = bpf_ntohs((u16)ctx->user_port);
	bpf_map_update_elem(&asked, &cookie, a, BPF_ANY);
}

SEC("cgroup/connect4")
int asked_connect4(struct bpf_sock_addr *ctx)
{
	struct asked_value a = {};
	u32 *w = (u32 *)a.addr;

	if (ctx->protocol != IPPROTO_TCP)
		return GO_ON;
	w[2] = bpf_htonl(0xffff);
	w[3] = ctx->user_ip4;
	keep(ctx, &a);
	return GO_ON;
}

/* Also an IPv4 address on an IPv6 socket, which comes as ::ffff:a.b.c.d. */
SEC("cgroup/connect6")
int asked_connect6(struct bpf_sock_addr *ctx)
{
	struct asked_value a = {};
	u32 *w = (u32 *)a.addr;

	if (ctx->protocol != IPPROTO_TCP)
		return GO_ON;
	w[0] = ctx->user_ip6[0];
	w[1] = ctx->user_ip6[1];
	w[2] = ctx->user_ip6[2];
	w[3] = ctx->user_ip6[3];
	keep(ctx, &a);
	return GO_ON;
}

LICENCE;
