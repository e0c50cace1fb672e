/*
 * Prometheus' text format (version 0.0.4), written into a buffer.
 */
#pragma once

#include "base/buf.h"
#include "base/hist.h"
#include "base/str.h"

#include <stdint.h>

struct prom {
	struct buf *out; /* borrowed */
	int r;		 /* the first failure; from then on nothing is written */
};

/* Begins a family: its HELP and TYPE lines ("counter", "gauge", "summary", "histogram"). */
void prom_family(struct prom *p, const char *name, const char *type, const char *help);
/* One series: `labels` is the inside of the braces, escaped already, and may be empty. */
void prom_u64(struct prom *p, const char *name, struct str labels, uint64_t v);
void prom_i64(struct prom *p, const char *name, struct str labels, int64_t v);
/* A number of microseconds or nanoseconds, as seconds; `per_second` is how many make one. */
void prom_seconds(struct prom *p, const char *name, struct str labels, uint64_t v,
		  uint64_t per_second);
/* A family with one series, without labels. */
void prom_one(struct prom *p, const char *name, const char *type, const char *help, uint64_t v);
/* One series with one label, whose value needs no escapes: a name of our own. */
void prom_named(struct prom *p, const char *name, const char *label, const char *value, uint64_t v);
/* All series of a histogram: NAME_bucket, NAME_sum and NAME_count. */
void prom_hist(struct prom *p, const char *name, struct str labels, const struct hist *h);
/* NAME="VALUE" behind what stands there: escaped, and valid UTF-8 whatever `value` holds. */
void prom_label(struct prom *p, const char *name, struct str value);
