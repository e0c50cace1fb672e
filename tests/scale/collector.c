/*
 * Two collectors of the whole cluster and one Lease: both list all of it, one tells the
 * reducer; it is killed, and the other takes over with what it knows already.
 */
#include "base/mem.h"
#include "kube/lease.h"
#include "tests/scale/fleet.h"
#include "tests/scale/scale.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define CANDIDATES 2
#define WALL	   (1795197283ULL * SEC)
#define TRAVEL	   (4 * MSEC) /* a request about the Lease and back: its own level, never full */
#define LONGEST	   (3600 * SEC)
#define SEATS	   24  /* nobody else asks in this case */
#define HEAP_POD   900 /* bytes, with a third of a ReplicaSet and what the session keeps */
#define TAKEOVER   18  /* seconds from the kill to the lease: duration, and two looks */
#define RESYNC	   2   /* from the lease to its first bytes at the reducer */

struct scene;

struct candidate {
	struct scene *scene;
	uint32_t index;
	struct lease *lease; /* NULL: dead */
	char name[16];
	nsec_t poll_at, led_at;
	struct lease_answer answer; /* on its way; id 0: none */
	struct lease_record record;
	nsec_t answer_at;
};

struct scene {
	struct fleet *fleet;
	struct candidate v[CANDIDATES];
	bool exists;
	struct lease_record there;
	unsigned version;
	struct candidate *waited; /* by `enough` */
};

static void on_started(void *ctx)
{
	struct candidate *c = ctx;

	c->led_at = fleet_now(c->scene->fleet);
	fleet_lead(c->scene->fleet, c->index, true);
}

static void on_stopped(void *ctx)
{
	struct candidate *c = ctx;

	fleet_lead(c->scene->fleet, c->index, false);
}

static const struct lease_ops ops = {.started = on_started, .stopped = on_stopped};

/* ---- the Lease ------------------------------------------------------------------------------- */

static int serve(struct scene *s, enum lease_action action, const struct lease_record *r)
{
	if (action == LEASE_READ)
		return s->exists ? 200 : 404;
	if (s->exists && (action == LEASE_CREATE || strcmp(r->version, s->there.version) != 0))
		return 409;
	s->exists = true;
	s->there = *r;
	(void)snprintf(s->there.version, sizeof(s->there.version), "%u", ++s->version);
	return 200;
}

static void poll(struct candidate *c)
{
	struct scene *s = c->scene;
	const nsec_t now = fleet_now(s->fleet);
	struct lease_request req;
	enum lease_action action;

	while ((action = lease_poll(c->lease, now, WALL + now, &req, &c->poll_at))) {
		if (action == LEASE_ABORT)
			continue;
		c->answer = (struct lease_answer){.id = req.id};
		c->answer.status = serve(s, action, req.record);
		c->record = s->there;
		c->answer_at = now + TRAVEL;
		fleet_event(s->fleet, c->answer_at, c->index);
	}
	if (c->poll_at != NSEC_NEVER)
		fleet_event(s->fleet, c->poll_at, c->index);
}

static void on_event(void *ctx, uint32_t id)
{
	struct scene *s = ctx;
	struct candidate *c = &s->v[id];
	const nsec_t now = fleet_now(s->fleet);

	if (!c->lease)
		return;
	if (c->answer.id && now >= c->answer_at) {
		struct lease_answer a = c->answer;

		c->answer.id = 0;
		a.record = a.status == 200 ? &c->record : NULL;
		lease_answer(c->lease, now, &a);
	}
	poll(c);
}

/* ---- phases ---------------------------------------------------------------------------------- */

static bool at_rest(void *ctx)
{
	const struct scene *s = ctx;
	const struct fleet_agent *a = fleet_agent(s->fleet, s->waited->index);

	return a->synced && a->leads && session_at_rest(core_session(a->core));
}

static bool all_synced(void *ctx)
{
	const struct scene *s = ctx;

	return fleet_agent(s->fleet, 0)->synced && fleet_agent(s->fleet, 1)->synced;
}

static bool has_epoch(void *ctx)
{
	const struct scene *s = ctx;

	return fleet_agent(s->fleet, s->waited->index)->first_epoch != 0;
}

static void run(struct scene *s, nsec_t time, bool (*enough)(void *ctx))
{
	fleet_run(s->fleet, fleet_now(s->fleet) + time, enough, on_event, s);
}

static struct candidate *leader(struct scene *s)
{
	for (uint32_t i = 0; i < CANDIDATES; i++)
		if (s->v[i].lease && lease_leads(s->v[i].lease, fleet_now(s->fleet)))
			return &s->v[i];
	return NULL;
}

static double seconds(nsec_t from, nsec_t to)
{
	return (double)(to - from) / 1e9;
}

static uint64_t told(struct scene *s, const struct candidate *c)
{
	struct session_counters n;

	session_counters(core_session(fleet_agent(s->fleet, c->index)->core), &n);
	return n.pods_new;
}

static void take_over(struct scene *s, struct candidate *old, uint32_t pods)
{
	struct candidate *new = &s->v[1 - old->index];
	const nsec_t killed = fleet_now(s->fleet);
	const double cpu = cpu_seconds();

	must(fleet_agent(s->fleet, new->index)->bytes_out == 0, "who stands by tells nothing");
	lease_free(&old->lease);
	fleet_kill(s->fleet, old->index);
	s->waited = new;
	run(s, LONGEST, has_epoch);
	figure("collector.from_the_kill_to_the_lease", seconds(killed, new->led_at), "s", TAKEOVER);
	figure("collector.from_the_lease_to_the_resync",
	       seconds(new->led_at, fleet_agent(s->fleet, new->index)->first_epoch), "s", RESYNC);
	run(s, LONGEST, at_rest);
	must(told(s, new) == pods, "the next leader tells of every pod");
	figure("collector.cpu_of_the_resync", cpu_seconds() - cpu, "s", 0);
}

void scale_collectors(uint32_t pods, uint64_t seed)
{
	const struct fleet_opts o = {.agents = CANDIDATES,
				     .cluster = true,
				     .pods = pods,
				     .owners = (pods / 3 + 199) / 200 * 200,
				     .level = {.seats = SEATS,
					       .queues = level.queues,
					       .hand = level.hand,
					       .queue_limit = level.queue_limit,
					       .wait_limit = 15 * SEC},
				     .list_width = level_list_width(&level),
				     .seed = seed};
	const double cpu = cpu_seconds(), heap = heap_bytes();
	struct scene s = {.fleet = fleet_new(&o)};
	const nsec_t started = fleet_now(s.fleet);
	struct candidate *first;

	for (uint32_t i = 0; i < CANDIDATES; i++) {
		struct candidate *c = &s.v[i];
		const struct lease_opts l = {
			.identity = c->name, .seed = seed + i, .ops = &ops, .ctx = c};

		c->scene = &s;
		c->index = i;
		(void)snprintf(c->name, sizeof(c->name), "collector-%u", i);
		fleet_start(s.fleet, i, false);
		assert(lease_new(&l, &c->lease) == 0);
		fleet_event(s.fleet, started, i);
	}
	run(&s, LONGEST, all_synced);
	figure("collector.pods", pods, "", 0);
	figure("collector.synced", seconds(started, fleet_now(s.fleet)), "s", 0);
	first = leader(&s);
	must(first != NULL, "one of two leads");
	if (first) {
		s.waited = first;
		run(&s, LONGEST, at_rest);
		must(told(&s, first) == pods, "the leader tells of every pod");
		figure("collector.heap_a_pod", (heap_bytes() - heap) / CANDIDATES / pods, "bytes",
		       HEAP_POD);
		figure("collector.cpu_of_two_with_their_server", cpu_seconds() - cpu, "s", 0);
		run(&s, 60 * SEC, NULL);
		must(leader(&s) == first, "the leader stays");
		take_over(&s, first, pods);
	}
	for (uint32_t i = 0; i < CANDIDATES; i++)
		lease_free(&s.v[i].lease);
	fleet_free(&s.fleet);
}
