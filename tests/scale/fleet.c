#include "tests/scale/fleet.h"

#include "base/mem.h"
#include "tests/scale/scale.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define START	  (1000 * SEC)
#define WALL_AT_0 (1795197283ULL * NSEC_PER_SEC)
#define FLOW	  7 /* all agents are one user: their service account */
#define BODY_MAX  ((size_t)64 << 20)

struct fleet {
	struct fleet_opts o;
	struct heap heap;
	struct server *server;
	struct fleet_agent *v;
	nsec_t now;
	struct rng rng;
	struct buf body;
};

static nsec_t clock_of(void *ctx)
{
	return ((struct fleet_agent *)ctx)->fleet->now;
}

/* ---- answers --------------------------------------------------------------------------------- */

static struct str type_of(const struct ask *a)
{
	return a->status == 200 ? STR("application/vnd.kubernetes.protobuf")
				: STR("text/plain; charset=utf-8");
}

/* Where an answer goes: a watch's reflector, or the owner reader. */
struct target {
	struct fleet_agent *agent;
	struct reflector *reflector; /* NULL: a read of an owner */
	unsigned id;
};

static int tell_response(const struct target *t, const struct ask *a)
{
	const nsec_t now = t->agent->fleet->now;

	return t->reflector ? reflector_response(t->reflector, now, a->status, type_of(a),
						 a->retry_after)
			    : owners_response(core_owners(t->agent->core), now, t->id, a->status,
					      type_of(a), a->retry_after);
}

static int tell_data(const struct target *t, struct str bytes)
{
	const nsec_t now = t->agent->fleet->now;

	t->agent->bytes_in += bytes.n;
	return t->reflector
		       ? reflector_data(t->reflector, now, bytes.p, bytes.n)
		       : owners_data(core_owners(t->agent->core), now, t->id, bytes.p, bytes.n);
}

static void tell_end(const struct target *t)
{
	const nsec_t now = t->agent->fleet->now;

	if (t->reflector)
		reflector_end(t->reflector, now, REFLECTOR_END_CLEAN, "");
	else
		owners_end(core_owners(t->agent->core), now, t->id, REFLECTOR_END_CLEAN, "");
}

/* What has arrived of a body: 0, or what the taker says. */
static int tell_body(const struct target *t, struct ask *a)
{
	struct fleet *f = t->agent->fleet;
	bool more = true;
	int r = 0;

	while (more && r == 0) {
		buf_reset(&f->body);
		more = server_body(f->server, f->now, a, &f->body);
		r = f->body.n ? tell_data(t, buf_str(&f->body)) : 0;
	}
	return r;
}

static void deliver(const struct target *t, struct ask *a)
{
	struct fleet *f = t->agent->fleet;
	int r = 0;

	if (a->state == ASK_ANSWERED && f->now >= a->at) {
		r = tell_response(t, a);
		if (r == 0)
			r = tell_body(t, a);
		if (r < 0)
			server_drop(f->server, a);
		else if (a->state == ASK_ANSWERED) {
			a->state = ASK_NONE;
			tell_end(t);
		}
	}
	if (a->state == ASK_OPEN && f->now >= a->end_at) {
		a->state = ASK_NONE;
		tell_end(t);
	} else if (a->state == ASK_OPEN && f->now >= a->bookmark_at) {
		if (tell_body(t, a) < 0)
			server_drop(f->server, a);
	}
}

static nsec_t due_of(const struct ask *a)
{
	if (a->state == ASK_ANSWERED)
		return a->at;
	return a->state == ASK_OPEN ? MIN(a->end_at, a->bookmark_at) : NSEC_NEVER;
}

/* ---- a turn of one agent --------------------------------------------------------------------- */

static nsec_t watch_turn(struct fleet_agent *a, uint32_t i)
{
	const struct target t = {.agent = a, .reflector = core_watch(a->core, i)->reflector};
	struct ask *ask = &a->watches[i];
	struct reflector_request req;
	enum reflector_action action;
	nsec_t deadline;

	deliver(&t, ask);
	while ((action = reflector_poll(t.reflector, a->fleet->now, &req, &deadline))) {
		server_drop(a->fleet->server, ask);
		if (action == REFLECTOR_START)
			server_ask(a->fleet->server, a->fleet->now, ask, req.target, FLOW);
	}
	return MIN(deadline, due_of(ask));
}

static nsec_t owners_turn(struct fleet_agent *a)
{
	struct owners_request req;
	enum reflector_action action;
	nsec_t deadline;

	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		deliver(&(struct target){.agent = a, .id = i}, &a->reads[i]);
	while ((action = owners_poll(core_owners(a->core), a->fleet->now, &req, &deadline))) {
		server_drop(a->fleet->server, &a->reads[req.id]);
		if (action == REFLECTOR_START)
			server_ask(a->fleet->server, a->fleet->now, &a->reads[req.id], req.target,
				   FLOW);
	}
	for (unsigned i = 0; i < OWNERS_MAX_PARALLEL; i++)
		deadline = MIN(deadline, due_of(&a->reads[i]));
	return deadline;
}

static nsec_t session_turn(struct fleet_agent *a)
{
	struct session *s = core_session(a->core);
	int r;

	do {
		struct str out;

		r = session_run(s, a->fleet->now, WALL_AT_0 + a->fleet->now);
		out = session_output(s);
		if (out.n && !a->first_epoch)
			a->first_epoch = a->fleet->now;
		a->bytes_out += out.n;
		session_sent(s, out.n);
	} while (r == 1 || r == -EAGAIN);
	return session_deadline(s);
}

/* Pods whose workload is known by now. In node scope each of them is looked at. */
static void count_known(struct fleet_agent *a)
{
	const struct fleet *f = a->fleet;
	struct inventory *v = core_inventory(a->core);
	uint32_t known = 0;

	for (pod_id id = 1; id <= PODS_PER_NODE; id++) {
		struct inv_pod_view p;
		enum match_end end;

		if (inventory_pod(v, id, &p) &&
		    match_owner(v, &(struct match_policy){0}, id, &end) && end == MATCH_END_TOP)
			known++;
	}
	for (; a->known < known; a->known++)
		if (f->o.known)
			f->o.known(f->o.ctx, f->now - a->started);
	if (known == PODS_PER_NODE)
		a->complete = f->now;
}

static void agent_turn(struct fleet_agent *a)
{
	struct fleet *f = a->fleet;
	nsec_t next = NSEC_NEVER;

	for (uint32_t i = 0; i < core_n_watches(a->core); i++)
		next = MIN(next, watch_turn(a, i));
	next = MIN(next, owners_turn(a));
	next = MIN(next, core_tick(a->core, f->now));
	next = MIN(next, session_turn(a));
	if (!a->synced && core_synced(a->core))
		a->synced = f->now;
	if (!f->o.cluster && a->synced && !a->complete)
		count_known(a);
	a->due = MAX(next, f->now + NSEC_PER_USEC);
	if (next != NSEC_NEVER)
		heap_put(&f->heap, a->due, EVENT_AGENT, a->index);
}

static void on_answered(void *ctx, struct ask *ask)
{
	struct fleet *f = ctx;
	struct fleet_agent *a = &f->v[ask->caller];

	if (a->core && ask->at < a->due) {
		a->due = ask->at;
		heap_put(&f->heap, a->due, EVENT_AGENT, a->index);
	}
}

/* ---- life ------------------------------------------------------------------------------------ */

/* As agent_make.c fills them in, with the options' defaults. */
static void fill_opts(struct fleet_agent *a, struct core_opts *o)
{
	struct fleet *f = a->fleet;

	budget_init(&a->budget, 10, 20, rng_next(&f->rng));
	budget_hold(&a->budget, f->now + rng_below(&f->rng, f->o.start_jitter + 1));
	*o = (struct core_opts){.clock = clock_of, .clock_ctx = a};
	o->scope.node_name = f->o.cluster ? NULL : a->node;
	o->watch.budget = o->owners.budget = &a->budget;
	o->watch.page_size = 500;
	o->watch.max_object = (size_t)4 << 20;
	o->watch.seed = rng_next(&f->rng);
	o->owners.seed = rng_next(&f->rng);
	o->inventory = inventory_defaults;
	o->session.waiting = (struct waiting_opts){.max = 10000, .timeout = 10 * SEC};
	o->session.hostname = str_of(a->node);
	o->session.cpu_cores = 2;
}

void fleet_start(struct fleet *f, uint32_t index, bool leads)
{
	struct fleet_agent *a = &f->v[index];
	struct core_opts o;

	*a = (struct fleet_agent){.fleet = f, .index = index, .started = f->now};
	(void)snprintf(a->node, sizeof(a->node), "node-%u.example.internal", index);
	for (size_t i = 0; i < ARRAY_SIZE(a->watches); i++)
		a->watches[i].caller = index;
	for (size_t i = 0; i < ARRAY_SIZE(a->reads); i++)
		a->reads[i].caller = index;
	fill_opts(a, &o);
	assert(core_new(&o, &a->core) == 0);
	assert(core_n_watches(a->core) <= FLEET_WATCHES);
	if (leads)
		fleet_lead(f, index, true);
	a->due = f->now;
	heap_put(&f->heap, f->now, EVENT_AGENT, index);
}

void fleet_kill(struct fleet *f, uint32_t index)
{
	struct fleet_agent *a = &f->v[index];

	for (size_t i = 0; i < ARRAY_SIZE(a->watches); i++)
		server_drop(f->server, &a->watches[i]);
	for (size_t i = 0; i < ARRAY_SIZE(a->reads); i++)
		server_drop(f->server, &a->reads[i]);
	core_free(&a->core);
}

void fleet_lead(struct fleet *f, uint32_t index, bool leads)
{
	struct fleet_agent *a = &f->v[index];

	a->leads = leads;
	a->first_epoch = 0;
	if (leads)
		session_connected(core_session(a->core), f->now, WALL_AT_0 + f->now);
	else
		session_disconnected(core_session(a->core));
	a->due = f->now;
	heap_put(&f->heap, f->now, EVENT_AGENT, index);
}

struct fleet_agent *fleet_agent(struct fleet *f, uint32_t index)
{
	return &f->v[index];
}

struct server *fleet_server(struct fleet *f)
{
	return f->server;
}

nsec_t fleet_now(const struct fleet *f)
{
	return f->now;
}

void fleet_event(struct fleet *f, nsec_t at, uint32_t id)
{
	heap_put(&f->heap, at, EVENT_OTHER, id);
}

void fleet_run(struct fleet *f, nsec_t until, bool (*enough)(void *ctx),
	       void (*other)(void *ctx, uint32_t id), void *ctx)
{
	while (heap_first(&f->heap) && heap_first(&f->heap)->at <= until) {
		const struct sim_event e = heap_take(&f->heap);

		f->now = MAX(f->now, e.at);
		if (e.kind == EVENT_SERVER)
			server_event(f->server, f->now, e.id);
		else if (e.kind == EVENT_OTHER)
			other(ctx, e.id);
		else if (f->v[e.id].core && f->v[e.id].due == e.at) /* else it was moved */
			agent_turn(&f->v[e.id]);
		if (enough && enough(ctx))
			return;
	}
	f->now = MAX(f->now, until);
}

struct fleet *fleet_new(const struct fleet_opts *o)
{
	struct fleet *f = calloc(1, sizeof(*f));
	struct server_opts s = {.pods = o->pods,
				.owners = o->owners,
				.level = o->level,
				.list_width = o->list_width,
				.answered = on_answered,
				.seed = o->seed};

	assert(f);
	f->o = *o;
	f->now = START;
	rng_seed(&f->rng, o->seed);
	buf_init(&f->body, BODY_MAX);
	f->v = calloc(o->agents, sizeof(*f->v));
	assert(f->v);
	s.heap = &f->heap;
	s.ctx = f;
	f->server = server_new(&s);
	return f;
}

void fleet_free(struct fleet **fp)
{
	struct fleet *f = *fp;

	if (!f)
		return;
	for (uint32_t i = 0; i < f->o.agents; i++)
		core_free(&f->v[i].core);
	server_free(&f->server);
	heap_done(&f->heap);
	buf_done(&f->body);
	free(f->v);
	free(f);
	*fp = NULL;
}
