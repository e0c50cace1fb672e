/*
 * Keys that carry no mark but their randomness: runs of 32 or more token characters
 * whose letters are spread as evenly as chance spreads them (4.5 bits a character).
 *
 * What is no secret is told by its shape: words and hexadecimal parts between
 * separators count for nothing (paths, names, digests, git SHAs, UUIDs), and in
 * what is left lower case, upper case and digits must take turns as they do by
 * chance (two of three neighbours differ), not as in CamelCase (one of four).
 */
#include "tree/redact_parts.h"

#include <math.h>

#define MIN_RUN	     32
#define MIN_BITS     4.5
#define MIN_TURNS    0.40 /* of neighbours, with both cases and digits */
#define MIN_TURNS_36 0.25 /* with one case and digits */

enum { LOWER = 1, UPPER = 2, DIGIT = 4, OTHER = 8 };

struct shape {
	uint32_t seen[128];
	size_t n, turns;
	int classes, last;
	bool parted;
};

static int class_of(char c)
{
	if (c >= 'a' && c <= 'z')
		return LOWER;
	if (c >= 'A' && c <= 'Z')
		return UPPER;
	return c >= '0' && c <= '9' ? DIGIT : OTHER;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

/* A part that is all of one sort: a word, a number, a digest. */
static bool is_plain(struct str part)
{
	bool hex = true, word = true, number = true;

	if (part.n < 2)
		return false;
	for (size_t i = 0; i < part.n; i++) {
		int c = class_of(part.p[i]);

		hex = hex && is_hex(part.p[i]);
		word = word && (c == LOWER || (c == UPPER && i == 0));
		number = number && c == DIGIT;
	}
	return number || (hex && part.n >= 4) || (word && part.n >= 3);
}

static void take(struct shape *s, struct str part)
{
	if (is_plain(part))
		return;
	for (size_t i = 0; i < part.n; i++) {
		int c = class_of(part.p[i]);

		s->seen[part.p[i] & 0x7f]++;
		s->turns += s->n && c != s->last;
		s->last = c;
		s->classes |= c;
		s->n++;
	}
}

static double bits(const struct shape *s)
{
	double sum = 0;

	for (size_t i = 0; i < 128; i++)
		if (s->seen[i])
			sum += s->seen[i] * log2((double)s->n / s->seen[i]);
	return sum / (double)s->n;
}

bool entropy_is_high(struct str run)
{
	struct shape s;
	size_t from = 0;
	double least;

	if (is_plain(run))
		return false;
	s = (struct shape){0};
	for (size_t i = 0; i <= run.n; i++) {
		if (i < run.n && run.p[i] != '/' && run.p[i] != '-' && run.p[i] != '_')
			continue;
		s.parted = s.parted || i < run.n;
		take(&s, str_make(run.p + from, i - from));
		from = i + 1;
	}
	if (s.n < MIN_RUN || !(s.classes & DIGIT))
		return false;
	if ((s.classes & UPPER) && (s.classes & LOWER))
		least = MIN_TURNS;
	else if (!s.parted && (s.classes & (UPPER | LOWER)))
		least = MIN_TURNS_36;
	else
		return false;
	return (double)s.turns >= least * (double)s.n && bits(&s) >= MIN_BITS;
}
