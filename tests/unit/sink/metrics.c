/*
 * Flow series: totals equal what the flows said, whatever the budget; nothing is counted
 * twice when both ends are here; the text is what Prometheus reads.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "sink/metrics/about.h"
#include "sink/metrics/metrics.h"
#include "tests/lib/torture.h"

#define PAGE_MAX (64UL << 20)

/* ---- a reader of the text format, made without the writer ------------------------------------ */

struct page {
	char names[256][64], types[256][16];
	int n_families;
	size_t series;
};

static int family_of(const struct page *p, const char *name)
{
	for (int i = 0; i < p->n_families; i++)
		if (strcmp(p->names[i], name) == 0)
			return i;
	return -1;
}

/* A summary's or a histogram's series have names of their own. */
static int family_of_series(const struct page *p, const char *name)
{
	static const char *const suffixes[] = {"_sum", "_count", "_bucket"};
	int i = family_of(p, name);

	for (size_t k = 0; k < ARRAY_SIZE(suffixes) && i < 0; k++) {
		char base[128];
		size_t n = strlen(name), m = strlen(suffixes[k]);

		if (n <= m || strcmp(name + n - m, suffixes[k]) != 0)
			continue;
		(void)snprintf(base, sizeof(base), "%.*s", (int)(n - m), name);
		i = family_of(p, base);
		if (i >= 0 && strcmp(p->types[i], "summary") != 0 &&
		    strcmp(p->types[i], "histogram") != 0)
			i = -1;
	}
	return i;
}

/* {a="b",c="d"} with \\ \" \n as the only escapes; returns what follows it. */
static const char *skip_labels(const char *p)
{
	for (p++; *p != '}';) {
		size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz_");

		assert_true(n > 0);
		p += n;
		assert_memory_equal(p, "=\"", 2);
		for (p += 2; *p != '"'; p++) {
			assert_true(*p && *p != '\n');
			if (*p == '\\' && strchr("\\\"n", *++p) == NULL)
				fail_msg("bad escape");
		}
		p++;
		if (*p == ',')
			p++;
		else
			assert_int_equal(*p, '}');
	}
	return p + 1;
}

static void check_series(struct page *p, const char *line, int *family)
{
	char name[128], *end;
	size_t n = strspn(line, "abcdefghijklmnopqrstuvwxyz_0123456789");
	const char *at = line + n;
	int i;

	assert_in_range(n, 1, sizeof(name) - 1);
	(void)snprintf(name, sizeof(name), "%.*s", (int)n, line);
	i = family_of_series(p, name);
	if (i < 0 || i != *family) /* all series of a family stand together */
		fail_msg("%s is not in the family before it", name);
	if (*at == '{')
		at = skip_labels(at);
	assert_int_equal(*at, ' ');
	(void)strtod(at + 1, &end);
	assert_true(end > at + 1 && *end == '\n');
	p->series++;
}

/* The whole page; strict. */
static void check_page(const struct buf *b, struct page *p)
{
	const char *text = b->p + b->off, *end = text + b->n;
	int family = -1;

	*p = (struct page){0};
	assert_int_equal(end[-1], '\n');
	for (const char *l = text; l < end; l = strchr(l, '\n') + 1) {
		char name[64], type[16];

		if (strncmp(l, "# HELP ", 7) == 0) {
			assert_int_equal(sscanf(l, "# HELP %63s", name), 1);
			if (family_of(p, name) >= 0)
				fail_msg("%s comes twice", name);
			assert_in_range(p->n_families, 0, 255);
			(void)snprintf(p->names[p->n_families], 64, "%s", name);
		} else if (strncmp(l, "# TYPE ", 7) == 0) {
			assert_int_equal(sscanf(l, "# TYPE %63s %15s", name, type), 2);
			assert_string_equal(name, p->names[p->n_families]);
			family = p->n_families++;
			(void)snprintf(p->types[family], 16, "%s", type);
			if (strcmp(type, "counter") == 0 &&
			    strcmp(name + strlen(name) - 6, "_total") != 0)
				fail_msg("the counter %s does not end in _total", name);
		} else {
			check_series(p, l, &family);
		}
	}
}

/* The sum over all series whose line begins with `name` and holds `with`. */
static uint64_t total(const struct buf *b, const char *name, const char *with)
{
	_free_ char *text = strndup(b->p + b->off, b->n);
	char *save = NULL;
	uint64_t sum = 0;

	for (char *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save))
		if (strncmp(l, name, strlen(name)) == 0 &&
		    (l[strlen(name)] == '{' || l[strlen(name)] == ' ') && strstr(l, with))
			sum += strtoull(strrchr(l, ' ') + 1, NULL, 10);
	return sum;
}

static void print(const struct metrics *m, struct buf *b)
{
	struct page p;

	buf_reset(b);
	assert_int_equal(metrics_print(m, b), 0);
	assert_int_equal(buf_append(b, "", 1), 0);
	b->n--;
	check_page(b, &p);
}

/* ---- flows by hand --------------------------------------------------------------------------- */

static struct flow_view view(flow_id id, const char *local, const char *remote, enum flow_dir dir)
{
	return (struct flow_view){.id = id,
				  .serial = 100 + id,
				  .dir = dir,
				  .updated = 1,
				  .local = {.known_by = KNOWN_CGROUP,
					    .ns = STR("shop"),
					    .workload = str_of(local),
					    .workload_kind = STR("Deployment")},
				  .remote = {.known_by = KNOWN_ADDRESS,
					     .ns = STR("shop"),
					     .workload = str_of(remote),
					     .workload_kind = STR("Deployment")}};
}

static struct metrics *make(uint32_t max_series, nsec_t idle)
{
	const struct metrics_opts o = {.max_series = max_series, .idle = idle};
	struct metrics *m = NULL;

	assert_int_equal(metrics_new(&o, &m), 0);
	return m;
}

static void look(struct metrics *m, const struct flow_view *v)
{
	assert_int_equal(metrics_flow(m, 1, v, NULL), 0);
}

static void counters_are_differences(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(0, 0);
	struct flow_view v = view(1, "web", "db", FLOW_OUT);

	(void)state;
	v.counters =
		(struct flow_counters){.sent = 10, .received = 1, .retrans = 2, .rtt_us = 1500};
	look(m, &v);
	look(m, &v);
	v.counters.sent = 15;
	v.updated = 2;
	look(m, &v);
	v.state = FLOW_RESET;
	v.reason = FLOW_REASON_RST_SENT;
	look(m, &v);
	look(m, &v); /* once ended it is over */
	print(m, &b);
	assert_int_equal(total(&b, "kindred_flow_bytes_total", "direction=\"sent\""), 15);
	assert_int_equal(total(&b, "kindred_flow_bytes_total", "direction=\"received\""), 1);
	assert_int_equal(total(&b, "kindred_flow_connections_total", ""), 1);
	assert_int_equal(total(&b, "kindred_flow_resets_total", ""), 1);
	assert_int_equal(total(&b, "kindred_flow_retransmits_total", ""), 2);
	assert_int_equal(total(&b, "kindred_flow_rtt_seconds_count", ""), 2);
	assert_non_null(strstr(b.p, "kindred_flow_rtt_seconds_sum{src_namespace=\"shop\","
				    "src_workload=\"web\",src_kind=\"Deployment\","
				    "dst_namespace=\"shop\",dst_workload=\"db\","
				    "dst_kind=\"Deployment\",proto=\"tcp\"} 0.003000\n"));
	metrics_free(&m);
}

static void the_client_stands_first(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(0, 0);
	struct flow_view v = view(1, "db", "web", FLOW_IN);

	(void)state;
	v.counters = (struct flow_counters){.sent = 7, .received = 3};
	look(m, &v);
	print(m, &b);
	assert_int_equal(
		total(&b, "kindred_flow_bytes_total",
		      "src_workload=\"web\",src_kind=\"Deployment\",dst_namespace=\"shop\","
		      "dst_workload=\"db\",dst_kind=\"Deployment\",proto=\"tcp\","
		      "direction=\"received\""),
		7);
	metrics_free(&m);
}

static void failures_are_no_connections(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(0, 0);

	(void)state;
	for (flow_id i = 1; i <= 3; i++) {
		struct flow_view v = view(i, "web", "db", FLOW_OUT);

		v.state = FLOW_FAILED;
		v.reason = i == 3 ? FLOW_REASON_TIMED_OUT : FLOW_REASON_REFUSED;
		look(m, &v);
	}
	print(m, &b);
	assert_int_equal(total(&b, "kindred_flow_failures_total", "reason=\"refused\""), 2);
	assert_int_equal(total(&b, "kindred_flow_failures_total", "reason=\"timed_out\""), 1);
	assert_int_equal(total(&b, "kindred_flow_connections_total", ""), 0);
	metrics_free(&m);
}

/* The two views of one connection come in every order, and end in every order. */
static void a_connection_with_both_ends_here_counts_once(void **state)
{
	(void)state;
	for (int order = 0; order < 16; order++) {
		_buf_ struct buf b = {.max = PAGE_MAX};
		struct metrics *m = make(0, 0);
		struct flow_view out = view(1, "web", "db", FLOW_OUT);
		struct flow_view in = view(2, "db", "web", FLOW_IN);
		bool in_first = order & 1, untwinned = order & 2, end_in_first = order & 4;

		out.counters = (struct flow_counters){.sent = 100, .received = 40};
		in.counters = (struct flow_counters){.sent = 40, .received = 100};
		if (untwinned) /* one was looked at before the other was known */
			look(m, in_first ? &in : &out);
		out.twin = 2;
		in.twin = 1;
		for (int i = 0; i < 2; i++) {
			bool is_in = in_first == (i == 0);

			assert_int_equal(metrics_flow(m, 1, is_in ? &in : &out, is_in ? &out : &in),
					 0);
		}
		out.counters.sent = in.counters.received = 150;
		for (int i = 0; i < 2; i++) {
			bool is_in = end_in_first == (i == 0);
			struct flow_view *v = is_in ? &in : &out;

			v->state = FLOW_CLOSED;
			v->updated = 5;
			/* The other one may be gone from the table already. */
			assert_int_equal(metrics_flow(m, 2, v,
						      i && (order & 8) ? NULL
						      : is_in	       ? &out
								       : &in),
					 0);
		}
		print(m, &b);
		assert_int_equal(total(&b, "kindred_flow_connections_total", ""), 1);
		assert_int_equal(total(&b, "kindred_flow_bytes_total", "\"sent\""), 150);
		assert_int_equal(total(&b, "kindred_flow_bytes_total", "\"received\""), 40);
		metrics_free(&m);
	}
}

static void unknown_ends_say_why(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(0, 0);

	(void)state;
	for (flow_id i = 1; i <= 50; i++) {
		struct flow_view v = view(i, "web", "", FLOW_OUT);

		v.raddr.b[15] = (uint8_t)i;
		v.remote = (struct flow_end){.known_by = KNOWN_NOT, .why = UNKNOWN_NOT_ON_NODE};
		look(m, &v);
	}
	print(m, &b);
	assert_int_equal(
		total(&b, "kindred_flow_connections_total",
		      "dst_namespace=\"\",dst_workload=\"unknown\",dst_kind=\"not_on_node\""),
		50);
	metrics_free(&m);
}

static void hostile_names_stay_one_label(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(0, 0);
	struct flow_view v = view(1, "a\"b\\c\nd\xff}", "db", FLOW_OUT);

	(void)state;
	look(m, &v);
	print(m, &b);
	assert_non_null(strstr(b.p, "src_workload=\"a\\\"b\\\\c\\nd\xef\xbf\xbd}\","));
	metrics_free(&m);
}

/* ---- the budget ------------------------------------------------------------------------------ */

struct truth {
	uint64_t sent, received, connections, failures[_FLOW_REASON_MAX], resets, retrans, dropped;
	uint64_t rtt_count;
};

/* A flow lives on a little; what it says is added to the truth by hand. */
static void live(struct rng *g, struct flow_view *v, struct truth *t)
{
	bool in = v->dir == FLOW_IN;
	uint64_t sent = rng_below(g, 1000), received = rng_below(g, 1000), lost = rng_below(g, 3);

	v->counters.sent += sent;
	v->counters.received += received;
	v->counters.retrans += (uint32_t)lost;
	v->updated++;
	t->sent += in ? received : sent;
	t->received += in ? sent : received;
	t->retrans += lost;
	if (v->proto == FLOW_UDP && rng_below(g, 4) == 0) {
		v->counters.dropped++;
		t->dropped++;
	}
	if (rng_below(g, 2))
		v->counters.rtt_us = 1 + (uint32_t)rng_below(g, 5000);
	t->rtt_count += v->counters.rtt_us != 0;
}

static void end(struct rng *g, struct flow_view *v, struct truth *t)
{
	v->state = (enum flow_state)(FLOW_CLOSED + rng_below(g, 4));
	v->reason = (enum flow_reason)rng_below(g, _FLOW_REASON_MAX);
	if (v->state == FLOW_FAILED)
		t->failures[v->reason]++;
	t->resets += v->state == FLOW_RESET;
}

static void check_totals(const struct metrics *m, const struct truth *t, struct buf *b)
{
	print(m, b);
	assert_int_equal(total(b, "kindred_flow_bytes_total", "\"sent\""), t->sent);
	assert_int_equal(total(b, "kindred_flow_bytes_total", "\"received\""), t->received);
	assert_int_equal(total(b, "kindred_flow_connections_total", ""), t->connections);
	assert_int_equal(total(b, "kindred_flow_resets_total", ""), t->resets);
	assert_int_equal(total(b, "kindred_flow_retransmits_total", ""), t->retrans);
	assert_int_equal(total(b, "kindred_flow_udp_dropped_total", ""), t->dropped);
	assert_int_equal(total(b, "kindred_flow_rtt_seconds_count", ""), t->rtt_count);
	for (int i = 0; i < _FLOW_REASON_MAX; i++) {
		char reason[64];

		(void)snprintf(reason, sizeof(reason), "reason=\"%s\"",
			       flow_reason_name((enum flow_reason)i));
		assert_int_equal(total(b, "kindred_flow_failures_total", reason), t->failures[i]);
	}
}

/* The ends have numbers where they are remembered by them; that must make no difference. */
static void look_twice(struct metrics *m, struct metrics *other, nsec_t now,
		       const struct flow_view *v)
{
	struct flow_view copy = *v;

	copy.local_serial = copy.remote_serial = 0;
	assert_int_equal(metrics_flow(m, now, v, NULL), 0);
	assert_int_equal(metrics_flow(other, now, &copy, NULL), 0);
}

static void check_same(const struct metrics *m, const struct metrics *other)
{
	_buf_ struct buf a = {.max = PAGE_MAX}, b = {.max = PAGE_MAX};

	print(m, &a);
	print(other, &b);
	assert_true(str_eq(buf_str(&a), buf_str(&b)));
}

static void run_history(uint64_t seed, uint32_t budget, uint32_t names)
{
	static char workloads[4096][16];
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct rng g;
	struct metrics *m = make(budget, 50), *other = make(budget, 50);
	struct flow_view flows[64] = {0};
	struct truth t = {0};
	struct metrics_stats s;
	uint64_t serial = 0;

	rng_seed(&g, seed);
	for (uint32_t i = 0; i < names; i++)
		(void)snprintf(workloads[i], sizeof(workloads[i]), "w%u", i);
	for (nsec_t now = 1; now < 4000; now++) {
		struct flow_view *v = &flows[rng_below(&g, ARRAY_SIZE(flows))];
		bool fresh = !v->id || v->state != FLOW_OPEN;

		if (fresh) {
			const uint64_t src = rng_below(&g, names), dst = rng_below(&g, names);

			*v = view((flow_id)(v - flows + 1), workloads[src], workloads[dst],
				  (enum flow_dir)rng_below(&g, _FLOW_DIR_MAX));
			v->serial = serial++;
			v->local_serial = src + 1;
			v->remote_serial = dst + 1;
			v->proto = (enum flow_proto)rng_below(&g, 2);
		}
		live(&g, v, &t);
		if (rng_below(&g, 3) == 0)
			end(&g, v, &t);
		if (fresh && v->state != FLOW_FAILED)
			t.connections++;
		look_twice(m, other, now, v);
		metrics_stats(m, &s);
		assert_in_range(s.series, 0, budget);
		if (now % 1000 == 0)
			check_totals(m, &t, &b);
	}
	check_totals(m, &t, &b);
	check_same(m, other);
	metrics_stats(m, &s);
	if (budget < 100 && names > 40)
		assert_true(s.overflows > 0);
	if (budget >= 3 && budget < 100 && names > 40)
		assert_true(s.folded > 0);
	metrics_free(&m);
	metrics_free(&other);
}

static void totals_are_exact_whatever_the_budget(void **state)
{
	static const uint32_t budgets[] = {1, 3, 10, 40, 300, 2000, 100000};
	uint64_t seed = rng_entropy();

	(void)state;
	print_message("seed %llu\n", (unsigned long long)seed);
	for (size_t i = 0; i < ARRAY_SIZE(budgets); i++)
		for (uint32_t names = 3; names <= 4096; names *= 16)
			run_history(seed + i, budgets[i], names);
}

/* Sums over all pairs never go back, also while a pair gives its place up. */
static void folding_moves_counts_in_one_step(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(3, 10);
	struct flow_view a = view(1, "a", "x", FLOW_OUT), c = view(2, "c", "x", FLOW_OUT);
	struct metrics_stats s;

	(void)state;
	a.counters.sent = 5;
	c.counters.sent = 7;
	assert_int_equal(metrics_flow(m, 100, &a, NULL), 0);
	assert_int_equal(metrics_flow(m, 105, &c, NULL), 0); /* a is not idle yet */
	print(m, &b);
	assert_int_equal(total(&b, "kindred_flow_bytes_total", "src_workload=\"other\""), 7);
	assert_int_equal(total(&b, "kindred_flow_bytes_total", "src_workload=\"a\""), 5);
	c.counters.sent = 8;
	assert_int_equal(metrics_flow(m, 110, &c, NULL), 0); /* now it is */
	print(m, &b);
	assert_int_equal(total(&b, "kindred_flow_bytes_total", "src_workload=\"other\""), 12);
	assert_int_equal(total(&b, "kindred_flow_bytes_total", "src_workload=\"c\""), 1);
	assert_int_equal(total(&b, "kindred_flow_bytes_total", "src_workload=\"a\""), 0);
	metrics_stats(m, &s);
	assert_int_equal(s.folded, 1);
	metrics_free(&m);
}

/* ---- DNS and the agent ----------------------------------------------------------------------- */

static void dns_is_counted(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(0, 0);
	const struct flow_dns all[] = {{.rcode = 0, .latency = 3 * NSEC_PER_MSEC},
				       {.rcode = 3, .latency = 2 * NSEC_PER_SEC},
				       {.rcode = 14, .server = true, .latency = 1},
				       {.timeout = true, .latency = 5 * NSEC_PER_SEC}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		metrics_dns(m, &all[i]);
	print(m, &b);
	assert_int_equal(total(&b, "kindred_dns_answers_total", "rcode=\"NXDOMAIN\""), 1);
	assert_int_equal(total(&b, "kindred_dns_answers_total", "side=\"server\",rcode=\"14\""), 1);
	assert_int_equal(total(&b, "kindred_dns_timeouts_total", ""), 1);
	assert_int_equal(
		total(&b, "kindred_dns_latency_seconds_bucket", "side=\"client\",le=\"0.002\""), 0);
	assert_int_equal(
		total(&b, "kindred_dns_latency_seconds_bucket", "side=\"client\",le=\"0.005\""), 1);
	assert_int_equal(
		total(&b, "kindred_dns_latency_seconds_bucket", "side=\"client\",le=\"+Inf\""), 2);
	assert_non_null(
		strstr(b.p, "kindred_dns_latency_seconds_sum{side=\"client\"} 2.003000000\n"));
	metrics_free(&m);
}

static void the_agents_page_is_clean(void **state)
{
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = make(0, 0);
	struct flow_view v = view(1, "a", "b", FLOW_OUT);
	struct flows_stats flows = {.started = 5,
				    .reported = 3,
				    .open = 2,
				    .dropped[FLOW_DROP_CLOSE] = 1,
				    .unaccounted = -1,
				    .cgroups_refused = 11,
				    .procs_refused = 12,
				    .nats_forgotten = 13,
				    .udp_drops_forgotten = 14,
				    .records_lost = 15,
				    .udp_drops = 18,
				    .udp_drops_unplaced = 2};
	struct inventory_stats inventory = {.pods = 4};
	struct metrics_stats metrics = {.series = 9};
	struct jsonl_stats jsonl = {.lines = 2};
	const struct about a = {.flows = &flows,
				.inventory = &inventory,
				.metrics = &metrics,
				.jsonl = &jsonl,
				.version = "1.2.3"};
	const char *to = getenv("PAGE");
	struct page p;

	(void)state;
	look(m, &v);
	assert_int_equal(metrics_print(m, &b), 0);
	assert_int_equal(about_print(&a, &b), 0);
	assert_int_equal(buf_append(&b, "", 1), 0);
	b.n--;
	check_page(&b, &p);
	assert_int_equal(total(&b, "kindred_flows_started_total", ""), 5);
	assert_int_equal(total(&b, "kindred_flows_dropped_total", ""), 1);
	assert_non_null(strstr(b.p, "\nkindred_flows_unaccounted -1\n"));
	assert_non_null(strstr(b.p, "_refused_total{table=\"cgroups\"} 11\n"));
	assert_non_null(strstr(b.p, "_refused_total{table=\"processes\"} 12\n"));
	assert_non_null(strstr(b.p, "_refused_total{table=\"translations\"} 13\n"));
	assert_non_null(strstr(b.p, "_refused_total{table=\"udp_local_drops\"} 14\n"));
	assert_int_equal(total(&b, "kindred_flow_records_lost_total", ""), 15);
	assert_int_equal(total(&b, "kindred_udp_dropped_total", "conversation=\"known\""), 16);
	assert_int_equal(total(&b, "kindred_udp_dropped_total", "conversation=\"unknown\""), 2);
	if (to) { /* for promtool check metrics */
		FILE *f = fopen(to, "we");

		assert_non_null(f);
		assert_int_equal(fwrite(b.p, 1, b.n, f), b.n);
		assert_int_equal(fclose(f), 0);
	}
	metrics_free(&m);
}

static void a_page_without_room_says_so(void **state)
{
	_buf_ struct buf b = {.max = 2000};
	struct metrics *m = make(0, 0);

	(void)state;
	assert_int_equal(metrics_print(m, &b), -EMSGSIZE);
	metrics_free(&m);
}

/* A failed allocation costs a name at most, never a count. */
static int tortured(void *ctx)
{
	const struct metrics_opts o = {.max_series = 20};
	_buf_ struct buf b = {.max = PAGE_MAX};
	struct metrics *m = NULL;
	int r = metrics_new(&o, &m), done = 0;

	(void)ctx;
	if (r < 0)
		return r;
	for (flow_id i = 1; i <= 30; i++) {
		char name[16];
		struct flow_view v;

		(void)snprintf(name, sizeof(name), "w%u", i);
		v = view(i, name, "x", FLOW_OUT);
		v.counters.sent = 1;
		done += metrics_flow(m, 1, &v, NULL) == 0;
	}
	r = metrics_print(m, &b);
	if (r == 0)
		r = buf_append(&b, "", 1);
	if (r == 0)
		b.n--;
	if (r == 0 && total(&b, "kindred_flow_bytes_total", "\"sent\"") != (uint64_t)done)
		r = -EPROTO;
	metrics_free(&m);
	return r;
}

static void no_memory_costs_no_count(void **state)
{
	(void)state;
	assert_int_equal(torture_run(tortured, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_are_differences),
		cmocka_unit_test(the_client_stands_first),
		cmocka_unit_test(failures_are_no_connections),
		cmocka_unit_test(a_connection_with_both_ends_here_counts_once),
		cmocka_unit_test(unknown_ends_say_why),
		cmocka_unit_test(hostile_names_stay_one_label),
		cmocka_unit_test(totals_are_exact_whatever_the_budget),
		cmocka_unit_test(folding_moves_counts_in_one_step),
		cmocka_unit_test(dns_is_counted),
		cmocka_unit_test(the_agents_page_is_clean),
		cmocka_unit_test(a_page_without_room_says_so),
		cmocka_unit_test(no_memory_costs_no_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
