/*
 * Parsing and writing, held against jansson: recorded bodies, random texts, and
 * random damage to them. Look-ups and changes by hand.
 */
#include "tree/tree.h"

#include "base/mem.h"
#include "base/rng.h"
#include "decode/text.h"
#include "tests/lib/fixture.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <jansson.h>

#define ARENA_MAX ((size_t)1 << 30)
#define TEXT_MAX  ((size_t)64 << 20)

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, ARENA_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static int parse(struct str json, struct tree **ret)
{
	char *exact = malloc(json.n ? json.n : 1); /* of this size: reading over it is seen */
	int r;

	assert_non_null(exact);
	if (json.n)
		memcpy(exact, json.p, json.n);
	r = tree_parse(&arena, str_make(exact, json.n), ret);
	if (json.n)
		memset(exact, 0xa5, json.n);
	free(exact);
	return r;
}

static struct tree *parsed(const char *json)
{
	struct tree *t = NULL;

	assert_int_equal(parse(str_of(json), &t), 0);
	return t;
}

static void assert_written(const struct tree *t, const char *want, bool canonical)
{
	_buf_ struct buf b;

	buf_init(&b, TEXT_MAX);
	assert_int_equal(canonical ? tree_write_canonical(&b, t) : tree_write(&b, t), 0);
	if (!str_eq(buf_str(&b), str_of(want))) {
		(void)fprintf(stderr, "wanted %s\nis     %.*s\n", want, STR_ARG(buf_str(&b)));
		fail();
	}
}

static void assert_as_jansson(const struct tree *t, const json_t *v)
{
	_free_ char *plain = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	_free_ char *sorted = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY | JSON_SORT_KEYS);

	assert_non_null(plain);
	assert_non_null(sorted);
	assert_written(t, plain, false);
	assert_written(t, sorted, true);
}

static void recorded(void **state)
{
	static const char *const names[] = {"base-pods-json", "base-replicasets-json",
					    "base-jobs-json", "big-pods-json",
					    "disc-apis-aggregated"};

	(void)state;
	for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
		_buf_ struct buf body;
		struct tree *t = NULL;
		json_t *root;
		const struct tree *items;

		assert_int_equal(fixture_read(names[k], &body), 0);
		root = json_loadb(body.p + body.off, body.n, 0, NULL);
		assert_non_null(root);
		arena_reset(&arena);
		assert_int_equal(parse(buf_str(&body), &t), 0);
		assert_as_jansson(t, root);
		items = tree_get(t, "items");
		assert_true(items && items->n > 0);
		json_decref(root);
	}
}

/* ---- random texts ---------------------------------------------------------------------------- */

static void put(struct buf *b, const char *z)
{
	assert_int_equal(buf_append_str(b, str_of(z)), 0);
}

static void put_blank(struct buf *b, struct rng *g)
{
	static const char *const blanks[] = {"", "", "", "", " ", "\n", "\t\r\n ", "  "};

	put(b, blanks[rng_below(g, ARRAY_SIZE(blanks))]);
}

static void put_text(struct buf *b, struct rng *g, bool key)
{
	static const char *const parts[] = {"a",
					    "name",
					    "metadata",
					    "\\n",
					    "\\\"",
					    "\\\\",
					    "\\/",
					    "ü",
					    "€",
					    "\\u00e4",
					    "\\ud83d\\ude00",
					    "😀",
					    "\\t",
					    " ",
					    "/",
					    "0123456789abcdef",
					    "\\u001b",
					    "\\b\\f\\r",
					    "\x7f",
					    "{",
					    "]",
					    "long text that is over sixteen bytes"};
	uint32_t n = (uint32_t)rng_below(g, key ? 3 : 6);

	put(b, "\"");
	while (n--)
		put(b, parts[rng_below(g, ARRAY_SIZE(parts))]);
	put(b, "\"");
}

static void put_value(struct buf *b, struct rng *g, int depth);

static void put_nested(struct buf *b, struct rng *g, int depth, bool array)
{
	/* Sometimes so many that equal keys are found by sorting. */
	uint32_t n = (uint32_t)rng_below(g, rng_below(g, 20) ? 6 : 200);

	put(b, array ? "[" : "{");
	put_blank(b, g);
	for (uint32_t i = 0; i < n; i++) {
		put(b, i ? "," : "");
		put_blank(b, g);
		if (!array) {
			put_text(b, g, true);
			put_blank(b, g);
			put(b, ":");
		}
		put_blank(b, g);
		put_value(b, g, n > 6 ? 0 : depth - 1);
		put_blank(b, g);
	}
	put(b, array ? "]" : "}");
}

static void put_value(struct buf *b, struct rng *g, int depth)
{
	static const char *const words[] = {
		"null", "true", "false", "0", "-1", "12345678901234", "9223372036854775807"};

	switch (rng_below(g, depth > 0 ? 5 : 3)) {
	case 0:
		put(b, words[rng_below(g, ARRAY_SIZE(words))]);
		break;
	case 1:
	case 2:
		put_text(b, g, false);
		break;
	default:
		put_nested(b, g, depth, rng_below(g, 2));
	}
}

static json_t *by_jansson(struct str json)
{
	return json_loadb(json.p ? json.p : "", json.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
}

static void random_texts(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3000; seed++) {
		_buf_ struct buf b;
		struct tree *t = NULL;
		json_t *v;
		struct rng g;

		rng_seed(&g, seed);
		buf_init(&b, TEXT_MAX);
		put_blank(&b, &g);
		put_value(&b, &g, 5);
		put_blank(&b, &g);
		v = by_jansson(buf_str(&b));
		assert_non_null(v);
		arena_reset(&arena);
		assert_int_equal(parse(buf_str(&b), &t), 0);
		assert_as_jansson(t, v);
		json_decref(v);
	}
}

/* What jansson refuses for reasons of its own: numbers out of range, lone surrogates, bytes that
 * are no UTF-8. The tree may take it. */
static bool janssons_own(struct str s)
{
	return !text_is_utf8(s) || memmem(s.p, s.n, "922337", 6) || memmem(s.p, s.n, "\\u", 2) ||
	       memchr(s.p, '.', s.n) || memchr(s.p, 'e', s.n) || memchr(s.p, 'E', s.n);
}

static void damage(void **state)
{
	static const char bytes[] = "\"\\{}[],:0-1tfnu \n\x01\x1f/aE.+";
	uint32_t refused = 0, taken = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 20000; seed++) {
		_buf_ struct buf b;
		struct tree *t = NULL;
		struct rng g;
		json_t *v;
		int r;

		rng_seed(&g, seed);
		buf_init(&b, TEXT_MAX);
		put_value(&b, &g, 3);
		for (uint64_t n = rng_below(&g, 3); n; n--)
			b.p[rng_below(&g, b.n)] = bytes[rng_below(&g, sizeof(bytes) - 1)];
		if (!rng_below(&g, 4))
			b.n = 1 + rng_below(&g, b.n);
		v = by_jansson(buf_str(&b));
		arena_reset(&arena);
		r = parse(buf_str(&b), &t);
		if (v ? r : !janssons_own(buf_str(&b)) && r != -EBADMSG)
			fail_msg("seed %d: %d for %.*s", (int)seed, r, STR_ARG(buf_str(&b)));
		refused += r < 0;
		taken += r == 0;
		json_decref(v);
	}
	assert_true(refused > 1000 && taken > 1000);
}

/* ---- by hand --------------------------------------------------------------------------------- */

static void strict(void **state)
{
	static const char *const bad[] = {"",
					  " ",
					  "{",
					  "}",
					  "[",
					  "[1,]",
					  "[,1]",
					  "{,}",
					  "{\"a\"}",
					  "{\"a\":}",
					  "{a:1}",
					  "{\"a\":1,}",
					  "[1 2]",
					  "\"a",
					  "\"\\",
					  "\"\\\"",
					  "\"\\x\"",
					  "\"\\u12\"",
					  "\"\n\"",
					  "01",
					  "1.",
					  ".5",
					  "+1",
					  "1e",
					  "--1",
					  "tru",
					  "nulll",
					  "truefalse",
					  "[1}",
					  "{\"a\":1]",
					  "1 1",
					  "/**/1",
					  "NaN",
					  "Infinity",
					  "'a'",
					  "[1]\x01",
					  "\xef\xbb\xbf 1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct tree *t = NULL;
		int r = parse(str_of(bad[i]), &t);

		if (r != -EBADMSG || t)
			fail_msg("'%s' gave %d", bad[i], r);
	}
	assert_int_equal(parse(str_make("1\0", 2), &(struct tree *){NULL}), -EBADMSG);
	assert_int_equal(parse(str_make("\"\0\"", 3), &(struct tree *){NULL}), -EBADMSG);
}

static void numbers_as_written(void **state)
{
	static const char *const good[] = {"-0",   "1.50",	"1e5",
					   "1E+5", "-12.75e-3", "123456789012345678901234567890"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_written(parsed(good[i]), good[i], false);
		assert_written(parsed(good[i]), good[i], true);
	}
	assert_int_equal(tree_int(parsed("-42"), 7), -42);
	assert_int_equal(tree_int(parsed("-9223372036854775808"), 7), INT64_MIN);
	assert_int_equal(tree_int(parsed("9223372036854775808"), 7), 7);
	assert_int_equal(tree_int(parsed("1.5"), 7), 7);
	assert_int_equal(tree_int(parsed("\"42\""), 7), 7);
	assert_int_equal(tree_int(NULL, 7), 7);
}

static void twins(void **state)
{
	_buf_ struct buf b;
	struct tree *t = NULL;

	(void)state;
	assert_written(parsed("{\"a\":{\"x\":1},\"b\":2,\"\\u0061\":[3]}"), "{\"a\":[3],\"b\":2}",
		       false);
	/* 10,000 members, each twice: must not take a hundred million comparisons. */
	buf_init(&b, TEXT_MAX);
	put(&b, "{");
	for (int i = 0; i < 20000; i++)
		assert_int_equal(buf_printf(&b, "%s\"k%d\":%d", i ? "," : "", i % 10000, i / 10000),
				 0);
	put(&b, "}");
	assert_int_equal(parse(buf_str(&b), &t), 0);
	assert_int_equal(t->n, 10000);
	tree_each(m, t) assert_int_equal(tree_int(m, 0), 1);
	assert_true(str_eq(t->first->key, STR("k0")));
	assert_true(str_eq(t->last->key, STR("k9999")));
}

static void depth(void **state)
{
	char json[2 * (TREE_MAX_DEPTH + 1)];
	struct tree *t = NULL;
	size_t n = TREE_MAX_DEPTH + 1;

	(void)state;
	memset(json, '[', n);
	memset(json + n, ']', n);
	assert_int_equal(parse(str_make(json, sizeof(json)), &t), -EMSGSIZE);
	assert_int_equal(parse(str_make(json + 1, sizeof(json) - 2), &t), 0);
}

static void unclean_text(void **state)
{
	const struct tree *t;

	(void)state;
	/* A stray byte, a cut sequence, lone halves; NUL is text. */
	t = parsed("[\"a\xff"
		   "b\",\"\xe2\x82\",\"\\ud800x\",\"\\udc00\",\"a\\u0000b\",\"\xff\\n\"]");
	assert_written(t,
		       "[\"a\xef\xbf\xbd"
		       "b\",\"\xef\xbf\xbd\xef\xbf\xbd\",\"\xef\xbf\xbdx\",\"\xef\xbf\xbd\","
		       "\"a\\u0000b\",\"\xef\xbf\xbd\\n\"]",
		       false);
}

static void lookups(void **state)
{
	const struct tree *t = parsed("{\"spec\":{\"template\":{\"spec\":{\"n\":3,\"host\":true,"
				      "\"no\":\"true\"}}},\"name\":\"x\"}");

	(void)state;
	assert_int_equal(tree_int(tree_at(t, "spec.template.spec.n"), 0), 3);
	assert_true(str_eq(tree_text_at(t, "spec.template.spec.n"), STR("3")));
	assert_true(str_eq(tree_text_at(t, "name"), STR("x")));
	assert_true(tree_is_true(tree_at(t, "spec.template.spec.host")));
	assert_false(tree_is_true(tree_at(t, "spec.template.spec.no")));
	assert_false(tree_is_true(NULL));
	assert_null(tree_at(t, "spec.nothing.spec"));
	assert_null(tree_at(t, "name.x"));
	assert_null(tree_at(NULL, "a"));
	assert_null(tree_get(NULL, "a"));
	assert_null(tree_get(t, "spe"));
	assert_int_equal(tree_text(NULL).n, 0);
	assert_int_equal(tree_text_at(t, "spec").n, 0);
	tree_each(none, tree_get(t, "nothing")) fail();
}

static void changes(void **state)
{
	struct tree *t = parsed("{\"a\":1,\"b\":[1,2],\"c\":3}");
	char key[] = "d", value[] = "new";

	(void)state;
	tree_remove(t, t->first->next);
	assert_written(t, "{\"a\":1,\"c\":3}", false);
	tree_remove(t, t->last);
	assert_int_equal(tree_set_text(&arena, t, str_of(key), str_of(value)), 0);
	memset(key, 'x', 1);
	memset(value, 'x', 3); /* both were copied */
	assert_written(t, "{\"a\":1,\"d\":\"new\"}", false);
	assert_int_equal(tree_set_text(&arena, t, STR("d"), STR("other")), 0);
	tree_remove(t, t->first);
	assert_int_equal(t->n, 1);
	tree_become_text(t->first, STR("\x01"));
	assert_written(t, "{\"d\":\"\\u0001\"}", false);
	tree_remove(t, t->first);
	assert_null(t->last);
	assert_int_equal(tree_set_text(&arena, t, STR("e"), STR("")), 0);
	assert_written(t, "{\"e\":\"\"}", false);
	tree_become_text(t, STR("x"));
	assert_written(t, "\"x\"", false);
}

/* Behind what is in the buffer already; a full buffer keeps exactly that. */
static void writing_is_all_or_nothing(void **state)
{
	const struct tree *t = parsed("{\"key\":[\"a\\u0001b\",{\"x\":-1.5}],\"b\":null}");
	static const char want[] = "before{\"key\":[\"a\\u0001b\",{\"x\":-1.5}],\"b\":null}";

	(void)state;
	for (size_t max = 6; max < sizeof(want); max++) {
		_buf_ struct buf b;
		int r;

		buf_init(&b, max);
		put(&b, "before");
		r = tree_write(&b, t);
		assert_int_equal(r, max < sizeof(want) - 1 ? -EMSGSIZE : 0);
		assert_true(str_eq(buf_str(&b), r ? STR("before") : str_of(want)));
	}
}

static void arena_maximum(void **state)
{
	struct arena small;
	struct tree *t = NULL;

	(void)state;
	arena_init(&small, 1024);
	assert_int_equal(tree_parse(&small, STR("[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]"), &t),
			 -ENOMEM);
	assert_null(t);
	arena_done(&small);
}

static int everything(void *ctx)
{
	struct arena a;
	struct tree *t;
	_buf_ struct buf b;
	int r;

	buf_init(&b, TEXT_MAX);
	arena_init(&a, ARENA_MAX);
	r = tree_parse(&a, buf_str(ctx), &t);
	if (r == 0)
		r = tree_set_text(&a, t, STR("k"), STR("v"));
	if (r == 0)
		r = tree_write(&b, t);
	if (r == 0)
		r = tree_write_canonical(&b, t);
	arena_done(&a);
	return r;
}

static void short_of_memory(void **state)
{
	_buf_ struct buf b;

	(void)state;
	buf_init(&b, TEXT_MAX);
	put(&b, "{");
	for (int i = 0; i < 300; i++) /* over one block, with twins, with text to mend */
		assert_int_equal(
			buf_printf(&b, "%s\"k%d\":\"\xff%300d\"", i ? "," : "", i % 200, i), 0);
	put(&b, "}");
	assert_int_equal(torture_run(everything, &b), 0);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(recorded),
		TEST(random_texts),
		TEST(damage),
		TEST(strict),
		TEST(numbers_as_written),
		TEST(twins),
		TEST(depth),
		TEST(unclean_text),
		TEST(lookups),
		TEST(changes),
		TEST(writing_is_all_or_nothing),
		TEST(arena_maximum),
		TEST(short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
