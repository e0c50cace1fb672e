/* The built-in embedder, step by step as README.md beside this file tells. */
#include "sink/vector/embed_hash.h"

#include "base/hash.h"
#include "base/mem.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define WORDS_MAX  4096 /* different words of one text */
#define WORD_MAX   64	/* bytes of one */
#define SLOTS	   8192 /* of the table of words; a power of two over WORDS_MAX */
#define RUN_WEIGHT 0.3
#define RUN_WORD   4 /* bytes of the shortest word that has runs */

struct word {
	uint64_t hash;
	uint32_t count;
	const char *at; /* as it stands in the text */
	uint32_t n;
};

struct words {
	struct word v[WORDS_MAX];
	uint16_t slots[SLOTS]; /* index + 1; 0: free */
	uint32_t n;
};

static const struct hash_seed seed = {{0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL}};

#define STOP(w)                  \
	{                        \
		w, sizeof(w) - 1 \
	}
static const struct {
	char word[6];
	uint8_t n;
} stops[] = {
	STOP("a"),     STOP("an"),   STOP("and"),  STOP("are"),	 STOP("as"),   STOP("at"),
	STOP("be"),    STOP("by"),   STOP("do"),   STOP("does"), STOP("for"),  STOP("from"),
	STOP("has"),   STOP("have"), STOP("how"),  STOP("i"),	 STOP("in"),   STOP("is"),
	STOP("it"),    STOP("of"),   STOP("on"),   STOP("or"),	 STOP("that"), STOP("the"),
	STOP("this"),  STOP("to"),   STOP("was"),  STOP("what"), STOP("when"), STOP("where"),
	STOP("which"), STOP("who"),  STOP("with"),
};
#define STOP_MAX 5 /* bytes of the longest */

/* ---- words ----------------------------------------------------------------------------------- */

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_upper(c) || is_digit(c) || (c >= 'a' && c <= 'z') || (unsigned char)c >= 128;
}

static bool ends_with(const char *w, uint32_t n, const char *end)
{
	size_t k = strlen(end);

	return n > k && memcmp(w + n - k, end, k) == 0;
}

static uint32_t singular(char *w, uint32_t n)
{
	if (n >= 5 && ends_with(w, n, "ies")) {
		w[n - 3] = 'y';
		return n - 2;
	}
	if (n >= 5 && (ends_with(w, n, "ses") || ends_with(w, n, "xes") || ends_with(w, n, "zes") ||
		       ends_with(w, n, "ches") || ends_with(w, n, "shes")))
		return n - 2;
	if (n >= 4 && w[n - 1] == 's' && w[n - 2] != 's' && w[n - 2] != 'u' && w[n - 2] != 'i')
		return n - 1;
	return n;
}

/* Lower case, cut, singular. */
static uint32_t normal(const char *at, uint32_t n, char out[WORD_MAX])
{
	n = MIN(n, (uint32_t)WORD_MAX);
	for (uint32_t i = 0; i < n; i++)
		out[i] = is_upper(at[i]) ? (char)(at[i] + ('a' - 'A')) : at[i];
	return singular(out, n);
}

static bool is_stop(const char *w, uint32_t n)
{
	if (n > STOP_MAX)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(stops); i++)
		if (stops[i].n == n && memcmp(stops[i].word, w, n) == 0)
			return true;
	return false;
}

static void words_add(struct words *t, const char *at, uint32_t n)
{
	char w[WORD_MAX];
	uint32_t len = normal(at, n, w);
	uint64_t hash = hash_bytes(&seed, w, len);
	uint32_t i = (uint32_t)hash & (SLOTS - 1);

	for (; t->slots[i]; i = (i + 1) & (SLOTS - 1))
		if (t->v[t->slots[i] - 1].hash == hash) {
			t->v[t->slots[i] - 1].count++;
			return;
		}
	if (t->n == WORDS_MAX || is_stop(w, len))
		return;
	t->v[t->n++] = (struct word){.hash = hash, .count = 1, .at = at, .n = n};
	t->slots[i] = (uint16_t)t->n;
}

/* Whether a part begins at w[i]: fooBar, v2, HTTPServer. */
static bool part_begins(const char *w, uint32_t i, uint32_t n)
{
	if (is_digit(w[i]) != is_digit(w[i - 1]))
		return true;
	if (!is_upper(w[i]))
		return false;
	return !is_upper(w[i - 1]) || (i + 1 < n && w[i + 1] >= 'a' && w[i + 1] <= 'z');
}

static void words_split(struct words *t, const char *w, uint32_t n)
{
	uint32_t begin = 0;

	words_add(t, w, n);
	for (uint32_t i = 1; i < n; i++)
		if (part_begins(w, i, n)) {
			words_add(t, w + begin, i - begin);
			begin = i;
		}
	if (begin)
		words_add(t, w + begin, n - begin);
}

static void words_read(struct words *t, struct str text)
{
	size_t i = 0;

	while (i < text.n) {
		size_t begin = i;

		while (i < text.n && is_word(text.p[i]))
			i++;
		if (i > begin)
			words_split(t, text.p + begin, (uint32_t)(i - begin));
		else
			i++;
	}
}

/* ---- the sum --------------------------------------------------------------------------------- */

static void add(double *sum, uint32_t dim, uint64_t hash, double weight)
{
	sum[(hash & INT64_MAX) % dim] += hash >> 63 ? -weight : weight;
}

static void add_runs(double *sum, uint32_t dim, const char *w, uint32_t n, uint32_t size)
{
	char framed[WORD_MAX + 2], run[8] = {'#'};

	framed[0] = '^';
	memcpy(framed + 1, w, n);
	framed[n + 1] = '$';
	for (uint32_t i = 0; i + size <= n + 2; i++) {
		memcpy(run + 1, framed + i, size);
		add(sum, dim, hash_bytes(&seed, run, size + 1), RUN_WEIGHT);
	}
}

static void add_word(double *sum, uint32_t dim, const struct word *word)
{
	char w[WORD_MAX];
	uint32_t n = normal(word->at, word->n, w);

	add(sum, dim, word->hash, sqrt((double)word->count));
	if (n < RUN_WORD)
		return;
	add_runs(sum, dim, w, n, 3);
	add_runs(sum, dim, w, n, 4);
}

/* Multiplied and added in two steps: a fused one rounds otherwise, and hosts differ in having it.
 */
__attribute__((optimize("fp-contract=off"))) static double length_of(const double *sum,
								     uint32_t dim)
{
	double squares = 0;

	for (uint32_t i = 0; i < dim; i++) {
		double square = sum[i] * sum[i];

		squares += square;
	}
	return sqrt(squares);
}

void embed_hash(struct str text, uint32_t dim, float *ret)
{
	struct words t;
	double sum[EMBED_HASH_MAX_DIM], length;

	t.n = 0;
	memset(t.slots, 0, sizeof(t.slots));
	memset(sum, 0, dim * sizeof(*sum));
	words_read(&t, text);
	for (uint32_t i = 0; i < t.n; i++)
		add_word(sum, dim, &t.v[i]);
	length = length_of(sum, dim);
	for (uint32_t i = 0; i < dim; i++)
		ret[i] = length > 0 ? (float)(sum[i] / length) : i == 0 ? 1.0F : 0.0F;
}
