/*
 * BM25 of all documents of a collection at once. FTS5's own bm25() is asked once for
 * each document that holds any word of the question: a row of SQL, its length looked up
 * in a table, and a place in a sorter. Here the lists of the words are walked one after
 * the other within one call, and what each adds is summed up beside the rows of the
 * matrix, which know the lengths. The scores are FTS5's, to the last bit.
 */
#pragma once

#include "base/buf.h"

struct matrix;
struct scan_top;
struct sqlite3;
struct sqlite3_stmt;

/* What a word counts in a column: name, kind, namespace, text, further words. The rich text has the
 * first three in itself already: more weight did no good to the questions of tests/retrieval. */
#define BM25_WEIGHTS 1.0, 2.0, 2.0, 1.0, 1.0

/* Once for each connection, before it is asked. 0 or db.h's codes. */
int bm25_register(struct sqlite3 *db, struct buf *error);
/* The statement for bm25_rank. */
extern const char bm25_sql[];
/* Puts what matches FTS5's expression, as far as the matrix (ready, whole) has it with this kind
 * and namespace (empty: any). 0 or db.h's codes. */
int bm25_rank(struct sqlite3_stmt *s, struct str match, const struct matrix *m, struct str kind,
	      struct str ns, struct scan_top *top, struct buf *error);
