#include "base/str.h"

#include <errno.h>
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
