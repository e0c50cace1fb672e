/*
 * The made objects of tests/fixtures/objects in an embedded store: as documents and, where it is
 * asked for, with the ReplicaSets and pods that controllers would make of them, and as a graph. And
 * the questions of tests/retrieval.
 */
#pragma once

#include "base/mem.h"
#include "sink/graph/rows.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/docs.h"
#include "sink/vector/document.h"
#include "sink/vector/embed_hash.h"

#include <glob.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CORPUS_OBJECTS "tests/fixtures/objects/*.json"
#define CORPUS_MAX     1024
#define CORPUS_DIM     1024
#define CORPUS_PODS    2 /* of each workload */

struct corpus {
	enum doc_mode mode;
	bool pods, graph; /* see above */
	struct arena arena;
	struct document docs[CORPUS_MAX];
	float *vectors;
	uint32_t n;
	char dir[64], file[128];
	struct sqlite3 *db;
	struct docs *table;
};

/* ---- the store ------------------------------------------------------------------------------- */

static inline void corpus_open(struct corpus *c)
{
	const struct docs_opts o = {.collection = STR("kindred"),
				    .model = STR("hash-v1:1024"),
				    .dim = CORPUS_DIM,
				    .template_ = STR("t")};
	_buf_ struct buf error = {.max = DB_ERROR_MAX};

	(void)snprintf(c->dir, sizeof(c->dir), "/tmp/kindred-retrieval-XXXXXX");
	assert_non_null(mkdtemp(c->dir));
	(void)snprintf(c->file, sizeof(c->file), "%s/docs.db", c->dir);
	assert_int_equal(db_open(c->file, false, &c->db, &error), 0);
	assert_int_equal(docs_open(c->db, &o, &c->table, &error), 0);
	assert_int_equal(db_exec(c->db, "BEGIN", &error), 0);
}

static inline void corpus_store(struct corpus *c, const struct document *d, const float *vector)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	struct docs_row row = {.id = d->id,
			       .uuid = str_of(d->uuid),
			       .text = d->text,
			       .text_hash = d->text_hash,
			       .meta_hash = d->meta_hash,
			       .vector = vector};

	memcpy(row.fields, d->fields, sizeof(row.fields));
	assert_int_equal(docs_upsert(c->table, &row, 1, &error), 0);
}

static inline void corpus_link(struct corpus *c, const struct tree *o, const struct document *d)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	struct graph_made made = {0};
	struct relay_item item = {.time = 1700000000 * NSEC_PER_SEC,
				  .made = &made,
				  .group = d->fields[DOC_API_GROUP],
				  .kind = d->fields[DOC_KIND],
				  .ns = tree_text_at(o, "metadata.namespace"),
				  .name = d->fields[DOC_NAME],
				  .uid = d->fields[DOC_UID]};

	assert_int_equal(edges_of(o, &c->arena, &made.set), 0);
	assert_int_equal(graph_state_of(o, &c->arena, item.time, &made.state), 0);
	assert_int_equal(rows_write(c->db, (struct str){0}, 1, &item, 1, &error), 0);
}

static inline void corpus_add(struct corpus *c, const struct tree *o,
			      const struct doc_owner *owners, uint32_t n_owners)
{
	const struct doc_opts opts = {.mode = c->mode};
	struct document *d = &c->docs[c->n];
	float *vector = c->vectors + (size_t)c->n * CORPUS_DIM;

	assert_true(c->n < CORPUS_MAX);
	assert_int_equal(document_make(&opts, o, owners, n_owners, &c->arena, d), 0);
	embed_hash(d->text, CORPUS_DIM, vector);
	corpus_store(c, d, vector);
	if (c->graph)
		corpus_link(c, o, d);
	c->n++;
}

/* ---- what controllers make ------------------------------------------------------------------- */

/* The template under this path as an object of `kind`, owned by `owner`. */
static inline json_t *child_of(json_t *owner, const char *kind, const char *api_version,
			       const char *tail, json_t *template_)
{
	json_t *meta = json_object_get(owner, "metadata");
	json_t *name =
		json_sprintf("%s-%s", json_string_value(json_object_get(meta, "name")), tail);
	json_t *uid = json_sprintf("%s-%s", json_string_value(json_object_get(meta, "uid")), tail);
	json_t *labels = json_object_get(json_object_get(template_, "metadata"), "labels");
	json_t *o = json_pack("{s:s, s:s, s:{s:o, s:o, s:O, s:O, s:[{s:O, s:O, s:O, s:O, s:b}]}}",
			      "apiVersion", api_version, "kind", kind, "metadata", "name", name,
			      "uid", uid, "namespace", json_object_get(meta, "namespace"), "labels",
			      labels, "ownerReferences", "apiVersion",
			      json_object_get(owner, "apiVersion"), "kind",
			      json_object_get(owner, "kind"), "name", json_object_get(meta, "name"),
			      "uid", json_object_get(meta, "uid"), "controller", 1);

	assert_non_null(o);
	return o;
}

struct chain { /* an object and those above it */
	json_t *o;
	struct doc_owner owners[4]; /* nearest first */
	uint32_t n;
};

static inline void corpus_add_json(struct corpus *c, const struct chain *at)
{
	_free_ char *text = json_dumps(at->o, 0);
	struct tree *t;

	assert_int_equal(tree_parse(&c->arena, str_of(text), &t), 0);
	corpus_add(c, t, at->owners, at->n);
}

static inline struct chain below(const struct chain *at, json_t *o)
{
	struct chain ret = {.o = o, .n = at->n + 1};

	ret.owners[0].kind = str_of(json_string_value(json_object_get(at->o, "kind")));
	ret.owners[0].name = str_of(
		json_string_value(json_object_get(json_object_get(at->o, "metadata"), "name")));
	memcpy(ret.owners + 1, at->owners, at->n * sizeof(at->owners[0]));
	return ret;
}

static inline void add_pods(struct corpus *c, const struct chain *at, json_t *template_)
{
	for (int i = 0; i < CORPUS_PODS; i++) {
		char tail[16];
		struct chain pod;
		json_t *o;

		(void)snprintf(tail, sizeof(tail), "x%dz", i);
		o = child_of(at->o, "Pod", "v1", tail, template_);
		json_object_set_new(o, "spec", json_deep_copy(json_object_get(template_, "spec")));
		json_object_set_new(json_object_get(o, "spec"), "nodeName",
				    json_sprintf("worker-%d", i));
		pod = below(at, o);
		corpus_add_json(c, &pod);
		json_decref(o);
	}
}

/* A ReplicaSet or Job between the workload and its pods. */
static inline void add_between(struct corpus *c, const struct chain *top, const char *kind,
			       const char *api_version, json_t *template_)
{
	json_t *o = child_of(top->o, kind, api_version, "5d9f7c", template_);
	struct chain between = below(top, o);

	json_object_set_new(o, "spec", json_pack("{s:O}", "template", template_));
	corpus_add_json(c, &between);
	add_pods(c, &between, template_);
	json_decref(o);
}

static inline void corpus_run(struct corpus *c, json_t *workload)
{
	const char *kind = json_string_value(json_object_get(workload, "kind"));
	json_t *spec = json_object_get(workload, "spec");
	json_t *job = json_object_get(json_object_get(spec, "jobTemplate"), "spec");
	json_t *template_ = json_object_get(job ? job : spec, "template");
	const struct chain top = {.o = workload};

	if (!template_)
		return;
	if (job)
		add_between(c, &top, "Job", "batch/v1", template_);
	else if (strcmp(kind, "Deployment") == 0 || strcmp(kind, "Rollout") == 0)
		add_between(c, &top, "ReplicaSet", "apps/v1", template_);
	else
		add_pods(c, &top, template_);
}

/* ---- the corpus ------------------------------------------------------------------------------ */

static inline void corpus_read(struct corpus *c, const char *path)
{
	json_error_t error;
	json_t *list = json_load_file(path, 0, &error), *o;
	size_t i;

	if (!list)
		fail_msg("%s: %s", path, error.text);
	json_array_foreach(json_object_get(list, "items"), i, o)
	{
		const struct chain at = {.o = o};

		corpus_add_json(c, &at);
		if (c->pods)
			corpus_run(c, o);
	}
	json_decref(list);
}

/* `c` has its first line set, and is else empty. */
static inline void corpus_load(struct corpus *c)
{
	_buf_ struct buf error = {.max = DB_ERROR_MAX};
	glob_t g;

	arena_init(&c->arena, 256UL << 20);
	c->vectors = calloc((size_t)CORPUS_MAX * CORPUS_DIM, sizeof(*c->vectors));
	assert_non_null(c->vectors);
	corpus_open(c);
	assert_int_equal(glob(CORPUS_OBJECTS, 0, NULL, &g), 0);
	for (size_t i = 0; i < g.gl_pathc; i++)
		corpus_read(c, g.gl_pathv[i]);
	globfree(&g);
	assert_true(c->n >= 150);
	assert_int_equal(db_exec(c->db, "COMMIT", &error), 0);
}

static inline void corpus_done(struct corpus *c)
{
	static const char *const tails[] = {"", "-wal", "-shm"};
	char other[160];

	docs_close(&c->table);
	db_close(&c->db);
	for (size_t i = 0; i < ARRAY_SIZE(tails); i++) {
		(void)snprintf(other, sizeof(other), "%s%s", c->file, tails[i]);
		(void)unlink(other);
	}
	(void)rmdir(c->dir);
	arena_done(&c->arena);
	free(c->vectors);
}

/* ---- questions ------------------------------------------------------------------------------- */

struct query {
	char text[256];
	struct str ids[64]; /* into `line` */
	uint32_t n_ids;
	char line[4096];
};

static inline bool query_next(FILE *f, struct query *q)
{
	struct str rest, head;
	bool more;

	if (!fgets(q->line, sizeof(q->line), f))
		return false;
	rest = str_trim(str_of(q->line));
	assert_true(str_split(&rest, '\t', &head));
	(void)snprintf(q->text, sizeof(q->text), "%.*s", STR_ARG(head));
	q->n_ids = 0;
	do {
		more = str_split(&rest, ',', &q->ids[q->n_ids++]);
	} while (more);
	return true;
}

static inline bool query_wants(const struct query *q, struct str id)
{
	for (uint32_t i = 0; i < q->n_ids; i++)
		if (str_eq(q->ids[i], id))
			return true;
	return false;
}
