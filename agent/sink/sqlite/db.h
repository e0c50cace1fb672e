/*
 * SQLite files of the agent: opened with the schema of this program, and SQLite's
 * errors as codes and sentences. The writer is the worker (worker.h); commands open
 * a file beside it, to read.
 *
 *     -ENOSPC    no room on the disk, or over a limit of the file's size
 *     -EROFS     the file or its folder cannot be written
 *     -ENOENT, -EACCES ...   it cannot be opened: the system's code
 *     -EINVAL    its name is empty, no UTF-8, or has control characters
 *     -EBADMSG   it is damaged, no SQLite file, or another program's
 *     -ENOTSUP   its schema is newer than this program
 *     -EBUSY     another process held it longer than DB_BUSY_MS
 *     -EIO       anything else; -ENOMEM
 */
#pragma once

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define DB_BUSY_MS   5000
#define DB_ERROR_MAX 1024 /* what `error` buffers should hold */

struct sqlite3;
struct sqlite3_stmt;

/* To read and write: made when it is not there (mode 0600, its folder must be), WAL, schema made or
 * upgraded. `full_sync`: every commit is on the disk when it returns (synchronous=FULL); without,
 * a power cut may take the last ones, in order. */
int db_open(const char *file, bool full_sync, struct sqlite3 **ret, struct buf *error);
/* To read what a writer, which may be at work, has committed. An older schema is -ENOTSUP, too:
 * the agent upgrades it. */
int db_open_reader(const char *file, struct sqlite3 **ret, struct buf *error);
/* NULL-safe, sets *db = NULL. Statements that are kept may be finalized later. */
void db_close(struct sqlite3 **db);
#define _db_ _cleanup_(db_close)

/* Bytes that SQLite and the matrices of vectors hold, of all files. */
size_t db_bytes(void);

/* `error` (may be NULL) gets "FILE: words", unless it has some already; returns r. */
int db_say(struct sqlite3 *db, struct buf *error, int r, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* Statements without results. */
int db_exec(struct sqlite3 *db, const char *sql, struct buf *error);
/* The one number that a statement gives; `otherwise` when it gives none. */
int db_number(struct sqlite3 *db, const char *sql, int64_t otherwise, int64_t *ret,
	      struct buf *error);

/* A statement. One that is `kept` is used often. */
int db_prepare(struct sqlite3 *db, const char *sql, bool kept, struct sqlite3_stmt **ret,
	       struct buf *error);
void db_finalize(struct sqlite3_stmt **s);
#define _stmt_ _cleanup_(db_finalize)

/* Texts and blobs are borrowed until the statement is reset; an empty text is NULL. A failure
 * (-ENOMEM) shows at the next step. */
void db_bind_text(struct sqlite3_stmt *s, int at, struct str text);
/* An empty text stays a text, for columns that are NOT NULL. */
void db_bind_some(struct sqlite3_stmt *s, int at, struct str text);
void db_bind_blob(struct sqlite3_stmt *s, int at, const void *p, size_t n);
/* 1: a row; 0: the end; or -errno. Reset at all but the first. */
int db_step(struct sqlite3_stmt *s, struct buf *error);
/* To its end: 0 or -errno. */
int db_run(struct sqlite3_stmt *s, struct buf *error);
/* Borrowed until the next step. */
struct str db_text(struct sqlite3_stmt *s, int column);
/* NULL unless it has exactly this size. */
const void *db_blob(struct sqlite3_stmt *s, int column, size_t n);
