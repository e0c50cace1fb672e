#include "cli/text.h"

#include <stdbool.h>
#include <stdio.h>

/* Bytes of the next character; *ret_ok: it can be shown. C1 controls are U+0080 to U+009F. */
static size_t character(struct str s, bool *ret_ok)
{
	size_t n = s.p ? str_utf8(s) : 0;
	unsigned char c = n ? (unsigned char)s.p[0] : 0;

	*ret_ok = n > 0 && c >= 0x20 && c != 0x7f && !(c == 0xc2 && (unsigned char)s.p[1] < 0xa0);
	return n ? n : 1;
}

size_t text_count(struct str s)
{
	size_t n = 0;
	bool ok;

	for (; s.n; n++)
		s = str_from(s, character(s, &ok));
	return n;
}

int text_put(struct buf *out, struct str s, size_t most, size_t pad)
{
	size_t n = text_count(s), shown = most && n > most ? most - 1 : n;
	bool cut = shown < n;
	int r = 0;

	for (size_t i = 0; i < shown && r == 0; i++) {
		bool ok;
		size_t bytes = character(s, &ok);

		r = ok ? buf_append(out, s.p, bytes) : buf_append_str(out, STR("?"));
		s = str_from(s, bytes);
	}
	if (cut && r == 0)
		r = buf_append_str(out, STR("\xe2\x80\xa6")); /* … */
	for (size_t i = shown + cut; i < pad && r == 0; i++)
		r = buf_append_str(out, STR(" "));
	return r;
}

const char *text_bytes(uint64_t n, char ret[TEXT_FIGURE_MAX])
{
	static const char units[] = "BKMGTPE";
	double v = (double)n;
	int i = 0;

	while (v >= 999.5 && units[i + 1]) {
		v /= 1024;
		i++;
	}
	(void)snprintf(ret, TEXT_FIGURE_MAX, i && v < 9.95 ? "%.1f%c" : "%.0f%c", v, units[i]);
	return ret;
}

const char *text_span(uint64_t seconds, char ret[TEXT_FIGURE_MAX])
{
	const unsigned long long s = seconds, min = s / 60, h = min / 60, d = h / 24;

	if (d)
		(void)snprintf(ret, TEXT_FIGURE_MAX, "%llu d %llu h", d, h % 24);
	else if (h)
		(void)snprintf(ret, TEXT_FIGURE_MAX, "%llu h %llu min", h, min % 60);
	else if (min)
		(void)snprintf(ret, TEXT_FIGURE_MAX, "%llu min", min);
	else
		(void)snprintf(ret, TEXT_FIGURE_MAX, "%llu s", s);
	return ret;
}
