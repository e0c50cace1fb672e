#include "base/uid.h"

#include <string.h>

/* Value of a lower-case hex digit, -1 for anything else. */
static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool uid_hex(const char *p, size_t n, uint8_t *ret)
{
	for (size_t i = 0; i + 1 < n; i += 2) {
		int hi = hex_value(p[i]), lo = hex_value(p[i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		ret[i / 2] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

char *uid_print_hex(const uint8_t *b, size_t n, char *ret)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		*ret++ = digits[b[i] >> 4];
		*ret++ = digits[b[i] & 15];
	}
	return ret;
}

enum uid_form uid_parse(struct str text, struct uid *ret)
{
	const char *p = text.p;
	struct uid u = {{0}};

	if (str_empty(text))
		return UID_NONE;
	if (text.n == 32 && uid_hex(p, 32, u.b)) {
		*ret = u;
		return UID_HEX32;
	}
	if (text.n == 36 && p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-' &&
	    uid_hex(p, 8, u.b) && uid_hex(p + 9, 4, u.b + 4) && uid_hex(p + 14, 4, u.b + 6) &&
	    uid_hex(p + 19, 4, u.b + 8) && uid_hex(p + 24, 12, u.b + 10)) {
		*ret = u;
		return UID_RFC4122;
	}
	return UID_OTHER;
}

size_t uid_print(enum uid_form form, const struct uid *u, char out[UID_TEXT_MAX + 1])
{
	char *p = out;

	if (form != UID_RFC4122 && form != UID_HEX32) {
		out[0] = '\0';
		return 0;
	}
	for (size_t i = 0; i < sizeof(u->b); i++) {
		if (form == UID_RFC4122 && (i == 4 || i == 6 || i == 8 || i == 10))
			*p++ = '-';
		p = uid_print_hex(&u->b[i], 1, p);
	}
	*p = '\0';
	return (size_t)(p - out);
}
