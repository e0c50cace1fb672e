/* Answers of Chroma's v2 REST API, read. Pure. */
#pragma once

#include "sink/vector/doc_json.h"

#define CHROMA_ID_MAX 64 /* bytes of a collection's UUID, with a NUL */

struct chroma_limits {
	uint32_t max_batch; /* records a request; 0: not told */
	bool base64;	    /* vectors may be base64 */
};

struct chroma_collection {
	char id[CHROMA_ID_MAX]; /* requests for records name the collection by it */
	bool unmarked;		/* empty, and without model and template: to be told */
};

enum vector_outcome chroma_read_limits(json_t *root, struct chroma_limits *ret, struct buf *words);
/* The collection, made or found: VECTOR_OK with ret, VECTOR_MISMATCH with both sides in words, or
 * VECTOR_RETRY (no such answer). */
enum vector_outcome chroma_read_collection(json_t *root, uint32_t dim,
					   const struct doc_origin *origin,
					   struct chroma_collection *ret, struct buf *words);
/* A page: `ret_n` records were there, ours or not. */
enum vector_outcome chroma_read_page(json_t *root, struct str cluster,
				     void (*row)(void *ctx, const struct backend_known *k),
				     void *ctx, size_t *ret_n, struct buf *words);
/* The answer of one query, appended to `out` as a JSON list; scores are 1 - distance. */
enum vector_outcome chroma_read_hits(json_t *root, struct buf *out, struct buf *words);
