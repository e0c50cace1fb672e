/*
 * The series of flows and of DNS as text.
 */
#include "sink/metrics/parts.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define EXTRA_MAX 64

struct family {
	const char *name, *type, *help;
	unsigned first, last; /* series of a pair */
	const char *suffix;
};

#define OTHER(proto)                                                                  \
	"src_namespace=\"\",src_workload=\"other\",src_kind=\"\",dst_namespace=\"\"," \
	"dst_workload=\"other\",dst_kind=\"\",proto=\"" proto "\""
static const char *const other_labels[_FLOW_PROTO_MAX] = {
	[FLOW_TCP] = OTHER("tcp"), [FLOW_UDP] = OTHER("udp")};

/* The label besides the pair's own, if the series has one. */
static struct str extra_label(unsigned series, char room[EXTRA_MAX])
{
	if (series == PAIR_SENT)
		return STR(",direction=\"sent\"");
	if (series == PAIR_RECEIVED)
		return STR(",direction=\"received\"");
	if (series < PAIR_FAILED)
		return (struct str){0};
	return str_make(
		room, (size_t)snprintf(room, EXTRA_MAX, ",reason=\"%s\"",
				       flow_reason_name((enum flow_reason)(series - PAIR_FAILED))));
}

static void print_series(struct prom *p, const struct family *f, const struct pair *x,
			 unsigned series, struct str labels)
{
	char room[EXTRA_MAX];
	struct str extra = extra_label(series, room);
	uint64_t v = x->v[series];

	if (!(x->has & 1U << series) || p->r < 0)
		return;
	if (series == PAIR_RTT_SUM)
		p->r = buf_printf(p->out, "%s_sum{%.*s} %" PRIu64 ".%06" PRIu64 "\n", f->name,
				  STR_ARG(labels), v / 1000000, v % 1000000);
	else
		p->r = buf_printf(p->out, "%s%s{%.*s%.*s} %" PRIu64 "\n", f->name,
				  series == PAIR_RTT_COUNT ? "_count" : "", STR_ARG(labels),
				  STR_ARG(extra), v);
}

static void print_pair(struct prom *p, const struct family *f, const struct pair *x,
		       struct str labels)
{
	for (unsigned i = f->first; i <= f->last; i++)
		print_series(p, f, x, i, labels);
}

static void print_family(const struct metrics *m, struct prom *p, const struct family *f)
{
	prom_family(p, f->name, f->type, f->help);
	for (int i = 0; i < _FLOW_PROTO_MAX; i++)
		print_pair(p, f, &m->pairs.other[i], str_of(other_labels[i]));
	for (pool_id id = pairs_next(&m->pairs, 0); id; id = pairs_next(&m->pairs, id)) {
		const struct pair *x = pairs_at(&m->pairs, id);

		print_pair(p, f, x, str_make(x->labels, x->n_labels));
	}
}

static const struct family families[] = {
	{.name = "kindred_flow_bytes_total",
	 .type = "counter",
	 .help = "Payload bytes between two workloads: sent by the client, and received by it.",
	 .first = PAIR_SENT,
	 .last = PAIR_RECEIVED},
	{.name = "kindred_flow_connections_total",
	 .type = "counter",
	 .help = "TCP connections that came up, and UDP conversations.",
	 .first = PAIR_CONNECTIONS,
	 .last = PAIR_CONNECTIONS},
	{.name = "kindred_flow_failures_total",
	 .type = "counter",
	 .help = "TCP connections that never came up, by reason.",
	 .first = PAIR_FAILED,
	 .last = PAIR_MAX - 1},
	{.name = "kindred_flow_resets_total",
	 .type = "counter",
	 .help = "TCP connections that came up and ended by a reset or an error.",
	 .first = PAIR_RESETS,
	 .last = PAIR_RESETS},
	{.name = "kindred_flow_retransmits_total",
	 .type = "counter",
	 .help = "TCP segments sent again, SYNs included.",
	 .first = PAIR_RETRANSMITS,
	 .last = PAIR_RETRANSMITS},
	{.name = "kindred_flow_rtt_seconds",
	 .type = "summary",
	 .help = "Smoothed round-trip time of TCP, each time a connection's counters were read.",
	 .first = PAIR_RTT_COUNT,
	 .last = PAIR_RTT_SUM},
	{.name = "kindred_flow_udp_dropped_total",
	 .type = "counter",
	 .help = "UDP datagrams that arrived and found the socket's queue full.",
	 .first = PAIR_DROPPED,
	 .last = PAIR_DROPPED},
};

/* ---- DNS ------------------------------------------------------------------------------------- */

static const char *const sides[] = {"client", "server"};

static void print_rcodes(const struct dns_counts *c, const char *side, struct prom *p)
{
	/* IANA's names of DNS RCODEs 0 to 10; the others by number. */
	static const char *const names[DNS_RCODES] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
						      "NOTIMP",	 "REFUSED", "YXDOMAIN", "YXRRSET",
						      "NXRRSET", "NOTAUTH", "NOTZONE"};
	char labels[EXTRA_MAX], number[16];

	for (int i = 0; i < DNS_RCODES; i++) {
		if (!c->rcode[i])
			continue;
		(void)snprintf(number, sizeof(number), "%d", i);
		(void)snprintf(labels, sizeof(labels), "side=\"%s\",rcode=\"%s\"", side,
			       i == DNS_RCODES - 1 ? "other"
			       : names[i]	   ? names[i]
						   : number);
		prom_u64(p, "kindred_dns_answers_total", str_of(labels), c->rcode[i]);
	}
}

static void print_dns(const struct metrics *m, struct prom *p)
{
	char labels[EXTRA_MAX];

	prom_family(
		p, "kindred_dns_answers_total", "counter",
		"DNS answers by response code, as seen by clients and by servers of this node.");
	for (int i = 0; i < 2; i++)
		print_rcodes(&m->dns[i], sides[i], p);
	prom_family(p, "kindred_dns_timeouts_total", "counter", "DNS queries without an answer.");
	for (int i = 0; i < 2; i++) {
		(void)snprintf(labels, sizeof(labels), "side=\"%s\"", sides[i]);
		prom_u64(p, "kindred_dns_timeouts_total", str_of(labels), m->dns[i].timeouts);
	}
	prom_family(p, "kindred_dns_latency_seconds", "histogram",
		    "From a DNS query to its answer.");
	for (int i = 0; i < 2; i++) {
		(void)snprintf(labels, sizeof(labels), "side=\"%s\"", sides[i]);
		prom_hist(p, "kindred_dns_latency_seconds", str_of(labels), &m->dns[i].latency);
	}
}

int metrics_print(const struct metrics *m, struct buf *out)
{
	struct prom p = {.out = out};

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		print_family(m, &p, &families[i]);
	print_dns(m, &p);
	return p.r;
}
