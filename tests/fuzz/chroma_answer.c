/* Any JSON as each of Chroma's answers. */
#include "sink/vector/chroma_answer.h"

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/services.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct doc_origin origin = {STR("m"), STR("t")};
	_buf_ struct buf words = {.max = 4096}, hits = {.max = 1 << 20};
	_json_ json_t *root = fuzz_json(data, size);
	struct chroma_collection c = {0};
	struct chroma_limits limits = {0};
	enum vector_outcome how;
	size_t sum = 0, n = 0;

	if (!root)
		return 0;
	(void)chroma_read_limits(root, &limits, &words);
	how = chroma_read_collection(root, 8, &origin, &c, &words);
	fuzz_check(how == VECTOR_OK || buf_str(&words).n > 0);
	/* It goes into paths. */
	fuzz_check(how != VECTOR_OK ||
		   (c.id[0] && c.id[strspn(c.id, "0123456789abcdefABCDEF-")] == '\0'));
	(void)chroma_read_page(root, STR("east"), fuzz_row, &sum, &n, &words);
	fuzz_hits(chroma_read_hits(root, &hits, &words), &hits);
	return 0;
}
