/*
 * A command that prints a list of the agent's: as one table, or a JSON object a line.
 */
#pragma once

#include "cli/output.h"
#include "cli/pages.h"

struct listing {
	const char *command; /* before what is wrong */
	const struct ask_where *where;
	struct str target;  /* with its parameters */
	const char *member; /* the list's name in the answer */
	const char *one;    /* what one of its objects is */
	const struct sheet_column *columns;
	size_t n_columns;
	int (*put)(struct sheet *t, const json_t *o); /* the row of an object */
	bool sort;				      /* else as they come */
};

/* The exit code, as pages_read; EXIT_FAILED also when there is nothing. */
int listing_show(const struct listing *l, enum output o);
