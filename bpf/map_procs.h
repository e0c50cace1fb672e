/*
 * Map `procs`: the processes that connected or listen, by tgid, so that exits and moves of all
 * others cost one look-up. The agent puts a process in when it sees it first, and looks whether it
 * has ended by then; where it cannot see the processes of the host, the programs do (want_procs).
 * An exit takes it out. When it is full, the exit of one more is not told here.
 */
#pragma once

#include "kernel.h"

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, u32);
	__type(value, u32);
} procs SEC(".maps");

static __always_inline void procs_note(u32 tgid)
{
	u32 one = 1;

	if (!bpf_map_lookup_elem(&procs, &tgid))
		bpf_map_update_elem(&procs, &tgid, &one, BPF_ANY);
}
