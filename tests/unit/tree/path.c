/*
 * JSONPath: kubectl's documented examples and every part of the syntax, with the
 * results written by hand; expressions that do not compile, with the mark.
 */
#include "tree/path.h"

#include "base/mem.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define TEXT_MAX ((size_t)1 << 20)

/* The object of kubectl's page on JSONPath. */
static const char kubectl[] =
	"{\"kind\":\"List\",\"items\":["
	"{\"kind\":\"None\",\"metadata\":{\"name\":\"127.0.0.1\",\"labels\":{"
	"\"kubernetes.io/hostname\":\"127.0.0.1\"}},\"status\":{\"capacity\":{\"cpu\":\"4\"},"
	"\"addresses\":[{\"type\":\"LegacyHostIP\",\"address\":\"127.0.0.1\"}]}},"
	"{\"kind\":\"None\",\"metadata\":{\"name\":\"127.0.0.2\"},\"status\":{\"capacity\":{"
	"\"cpu\":\"8\"},\"addresses\":[{\"type\":\"LegacyHostIP\",\"address\":\"127.0.0.2\"},"
	"{\"type\":\"another\",\"address\":\"127.0.0.3\"}]}}],"
	"\"users\":[{\"name\":\"myself\",\"user\":{}},{\"name\":\"e2e\",\"user\":{"
	"\"username\":\"admin\",\"password\":\"secret\"}}]}";

static const char things[] =
	"{\"n\":[10,20,30,40,50],\"a.b\":1,\"a\":{\"b\":2,\"c.d\":3,\"a\":{\"b\":4}},"
	"\"it's\":5,\"s\":[{\"v\":1,\"t\":true},{\"v\":2.5},{\"v\":\"2\"},{\"v\":null},{\"w\":7},"
	"{\"v\":-1,\"t\":false}],\"limit\":2,\"empty\":[],\"ü\":6,\"many\":[{\"x\":[1,2]},"
	"{\"x\":[3]}]}";

static struct arena arena;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, TEXT_MAX);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static struct tree *parsed(const char *json)
{
	struct tree *t = NULL;

	assert_int_equal(tree_parse(&arena, str_of(json), &t), 0);
	return t;
}

static int list(void *ctx, const struct tree *value)
{
	struct buf *b = ctx;

	if (b->n)
		assert_int_equal(buf_append_str(b, STR(" ")), 0);
	assert_int_equal(tree_write(b, value), 0);
	return 0;
}

static struct path *compiled(const char *text)
{
	struct path *p = NULL;
	_buf_ struct buf error;

	buf_init(&error, 4096);
	if (path_new(str_of(text), &p, &error) < 0)
		fail_msg("%s: %.*s", text, STR_ARG(buf_str(&error)));
	return p;
}

static void gives(const char *object, const char *text, const char *want)
{
	struct tree *t = parsed(object);
	struct path *p = compiled(text);
	_buf_ struct buf b;

	buf_init(&b, TEXT_MAX);
	assert_int_equal(path_eval(p, t, list, &b), 0);
	if (!str_eq(buf_str(&b), str_of(want)))
		fail_msg("%s: wanted %s, is %.*s", text, want, STR_ARG(buf_str(&b)));
	path_free(&p);
	assert_null(p);
}

static void kubectls_examples(void **state)
{
	static const char *const cases[][2] = {
		{"{.kind}", "\"List\""},
		{".kind", "\"List\""},
		{"kind", "\"List\""},
		{"$.kind", "\"List\""},
		{"{['kind']}", "\"List\""},
		{"{..name}", "\"127.0.0.1\" \"127.0.0.2\" \"myself\" \"e2e\""},
		{"{.items[*].metadata.name}", "\"127.0.0.1\" \"127.0.0.2\""},
		{"{.users[0].name}", "\"myself\""},
		{"{.items[*]['metadata.name', 'status.capacity']}",
		 "\"127.0.0.1\" {\"cpu\":\"4\"} \"127.0.0.2\" {\"cpu\":\"8\"}"},
		{"{.users[?(@.name==\"e2e\")].user.password}", "\"secret\""},
		{"{.items[0].metadata.labels.kubernetes\\.io/hostname}", "\"127.0.0.1\""},
		{"{.items[*].status.addresses[?(@.type=='LegacyHostIP')].address}",
		 "\"127.0.0.1\" \"127.0.0.2\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		gives(kubectl, cases[i][0], cases[i][1]);
	gives("{\"a\":1}", "$", "{\"a\":1}");
	gives("{\"a\":1}", ".", "{\"a\":1}");
	gives("{\"a\":1}", "{@}", "{\"a\":1}");
}

static void names(void **state)
{
	static const char *const cases[][2] = {
		{"a.b", "2"},
		{"a\\.b", "1"},
		{"['a.b']", "1"}, /* the member before the path */
		{"[\"a.b\"]", "1"},
		{"a['c.d']", "3"},
		{"['a.a.b']", "4"}, /* no such member: a path */
		{"['a\\.a\\.b']", ""},
		{"['it\\'s']", "5"},
		{"[\"it's\"]", "5"},
		{"it\\'s", "5"},
		{".ü", "6"},
		{"a.['b']", "2"},
		{"a.*", "2 3 {\"b\":4}"},
		{"$..b", "2 4"},
		{"..a", "{\"b\":2,\"c.d\":3,\"a\":{\"b\":4}} {\"b\":4}"},
		{"a..*", "2 3 {\"b\":4} 4"},
		{"nothing", ""},
		{"nothing.at.all[0]", ""},
		{"limit.x", ""},
		{"n.x", ""},
		{" limit ", "2"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		gives(things, cases[i][0], cases[i][1]);
}

static void indexes(void **state)
{
	static const char *const cases[][2] = {
		{"n[0]", "10"},
		{"n[4]", "50"},
		{"n[5]", ""},
		{"n[-1]", "50"},
		{"n[-5]", "10"},
		{"n[-6]", ""},
		{"n[ 1 ]", "20"},
		{"n[0:2]", "10 20"},
		{"n[:2]", "10 20"},
		{"n[3:]", "40 50"},
		{"n[-2:]", "40 50"},
		{"n[:-3]", "10 20"},
		{"n[1:100]", "20 30 40 50"},
		{"n[2:1]", ""},
		{"n[::2]", "10 30 50"},
		{"n[1::3]", "20 50"},
		{"n[0,-1]", "10 50"},
		{"n[3,0]", "40 10"},
		{"n[0, 2:4]", "10 30 40"},
		{"n[*]", "10 20 30 40 50"},
		{"n.[1]", "20"},
		{"empty[-1]", ""},
		{"empty[*]", ""},
		{"a[0]", ""},
		{"limit[*]", ""},
		{"['limit','n'][0]", "10"},
		{"many[*].x[*]", "1 2 3"},
		{"many[*].x[0]", "1 3"},
		{"many..[0]", "{\"x\":[1,2]} 1 3"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		gives(things, cases[i][0], cases[i][1]);
}

static void filters(void **state)
{
	static const char *const cases[][2] = {
		{"s[?(@.t)].v", "1 -1"}, /* mere existence: false is there */
		{"s[?(@.v==1)].v", "1"},
		{"s[?(@.v == 1.0)].v", "1"},
		{"s[?( @.v != 1 )]",
		 "{\"v\":2.5} {\"v\":\"2\"} {\"v\":null} {\"v\":-1,\"t\":false}"},
		{"s[?(@.v>1)].v", "2.5"},
		{"s[?(@.v>=1)].v", "1 2.5"},
		{"s[?(@.v<2.5)].v", "1 -1"},
		{"s[?(@.v<=2.5)].v", "1 2.5 -1"},
		{"s[?(@.v=='2')].v", "\"2\""},
		{"s[?(@.v==2)].v", ""},
		{"s[?(@.v==null)].v", "null"},
		{"s[?(@.t==true)].v", "1"},
		{"s[?(@.t!=true)].v", "-1"},
		{"s[?(@.v>$.limit)].v", "2.5"},
		{"s[?($.limit==2)].w", "7"},
		{"s[?(@.v==@.v)].v", "1 2.5 \"2\" null -1"},
		{"s[?(@.nothing==@.nothing)]", ""},
		{"s[?(@.v!=@.nothing)]", ""},
		{"n[?(@>30)]", "40 50"},
		{"n[?(@==30)]", "30"},
		{"a[?(@.b)]", "{\"b\":4}"}, /* members of an object, too */
		{"many[?(@.x[*]==2)].x[0]", "1"},
		{"many[?(@.x[?(@==3)])].x", "[3]"},
		{"s[?(@['w'])].w", "7"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		gives(things, cases[i][0], cases[i][1]);
}

static void refused(const char *text, const char *want)
{
	struct path *p = NULL;
	_buf_ struct buf error;

	buf_init(&error, 4096);
	assert_int_equal(path_new(str_of(text), &p, &error), -EINVAL);
	assert_null(p);
	assert_int_equal(buf_append(&error, "", 1), 0);
	assert_string_equal(buf_str(&error).p, want);
}

static void faults(void **state)
{
	(void)state;
	refused("", "the expression is empty\n  \n  ^");
	refused("{}", "the expression is empty\n  \n  ^");
	refused(".metadata.", "expected a name\n  .metadata.\n            ^");
	refused("a..", "expected a name\n  a..\n     ^");
	refused("a..b..c..d..e", "too many '..' in one expression\n  a..b..c..d..e\n            ^");
	refused("a b", "expected '.', '[' or the end\n  a b\n   ^");
	refused("ü x", "expected '.', '[' or the end\n  ü x\n   ^");
	refused("a]", "expected '.', '[' or the end\n  a]\n   ^");
	refused("a[", "this bracket is not closed\n  a[\n   ^");
	refused("a['x'", "this bracket is not closed\n  a['x'\n   ^");
	refused("a['x]", "this quote is not closed\n  a['x]\n    ^");
	refused("a[x]", "expected a quoted name, an index, '*' or '?('\n  a[x]\n    ^");
	refused("a[0;1]", "expected ']' or ','\n  a[0;1]\n     ^");
	refused("a[0:2:0]", "the step of a slice must be 1 or more\n  a[0:2:0]\n        ^");
	refused("a[99999999999]", "not a number that can be an index\n  a[99999999999]\n    ^");
	refused("a[-]", "not a number that can be an index\n  a[-]\n    ^");
	refused("a[?@.x]", "expected '(' behind '?'\n  a[?@.x]\n     ^");
	refused("a[?(x==1)]", "a filter begins with '@' (the element) or '$' (the object)\n"
			      "  a[?(x==1)]\n      ^");
	refused("a[?(@.x=1)]", "expected ')' or one of == != < <= > >=\n  a[?(@.x=1)]\n         ^");
	refused("a[?(@.x=~'b')]",
		"expected ')' or one of == != < <= > >=\n  a[?(@.x=~'b')]\n         ^");
	refused("a[?(@.x==b)]", "expected '@', '$', a quoted text, a number, true, false or null\n"
				"  a[?(@.x==b)]\n           ^");
	refused("a[?(@.x==1 && @.y)]", "expected ')'\n  a[?(@.x==1 && @.y)]\n             ^");
	refused("a[?(@.x==1)", "this bracket is not closed\n  a[?(@.x==1)\n   ^");
	refused("a\\", "expected a character behind '\\'\n  a\\\n    ^");
	refused("a\tb", "expected '.', '[' or the end\n  a b\n   ^");
}

static void too_much(void **state)
{
	char text[PATH_MAX_TEXT + 2];
	struct path *p = NULL;
	_buf_ struct buf error;
	size_t n = 0;

	(void)state;
	buf_init(&error, 8192);
	memset(text, 'a', sizeof(text));
	assert_int_equal(path_new(str_make(text, PATH_MAX_TEXT + 1), &p, &error), -EINVAL);
	assert_true(error.n > 0);
	buf_reset(&error);
	assert_int_equal(path_new(str_make(text, PATH_MAX_TEXT), &p, &error), 0);
	path_free(&p);
	for (int i = 0; i < 11; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[0,0]");
	assert_int_equal(path_new(str_make(text, n), &p, &error), -EINVAL);
	buf_reset(&error);
	n = 0;
	for (int i = 0; i < 20; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "[?(@");
	assert_int_equal(path_new(str_make(text, n), &p, &error), -EINVAL);
	assert_null(p);
}

static int stop_at_second(void *ctx, const struct tree *value)
{
	(void)value;
	return ++*(int *)ctx == 2 ? 42 : 0;
}

static void stops_and_first(void **state)
{
	struct tree *t = parsed(things);
	struct path *p = compiled("n[*]");
	int seen = 0;

	(void)state;
	assert_int_equal(path_eval(p, t, stop_at_second, &seen), 42);
	assert_int_equal(seen, 2);
	assert_true(str_eq(tree_text(path_first(p, t)), STR("10")));
	assert_null(path_first(p, NULL));
	path_free(&p);
	p = compiled("nothing");
	assert_null(path_first(p, t));
	path_free(&p);
	path_free(&p);
}

static void removes(const char *object, const char *text, uint32_t n, const char *want)
{
	struct tree *t = parsed(object);
	struct path *p = compiled(text);
	_buf_ struct buf b;

	buf_init(&b, TEXT_MAX);
	assert_int_equal(path_remove(p, t), n);
	assert_int_equal(tree_write(&b, t), 0);
	if (!str_eq(buf_str(&b), str_of(want)))
		fail_msg("%s: wanted %s, is %.*s", text, want, STR_ARG(buf_str(&b)));
	path_free(&p);
}

static void removing(void **state)
{
	(void)state;
	removes("{\"a\":1,\"b\":2}", "b", 1, "{\"a\":1}");
	removes("{\"a\":[1,2,3]}", "a[0,0,-1]", 2, "{\"a\":[2]}");
	removes("{\"a\":[1,2,3]}", "a[*]", 3, "{\"a\":[]}");
	removes("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":2,\"c\":3}}", "..a", 4, "{\"b\":{\"c\":3}}");
	removes("{\"a\":[{\"k\":1,\"v\":2},{\"k\":2}]}", "a[?(@.k==1)]", 1, "{\"a\":[{\"k\":2}]}");
	removes("{\"a\":1}", "x", 0, "{\"a\":1}");
	removes("{\"a\":1}", "$", 0, "{\"a\":1}");
}

static int compile(void *ctx)
{
	struct path *p = NULL;
	_buf_ struct buf error;
	int r;

	buf_init(&error, 4096);
	r = path_new(str_of(ctx), &p, &error);
	path_free(&p);
	return r == -EINVAL ? 0 : r;
}

static void short_of_memory(void **state)
{
	char good[] = "$..a['b.c',2:3][?(@.x[*] == 'y')].z\\.z", bad[] = "a.b[?(@.x=1)]";

	(void)state;
	assert_int_equal(torture_run(compile, good), 0);
	assert_int_equal(torture_run(compile, bad), 0);
}

static void where_it_ends(void **state)
{
	static const struct {
		const char *text;
		size_t end;
	} cases[] = {
		{".a=b", 2},
		{"=b", 0},
		{".a", 2},
		{"", 0},
		{"['a=b']=c", 7},
		{"['it\\'s=x']=c", 11},
		{".a[?(@.b==\"=\")]=c=d", 15},
		{".a]=c", 3},
		{".a[=b", SIZE_MAX},
		{".a['=b", SIZE_MAX},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (path_until(str_of(cases[i].text), '=') != cases[i].end)
			fail_msg("%s: %zu", cases[i].text, path_until(str_of(cases[i].text), '='));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(kubectls_examples), TEST(names),	 TEST(indexes),
		TEST(filters),		 TEST(faults),	 TEST(too_much),
		TEST(stops_and_first),	 TEST(removing), TEST(where_it_ends),
		TEST(short_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
