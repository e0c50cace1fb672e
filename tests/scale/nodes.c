/*
 * Every node's agent is started in one moment, against one API server with the chart's
 * level; then some are started again one by one, with nothing else going on.
 */
#include "base/mem.h"
#include "tests/scale/fleet.h"
#include "tests/scale/scale.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define START_JITTER  (3 * SEC)	 /* --start-jitter */
#define WAIT_LIMIT    (15 * SEC) /* of a request in a queue: a quarter of --request-timeout */
#define LONGEST	      (3600 * SEC)
#define LONE	      200 /* restarts */
#define MOST_A_SECOND 1000
#define KNOWN_WITHIN  300 /* seconds, for 99 % of pods */
#define LONE_WITHIN   5

/* Bytes of the heap: of an agent without pods, and for each of its pods besides. */
#define EMPTY_MOST (512 * 1024)
#define POD_MOST   (8 * 1024)
#define MEASURED   50 /* agents */

struct times { /* of pods, in tenths of a second */
	uint32_t v[36000];
	uint64_t n;
};

static void on_known(void *ctx, nsec_t after)
{
	struct times *t = ctx;

	t->v[MIN(after / (100 * MSEC), (nsec_t)ARRAY_SIZE(t->v) - 1)]++;
	t->n++;
}

/* By when this part of all pods was known, in seconds. */
static double percentile(const struct times *t, double part, uint64_t of)
{
	uint64_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(t->v); i++) {
		n += t->v[i];
		if ((double)n >= part * (double)of)
			return (double)(i + 1) / 10;
	}
	return LONGEST / 1e9;
}

struct crowd {
	struct fleet *fleet;
	uint32_t agents, looked;
	struct times *times;
};

static bool all_known(void *ctx)
{
	const struct crowd *c = ctx;

	return c->times->n == (uint64_t)c->agents * PODS_PER_NODE;
}

static void start_all(struct crowd *c)
{
	for (uint32_t i = 0; i < c->agents; i++)
		fleet_start(c->fleet, i, true);
	fleet_run(c->fleet, fleet_now(c->fleet) + LONGEST, all_known, NULL, c);
}

/* ---- what is held ---------------------------------------------------------------------------- */

static void tell_server(const struct crowd *c, nsec_t took)
{
	const struct server_counters s = server_counters(fleet_server(c->fleet));

	figure("nodes.requests_served", (double)s.served, "", 0);
	figure("nodes.requests_refused_429", (double)s.refused, "", 0);
	figure("nodes.most_served_in_a_second", (double)s.most_in_a_second, "/s", MOST_A_SECOND);
	figure("nodes.served_a_second", (double)s.served / ((double)took / 1e9), "/s", 0);
	figure("nodes.most_waiting", (double)s.level.most_waiting, "requests", 0);
	figure("nodes.longest_wait_in_queue", (double)s.level.longest_wait / 1e9, "s", 0);
	figure("nodes.turned_away_late", (double)s.level.late, "requests", 0);
}

static void tell_agents(struct crowd *c)
{
	uint64_t in = 0, out = 0, most_in = 0, timeouts = 0, waiting = 0;

	for (uint32_t i = 0; i < c->agents; i++) {
		const struct fleet_agent *a = fleet_agent(c->fleet, i);
		struct session_counters s;

		session_counters(core_session(a->core), &s);
		in += a->bytes_in;
		out += a->bytes_out;
		most_in = MAX(most_in, a->bytes_in);
		timeouts += s.timeouts;
		waiting += s.waiting + owners_queued(core_owners(a->core));
	}
	must(waiting == 0, "no pod waits for its owner, and no owner to be read, in the end");
	figure("nodes.read_an_agent", (double)in / c->agents / 1024, "KiB", 0);
	figure("nodes.read_by_one_at_most", (double)most_in / 1024, "KiB", 0);
	figure("nodes.sent_an_agent", (double)out / c->agents / 1024, "KiB", 0);
	/* Told with their ReplicaSet first, and mended when it was read. */
	figure("nodes.pods_told_before_their_owner_was_known", (double)timeouts, "", 0);
}

/* ---- one by one ------------------------------------------------------------------------------ */

static bool one_known(void *ctx)
{
	const struct crowd *c = ctx;

	return fleet_agent(c->fleet, c->looked)->complete != 0;
}

static void restart_one_by_one(struct crowd *c)
{
	double longest = 0, sum = 0;
	const uint32_t n = MIN(c->agents, (uint32_t)LONE);

	/* Whatever the crowd has left behind is over. */
	fleet_run(c->fleet, fleet_now(c->fleet) + 120 * SEC, NULL, NULL, NULL);
	for (uint32_t i = 0; i < n; i++) {
		const struct fleet_agent *a;
		double took;

		c->looked = i * (c->agents / n);
		fleet_kill(c->fleet, c->looked);
		fleet_start(c->fleet, c->looked, true);
		fleet_run(c->fleet, fleet_now(c->fleet) + LONGEST, one_known, NULL, c);
		a = fleet_agent(c->fleet, c->looked);
		took = (double)(a->complete - a->started) / 1e9;
		longest = MAX(longest, took);
		sum += took;
		fleet_run(c->fleet, fleet_now(c->fleet) + 2 * SEC, NULL, NULL, NULL);
	}
	figure("nodes.lone_restart_mean", sum / n, "s", 0);
	figure("nodes.lone_restart_longest", longest, "s", LONE_WITHIN);
}

static struct fleet_opts options(uint32_t agents, uint32_t pods, struct times *times, uint64_t seed)
{
	return (struct fleet_opts){.agents = agents,
				   .pods = pods,
				   .owners = (pods / 3 + 199) / 200 *
					     200, /* population.h: of the pod's namespace */
				   .start_jitter = START_JITTER,
				   .level = {.seats = level_seats(&level),
					     .queues = level.queues,
					     .hand = level.hand,
					     .queue_limit = level.queue_limit,
					     .wait_limit = WAIT_LIMIT},
				   .list_width = level_list_width(&level),
				   .seed = seed,
				   .known = on_known,
				   .ctx = times};
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* Bytes that an agent holds on nodes with so many pods in all. */
static double heap_an_agent(uint32_t pods, struct times *times, uint64_t seed)
{
	const struct fleet_opts o = options(MEASURED, pods, times, seed);
	const double before = heap_bytes();
	struct fleet *f = fleet_new(&o);
	double held;

	for (uint32_t i = 0; i < MEASURED; i++)
		fleet_start(f, i, true);
	fleet_run(f, fleet_now(f) + 60 * SEC, NULL, NULL, NULL);
	held = heap_bytes() - before;
	fleet_free(&f);
	return held / MEASURED;
}

/* What an agent holds is bounded by its own node's pods, whatever the cluster has. */
static void tell_memory(uint64_t seed)
{
	static struct times unused;
	const double empty = heap_an_agent(0, &unused, seed),
		     full = heap_an_agent(MEASURED * PODS_PER_NODE, &unused, seed);

	figure("nodes.heap_of_an_empty_node", empty / 1024, "KiB", EMPTY_MOST / 1024.0);
	figure("nodes.heap_a_pod", (full - empty) / PODS_PER_NODE / 1024, "KiB", POD_MOST / 1024.0);
}

/* ---- the whole ------------------------------------------------------------------------------- */

void scale_nodes(uint32_t agents, uint64_t seed)
{
	static struct times times;
	const uint32_t pods = agents * PODS_PER_NODE;
	const struct fleet_opts o = options(agents, pods, &times, seed);
	const double cpu = cpu_seconds();
	struct crowd c = {.agents = agents, .times = &times};
	nsec_t started;

	times = (struct times){0};
	figure("nodes.agents", agents, "", 0);
	figure("nodes.pods", pods, "", 0);
	figure("nodes.seats", o.level.seats, "", 0);
	figure("nodes.seats_of_a_list", o.list_width, "", 0);
	c.fleet = fleet_new(&o);
	started = fleet_now(c.fleet);
	start_all(&c);
	must(all_known(&c), "every pod's workload is known in the end");
	figure("nodes.half_of_pods_known", percentile(&times, 0.5, pods), "s", 0);
	figure("nodes.99_percent_of_pods_known", percentile(&times, 0.99, pods), "s", KNOWN_WITHIN);
	figure("nodes.all_pods_known", (double)(fleet_now(c.fleet) - started) / 1e9, "s", 0);
	tell_server(&c, fleet_now(c.fleet) - started);
	fleet_run(c.fleet, fleet_now(c.fleet) + 15 * SEC, NULL, NULL, NULL);
	tell_agents(&c);
	restart_one_by_one(&c);
	figure("nodes.cpu", cpu_seconds() - cpu, "s", 0);
	fleet_free(&c.fleet);
	tell_memory(seed);
}
