/* Answers of Chroma; see chroma_answer.h. */
#include "sink/vector/chroma_answer.h"

#include "base/json_in.h"

#include <ctype.h>
#include <stdio.h>

static enum vector_outcome strange(struct buf *words, const char *what)
{
	(void)buf_printf(words, "the answer has no %s", what);
	return VECTOR_RETRY;
}

enum vector_outcome chroma_read_limits(json_t *root, struct chroma_limits *ret, struct buf *words)
{
	json_int_t n = json_integer_value(json_object_get(root, "max_batch_size"));

	if (!json_is_object(root))
		return strange(words, "max_batch_size");
	*ret = (struct chroma_limits){
		.max_batch = n > 0 && n < UINT32_MAX ? (uint32_t)n : 0,
		.base64 = json_is_true(json_object_get(root, "supports_base64_encoding")),
	};
	return VECTOR_OK;
}

/* It becomes a part of paths. */
static bool id_ok(struct str id)
{
	for (size_t i = 0; i < id.n; i++)
		if (!isxdigit((unsigned char)id.p[i]) && id.p[i] != '-')
			return false;
	return id.n > 0 && id.n < CHROMA_ID_MAX;
}

enum vector_outcome chroma_read_collection(json_t *root, uint32_t dim,
					   const struct doc_origin *origin,
					   struct chroma_collection *ret, struct buf *words)
{
	struct str id = json_in_member(root, "id");
	json_t *written = json_object_get(root, "dimension");
	json_t *metadata = json_object_get(root, "metadata");
	json_t *said = json_object_get(metadata, "dimension");
	struct str space = json_in_text(json_in_at(root, "configuration_json", "hnsw", "space"));
	json_int_t there = json_integer_value(json_is_integer(written) ? written : said);

	if (!id_ok(id))
		return strange(words, "id of a collection");
	if ((there && there != (json_int_t)dim) || (space.n && !str_eq(space, STR("cosine")))) {
		(void)buf_printf(words,
				 "it holds vectors of %lld dimensions, distance %.*s, but %u "
				 "dimensions, distance cosine, are in use",
				 (long long)there, STR_ARG(space), dim);
		return VECTOR_MISMATCH;
	}
	ret->unmarked = !json_is_integer(written) && !json_object_get(metadata, "model");
	if (!ret->unmarked && doc_json_other(metadata, origin, words))
		return VECTOR_MISMATCH;
	(void)snprintf(ret->id, sizeof(ret->id), "%.*s", STR_ARG(id));
	return VECTOR_OK;
}

enum vector_outcome chroma_read_page(json_t *root, struct str cluster,
				     void (*row)(void *ctx, const struct backend_known *k),
				     void *ctx, size_t *ret_n, struct buf *words)
{
	json_t *ids = json_object_get(root, "ids"), *metas = json_object_get(root, "metadatas");
	uint8_t hashes[2][DOC_HASH_SIZE];

	if (!json_is_array(ids) || !json_is_array(metas) ||
	    json_array_size(ids) != json_array_size(metas))
		return strange(words, "ids and metadatas");
	for (size_t i = 0; i < json_array_size(ids); i++) {
		struct backend_known k = {.id = json_in_text(json_array_get(ids, i))};

		if (k.id.n && doc_json_known(json_array_get(metas, i), cluster, hashes, &k))
			row(ctx, &k);
	}
	*ret_n = json_array_size(ids);
	return VECTOR_OK;
}

/* The list for the one vector that was asked for. */
static json_t *first_list(json_t *root, const char *key)
{
	return json_array_get(json_object_get(root, key), 0);
}

enum vector_outcome chroma_read_hits(json_t *root, struct buf *out, struct buf *words)
{
	json_t *ids = first_list(root, "ids"), *distances = first_list(root, "distances");
	json_t *texts = first_list(root, "documents"), *metas = first_list(root, "metadatas");
	struct json_out j = {.out = out};

	if (!json_is_array(ids) || !json_is_array(distances))
		return strange(words, "ids and distances");
	json_open(&j, NULL, '[');
	for (size_t i = 0; i < json_array_size(ids); i++)
		doc_json_hit(&j, json_in_text(json_array_get(ids, i)),
			     1 - json_number_value(json_array_get(distances, i)),
			     json_in_text(json_array_get(texts, i)), json_array_get(metas, i));
	json_close(&j, '[');
	if (j.r < 0)
		(void)buf_printf(words, "the answer is too long");
	return j.r < 0 ? VECTOR_RETRY : VECTOR_OK;
}
