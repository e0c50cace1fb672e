/* What the rig's agent says of itself, over its unix socket: RIG_SOCKET in the rig's folder. */
#pragma once

#include "base/buf.h"
#include "tests/lib/rig.h"

#define RIG_SOCKET   "agent.sock" /* to be given to the agent: --socket */
#define RIG_PAGE_MAX ((size_t)1 << 20)

/* An answer, head and all, NUL-terminated; `what` is "GET /metrics". */
void rig_page(struct rig *rig, const char *what, struct buf *ret);
/* One series' value; -1 when it is not there. */
long rig_figure(struct rig *rig, const char *series);
/* Waits until it has this value. */
void rig_wait_figure(struct rig *rig, const char *series, long value);
