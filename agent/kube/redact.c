/* Texts made fit for a log; see redact.h. */
#include "kube/redact.h"

#include <stdbool.h>

#define MASK "[redacted]"

static bool blank(char c)
{
	return (unsigned char)c <= ' ' || c == 0x7f;
}

/* A word after one of these is a credential (RFC 9110 section 11.4). */
static bool scheme(struct str w)
{
	while (w.n && !((w.p[w.n - 1] | 0x20) >= 'a' && (w.p[w.n - 1] | 0x20) <= 'z'))
		w.n--;
	return (w.n >= 6 && str_ieq(str_from(w, w.n - 6), STR("bearer"))) ||
	       (w.n >= 5 && str_ieq(str_from(w, w.n - 5), STR("basic")));
}

/* Where a JSON web token begins in the word (base64 of '{"' is "eyJ"), else its length. */
static size_t token_at(struct str w)
{
	for (size_t i = 0; i + 20 <= w.n; i++)
		if (memcmp(w.p + i, "eyJ", 3) == 0)
			return i;
	return w.n;
}

struct line {
	char *p;
	size_t n, cap;
};

static void put(struct line *l, struct str s)
{
	for (size_t i = 0; i < s.n && l->n + 1 < l->cap; i++)
		l->p[l->n++] = s.p[i];
}

void redact_text(char *dst, size_t cap, struct str s)
{
	struct line l = {.p = dst, .cap = cap};
	bool secret = false;

	for (size_t i = 0; i < s.n && l.n + 1 < cap;) {
		if (blank(s.p[i])) {
			i++;
			continue;
		}
		size_t end = i;
		while (end < s.n && !blank(s.p[end]))
			end++;
		struct str w = {.p = s.p + i, .n = end - i};
		if (l.n)
			put(&l, STR(" "));
		size_t keep = secret ? 0 : token_at(w);
		put(&l, str_make(w.p, keep));
		if (keep < w.n)
			put(&l, STR(MASK));
		secret = scheme(w);
		i = end;
	}
	/* Cut at a byte that may stand inside a UTF-8 character: take the incomplete one away. */
	size_t tail = l.n;
	while (tail && l.n - tail < 3 && ((unsigned char)dst[tail - 1] & 0xc0) == 0x80)
		tail--;
	if (tail && (unsigned char)dst[tail - 1] >= 0xc0) {
		unsigned char c = (unsigned char)dst[tail - 1];
		size_t need = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;

		if (l.n - (tail - 1) < need)
			l.n = tail - 1;
	}
	dst[l.n] = '\0';
}
