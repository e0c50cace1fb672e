/*
 * All series of a running agent beside those that serve has of itself and of flows, in
 * Prometheus' text format.
 */
#pragma once

#include "base/buf.h"

struct agent;

/* 0, -EMSGSIZE or -ENOMEM. */
int agent_series(struct agent *a, struct buf *out);
