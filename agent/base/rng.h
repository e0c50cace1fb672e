/*
 * A small random source that is passed along, so that one seed decides a whole
 * simulated run. Not for secrets. SplitMix64 (Steele, Lea, Flood 2014).
 */
#pragma once

#include <stdint.h>

struct rng {
	uint64_t state;
};

static inline void rng_seed(struct rng *g, uint64_t seed)
{
	g->state = seed;
}

static inline uint64_t rng_next(struct rng *g)
{
	uint64_t z = (g->state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

/* Evenly from [0, n); 0 when n is 0. The bias of the 128-bit product is below 2^-32 for n < 2^32.
 */
static inline uint64_t rng_below(struct rng *g, uint64_t n)
{
	return (uint64_t)(((unsigned __int128)rng_next(g) * n) >> 64);
}

/* A seed from the kernel (getrandom(2)). */
uint64_t rng_entropy(void);
