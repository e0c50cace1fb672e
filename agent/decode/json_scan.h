/*
 * Passing over JSON that nobody wants, 64 bytes at a time.
 *
 * A block is turned into bit masks: quotes that count, hence what is inside of
 * strings, hence the brackets outside of them; opens minus closes is a pop
 * count. Only the block in which a value ends is looked at bit by bit. (The
 * technique of "Parsing Gigabytes of JSON per Second", Langdale and Lemire, 2019.)
 *
 * Grammar is not checked in there: strings, escapes of quotes, and brackets as a
 * number, without their kind.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

struct json_scan {
	uint64_t in_string; /* all ones inside of a string */
	uint64_t escaped;   /* 1: the next byte is escaped */
	uint64_t depth;	    /* brackets open; no stream is long enough to overflow it */
	uint64_t limit;	    /* nesting over it sets `deep`, and is not looked for again */
	bool deep;
};

/* Begins behind an opening bracket. */
void json_scan_begin(struct json_scan *s, uint64_t depth, uint64_t limit);
/* Goes on with `n` bytes; returns how many belong to the value. It is over when s->depth is 0. */
size_t json_scan(struct json_scan *s, const char *p, size_t n);

/* The first quote, backslash or control character (below 0x20) of a string, or `end`. Inline:
 * most strings are over within the first 16 bytes. */
static inline const char *json_scan_string(const char *p, const char *end)
{
#ifdef __SSE2__
	for (; end - p >= 16; p += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i hit = _mm_or_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('"')),
					   _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
		int bits;

		hit = _mm_or_si128(hit, _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v));
		bits = _mm_movemask_epi8(hit);
		if (bits)
			return p + __builtin_ctz((unsigned)bits);
	}
#endif
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}
