/*
 * What an agent gives in pages, a list of objects under one name with a token for the next page:
 * all of it.
 */
#pragma once

#include "cli/ask.h"

#include <jansson.h>

struct pages {
	const char *command; /* before what is wrong */
	const struct ask_where *where;
	struct str target; /* with its parameters */
	const char *member;
	/* Every object; borrowed. 0 goes on, a negative code ends it. */
	int (*each)(void *ctx, const json_t *o);
	void *ctx;
};

/* The exit code, as ask_begin. */
int pages_read(const struct pages *p);
