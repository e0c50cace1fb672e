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
