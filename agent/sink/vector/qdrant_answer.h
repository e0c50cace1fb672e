/* Answers of Qdrant's REST API, read. Pure. */
#pragma once

#include "sink/vector/doc_json.h"

/* Payload keys that get an index before the first points come: filters use them, and strict mode
 * refuses filters on others. */
#define QDRANT_INDEXES 7
extern const char *const qdrant_index_keys[QDRANT_INDEXES];

struct qdrant_collection {
	unsigned missing;   /* bit i: qdrant_index_keys[i] has no index yet */
	uint32_t max_batch; /* strict mode's; 0: none */
	uint32_t max_query; /* points of a scroll or query; 0: no limit */
};

/* GET /collections/NAME: VECTOR_OK with ret, VECTOR_MISMATCH or VECTOR_RETRY (no such answer). */
enum vector_outcome qdrant_read_collection(json_t *root, uint32_t dim,
					   struct qdrant_collection *ret, struct buf *words);
/* The scroll for points of another model or template: VECTOR_OK when there are none. */
enum vector_outcome qdrant_read_others(json_t *root, const struct doc_origin *want,
				       struct buf *words);
/* A write: VECTOR_OK when Qdrant has completed it, or all of its parts. */
enum vector_outcome qdrant_read_written(json_t *root, struct buf *words);
/* A page of a scroll. `next` is the offset to go on from, as JSON; empty at the end. */
enum vector_outcome qdrant_read_page(json_t *root, struct str cluster,
				     void (*row)(void *ctx, const struct backend_known *k),
				     void *ctx, struct buf *next, struct buf *words);
/* Points of a query, appended to `out` as a JSON list. */
enum vector_outcome qdrant_read_hits(json_t *root, struct buf *out, struct buf *words);
