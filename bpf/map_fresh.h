/* Map `fresh`: which sockets' counters the agent wants, and the answers. The agent has it mapped.
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, ABI_FRESH_MAX);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, u32);
	__type(value, struct abi_fresh);
} fresh SEC(".maps");
