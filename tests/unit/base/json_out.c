/* JSON writing, read back by jansson. */
#include "base/json_out.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/rng.h"

static void test_floats(void **state)
{
	static const float edges[] = {0.0F,	      -0.0F,	   1.0F,
				      0.1F,	      1e-45F,	   1.17549435e-38F,
				      3.40282347e38F, 16777217.0F, -2e-7F};
	_buf_ struct buf b;
	struct json_out j = {.out = &b};
	struct rng rng;
	float v[512];
	json_t *list;

	(void)state;
	rng_seed(&rng, 7);
	for (size_t i = 0; i < ARRAY_SIZE(v); i++)
		v[i] = i < ARRAY_SIZE(edges) ? edges[i]
					     : (float)rng_next(&rng) / (float)(rng_next(&rng) | 1);
	buf_init(&b, 1 << 20);
	json_floats(&j, NULL, v, ARRAY_SIZE(v));
	assert_int_equal(j.r, 0);
	list = json_loadb(buf_str(&b).p, buf_str(&b).n, 0, NULL);
	assert_int_equal(json_array_size(list), ARRAY_SIZE(v));
	for (size_t i = 0; i < ARRAY_SIZE(v); i++) {
		float got = (float)json_number_value(json_array_get(list, i));

		assert_memory_equal(&got, &v[i], sizeof(got) - (v[i] == 0 ? 1 : 0));
	}
	json_decref(list);
}

static void test_others(void **state)
{
	_buf_ struct buf b;
	struct json_out j = {.out = &b};

	(void)state;
	buf_init(&b, 4096);
	json_open(&j, NULL, '{');
	json_none(&j, "a");
	json_raw(&j, "b", STR("{\"x\":[1]}"));
	json_floats(&j, "c", NULL, 0);
	json_open(&j, "d", '[');
	json_none(&j, NULL);
	json_text(&j, NULL, STR("\"\n\x01\xff"));
	json_close(&j, '[');
	json_close(&j, '{');
	assert_int_equal(j.r, 0);
	assert_true(str_eq(buf_str(&b), STR("{\"a\":null,\"b\":{\"x\":[1]},\"c\":[],\"d\":[null,"
					    "\"\\\"\\n\\u0001\\ufffd\"]}")));
}

static void test_full(void **state)
{
	_buf_ struct buf b;
	struct json_out j = {.out = &b};
	float v[100] = {0};

	(void)state;
	buf_init(&b, 64);
	json_floats(&j, NULL, v, ARRAY_SIZE(v));
	assert_int_equal(j.r, -EMSGSIZE);
	assert_true(buf_str(&b).n <= 64);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_floats),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
