/*
 * Documents in SQLite: text, fields, vector (float32 blob), FTS5, and the search over
 * them. Synchronous; the agent calls it on the worker's thread alone, a command that
 * reads the file calls it directly.
 *
 * Search is by words (BM25 of FTS5; every word of the question counts, none is
 * demanded), by vectors (an int8 matrix, scanned in C, kept within a cap of bytes,
 * whose best 200 are scored again from the floats on disk), or by both, words first:
 * their ranks joined, words counting twice. Ties go by id. Who asks what is connected with
 * what (asked.h) is answered by the ends of those edges first.
 *
 * The tables are plain SQLite, for anybody to query: README.md beside this file.
 */
#pragma once

#include "base/buf.h"
#include "sink/vector/document.h"

#include <stdbool.h>
#include <stdint.h>

struct sqlite3;
struct docs; /* a collection of one connection, with its statements and its matrix */

#define DOCS_MAX_RESULTS 200
#define DOCS_MAX_DIM	 8192

/* One collection per model, dimension and template; it is made by docs_open. */
struct docs_opts {
	struct str collection; /* "kindred" */
	struct str model;      /* "hash-v1:384" */
	uint32_t dim;
	struct str template_; /* DOC_TEMPLATE and mode */
	size_t cache;	      /* bytes of the int8 matrix; over it the blobs are scanned on disk */
};

struct docs_row {
	struct str id, uuid, text;
	struct str fields[_DOC_FIELD_MAX];
	const uint8_t *text_hash, *meta_hash; /* DOC_HASH_SIZE each */
	const float *vector;		      /* dim floats; NULL: keep the one that is there */
};

/* 0; -EEXIST: the collection has another model, dimension or template (words say which); db.h's.
 * It is good until docs_close, but when the transaction in which it was opened fails. */
int docs_open(struct sqlite3 *db, const struct docs_opts *o, struct docs **ret, struct buf *error);
/* A collection that is there, whatever it was made with ("": the only one, or "kindred" of
 * several): 0, -ENOENT with words, db.h's. The file is not written. */
int docs_find(struct sqlite3 *db, struct str collection, size_t cache, struct docs **ret,
	      struct buf *error);
/* On the thread that uses it, or when no other does; also after the connection was closed. */
void docs_close(struct docs **d);
#define _docs_ _cleanup_(docs_close)

struct docs_info { /* borrowed from docs */
	struct str collection, model, template_;
	uint32_t dim;
	uint64_t documents;
	size_t cache; /* bytes that the matrix takes now */
};
int docs_info(struct docs *d, struct docs_info *ret, struct buf *error);

/* Within the caller's transaction, as are all changes: all rows or, on failure, any part of them,
 * to be rolled back. -EINVAL: a vector with NaN, infinity or without length (words name the
 * document); -ENOENT: no vector, and none there. */
int docs_upsert(struct docs *d, const struct docs_row *rows, uint32_t n, struct buf *error);
/* Unknown ids are no error. */
int docs_delete(struct docs *d, const struct str *ids, uint32_t n, struct buf *error);

struct docs_known { /* borrowed until the callback returns */
	struct str id, cluster, api_version, kind, ns, uid;
	const uint8_t *text_hash, *meta_hash;
};
/* Walks ids in order from behind `after` (""; start), at most `max`. A non-zero return ends it. */
int docs_scroll(struct docs *d, struct str after, uint32_t max,
		int (*row)(void *ctx, const struct docs_known *k), void *ctx, struct buf *error);

/* An object, whatever is known of it. */
struct docs_object {
	struct str cluster, group, kind, ns, name;
};
struct docs_link {		  /* borrowed until the callback returns */
	struct str type;	  /* of the edge: "USES_SECRET" */
	struct docs_object other; /* what stands at its other end; its group may be unknown */
	bool mounted;		  /* a volume: it is mounted, and not used otherwise */
};
/* Who knows what objects are connected with, such as a graph in the same file. Tells of the edges
 * that lead to the object (`in`) or from it; a non-zero return ends it. 1; 0: it does not know the
 * object; or -errno. */
typedef int (*docs_links)(struct sqlite3 *db, const struct docs_object *o, bool in,
			  int (*link)(void *ctx, const struct docs_link *l), void *ctx,
			  struct buf *error);

enum docs_rank { DOCS_HYBRID, DOCS_BM25, DOCS_VECTOR };
struct docs_query {
	struct str words;    /* as typed */
	const float *vector; /* of the words; NULL: BM25 alone */
	uint32_t dim;
	enum docs_rank rank;
	struct str kind, ns; /* exact, case-insensitive kind; empty: any */
	docs_links links;    /* NULL: what documents say of each other is all there is */
	uint32_t n;	     /* 1..DOCS_MAX_RESULTS */
};
struct docs_hit { /* borrowed until the callback returns */
	struct str id, text;
	struct str fields[_DOC_FIELD_MAX];
	double score;  /* higher is better: of BM25, the cosine, or of both rankings: up to 1 */
	bool by_words; /* found by words (and perhaps by the vector); else by the vector alone */
};
/* Best first. 0, what `hit` returned, -EINVAL (dimension, or a vector as above), db.h's. Changes of
 * an open transaction are not to be searched. */
int docs_search(struct docs *d, const struct docs_query *q,
		int (*hit)(void *ctx, const struct docs_hit *h), void *ctx, struct buf *error);

/* One hit as a member of backend_ops.search's JSON: {"id", "score", "found_by" ("words" or
 * "vector"), "text", and the fields that are not empty}. 0, -EMSGSIZE or -ENOMEM. */
int docs_hit_json(const struct docs_hit *h, struct buf *out);
