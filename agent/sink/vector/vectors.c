/* Vectors of services; see vectors.h. */
#include "sink/vector/vectors.h"

#include "base/json_in.h"
#include "base/mem.h"

#include <endian.h>
#include <errno.h>
#include <float.h>
#include <math.h>
#include <openssl/evp.h>
#include <string.h>

#define BASE64_LINE 48 /* bytes encoded at once: 64 characters */

const char *vector_wrong(const float *v, uint32_t dim)
{
	bool some = false;

	for (uint32_t i = 0; i < dim; i++) {
		if (!isfinite(v[i]))
			return "holds NaN or infinity";
		some = some || v[i] != 0.0F;
	}
	return some ? NULL : "is all zeros";
}

/* --- base64 -------------------------------------------------------------- */

static size_t base64_bytes(struct str s)
{
	size_t pad = 0;

	if (!s.n || s.n % 4)
		return 0;
	while (pad < 2 && s.p[s.n - 1 - pad] == '=')
		pad++;
	return s.n / 4 * 3 - pad;
}

static int base64_read(struct str s, size_t n, void *ret)
{
	_free_ unsigned char *p = malloc(s.n / 4 * 3 + 1);

	if (!p)
		return -ENOMEM;
	/* Also refuses bytes outside the alphabet. */
	if (EVP_DecodeBlock(p, (const unsigned char *)s.p, (int)s.n) < 0)
		return -EBADMSG;
	memcpy(ret, p, n);
	return 0;
}

int vector_base64(struct buf *out, const float *v, uint32_t dim)
{
	for (uint32_t at = 0; at < dim;) {
		unsigned char raw[BASE64_LINE], text[BASE64_LINE / 3 * 4 + 1];
		uint32_t n = MIN(dim - at, (uint32_t)(BASE64_LINE / sizeof(uint32_t)));
		int r;

		for (uint32_t i = 0; i < n; i++) {
			uint32_t bits;

			memcpy(&bits, &v[at + i], sizeof(bits));
			bits = htole32(bits);
			memcpy(raw + (size_t)i * sizeof(bits), &bits, sizeof(bits));
		}
		r = EVP_EncodeBlock(text, raw, (int)(n * sizeof(uint32_t)));
		r = buf_append(out, text, (size_t)r);
		if (r < 0)
			return r;
		at += n;
	}
	return 0;
}

/* --- one vector ---------------------------------------------------------- */

size_t vector_length(const json_t *j)
{
	return json_is_array(j) ? json_array_size(j)
				: base64_bytes(json_in_text(j)) / sizeof(float);
}

void vector_unpack(const void *p, uint32_t dim, float *ret)
{
	const unsigned char *from = p;

	for (uint32_t i = 0; i < dim; i++) {
		uint32_t bits;

		memcpy(&bits, from + (size_t)i * sizeof(bits), sizeof(bits));
		bits = le32toh(bits);
		memcpy(&ret[i], &bits, sizeof(bits));
	}
}

float vector_number(const json_t *number)
{
	double d = json_number_value(number);

	return fabs(d) <= (double)FLT_MAX ? (float)d : (float)INFINITY;
}

int vector_read(const json_t *j, uint32_t dim, float *ret)
{
	if (json_is_string(j)) {
		size_t n = base64_bytes(json_in_text(j));
		int r;

		if (n != (size_t)dim * sizeof(float))
			return -EBADMSG;
		r = base64_read(json_in_text(j), n, ret);
		if (r == 0)
			vector_unpack(ret, dim, ret); /* in place: each reads before it writes */
		return r;
	}
	if (!json_is_array(j) || json_array_size(j) != dim)
		return -EBADMSG;
	for (uint32_t i = 0; i < dim; i++) {
		const json_t *one = json_array_get(j, i);

		if (!json_is_number(one))
			return -EBADMSG;
		ret[i] = vector_number(one);
	}
	return 0;
}

void vectors_done(struct vectors *v)
{
	free(v->v);
	v->v = NULL;
}

/* --- an answer ----------------------------------------------------------- */

enum vector_outcome vectors_dim(size_t dim, uint32_t want, const char *model, struct buf *text)
{
	if (want && dim != want) {
		(void)buf_printf(text, "model %s answers with %zu dimensions, %u are expected",
				 model, dim, want);
		return VECTOR_MISMATCH;
	}
	if (dim == 0 || dim > EMBED_MAX_DIM) {
		(void)buf_printf(text,
				 "model %s answers with %zu dimensions; at most %d can be used",
				 model, dim, EMBED_MAX_DIM);
		return VECTOR_MISMATCH;
	}
	return VECTOR_OK;
}

enum vector_outcome vectors_check(const struct vectors *v, uint32_t n, struct buf *text)
{
	for (uint32_t i = 0; i < n; i++) {
		const char *wrong = vector_wrong(v->v + (size_t)i * v->dim, v->dim);

		if (!wrong)
			continue;
		(void)buf_printf(text, "vector %u of %u %s", i + 1, n, wrong);
		return VECTOR_SPLIT;
	}
	return VECTOR_OK;
}

static enum vector_outcome read_all(const json_t *const *items, uint32_t n, struct vectors *v,
				    struct buf *text)
{
	for (uint32_t i = 0; i < n; i++) {
		int r = vector_read(items[i], v->dim, v->v + (size_t)i * v->dim);

		if (r == 0)
			continue;
		if (r == -EBADMSG)
			(void)buf_printf(text, "vector %u of %u is no list of %u numbers", i + 1, n,
					 v->dim);
		return r == -EBADMSG ? VECTOR_SPLIT : VECTOR_RETRY;
	}
	return vectors_check(v, n, text);
}

enum vector_outcome vectors_read(const json_t *const *items, uint32_t n, uint32_t want,
				 const char *model, struct vectors *ret, struct buf *text)
{
	size_t dim = vector_length(items[0]);
	enum vector_outcome how;
	struct vectors v;

	if (!dim) {
		(void)buf_printf(text, "vector 1 of %u is no list of numbers", n);
		return VECTOR_SPLIT;
	}
	how = vectors_dim(dim, want, model, text);
	if (how != VECTOR_OK)
		return how;
	v.dim = (uint32_t)dim;
	v.v = malloc((size_t)n * dim * sizeof(*v.v));
	how = v.v ? read_all(items, n, &v, text) : VECTOR_RETRY;
	if (how == VECTOR_OK)
		*ret = v;
	else
		free(v.v);
	return how;
}
