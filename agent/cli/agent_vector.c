/* Databases of the vector sink; see agent_vector.h. */
#include "cli/agent_vector.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "sink/loop.h"
#include "sink/vector/services.h"
#include "sink/vector/sync_ledger.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGETS_MAX 9 /* --vector's eight and --rest-endpoint */
#define EXTRA_MAX   16

struct target {
	struct agent_vector *owner;
	struct embedder *embedder, *asker; /* one request at a time: questions have their own */
	struct backend *backend;
	struct sync_book *book;
	struct sync *sync;
	struct sink_loop *loop;
	char collection[128], template_[64];
};

struct agent_vector {
	struct agent_vector_opts o;
	struct sink_filter filter;
	struct str extra[EXTRA_MAX];
	struct target targets[TARGETS_MAX];
	unsigned n;
	struct event *stopping;
	void (*stopped)(void *ctx);
	void *stopped_ctx;
	/* While options are checked. */
	bool check_files;
	struct buf *words;
};

/* ---- the loop -------------------------------------------------------------------------------- */

static void end_stop(struct agent_vector *v)
{
	void (*stopped)(void *) = v->stopped;

	v->stopped = NULL;
	if (stopped)
		stopped(v->stopped_ctx);
}

/* A database that is away, or refuses, is not written by waiting for it. */
static void check_stopped(struct agent_vector *v)
{
	const nsec_t now = clock_mono();

	if (!v->stopped)
		return;
	for (unsigned i = 0; i < v->n; i++)
		if (!sync_spent(v->targets[i].sync, now))
			return;
	end_stop(v);
}

static nsec_t run_target(void *ctx, nsec_t now, nsec_t wall)
{
	struct target *t = ctx;
	const nsec_t next = sync_run(t->sync, now);

	(void)wall;
	check_stopped(t->owner);
	return next;
}

static void on_wake(void *ctx)
{
	sink_loop_wake(((struct target *)ctx)->loop);
}

static void on_told(void *ctx, const char *words)
{
	const struct target *t = ctx;

	if (words[0])
		log_warn("%s: %s", t->backend->name, words);
	else
		log_info("%s: connected", t->backend->name);
}

/* ---- making ---------------------------------------------------------------------------------- */

static int complain(const char *what, int r, const struct buf *error)
{
	if (error->n)
		log_error("%s: %.*s", what, STR_ARG(buf_str(error)));
	else
		log_error("%s: %s", what, strerror(-r));
	return r;
}

static struct service_access embed_access(const struct agent_config *c)
{
	return (struct service_access){.token_file = c->embed_token_file,
				       .header = c->embed_header,
				       .ca_file = c->embed_ca_file,
				       .insecure = c->embed_insecure};
}

static struct service_access vector_access(const struct agent_config *c)
{
	return (struct service_access){.token_file = c->vector_token_file,
				       .header = c->vector_header,
				       .ca_file = c->vector_ca_file,
				       .insecure = c->vector_insecure};
}

static struct embedder_opts embedder_options(const struct agent_vector *v)
{
	const struct agent_config *c = v->o.cfg;

	return (struct embedder_opts){.base = v->o.base,
				      .http = v->o.http,
				      .spec = str_of(c->embed),
				      .model = str_of(c->embed_model),
				      .batch = c->embed_batch,
				      .input = str_of(c->embed_input),
				      .output = str_of(c->embed_output),
				      .extra = v->extra,
				      .n_extra = (uint32_t)MIN(c->embed_extra.n, (size_t)EXTRA_MAX),
				      .binary = c->embed_binary,
				      .access = embed_access(c)};
}

static int make_embedder(struct agent_vector *v, struct embedder **ret)
{
	const struct embedder_opts o = embedder_options(v);
	_buf_ struct buf error = {.max = 1024};
	int r = embedder_new(&o, ret, &error);

	return r < 0 ? complain("--embed", r, &error) : 0;
}

/* With --reembed every way to make vectors has a collection of its own. */
static void name_collection(struct target *t, const struct agent_config *c)
{
	uint8_t h[SHA256_DIGEST_LENGTH];
	char all[512];
	int n;

	(void)snprintf(t->template_, sizeof(t->template_), "%s:%d%s", DOC_TEMPLATE, c->document,
		       c->document_status ? ":status" : "");
	(void)snprintf(t->collection, sizeof(t->collection), "%s", c->vector_collection);
	if (!c->reembed)
		return;
	n = snprintf(all, sizeof(all), "%s|%u|%s", t->embedder->model, t->embedder->dim,
		     t->template_);
	(void)SHA256((const uint8_t *)all, (size_t)n, h);
	(void)snprintf(t->collection, sizeof(t->collection), "%.96s-%02x%02x%02x%02x",
		       c->vector_collection, h[0], h[1], h[2], h[3]);
}

static struct backend_opts backend_options(const struct agent_vector *v, const struct target *t,
					   const char *spec)
{
	const struct agent_config *c = v->o.cfg;

	return (struct backend_opts){.base = v->o.base,
				     .http = v->o.http,
				     .spec = str_of(spec),
				     .collection = str_of(t->collection),
				     .model = str_of(t->embedder->model),
				     .template_ = str_of(t->template_),
				     .cluster = str_of(c->cluster_name),
				     .dim = t->embedder->dim,
				     .batch = BACKEND_MAX_BATCH, /* --batch-size may change */
				     .cache = c->vector_cache,
				     .access = vector_access(c)};
}

static bool is_file(const char *spec)
{
	return strncmp(spec, "sqlite:", 7) == 0;
}

static int make_backend(struct agent_vector *v, struct target *t, const char *spec)
{
	struct backend_opts o = backend_options(v, t, spec);
	_buf_ struct buf error = {.max = 1024};
	int r = is_file(spec) ? agent_files_get(v->o.files, spec + 7, &o.worker) : 0;

	if (r < 0)
		return r; /* logged */
	r = backend_new(&o, &t->backend, &error);
	return r < 0 ? complain(spec, r, &error) : 0;
}

static int make_book(struct agent_vector *v, struct target *t, const char *spec)
{
	const char *file = v->o.cfg->ledger, *home;
	struct worker *worker;
	int r;

	if (!file && is_file(spec))
		file = spec + 7;
	if (!file) {
		if (!t->backend->ops->list)
			log_warn("%s cannot be asked what it holds: without --ledger it gets "
				 "everything again at each start",
				 t->backend->name);
		return 0;
	}
	home = is_file(spec) && strcmp(file, spec + 7) == 0 ? t->collection : NULL;
	r = agent_files_get(v->o.files, file, &worker);
	return r < 0 ? r : sync_book_new(worker, t->backend->name, home, &t->book);
}

/* What may change while it runs. */
static void put_pace(const struct agent_config *c, struct sync_opts *o)
{
	o->debounce = c->debounce;
	o->debounce_max = c->debounce_max;
	o->interval = c->batch_interval;
	o->batch = c->batch_size;
	o->batch_bytes = c->batch_bytes;
	o->backoff_base = MIN(c->vector_backoff_max, (nsec_t)NSEC_PER_SEC);
	o->backoff_cap = c->vector_backoff_max;
}

static int make_sync(struct agent_vector *v, struct target *t)
{
	const struct agent_config *c = v->o.cfg;
	struct sync_opts o = {.store = v->o.store,
			      .backend = t->backend,
			      .embedder = t->backend->own_vectors ? NULL : t->embedder,
			      .filter = &v->filter,
			      .hold_initial = c->hold_initial,
			      .doc = {.mode = (enum doc_mode)c->document,
				      .id = (enum doc_id)c->document_id,
				      .cluster = str_of(c->cluster_name),
				      .status = c->document_status},
			      .model = str_of(t->embedder->model),
			      .template_ = str_of(t->template_),
			      .seed = rng_entropy(),
			      .wake = on_wake,
			      .told = on_told,
			      .ctx = t};
	_buf_ struct buf error = {.max = 1024};
	int r = sink_loop_new(v->o.base, run_target, t, &t->loop);

	put_pace(c, &o);
	if (t->book)
		o.ledger = sync_book_ledger(t->book);
	r = r < 0 ? r : sync_new(&o, &t->sync, &error);
	if (r < 0)
		return complain(t->backend->name, r, &error);
	on_wake(t);
	return 0;
}

static int make_target(struct agent_vector *v, const char *spec)
{
	struct target *t = &v->targets[v->n++];
	int r = make_embedder(v, &t->embedder);

	t->owner = v;
	if (r == 0)
		r = make_embedder(v, &t->asker);
	if (r < 0)
		return r;
	name_collection(t, v->o.cfg);
	if (v->o.cfg->reembed)
		log_info("--reembed: the collection for %s is %s", t->embedder->model,
			 t->collection);
	r = make_backend(v, t, spec);
	if (r == 0)
		r = make_book(v, t, spec);
	return r < 0 ? r : make_sync(v, t);
}

/* Calls `each` with every database's words. */
static int for_targets(struct agent_vector *v,
		       int (*each)(struct agent_vector *v, const char *spec))
{
	const struct agent_config *c = v->o.cfg;
	_free_ char *rest = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->vector.n && i < TARGETS_MAX - 1; i++)
		r = each(v, c->vector.v[i]);
	if (r < 0 || !c->rest_endpoint)
		return r;
	if (asprintf(&rest, "http:%s", c->rest_endpoint) < 0) {
		rest = NULL; /* asprintf leaves it undefined */
		return -ENOMEM;
	}
	return each(v, rest);
}

static void take_extra(struct agent_vector *v)
{
	const struct option_list *extra = &v->o.cfg->embed_extra;

	for (size_t i = 0; i < MIN(extra->n, (size_t)EXTRA_MAX); i++)
		v->extra[i] = str_of(extra->v[i]);
}

static int make_parts(struct agent_vector *v)
{
	const struct agent_config *c = v->o.cfg;
	_buf_ struct buf error = {.max = 1024};
	int r;

	r = sink_filter_init(&v->filter, str_of(c->vector_filter), &error);
	if (r < 0)
		return complain("--vector-filter", r, &error);
	take_extra(v);
	return for_targets(v, make_target);
}

/* ---- checking -------------------------------------------------------------------------------- */

static bool is_wanted(const struct agent_config *c)
{
	return c->vector.n || c->rest_endpoint;
}

/* One database, made and let go of; its words go to v->words. */
static int check_target(struct agent_vector *v, const char *spec)
{
	struct target *t = &v->targets[0];
	struct backend_opts o;
	int r;

	if (is_file(spec))
		return 0;
	o = backend_options(v, t, spec);
	if (!v->check_files)
		o.access.token_file = o.access.ca_file = NULL;
	r = backend_new(&o, &t->backend, v->words);
	if (r == 0)
		t->backend->ops->free(t->backend);
	t->backend = NULL;
	return r;
}

int agent_vector_check(const struct agent_vector_opts *o, bool files, struct buf *words)
{
	struct agent_vector *v = calloc(1, sizeof(*v));
	struct embedder_opts e;
	int r = v ? 0 : -ENOMEM;

	if (r == 0 && is_wanted(o->cfg)) {
		v->o = *o;
		v->check_files = files;
		v->words = words;
		take_extra(v);
		e = embedder_options(v);
		if (!files)
			e.access.token_file = e.access.ca_file = NULL;
		v->n = 1;
		r = embedder_new(&e, &v->targets[0].embedder, words);
		if (r == 0) {
			name_collection(&v->targets[0], o->cfg);
			r = for_targets(v, check_target);
		}
	}
	agent_vector_free(&v);
	return r;
}

/* ---- making and freeing ---------------------------------------------------------------------- */

int agent_vector_new(const struct agent_vector_opts *o, struct agent_vector **ret)
{
	struct agent_vector *v;
	int r;

	*ret = NULL;
	if (!is_wanted(o->cfg))
		return 0;
	v = calloc(1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	v->o = *o;
	r = make_parts(v);
	if (r < 0) {
		agent_vector_free(&v);
		return r;
	}
	*ret = v;
	return 0;
}

static void target_done(struct target *t)
{
	sync_free(&t->sync);
	sync_book_free(&t->book);
	if (t->backend)
		t->backend->ops->free(t->backend);
	if (t->embedder)
		t->embedder->ops->free(t->embedder);
	if (t->asker)
		t->asker->ops->free(t->asker);
	sink_loop_free(&t->loop);
}

void agent_vector_free(struct agent_vector **vp)
{
	struct agent_vector *v = *vp;

	if (!v)
		return;
	for (unsigned i = 0; i < v->n; i++)
		target_done(&v->targets[i]);
	if (v->stopping)
		event_free(v->stopping);
	sink_filter_done(&v->filter);
	free(v);
	*vp = NULL;
}

/* ---- asked by the agent ---------------------------------------------------------------------- */

void agent_vector_kinds_complete(struct agent_vector *v, bool complete)
{
	for (unsigned i = 0; v && i < v->n; i++)
		sync_kinds_complete(v->targets[i].sync, complete, clock_mono());
}

void agent_vector_resync(struct agent_vector *v)
{
	for (unsigned i = 0; v && i < v->n; i++)
		sync_resync(v->targets[i].sync, clock_mono());
}

void agent_vector_tune(struct agent_vector *v)
{
	_buf_ struct buf error = {.max = 1024};
	struct sync_opts o = {0};
	bool refilter;

	if (!v)
		return;
	put_pace(v->o.cfg, &o);
	/* A bad one was refused before. */
	refilter = sink_filter_change(&v->filter, str_of(v->o.cfg->vector_filter), &error) == 1;
	for (unsigned i = 0; i < v->n; i++) {
		sync_tune(v->targets[i].sync, &o, clock_mono());
		if (refilter)
			sync_refilter(v->targets[i].sync, clock_mono());
	}
}

static void on_patience(evutil_socket_t fd, short what, void *ctx)
{
	struct agent_vector *v = ctx;

	(void)fd;
	(void)what;
	for (unsigned i = 0; v->stopped && i < v->n; i++)
		if (!sync_spent(v->targets[i].sync, clock_mono()))
			log_warn("%s: is not waited for any longer; what it has not taken is "
				 "written after the next start",
				 v->targets[i].backend->name);
	end_stop(v);
}

void agent_vector_stop(struct agent_vector *v, nsec_t patience, void (*done)(void *ctx), void *ctx)
{
	struct timeval tv = clock_timeval(patience);

	if (v)
		v->stopping = evtimer_new(v->o.base, on_patience, v);
	if (!v || !v->stopping) {
		done(ctx);
		return;
	}
	v->stopped = done;
	v->stopped_ctx = ctx;
	(void)evtimer_add(v->stopping, &tv);
	for (unsigned i = 0; i < v->n; i++)
		sync_flush(v->targets[i].sync, clock_mono());
}

void agent_vector_hurry(struct agent_vector *v)
{
	if (v)
		end_stop(v);
}

unsigned agent_vector_n(const struct agent_vector *v)
{
	return v ? v->n : 0;
}

struct sync *agent_vector_sync(struct agent_vector *v, unsigned i)
{
	return v->targets[i].sync;
}

struct embedder *agent_vector_asker(struct agent_vector *v, unsigned i)
{
	return v->targets[i].backend->own_vectors ? NULL : v->targets[i].asker;
}

int agent_vector_searchable(const struct agent_vector *v)
{
	for (unsigned i = 0; v && i < v->n; i++)
		if (v->targets[i].backend->ops->search)
			return (int)i;
	return -1;
}
