/*
 * One flow as one JSON object, as include/flow.schema.json describes it, and which
 * events a look at a flow makes. Pure: no I/O, no clock.
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "flow/flows.h"

#include <stdbool.h>
#include <stdint.h>

enum line_event {
	LINE_OPEN,
	LINE_REFRESH,
	LINE_CLOSE, /* also a reset: `state` tells */
	LINE_FAIL,  /* never came up */
	LINE_DROP,  /* its end was not seen, or lines were lost */
	_LINE_EVENT_MAX,
};
const char *line_event_name(enum line_event e);

/* Longest line: names of both ends at their bounds, each byte escaped. A longer one is refused. */
#define LINE_MAX (32U << 10)

/* Wall clock of a monotonic time. `offset` is CLOCK_REALTIME - CLOCK_MONOTONIC, which may be
 * negative in a simulation. */
static inline nsec_t line_wall(nsec_t mono, int64_t offset)
{
	return mono + (nsec_t)offset;
}

/* The object and a newline. All or nothing: 0, -EMSGSIZE or -ENOMEM. */
int line_flow(const struct flow_view *v, enum line_event e, int64_t offset, struct buf *out);
/* An event of its own that says that `count` flows' lines are missing here, and why
 * ("slow_output", "slow_reader", "too_long"). 0, -EMSGSIZE or -ENOMEM. */
int line_lost(nsec_t wall, const char *why, uint64_t count, struct buf *out);
/* What a flow that is only looked at once is shown as: open, or how it ended. */
enum line_event line_event_of(const struct flow_view *v);

/* ---- which events ---------------------------------------------------------------------------- */

/* What one reader was told: the serial of the flow whose opening was, by flow id. 8 bytes for every
 * id that the flow table ever had in use at once. */
struct line_marks {
	uint64_t *serial;
	uint32_t n;
};
void line_marks_done(struct line_marks *m);

/* The events of a flow that has changed, in order: an open before everything but a failure.
 * Returns how many (0 to 2; 0: it ended and that was told). Changes nothing. */
unsigned line_events(const struct line_marks *m, const struct flow_view *v, enum line_event ret[2]);
/* Room for this flow's mark: 0 or -ENOMEM. */
int line_marks_fit(struct line_marks *m, flow_id id);
/* Those events were told; line_marks_fit was called before. */
void line_mark(struct line_marks *m, const struct flow_view *v);
