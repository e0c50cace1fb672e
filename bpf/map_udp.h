/*
 * Map `udp`: UDP conversations, counted in the kernel so that only counts leave it. The agent
 * deletes what is idle. Full: the datagram is not counted, which is (ABI_COUNT_DROP_UDP_FULL).
 *
 * An entry that is deleted while a program adds to it loses that datagram; the agent deletes only
 * what has been silent for long.
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"
#include "map_counts.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct abi_udp_key);
	__type(value, struct abi_udp);
} udp SEC(".maps");

static __always_inline struct abi_udp *udp_entry(const struct abi_udp_key *k)
{
	return bpf_map_lookup_elem(&udp, k);
}

/* A new conversation; NULL when there is no room. `asked`: as in abi_udp; may be NULL. */
static __always_inline struct abi_udp *udp_make_asked(const struct abi_udp_key *k, u8 dir,
						      u32 netns, u8 flags,
						      const struct abi_udp_key *asked)
{
	struct abi_udp new = {.dir = dir, .netns = netns, .flags = flags};

	if (asked) {
		new.asked_port = asked->rport;
		__builtin_memcpy(new.asked_addr, asked->raddr, sizeof(new.asked_addr));
	}
	new.first = bpf_ktime_get_ns();
	new.last = new.first;
	new.tick = (u32)bpf_jiffies64();
	/* Another CPU may be first: then this fails, and the look-up finds its entry. */
	bpf_map_update_elem(&udp, k, &new, BPF_NOEXIST);
	return bpf_map_lookup_elem(&udp, k);
}

static __always_inline struct abi_udp *udp_make(const struct abi_udp_key *k, u8 dir, u32 netns)
{
	return udp_make_asked(k, dir, netns, 0, NULL);
}

/* The clock costs more than the rest of the work: it is read once a tick only. */
static __always_inline void udp_touch(struct abi_udp *u)
{
	u32 tick = (u32)bpf_jiffies64();

	if (u->tick == tick)
		return;
	u->tick = tick;
	u->last = bpf_ktime_get_ns();
}
