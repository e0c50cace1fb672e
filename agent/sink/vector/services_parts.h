/* What the files of embedders and databases share. Private to agent/sink/vector. */
#pragma once

#include "sink/vector/backend.h"
#include "sink/vector/embedder.h"
#include "sink/vector/service_http.h"
#include "sink/vector/services.h"

#define EMBED_BATCH   32  /* texts of a request, when nothing else is said */
#define BACKEND_BATCH 100 /* documents, likewise */

/* `rest` is the spec behind its first colon. 0, -ENOMEM, or -EINVAL with a sentence. */
int embed_builtin_new(const struct embedder_opts *o, struct str rest, struct embedder **ret,
		      struct buf *ret_error);
int embed_openai_new(const struct embedder_opts *o, struct str rest, struct embedder **ret,
		     struct buf *ret_error);
int embed_triton_new(const struct embedder_opts *o, struct str rest, struct embedder **ret,
		     struct buf *ret_error);

int backend_qdrant_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		       struct buf *ret_error);
int backend_chroma_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		       struct buf *ret_error);
int backend_http_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		     struct buf *ret_error);
int backend_sqlite_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		       struct buf *ret_error);

/* max_batch of a request: what was asked for, else `standard`, within `most`. */
static inline uint32_t services_batch(uint32_t asked, uint32_t standard, uint32_t most)
{
	uint32_t n = asked ? asked : standard;

	return n < most ? n : most;
}
