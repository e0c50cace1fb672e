/*
 * Rows for people, in columns as wide as what stands in them. On a terminal that is too
 * narrow the columns that may be cut are, the widest first; elsewhere nothing is. Pure.
 *
 *   sheet_new, then a row's cells one after the other by sheet_put, then sheet_print
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "cli/term.h"

#include <stddef.h>

struct sheet;

struct sheet_column {
	const char *title;
	bool right;   /* figures */
	bool wide;    /* only with sheet_look.wide */
	unsigned min; /* may be cut to so many characters; 0: never */
};

struct sheet_look {
	unsigned width; /* of the terminal; 0: none. Not minded with `wide` */
	bool colours, wide;
};

#define SHEET_COLUMNS_MAX 16

/* The look of standard output. */
struct sheet_look sheet_look(bool wide);

/* `columns` are borrowed. 0 or -ENOMEM. */
int sheet_new(const struct sheet_column *columns, size_t n, struct sheet **ret);
void sheet_free(struct sheet **t);
#define _sheet_ _cleanup_(sheet_free)

/* The next cell; of a column that will not be shown, too. The text is copied. */
int sheet_put(struct sheet *t, struct str s, enum tint tint);
int sheet_printf(struct sheet *t, enum tint tint, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
size_t sheet_rows(const struct sheet *t);
/* By the texts of the first column, then of the second, and so on. */
void sheet_sort(struct sheet *t);
/* The titles and all rows, or the first `most`. 0, -EMSGSIZE or -ENOMEM. */
int sheet_print(const struct sheet *t, const struct sheet_look *look, size_t most, struct buf *out);
