#include "sink/metrics/metrics.h"

#include "base/mem.h"
#include "sink/metrics/parts.h"

#include <errno.h>
#include <stdlib.h>

#define MAX_SERIES_DEFAULT 2000
#define IDLE_DEFAULT	   (900 * NSEC_PER_SEC)
#define TURN		   1024 /* flows, and DNS transactions, of one run: about a millisecond */

static const nsec_t dns_bounds[] = {1 * NSEC_PER_MSEC,	 2 * NSEC_PER_MSEC,   5 * NSEC_PER_MSEC,
				    10 * NSEC_PER_MSEC,	 25 * NSEC_PER_MSEC,  50 * NSEC_PER_MSEC,
				    100 * NSEC_PER_MSEC, 250 * NSEC_PER_MSEC, 500 * NSEC_PER_MSEC,
				    1000 * NSEC_PER_MSEC};

int metrics_new(const struct metrics_opts *o, struct metrics **ret)
{
	struct metrics *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m)
		return -ENOMEM;
	m->o = *o;
	pairs_init(&m->pairs, o->max_series ? o->max_series : MAX_SERIES_DEFAULT,
		   o->idle ? o->idle : IDLE_DEFAULT);
	m->pairs.wall = o->wall;
	m->pairs.born = o->wall ? o->wall() : 0;
	buf_init(&m->labels, METRICS_LABELS_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(m->dns); i++)
		hist_init(&m->dns[i].latency, dns_bounds, ARRAY_SIZE(dns_bounds));
	if (o->flows)
		r = flows_cursor_add(o->flows, &m->cursor);
	if (r < 0)
		metrics_free(&m);
	else
		*ret = m;
	return r;
}

void metrics_tune(struct metrics *m, uint32_t max_series)
{
	pairs_tune(&m->pairs, max_series ? max_series : MAX_SERIES_DEFAULT);
}

void metrics_free(struct metrics **pm)
{
	struct metrics *m = *pm;

	*pm = NULL;
	if (!m)
		return;
	if (m->cursor)
		flows_cursor_remove(m->o.flows, &m->cursor);
	pairs_done(&m->pairs);
	seen_done(&m->seen);
	buf_done(&m->labels);
	free(m);
}

/* ---- one flow -------------------------------------------------------------------------------- */

static void put_end(struct prom *p, const char *const names[3], const struct flow_end *e)
{
	bool named = e->known_by != KNOWN_NOT && !str_empty(e->workload);
	struct str kind = named ? e->workload_kind : str_of(unknown_reason_name(e->why));

	prom_label(p, names[0], e->ns);
	prom_label(p, names[1], named ? e->workload : STR("unknown"));
	prom_label(p, names[2], kind);
}

static int put_labels(const struct flow_view *v, struct buf *out)
{
	static const char *const src[] = {"src_namespace", "src_workload", "src_kind"};
	static const char *const dst[] = {"dst_namespace", "dst_workload", "dst_kind"};
	struct prom p = {.out = out};
	bool in = v->dir == FLOW_IN;

	put_end(&p, src, in ? &v->remote : &v->local);
	put_end(&p, dst, in ? &v->local : &v->remote);
	prom_label(&p, "proto", str_of(flow_proto_name(v->proto)));
	return p.r;
}

/* The labels of its pair; empty when they have no room. */
static struct str labels_of(struct metrics *m, const struct flow_view *v)
{
	int r;

	buf_reset(&m->labels);
	r = m->o.label ? m->o.label(v, &m->labels) : put_labels(v, &m->labels);
	return r == 0 ? buf_str(&m->labels) : (struct str){0};
}

static uint64_t grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static void differences(const struct flow_view *v, const struct seen *s, uint64_t d[PAIR_MAX])
{
	const struct flow_counters *c = &v->counters;
	bool in = v->dir == FLOW_IN;

	d[in ? PAIR_RECEIVED : PAIR_SENT] = grown(c->sent, s->sent);
	d[in ? PAIR_SENT : PAIR_RECEIVED] = grown(c->received, s->received);
	d[PAIR_RETRANSMITS] = grown(c->retrans, s->retrans);
	d[PAIR_DROPPED] = grown(c->dropped, s->dropped);
	if (v->state != FLOW_FAILED && !(s->flags & SEEN_CONNECTED))
		d[PAIR_CONNECTIONS] = 1;
	if (c->rtt_us && v->updated > s->updated) {
		d[PAIR_RTT_COUNT] = 1;
		d[PAIR_RTT_SUM] = c->rtt_us;
	}
	if (v->state == FLOW_FAILED)
		d[PAIR_FAILED + (int)v->reason] = 1;
	if (v->state == FLOW_RESET)
		d[PAIR_RESETS] = 1;
}

static void remember(struct seen *s, const struct flow_view *v)
{
	const struct flow_counters *c = &v->counters;

	s->sent = MAX(s->sent, c->sent);
	s->received = MAX(s->received, c->received);
	s->dropped = MAX(s->dropped, c->dropped);
	s->retrans = MAX(s->retrans, c->retrans);
	s->updated = MAX(s->updated, v->updated);
	if (v->state != FLOW_FAILED)
		s->flags |= SEEN_CONNECTED;
}

static pool_id pair_of(struct metrics *m, nsec_t now, const struct flow_view *v)
{
	const bool in = v->dir == FLOW_IN;
	const uint64_t src = in ? v->remote_serial : v->local_serial,
		       dst = in ? v->local_serial : v->remote_serial;
	struct recent *r = &m->recent[hash_numbers(&m->pairs.seed, src, dst) % RECENT];

	if (r->pair && r->src == src && r->dst == dst && r->proto == v->proto &&
	    r->folded == m->pairs.folded)
		return r->pair;
	*r = (struct recent){.src = src, .dst = dst, .proto = (uint8_t)v->proto};
	r->pair = pairs_get(&m->pairs, now, v->proto, labels_of(m, v));
	r->folded = m->pairs.folded; /* for this one another may have been */
	if (!src || !dst)
		r->src = r->dst = UINT64_MAX; /* nobody's: such flows need not be alike */
	return r->pair;
}

void metrics_grow(struct metrics_growth *g, const struct metrics_growth *d)
{
	g->sent += d->sent;
	g->received += d->received;
	g->connections += d->connections;
	g->failures += d->failures;
	g->resets += d->resets;
	g->retransmits += d->retransmits;
}

static void tell_grown(struct metrics *m, nsec_t now, const struct flow_view *v,
		       const uint64_t d[PAIR_MAX])
{
	struct metrics_growth g = {.sent = d[PAIR_SENT],
				   .received = d[PAIR_RECEIVED],
				   .connections = d[PAIR_CONNECTIONS],
				   .failures = v->state == FLOW_FAILED,
				   .resets = d[PAIR_RESETS],
				   .retransmits = d[PAIR_RETRANSMITS]};
	const bool any =
		g.sent || g.received || g.connections || g.failures || g.resets || g.retransmits;

	if (any && m->o.grown)
		m->o.grown(m->o.ctx, now, v, &g);
}

static void count_flow(struct metrics *m, nsec_t now, const struct flow_view *v, struct seen *s)
{
	uint64_t d[PAIR_MAX] = {0}, any = 0;

	differences(v, s, d);
	for (int i = 0; i < PAIR_MAX; i++)
		any |= d[i];
	if (any) {
		pairs_add(&m->pairs, now, v->proto, pair_of(m, now, v), d);
		tell_grown(m, now, v, d);
	}
	remember(s, v);
}

int metrics_flow(struct metrics *m, nsec_t now, const struct flow_view *v,
		 const struct flow_view *twin)
{
	struct seen *s;

	if (!seen_get(&m->seen, v) || (twin && !seen_get(&m->seen, twin)))
		return -ENOMEM;
	s = &m->seen.v[v->id];
	if (s->flags & SEEN_ENDED)
		return 0;
	if (seen_primary(&m->seen, v, twin))
		count_flow(m, now, v, s);
	if (v->state == FLOW_OPEN)
		return 0;
	s->flags |= SEEN_ENDED;
	if (m->o.ended)
		m->o.ended(m->o.ctx, v);
	return 0;
}

/* ---- the flow table -------------------------------------------------------------------------- */

static int run_flow(struct metrics *m, nsec_t now, flow_id id)
{
	struct flow_view v, twin;
	bool both;
	int r;

	if (!flows_at(m->o.flows, id, &v)) /* it waited for memory, and a bound took it */
		return 0;
	both = v.twin && flows_at(m->o.flows, v.twin, &twin);
	r = metrics_flow(m, now, &v, both ? &twin : NULL);
	if (r == 0)
		flows_cursor_done(m->o.flows, m->cursor, id);
	return r;
}

static void run_dns(struct metrics *m)
{
	struct flow_dns d;

	for (int i = 0; i < TURN && flows_dns_next(m->o.flows, m->dns_serial, &d); i++) {
		if (m->dns_serial)
			m->dns_missed += d.serial - m->dns_serial - 1;
		m->dns_serial = d.serial;
		metrics_dns(m, &d);
	}
}

int metrics_run(struct metrics *m, nsec_t now)
{
	int r = 0;

	for (int i = 0; i < TURN && r == 0; i++) {
		flow_id id = m->again ? m->again : flows_cursor_next(m->o.flows, m->cursor);

		if (!id)
			break;
		r = run_flow(m, now, id);
		m->again = r < 0 ? id : 0;
	}
	run_dns(m);
	return r < 0 ? r : !flows_cursor_at_end(m->o.flows, m->cursor);
}

/* ---- DNS ------------------------------------------------------------------------------------- */

void metrics_dns(struct metrics *m, const struct flow_dns *d)
{
	struct dns_counts *c = &m->dns[d->server];

	if (d->timeout) {
		c->timeouts++;
		return;
	}
	c->rcode[MIN(d->rcode, (uint8_t)(DNS_RCODES - 1))]++;
	hist_add(&c->latency, d->latency);
}

const struct pairs *metrics_pairs(const struct metrics *m)
{
	return &m->pairs;
}

void metrics_stats(const struct metrics *m, struct metrics_stats *ret)
{
	*ret = (struct metrics_stats){.series = m->pairs.series,
				      .pairs = pairs_count(&m->pairs),
				      .max_series = m->pairs.max_series,
				      .overflows = m->pairs.overflows,
				      .folded = m->pairs.folded,
				      .dropped = m->cursor ? flows_cursor_dropped(m->cursor) : 0,
				      .dns_missed = m->dns_missed,
				      .bytes = sizeof(*m) + pairs_bytes(&m->pairs) +
					       m->seen.n * sizeof(struct seen)};
}
