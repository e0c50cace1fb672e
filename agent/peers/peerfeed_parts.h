/*
 * What both directions of peerfeed.h share. Private to this room.
 */
#pragma once

#include "peers/peerfeed.h"
#include "peers/varint.h"

/* The tag: the type below, these above. */
#define TAG_TYPE     0x0f
#define TAG_LISTED   0x10
#define TAG_RUNNING  0x20 /* pods */
#define TAG_NODE     0x20 /* places */
#define TAG_WORKLOAD 0x40 /* pods, names */
#define TAG_CLAIMS   0x80 /* their number is told; else there is one */

#define CLAIM_V6   0x01
#define CLAIM_OVER 0x02

#define SNAPSHOT_FIRST 0x01
#define SNAPSHOT_LAST  0x02

/* Up to the next millisecond. */
static inline uint64_t peerfeed_ms(nsec_t t)
{
	return t / NSEC_PER_MSEC + (t % NSEC_PER_MSEC != 0);
}

static inline bool peerfeed_has_entry(enum peerfeed_type t)
{
	return t == PEERFEED_POD || t == PEERFEED_PLACE || t == PEERFEED_ENDED ||
	       t == PEERFEED_FORGET;
}
