/*
 * Vectors as services write and read them: lists of numbers, or base64 of float32 in
 * little endian; and the one check that every vector passes. Pure.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "sink/vector/embedder.h"

#include <jansson.h>
#include <stdint.h>

/* NULL, or what is wrong with it, in words: a number that is none, or nothing but zeros (which has
 * no direction: no database can compare it). */
const char *vector_wrong(const float *v, uint32_t dim);

/* A number, infinite when it is beyond a float. */
float vector_number(const json_t *number);
/* Numbers of a list, or of a base64 text: how many; 0 when it is neither. */
size_t vector_length(const json_t *j);
/* Those numbers, when there are `dim`. 0 or -EBADMSG. */
int vector_read(const json_t *j, uint32_t dim, float *ret);
/* Little-endian float32, dim * 4 bytes of them. */
void vector_unpack(const void *p, uint32_t dim, float *ret);
/* Appends base64, without quotes. 0, -EMSGSIZE or -ENOMEM. */
int vector_base64(struct buf *out, const float *v, uint32_t dim);

/* What an embedder's answer came to. */
struct vectors {
	float *v; /* heap, n * dim; NULL: none */
	uint32_t dim;
};
void vectors_done(struct vectors *v);
#define _vectors_ _cleanup_(vectors_done)

/*
 * n vectors in a row, item by item: the first one tells the dimension, which must be `want` unless
 * that is 0. VECTOR_OK with ret; else words in `text`: VECTOR_MISMATCH (another dimension than
 * `want`), VECTOR_SPLIT (uneven, not finite, zero), VECTOR_RETRY (no memory).
 */
enum vector_outcome vectors_read(const json_t *const *items, uint32_t n, uint32_t want,
				 const char *model, struct vectors *ret, struct buf *text);
/* The checks of the above on vectors that are there already. */
enum vector_outcome vectors_check(const struct vectors *v, uint32_t n, struct buf *text);
/* Whether an answer's dimension is possible, and the one that is wanted. */
enum vector_outcome vectors_dim(size_t dim, uint32_t want, const char *model, struct buf *text);
