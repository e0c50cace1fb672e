/*
 * Answers of POST /v1/embeddings, as OpenAI, Ollama, TEI, llama.cpp and vLLM give
 * them: {"data":[{"index":0,"embedding":[...]}, ...]}. Pure.
 */
#pragma once

#include "sink/vector/vectors.h"

/*
 * The vectors in the order of the request's texts: by `index`, which must name each of 0..n-1
 * once; an answer without any index is in order. VECTOR_OK with ret, else words in `text`:
 * VECTOR_SPLIT (count, index, or as vectors_read; VECTOR_RETRY for one text alone without a
 * vector), VECTOR_MISMATCH, VECTOR_RETRY (no such answer at all).
 */
enum vector_outcome openai_read(const json_t *root, uint32_t n, uint32_t want, const char *model,
				struct vectors *ret, struct buf *text);

/* TEI's "batch size 33 > maximum allowed batch size 32": 32; 0 when nothing of the kind is said. */
uint32_t openai_batch_limit(struct str error);
