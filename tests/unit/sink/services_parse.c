/* Readers of services' answers: right ones, hostile ones, and what is told of them. */
#include "sink/vector/openai_answer.h"
#include "sink/vector/qdrant_answer.h"
#include "sink/vector/service_text.h"
#include "sink/vector/vectors.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/json_in.h"

/* --- texts --------------------------------------------------------------- */

static void test_error_texts(void **state)
{
	static const struct {
		const char *body, *text;
	} cases[] = {
		{"{\"error\":{\"message\":\"a\",\"type\":\"t\"},\"message\":\"b\"}",
		 "a"},						 /* OpenAI */
		{"{\"error\":\"a\"}", "a"},			 /* Triton, Ollama */
		{"{\"error\":\"a\",\"message\":\"b\"}", "a: b"}, /* Chroma */
		{"{\"error\":{\"code\":1},\"message\":\"b\"}", "b"},
		{"{\"message\":\"b\",\"code\":422,\"type\":\"Validation\"}", "b"}, /* TEI */
		{"{\"detail\":\"d\"}", "d"},					   /* Voyage */
		{"{\"status\":{\"error\":\"q\"},\"time\":0}", "q"},		   /* Qdrant */
		{"{\"detail\":[{\"loc\":1}]}", "{\"detail\":[{\"loc\":1}]}"},
		{"[1]", "[1]"},
		{"", ""},
		{"  plain\r\n\ttext \x01 ", "plain text"},
		{"\xff\xfe\xc3\xa9", "??\xc3\xa9"},
		{"{\"error\":\"cut", "{\"error\":\"cut"},
		{"{\"error\":\"\"}", "{\"error\":\"\"}"},
		{"{\"error\":{\"message\":null}}", "{\"error\":{\"message\":null}}"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buf_ struct buf b = {.max = 4096};

		assert_int_equal(service_error_text(str_of(cases[i].body), STR("x-secret"), &b), 0);
		if (!str_eq(buf_str(&b), str_of(cases[i].text)))
			print_error("%s: %.*s\n", cases[i].body, STR_ARG(buf_str(&b)));
		assert_true(str_eq(buf_str(&b), str_of(cases[i].text)));
	}
}

static void test_cut(void **state)
{
	char body[4000];
	_buf_ struct buf b = {.max = 4096};

	(void)state;
	memset(body, 'x', sizeof(body));
	memcpy(body + SERVICE_TEXT_MAX - 1, "\xc3\xa9", 2); /* across the cut */
	assert_int_equal(service_error_text(str_make(body, sizeof(body)), (struct str){0}, &b), 0);
	assert_int_equal(buf_str(&b).n, SERVICE_TEXT_MAX - 1);
}

static void test_credentials(void **state)
{
	static const struct {
		const char *text, *clean;
	} cases[] = {
		{"key s3cr3t-abc is wrong", "key [redacted] is wrong"},
		{"xs3cr3t-abcx", "x[redacted]x"},
		{"Authorization: Bearer abcd1234efgh", "Authorization: Bearer [redacted]"},
		{"authorization=\"Basic dXNlcjpwYXNzd29yZA==\"",
		 "authorization=\"Basic [redacted]\""},
		{"bad api-key: 0123456789", "bad api-key: [redacted]"},
		{"{\"api_key\":\"k9k9k9k9\"}", "{\"api_key\":\"[redacted]\"}"},
		{"password=hunter22", "password=[redacted]"},
		{"https://user:pa55@host/x", "https://[redacted]@host/x"},
		{"https://host/x?u=a@b", "https://host/x?u=a@b"},
		{"Incorrect API key provided: sk-proj-1234567890abcdef.",
		 "Incorrect API key provided: [redacted]"},
		{"see eyJhbGciOi.eyJzdWIi.SflKxw", "see [redacted]"},
		{"token limit reached", "token limit reached"},
		{"tokens: 8192 > 512", "tokens: 8192 > 512"},
		{"unexpected token: foo", "unexpected token: foo"},
		{"basic needs", "basic needs"},
		{"skiing sk-short", "skiing sk-short"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buf_ struct buf b = {.max = 4096};

		assert_int_equal(service_clean(str_of(cases[i].text), STR("s3cr3t-abc"), &b), 0);
		if (!str_eq(buf_str(&b), str_of(cases[i].clean)))
			print_error("%s: %.*s\n", cases[i].text, STR_ARG(buf_str(&b)));
		assert_true(str_eq(buf_str(&b), str_of(cases[i].clean)));
	}
}

static void test_statuses(void **state)
{
	static const struct {
		int status;
		enum vector_outcome how;
	} cases[] = {
		{200, VECTOR_OK},      {201, VECTOR_OK},      {204, VECTOR_OK},
		{302, VECTOR_REFUSED}, {400, VECTOR_SPLIT},   {401, VECTOR_REFUSED},
		{403, VECTOR_REFUSED}, {404, VECTOR_GONE},    {405, VECTOR_REFUSED},
		{408, VECTOR_RETRY},   {409, VECTOR_REFUSED}, {410, VECTOR_GONE},
		{413, VECTOR_SPLIT},   {415, VECTOR_REFUSED}, {422, VECTOR_SPLIT},
		{424, VECTOR_RETRY},   {425, VECTOR_RETRY},   {429, VECTOR_RETRY},
		{500, VECTOR_RETRY},   {501, VECTOR_REFUSED}, {502, VECTOR_RETRY},
		{503, VECTOR_RETRY},   {504, VECTOR_RETRY},   {507, VECTOR_REFUSED},
		{599, VECTOR_RETRY},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(service_outcome(cases[i].status), cases[i].how);
}

/* --- vectors ------------------------------------------------------------- */

static void test_base64(void **state)
{
	/* From python3: base64.b64encode(struct.pack("<3f", 1.0, -2.5, 1e-30)) */
	static const char known[] = "AACAPwAAIMBgQqIN";
	static const float v[3] = {1.0F, -2.5F, 1e-30F};
	_buf_ struct buf b = {.max = 1 << 20};
	float got[100], back[100];
	_json_ json_t *j = NULL;

	(void)state;
	assert_int_equal(vector_base64(&b, v, 3), 0);
	assert_true(str_eq(buf_str(&b), str_of(known)));
	for (uint32_t dim = 1; dim <= 100; dim++) {
		for (uint32_t i = 0; i < dim; i++)
			got[i] = (float)i * 0.37F - 5;
		buf_reset(&b);
		assert_int_equal(vector_base64(&b, got, dim), 0);
		json_decref(j);
		j = json_stringn(buf_str(&b).p, buf_str(&b).n);
		assert_int_equal(vector_length(j), dim);
		assert_int_equal(vector_read(j, dim, back), 0);
		assert_memory_equal(got, back, dim * sizeof(float));
		assert_int_equal(vector_read(j, dim + 1, back), -EBADMSG);
	}
}

static void test_no_vectors(void **state)
{
	static const char *const bad[] = {
		"[1,2]",
		"[1,2,3,4]",
		"[1,2,\"3\"]",
		"[1,2,null]",
		"[1,2,[3]]",
		"{\"a\":1}",
		"null",
		"3",
		"\"\"",
		"\"AACAPwAAIMBgQqI=\"",
		"\"AACAPwAAIMBgQqI\"",
		"\"AACAPwAAIMBgQq!N\"",
	};
	float v[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_json_ json_t *j = json_loads(bad[i], JSON_DECODE_ANY, NULL);

		assert_non_null(j);
		assert_int_equal(vector_read(j, 3, v), -EBADMSG);
	}
}

static void test_wrong_numbers(void **state)
{
	float v[4] = {0, 0, 0, 0};

	(void)state;
	assert_string_equal(vector_wrong(v, 4), "is all zeros");
	v[3] = -1e-45F;
	assert_null(vector_wrong(v, 4));
	v[0] = (float)NAN;
	assert_string_equal(vector_wrong(v, 4), "holds NaN or infinity");
	v[0] = -(float)INFINITY;
	assert_string_equal(vector_wrong(v, 4), "holds NaN or infinity");
}

/* --- /v1/embeddings ------------------------------------------------------ */

static enum vector_outcome read_openai(const char *text, uint32_t n, uint32_t want,
				       struct vectors *ret, char words[512])
{
	_buf_ struct buf b = {.max = 512};
	_json_ json_t *j = json_loads(text, JSON_DECODE_ANY, NULL);
	enum vector_outcome how;

	assert_non_null(j);
	how = openai_read(j, n, want, "m", ret, &b);
	(void)snprintf(words, 512, "%.*s", STR_ARG(buf_str(&b)));
	return how;
}

static void test_openai(void **state)
{
	struct vectors v = {0};
	char words[512];

	(void)state;
	assert_int_equal(read_openai("{\"data\":[{\"index\":1,\"embedding\":[3,4]},{\"index\":0,"
				     "\"embedding\":\"AACAPwAAAEA=\"}]}",
				     2, 0, &v, words),
			 VECTOR_OK);
	assert_int_equal(v.dim, 2);
	assert_true(v.v[0] == 1 && v.v[1] == 2 && v.v[2] == 3 && v.v[3] == 4);
	free(v.v);
	assert_int_equal(read_openai("{\"data\":[{\"embedding\":[3]},{\"embedding\":[4]}]}", 2, 1,
				     &v, words),
			 VECTOR_OK);
	assert_true(v.v[0] == 3 && v.v[1] == 4);
	free(v.v);
}

static void test_openai_wrong(void **state)
{
	static const struct {
		const char *body;
		uint32_t n, want;
		enum vector_outcome how;
		const char *words;
	} cases[] = {
		{"[]", 1, 0, VECTOR_RETRY, "no list \"data\""},
		{"{}", 1, 0, VECTOR_RETRY, "no list \"data\""},
		{"{\"data\":{}}", 1, 0, VECTOR_RETRY, "no list \"data\""},
		{"{\"data\":[]}", 1, 0, VECTOR_RETRY, "0 vectors for 1 texts"},
		{"{\"data\":[1]}", 2, 0, VECTOR_SPLIT, "1 vectors for 2 texts"},
		{"{\"data\":[1]}", 1, 0, VECTOR_SPLIT, "no embedding"},
		{"{\"data\":[null,null]}", 2, 0, VECTOR_SPLIT, "no embedding"},
		{"{\"data\":[{\"index\":0,\"embedding\":null}]}", 1, 0, VECTOR_SPLIT,
		 "vector 1 of 1 is no list of numbers"},
		{"{\"data\":[{\"index\":-1,\"embedding\":[1]}]}", 1, 0, VECTOR_SPLIT,
		 "wrong or repeated index"},
		{"{\"data\":[{\"index\":1,\"embedding\":[1]}]}", 1, 0, VECTOR_SPLIT,
		 "wrong or repeated index"},
		{"{\"data\":[{\"index\":\"0\",\"embedding\":[1]}]}", 1, 0, VECTOR_SPLIT,
		 "wrong or repeated index"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"embedding\":[1]}]}", 2, 0,
		 VECTOR_SPLIT, "wrong or repeated index"},
		{"{\"data\":[{\"index\":0,\"embedding\":[1]},{\"index\":0,\"embedding\":[1]}]}", 2,
		 0, VECTOR_SPLIT, "wrong or repeated index"},
		{"{\"data\":[{\"embedding\":[1,2]}]}", 1, 3, VECTOR_MISMATCH,
		 "model m answers with 2 dimensions, 3 are expected"},
		{"{\"data\":[{\"embedding\":[1,2]},{\"embedding\":[1]}]}", 2, 0, VECTOR_SPLIT,
		 "vector 2 of 2 is no list of 2 numbers"},
		{"{\"data\":[{\"embedding\":[1]},{\"embedding\":[0]}]}", 2, 0, VECTOR_SPLIT,
		 "vector 2 of 2 is all zeros"},
		{"{\"data\":[{\"embedding\":[1e39]}]}", 1, 0, VECTOR_SPLIT,
		 "vector 1 of 1 holds NaN or infinity"},
		{"{\"data\":[{\"embedding\":\"AADAfw==\"}]}", 1, 0, VECTOR_SPLIT,
		 "vector 1 of 1 holds NaN or infinity"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vectors v = {0};
		char words[512];
		enum vector_outcome how =
			read_openai(cases[i].body, cases[i].n, cases[i].want, &v, words);

		if (how != cases[i].how || !strstr(words, cases[i].words))
			print_error("%s: %s %s\n", cases[i].body, vector_outcome_name(how), words);
		assert_int_equal(how, cases[i].how);
		assert_non_null(strstr(words, cases[i].words));
		assert_null(v.v);
	}
}

static void test_batch_limit(void **state)
{
	(void)state;
	assert_int_equal(openai_batch_limit(STR("batch size 64 > maximum allowed batch size 32")),
			 32);
	assert_int_equal(openai_batch_limit(STR("maximum allowed batch size 8.")), 8);
	assert_int_equal(openai_batch_limit(STR("maximum allowed batch size ")), 0);
	assert_int_equal(openai_batch_limit(STR("maximum allowed batch size 99999999999999")), 0);
	assert_int_equal(openai_batch_limit(STR("no")), 0);
	assert_int_equal(openai_batch_limit((struct str){0}), 0);
}

/* --- documents in answers ------------------------------------------------ */

static void test_known(void **state)
{
	uint8_t hashes[2][DOC_HASH_SIZE];
	struct backend_known k = {0};
	_json_ json_t *j = json_loads(
		"{\"source\":\"kindred\",\"cluster\":null,\"kind\":\"Pod\",\"namespace\":null,"
		"\"text_hash\":"
		"\"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\","
		"\"meta_hash\":"
		"\"000102030405060708090A0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"}",
		0, NULL);

	(void)state;
	assert_true(doc_json_known(j, (struct str){0}, hashes, &k));
	assert_true(str_eq(k.kind, STR("Pod")) && k.ns.n == 0);
	assert_non_null(k.text_hash);
	for (size_t i = 0; i < DOC_HASH_SIZE; i++)
		assert_int_equal(k.text_hash[i], i);
	assert_null(k.meta_hash); /* upper case is not ours */
	assert_false(doc_json_known(j, STR("east"), hashes, &k));
	(void)json_object_set_new(j, "cluster", json_string("east"));
	assert_true(doc_json_known(j, STR("east"), hashes, &k));
	assert_false(doc_json_known(j, (struct str){0}, hashes, &k));
	(void)json_object_set_new(j, "source", json_string("resource-sync"));
	assert_false(doc_json_known(j, STR("east"), hashes, &k));
	assert_false(doc_json_known(NULL, (struct str){0}, hashes, &k));
}

static void no_row(void *ctx, const struct backend_known *k)
{
	(void)ctx;
	(void)k;
	fail();
}

static void test_qdrant_strange(void **state)
{
	static const char *const bodies[] = {
		"[]",
		"{}",
		"{\"result\":null}",
		"{\"result\":[]}",
		"{\"result\":{\"points\":{}}}",
		"{\"result\":{\"config\":{\"params\":{\"vectors\":[]}}}}",
		"{\"result\":{\"status\":1}}",
		"{\"result\":[1,2]}",
		"{\"result\":[{\"status\":\"acknowledged\"},{\"status\":\"completed\"}]}",
		"{\"result\":[{\"status\":\"completed\"},{\"status\":\"acknowledged\"}]}",
	};
	struct doc_origin o = {STR("m"), STR("t")};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		_buf_ struct buf w = {.max = 4096}, out = {.max = 4096};
		_json_ json_t *j = json_loads(bodies[i], JSON_DECODE_ANY, NULL);
		struct qdrant_collection c;

		assert_int_equal(qdrant_read_collection(j, 8, &c, &w), VECTOR_RETRY);
		assert_int_equal(qdrant_read_others(j, &o, &w), VECTOR_RETRY);
		assert_int_equal(qdrant_read_written(j, &w), VECTOR_RETRY);
		assert_int_equal(qdrant_read_page(j, STR(""), no_row, NULL, &out, &w),
				 VECTOR_RETRY);
		assert_int_equal(qdrant_read_hits(j, &out, &w), VECTOR_RETRY);
	}
}

static void test_qdrant_written(void **state)
{
	static const char *const bodies[] = {
		"{\"result\":{\"operation_id\":1,\"status\":\"completed\"}}",
		"{\"result\":[{\"status\":\"completed\"},{\"status\":\"completed\"}]}",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		_buf_ struct buf w = {.max = 4096};
		_json_ json_t *j = json_loads(bodies[i], 0, NULL);

		assert_int_equal(qdrant_read_written(j, &w), VECTOR_OK);
	}
}

static void test_qdrant_rows(void **state)
{
	_buf_ struct buf w = {.max = 4096}, out = {.max = 4096};
	_json_ json_t *j = json_loads(
		"{\"result\":{\"points\":[null,1,{},{\"payload\":[]},{\"payload\":{\"_originalId\":"
		"7}},"
		"{\"payload\":{\"_originalId\":\"x\"}}],\"next_page_offset\":\"a\\\"b\"}}",
		0, NULL);

	(void)state;
	assert_int_equal(qdrant_read_page(j, STR(""), no_row, NULL, &out, &w), VECTOR_OK);
	assert_true(str_eq(buf_str(&out), STR("\"a\\\"b\"")));
	buf_reset(&out);
	assert_int_equal(qdrant_read_hits(j, &out, &w), VECTOR_OK);
	json_decref(j);
	j = json_loadb(buf_str(&out).p, buf_str(&out).n, 0, NULL);
	assert_int_equal(json_array_size(j), 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_texts),   cmocka_unit_test(test_cut),
		cmocka_unit_test(test_credentials),   cmocka_unit_test(test_statuses),
		cmocka_unit_test(test_base64),	      cmocka_unit_test(test_no_vectors),
		cmocka_unit_test(test_wrong_numbers), cmocka_unit_test(test_openai),
		cmocka_unit_test(test_openai_wrong),  cmocka_unit_test(test_batch_limit),
		cmocka_unit_test(test_known),	      cmocka_unit_test(test_qdrant_strange),
		cmocka_unit_test(test_qdrant_rows),   cmocka_unit_test(test_qdrant_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
