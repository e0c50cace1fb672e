/*
 * The agent's series about what it asks of the API server for the reducer: watches, owners
 * read one by one, and requests altogether. A kind is a series, however many watches it has.
 */
#pragma once

#include "base/buf.h"
#include "core/core.h"
#include "kube/budget.h"

/* 0, -EMSGSIZE or -ENOMEM. */
int watch_series(struct core *core, const struct budget *budget, struct buf *out);
