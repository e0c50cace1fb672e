/*
 * tree_parse over any bytes: what it takes is written, and what is written is read
 * again as the same.
 */
#include "tree/tree.h"

#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void must(bool holds)
{
	if (!holds)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_buf_ struct buf once, twice, sorted;
	struct tree *t = NULL, *again = NULL;
	struct arena a;

	arena_init(&a, (size_t)256 << 20);
	buf_init(&once, (size_t)64 << 20);
	buf_init(&twice, (size_t)64 << 20);
	buf_init(&sorted, (size_t)64 << 20);
	if (tree_parse(&a, str_make(data, size), &t) == 0) {
		must(tree_write(&once, t) == 0);
		must(tree_parse(&a, buf_str(&once), &again) == 0);
		must(tree_write(&twice, again) == 0);
		must(str_eq(buf_str(&once), buf_str(&twice)));
		must(tree_write_canonical(&sorted, t) == 0 && sorted.n == once.n);
	}
	arena_done(&a);
	return 0;
}
