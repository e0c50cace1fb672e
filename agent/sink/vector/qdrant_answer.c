/* Answers of Qdrant; see qdrant_answer.h. */
#include "sink/vector/qdrant_answer.h"

#include "base/json_in.h"

const char *const qdrant_index_keys[QDRANT_INDEXES] = {
	"kind", "namespace", "api_group", "cluster", "uid", "model", "template",
};

static enum vector_outcome strange(struct buf *words, const char *what)
{
	(void)buf_printf(words, "the answer has no %s", what);
	return VECTOR_RETRY;
}

static uint32_t limit_of(const json_t *strict, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(strict, key));

	return n > 0 && n < UINT32_MAX ? (uint32_t)n : 0;
}

enum vector_outcome qdrant_read_collection(json_t *root, uint32_t dim,
					   struct qdrant_collection *ret, struct buf *words)
{
	json_t *result = json_object_get(root, "result");
	json_t *vectors = json_in_at(result, "config", "params", "vectors");
	json_t *strict = json_in_at(result, "config", "strict_mode_config");
	json_t *schema = json_object_get(result, "payload_schema");
	json_t *size = json_object_get(vectors, "size");
	struct str distance = json_in_member(vectors, "distance");
	struct qdrant_collection c = {0};

	if (!json_is_object(vectors))
		return strange(words, "result.config.params.vectors");
	if (!json_is_integer(size)) {
		(void)buf_printf(words, "it has several named vectors a point, or none; a "
					"collection with one unnamed vector is needed");
		return VECTOR_MISMATCH;
	}
	if (json_integer_value(size) != (json_int_t)dim || !str_eq(distance, STR("Cosine"))) {
		(void)buf_printf(words,
				 "it holds vectors of %lld dimensions, distance %.*s, but %u "
				 "dimensions, distance Cosine, are in use",
				 (long long)json_integer_value(size), STR_ARG(distance), dim);
		return VECTOR_MISMATCH;
	}
	for (unsigned i = 0; i < QDRANT_INDEXES; i++)
		if (!json_object_get(schema, qdrant_index_keys[i]))
			c.missing |= 1U << i;
	if (json_is_true(json_object_get(strict, "enabled"))) {
		c.max_batch = limit_of(strict, "upsert_max_batchsize");
		c.max_query = limit_of(strict, "max_query_limit");
	}
	*ret = c;
	return VECTOR_OK;
}

enum vector_outcome qdrant_read_others(json_t *root, const struct doc_origin *want,
				       struct buf *words)
{
	json_t *points = json_in_at(root, "result", "points");
	json_t *point = json_array_get(points, 0);

	if (!json_is_array(points))
		return strange(words, "result.points");
	if (!point)
		return VECTOR_OK;
	if (!doc_json_other(json_object_get(point, "payload"), want, words))
		return strange(words, "points of the filter that was asked for");
	return VECTOR_MISMATCH;
}

static bool completed(const json_t *result)
{
	return str_eq(json_in_member(result, "status"), STR("completed"));
}

enum vector_outcome qdrant_read_written(json_t *root, struct buf *words)
{
	json_t *result = json_object_get(root, "result");
	bool done = json_is_array(result) ? json_array_size(result) > 0 : completed(result);

	for (size_t i = 0; i < json_array_size(result); i++)
		done = done && completed(json_array_get(result, i));
	if (done)
		return VECTOR_OK;
	(void)buf_printf(words, "not completed yet");
	return VECTOR_RETRY;
}

enum vector_outcome qdrant_read_page(json_t *root, struct str cluster,
				     void (*row)(void *ctx, const struct backend_known *k),
				     void *ctx, struct buf *next, struct buf *words)
{
	json_t *result = json_object_get(root, "result");
	json_t *points = json_object_get(result, "points");
	json_t *offset = json_object_get(result, "next_page_offset");
	struct json_out j = {.out = next};
	uint8_t hashes[2][DOC_HASH_SIZE];

	if (!json_is_array(points))
		return strange(words, "result.points");
	for (size_t i = 0; i < json_array_size(points); i++) {
		json_t *payload = json_object_get(json_array_get(points, i), "payload");
		struct backend_known k = {.id = json_in_member(payload, "_originalId")};

		if (k.id.n && doc_json_known(payload, cluster, hashes, &k))
			row(ctx, &k);
	}
	buf_reset(next);
	if (json_is_integer(offset))
		(void)buf_printf(next, "%lld", (long long)json_integer_value(offset));
	else if (json_is_string(offset))
		json_text(&j, NULL, json_in_text(offset));
	if (j.r == 0)
		return VECTOR_OK;
	buf_reset(next);
	return strange(words, "offset to go on from");
}

enum vector_outcome qdrant_read_hits(json_t *root, struct buf *out, struct buf *words)
{
	json_t *points = json_in_at(root, "result", "points");
	struct json_out j = {.out = out};

	if (!json_is_array(points))
		return strange(words, "result.points");
	json_open(&j, NULL, '[');
	for (size_t i = 0; i < json_array_size(points); i++) {
		json_t *point = json_array_get(points, i);
		json_t *payload = json_object_get(point, "payload");

		doc_json_hit(&j, json_in_member(payload, "_originalId"),
			     json_number_value(json_object_get(point, "score")),
			     json_in_member(payload, "document"), payload);
	}
	json_close(&j, '[');
	if (j.r < 0)
		(void)buf_printf(words, "the answer is too long");
	return j.r < 0 ? VECTOR_RETRY : VECTOR_OK;
}
