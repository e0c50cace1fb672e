/*
 * A folder of its own with a SQLite file in it, and documents made of a few texts.
 */
#pragma once

#include "base/buf.h"
#include "base/mem.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/docs.h"

#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RIG_DIM 16

struct rig {
	char folder[64], file[96];
	struct sqlite3 *db;
	struct docs *docs;
	struct buf error;
};

static inline void rig_files(struct rig *g, void (*each)(const char *path))
{
	static const char *const names[] = {"", "-wal", "-shm", "-journal"};
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", g->file, names[i]);
		each(path);
	}
}

static inline void rig_unlink(const char *path)
{
	(void)unlink(path);
}

static inline int rig_up(void **state)
{
	struct rig *g = calloc(1, sizeof(*g));

	assert_non_null(g);
	(void)snprintf(g->folder, sizeof(g->folder), "/tmp/kindred-sqlite-XXXXXX");
	assert_non_null(mkdtemp(g->folder));
	(void)snprintf(g->file, sizeof(g->file), "%s/store.db", g->folder);
	buf_init(&g->error, DB_ERROR_MAX);
	*state = g;
	return 0;
}

static inline int rig_down(void **state)
{
	struct rig *g = *state;

	docs_close(&g->docs);
	db_close(&g->db);
	buf_done(&g->error);
	(void)chmod(g->folder, 0700);
	rig_files(g, rig_unlink);
	(void)rmdir(g->folder);
	free(g);
	return 0;
}

/* The code must be this; the words hold this text (NULL: there are none). Forgets the words. */
static inline void rig_said(struct rig *g, int r, int want, const char *words)
{
	if (r != want)
		print_error("%d instead of %d: %.*s\n", r, want, STR_ARG(buf_str(&g->error)));
	assert_int_equal(r, want);
	if (words &&
	    !(g->error.n && memmem(buf_str(&g->error).p, g->error.n, words, strlen(words)))) {
		print_error("no \"%s\" in: %.*s\n", words, STR_ARG(buf_str(&g->error)));
		fail();
	}
	if (!words)
		assert_int_equal(g->error.n, 0);
	buf_reset(&g->error);
}

#define rig_ok(g, call) rig_said((g), (call), 0, NULL)

static inline void rig_open(struct rig *g, size_t cache)
{
	const struct docs_opts o = {.collection = STR("kindred"),
				    .model = STR("test:16"),
				    .dim = RIG_DIM,
				    .template_ = STR("t1:rich"),
				    .cache = cache};

	rig_ok(g, db_open(g->file, false, &g->db, &g->error));
	rig_ok(g, docs_open(g->db, &o, &g->docs, &g->error));
}

/* One statement that gives one number. */
static inline int64_t rig_number(struct rig *g, const char *sql)
{
	int64_t n = -1;

	rig_ok(g, db_number(g->db, sql, -1, &n, &g->error));
	return n;
}

/* The full text index says what the documents say, and the file is sound. */
static inline void rig_check(struct rig *g)
{
	_stmt_ struct sqlite3_stmt *s = NULL;

	rig_ok(g,
	       db_exec(g->db,
		       "INSERT INTO document_fts(document_fts, rank) VALUES('integrity-check', 1)",
		       &g->error));
	rig_ok(g, db_prepare(g->db, "PRAGMA integrity_check", false, &s, &g->error));
	assert_int_equal(db_step(s, &g->error), 1);
	assert_true(str_eq(db_text(s, 0), STR("ok")));
	assert_int_equal(rig_number(g, "SELECT count(*) FROM document"),
			 rig_number(g, "SELECT count(*) FROM vector"));
}

/* A row of NAMESPACE/KIND/NAME. Texts are borrowed. */
static inline struct docs_row rig_row(const char *id, const char *ns, const char *kind,
				      const char *name, const char *text, const float *vector)
{
	static const uint8_t hash[DOC_HASH_SIZE] = {1, 2, 3};
	struct docs_row row = {.id = str_of(id),
			       .uuid = STR("00000000-0000-5000-8000-000000000000"),
			       .text = str_of(text),
			       .text_hash = hash,
			       .meta_hash = hash,
			       .vector = vector};

	row.fields[DOC_NAMESPACE] = str_of(ns);
	row.fields[DOC_KIND] = str_of(kind);
	row.fields[DOC_NAME] = str_of(name);
	return row;
}
