/*
 * The embedded store as a database: each operation is one job on the file's worker,
 * with copies of everything, and so one transaction. Words alone can be searched, too.
 *
 * The collection's handle is opened by ensure and used on the worker's thread alone;
 * between jobs nobody touches it.
 */
#include "sink/vector/services_parts.h"

#include "base/arena.h"
#include "base/mem.h"
#include "sink/graph/links.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/docs.h"
#include "sink/sqlite/worker.h"

#include <errno.h>
#include <stdio.h>

#define MAX_COPIES ((size_t)96 << 20) /* bytes of one operation */
#define MAX_HITS   (4u << 20)	      /* bytes of a search's answer */
#define MAX_TEXT   2048
#define PAGE	   1000 /* documents of a list */

struct known { /* a listed document, copied */
	struct str id, api_version, kind, ns, uid;
	uint8_t text_hash[DOC_HASH_SIZE], meta_hash[DOC_HASH_SIZE];
	bool hashed;
};

struct file {
	struct backend b; /* first */
	char *name, *collection, *model, *template_, *cluster;
	struct worker *worker;
	struct docs_opts opts;
	struct docs *docs; /* NULL before ensure */

	/* Of the operation under way; the worker's thread works on it while `busy`. */
	bool busy, opening;
	const char *what;
	struct arena copies;
	uint32_t n;
	struct docs_row *rows; /* n */
	struct str *ids;       /* n */
	struct docs_query query;
	struct known *page; /* n of PAGE */
	struct str after;   /* the last id of the page before */
	struct buf last;    /* the same, between pages */
	struct buf hits;
	bool list_end;

	backend_done done;
	void (*row)(void *ctx, const struct backend_known *k);
	void (*list_done)(void *ctx, const struct vector_end *end, bool more);
	void (*search_done)(void *ctx, const struct vector_end *end, struct str json);
	void *ctx;
};

/* --- ends ---------------------------------------------------------------- */

static enum vector_outcome outcome(int r)
{
	switch (r) {
	case 0:
		return VECTOR_OK;
	case -EEXIST:
		return VECTOR_MISMATCH;
	case -EINVAL: /* a document's vector */
		return VECTOR_SPLIT;
	case -ENOENT: /* metadata of a document that is not there */
		return VECTOR_GONE;
	case -ENOSPC:
	case -EROFS:
	case -EACCES:
	case -EBADMSG:
	case -ENOTSUP:
		return VECTOR_REFUSED;
	default:
		return VECTOR_RETRY;
	}
}

/* The operation is over: `ret` is what is told. Its words live in `text`. */
static void end_of(struct file *f, int r, struct str error, struct buf *text,
		   struct vector_end *ret)
{
	f->busy = false;
	*ret = (struct vector_end){.how = outcome(r)};
	if (r == 0)
		return;
	(void)buf_printf(text, "%s: %.*s", f->what, STR_ARG(error));
	ret->text = buf_str(text);
}

static void on_done(void *ctx, int r, struct str error)
{
	_buf_ struct buf text = {.max = MAX_TEXT};
	struct file *f = ctx;
	struct vector_end end;

	end_of(f, r, error, &text, &end);
	f->done(f->ctx, &end);
}

/* --- beginning ----------------------------------------------------------- */

static int begin(struct file *f, const char *what, uint32_t n)
{
	if (f->busy)
		return -EBUSY;
	if (n > f->b.max_batch)
		return -EMSGSIZE;
	arena_reset(&f->copies);
	f->what = what;
	f->n = n;
	return 0;
}

static int put_job(struct file *f, int (*run)(void *ctx, struct sqlite3 *db, struct buf *error),
		   void (*done)(void *ctx, int r, struct str error), bool reads)
{
	int r = worker_put(f->worker, &(struct worker_job){
					      .run = run, .done = done, .ctx = f, .reads = reads});

	f->busy = r == 0;
	return r;
}

static int not_ensured(struct buf *error)
{
	(void)buf_printf(error, "the collection is not open");
	return -EIO;
}

/* --- ensure -------------------------------------------------------------- */

static int run_ensure(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct file *f = ctx;

	docs_close(&f->docs);
	return docs_open(db, &f->opts, &f->docs, error);
}

static void on_ensured(void *ctx, int r, struct str error)
{
	struct file *f = ctx;

	f->opening = false;
	if (r < 0)
		docs_close(&f->docs); /* its transaction was rolled back */
	on_done(f, r, error);
}

static int ensure(struct backend *b, backend_done done, void *ctx)
{
	struct file *f = (struct file *)b;
	int r = b->dim ? begin(f, "open", 0) : -EINVAL;

	if (r < 0)
		return r;
	f->opts.dim = b->dim;
	f->done = done;
	f->ctx = ctx;
	r = put_job(f, run_ensure, on_ensured, false);
	f->opening = r == 0;
	return r;
}

/* --- writes -------------------------------------------------------------- */

static int copy_row(struct file *f, const struct backend_doc *d, struct docs_row *row)
{
	uint8_t *hashes = arena_alloc(&f->copies, 2 * (size_t)DOC_HASH_SIZE);
	size_t size = f->b.dim * sizeof(float);
	float *v = d->vector ? arena_alloc(&f->copies, size) : NULL;
	int r = hashes && (v || !d->vector) ? 0 : -ENOMEM;

	*row = (struct docs_row){.vector = v};
	if (r == 0)
		r = arena_dup(&f->copies, d->doc->id, &row->id);
	if (r == 0)
		r = arena_dup(&f->copies, str_of(d->doc->uuid), &row->uuid);
	if (r == 0)
		r = arena_dup(&f->copies, d->text, &row->text);
	for (int i = 0; r == 0 && i < _DOC_FIELD_MAX; i++)
		r = arena_dup(&f->copies, d->doc->fields[i], &row->fields[i]);
	if (r < 0)
		return r;
	memcpy(hashes, d->doc->text_hash, DOC_HASH_SIZE);
	memcpy(hashes + DOC_HASH_SIZE, d->doc->meta_hash, DOC_HASH_SIZE);
	row->text_hash = hashes;
	row->meta_hash = hashes + DOC_HASH_SIZE;
	if (v)
		memcpy(v, d->vector, size);
	return 0;
}

static int run_write(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct file *f = ctx;

	(void)db;
	return f->docs ? docs_upsert(f->docs, f->rows, f->n, error) : not_ensured(error);
}

static int write_docs(struct file *f, const char *what, const struct backend_doc *docs, uint32_t n,
		      backend_done done, void *ctx)
{
	int r = begin(f, what, n);

	if (r < 0)
		return r;
	f->rows = arena_alloc(&f->copies, n * sizeof(*f->rows));
	r = f->rows ? 0 : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = copy_row(f, &docs[i], &f->rows[i]);
	if (r < 0)
		return r;
	f->done = done;
	f->ctx = ctx;
	return put_job(f, run_write, on_done, false);
}

static int upsert(struct backend *b, const struct backend_doc *docs, uint32_t n, backend_done done,
		  void *ctx)
{
	return write_docs((struct file *)b, "write", docs, n, done, ctx);
}

/* Rows without a vector keep the one that is there. */
static int payload(struct backend *b, const struct backend_doc *docs, uint32_t n, backend_done done,
		   void *ctx)
{
	return write_docs((struct file *)b, "metadata update", docs, n, done, ctx);
}

static int run_remove(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct file *f = ctx;

	(void)db;
	return f->docs ? docs_delete(f->docs, f->ids, f->n, error) : not_ensured(error);
}

static int remove_ids(struct backend *b, const struct str *ids, uint32_t n, backend_done done,
		      void *ctx)
{
	struct file *f = (struct file *)b;
	int r = begin(f, "delete", n);

	if (r < 0)
		return r;
	f->ids = arena_alloc(&f->copies, n * sizeof(*f->ids));
	r = f->ids ? 0 : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = arena_dup(&f->copies, ids[i], &f->ids[i]);
	if (r < 0)
		return r;
	f->done = done;
	f->ctx = ctx;
	return put_job(f, run_remove, on_done, false);
}

/* --- list ---------------------------------------------------------------- */

/* On the worker's thread: the last one is remembered whosever it is. */
static int keep_row(void *ctx, const struct docs_known *k)
{
	struct file *f = ctx;
	struct known *one = &f->page[f->n];
	int r = arena_dup(&f->copies, k->id, &f->after);

	f->list_end = false;
	if (r < 0 || !str_eq(k->cluster, str_of(f->cluster)))
		return r;
	*one = (struct known){.id = f->after, .hashed = k->text_hash && k->meta_hash};
	r = arena_dup(&f->copies, k->kind, &one->kind);
	if (r == 0)
		r = arena_dup(&f->copies, k->ns, &one->ns);
	if (r == 0)
		r = arena_dup(&f->copies, k->api_version, &one->api_version);
	if (r == 0)
		r = arena_dup(&f->copies, k->uid, &one->uid);
	if (r < 0)
		return r;
	if (one->hashed) {
		memcpy(one->text_hash, k->text_hash, DOC_HASH_SIZE);
		memcpy(one->meta_hash, k->meta_hash, DOC_HASH_SIZE);
	}
	f->n++;
	return 0;
}

static int run_list(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct file *f = ctx;

	(void)db;
	f->n = 0;
	f->list_end = true;
	return f->docs ? docs_scroll(f->docs, f->after, PAGE, keep_row, f, error)
		       : not_ensured(error);
}

static void on_listed(void *ctx, int r, struct str error)
{
	_buf_ struct buf text = {.max = MAX_TEXT};
	struct file *f = ctx;
	struct vector_end end;

	for (uint32_t i = 0; r == 0 && i < f->n; i++) {
		const struct known *one = &f->page[i];

		f->row(f->ctx, &(struct backend_known){
				       .id = one->id,
				       .cluster = str_of(f->cluster),
				       .api_version = one->api_version,
				       .uid = one->uid,
				       .kind = one->kind,
				       .ns = one->ns,
				       .text_hash = one->hashed ? one->text_hash : NULL,
				       .meta_hash = one->hashed ? one->meta_hash : NULL,
			       });
	}
	if (r == 0) {
		buf_reset(&f->last);
		r = buf_append_str(&f->last, f->after);
	}
	end_of(f, r, error, &text, &end);
	f->list_done(f->ctx, &end, r == 0 && !f->list_end);
}

static int list(struct backend *b, bool first,
		void (*row)(void *ctx, const struct backend_known *k),
		void (*done)(void *ctx, const struct vector_end *end, bool more), void *ctx)
{
	struct file *f = (struct file *)b;
	int r = begin(f, "list", 0);

	if (r < 0)
		return r;
	if (first)
		buf_reset(&f->last);
	f->page = arena_alloc(&f->copies, PAGE * sizeof(*f->page));
	r = f->page ? arena_dup(&f->copies, buf_str(&f->last), &f->after) : -ENOMEM;
	if (r < 0)
		return r;
	f->row = row;
	f->list_done = done;
	f->ctx = ctx;
	return put_job(f, run_list, on_listed, true);
}

/* --- search, health ------------------------------------------------------ */

static int keep_hit(void *ctx, const struct docs_hit *h)
{
	struct file *f = ctx;
	int r = f->n++ ? buf_append_str(&f->hits, STR(",")) : 0;

	return r < 0 ? r : docs_hit_json(h, &f->hits);
}

static int run_search(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct file *f = ctx;
	int r;

	(void)db;
	if (!f->docs)
		return not_ensured(error);
	buf_reset(&f->hits);
	r = buf_append_str(&f->hits, STR("["));
	if (r == 0)
		r = docs_search(f->docs, &f->query, keep_hit, f, error);
	return r < 0 ? r : buf_append_str(&f->hits, STR("]"));
}

static void on_found(void *ctx, int r, struct str error)
{
	_buf_ struct buf text = {.max = MAX_TEXT}, hits = {.max = MAX_HITS};
	struct file *f = ctx;
	struct vector_end end;

	end_of(f, r, error, &text, &end);
	hits = f->hits; /* the callback's own: it may search again, or free f */
	buf_init(&f->hits, MAX_HITS);
	f->search_done(f->ctx, &end, r == 0 ? buf_str(&hits) : (struct str){0});
}

static int copy_query(struct file *f, const struct backend_query *q)
{
	float *v = q->vector ? arena_alloc(&f->copies, q->dim * sizeof(*v)) : NULL;
	int r = v || !q->vector ? 0 : -ENOMEM;

	f->query = (struct docs_query){.vector = v,
				       .dim = q->dim,
				       .rank = DOCS_HYBRID,
				       .links = graph_links,
				       .n = MIN(MAX(q->n, 1U), (uint32_t)DOCS_MAX_RESULTS)};
	if (v)
		memcpy(v, q->vector, q->dim * sizeof(*v));
	if (r == 0)
		r = arena_dup(&f->copies, q->words, &f->query.words);
	if (r == 0)
		r = arena_dup(&f->copies, q->kind, &f->query.kind);
	return r < 0 ? r : arena_dup(&f->copies, q->ns, &f->query.ns);
}

static int search(struct backend *b, const struct backend_query *q,
		  void (*done)(void *ctx, const struct vector_end *end, struct str json), void *ctx)
{
	struct file *f = (struct file *)b;
	int r = begin(f, "search", 0);

	if (r == 0)
		r = copy_query(f, q);
	if (r < 0)
		return r;
	f->search_done = done;
	f->ctx = ctx;
	return put_job(f, run_search, on_found, true);
}

static int run_health(void *ctx, struct sqlite3 *db, struct buf *error)
{
	(void)ctx;
	return db_exec(db, "SELECT count(*) FROM sqlite_master", error);
}

static int health(struct backend *b, backend_done done, void *ctx)
{
	struct file *f = (struct file *)b;
	int r = begin(f, "health", 0);

	if (r < 0)
		return r;
	f->done = done;
	f->ctx = ctx;
	return put_job(f, run_health, on_done, true);
}

/* --- making -------------------------------------------------------------- */

static void cancel(struct backend *b)
{
	struct file *f = (struct file *)b;

	if (f->busy)
		worker_cancel(f->worker, f);
	if (f->opening)
		docs_close(&f->docs); /* nobody knows how its transaction ended */
	f->busy = f->opening = false;
}

static void file_free(struct backend *b)
{
	struct file *f = (struct file *)b;

	cancel(b);
	docs_close(&f->docs);
	arena_done(&f->copies);
	buf_done(&f->last);
	buf_done(&f->hits);
	free(f->name);
	free(f->collection);
	free(f->model);
	free(f->template_);
	free(f->cluster);
	free(f);
}

static const struct backend_ops ops = {
	.ensure = ensure,
	.upsert = upsert,
	.payload = payload,
	.remove = remove_ids,
	.list = list,
	.search = search,
	.health = health,
	.cancel = cancel,
	.free = file_free,
};

static int copies(struct file *f, const struct backend_opts *o)
{
	f->collection = str_dup(o->collection);
	f->model = str_dup(o->model);
	f->template_ = str_dup(o->template_);
	f->cluster = str_dup(o->cluster);
	if (!f->collection || !f->model || !f->template_ || !f->cluster)
		return -ENOMEM;
	f->opts = (struct docs_opts){.collection = str_of(f->collection),
				     .model = str_of(f->model),
				     .template_ = str_of(f->template_),
				     .cache = o->cache};
	if (asprintf(&f->name, "sqlite:%s/%s", worker_file(o->worker), f->collection) < 0) {
		f->name = NULL;
		return -ENOMEM;
	}
	return 0;
}

int backend_sqlite_new(const struct backend_opts *o, struct str rest, struct backend **ret,
		       struct buf *ret_error)
{
	struct file *f;
	int r;

	if (!rest.n || !o->worker) {
		(void)buf_printf(ret_error, "expected sqlite:FILE");
		return -EINVAL;
	}
	f = calloc(1, sizeof(*f));
	if (!f)
		return -ENOMEM;
	f->worker = o->worker;
	arena_init(&f->copies, MAX_COPIES);
	buf_init(&f->last, MAX_TEXT);
	buf_init(&f->hits, MAX_HITS);
	r = copies(f, o);
	f->b = (struct backend){
		.ops = &ops,
		.name = f->name,
		.dim = o->dim,
		.max_batch = BACKEND_MAX_BATCH,
		.max_body = MAX_COPIES,
		.bulk = true,
	};
	if (r < 0)
		file_free(&f->b);
	else
		*ret = &f->b;
	return r;
}
