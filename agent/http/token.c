#include "http/token.h"

#include <stddef.h>

const char *token_wrong(struct str s)
{
	s = str_trim(s);
	if (!s.n)
		return "is empty";
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return "holds a blank, line break or other byte that no token has";
	return NULL;
}
