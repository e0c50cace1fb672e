/*
 * ObjectMeta from JSON to protobuf, in the byte order of the API server's own
 * encoder. For objects that were recorded in JSON only, and for made ones.
 */
#pragma once

#include "base/buf.h"

#include <jansson.h>

/* Appends the ObjectMeta message (field numbers: generated.proto of apimachinery's meta/v1). */
void meta_to_pb(json_t *meta, struct buf *b);
/* Copies an ObjectMeta message with another resourceVersion (field 6) and, when `annotation`
 * is not empty, one more annotation (field 12) of value "true". */
void meta_pb_with(struct str meta, struct str rv, struct str annotation, struct buf *b);
