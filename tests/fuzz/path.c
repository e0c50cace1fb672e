/*
 * An expression (up to the first newline) over an object (the rest, else one that is
 * built in): compiling, walking and removing end, whatever is written.
 */
#include "tree/path.h"

#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static int count(void *ctx, const struct tree *value)
{
	return value && ++*(uint32_t *)ctx < 100000 ? 0 : 1;
}

static void walk(const struct path *p, struct tree *t)
{
	uint32_t n = 0, removed;

	(void)path_eval(p, t, count, &n);
	if (!path_first(p, t) != !n)
		abort();
	removed = path_remove(p, t);
	if (n < 100000 && removed > n)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_make(data, size), text;
	_buf_ struct buf error;
	struct path *p = NULL;
	struct tree *t = NULL;
	struct arena a;

	arena_init(&a, (size_t)64 << 20);
	buf_init(&error, 8192);
	if (!str_split(&rest, '\n', &text) || rest.n > 4096)
		rest = STR(
			"{\"a\":[{\"b\":1,\"c\":\"x\"},{\"b\":[[1],2]}],\"d\":{\"a\":{\"a\":3}}}");
	if (path_new(text, &p, &error) == 0) {
		if (tree_parse(&a, rest, &t) == 0)
			walk(p, t);
	} else if (!error.n) {
		abort(); /* a fault has a word */
	}
	path_free(&p);
	arena_done(&a);
	return 0;
}
