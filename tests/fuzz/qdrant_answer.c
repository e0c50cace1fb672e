/* Any JSON as each of Qdrant's answers. */
#include "sink/vector/qdrant_answer.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/services.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct doc_origin origin = {STR("m"), STR("t")};
	_buf_ struct buf words = {.max = 4096}, next = {.max = 1024}, hits = {.max = 1 << 20};
	_json_ json_t *root = fuzz_json(data, size);
	struct qdrant_collection c = {0};
	enum vector_outcome how;
	size_t sum = 0;

	if (!root)
		return 0;
	how = qdrant_read_collection(root, 8, &c, &words);
	fuzz_check(how == VECTOR_OK || (c.missing == 0 && buf_str(&words).n > 0));
	(void)qdrant_read_others(root, &origin, &words);
	(void)qdrant_read_written(root, &words);
	how = qdrant_read_page(root, STR("east"), fuzz_row, &sum, &next, &words);
	fuzz_check(how == VECTOR_OK || buf_str(&next).n == 0);
	if (buf_str(&next).n) { /* goes into the next request */
		json_t *offset =
			json_loadb(buf_str(&next).p, buf_str(&next).n, JSON_DECODE_ANY, NULL);

		fuzz_check(json_is_string(offset) || json_is_integer(offset));
		json_decref(offset);
	}
	fuzz_hits(qdrant_read_hits(root, &hits, &words), &hits);
	return 0;
}
