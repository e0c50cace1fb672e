/*
 * The text of a document while it is written: parts joined by " | ", items within a
 * part by ", ". A part without items leaves no trace. What does not fit is cut at a
 * separator. For document_text.c and its kinds alone.
 */
#pragma once

#include "base/buf.h"
#include "tree/tree.h"

#include <stdbool.h>
#include <stdint.h>

#define PROSE_ROOM  65536 /* bytes written before the cut; what is behind them is lost anyway */
#define PROSE_NAMES 32	  /* names that are remembered */
#define PROSE_VALUE 80	  /* bytes of a value that is taken; a longer one is cut at a character */

struct prose {
	struct buf out;
	const char *label; /* of the part that has begun and has no item yet */
	bool items;	   /* the part has some */
	bool full;
	struct str named[PROSE_NAMES]; /* borrowed; see prose_name */
	uint32_t n_named;
	int r; /* -ENOMEM stays */
};

void prose_init(struct prose *t);
void prose_done(struct prose *t);
#define _prose_ _cleanup_(prose_done)

/* Begins a part: `label` (may be "") stands before its first item. */
void prose_part(struct prose *t, const char *label);
/* An item of words joined by blanks; empty words are passed over, an item of none is none. */
void prose_item(struct prose *t, const struct str *words, uint32_t n);
#define PROSE_ITEM(t, ...)                               \
	prose_item(t, (const struct str[]){__VA_ARGS__}, \
		   sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))
/* Remembers a name that was written, for what is said of names in the end. Returns it. */
struct str prose_name(struct prose *t, struct str name);
/* A value on one line: blanks folded, cut at PROSE_VALUE. Borrowed from the value or empty. */
struct str prose_value(struct str value);
/* What was written, cut to `max` bytes at a separator. Borrowed. */
struct str prose_cut(struct prose *t, size_t max);
