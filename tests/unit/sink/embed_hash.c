/*
 * The built-in embedder, byte for byte: golden vectors that another program made from
 * the specification alone (tests/retrieval/hash_v1.py).
 */
#include "sink/vector/embed_hash.h"

#include "base/mem.h"

#include <jansson.h>
#include <math.h>
#include <openssl/sha.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOLDEN "tests/golden/hash-v1.tsv"

/* Little-endian, whatever the host is. */
static void digest_of(const float *v, uint32_t dim, char hex[65])
{
	uint8_t bytes[4 * EMBED_HASH_MAX_DIM], h[SHA256_DIGEST_LENGTH];

	for (uint32_t i = 0; i < dim; i++) {
		uint32_t u;

		memcpy(&u, &v[i], sizeof(u));
		for (int k = 0; k < 4; k++)
			bytes[4 * i + (uint32_t)k] = (uint8_t)(u >> (8 * k));
	}
	(void)SHA256(bytes, 4UL * dim, h);
	for (size_t i = 0; i < sizeof(h); i++)
		(void)snprintf(hex + 2 * i, 3, "%02x", h[i]);
}

static void check_line(char *line)
{
	float v[EMBED_HASH_MAX_DIM];
	char *wanted, *json, hex[65];
	uint32_t dim = (uint32_t)strtoul(line, &wanted, 10);
	json_t *text;

	json = strchr(++wanted, '\t');
	assert_non_null(json);
	*json++ = '\0';
	text = json_loads(json, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	assert_non_null(text);
	embed_hash(str_make(json_string_value(text), json_string_length(text)), dim, v);
	digest_of(v, dim, hex);
	if (strcmp(hex, wanted) != 0)
		fail_msg("%u dimensions of %s: %s, wanted %s", dim, json, hex, wanted);
	json_decref(text);
}

static void golden_bytes(void **state)
{
	FILE *f = fopen(GOLDEN, "r");
	char *line = NULL;
	size_t cap = 0;
	int n = 0;

	(void)state;
	assert_non_null(f);
	while (getline(&line, &cap, f) > 0) {
		check_line(line);
		n++;
	}
	free(line);
	(void)fclose(f);
	assert_true(n >= 40);
}

static void length_is_one(void **state)
{
	static const uint32_t dims[] = {8, 384, 1024, 4096};
	float v[EMBED_HASH_MAX_DIM];

	(void)state;
	for (size_t d = 0; d < ARRAY_SIZE(dims); d++) {
		double sum = 0;

		embed_hash(STR("a Deployment that mounts a Secret"), dims[d], v);
		for (uint32_t i = 0; i < dims[d]; i++)
			sum += (double)v[i] * v[i];
		assert_true(fabs(sum - 1) < 1e-5);
	}
}

/* More words than the table has, and one that never ends. */
static void huge_texts(void **state)
{
	static float v[384];
	size_t n = 4UL << 20;
	char *text = malloc(n);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i + 8 < n; i += 8)
		(void)snprintf(text + i, 9, "%07zx ", i);
	embed_hash(str_make(text, n - 8), 384, v);
	memset(text, 'a', n);
	embed_hash(str_make(text, n), 384, v);
	memset(text, 0xff, n);
	embed_hash(str_make(text, n), 384, v);
	free(text);
	assert_true(isfinite(v[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_bytes),
		cmocka_unit_test(length_is_one),
		cmocka_unit_test(huge_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
