#include "sink/sqlite/scan.h"

#include "base/mem.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LANES 8 /* sums beside each other: the order of additions is ours, not the compiler's */

/* -O2 of gcc 12 vectorises only what costs no size; clang does without being told. */
#if defined(__GNUC__) && !defined(__clang__)
#define FAST __attribute__((optimize("O3")))
#else
#define FAST
#endif

/* ---- floats ---------------------------------------------------------------------------------- */

FAST static double dot_float(const float *a, const float *b, uint32_t dim)
{
	double sum[LANES] = {0}, all = 0;
	uint32_t i = 0;

	for (; i + LANES <= dim; i += LANES)
		for (uint32_t k = 0; k < LANES; k++)
			sum[k] += (double)a[i + k] * (double)b[i + k];
	for (; i < dim; i++)
		sum[0] += (double)a[i] * (double)b[i];
	for (uint32_t k = 0; k < LANES; k++)
		all += sum[k];
	return all;
}

/* A value that is no number spoils the sum: one test is enough. */
static bool is_good(double square)
{
	return isfinite(square) && square > 1e-30;
}

bool scan_good(const float *v, uint32_t dim)
{
	return is_good(dot_float(v, v, dim));
}

double scan_length(const float *v, uint32_t dim)
{
	return sqrt(dot_float(v, v, dim));
}

/* Both sums in one go over the vector, which mostly waits for memory. */
FAST bool scan_cosine(const float *question, double length, const float *v, uint32_t dim,
		      double *ret)
{
	double dot[LANES] = {0}, square[LANES] = {0}, d = 0, s = 0;
	uint32_t i = 0;

	for (; i + LANES <= dim; i += LANES)
		for (uint32_t k = 0; k < LANES; k++) {
			dot[k] += (double)question[i + k] * (double)v[i + k];
			square[k] += (double)v[i + k] * (double)v[i + k];
		}
	for (; i < dim; i++) {
		dot[0] += (double)question[i] * (double)v[i];
		square[0] += (double)v[i] * (double)v[i];
	}
	for (uint32_t k = 0; k < LANES; k++) {
		d += dot[k];
		s += square[k];
	}
	*ret = d / (length * sqrt(s));
	return is_good(s);
}

/* ---- int8 ------------------------------------------------------------------------------------ */

/* Rounded by hand: lrintf is a call for each value. */
FAST void scan_quantise(const float *v, uint32_t dim, int8_t *ret, float *ret_factor)
{
	const double length = scan_length(v, dim);
	const uint32_t n = (dim + SCAN_ALIGN - 1) / SCAN_ALIGN * SCAN_ALIGN;
	float most = 0, scale;

	for (uint32_t i = 0; i < dim; i++)
		most = fabsf(v[i]) > most ? fabsf(v[i]) : most;
	scale = 127 / most;
	for (uint32_t i = 0; i < dim; i++)
		ret[i] = (int8_t)(int32_t)(v[i] * scale + (v[i] < 0 ? -0.5F : 0.5F));
	memset(ret + dim, 0, n - dim);
	*ret_factor = (float)(most / 127 / length);
}

/* Products fit 16 bits (127 * 127), which is what the smallest instruction sets multiply best. */
FAST int32_t scan_dot_plain(const int8_t *a, const int8_t *b, uint32_t n)
{
	int32_t sum = 0;

	a = __builtin_assume_aligned(a, SCAN_ALIGN);
	b = __builtin_assume_aligned(b, SCAN_ALIGN);
	n &= ~(SCAN_ALIGN - 1U);
	for (uint32_t i = 0; i < n; i++)
		sum += (int16_t)((int16_t)a[i] * (int16_t)b[i]);
	return sum;
}

#if defined(__x86_64__)
/* The instruction multiplies unsigned by signed bytes and adds two beside each other in 16 bits:
 * a's sign goes over to b, and twice 127 * 127 still fits. */
__attribute__((target("avx2"))) static int32_t dot_avx2(const int8_t *a, const int8_t *b,
							uint32_t n)
{
	const __m256i ones = _mm256_set1_epi16(1);
	__m256i sum = _mm256_setzero_si256();
	int32_t lanes[8], all = 0;

#pragma GCC unroll 4
	for (uint32_t i = 0; i + SCAN_ALIGN <= n; i += SCAN_ALIGN) {
		const __m256i x = _mm256_load_si256((const __m256i *)(const void *)(a + i));
		const __m256i y = _mm256_load_si256((const __m256i *)(const void *)(b + i));
		const __m256i pairs =
			_mm256_maddubs_epi16(_mm256_abs_epi8(x), _mm256_sign_epi8(y, x));

		sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
	}
	_mm256_storeu_si256((__m256i *)(void *)lanes, sum);
	for (int i = 0; i < 8; i++)
		all += lanes[i];
	return all;
}
#endif

int32_t scan_dot(const int8_t *a, const int8_t *b, uint32_t n)
{
#if defined(__x86_64__)
	if (__builtin_cpu_supports("avx2"))
		return dot_avx2(a, b, n);
#endif
	return scan_dot_plain(a, b, n);
}

/* ---- the best -------------------------------------------------------------------------------- */

/* A heap with the worst on top. */
static bool is_worse(const struct scan_hit *a, const struct scan_hit *b)
{
	return a->score != b->score ? a->score < b->score : a->doc > b->doc;
}

static void swap(struct scan_hit *a, struct scan_hit *b)
{
	struct scan_hit t = *a;

	*a = *b;
	*b = t;
}

static void sift_down(struct scan_hit *v, uint32_t n)
{
	uint32_t at = 0, child;

	while ((child = 2 * at + 1) < n) {
		if (child + 1 < n && is_worse(&v[child + 1], &v[child]))
			child++;
		if (!is_worse(&v[child], &v[at]))
			return;
		swap(&v[child], &v[at]);
		at = child;
	}
}

void scan_keep(struct scan_top *t, int64_t doc, double score)
{
	const struct scan_hit hit = {.doc = doc, .score = score};
	uint32_t at = t->n;

	if (t->n == t->max) {
		if (is_worse(&t->hits[0], &hit)) {
			t->hits[0] = hit;
			sift_down(t->hits, t->n);
		}
		return;
	}
	t->hits[t->n++] = hit;
	for (; at && is_worse(&t->hits[at], &t->hits[(at - 1) / 2]); at = (at - 1) / 2)
		swap(&t->hits[at], &t->hits[(at - 1) / 2]);
}

void scan_sort(struct scan_top *t)
{
	for (uint32_t n = t->n; n > 1; n--) {
		swap(&t->hits[0], &t->hits[n - 1]);
		sift_down(t->hits, n - 1);
	}
}
