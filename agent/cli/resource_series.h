/*
 * The agent's series about the resources it collects, in Prometheus' text format.
 */
#pragma once

#include "core/collect.h"

/* 0, -EMSGSIZE or -ENOMEM. */
int resource_series(const struct collect *c, const struct store *s, const struct redact *r,
		    struct buf *out);
