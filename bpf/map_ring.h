/*
 * Map `ring`: records for the agent. Waking a reader costs more than a record, so nobody is woken
 * until `ring_wake` bytes wait; the agent reads in short intervals anyway.
 */
#pragma once

#include "kernel.h"
#include "flow_abi.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20); /* bytes; the loader sets its own */
} ring SEC(".maps");

const volatile uint64_t ring_wake = 1 << 20; /* bytes waiting that wake the reader: a quarter */

/* Room for one record with its head filled, or NULL when the ring is full. */
static __always_inline void *ring_reserve(u8 type, u16 size, u64 now)
{
	struct abi_head *h = bpf_ringbuf_reserve(&ring, size, 0);

	if (!h)
		return NULL;
	h->type = type;
	h->version = ABI_VERSION;
	h->size = size;
	h->lap = 0;
	h->time = now;
	return h;
}

/* For records that others follow: asking how many bytes wait has its price. */
static __always_inline void ring_submit_quietly(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
}

static __always_inline void ring_submit(void *record)
{
	u64 waiting = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(record, waiting >= ring_wake ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

/* For what is waited for. */
static __always_inline void ring_submit_at_once(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_FORCE_WAKEUP);
}

/* For the many: one in eight asks, by the clock, which fills little of the ring more. */
static __always_inline void ring_submit_often(void *record, u64 now)
{
	if (now >> 10 & 7)
		ring_submit_quietly(record);
	else
		ring_submit(record);
}
