/*
 * What `kindred top` shows and how keys change that. Pure; no I/O.
 */
#pragma once

#include "base/buf.h"
#include "cli/top_rows.h"

#define TOP_FILTER_MAX 128 /* bytes; what is typed over it is not taken */

struct top_view {
	const char *where;		       /* the agent was asked */
	const struct top_sample *before, *now; /* before NULL: figures are since the agent began */
	enum top_sort sort;
	char filter[TOP_FILTER_MAX];
	char typed[TOP_FILTER_MAX]; /* while a filter is typed */
	bool typing, paused, quit;
	size_t skip;	  /* rows that are above the screen */
	struct str error; /* why there is nothing new; empty: there is */
};

/* A key of screen.h. `rows` of the screen. */
void top_view_key(struct top_view *v, int key, unsigned rows);
/* A screen of lines without a newline at its end. 0, -EMSGSIZE or -ENOMEM. */
int top_view_screen(struct top_view *v, const struct sheet_look *look, unsigned rows,
		    struct buf *out);
/* The rows, as a table or as lines of JSON. */
int top_view_table(const struct top_view *v, const struct sheet_look *look, struct buf *out);
int top_view_json(const struct top_view *v, struct buf *out);
