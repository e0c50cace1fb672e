/*
 * Any JSON as an answer of /v1/embeddings for 1 to 4 texts, and any bytes as a text in
 * which a batch limit may stand.
 */
#include "sink/vector/openai_answer.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/services.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_json_ json_t *root = fuzz_json(data, size);

	fuzz_check(openai_batch_limit(str_make(data, size)) <= EMBED_MAX_BATCH);
	for (uint32_t n = 1; root && n <= 4; n++) {
		for (uint32_t want = 0; want <= 4; want += 2) {
			_buf_ struct buf words = {.max = 512};
			struct vectors v = {0};
			enum vector_outcome how = openai_read(root, n, want, "m", &v, &words);

			fuzz_check(how != VECTOR_OK || !want || v.dim == want);
			fuzz_vectors(how, &v, n, &words);
		}
	}
	return 0;
}
