/*
 * What people read: --help, --print-config and the README's table.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include <errno.h>
#include <stdio.h>

#define COLUMNS 100
#define INDENT	6

static const char *arg_of(const struct option_desc *d)
{
	return d->arg ? d->arg : d->type == OPTION_ENUM ? "WORD" : NULL;
}

/* Words of `text` in lines of at most COLUMNS, each begun with `indent` blanks. */
static int wrap(struct buf *b, const char *text, size_t indent)
{
	struct str rest = str_of(text), word;
	size_t at = 0;
	bool more;
	int r = 0;

	do {
		more = str_split(&rest, ' ', &word);
		if (at && at + 1 + word.n > COLUMNS) {
			r = buf_printf(b, "\n");
			at = 0;
		}
		if (r == 0)
			r = buf_printf(b, "%*s%.*s", at ? 1 : (int)indent, "", STR_ARG(word));
		at += word.n + (at ? 1 : indent);
	} while (more && r == 0);
	return r < 0 ? r : buf_printf(b, "\n");
}

/* "-f, --flag ARG", or the choices of a WORD: "--scope node|cluster". */
int option_print_flag(const struct option_desc *d, struct buf *b)
{
	const char *arg = arg_of(d);
	int r = buf_printf(b, "%s%s%s", d->letter ?: "", d->letter ? ", " : "", d->flag);

	if (r < 0 || !arg)
		return r;
	if (d->type != OPTION_ENUM)
		return buf_printf(b, " %s", arg);
	for (size_t i = 0; d->choices[i] && r == 0; i++)
		r = buf_printf(b, "%s%s", i ? "|" : " ", d->choices[i]);
	return r;
}

static int print_env(struct buf *b, const struct option_desc *d, const char *quote)
{
	char room[OPTION_NAME_MAX];
	const char *name;
	int r = 0;

	for (size_t i = 0; (name = option_env_name(d, i, room)) && r == 0; i++)
		r = buf_printf(b, "%s%s%s%s", i ? ", " : "", quote, name, quote);
	return r;
}

/* " Default: 10s. From 1s to 10m." */
static int help_values(struct buf *b, const struct option_desc *d)
{
	const char *def = d->def_words ? d->def_words : d->def;
	_buf_ struct buf range = {.max = 256};
	int r = option_print_range(d, &range);

	if (r == 0 && range.n)
		r = buf_printf(b, " Accepted: %.*s.", STR_ARG(buf_str(&range)));
	if (r == 0 && def && d->type != OPTION_BOOL)
		r = buf_printf(b, " Default: %s.", def);
	return r;
}

static int help_env(struct buf *b, const struct option_desc *d)
{
	int r = buf_printf(b, " [");

	if (r == 0)
		r = print_env(b, d, "");
	return r < 0 ? r : buf_printf(b, "]");
}

int option_print_notes(const struct option_desc *d, struct buf *b)
{
	int r = buf_printf(b, "%s", d->help);

	if (r == 0)
		r = help_values(b, d);
	if (r == 0 && d->flags & OPTION_LIVE)
		r = buf_printf(b, " Live.");
	if (r == 0 && !(d->flags & OPTION_FLAG_ONLY))
		r = help_env(b, d);
	return r;
}

static int help_option(struct buf *b, const struct option_desc *d)
{
	_buf_ struct buf notes = {.max = 4096};
	int r = buf_printf(b, "  ");

	if (r == 0)
		r = option_print_flag(d, b);
	if (r == 0)
		r = buf_printf(b, "\n");
	if (r == 0)
		r = option_print_notes(d, &notes);
	if (r == 0)
		r = buf_append(&notes, "", 1);
	return r < 0 ? r : wrap(b, buf_str(&notes).p, INDENT);
}

int option_table_help(const struct option_table *t, struct buf *ret)
{
	int r = buf_printf(ret, "Usage: %s [OPTIONS]%s%s\n\n", t->command, t->args ? " " : "",
			   t->args ? t->args : "");

	if (r == 0)
		r = wrap(ret, t->about, 0);
	for (size_t i = 0; i < t->n && r == 0; i++) {
		if (t->v[i].group)
			r = buf_printf(ret, "\n%s:\n", t->v[i].group);
		if (r == 0)
			r = help_option(ret, &t->v[i]);
	}
	if (r == 0)
		r = buf_printf(ret, "\n  -h, --help\n      Print this and leave.\n");
	if (r == 0 && t->after)
		r = buf_printf(ret, "\n");
	if (r == 0 && t->after)
		r = wrap(ret, t->after, 0);
	return r;
}

/* A '|' would end the cell. */
static int cell(struct buf *b, struct str s)
{
	int r = 0;

	for (size_t i = 0; i < s.n && r == 0; i++)
		r = buf_printf(b, s.p[i] == '|' ? "\\|" : "%c", s.p[i]);
	return r;
}

static int markdown_default(struct buf *b, const struct option_desc *d)
{
	if (d->def_words)
		return cell(b, str_of(d->def_words));
	return d->def ? buf_printf(b, "`%s`", d->def) : 0;
}

static int markdown_row(struct buf *b, const struct option_desc *d)
{
	_buf_ struct buf flag = {.max = 1024};
	int r = option_print_flag(d, &flag);

	if (r == 0)
		r = buf_printf(b, "| `");
	if (r == 0)
		r = cell(b, buf_str(&flag));
	if (r == 0)
		r = buf_printf(b, "` | ");
	if (r == 0)
		r = print_env(b, d, "`");
	if (r == 0)
		r = buf_printf(b, " | ");
	if (r == 0)
		r = markdown_default(b, d);
	if (r == 0)
		r = buf_printf(b, " | ");
	if (r == 0)
		r = option_print_range(d, b);
	if (r == 0)
		r = buf_printf(b, " | %s | ", d->flags & OPTION_LIVE ? "yes" : "");
	if (r == 0)
		r = cell(b, str_of(d->help));
	return r < 0 ? r : buf_printf(b, " |\n");
}

int option_table_markdown(const struct option_table *t, struct buf *ret)
{
	int r = buf_printf(ret, "| flag | environment | default | accepted | live | meaning |\n"
				"|---|---|---|---|---|---|\n");

	for (size_t i = 0; i < t->n && r == 0; i++) {
		if (t->v[i].group)
			r = buf_printf(ret, "| **%s** | | | | | |\n", t->v[i].group);
		if (r == 0)
			r = markdown_row(ret, &t->v[i]);
	}
	return r;
}

/* A YAML double-quoted scalar; the values hold no control characters. */
static int quoted(struct buf *b, const char *text)
{
	int r = buf_printf(b, "\"");

	for (; *text && r == 0; text++)
		r = buf_printf(b, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	return r < 0 ? r : buf_printf(b, "\"");
}

static int print_slot(const struct options *o, const struct option_slot *s, struct buf *b)
{
	bool hidden = s->desc->flags & OPTION_SECRET;
	int r = buf_printf(b, "%s%s: ", s->text && !hidden ? "" : "# ", s->desc->flag + 2);

	if (r < 0)
		return r;
	if (!s->text)
		return buf_printf(b, "not set%s%s\n", s->desc->def_words ? ": " : "",
				  s->desc->def_words ? s->desc->def_words : "");
	r = hidden ? buf_printf(b, "(hidden)") : quoted(b, s->text);
	if (r == 0)
		r = buf_printf(b, " # ");
	if (r == 0)
		r = option_origin_print(o, s, b);
	return r < 0 ? r : buf_printf(b, "\n");
}

int options_print(const struct options *o, struct buf *ret)
{
	int r = 0;

	for (size_t i = 0; i < o->table->n && r == 0; i++)
		if (!(o->slots[i].desc->flags & (OPTION_FLAG_ONLY | OPTION_CONFIG_FILE)))
			r = print_slot(o, &o->slots[i], ret);
	return r;
}
