/*
 * Chroma over REST, v2 only (v1 answers 410).
 *
 * Ids are the documents' own. Records are asked for by the collection's UUID, which
 * ensure finds by its name; a collection that was deleted meanwhile answers 404, and
 * the next ensure makes it anew. An upsert merges metadata, so every key is sent every
 * time, null where there is nothing. Model, template and dimension stand in the
 * collection's metadata. Vectors go as base64 where the server takes it.
 *
 *   chroma:http://HOST:8000   default tenant and database, or
 *   chroma:http://HOST:8000/api/v2/tenants/TENANT/databases/DATABASE
 */
#include "sink/vector/chroma_answer.h"
#include "sink/vector/rest.h"
#include "sink/vector/vectors.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MAX_REQUEST  (38u << 20) /* bytes; Chroma takes 40 MB */
#define PAGE	     300 /* records of a page: SQLite's parameters and the answer stay small */
#define ROOT	     "/api/v2"
#define DEFAULT_PATH "/tenants/default_tenant/databases/default_database"
#define MAX_PATH     1024

struct chroma {
	struct rest r;	/* first */
	char *database; /* "/tenants/T/databases/D" */
	struct chroma_limits limits;
	struct chroma_collection found; /* id "": not ensured yet */
	size_t offset;			/* of a list */
};

/* `path` behind the database's collections. */
static int ask(struct chroma *c, const char *what, const char *method, const char *path, bool body,
	       void (*done)(void *ctx, const struct service_answer *a))
{
	char full[MAX_PATH];

	if (snprintf(full, sizeof(full), ROOT "%s/collections%s", c->database, path) >=
	    (int)sizeof(full))
		return -EMSGSIZE;
	return rest_ask(&c->r, what, method, full, body, done);
}

/* Records of the collection that ensure has found. */
static int ask_records(struct chroma *c, const char *what, const char *verb,
		       void (*done)(void *ctx, const struct service_answer *a))
{
	char path[CHROMA_ID_MAX + 32];

	if (!c->found.id[0])
		return -EINVAL;
	(void)snprintf(path, sizeof(path), "/%s/%s", c->found.id, verb);
	return ask(c, what, "POST", path, true, done);
}

/* --- ensure -------------------------------------------------------------- */

static void put_origin(struct chroma *c, struct json_out *j, const char *key)
{
	json_open(j, key, '{');
	json_text(j, "model", c->r.origin.model);
	json_text(j, "template", c->r.origin.template_);
	json_u64(j, "dimension", c->r.b.dim);
	json_text(j, "source", STR("kindred"));
	json_close(j, '{');
}

/* Made by somebody, written by nobody yet: it becomes ours. */
static void mark(struct chroma *c)
{
	struct json_out j = {.out = service_body(c->r.s)};
	char path[CHROMA_ID_MAX + 8];

	json_open(&j, NULL, '{');
	put_origin(c, &j, "new_metadata");
	json_close(&j, '{');
	(void)snprintf(path, sizeof(path), "/%s", c->found.id);
	if (j.r == 0)
		j.r = ask(c, "mark collection", "PUT", path, true, rest_on_done);
	if (j.r < 0)
		rest_finish_errno(&c->r, j.r);
}

static void on_collection(void *ctx, const struct service_answer *a)
{
	_buf_ struct buf words = {.max = REST_MAX_WORDS};
	struct chroma *c = ctx;
	enum vector_outcome how = a->end.how;

	if (how != VECTOR_OK) {
		rest_finish(&c->r, &a->end);
		return;
	}
	how = chroma_read_collection(a->json, c->r.b.dim, &c->r.origin, &c->found, &words);
	if (how == VECTOR_OK && c->found.unmarked)
		mark(c);
	else
		rest_finish_read(&c->r, how, "collection", &words);
}

/* One that is there is left as it is. */
static void make(struct chroma *c)
{
	struct json_out j = {.out = service_body(c->r.s)};

	json_open(&j, NULL, '{');
	json_text(&j, "name", str_of(c->r.collection));
	json_bool(&j, "get_or_create", true);
	json_open(&j, "configuration", '{');
	json_open(&j, "hnsw", '{');
	json_text(&j, "space", STR("cosine"));
	json_close(&j, '{');
	json_close(&j, '{');
	put_origin(c, &j, "metadata");
	json_close(&j, '{');
	if (j.r == 0)
		j.r = ask(c, "make collection", "POST", "", true, on_collection);
	if (j.r < 0)
		rest_finish_errno(&c->r, j.r);
}

static void on_limits(void *ctx, const struct service_answer *a)
{
	_buf_ struct buf words = {.max = REST_MAX_WORDS};
	struct chroma *c = ctx;
	enum vector_outcome how = a->end.how;

	if (how != VECTOR_OK) {
		rest_finish(&c->r, &a->end);
		return;
	}
	how = chroma_read_limits(a->json, &c->limits, &words);
	if (how != VECTOR_OK) {
		rest_finish_read(&c->r, how, "limits", &words);
		return;
	}
	if (c->limits.max_batch)
		c->r.b.max_batch = MIN(c->r.b.max_batch, c->limits.max_batch);
	make(c);
}

static int ensure(struct backend *b, backend_done done, void *ctx)
{
	struct chroma *c = (struct chroma *)b;
	int r = b->dim ? rest_begin(&c->r, 0, done, ctx) : -EINVAL;

	if (r < 0)
		return r;
	c->found.id[0] = '\0';
	return rest_ask(&c->r, "limits", "GET", ROOT "/pre-flight-checks", false, on_limits);
}

/* --- writes -------------------------------------------------------------- */

static void put_vector(struct chroma *c, struct json_out *j, const float *v)
{
	_buf_ struct buf text = {.max = (size_t)EMBED_MAX_DIM * 8};

	if (!c->limits.base64) {
		json_floats(j, NULL, v, c->r.b.dim);
		return;
	}
	if (j->r == 0)
		j->r = vector_base64(&text, v, c->r.b.dim);
	json_text(j, NULL, buf_str(&text));
}

static void put_texts(struct chroma *c, struct json_out *j, const struct backend_doc *docs,
		      uint32_t n)
{
	json_open(j, "ids", '[');
	for (uint32_t i = 0; i < n; i++)
		json_text(j, NULL, docs[i].doc->id);
	json_close(j, '[');
	json_open(j, "documents", '[');
	for (uint32_t i = 0; i < n; i++)
		json_text(j, NULL, docs[i].text);
	json_close(j, '[');
	json_open(j, "metadatas", '[');
	for (uint32_t i = 0; i < n; i++) {
		json_open(j, NULL, '{');
		doc_json_put(j, docs[i].doc, &c->r.origin);
		json_close(j, '{');
	}
	json_close(j, '[');
}

/* An upsert brings vectors, an update of metadata leaves those that are there. */
static int write_docs(struct backend *b, const struct backend_doc *docs, uint32_t n, bool vectors,
		      backend_done done, void *ctx)
{
	struct chroma *c = (struct chroma *)b;
	struct json_out j;
	int r = rest_compose(&c->r, n, done, ctx, &j);

	if (r < 0)
		return r;
	put_texts(c, &j, docs, n);
	if (vectors) {
		json_open(&j, "embeddings", '[');
		for (uint32_t i = 0; i < n; i++)
			put_vector(c, &j, docs[i].vector);
		json_close(&j, '[');
	}
	r = rest_composed(&j);
	return r < 0 ? r
		     : ask_records(c, vectors ? "upsert" : "metadata update",
				   vectors ? "upsert" : "update", rest_on_done);
}

static int upsert(struct backend *b, const struct backend_doc *docs, uint32_t n, backend_done done,
		  void *ctx)
{
	return write_docs(b, docs, n, true, done, ctx);
}

static int payload(struct backend *b, const struct backend_doc *docs, uint32_t n, backend_done done,
		   void *ctx)
{
	return write_docs(b, docs, n, false, done, ctx);
}

static int remove_ids(struct backend *b, const struct str *ids, uint32_t n, backend_done done,
		      void *ctx)
{
	struct chroma *c = (struct chroma *)b;
	struct json_out j;
	int r = rest_compose(&c->r, n, done, ctx, &j);

	if (r < 0)
		return r;
	json_open(&j, "ids", '[');
	for (uint32_t i = 0; i < n; i++)
		json_text(&j, NULL, ids[i]);
	json_close(&j, '[');
	r = rest_composed(&j);
	return r < 0 ? r : ask_records(c, "delete", "delete", rest_on_done);
}

/* --- list, search, health ------------------------------------------------ */

static void on_page(void *ctx, const struct service_answer *a)
{
	_buf_ struct buf words = {.max = REST_MAX_WORDS};
	struct chroma *c = ctx;
	struct vector_end end = a->end;
	size_t n = 0;

	(void)buf_printf(&words, "list: ");
	if (end.how == VECTOR_OK) {
		end.how = chroma_read_page(a->json, str_of(c->r.cluster), c->r.row, c->r.ctx, &n,
					   &words);
		if (end.how != VECTOR_OK)
			end.text = buf_str(&words);
	}
	c->offset += n;
	c->r.list_done(c->r.ctx, &end, n >= PAGE);
}

/* One key equals one value; several need $and. */
static void put_where(struct json_out *j, const char *const *keys, const struct str *values,
		      size_t n)
{
	size_t set = 0;

	for (size_t i = 0; i < n; i++)
		set += values[i].n > 0;
	if (!set)
		return;
	json_open(j, "where", '{');
	if (set > 1)
		json_open(j, "$and", '[');
	for (size_t i = 0; i < n; i++) {
		if (!values[i].n)
			continue;
		if (set > 1)
			json_open(j, NULL, '{');
		json_text(j, keys[i], values[i]);
		if (set > 1)
			json_close(j, '{');
	}
	if (set > 1)
		json_close(j, '[');
	json_close(j, '{');
}

static void put_include(struct json_out *j, const char *const *what, size_t n)
{
	json_open(j, "include", '[');
	for (size_t i = 0; i < n; i++)
		json_text(j, NULL, str_of(what[i]));
	json_close(j, '[');
}

static int list(struct backend *b, bool first,
		void (*row)(void *ctx, const struct backend_known *k),
		void (*done)(void *ctx, const struct vector_end *end, bool more), void *ctx)
{
	static const char *const keys[] = {"cluster"}, *const include[] = {"metadatas"};
	struct chroma *c = (struct chroma *)b;
	struct str values[] = {str_of(c->r.cluster)};
	struct json_out j;
	int r = rest_compose_list(&c->r, row, done, ctx, &j);

	if (r < 0)
		return r;
	if (first)
		c->offset = 0;
	json_u64(&j, "limit", PAGE);
	json_u64(&j, "offset", c->offset);
	put_where(&j, keys, values, 1);
	put_include(&j, include, 1);
	r = rest_composed(&j);
	return r < 0 ? r : ask_records(c, "list", "get", on_page);
}

static void on_hits(void *ctx, const struct service_answer *a)
{
	rest_finish_search(ctx, a, chroma_read_hits);
}

static int search(struct backend *b, const struct backend_query *q,
		  void (*done)(void *ctx, const struct vector_end *end, struct str json), void *ctx)
{
	static const char *const keys[] = {"kind", "namespace"};
	static const char *const include[] = {"metadatas", "documents", "distances"};
	struct chroma *c = (struct chroma *)b;
	struct str values[] = {q->kind, q->ns};
	struct json_out j;
	int r = rest_compose_search(&c->r, q, done, ctx, &j);

	if (r < 0)
		return r;
	json_open(&j, "query_embeddings", '[');
	json_floats(&j, NULL, q->vector, q->dim);
	json_close(&j, '[');
	json_u64(&j, "n_results", q->n);
	put_where(&j, keys, values, ARRAY_SIZE(keys));
	put_include(&j, include, ARRAY_SIZE(include));
	r = rest_composed(&j);
	return r < 0 ? r : ask_records(c, "search", "query", on_hits);
}

static int health(struct backend *b, backend_done done, void *ctx)
{
	struct chroma *c = (struct chroma *)b;
	int r = rest_begin(&c->r, 0, done, ctx);

	return r < 0 ? r : rest_ask(&c->r, "health", "GET", ROOT "/heartbeat", false, rest_on_done);
}

/* --- making -------------------------------------------------------------- */

static void chroma_free(struct backend *b)
{
	struct chroma *c = (struct chroma *)b;

	rest_done(&c->r);
	free(c->database);
	free(c);
}

static const struct backend_ops ops = {
	.ensure = ensure,
	.upsert = upsert,
	.payload = payload,
	.remove = remove_ids,
	.list = list,
	.search = search,
	.health = health,
	.cancel = rest_cancel,
	.free = chroma_free,
};

/* Cuts "/api/v2" and what is behind it off the URL. */
static struct str split_database(struct str *url)
{
	const char *at;

	while (url->n && url->p[url->n - 1] == '/')
		url->n--;
	at = url->n ? memmem(url->p, url->n, ROOT, strlen(ROOT)) : NULL;
	if (!at)
		return STR(DEFAULT_PATH);
	struct str database = str_from(*url, (size_t)(at - url->p) + strlen(ROOT));
	url->n = (size_t)(at - url->p);
	return database.n ? database : STR(DEFAULT_PATH);
}

int backend_chroma_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		       struct buf *ret_error)
{
	struct str database = split_database(&rest);
	struct chroma *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->database = str_dup(database);
	r = c->database ? rest_init(&c->r, o, "chroma", rest, MAX_REQUEST, &ops, ret_error)
			: -ENOMEM;
	if (r == 0 && !str_eq(database, STR(DEFAULT_PATH))) /* two of one server are two backends */
		r = rest_name(&c->r, "chroma:%s" ROOT "%s/%s", service_url(c->r.s), c->database,
			      c->r.collection);
	if (r < 0)
		chroma_free(&c->r.b);
	else
		*ret = &c->r.b;
	return r;
}
