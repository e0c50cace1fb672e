/*
 * A vector database, as the sync (sync.h) sees it: a collection that is made or
 * checked first, then written in batches. Asynchronous: one request at a time per
 * backend, its end is told on a later turn of the loop. No retries here.
 */
#pragma once

#include "sink/vector/document.h"
#include "sink/vector/embedder.h"

#include <stdbool.h>
#include <stdint.h>

#define BACKEND_MAX_BATCH 500

struct backend;

struct backend_doc { /* borrowed until the operation returns: implementations copy or send */
	const struct document *doc;
	struct str text;     /* as doc->text */
	const float *vector; /* dim floats; NULL in a payload update */
};

struct backend_known { /* one document that the database holds; borrowed until `row` returns */
	struct str id; /* the document's own (_originalId where the point id is a UUID) */
	struct str cluster, api_version, kind, ns, uid;
	const uint8_t *text_hash, *meta_hash; /* DOC_HASH_SIZE; NULL: not recorded there */
};

typedef void (*backend_done)(void *ctx, const struct vector_end *end);

struct backend_query {
	struct str words;
	const float *vector;
	uint32_t dim;
	struct str kind, ns; /* empty: any */
	uint32_t n;
};

struct backend_ops {
	/* Makes the collection when it is missing, else checks dimension, distance, model and
	 * template against what it was made with (VECTOR_MISMATCH with words that name both). */
	int (*ensure)(struct backend *b, backend_done done, void *ctx);
	/* Documents with vectors: written whole, also over older ones. Answered VECTOR_OK only when
	 * the database has acknowledged that they are durable. -EMSGSIZE: over max_batch or
	 * max_body: halve it. */
	int (*upsert)(struct backend *b, const struct backend_doc *docs, uint32_t n,
		      backend_done done, void *ctx);
	/* The metadata alone, of documents that are there. NULL: the backend has no such request,
	 * documents are then written whole. */
	int (*payload)(struct backend *b, const struct backend_doc *docs, uint32_t n,
		       backend_done done, void *ctx);
	/* Ids as doc->id; those that are not there are no error. */
	int (*remove)(struct backend *b, const struct str *ids, uint32_t n, backend_done done,
		      void *ctx);
	/* Walks what is there, a page a call, beginning anew when `first`: `row` for each document,
	 * then done; *more (valid in done) tells whether to call again. Documents of other clusters
	 * and points of other programs are left out. NULL: cannot be listed. */
	int (*list)(struct backend *b, bool first,
		    void (*row)(void *ctx, const struct backend_known *k),
		    void (*done)(void *ctx, const struct vector_end *end, bool more), void *ctx);
	/* Nearest documents, best first: JSON, an array of {id, score, text, fields...}, appended
	 * to the buffer that `done` gets. `vector` may be NULL for words alone; -EINVAL where that
	 * cannot be done. NULL: cannot search. */
	int (*search)(struct backend *b, const struct backend_query *q,
		      void (*done)(void *ctx, const struct vector_end *end, struct str json),
		      void *ctx);
	/* Whether it answers, for health: cheap. */
	int (*health)(struct backend *b, backend_done done, void *ctx);
	void (*cancel)(struct backend *b);
	void (*free)(struct backend *b);
};

struct backend { /* first member of each implementation */
	const struct backend_ops *ops;
	const char *name;   /* "qdrant:http://q:6333/kindred", without credentials: logs, ledger */
	uint32_t max_batch; /* documents a request */
	size_t max_body;    /* bytes a request; 0: no limit known */
	uint32_t dim;	    /* of the vectors; 0 when it was made before anybody knew: set it before
			     * the first ensure, which answers -EINVAL without it */
	bool own_vectors;   /* the receiver embeds by itself (http:URL): vectors are not wanted */
	bool bulk; /* a batch is a transaction and no request: as many as wait may go in one,
		    * up to max_batch, whatever was said of requests */
};
