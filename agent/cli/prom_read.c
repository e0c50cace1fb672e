#include "cli/prom_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind the closing brace; quotes may hold one. NULL: there is none. */
static const char *labels_end(struct str s)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (s.p[i] == '}' && !quoted)
			return s.p + i;
	}
	return NULL;
}

static bool parse(struct str line, struct prom_sample *ret)
{
	struct prom_sample s = {.name = line};
	char number[64], *end;

	for (s.name.n = 0; s.name.n < line.n && !strchr("{ ", line.p[s.name.n]); s.name.n++)
		;
	line = str_from(line, s.name.n);
	if (str_starts(line, STR("{"))) {
		const char *close = labels_end(line);

		if (!close)
			return false;
		s.labels = str_make(line.p + 1, (size_t)(close - line.p) - 1);
		line = str_from(line, (size_t)(close - line.p) + 1);
	}
	line = str_trim(line);
	if (!s.name.n || !line.n || line.n >= sizeof(number))
		return false;
	(void)snprintf(number, sizeof(number), "%.*s", STR_ARG(line));
	s.value = strtod(number, &end);
	if (end == number)
		return false;
	*ret = s;
	return true;
}

bool prom_read(struct str *page, struct prom_sample *ret)
{
	struct str line;

	while (page->n) {
		(void)str_split(page, '\n', &line);
		if (line.n && line.p[0] != '#' && parse(line, ret))
			return true;
	}
	return false;
}

struct str prom_sample_label(struct str labels, const char *name)
{
	const size_t n = strlen(name);
	bool quoted = false;
	size_t at = 0;

	for (size_t i = 0; i < labels.n; i++) {
		if (quoted && labels.p[i] == '\\') {
			i++;
		} else if (labels.p[i] == '"') {
			if (quoted && at)
				return str_make(labels.p + at, i - at);
			quoted = !quoted;
		} else if (!quoted && !at && (i == 0 || labels.p[i - 1] == ',') &&
			   labels.n - i > n + 1 && memcmp(labels.p + i, name, n) == 0 &&
			   labels.p[i + n] == '=') {
			at = i + n + 2;
		}
	}
	return (struct str){0};
}

void prom_sample_text(struct str labels, const char *name, char *ret, size_t room)
{
	const struct str s = prom_sample_label(labels, name);
	size_t n = 0;

	for (size_t i = 0; i < s.n && n + 1 < room; i++) {
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		ret[n++] = s.p[i];
	}
	ret[n] = '\0';
}

double prom_sum(struct str page, const char *name, const char *with)
{
	struct prom_sample s;
	double sum = 0;

	while (prom_read(&page, &s))
		if (str_eq(s.name, str_of(name)) &&
		    (!with[0] ||
		     (s.labels.n && memmem(s.labels.p, s.labels.n, with, strlen(with)))))
			sum += s.value;
	return sum;
}
