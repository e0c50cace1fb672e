/*
 * Map `udp_owners`: the v1 cgroup of UDP sockets, by socket cookie; used only where pods are in
 * v1. A socket names its v2 cgroup itself; its v1 owner is the task that made it or sends with it.
 * One that was pushed out, or was open before the programs were, is learnt again when it sends.
 */
#pragma once

#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384); /* the loader makes it 1 where it is not used */
	__type(key, u64);
	__type(value, u64); /* with ABI_CGROUP_V1 */
} udp_owners SEC(".maps");
