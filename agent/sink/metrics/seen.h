/*
 * How much of each flow was counted already, and which of two views of one connection
 * counts: the client's. Private to this folder.
 */
#pragma once

#include "flow/flows.h"

enum seen_flag {
	SEEN_CONNECTED = 1 << 0, /* counted as a connection */
	SEEN_ENDED = 1 << 1,
	SEEN_TWIN = 1 << 2, /* the other end's view counts, this one does not */
};
struct seen {	       /* 56 bytes for every flow id that was ever in use at once */
	uint64_t mark; /* serial + 1 of the flow; 0: none */
	uint64_t sent, received, dropped;
	nsec_t updated;
	uint32_t retrans;
	uint32_t flags;
};
struct seen_table {
	struct seen *v;
	uint32_t n;
};

void seen_done(struct seen_table *t);
/* The flow's place, emptied when another flow had it. NULL: no memory. Borrowed until the next. */
struct seen *seen_get(struct seen_table *t, const struct flow_view *v);
/* Whether this view counts. What was counted of the one that does not is handed over. Both places
 * must be there. */
bool seen_primary(struct seen_table *t, const struct flow_view *v, const struct flow_view *twin);
