/* Answers of /v1/embeddings; see openai_answer.h. */
#include "sink/vector/openai_answer.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <string.h>

/* The embeddings by index; false when an index is wrong. `items` is zeroed. */
static bool sort(const json_t *data, uint32_t n, const json_t **items, struct buf *text)
{
	bool any = false;

	for (uint32_t i = 0; i < n; i++)
		any = any || json_object_get(json_array_get(data, i), "index");
	for (uint32_t i = 0; i < n; i++) {
		const json_t *one = json_array_get(data, i), *index = json_object_get(one, "index");
		json_int_t at = any ? json_integer_value(index) : (json_int_t)i;

		if ((any && !json_is_integer(index)) || at < 0 || at >= (json_int_t)n ||
		    items[at]) {
			(void)buf_printf(text, "item %u of %u has a wrong or repeated index", i + 1,
					 n);
			return false;
		}
		items[at] = json_object_get(one, "embedding");
		if (!items[at]) {
			(void)buf_printf(text, "item %u of %u has no embedding", i + 1, n);
			return false;
		}
	}
	return true;
}

enum vector_outcome openai_read(const json_t *root, uint32_t n, uint32_t want, const char *model,
				struct vectors *ret, struct buf *text)
{
	const json_t *data = json_object_get(root, "data");
	_free_ const json_t **items = NULL;

	if (!json_is_array(data)) {
		(void)buf_printf(text, "the answer has no list \"data\" of embeddings");
		return VECTOR_RETRY;
	}
	if (json_array_size(data) != n) {
		(void)buf_printf(text, "%zu vectors for %u texts", json_array_size(data), n);
		return n > 1 ? VECTOR_SPLIT : VECTOR_RETRY;
	}
	items = calloc(n, sizeof(const json_t *));
	if (!items)
		return VECTOR_RETRY;
	if (!sort(data, n, items, text))
		return VECTOR_SPLIT;
	return vectors_read(items, n, want, model, ret, text);
}

uint32_t openai_batch_limit(struct str error)
{
	static const struct str words = STR("maximum allowed batch size ");
	unsigned long long limit;
	const char *at = error.n ? memmem(error.p, error.n, words.p, words.n) : NULL;
	struct str rest, digits = {0};

	if (!at)
		return 0;
	rest = str_from(error, (size_t)(at - error.p) + words.n);
	digits.p = rest.p;
	while (digits.n < rest.n && rest.p[digits.n] >= '0' && rest.p[digits.n] <= '9')
		digits.n++;
	return str_to_u64(digits, &limit) == 0 && limit <= EMBED_MAX_BATCH ? (uint32_t)limit : 0;
}
