/*
 * Attributes of OTLP: a key and a value each, with the names of OpenTelemetry's semantic
 * conventions where these have one. What is told of one end of a flow has the
 * convention's name behind "source." or "destination.": a flow has two of each thing, and
 * the conventions one name. The source is who connected (client), the destination who was
 * connected to; where that is not known the source is the end on this node. Pure.
 */
#pragma once

#include "flow/flows.h"
#include "sink/otlp/pb_out.h"

#include <stdbool.h>
#include <stdint.h>

#define OTLP_SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"

struct attrs {
	struct pb_out pb;
	unsigned field; /* of the message that they are written into; 0: without a tag */
};

void attr_text(struct attrs *a, const char *key, struct str value);
/* Nothing at all when `value` is empty. */
void attr_some(struct attrs *a, const char *key, struct str value);
void attr_u64(struct attrs *a, const char *key, uint64_t value);
void attr_double(struct attrs *a, const char *key, double value);
void attr_bool(struct attrs *a, const char *key, bool value);

/* Which of the two ends is the source: the remote one of a flow that was accepted here. */
static inline bool attrs_turned(const struct flow_view *v)
{
	return v->dir == FLOW_IN;
}
/* Namespace, workload and, with `whole`, pod, container, address and port of both ends, and how
 * they are known. */
void attrs_ends(struct attrs *a, const struct flow_view *v, bool whole);
