/*
 * What following flows costs: the run time of the eBPF programs per connection,
 * the rate of connections and the throughput with an agent beside them and
 * without, and the agent's own CPU.
 *
 * Other work on the machine is larger than what is looked for. So the loads go before it, both ends
 * on one CPU; a visit with an agent stands between two without, its ratio is to their mean, and
 * what changes slowly falls out; the median of many such ratios is given, with the interval that 95
 * of 100 resamplings of them keep within (bootstrap). The same of a visit without an agent (A/A)
 * stands beside it: where its interval is wide the other's is not to be believed either. And the
 * same of programs that do nothing, at the same hooks: less than that no agent can cost.
 */
#include "tests/bench/bench.h"

#include "base/mem.h"
#include "tests/bench/traffic.h"
#include "tests/lib/proc.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <linux/bpf.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS	     16	 /* each with all visits */
#define TRIES	     5	 /* of each load in a visit: the quickest, what disturbs only adds */
#define CONNECTIONS  400 /* some 25 ms, as the other loads */
#define BATCHES	     41	 /* of the programs' run time */
#define BATCH	     250
#define CHANGES	     10 /* of state, both ends of a connection: runs of the one that does nothing */
#define RESAMPLES    2000
#define VALUES	     BATCHES /* the most that a median is of */
#define MAX_PROGRAMS 32
#define TCP_BYTES    (100ULL << 20)
#define DATAGRAMS    6400
#define FAN	     10000
#define PATIENCE     (10 * NSEC_PER_SEC)
#define SETTLING     (3 * NSEC_PER_SEC)	 /* longest wait for an agent to be quiet */
#define RATES_TIME   (80 * NSEC_PER_SEC) /* then no further round is begun */
#define QUIET	     (150 * NSEC_PER_MSEC)
#define CALM	     (20 * NSEC_PER_MSEC) /* after what was started or ended */

/* In this order, round after round, and one without anything before each. */
enum visit { UDP_OFF, UDP_ON, EMPTY_OFF, EMPTY_ON, AGAIN, _VISITS };
static const char *const visit_name[] = {"udp_off", "udp_on", "empty_off", "empty_on", "a_a"};

enum load { LOAD_CONNECTIONS, LOAD_TCP, LOAD_UDP, _LOADS };

static const char *const load_name[] = {"connections", "tcp_bulk", "udp_bulk"};

static char kindred[PROC_PATH_MAX], folder[] = "/tmp/kindred-bench-XXXXXX";

static void say(const char *name, double v, const char *unit)
{
	printf("flows_%-40s %12.3f %s\n", name, v, unit);
}

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const double *v, size_t n)
{
	double s[VALUES];

	memcpy(s, v, n * sizeof(*s));
	qsort(s, n, sizeof(*s), by_value);
	return s[n / 2];
}

/* xorshift64*: the same resamplings in every run. */
static uint32_t draw(uint64_t *state, uint32_t below)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (uint32_t)((*state * 2685821657736338717ULL) >> 33) % below;
}

/* Of the median: by drawing as many again of the values, many times. */
static void interval(const double *v, size_t n, double *ret_low, double *ret_high)
{
	static double medians[RESAMPLES];
	uint64_t state = 88172645463325252ULL;
	double s[VALUES];

	for (size_t i = 0; i < RESAMPLES; i++) {
		for (size_t k = 0; k < n; k++)
			s[k] = v[draw(&state, (uint32_t)n)];
		medians[i] = median(s, n);
	}
	qsort(medians, RESAMPLES, sizeof(*medians), by_value);
	*ret_low = medians[RESAMPLES * 25 / 1000];
	*ret_high = medians[RESAMPLES * 975 / 1000];
}

static void say_median(const char *name, const double *v, size_t n, int digits, const char *unit)
{
	double low, high;
	char text[128];

	interval(v, n, &low, &high);
	(void)snprintf(text, sizeof(text), "%s, 95 %%: %.*f to %.*f", unit, digits, low, digits,
		       high);
	say(name, median(v, n), text);
}

/* ---- the agent ------------------------------------------------------------------------------- */

/* Nanoseconds that the process has run (Documentation/scheduler/sched-stats.rst). */
static uint64_t cpu_ns(const struct proc *p)
{
	unsigned long long v = 0;
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/schedstat", (int)p->pid);
	f = fopen(path, "r");
	if (f) {
		if (fscanf(f, "%llu", &v) != 1)
			v = 0;
		(void)fclose(f);
	}
	return v;
}

/* Runs `line` on each line of what the kernel says of the descriptors that a process holds. */
static void each_fdinfo(const struct proc *p, void (*line)(void *ctx, const char *text), void *ctx)
{
	char path[300], text[200];
	const struct dirent *e;
	DIR *d;

	(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)p->pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;

		(void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%s", (int)p->pid, e->d_name);
		f = fopen(path, "r");
		while (f && fgets(text, sizeof(text), f))
			line(ctx, text);
		if (f)
			(void)fclose(f);
	}
	if (d)
		(void)closedir(d);
}

static void note_attached(void *ctx, const char *text)
{
	if (strstr(text, "inet_sock_set_state"))
		*(bool *)ctx = true;
}

static uint64_t cpu_over(const struct proc *p, nsec_t t)
{
	uint64_t a = cpu_ns(p);

	proc_sleep(t);
	return cpu_ns(p) - a;
}

/* Before that it has this program's descriptors. */
static bool is_kindred(const struct proc *p)
{
	char path[64], exe[PROC_PATH_MAX] = "";

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", (int)p->pid);
	return readlink(path, exe, sizeof(exe) - 1) > 0 && strcmp(exe, kindred) == 0;
}

/* Its programs are attached, and it has looked at what was there before. */
static bool agent_settles(struct proc *p)
{
	const nsec_t until = clock_mono() + PATIENCE, quiet = clock_mono() + SETTLING;
	bool attached = false;

	while (proc_running(p) && clock_mono() < (attached ? quiet : until)) {
		if (!attached && is_kindred(p))
			each_fdinfo(p, note_attached, &attached);
		if (cpu_over(p, QUIET) < QUIET / 20 && attached)
			return true;
	}
	return attached && proc_running(p);
}

/* Nobody answers at its API server and its reducer: what is measured is flows. */
static bool agent_start(struct proc *p, const char *udp)
{
	const char *const argv[] = {kindred,
				    "agent",
				    "--flows",
				    "on",
				    "--udp",
				    udp,
				    "--api-server",
				    "http://127.0.0.1:1",
				    "--intake-port",
				    "1",
				    "--scope",
				    "cluster",
				    "--backoff-min",
				    "30s",
				    "--log-level",
				    "warn",
				    "--flow-refresh",
				    "1s",
				    "--socket",
				    "/tmp/kindred-bench.sock",
				    NULL};

	if (proc_start(p, folder, "agent", argv, NULL) < 0)
		return false;
	return agent_settles(p);
}

/* ---- the programs' run time ------------------------------------------------------------------ */

/* One program; per connection, one value a batch. */
struct cost {
	uint32_t id, type;
	char name[BPF_OBJ_NAME_LEN];
	uint64_t ns, runs; /* so far */
	double ns_each[BATCHES], runs_each[BATCHES];
};

struct costs {
	struct cost of[MAX_PROGRAMS]; /* the first: the one that does nothing */
	size_t n;
};

static bool read_cost(struct cost *c)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(c->id);
	bool ok = fd >= 0 && bpf_obj_get_info_by_fd(fd, &info, &len) == 0;

	if (fd >= 0)
		(void)close(fd);
	if (!ok)
		return false;
	memcpy(c->name, info.name, sizeof(c->name));
	c->type = info.type;
	c->ns = info.run_time_ns;
	c->runs = info.run_cnt;
	return true;
}

static void add_program(struct costs *c, uint32_t id)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->of[i].id == id)
			return;
	if (c->n == MAX_PROGRAMS)
		return;
	c->of[c->n] = (struct cost){.id = id};
	c->n += read_cost(&c->of[c->n]);
}

static void note_program(void *ctx, const char *text)
{
	unsigned int id;

	if (sscanf(text, "prog_id: %u", &id) == 1)
		add_program(ctx, id);
}

/* The programs that a process holds: another agent's on this machine do not count. */
static void add_programs_of(struct costs *c, const struct proc *p)
{
	each_fdinfo(p, note_program, c);
}

/* A program that does nothing but to let go on; or -1. */
static int load_empty(enum bpf_prog_type type)
{
	const struct bpf_insn insns[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(type, "nothing", "Dual BSD/GPL", insns, 2, NULL);
}

/* What the statistics themselves cost a run, and nobody pays who does not ask for them. Its link,
 * or -1. */
static int start_empty(struct costs *c)
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int prog = load_empty(BPF_PROG_TYPE_RAW_TRACEPOINT);
	int link = prog < 0 ? -1 : bpf_raw_tracepoint_open("inet_sock_set_state", prog);

	if (link >= 0 && bpf_obj_get_info_by_fd(prog, &info, &len) == 0)
		add_program(c, info.id);
	if (prog >= 0)
		(void)close(prog);
	return link;
}

/* Others' connections run the programs, too: what was run is divided by all there were. */
static void run_batch(struct costs *c, int batch)
{
	double connections = BATCH;

	for (size_t i = 0; i < c->n; i++)
		(void)read_cost(&c->of[i]);
	(void)traffic_connections(BATCH);
	proc_sleep(20 * NSEC_PER_MSEC);
	for (size_t i = 0; i < c->n; i++) {
		struct cost *p = &c->of[i];
		const uint64_t ns = p->ns, runs = p->runs;

		(void)read_cost(p);
		if (i == 0)
			connections = MAX((double)(p->runs - runs) / CHANGES, 1);
		p->ns_each[batch] = (double)(p->ns - ns) / connections;
		p->runs_each[batch] = (double)(p->runs - runs) / connections;
	}
}

/* Needs CAP_NET_ADMIN: not in the tier of CAP_BPF and CAP_PERFMON alone. */
static bool is_of_full_tier(const struct cost *c)
{
	return c->type != BPF_PROG_TYPE_RAW_TRACEPOINT && c->type != BPF_PROG_TYPE_TRACING;
}

static void say_programs(const struct costs *c, const char *udp)
{
	static double gross[2][BATCHES], net[2][BATCHES]; /* trace tier, full tier */
	char name[64];

	memset(gross, 0, sizeof(gross));
	memset(net, 0, sizeof(net));
	for (size_t i = 1; i < c->n; i++) {
		const struct cost *p = &c->of[i];
		double own[BATCHES];

		for (int b = 0; b < BATCHES; b++) {
			own[b] = p->ns_each[b] -
				 p->runs_each[b] * c->of[0].ns_each[b] / c->of[0].runs_each[b];
			for (int tier = is_of_full_tier(p); tier < 2; tier++) {
				gross[tier][b] += p->ns_each[b];
				net[tier][b] += own[b];
			}
		}
		if (median(p->runs_each, BATCHES) >= 0.5)
			printf("  %-16s %5.1f runs %7.0f ns gross %7.0f ns net a connection\n",
			       p->name, median(p->runs_each, BATCHES), median(p->ns_each, BATCHES),
			       median(own, BATCHES));
	}
	for (int tier = strcmp(udp, "on") == 0; tier < 2; tier++) {
		const char *t = tier ? "full" : "trace";

		(void)snprintf(name, sizeof(name), "bpf_per_connection_udp_%s_%s", udp, t);
		say_median(name, net[tier], BATCHES, 0, "ns, both ends");
		(void)snprintf(name, sizeof(name), "bpf_per_connection_udp_%s_%s_gross", udp, t);
		say_median(name, gross[tier], BATCHES, 0, "ns, the statistics' own included");
	}
}

static void bench_programs(const char *udp)
{
	static struct costs c;
	struct proc agent = {0};
	uint64_t cpu;
	char name[64];
	int link, stats;

	c.n = 0;
	stats = bpf_enable_stats(
		BPF_STATS_RUN_TIME); /* as long as it is open, whoever else does what */
	link = start_empty(&c);
	if (link >= 0 && agent_start(&agent, udp)) {
		add_programs_of(&c, &agent);
		(void)traffic_connections(1000); /* warm */
		proc_sleep(200 * NSEC_PER_MSEC);
		cpu = cpu_ns(&agent);
		for (int i = 0; i < BATCHES; i++)
			run_batch(&c, i);
		proc_sleep(200 * NSEC_PER_MSEC);
		if (proc_running(&agent))
			say_programs(&c, udp);
		else
			printf("flows: the agent with --udp %s has ended, see %s\n", udp,
			       agent.err);
		(void)snprintf(name, sizeof(name), "agent_cpu_per_10000_udp_%s", udp);
		say(name, (double)(cpu_ns(&agent) - cpu) / 1e6 * 10000 / (BATCH * BATCHES), "ms");
		(void)proc_stop(&agent, SIGTERM, PATIENCE, NULL);
	}
	if (link >= 0)
		(void)close(link);
	if (stats >= 0)
		(void)close(stats);
}

/* ---- with and without ------------------------------------------------------------------------ */

static struct traffic_took run_load(enum load l)
{
	switch (l) {
	case LOAD_CONNECTIONS:
		return traffic_connections(CONNECTIONS);
	case LOAD_TCP:
		return traffic_tcp(TCP_BYTES);
	case LOAD_UDP:
		return traffic_udp(DATAGRAMS);
	case _LOADS:
	default:
		return (struct traffic_took){0};
	}
}

enum measure { RATE, CPU, _MEASURES };

/* What every load took; those without anything stand between the others, one more at the end. */
struct rates {
	size_t rounds; /* that were made in time */
	double alone[ROUNDS * _VISITS + 1][_LOADS][_MEASURES];
	double took[ROUNDS * _VISITS][_LOADS][_MEASURES];
};

/* The loads by turns, so that one moment of other work is not one load's alone. */
static void run_loads(double ret[_LOADS][_MEASURES])
{
	proc_sleep(CALM);
	for (int i = 0; i < TRIES; i++)
		for (int l = 0; l < _LOADS; l++) {
			const struct traffic_took t = run_load((enum load)l);

			ret[l][RATE] = i ? MIN(ret[l][RATE], (double)t.wall) : (double)t.wall;
			ret[l][CPU] = i ? MIN(ret[l][CPU], (double)t.cpu) : (double)t.cpu;
		}
}

/* The agent keeps out of the way of client and server where there are two CPUs. */
static void pin_agent(const struct proc *p)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	(void)sched_setaffinity(p->pid, sizeof(set), &set);
}

static bool visit_agent(const char *udp, double ret[_LOADS][_MEASURES])
{
	struct proc agent = {0};

	if (!agent_start(&agent, udp))
		return false;
	pin_agent(&agent);
	run_loads(ret);
	(void)proc_stop(&agent, SIGTERM, PATIENCE, NULL);
	return true;
}

#define EMPTY_HOOKS 4 /* those that an agent's programs have on the way of a connection */

/* Programs that do nothing where an agent's would run. */
static bool visit_empty(bool udp, double ret[_LOADS][_MEASURES])
{
	const int tp = load_empty(BPF_PROG_TYPE_RAW_TRACEPOINT),
		  skb = load_empty(BPF_PROG_TYPE_CGROUP_SKB), root = bench_cgroup_root();
	const int links[EMPTY_HOOKS] = {
		bpf_raw_tracepoint_open("inet_sock_set_state", tp),
		bpf_raw_tracepoint_open("tcp_rcv_space_adjust", tp),
		udp ? bpf_link_create(skb, root, BPF_CGROUP_INET_EGRESS, NULL) : -1,
		udp ? bpf_link_create(skb, root, BPF_CGROUP_INET_INGRESS, NULL) : -1,
	};
	const bool ok =
		links[0] >= 0 && links[1] >= 0 && (!udp || (links[2] >= 0 && links[3] >= 0));

	if (ok)
		run_loads(ret);
	for (int i = 0; i < EMPTY_HOOKS; i++)
		if (links[i] >= 0)
			(void)close(links[i]);
	(void)close(tp);
	(void)close(skb);
	(void)close(root);
	return ok;
}

static bool visit(enum visit v, double ret[_LOADS][_MEASURES])
{
	switch (v) {
	case UDP_OFF:
	case UDP_ON:
		return visit_agent(v == UDP_ON ? "on" : "off", ret);
	case EMPTY_OFF:
	case EMPTY_ON:
		return visit_empty(v == EMPTY_ON, ret);
	case AGAIN:
	case _VISITS:
	default:
		run_loads(ret);
		return true;
	}
}

/* Of the visits of one kind, each to the mean of its neighbours. */
static void say_ratio(const struct rates *r, enum load l, enum measure m, enum visit v)
{
	double ratio[ROUNDS];
	char name[64];

	for (size_t n = 0; n < r->rounds; n++) {
		const size_t i = n * _VISITS + v;
		const double without = (r->alone[i][l][m] + r->alone[i + 1][l][m]) / 2;

		ratio[n] = m == RATE ? without / r->took[i][l][m] : r->took[i][l][m] / without;
	}
	(void)snprintf(name, sizeof(name), "%s%s_%s", load_name[l], m == CPU ? "_cpu" : "",
		       visit_name[v]);
	say_median(name, ratio, r->rounds, 4,
		   m == CPU ? "of the CPU time without" : "of the rate without");
}

static bool run_rounds(struct rates *r)
{
	const nsec_t until = clock_mono() + RATES_TIME;

	for (size_t i = 0; i < (size_t)ROUNDS * _VISITS; i++) {
		if (i % _VISITS == 0 && i && clock_mono() >= until)
			break;
		run_loads(r->alone[i]);
		if (!visit((enum visit)(i % _VISITS), r->took[i]))
			return false;
		r->rounds = (i + 1) / _VISITS;
	}
	run_loads(r->alone[r->rounds * _VISITS]);
	return true;
}

static void bench_rates(void)
{
	static struct rates r;
	double alone[ROUNDS];
	bool ok;

	traffic_pin((int)sysconf(_SC_NPROCESSORS_ONLN) - 1);
	ok = run_rounds(&r);
	traffic_pin(-1);
	for (int l = 0; ok && l < _LOADS; l++)
		for (int m = 0; m < _MEASURES; m++)
			for (int v = 0; v < _VISITS; v++)
				say_ratio(&r, (enum load)l, (enum measure)m, (enum visit)v);
	for (size_t i = 0; i < r.rounds; i++)
		alone[i] = CONNECTIONS / (r.alone[i * _VISITS][LOAD_CONNECTIONS][RATE] / 1e9);
	if (ok)
		say("connections_rate", median(alone, r.rounds),
		    "1/s without an agent, on one CPU");
	else
		printf("flows: no rates: an agent, or a program that does nothing, did not "
		       "start\n");
}

/* ---- polling --------------------------------------------------------------------------------- */

/* The map is read once a second: what that costs with many idle conversations in it. */
static void bench_polls(void)
{
	struct proc agent = {0};
	uint64_t empty, full;

	if (!agent_start(&agent, "on"))
		return;
	empty = cpu_over(&agent, 5 * NSEC_PER_SEC);
	traffic_udp_fan(FAN);
	proc_sleep(3 * NSEC_PER_SEC);
	full = cpu_over(&agent, 5 * NSEC_PER_SEC);
	say("idle_agent_cpu", (double)empty / 5e7, "% of a core");
	say("udp_drain", full > empty ? (double)(full - empty) / 5 / FAN : 0,
	    "ns a conversation and poll");
	(void)proc_stop(&agent, SIGTERM, PATIENCE, NULL);
}

/* Beside this program. */
static bool find_kindred(void)
{
	ssize_t n = readlink("/proc/self/exe", kindred, sizeof(kindred) - sizeof("kindred"));
	char *slash;

	if (n <= 0)
		return false;
	kindred[n] = 0;
	slash = strrchr(kindred, '/');
	memcpy(slash + 1, "kindred", sizeof("kindred"));
	return access(kindred, X_OK) == 0;
}

void bench_flows(void)
{
	struct proc agent = {0};

	if (!find_kindred() || !mkdtemp(folder)) {
		printf("flows: skipped, kindred is not built\n");
		return;
	}
	if (!agent_start(&agent, "off")) {
		printf("flows: skipped: no CAP_BPF (cannot run here)\n");
		return;
	}
	(void)proc_stop(&agent, SIGTERM, PATIENCE, NULL);
	bench_programs("off");
	bench_programs("on");
	bench_rates();
	bench_polls();
}
