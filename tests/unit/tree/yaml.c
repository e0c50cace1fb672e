/* Trees as YAML, read back by libyaml: the same values come out. */
#include "tree/yaml.h"

#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <yaml.h>

static struct tree *parse(struct arena *a, const char *json)
{
	struct tree *t;

	arena_init(a, 1UL << 20);
	assert_int_equal(tree_parse(a, str_of(json), &t), 0);
	return t;
}

static void expect(const char *json, const char *yaml)
{
	struct arena a;
	_buf_ struct buf b = {.max = 1UL << 20};

	assert_int_equal(tree_write_yaml(&b, parse(&a, json)), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	assert_string_equal(buf_str(&b).p, yaml);
	arena_done(&a);
}

static void as_kubectl_prints_it(void **state)
{
	(void)state;
	expect("{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"labels\":{\"a\":\"b\"},"
	       "\"name\":\"x\"},\"spec\":{\"containers\":[{\"name\":\"c\",\"args\":[\"-v\",\"1\"],"
	       "\"env\":[]},{\"name\":\"d\"}],\"n\":3,\"empty\":{},\"gone\":null,\"yes\":true}}",
	       "apiVersion: v1\nkind: Pod\nmetadata:\n  labels:\n    a: b\n  name: x\nspec:\n"
	       "  containers:\n  - name: c\n    args:\n    - \"-v\"\n    - \"1\"\n    env: []\n"
	       "  - name: d\n  \"n\": 3\n  empty: {}\n  gone: null\n  \"yes\": true\n");
}

/* The scalars of a document, in order, with a mark for those that are quoted. */
static void scalars(const char *yaml, size_t n, char *out, size_t size)
{
	yaml_parser_t p;
	yaml_event_t e;
	size_t at = 0;
	int type;

	assert_int_equal(yaml_parser_initialize(&p), 1);
	yaml_parser_set_input_string(&p, (const unsigned char *)yaml, n);
	do {
		assert_int_equal(yaml_parser_parse(&p, &e), 1);
		type = e.type;
		if (type == YAML_SCALAR_EVENT)
			at += (size_t)snprintf(out + at, size - at, "%s%.*s\n",
					       e.data.scalar.quoted_implicit ? "'" : "",
					       (int)e.data.scalar.length,
					       (const char *)e.data.scalar.value);
		yaml_event_delete(&e);
	} while (type != YAML_STREAM_END_EVENT);
	yaml_parser_delete(&p);
}

static void texts_stay_texts(void **state)
{
	static const char *const texts[] = {
		"true", "No",	"null", "1",  "0x1f", "1e3",  "~", "2026-11-29",
		"- a",	"a: b", "#c",	" x", "",     "a\nb", "y", "\xc3\xa4\xe2\x82\xac",
		"{}",	"*a"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct tree t = {.type = TREE_STRING, .text = str_of(texts[i])};
		_buf_ struct buf b = {.max = 4096};
		char got[256] = "", want[256];

		assert_int_equal(tree_write_yaml(&b, &t), 0);
		scalars(buf_str(&b).p, b.n, got, sizeof(got));
		(void)snprintf(want, sizeof(want), "'%s\n", texts[i]);
		assert_string_equal(got, want);
	}
}

static void nested_lists(void **state)
{
	(void)state;
	expect("[[1,[2]],[],{\"a\":[{\"b\":[1]}]}]",
	       "-\n  - 1\n  -\n    - 2\n- []\n- a:\n  - b:\n    - 1\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_kubectl_prints_it),
		cmocka_unit_test(texts_stay_texts),
		cmocka_unit_test(nested_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
