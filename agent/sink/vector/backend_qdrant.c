/*
 * Qdrant over REST, from 1.10 on.
 *
 * Point ids are UUIDs (v5, of the document's id); the id itself stands in the payload
 * as _originalId, the text as document. A point's payload also says of which model and
 * template it is: a collection has no place for that in older versions, so ensure looks
 * for a single point that is of another. Indexes of the payload are made before the
 * first points. Every write waits until it is completed; "acknowledged" is not enough.
 */
#include "sink/vector/qdrant_answer.h"
#include "sink/vector/rest.h"

#include "base/mem.h"

#include <errno.h>
#include <stdio.h>

#define MAX_REQUEST (30u << 20) /* bytes; Qdrant takes 32 MiB */
#define PAGE	    256		/* points of a scroll */
#define MAX_TRIES   3		/* creations that another one was faster with */
#define MAX_OFFSET  1024

struct qdrant {
	struct rest r; /* first */
	uint32_t page;

	/* Of ensure. */
	struct qdrant_collection found;
	unsigned tries;
	bool created; /* just now: no points of others can be in it */

	struct buf offset; /* where a list goes on; empty: at its end */
};

/* Behind /collections/NAME. `body`: what stands in service_body. */
static int ask(struct qdrant *q, const char *what, const char *method, const char *path, bool body,
	       void (*done)(void *ctx, const struct service_answer *a))
{
	char full[512];

	(void)snprintf(full, sizeof(full), "/collections/%s%s", q->r.collection, path);
	return rest_ask(&q->r, what, method, full, body, done);
}

/* --- ensure -------------------------------------------------------------- */

static void inspect(struct qdrant *q);

static void on_others(void *ctx, const struct service_answer *a)
{
	struct qdrant *q = ctx;
	enum vector_outcome how = a->end.how;
	_buf_ struct buf words = {.max = REST_MAX_WORDS};

	if (how != VECTOR_OK) {
		rest_finish(&q->r, &a->end);
		return;
	}
	how = qdrant_read_others(a->json, &q->r.origin, &words);
	rest_finish_read(&q->r, how, "collection", &words);
}

static void put_match(struct json_out *j, const char *key, struct str value)
{
	json_open(j, NULL, '{');
	json_text(j, "key", str_of(key));
	json_open(j, "match", '{');
	json_text(j, "value", value);
	json_close(j, '{');
	json_close(j, '{');
}

/* One point that is not of this model and this template. */
static void look_for_others(struct qdrant *q)
{
	struct json_out j = {.out = service_body(q->r.s)};

	json_open(&j, NULL, '{');
	json_open(&j, "filter", '{');
	json_open(&j, "must_not", '[');
	json_open(&j, NULL, '{');
	json_open(&j, "must", '[');
	put_match(&j, "model", q->r.origin.model);
	put_match(&j, "template", q->r.origin.template_);
	json_close(&j, '[');
	json_close(&j, '{');
	json_close(&j, '[');
	json_close(&j, '{');
	json_u64(&j, "limit", 1);
	json_open(&j, "with_payload", '[');
	json_text(&j, NULL, STR("model"));
	json_text(&j, NULL, STR("template"));
	json_close(&j, '[');
	json_bool(&j, "with_vector", false);
	json_close(&j, '{');
	if (j.r == 0)
		j.r = ask(q, "check of points", "POST", "/points/scroll", true, on_others);
	if (j.r < 0)
		rest_finish_errno(&q->r, j.r);
}

static void make_index(struct qdrant *q);

static void on_index(void *ctx, const struct service_answer *a)
{
	struct qdrant *q = ctx;

	if (a->end.how != VECTOR_OK) {
		rest_finish(&q->r, &a->end);
		return;
	}
	q->found.missing &= q->found.missing - 1;
	make_index(q);
}

/* The next one that is missing; then the points. */
static void make_index(struct qdrant *q)
{
	struct json_out j = {.out = service_body(q->r.s)};

	if (!q->found.missing) {
		if (q->created)
			rest_finish_ok(&q->r);
		else
			look_for_others(q);
		return;
	}
	json_open(&j, NULL, '{');
	json_text(&j, "field_name", str_of(qdrant_index_keys[__builtin_ctz(q->found.missing)]));
	json_text(&j, "field_schema", STR("keyword"));
	json_close(&j, '{');
	if (j.r == 0)
		j.r = ask(q, "payload index", "PUT", "/index?wait=true", true, on_index);
	if (j.r < 0)
		rest_finish_errno(&q->r, j.r);
}

/* 409: another one was faster; what it has made is looked at as if it had been there. */
static void on_create(void *ctx, const struct service_answer *a)
{
	struct qdrant *q = ctx;

	if (a->status == 409 && ++q->tries < MAX_TRIES) {
		inspect(q);
		return;
	}
	if (a->end.how != VECTOR_OK) {
		rest_finish(&q->r, &a->end);
		return;
	}
	q->created = true;
	inspect(q);
}

static void create(struct qdrant *q)
{
	struct json_out j = {.out = service_body(q->r.s)};

	json_open(&j, NULL, '{');
	json_open(&j, "vectors", '{');
	json_u64(&j, "size", q->r.b.dim);
	json_text(&j, "distance", STR("Cosine"));
	json_close(&j, '{');
	json_close(&j, '{');
	if (j.r == 0)
		j.r = ask(q, "create collection", "PUT", "", true, on_create);
	if (j.r < 0)
		rest_finish_errno(&q->r, j.r);
}

static void on_inspect(void *ctx, const struct service_answer *a)
{
	struct qdrant *q = ctx;
	enum vector_outcome how = a->end.how;
	_buf_ struct buf words = {.max = REST_MAX_WORDS};

	if (a->status == 404 && !q->created) {
		create(q);
		return;
	}
	if (how != VECTOR_OK) {
		rest_finish(&q->r, &a->end);
		return;
	}
	how = qdrant_read_collection(a->json, q->r.b.dim, &q->found, &words);
	if (how != VECTOR_OK) {
		rest_finish_read(&q->r, how, "collection", &words);
		return;
	}
	if (q->found.max_batch)
		q->r.b.max_batch = MIN(q->r.b.max_batch, q->found.max_batch);
	q->page = q->found.max_query ? MIN(q->found.max_query, (uint32_t)PAGE) : PAGE;
	make_index(q);
}

static void inspect(struct qdrant *q)
{
	int r = ask(q, "look at collection", "GET", "", false, on_inspect);

	if (r < 0)
		rest_finish_errno(&q->r, r);
}

static int ensure(struct backend *b, backend_done done, void *ctx)
{
	struct qdrant *q = (struct qdrant *)b;

	int r = b->dim ? rest_begin(&q->r, 0, done, ctx) : -EINVAL;

	if (r < 0)
		return r;
	q->tries = 0;
	q->created = false;
	return ask(q, "look at collection", "GET", "", false, on_inspect);
}

/* --- writes -------------------------------------------------------------- */

static void on_written(void *ctx, const struct service_answer *a)
{
	struct qdrant *q = ctx;
	enum vector_outcome how = a->end.how;
	_buf_ struct buf words = {.max = REST_MAX_WORDS};

	if (how != VECTOR_OK) {
		rest_finish(&q->r, &a->end);
		return;
	}
	how = qdrant_read_written(a->json, &words);
	rest_finish_read(&q->r, how, "write", &words);
}

static void put_payload(struct qdrant *q, struct json_out *j, const struct backend_doc *d)
{
	json_open(j, "payload", '{');
	json_text(j, "_originalId", d->doc->id);
	json_text(j, "document", d->text);
	doc_json_put(j, d->doc, &q->r.origin);
	json_close(j, '{');
}

/* A request with one element a document. */
struct write {
	const char *what, *method, *path, *list;
	void (*put)(struct qdrant *q, struct json_out *j, const struct backend_doc *d);
};

static int write_docs(struct backend *b, const struct write *w, const struct backend_doc *docs,
		      uint32_t n, backend_done done, void *ctx)
{
	struct qdrant *q = (struct qdrant *)b;
	struct json_out j;
	int r = rest_compose(&q->r, n, done, ctx, &j);

	if (r < 0)
		return r;
	json_open(&j, w->list, '[');
	for (uint32_t i = 0; i < n; i++) {
		json_open(&j, NULL, '{');
		w->put(q, &j, &docs[i]);
		json_close(&j, '{');
	}
	json_close(&j, '[');
	r = rest_composed(&j);
	return r < 0 ? r : ask(q, w->what, w->method, w->path, true, on_written);
}

static void put_point(struct qdrant *q, struct json_out *j, const struct backend_doc *d)
{
	json_text(j, "id", str_of(d->doc->uuid));
	json_floats(j, "vector", d->vector, q->r.b.dim);
	put_payload(q, j, d);
}

static int upsert(struct backend *b, const struct backend_doc *docs, uint32_t n, backend_done done,
		  void *ctx)
{
	static const struct write w = {"upsert", "PUT", "/points?wait=true", "points", put_point};

	return write_docs(b, &w, docs, n, done, ctx);
}

/* Replaces the whole payload. */
static void put_overwrite(struct qdrant *q, struct json_out *j, const struct backend_doc *d)
{
	json_open(j, "overwrite_payload", '{');
	put_payload(q, j, d);
	json_open(j, "points", '[');
	json_text(j, NULL, str_of(d->doc->uuid));
	json_close(j, '[');
	json_close(j, '{');
}

/* One operation a document, all in one request. */
static int payload(struct backend *b, const struct backend_doc *docs, uint32_t n, backend_done done,
		   void *ctx)
{
	static const struct write w = {"payload update", "POST", "/points/batch?wait=true",
				       "operations", put_overwrite};

	return write_docs(b, &w, docs, n, done, ctx);
}

static int remove_ids(struct backend *b, const struct str *ids, uint32_t n, backend_done done,
		      void *ctx)
{
	struct qdrant *q = (struct qdrant *)b;
	struct json_out j;
	int r = rest_compose(&q->r, n, done, ctx, &j);

	if (r < 0)
		return r;
	json_open(&j, "points", '[');
	for (uint32_t i = 0; i < n; i++) {
		char uuid[37];

		document_uuid(ids[i], uuid);
		json_text(&j, NULL, str_of(uuid));
	}
	json_close(&j, '[');
	r = rest_composed(&j);
	return r < 0 ? r : ask(q, "delete", "POST", "/points/delete?wait=true", true, on_written);
}

/* --- list, search, health ------------------------------------------------ */

static void on_page(void *ctx, const struct service_answer *a)
{
	struct qdrant *q = ctx;
	struct vector_end end = a->end;
	_buf_ struct buf words = {.max = REST_MAX_WORDS}, next = {.max = MAX_OFFSET};
	bool stuck;

	(void)buf_printf(&words, "list: ");
	if (end.how == VECTOR_OK) {
		end.how = qdrant_read_page(a->json, str_of(q->r.cluster), q->r.row, q->r.ctx, &next,
					   &words);
		stuck = buf_str(&next).n && str_eq(buf_str(&next), buf_str(&q->offset));
		if (end.how == VECTOR_OK && stuck) {
			(void)buf_printf(&words, "the next page is the same one");
			end.how = VECTOR_RETRY;
		}
		if (end.how != VECTOR_OK)
			end.text = buf_str(&words);
	}
	buf_reset(&q->offset);
	if (end.how == VECTOR_OK)
		(void)buf_append_str(&q->offset, buf_str(&next));
	q->r.list_done(q->r.ctx, &end, buf_str(&next).n > 0 && end.how == VECTOR_OK);
}

static int list(struct backend *b, bool first,
		void (*row)(void *ctx, const struct backend_known *k),
		void (*done)(void *ctx, const struct vector_end *end, bool more), void *ctx)
{
	static const char *const keys[] = {"_originalId", "source",    "cluster",
					   "api_version", "kind",      "namespace",
					   "uid",	  "text_hash", "meta_hash"};
	struct qdrant *q = (struct qdrant *)b;
	struct json_out j;
	int r = rest_compose_list(&q->r, row, done, ctx, &j);

	if (r < 0)
		return r;
	if (first)
		buf_reset(&q->offset);
	json_u64(&j, "limit", q->page);
	if (buf_str(&q->offset).n)
		json_raw(&j, "offset", buf_str(&q->offset));
	if (*q->r.cluster) {
		json_open(&j, "filter", '{');
		json_open(&j, "must", '[');
		put_match(&j, "cluster", str_of(q->r.cluster));
		json_close(&j, '[');
		json_close(&j, '{');
	}
	json_open(&j, "with_payload", '[');
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		json_text(&j, NULL, str_of(keys[i]));
	json_close(&j, '[');
	json_bool(&j, "with_vector", false);
	r = rest_composed(&j);
	return r < 0 ? r : ask(q, "list", "POST", "/points/scroll", true, on_page);
}

static void on_hits(void *ctx, const struct service_answer *a)
{
	rest_finish_search(ctx, a, qdrant_read_hits);
}

static int search(struct backend *b, const struct backend_query *bq,
		  void (*done)(void *ctx, const struct vector_end *end, struct str json), void *ctx)
{
	struct qdrant *q = (struct qdrant *)b;
	struct json_out j;
	int r = rest_compose_search(&q->r, bq, done, ctx, &j);

	if (r < 0)
		return r;
	json_floats(&j, "query", bq->vector, bq->dim);
	json_u64(&j, "limit", q->found.max_query ? MIN(bq->n, q->found.max_query) : bq->n);
	if (bq->kind.n || bq->ns.n) {
		json_open(&j, "filter", '{');
		json_open(&j, "must", '[');
		if (bq->kind.n)
			put_match(&j, "kind", bq->kind);
		if (bq->ns.n)
			put_match(&j, "namespace", bq->ns);
		json_close(&j, '[');
		json_close(&j, '{');
	}
	json_bool(&j, "with_payload", true);
	r = rest_composed(&j);
	return r < 0 ? r : ask(q, "search", "POST", "/points/query", true, on_hits);
}

static int health(struct backend *b, backend_done done, void *ctx)
{
	struct qdrant *q = (struct qdrant *)b;
	struct service_request req = {.what = "health",
				      .method = "GET",
				      .path = STR("/readyz"),
				      .done = rest_on_done,
				      .ctx = q};
	int r = rest_begin(&q->r, 0, done, ctx);

	return r < 0 ? r : service_ask(q->r.s, &req);
}

/* --- making -------------------------------------------------------------- */

static void qdrant_free(struct backend *b)
{
	struct qdrant *q = (struct qdrant *)b;

	rest_done(&q->r);
	buf_done(&q->offset);
	free(q);
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
	.free = qdrant_free,
};

int backend_qdrant_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		       struct buf *ret_error)
{
	struct qdrant *q = calloc(1, sizeof(*q));
	int r;

	if (!q)
		return -ENOMEM;
	q->page = PAGE;
	buf_init(&q->offset, MAX_OFFSET);
	r = rest_init(&q->r, o, "qdrant", rest, MAX_REQUEST, &ops, ret_error);
	if (r < 0)
		qdrant_free(&q->r.b);
	else
		*ret = &q->r.b;
	return r;
}
