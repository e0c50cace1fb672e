#include "cli/agent_resources.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cli/resource_lists.h"
#include "cli/resource_series.h"
#include "kube/catalog.h"
#include "serve/ready.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define TICK_MIN    (20 * NSEC_PER_MSEC)
#define TICK_MAX    (60 * NSEC_PER_SEC)
#define DISCOVERIES 8 /* GETs under way; more than the collector asks for at a time */
#define FETCHES	    6 /* objects that are read again at a time; leaves room for the others' GETs */
#define COMPLAIN    (60 * NSEC_PER_SEC) /* between two words about discovery that fails */
#define NAMES_SHOWN 400			/* bytes of kinds' names in one line */

struct discovery {
	struct agent_resources *r; /* NULL: free */
	char path[600];
};

struct fetch {
	struct agent_resources *r; /* NULL: free */
	store_id id;
};

struct agent_resources {
	struct agent_resources_opts o;
	struct reflector_opts watch;
	struct lists lists;
	struct redact *redact;
	struct store *store;
	struct collect *collect;
	struct client *client;
	struct event *tick;
	struct discovery discoveries[DISCOVERIES];
	struct fetch fetches[FETCHES];
	nsec_t complained;
	bool told_synced;
};

static nsec_t now_of(void *ctx)
{
	(void)ctx;
	return clock_mono();
}

/* ---- what the collector says ----------------------------------------------------------------- */

static int on_watch_add(void *ctx, struct reflector *reflector)
{
	struct agent_resources *r = ctx;

	/* Without a name: what is to be said of a kind is said once, not for each of its watches.
	 */
	return client_add(r->client, reflector, (struct str){0});
}

static void on_watch_remove(void *ctx, const struct reflector *reflector)
{
	client_remove(((struct agent_resources *)ctx)->client, reflector);
}

static void on_watches_asked(void *ctx)
{
	client_wake(((struct agent_resources *)ctx)->client);
}

static void on_due(void *ctx)
{
	struct agent_resources *r = ctx;

	if (r->client)
		event_active(r->tick, EV_TIMEOUT, 0);
}

static void on_unauthorized(void *ctx)
{
	client_refused(((struct agent_resources *)ctx)->client);
}

static void on_state(void *ctx, const struct collect_kind *k, enum collect_state before)
{
	words_resource(((struct agent_resources *)ctx)->o.words, k, before);
}

static void on_bad_object(void *ctx, const struct collect_kind *k, unsigned why, struct str name)
{
	words_bad_resource(((struct agent_resources *)ctx)->o.words, k, why, name);
}

static void complain(struct agent_resources *r, const char *path, const char *text)
{
	const nsec_t now = clock_mono();

	if (r->complained && now - r->complained < COMPLAIN)
		return;
	r->complained = now;
	log_warn("resources: discovery: %s: %s; what was known stays", path, text);
}

static void on_discovered(void *ctx, int status, struct str body, const char *text)
{
	struct discovery *d = ctx;
	struct agent_resources *r = d->r;

	d->r = NULL;
	if (status != 200)
		complain(r, d->path, text);
	collect_answer(r->collect, clock_mono(), d->path, status, body);
}

static int on_get(void *ctx, const char *path, const char *accept)
{
	struct agent_resources *r = ctx;
	struct discovery *d = NULL;
	int e;

	for (size_t i = 0; !d && i < DISCOVERIES; i++)
		if (!r->discoveries[i].r)
			d = &r->discoveries[i];
	if (!d)
		return -EBUSY;
	(void)snprintf(d->path, sizeof(d->path), "%s", path);
	e = client_get_raw(r->client, path, accept, CATALOG_MAX_BODY, on_discovered, d);
	if (e == 0)
		d->r = r;
	return e;
}

static const struct collect_ops collect_ops = {.watch_add = on_watch_add,
					       .watch_remove = on_watch_remove,
					       .watches_asked = on_watches_asked,
					       .get = on_get,
					       .due = on_due,
					       .state = on_state,
					       .bad_object = on_bad_object,
					       .unauthorized = on_unauthorized};

/* ---- objects that are read again ------------------------------------------------------------- */

static void on_fetched(void *ctx, int status, struct str body, const char *text)
{
	struct fetch *f = ctx;
	struct agent_resources *r = f->r;

	(void)text;
	f->r = NULL;
	collect_fetched(r->collect, f->id, clock_mono(), status, body);
	on_due(r);
	r->o.fetched(r->o.ctx);
}

static int on_fetch(void *ctx, store_id id)
{
	struct agent_resources *r = ctx;
	_buf_ struct buf path = {.max = 4096};
	const char *accept;
	struct fetch *f = NULL;
	int e;

	for (size_t i = 0; !f && i < FETCHES; i++)
		if (!r->fetches[i].r)
			f = &r->fetches[i];
	if (!f || !r->client)
		return -EBUSY;
	e = collect_target(r->collect, id, &path, &accept);
	if (e == 0)
		e = client_get_raw(r->client, path.p, accept, r->o.cfg->max_object_size, on_fetched,
				   f);
	if (e < 0)
		return e;
	*f = (struct fetch){.r = r, .id = id};
	return 0;
}

/* ---- time ------------------------------------------------------------------------------------ */

/* "3 of 61 kinds: secrets (forbidden), widgets.example.com (failing)" */
static void put_troubled(const struct agent_resources *r, struct buf *b)
{
	for (uint32_t i = 0; i < collect_n_kinds(r->collect); i++) {
		const struct collect_kind k = collect_kind(r->collect, i);

		if (k.state != COLLECT_FORBIDDEN && k.state != COLLECT_FAILING)
			continue;
		if (b->n > NAMES_SHOWN) {
			(void)buf_printf(b, ", and more");
			return;
		}
		(void)buf_printf(b, "%s%.*s (%s)", b->n ? ", " : "", STR_ARG(k.name),
				 collect_state_name(k.state));
	}
}

static void tell_synced(struct agent_resources *r)
{
	const struct collect_counters c = collect_counters(r->collect);
	_buf_ struct buf troubled = {.max = 4096};
	struct store_stats s;

	r->told_synced = true;
	store_stats(r->store, &s);
	put_troubled(r, &troubled);
	log_info("resources: %u kinds, %u watches, %u objects: synced%s%.*s",
		 collect_n_kinds(r->collect), c.watches, s.objects, troubled.n ? " but for " : "",
		 STR_ARG(buf_str(&troubled)));
}

static void on_tick(evutil_socket_t fd, short what, void *ctx)
{
	struct agent_resources *r = ctx;
	const nsec_t now = clock_mono();
	nsec_t next = collect_tick(r->collect, now);

	(void)fd;
	(void)what;
	next = MIN(next, store_tick(r->store, now));
	next = MIN(MAX(next > now ? next - now : 0, TICK_MIN), (nsec_t)TICK_MAX);
	const struct timeval tv = clock_timeval(next);

	(void)evtimer_add(r->tick, &tv);
	if (!r->told_synced && collect_synced(r->collect))
		tell_synced(r);
}

/* ---- making ---------------------------------------------------------------------------------- */

static bool each_namespace(const struct agent_config *c)
{
	return c->namespaces.n == 1 && strcmp(c->namespaces.v[0], "*") == 0;
}

static int make_redact(struct agent_resources *r, struct buf *ret_error)
{
	const struct agent_config *c = r->o.cfg;
	struct redact_opts o = {.config_map_values = c->keep_config_values,
				.env_values = c->keep_env_values};
	_buf_ struct buf words = {.max = 4096};
	struct collect_names drop = {0};
	int e = lists_paths(&r->lists, &c->ignore_fields, &drop);

	o.drop = drop.v;
	o.n_drop = drop.n;
	e = e < 0 ? e : redact_new(&o, &r->redact, &words);
	if (e < 0 && words.n)
		(void)buf_printf(ret_error, "--ignore-fields: %.*s", STR_ARG(buf_str(&words)));
	return e;
}

static int make_store(struct agent_resources *r)
{
	const struct store_opts o = {.max_bodies = r->o.cfg->store_max,
				     .ttl = r->o.cfg->cache_ttl,
				     .fetch = on_fetch,
				     .ctx = r};

	return store_new(&o, &r->store);
}

static int fill_names(struct agent_resources *r, struct collect_opts *o)
{
	const struct agent_config *c = r->o.cfg;
	const struct {
		const struct option_list *from;
		struct collect_names *to;
	} all[] = {
		{&c->watch_resources, &o->resources},
		{&c->exclude_resources, &o->excluded},
		{&c->metadata_only, &o->metadata_only},
		{&c->whole, &o->whole},
		{&c->cache_resources, &o->cached},
		{&c->exclude_namespaces, &o->excluded_namespaces},
		{&c->namespaces, &o->namespaces},
	};
	int e = 0;

	for (size_t i = 0; e == 0 && i < ARRAY_SIZE(all); i++)
		e = lists_names(&r->lists, all[i].from, all[i].to);
	if (each_namespace(c)) {
		o->namespaces = (struct collect_names){0};
		o->each_namespace = true;
	}
	return e;
}

static int make_collect(struct agent_resources *r, struct buf *ret_error)
{
	const struct agent_config *c = r->o.cfg;
	struct collect_opts o = {.store = r->store,
				 .redact = r->redact,
				 .watch = r->watch,
				 .namespace_selector = str_of(c->namespace_selector),
				 .resource_selector = str_of(c->resource_selector),
				 .core_selects = c->label_selector && c->label_selector[0],
				 .resync_every = c->resync_interval * 60 * NSEC_PER_SEC,
				 .seed = rng_entropy(),
				 .clock = now_of,
				 .ops = &collect_ops,
				 .ctx = r};
	int e = fill_names(r, &o);

	if (e == 0)
		e = lists_paths(&r->lists, &c->field_selector, &o.field_selectors);
	if (e == 0)
		e = lists_indexes(&r->lists, &c->index, &o.indexes, &o.n_indexes, ret_error);
	return e < 0 ? e : collect_new(&o, &r->collect, ret_error);
}

/* A watch has a socket: with a namespace each there may be thousands. */
static void raise_files(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) < 0 || l.rlim_cur >= l.rlim_max)
		return;
	l.rlim_cur = MIN(l.rlim_max, (rlim_t)4 * COLLECT_MAX_WATCHES);
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

int agent_resources_new(const struct agent_resources_opts *o, struct agent_resources **ret,
			struct buf *ret_error)
{
	struct agent_resources *r;
	int e;

	*ret = NULL;
	if (o->cfg->resources != AGENT_RESOURCES_ON)
		return 0;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->o = *o;
	r->watch = *o->watch;
	r->tick = evtimer_new(o->base, on_tick, r);
	e = r->tick ? make_redact(r, ret_error) : -ENOMEM;
	if (e == 0)
		e = make_store(r);
	if (e == 0)
		e = make_collect(r, ret_error);
	if (e < 0) {
		agent_resources_free(&r);
		return e;
	}
	raise_files();
	*ret = r;
	return 0;
}

void agent_resources_free(struct agent_resources **rp)
{
	struct agent_resources *r = *rp;

	if (!r)
		return;
	collect_free(&r->collect);
	store_free(&r->store);
	redact_free(&r->redact);
	lists_done(&r->lists);
	if (r->tick)
		event_free(r->tick);
	free(r);
	*rp = NULL;
}

void agent_resources_tap(struct agent_resources *r, struct core_opts *o)
{
	if (!r)
		return;
	o->tap = &collect_tap;
	o->tap_ctx = r->collect;
}

int agent_resources_join(struct agent_resources *r, struct core *core, struct buf *ret_error)
{
	return r ? collect_join(r->collect, core, clock_mono(), ret_error) : 0;
}

unsigned agent_resources_watches(const struct agent_resources *r)
{
	return r ? COLLECT_MAX_WATCHES : 0;
}

void agent_resources_start(struct agent_resources *r, struct client *client)
{
	r->client = client;
	on_due(r);
}

void agent_resources_stop(struct agent_resources *r)
{
	r->client = NULL;
	(void)evtimer_del(r->tick);
}

void agent_resources_tune(struct agent_resources *r, const struct reflector_opts *watch)
{
	const struct agent_config *c = r->o.cfg;

	store_tune(r->store, c->store_max, c->cache_ttl);
	collect_tune(r->collect, watch, c->resync_interval * 60 * NSEC_PER_SEC, clock_mono());
	on_due(r);
}

/* ---- who reads it ---------------------------------------------------------------------------- */

struct store *agent_resources_store(struct agent_resources *r)
{
	return r->store;
}

struct collect *agent_resources_collect(struct agent_resources *r)
{
	return r->collect;
}

/* A kind that is forbidden or whose own server fails costs that kind alone: only when none is well,
 * and none was a moment ago, is it the agent's trouble. */
void agent_resources_ready(const struct agent_resources *r, nsec_t now, nsec_t grace,
			   struct ready *to)
{
	_buf_ struct buf troubled = {.max = 4096};
	uint32_t n, well = 0;

	if (!r)
		return;
	n = collect_n_kinds(r->collect);
	for (uint32_t i = 0; i < n; i++) {
		const struct collect_kind k = collect_kind(r->collect, i);

		well += k.state == COLLECT_SYNCED || now - k.since <= grace;
	}
	put_troubled(r, &troubled);
	ready_put(to, "resources", collect_synced(r->collect) && well,
		  "%u of %u kinds are in step%s%s%.*s", well, n,
		  collect_synced(r->collect) ? "" : ", first lists are under way",
		  troubled.n ? "; not well: " : "", STR_ARG(buf_str(&troubled)));
}

void agent_resources_figures(const struct agent_resources *r)
{
	const struct collect_counters c = collect_counters(r->collect);
	_buf_ struct buf troubled = {.max = 4096};
	struct store_stats s;

	store_stats(r->store, &s);
	put_troubled(r, &troubled);
	log_info(
		"resources: kinds %u, watches %u, objects %u, %zu bytes of records, %zu of bodies; "
		"created %" PRIu64 ", modified %" PRIu64 ", deleted %" PRIu64 ", unchanged %" PRIu64
		", refused %" PRIu64 "; not well: %.*s",
		collect_n_kinds(r->collect), c.watches, s.objects, s.record_bytes, s.body_bytes,
		s.created, s.modified, s.deleted, s.unchanged, s.refused,
		STR_ARG(troubled.n ? buf_str(&troubled) : STR("none")));
}

size_t agent_resources_bytes(const struct agent_resources *r)
{
	size_t n = 0;

	for (uint32_t i = 0; i < collect_n_kinds(r->collect); i++)
		n += collect_traffic(r->collect, i).held;
	return n;
}

int agent_resources_series(const struct agent_resources *r, struct buf *out)
{
	return r ? resource_series(r->collect, r->store, r->redact, out) : 0;
}
