/*
 * Batches as requests to Neo4j's HTTP transaction endpoint: statements that never
 * change, and parameters. Pure. The graph it makes is described in README.md.
 */
#pragma once

#include "sink/graph/graph.h"

/* Each appends {"statements":[...]}: one transaction. 0, -EMSGSIZE or -ENOMEM. */
int cypher_schema(struct buf *b);
int cypher_write(struct buf *b, struct str cluster, uint64_t epoch, const struct relay_item *items,
		 uint32_t n);
int cypher_sweep(struct buf *b, struct str cluster, uint64_t epoch, struct str group,
		 struct str kind);
