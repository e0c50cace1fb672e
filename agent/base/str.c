#include "base/str.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

char *str_dup(struct str s)
{
	char *z = malloc(s.n + 1);

	if (!z)
		return NULL;
	if (s.n)
		memcpy(z, s.p, s.n);
	z[s.n] = '\0';
	return z;
}

size_t str_utf8(struct str s)
{
	/* The least value that a form of so many bytes may stand for. */
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = s.n ? (unsigned char)s.p[0] : 0xff;
	size_t n = c < 0x80 ? 1 : (c & 0xe0) == 0xc0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : 4;
	uint32_t v = c & (0xffU >> (n == 1 ? 1 : n + 1));

	if ((c & 0xc0) == 0x80 || c >= 0xf8 || n > s.n)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | ((unsigned char)s.p[i] & 0x3f);
	}
	return v < least[n] || v > 0x10ffff || (v >= 0xd800 && v < 0xe000) ? 0 : n;
}

int str_to_u64(struct str s, unsigned long long *ret_value)
{
	unsigned long long v = 0;

	if (str_empty(s))
		return -EBADMSG;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return -EBADMSG;
		if (__builtin_mul_overflow(v, 10ULL, &v) ||
		    __builtin_add_overflow(v, (unsigned long long)(s.p[i] - '0'), &v))
			return -ERANGE;
	}
	*ret_value = v;
	return 0;
}
