#include "sink/sqlite/schema.h"

#include "base/mem.h"
#include "sink/sqlite/db.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>

#define APPLICATION_ID 0x6b696e64 /* "kind": PRAGMA application_id, shown by file(1) */

/*
 * `doc` is the collection's number shifted by DOCS_SHIFT, plus a running one: a collection is one
 * range of rows in every table. Merging of FTS5 is put off (16 segments instead of 4): documents
 * come by the thousand at the start, and one by one later.
 *
 * No triggers keep document_fts in step: a statement that has one is guarded by a savepoint, at
 * which FTS5 writes out what it has gathered, a segment a document. That takes four times as long.
 * So do RETURNING and REPLACE where there is an index (docs.c).
 */
static const char documents[] =
	"CREATE TABLE collection("
	"  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	"  model TEXT NOT NULL, dim INTEGER NOT NULL, template TEXT NOT NULL);"

	"CREATE TABLE document("
	"  doc INTEGER PRIMARY KEY, collection INTEGER NOT NULL, id TEXT NOT NULL, uuid TEXT,"
	"  text_hash BLOB NOT NULL, meta_hash BLOB NOT NULL,"
	"  cluster TEXT, namespace TEXT, name TEXT, kind TEXT, api_group TEXT, api_version TEXT,"
	"  uid TEXT, resource_version TEXT, created_at TEXT, owner_kind TEXT, owner_name TEXT,"
	"  node TEXT, phase TEXT, images TEXT, labels TEXT, content_id TEXT,"
	"  text TEXT, words TEXT);"
	"CREATE UNIQUE INDEX document_id ON document(collection, id);"

	"CREATE TABLE vector(doc INTEGER PRIMARY KEY, v BLOB NOT NULL);"

	"CREATE VIRTUAL TABLE document_fts USING fts5(name, kind, namespace, text, words,"
	"  content='document', content_rowid='doc', tokenize='porter unicode61');"
	"INSERT INTO document_fts(document_fts, rank) VALUES('automerge', 16);"
	"INSERT INTO document_fts(document_fts, rank) VALUES('crisismerge', 64);"

	"CREATE TABLE ledger_backend("
	"  number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
	"  model TEXT NOT NULL, dim INTEGER NOT NULL, template TEXT NOT NULL);"
	"CREATE TABLE ledger("
	"  backend INTEGER NOT NULL, id TEXT NOT NULL, uid TEXT, text_hash BLOB, meta_hash BLOB,"
	"  state INTEGER NOT NULL, reason TEXT, PRIMARY KEY(backend, id)) WITHOUT ROWID;";

/*
 * A node is an object (present 1), something that edges of others name (0), or a part of the graph
 * alone (2). Edges are those of one source, and go with it. A selector's edge leads to the kind's
 * node without a name; '*' selects all.
 */
static const char graph[] =
	"CREATE TABLE graph_node("
	"  id INTEGER PRIMARY KEY, cluster TEXT NOT NULL, kind TEXT NOT NULL,"
	"  namespace TEXT NOT NULL, name TEXT NOT NULL, api_group TEXT NOT NULL,"
	"  present INTEGER NOT NULL, uid TEXT, props TEXT, since TEXT, state TEXT,"
	"  hash INTEGER, epoch INTEGER);"
	"CREATE UNIQUE INDEX graph_node_key"
	"  ON graph_node(cluster, kind, namespace, name, api_group);"
	"CREATE INDEX graph_node_name ON graph_node(name);"

	"CREATE TABLE graph_edge("
	"  source INTEGER NOT NULL, src INTEGER NOT NULL, type TEXT NOT NULL,"
	"  dst INTEGER NOT NULL, selector TEXT NOT NULL, via TEXT, props TEXT,"
	"  PRIMARY KEY(source, src, type, dst, selector)) WITHOUT ROWID;"
	"CREATE INDEX graph_edge_src ON graph_edge(src);"
	"CREATE INDEX graph_edge_dst ON graph_edge(dst);"

	"CREATE TABLE graph_label("
	"  node INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,"
	"  PRIMARY KEY(node, key)) WITHOUT ROWID;"

	"CREATE TABLE graph_change("
	"  number INTEGER PRIMARY KEY, cluster TEXT, kind TEXT, namespace TEXT, name TEXT,"
	"  uid TEXT, action TEXT NOT NULL, seen TEXT NOT NULL, since TEXT, state TEXT);"
	"CREATE INDEX graph_change_key ON graph_change(kind, namespace, name);"

	"CREATE TABLE graph_kind("
	"  cluster TEXT NOT NULL, api_group TEXT NOT NULL, kind TEXT NOT NULL,"
	"  PRIMARY KEY(cluster, api_group, kind)) WITHOUT ROWID;";

/*
 * A database whose documents are in this very file has rows in `ledger_row` for those set aside
 * alone (ledger.h). Of a question's words each segment of the full text index is asked: half as
 * many as before it are merged when there are 8 of a size.
 */
static const char home[] =
	"ALTER TABLE ledger RENAME TO ledger_row;"
	"ALTER TABLE ledger_backend ADD COLUMN collection TEXT;"
	"CREATE VIEW ledger AS"
	"  SELECT backend, id, uid, text_hash, meta_hash, state, reason FROM ledger_row"
	"  UNION ALL"
	"  SELECT b.number, d.id, d.uid, d.text_hash, d.meta_hash, 0, NULL FROM ledger_backend AS b"
	"  JOIN collection AS c ON c.name = b.collection JOIN document AS d ON d.collection = "
	"c.number"
	"  WHERE NOT EXISTS("
	"    SELECT 1 FROM ledger_row AS r WHERE r.backend = b.number AND r.id = d.id);"
	"INSERT INTO document_fts(document_fts, rank) VALUES('automerge', 8);";

static const char *const steps[] = {documents, graph, home};

struct found {
	int64_t version, application, things;
};

static int read_found(struct sqlite3 *db, struct found *ret, struct buf *error)
{
	int r = db_number(db, "PRAGMA user_version", 0, &ret->version, error);

	r = r < 0 ? r : db_number(db, "PRAGMA application_id", 0, &ret->application, error);
	return r < 0 ? r
		     : db_number(db, "SELECT count(*) FROM sqlite_schema", 0, &ret->things, error);
}

/* In one transaction: another process may be making it just now. */
static int look(struct sqlite3 *db, struct found *ret, struct buf *error)
{
	int r;

	if (!sqlite3_get_autocommit(db))
		return read_found(db, ret, error);
	r = db_exec(db, "BEGIN", error);
	r = r < 0 ? r : read_found(db, ret, error);
	if (!sqlite3_get_autocommit(db))
		(void)db_exec(db, "COMMIT", NULL);
	return r;
}

int schema_check(struct sqlite3 *db, bool to_write, struct buf *error)
{
	const int64_t newest = ARRAY_SIZE(steps);
	struct found f;
	int r = look(db, &f, error);

	if (r < 0)
		return r;
	if (!f.things && !f.version && to_write)
		return 0;
	if (f.application != APPLICATION_ID)
		return db_say(db, error, -EBADMSG, "it is not a store of kindred; name another");
	if (f.version > newest)
		return db_say(
			db, error, -ENOTSUP,
			"it was written by a newer kindred (schema %lld, this one knows %lld); "
			"use that one, or name another file",
			(long long)f.version, (long long)newest);
	if (f.version < newest && !to_write)
		return db_say(db, error, -ENOTSUP,
			      "it was written by an older kindred (schema %lld of %lld); the agent "
			      "upgrades it when it starts",
			      (long long)f.version, (long long)newest);
	return 0;
}

static int run_steps(struct sqlite3 *db, struct buf *error)
{
	char sql[96];
	int64_t version;
	int r = schema_check(db, true, error);

	r = r < 0 ? r : db_number(db, "PRAGMA user_version", 0, &version, error);
	if (r < 0 || version == (int64_t)ARRAY_SIZE(steps))
		return r;
	for (size_t i = (size_t)version; i < ARRAY_SIZE(steps) && r == 0; i++)
		r = db_exec(db, steps[i], error);
	(void)snprintf(sql, sizeof(sql), "PRAGMA application_id=%d; PRAGMA user_version=%zu",
		       APPLICATION_ID, ARRAY_SIZE(steps));
	return r < 0 ? r : db_exec(db, sql, error);
}

int schema_upgrade(struct sqlite3 *db, struct buf *error)
{
	int64_t version;
	int r = db_number(db, "PRAGMA user_version", 0, &version, error);

	if (r < 0 || version == (int64_t)ARRAY_SIZE(steps))
		return r;
	r = db_exec(db, "BEGIN IMMEDIATE", error);
	r = r < 0 ? r : run_steps(db, error);
	r = r < 0 ? r : db_exec(db, "COMMIT", error);
	if (!sqlite3_get_autocommit(db))
		(void)db_exec(db, "ROLLBACK", NULL);
	return r;
}
