/*
 * From an object to a row: text, hashes, the built-in embedder's vector, and tables, FTS5
 * and ledger of the embedded store; and what memory an object takes.
 *
 *   vector_words       words of a document's text, on average
 *   vector_make_DIM    documents a second of one thread's CPU time: read as JSON, text, hashes,
 *                      vector
 *   vector_all_DIM     documents a second by the clock, as the agent does it: from the store, where
 *                      all objects are, until the last one is committed. The loop makes them and
 *                      their vectors while the file's thread writes the batch before. Behind it
 * what CPU time a document takes of either thread vector_tracked     bytes an object in store
 * (without bodies) and sync, as much as the records of both take
 */
#include "tests/bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sink/sqlite/worker.h"
#include "sink/vector/document.h"
#include "sink/vector/embed_hash.h"
#include "sink/vector/services.h"
#include "sink/vector/sync_ledger.h"

#include <assert.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OBJECTS	 60000U
#define BATCH	 500U
#define DIM_MAX	 1024U
#define JSON_MAX 2048
#define TURN	 (100 * NSEC_PER_MSEC)

static nsec_t cpu(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (nsec_t)t.tv_sec * NSEC_PER_SEC + (nsec_t)t.tv_nsec;
}

/* ---- objects --------------------------------------------------------------------------------- */

static const char *const teams[] = {"payments", "search", "mail", "billing", "edge", "media"};
static const char *const parts[] = {"gateway", "worker", "indexer", "cache", "router", "store"};

/* A Deployment as there are many: two containers, a Secret, a ConfigMap, a note for people. */
static struct str write_object(uint32_t i, char json[JSON_MAX])
{
	const char *team = teams[i % ARRAY_SIZE(teams)], *part = parts[i / 7 % ARRAY_SIZE(parts)];
	int n = snprintf(
		json, JSON_MAX,
		"{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":"
		"\"%s-%u\",\"namespace\":\"%s-%u\",\"uid\":\"%08x-0000-4abc-8def-%012x\","
		"\"resourceVersion\":\"%u\",\"creationTimestamp\":\"2026-11-21T09:30:00Z\","
		"\"labels\":{\"app\":\"%s\",\"team\":\"%s\",\"tier\":\"backend\"},\"annotations\":"
		"{\"description\":\"Takes orders of %s and hands them to %s number %u\"}},"
		"\"spec\":{\"replicas\":3,\"template\":{\"spec\":{\"serviceAccountName\":\"%s\","
		"\"containers\":[{\"name\":\"main\",\"image\":\"registry.example.com/%s/%s:1.%u\","
		"\"ports\":[{\"containerPort\":8080,\"name\":\"http\"}],\"env\":[{\"name\":"
		"\"LOG_LEVEL\"},{\"name\":\"DATABASE_URL\"}]},{\"name\":\"proxy\",\"image\":"
		"\"registry.example.com/mesh/proxy:2.0\"}],\"volumes\":[{\"name\":\"credentials\","
		"\"secret\":{\"secretName\":\"%s-database\"}},{\"name\":\"settings\","
		"\"configMap\":{\"name\":\"%s-settings\"}}]}}}}",
		part, i, team, i % 50, i * 2654435761U, i, i + 1, part, team, team, part, i, part,
		team, part, i % 40, team, part);

	assert(n > 0 && n < JSON_MAX);
	return str_make(json, (size_t)n);
}

static struct tree *read_object(struct arena *a, uint32_t i)
{
	char json[JSON_MAX];
	struct tree *t = NULL;

	arena_reset(a);
	assert(tree_parse(a, write_object(i, json), &t) == 0);
	return t;
}

static struct store *fill_store(void)
{
	const struct store_kind_opts kind = {.group = STR("apps"),
					     .version = STR("v1"),
					     .kind = STR("Deployment"),
					     .plural = STR("deployments"),
					     .namespaced = true};
	const struct store_opts so = {.max_bodies = 64 << 20};
	struct buf error = {.max = 1000};
	struct store *st;
	struct arena a;
	uint16_t source;
	store_kind k;

	assert(store_new(&so, &st) == 0);
	assert(store_kind_add(st, &kind, &k, &error) == 0);
	assert(store_source_add(st, k, STR(""), &source) == 0);
	arena_init(&a, 1 << 20);
	store_list_begin(st, source);
	for (uint32_t i = 0; i < OBJECTS; i++)
		assert(store_apply(st, source, 1, read_object(&a, i)) == 0);
	store_list_end(st, source, 1);
	arena_done(&a);
	return st;
}

/* ---- documents ------------------------------------------------------------------------------- */

static void bench_make(uint32_t dim)
{
	const struct doc_opts o = {0};
	struct arena tree, batch;
	float vector[DIM_MAX];
	uint64_t words = 0;
	nsec_t from = cpu();

	arena_init(&tree, 1 << 20);
	arena_init(&batch, 32 << 20);
	for (uint32_t i = 0; i < OBJECTS; i++) {
		struct document d;

		if (i % BATCH == 0)
			arena_reset(&batch);
		assert(document_make(&o, read_object(&tree, i), NULL, 0, &batch, &d) == 0);
		embed_hash(d.text, dim, vector);
		for (size_t k = 0; k < d.text.n; k++)
			words += d.text.p[k] == ' ';
	}
	from = cpu() - from;
	arena_done(&tree);
	arena_done(&batch);
	printf("vector_words %.1f words/document\n", (double)words / OBJECTS);
	printf("vector_make_%u %.0f documents/s\n", dim,
	       OBJECTS * (double)NSEC_PER_SEC / (double)from);
}

/* ---- all of it ------------------------------------------------------------------------------- */

struct pipeline { /* as agent_vector.c puts it together */
	char folder[64], file[96], spec[128];
	struct event_base *base;
	struct event *timer;
	struct worker *worker;
	struct embedder *embedder;
	struct backend *backend;
	struct sync_book *book;
	struct sync *sync;
	struct buf error;
	nsec_t writer; /* CPU time of the file's thread */
};

static void must(const struct pipeline *p, int r)
{
	if (r >= 0)
		return;
	printf("vector_error %d %.*s\n", r, STR_ARG(buf_str(&p->error)));
	exit(1);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
	struct pipeline *p = ctx;
	const nsec_t now = clock_mono(), next = sync_run(p->sync, now);
	const nsec_t wait = next > now ? MIN(next - now, TURN) : 0;
	const struct timeval tv = {.tv_usec = (suseconds_t)(wait / NSEC_PER_USEC)};
	struct sync_status s;

	(void)fd;
	(void)what;
	(void)evtimer_add(p->timer, &tv);
	sync_status(p->sync, now, &s);
	if (s.documents == OBJECTS)
		(void)event_base_loopbreak(p->base);
}

static void on_wake(void *ctx)
{
	const struct pipeline *p = ctx;

	event_active(p->timer, EV_TIMEOUT, 0);
}

static void on_told(void *ctx, const char *words)
{
	(void)ctx;
	if (words[0])
		printf("vector_error %s\n", words);
}

static int read_cpu(void *ctx, struct sqlite3 *db, struct buf *error)
{
	struct pipeline *p = ctx;

	(void)db;
	(void)error;
	p->writer = cpu();
	return 0;
}

static void on_read(void *ctx, int r, struct str error)
{
	const struct pipeline *p = ctx;

	(void)error;
	must(p, r);
	(void)event_base_loopbreak(p->base);
}

static nsec_t writer_cpu(struct pipeline *p)
{
	const struct worker_job job = {.run = read_cpu, .done = on_read, .ctx = p, .reads = true};

	must(p, worker_put(p->worker, &job));
	(void)event_base_dispatch(p->base);
	return p->writer;
}

static void open_pipeline(struct pipeline *p, struct store *st, uint32_t dim)
{
	const struct worker_opts wo = {.base = p->base, .file = p->file};
	const struct embedder_opts eo = {.base = p->base, .spec = STR("hash"), .dim = dim};
	struct backend_opts bo = {.base = p->base,
				  .spec = str_of(p->spec),
				  .collection = STR("kindred"),
				  .template_ = STR("t1"),
				  .dim = dim,
				  .cache = 128 << 20};
	struct sync_opts so = {.store = st,
			       .template_ = bo.template_,
			       .wake = on_wake,
			       .told = on_told,
			       .interval = NSEC_PER_MSEC,
			       .ctx = p};

	must(p, worker_new(&wo, &p->worker, &p->error));
	must(p, embedder_new(&eo, &p->embedder, &p->error));
	bo.worker = p->worker;
	bo.model = str_of(p->embedder->model);
	must(p, backend_new(&bo, &p->backend, &p->error));
	must(p, sync_book_new(p->worker, p->backend->name, "kindred", &p->book));
	p->timer = evtimer_new(p->base, on_timer, p);
	so.backend = p->backend;
	so.embedder = p->embedder;
	so.model = bo.model;
	so.ledger = sync_book_ledger(p->book);
	must(p, sync_new(&so, &p->sync, &p->error));
}

static void close_pipeline(struct pipeline *p)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char path[128];

	sync_free(&p->sync);
	sync_book_free(&p->book);
	p->backend->ops->free(p->backend);
	p->embedder->ops->free(p->embedder);
	worker_free(&p->worker);
	event_free(p->timer);
	event_base_free(p->base);
	buf_done(&p->error);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", p->file, ends[i]);
		(void)unlink(path);
	}
	(void)rmdir(p->folder);
}

static void report(struct pipeline *p, uint32_t dim, nsec_t wall, nsec_t loop, nsec_t writer)
{
	const double us = (double)OBJECTS * NSEC_PER_USEC;
	struct sync_status s;

	sync_status(p->sync, clock_mono(), &s);
	printf("vector_all_%u %.0f documents/s (CPU a document: loop %.1f us, writer %.1f us; "
	       "%llu requests)\n",
	       dim, OBJECTS * (double)NSEC_PER_SEC / (double)wall, (double)loop / us,
	       (double)writer / us, (unsigned long long)s.requests);
}

static void bench_all(struct store *st, uint32_t dim)
{
	struct pipeline p = {.folder = "/tmp/kindred-bench-XXXXXX",
			     .base = event_base_new(),
			     .error = {.max = 1024}};
	nsec_t wall, loop, writer;

	assert(p.base && mkdtemp(p.folder));
	(void)snprintf(p.file, sizeof(p.file), "%s/store.db", p.folder);
	(void)snprintf(p.spec, sizeof(p.spec), "sqlite:%s", p.file);
	open_pipeline(&p, st, dim);
	writer = writer_cpu(&p);
	loop = cpu();
	wall = clock_mono();
	sync_kinds_complete(p.sync, true, wall);
	(void)event_base_dispatch(p.base);
	wall = clock_mono() - wall;
	loop = cpu() - loop;
	(void)evtimer_del(p.timer);
	report(&p, dim, wall, loop, writer_cpu(&p) - writer);
	close_pipeline(&p);
}

/* ---- memory ---------------------------------------------------------------------------------- */

struct nowhere {	  /* a database that takes everything on the next turn */
	struct backend b; /* first */
	backend_done done;
	void *ctx;
};

static int take(struct backend *b, backend_done done, void *ctx)
{
	struct nowhere *n = (struct nowhere *)b;

	n->done = done;
	n->ctx = ctx;
	return 0;
}

static int take_docs(struct backend *b, const struct backend_doc *docs, uint32_t n,
		     backend_done done, void *ctx)
{
	(void)docs;
	(void)n;
	return take(b, done, ctx);
}

static void cancel(struct backend *b)
{
	(void)b;
}

static void answer(struct nowhere *n)
{
	const struct vector_end end = {.how = VECTOR_OK};
	backend_done done = n->done;

	n->done = NULL;
	if (done)
		done(n->ctx, &end);
}

static void wake(void *ctx)
{
	(void)ctx;
}

static void bench_memory(struct store *st)
{
	static const struct backend_ops ops = {
		.ensure = take, .upsert = take_docs, .cancel = cancel};
	struct nowhere db = {
		.b = {.ops = &ops, .name = "nowhere", .max_batch = 100, .own_vectors = true}};
	struct sync_opts o = {.store = st,
			      .backend = &db.b,
			      .model = STR("none"),
			      .template_ = STR("t1"),
			      .wake = wake};
	struct sync *sync = NULL;
	struct buf error = {.max = 1000};
	struct store_stats held;
	struct sync_status s = {0};

	assert(sync_new(&o, &sync, &error) == 0);
	sync_kinds_complete(sync, true, NSEC_PER_SEC);
	for (nsec_t t = NSEC_PER_SEC; s.documents < OBJECTS; t += TURN) {
		(void)sync_run(sync, t);
		answer(&db);
		sync_status(sync, t, &s);
	}
	store_stats(st, &held);
	printf("vector_tracked %.0f bytes/object (store %.0f, sync %.0f)\n",
	       (double)(held.record_bytes + s.bytes) / OBJECTS, (double)held.record_bytes / OBJECTS,
	       (double)s.bytes / OBJECTS);
	sync_free(&sync);
}

void bench_vector(void)
{
	struct store *st = fill_store();

	bench_make(384);
	bench_make(1024);
	bench_all(st, 384);
	bench_all(st, 1024);
	bench_memory(st);
	store_free(&st);
}
