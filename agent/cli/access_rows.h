/*
 * Which questions about permissions there are to ask, and what the answers make of them.
 * Pure: somebody else asks.
 *
 * A permission of several namespaces is asked for everywhere first, then for each. Kinds
 * whose plural is guessed, and resources of whatever group, are looked up in the server's
 * catalogue. Where all resources may not be read, each kind that would be watched is asked
 * for by itself.
 */
#pragma once

#include "cli/access_table.h"
#include "kube/catalog.h"

struct access_progress;

struct access_rows { /* what it points to must outlive it */
	const struct agent_config *c;
	const struct catalog *catalog; /* NULL: nothing is known of the server */
	struct access_row *v;
	size_t n;
	struct access_progress *progress; /* of each row */
	bool expanded;
};

struct access_place {
	size_t row;
	const char *ns; /* NULL: everywhere */
};

/* Whether rules are exact only with the server's catalogue. */
bool access_rows_want_catalog(const struct access *needed);
/* `rows` has c and catalog. 0 or -ENOMEM. */
int access_rows_make(struct access_rows *rows, const struct access *needed);
void access_rows_done(struct access_rows *rows);

/* The next question, taken; false: none now. */
bool access_rows_next(struct access_rows *rows, struct access_place *ret);
/* Its answer. 0 or -ENOMEM. */
int access_rows_note(struct access_rows *rows, const struct access_place *p,
		     const struct access_verdict *v);
/* 1: all is answered; 0: not yet (there may be new questions); -ENOMEM. */
int access_rows_over(struct access_rows *rows);
struct access_question access_rows_question(const struct access_rows *rows,
					    const struct access_place *p);
