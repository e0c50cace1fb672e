/*
 * Redaction of any object, and of any text: it ends, what passed is found clean by a
 * second pass, and secrets of Secrets are never in it.
 */
#include "tree/redact.h"

#include "base/mem.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void object(struct redact *r, struct arena *a, struct str json)
{
	_buf_ struct buf once, twice;
	enum redact_verdict verdict;
	struct tree *t;

	buf_init(&once, (size_t)64 << 20);
	buf_init(&twice, (size_t)64 << 20);
	if (tree_parse(a, json, &t) < 0)
		return;
	must(redact_object(r, a, t, STR("v1"), STR("Secret"), &verdict) == 0);
	must(tree_write(&once, t) == 0);
	if (t->type == TREE_OBJECT)
		tree_each(v, tree_get(t, "data")) must(str_eq(v->text, STR("[redacted]")));
	must(tree_parse(a, buf_str(&once), &t) == 0); /* still JSON */
	must(redact_object(r, a, t, STR("v1"), STR("Secret"), &verdict) == 0);
	must(tree_write(&twice, t) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct redact_opts opts;
	struct str text = str_make(data, size), once, twice;
	_buf_ struct buf error;
	struct redact *r = NULL;
	struct arena a;

	arena_init(&a, (size_t)256 << 20);
	buf_init(&error, 4096);
	must(redact_new(&opts, &r, &error) == 0);
	object(r, &a, text);
	must(redact_string(r, &a, text, &once) == 0);
	must(redact_string(r, &a, once, &twice) == 0);
	redact_free(&r);
	arena_done(&a);
	return 0;
}
