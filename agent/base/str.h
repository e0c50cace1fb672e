/*
 * String views: a pointer and a length, passed by value, never owning.
 *
 * Everything parsed is a view into somebody else's bytes; the owner copies it
 * once. Bytes need not be UTF-8 and may hold NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

struct str {
	const char *p; /* may be NULL when n is 0 */
	size_t n;      /* bytes */
};

/* A view of a string literal. */
#define STR(lit) ((struct str){.p = (lit), .n = sizeof(lit) - 1})
/* For printf's "%.*s". */
#define STR_ARG(s) (int)(s).n, (s).p ? (s).p : ""

static inline struct str str_of(const char *z)
{
	return (struct str){.p = z, .n = z ? strlen(z) : 0};
}

static inline struct str str_make(const void *p, size_t n)
{
	return (struct str){.p = (const char *)p, .n = n};
}

static inline bool str_empty(struct str s)
{
	return s.n == 0;
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ASCII case is ignored (HTTP header names, RFC 9110 section 5.1). */
static inline bool str_ieq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || strncasecmp(a.p, b.p, a.n) == 0);
}

static inline bool str_starts(struct str s, struct str prefix)
{
	return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
	return s.n >= suffix.n &&
	       (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* Bytewise order; a prefix sorts first. */
static inline int str_cmp(struct str a, struct str b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int r = n ? memcmp(a.p, b.p, n) : 0;

	return r ? r : (a.n > b.n) - (a.n < b.n);
}

/* The part from byte `from` on; empty when `from` is past the end. */
static inline struct str str_from(struct str s, size_t from)
{
	return from >= s.n ? (struct str){0} : (struct str){.p = s.p + from, .n = s.n - from};
}

/* Splits at the first `c`: what stands before it goes to `ret_head`, `*s` keeps the rest.
 * Without a `c` the whole goes to the head and false is returned. */
static inline bool str_split(struct str *s, char c, struct str *ret_head)
{
	const char *at = s->n ? memchr(s->p, c, s->n) : NULL;

	if (!at) {
		*ret_head = *s;
		*s = (struct str){0};
		return false;
	}
	*ret_head = (struct str){.p = s->p, .n = (size_t)(at - s->p)};
	*s = (struct str){.p = at + 1, .n = s->n - ret_head->n - 1};
	return true;
}

static inline struct str str_trim(struct str s)
{
	while (s.n && (s.p[0] == ' ' || s.p[0] == '\t' || s.p[0] == '\r' || s.p[0] == '\n')) {
		s.p++;
		s.n--;
	}
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t' || s.p[s.n - 1] == '\r' ||
		       s.p[s.n - 1] == '\n'))
		s.n--;
	return s;
}

/* A NUL-terminated heap copy; NULL when memory is short. The caller frees it. */
char *str_dup(struct str s);

/* Bytes of the UTF-8 character at the start of `s` (RFC 3629), 0 when there is none: a stray or
 * missing byte, an overlong form, a surrogate, over U+10FFFF, or the end. */
size_t str_utf8(struct str s);

/* Decimal digits only, nothing else around them. 0, -EBADMSG (not a number) or -ERANGE. */
int str_to_u64(struct str s, unsigned long long *ret_value);
