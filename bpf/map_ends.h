/*
 * Map `ends`: final records of sockets that ended while the ring was full; the agent's poll takes
 * them out. By address and start, because the kernel uses addresses again at once.
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384); /* the loader sets its own */
	__type(key, struct abi_end_key);
	__type(value, struct abi_sock);
} ends SEC(".maps");
