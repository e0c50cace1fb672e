/*
 * Any bytes as answers of a KServe v2 server: a decimal number and a line feed are the
 * length of the JSON (left out: all of it), then JSON and tensors; read as a model's
 * metadata, as its configuration, and as vectors of 1 to 3 texts.
 */
#include "sink/vector/triton_answer.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/services.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct triton_names names = {.model = "m",
						  .input = "text_input",
						  .output = "embedding",
						  .extra = {"mode"},
						  .n_extra = 1};
	struct str body = str_make(data, size), header = {0}, json, tensors, rest = body;
	_json_ json_t *root = NULL;

	if (str_split(&rest, '\n', &header) && header.n < 20)
		body = rest;
	else
		header = (struct str){0};
	if (!triton_split(body, header, &json, &tensors))
		return 0;
	fuzz_check(json.n + tensors.n == body.n);
	root = fuzz_json((const uint8_t *)json.p, json.n);
	fuzz_check(triton_read_batch(root) <= EMBED_MAX_BATCH);
	for (uint32_t n = 1; root && n <= 3; n++) {
		_buf_ struct buf words = {.max = 512}, more = {.max = 512};
		struct triton_model model = {0};
		struct vectors v = {0};
		enum vector_outcome how;

		how = triton_read_model(root, &names, &model, &more);
		fuzz_check(how == VECTOR_OK || buf_str(&more).n > 0);
		fuzz_check(model.dim <= EMBED_MAX_DIM);
		how = triton_read_vectors(root, tensors, n, n == 3 ? 2 : 0, &names, &v, &words);
		fuzz_vectors(how, &v, n, &words);
	}
	return 0;
}
