/*
 * The documents of a collection as searches see them: the vector as int8, for the scan
 * (`dim` bytes, and what its dot product with a question must be multiplied with to be
 * their cosine, nearly), how many words full text search counted, kind and namespace.
 *
 * It is filled from the tables at the first search, and kept in step by marks: who
 * changes a document marks it, and the next search reads marked ones again. So a
 * transaction that is rolled back leaves it right. Too many marks, or another
 * process's writing, make it stale: it is read again whole. One thread.
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct matrix;
struct scan_top;
struct sqlite3;

/* Over `max_bytes` it holds nothing, and matrix_ready says so. 0 or -ENOMEM. */
int matrix_new(uint32_t dim, size_t max_bytes, struct matrix **ret);
void matrix_free(struct matrix **m);
/* The vector, kind or namespace of this document changes, or it goes. */
void matrix_mark(struct matrix *m, int64_t doc);
/* Brings it in step with documents first..end-1 of the tables: 1; 0: it would be too large, scan
 * the tables instead; or -errno. */
int matrix_ready(struct matrix *m, struct sqlite3 *db, int64_t first, int64_t end,
		 struct buf *error);
size_t matrix_bytes(const struct matrix *m);
/* Of all matrices there are, as they were brought in step last. From any thread. */
size_t matrix_all_bytes(void);

/* Of a matrix that is ready: whether each document of the tables is in it. A vector that is not
 * good (another program's) cannot be, and then it may not be asked for words. */
bool matrix_is_whole(const struct matrix *m);
/* Ready and in step without reading more than a few documents. */
bool matrix_is_filled(const struct matrix *m);
uint32_t matrix_rows(const struct matrix *m);
/* 1 + the document's row; 0: not there. `near` is what it returned for another one (0: nothing):
 * rows mostly stand in the order of documents. */
uint32_t matrix_find_near(const struct matrix *m, int64_t doc, uint32_t near);
uint32_t matrix_tokens(const struct matrix *m, uint32_t row);
/* Puts the rows with a score over 0, one for each row, as below. */
void matrix_put(const struct matrix *m, const double *scores, struct str kind, struct str ns,
		struct scan_top *top);

/* Puts all rows of this kind (in any case; empty: any) and namespace (empty: any), with scores that
 * are about the cosine. `query`: dim floats, good. */
void matrix_scan(const struct matrix *m, const float *query, struct str kind, struct str ns,
		 struct scan_top *top);
