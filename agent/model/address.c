#include "model/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int addr_parse(struct str text, struct addr *ret)
{
	char z[ADDR_TEXT_MAX];
	struct addr a;

	if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, 0, text.n))
		return -EINVAL;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	memcpy(a.b, v4_prefix, sizeof(v4_prefix));
	if (inet_pton(AF_INET, z, a.b + sizeof(v4_prefix)) != 1 && inet_pton(AF_INET6, z, a.b) != 1)
		return -EINVAL;
	*ret = a;
	return 0;
}

bool addr_is_v4(const struct addr *a)
{
	return memcmp(a->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

uint32_t addr_v4(const struct addr *a)
{
	if (!addr_is_v4(a))
		return 0;
	return (uint32_t)a->b[12] << 24 | (uint32_t)a->b[13] << 16 | (uint32_t)a->b[14] << 8 |
	       a->b[15];
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

const char *addr_print(const struct addr *a, char out[ADDR_TEXT_MAX])
{
	return addr_is_v4(a) ? inet_ntop(AF_INET, a->b + sizeof(v4_prefix), out, ADDR_TEXT_MAX)
			     : inet_ntop(AF_INET6, a->b, out, ADDR_TEXT_MAX);
}
