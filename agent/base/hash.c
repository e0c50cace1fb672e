#include "base/hash.h"

#include "base/rng.h"

#include <string.h>

static inline uint64_t rotl(uint64_t x, int b)
{
	return (x << b) | (x >> (64 - b));
}

static inline void sip_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

void hash_seed_init(struct hash_seed *ret)
{
	ret->k[0] = rng_entropy();
	ret->k[1] = rng_entropy();
}

uint64_t hash_bytes(const struct hash_seed *s, const void *p, size_t n)
{
	uint64_t v[4] = {s->k[0] ^ 0x736f6d6570736575ULL, s->k[1] ^ 0x646f72616e646f6dULL,
			 s->k[0] ^ 0x6c7967656e657261ULL, s->k[1] ^ 0x7465646279746573ULL};
	const unsigned char *in = p;
	uint64_t last = (uint64_t)n << 56, word;
	size_t whole = n & ~(size_t)7;

	for (size_t i = 0; i < whole; i += 8) {
		memcpy(&word, in + i, 8);
		v[3] ^= word;
		sip_round(v);
		v[0] ^= word;
	}
	for (size_t i = whole; i < n; i++)
		last |= (uint64_t)in[i] << (8 * (i - whole));
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
