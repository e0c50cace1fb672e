/*
 * The built-in embedder: lexical, deterministic, without a model. It sees words,
 * not meaning; its name says so ("hash-v1:384"). Specified bit for bit in
 * README.md beside this file, so that any program can make the same vectors.
 * Pure, no allocation.
 */
#pragma once

#include "base/str.h"

#include <stdint.h>

#define EMBED_HASH_MAX_DIM 4096

/* dim: 384 or 1024, any from 8 to EMBED_HASH_MAX_DIM works. The vector has length 1. A text without
 * a single word gives the first unit vector. Byte-identical on every host. */
void embed_hash(struct str text, uint32_t dim, float *ret);
