/*
 * SipHash-1-3 against OpenSSL's SipHash with one compression and three
 * finalisation rounds, for every length around a word.
 */
#include "base/hash.h"

#include "base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>

#include <cmocka.h>

static uint64_t other_hash(const unsigned char key[16], const unsigned char *p, size_t n)
{
	unsigned int c = 1, d = 3;
	size_t size = 8, out_n = 0;
	unsigned char out[16];
	uint64_t h = 0;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_size_t(OSSL_MAC_PARAM_SIZE, &size),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_C_ROUNDS, &c),
		OSSL_PARAM_construct_uint(OSSL_MAC_PARAM_D_ROUNDS, &d),
		OSSL_PARAM_construct_end(),
	};
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);

	assert_int_equal(EVP_MAC_init(ctx, key, 16, params), 1);
	assert_int_equal(EVP_MAC_update(ctx, p, n), 1);
	assert_int_equal(EVP_MAC_final(ctx, out, &out_n, sizeof(out)), 1);
	assert_int_equal(out_n, 8);
	for (int i = 7; i >= 0; i--)
		h = h << 8 | out[i];
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
	return h;
}

static uint64_t word(const unsigned char *p)
{
	uint64_t v = 0;

	for (int i = 7; i >= 0; i--)
		v = v << 8 | p[i];
	return v;
}

static void is_siphash_1_3(void **state)
{
	unsigned char key[16], in[300];
	struct rng g;

	(void)state;
	rng_seed(&g, 1);
	for (int round = 0; round < 4; round++) {
		struct hash_seed s;

		for (size_t i = 0; i < sizeof(key); i++)
			key[i] = round ? (unsigned char)rng_next(&g) : (unsigned char)i;
		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = round ? (unsigned char)rng_next(&g) : (unsigned char)i;
		s = (struct hash_seed){.k = {word(key), word(key + 8)}};
		for (size_t n = 0; n < sizeof(in); n++)
			assert_true(hash_bytes(&s, in, n) == other_hash(key, in, n));
		/* also from an address that is not aligned */
		assert_true(hash_bytes(&s, in + 3, 100) == other_hash(key, in + 3, 100));
	}
}

static void seeds_differ(void **state)
{
	struct hash_seed a, b;

	(void)state;
	hash_seed_init(&a);
	hash_seed_init(&b);
	assert_memory_not_equal(&a, &b, sizeof(a));
	assert_true(hash_bytes(&a, "x", 1) != hash_bytes(&b, "x", 1));
	assert_true(hash_bytes(&a, NULL, 0) == hash_bytes(&a, "", 0));
}

/* The fullest of 4096 cells that as many numbers fall into, by the bits that an index uses. */
static uint32_t fullest(uint64_t from, uint64_t step, bool second)
{
	static uint32_t cells[4096];
	struct hash_seed s;
	uint32_t most = 0;

	hash_seed_init(&s);
	memset(cells, 0, sizeof(cells));
	for (uint64_t i = 0; i < 4096; i++) {
		const uint64_t v = from + i * step,
			       h = second ? hash_numbers(&s, 7, v) : hash_numbers(&s, v, 0);
		uint32_t *c = &cells[(uint32_t)h >> 20];

		most = ++*c > most ? *c : most;
	}
	return most;
}

/* Thrown at random, 4096 into 4096 cells, more than 12 in one have a chance of 10^-6. */
static void numbers_in_order_spread(void **state)
{
	static const uint64_t steps[] = {1, 2, 64, 2560, 4096, 1ULL << 20, 1ULL << 32, 70000};

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		assert_true(fullest(0xffff888003a40000ULL, steps[i], false) <= 12);
		assert_true(fullest(1, steps[i], true) <= 12);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_siphash_1_3),
		cmocka_unit_test(seeds_differ),
		cmocka_unit_test(numbers_in_order_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
