/*
 * One search while it runs: what search.c (rankings), relate.c (what is connected with
 * what was found) and relate_text.c (by what documents say) share.
 */
#pragma once

#include "sink/sqlite/docs_parts.h"

#define SEARCH_BEST_MAX (2 * DOCS_MAX_RESULTS) /* of each ranking */
#define SEARCH_RELATED	200		       /* documents that relate adds */
#define SEARCH_IDS_MAX	(1UL << 20)

/* Kind and namespace as parameters 4 and 5 of a statement that has `document`. */
#define SEARCH_FILTER                                            \
	" AND (?4 IS NULL OR document.kind = ?4 COLLATE NOCASE)" \
	" AND (?5 IS NULL OR document.namespace = ?5)"

struct found {
	int64_t doc;
	double score;
	uint32_t id, id_n; /* in search.ids; id_n is 0 until it was needed */
	bool by_words;
};

struct search {
	struct docs *d;
	const struct docs_query *q;
	struct buf *error;
	double length; /* of the question's vector */
	struct buf ids;
	struct found v[2 * SEARCH_BEST_MAX + SEARCH_RELATED];
	uint32_t best; /* that each ranking is to find */
	uint32_t n;
	bool matrix; /* it is ready */
	int r;	     /* of search_sort; docs_search looks at it */
};

/* search.c */
/* The id may be empty: it is read where it decides an order. */
int search_add(struct search *f, int64_t doc, double score, struct str id, bool by_words);
/* Better ones first, of equal ones by id: as far as they can be told of, for that costs reading.
 * Failures wait in f->r. */
void search_sort(struct search *f, uint32_t from);
/* Among the first n, or NULL. */
struct found *search_among(struct search *f, uint32_t n, int64_t doc);
/* By words, by vectors, or both. 0 or db.h's codes. */
int search_rank(struct search *f);

/* relate.c: when the question is what is connected with something, that comes first. 0 or db.h's
 * codes. */
int relate(struct search *f);

/* relate_text.c: as docs_links, of a document that says `text`, edges that are asked for alone. 0,
 * db.h's codes, or what `link` returned. */
struct asked;
int relate_text(struct search *f, const struct asked *q, const struct docs_object *o,
		struct str text, bool in, int (*link)(void *ctx, const struct docs_link *l),
		void *ctx);
/* One more demand of FTS5: the words of `text` as a phrase in this column. 0, -ENOENT (there are no
 * words), -EMSGSIZE or -ENOMEM. */
int relate_phrase(struct buf *out, const char *column, struct str text);
