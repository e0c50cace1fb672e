/*
 * The agent's series about what it tells the reducer, in Prometheus' text format.
 */
#pragma once

#include "base/buf.h"
#include "core/core.h"
#include "sink/reducer/conn.h"

/* 0, -EMSGSIZE or -ENOMEM. */
int reducer_series(struct core *core, const struct conn *conn, struct buf *out);
