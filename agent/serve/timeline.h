/*
 * Who talked to whom in the last minutes, workload to workload, in slots of time: what
 * the page shows. A slot has a cell for each edge that had traffic in it.
 *
 *     slot 170 | e1 e2 e3     slot 171 | e2     slot 172 | e1 e4 ...   the last one grows
 *
 * Bounds: TIMELINE_KEEP of time; TIMELINE_MAX_CELLS cells, over which the oldest slot goes
 * early (timeline_begin tells); TIMELINE_MAX_EDGES edges, over which what is new is
 * counted in one edge from "other" to "other". An edge goes with its last cell. No I/O, one
 * thread.
 */
#pragma once

#include "base/clock.h"
#include "base/str.h"
#include "flow/flows.h"
#include "sink/metrics/metrics.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TIMELINE_SLOT	   (10 * NSEC_PER_SEC)
#define TIMELINE_KEEP	   (900 * NSEC_PER_SEC)
#define TIMELINE_SLOTS	   (TIMELINE_KEEP / TIMELINE_SLOT)
#define TIMELINE_MAX_EDGES 4096
#define TIMELINE_MAX_IDS   (TIMELINE_MAX_EDGES + 1) /* "other" */
#define TIMELINE_MAX_CELLS 65536

struct timeline;

struct timeline_opts { /* 0: the maximum above, which they may not exceed */
	uint32_t max_edges, max_cells;
};
/* `now`: nothing was seen before. 0 or -ENOMEM. */
int timeline_new(const struct timeline_opts *o, nsec_t now, struct timeline **ret);
void timeline_free(struct timeline **t);
/* What one flow's counters have grown by, for the edge from its client to its server. Without
 * memory it is left out, and counted. */
void timeline_add(struct timeline *t, nsec_t now, const struct flow_view *v,
		  const struct metrics_growth *d);
/* Slots that are too old go. */
void timeline_run(struct timeline *t, nsec_t now);
/* Since when it has all there was. */
nsec_t timeline_begin(const struct timeline *t);

/* ---- reading --------------------------------------------------------------------------------- */

struct timeline_end {		   /* borrowed until the next timeline_add or timeline_run */
	struct str ns, kind, name; /* "unknown": its kind is why; see unknown_reason_name */
};
struct timeline_edge {
	uint64_t serial; /* from 1 on, never comes again; ids do */
	struct timeline_end from, to;
};
struct timeline_cell {
	uint64_t slot;	/* begins at slot * TIMELINE_SLOT, monotonic */
	uint32_t index; /* in its slot */
	uint32_t edge;	/* id, from 1 to timeline_ids */
	uint64_t mark;	/* of its last change */
	struct metrics_growth counts;
};
/* Highest id of an edge so far. */
uint32_t timeline_ids(const struct timeline *t);
/* False: this id is nobody's. */
bool timeline_edge_at(const struct timeline *t, uint32_t edge, struct timeline_edge *ret);
/* The first cell at or behind (slot, index), by slot and index. False: there is none. */
bool timeline_cell_at(const struct timeline *t, uint64_t slot, uint32_t index,
		      struct timeline_cell *ret);
/* A new mark: cells that change from here on have it, or a higher one. */
uint64_t timeline_mark(struct timeline *t);

struct timeline_stats {
	uint32_t edges, cells;
	uint64_t lost;	/* additions that no memory was left for */
	uint64_t other; /* additions that went to "other" */
	uint64_t early; /* slots that went before their time */
	size_t bytes;
};
void timeline_stats(const struct timeline *t, struct timeline_stats *ret);
