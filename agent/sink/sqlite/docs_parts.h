/*
 * What the files of docs.h share.
 */
#pragma once

#include "sink/sqlite/db.h"
#include "sink/sqlite/docs.h"
#include "sink/sqlite/matrix.h"

#define DOCS_SHIFT    40  /* doc = collection << DOCS_SHIFT | running number, see schema.c */
#define DOCS_NAME_MAX 256 /* bytes of a collection's name, a model or a template */

/* Columns of the table `document` in the order of enum doc_field, as a list in SQL. */
#define DOCS_FIELDS                                                                   \
	"cluster, namespace, name, kind, api_group, api_version, uid, "               \
	"resource_version, created_at, owner_kind, owner_name, node, phase, images, " \
	"labels, content_id"
_Static_assert(_DOC_FIELD_MAX == 16, "columns of document");

struct docs {
	struct sqlite3 *db;
	int64_t number; /* of the collection */
	uint32_t dim;
	struct buf name, model, template_;
	struct matrix *matrix;

	/* Prepared at first use. */
	struct {
		struct sqlite3_stmt *old, *insert, *update, *remove;
		struct sqlite3_stmt *index, *unindex;
		struct sqlite3_stmt *put_vector, *has_vector, *remove_vector;
		struct sqlite3_stmt *any_aside, *settle;
	} write;
	struct {
		struct sqlite3_stmt *words, *rank, *floats, *all_floats, *id, *whole, *named,
			*saying;
	} read;
};

/* The first row of the collection that could be, and the first behind it. */
int64_t docs_first(const struct docs *d);
int64_t docs_end(const struct docs *d);
/* Prepares *s unless it is. */
int docs_prepare(struct docs *d, const char *sql, struct sqlite3_stmt **s, struct buf *error);
void docs_write_done(struct docs *d);
