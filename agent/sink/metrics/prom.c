#include "sink/metrics/prom.h"

#include <inttypes.h>
#include <stdio.h>

#define LABEL_MAX 96

static void put(struct prom *p, struct str s)
{
	if (p->r == 0)
		p->r = buf_append_str(p->out, s);
}

void prom_family(struct prom *p, const char *name, const char *type, const char *help)
{
	if (p->r == 0)
		p->r = buf_printf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_name(struct prom *p, const char *name, struct str labels)
{
	put(p, str_of(name));
	if (!str_empty(labels)) {
		put(p, STR("{"));
		put(p, labels);
		put(p, STR("}"));
	}
	put(p, STR(" "));
}

void prom_u64(struct prom *p, const char *name, struct str labels, uint64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRIu64 "\n", v);

	put_name(p, name, labels);
	put(p, str_make(text, (size_t)n));
}

void prom_i64(struct prom *p, const char *name, struct str labels, int64_t v)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%" PRId64 "\n", v);

	put_name(p, name, labels);
	put(p, str_make(text, (size_t)n));
}

void prom_seconds(struct prom *p, const char *name, struct str labels, uint64_t v,
		  uint64_t per_second)
{
	char text[48];
	int digits = 0, n;

	for (uint64_t i = per_second; i > 1; i /= 10)
		digits++;
	n = snprintf(text, sizeof(text), "%" PRIu64 ".%0*" PRIu64 "\n", v / per_second, digits,
		     v % per_second);
	put_name(p, name, labels);
	put(p, str_make(text, (size_t)n));
}

void prom_one(struct prom *p, const char *name, const char *type, const char *help, uint64_t v)
{
	prom_family(p, name, type, help);
	prom_u64(p, name, (struct str){0}, v);
}

void prom_named(struct prom *p, const char *name, const char *label, const char *value, uint64_t v)
{
	char text[LABEL_MAX];

	(void)snprintf(text, sizeof(text), "%s=\"%s\"", label, value);
	prom_u64(p, name, str_of(text), v);
}

#define HIST_LABELS_MAX 512
#define HIST_NAME_MAX	128

void prom_hist(struct prom *p, const char *name, struct str labels, const struct hist *h)
{
	char own[HIST_NAME_MAX], le[HIST_LABELS_MAX];
	uint64_t sum = 0;

	(void)snprintf(own, sizeof(own), "%s_bucket", name);
	for (uint32_t i = 0; i <= h->n; i++) {
		sum += h->counts[i];
		if (i < h->n)
			(void)snprintf(le, sizeof(le), "%.*s%sle=\"%g\"", STR_ARG(labels),
				       labels.n ? "," : "", (double)h->bounds[i] / 1e9);
		else
			(void)snprintf(le, sizeof(le), "%.*s%sle=\"+Inf\"", STR_ARG(labels),
				       labels.n ? "," : "");
		prom_u64(p, own, str_of(le), sum);
	}
	(void)snprintf(own, sizeof(own), "%s_sum", name);
	prom_seconds(p, own, labels, h->sum, NSEC_PER_SEC);
	(void)snprintf(own, sizeof(own), "%s_count", name);
	prom_u64(p, own, labels, sum);
}

/* Bytes in front that are written as they are. */
static size_t plain(struct str s)
{
	size_t run = 0, n;

	while (run < s.n && s.p[run] != '\\' && s.p[run] != '"' && s.p[run] != '\n' &&
	       (n = (unsigned char)s.p[run] < 0x80 ? 1 : str_utf8(str_from(s, run))))
		run += n;
	return run;
}

/* The format knows three escapes, and takes control characters as they are. */
static void put_escaped(struct prom *p, struct str s)
{
	while (s.n && p->r == 0) {
		size_t run = plain(s);

		put(p, str_make(s.p, run));
		s = str_from(s, run);
		if (!s.n)
			return;
		if (s.p[0] == '\\')
			put(p, STR("\\\\"));
		else if (s.p[0] == '"')
			put(p, STR("\\\""));
		else if (s.p[0] == '\n')
			put(p, STR("\\n"));
		else
			put(p, STR("\xef\xbf\xbd")); /* U+FFFD */
		s = str_from(s, 1);
	}
}

void prom_label(struct prom *p, const char *name, struct str value)
{
	struct str before = buf_str(p->out);

	if (before.n && before.p[before.n - 1] != '{')
		put(p, STR(","));
	put(p, str_of(name));
	put(p, STR("=\""));
	put_escaped(p, value);
	put(p, STR("\""));
}
