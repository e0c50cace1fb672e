/*
 * What turns texts into vectors: the built-in hash, or a service. Asynchronous: one
 * request at a time, its end is told on a later turn of the loop. No retries here:
 * whoever asks knows what may be asked again (sync.h).
 */
#pragma once

#include "base/buf.h"
#include "base/clock.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define EMBED_MAX_BATCH 256
#define EMBED_MAX_DIM	8192
#define EMBED_MAX_BODY	1572864 /* bytes of a request; a batch is cut before it */

struct embedder;

/* How a request to a service or database ended. */
enum vector_outcome {
	VECTOR_OK,
	VECTOR_RETRY,	 /* 408, 424, 425, 429, 5xx, transport, no JSON: the same again, later */
	VECTOR_SPLIT,	 /* 400, 413, 422: one of the batch, or its size, is refused: halve it */
	VECTOR_REFUSED,	 /* 401, 403, 501, 507 and every other status: nothing goes until somebody
			  * mends it; tried again slowly */
	VECTOR_GONE,	 /* 404: the collection or model is not there (any more) */
	VECTOR_MISMATCH, /* dimension or model is another: refused until --reembed */
	_VECTOR_OUTCOME_MAX,
};
const char *vector_outcome_name(enum vector_outcome o);

struct vector_end { /* borrowed until the callback returns */
	enum vector_outcome how;
	struct str text;    /* for people, redacted of credentials; "" for VECTOR_OK */
	nsec_t retry_after; /* as the server asked; 0: it did not */
};

struct embedder_ops {
	/* `texts` are copied or sent before it returns. `done` comes once, later: n vectors of
	 * `dim` floats each, in order, or NULL with end->how. Every vector is finite and none is
	 * zero, or the end is VECTOR_SPLIT with words (VECTOR_MISMATCH for another dimension than
	 * the one known). 0, -EBUSY (one is under way), -EMSGSIZE (over max_batch or
	 * EMBED_MAX_BODY: halve it) or -ENOMEM. */
	int (*embed)(struct embedder *e, const struct str *texts, uint32_t n,
		     void (*done)(void *ctx, const struct vector_end *end, const float *vectors,
				  uint32_t dim),
		     void *ctx);
	/* Whether it answers: cheap, and no embedding. -EBUSY as with embed. */
	int (*health)(struct embedder *e, void (*done)(void *ctx, const struct vector_end *end),
		      void *ctx);
	/* Drops a request under way; nothing is called back. */
	void (*cancel)(struct embedder *e);
	void (*free)(struct embedder *e);
};

struct embedder { /* first member of each implementation */
	const struct embedder_ops *ops;
	const char *model;  /* "hash-v1:384", "openai:all-minilm"; what vectors are said to be of */
	uint32_t dim;	    /* 0: not known before the first answer */
	uint32_t max_batch; /* texts a request: the option's, cut by the server's word */
};
