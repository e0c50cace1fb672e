/*
 * Map `asked`: the address and port given to connect(), before any other program rewrote
 * them, by socket cookie. Written by asked.bpf.c, read and deleted by tcp.bpf.c when the SYN is
 * about to leave. A connect() that fails before that leaves its entry, hence LRU.
 */
#pragma once

#include "kernel.h"

struct asked_value {
	u8 addr[16]; /* IPv4 as ::ffff:a.b.c.d */
	u16 port;    /* host order */
	u16 pad[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, u64);
	__type(value, struct asked_value);
} asked SEC(".maps");
