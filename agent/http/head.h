/*
 * The head of an answer: status line and header fields, taken line by line.
 * Pure. A 1xx head is forgotten when the next one begins.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>

struct http_head {
	struct buf lines; /* header lines, each with its line end */
	int status;	  /* 0 until the status line */
	bool complete;	  /* of a final answer; later lines (trailers) are ignored */
};

void http_head_init(struct http_head *d, size_t max);
void http_head_done(struct http_head *d);
/* One line with its line end. 1: the head is complete now; 0: more to come; -EMSGSIZE, -ENOMEM,
 * -EBADMSG (no status line where one is due). */
int http_head_line(struct http_head *d, struct str line);
/* Trimmed value of the first field of that name, any case; empty when there is none. */
struct str http_head_field(const struct http_head *d, struct str name);
