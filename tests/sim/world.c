/*
 * The phases of a run: trouble (things happen in the cluster, requests fail,
 * streams are cut, the reducer goes away and hangs), then rest (faults stop), then
 * the comparison: what the reducer holds must be a function of what the API
 * server holds. While at rest nothing may be sent but heartbeats.
 */
#include "tests/sim/world.h"

#include "base/mem.h"
#include "core/core.h"
#include "reducer/ingest.h"
#include "tests/sim/apiserver.h"
#include "tests/sim/expect.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START	  (100 * NSEC_PER_SEC)
#define WALL_AT_0 (1795197283ULL * NSEC_PER_SEC)
#define MAX_TURNS 4000000		   /* a run that needs more is stuck */
#define SETTLE	  (12 * 60 * NSEC_PER_SEC) /* a silent watch without bookmarks lasts 10 minutes */
#define OWNER_AGE (11 * 60 * NSEC_PER_SEC) /* a node agent reads owners again after 10 minutes */

struct world {
	uint64_t seed;
	bool verbose, failed;
	nsec_t now;
	struct rng rng;
	struct cluster cluster;
	struct apiserver server;
	struct budget budget;
	struct core *core;
	struct xfer watches[_SIM_KIND_MAX * CLUSTER_SPACES], reads[OWNERS_MAX_PARALLEL];
	struct expect_scope scope;
	nsec_t timeout; /* of pods that wait */
	/* the reducer's side */
	struct reducer_table *table;
	struct ingest *ingest;
	uint32_t connections;
	nsec_t connect_at, hang_until, run_at;
	/* the phase */
	nsec_t step_at, calm_at;
	bool calm;
};

static uint32_t pick(struct world *w, uint32_t n)
{
	return (uint32_t)rng_below(&w->rng, n);
}

static nsec_t clock_of(void *ctx)
{
	return ((struct world *)ctx)->now;
}

/* The ReplicaSets of the pod's namespace were listed once, or were refused for 10 s. */
static bool readable(struct world *w, const struct reducer_pod *p)
{
	for (uint32_t i = 0; i < core_n_watches(w->core); i++) {
		const struct core_watch *k = core_watch(w->core, i);
		struct reflector_status st = reflector_status(k->reflector);

		if (k->kind != KIND_REPLICASET || (!str_empty(k->ns) && !str_eq(k->ns, p->ns)))
			continue;
		return st.ever_synced ||
		       (st.health == REFLECTOR_FORBIDDEN && w->now >= st.since + 10 * NSEC_PER_SEC);
	}
	return false;
}

/* A slow start never announces ReplicaSets that soon become Deployments: a pod whose ReplicaSet
 * always had one waits its time first, unless too many wait. (Its time, not its owner's: a pod that
 * is adopted while it waits does not begin anew.) */
static void check_order(struct world *w, const struct reducer_pod *p)
{
	struct session_counters c;
	char pod[64], owner[64];

	if (p->owner_kind != 0 || w->scope.node)
		return;
	session_counters(core_session(w->core), &c);
	(void)snprintf(pod, sizeof(pod), "%.*s", STR_ARG(p->uid));
	(void)snprintf(owner, sizeof(owner), "%.*s", STR_ARG(p->owner_uid));
	if (c.overflows || !cluster_always_deployed(&w->cluster, owner) ||
	    (readable(w, p) && w->now >= cluster_born(&w->cluster, pod) + w->timeout))
		return;
	fprintf(stderr,
		"seed %" PRIu64 " at %.3f s: pod %s is told with its ReplicaSet too early\n",
		w->seed, (double)w->now / 1e9, pod);
	w->failed = true;
}

static void on_effect(void *arg, const struct ingest_effect *e)
{
	struct world *w = arg;

	if (e->type == INGEST_POD)
		check_order(w, e->pod);
	if (e->type != INGEST_ERROR)
		return;
	fprintf(stderr, "seed %" PRIu64 " at %.3f s: the reducer says: %s\n", w->seed,
		(double)w->now / 1e9, e->error);
	w->failed = true;
}

/* ---- the reducer ----------------------------------------------------------------------------- */

static void reducer_connect(struct world *w)
{
	const struct ingest_opts o = {
		.table = w->table, .number = ++w->connections, .hook = on_effect, .arg = w};

	assert(ingest_new(&o, w->now, &w->ingest) == 0);
	session_connected(core_session(w->core), w->now, WALL_AT_0 + w->now);
	w->run_at = w->now;
}

static void reducer_lose(struct world *w)
{
	ingest_free(&w->ingest);
	session_disconnected(core_session(w->core));
	w->connect_at = w->now + pick(w, 10) * NSEC_PER_SEC;
}

static void reducer_trouble(struct world *w)
{
	uint32_t dice = pick(w, 1000);

	if (w->ingest && dice < 15)
		reducer_lose(w);
	else if (w->ingest && dice < 25)
		w->hang_until = w->now + pick(w, 20) * NSEC_PER_SEC;
	else if (w->ingest && dice < 30)
		session_resync(core_session(w->core));
}

/* Takes some of what the session has; true when it took any. */
static bool reducer_read(struct world *w)
{
	struct str out = session_output(core_session(w->core));
	size_t n = w->calm ? out.n : MIN(out.n, (size_t)1 + pick(w, 5000));

	if (!w->ingest || n == 0 || (!w->calm && w->now < w->hang_until))
		return false;
	if (ingest_push(w->ingest, str_make(out.p, n), w->now) < 0) {
		w->failed = true;
		return false;
	}
	session_sent(core_session(w->core), n);
	return true;
}

static void session_turn(struct world *w)
{
	int r;

	if (!w->ingest && w->now >= w->connect_at)
		reducer_connect(w);
	if (!w->ingest)
		return;
	do {
		r = session_run(core_session(w->core), w->now, WALL_AT_0 + w->now);
	} while (reducer_read(w) || r > 0);
	w->run_at = session_deadline(core_session(w->core));
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum reflector_end ending(const struct xfer *x)
{
	if (x->how == XFER_REFUSED)
		return REFLECTOR_END_CONNECT;
	return x->how == XFER_CUT ? REFLECTOR_END_CUT : REFLECTOR_END_CLEAN;
}

static struct str content_type(const struct xfer *x)
{
	return x->format == GEN_PB ? STR("application/vnd.kubernetes.protobuf")
				   : STR("application/json");
}

static void watch_feed(struct world *w, struct xfer *x, struct reflector *r)
{
	enum xfer_event what;
	struct str bytes;
	int dropped = 0;

	while (dropped >= 0 && apiserver_next(&w->server, x, w->now, &what, &bytes)) {
		if (what == XFER_RESPONSE)
			dropped = reflector_response(r, w->now, x->status, content_type(x),
						     x->retry_after);
		else if (what == XFER_DATA)
			dropped = reflector_data(r, w->now, bytes.p, bytes.n);
		else
			reflector_end(r, w->now, ending(x), "simulated");
		if (what == XFER_END)
			break;
	}
	if (dropped < 0)
		apiserver_close(x);
}

static nsec_t watch_turn(struct world *w, uint32_t i)
{
	struct reflector *r = core_watch(w->core, i)->reflector;
	struct xfer *x = &w->watches[i];
	struct reflector_request req;
	nsec_t deadline;

	watch_feed(w, x, r);
	for (;;) {
		enum reflector_action a = reflector_poll(r, w->now, &req, &deadline);

		if (a == REFLECTOR_NONE)
			return x->open && !x->silent ? MIN(deadline, x->at) : deadline;
		apiserver_close(x);
		if (a == REFLECTOR_START)
			apiserver_open(&w->server, x, w->now, req.target, req.accept);
	}
}

static void read_feed(struct world *w, unsigned id)
{
	struct owners *o = core_owners(w->core);
	struct xfer *x = &w->reads[id];
	enum xfer_event what;
	struct str bytes;
	int dropped = 0;

	while (dropped >= 0 && apiserver_next(&w->server, x, w->now, &what, &bytes)) {
		if (what == XFER_RESPONSE)
			dropped = owners_response(o, w->now, id, x->status, content_type(x),
						  x->retry_after);
		else if (what == XFER_DATA)
			dropped = owners_data(o, w->now, id, bytes.p, bytes.n);
		else
			owners_end(o, w->now, id, ending(x), "simulated");
		if (what == XFER_END)
			break;
	}
	if (dropped < 0)
		apiserver_close(x);
}

static nsec_t owners_turn(struct world *w)
{
	struct owners_request req;
	nsec_t deadline, next;

	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		read_feed(w, i);
	for (;;) {
		enum reflector_action a =
			owners_poll(core_owners(w->core), w->now, &req, &deadline);

		if (a == REFLECTOR_NONE)
			break;
		apiserver_close(&w->reads[req.id]);
		if (a == REFLECTOR_START)
			apiserver_open(&w->server, &w->reads[req.id], w->now, req.target,
				       req.accept);
	}
	next = deadline;
	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		if (w->reads[i].open && !w->reads[i].silent)
			next = MIN(next, w->reads[i].at);
	return next;
}

/* ---- time ------------------------------------------------------------------------------------ */

static void cluster_turn(struct world *w)
{
	if (w->calm || w->now < w->step_at)
		return;
	w->step_at = w->now + (nsec_t)pick(w, 1000) * NSEC_PER_MSEC;
	w->cluster.now = w->now;
	for (uint32_t n = pick(w, 4); n; n--)
		cluster_step(&w->cluster);
	if (pick(w, 100) == 0)
		cluster_compact(&w->cluster);
	if (pick(w, 300) == 0)
		w->server.down_until = w->now + pick(w, 30) * NSEC_PER_SEC;
	if (pick(w, 300) == 0)
		w->server.forbid_until = w->now + pick(w, 20) * NSEC_PER_SEC;
	if (pick(w, 300) == 0)
		w->server.unauthorized_until = w->now + pick(w, 20) * NSEC_PER_SEC;
	if (pick(w, 200) == 0) {
		w->server.role_until = w->now + pick(w, 60) * NSEC_PER_SEC;
		(void)snprintf(w->server.role_ns, sizeof(w->server.role_ns), "ns-%u",
			       pick(w, CLUSTER_SPACES));
	}
	reducer_trouble(w);
}

static nsec_t turn(struct world *w)
{
	nsec_t next = w->calm ? NSEC_NEVER : w->step_at;

	cluster_turn(w);
	for (uint32_t i = 0; i < core_n_watches(w->core); i++)
		next = MIN(next, watch_turn(w, i));
	next = MIN(next, owners_turn(w));
	session_turn(w);
	next = MIN(next, core_tick(w->core, w->now));
	next = MIN(next, w->ingest ? w->run_at : w->connect_at);
	if (!w->calm && w->ingest && session_output(core_session(w->core)).n)
		next = MIN(next, MAX(w->hang_until, w->now + NSEC_PER_MSEC));
	return next;
}

static bool run_until(struct world *w, nsec_t end)
{
	static uint32_t turns;

	for (turns = 0; w->now < end && !w->failed; turns++) {
		nsec_t next = turn(w);

		if (turns == MAX_TURNS) {
			fprintf(stderr, "seed %" PRIu64 ": stuck at %.3f s\n", w->seed,
				(double)w->now / 1e9);
			return false;
		}
		w->now = MIN(MAX(next, w->now + NSEC_PER_USEC), end);
	}
	return !w->failed;
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* What is watched: all, a node's pods, or some namespaces; perhaps less by label. */
static void choose_scope(struct world *w, struct core_opts *o)
{
	static const struct str spaces[] = {STR("ns-0"), STR("ns-1")};
	static const struct str follow[] = {STR("db.example.com/Cluster")};

	switch (pick(w, 6)) {
	case 0:
	case 1:
		w->scope.node = "node-1";
		break;
	case 2:
		w->scope.spaces = 1 + pick(w, ARRAY_SIZE(spaces));
		break;
	default:
		break;
	}
	w->scope.odd = pick(w, 8) == 0;
	w->scope.no_jobs = w->server.opts.no_jobs = pick(w, 6) == 0;
	w->scope.follow = pick(w, 3) == 0;
	o->scope.node_name = w->scope.node;
	o->scope.namespaces = spaces;
	o->scope.n_namespaces = w->scope.spaces;
	o->scope.label_selector = w->scope.odd ? "sim=odd" : NULL;
	o->session.policy.follow = follow;
	o->session.policy.n_follow = w->scope.follow;
}

/* Times and sizes that users may set otherwise. */
static void choose_tunables(struct world *w, struct core_opts *o)
{
	w->timeout = (2 + pick(w, 20)) * NSEC_PER_SEC;
	o->watch.page_size = 1 + pick(w, 20);
	o->watch.budget = &w->budget;
	o->watch.seed = rng_next(&w->rng);
	o->watch.max_object = CLUSTER_HUGE / 2;
	o->watch.list_from_cache = pick(w, 2);
	o->watch.no_protobuf = pick(w, 8) == 0;
	o->watch.watch_min_s = pick(w, 2) ? 0 : 20;
	o->watch.watch_max_s = o->watch.watch_min_s ? 40 + pick(w, 100) : 0;
	o->watch.backoff_cap = pick(w, 2) ? 0 : (1 + pick(w, 20)) * NSEC_PER_SEC;
	o->watch.start_jitter = pick(w, 2) * NSEC_PER_SEC;
	o->owners.budget = &w->budget;
	o->owners.seed = rng_next(&w->rng);
	o->owners.parallel = 1 + pick(w, OWNERS_MAX_PARALLEL);
	o->inventory = inventory_defaults;
	o->inventory.max_dead = pick(w, 3) ? 10000 : 1 + pick(w, 5);
	o->inventory.linger = pick(w, 3) ? inventory_defaults.linger : pick(w, 5) * NSEC_PER_SEC;
	o->session.waiting = (struct waiting_opts){.max = pick(w, 3) ? 10000 : 1 + pick(w, 5),
						   .timeout = w->timeout};
	o->session.hostname = STR("sim");
	o->session.cpu_cores = 2;
	o->session.heartbeat = (1 + pick(w, 15)) * NSEC_PER_SEC;
	o->session.out_max = pick(w, 2) ? 0 : SESSION_OUT_MIN;
	o->resync_on_relist = pick(w, 2);
}

static int world_init(struct world *w, uint64_t seed)
{
	struct core_opts o = {.clock = clock_of, .clock_ctx = w};
	const struct reducer_table_opts t = {0};

	*w = (struct world){.seed = seed, .now = START, .step_at = START, .connect_at = START};
	rng_seed(&w->rng, seed);
	cluster_init(&w->cluster, &w->rng);
	w->server = (struct apiserver){.cluster = &w->cluster,
				       .rng = &w->rng,
				       .opts = {.streaming = pick(w, 2),
						.protobuf = pick(w, 2),
						.trouble = pick(w, 4) ? pick(w, 40) : 0}};
	w->cluster.now = START;
	w->server.slow_until = pick(w, 3) ? 0 : START + pick(w, 50) * NSEC_PER_SEC;
	for (uint32_t i = pick(w, 120); i; i--)
		cluster_step(&w->cluster);
	budget_init(&w->budget, 10, 20, rng_next(&w->rng));
	choose_scope(w, &o);
	choose_tunables(w, &o);
	if (reducer_table_new(&t, &w->table) < 0)
		return -1;
	return core_new(&o, &w->core);
}

static void world_done(struct world *w)
{
	for (size_t i = 0; i < ARRAY_SIZE(w->watches); i++)
		apiserver_close(&w->watches[i]);
	for (uint32_t i = 0; i < OWNERS_MAX_PARALLEL; i++)
		apiserver_close(&w->reads[i]);
	ingest_free(&w->ingest);
	core_free(&w->core);
	reducer_table_free(&w->table);
	cluster_done(&w->cluster);
}

static void calm_down(struct world *w)
{
	w->calm = true;
	w->server.opts.trouble = 0;
	w->server.down_until = w->server.forbid_until = w->server.unauthorized_until = 0;
	w->server.role_until = 0;
	for (int i = 0; i < 5; i++) /* ReplicaSets go first, then their pods */
		cluster_collect(&w->cluster);
}

static uint64_t messages(const struct world *w)
{
	struct session_counters c;

	session_counters(core_session(w->core), &c);
	return c.pods_new + c.containers + c.deletes + c.epochs;
}

/* Where each watch stands: the first thing to know about a run that failed. */
static void show_watches(struct world *w)
{
	for (uint32_t i = 0; i < core_n_watches(w->core); i++) {
		const struct reflector *r = core_watch(w->core, i)->reflector;
		struct reflector_status st = reflector_status(r);

		fprintf(stderr,
			"  %s: %s since %.1f s, version %.*s of %" PRIu64 " (compacted %" PRIu64
			"): %s; transfer %s%s%s\n",
			kind_name(core_watch(w->core, i)->kind), reflector_health_name(st.health),
			(double)st.since / 1e9, STR_ARG(reflector_resource_version(r)),
			w->cluster.rv, w->cluster.compacted, st.text,
			w->watches[i].open ? "open" : "closed", w->watches[i].watch ? " watch" : "",
			w->watches[i].silent ? " silent" : "");
	}
}

static bool check(struct world *w)
{
	uint64_t before;

	if (expect_equal(&w->cluster, &w->scope, w->table, w->seed) != 0)
		return false;
	before = messages(w);
	if (!run_until(w, w->now + 2 * 60 * NSEC_PER_SEC))
		return false;
	if (messages(w) == before)
		return true;
	fprintf(stderr, "seed %" PRIu64 ": sends while nothing happens\n", w->seed);
	return false;
}

static bool phases(struct world *w)
{
	if (!run_until(w, START + (60 + pick(w, 240)) * NSEC_PER_SEC))
		return false;
	calm_down(w);
	if (!run_until(w, w->now + SETTLE))
		return false;
	if (w->scope.node ||
	    w->scope.follow) { /* owners of owners are noticed within 10 minutes, by a pod event */
		if (!run_until(w, w->now + OWNER_AGE))
			return false;
		cluster_touch_pods(&w->cluster);
		if (!run_until(w, w->now + SETTLE))
			return false;
	}
	return check(w) &&
	       expect_inventory(&w->cluster, &w->scope, core_inventory(w->core), w->seed) == 0;
}

int world_run(uint64_t seed, bool verbose)
{
	struct world w;
	bool ok;

	ok = world_init(&w, seed) == 0 && phases(&w);
	if (!ok)
		show_watches(&w);
	if (verbose)
		fprintf(stderr,
			"seed %" PRIu64 ": %s scope, %u objects, %u events, %u connections, %s\n",
			seed,
			w.scope.node	 ? "node"
			: w.scope.spaces ? "namespace"
					 : "cluster",
			w.cluster.n_live, w.cluster.n_events, w.connections, ok ? "ok" : "FAILED");
	world_done(&w);
	return ok ? 0 : -1;
}
