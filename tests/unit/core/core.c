/*
 * The parts joined: late owners, a full waiting room, a full inventory, owners
 * that change; from bodies of an API server to the reference reducer, in virtual
 * time.
 */
#include "core/core.h"

#include "base/mem.h"
#include "reducer/ingest.h"
#include "tests/lib/gen.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEC	  NSEC_PER_SEC
#define WALL_AT_0 (1795197283ULL * SEC)
enum { PODS, REPLICASETS, JOBS }; /* the watches, in the order of the watch set */
enum { AS_REPLICASET = 0, AS_DEPLOYMENT, AS_JOB, AS_CRONJOB, AS_NOBODY = 254, AS_OTHER = 255 };

struct world {
	struct core *core;
	struct reducer_table *table;
	struct ingest *ingest;
	nsec_t now;
	uint64_t rv, epochs, errors;
	unsigned int full, room, refusals, asked;
	bool changed; /* the session may have something to say */
};

static nsec_t clock_of(void *ctx)
{
	return ((struct world *)ctx)->now;
}

static void on_changed(void *ctx)
{
	((struct world *)ctx)->changed = true;
}

static void on_full(void *ctx, bool full)
{
	struct world *w = ctx;

	w->full += full;
	w->room += !full;
}

static void on_watches_asked(void *ctx)
{
	((struct world *)ctx)->asked++;
}

static void on_owner_refused(void *ctx, const char *text)
{
	assert_true(text[0]);
	((struct world *)ctx)->refusals++;
}

static const struct core_ops ops = {.changed = on_changed,
				    .full = on_full,
				    .watches_asked = on_watches_asked,
				    .owner_refused = on_owner_refused};

static void on_effect(void *arg, const struct ingest_effect *e)
{
	struct world *w = arg;

	w->epochs += e->type == INGEST_RESYNC;
	w->errors += e->type == INGEST_ERROR;
	if (e->type == INGEST_ERROR)
		print_message("the reducer says: %s\n", e->error);
}

static void world_init(struct world *w, struct core_opts o)
{
	const struct reducer_table_opts t = {0};
	struct ingest_opts in = {.number = 1, .hook = on_effect, .arg = w};

	*w = (struct world){.now = 100 * SEC, .rv = 1000};
	o.watch.no_streaming = true;
	o.watch.page_size = 100000;
	o.inventory = inventory_defaults;
	if (!o.session.waiting.max)
		o.session.waiting.max = 10000;
	if (!o.session.waiting.timeout)
		o.session.waiting.timeout = 10 * SEC;
	o.session.hostname = STR("test");
	o.session.out_max = (size_t)4 << 20;
	o.clock = clock_of;
	o.clock_ctx = w;
	o.ops = &ops;
	o.ctx = w;
	assert_int_equal(core_new(&o, &w->core), 0);
	assert_int_equal(reducer_table_new(&t, &w->table), 0);
	in.table = w->table;
	assert_int_equal(ingest_new(&in, w->now, &w->ingest), 0);
	session_connected(core_session(w->core), w->now, WALL_AT_0 + w->now);
	w->changed = true;
}

static void world_done(struct world *w)
{
	assert_int_equal(w->errors, 0);
	core_free(&w->core);
	ingest_free(&w->ingest);
	reducer_table_free(&w->table);
}

static struct session_counters counters(struct world *w)
{
	struct session_counters c;

	session_counters(core_session(w->core), &c);
	return c;
}

/* The session says all it has to say now; as in the agent, when it is told of changes or is due. */
static void settle(struct world *w)
{
	struct session *s = core_session(w->core);
	int r;

	(void)core_tick(w->core, w->now);
	if (!w->changed && session_deadline(s) > w->now)
		return;
	w->changed = false;
	do {
		struct str out;

		r = session_run(s, w->now, WALL_AT_0 + w->now);
		out = session_output(s);
		assert_int_equal(ingest_push(w->ingest, out, w->now), 0);
		session_sent(s, out.n);
	} while (r > 0 || r == -EAGAIN);
	assert_int_equal(r, 0);
}

/* Time passes in steps of half a second. */
static void pass(struct world *w, nsec_t span)
{
	for (nsec_t end = w->now + span; w->now < end;) {
		w->now += MIN(end - w->now, SEC / 2);
		settle(w);
	}
}

/* ---- the API server -------------------------------------------------------------------------- */

static struct reflector *reflector(struct world *w, uint32_t i)
{
	return core_watch(w->core, i)->reflector;
}

/* The watch's next request, in good time. */
static struct reflector_request request(struct world *w, uint32_t i)
{
	struct reflector_request req;
	nsec_t at;

	for (int turn = 0; turn < 100; turn++) {
		enum reflector_action a = reflector_poll(reflector(w, i), w->now, &req, &at);

		if (a == REFLECTOR_START)
			return req;
		if (a == REFLECTOR_NONE && at > w->now) {
			assert_true(at != NSEC_NEVER);
			pass(w, at - w->now);
		}
	}
	fail_msg("no request");
	return req;
}

static void answer(struct world *w, uint32_t i, int status, struct str body)
{
	assert_int_equal(
		reflector_response(reflector(w, i), w->now, status, STR("application/json"), 0), 0);
	if (body.n)
		assert_true(reflector_data(reflector(w, i), w->now, body.p, body.n) <= 0);
}

static void serve_list_alone(struct world *w, uint32_t i, const struct gen_object *o, uint32_t n)
{
	const struct gen_object **all = calloc(n + 1, sizeof(*all));
	struct gen_list l = {.kind = "List", .api_version = "v1", .rv = ++w->rv, .cont = ""};
	_buf_ struct buf b;

	buf_init(&b, (size_t)64 << 20);
	assert_non_null(all);
	for (uint32_t k = 0; k < n; k++)
		all[k] = &o[k];
	l.metadata_only = i % 3 != PODS;
	assert_int_equal(gen_list(&l, all, n, &b), 0);
	free(all);
	assert_null(strstr(request(w, i).target, "watch=1"));
	answer(w, i, 200, buf_str(&b));
	reflector_end(reflector(w, i), w->now, REFLECTOR_END_CLEAN, NULL);
}

static void serve_watch(struct world *w, uint32_t i)
{
	assert_non_null(strstr(request(w, i).target, "watch=1"));
	answer(w, i, 200, (struct str){0});
}

static void serve_list(struct world *w, uint32_t i, const struct gen_object *o, uint32_t n)
{
	serve_list_alone(w, i, o, n);
	serve_watch(w, i);
}

static void serve_status(struct world *w, uint32_t i, int code, const char *reason)
{
	_buf_ struct buf b;

	buf_init(&b, 10000);
	assert_int_equal(gen_status(GEN_JSON, false, code, reason, "no", "", &b), 0);
	(void)request(w, i);
	answer(w, i, code, buf_str(&b));
	reflector_end(reflector(w, i), w->now, REFLECTOR_END_CLEAN, NULL);
}

static void event(struct world *w, uint32_t i, enum event_type type, struct gen_object *o)
{
	_buf_ struct buf b;

	buf_init(&b, 1 << 20);
	o->rv = ++w->rv;
	assert_int_equal(gen_event(o, GEN_JSON, i % 3 != PODS, type, false, &b), 0);
	assert_int_equal(reflector_data(reflector(w, i), w->now, b.p, b.n), 0);
	settle(w);
}

/* ---- objects --------------------------------------------------------------------------------- */

static void copy(char *to, const char *text)
{
	(void)snprintf(to, GEN_TEXT, "%s", text);
}

static struct gen_object object(enum kind kind, const char *api, const char *name, unsigned int uid)
{
	struct gen_object o = {.kind = kind, .rv = 1};

	copy(o.api_version, api);
	copy(o.kind_text, kind_name(kind));
	copy(o.ns, "shop");
	copy(o.name, name);
	(void)snprintf(o.uid, sizeof(o.uid), "%08x-0000-4000-8000-000000000000", uid);
	return o;
}

static void own(struct gen_object *o, const char *api, const char *kind, const char *name,
		unsigned int uid)
{
	o->has_owner = true;
	copy(o->owner.api_version, api);
	copy(o->owner.kind, kind);
	copy(o->owner.name, name);
	(void)snprintf(o->owner.uid, sizeof(o->owner.uid), "%08x-0000-4000-8000-000000000000", uid);
}

static struct gen_object pod(const char *name, unsigned int uid)
{
	struct gen_object o = object(KIND_POD, "v1", name, uid);

	o.phase = POD_PHASE_RUNNING;
	copy(o.node, "node-1");
	(void)snprintf(o.ips[0], sizeof(o.ips[0]), "10.%u.%u.%u", uid >> 16 & 255, uid >> 8 & 255,
		       uid & 255);
	o.n_containers = 1;
	(void)snprintf(o.containers[0].id, GEN_TEXT, "containerd://%064x", uid);
	(void)snprintf(o.containers[0].name, sizeof(o.containers[0].name), "app");
	copy(o.containers[0].image, "web:1");
	return o;
}

static struct gen_object rs_pod(unsigned int uid, unsigned int rs)
{
	struct gen_object o = pod("web-1-x", uid);

	own(&o, "apps/v1", "ReplicaSet", "web-1", rs);
	return o;
}

static struct gen_object replicaset(unsigned int uid)
{
	struct gen_object o = object(KIND_REPLICASET, "apps/v1", "web-1", uid);

	own(&o, "apps/v1", "Deployment", "web", 0xdddd);
	return o;
}

/* What the reducer has of a pod: "-" when it does not, else "KIND NAME". */
static const char *told(struct world *w, const struct gen_object *o)
{
	const struct reducer_pod *p = reducer_table_find(w->table, str_of(o->uid));
	static char text[200];

	if (!p)
		return "-";
	(void)snprintf(text, sizeof(text), "%d %.*s", p->owner_kind, STR_ARG(p->owner_name));
	return text;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void nothing_is_told_while_owners_are_late(void **state)
{
	struct gen_object pods[3] = {rs_pod(1, 100), pod("bare", 2), pod("backup-1-x", 3)};
	struct gen_object rs = replicaset(100);
	struct world w;

	(void)state;
	own(&pods[2], "batch/v1", "Job", "backup-1", 200);
	world_init(&w, (struct core_opts){0});
	serve_list(&w, PODS, pods, 3);
	settle(&w);
	assert_string_equal(told(&w, &pods[1]), "254 bare"); /* waits for nobody */
	pass(&w, 60 * SEC);
	assert_string_equal(told(&w, &pods[0]), "-");
	assert_int_equal(counters(&w).pods_new, 1);
	assert_false(core_synced(w.core));
	serve_list(&w, REPLICASETS, &rs, 1);
	settle(&w);
	assert_string_equal(told(&w, &pods[0]), "1 web");
	assert_string_equal(told(&w, &pods[2]), "-");
	pass(&w, 5 * SEC);
	serve_list(&w, JOBS, NULL, 0); /* the Job is not there: 10 s from now */
	pass(&w, 9 * SEC);
	assert_string_equal(told(&w, &pods[2]), "-");
	pass(&w, 2 * SEC);
	assert_string_equal(told(&w, &pods[2]), "2 backup-1");
	assert_int_equal(counters(&w).timeouts, 1);
	assert_int_equal(w.epochs, 1);
	assert_true(core_synced(w.core));
	world_done(&w);
}

static void a_kind_that_is_refused_counts_after_ten_seconds(void **state)
{
	struct gen_object p = rs_pod(1, 100), rs = replicaset(100);
	struct world w;
	nsec_t since;

	(void)state;
	world_init(&w, (struct core_opts){0});
	serve_list(&w, PODS, &p, 1);
	pass(&w, 5 * SEC);
	serve_status(&w, REPLICASETS, 403, "Forbidden");
	since = w.now;
	pass(&w, 19 * SEC);
	assert_string_equal(told(&w, &p), "-");
	pass(&w, 2 * SEC);
	assert_true(w.now >= since + 20 * SEC);
	assert_string_equal(told(&w, &p), "0 web-1");
	serve_list(&w, REPLICASETS, &rs, 1); /* granted at last */
	settle(&w);
	assert_string_equal(told(&w, &p), "1 web");
	assert_int_equal(w.epochs, 1);
	/* Refused again: what is known stays, new pods have their 10 s and no more. */
	reflector_relist(reflector(&w, REPLICASETS), w.now);
	serve_status(&w, REPLICASETS, 403, "Forbidden");
	settle(&w);
	assert_string_equal(told(&w, &p), "1 web");
	p = rs_pod(2, 101);
	event(&w, PODS, EVENT_ADDED, &p);
	assert_string_equal(told(&w, &p), "-");
	pass(&w, 11 * SEC);
	assert_string_equal(told(&w, &p), "0 web-1");
	world_done(&w);
}

static void a_short_refusal_is_none(void **state)
{
	struct gen_object p = rs_pod(1, 100), rs = replicaset(100);
	struct world w;

	(void)state;
	world_init(&w, (struct core_opts){0});
	serve_list(&w, PODS, &p, 1);
	serve_status(&w, REPLICASETS, 403, "Forbidden");
	pass(&w, 8 * SEC);
	serve_status(&w, REPLICASETS, 500, "InternalError"); /* no refusal: the 10 s end here */
	pass(&w, 60 * SEC);
	assert_string_equal(told(&w, &p), "-");
	serve_list(&w, REPLICASETS, &rs, 1);
	settle(&w);
	assert_string_equal(told(&w, &p), "1 web");
	assert_int_equal(counters(&w).timeouts, 0);
	world_done(&w);
}

static void one_pod_too_many_waits_and_one_resync_follows(void **state)
{
	enum { N = 10001 };
	struct gen_object *pods = calloc(N, sizeof(*pods)), rs = replicaset(100);
	unsigned int early = 0;
	struct world w;

	(void)state;
	assert_non_null(pods);
	for (unsigned int i = 0; i < N; i++)
		pods[i] = rs_pod(0x10000 + i, 100);
	world_init(&w, (struct core_opts){0});
	serve_list(&w, PODS, pods, N);
	settle(&w);
	for (unsigned int i = 0; i < N; i++)
		early += strcmp(told(&w, &pods[i]), "0 web-1") == 0;
	assert_int_equal(early, 1);
	assert_string_equal(told(&w, &pods[0]), "0 web-1"); /* the oldest */
	assert_int_equal(counters(&w).overflows, 1);
	assert_int_equal(counters(&w).waiting, N - 1);
	pass(&w, 30 * SEC);
	assert_int_equal(w.epochs, 1);
	serve_list(&w, REPLICASETS, &rs, 1);
	pass(&w, 10 * 60 * SEC);
	assert_int_equal(counters(&w).waiting, 0);
	assert_int_equal(w.epochs, 2);
	assert_int_equal(counters(&w).resyncs, 1);
	assert_int_equal(reducer_table_pods(w.table), N);
	for (unsigned int i = 0; i < N; i++)
		assert_string_equal(told(&w, &pods[i]), "1 web");
	world_done(&w);
	free(pods);
}

static void owners_change(void **state)
{
	struct gen_object p = rs_pod(1, 100), rs = replicaset(100), other = replicaset(101);
	struct world w;
	uint64_t sent;

	(void)state;
	world_init(&w, (struct core_opts){0});
	serve_list(&w, REPLICASETS, &rs, 1);
	serve_list(&w, JOBS, NULL, 0);
	serve_list(&w, PODS, &p, 1);
	settle(&w);
	assert_string_equal(told(&w, &p), "1 web");
	sent = counters(&w).pods_new;
	event(&w, REPLICASETS, EVENT_MODIFIED, &rs); /* nothing that is told has changed */
	event(&w, PODS, EVENT_MODIFIED, &p);
	assert_int_equal(counters(&w).pods_new, sent);
	rs.has_owner = false; /* deleted with --cascade=orphan */
	event(&w, REPLICASETS, EVENT_MODIFIED, &rs);
	assert_string_equal(told(&w, &p), "0 web-1");
	own(&rs, "apps/v1", "Deployment", "web2", 0xeeee); /* adopted by another */
	event(&w, REPLICASETS, EVENT_MODIFIED, &rs);
	assert_string_equal(told(&w, &p), "1 web2");
	event(&w, REPLICASETS, EVENT_DELETED, &rs); /* remembered while its pod is there */
	assert_string_equal(told(&w, &p), "1 web2");
	p.has_owner = false;
	event(&w, PODS, EVENT_MODIFIED, &p);
	assert_string_equal(told(&w, &p), "254 web-1-x");
	own(&p, "apps/v1", "ReplicaSet", "web-1", 101); /* adopted again; its owner comes later */
	event(&w, PODS, EVENT_MODIFIED, &p);
	assert_string_equal(told(&w, &p), "254 web-1-x");
	pass(&w, 5 * SEC);
	event(&w, REPLICASETS, EVENT_ADDED, &other);
	assert_string_equal(told(&w, &p), "1 web");
	assert_int_equal(counters(&w).timeouts, 0);
	event(&w, PODS, EVENT_DELETED, &p);
	assert_string_equal(told(&w, &p), "-");
	world_done(&w);
}

/* What it waited for cannot be read for good: that must not hold it when it is adopted. */
static void a_waiting_pod_is_adopted(void **state)
{
	struct gen_object p = pod("backup-1-x", 1), q = pod("other", 2);
	struct world w;

	(void)state;
	own(&p, "batch/v1", "Job", "backup-1", 200);
	world_init(&w, (struct core_opts){0});
	serve_list(&w, REPLICASETS, NULL, 0);
	serve_list(&w, PODS, &p, 1);
	pass(&w, 60 * SEC); /* Jobs are not listed yet */
	assert_string_equal(told(&w, &p), "-");
	own(&p, "apps/v1", "ReplicaSet", "web-1", 100);
	event(&w, PODS, EVENT_MODIFIED, &p);
	pass(&w, 9 * SEC);
	assert_string_equal(told(&w, &p), "-");
	pass(&w, 2 * SEC);
	assert_string_equal(told(&w, &p), "0 web-1");
	event(&w, PODS, EVENT_ADDED, &q);
	assert_string_equal(told(&w, &q), "254 other");
	world_done(&w);
}

/* A pod that came and went while it waited has its address only in the DELETED event. */
static void a_deleted_event_brings_the_last_state(void **state)
{
	struct gen_object p = pod("short", 1), rs = replicaset(100);
	struct world w;
	struct inventory_stats s;

	(void)state;
	world_init(&w, (struct core_opts){0});
	serve_list(&w, REPLICASETS, &rs, 1);
	serve_list(&w, PODS, NULL, 0);
	settle(&w);
	event(&w, PODS, EVENT_DELETED, &p);
	assert_string_equal(told(&w, &p), "-");
	assert_int_equal(counters(&w).came_and_went, 1);
	inventory_stats(core_inventory(w.core), &s);
	assert_int_equal(s.owners, 2); /* and its Deployment, by name alone */
	event(&w, REPLICASETS, EVENT_DELETED, &rs);
	inventory_stats(core_inventory(w.core), &s);
	assert_int_equal(s.owners, 0);
	world_done(&w);
}

static void a_relist_of_the_same_tells_nothing(void **state)
{
	struct gen_object p = rs_pod(1, 100), rs = replicaset(100);
	struct world w;

	(void)state;
	for (int resync = 0; resync < 2; resync++) {
		uint64_t sent;

		world_init(&w, (struct core_opts){.resync_on_relist = resync});
		serve_list(&w, REPLICASETS, &rs, 1);
		serve_list(&w, PODS, &p, 1);
		settle(&w);
		assert_int_equal(w.epochs, 1); /* the first list is none */
		sent = counters(&w).pods_new;
		reflector_relist(reflector(&w, PODS), w.now);
		serve_list(&w, PODS, &p, 1);
		reflector_relist(reflector(&w, REPLICASETS), w.now);
		serve_list(&w, REPLICASETS, &rs, 1);
		settle(&w);
		assert_int_equal(w.epochs, 1 + resync);
		assert_int_equal(counters(&w).pods_new, sent + (uint64_t)resync);
		world_done(&w);
	}
}

static void a_full_inventory_pauses_then_refuses_then_lists_anew(void **state)
{
	enum { N = 3000 };
	struct gen_object *pods = calloc(N + 1, sizeof(*pods));
	struct core_opts o = {0};
	struct world w;
	uint64_t refused;

	(void)state;
	assert_non_null(pods);
	for (unsigned int i = 0; i <= N; i++)
		pods[i] = pod("bare", 0x10000 + i);
	o.max_bytes = 300000; /* less than they need */
	world_init(&w, o);
	serve_list(&w, REPLICASETS, NULL, 0);
	serve_list(&w, JOBS, NULL, 0);
	serve_list_alone(&w, PODS, pods, N); /* one body: what is left of it is not kept */
	assert_true(inventory_used(core_inventory(w.core)) > o.max_bytes);
	assert_true(inventory_used(core_inventory(w.core)) < o.max_bytes + o.max_bytes / 10);
	assert_int_equal(w.full, 1); /* at once, not at the next tick */
	refused = core_counters(w.core)->refused_objects;
	assert_true(refused > 0);
	settle(&w);
	assert_int_equal(w.asked, 1); /* the shell stops the sockets */
	assert_true(reflector_paused(reflector(&w, PODS)));
	assert_false(reflector_paused(reflector(&w, REPLICASETS)));
	pass(&w, 29 * SEC);
	assert_true(reflector_paused(reflector(&w, PODS)));
	pass(&w, 2 * SEC);	      /* a paused watch would miss deletions for ever */
	assert_int_equal(w.asked, 2); /* and lets them go on */
	assert_false(reflector_paused(reflector(&w, PODS)));
	serve_watch(&w, PODS);
	event(&w, PODS, EVENT_ADDED, &pods[N]);
	assert_string_equal(told(&w, &pods[N]), "-");
	assert_int_equal(core_counters(w.core)->refused_objects, refused + 1);
	own(&pods[0], "apps/v1", "StatefulSet", "db", 300); /* a known one is kept in step */
	event(&w, PODS, EVENT_MODIFIED, &pods[0]);
	assert_string_equal(told(&w, &pods[0]), "255 db");
	event(&w, PODS, EVENT_DELETED, &pods[1]);
	assert_string_equal(told(&w, &pods[1]), "-");
	assert_int_equal(w.room, 0);
	/* Most pods go, and their time to linger. */
	for (unsigned int i = 2; i < N; i++)
		event(&w, PODS, EVENT_DELETED, &pods[i]);
	pass(&w, 125 * SEC);
	print_message("%u pods of %d are left in %zu bytes\n", reducer_table_pods(w.table), N,
		      inventory_bytes(core_inventory(w.core)));
	assert_int_equal(w.room, 1);
	assert_false(reflector_paused(reflector(&w, PODS)));
	pods[1] = pods[N];
	serve_list(&w, PODS, pods, 2); /* asked for anew: the refused one comes */
	settle(&w);
	assert_string_equal(told(&w, &pods[N]), "254 bare");
	assert_int_equal(core_counters(w.core)->full, 1);
	world_done(&w);
	free(pods);
}

/* ---- owners read one by one ------------------------------------------------------------------ */

/* Serves the next read of an owner; its target. */
static const char *serve_owner(struct world *w, int status, const struct gen_object *o)
{
	struct owners *owners = core_owners(w->core);
	static char target[300];
	struct owners_request req;
	_buf_ struct buf b;
	nsec_t at;

	buf_init(&b, 10000);
	if (o)
		assert_int_equal(gen_object(o, GEN_JSON, true, &b), 0);
	else
		assert_int_equal(gen_status(GEN_JSON, false, status, "NotFound", "gone", "", &b),
				 0);
	while (owners_poll(owners, w->now, &req, &at) != REFLECTOR_START) {
		assert_true(at != NSEC_NEVER);
		pass(w, MAX(at, w->now) - w->now);
	}
	(void)snprintf(target, sizeof(target), "%s", req.target);
	assert_int_equal(
		owners_response(owners, w->now, req.id, status, STR("application/json"), 0), 0);
	(void)owners_data(owners, w->now, req.id, b.p, b.n);
	owners_end(owners, w->now, req.id, REFLECTOR_END_CLEAN, NULL);
	settle(w);
	return target;
}

static void a_node_reads_its_owners_one_by_one(void **state)
{
	struct gen_object p = rs_pod(1, 100), q = rs_pod(2, 101), rs = replicaset(100);
	struct core_opts o = {.scope.node_name = "node-1"};
	struct world w;

	(void)state;
	world_init(&w, o);
	assert_int_equal(core_n_watches(w.core), 1);
	serve_list(&w, PODS, &p, 1);
	settle(&w);
	assert_string_equal(told(&w, &p), "-");
	assert_string_equal(serve_owner(&w, 200, &rs),
			    "/apis/apps/v1/namespaces/shop/replicasets/web-1?resourceVersion=0");
	assert_string_equal(told(&w, &p), "1 web");
	event(&w, PODS, EVENT_ADDED, &q); /* the name belongs to another object now */
	assert_string_equal(told(&w, &q), "-");
	(void)serve_owner(&w, 404, NULL);
	(void)serve_owner(&w, 404, NULL); /* asked again, past the cache */
	assert_string_equal(told(&w, &q), "0 web-1");
	assert_int_equal(counters(&w).timeouts, 0);
	/* An answer older than 10 minutes is asked for again on an event of its pod. */
	rs.has_owner = false;
	pass(&w, 601 * SEC);
	event(&w, PODS, EVENT_MODIFIED, &p);
	(void)serve_owner(&w, 200, &rs);
	assert_string_equal(told(&w, &p), "0 web-1");
	event(&w, PODS, EVENT_DELETED, &p);
	event(&w, PODS, EVENT_DELETED, &q);
	pass(&w, 130 * SEC);
	assert_int_equal(owners_known(core_owners(w.core)), 0); /* dropped with their last pod */
	world_done(&w);
}

/* Its pods are told with the owner that they name, once the refusal has lasted, and not later. */
static void a_node_may_not_read_its_owners(void **state)
{
	struct gen_object p = rs_pod(1, 100);
	struct core_opts o = {.scope.node_name = "node-1"};
	struct world w;

	(void)state;
	o.session.waiting.timeout = 60 * SEC;
	world_init(&w, o);
	serve_list(&w, PODS, &p, 1);
	settle(&w);
	for (int i = 0; i < 100 && !w.refusals; i++)
		(void)serve_owner(&w, 403, NULL);
	assert_int_equal(w.refusals, 1);
	assert_string_equal(told(&w, &p), "0 web-1");
	assert_int_equal(counters(&w).timeouts, 0);
	world_done(&w);
}

static void listed_kinds_are_read_in_the_cluster_too(void **state)
{
	const struct str follow[] = {STR("db.example.com/Cluster")};
	struct gen_object p = pod("db-0", 1),
			  up = object(KIND_OTHER, "db.example.com/v1", "db", 50),
			  top = object(KIND_OTHER, "db.example.com/v1", "main", 51);
	static const char resources[] =
		"{\"kind\":\"APIResourceList\",\"groupVersion\":\"db.example.com/v1\","
		"\"resources\":[{\"name\":\"clusters\",\"kind\":\"Cluster\",\"namespaced\":true}]}";
	struct core_opts o = {.session.policy = {.follow = follow, .n_follow = 1}};
	struct owners_request req;
	struct world w;
	nsec_t at;

	(void)state;
	own(&p, "db.example.com/v1", "Cluster", "db", 50);
	own(&up, "db.example.com/v1", "Cluster", "main", 51);
	own(&top, "fleet.example.com/v1", "Fleet", "all", 52);
	copy(up.kind_text, "Cluster");
	world_init(&w, o);
	serve_list(&w, PODS, &p, 1);
	settle(&w);
	assert_int_equal(owners_poll(core_owners(w.core), w.now, &req, &at), REFLECTOR_START);
	assert_string_equal(req.target, "/apis/db.example.com/v1");
	assert_int_equal(owners_response(core_owners(w.core), w.now, req.id, 200,
					 STR("application/json"), 0),
			 0);
	(void)owners_data(core_owners(w.core), w.now, req.id, resources, sizeof(resources) - 1);
	owners_end(core_owners(w.core), w.now, req.id, REFLECTOR_END_CLEAN, NULL);
	assert_string_equal(
		serve_owner(&w, 200, &up),
		"/apis/db.example.com/v1/namespaces/shop/clusters/db?resourceVersion=0");
	assert_string_equal(told(&w, &p), "-"); /* the owner's owner is of that kind, too */
	(void)serve_owner(&w, 200, &top);
	assert_string_equal(told(&w, &p), "255 all");
	world_done(&w);
}

static void each_namespace_fails_alone(void **state)
{
	const struct str spaces[] = {STR("shop"), STR("lab")};
	struct core_opts o = {.scope = {.namespaces = spaces, .n_namespaces = 2}};
	struct gen_object p = rs_pod(1, 100), q = rs_pod(2, 101), rs = replicaset(100);
	struct world w;

	(void)state;
	copy(q.ns, "lab");
	world_init(&w, o);
	assert_int_equal(core_n_watches(w.core), 6);
	for (uint32_t i = 0; i < 6; i++) {
		const struct core_watch *c = core_watch(w.core, i);
		bool shop = str_eq(c->ns, STR("shop"));

		if (c->kind == KIND_POD) {
			_buf_ struct buf b;
			const struct gen_object *one = shop ? &p : &q;
			struct gen_list l = {
				.kind = "PodList", .api_version = "v1", .rv = 5, .cont = ""};

			buf_init(&b, 100000);
			assert_int_equal(gen_list(&l, &one, 1, &b), 0);
			(void)request(&w, i);
			answer(&w, i, 200, buf_str(&b));
			reflector_end(c->reflector, w.now, REFLECTOR_END_CLEAN, NULL);
		} else if (c->kind == KIND_REPLICASET && !shop) {
			serve_status(&w, i, 403, "Forbidden");
		}
	}
	pass(&w, 21 * SEC);
	assert_string_equal(told(&w, &q), "0 web-1"); /* lab: refused, then waited */
	assert_string_equal(told(&w, &p), "-");	      /* shop: only late */
	for (uint32_t i = 0; i < 6; i++)
		if (core_watch(w.core, i)->kind == KIND_REPLICASET &&
		    str_eq(core_watch(w.core, i)->ns, STR("shop"))) {
			_buf_ struct buf b;
			const struct gen_object *one = &rs;
			struct gen_list l = {.kind = "List",
					     .api_version = "v1",
					     .metadata_only = true,
					     .rv = 5,
					     .cont = ""};

			buf_init(&b, 100000);
			assert_int_equal(gen_list(&l, &one, 1, &b), 0);
			(void)request(&w, i);
			answer(&w, i, 200, buf_str(&b));
			reflector_end(reflector(&w, i), w.now, REFLECTOR_END_CLEAN, NULL);
		}
	settle(&w);
	assert_string_equal(told(&w, &p), "1 web");
	world_done(&w);
}

/* ---- a tap ----------------------------------------------------------------------------------- */

struct tapped {
	unsigned int begins, ends, objects, deleted, states, bad;
	struct str last; /* a copy */
	char text[8192];
	uint32_t index;
};

static bool tap_wants(void *ctx, enum kind kind, bool *ret_whole)
{
	(void)ctx;
	*ret_whole = kind == KIND_REPLICASET;
	return kind != KIND_JOB;
}

static void tap_begin(void *ctx, const struct core_watch *w)
{
	((struct tapped *)ctx)->begins++;
	assert_true(w->tapped);
}

static void tap_object(void *ctx, const struct core_watch *w, enum event_type type,
		       const struct object *o)
{
	struct tapped *t = ctx;

	t->objects++;
	t->deleted += type == EVENT_DELETED;
	t->index = w->index;
	assert_true(o->raw.n > 2 && o->raw.n < sizeof(t->text));
	memcpy(t->text, o->raw.p, o->raw.n);
	t->last = str_make(t->text, o->raw.n);
	assert_int_equal(t->text[0], '{');
	assert_int_equal(t->text[o->raw.n - 1], '}');
}

static void tap_end(void *ctx, const struct core_watch *w)
{
	((struct tapped *)ctx)->ends++;
	assert_true(w->tapped);
}

static void tap_state(void *ctx, const struct core_watch *w, const struct reflector_status *s)
{
	((struct tapped *)ctx)->states++;
	assert_true(w->tapped);
	assert_non_null(s);
}

static void tap_bad(void *ctx, const struct core_watch *w, enum decode_bad why, struct str name)
{
	((struct tapped *)ctx)->bad++;
	assert_true(w->tapped);
	(void)why;
	(void)name;
}

static const struct core_tap tap = {.wants = tap_wants,
				    .list_begin = tap_begin,
				    .object = tap_object,
				    .list_end = tap_end,
				    .state = tap_state,
				    .bad_object = tap_bad};

/* Whole objects come by, and what the reducer is told is the same as without. */
static void a_tap_hears_and_changes_nothing(void **state)
{
	struct gen_object pods[2] = {rs_pod(1, 100), pod("bare", 2)}, rs = replicaset(100);
	struct session_counters plain, with;

	(void)state;
	for (int tapped = 0; tapped < 2; tapped++) {
		struct tapped t = {0};
		struct core_opts o = {.tap = tapped ? &tap : NULL, .tap_ctx = &t};
		struct world w;

		world_init(&w, o);
		assert_int_equal(core_watch(w.core, REPLICASETS)->tapped, tapped);
		assert_false(core_watch(w.core, JOBS)->tapped);
		if (tapped) {
			assert_string_equal(request(&w, PODS).accept, "application/json");
			reflector_end(reflector(&w, PODS), w.now, REFLECTOR_END_ABORTED, NULL);
			assert_string_equal(request(&w, REPLICASETS).accept, "application/json");
			reflector_end(reflector(&w, REPLICASETS), w.now, REFLECTOR_END_ABORTED,
				      NULL);
			assert_non_null(strstr(request(&w, JOBS).accept, "PartialObjectMetadata"));
			reflector_end(reflector(&w, JOBS), w.now, REFLECTOR_END_ABORTED, NULL);
		}
		serve_list(&w, PODS, pods, 2);
		assert_int_equal(t.objects, tapped ? 2 : 0);
		serve_list(&w, REPLICASETS, &rs, 1);
		serve_list(&w, JOBS, NULL, 0);
		settle(&w);
		assert_int_equal(t.begins, tapped ? 2 : 0);
		assert_int_equal(t.ends, tapped ? 2 : 0);
		assert_true(!tapped || t.states > 0);
		assert_true(!tapped || t.index == REPLICASETS);
		event(&w, PODS, EVENT_MODIFIED, &pods[1]);
		event(&w, PODS, EVENT_DELETED, &pods[0]);
		assert_int_equal(t.objects, tapped ? 5 : 0);
		assert_int_equal(t.deleted, tapped ? 1 : 0);
		assert_string_equal(told(&w, &pods[0]), "-");
		assert_string_equal(told(&w, &pods[1]), "254 bare");
		if (tapped)
			assert_non_null(memmem(t.last.p, t.last.n, pods[0].uid, 36));
		*(tapped ? &with : &plain) = counters(&w);
		world_done(&w);
	}
	assert_int_equal(plain.pods_new, with.pods_new);
	assert_int_equal(plain.containers, with.containers);
	assert_int_equal(plain.deletes, with.deletes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_told_while_owners_are_late),
		cmocka_unit_test(a_kind_that_is_refused_counts_after_ten_seconds),
		cmocka_unit_test(a_short_refusal_is_none),
		cmocka_unit_test(one_pod_too_many_waits_and_one_resync_follows),
		cmocka_unit_test(owners_change),
		cmocka_unit_test(a_waiting_pod_is_adopted),
		cmocka_unit_test(a_deleted_event_brings_the_last_state),
		cmocka_unit_test(a_relist_of_the_same_tells_nothing),
		cmocka_unit_test(a_full_inventory_pauses_then_refuses_then_lists_anew),
		cmocka_unit_test(a_node_reads_its_owners_one_by_one),
		cmocka_unit_test(a_node_may_not_read_its_owners),
		cmocka_unit_test(listed_kinds_are_read_in_the_cluster_too),
		cmocka_unit_test(a_tap_hears_and_changes_nothing),
		cmocka_unit_test(each_namespace_fails_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
