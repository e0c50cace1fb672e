/*
 * What a search found, for people: a line a document, its words marked. Pure text; no
 * I/O.
 */
#pragma once

#include "base/buf.h"

#include <jansson.h>

struct search_look {
	struct str question; /* whose words are marked */
	unsigned width;	     /* of the terminal; 0: not one, then nothing is cut */
	bool wide;	     /* texts are whole */
	bool bold;
};

/* The array that /api/v1/search answers with: columns SCORE, KIND, NAMESPACE/NAME and TEXT, the
 * stretch of the text in which most of the question's words stand. 0, -EBADMSG, -EMSGSIZE or
 * -ENOMEM. */
int search_table(const json_t *hits, const struct search_look *look, struct buf *out);
