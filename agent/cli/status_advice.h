/*
 * What to do about a condition that fails, and what in the figures is worth a look though
 * all conditions hold. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

/* A sentence for a condition of /readyz by its name and message. Static text. */
const char *status_advice(struct str condition, struct str message);

/* From the page of metrics: each remark is told with what to do. 0 or what `tell` returns. */
int status_remarks(struct str metrics, int (*tell)(void *ctx, const char *what, const char *advice),
		   void *ctx);
