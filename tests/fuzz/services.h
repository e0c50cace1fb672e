/* What the harnesses of services' answers share. */
#pragma once

#include "sink/vector/backend.h"
#include "base/json_in.h"
#include "sink/vector/vectors.h"

#include <stdlib.h>

static inline void fuzz_check(bool ok)
{
	if (!ok)
		abort();
}

/* The input as an answer's JSON; NULL when it is none. */
static inline json_t *fuzz_json(const uint8_t *data, size_t size)
{
	return size ? json_loadb((const char *)data, size, 0, NULL) : NULL;
}

/* Whatever is refused is told in words; whatever is taken can be compared. */
static inline void fuzz_vectors(enum vector_outcome how, struct vectors *v, uint32_t n,
				const struct buf *words)
{
	fuzz_check(how == VECTOR_OK ? v->v != NULL : v->v == NULL);
	fuzz_check(how == VECTOR_OK || buf_str(words).n > 0);
	for (uint32_t i = 0; v->v && i < n; i++)
		fuzz_check(!vector_wrong(v->v + (size_t)i * v->dim, v->dim));
	free(v->v);
}

static inline void fuzz_row(void *ctx, const struct backend_known *k)
{
	size_t *sum = ctx;

	fuzz_check(k->id.n > 0);
	*sum += k->id.n + k->kind.n + k->ns.n;
	if (k->text_hash)
		*sum += k->text_hash[DOC_HASH_SIZE - 1];
}

/* A search's answer is JSON for whoever asked. */
static inline void fuzz_hits(enum vector_outcome how, const struct buf *hits)
{
	json_t *list;

	if (how != VECTOR_OK)
		return;
	list = json_loadb(buf_str(hits).p, buf_str(hits).n, 0, NULL);
	fuzz_check(json_is_array(list));
	json_decref(list);
}
