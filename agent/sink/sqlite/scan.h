/*
 * Arithmetic of the search by vectors, and the best of many. Pure; plain C that the
 * compiler makes vector instructions of, but for the one that all rows go through.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define SCAN_ALIGN 32 /* rows of int8 begin at multiples of this, and are filled up with zeros */

/* All values finite, and not all of them zero (nor so small or large that its length is). */
bool scan_good(const float *v, uint32_t dim);
/* Square root of the sum of squares. */
double scan_length(const float *v, uint32_t dim);
/* Cosine of a question (good, of that length) and a vector; false: the vector is not good. */
bool scan_cosine(const float *question, double length, const float *v, uint32_t dim, double *ret);

/* The vector in steps of its largest value / 127. Two such dotted, times both factors, are about
 * the cosine. `ret` has SCAN_ALIGN's room. */
void scan_quantise(const float *v, uint32_t dim, int8_t *ret, float *ret_factor);
/* Of values from -127 to 127, at multiples of SCAN_ALIGN; n is one, too, at most 128 Ki. With AVX2
 * where the processor has it. */
int32_t scan_dot(const int8_t *a, const int8_t *b, uint32_t n);
/* The same on every processor. */
int32_t scan_dot_plain(const int8_t *a, const int8_t *b, uint32_t n);

struct scan_hit {
	int64_t doc;
	double score;
};
/* The best ones seen; ties: the smaller doc. `hits` is the caller's, `max` of them. */
struct scan_top {
	struct scan_hit *hits;
	uint32_t n, max;
};
void scan_keep(struct scan_top *t, int64_t doc, double score);
/* Most of many are turned away here. */
static inline void scan_put(struct scan_top *t, int64_t doc, double score)
{
	if (t->n < t->max || (t->max && score >= t->hits[0].score))
		scan_keep(t, doc, score);
}
/* Best first; nothing can be put any more. */
void scan_sort(struct scan_top *t);
