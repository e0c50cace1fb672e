/*
 * What each database is known to hold: one row per database and document, written
 * only after the database has acknowledged. Read whole at the start, so that asking
 * costs no query; written in batches by the worker. Changes are part of the caller's
 * transaction; errors are those of db.h.
 *
 * A database whose documents are in this very file is at home here: a document that it
 * has stored is its own row, and ledger_row has those set aside alone. The view `ledger`
 * shows both.
 */
#pragma once

#include "base/buf.h"
#include "sink/vector/document.h"

#include <stdint.h>

struct sqlite3;

enum ledger_state { LEDGER_STORED, LEDGER_QUARANTINED, _LEDGER_STATE_MAX };

struct ledger_row {
	struct str backend; /* "qdrant:http://q:6333/kindred": which database and collection */
	struct str id;	    /* of the document */
	struct str uid;
	const uint8_t *text_hash, *meta_hash; /* NULL: none */
	enum ledger_state state;
	struct str reason; /* of quarantine */
};

/* What a backend was filled with: 0 with ret texts appended, -ENOENT (a new backend), -EIO. */
int ledger_backend(struct sqlite3 *db, struct str backend, struct buf *ret_model, uint32_t *ret_dim,
		   struct buf *ret_template, struct buf *error);
int ledger_backend_set(struct sqlite3 *db, struct str backend, struct str model, uint32_t dim,
		       struct str template_, struct buf *error);
/* The backend, which is known, is at home: its documents are those of the collection. Rows of what
 * it has stored, which an older program wrote, go. */
int ledger_set_home(struct sqlite3 *db, struct str backend, struct str collection,
		    struct buf *error);
/* Writes over what is there; of a backend at home only those set aside may be put. -ENOENT:
 * ledger_backend_set has not told of the backend. */
int ledger_put(struct sqlite3 *db, const struct ledger_row *rows, uint32_t n, struct buf *error);
/* Ids that are not there are no error. */
int ledger_delete(struct sqlite3 *db, struct str backend, const struct str *ids, uint32_t n,
		  struct buf *error);
/* Rows, in order of ids; a non-zero return ends it. What it tells of is borrowed. Of a backend at
 * home its documents tell the rest. */
int ledger_each(struct sqlite3 *db, struct str backend,
		int (*row)(void *ctx, const struct ledger_row *r), void *ctx, struct buf *error);
