/*
 * A command's options as a part of a manual page.
 */
#include "config/option.h"
#include "config/option_slots.h"

#include <errno.h>

#define NOTES_MAX 8192

int option_man_text(struct buf *b, struct str s)
{
	int r = s.n && (s.p[0] == '.' || s.p[0] == '\'') ? buf_append_str(b, STR("\\&")) : 0;

	for (size_t i = 0; i < s.n && r == 0; i++) {
		if (s.p[i] == '\\')
			r = buf_append_str(b, STR("\\e"));
		else if (s.p[i] == '-')
			r = buf_append_str(b, STR("\\-"));
		else
			r = buf_append(b, &s.p[i], 1);
	}
	return r;
}

static int line(struct buf *b, const char *macro, struct str s)
{
	int r = buf_append_str(b, str_of(macro));

	r = r ?: option_man_text(b, s);
	return r ?: buf_append_str(b, STR("\n"));
}

static int man_option(struct buf *b, const struct option_desc *d)
{
	_buf_ struct buf flag = {.max = NOTES_MAX}, notes = {.max = NOTES_MAX};
	int r = option_print_flag(d, &flag);

	r = r ?: option_print_notes(d, &notes);
	r = r ?: line(b, ".TP\n.B ", buf_str(&flag));
	return r ?: line(b, "", buf_str(&notes));
}

int option_table_man(const struct option_table *t, struct buf *ret)
{
	_buf_ struct buf usage = {.max = NOTES_MAX};
	int r = buf_printf(&usage, "%s%s%s%s", t->command, t->n ? " [OPTIONS]" : "",
			   t->args ? " " : "", t->args ? t->args : "");

	r = r ?: line(ret, ".SS ", buf_str(&usage));
	r = r ?: line(ret, "", str_of(t->about));
	for (size_t i = 0; i < t->n && r == 0; i++) {
		if (t->v[i].group)
			r = line(ret, ".PP\n.I ", str_of(t->v[i].group));
		r = r ?: man_option(ret, &t->v[i]);
	}
	return r < 0 || !t->after ? r : line(ret, ".PP\n", str_of(t->after));
}
