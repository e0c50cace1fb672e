/*
 * What is written of one object as a JSON line. Pure.
 */
#pragma once

#include "base/json_out.h"
#include "sink/graph/graph.h"

/* "Secret/payments/db" as a member. */
void lines_ref(struct json_out *j, const char *key, const struct graph_ref *r);
/* The line with its newline: 0, -EMSGSIZE or -ENOMEM. */
int lines_put(struct buf *b, struct str cluster, const struct relay_item *item);
