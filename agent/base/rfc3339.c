#include "base/rfc3339.h"

#include <errno.h>

/* `n` digits at p, or -1. */
static int digits(const char *p, int n)
{
	int v = 0;

	for (int i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -1;
		v = v * 10 + (p[i] - '0');
	}
	return v;
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar; March-based years, so that
 * the leap day is the last of its year. */
static int64_t days_of(int64_t year, int month, int day)
{
	int64_t y = month <= 2 ? year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* What follows the seconds: fraction and offset, in seconds. */
static int time_offset(struct str s, int64_t *ret_seconds)
{
	size_t i = 0;
	int h, m;

	if (i < s.n && s.p[i] == '.')
		for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9';)
			i++;
	if (s.n - i == 1 && s.p[i] == 'Z') {
		*ret_seconds = 0;
		return 0;
	}
	if (s.n - i != 6 || (s.p[i] != '+' && s.p[i] != '-') || s.p[i + 3] != ':')
		return -EBADMSG;
	h = digits(s.p + i + 1, 2);
	m = digits(s.p + i + 4, 2);
	if (h < 0 || m < 0 || h > 23 || m > 59)
		return -EBADMSG;
	*ret_seconds = (s.p[i] == '-' ? -1 : 1) * (h * 3600 + m * 60);
	return 0;
}

int rfc3339_parse(struct str s, int64_t *ret_seconds)
{
	int year, month, day, hour, minute, second, r;
	int64_t offset;

	if (s.n < 20 || s.p[4] != '-' || s.p[7] != '-' || s.p[10] != 'T' || s.p[13] != ':' ||
	    s.p[16] != ':')
		return -EBADMSG;
	year = digits(s.p, 4);
	month = digits(s.p + 5, 2);
	day = digits(s.p + 8, 2);
	hour = digits(s.p + 11, 2);
	minute = digits(s.p + 14, 2);
	second = digits(s.p + 17, 2);
	if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
	    minute < 0 || minute > 59 || second < 0 || second > 60)
		return -EBADMSG;
	r = time_offset(str_from(s, 19), &offset);
	if (r < 0)
		return r;
	*ret_seconds =
		days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
	return 0;
}
