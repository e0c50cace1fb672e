/*
 * Map `listeners`: who listens where, so that an accepted socket, which is made in softirq, has a
 * process. When it is full, the accepted sockets of the listener that was left out are stand-ins
 * (ABI_SOCK_STAND_IN).
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"

struct listener_key {
	u8 addr[16];
	u32 netns;
	u16 port; /* host order */
	u16 pad;
};

struct listener {
	u64 sk;	       /* the first of them; 0: it has gone, others stay */
	u64 owner;     /* pointer to its v2 cgroup: an accepted socket inherits it */
	u64 cgroup;    /* that one's id */
	u64 cgroup_v1; /* of the task; 0: none, or several that differ */
	u32 pid;       /* 0: several processes listen here (SO_REUSEPORT) */
	u32 n;	       /* sockets that listen here */
	u8 comm[ABI_COMM_MAX];
	u8 v6only;
	u8 pad[7];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct listener_key);
	__type(value, struct listener);
} listeners SEC(".maps");

#ifndef NO_DIRECT
#define HEARD_BITS 6

/* How often who listens changed, by a hash of the port. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << HEARD_BITS);
	__type(key, u32);
	__type(value, u64);
} heard_at SEC(".maps");

struct heard {
	u64 changes; /* of `heard_at` as it was then, + 1 */
	struct listener_key key;
	struct listener listener; /* n 0: nobody, or who did before the programs were */
};

/* By a hash of what was looked for. No program runs within itself on a CPU, where there is this. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1 << HEARD_BITS);
	__type(key, u32);
	__type(value, struct heard);
} heard SEC(".maps");
#endif
