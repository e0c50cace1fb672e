/*
 * What stands around metrics and logs in a request of OTLP: who tells (the resource) and
 * by what (the scope). Pure.
 */
#pragma once

#include "sink/otlp/attrs.h"

struct otlp_source { /* borrowed; all but `version` and `instance` may be empty */
	struct str version;
	struct str instance; /* another one with each start */
	struct str host, node, cluster;
};

struct envelope {
	size_t resource, scope; /* where they began */
};

/* The request begins, to be followed by the entries of the scope (field 2), then envelope_end. */
struct envelope envelope_begin(struct pb_out *p, const struct otlp_source *s);
void envelope_end(struct pb_out *p, struct envelope e);
#define ENVELOPE_ENTRY 2 /* ScopeMetrics.metrics, ScopeLogs.log_records */
/* Bytes that it may take: names of Kubernetes are short, and texts of options are not. */
#define ENVELOPE_MAX (16U << 10)
