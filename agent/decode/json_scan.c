#include "decode/json_scan.h"

#include <string.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#define BLOCK 64

struct masks {
	uint64_t quote, backslash, open, close;
};

void json_scan_begin(struct json_scan *s, uint64_t depth, uint64_t limit)
{
	*s = (struct json_scan){.depth = depth, .limit = limit};
}

/* Every bit is the parity of those up to and with it: ones from an opening quote to before the
 * closing one. */
static inline uint64_t prefix_xor(uint64_t x)
{
	x ^= x << 1;
	x ^= x << 2;
	x ^= x << 4;
	x ^= x << 8;
	x ^= x << 16;
	x ^= x << 32;
	return x;
}

/* The bytes behind backslashes that are not escaped themselves. */
static uint64_t find_escaped(uint64_t backslash, uint64_t *carry)
{
	const uint64_t odd_bits = 0xaaaaaaaaaaaaaaaaULL;
	uint64_t starts, codes, escape;

	if (!backslash) {
		escape = *carry;
		*carry = 0;
		return escape;
	}
	/* A run of backslashes escapes every second byte from its start: adding at the start of a
	 * run carries through it, and which parity comes out says where it ends. */
	starts = backslash & ~*carry;
	codes = ((starts << 1 | odd_bits) - starts) ^ odd_bits;
	escape = codes ^ (backslash | *carry);
	*carry = (codes & backslash) >> 63;
	return escape;
}

/* The value ends in this block, or nests over the limit: bracket by bracket. Returns the bytes of
 * the block that belong to the value. */
static size_t walk(struct json_scan *s, uint64_t open, uint64_t close)
{
	for (uint64_t all = open | close; all; all &= all - 1) {
		uint64_t bit = all & -all;

		if (close & bit) {
			if (--s->depth == 0)
				return (size_t)__builtin_ctzll(bit) + 1;
		} else if (++s->depth > s->limit) {
			s->deep = true;
			s->limit = UINT64_MAX;
		}
	}
	return BLOCK;
}

/*
 * One loop for each instruction set. `s` is kept in locals: the store of every block would
 * otherwise be waited for by the next.
 */
#define DEFINE_SCAN(name, target, get_masks, parity)                                              \
	target static size_t name(struct json_scan *s, const char *p, size_t n)                   \
	{                                                                                         \
		uint64_t in_string = s->in_string, escaped = s->escaped;                          \
		char tail[BLOCK];                                                                 \
		size_t i = 0;                                                                     \
                                                                                                  \
		while (i < n) {                                                                   \
			const char *block = p + i;                                                \
			size_t len = n - i < BLOCK ? n - i : BLOCK, used;                         \
			uint64_t quote, inside, opens, closes, e;                                 \
			uint64_t n_open, n_close;                                                 \
			struct masks m;                                                           \
                                                                                                  \
			if (len < BLOCK) {                                                        \
				memset(tail, ' ', sizeof(tail));                                  \
				memcpy(tail, block, len);                                         \
				block = tail;                                                     \
			}                                                                         \
			m = get_masks(block);                                                     \
			e = escaped;                                                              \
			quote = m.quote;                                                          \
			if (__builtin_expect((m.backslash | e) != 0, 0)) {                        \
				uint64_t esc = find_escaped(m.backslash, &e);                     \
                                                                                                  \
				quote &= ~esc;                                                    \
				if (len < BLOCK) /* the padding is not the escaped byte */        \
					e = esc >> len & 1;                                       \
			}                                                                         \
			inside = parity(quote) ^ in_string;                                       \
			opens = m.open & ~inside;                                                 \
			closes = m.close & ~inside;                                               \
			n_open = (uint64_t)__builtin_popcountll(opens);                           \
			n_close = (uint64_t)__builtin_popcountll(closes);                         \
			if (__builtin_expect(n_close >= s->depth || s->depth + n_open > s->limit, \
					     0)) {                                                \
				used = walk(s, opens, closes);                                    \
				if (!s->depth)                                                    \
					return i + used;                                          \
			} else {                                                                  \
				s->depth += n_open - n_close;                                     \
			}                                                                         \
			in_string = (uint64_t)((int64_t)inside >> 63);                            \
			escaped = e;                                                              \
			i += len;                                                                 \
		}                                                                                 \
		s->in_string = in_string;                                                         \
		s->escaped = escaped;                                                             \
		return n;                                                                         \
	}

#ifdef __x86_64__

static inline uint64_t mask16x4(__m128i a, __m128i b, __m128i c, __m128i d)
{
	return (uint64_t)(uint32_t)_mm_movemask_epi8(a) |
	       (uint64_t)(uint32_t)_mm_movemask_epi8(b) << 16 |
	       (uint64_t)(uint32_t)_mm_movemask_epi8(c) << 32 |
	       (uint64_t)(uint32_t)_mm_movemask_epi8(d) << 48;
}

static inline struct masks masks_sse2(const char *p)
{
	const __m128i bit5 = _mm_set1_epi8(0x20);
	__m128i v[4], low[4];
	struct masks m;

	for (int i = 0; i < 4; i++) {
		v[i] = _mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i));
		low[i] = _mm_or_si128(v[i], bit5); /* '[' becomes '{', ']' becomes '}' */
	}
#define EQ(x, c)                                           \
	mask16x4(_mm_cmpeq_epi8((x)[0], _mm_set1_epi8(c)), \
		 _mm_cmpeq_epi8((x)[1], _mm_set1_epi8(c)), \
		 _mm_cmpeq_epi8((x)[2], _mm_set1_epi8(c)), \
		 _mm_cmpeq_epi8((x)[3], _mm_set1_epi8(c)))
	m.quote = EQ(v, '"');
	m.backslash = EQ(v, '\\');
	m.open = EQ(low, '{');
	m.close = EQ(low, '}');
#undef EQ
	return m;
}
DEFINE_SCAN(scan_base, , masks_sse2, prefix_xor)

#define AVX2 __attribute__((target("avx2,popcnt,pclmul")))

AVX2 static inline uint64_t mask32x2(__m256i a, __m256i b)
{
	return (uint64_t)(uint32_t)_mm256_movemask_epi8(a) |
	       (uint64_t)(uint32_t)_mm256_movemask_epi8(b) << 32;
}

AVX2 static inline struct masks masks_avx2(const char *p)
{
	const __m256i bit5 = _mm256_set1_epi8(0x20);
	__m256i a = _mm256_loadu_si256((const __m256i *)(const void *)p);
	__m256i b = _mm256_loadu_si256((const __m256i *)(const void *)(p + 32));
	__m256i la = _mm256_or_si256(a, bit5), lb = _mm256_or_si256(b, bit5);
	struct masks m;

#define EQ(x, y, c)                                         \
	mask32x2(_mm256_cmpeq_epi8(x, _mm256_set1_epi8(c)), \
		 _mm256_cmpeq_epi8(y, _mm256_set1_epi8(c)))
	m.quote = EQ(a, b, '"');
	m.backslash = EQ(a, b, '\\');
	m.open = EQ(la, lb, '{');
	m.close = EQ(la, lb, '}');
#undef EQ
	return m;
}

/* A carry-less product with all ones is the prefix parity. */
AVX2 static inline uint64_t parity_clmul(uint64_t x)
{
	__m128i r = _mm_clmulepi64_si128(_mm_set_epi64x(0, (long long)x), _mm_set1_epi8(-1), 0);

	return (uint64_t)_mm_cvtsi128_si64(r);
}
DEFINE_SCAN(scan_avx2, AVX2, masks_avx2, parity_clmul)

size_t json_scan(struct json_scan *s, const char *p, size_t n)
{
	static int fast = -1; /* the answer never changes: a race writes the same value twice */

	if (__builtin_expect(fast < 0, 0))
		fast = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("pclmul") &&
		       __builtin_cpu_supports("popcnt");
	return fast ? scan_avx2(s, p, n) : scan_base(s, p, n);
}

#else /* any other machine: byte by byte */

static inline struct masks masks_plain(const char *p)
{
	struct masks m = {0};

	for (uint32_t i = 0; i < BLOCK; i++) {
		uint64_t bit = 1ULL << i;
		char c = p[i], low = c | 0x20;

		m.quote |= c == '"' ? bit : 0;
		m.backslash |= c == '\\' ? bit : 0;
		m.open |= low == '{' ? bit : 0;
		m.close |= low == '}' ? bit : 0;
	}
	return m;
}
DEFINE_SCAN(scan_base, , masks_plain, prefix_xor)

size_t json_scan(struct json_scan *s, const char *p, size_t n)
{
	return scan_base(s, p, n);
}

#endif
