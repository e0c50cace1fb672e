/*
 * The collector against a server that is played here, in virtual time: kinds,
 * namespaces and objects come and go, answers are refused and cut, and in the end
 * the store must hold exactly what the server's model says it should.
 */
#include "core/collect.h"

#include "base/mem.h"
#include "base/rng.h"
#include "core/field_selector.h"
#include "tests/lib/torture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEC	    NSEC_PER_SEC
#define MS	    NSEC_PER_MSEC
#define MAX_OBJECTS 4000
#define MAX_EVENTS  20000
#define MAX_WATCHES 600
#define MAX_GETS    16

/* ---- the server's model ------------------------------------------------------------------------
 */

struct resource {
	const char *group, *version, *kind, *plural;
	bool namespaced, served, forbidden, stale;
};

enum {
	NAMESPACES,
	PODS,
	REPLICASETS,
	SECRETS,
	NODES,
	CRDS,
	WIDGETS,
	GADGETS,
	LEASES,
	JOBS,
	SERVICES,
	N_RESOURCES
};

struct object_of {
	int resource;
	char ns[24], name[24], team[8];
	uint64_t uid, rv;
	int value;
	bool live;
};

struct event_of {
	struct object_of o;
	enum event_type type;
	char team_before[8];
};

struct served_watch {
	struct reflector *r;
	bool open, core;
	int resource;
	char ns[24], team[8];
	size_t at; /* events it has had */
};

struct get {
	char path[200];
	bool used;
};

struct world {
	struct collect *collect;
	struct core *core;
	struct store *store;
	struct redact *redact;
	struct collect_opts opts;
	nsec_t now;
	struct resource resources[N_RESOURCES];
	struct object_of objects[MAX_OBJECTS];
	size_t n_objects;
	struct event_of *events;
	size_t n_events;
	uint64_t rv, uids;
	struct served_watch watches[MAX_WATCHES];
	size_t n_watches;
	struct get gets[MAX_GETS];
	unsigned adds, removes, lists, states, bad;
	unsigned forbidden_told, failing_told;
	char last_bad[64], last_told[300];
	bool discovery_down, refuse_adds;
	bool gone; /* the next watch is told that its version is too old */
};

static const struct resource served[N_RESOURCES] = {
	[NAMESPACES] = {"", "v1", "Namespace", "namespaces", .served = true},
	[PODS] = {"", "v1", "Pod", "pods", .namespaced = true, .served = true},
	[REPLICASETS] = {"apps", "v1", "ReplicaSet", "replicasets", .namespaced = true,
			 .served = true},
	[SECRETS] = {"", "v1", "Secret", "secrets", .namespaced = true, .served = true},
	[NODES] = {"", "v1", "Node", "nodes", .served = true},
	[CRDS] = {"apiextensions.k8s.io", "v1", "CustomResourceDefinition",
		  "customresourcedefinitions", .served = true},
	[JOBS] = {"batch", "v1", "Job", "jobs", .namespaced = true, .served = true},
	[SERVICES] = {"", "v1", "Service", "services", .namespaced = true, .served = true},
	[WIDGETS] = {"a.io", "v1", "Widget", "widgets", .namespaced = true},
	[GADGETS] = {"b.io", "v1beta1", "Gadget", "gadgets"},
	[LEASES] = {"coordination.k8s.io", "v1", "Lease", "leases", .namespaced = true,
		    .served = true},
};

static struct object_of *find(struct world *w, int resource, const char *ns, const char *name)
{
	for (size_t i = 0; i < w->n_objects; i++) {
		struct object_of *o = &w->objects[i];

		if (o->live && o->resource == resource && strcmp(o->ns, ns) == 0 &&
		    strcmp(o->name, name) == 0)
			return o;
	}
	return NULL;
}

static void tell(struct world *w, const struct object_of *o, enum event_type type,
		 const char *before)
{
	struct event_of *e = &w->events[w->n_events++];

	assert_true(w->n_events < MAX_EVENTS);
	*e = (struct event_of){.o = *o, .type = type};
	(void)snprintf(e->team_before, sizeof(e->team_before), "%s", before);
}

/* Creates or changes. */
static struct object_of *put(struct world *w, int resource, const char *ns, const char *name,
			     const char *team)
{
	struct object_of *o = find(w, resource, ns, name);
	const bool is_new = !o;
	char before[8] = "";

	if (is_new) {
		o = &w->objects[w->n_objects++];
		assert_true(w->n_objects < MAX_OBJECTS);
		*o = (struct object_of){.resource = resource, .uid = ++w->uids, .live = true};
		(void)snprintf(o->ns, sizeof(o->ns), "%s", ns);
		(void)snprintf(o->name, sizeof(o->name), "%s", name);
	} else {
		memcpy(before, o->team, sizeof(before));
	}
	(void)snprintf(o->team, sizeof(o->team), "%s", team);
	o->rv = ++w->rv;
	o->value++;
	tell(w, o, is_new ? EVENT_ADDED : EVENT_MODIFIED, before);
	return o;
}

static void drop(struct world *w, struct object_of *o)
{
	o->live = false;
	o->rv = ++w->rv;
	tell(w, o, EVENT_DELETED, o->team);
	*o = w->objects[--w->n_objects];
}

static void drop_all(struct world *w, int resource, const char *ns)
{
	for (size_t i = w->n_objects; i-- > 0;)
		if ((resource < 0 || w->objects[i].resource == resource) &&
		    (!ns || strcmp(w->objects[i].ns, ns) == 0))
			drop(w, &w->objects[i]);
}

/* A definition and what it makes the server serve. */
static void serve(struct world *w, int resource, bool yes)
{
	char name[24];
	struct object_of *o;

	(void)snprintf(name, sizeof(name), "%s.%s", w->resources[resource].plural,
		       w->resources[resource].group);
	w->resources[resource].served = yes;
	if (yes) {
		(void)put(w, CRDS, "", name, "");
		return;
	}
	drop_all(w, resource, NULL);
	o = find(w, CRDS, "", name);
	if (o)
		drop(w, o);
	for (size_t i = 0; i < w->n_watches; i++)
		if (w->watches[i].open && w->watches[i].resource == resource) {
			w->watches[i].open = false;
			reflector_end(w->watches[i].r, w->now, REFLECTOR_END_CLEAN, NULL);
		}
}

/* ---- the server's answers ----------------------------------------------------------------------
 */

static void put_object(const struct world *w, const struct object_of *o, struct buf *b)
{
	const struct resource *r = &w->resources[o->resource];

	(void)buf_printf(
		b, "{\"apiVersion\":\"%s%s%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"%s\",",
		r->group, r->group[0] ? "/" : "", r->version, r->kind, o->name);
	if (o->ns[0])
		(void)buf_printf(b, "\"namespace\":\"%s\",", o->ns);
	if (o->team[0])
		(void)buf_printf(b, "\"labels\":{\"team\":\"%s\"},", o->team);
	(void)buf_printf(
		b,
		"\"uid\":\"00000000-0000-4000-8000-%012llu\",\"resourceVersion\":\"%llu\"},"
		"\"data\":{\"value\":\"Y2FuYXJ5%d\"}}",
		(unsigned long long)o->uid, (unsigned long long)o->rv, o->value);
}

static bool selected(const struct served_watch *v, const struct object_of *o, const char *team)
{
	return o->resource == v->resource && (!v->ns[0] || strcmp(v->ns, o->ns) == 0) &&
	       (!v->team[0] || strcmp(v->team, team) == 0);
}

static void answer_list(struct world *w, struct served_watch *v)
{
	_buf_ struct buf b = {.max = 4 << 20};
	bool first = true;

	(void)buf_printf(&b,
			 "{\"kind\":\"List\",\"apiVersion\":\"v1\",\"metadata\":{"
			 "\"resourceVersion\":\"%llu\"},\"items\":[",
			 (unsigned long long)w->rv + 1);
	for (size_t i = 0; i < w->n_objects; i++)
		if (selected(v, &w->objects[i], w->objects[i].team)) {
			(void)buf_printf(&b, first ? "" : ",");
			put_object(w, &w->objects[i], &b);
			first = false;
		}
	(void)buf_printf(&b, "]}");
	w->rv++;
	w->lists++;
	assert_int_equal(reflector_response(v->r, w->now, 200, STR("application/json"), 0), 0);
	assert_int_equal(reflector_data(v->r, w->now, b.p, b.n), 0);
	reflector_end(v->r, w->now, REFLECTOR_END_CLEAN, NULL);
}

static void answer_status(struct world *w, struct served_watch *v, int code)
{
	char body[200];

	(void)snprintf(body, sizeof(body),
		       "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\","
		       "\"message\":\"no %s for you\",\"code\":%d}",
		       w->resources[v->resource].plural, code);
	assert_int_equal(reflector_response(v->r, w->now, code, STR("application/json"), 0), 0);
	(void)reflector_data(v->r, w->now, body, strlen(body));
	reflector_end(v->r, w->now, REFLECTOR_END_CLEAN, NULL);
}

/* Which resource and namespace a target asks for. */
static void understand(struct world *w, struct served_watch *v, const char *target)
{
	const char *label = strstr(target, "labelSelector=team%3D");
	char path[200];
	char *at;

	(void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(target, "?"), target);
	v->team[0] = v->ns[0] = 0;
	if (label)
		(void)snprintf(v->team, sizeof(v->team), "%s", label + 21);
	at = strstr(path, "/namespaces/");
	if (at) {
		(void)snprintf(v->ns, sizeof(v->ns), "%.*s", (int)strcspn(at + 12, "/"), at + 12);
		memmove(at, at + 12 + strlen(v->ns), strlen(at + 12 + strlen(v->ns)) + 1);
	}
	for (v->resource = 0; v->resource < N_RESOURCES; v->resource++) {
		const struct resource *r = &w->resources[v->resource];
		char other[200];

		(void)snprintf(other, sizeof(other), "%s%s/%s/%s", r->group[0] ? "/apis/" : "/api",
			       r->group, r->version, r->plural);
		if (strcmp(other, path) == 0)
			return;
	}
	fail_msg("nobody asks for %s", target);
}

static void answer(struct world *w, struct served_watch *v, const struct reflector_request *req)
{
	const char *from = strstr(req->target, "resourceVersion=");
	const struct resource *r;

	understand(w, v, req->target);
	r = &w->resources[v->resource];
	if (!v->core) {
		const bool meta = strstr(req->accept, "PartialObjectMetadata") != NULL;

		assert_null(strstr(req->accept, "protobuf"));
		/* Definitions that are not kept are watched for themselves alone. */
		assert_int_equal(meta, v->resource == SECRETS ||
					       (v->resource == CRDS && w->opts.namespaces.n));
		assert_int_not_equal(v->resource, LEASES); /* excluded: not even listed */
	}
	if (!r->served)
		return answer_status(w, v, 404);
	if (r->forbidden)
		return answer_status(w, v, 403);
	if (!strstr(req->target, "watch=1"))
		return answer_list(w, v);
	if (w->gone) {
		w->gone = false;
		return answer_status(w, v, 410);
	}
	assert_int_equal(reflector_response(v->r, w->now, 200, STR("application/json"), 0), 0);
	v->open = true;
	for (v->at = 0; v->at < w->n_events; v->at++)
		if (w->events[v->at].o.rv > strtoull(from + 16, NULL, 10))
			break;
}

static void send_events(struct world *w, struct served_watch *v)
{
	static const char *const types[] = {"ADDED", "MODIFIED", "DELETED"};

	while (v->open && v->at < w->n_events) {
		const struct event_of *e = &w->events[v->at++];
		const bool now = selected(v, &e->o, e->o.team);
		const bool before = selected(v, &e->o, e->team_before);
		_buf_ struct buf b = {.max = 1 << 20};
		enum event_type type = e->type;

		if (v->team[0] && type == EVENT_MODIFIED)
			type = now && !before ? EVENT_ADDED : !now ? EVENT_DELETED : EVENT_MODIFIED;
		if (type == EVENT_ADDED ? !now : !now && !before)
			continue;
		(void)buf_printf(&b, "{\"type\":\"%s\",\"object\":", types[type]);
		put_object(w, &e->o, &b);
		(void)buf_printf(&b, "}\n");
		if (reflector_data(v->r, w->now, b.p, b.n) < 0)
			v->open = false;
	}
}

static void put_resource(const struct resource *r, struct buf *b)
{
	(void)buf_printf(
		b,
		"{\"metadata\":{\"name\":\"%s\"},\"versions\":[{\"version\":\"%s\","
		"\"freshness\":\"%s\",\"resources\":[{\"resource\":\"%s\",\"responseKind\":{"
		"\"kind\":\"%s\"},\"scope\":\"%s\",\"verbs\":[\"get\",\"list\",\"watch\"]}]}"
		"]},",
		r->group, r->version, r->stale ? "Stale" : "Current", r->plural, r->kind,
		r->namespaced ? "Namespaced" : "Cluster");
}

/* The core group comes as several items here, as no server sends it; its resources are what
 * matters. */
static void discover(struct world *w, const char *path, struct buf *b)
{
	const bool core = strcmp(path, "/api") == 0;

	(void)buf_printf(b, "{\"kind\":\"APIGroupDiscoveryList\",\"items\":[");
	if (core) {
		(void)buf_printf(b, "{\"metadata\":{},\"versions\":[{\"version\":\"v1\","
				    "\"resources\":[");
		for (int i = 0; i < N_RESOURCES; i++)
			if (w->resources[i].served && !w->resources[i].group[0])
				(void)buf_printf(
					b,
					"{\"resource\":\"%s\",\"responseKind\":{\"kind\":"
					"\"%s\"},\"scope\":\"%s\",\"verbs\":[\"get\",\"list\","
					"\"watch\"]},",
					w->resources[i].plural, w->resources[i].kind,
					w->resources[i].namespaced ? "Namespaced" : "Cluster");
		(void)buf_printf(b, "null]}]},");
	}
	for (int i = 0; !core && i < N_RESOURCES; i++)
		if (w->resources[i].served && w->resources[i].group[0])
			put_resource(&w->resources[i], b);
	(void)buf_printf(b, "null]}");
}

/* ---- the shell ---------------------------------------------------------------------------------
 */

static nsec_t clock_of(void *ctx)
{
	return ((struct world *)ctx)->now;
}

static int on_add(void *ctx, struct reflector *r)
{
	struct world *w = ctx;

	if (w->refuse_adds)
		return -EMSGSIZE;
	assert_true(w->n_watches < MAX_WATCHES);
	w->watches[w->n_watches++] = (struct served_watch){.r = r};
	w->adds++;
	return 0;
}

static void on_remove(void *ctx, const struct reflector *r)
{
	struct world *w = ctx;
	size_t i = 0;

	while (i < w->n_watches && w->watches[i].r != r)
		i++;
	assert_true(i < w->n_watches);
	w->watches[i] = w->watches[--w->n_watches];
	w->removes++;
}

static int on_get(void *ctx, const char *path, const char *accept)
{
	struct world *w = ctx;

	assert_non_null(strstr(accept, "APIGroupDiscoveryList"));
	for (int i = 0; i < MAX_GETS; i++)
		if (!w->gets[i].used) {
			w->gets[i].used = true;
			(void)snprintf(w->gets[i].path, sizeof(w->gets[i].path), "%s", path);
			return 0;
		}
	return -EBUSY;
}

static void on_nothing(void *ctx)
{
	(void)ctx;
}

static void on_state(void *ctx, const struct collect_kind *k, enum collect_state before)
{
	struct world *w = ctx;

	w->states++;
	w->forbidden_told += k->state == COLLECT_FORBIDDEN;
	w->failing_told += k->state == COLLECT_FAILING;
	assert_true(before != k->state);
	if (k->state == COLLECT_FORBIDDEN)
		(void)snprintf(w->last_told, sizeof(w->last_told), "%.*s: %s", STR_ARG(k->name),
			       k->text);
}

static void on_bad(void *ctx, const struct collect_kind *k, unsigned why, struct str name)
{
	struct world *w = ctx;

	w->bad++;
	(void)snprintf(w->last_bad, sizeof(w->last_bad), "%.*s %.*s: %s", STR_ARG(k->name),
		       STR_ARG(name), collect_bad_name(why));
}

static const struct collect_ops ops = {.watch_add = on_add,
				       .watch_remove = on_remove,
				       .watches_asked = on_nothing,
				       .get = on_get,
				       .due = on_nothing,
				       .state = on_state,
				       .bad_object = on_bad};

static void answer_gets(struct world *w)
{
	for (int i = 0; i < MAX_GETS; i++) {
		_buf_ struct buf b = {.max = 1 << 20};

		if (!w->gets[i].used)
			continue;
		w->gets[i].used = false;
		discover(w, w->gets[i].path, &b);
		collect_answer(w->collect, w->now, w->gets[i].path, w->discovery_down ? 503 : 200,
			       buf_str(&b));
	}
}

static void drive(struct world *w, struct served_watch *v)
{
	struct reflector_request req;
	nsec_t at;

	for (int turn = 0; turn < 10; turn++) {
		switch (reflector_poll(v->r, w->now, &req, &at)) {
		case REFLECTOR_START:
			v->open = false;
			answer(w, v, &req);
			continue;
		case REFLECTOR_ABORT:
			v->open = false;
			continue;
		case REFLECTOR_NONE:
			if (!v->open || v->at == w->n_events)
				return;
			send_events(w, v);
			continue;
		}
	}
}

static void pass(struct world *w, nsec_t span)
{
	for (nsec_t end = w->now + span; w->now < end;) {
		w->now += MIN(end - w->now, 200 * MS);
		(void)collect_tick(w->collect, w->now);
		answer_gets(w);
		for (size_t i = 0; i < w->n_watches; i++)
			drive(w, &w->watches[i]);
		(void)store_tick(w->store, w->now);
	}
}

/* ---- a world -----------------------------------------------------------------------------------
 */

static const struct str no_kinds[] = {STR("leases")}, secret[] = {STR("secrets")};
static const struct str system_ns[] = {STR("kube-system")};

static struct world *world_new(void)
{
	struct world *w = calloc(1, sizeof(*w));

	assert_non_null(w);
	w->events = calloc(MAX_EVENTS, sizeof(*w->events));
	assert_non_null(w->events);
	w->now = 1000 * SEC;
	w->rv = 100;
	memcpy(w->resources, served, sizeof(served));
	w->opts = (struct collect_opts){.excluded = {no_kinds, 1},
					.metadata_only = {secret, 1},
					.excluded_namespaces = {system_ns, 1},
					.watch = {.no_streaming = true, .backoff_cap = 2 * SEC},
					.seed = 5,
					.clock = clock_of,
					.clock_ctx = w,
					.ops = &ops,
					.ctx = w};
	return w;
}

static void world_start(struct world *w, bool with_core)
{
	const struct redact_opts ro = {0};
	const struct store_opts so = {0};
	_buf_ struct buf error = {.max = 1000};
	struct core_opts co = {.inventory = inventory_defaults,
			       .clock = clock_of,
			       .clock_ctx = w,
			       .watch = w->opts.watch,
			       .session = {.waiting = {.max = 100, .timeout = SEC},
					   .hostname = STR("a"),
					   .out_max = 1 << 20},
			       .tap = &collect_tap};

	assert_int_equal(redact_new(&ro, &w->redact, &error), 0);
	assert_int_equal(store_new(&so, &w->store), 0);
	w->opts.store = w->store;
	w->opts.redact = w->redact;
	if (collect_new(&w->opts, &w->collect, &error) < 0)
		fail_msg("%.*s", STR_ARG(buf_str(&error)));
	co.tap_ctx = w->collect;
	co.scope.namespaces = w->opts.namespaces.v;
	co.scope.n_namespaces = w->opts.namespaces.n;
	co.scope.places = true;
	if (with_core)
		assert_int_equal(core_new(&co, &w->core), 0);

	assert_int_equal(collect_join(w->collect, w->core, w->now, &error), 0);
	for (uint32_t i = 0; with_core && i < core_n_watches(w->core); i++) {
		const struct core_watch *cw = core_watch(w->core, i);

		w->watches[w->n_watches++] =
			(struct served_watch){.r = cw->reflector, .core = true};
	}
}

static void world_free(struct world *w)
{
	collect_free(&w->collect);
	core_free(&w->core);
	store_free(&w->store);
	redact_free(&w->redact);
	free(w->events);
	free(w);
}

static bool ns_listed(const struct collect_names *n, const char *ns)
{
	for (uint32_t i = 0; i < n->n; i++)
		if (str_eq(n->v[i], str_of(ns)))
			return true;
	return false;
}

/* What should be kept, said from the model alone. */
static bool wanted(struct world *w, const struct object_of *o)
{
	const struct resource *r = &w->resources[o->resource];
	const struct object_of *ns;

	if (o->resource == LEASES || !r->served)
		return false;
	if (!r->namespaced && w->opts.namespaces.n)
		return false;
	if (w->opts.resource_selector.n && strcmp(o->team, "a") != 0)
		return false;
	if (w->opts.field_selectors.n && o->resource == PODS && strcmp(o->team, "a") != 0)
		return false;
	if (!r->namespaced)
		return true;
	if (w->opts.namespaces.n)
		return ns_listed(&w->opts.namespaces, o->ns);
	if (strcmp(o->ns, "kube-system") == 0)
		return false;
	if (!w->opts.each_namespace && !w->opts.namespace_selector.n)
		return true;
	ns = find(w, NAMESPACES, "", o->ns);
	return ns && (!w->opts.namespace_selector.n || strcmp(ns->team, "a") == 0);
}

static bool in_model(struct world *w, const struct store_view *v)
{
	struct store_kind_view k;

	assert_true(store_kind_get(w->store, v->kind, &k));
	for (size_t i = 0; i < w->n_objects; i++)
		if (str_eq(k.plural, str_of(w->resources[w->objects[i].resource].plural)) &&
		    str_eq(v->ns, str_of(w->objects[i].ns)) &&
		    str_eq(v->name, str_of(w->objects[i].name)))
			return true;
	print_message("%.*s %.*s/%.*s is kept\n", STR_ARG(k.plural), STR_ARG(v->ns),
		      STR_ARG(v->name));
	return false;
}

static size_t kept(struct world *w)
{
	size_t n = 0;

	for (store_kind k = 0; (k = store_kind_next(w->store, k));)
		for (store_id id = 0; (id = store_next(w->store, k, (struct str){0}, id)); n++) {
			struct store_view v;

			assert_true(store_get(w->store, id, &v));
			(void)in_model(w, &v);
		}
	return n;
}

static void assert_kept(struct world *w, const char *when)
{
	size_t n = 0;

	for (size_t i = 0; i < w->n_objects; i++) {
		const struct object_of *o = &w->objects[i];
		const struct resource *r = &w->resources[o->resource];
		char name[80], rv[24];
		struct store_view v;
		store_kind k;
		store_id id;

		(void)snprintf(name, sizeof(name), "%s%s%s", r->plural, r->group[0] ? "." : "",
			       r->group);
		(void)snprintf(rv, sizeof(rv), "%llu", (unsigned long long)o->rv);
		k = store_kind_find(w->store, str_of(name));
		id = k ? store_find(w->store, k, str_of(o->ns), str_of(o->name)) : 0;
		id = id && store_get(w->store, id, &v) && !v.dead ? id : 0;
		if ((id != 0) != wanted(w, o))
			fail_msg("%s: %s %s/%s is %s", when, name, o->ns, o->name,
				 id ? "kept" : "not kept");
		n += id != 0;
		if (id && o->resource != SECRETS) { /* of those only metadata counts as a change */
			_buf_ struct buf b = {.max = 1 << 16};
			char value[24];

			(void)snprintf(value, sizeof(value), "Y2FuYXJ5%d\"", o->value);
			assert_int_equal(store_body(w->store, NULL, id, w->now, &b), 0);
			if (!memmem(b.p, b.n, value, strlen(value)))
				fail_msg("%s: %s %s/%s is old: %.*s", when, name, o->ns, o->name,
					 STR_ARG(buf_str(&b)));
		}
	}
	if (kept(w) != n)
		fail_msg("%s: %zu objects are kept, %zu should be", when, kept(w), n);
}

static const struct collect_kind *kind(struct world *w, const char *name)
{
	static struct collect_kind k;

	for (uint32_t i = 0; i < collect_n_kinds(w->collect); i++) {
		k = collect_kind(w->collect, i);
		if (str_eq(k.name, str_of(name)))
			return &k;
	}
	return NULL;
}

static uint32_t core_pods(struct world *w)
{
	struct inventory_stats s;

	inventory_stats(core_inventory(w->core), &s);
	return s.pods;
}

static void populate(struct world *w)
{
	(void)put(w, NAMESPACES, "", "shop", "a");
	(void)put(w, NAMESPACES, "", "pay", "b");
	(void)put(w, NAMESPACES, "", "kube-system", "a");
	(void)put(w, NODES, "", "node-1", "a");
	(void)put(w, PODS, "shop", "web", "a");
	(void)put(w, PODS, "pay", "bank", "b");
	(void)put(w, PODS, "kube-system", "dns", "a");
	(void)put(w, SECRETS, "shop", "key", "a");
	(void)put(w, SECRETS, "pay", "key", "");
	(void)put(w, REPLICASETS, "shop", "web-1", "a");
	(void)put(w, LEASES, "shop", "lease", "a");
}

/* ---- tests -------------------------------------------------------------------------------------
 */

static void test_plain(void **state)
{
	struct world *w = world_new();

	(void)state;
	populate(w);
	world_start(w, false);
	assert_false(collect_synced(w->collect));
	pass(w, 5 * SEC);
	assert_true(collect_synced(w->collect));
	assert_kept(w, "first lists");
	assert_int_equal(collect_n_kinds(w->collect),
			 8); /* all but leases and what is not served */
	assert_int_equal(w->adds, 8);
	assert_int_equal(w->lists, 8);
	assert_int_equal(kind(w, "pods")->skipped, 1);
	assert_true(kind(w, "secrets")->metadata_only);
	(void)put(w, PODS, "shop", "web", "a");
	drop(w, find(w, PODS, "pay", "bank"));
	(void)put(w, PODS, "kube-system", "dns", "a");
	pass(w, SEC);
	assert_kept(w, "events");
	assert_int_equal(w->lists, 8);
	world_free(w);
}

/* The value of a Secret that a server sends although metadata was asked for. */
static void test_metadata_alone(void **state)
{
	struct world *w = world_new();
	_buf_ struct buf b = {.max = 1 << 16};

	(void)state;
	populate(w);
	world_start(w, false);
	pass(w, 5 * SEC);
	assert_int_equal(
		store_body(w->store, NULL,
			   store_find(w->store, kind(w, "secrets")->store, STR("shop"), STR("key")),
			   w->now, &b),
		0);
	assert_null(memmem(b.p, b.n, "\"data\"", 6));
	assert_non_null(memmem(b.p, b.n, "\"kind\":\"Secret\"", 15));
	assert_non_null(memmem(b.p, b.n, "\"apiVersion\":\"v1\"", 17));
	world_free(w);
}

/* One watch serves the core and the collector. */
static void test_tapped(void **state)
{
	struct world *w = world_new();

	(void)state;
	populate(w);
	world_start(w, true);
	pass(w, 5 * SEC);
	assert_kept(w, "first lists");
	assert_int_equal(w->adds, 3); /* Namespaces, Secrets, CRDs */
	assert_int_equal(w->lists, 8);
	assert_int_equal(core_pods(w), 3);
	(void)put(w, REPLICASETS, "shop", "web-1", "a");
	drop(w, find(w, PODS, "shop", "web"));
	pass(w, SEC);
	assert_kept(w, "events");
	assert_int_equal(w->lists, 8);
	world_free(w);
}

static void test_definitions_come_and_go(void **state)
{
	struct world *w = world_new();

	(void)state;
	populate(w);
	world_start(w, false);
	pass(w, 10 * SEC);
	assert_null(kind(w, "widgets.a.io"));
	serve(w, WIDGETS, true);
	(void)put(w, WIDGETS, "shop", "one", "a");
	pass(w, 4 * SEC);
	assert_non_null(kind(w, "widgets.a.io"));
	assert_kept(w, "a new definition");
	/* A definition is there before it is served. */
	w->resources[GADGETS].served = false;
	(void)put(w, CRDS, "", "gadgets.b.io", "");
	pass(w, 3 * SEC);
	w->resources[GADGETS].served = true;
	(void)put(w, GADGETS, "", "g", "a");
	pass(w, 20 * SEC);
	assert_kept(w, "served late");
	serve(w, WIDGETS, false);
	pass(w, 5 * SEC);
	assert_null(kind(w, "widgets.a.io"));
	assert_int_equal(store_kind_find(w->store, STR("widgets.a.io")), 0);
	assert_kept(w, "a definition that went");
	assert_int_equal(collect_counters(w->collect).kinds_removed, 1);
	assert_int_equal(w->removes, 1);
	world_free(w);
}

/* A definition goes while nobody watches, and a new list is all that tells of it. */
static void test_a_definition_goes_unseen(void **state)
{
	struct world *w = world_new();

	(void)state;
	populate(w);
	world_start(w, false);
	pass(w, 10 * SEC);
	serve(w, WIDGETS, true);
	pass(w, 5 * SEC);
	assert_non_null(kind(w, "widgets.a.io"));
	w->gone = true;
	for (size_t i = 0; i < w->n_watches; i++)
		if (w->watches[i].resource == CRDS) {
			w->watches[i].open = false;
			reflector_end(w->watches[i].r, w->now, REFLECTOR_END_CLEAN, NULL);
		}
	serve(w, WIDGETS, false);
	pass(w, 8 * SEC);
	assert_false(w->gone);
	assert_null(kind(w, "widgets.a.io"));
	assert_kept(w, "a new list");
	world_free(w);
}

/* An aggregated API announces itself nowhere; a stale one keeps what it had. */
static void test_rounds_by_themselves(void **state)
{
	struct world *w = world_new();
	uint64_t rounds;

	(void)state;
	populate(w);
	world_start(w, false);
	pass(w, 10 * SEC);
	rounds = collect_counters(w->collect).rounds;
	w->resources[GADGETS].served = true;
	(void)put(w, GADGETS, "", "g", "a");
	pass(w, 13 * 60 * SEC);
	assert_in_range(collect_counters(w->collect).rounds, rounds + 1, rounds + 2);
	assert_kept(w, "by itself");
	w->discovery_down = true;
	pass(w, 30 * 60 * SEC);
	assert_true(collect_counters(w->collect).failed_rounds > 10);
	assert_true(collect_counters(w->collect).failed_rounds < 400);
	assert_kept(w, "discovery fails");
	w->discovery_down = false;
	w->resources[GADGETS].served = false;
	drop_all(w, GADGETS, NULL);
	pass(w, 2 * 60 * SEC);
	assert_null(kind(w, "gadgets.b.io"));
	world_free(w);
}

static void test_forbidden_costs_itself(void **state)
{
	struct world *w = world_new();

	(void)state;
	populate(w);
	w->resources[SECRETS].forbidden = true;
	world_start(w, false);
	pass(w, 4 * SEC);
	assert_int_equal(w->forbidden_told, 0); /* it may be a server that has just started */
	pass(w, 10 * 60 * SEC);
	assert_int_equal(w->forbidden_told, 1);
	assert_non_null(strstr(w->last_told, "secrets: "));
	assert_non_null(strstr(w->last_told, "no secrets for you"));
	assert_int_equal(kind(w, "secrets")->state, COLLECT_FORBIDDEN);
	assert_int_equal(kind(w, "pods")->state, COLLECT_SYNCED);
	assert_true(collect_synced(w->collect));
	w->resources[SECRETS].forbidden = false;
	pass(w, 60 * SEC);
	assert_int_equal(kind(w, "secrets")->state, COLLECT_SYNCED);
	assert_kept(w, "allowed again");
	world_free(w);
}

static struct collect_traffic traffic(const struct world *w, const char *name)
{
	uint32_t i = 0;

	while (!str_eq(collect_kind(w->collect, i).name, str_of(name)))
		assert_true(++i < collect_n_kinds(w->collect));
	return collect_traffic(w->collect, i);
}

static void test_namespaces_come_and_go(void **state)
{
	for (int with_core = 0; with_core < 2; with_core++) {
		struct world *w = world_new();
		struct collect_traffic before;
		unsigned adds;

		(void)state;
		populate(w);
		w->opts.each_namespace = true;
		world_start(w, with_core);
		pass(w, 10 * SEC);
		assert_kept(w, "first lists");
		adds = w->adds;
		(void)put(w, NAMESPACES, "", "lab", "");
		(void)put(w, SECRETS, "lab", "s", "");
		(void)put(w, PODS, "lab", "p", "");
		pass(w, 5 * SEC);
		assert_kept(w, "a new namespace");
		assert_int_equal(w->adds - adds, with_core ? 1 : 5);
		before = traffic(w, "secrets");
		assert_true(before.bytes > 0 && before.heard > 0 && before.held > 0);
		drop_all(w, -1, "shop");
		drop(w, find(w, NAMESPACES, "", "shop"));
		pass(w, 5 * SEC);
		assert_kept(w, "a namespace that went");
		assert_int_equal(w->removes, with_core ? 1 : 5);
		assert_int_equal(collect_counters(w->collect).namespaces, 2);
		/* What a watch has brought stays counted when it is no more. */
		assert_true(traffic(w, "secrets").bytes >= before.bytes);
		assert_true(traffic(w, "secrets").held < before.held);
		world_free(w);
	}
}

static void test_namespaces_by_label(void **state)
{
	for (int with_core = 0; with_core < 2; with_core++) {
		struct world *w = world_new();

		(void)state;
		populate(w);
		w->opts.namespace_selector = STR("team=a");
		world_start(w, with_core);
		pass(w, 10 * SEC);
		assert_kept(w, "first lists");
		(void)put(w, NAMESPACES, "", "pay", "a");
		pass(w, 10 * SEC);
		assert_kept(w, "chosen");
		(void)put(w, NAMESPACES, "", "shop", "b");
		pass(w, 10 * SEC);
		assert_kept(w, "not chosen any more");
		if (with_core)
			assert_int_equal(core_pods(w), 3);
		world_free(w);
	}
}

/* Objects that find no place cost themselves, and are told of with kind and name. */
static void test_bad_objects(void **state)
{
	struct world *w = world_new();
	char deep[400] = "";

	(void)state;
	populate(w);
	memset(deep, '[', 80);
	world_start(w, false);
	pass(w, 5 * SEC);
	for (size_t i = 0; i < w->n_watches; i++) {
		_buf_ struct buf b = {.max = 10000};

		if (w->watches[i].resource != NODES)
			continue;
		(void)buf_printf(&b,
				 "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"deep\","
				 "\"uid\":\"1\",\"resourceVersion\":\"900\"},\"spec\":%s",
				 deep);
		for (int n = 0; n < 80; n++)
			(void)buf_printf(&b, "]");
		(void)buf_printf(&b, "}}\n");
		assert_int_equal(reflector_data(w->watches[i].r, w->now, b.p, b.n), 0);
	}
	assert_int_equal(w->bad, 1);
	assert_non_null(strstr(w->last_bad, "nodes deep: "));
	assert_kept(w, "after it");
	world_free(w);
}

static void test_what_cannot_be_made(void **state)
{
	struct world *w = world_new();

	(void)state;
	populate(w);
	world_start(w, false);
	w->refuse_adds = true;
	pass(w, 5 * SEC);
	assert_true(collect_counters(w->collect).left_out >= 8);
	assert_int_equal(w->n_watches, 0);
	w->refuse_adds = false;
	pass(w, 60 * SEC);
	assert_kept(w, "made later");
	world_free(w);
}

static void test_resync(void **state)
{
	struct world *w = world_new();

	(void)state;
	populate(w);
	w->opts.resync_every = 600 * SEC;
	world_start(w, true);

	pass(w, 300 * SEC);
	assert_int_equal(w->lists, 8);
	pass(w, 400 * SEC);
	assert_int_equal(w->lists, 16);
	assert_kept(w, "listed anew");
	collect_resync(w->collect, w->now, 10 * SEC);
	pass(w, 20 * SEC);
	assert_int_equal(w->lists, 24);
	/* More often from now on; then never. */
	collect_tune(w->collect, &w->opts.watch, 60 * SEC, w->now);
	pass(w, 70 * SEC);
	assert_int_equal(w->lists, 32);
	collect_tune(w->collect, &w->opts.watch, 0, w->now);
	pass(w, 70 * SEC);
	assert_int_equal(w->lists, 32);
	assert_int_equal(collect_counters(w->collect).watches, 8);
	world_free(w);
}

static void test_options_that_are_refused(void **state)
{
	static const struct str bad_path[] = {STR(".spec[")};
	const struct collect_index index = {STR("pods"), bad_path, 1};
	static const struct {
		const char *selector, *says;
	} cases[] = {{"a in", "not understood"}, {"", ".spec["}};
	static const struct {
		struct str text;
		const char *says;
	} fields[] = {{STR("pods=.spec.a"), "must be RESOURCE=JSONPATH=VALUE"},
		      {STR("pods"), "must be RESOURCE=JSONPATH=VALUE"},
		      {STR("pods==a"), "must be RESOURCE=JSONPATH=VALUE"},
		      {STR("pods=.spec[=a"), "must be RESOURCE=JSONPATH=VALUE"},
		      {STR("pods=.spec..=a"), "--field-selector pods: "}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *w = world_new();
		_buf_ struct buf error = {.max = 2000};

		w->opts.namespace_selector = str_of(cases[i].selector);
		w->opts.indexes = &index;
		w->opts.n_indexes = 1;
		assert_int_equal(collect_new(&w->opts, &w->collect, &error), -EINVAL);
		assert_non_null(memmem(error.p, error.n, cases[i].says, strlen(cases[i].says)));
		world_free(w);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		struct world *w = world_new();
		_buf_ struct buf error = {.max = 2000};

		w->opts.field_selectors = (struct collect_names){&fields[i].text, 1};
		assert_int_equal(collect_new(&w->opts, &w->collect, &error), -EINVAL);
		assert_non_null(memmem(error.p, error.n, fields[i].says, strlen(fields[i].says)));
		world_free(w);
	}
}

/* What a field's value is compared with, and where an expression ends. */
static void test_fields(void **state)
{
	static const struct {
		const char *text;
		bool yes;
	} cases[] = {
		{"pods=.spec.a=x", true},
		{"pods=.spec.a=y", false},
		{"pods=.spec.n=3", true},
		{"pods=.spec.yes=true", true},
		{"pods=.spec.no=false", true},
		{"pods=.spec.none=", false},
		{"pods=.spec.empty=", true},
		{"pods=.spec.null=", false},
		{"pods=.spec.list=1", false},
		{"pods=.spec.list[1]=2", true},
		{"pods=.spec['a=b']=c=d", true},
		{"pods=.spec.c[?(@.t==\"R\")].s=on", true},
		{"pods=.spec.c[?(@.t=='Q')].s=on", false},
	};
	static const char json[] =
		"{\"spec\":{\"a\":\"x\",\"n\":3,\"yes\":true,\"no\":false,\"empty\":\"\",\"null\":"
		"null,"
		"\"list\":[1,2],\"a=b\":\"c=d\",\"c\":[{\"t\":\"R\",\"s\":\"on\"}]}}";
	struct arena a;
	struct tree *t;

	(void)state;
	arena_init(&a, 1 << 16);
	assert_int_equal(tree_parse(&a, str_of(json), &t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct field_selector *s;
		_buf_ struct buf error = {.max = 2000};

		assert_int_equal(field_selector_new(str_of(cases[i].text), &s, &error), 0);
		assert_true(field_selector_is_of(s, STR(""), STR("pods")));
		assert_false(field_selector_is_of(s, STR("apps"), STR("deployments")));
		if (field_selector_match(s, t) != cases[i].yes)
			fail_msg("%s", cases[i].text);
		field_selector_free(&s);
	}
	arena_done(&a);
}

/* ---- memory ------------------------------------------------------------------------------------
 */

/* Making and joining with each allocation failing. What fails later is tried again, see above. */
static int make_and_join(void *ctx)
{
	struct world *w = ctx;
	_buf_ struct buf error = {.max = 1000};
	struct store *store = NULL;
	struct collect *c = NULL;
	const struct store_opts so = {0};
	int r = store_new(&so, &store);

	w->opts.store = store;
	w->opts.redact = w->redact;
	w->opts.namespace_selector = STR("a=b");
	if (r == 0)
		r = collect_new(&w->opts, &c, &error);
	if (r == 0)
		r = collect_join(c, NULL, w->now, &error);
	if (r == 0)
		(void)collect_tick(c, w->now);
	while (w->n_watches)
		w->n_watches--;
	memset(w->gets, 0, sizeof(w->gets));
	collect_free(&c);
	store_free(&store);
	return r;
}

static void test_without_memory(void **state)
{
	const struct redact_opts ro = {0};
	_buf_ struct buf error = {.max = 1000};
	struct world *w = world_new();

	(void)state;
	assert_int_equal(redact_new(&ro, &w->redact, &error), 0);
	assert_int_equal(torture_run(make_and_join, w), 0);
	world_free(w);
}

/* ---- at random ---------------------------------------------------------------------------------
 */

static const char *const all_ns[] = {"shop", "pay", "kube-system", "lab", "dev"};
static const char *const teams[] = {"", "a", "b"};

static void remove_namespace(struct world *w, const char *ns)
{
	struct object_of *o;

	drop_all(w, -1, ns);
	o = find(w, NAMESPACES, "", ns);
	if (o)
		drop(w, o);
}

static void cut_one(struct world *w, struct rng *g)
{
	struct served_watch *v = &w->watches[rng_below(g, w->n_watches)];

	if (!v->open)
		return;
	v->open = false;
	reflector_end(v->r, w->now, rng_below(g, 2) ? REFLECTOR_END_CLEAN : REFLECTOR_END_CUT,
		      "cut");
}

static void something_happens(struct world *w, struct rng *g)
{
	static const int of_ns[] = {PODS, REPLICASETS, SECRETS, WIDGETS, LEASES};
	const char *ns = all_ns[rng_below(g, ARRAY_SIZE(all_ns))];
	const char *team = teams[rng_below(g, ARRAY_SIZE(teams))];
	const int some = of_ns[rng_below(g, ARRAY_SIZE(of_ns))];
	char name[8];

	(void)snprintf(name, sizeof(name), "o%u", (unsigned)rng_below(g, 4));
	switch (rng_below(g, 12)) {
	case 0:
		(void)put(w, NAMESPACES, "", ns, team);
		break;
	case 1:
		remove_namespace(w, ns);
		break;
	case 2:
		serve(w, rng_below(g, 2) ? WIDGETS : GADGETS, rng_below(g, 2));
		break;
	case 3:
		w->resources[some].forbidden = rng_below(g, 3) == 0;
		break;
	case 4:
		if (w->n_watches)
			cut_one(w, g);
		break;
	case 5:
		w->discovery_down = rng_below(g, 3) == 0;
		break;
	case 6:
		if (w->resources[GADGETS].served)
			(void)put(w, GADGETS, "", name, team);
		break;
	case 7:
		(void)put(w, NODES, "", name, team);
		break;
	case 8:
		if (find(w, some, ns, name))
			drop(w, find(w, some, ns, name));
		break;
	default:
		if (w->resources[some].served && find(w, NAMESPACES, "", ns))
			(void)put(w, some, ns, name, team);
	}
}

static void calm(struct world *w)
{
	for (int i = 0; i < N_RESOURCES; i++)
		w->resources[i].forbidden = false;
	w->discovery_down = false;
	pass(w, 3 * 60 * SEC);
}

static void assert_all_synced(struct world *w, const char *when)
{
	for (uint32_t i = 0; i < collect_n_kinds(w->collect); i++) {
		const struct collect_kind k = collect_kind(w->collect, i);

		if (k.state != COLLECT_SYNCED)
			fail_msg("%s: %.*s is %s: %s", when, STR_ARG(k.name),
				 collect_state_name(k.state), k.text);
	}
	assert_true(collect_synced(w->collect));
}

static void test_random(void **state)

{
	static const struct str two[] = {STR("shop"), STR("kube-system")};
	static const struct str field = STR("pods=.metadata.labels['team']=a");

	(void)state;
	for (unsigned seed = 0; seed < 200; seed++) {
		struct world *w = world_new();
		struct rng g;
		char when[40];

		rng_seed(&g, seed);
		populate(w);
		switch (seed % 6) {
		case 1:
			w->opts.each_namespace = true;
			break;
		case 2:
			w->opts.namespace_selector = STR("team=a");
			break;
		case 3:
			w->opts.namespaces = (struct collect_names){two, 2};
			break;
		case 5:
			w->opts.field_selectors = (struct collect_names){&field, 1};
			break;
		case 4:
			w->opts.resource_selector = STR("team=a");
			break;
		default:
			break;
		}
		w->opts.seed = seed;
		world_start(w, seed % 2);
		for (int i = 0; i < 300; i++) {
			something_happens(w, &g);
			if (rng_below(&g, 3) == 0)
				pass(w, rng_below(&g, 3 * SEC));
			if (i % 100 == 99) {
				calm(w);
				(void)snprintf(when, sizeof(when), "seed %u, step %d", seed, i);
				assert_kept(w, when);
				assert_all_synced(w, when);
			}
		}
		world_free(w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_metadata_alone),
		cmocka_unit_test(test_tapped),
		cmocka_unit_test(test_definitions_come_and_go),
		cmocka_unit_test(test_a_definition_goes_unseen),
		cmocka_unit_test(test_rounds_by_themselves),
		cmocka_unit_test(test_forbidden_costs_itself),
		cmocka_unit_test(test_namespaces_come_and_go),
		cmocka_unit_test(test_namespaces_by_label),
		cmocka_unit_test(test_bad_objects),
		cmocka_unit_test(test_what_cannot_be_made),
		cmocka_unit_test(test_resync),
		cmocka_unit_test(test_options_that_are_refused),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_without_memory),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests_name("core/collect", tests, NULL, NULL);
}
