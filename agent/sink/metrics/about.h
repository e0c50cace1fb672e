/*
 * The agent's series about itself and its sources, as text. All figures come as
 * arguments.
 */
#pragma once

#include "base/buf.h"
#include "flow/flows.h"
#include "flow/probe.h"
#include "inventory/inventory.h"
#include "sink/jsonl/jsonl.h"
#include "sink/metrics/metrics.h"

struct about { /* NULL: that part is not there */
	const struct flows_stats *flows;
	const struct probe *probe;
	const struct inventory_stats *inventory;
	const struct metrics_stats *metrics;
	const struct jsonl_stats *jsonl;
	nsec_t now; /* monotonic */
	const char *version, *commit;
};
/* 0, -EMSGSIZE or -ENOMEM. */
int about_print(const struct about *a, struct buf *out);
