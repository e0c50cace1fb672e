/*
 * SipHash-1-3 (Aumasson, Bernstein 2012; the reduced rounds that Rust's and
 * Python's maps use). Keys come from the network: with a random seed nobody can
 * choose names that collide.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct hash_seed {
	uint64_t k[2];
};

/* From the kernel's random source. */
void hash_seed_init(struct hash_seed *ret);
uint64_t hash_bytes(const struct hash_seed *s, const void *p, size_t n);
/* Both halves of a product (as in wyhash, Wang Yi 2019). */
static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
	const unsigned __int128 x = (unsigned __int128)a * b;

	return (uint64_t)(x >> 64) ^ (uint64_t)x;
}
/* Two numbers, at a tenth of the price. For what others do not choose freely: the kernel's ids,
 * pids, clocks, addresses with ports. One product alone leaves numbers in order in too much order.
 */
static inline uint64_t hash_numbers(const struct hash_seed *s, uint64_t a, uint64_t b)
{
	return hash_fold(hash_fold(a ^ s->k[0], b ^ s->k[1]), s->k[0] | 1);
}
