#include "decode/text.h"

#include <errno.h>

/* Bytes of the UTF-8 sequence at p (n > 0 bytes are there), 0 when there is none. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	unsigned char c = p[0];

	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4 || n < 2 || (p[1] & 0xc0) != 0x80)
		return 0;
	if (c < 0xe0)
		return 2;
	if (n < 3 || (p[2] & 0xc0) != 0x80)
		return 0;
	if (c < 0xf0) /* no overlong forms, no surrogates */
		return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) ? 0 : 3;
	if (n < 4 || (p[3] & 0xc0) != 0x80)
		return 0;
	return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] > 0x8f) ? 0 : 4;
}

/* Whether all bytes are below 0x80. */
static inline bool is_ascii(const char *p, size_t n)
{
	const uint64_t high = 0x8080808080808080ULL;
	uint64_t a, all = 0;

	if (n < sizeof(a)) {
		while (n--)
			all |= (unsigned char)p[n];
		return !(all & 0x80);
	}
	for (size_t i = 0; i + sizeof(a) < n; i += sizeof(a)) {
		memcpy(&a, p + i, sizeof(a));
		all |= a;
	}
	memcpy(&a, p + n - sizeof(a), sizeof(a)); /* the last ones, some of them again */
	return !((all | a) & high);
}

bool text_is_utf8(struct str s)
{
	const unsigned char *p = (const unsigned char *)s.p;
	size_t i = 0, len;

	if (is_ascii(s.p, s.n))
		return true;
	while (i < s.n) {
		len = utf8_len(p + i, s.n - i);
		if (!len)
			return false;
		i += len;
	}
	return true;
}

static size_t put_utf8(uint32_t c, char *dst)
{
	if (c < 0x80) {
		dst[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		dst[0] = (char)(0xc0 | c >> 6);
		dst[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		dst[0] = (char)(0xe0 | c >> 12);
		dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
		dst[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	dst[0] = (char)(0xf0 | c >> 18);
	dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
	dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
	dst[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

size_t text_fix_utf8(struct str s, char *dst)
{
	size_t i = 0, n = 0, len;

	while (i < s.n) {
		len = utf8_len((const unsigned char *)s.p + i, s.n - i);
		if (len) {
			memcpy(dst + n, s.p + i, len);
			n += len;
			i += len;
		} else {
			n += put_utf8(0xfffd, dst + n);
			i++;
		}
	}
	return n;
}

/* Four hex digits: 0 or -EBADMSG. */
static int hex4(const char *p, const char *end, uint32_t *ret)
{
	uint32_t v = 0;

	if (end - p < 4)
		return -EBADMSG;
	for (int i = 0; i < 4; i++) {
		char c = p[i];

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			v = v << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return -EBADMSG;
	}
	*ret = v;
	return 0;
}

/* The code point of \uXXXX (p is behind the u), with its second half if there is one. */
static int unescape_u(const char **p, const char *end, uint32_t *ret)
{
	uint32_t high, low;
	int r = hex4(*p, end, &high);

	if (r < 0)
		return r;
	*p += 4;
	*ret = high;
	if (high < 0xd800 || high > 0xdfff)
		return 0;
	*ret = 0xfffd;
	if (high > 0xdbff || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
		return 0;
	r = hex4(*p + 2, end, &low);
	if (r < 0)
		return r;
	if (low < 0xdc00 || low > 0xdfff)
		return 0; /* alone: the other escape speaks for itself */
	*p += 6;
	*ret = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
	return 0;
}

int text_unescape(struct str s, char *dst, size_t *ret_n)
{
	static const char plain[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
	const char *p = s.p, *end = s.p + s.n, *at;
	size_t n = 0;
	uint32_t c;
	int r;

	while (p < end) {
		if (*p != '\\') {
			dst[n++] = *p++;
			continue;
		}
		if (end - p < 2)
			return -EBADMSG;
		p += 2;
		if (p[-1] == 'u') {
			r = unescape_u(&p, end, &c);
			if (r < 0)
				return r;
			n += put_utf8(c, dst + n);
			continue;
		}
		at = p[-1] ? strchr(plain, p[-1]) : NULL;
		if (!at)
			return -EBADMSG;
		dst[n++] = meant[at - plain];
	}
	*ret_n = n;
	return 0;
}

bool text_is_number(struct str s)
{
	size_t i = 0, from;

	if (i < s.n && s.p[i] == '-')
		i++;
	from = i;
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	if (i == from || (s.p[from] == '0' && i - from > 1))
		return false;
	if (i < s.n && s.p[i] == '.') {
		from = ++i;
		while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
			i++;
		if (i == from)
			return false;
	}
	if (i < s.n && (s.p[i] | 0x20) == 'e') {
		i++;
		if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
			i++;
		from = i;
		while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
			i++;
		if (i == from)
			return false;
	}
	return i == s.n;
}

int text_int(struct str s, int64_t min, int64_t max, int64_t *ret_value)
{
	bool negative = s.n && s.p[0] == '-';
	unsigned long long v;
	int64_t value;
	int r = text_is_number(s) ? str_to_u64(str_from(s, negative), &v) : -EBADMSG;

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + negative)
		return -ERANGE;
	value = negative ? (int64_t)(0 - v) : (int64_t)v;
	if (value < min || value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}
