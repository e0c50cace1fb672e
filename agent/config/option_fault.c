/*
 * What is wrong with a configuration, in words: every fault of a load gets a line,
 * up to a bound, so that nobody mends one to be told of the next.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define FAULTS_MAX     20    /* lines; how many more there are is said in one more */
#define VALUE_SHOWN    200   /* bytes of a value or key; the rest is left out */
#define ERRORS_MAX     65536 /* bytes of all lines; FAULTS_MAX of LINE_MAX_BYTES fit */
#define LINE_MAX_BYTES 3072

void option_faults_init(struct options *o)
{
	buf_init(&o->errors, ERRORS_MAX);
	buf_init(&o->line, LINE_MAX_BYTES);
}

struct buf *option_fault(struct options *o)
{
	buf_reset(&o->line);
	return &o->line;
}

int option_fault_end(struct options *o, int r)
{
	if (r < 0 && r != -EMSGSIZE) /* a line that is too long is cut */
		return r;
	if (o->faults++ >= FAULTS_MAX)
		return 0;
	return buf_printf(&o->errors, "config error: %.*s\n", STR_ARG(buf_str(&o->line)));
}

int options_fault(struct options *o, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return option_fault_end(o, buf_printf(option_fault(o), "%s", text));
}

int options_checked(struct options *o)
{
	const unsigned untold = o->faults > FAULTS_MAX ? o->faults - FAULTS_MAX : 0;

	if (!o->faults)
		return 0;
	if (untold && buf_printf(&o->errors, "config error: %u more are not shown\n", untold) < 0)
		return -ENOMEM;
	o->faults = 0;
	return -EINVAL;
}

/* One character, escaped where a terminal or a line could take harm from it. */
static int quote_one(struct buf *b, struct str s, size_t *ret_n)
{
	const size_t n = str_utf8(s);
	const unsigned char c = (unsigned char)s.p[0];

	*ret_n = n ? n : 1;
	if (n > 1)
		return n == 2 && c == 0xc2 && (unsigned char)s.p[1] < 0xa0
			       ? buf_printf(b, "\\x%02x", (unsigned char)s.p[1])
			       : buf_append(b, s.p, n);
	if (c == '\n')
		return buf_append_str(b, STR("\\n"));
	if (!n || c < 0x20 || c == 0x7f)
		return buf_printf(b, "\\x%02x", c);
	return buf_append(b, s.p, 1);
}

int option_quote(struct buf *b, struct str s)
{
	struct str rest = s;
	size_t n;
	int r = buf_append_str(b, STR("\""));

	while (r == 0 && rest.n && s.n - rest.n < VALUE_SHOWN) {
		r = quote_one(b, rest, &n);
		rest = str_from(rest, n);
	}
	return r < 0 ? r : buf_append_str(b, rest.n ? STR("\"...") : STR("\""));
}

/* Levenshtein distance of two short names. */
static size_t distance(struct str a, struct str b)
{
	size_t row[OPTION_NAME_MAX + 1];

	if (a.n >= OPTION_NAME_MAX || b.n >= OPTION_NAME_MAX)
		return OPTION_NAME_MAX;
	for (size_t j = 0; j <= b.n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b.n; j++) {
			size_t change = diagonal + (a.p[i - 1] != b.p[j - 1]);
			size_t shift = MIN(row[j], row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = MIN(change, shift);
		}
	}
	return row[b.n];
}

/* Takes `known` for the nearest when it is nearer than *best. */
static void compare(struct str name, const char *known, size_t *best, const char **nearest)
{
	const size_t d = distance(name, str_of(known));

	if (d >= *best || d >= strlen(known))
		return;
	*best = d;
	*nearest = known;
}

/* A name that differs in more than a third of its letters is another name. */
static size_t far_from(struct str name)
{
	return MAX(name.n / 3, (size_t)2) + 1;
}

static int suggest(const char *dashes, const char *nearest, struct buf *ret)
{
	return nearest ? buf_printf(ret, " (did you mean %s%s?)", dashes, nearest) : 0;
}

const char *option_nearest(const struct options *o, struct str name)
{
	size_t best = far_from(name);
	const char *nearest = NULL;

	for (size_t i = 0; i < o->table->n; i++)
		compare(name, o->table->v[i].flag + 2, &best, &nearest);
	return nearest;
}

int option_suggest(const struct options *o, struct str name, const char *dashes, struct buf *ret)
{
	return suggest(dashes, option_nearest(o, name), ret);
}

int option_suggest_choice(const struct option_desc *d, struct str word, struct buf *ret)
{
	size_t best = far_from(word);
	const char *nearest = NULL;

	for (size_t i = 0; d->choices[i]; i++)
		compare(word, d->choices[i], &best, &nearest);
	return suggest("", nearest, ret);
}

int option_origin_print(const struct options *o, const struct option_slot *s, struct buf *ret)
{
	switch (s->origin) {
	case ORIGIN_FLAG:
		return buf_printf(ret, "the command line");
	case ORIGIN_ENV:
		return buf_printf(ret, "environment %s", s->env);
	case ORIGIN_FILE:
		return buf_printf(ret, "%s:%u", o->file, s->file_line);
	case ORIGIN_DEFAULT:
		break;
	}
	return buf_printf(ret, "default");
}

static bool is_shown(const struct option_slot *s)
{
	return !(s->desc->flags & (OPTION_SECRET | OPTION_HUSH));
}

/* `FILE:LINE: "key"` or `--flag`. */
static int place(const struct options *o, const struct option_slot *s, struct buf *ret)
{
	if (s->origin == ORIGIN_FILE)
		return buf_printf(ret, "%s:%u: \"%s\"", o->file, s->file_line, s->desc->flag + 2);
	return buf_printf(ret, "%s", s->desc->flag);
}

int option_slot_describe(const struct options *o, const struct option_slot *s, struct buf *ret)
{
	int r = place(o, s, ret);

	if (r == 0)
		r = buf_append_str(ret, STR(": "));
	if (r == 0)
		r = is_shown(s) ? option_quote(ret, str_of(s->text))
				: buf_append_str(ret, STR("(hidden)"));
	if (r < 0 || s->origin == ORIGIN_FILE)
		return r;
	r = buf_append_str(ret, STR(" (from "));
	if (r == 0)
		r = option_origin_print(o, s, ret);
	return r < 0 ? r : buf_append_str(ret, STR(")"));
}
