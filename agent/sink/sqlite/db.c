#include "sink/sqlite/db.h"

#include "base/mem.h"
#include "sink/sqlite/bm25.h"
#include "sink/sqlite/matrix.h"
#include "sink/sqlite/schema.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- errors ---------------------------------------------------------------------------------- */

static int file_errno(struct sqlite3 *db, int which)
{
	sqlite3_file *f = NULL;
	int e = 0;

	if (sqlite3_file_control(db, "main", which, (void *)&f) == SQLITE_OK && f && f->pMethods)
		(void)f->pMethods->xFileControl(f, SQLITE_FCNTL_LAST_ERRNO, &e);
	return e;
}

static bool is_full(int e)
{
	return e == ENOSPC || e == EDQUOT || e == EFBIG; /* the last: RLIMIT_FSIZE */
}

/* What sqlite3_system_errno has is of the last call, which may be one of the clearing up; the
 * files, one of them the log, know better. */
static int code_of_system(struct sqlite3 *db)
{
	int e = sqlite3_system_errno(db);

	if (is_full(e) || is_full(file_errno(db, SQLITE_FCNTL_FILE_POINTER)) ||
	    is_full(file_errno(db, SQLITE_FCNTL_JOURNAL_POINTER)))
		return -ENOSPC;
	return e ? -e : -EIO;
}

static int code_of(struct sqlite3 *db)
{
	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EBADMSG;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_PERM:
		return -EACCES;
	case SQLITE_CANTOPEN:
	case SQLITE_IOERR:
		return code_of_system(db);
	default:
		return -EIO;
	}
}

static const char *words_of(int r, bool no_database)
{
	switch (r) {
	case -ENOSPC:
		return "there is no room on the disk";
	case -EROFS:
		return "it cannot be written: the file, its folder or the file system is read-only";
	case -EBADMSG:
		return no_database ? "it is no SQLite file; name another, or move it away"
				   : "it is damaged; move it away, and the agent fills a new one";
	case -EBUSY:
		return "another process holds it";
	case -EIO:
		return "SQLite failed";
	default:
		return strerror(-r);
	}
}

static void put_words(struct buf *error, const char *fmt, va_list ap)
{
	char words[DB_ERROR_MAX];
	int n = vsnprintf(words, sizeof(words), fmt, ap);

	if (n > 0)
		(void)buf_append(error, words, MIN((size_t)n, sizeof(words) - 1));
}

int db_say(struct sqlite3 *db, struct buf *error, int r, const char *fmt, ...)
{
	const char *file = db ? sqlite3_db_filename(db, "main") : NULL;
	va_list ap;

	if (!error || error->n)
		return r;
	if (file)
		(void)buf_printf(error, "%.512s: ", file);
	va_start(ap, fmt);
	put_words(error, fmt, ap);
	va_end(ap);
	return r;
}

/* The code of the connection's last error, with its words. */
static int fail(struct sqlite3 *db, struct buf *error)
{
	int r = code_of(db);
	bool no_database = (sqlite3_errcode(db) & 0xff) == SQLITE_NOTADB;

	return db_say(db, error, r, "%s (%s)", words_of(r, no_database), sqlite3_errmsg(db));
}

/* ---- statements ------------------------------------------------------------------------------ */

int db_exec(struct sqlite3 *db, const char *sql, struct buf *error)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, error);
}

int db_prepare(struct sqlite3 *db, const char *sql, bool kept, struct sqlite3_stmt **ret,
	       struct buf *error)
{
	struct sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v3(db, sql, -1, kept ? SQLITE_PREPARE_PERSISTENT : 0, &s, NULL) !=
	    SQLITE_OK)
		return fail(db, error);
	*ret = s;
	return 0;
}

void db_finalize(struct sqlite3_stmt **s)
{
	(void)sqlite3_finalize(*s);
	*s = NULL;
}

void db_bind_text(struct sqlite3_stmt *s, int at, struct str text)
{
	if (text.n)
		(void)sqlite3_bind_text64(s, at, text.p, text.n, SQLITE_STATIC, SQLITE_UTF8);
	else
		(void)sqlite3_bind_null(s, at);
}

void db_bind_some(struct sqlite3_stmt *s, int at, struct str text)
{
	(void)sqlite3_bind_text64(s, at, text.n ? text.p : "", text.n, SQLITE_STATIC, SQLITE_UTF8);
}

void db_bind_blob(struct sqlite3_stmt *s, int at, const void *p, size_t n)
{
	(void)sqlite3_bind_blob64(s, at, p, n, SQLITE_STATIC);
}

int db_step(struct sqlite3_stmt *s, struct buf *error)
{
	int rc = sqlite3_step(s), r;

	if (rc == SQLITE_ROW)
		return 1;
	r = rc == SQLITE_DONE ? 0 : fail(sqlite3_db_handle(s), error);
	(void)sqlite3_reset(s);
	return r;
}

int db_run(struct sqlite3_stmt *s, struct buf *error)
{
	int r;

	while ((r = db_step(s, error)) > 0)
		;
	return r;
}

struct str db_text(struct sqlite3_stmt *s, int column)
{
	const void *p = sqlite3_column_text(s, column);

	return p ? str_make(p, (size_t)sqlite3_column_bytes(s, column)) : (struct str){0};
}

const void *db_blob(struct sqlite3_stmt *s, int column, size_t n)
{
	const void *p = sqlite3_column_blob(s, column);

	return p && (size_t)sqlite3_column_bytes(s, column) == n ? p : NULL;
}

int db_number(struct sqlite3 *db, const char *sql, int64_t otherwise, int64_t *ret,
	      struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db, sql, false, &s, error);

	r = r < 0 ? r : db_step(s, error);
	if (r < 0)
		return r;
	*ret = r ? sqlite3_column_int64(s, 0) : otherwise;
	return 0;
}

/* ---- opening --------------------------------------------------------------------------------- */

#define WAL_PAUSE_MS 10

/* SQLite takes names as UTF-8. What is none, or has control characters, was never written by a
 * person: the file would be made all the same, under a name that is hard to remove. */
static int check_name(const char *file, struct buf *error)
{
	struct str rest = str_of(file);
	size_t n;

	if (!rest.n) {
		(void)buf_append_str(error, STR("the name of the SQLite file is empty"));
		return -EINVAL;
	}
	for (; rest.n; rest = str_from(rest, n)) {
		const unsigned char c = (unsigned char)rest.p[0];

		n = str_utf8(rest);
		if (n && c >= 0x20 && c != 0x7f)
			continue;
		(void)buf_printf(error,
				 "the name of the SQLite file has the byte 0x%02x at place %zu: "
				 "only UTF-8 without control characters is taken",
				 c, (size_t)(rest.p - file) + 1);
		return -EINVAL;
	}
	return 0;
}

/* SQLite would make it readable by everybody. Only a file that is not there is opened here: closing
 * one that is would drop the locks of this process's other connections (fcntl(2)). */
static int make_file(const char *file, struct buf *error)
{
	int fd = open(file, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = fd < 0 && errno != EEXIST ? -errno : 0;

	if (fd >= 0)
		(void)close(fd);
	if (r < 0)
		(void)buf_printf(error, "%.512s: it cannot be made: %s", file, strerror(-r));
	return r;
}

static int open_file(const char *file, int flags, struct sqlite3 **ret, struct buf *error)
{
	_db_ struct sqlite3 *db = NULL;
	int r;

	if (sqlite3_open_v2(file, &db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL) !=
	    SQLITE_OK) { /* the connection does not know its file then */
		r = db ? code_of(db) : -ENOMEM;
		(void)buf_printf(error, "%.512s: %s", file, words_of(r, false));
		return r;
	}
	(void)sqlite3_busy_timeout(db, DB_BUSY_MS);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* A file that is read may come from anywhere: what stands in its schema gets no powers. The
	 * writer's triggers need some: to FTS5. */
	if (flags & SQLITE_OPEN_READONLY)
		(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	*ret = TAKE_PTR(db);
	return 0;
}

static int try_wal(struct sqlite3 *db, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	int r = db_prepare(db, "PRAGMA journal_mode=WAL", false, &s, error);

	r = r < 0 ? r : db_step(s, error);
	if (r < 0)
		return r;
	if (r == 0 || !str_ieq(db_text(s, 0), STR("wal")))
		return db_say(db, error, -EIO, "it cannot have a write-ahead log here");
	return 0;
}

/* Without the folder's consent readers and writers cannot share an index of the log, and the file
 * stays in its old mode. While another process is doing the same SQLite does not wait by itself. */
static int set_wal(struct sqlite3 *db, struct buf *error)
{
	for (int left = DB_BUSY_MS; left > 0; left -= WAL_PAUSE_MS) {
		int r = try_wal(db, NULL);

		if (r != -EBUSY)
			return r < 0 ? try_wal(db, error) : r;
		(void)sqlite3_sleep(WAL_PAUSE_MS);
	}
	return try_wal(db, error);
}

int db_open(const char *file, bool full_sync, struct sqlite3 **ret, struct buf *error)
{
	_db_ struct sqlite3 *db = NULL;
	int r = check_name(file, error);

	r = r < 0 ? r : make_file(file, error);
	r = r < 0 ? r : open_file(file, SQLITE_OPEN_READWRITE, &db, error);
	if (r == 0 && sqlite3_db_readonly(db, "main"))
		r = db_say(db, error, -EROFS, "%s", words_of(-EROFS, false));
	r = r < 0 ? r : schema_check(db, true, error);
	r = r < 0 ? r : db_exec(db, "PRAGMA page_size=8192", error);
	r = r < 0 ? r : set_wal(db, error);
	r = r < 0 ? r
		  : db_exec(db, full_sync ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
			    error);
	r = r < 0 ? r
		  : db_exec(db,
			    "PRAGMA wal_autocheckpoint=2000; PRAGMA journal_size_limit=33554432;"
			    "PRAGMA cache_size=-32768; PRAGMA temp_store=MEMORY;"
			    "PRAGMA secure_delete=FAST", /* Debian's default writes zeros over
							  * whole pages that are let go */
			    error);
	r = r < 0 ? r : schema_upgrade(db, error);
	r = r < 0 ? r : bm25_register(db, error);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(db);
	return 0;
}

/* "file:PATH?immutable=1", each byte that means something in a URI in hexadecimal. */
static int immutable_uri(const char *file, struct buf *ret)
{
	int r = buf_append_str(ret, STR("file:"));

	for (; *file && r == 0; file++)
		r = strchr("%?#", *file) ? buf_printf(ret, "%%%02X", (unsigned)*file)
					 : buf_append(ret, file, 1);
	r = r < 0 ? r : buf_append_str(ret, STR("?immutable=1"));
	return r < 0 ? r : buf_append(ret, "", 1);
}

static bool has_log(const char *file)
{
	char log[4096];
	struct stat st;
	int n = snprintf(log, sizeof(log), "%s-wal", file);

	return n < 0 || (size_t)n >= sizeof(log) || stat(log, &st) == 0;
}

static int open_immutable(const char *file, struct sqlite3 **ret, struct buf *error)
{
	_buf_ struct buf uri = {.max = 16384};
	_db_ struct sqlite3 *db = NULL;
	int r = immutable_uri(file, &uri);

	r = r < 0 ? r
		  : open_file(buf_str(&uri).p, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, &db, error);
	r = r < 0 ? r : schema_check(db, false, error);
	r = r < 0 ? r : bm25_register(db, error);
	if (r == 0)
		*ret = TAKE_PTR(db);
	return r;
}

/* Where this process may not make the log's index, and nobody has one, nobody writes either. */
int db_open_reader(const char *file, struct sqlite3 **ret, struct buf *error)
{
	_db_ struct sqlite3 *db = NULL;
	struct stat st;
	int r = check_name(file, error);

	if (r < 0)
		return r;
	if (stat(file, &st) < 0) {
		r = -errno;
		(void)buf_printf(error, "%.512s: %s", file, strerror(-r));
		return r;
	}
	r = open_file(file, SQLITE_OPEN_READONLY, &db, error);
	r = r < 0 ? r : schema_check(db, false, error);
	if ((r == -EROFS || r == -EACCES || r == -ENOENT) && !has_log(file)) {
		buf_reset(error);
		return open_immutable(file, ret, error);
	}
	r = r < 0 ? r : bm25_register(db, error);
	if (r == 0)
		*ret = TAKE_PTR(db);
	return r;
}

void db_close(struct sqlite3 **db)
{
	(void)sqlite3_close_v2(*db);
	*db = NULL;
}

size_t db_bytes(void)
{
	return (size_t)sqlite3_memory_used() + matrix_all_bytes();
}
